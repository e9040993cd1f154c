//! The names before a colon.

use crate::query::expr::{Seen, TextField};
use crate::query::help::FIELDS;
use crate::search::fold;

/// What stands before a colon.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Text(TextField),
    Severity,
    State,
    Count,
    Rate,
    Seen(Seen),
}

/// What a word with a colon in it is, by what stands before the colon and after it.
#[derive(Debug, PartialEq)]
pub(super) enum Named {
    Field(Field),
    /// Meant as a field, but there is no such one; with the one that was probably meant.
    Unknown(Option<String>),
    /// No field at all: the whole word is text.
    Text,
}

/// What people call fields elsewhere.
const SYNONYMS: &[(&str, &str)] = &[
    ("app", "service"),
    ("application", "service"),
    ("created", "first_seen"),
    ("created_at", "first_seen"),
    ("exception", "class"),
    ("firstseen", "first_seen"),
    ("header", "header.NAME"),
    ("headers", "header.NAME"),
    ("host", "instance"),
    ("job", "service"),
    ("label", "label.NAME"),
    ("labels", "label.NAME"),
    ("lastseen", "last_seen"),
    ("level", "severity"),
    ("msg", "message"),
    ("path", "url"),
    ("pod", "instance"),
    ("seen", "last_seen"),
    ("status", "state"),
    ("target", "instance"),
    ("total", "count"),
    ("type", "class"),
    ("uri", "url"),
    ("verb", "method"),
];

impl Field {
    /// The field of a name, whose case makes no difference except in that of a label.
    fn named(name: &str) -> Option<Self> {
        let dotted = |prefix: &str| {
            let (start, rest) = name.split_at_checked(prefix.len())?;
            (start.eq_ignore_ascii_case(prefix) && is_name(rest)).then_some(rest)
        };
        if let Some(header) = dotted("header.") {
            return Some(Self::Text(TextField::Header(fold(header).into_owned())));
        }
        if let Some(label) = dotted("label.") {
            return Some(Self::Text(TextField::Label(label.to_owned())));
        }
        Some(match &*name.to_ascii_lowercase() {
            "service" => Self::Text(TextField::Service),
            "severity" => Self::Severity,
            "state" => Self::State,
            "class" => Self::Text(TextField::Class),
            "message" => Self::Text(TextField::Message),
            "url" => Self::Text(TextField::Url),
            "method" => Self::Text(TextField::Method),
            "key" => Self::Text(TextField::Key),
            "instance" => Self::Text(TextField::Instance),
            "count" => Self::Count,
            "rate" => Self::Rate,
            "first_seen" => Self::Seen(Seen::First),
            "last_seen" => Self::Seen(Seen::Last),
            _ => return None,
        })
    }

    /// Whether an error has one value of it, so that no two can be asked for at once.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Self::Text(TextField::Service) | Self::Severity)
            || matches!(self, Self::State)
    }

    /// Whether the whole value is compared.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Text(TextField::Service | TextField::Method))
    }
}

/// Judges `name` before a colon and `rest` after it, as the documentation of
/// [`query`](crate::query) says.
pub(super) fn judge(name: &str, rest: &str) -> Named {
    if let Some(field) = Field::named(name) {
        return Named::Field(field);
    }
    if rest.is_empty() || rest.starts_with(':') || rest.starts_with('\\') || rest.starts_with("//")
    {
        return Named::Text;
    }
    let near = nearest(name);
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match near {
        Some(field) => Named::Unknown(Some(field)),
        None if is_identifier && !rest.starts_with('/') => Named::Unknown(None),
        None => Named::Text,
    }
}

/// The field whose name was probably meant.
fn nearest(name: &str) -> Option<String> {
    // Further away it is a guess.
    const FAR: usize = 3;
    let name = name.to_ascii_lowercase();
    if let Some((plural, rest)) = name.split_once('.') {
        let place = name.len() - rest.len();
        let rest = name.get(place..).filter(|rest| is_name(rest))?;
        return ["header", "label"]
            .into_iter()
            .find(|prefix| plural.strip_suffix('s') == Some(*prefix))
            .map(|prefix| format!("{prefix}.{rest}"));
    }
    let name = name.replace('-', "_");
    if let Some((_, field)) = SYNONYMS.iter().find(|(synonym, _)| *synonym == name) {
        return Some((*field).to_owned());
    }
    let known = FIELDS.iter().map(|field| field.name).filter(|name| !name.contains('.'));
    let distances = known.map(|field| (strsim::osa_distance(&name, field), field));
    let (distance, field) = distances.min()?;
    // One letter of three, two of five: less than half of it.
    (distance < FAR && 2 * distance < name.len()).then(|| field.to_owned())
}

/// Whether a header or label is named so that a query can name it.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"():".contains(c))
}
