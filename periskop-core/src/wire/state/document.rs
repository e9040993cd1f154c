//! The parts that are JSON documents: occurrences, stacks, labels, watermarks.
//!
//! The stacks of an error's occurrences are mostly the same, and most of their text. So a stack
//! (the frames of an exception and of its causes) is a document of its own, named by its content,
//! and an occurrence names its stack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stack::{StackName, StackNames};
use super::text::Text;
use crate::aggregate::{Incarnation, Since, Watermark};
use crate::ids::{ReplicaId, SourceId};
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

/// Makes the documents of occurrences. Those of one error should follow each other: the name of
/// the last stack is remembered.
#[derive(Debug, Default)]
pub struct Documents {
    stacks: StackNames,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OccurrenceDocument<'a> {
    #[serde(borrow)]
    pub(super) uuid: Text<'a>,
    /// The time as it came.
    pub(super) timestamp: Option<i64>,
    /// Whether it is one that can be right.
    pub(super) usable: bool,
    pub(super) severity: Text<'a>,
    pub(super) exceptions: Vec<ExceptionDocument<'a>>,
    #[serde(borrow)]
    pub(super) http: Option<HttpDocument<'a>>,
    pub(super) stack: Text<'a>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ExceptionDocument<'a> {
    #[serde(borrow)]
    pub(super) class: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct HttpDocument<'a> {
    #[serde(borrow)]
    pub(super) method: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) headers: Vec<(Text<'a>, Text<'a>)>,
    #[serde(borrow)]
    pub(super) body: Option<Text<'a>>,
}

impl Documents {
    /// None made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for whoever goes on making them: more names of stacks than the last are remembered.
    /// `seed` is random, so that nobody can foresee which stacks are taken for the same.
    pub fn remembering(seed: u64) -> Self {
        Self { stacks: StackNames::remembered(seed) }
    }

    /// Another state follows: what has been seen of the one before may be gone.
    pub fn begin(&mut self) {
        self.stacks.forget_last();
    }

    /// The document of an occurrence, and the stack that it names.
    ///
    /// # Panics
    ///
    /// Never: what is written to memory cannot fail.
    pub fn occurrence(&mut self, view: OccurrenceView<'_>) -> (String, StackName) {
        let stack = self.stacks.name(view);
        let name = stack.as_hex();
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
            stack: name.as_str().into(),
        };
        (to_json(&document), stack)
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
