//! What a list needs to know of an error.

use std::time::Duration;

use super::lately::Lately;
use crate::aggregate::{Standing, Status};
use crate::ids::AggregateId;
use crate::occurrence::Severity;
use crate::query::{Facts, is_new};
use crate::time::Timestamp;
use crate::view::ErrorView;

/// An error at a glance, worked out anew whenever it changes: what is looked at of every error to
/// count and to sort them, in one line of a processor's cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) total: u64,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    newest_minute: Timestamp,
    standing: Standing,
    pub(super) service: ServiceNumber,
    pub(super) severity: Severity,
}

/// What is looked at of those that are shown, and of one that changes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: AggregateId,
    pub(super) lately: Lately,
}

/// A small number that stands for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServiceNumber(pub(super) u32);

impl ServiceNumber {
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What can be asked for of a state: the states themselves, and those that are open by whether they
/// are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Open,
    New,
    Regressed,
    Resolved,
    Muted,
}

/// No occurrence that is older counts for the rate, with the minute that it may have begun in.
const RATED: Duration = Duration::from_secs(16 * 60);

impl Row {
    pub(super) fn of(error: ErrorView<'_>, service: ServiceNumber) -> Self {
        Self {
            total: error.total(),
            first_seen: error.first_seen(),
            last_seen: error.last_seen(),
            newest_minute: error.newest_minute().unwrap_or(Timestamp::from_micros(i64::MIN)),
            standing: error.standing(),
            service,
            severity: error.severity(),
        }
    }

    pub(super) const fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn class(&self, now: Timestamp) -> Class {
        match self.standing.at(now) {
            status if is_new(status, self.first_seen, now) => Class::New,
            Status::Open => Class::Open,
            Status::Regressed => Class::Regressed,
            Status::Resolved => Class::Resolved,
            Status::Muted => Class::Muted,
        }
    }

    pub(super) fn facts<'a>(&self, id: &'a AggregateId, now: Timestamp) -> Facts<'a> {
        Facts {
            service: &id.service,
            key: &id.key,
            severity: self.severity,
            status: self.standing.at(now),
            total: self.total,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }

    /// Whether its rate may be anything but 0.
    pub(super) fn is_rated(&self, now: Timestamp) -> bool {
        self.newest_minute > now.minus(RATED)
    }
}

impl Class {
    pub(super) const ALL: [Self; 5] =
        [Self::Open, Self::New, Self::Regressed, Self::Resolved, Self::Muted];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    pub(super) const fn status(self) -> Status {
        match self {
            Self::Open | Self::New => Status::Open,
            Self::Regressed => Status::Regressed,
            Self::Resolved => Status::Resolved,
            Self::Muted => Status::Muted,
        }
    }

    /// Whether it wants somebody's attention.
    pub(super) const fn is_unresolved(self) -> bool {
        matches!(self, Self::Open | Self::New | Self::Regressed)
    }
}
