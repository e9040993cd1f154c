//! Panics become occurrences.

use std::panic::{self, PanicHookInfo};

use periskop_core::{Exception, Severity};

use crate::capture::{Capture, ENTRIES};
use crate::printed::shortened;
use crate::{Collector, backtrace};

/// The class of a panic.
pub(crate) const CLASS: &str = "panic";

/// Has `collector` count every panic of this process, with its message, place, thread and, where
/// the collector [takes them](crate::Builder::backtraces), stack; then what was the hook before
/// runs, which by default prints the message.
///
/// One place in the code is one error. A panic that is caught counts as well: that somebody caught
/// it does not make it intended. Call it once; each call more counts each panic once more.
///
/// A process that panics with `panic = "abort"`, or in its main thread, ends before anybody scrapes
/// it: push what was counted.
///
/// ```
/// let collector = periskop_client::Collector::new();
/// periskop_client::install_panic_hook(&collector);
///
/// std::thread::spawn(|| panic!("order 17 is lost")).join().unwrap_err();
/// assert_eq!(collector.snapshot().errors[0].total_count, 1);
/// ```
pub fn install_panic_hook(collector: &Collector) {
    let collector = collector.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A panic in a hook would abort the process. Nothing here runs code of the host's, whose
        // texts could panic: the payload is a text that was made before.
        collector.record(capture(&collector, info));
        #[cfg(feature = "tower")]
        crate::scene::panicked(collector.id());
        before(info);
    }));
}

fn capture(collector: &Collector, info: &PanicHookInfo<'_>) -> Capture {
    let message = info.payload_as_str().unwrap_or("a panic whose payload is no text");
    let place = info.location().map_or_else(
        || "<unknown>".to_owned(),
        |at| format!("{}:{}:{}", at.file(), at.line(), at.column()),
    );
    let mut frames = vec![place.clone()];
    if collector.takes_backtraces() {
        // Not within the budget of errors: a panic is no error that is handled in a loop.
        frames.extend(backtrace::taken(ENTRIES - 2));
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    frames.push(shortened(format!("in the thread `{name}`"), 200));
    of(message).stacktrace(frames).grouped_by(place)
}

/// A panic of which nothing but the message is known.
pub(crate) fn of(message: &str) -> Capture {
    let mut capture = Capture::message(message).class(CLASS).severity(Severity::Error);
    let Exception { stacktrace, .. } = capture.outermost();
    stacktrace.clear();
    capture
}

#[cfg(test)]
mod tests;
