//! From a payload to a [`Report`]: the document and its aggregated errors.

use std::borrow::Cow;
use std::mem::size_of;
use std::ops::Range;
use std::time::Duration;

use super::occurrence::Latest;
use super::reader::{Kind, Reader, Value};
use super::recall::{KnownOccurrence, Recall};
use super::text::Text;
use super::{COUNT_LIMIT, GO_ZERO_TIME, Options, PayloadError};
use crate::ids::{AggregationKey, bounded};
use crate::occurrence::Severity;
use crate::report::{Report, ReportedError, ReportedIncarnation, ReportedLife, Warning};
use crate::time::Timestamp;

/// Reads a payload that was answered or pushed at `at`.
///
/// # Errors
///
/// A [`PayloadError`] if the payload as a whole cannot be used. Anything less costs itself and is
/// told in [`Report::warnings`].
pub fn parse(body: &[u8], at: Timestamp, options: &Options) -> Result<Report, PayloadError> {
    let document = Document::read(body, at, options, None)?;
    let mut report = Report {
        target_uuid: document.target_uuid,
        warnings: document.warnings.finish(),
        ..Report::default()
    };
    for slice in document.slices {
        match slice {
            Slice::Read(read) => report.errors.push(read.error),
            Slice::Skipped => report.skipped += 1,
            // Of nothing nothing is known.
            Slice::Known(_) => {}
        }
    }
    Ok(report)
}

/// A payload, read from the first byte to the last.
pub(super) struct Document {
    pub(super) target_uuid: Option<String>,
    /// One for each aggregated error.
    pub(super) slices: Vec<Slice>,
    pub(super) warnings: Warnings,
    /// Whether it has to be read without knowing anything.
    pub(super) is_ambiguous: bool,
}

/// One error of a payload.
pub(super) enum Slice {
    /// An error of the source that was recalled: the one with that index.
    Known(usize),
    Read(ReadError),
    /// Nothing can be counted for it.
    Skipped,
}

/// An error that was read.
pub(super) struct ReadError {
    pub(super) error: ReportedError,
    pub(super) place: Range<usize>,
    /// Whether it says the same when it is read again: it gave no warning, and no time of it is too
    /// far ahead to be used now.
    pub(super) is_settled: bool,
    /// Its occurrences, as far as they can be known again.
    pub(super) occurrences: Vec<KnownOccurrence>,
}

impl Document {
    /// Reads all of it, except for what `recall` knows.
    pub(super) fn read(
        body: &[u8],
        at: Timestamp,
        options: &Options,
        recall: Option<Recall<'_>>,
    ) -> Result<Self, PayloadError> {
        let limits = &options.limits;
        if body.len() > limits.payload_length {
            let (length, limit) = (body.len(), limits.payload_length);
            return Err(PayloadError::TooLong { length, limit });
        }
        let mut target_uuid = None;
        let mut slices = Vec::new();
        let mut has_errors = false;
        let mut warnings = Warnings::default();
        let mut parser = Parser::new(body, at, options, recall);
        let mut reader = Reader::new(body);
        if body[reader.offset()..].trim_ascii().is_empty() {
            return Err(PayloadError::Empty);
        }
        if reader.kind()? != Kind::Object {
            let offset = reader.offset();
            reader.skip()?;
            reader.end()?;
            return Err(PayloadError::NotAnObject { offset });
        }
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            match &*name.decode_about(32) {
                "target_uuid" => {
                    let offset = reader.offset();
                    target_uuid = match reader.value()? {
                        Value::String(text) => identity(text),
                        Value::Null => None,
                        _ => {
                            warnings.add(offset, "`target_uuid` is no string");
                            None
                        }
                    };
                }
                "aggregated_errors" => {
                    has_errors = true;
                    slices.clear();
                    parser.begin();
                    match reader.kind()? {
                        Kind::Array => parser.errors(&mut reader, &mut slices)?,
                        Kind::Null => reader.ignore()?,
                        Kind::Object | Kind::Other => {
                            let offset = reader.skip()?.start;
                            return Err(PayloadError::ErrorsNotAList { offset });
                        }
                    }
                }
                _ => reader.ignore()?,
            }
        }
        reader.end()?;
        if !has_errors {
            return Err(PayloadError::NoErrors);
        }
        let is_ambiguous = parser.recall.is_some_and(|recall| recall.is_ambiguous);
        Ok(Self { target_uuid, slices, warnings: warnings.then(parser.warnings), is_ambiguous })
    }
}

