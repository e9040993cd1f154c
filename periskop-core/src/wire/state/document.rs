//! The parts that are JSON documents: occurrences, stacks, labels, watermarks.
//!
//! The stacks of an error's occurrences are mostly the same, and most of their text. So a stack
//! (the frames of an exception and of its causes) is a document of its own, named by its content,
//! and an occurrence names its stack.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::text::Text;
use crate::aggregate::{Incarnation, Since, Watermark};
use crate::ids::{ReplicaId, SourceId, bounded, sha256_hex};
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::target::Labels;
use crate::texts::OccurrenceView;
use crate::time::Timestamp;

/// A stored document cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not of the form that it should be.
    #[error("no document of this form: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An occurrence names a stack that is not there.
    #[error("stack {0} is missing")]
    NoStack(String),
    /// A stack has not as many parts as its occurrence has exceptions.
    #[error("stack {0} does not fit its occurrence")]
    OtherStack(String),
    /// Something in it is no id.
    #[error("`{0}` is no id")]
    NoId(String),
}

/// A stack as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// 32 hexadecimal digits of the SHA-256 of the document.
    pub name: String,
    /// For each exception, outermost first, its frames.
    pub document: String,
}

/// Makes the documents of occurrences. Those of one error should follow each other: the last stack
/// is remembered.
#[derive(Debug, Default)]
pub struct Documents {
    last: Option<(usize, Stack)>,
}

#[derive(Serialize, Deserialize)]
struct OccurrenceDocument<'a> {
    #[serde(borrow)]
    uuid: Text<'a>,
    /// The time as it came.
    timestamp: Option<i64>,
    /// Whether it is one that can be right.
    usable: bool,
    severity: Text<'a>,
    exceptions: Vec<ExceptionDocument<'a>>,
    #[serde(borrow)]
    http: Option<HttpDocument<'a>>,
    stack: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct ExceptionDocument<'a> {
    #[serde(borrow)]
    class: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
struct HttpDocument<'a> {
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    headers: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow)]
    body: Option<Text<'a>>,
}

impl Documents {
    /// None made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The document of an occurrence, and the stack that it names.
    ///
    /// # Panics
    ///
    /// Never: what is written to memory cannot fail.
    pub fn occurrence(&mut self, view: OccurrenceView<'_>) -> (String, &Stack) {
        let skeleton = view.skeleton_address();
        if self.last.as_ref().is_none_or(|(known, _)| *known != skeleton) {
            self.last = Some((skeleton, Stack::of(view)));
        }
        let (_, stack) = self.last.as_ref().expect("it has just been made");
        fn text<'a>(text: Option<impl Into<Text<'a>>>) -> Option<Text<'a>> {
            text.map(Into::into)
        }
        let document = OccurrenceDocument {
            uuid: view.name().into(),
            timestamp: view.reported_time().map(Timestamp::as_micros),
            usable: view.time().is_some(),
            severity: view.severity().as_str().into(),
            exceptions: view
                .exceptions()
                .map(|e| ExceptionDocument { class: text(e.class()), message: text(e.message()) })
                .collect(),
            http: view.http().map(|http| HttpDocument {
                method: text(http.method()),
                url: text(http.url()),
                headers: http.headers().map(|(n, v)| (n.into(), v.into())).collect(),
                body: text(http.body()),
            }),
            stack: stack.name.as_str().into(),
        };
        (to_json(&document), stack)
    }
}

impl Stack {
    /// The name as bytes.
    ///
    /// # Panics
    ///
    /// If somebody has changed the name.
    pub fn id(&self) -> [u8; 16] {
        unhex(&self.name).expect("a name is 32 hexadecimal digits")
    }

    fn of(view: OccurrenceView<'_>) -> Self {
        let frames: Vec<Vec<Text<'_>>> =
            view.exceptions().map(|e| e.frames().map(Text::from).collect()).collect();
        let document = to_json(&frames);
        Self { name: sha256_hex(document.as_bytes()), document }
    }
}

/// The stacks of one error's occurrences, by name.
#[derive(Debug, Default)]
pub struct Stacks(HashMap<String, Vec<Vec<String>>>);

