//! What an error's page shows.

use periskop_core::{Severity, Timestamp};

use super::super::asked::Asked;
use super::super::chart::Bars;
use super::super::frames::Frames;
use super::super::text::Text;
use super::{ErrorRow, RISING};

/// One error whole.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// What its row in the list shows.
    pub row: ErrorRow,
    /// Occurrences per minute, now.
    pub rate: f64,
    /// Now, as a multiple of the day before.
    pub trend: Option<f64>,
    /// Its occurrences over the range that was asked for.
    pub bars: Bars,
    /// What was asked for.
    pub asked: Asked,
    /// Occurrences that no chart shows: they were counted before anybody looked, or long ago.
    pub before: u64,
    /// Counts, most first: per instance, or per value of the label that was asked for. A bounded
    /// number.
    pub instances: Vec<InstanceRow>,
    /// How many are not shown because there are too many.
    pub further: usize,
    /// Labels by which counts can be grouped; a bounded number.
    pub labels: Vec<Text>,
    /// Instances that have reported it, and are scraped.
    pub reporting: usize,
    /// Instances that are scraped.
    pub known: usize,
    /// Instances that were gone and are not included in the counts any more.
    pub evicted: u64,
    /// What people did, newest first, and that it came back.
    pub history: Vec<HistoryRow>,
    /// What was done a moment ago.
    pub done: Option<Done>,
    /// The occurrence to show; none where no text is kept.
    pub occurrence: Option<OccurrenceCard>,
}

impl ErrorPage {
    /// Whether it explodes.
    pub fn is_rising(&self) -> bool {
        self.trend.is_some_and(|ratio| ratio >= RISING)
    }
}

/// What one instance has reported of an error.
#[derive(Clone, Debug)]
pub struct InstanceRow {
    /// Its address, or what it calls itself; or the value of the label that a group has.
    pub name: Text,
    /// Its labels after relabelling.
    pub labels: Vec<(Text, Text)>,
    /// Occurrences it has reported.
    pub count: u64,
    /// Its share of the largest count, in percent.
    pub share: u8,
    /// What is to be said of it.
    pub note: InstanceNote,
}

/// What is to be said of an instance beside its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceNote {
    /// It reports the error.
    Reports,
    /// It is scraped and has never reported it.
    None,
    /// It is scraped and does not answer.
    Down,
    /// It has reported it and is gone; its count stays.
    Gone,
    /// It is a group of instances that are scraped, some of which report the error.
    Group {
        /// So many do.
        reporting: usize,
        /// Of so many.
        known: usize,
    },
}

/// Something that happened to an error.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// What: `resolved`, `seen again`.
    pub what: &'static str,
    /// How long that holds, where it hides the error.
    pub until: Option<Hidden>,
    /// By whom; empty where nobody did it.
    pub by: Text,
    /// Why; may be empty.
    pub why: Text,
}

/// How long an error was to be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// Until it is unmuted.
    Ever,
    /// Until then.
    Until(Timestamp),
    /// Until it has occurred so often again.
    Further(u64),
}

/// What somebody did a moment ago, and how to take it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What: `resolved`.
    pub what: &'static str,
    /// How long that holds, where it hides the error.
    pub until: Option<Hidden>,
    /// What takes it back, where something does.
    pub undo: Option<Undo>,
}

/// The act that takes another one back, as a form says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// Its word.
    pub act: &'static str,
    /// For how long it mutes.
    pub until: Option<String>,
    /// For how many occurrences it mutes.
    pub count: Option<u64>,
}

/// One occurrence.
#[derive(Clone, Debug)]
pub struct OccurrenceCard {
    /// Its uuid.
    pub name: Text,
    /// Its place among those that are kept, newest first, from 1.
    pub place: usize,
    /// How many are kept.
    pub of: usize,
    /// The name of the next newer one.
    pub newer: Option<Text>,
    /// The name of the next older one.
    pub older: Option<Text>,
    /// When it happened, if its clock can be believed.
    pub time: Option<Timestamp>,
    /// How bad it is.
    pub severity: Severity,
    /// The exception, then its causes.
    pub exceptions: Vec<ExceptionCard>,
    /// Causes that are not shown because there are too many.
    pub further: usize,
    /// The request during which it happened.
    pub http: Option<HttpCard>,
    /// Exceptions and frames as their language would print them, to be copied.
    pub trace: Text,
    /// All of it as the API tells it, indented.
    pub raw: Text,
}

/// One exception of a chain of causes.
#[derive(Clone, Debug)]
pub struct ExceptionCard {
    /// Its class; may be empty.
    pub class: Text,
    /// Its message; may be empty.
    pub message: Text,
    /// Its stack trace.
    pub frames: Vec<Frames>,
    /// Frames that are not shown because there are too many.
    pub further: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpCard {
    /// The method; may be empty.
    pub method: Text,
    /// The URL.
    pub url: Text,
    /// Header names and values.
    pub headers: Vec<(Text, Text)>,
    /// The body; may be empty.
    pub body: Text,
    /// The command that sends it again; none for a body too long to paste.
    pub curl: Option<Text>,
}
