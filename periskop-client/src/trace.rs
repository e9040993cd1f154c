//! Events of `tracing` become occurrences.
//!
//! ```
//! use periskop_client::Collector;
//! use periskop_client::trace::ReportLayer;
//! use tracing_registry::layer::SubscriberExt; // of `tracing-subscriber`
//!
//! let collector = Collector::new();
//! let subscriber = tracing_registry::registry().with(ReportLayer::new(&collector));
//!
//! tracing::subscriber::with_default(subscriber, || {
//!     let _span = tracing::info_span!("checkout", order = 17).entered();
//!     if let Err(error) = "twelve".parse::<u32>() {
//!         let error: &(dyn std::error::Error + 'static) = &error;
//!         tracing::error!(error, "the price cannot be read");
//!     }
//! });
//! assert_eq!(collector.snapshot().errors[0].total_count, 1);
//! ```

mod fields;

use std::fmt::Write;

use periskop_core::redact::{MASK, Redactor};
use periskop_core::{HttpContext, Severity};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_registry::layer::{Context, Layer};
use tracing_registry::registry::{LookupSpan, Scope};

use self::fields::{EventFields, SpanFields};
use crate::Collector;
use crate::capture::Capture;
use crate::printed::{is_printing, shortened};

/// A layer that has a collector count events.
///
/// - `error!` is an error and `warn!` a warning; [`level`](Self::level) sets where it ends.
/// - A field that is an error (`error = &err as &dyn Error`) gives class, message and causes, the
///   event's message standing before the error's. Without one the class is the event's target.
/// - One event in the code is one error, whatever its fields are: the key is made of class, causes,
///   target, file and line.
/// - The stack trace is the event's place, then its fields, then the spans around it, innermost
///   first, with theirs. Where they tell a request (`http.request.method`, `url.full` and their
///   relatives), it becomes the occurrence's HTTP context.
/// - Values of fields whose names promise a secret, such as `password`, are masked.
/// - Events that are raised while an error is being printed for a report are not heard, nor are
///   those of a pusher: neither can a report lead to a report.
///
/// Spans cost when they begin: those up to [`spans`](Self::spans) keep at most 16 fields of 256
/// bytes.
#[derive(Debug)]
pub struct ReportLayer {
    collector: Collector,
    level: Level,
    spans: Level,
    redactor: Redactor,
}

/// Longest list of spans that is shown.
const SPANS: usize = 32;

impl ReportLayer {
    /// Counts in this collector.
    pub fn new(collector: &Collector) -> Self {
        let redactor = Redactor::default();
        Self { collector: collector.clone(), level: Level::WARN, spans: Level::INFO, redactor }
    }

    /// The least severe events that are counted: `WARN` unless told. `INFO` and below count as
    /// [`Severity::Info`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The least severe spans that are shown as context: `INFO` unless told.
    pub fn spans(mut self, level: Level) -> Self {
        self.spans = level;
        self
    }

    fn report<S>(&self, event: &Event<'_>, context: &Context<'_, S>)
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let target = fields.log_target.take().unwrap_or_else(|| metadata.target().to_owned());
        let place = fields.place(metadata);

        let mut capture = match fields.error.take() {
            Some(exceptions) => {
                let mut capture = Capture::message("");
                capture.exceptions = exceptions;
                capture
            }
            None => Capture::message("").class(target.clone()),
        };
        let outermost = capture.outermost();
        let of_error = outermost.message.take().unwrap_or_default();
        let message = match (fields.message.take(), of_error.is_empty()) {
            (Some(said), true) => said,
            (Some(said), false) => format!("{said}: {of_error}"),
            (None, _) => of_error,
        };
        outermost.message = Some(shortened(message, 16 * 1024));

        let mut frames = vec![format!("{target} ({place})")];
        if !fields.others.is_empty() {
            frames.push(format!("with {}", self.listed(&fields.others)));
        }
        let mut http = None;
        for span in context.event_scope(event).into_iter().flat_map(Scope::into_iter).take(SPANS) {
            let mut frame = format!("in span {}", span.name());
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                if !fields.0.is_empty() {
                    // Writing to a `String` cannot fail.
                    let _ = write!(frame, "{{{}}}", self.listed(&fields.0));
                }
                http = http.or_else(|| fields.http());
            }
            frames.push(frame);
        }
        let severity = severity(metadata);
        let capture = capture.severity(severity).grouped_by(format!("{target} {place}"));
        let capture = match http {
            Some(http) => capture.http(http),
            None => capture,
        };
        self.collector.record(capture.stacktrace(frames));
    }

    fn listed(&self, fields: &[(&'static str, String)]) -> String {
        let mut list = String::new();
        for (name, value) in fields {
            let separator = if list.is_empty() { "" } else { " " };
            let pair = format!("{name}={value}");
            let is_secret = self.redactor.body(&pair).contains(MASK);
            let value = if is_secret { MASK } else { value };
            let _ = write!(list, "{separator}{name}={value}");
        }
        list
    }
}

impl<S> Layer<S> for ReportLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if *attributes.metadata().level() > self.spans {
            return;
        }
        if let Some(span) = context.span(id) {
            let mut fields = SpanFields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() <= self.level && !is_printing() && !is_ours(event.metadata()) {
            self.report(event, &context);
        }
    }
}

fn severity(metadata: &Metadata<'_>) -> Severity {
    match *metadata.level() {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warning,
        _ => Severity::Info,
    }
}

/// What the pusher's own means of transport say in its thread.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let of_pusher = cfg!(feature = "push")
        && std::thread::current().name().is_some_and(|name| name == crate::PUSHER);
    of_pusher || metadata.target().starts_with("periskop_client")
}

impl EventFields {
    /// File and line, or what is known instead.
    fn place(&self, metadata: &Metadata<'_>) -> String {
        let file = self.log_file.as_deref().or(metadata.file());
        let line = self.log_line.or(metadata.line().map(u64::from));
        match (file, line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => metadata.name().to_owned(),
        }
    }
}

impl SpanFields {
    /// The request that these fields tell of: as OpenTelemetry names them, or as is usual in Rust.
    fn http(&self) -> Option<HttpContext> {
        let find = |names: &[&str]| {
            let of_name = |name: &&str| self.0.iter().find(|(field, _)| field == name);
            names.iter().find_map(of_name).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let method = find(&["http.request.method", "http.method", "method"])?;
        let url = find(&["url.full", "http.url", "url", "uri", "http.target", "url.path", "path"])?;
        Some(HttpContext { method: Some(method), url: Some(url), headers: vec![], body: None })
    }
}

#[cfg(test)]
mod tests;
