//! One occurrence, being described.

use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt::{Display, Write};
use std::panic::Location;

use periskop_core::{Exception, HttpContext, Severity, ids};

use crate::printed::{printed, shortened};
use crate::{backtrace, class, key, recycle};

/// An occurrence of an error with whatever is known about it, to be given to
/// [`Collector::record`](crate::Collector::record).
///
/// Made outside any lock. Long texts are cut here (a message or body at 16 KiB, a URL or header at
/// 4 KiB, a frame at 1 KiB), chains at 64 causes and lists at 128 frames or headers; all messages
/// of a chain together at 32 KiB, and so the headers and the frames.
#[derive(Clone, Debug)]
#[must_use = "a capture is counted only when a collector records it"]
pub struct Capture {
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) severity: Severity,
    pub(crate) http: Option<HttpContext>,
    /// Whether the stack trace is one, and not just the place of the report.
    pub(crate) has_trace: bool,
    key: Option<String>,
    /// The frame that the default key is made of, if not those of the stack trace.
    place: Option<String>,
}

/// Longest message and request body, in bytes.
const TEXT: usize = 16 * 1024;
/// Longest URL, header value and class, in bytes.
const LINE: usize = 4 * 1024;
/// Longest stack frame, in bytes.
const FRAME: usize = 1024;
/// Most bytes of all messages of a chain, of all headers, and of all frames.
const TOGETHER: usize = 32 * 1024;
/// Most exceptions in a chain. `source()` may lead in a circle.
const CHAIN: usize = 64;
/// Most frames of a stack trace, and most headers of a request.
pub(crate) const ENTRIES: usize = 128;

impl Capture {
    /// An occurrence of `error`, with its `source()`s as causes.
    ///
    /// Its class is the path of the type `E`; of a `dyn Error` it is the name with which the error
    /// prints for debugging, if that is derived ([`of_dyn`](Self::of_dyn) knows more). The stack
    /// trace is the place of this call until [`stacktrace`](Self::stacktrace) or
    /// [`backtrace`](Self::backtrace) gives a better one, or the collector
    /// [takes one](crate::Builder::backtraces).
    #[track_caller]
    pub fn of<E: Error + ?Sized>(error: &E) -> Self {
        Self::chain(class::of(error), &error, error.source(), Location::caller())
    }

    /// An occurrence of an error whose type has been forgotten, but which borrows nothing: as
    /// [`of`](Self::of), and the standard library's own errors are known by their type.
    ///
    /// It takes `&*error` of a `Box<dyn Error>` and `error.as_ref()` of an `anyhow::Error`.
    #[track_caller]
    pub fn of_dyn(error: &(dyn Error + 'static)) -> Self {
        Self::chain(class::of_dyn(error), &error, error.source(), Location::caller())
    }

    fn chain(
        class: Option<String>,
        outermost: &dyn Display,
        mut source: Option<&(dyn Error + 'static)>,
        site: &Location<'_>,
    ) -> Self {
        let mut exceptions = recycle::chain();
        let message = printed(outermost, TEXT);
        let mut room = TOGETHER.saturating_sub(message.len());
        exceptions.push(Exception {
            class: class.map(|class| shortened(class, LINE)),
            message: Some(message),
            stacktrace: here(site),
        });
        while let Some(cause) = source
            && exceptions.len() < CHAIN
        {
            let message = printed(&cause, TEXT.min(room));
            room = room.saturating_sub(message.len());
            let class = class::of_dyn(cause).map(|class| shortened(class, LINE));
            exceptions.push(Exception { class, message: Some(message), stacktrace: Vec::new() });
            source = cause.source();
        }
        Self::made_of(exceptions)
    }

    /// An occurrence that no error value tells of: something happened that deserves a look.
    #[track_caller]
    pub fn message(message: impl Display) -> Self {
        let mut exceptions = recycle::chain();
        exceptions.push(Exception {
            class: None,
            message: Some(printed(&message, TEXT)),
            stacktrace: here(Location::caller()),
        });
        Self::made_of(exceptions)
    }

    fn made_of(exceptions: Vec<Exception>) -> Self {
        let severity = Severity::Error;
        Self { exceptions, severity, http: None, has_trace: false, key: None, place: None }
    }

    /// How bad it is; [`Severity::Error`] unless told.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The class, instead of the type's name.
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.outermost().class = Some(shortened(class.into(), LINE));
        self
    }

    /// The request during which it happened.
    ///
    /// The collector masks credentials in it as the server would, unless it is
    /// [told otherwise](crate::Builder::redaction).
    pub fn http(mut self, mut http: HttpContext) -> Self {
        http.method = http.method.map(|method| shortened(method, LINE));
        http.url = http.url.map(|url| shortened(url, LINE));
        http.body = http.body.map(|body| shortened(body, TEXT));
        http.headers.truncate(ENTRIES);
        let mut room = TOGETHER;
        http.headers.retain_mut(|(name, value)| {
            *name = shortened(std::mem::take(name), LINE);
            *value = shortened(std::mem::take(value), LINE);
            let fits = name.len() + value.len() <= room;
            room = room.saturating_sub(name.len() + value.len());
            fits
        });
        http.headers.sort();
        self.http = Some(http);
        self
    }

    /// The key to group it by, instead of `class@hash` of class, causes and stack trace.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        self.key = Some(ids::bounded(key.as_ref()).into_owned());
        self
    }

