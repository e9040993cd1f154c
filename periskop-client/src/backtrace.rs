//! Stack traces of this very moment: whether to take one, and what to make of it.
//!
//! Walking a stack costs microseconds, naming its functions milliseconds the first time and tens of
//! microseconds a frame later on. An error that storms must not spend its host's time on showing
//! the same stack again and again: see [`Budget`].

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Whether stack traces are taken where an error is reported without one.
///
/// One that an error brings along (`Capture::backtrace`) is always taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backtraces {
    /// As the standard library decides: if `RUST_LIB_BACKTRACE`, else `RUST_BACKTRACE`, is set and
    /// not `0`. Read once, when the collector is made.
    #[default]
    AsEnvironment,
    /// Whatever the environment says.
    Always,
    /// Never: the place of the report is the only frame.
    Never,
}

impl Backtraces {
    pub(crate) fn are_wanted(self) -> bool {
        let is_on = |name| std::env::var_os(name).map(|value| value != "0");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::AsEnvironment => {
                is_on("RUST_LIB_BACKTRACE").or_else(|| is_on("RUST_BACKTRACE")).unwrap_or(false)
            }
        }
    }
}

/// How many stack traces an error gets before it has to wait for the next.
const AT_ONCE: u64 = 3;
/// How long it then waits, at least.
const PAUSE: Duration = Duration::from_secs(10);

/// When one error may have its next stack trace: the first few at once, then one now and then.
#[derive(Default)]
pub(crate) struct Turns {
    taken: AtomicU64,
    /// Microseconds after the epoch of `now`.
    next: AtomicU64,
}

impl Turns {
    /// Whether it is this error's turn `now`, on a clock that begins anywhere. If so, the turn is
    /// taken.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let now = micros(now);
        let next = self.next.load(Ordering::Relaxed);
        if self.taken.load(Ordering::Relaxed) >= AT_ONCE && now < next {
            return false;
        }
        let later = now.saturating_add(micros(PAUSE));
        // Of two that come at once one waits.
        let is_mine = self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed);
        is_mine.is_ok() && self.taken.fetch_add(1, Ordering::Relaxed) < u64::MAX
    }
}

/// How much of one core all stack traces together may take, as a share of the time: one percent.
const SHARE: u64 = 100;
/// What may be spent before that share has come together: enough for the first traces of a program,
/// which have to read its debug information.
const ADVANCE: Duration = Duration::from_millis(500);

/// What stack traces may cost a process.
#[derive(Default)]
pub(crate) struct Budget {
    /// Microseconds.
    spent: AtomicU64,
}

impl Budget {
    /// Whether there is time left, so long after the collector began.
    pub(crate) fn has_room(&self, since_start: Duration) -> bool {
        let earned = micros(since_start) / SHARE + micros(ADVANCE);
        self.spent.load(Ordering::Relaxed) < earned
    }

