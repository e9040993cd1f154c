//! A state put together from what was stored.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::aggregate::{Action, Aggregate, Bucket, Forgotten, Incarnation, Known, Triage};
use crate::ids::{AggregateId, ErrorDigest, ReplicaId, ServiceName, SourceId, bounded};
use crate::merge::Merge;
use crate::state::{Source, State};
use crate::target::{Labels, LastState};
use crate::texts::Texts;
use crate::time::Timestamp;

use super::parts::Summary;
use super::reading::{KnownStacks, Reading};

/// Takes parts in any order, each error before what belongs to it, and makes a [`State`] of them.
///
/// Parts join: what comes twice counts once.
#[derive(Default)]
pub struct StateBuilder {
    services: BTreeMap<ServiceName, crate::state::Service>,
    sources: HashMap<SourceId, Source>,
    errors: Vec<(AggregateId, Building)>,
    slots: HashMap<ErrorDigest, Slot>,
    texts: Texts,
    known_stacks: KnownStacks,
}

/// An error that is being put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

#[derive(Default)]
struct Building {
    aggregate: Aggregate,
    forgotten: Vec<(Incarnation, u64)>,
    through: Option<Timestamp>,
}

impl StateBuilder {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A service, and who has observed it.
    pub fn service(&mut self, name: &ServiceName, observers: impl IntoIterator<Item = ReplicaId>) {
        self.services.entry(name.clone()).or_default().observers.extend(observers);
    }

    /// How a target of a service was found last.
    pub fn target(&mut self, service: &ServiceName, url: &str, last: LastState) {
        let targets = &mut self.services.entry(service.clone()).or_default().targets;
        match targets.get_mut(url) {
            Some(known) => {
                known.merge(last);
            }
            None => {
                targets.insert(url.into(), last);
            }
        }
    }

    /// Who counts, and the labels of its target since a time.
    pub fn source(&mut self, id: SourceId, name: &str, labels: Option<(Timestamp, Labels)>) {
        let new = Source { name: bounded(name).as_ref().into(), labels };
        match self.sources.get_mut(&id) {
            Some(known) => {
                crate::merge::raise(&mut known.labels, new.labels);
            }
            None => {
                self.sources.insert(id, new);
            }
        }
    }

    /// An error.
    pub fn error(&mut self, id: AggregateId, summary: Summary) -> Slot {
        let digest = id.digest();
        self.error_of(digest, id, summary)
    }

    /// The same, for whoever has worked out its digest already.
    pub fn error_of(&mut self, digest: ErrorDigest, id: AggregateId, summary: Summary) -> Slot {
        let slot = match self.slots.get(&digest) {
            Some(slot) => *slot,
            None => {
                self.errors.push((id, Building::default()));
                let slot = Slot(self.errors.len() - 1);
                self.slots.insert(digest, slot);
                slot
            }
        };
        let building = &mut self.errors[slot.0].1;
        crate::merge::raise(&mut building.through, summary.forgotten_through);
        building.aggregate.merge(Aggregate {
            first_seen: summary.first_seen,
            last_seen: summary.last_seen,
            severity: summary.severity,
            ..Aggregate::default()
        });
        slot
    }

    /// What stores call the errors that have been told, in no particular order.
    pub fn digests(&self) -> impl Iterator<Item = &ErrorDigest> {
        self.slots.keys()
    }

    /// The error that a store calls so, if it has been told.
    pub fn slot(&self, digest: &ErrorDigest) -> Option<Slot> {
        self.slots.get(digest).copied()
    }

    /// What one incarnation counted.
    pub fn count(&mut self, error: Slot, known: Known) {
        self.errors[error.0].1.aggregate.counts.put(known);
    }

    /// How much of what an incarnation counted is forgotten.
    pub fn forgotten(&mut self, error: Slot, incarnation: Incarnation, count: u64) {
        self.errors[error.0].1.forgotten.push((incarnation, count));
    }

    /// The occurrences that were read last; the next error can be read then.
    pub fn occurrences(&mut self, error: Slot, read: &mut Reading) {
        let latest = &mut self.errors[error.0].1.aggregate.latest;
        read.pack(&mut self.texts, |kept| {
            latest.put(kept);
        });
    }

    /// The stacks that were read last, for occurrences that are read apart from them.
    pub fn stacks(&mut self, read: &mut Reading) {
        read.keep_stacks(&mut self.texts, &mut self.known_stacks);
    }

    /// All of these stacks, for whoever reads the occurrences.
    pub fn take_stacks(&mut self) -> KnownStacks {
        std::mem::take(&mut self.known_stacks)
    }

    /// What somebody did.
    pub fn action(&mut self, error: Slot, action: Action) {
        self.errors[error.0].1.aggregate.triage.merge(Triage::of(action));
    }

    /// What somebody saw over time.
    pub fn bucket(&mut self, error: Slot, bucket: Bucket) {
        self.errors[error.0].1.aggregate.series.put(bucket);
    }

    /// How many errors it has.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether it has no error.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// All of it.
    pub fn finish(self) -> State {
        let mut services = self.services;
        for (id, building) in self.errors {
            let Building { mut aggregate, forgotten, through } = building;
            if through.is_some() || !forgotten.is_empty() {
                aggregate.forgotten = Forgotten::stored(through, forgotten);
                aggregate.latest.forget_through(through);
            }
            aggregate.series.tidy();
            services.entry(id.service).or_default().errors.insert(id.key, Box::new(aggregate));
        }
        State::of_parts(services, self.sources, self.texts)
    }
}
