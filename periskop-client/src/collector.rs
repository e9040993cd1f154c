//! Where occurrences are counted.

mod builder;
mod entry;
mod life;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};
use periskop_core::wire::exporter::Writer;
use periskop_core::{
    AggregationKey, ContentHash, Exception, HttpContext, Occurrence, Report, ReportedError,
};

pub use self::builder::Builder;
use self::builder::Settings;
use self::entry::Counted;
use self::life::Life;
use crate::capture::{self, Capture};
use crate::{backtrace, recycle, uuids};

/// The key of the error that counts what found no room of its own.
pub const OVERFLOW_KEY: &str = "periskop-client-overflow";

/// Counts errors and keeps the newest occurrences of each, in bounded memory.
///
/// Cheap to clone; clones count together. See the [crate](crate) for what a host can rely on.
///
/// # Processes that fork
///
/// A child counts its own: with its first report or export it gets a `target_uuid` of its own and
/// begins at nothing, while the parent goes on with its counts. No lock that a thread of the parent
/// may have held at the fork is touched for that, and a pusher starts anew.
/// Processes are told apart by their number, so a child in another PID namespace that happens to
/// have its parent's number is not noticed.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    life: ArcSwap<Life>,
    #[cfg(feature = "push")]
    listeners: ArcSwap<Vec<std::sync::Weak<dyn Listener>>>,
}

/// Whoever wants to know that something was counted.
#[cfg(feature = "push")]
pub(crate) trait Listener: Send + Sync {
    /// Something was, in the process `pid`. Called within every report: it must not wait.
    fn counted(&self, pid: u32);
}

impl Collector {
    /// A collector with the limits that [`Builder`] documents and a random `target_uuid`.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A collector with other limits.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Counts an occurrence of `error`, its `source()`s as causes.
    #[track_caller]
    pub fn report<E: Error + ?Sized>(&self, error: &E) {
        self.record(Capture::of(error));
    }

    /// Counts an occurrence with all that is known about it.
    pub fn record(&self, capture: Capture) {
        let settings = &self.shared.settings;
        let pid = (settings.pid)();
        let life = self.shared.life(pid);
        let now = (settings.clock)();
        let key = capture.aggregation_key();
        let Capture { mut exceptions, severity, http, has_trace, .. } = capture;
        #[cfg(feature = "tower")]
        let http = {
            let scene = crate::scene::reported(self.id(), severity);
            http.or_else(|| scene.map(|scene| scene.http()))
        };

        let (entry, is_overflow) = life.entry(&key, now, settings.errors_limit);
        if is_overflow {
            exceptions.insert(0, overflow(settings.errors_limit, &key));
        }
        recycle::give(key);
        if settings.backtraces && !has_trace && entry.turns.take(life.age()) {
            let begun = Instant::now();
            if life.budget.has_room(life.age()) {
                let frames = backtrace::taken(capture::ENTRIES);
                if !frames.is_empty() {
                    // What was there, the place of the report, stays its first line.
                    let stack = &mut exceptions[usize::from(is_overflow)].stacktrace;
                    *stack = capture::bounded(stack.drain(..).take(1).chain(frames));
                }
                life.budget.spend(begun.elapsed());
            }
        }

        let bits = life.names.next();
        let mut name = recycle::text();
        uuids::write(bits, &mut name);
        let occurrence = Occurrence {
            name,
            // It has a name that nothing else has: there is never a tie for this to decide.
            content: ContentHash(bits.to_be_bytes()),
            time: Some(now),
            severity,
            exceptions,
            http: http.map(|http| self.shared.redacted(http)),
        };
        let dropped = entry.push(occurrence, settings.occurrences_per_error, &life.memory);
        // Taken apart only now: nobody has to wait for that.
        dropped.into_iter().filter_map(Arc::into_inner).for_each(recycle::occurrence);
        life.changed();
        #[cfg(feature = "push")]
        for listener in self.shared.listeners.load().iter().filter_map(std::sync::Weak::upgrade) {
            listener.counted(pid);
        }
    }

