//! Says how far a load has come, where it takes long enough that somebody may wonder.

use std::time::{Duration, Instant};

/// How often it is said.
const SAID_EVERY: Duration = Duration::from_secs(2);

/// How far a load has come.
pub(crate) struct Progress {
    begun: Instant,
    /// When it is said next.
    next: Instant,
}

impl Progress {
    /// Of a load that begins now.
    pub(crate) fn new() -> Self {
        let begun = Instant::now();
        Self { begun, next: begun + SAID_EVERY }
    }

    /// So many errors have been read, which are so many hundredths of all.
    pub(crate) fn is_at(&mut self, errors: usize, percent: usize) {
        let now = Instant::now();
        if now >= self.next && percent < 100 {
            let seconds = self.begun.elapsed().as_secs();
            tracing::info!(errors, percent, seconds, "loading what is stored");
            self.next = now + SAID_EVERY;
        }
    }
}
