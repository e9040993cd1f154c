//! Says how far a run is: a line that is written over on a terminal, else a line now and then.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::{Duration, Instant};

/// Lines where nobody watches them.
const SELDOM: Duration = Duration::from_secs(5);
/// How often a terminal's line is written.
const OFTEN: Duration = Duration::from_millis(200);
const WIDTH: usize = 24;

/// How far a run is.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    /// How long it takes; `None` if it has no end.
    total: Option<Duration>,
    is_terminal: bool,
    said: Option<Instant>,
}

impl Progress {
    pub(super) fn begin(total: Option<Duration>) -> Self {
        Self { begun: Instant::now(), total, is_terminal: stderr().is_terminal(), said: None }
    }

    /// Says it, unless it has just been said.
    pub(super) fn say(&mut self, text: &str) {
        let pause = if self.is_terminal { OFTEN } else { SELDOM };
        if self.said.is_some_and(|said| said.elapsed() < pause) {
            return;
        }
        self.said = Some(Instant::now());
        let bar = bar(self.begun.elapsed(), self.total);
        let line = match self.is_terminal {
            true => format!("\r\x1b[K{bar} {text}"),
            false => format!("{bar} {text}\n"),
        };
        // If nobody listens, nobody misses it.
        let _ = stderr().write_all(line.as_bytes());
    }

    /// Leaves the line as it is.
    pub(super) fn end(self) {
        if self.is_terminal && self.said.is_some() {
            let _ = stderr().write_all(b"\n");
        }
    }
}

fn bar(passed: Duration, total: Option<Duration>) -> String {
    let passed = passed.as_secs_f64();
    let Some(total) = total.map(|total| total.as_secs_f64()).filter(|total| *total > 0.0) else {
        return format!("{passed:.0} s");
    };
    let part = (passed / total).min(1.0);
    let full = (0..WIDTH).filter(|n| *n as f64 + 0.5 < part * WIDTH as f64).count();
    format!("[{}{}] {passed:.0}/{total:.0} s", "#".repeat(full), "-".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_as_the_time_that_has_passed() {
        let seconds = Duration::from_secs;
        assert_eq!(bar(seconds(30), Some(seconds(60))), "[############------------] 30/60 s");
        assert_eq!(bar(seconds(70), Some(seconds(60))), "[########################] 70/60 s");
        assert_eq!(bar(seconds(7), None), "7 s");
    }
}
