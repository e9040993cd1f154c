//! One occurrence, being described.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt::{self, Display, Write};
use std::panic::Location;

use periskop_core::{AggregationKey, Exception, HttpContext, Severity};

use crate::naming;

/// An occurrence of an error with whatever is known about it, to be given to
/// [`Collector::record`](crate::Collector::record).
///
/// Made outside any lock. Long texts are cut here (a message or body at 16 KiB, a URL or header at
/// 4 KiB, a frame at 1 KiB), chains at 64 causes and lists at 128 frames or headers.
#[derive(Clone, Debug)]
#[must_use = "a capture is counted only when a collector records it"]
pub struct Capture {
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) severity: Severity,
    pub(crate) http: Option<HttpContext>,
    key: Option<AggregationKey>,
}

/// Longest message and request body, in bytes.
const TEXT: usize = 16 * 1024;
/// Longest URL, header value and class, in bytes.
const LINE: usize = 4 * 1024;
/// Longest stack frame, in bytes.
const FRAME: usize = 1024;
/// Most exceptions in a chain. `source()` may lead in a circle.
const CHAIN: usize = 64;
/// Most frames of a stack trace, and most headers of a request.
const ENTRIES: usize = 128;

impl Capture {
    /// An occurrence of `error`, with its `source()`s as causes.
    ///
    /// Its class is the path of the type `E`; that of a `dyn Error` is not known, nor is that of a
    /// cause unless it is one of the standard library's. The stack trace is the place of this call
    /// until [`stacktrace`](Self::stacktrace) or [`backtrace`](Self::backtrace) gives a better one.
    #[track_caller]
    pub fn of<E: Error + ?Sized>(error: &E) -> Self {
        let mut exceptions = vec![Exception {
            class: naming::class_of::<E>().map(|class| shortened(class, LINE)),
            message: Some(printed(error)),
            stacktrace: here(Location::caller()),
        }];
        let mut source = error.source();
        while let Some(cause) = source
            && exceptions.len() < CHAIN
        {
            exceptions.push(Exception {
                class: naming::class_of_cause(cause),
                message: Some(printed(cause)),
                stacktrace: Vec::new(),
            });
            source = cause.source();
        }
        Self { exceptions, severity: Severity::Error, http: None, key: None }
    }

    /// An occurrence that no error value tells of: something happened that deserves a look.
    #[track_caller]
    pub fn message(message: impl Display) -> Self {
        let exception = Exception {
            class: None,
            message: Some(printed(&message)),
            stacktrace: here(Location::caller()),
        };
        Self { exceptions: vec![exception], severity: Severity::Error, http: None, key: None }
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
    /// The server masks credentials in well-known headers before it keeps them; what is secret
    /// otherwise is better left out here.
    pub fn http(mut self, mut http: HttpContext) -> Self {
        http.method = http.method.map(|method| shortened(method, LINE));
        http.url = http.url.map(|url| shortened(url, LINE));
        http.body = http.body.map(|body| shortened(body, TEXT));
        http.headers.truncate(ENTRIES);
        for (name, value) in &mut http.headers {
            *name = shortened(std::mem::take(name), LINE);
            *value = shortened(std::mem::take(value), LINE);
        }
        http.headers.sort();
        self.http = Some(http);
        self
    }

    /// The key to group it by, instead of `class@hash` of class, causes and stack trace.
    pub fn key(mut self, key: impl AsRef<str>) -> Self {
        self.key = Some(AggregationKey::from(key));
        self
    }

    /// The stack trace, one line a frame, innermost first.
    pub fn stacktrace(mut self, frames: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.outermost().stacktrace =
            frames.into_iter().take(ENTRIES).map(|frame| shortened(frame.into(), FRAME)).collect();
        self
    }

    /// The frames of a captured backtrace as stack trace; one that is disabled changes nothing.
    pub fn backtrace(self, backtrace: &Backtrace) -> Self {
        if backtrace.status() != BacktraceStatus::Captured {
            return self;
        }
        let mut text = Bounded { text: String::new(), limit: FRAME * ENTRIES };
        // What has been written before the limit is what there is room for.
        let _ = write!(text, "{backtrace}");
        let frames = naming::frames(&text.text, ENTRIES);
        if frames.is_empty() { self } else { self.stacktrace(frames) }
    }

    /// The key that was given, else the default.
    pub(crate) fn aggregation_key(&self) -> AggregationKey {
        self.key.clone().unwrap_or_else(|| naming::default_key(&self.exceptions))
    }

    fn outermost(&mut self) -> &mut Exception {
        // Both constructors begin with one exception and nothing takes it away.
        &mut self.exceptions[0]
    }
}

fn here(site: &Location<'_>) -> Vec<String> {
    vec![shortened(naming::frame(site), FRAME)]
}

/// What `value` prints, as far as it is kept. `to_string` would panic where the value's own
/// `Display` fails, and would first make all of an endless text.
fn printed(value: &(impl Display + ?Sized)) -> String {
    let mut out = Bounded { text: String::new(), limit: TEXT };
    // A failing `Display` leaves what it had printed until then.
    let _ = write!(out, "{value}");
    out.text
}

/// A text of at most `limit` bytes and a mark that something is missing.
struct Bounded {
    text: String,
    limit: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..boundary(more, room)]);
        self.text.push('…');
        Err(fmt::Error)
    }
}

fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(boundary(&text, limit));
        text.push('…');
    }
    text
}

/// The last character boundary of `text` that is not beyond `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
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
    fn sources_that_lead_in_a_circle_end_somewhere() {
        assert_eq!(Capture::of(&Circle).exceptions.len(), CHAIN);
    }

    #[test]
    fn a_display_that_fails_or_never_ends_costs_only_its_own_text() {
        struct Broken;
        impl Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("so far")?;
                Err(fmt::Error)
            }
        }
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("ü")?;
                }
            }
        }
        let message = |capture: Capture| capture.exceptions[0].message.clone().unwrap();
        assert_eq!(message(Capture::message(Broken)), "so far");
        let endless = message(Capture::message(Endless));
        assert!(endless.len() < TEXT + 8 && endless.ends_with("ü…"));
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
        assert!(headers < 2 * ENTRIES * (LINE + 8));
        assert!(frames < ENTRIES * (FRAME + 8));
        assert!(http.body.as_ref().unwrap().len() < TEXT + 8);
        assert!(capture.aggregation_key().as_str().len() <= 1024);
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
