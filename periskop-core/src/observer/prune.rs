//! Forgetting by age: explicit, and never part of a merge.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::aggregate::{Incarnation, Known};
use crate::ids::{AggregateId, SourceId};
use crate::observer::Observer;
use crate::observer::exports::Local;
use crate::time::Timestamp;

/// What a [`Observer::prune`] forgot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Errors that went whole; what people had forgotten of them stays forgotten.
    pub errors: Vec<AggregateId>,
    /// The incarnations that went, of each error in order.
    pub incarnations: BTreeMap<AggregateId, Vec<Incarnation>>,
}

impl Pruned {
    /// Whether nothing was forgotten.
    pub fn is_empty(&self) -> bool {
        self.incarnations.is_empty()
    }

    /// How many incarnations went.
    pub fn count(&self) -> usize {
        self.incarnations.values().map(Vec::len).sum()
    }
}

impl Observer {
    /// Forgets the incarnations that nobody has exported for the retention, and errors with their
    /// last one. A service is pruned only after every discovered target of it has been tried
    /// since the start, and only by an observer that has itself scraped it or received pushes for it.
    pub fn prune(&mut self, now: Timestamp) -> Pruned {
        let pruned = self.expired(now);
        if !pruned.is_empty() {
            self.state.remove(&pruned);
            let all = self.state.aggregates().flat_map(|known| known.counts.iter());
            let used: HashSet<SourceId> = all.map(|known| known.incarnation.source).collect();
            self.local.values_mut().for_each(|local| local.retain_heard(|s| used.contains(s)));
        }
        pruned
    }

    /// What a prune would forget now.
    pub(crate) fn expired(&self, now: Timestamp) -> Pruned {
        let retention = self.settings.retention;
        let expired =
            |known: &Known| known.age.gone_since().is_some_and(|gone| gone.plus(retention) <= now);
        let mut pruned = Pruned::default();
        for (name, service) in &self.state.services {
            let all_tried = self.local.get(name).is_none_or(Local::all_tried);
            if !service.observers.contains(&self.id) || !all_tried {
                continue;
            }
            for (key, aggregate) in &service.errors {
                let whole = aggregate.counts.iter().all(expired);
                let goes =
                    |known: &&Known| expired(known) && (whole || !aggregate.triage.needs(known));
                let gone: Vec<_> =
                    aggregate.counts.iter().filter(goes).map(|known| known.incarnation).collect();
                if gone.is_empty() {
                    continue;
                }
                let id = AggregateId { service: name.clone(), key: key.clone() };
                if whole {
                    pruned.errors.push(id.clone());
                }
                pruned.incarnations.insert(id, gone);
            }
        }
        pruned
    }
}
