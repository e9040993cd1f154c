//! A state or a delta, taken apart.

use crate::aggregate::{Action, Aggregate, Bucket, Incarnation, Known};
use crate::ids::{AggregateId, AggregationKey, ErrorDigest, ReplicaId, ServiceName, SourceId};
use crate::occurrence::Severity;
use crate::state::{Service, Source, State};
use crate::target::LastState;
use crate::texts::OccurrenceView;
use crate::time::Timestamp;

/// The services of a state, by name.
pub fn services(state: &State) -> impl Iterator<Item = ServiceParts<'_>> {
    state.services.iter().map(|(name, service)| ServiceParts { name, service })
}

/// The sources of a state, by id.
pub fn sources(state: &State) -> impl Iterator<Item = (SourceId, &Source)> {
    let mut sources: Vec<_> = state.sources.iter().map(|(id, source)| (*id, source)).collect();
    sources.sort_unstable_by_key(|(id, _)| *id);
    sources.into_iter()
}

/// Everything that is known of errors, listed or not, by service and key.
pub fn errors(state: &State) -> impl Iterator<Item = ErrorParts<'_>> {
    state.services.iter().flat_map(|(service, known)| {
        known.errors.iter().map(move |(key, aggregate)| ErrorParts { service, key, aggregate })
    })
}

/// One service.
#[derive(Clone, Copy)]
pub struct ServiceParts<'a> {
    name: &'a ServiceName,
    service: &'a Service,
}

impl<'a> ServiceParts<'a> {
    /// Its name.
    pub fn name(self) -> &'a ServiceName {
        self.name
    }

    /// Who has scraped it or received pushes for it.
    pub fn observers(self) -> impl ExactSizeIterator<Item = ReplicaId> + 'a {
        self.service.observers.iter().copied()
    }

    /// How its targets were found last, by URL.
    pub fn targets(self) -> impl ExactSizeIterator<Item = (&'a str, &'a LastState)> {
        self.service.targets.iter().map(|(url, last)| (&**url, last))
    }
}

/// One error.
#[derive(Clone, Copy)]
pub struct ErrorParts<'a> {
    service: &'a ServiceName,
    key: &'a AggregationKey,
    aggregate: &'a Aggregate,
}

/// What is known of an error as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The oldest time known of it; smaller joins.
    pub first_seen: Option<Timestamp>,
    /// The newest time known of it; greater joins.
    pub last_seen: Option<Timestamp>,
    /// Its severity and since when that is so; greater joins.
    pub severity: Option<(Timestamp, Severity)>,
    /// Up to when its texts are forgotten; greater joins.
    pub forgotten_through: Option<Timestamp>,
}

impl<'a> ErrorParts<'a> {
    /// The service that reports it.
    pub fn service(self) -> &'a ServiceName {
        self.service
    }

    /// The client's aggregation key.
    pub fn key(self) -> &'a AggregationKey {
        self.key
    }

    /// Which error.
    pub fn id(self) -> AggregateId {
        AggregateId { service: self.service.clone(), key: self.key.clone() }
    }

    /// Its name in a store.
    pub fn digest(self) -> ErrorDigest {
        ErrorDigest::of(self.service, self.key)
    }

    /// What is known of it as a whole.
    pub fn summary(self) -> Summary {
        Summary {
            first_seen: self.aggregate.first_seen,
            last_seen: self.aggregate.last_seen,
            severity: self.aggregate.severity,
            forgotten_through: self.aggregate.forgotten.through(),
        }
    }

    /// Who counted how much, by incarnation.
    pub fn counts(self) -> impl ExactSizeIterator<Item = &'a Known> {
        self.aggregate.counts.iter()
    }

    /// What of the counts is forgotten; greater counts join.
    pub fn forgotten(self) -> &'a [(Incarnation, u64)] {
        self.aggregate.forgotten.counts()
    }

    /// The newest occurrences, newest first.
    pub fn occurrences(self) -> impl ExactSizeIterator<Item = OccurrenceView<'a>> {
        self.aggregate.latest.iter().map(|kept| kept.view())
    }

    /// What people did, newest first.
    pub fn actions(self) -> impl Iterator<Item = &'a Action> {
        self.aggregate.triage.history()
    }

    /// What each observer saw over time.
    pub fn buckets(self) -> impl Iterator<Item = Bucket> + 'a {
        self.aggregate.series.iter().flat_map(|(observer, buckets)| {
            buckets.each_kept().map(move |(width, number, count)| Bucket {
                observer,
                width,
                number,
                count,
            })
        })
    }
}
