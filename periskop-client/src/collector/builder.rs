//! What a collector is made with.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use periskop_core::Timestamp;
use periskop_core::redact::{Redaction, Redactor};

use super::life::Life;
use super::{Collector, Shared};
use crate::ambient::{self, Clock, Dice, Pid};
use crate::backtrace::Backtraces;

/// What a [`Collector`] is made with.
pub struct Builder {
    settings: Settings,
    backtraces: Backtraces,
}

/// What a collector knows from its beginning.
pub(super) struct Settings {
    pub(super) occurrences_per_error: usize,
    pub(super) errors_limit: usize,
    pub(super) memory_limit: usize,
    pub(super) backtraces: bool,
    pub(super) redactor: Redactor,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) pid: Pid,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = Settings {
            occurrences_per_error: 10,
            errors_limit: 1000,
            memory_limit: 32 << 20,
            backtraces: false,
            redactor: Redactor::default(),
            clock: Box::new(ambient::now),
            dice: Box::new(ambient::random),
            pid: Box::new(std::process::id),
        };
        Self { settings, backtraces: Backtraces::default() }
    }
}

impl Builder {
    /// How many of the newest occurrences are kept of each error; 10 unless told, as in the other
    /// published clients. 0 counts only.
    pub fn occurrences_per_error(mut self, n: usize) -> Self {
        self.settings.occurrences_per_error = n;
        self
    }

    /// How many different errors are told apart; 1000 unless told. A program has some dozens; many
    /// more mean that something variable has got into the keys.
    pub fn errors_limit(mut self, n: usize) -> Self {
        self.settings.errors_limit = n;
        self
    }

    /// How many bytes the occurrences of all errors may take together; 32 MiB unless told. Where
    /// they would take more, an error keeps fewer of its occurrences. Counts need no room.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.settings.memory_limit = bytes;
        self
    }

    /// When stack traces are taken. An error that comes often gets the first few, then one in ten
    /// seconds, and all together take at most a hundredth of one core's time; in between, the place
    /// of the report is the only frame. They are never part of the key.
    pub fn backtraces(mut self, backtraces: Backtraces) -> Self {
        self.backtraces = backtraces;
        self
    }

    /// What is masked in HTTP contexts, beyond the defaults: credentials in well-known headers,
    /// URL parameters and body fields.
    pub fn redaction(mut self, redaction: &Redaction) -> Self {
        self.settings.redactor = Redactor::new(redaction);
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.settings.clock = Box::new(clock);
        self
    }

    /// Another randomness than the system's. It is asked for the `target_uuid`, and once more for
    /// the names of all occurrences. It has to be different in every process: the server adds up
    /// what has different names.
    pub fn randomness(mut self, dice: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        self.settings.dice = Box::new(dice);
        self
    }

    /// Another number of the process than the system's. Whenever it changes, a new life begins, as
    /// in the child of a fork.
    pub fn process_id(mut self, pid: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        self.settings.pid = Box::new(pid);
        self
    }

    /// The collector.
    pub fn build(mut self) -> Collector {
        self.settings.backtraces = self.backtraces.are_wanted();
        let life = Life::begin((self.settings.pid)(), &self.settings);
        Collector {
            shared: Arc::new(Shared {
                settings: self.settings,
                life: ArcSwap::from_pointee(life),
                #[cfg(feature = "push")]
                listeners: ArcSwap::default(),
            }),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("occurrences_per_error", &self.settings.occurrences_per_error)
            .field("errors_limit", &self.settings.errors_limit)
            .field("memory_limit", &self.settings.memory_limit)
            .field("backtraces", &self.backtraces)
            .finish_non_exhaustive()
    }
}
