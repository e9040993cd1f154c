//! Where occurrences are counted.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periskop_core::wire::exporter::Writer;
use periskop_core::{
    AggregationKey, ContentHash, Exception, Occurrence, Report, ReportedError, Severity, Timestamp,
};

use crate::ambient::{self, Clock, Dice};
use crate::capture::Capture;

/// The key of the error that counts what found no room of its own.
pub const OVERFLOW_KEY: &str = "periskop-client-overflow";

/// The highest count that the exporter format has: `2^53 - 1`.
const MOST: u64 = (1 << 53) - 1;

/// Counts errors and keeps the newest occurrences of each, in bounded memory.
///
/// Cheap to clone; clones count together. See the [crate](crate) for what a host can rely on.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Shared>,
}

struct Shared {
    target_uuid: String,
    occurrences_per_error: usize,
    errors_limit: usize,
    clock: Clock,
    dice: Dice,
    errors: Mutex<BTreeMap<AggregationKey, Counted>>,
}

/// One error: how often, since when, and the newest occurrences, oldest of them first.
#[derive(Clone)]
struct Counted {
    total: u64,
    created_at: Timestamp,
    severity: Severity,
    newest: VecDeque<Arc<Occurrence>>,
}

impl Collector {
    /// A collector with the limits that [`Builder`] documents and a random `target_uuid`.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A collector with other limits.
    pub fn builder() -> Builder {
        Builder {
            occurrences_per_error: 10,
            errors_limit: 1000,
            clock: Box::new(ambient::now),
            dice: Box::new(ambient::random),
        }
    }

    /// Counts an occurrence of `error`, its `source()`s as causes.
    #[track_caller]
    pub fn report<E: Error + ?Sized>(&self, error: &E) {
        self.record(Capture::of(error));
    }

    /// Counts an occurrence with all that is known about it.
    pub fn record(&self, capture: Capture) {
        let now = (self.shared.clock)();
        let name = ambient::uuid((self.shared.dice)());
        let mut key = capture.aggregation_key();
        let mut occurrence = Occurrence {
            // It has a name that nothing else has: there is never a tie for this to decide.
            content: ContentHash::of(name.as_bytes()),
            name,
            time: Some(now),
            severity: capture.severity,
            exceptions: capture.exceptions,
            http: capture.http,
        };
        let mut errors = self.shared.lock();
        if !self.shared.has_room(&errors, &key) {
            drop(errors);
            occurrence.exceptions.insert(0, overflow(self.shared.errors_limit, &key));
            key = AggregationKey::from(OVERFLOW_KEY);
            errors = self.shared.lock();
        }
        let counted = errors.entry(key).or_insert_with(|| Counted {
            total: 0,
            created_at: now,
            severity: occurrence.severity,
            newest: VecDeque::new(),
        });
        counted.total = (counted.total + 1).min(MOST);
        counted.severity = occurrence.severity;
        counted.newest.push_back(Arc::new(occurrence));
        let full = counted.newest.len() > self.shared.occurrences_per_error;
        let dropped = if full { counted.newest.pop_front() } else { None };
        drop(errors);
        // Freed only now: giving back its texts is nothing to wait for.
        drop(dropped);
    }

    /// Who counts: random, and the same as long as this collector lives.
    pub fn target_uuid(&self) -> &str {
        &self.shared.target_uuid
    }

    /// What has been counted, in the exporter format: the answer to a scrape, and what is pushed to
    /// a gateway. JSON, UTF-8; the same bytes as long as nothing happens.
    pub fn export(&self) -> Vec<u8> {
        let mut writer = Writer::new(Some(&self.shared.target_uuid));
        for (key, counted) in self.shared.counted() {
            writer.error(&counted.reported(key));
        }
        writer.finish()
    }

    /// What has been counted, as a report that can be merged without going over the wire.
    pub fn snapshot(&self) -> Report {
        let errors = self.shared.counted().into_iter();
        Report {
            target_uuid: Some(self.shared.target_uuid.clone()),
            errors: errors.map(|(key, counted)| counted.reported(key)).collect(),
            ..Report::default()
        }
    }
}

impl Shared {
    /// Nothing that runs under the lock can panic; were it poisoned all the same, what it holds
    /// would still be whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AggregationKey, Counted>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been counted until now, the texts shared.
    fn counted(&self) -> BTreeMap<AggregationKey, Counted> {
        self.lock().clone()
    }

    /// Whether `key` has a place of its own. The overflow has one beside the limit.
    fn has_room(&self, errors: &BTreeMap<AggregationKey, Counted>, key: &AggregationKey) -> bool {
        let taken = errors.len() - usize::from(errors.contains_key(OVERFLOW_KEY));
        key.as_str() == OVERFLOW_KEY || taken < self.errors_limit || errors.contains_key(key)
    }
}

impl Counted {
    fn reported(self, key: AggregationKey) -> ReportedError {
        ReportedError {
            key,
            total_count: self.total,
            severity: self.severity,
            created_at: Some(self.created_at),
            incarnations: None,
            occurrences: self.newest.into_iter().map(Arc::unwrap_or_clone).collect(),
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("target_uuid", &self.shared.target_uuid)
            .finish_non_exhaustive()
    }
}

/// The exception that stands before one that found no room.
fn overflow(limit: usize, key: &AggregationKey) -> Exception {
    Exception {
        class: Some("periskop_client::Overflow".into()),
        message: Some(format!(
            "more than {limit} different errors: counted here instead of as `{key}`; \
             a custom aggregation key groups what belongs together"
        )),
        stacktrace: Vec::new(),
    }
}

/// What a [`Collector`] is made with.
pub struct Builder {
    occurrences_per_error: usize,
    errors_limit: usize,
    clock: Clock,
    dice: Dice,
}

impl Builder {
    /// How many of the newest occurrences are kept of each error; 10 unless told, as in the other
    /// published clients. 0 counts only.
    pub fn occurrences_per_error(mut self, n: usize) -> Self {
        self.occurrences_per_error = n;
        self
    }

    /// How many different errors are told apart; 1000 unless told. A program has some dozens; many
    /// more mean that something variable has got into the keys.
    pub fn errors_limit(mut self, n: usize) -> Self {
        self.errors_limit = n;
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Another randomness than the system's, for the `target_uuid` and those of occurrences. It has
    /// to be different in every process: the server adds up what has different names.
    pub fn randomness(mut self, dice: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        self.dice = Box::new(dice);
        self
    }

    /// The collector.
    pub fn build(self) -> Collector {
        Collector {
            shared: Arc::new(Shared {
                target_uuid: ambient::uuid((self.dice)()),
                occurrences_per_error: self.occurrences_per_error,
                errors_limit: self.errors_limit,
                clock: self.clock,
                dice: self.dice,
                errors: Mutex::default(),
            }),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("occurrences_per_error", &self.occurrences_per_error)
            .field("errors_limit", &self.errors_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