/// Reads aggregated errors one by one, and remembers across them what they cost.
pub(super) struct Parser<'a> {
    pub(super) body: &'a [u8],
    pub(super) options: &'a Options,
    pub(super) warnings: Warnings,
    /// What is known, if somebody wants to know what is new.
    pub(super) recall: Option<Recall<'a>>,
    /// Whether a time was met, since somebody last reset this, that is too far ahead to be used
    /// now, but may be used when it is read again later.
    met_the_future: bool,
    at: Timestamp,
    memory: usize,
}

impl<'a> Parser<'a> {
    fn new(
        body: &'a [u8],
        at: Timestamp,
        options: &'a Options,
        recall: Option<Recall<'a>>,
    ) -> Self {
        let warnings = Warnings::default();
        Self { body, options, warnings, recall, met_the_future: false, at, memory: 0 }
    }

    /// Begins with another list of errors.
    fn begin(&mut self) {
        self.warnings = Warnings::default();
        self.memory = 0;
    }

    fn errors(
        &mut self,
        reader: &mut Reader<'_>,
        slices: &mut Vec<Slice>,
    ) -> Result<(), PayloadError> {
        let limit = self.options.limits.errors;
        reader.enter();
        let mut first = true;
        while reader.next_element(&mut first)? {
            if slices.len() == limit {
                return Err(PayloadError::TooManyErrors { offset: reader.offset(), limit });
            }
            let start = reader.value_start();
            let known = self.recall.as_mut().and_then(|recall| recall.error_at(self.body, start));
            slices.push(match known {
                Some((error, length)) => {
                    reader.step_over(length);
                    Slice::Known(error)
                }
                None => {
                    let (warnings, mut occurrences) = (self.warnings.count(), Vec::new());
                    self.met_the_future = false;
                    match self.error(reader, &mut occurrences)? {
                        None => Slice::Skipped,
                        Some(error) => {
                            let place = start..reader.offset();
                            let is_settled =
                                !self.met_the_future && self.warnings.count() == warnings;
                            Slice::Read(ReadError { error, place, is_settled, occurrences })
                        }
                    }
                }
            });
        }
        Ok(())
    }

