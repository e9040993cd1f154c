//! The exporter format: lenient in, exact out.
//!
//! What an instance answers to a scrape, what a client pushes, and what a server or gateway
//! exports of a merged state is one JSON document. [`parse`] reads what the published clients
//! really send: a bad part costs itself, with a [`Warning`](crate::Warning), and only what is no
//! such document at all is a [`PayloadError`]: the target is down. [`parse_changed`] reads only
//! what its [`Memo`] has not seen. [`Writer`] writes what every reader of the format understands,
//! and [`Exported`] what is known of many sources.
//!
//! Bytes are hostile here: nothing recurses, and what is kept is bounded by [`Limits`] and masked
//! by a [`Redactor`] before it is kept.
//!
//! ```
//! use periskop_core::Timestamp;
//! use periskop_core::wire::exporter::{Options, parse};
//!
//! let body = br#"{"aggregated_errors": [
//!     {"aggregation_key": "a", "total_count": 2, "latest_errors": null},
//!     {"aggregation_key": "b", "total_count": "many"}
//! ]}"#;
//! let now = Timestamp::parse("2026-03-01T12:00:00Z").unwrap();
//! let report = parse(body, now, &Options::default())?;
//! assert_eq!(report.errors[0].total_count, 2);
//! assert_eq!((report.skipped, report.warnings.len()), (1, 1));
//!
//! let error = parse(b"<html>", now, &Options::default()).unwrap_err();
//! assert_eq!(error.to_string(), "not JSON: expected a value at byte 0");
//! # Ok::<(), periskop_core::wire::exporter::PayloadError>(())
//! ```

mod export;
mod limits;
mod memo;
mod occurrence;
mod parse;
mod reader;
mod recall;
mod text;
mod writer;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod properties;

pub use export::{Exported, Heard};
pub use limits::Limits;
pub use memo::{Memo, parse_changed};
pub use parse::parse;
pub use writer::Writer;

use crate::redact::Redactor;
use crate::time::Timestamp;

/// How a payload is read. A [`Memo`] is only valid for the options that it was filled with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What a payload may cost.
    pub limits: Limits,
    /// What is masked.
    pub redactor: Redactor,
}

/// Why an answer is none: the target is down and keeps what it last told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The body holds nothing.
    #[error("the body is empty")]
    Empty,
    /// The body is not JSON, or was cut off.
    #[error("not JSON: {reason} at byte {offset}")]
    Syntax {
        /// The byte at which it stopped being JSON.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The document is some other value.
    #[error("not the exporter format: the document is no object")]
    NotAnObject {
        /// Where the value begins.
        offset: usize,
    },
    /// The document has no list of errors. Many a health page answers `{}`.
    #[error("not the exporter format: no `aggregated_errors`")]
    NoErrors,
    /// `aggregated_errors` is neither a list nor null.
    #[error("not the exporter format: `aggregated_errors` at byte {offset} is no list")]
    ErrorsNotAList {
        /// Where the value begins.
        offset: usize,
    },
    /// The body is longer than [`Limits::payload_length`].
    #[error("the body has {length} bytes, more than the limit of {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// There are more errors than [`Limits::errors`].
    #[error("more than {limit} errors, at byte {offset}")]
    TooManyErrors {
        /// Where the first one too many begins.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// The report would take more than [`Limits::memory`].
    #[error("takes more than {limit} bytes of memory, at byte {offset}")]
    TooMuchMemory {
        /// How far it was read.
        offset: usize,
        /// The limit.
        limit: usize,
    },
}

impl PayloadError {
    /// The byte of the body at which it went wrong.
    pub fn offset(&self) -> usize {
        match self {
            Self::Empty | Self::NoErrors => 0,
            Self::TooLong { limit, .. } => *limit,
            Self::Syntax { offset, .. }
            | Self::NotAnObject { offset }
            | Self::ErrorsNotAList { offset }
            | Self::TooManyErrors { offset, .. }
            | Self::TooMuchMemory { offset, .. } => *offset,
        }
    }
}

impl From<reader::SyntaxError> for PayloadError {
    fn from(error: reader::SyntaxError) -> Self {
        Self::Syntax { offset: error.offset, reason: error.reason }
    }
}

/// The line and column of a byte of a body, both from 1, the column in bytes: what an editor needs
/// to find the place of a [`PayloadError`] or a [`Warning`](crate::Warning).
pub fn line_and_column(body: &[u8], offset: usize) -> (usize, usize) {
    let before = &body[..offset.min(body.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    (line, before.len() - line_start + 1)
}

/// The inside of a JSON string that may be cut off, as text.
pub(crate) fn decode_json_text(inside: &[u8]) -> std::borrow::Cow<'_, str> {
    text::Text::of_raw(inside).decode()
}

/// Counts are whole numbers below this, which every client's language has exactly.
const COUNT_LIMIT: u64 = 1 << 53;

/// What Go writes for a time that was never set.
const GO_ZERO_TIME: Timestamp = Timestamp::from_micros(-62_135_596_800_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_go_zero_time_is_the_first_instant_of_year_1() {
        assert_eq!(GO_ZERO_TIME.to_string(), "0001-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_place_in_a_body_has_a_line_and_a_column() {
        let body = b"{\n  \"a\": x\n}";
        let error = parse(body, Timestamp::EPOCH, &Options::default()).unwrap_err();
        assert_eq!(error.offset(), 9);
        assert_eq!(line_and_column(body, error.offset()), (2, 8));
        assert_eq!(line_and_column(body, 0), (1, 1));
        assert_eq!(line_and_column(body, 1000), (3, 2));
    }
}
