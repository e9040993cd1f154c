//! One error of one process: how often, since when, and its newest occurrences.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periskop_core::{Occurrence, Severity, Timestamp};

use crate::backtrace::Turns;

/// The highest count that the exporter format has: `2^53 - 1`.
const MOST: u64 = (1 << 53) - 1;

/// An error. Its lock is its own: reports of different errors do not meet, nor does a scrape stand
/// in the way of more than one error at a time.
pub(super) struct Entry {
    created_at: Timestamp,
    pub(super) turns: Turns,
    kept: Mutex<Kept>,
}

struct Kept {
    total: u64,
    severity: Severity,
    /// Oldest first, each with its size.
    newest: VecDeque<(Arc<Occurrence>, usize)>,
}

/// What an entry was at one moment, the texts shared.
pub(super) struct Counted {
    pub(super) total: u64,
    pub(super) severity: Severity,
    pub(super) created_at: Timestamp,
    pub(super) newest: Vec<Arc<Occurrence>>,
}

/// How much the occurrences of all errors of a process take, in bytes.
pub(super) struct Memory {
    used: AtomicUsize,
    limit: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// Gives back and takes; how much is taken after that.
    fn exchange(&self, freed: usize, taken: usize) -> usize {
        let difference = taken.wrapping_sub(freed);
        self.used.fetch_add(difference, Ordering::Relaxed).wrapping_add(difference)
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What has given way to a new occurrence: mostly one, and no list is made for that.
#[derive(Default)]
pub(super) struct Dropped {
    first: Option<Arc<Occurrence>>,
    more: Vec<Arc<Occurrence>>,
}

impl Dropped {
    fn push(&mut self, occurrence: Arc<Occurrence>) {
        match self.first {
            None => self.first = Some(occurrence),
            Some(_) => self.more.push(occurrence),
        }
    }
}

impl IntoIterator for Dropped {
    type Item = Arc<Occurrence>;
    type IntoIter = std::iter::Chain<
        std::option::IntoIter<Arc<Occurrence>>,
        std::vec::IntoIter<Arc<Occurrence>>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more)
    }
}

impl Entry {
    pub(super) fn new(created_at: Timestamp) -> Self {
        let kept = Kept { total: 0, severity: Severity::Error, newest: VecDeque::new() };
        Self { created_at, turns: Turns::default(), kept: Mutex::new(kept) }
    }

    /// Counts an occurrence and keeps it as one of the newest `keep`, as far as memory allows:
    /// where it is short, older ones of this error go first, and then it is only counted.
    pub(super) fn push(&self, occurrence: Occurrence, keep: usize, memory: &Memory) -> Dropped {
        let size = size_of_occurrence(&occurrence);
        let severity = occurrence.severity;
        let occurrence = Arc::new(occurrence);
        let mut dropped = Dropped::default();
        let mut freed = 0;
        let mut kept = self.lock();
        kept.total = (kept.total + 1).min(MOST);
        kept.severity = severity;
        kept.newest.push_back((occurrence, size));
        while kept.newest.len() > keep
            && let Some((oldest, size)) = kept.newest.pop_front()
        {
            dropped.push(oldest);
            freed += size;
        }
        // In a storm they are mostly of one size, and threads need not meet here.
        let mut used = if size == freed { 0 } else { memory.exchange(freed, size) };
        while used > memory.limit
            && let Some((oldest, size)) = kept.newest.pop_front()
        {
            dropped.push(oldest);
            used = memory.exchange(size, 0);
        }
        drop(kept);
        dropped
    }

    /// What it is now; `None` until its first occurrence is in place.
    pub(super) fn counted(&self, keep: usize) -> Option<Counted> {
        // Room is made before, not under, the lock.
        let mut newest = Vec::with_capacity(keep.min(1000));
        let kept = self.lock();
        newest.extend(kept.newest.iter().map(|(occurrence, _)| occurrence.clone()));
        let Kept { total, severity, .. } = *kept;
        drop(kept);
        (total > 0).then_some(Counted { total, severity, created_at: self.created_at, newest })
    }

    #[cfg(test)]
    pub(super) fn while_locked(&self, run: impl FnOnce()) {
        let kept = self.lock();
        run();
        drop(kept);
    }

    /// Nothing that runs under the lock can panic; were it poisoned all the same, what it holds
    /// would still be whole.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an occurrence takes on the heap, without what the allocator adds.
fn size_of_occurrence(occurrence: &Occurrence) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
    let exceptions: usize = occurrence
        .exceptions
        .iter()
        .map(|exception| {
            let frames: usize = exception.stacktrace.iter().map(String::capacity).sum();
            let list = exception.stacktrace.capacity() * size_of::<String>();
            text(&exception.class) + text(&exception.message) + frames + list
        })
        .sum();
    let chain = occurrence.exceptions.capacity() * size_of::<periskop_core::Exception>();
    let http = occurrence.http.as_ref().map_or(0, |http| {
        let headers: usize = http.headers.iter().map(|(n, v)| n.capacity() + v.capacity()).sum();
        let list = http.headers.capacity() * size_of::<(String, String)>();
        text(&http.method) + text(&http.url) + text(&http.body) + headers + list
    });
    size_of::<Occurrence>() + occurrence.name.capacity() + exceptions + chain + http
}
