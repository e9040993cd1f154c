//! What is asked of a list: which errors, in which order, from where on.

use std::fmt;

use crate::aggregate::Status;
use crate::ids::{AggregateId, AggregationKey, ServiceName};
use crate::occurrence::Severity;
use crate::query::{Facts, Query, is_new};
use crate::time::Timestamp;

/// Which errors are wanted, and in which order. An empty list of choices is no restriction.
///
/// The choices are told apart from the query because of the [`Facets`](super::Facets): each of these
/// counts what there would be if nothing were chosen of its own kind.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What they are to match.
    pub query: Query,
    /// Only of these services.
    pub services: Vec<ServiceName>,
    /// Only of these severities.
    pub severities: Vec<Severity>,
    /// Only in one of these states.
    pub states: Vec<Choice>,
    /// Only what was seen at or after this.
    pub seen_since: Option<Timestamp>,
    /// By what they are sorted. Equals are in the order of service and key.
    pub sort: Sort,
    /// Smallest or oldest first.
    pub ascending: bool,
    /// The most errors on a page.
    pub limit: usize,
    /// Only what comes after this place.
    pub after: Option<Place>,
    /// A label whose values are to be counted.
    pub facet_label: Option<String>,
}

/// All of them, the most recent first, a hundred to a page.
impl Default for Wanted {
    fn default() -> Self {
        Self {
            query: Query::default(),
            services: Vec::new(),
            severities: Vec::new(),
            states: Vec::new(),
            seen_since: None,
            sort: Sort::LastSeen,
            ascending: false,
            limit: 100,
            after: None,
            facet_label: None,
        }
    }
}

/// A state that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Open, and first seen within [`NEW_FOR`](crate::query::NEW_FOR).
    New,
    /// In this state.
    Is(Status),
}

/// What errors are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The newest occurrence.
    #[default]
    LastSeen,
    /// The oldest.
    FirstSeen,
    /// How many there were.
    Count,
    /// How many there are a minute, now.
    Rate,
}

/// A place in a sorted list, between two errors. It stays where it is when errors come, go and
/// change, so that the page after it repeats nothing that stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What the error before it is sorted by.
    pub(super) rank: i128,
    /// The error before it.
    pub(super) id: AggregateId,
}

/// A text that [`Place::parse`] cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that was given out here")]
pub struct BadCursor;

impl Choice {
    /// Reads `new` or the name of a state.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "new" { Some(Self::New) } else { Status::parse(text).map(Self::Is) }
    }

    /// Whether an error is in it.
    pub fn has(self, facts: &Facts<'_>, now: Timestamp) -> bool {
        match self {
            Self::New => is_new(facts.status, facts.first_seen, now),
            Self::Is(status) => facts.status == status,
        }
    }
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LastSeen, Self::FirstSeen, Self::Count, Self::Rate];

    /// The name in addresses: `last_seen`, `first_seen`, `count`, `rate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::FirstSeen => "first_seen",
            Self::Count => "count",
            Self::Rate => "rate",
        }
    }

    /// Reads such a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }
}

impl Place {
    /// Reads what `Display` wrote.
    ///
    /// # Errors
    ///
    /// It did not.
    pub fn parse(text: &str) -> Result<Self, BadCursor> {
        let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).ok());
        let bytes: Option<Vec<u8>> = digits
            .map(|two| {
                two.filter(|two| two.len() == 2).and_then(|d| u8::from_str_radix(d, 16).ok())
            })
            .collect();
        let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BadCursor)?;
        let mut parts = plain.splitn(3, ' ');
        let mut number = || parts.next().and_then(|part| part.parse::<i128>().ok());
        let (rank, length) = (number().ok_or(BadCursor)?, number().ok_or(BadCursor)?);
        let names = parts.next().ok_or(BadCursor)?;
        let length = usize::try_from(length).map_err(|_| BadCursor)?;
        let (service, key) = names.split_at_checked(length).ok_or(BadCursor)?;
        let id = AggregateId { service: service.into(), key: AggregationKey::from(key) };
        Ok(Self { rank, id })
    }
}

/// Opaque, of letters and digits only.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AggregateId { service, key } = &self.id;
        let (service, key) = (service.as_str(), key.as_str());
        let plain = format!("{} {} {service}{key}", self.rank, service.len());
        plain.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