    /// Reads the next aggregated error; `None`, with a warning, if nothing can be counted.
    fn error(
        &mut self,
        reader: &mut Reader<'_>,
        remembered: &mut Vec<KnownOccurrence>,
    ) -> Result<Option<ReportedError>, PayloadError> {
        let start = reader.value_start();
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            self.warnings.add(start, "skipped an error that is no object");
            return Ok(None);
        }
        let mut key = None;
        let mut total_count = None;
        let mut severity = None;
        let mut created_at = None;
        let mut incarnations = None;
        let mut latest = Latest::default();
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            match &*name.decode_about(32) {
                "aggregation_key" => {
                    key = match reader.value()? {
                        Value::String(text) => Some(self.key(text, &mut latest)),
                        _ => None,
                    };
                }
                "total_count" => total_count = whole(&reader.value()?, COUNT_LIMIT),
                "severity" => severity = self.severity(reader)?,
                "created_at" => created_at = self.identity_time(reader, "created_at")?,
                "latest_errors" => {
                    latest.clear();
                    self.occurrences(reader, &mut latest)?;
                }
                "incarnations" => incarnations = self.incarnations(reader)?,
                _ => reader.ignore()?,
            }
        }
        let Some(key) = key else {
            self.warnings.add(start, "skipped an error without a text as `aggregation_key`");
            return Ok(None);
        };
        // It is not read where there are incarnations, so it may as well be absent.
        let total_count = total_count.or(incarnations.as_ref().map(|_| 0));
        let Some(total_count) = total_count else {
            let what = "skipped an error without a whole number below 2^53 as `total_count`";
            self.warnings.add(start, what);
            return Ok(None);
        };
        let severity = severity.unwrap_or_default();
        let Latest { mut occurrences, unrated, unchanged, remembered: known, .. } = latest;
        for index in unrated {
            occurrences[index].severity = severity;
        }
        *remembered = known;
        self.charge(size_of::<ReportedError>() + key.as_str().len(), reader.offset())?;
        Ok(Some(ReportedError {
            key,
            total_count,
            severity,
            created_at,
            incarnations,
            occurrences,
            unchanged,
        }))
    }

    /// An error's key, and what is known of its occurrences.
    fn key(&mut self, text: Text<'_>, latest: &mut Latest<'a>) -> AggregationKey {
        let text = text.decode();
        let key = bounded(&text);
        let Some(recall) = &mut self.recall else { return key.into() };
        // Had they been looked for under another key, others might be known.
        recall.is_ambiguous |= !latest.unchanged.is_empty();
        latest.known = &[];
        let Some(source) = recall.source else { return key.into() };
        let Some(error) = source.find(&key) else { return key.into() };
        latest.known = source.occurrences(error);
        source.key(error).clone()
    }

    /// Accounts for what is about to be kept.
    pub(super) fn charge(&mut self, bytes: usize, offset: usize) -> Result<(), PayloadError> {
        self.memory = self.memory.saturating_add(bytes);
        let limit = self.options.limits.memory;
        if self.memory > limit {
            return Err(PayloadError::TooMuchMemory { offset, limit });
        }
        Ok(())
    }

    /// A severity; `None` where it is absent. What is none of the known ones is an error.
    pub(super) fn severity(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Severity>, PayloadError> {
        Ok(match reader.value()? {
            Value::Null => None,
            Value::String(text) => {
                Some(Severity::parse(&text.decode_about(16)).unwrap_or_default())
            }
            _ => Some(Severity::Error),
        })
    }

    /// A time as it came, if it parses.
    pub(super) fn time(
        &mut self,
        reader: &mut Reader<'_>,
        field: &str,
    ) -> Result<Option<Timestamp>, PayloadError> {
        let offset = reader.offset();
        let value = reader.value()?;
        let time = match &value {
            Value::Null => return Ok(None),
            Value::String(text) => Timestamp::parse(&text.decode()),
            _ => None,
        };
        match time {
            None => self.warnings.add(offset, format!("`{field}` is no time of RFC 3339")),
            Some(time) => self.met_the_future |= time > self.latest_usable(),
        }
        Ok(time)
    }

    /// A time that is absent where nobody has set it.
    fn identity_time(
        &mut self,
        reader: &mut Reader<'_>,
        field: &str,
    ) -> Result<Option<Timestamp>, PayloadError> {
        Ok(self.time(reader, field)?.filter(|time| *time != GO_ZERO_TIME))
    }

    /// The latest time that is believed: clocks differ, but not by more than this.
    pub(super) fn latest_usable(&self) -> Timestamp {
        self.at.plus(Duration::from_secs(300))
    }

    /// `Some` where the field is present in any form, even an unusable one.
    fn incarnations(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Vec<ReportedIncarnation>>, PayloadError> {
        let kind = reader.kind()?;
        if kind != Kind::Array {
            let offset = reader.skip()?.start;
            if kind == Kind::Null {
                return Ok(None);
            }
            self.warnings.add(offset, "`incarnations` is no list");
            return Ok(Some(Vec::new()));
        }
        let limit = self.options.limits.incarnations;
        let mut incarnations = Vec::new();
        reader.enter();
        let mut first = true;
        while reader.next_element(&mut first)? {
            let offset = reader.offset();
            if incarnations.len() == limit {
                self.warnings.add(offset, format!("more than {limit} incarnations"));
                reader.skip()?;
                continue;
            }
            match self.incarnation(reader)? {
                Some(incarnation) => {
                    let cost = size_of::<ReportedIncarnation>() + incarnation.source.len();
                    self.charge(cost, offset)?;
                    incarnations.push(incarnation);
                }
                None => self.warnings.add(offset, "left out an incarnation that is incomplete"),
            }
        }
        Ok(Some(incarnations))
    }

    fn incarnation(
        &mut self,
        reader: &mut Reader<'_>,
    ) -> Result<Option<ReportedIncarnation>, PayloadError> {
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(None);
        }
        let mut source = None;
        let mut since = None;
        let mut reset = None;
        let mut count = None;
        let mut newest = None;
        let mut risen = None;
        let mut gone = None;
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            match &*name.decode_about(32) {
                "source" => source = identity_value(&reader.value()?),
                "since" => since = self.identity_time(reader, "since")?,
                "reset" => reset = self.reset(reader)?,
                "count" => count = whole(&reader.value()?, COUNT_LIMIT),
                "newest" => newest = self.time(reader, "newest")?,
                "risen" => risen = self.identity_time(reader, "risen")?,
                "gone" => gone = self.identity_time(reader, "gone")?,
                _ => reader.ignore()?,
            }
        }
        let life = since.map(ReportedLife::Since).or(reset);
        let (Some(source), Some(life), Some(count)) = (source, life, count) else {
            return Ok(None);
        };
        let usable = Timestamp::YEAR_2000..=self.latest_usable();
        let newest = newest.filter(|time| usable.contains(time));
        Ok(Some(ReportedIncarnation { source, life, count, newest, risen, gone }))
    }

    fn reset(&mut self, reader: &mut Reader<'_>) -> Result<Option<ReportedLife>, PayloadError> {
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(None);
        }
        let mut observer = None;
        let mut n = None;
        reader.enter();
        let mut first = true;
        while let Some(name) = reader.next_member(&mut first)? {
            match &*name.decode_about(32) {
                "observer" => observer = identity_value(&reader.value()?),
                "n" => {
                    let limit = u64::from(u32::MAX) + 1;
                    n = whole(&reader.value()?, limit).and_then(|n| u32::try_from(n).ok());
                }
                _ => reader.ignore()?,
            }
        }
        Ok(observer.zip(n).map(|(observer, n)| ReportedLife::Reset { observer, n }))
    }
}

