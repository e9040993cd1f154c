//! How far it is.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How often it is said.
const EVERY: Duration = Duration::from_secs(1);

/// Says how far it is, now and then, to whoever looks: where nobody does, it goes on.
pub(super) struct Progress {
    out: Box<dyn Write>,
    said: Instant,
}

impl Progress {
    /// On standard error.
    pub(super) fn to_stderr() -> Self {
        Self::to(io::stderr())
    }

    pub(super) fn to(out: impl Write + 'static) -> Self {
        Self { out: Box::new(out), said: Instant::now() }
    }

    /// What everybody should know.
    pub(super) fn say(&mut self, line: &str) {
        // There may be nobody to tell.
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
        self.said = Instant::now();
    }

    /// What is worth saying if nothing was said for a while.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.said.elapsed() >= EVERY {
            self.say(&line());
        }
    }
}
