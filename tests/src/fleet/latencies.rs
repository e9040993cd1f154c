//! How long answers took.

use std::time::Duration;

use serde::Serialize;

/// Times of answers, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    micros: Vec<u32>,
    /// Answers that were no good, or did not come.
    pub failures: u64,
}

/// What is said of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Told {
    /// Good answers.
    pub answers: usize,
    /// Answers that were no good, or did not come.
    pub failures: u64,
    /// Good answers a second.
    pub per_second: f64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: f64,
    /// Of a hundred of them 99 took no longer, in milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
}

impl Latencies {
    /// One more good answer.
    pub fn add(&mut self, time: Duration) {
        self.micros.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    /// Those of another connection as well.
    pub fn join(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.failures += other.failures;
    }

    /// What is to be said of them, if they came within this time.
    pub fn told(mut self, within: Duration) -> Told {
        self.micros.sort_unstable();
        let at = |percent: usize| {
            let place = self.micros.len().saturating_sub(1) * percent / 100;
            self.micros.get(place).map_or(0.0, |micros| f64::from(*micros) / 1e3)
        };
        let answers = self.micros.len();
        Told {
            answers,
            failures: self.failures,
            per_second: answers as f64 / within.as_secs_f64().max(f64::MIN_POSITIVE),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { failures, per_second, p50_ms, p99_ms, max_ms, .. } = self;
        write!(f, "{per_second:.0}/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, ")?;
        write!(f, "max {max_ms:.2} ms, {failures} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_connections_together() {
        let mut latencies = Latencies::default();
        let mut others = Latencies { failures: 2, ..Latencies::default() };
        for n in 1..=50 {
            latencies.add(Duration::from_millis(n));
            others.add(Duration::from_millis(n + 50));
        }
        latencies.join(others);
        let told = latencies.told(Duration::from_secs(10));
        assert_eq!((told.answers, told.failures), (100, 2));
        assert_eq!((told.p50_ms, told.p99_ms, told.max_ms), (50.0, 99.0, 100.0));
        assert_eq!(told.per_second.round(), 10.0);
        assert_eq!(Latencies::default().told(Duration::ZERO).p99_ms, 0.0);
    }
}
