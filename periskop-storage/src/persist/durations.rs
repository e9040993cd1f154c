//! How long something took, as a histogram.

use std::time::Duration;

use super::exposition::Family;

/// Upper bounds in seconds: from an answer on the same machine to one that just made it.
const SECONDS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Durations, counted by how long they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations {
    counts: [u64; SECONDS.len() + 1],
    seconds: f64,
}

impl Durations {
    /// One more.
    pub(crate) fn record(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = SECONDS.iter().position(|bound| seconds <= *bound).unwrap_or(SECONDS.len());
        self.counts[bucket] += 1;
        self.seconds += seconds;
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Writes them as samples of `family`.
    pub(super) fn write(&self, family: &mut Family<'_>, labels: &[(&str, &str)]) {
        family.histogram(labels, &SECONDS, &self.counts, self.seconds);
    }
}