impl Stacks {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one by its document.
    ///
    /// # Errors
    ///
    /// It is no such document.
    pub fn insert(&mut self, name: &str, document: &str) -> Result<(), DocumentError> {
        let read: Vec<Vec<Text<'_>>> = serde_json::from_str(document)?;
        let frames = read.into_iter().map(|frames| {
            let frames: Vec<_> = frames.into_iter().map(Text::into_string).collect();
            frames
        });
        self.0.insert(name.to_owned(), frames.collect());
        Ok(())
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads an occurrence and shows it, and whether its time is usable. Its stack is lent to it
    /// meanwhile: copying the frames of a million occurrences would take seconds.
    pub(super) fn with_occurrence<R>(
        &mut self,
        content: ContentHash,
        document: &str,
        look: impl FnOnce(&Occurrence, bool) -> R,
    ) -> Result<R, DocumentError> {
        let read: OccurrenceDocument<'_> = serde_json::from_str(document)?;
        let name = read.stack.into_string();
        let Some(frames) = self.0.get_mut(&name) else { return Err(DocumentError::NoStack(name)) };
        if frames.len() != read.exceptions.len() || frames.is_empty() {
            return Err(DocumentError::OtherStack(name));
        }
        let text = |text: Option<Text<'_>>| text.map(Text::into_string);
        let exceptions = read.exceptions.into_iter().zip(frames.iter_mut());
        let mut occurrence = Occurrence {
            name: bounded(&read.uuid.0).into_owned(),
            content,
            time: read.timestamp.map(Timestamp::from_micros),
            severity: Severity::parse(&read.severity.0).unwrap_or_default(),
            exceptions: exceptions
                .map(|(e, frames)| Exception {
                    class: text(e.class),
                    message: text(e.message),
                    stacktrace: std::mem::take(frames),
                })
                .collect(),
            http: read.http.map(|http| HttpContext {
                method: text(http.method),
                url: text(http.url),
                headers: http
                    .headers
                    .into_iter()
                    .map(|(n, v)| (n.into_string(), v.into_string()))
                    .collect(),
                body: text(http.body),
            }),
        };
        let seen = look(&occurrence, read.usable);
        for (lent, exception) in frames.iter_mut().zip(&mut occurrence.exceptions) {
            *lent = std::mem::take(&mut exception.stacktrace);
        }
        Ok(seen)
    }
}

/// Labels as a document: one object.
pub fn labels_document(labels: &Labels) -> String {
    let texts: BTreeMap<String, Text<'_>> =
        labels.iter().map(|(n, v)| (super::escape(n).into_owned(), v.into())).collect();
    to_json(&texts)
}

/// What [`labels_document`] has written.
///
/// # Errors
///
/// It is no such document.
pub fn parse_labels(document: &str) -> Result<Labels, DocumentError> {
    let read: BTreeMap<String, Text<'_>> = serde_json::from_str(document)?;
    Ok(read.into_iter().map(|(n, v)| (super::unescape(&n).into_owned(), v.into_string())).collect())
}

#[derive(Serialize, Deserialize)]
struct WatermarkDocument {
    last_seen: Option<i64>,
    counts: Vec<WatermarkCount>,
}

/// What was known of one incarnation.
#[derive(Serialize, Deserialize)]
struct WatermarkCount {
    #[serde(flatten)]
    incarnation: IncarnationDocument,
    count: u64,
}

/// An incarnation in a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IncarnationDocument {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    created_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    observer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    n: Option<u32>,
}

impl From<Incarnation> for IncarnationDocument {
    fn from(incarnation: Incarnation) -> Self {
        let source = hex(incarnation.source.as_bytes());
        match incarnation.since {
            Since::CreatedAt(at) => {
                Self { source, created_at: Some(at.as_micros()), observer: None, n: None }
            }
            Since::Reset { observer, n } => {
                Self { source, created_at: None, observer: Some(observer.to_string()), n: Some(n) }
            }
        }
    }
}

impl TryFrom<IncarnationDocument> for Incarnation {
    type Error = DocumentError;

    fn try_from(document: IncarnationDocument) -> Result<Self, DocumentError> {
        let source = SourceId::from_bytes(unhex(&document.source)?);
        let since = match (document.created_at, document.observer, document.n) {
            (Some(at), None, None) => Since::CreatedAt(Timestamp::from_micros(at)),
            (None, Some(observer), Some(n)) => {
                Since::Reset { observer: ReplicaId::from_text(&observer), n }
            }
            _ => return Err(DocumentError::NoId(document.source)),
        };
        Ok(Self { source, since })
    }
}

/// A watermark as a document.
pub fn watermark_document(watermark: &Watermark) -> String {
    to_json(&WatermarkDocument {
        last_seen: watermark.last_seen.map(Timestamp::as_micros),
        counts: watermark
            .counts
            .iter()
            .map(|(i, count)| WatermarkCount { incarnation: (*i).into(), count: *count })
            .collect(),
    })
}

/// What [`watermark_document`] has written.
///
/// # Errors
///
/// It is no such document.
pub fn parse_watermark(document: &str) -> Result<Watermark, DocumentError> {
    let read: WatermarkDocument = serde_json::from_str(document)?;
    let mut counts = read
        .counts
        .into_iter()
        .map(|known| Ok((known.incarnation.try_into()?, known.count)))
        .collect::<Result<Vec<(Incarnation, u64)>, DocumentError>>()?;
    counts.sort_unstable();
    Ok(Watermark { last_seen: read.last_seen.map(Timestamp::from_micros), counts })
}

pub(super) fn to_json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("what is written to memory cannot fail")
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("what is written to memory cannot fail");
        text
    })
}

pub(super) fn unhex<const N: usize>(text: &str) -> Result<[u8; N], DocumentError> {
    let mut bytes = [0; N];
    let wrong = || DocumentError::NoId(text.chars().take(40).collect());
    if text.len() != 2 * N || !text.is_ascii() {
        return Err(wrong());
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}
