//! A state as lines of JSON: to move it from one store to another, to look at it, to keep it.
//!
//! The first line says what it is and which version; then come services, sources and errors, one a
//! line; the last says how many there were, so that a file that was cut off is noticed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::document::{
    DocumentError, Documents, IncarnationDocument, hex, labels_document, parse_labels,
    parse_watermark, to_json, unhex, watermark_document,
};
use super::parts::{self, ErrorParts, Summary};
use super::stack::stack_document;
use super::text::Text;
use super::{Reading, StateBuilder, VERSION};
use crate::aggregate::{Act, Action, ActionId, Age, Bucket, Known, Tally, Width};
use crate::ids::{AggregateId, ReplicaId, ServiceName, SourceId};
use crate::occurrence::{ContentHash, Severity};
use crate::state::State;
use crate::target::LastState;
use crate::time::Timestamp;

/// What one line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// That this is a state.
    Header,
    /// A service.
    Service,
    /// A source.
    Source,
    /// An error.
    Error,
    /// That this was all.
    End,
}

/// A line cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It does not begin with the line that says what it is.
    #[error("this is no exported state: the first line does not say so")]
    NoHeader,
    /// A newer version of Periskop wrote it.
    #[error("this is of version {found}, this program reads up to {VERSION}")]
    Newer {
        /// The version of what is written.
        found: u32,
    },
    /// It is not of the form that it should be.
    #[error("no line of this form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A part of it cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It says something that cannot be.
    #[error("`{0}` is not known")]
    Unknown(String),
    /// It is not the end, and there is nothing more.
    #[error("the last line is missing: this was cut off")]
    CutOff,
    /// There were more or fewer lines than the last one says.
    #[error(
        "the last line says that there are {said} services, sources and errors, there are {read}"
    )]
    Miscounted {
        /// How many there should be.
        said: u64,
        /// How many there are.
        read: u64,
    },
    /// Something comes after the end.
    #[error("something comes after the last line")]
    AfterEnd,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Document<'a> {
    PeriskopState {
        version: u32,
    },
    #[serde(borrow)]
    Service(ServiceLine<'a>),
    #[serde(borrow)]
    Source(SourceLine<'a>),
    #[serde(borrow)]
    Error(Box<ErrorLine<'a>>),
    End {
        lines: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct ServiceLine<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    observers: Vec<String>,
    #[serde(borrow)]
    targets: Vec<TargetPart<'a>>,
}

#[derive(Serialize, Deserialize)]
struct TargetPart<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    since: i64,
    up: bool,
    #[serde(borrow)]
    reason: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct SourceLine<'a> {
    id: String,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    labels_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct ErrorLine<'a> {
    #[serde(borrow)]
    service: Text<'a>,
    #[serde(borrow)]
    aggregation_key: Text<'a>,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    severity: Option<(i64, String)>,
    forgotten_through: Option<i64>,
    counts: Vec<CountPart>,
    forgotten: Vec<ForgottenPart>,
    #[serde(borrow)]
    stacks: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    occurrences: Vec<OccurrencePart<'a>>,
    #[serde(borrow)]
    actions: Vec<ActionPart<'a>>,
    series: Vec<BucketPart>,
}

#[derive(Serialize, Deserialize)]
struct CountPart {
    #[serde(flatten)]
    incarnation: IncarnationDocument,
    count: u64,
    newest: Option<i64>,
    risen: Option<i64>,
    exported: bool,
    age_since: i64,
}

#[derive(Serialize, Deserialize)]
struct ForgottenPart {
    #[serde(flatten)]
    incarnation: IncarnationDocument,
    count: u64,
}

#[derive(Serialize, Deserialize)]
struct OccurrencePart<'a> {
    time: i64,
    content: String,
    #[serde(borrow)]
    occurrence: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct ActionPart<'a> {
    id: String,
    at: i64,
    act: String,
    until: Option<i64>,
    further: Option<u64>,
    #[serde(borrow)]
    by: Text<'a>,
    #[serde(borrow)]
    why: Text<'a>,
    #[serde(borrow)]
    watermark: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct BucketPart {
    observer: String,
    seconds: u32,
    number: u32,
    count: u32,
}

/// The lines of a state, each without its end, and what each of them holds.
pub fn lines(state: &State) -> impl Iterator<Item = (Line, String)> {
    let header = to_json(&Document::PeriskopState { version: VERSION });
    let services = parts::services(state).map(|s| (Line::Service, service_line(s)));
    let sources = parts::sources(state).map(|(id, s)| (Line::Source, source_line(id, s)));
    let errors = parts::errors(state).map(|error| (Line::Error, error_line(error)));
    let count = state.services.len()
        + state.sources.len()
        + state.services.values().map(|service| service.errors.len()).sum::<usize>();
    let end = to_json(&Document::End { lines: count as u64 });
    std::iter::once((Line::Header, header))
        .chain(services)
        .chain(sources)
        .chain(errors)
        .chain(std::iter::once((Line::End, end)))
}

fn service_line(service: parts::ServiceParts<'_>) -> String {
    to_json(&Document::Service(ServiceLine {
        name: service.name().as_str().into(),
        observers: service.observers().map(|observer| observer.to_string()).collect(),
        targets: service
            .targets()
            .map(|(url, last)| TargetPart {
                url: url.into(),
                since: last.since().as_micros(),
                up: last.is_up(),
                reason: last.reason().into(),
            })
            .collect(),
    }))
}

fn source_line(id: SourceId, source: &crate::state::Source) -> String {
    let labels = source.labels.as_ref().map(|(_, labels)| raw(labels_document(labels)));
    to_json(&Document::Source(SourceLine {
        id: hex(id.as_bytes()),
        name: source.name().into(),
        labels: labels.as_deref(),
        labels_at: source.labels.as_ref().map(|(at, _)| at.as_micros()),
    }))
}

fn error_line(error: ErrorParts<'_>) -> String {
    let mut documents = Documents::new();
    let mut stacks = BTreeMap::new();
    let occurrences: Vec<_> = error
        .occurrences()
        .map(|view| {
            let (document, stack) = documents.occurrence(view);
            stacks.entry(stack.as_hex()).or_insert_with(|| raw(stack_document(view)));
            (view, raw(document))
        })
        .collect();
    let actions: Vec<_> = error
        .actions()
        .map(|action| (action, action.watermark().map(|w| raw(watermark_document(w)))))
        .collect();
    let summary = error.summary();
    let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
    to_json(&Document::Error(Box::new(ErrorLine {
        service: error.service().as_str().into(),
        aggregation_key: error.key().as_str().into(),
        first_seen: micros(summary.first_seen),
        last_seen: micros(summary.last_seen),
        severity: summary.severity.map(|(at, s)| (at.as_micros(), s.as_str().to_owned())),
        forgotten_through: micros(summary.forgotten_through),
        counts: error.counts().map(CountPart::from).collect(),
        forgotten: error
            .forgotten()
            .iter()
            .map(|(i, count)| ForgottenPart { incarnation: (*i).into(), count: *count })
            .collect(),
        stacks: stacks.iter().map(|(name, stack)| (name.clone(), &**stack)).collect(),
        occurrences: occurrences
            .iter()
            .map(|(view, document)| OccurrencePart {
                time: view.ordering_time().as_micros(),
                content: hex(&view.content().0),
                occurrence: document,
            })
            .collect(),
        actions: actions.iter().map(|(a, w)| ActionPart::of(a, w.as_deref())).collect(),
        series: error
            .buckets()
            .map(|bucket| BucketPart {
                observer: bucket.observer.to_string(),
                seconds: bucket.width.secs(),
                number: bucket.number,
                count: bucket.count,
            })
            .collect(),
    })))
}

impl From<&Known> for CountPart {
    fn from(known: &Known) -> Self {
        Self {
            incarnation: known.incarnation.into(),
            count: known.tally.count(),
            newest: known.tally.newest().map(Timestamp::as_micros),
            risen: known.tally.risen().map(Timestamp::as_micros),
            exported: known.age.is_exported(),
            age_since: known.age.time().as_micros(),
        }
    }
}

impl<'a> ActionPart<'a> {
    fn of(action: &'a Action, watermark: Option<&'a RawValue>) -> Self {
        Self {
            id: hex(&action.id.0.to_be_bytes()),
            at: action.at.as_micros(),
            act: action.act.as_str().to_owned(),
            until: action.act.until().map(Timestamp::as_micros),
            further: action.act.further(),
            by: (&*action.by).into(),
            why: (&*action.why).into(),
            watermark,
        }
    }
}

fn raw(document: String) -> Box<RawValue> {
    RawValue::from_string(document).expect("it has been written as JSON")
}

/// Reads lines one by one.
#[derive(Default)]
pub struct LineReader {
    builder: StateBuilder,
    reading: Reading,
    has_begun: bool,
    has_ended: bool,
    read: u64,
}

impl LineReader {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next line; what it holds. A line that cannot be read has no effect.
    ///
    /// # Errors
    ///
    /// It cannot be read, or should not be there.
    pub fn line(&mut self, line: &str) -> Result<Line, LineError> {
        if self.has_ended {
            return Err(LineError::AfterEnd);
        }
        if !self.has_begun {
            return match serde_json::from_str(line) {
                Ok(Document::PeriskopState { version }) if version > VERSION => {
                    Err(LineError::Newer { found: version })
                }
                Ok(Document::PeriskopState { .. }) => {
                    self.has_begun = true;
                    Ok(Line::Header)
                }
                _ => Err(LineError::NoHeader),
            };
        }
        let read = match serde_json::from_str(line)? {
            Document::PeriskopState { .. } => return Err(LineError::Unknown("a header".into())),
            Document::Service(service) => {
                self.service(service)?;
                Line::Service
            }
            Document::Source(source) => {
                self.source(&source)?;
                Line::Source
            }
            Document::Error(error) => {
                self.error(*error)?;
                Line::Error
            }
            Document::End { lines } => {
                self.has_ended = true;
                if lines != self.read {
                    return Err(LineError::Miscounted { said: lines, read: self.read });
                }
                return Ok(Line::End);
            }
        };
        self.read += 1;
        Ok(read)
    }

    /// Everything that was read.
    ///
    /// # Errors
    ///
    /// The end was not among it.
    pub fn finish(self) -> Result<State, LineError> {
        match (self.has_begun, self.has_ended) {
            (false, _) => Err(LineError::NoHeader),
            (true, false) => Err(LineError::CutOff),
            (true, true) => Ok(self.builder.finish()),
        }
    }

    fn service(&mut self, line: ServiceLine<'_>) -> Result<(), LineError> {
        let name = ServiceName::from(&line.name.0);
        let observers = line.observers.iter().map(|text| ReplicaId::from_text(text));
        self.builder.service(&name, observers);
        for target in line.targets {
            let since = Timestamp::from_micros(target.since);
            let last = match target.up {
                true => LastState::up(since),
                false => LastState::down(since, &target.reason.0),
            };
            self.builder.target(&name, &target.url.0, last);
        }
        Ok(())
    }

    fn source(&mut self, line: &SourceLine<'_>) -> Result<(), LineError> {
        let id = SourceId::from_bytes(unhex(&line.id)?);
        let labels = match (line.labels_at, line.labels) {
            (Some(at), Some(labels)) => {
                Some((Timestamp::from_micros(at), parse_labels(labels.get())?))
            }
            _ => None,
        };
        self.builder.source(id, &line.name.0, labels);
        Ok(())
    }

    fn error(&mut self, line: ErrorLine<'_>) -> Result<(), LineError> {
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let severity = match &line.severity {
            Some((at, name)) => {
                let known =
                    Severity::parse(name).ok_or_else(|| LineError::Unknown(name.clone()))?;
                Some((Timestamp::from_micros(*at), known))
            }
            None => None,
        };
        // Whatever can be wrong is read first.
        let counts = line.counts.into_iter().map(Known::try_from).collect::<Result<Vec<_>, _>>()?;
        let forgotten = line
            .forgotten
            .into_iter()
            .map(|part| Ok((part.incarnation.try_into()?, part.count)))
            .collect::<Result<Vec<_>, DocumentError>>()?;
        let actions =
            line.actions.into_iter().map(ActionPart::read).collect::<Result<Vec<_>, _>>()?;
        let buckets =
            line.series.into_iter().map(BucketPart::read).collect::<Result<Vec<_>, _>>()?;
        self.reading.clear();
        for (name, document) in &line.stacks {
            self.reading.stack(name, document.get())?;
        }
        for part in &line.occurrences {
            let (time, content) = (Timestamp::from_micros(part.time), unhex(&part.content)?);
            self.reading.occurrence(time, ContentHash(content), part.occurrence.get())?;
        }

        let id = AggregateId {
            service: line.service.0.as_ref().into(),
            key: line.aggregation_key.0.as_ref().into(),
        };
        let summary = Summary {
            first_seen: time(line.first_seen),
            last_seen: time(line.last_seen),
            severity,
            forgotten_through: time(line.forgotten_through),
        };
        let slot = self.builder.error(id, summary);
        counts.into_iter().for_each(|known| self.builder.count(slot, known));
        for (incarnation, count) in forgotten {
            self.builder.forgotten(slot, incarnation, count);
        }
        self.builder.occurrences(slot, &mut self.reading);
        actions.into_iter().for_each(|action| self.builder.action(slot, action));
        buckets.into_iter().for_each(|bucket| self.builder.bucket(slot, bucket));
        Ok(())
    }
}

impl TryFrom<CountPart> for Known {
    type Error = DocumentError;

    fn try_from(part: CountPart) -> Result<Self, DocumentError> {
        let time = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let since = Timestamp::from_micros(part.age_since);
        Ok(Self {
            incarnation: part.incarnation.try_into()?,
            tally: Tally::new(part.count, time(part.newest), time(part.risen)),
            age: if part.exported { Age::exported(since) } else { Age::gone(since) },
        })
    }
}

impl ActionPart<'_> {
    fn read(self) -> Result<Action, LineError> {
        let until = self.until.map(Timestamp::from_micros);
        let act = Act::of_parts(&self.act, until, self.further)
            .ok_or_else(|| LineError::Unknown(self.act.clone()))?;
        let watermark = self.watermark.map(|w| parse_watermark(w.get())).transpose()?;
        Ok(Action::stored(
            ActionId(u128::from_be_bytes(unhex(&self.id)?)),
            Timestamp::from_micros(self.at),
            act,
            &self.by.0,
            &self.why.0,
            watermark,
        ))
    }
}

impl BucketPart {
    fn read(self) -> Result<Bucket, LineError> {
        let width = Width::of_secs(self.seconds.into())
            .ok_or_else(|| LineError::Unknown(format!("a bucket of {} s", self.seconds)))?;
        let observer = ReplicaId::from_text(&self.observer);
        Ok(Bucket { observer, width, number: self.number, count: self.count })
    }
}
