//! What a list needs to know of an error.

use std::time::Duration;

use crate::aggregate::{Standing, Status};
use crate::ids::AggregateId;
use crate::occurrence::Severity;
use crate::query::Facts;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// An error at a glance. Worked out anew whenever it changes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    id: AggregateId,
    severity: Severity,
    standing: Standing,
    total: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    newest_minute: Option<Timestamp>,
}

/// No occurrence that is older counts for the rate, with the minute that it may have begun in.
const RATED: Duration = Duration::from_secs(16 * 60);

impl Entry {
    pub(super) fn of(error: ErrorView<'_>) -> Self {
        Self {
            id: error.id(),
            severity: error.severity(),
            standing: error.standing(),
            total: error.total(),
            first_seen: error.first_seen(),
            last_seen: error.last_seen(),
            newest_minute: error.newest_minute(),
        }
    }

    pub(super) fn id(&self) -> &AggregateId {
        &self.id
    }

    pub(super) fn status(&self, now: Timestamp) -> Status {
        self.standing.at(now)
    }

    pub(super) fn facts(&self, now: Timestamp) -> Facts<'_> {
        Facts {
            service: &self.id.service,
            key: &self.id.key,
            severity: self.severity,
            status: self.status(now),
            total: self.total,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }

    /// Whether its rate may be anything but 0.
    pub(super) fn is_rated(&self, now: Timestamp) -> bool {
        self.newest_minute.is_some_and(|newest| newest > now.minus(RATED))
    }
}
