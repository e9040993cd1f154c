//! How long something took, as a histogram.

use std::time::Duration;

/// Upper bounds in seconds: from an answer on the same machine to one that just made it.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Durations, counted by how long they are.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    counts: [u64; SECONDS.len() + 1],
    seconds: f64,
}

impl Durations {
    /// One more.
    pub fn record(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = SECONDS.iter().position(|bound| seconds <= *bound).unwrap_or(SECONDS.len());
        self.counts[bucket] += 1;
        self.seconds += seconds;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The upper bounds of the buckets in seconds; how many fell into each, and into none at the
    /// end; and the sum of all in seconds.
    pub fn histogram(&self) -> (&'static [f64], &[u64], f64) {
        (&SECONDS, &self.counts, self.seconds)
    }
}
