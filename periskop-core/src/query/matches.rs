//! What a query means: whether an error is one of those that it asks for.

use std::time::Duration;

use crate::aggregate::Status;
use crate::query::expr::{Expr, Seen, Term, TextField, Wanted};
use crate::query::pattern::Pattern;
use crate::state::Source;
use crate::texts::OccurrenceView;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// How long an open error is new: somebody who looks once a day sees each.
pub const NEW_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether an error is new: open, and first seen within [`NEW_FOR`].
pub fn is_new(status: Status, first_seen: Timestamp, now: Timestamp) -> bool {
    status == Status::Open && now.since(first_seen) <= NEW_FOR
}

impl Expr {
    pub(super) fn matches(&self, error: ErrorView<'_>, now: Timestamp) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(error, now)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(error, now)),
            Self::Not(inner) => !inner.matches(error, now),
            Self::Term(term) => term.matches(error, now),
        }
    }
}

impl Term {
    pub(super) fn matches(&self, error: ErrorView<'_>, now: Timestamp) -> bool {
        match self {
            // An error has at least a key.
            Self::Anywhere(Pattern::Some) => true,
            Self::Anywhere(pattern) => {
                pattern.matches(error.key().as_str())
                    || error.occurrences().any(|o| o.texts().any(|text| pattern.matches(&text)))
            }
            Self::Text(field, pattern) => field.matches(pattern, error),
            Self::Severity(wanted) => wanted.is_none_or(|wanted| wanted == error.severity()),
            Self::State(wanted) => {
                wanted.is_none_or(|wanted| wanted.holds(error.status(now), error.first_seen(), now))
            }
            Self::Count(op, limit) => op.holds(&error.total(), limit),
            Self::Rate(op, limit) => op.holds(&error.rate(now), limit),
            Self::Seen(Seen::First, op, moment) => moment.holds(*op, error.first_seen(), now),
            Self::Seen(Seen::Last, op, moment) => moment.holds(*op, error.last_seen(), now),
        }
    }
}

impl Wanted {
    pub(super) fn holds(self, status: Status, first_seen: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Is(wanted) => status == wanted,
            Self::New => is_new(status, first_seen, now),
        }
    }
}

impl TextField {
    fn matches(&self, pattern: &Pattern, error: ErrorView<'_>) -> bool {
        match self {
            Self::Service => pattern.matches(error.service().as_str()),
            Self::Key => pattern.matches(error.key().as_str()),
            Self::Label(_) | Self::Instance => error.sources().iter().any(|view| {
                view.count > 0
                    && view.source.is_some_and(|source| self.matches_source(pattern, source))
            }),
            _ => error.occurrences().any(|o| self.matches_occurrence(pattern, o)),
        }
    }

    /// Whether a source has such a label. Always `false` for what is no label.
    pub(super) fn matches_source(&self, pattern: &Pattern, source: &Source) -> bool {
        let label = |name| source.labels().map_or("", |labels| labels.get(name));
        let value = match self {
            Self::Label(name) => label(name),
            Self::Instance => match label("instance") {
                "" => source.name(),
                value => value,
            },
            _ => return false,
        };
        // An empty label is none, as in Prometheus.
        !value.is_empty() && pattern.matches(value)
    }

    /// Whether an occurrence has such a text. Always `false` for what is not a field of it.
    fn matches_occurrence(&self, pattern: &Pattern, occurrence: OccurrenceView<'_>) -> bool {
        let is = |text: Option<&str>| text.is_some_and(|text| pattern.matches(text));
        match self {
            Self::Class => occurrence.exceptions().any(|exception| is(exception.class())),
            Self::Message => {
                occurrence.exceptions().any(|exception| is(exception.message().as_deref()))
            }
            Self::Url => is(occurrence.http().and_then(|http| http.url()).as_deref()),
            Self::Method => is(occurrence.http().and_then(|http| http.method())),
            Self::Header(name) => occurrence.http().is_some_and(|http| {
                let mut headers = http.headers();
                headers.any(|(known, value)| {
                    crate::search::fold(known) == **name && pattern.matches(&value)
                })
            }),
            Self::Service | Self::Key | Self::Label(_) | Self::Instance => false,
        }
    }
}