    /// A stack trace took so long.
    pub(crate) fn spend(&self, took: Duration) {
        self.spent.fetch_add(micros(took), Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The frames of the caller's stack, without ours on top and those of the runtime at the bottom.
pub(crate) fn taken(at_most: usize) -> Vec<String> {
    let mut frames = of(&Backtrace::force_capture(), at_most + 32);
    let ours = frames.iter().take_while(|frame| is_ours(frame)).count();
    frames.drain(..ours);
    // Below this are only functions that start threads.
    let bottom = frames.iter().position(|frame| frame.contains("__rust_begin_short_backtrace"));
    frames.truncate(bottom.unwrap_or(frames.len()).min(at_most));
    frames
}

/// Functions through which a report or panic comes here. A build with line tables alone names them
/// without their path, but with their file.
fn is_ours(frame: &str) -> bool {
    const OURS: [&str; 5] = [
        "periskop_client::backtrace::taken",
        "periskop_client::collector::Collector",
        "periskop_client::hook::capture",
        "periskop_client::hook::install_panic_hook",
        "periskop_client::trace::ReportLayer",
    ];
    const STANDARD: [&str; 6] = [
        "std::backtrace",
        "std::panicking",
        "std::sys::backtrace",
        "core::panicking",
        "alloc::boxed::Box",
        "__rustc::",
    ];
    const NAMES: [(&str, &str); 6] = [
        ("taken (", "/backtrace.rs:"),
        ("record (", "/collector.rs:"),
        ("report<", "/collector.rs:"),
        ("capture (", "/hook.rs:"),
        ("{closure", "/hook.rs:"),
        ("on_event<", "/trace.rs:"),
    ];
    let function = frame.trim_start_matches(['<', '&']);
    OURS.iter().chain(&STANDARD).any(|ours| function.starts_with(ours))
        || NAMES.iter().any(|(name, file)| function.starts_with(name) && frame.contains(file))
        || function.starts_with("rust_begin_unwind")
        || function.starts_with("tracing")
        || frame.contains(" (/rustc/")
}

/// The frames of a captured backtrace; none of one that is disabled.
pub(crate) fn of(backtrace: &Backtrace, at_most: usize) -> Vec<String> {
    if backtrace.status() != BacktraceStatus::Captured {
        return Vec::new();
    }
    let mut text = Bounded { text: String::new(), limit: 1024 * at_most };
    // What has been written before the limit is what there is room for.
    let _ = write!(text, "{backtrace}");
    frames(&text.text, at_most)
}

struct Bounded {
    text: String,
    limit: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        if self.text.len() + more.len() > self.limit {
            return Err(std::fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

/// The frames of a printed backtrace, `function (file:line:column)`, innermost first.
///
/// `Backtrace` offers no other way to them than its text. There, a frame begins with a line of its
/// number, a colon and the innermost function; functions that this one was inlined into follow on
/// lines of their own, and after each function may come a line `at` its place.
pub(crate) fn frames(printed: &str, at_most: usize) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in printed.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(function) = frames.last_mut()
                && !function.ends_with(')')
            {
                function.push_str(" (");
                function.push_str(place);
                function.push(')');
            }
            continue;
        }
        let function = match line.split_once(": ") {
            Some((number, function)) if is_number(number) => function,
            // Not a function that others were inlined into, but a text that is no backtrace.
            _ if frames.is_empty() || line.is_empty() => continue,
            _ => line,
        };
        if frames.len() == at_most {
            break;
        }
        frames.push(function.trim().to_owned());
    }
    frames
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_backtrace_becomes_one_line_a_function() {
        let printed = concat!(
            "   0: std::backtrace::Backtrace::create\n",
            "   1: shop::price\n             at ./src/price.rs:4:5\n",
            "      shop::pay\n             at ./src/pay.rs:12:5\n",
            "   2: main\n             at ./src/main.rs:3:1\n"
        );
        assert_eq!(
            frames(printed, 10),
            [
                "std::backtrace::Backtrace::create",
                "shop::price (./src/price.rs:4:5)",
                "shop::pay (./src/pay.rs:12:5)",
                "main (./src/main.rs:3:1)"
            ],
            "a function that was inlined is one too"
        );
        assert_eq!(frames(printed, 1).len(), 1);
        assert!(frames("disabled backtrace", 10).is_empty());
    }

    #[test]
    fn a_stack_trace_begins_at_the_host_however_functions_are_named() {
        for ours in [
            "periskop_client::collector::Collector::record",
            "<periskop_client::collector::Collector>::record (src/collector.rs:94:30)",
            "record (./src/collector.rs:94:30)",
            "taken (/x/periskop-client-0.1.0/src/backtrace.rs:102:26)",
            "core::panicking::panic_fmt",
            "call<F> (/rustc/5980/library/alloc/src/boxed.rs:7:1)",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for host in ["shop::record", "record (./src/shop.rs:1:1)", "record", "pay (src/a.rs:1:1)"] {
            assert!(!is_ours(host), "{host}");
        }
        let frames = taken(64);
        assert!(frames[0].contains("a_stack_trace_begins_at_the_host"), "{frames:?}");
        assert!(!frames.iter().any(|frame| frame.contains("lang_start")), "{frames:?}");
    }

    #[test]
    fn an_error_that_storms_gets_few_stack_traces() {
        let turns = Turns::default();
        let at = Duration::from_millis;
        let taken = |from: u64, to: u64| (from..to).filter(|ms| turns.take(at(*ms))).count();
        assert_eq!(taken(0, 1000), 3, "the first ones at once");
        assert_eq!(taken(1000, 60_000), 5, "then one in ten seconds");
        assert!(turns.take(at(3_600_000)), "and one after a silence");
    }

    #[test]
    fn all_stack_traces_together_take_a_hundredth_of_the_time() {
        let budget = Budget::default();
        let each = Duration::from_millis(20);
        let mut traces = 0;
        for ms in 0..100_000 {
            if budget.has_room(Duration::from_millis(ms)) {
                budget.spend(each);
                traces += 1;
            }
        }
        // Half a second at once, one second in the hundred, and what the last one was too long.
        assert!((75..=76).contains(&traces), "{traces}");
    }
}
