//! What is counted in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use periskop_core::{AggregationKey, Timestamp};

use super::builder::Settings;
use super::entry::{Counted, Entry, Memory};
use super::{Errors, OVERFLOW_KEY};
use crate::backtrace::Budget;
use crate::uuids::{self, Names};

/// A collector's life in one process: who it is and what it has counted.
///
/// The errors are in a map that is replaced as a whole when a new one comes, which happens as often
/// as there are different errors; finding a known one takes no lock.
pub(super) struct Life {
    pub(super) pid: u32,
    pub(super) target_uuid: String,
    pub(super) names: Names,
    pub(super) budget: Budget,
    pub(super) memory: Memory,
    begun: Instant,
    keep: usize,
    errors: ArcSwap<Errors>,
    changes: AtomicU64,
}

impl Life {
    pub(super) fn begin(pid: u32, settings: &Settings) -> Self {
        Self {
            pid,
            target_uuid: uuids::uuid((settings.dice)()),
            names: Names::new((settings.dice)()),
            budget: Budget::default(),
            memory: Memory::new(settings.memory_limit),
            begun: Instant::now(),
            keep: settings.occurrences_per_error,
            errors: ArcSwap::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// The error called `key`, new ones from `now` on. If there are `limit` different ones already,
    /// the one that counts what has no room, and `true`.
    pub(super) fn entry(&self, key: &str, now: Timestamp, limit: usize) -> (Arc<Entry>, bool) {
        let mut new = None;
        loop {
            let errors = self.errors.load();
            if let Some(entry) = errors.get(key) {
                return (entry.clone(), false);
            }
            // The overflow has a place beside the limit.
            let taken = errors.len() - usize::from(errors.contains_key(OVERFLOW_KEY));
            let has_room = taken < limit || key == OVERFLOW_KEY;
            let name = if has_room { key } else { OVERFLOW_KEY };
            if let Some(entry) = errors.get(name) {
                return (entry.clone(), !has_room);
            }
            let new = new.get_or_insert_with(|| Arc::new(Entry::new(now)));
            let mut more = Errors::clone(&errors);
            more.insert(AggregationKey::from(name), new.clone());
            let before = self.errors.compare_and_swap(&*errors, Arc::new(more));
            if Arc::ptr_eq(&before, &errors) {
                return (new.clone(), !has_room);
            }
        }
    }

    /// Every error with what it is when its turn comes, by key.
    pub(super) fn counted(&self) -> impl Iterator<Item = (AggregationKey, Counted)> + use<> {
        let errors = self.errors.load_full();
        let keep = self.keep;
        let entries: Vec<_> = errors.iter().map(|(k, entry)| (k.clone(), entry.clone())).collect();
        entries.into_iter().filter_map(move |(key, entry)| Some((key, entry.counted(keep)?)))
    }

    /// How long it has lasted.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Something was counted.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often something was.
    #[cfg(feature = "push")]
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}
