//! Forgetting by age: explicit, and never part of a merge.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::aggregate::{Age, Incarnation, Known};
use crate::ids::{AggregateId, ServiceName, SourceId};
use crate::observer::Observer;
use crate::observer::exports::Local;
use crate::target::LastState;
use crate::time::Timestamp;

/// What a [`Observer::prune`] forgot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Errors that went whole; what people had forgotten of them stays forgotten.
    pub errors: Vec<AggregateId>,
    /// The incarnations that went, of each error in order, each with what was last known of its
    /// age: where something later is known, it has come back and stays.
    pub incarnations: BTreeMap<AggregateId, Vec<(Incarnation, Age)>>,
    /// Targets that left long ago, by service and URL, each with how it was found last.
    pub targets: Vec<(ServiceName, Box<str>, LastState)>,
}

impl Pruned {
    /// Whether nothing was forgotten.
    pub fn is_empty(&self) -> bool {
        self.incarnations.is_empty() && self.targets.is_empty()
    }

    /// How many incarnations went.
    pub fn count(&self) -> usize {
        self.incarnations.values().map(Vec::len).sum()
    }

    /// Both, for a journal that writes now and then. `later` was forgotten later.
    pub fn append(&mut self, later: Self) {
        for id in later.errors {
            if let Err(at) = self.errors.binary_search(&id) {
                self.errors.insert(at, id);
            }
        }
        self.targets.extend(later.targets);
        for (id, more) in later.incarnations {
            let known = self.incarnations.entry(id).or_default();
            known.extend(more);
            // Of what went twice the later age counts.
            known.sort_unstable_by(|a, b| b.cmp(a));
            known.dedup_by_key(|(incarnation, _)| *incarnation);
            known.reverse();
        }
    }

    /// Whether it has this incarnation, which is now known to be of that age.
    pub(crate) fn has(gone: &[(Incarnation, Age)], known: &Known) -> bool {
        gone.binary_search_by_key(&known.incarnation, |(incarnation, _)| *incarnation)
            .is_ok_and(|i| known.age <= gone[i].1)
    }
}

impl Observer {
    /// Forgets the incarnations that nobody has exported for the retention, and errors with their
    /// last one. A service is pruned only after every discovered target of it has been tried
    /// since the start, and only by an observer that has itself scraped it or received pushes for it.
    pub fn prune(&mut self, now: Timestamp) -> Pruned {
        let pruned = self.expired(now);
        if !pruned.is_empty() || self.evicted > self.evicted_before {
            self.evicted_before = self.evicted;
            // Also where nothing is pruned: sources of what was crowded out are let go with it.
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
            let local = self.local.get(name);
            let left = service.targets.iter().filter(|(url, last)| {
                let discovered = local.is_some_and(|local| local.is_discovered(url));
                !discovered && last.since().plus(retention) <= now
            });
            let left = left.map(|(url, last)| (name.clone(), url.clone(), last.clone()));
            pruned.targets.extend(left);
            for (key, aggregate) in &service.errors {
                let whole = aggregate.counts.iter().all(expired);
                let goes =
                    |known: &&Known| expired(known) && (whole || !aggregate.triage.needs(known));
                let gone: Vec<_> =
                    aggregate.counts.iter().filter(goes).map(|k| (k.incarnation, k.age)).collect();
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