    /// The stack trace, one line a frame, innermost first.
    pub fn stacktrace(mut self, frames: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let frames = frames.into_iter().map(Into::into);
        self.outermost().stacktrace = bounded(frames);
        self.has_trace = true;
        self
    }

    /// The frames of a captured backtrace as stack trace, such as one that the error has brought
    /// along from where it arose; one that is disabled changes nothing.
    pub fn backtrace(self, backtrace: &Backtrace) -> Self {
        let frames = backtrace::of(backtrace, ENTRIES);
        if frames.is_empty() { self } else { self.stacktrace(frames) }
    }

    /// Has the default key made of this frame, whatever the stack trace is.
    pub(crate) fn grouped_by(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The key that was given, else the default. At most 1 KiB.
    pub(crate) fn aggregation_key(&self) -> String {
        if let Some(key) = &self.key {
            return recycle::copy(key);
        }
        let key = match &self.place {
            Some(place) => key::of_frames(&self.exceptions, std::slice::from_ref(place)),
            None => key::default_key(&self.exceptions),
        };
        match ids::bounded(&key) {
            std::borrow::Cow::Borrowed(_) => key,
            std::borrow::Cow::Owned(bounded) => bounded,
        }
    }

    pub(crate) fn outermost(&mut self) -> &mut Exception {
        // Each constructor begins with one exception and nothing takes it away.
        &mut self.exceptions[0]
    }
}

/// As many frames as are kept, each as long as it may be.
pub(crate) fn bounded(frames: impl Iterator<Item = String>) -> Vec<String> {
    let mut room = TOGETHER;
    frames
        .take(ENTRIES)
        .map(|frame| shortened(frame, FRAME))
        .take_while(|frame| {
            let fits = frame.len() <= room;
            room = room.saturating_sub(frame.len());
            fits
        })
        .collect()
}

/// The one frame that is known without a backtrace: where the error was reported.
fn here(site: &Location<'_>) -> Vec<String> {
    let mut frame = recycle::text();
    // Writing to a `String` cannot fail.
    let _ = write!(frame, "{}:{}:{}", site.file(), site.line(), site.column());
    let mut stack = recycle::stack();
    stack.push(shortened(frame, FRAME));
    stack
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Circle;

    impl Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("round and round")
        }
    }

    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Circle)
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot load the basket")]
    struct Basket(#[source] std::num::ParseIntError);

    #[test]
    fn the_chain_of_sources_becomes_the_chain_of_causes() {
        let capture = Capture::of(&Basket("x".parse::<u8>().unwrap_err()));
        let [outer, inner] = &capture.exceptions[..] else { panic!("{capture:?}") };
        assert_eq!(outer.class.as_deref(), Some("periskop_client::capture::tests::Basket"));
        assert_eq!(outer.message.as_deref(), Some("cannot load the basket"));
        assert!(outer.stacktrace[0].contains("capture.rs:"), "{outer:?}");
        assert_eq!(inner.class.as_deref(), Some("core::num::error::ParseIntError"));
        assert_eq!(inner.message.as_deref(), Some("invalid digit found in string"));
    }

    #[test]
    fn an_error_whose_type_is_forgotten_is_captured_with_its_causes_too() {
        let boxed: Box<dyn Error + Send + Sync> = Box::new(Basket("x".parse::<u8>().unwrap_err()));
        for capture in [Capture::of(&*boxed), Capture::of_dyn(&*boxed)] {
            let [outer, inner] = &capture.exceptions[..] else { panic!("{capture:?}") };
            assert_eq!(outer.class.as_deref(), Some("Basket"));
            assert_eq!(inner.class.as_deref(), Some("core::num::error::ParseIntError"));
        }
    }

    #[test]
    fn sources_that_lead_in_a_circle_end_somewhere() {
        assert_eq!(Capture::of(&Circle).exceptions.len(), CHAIN);
    }

    #[test]
    fn a_custom_key_wins_and_one_call_site_is_one_error() {
        let captures: Vec<_> =
            (0..2).map(|n| Capture::message(format!("order {n} is lost"))).collect();
        assert_eq!(captures[0].aggregation_key(), captures[1].aggregation_key());
        let elsewhere = Capture::message("order 1 is lost");
        assert_ne!(elsewhere.aggregation_key(), captures[1].aggregation_key());
        assert_eq!(elsewhere.key("lost").aggregation_key().as_str(), "lost");
    }

    #[test]
    fn everything_that_a_host_hands_over_is_bounded() {
        let long = "x".repeat(1 << 20);
        let capture = Capture::message(&long)
            .class(long.clone())
            .key(&long)
            .stacktrace(std::iter::repeat_n(long.clone(), 1000))
            .http(HttpContext {
                method: Some(long.clone()),
                url: Some(long.clone()),
                headers: vec![(long.clone(), long.clone()); 1000],
                body: Some(long),
            });
        let http = capture.http.as_ref().unwrap();
        let headers: usize =
            http.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let frames: usize = capture.exceptions[0].stacktrace.iter().map(String::len).sum();
        assert!(headers <= TOGETHER && headers > TOGETHER / 2);
        assert!(frames <= TOGETHER && frames > TOGETHER / 2);
        assert!(http.body.as_ref().unwrap().len() < TEXT + 8);
        assert!(capture.aggregation_key().len() <= 1024);
    }

    #[test]
    fn the_messages_of_a_long_chain_are_bounded_together() {
        #[derive(Debug)]
        struct Talkative(u32);
        impl Display for Talkative {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}: {}", self.0, "x".repeat(10_000))
            }
        }
        impl Error for Talkative {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&Talkative(1))
            }
        }
        let capture = Capture::of(&Talkative(0));
        let all: usize = capture.exceptions.iter().map(|e| e.message.as_ref().unwrap().len()).sum();
        assert!(all <= TOGETHER + CHAIN * 4, "{all}");
    }

    #[test]
    fn a_real_backtrace_replaces_the_call_site() {
        let capture = Capture::message("x").backtrace(&Backtrace::force_capture());
        let frames = &capture.exceptions[0].stacktrace;
        assert!(frames.iter().any(|frame| frame.contains("a_real_backtrace")), "{frames:?}");
        let unchanged = Capture::message("x").backtrace(&Backtrace::disabled());
        assert!(unchanged.exceptions[0].stacktrace[0].contains("capture.rs:"));
    }
}
