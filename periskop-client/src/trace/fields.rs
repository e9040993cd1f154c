//! What events and spans say, as far as it is kept.

use std::error::Error;
use std::fmt::{self, Debug};

use periskop_core::Exception;
use tracing::field::{Field, Visit};

use crate::capture::Capture;
use crate::printed::printed;

/// Most fields kept of an event or span.
const FIELDS: usize = 16;
/// Longest value of a field, in bytes.
const VALUE: usize = 256;
/// Longest message of an event, in bytes.
const MESSAGE: usize = 16 * 1024;

/// What an event says.
#[derive(Default)]
pub(super) struct EventFields {
    pub(super) message: Option<String>,
    /// The first error, with its causes.
    pub(super) error: Option<Vec<Exception>>,
    pub(super) others: Vec<(&'static str, String)>,
    /// Events that come from the `log` crate tell their place in fields.
    pub(super) log_target: Option<String>,
    pub(super) log_file: Option<String>,
    pub(super) log_line: Option<u64>,
}

impl Visit for EventFields {
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        if self.error.is_none() {
            self.error = Some(Capture::of_dyn(value).exceptions);
        } else {
            self.record_debug(field, &Displayed(value));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.log_target = Some(printed(&value, VALUE)),
            "log.file" => self.log_file = Some(printed(&value, VALUE)),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "log.line" => self.log_line = Some(value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = Some(printed(&Debugged(value), MESSAGE)),
            "log.module_path" => {}
            name => keep(&mut self.others, name, value),
        }
    }
}

/// What a span says.
#[derive(Default)]
pub(super) struct SpanFields(pub(super) Vec<(&'static str, String)>);

impl Visit for SpanFields {
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &Displayed(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        keep(&mut self.0, field.name(), value);
    }
}

/// Keeps the newest value of a field, if there is room for it.
fn keep(fields: &mut Vec<(&'static str, String)>, name: &'static str, value: &dyn Debug) {
    let value = printed(&Debugged(value), VALUE);
    if let Some((_, before)) = fields.iter_mut().find(|(field, _)| *field == name) {
        *before = value;
    } else if fields.len() < FIELDS {
        fields.push((name, value));
    }
}

struct Debugged<'v>(&'v dyn Debug);

impl fmt::Display for Debugged<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct Displayed<'v>(&'v dyn Error);

impl Debug for Displayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}
