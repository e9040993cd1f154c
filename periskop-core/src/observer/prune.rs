//! Forgetting by age: explicit, and never part of a merge.

use hashbrown::HashSet;

use crate::aggregate::{Aggregate, Known, LatestOccurrences};
use crate::ids::{AggregateId, SourceId};
use crate::observer::Observer;
use crate::observer::exports::Local;
use crate::time::Timestamp;

/// What a [`Observer::prune`] forgot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Errors that went whole; what people had forgotten of them stays forgotten.
    pub errors: Vec<AggregateId>,
    /// Errors that lost some incarnations.
    pub reduced: Vec<AggregateId>,
    /// How many incarnations went.
    pub incarnations: usize,
}

impl Pruned {
    /// Whether nothing was forgotten.
    pub fn is_empty(&self) -> bool {
        self.incarnations == 0
    }
}

impl Observer {
    /// Forgets the incarnations that nobody has exported for the retention, and errors with their
    /// last one. A service is pruned only after every discovered target of it has been tried
    /// since the start, and only by an observer that has itself scraped it or received pushes for it.
    pub fn prune(&mut self, now: Timestamp) -> Pruned {
        let mut pruned = Pruned::default();
        let keep = self.settings.occurrences_per_error;
        let retention = self.settings.retention;
        let expired =
            |known: &Known| known.age.gone_since().is_some_and(|gone| gone.plus(retention) <= now);
        for (name, service) in &mut self.state.services {
            let all_tried = self.local.get(name).is_none_or(Local::all_tried);
            if !service.observers.contains(&self.id) || !all_tried {
                continue;
            }
            service.errors.retain(|key, aggregate| {
                let before = aggregate.counts.len();
                if before == 0 {
                    return true;
                }
                let id = || AggregateId { service: name.clone(), key: key.clone() };
                if aggregate.counts.iter().all(expired) {
                    pruned.incarnations += before;
                    pruned.errors.push(id());
                    // What people had forgotten outlives the error.
                    let forgotten = std::mem::take(&mut aggregate.forgotten);
                    let stays = !forgotten.is_empty();
                    let latest = LatestOccurrences::new(keep);
                    *aggregate = Aggregate { forgotten, latest, ..Aggregate::default() };
                    return stays;
                }
                let Aggregate { counts, triage, .. } = aggregate;
                counts.retain(|known| !expired(known) || triage.needs(known));
                if counts.len() < before {
                    pruned.incarnations += before - counts.len();
                    pruned.reduced.push(id());
                }
                true
            });
        }
        if !pruned.is_empty() {
            self.forget_sources();
        }
        pruned
    }

    /// A source's text and labels are kept only while something refers to it.
    fn forget_sources(&mut self) {
        let all = self.state.aggregates().flat_map(|known| known.counts.iter());
        let used: HashSet<SourceId> = all.map(|known| known.incarnation.source).collect();
        self.state.sources.retain(|source, _| used.contains(source));
        self.local.values_mut().for_each(|local| local.retain_heard(|s| used.contains(s)));
        self.state.texts.sweep();
    }
}
