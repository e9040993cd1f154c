//! How long what is known is held.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Counts how long something was held, by how long that is. Without a lock of its own.
#[derive(Debug, Default)]
pub(crate) struct Held {
    counts: [AtomicU64; Self::SECONDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Held {
    /// The upper bounds of what is counted together, in seconds.
    pub(crate) const SECONDS: [f64; 6] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];

    /// Does something that holds it, and counts how long it takes.
    pub(crate) fn during<R>(&self, hold: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = hold();
        let took = begun.elapsed();
        let seconds = took.as_secs_f64();
        let place = Self::SECONDS.iter().position(|bound| seconds <= *bound);
        // For figures; nothing else depends on their order.
        let count = &self.counts[place.unwrap_or(Self::SECONDS.len())];
        count.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }

    /// How many were at most each of the [`SECONDS`](Self::SECONDS), then beyond all; their sum in
    /// seconds.
    pub(crate) fn histogram(&self) -> ([u64; Self::SECONDS.len() + 1], f64) {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        (counts, std::time::Duration::from_nanos(nanoseconds).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_counted_apart_from_what_did_not() {
        let held = Held::default();
        assert_eq!(held.during(|| 7), 7);
        held.during(|| std::thread::park_timeout(std::time::Duration::from_millis(12)));
        let (counts, seconds) = held.histogram();
        assert_eq!(counts.iter().sum::<u64>(), 2);
        // A thread may be woken early for no reason, but hardly by a clock's tick.
        assert!(seconds > 0.0 && counts[6] == 0, "{counts:?}");
    }
}