/// A string that names something; an empty one names nothing.
pub(super) fn identity(text: Text<'_>) -> Option<String> {
    let text = text.decode();
    (!text.is_empty()).then(|| bounded(&text).into_owned())
}

fn identity_value(value: &Value<'_>) -> Option<String> {
    match value {
        Value::String(text) => identity(*text),
        _ => None,
    }
}

/// A number in `0..limit` that is written as an integer.
fn whole(value: &Value<'_>, limit: u64) -> Option<u64> {
    let Value::Number(text) = value else { return None };
    text.raw()
        .iter()
        .try_fold(0_u64, |number, digit| match digit {
            b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
        .filter(|number| *number < limit)
}

/// The first warnings, and how many more there were: a hostile payload has millions.
#[derive(Default)]
pub(super) struct Warnings {
    first: Vec<Warning>,
    more: usize,
    last_offset: usize,
}

impl Warnings {
    const KEPT: usize = 20;

    pub(super) fn add(&mut self, offset: usize, message: impl Into<Cow<'static, str>>) {
        if self.first.len() < Self::KEPT {
            self.first.push(Warning { offset, message: message.into().into_owned() });
        } else {
            self.more += 1;
            self.last_offset = offset;
        }
    }

    /// How many there are so far.
    fn count(&self) -> usize {
        self.first.len() + self.more
    }

    /// These and then those.
    fn then(mut self, later: Self) -> Self {
        let all = self.count() + later.count();
        let room = Self::KEPT.saturating_sub(self.first.len());
        if later.more > 0 {
            self.last_offset = later.last_offset;
        } else if let Some(last) = later.first.get(room..).and_then(<[_]>::last) {
            self.last_offset = last.offset;
        }
        self.first.extend(later.first.into_iter().take(room));
        self.more = all - self.first.len();
        self
    }

    pub(super) fn finish(mut self) -> Vec<Warning> {
        if self.more > 0 {
            let message = format!("and {} more, this one the last", self.more);
            self.first.push(Warning { offset: self.last_offset, message });
        }
        self.first
    }
}