    /// Who counts: random, and the same as long as this collector lives in one process.
    pub fn target_uuid(&self) -> String {
        self.life().target_uuid.clone()
    }

    /// What has been counted, in the exporter format: the answer to a scrape, and what is pushed to
    /// a gateway. JSON, UTF-8; the same bytes as long as nothing happens.
    pub fn export(&self) -> Vec<u8> {
        let life = self.life();
        let mut writer = Writer::new(Some(&life.target_uuid));
        for (key, counted) in life.counted() {
            let Counted { total, severity, created_at, newest } = &counted;
            let newest = newest.iter().map(AsRef::as_ref);
            writer.counted(&key, *total, *severity, Some(*created_at), newest);
        }
        writer.finish()
    }

    /// What has been counted, as a report that can be merged without going over the wire.
    pub fn snapshot(&self) -> Report {
        let life = self.life();
        let errors = life.counted().map(|(key, counted)| ReportedError {
            key,
            total_count: counted.total,
            severity: counted.severity,
            created_at: Some(counted.created_at),
            incarnations: None,
            occurrences: counted.newest.into_iter().map(Arc::unwrap_or_clone).collect(),
            unchanged: Vec::new(),
        });
        Report {
            target_uuid: Some(life.target_uuid.clone()),
            errors: errors.collect(),
            ..Report::default()
        }
    }

    /// The process that it is asked in, and how much was counted there; grows with every report.
    #[cfg(feature = "push")]
    pub(crate) fn changes(&self) -> (u32, u64) {
        let pid = (self.shared.settings.pid)();
        (pid, self.shared.life(pid).changes())
    }

    /// Tells `listener` of every report from now on, as long as it is there.
    #[cfg(feature = "push")]
    pub(crate) fn listen(&self, listener: &Arc<dyn Listener>) {
        self.shared.listeners.rcu(|listeners| {
            let alive = listeners.iter().filter(|other| other.strong_count() > 0).cloned();
            alive.chain([Arc::downgrade(listener)]).collect::<Vec<_>>()
        });
    }

    /// Tells collectors apart; clones are the same.
    #[cfg(feature = "tower")]
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Whether a panic is to be recorded with its stack.
    pub(crate) fn takes_backtraces(&self) -> bool {
        self.shared.settings.backtraces
    }

    fn life(&self) -> Guard<Arc<Life>> {
        self.shared.life((self.shared.settings.pid)())
    }
}

impl Shared {
    /// The life of the process `pid`, begun if there is none yet.
    fn life(&self, pid: u32) -> Guard<Arc<Life>> {
        let life = self.life.load();
        if life.pid == pid {
            return life;
        }
        let own = Arc::new(Life::begin(pid, &self.settings));
        let before = self.life.compare_and_swap(&*life, own);
        if Arc::ptr_eq(&before, &life) {
            // Never freed: its memory is shared with the parent until somebody writes to it, and
            // its locks may be held for ever, by threads that are not here.
            std::mem::forget(Arc::clone(&life));
        }
        // This thread's, or that of another thread of the child that was faster.
        self.life.load()
    }

    fn redacted(&self, mut http: HttpContext) -> HttpContext {
        let redactor = &self.settings.redactor;
        http.url = http.url.map(|url| redactor.url(&url).into_owned());
        http.body = http.body.map(|body| redactor.body(&body).into_owned());
        for (name, value) in &mut http.headers {
            *value = redactor.header(name, value).into_owned();
        }
        http
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
            .field("target_uuid", &self.target_uuid())
            .finish_non_exhaustive()
    }
}

/// The exception that stands before one that found no room.
fn overflow(limit: usize, key: &str) -> Exception {
    Exception {
        class: Some("periskop_client::Overflow".into()),
        message: Some(format!(
            "more than {limit} different errors: counted here instead of as `{key}`; \
             a custom aggregation key groups what belongs together"
        )),
        stacktrace: Vec::new(),
    }
}

/// The errors of a life by key.
type Errors = std::collections::BTreeMap<AggregationKey, Arc<entry::Entry>>;

#[cfg(test)]
mod tests;
