//! What readers of sums were told of one error, and how that outlives the process.

use std::time::Duration;

use hashbrown::HashMap;

use crate::aggregate::{
    Age, Aggregate, Counts, Forgotten, Incarnation, Known, LatestOccurrences, Since, Tally,
};
use crate::ids::{AggregationKey, ReplicaId, ServiceName, SourceId};
use crate::state::{Delta, State};
use crate::time::Timestamp;

/// Begins the name of the service under which the sums of another one are stored. Sums join like
/// counts do, so they are stored as counts: every store can hold them, and they are durable in the
/// same commit as what they tell of.
const STORED: &str = "periskop.sums/";

/// The source under which the largest sum that was told is stored.
const TOLD: &str = "periskop.told";

/// How far the clock of a pusher may be ahead of ours: what is said of a time it told is said of
/// this much later as well.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// More than any counter has: stores keep counts up to 2^53.
const ALL: u64 = 1 << 53;

/// One error, as readers of sums see it.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) created_at: Option<Timestamp>,
    /// What was told: everything that was ever added, whatever is forgotten since.
    pub(super) told: u64,
    /// What incarnations had when they were first seen, if that may have been counted before.
    before: HashMap<Incarnation, u64>,
    /// What sources without `created_at` had when they were forgotten: it cannot be seen from
    /// their lives whether they were here before.
    forgotten: HashMap<SourceId, u64>,
    /// When the last of those was heard that went because there were too many.
    crowded_out: Option<Timestamp>,
}

impl Sum {
    /// What lives of one source add to the sum: without what may have been counted before. What
    /// people had forgotten here is counted: a sum that fell would be taken for a restart.
    pub(super) fn part(&self, counts: &Counts, source: SourceId) -> u64 {
        let added = |known: &Known| {
            let before = self.before.get(&known.incarnation).copied().unwrap_or(0);
            known.tally.count().saturating_sub(before)
        };
        counts.sum_of_source(source, added)
    }

    /// An incarnation that is not known has counted so much. How much of that may have been
    /// counted before: all of it, where it may have been here and been forgotten.
    pub(super) fn appears(
        &mut self,
        now: Timestamp,
        retention: Duration,
        incarnation: Incarnation,
        count: u64,
    ) {
        let counted = match incarnation.since {
            Since::CreatedAt(since) => {
                let forgotten = since < now.minus(retention).plus(AHEAD);
                let crowded_out = self.crowded_out.is_some_and(|last| since <= last.plus(AHEAD));
                let is_ahead = since > now.plus(AHEAD) || self.before.contains_key(&incarnation);
                (forgotten || crowded_out || is_ahead).then_some(count)
            }
            Since::Reset { .. } => self.forgotten.get(&incarnation.source).copied(),
        };
        if let Some(counted) = counted {
            let most = self.before.entry(incarnation).or_default();
            *most = counted.max(*most);
        }
    }

    /// These are about to be forgotten: not that they were counted.
    pub(super) fn forgets(&mut self, counts: &Counts, gone: &[(Incarnation, Age)]) {
        for (incarnation, age) in gone {
            self.lets_go(incarnation, *age);
            if incarnation.observer().is_some() {
                let had = counts.numbered_total(incarnation.source);
                let most = self.forgotten.entry(incarnation.source).or_default();
                *most = had.max(*most);
            }
        }
    }

    /// These went because there were too many. Nobody knows any more what they had.
    pub(super) fn lost(&mut self, gone: &[(Incarnation, Age)]) {
        for (incarnation, age) in gone {
            self.lets_go(incarnation, *age);
            self.crowded_out = self.crowded_out.max(Some(age.time()));
            if incarnation.observer().is_some() {
                self.forgotten.insert(incarnation.source, ALL);
            }
        }
    }

    /// If it comes back it is known by when it began that it may have been here; unless its clock
    /// is ahead, which is remembered.
    fn lets_go(&mut self, incarnation: &Incarnation, age: Age) {
        if !matches!(incarnation.since, Since::CreatedAt(since) if since > age.time().plus(AHEAD)) {
            self.before.remove(incarnation);
        }
    }

    /// All of it, for a store. `touched` are the incarnations of which something may be new.
    fn to_stored<'a>(&self, touched: impl Iterator<Item = &'a Incarnation>) -> Aggregate {
        let told = self.created_at.map(|created_at| Known {
            incarnation: Incarnation {
                source: SourceId::of(TOLD),
                since: Since::CreatedAt(created_at),
            },
            tally: Tally::new(self.told.min(ALL), None, None),
            age: Age::exported(created_at),
        });
        let touched = touched.flat_map(|incarnation| {
            let before = self.before.get(incarnation).map(|count| (*incarnation, *count));
            let forgotten = self.forgotten.get(&incarnation.source);
            before.into_iter().chain(forgotten.map(|had| (marker(incarnation.source), *had)))
        });
        Aggregate {
            counts: told.into_iter().collect(),
            forgotten: Forgotten::stored(self.crowded_out, touched),
            latest: LatestOccurrences::new(1),
            ..Aggregate::default()
        }
    }

    /// What a store had.
    pub(super) fn join_stored(&mut self, stored: &Aggregate) {
        for known in stored.counts.iter() {
            self.told = self.told.max(known.tally.count());
            if let Since::CreatedAt(created_at) = known.incarnation.since {
                let first = self.created_at.map_or(created_at, |known| known.min(created_at));
                self.created_at = Some(first);
            }
        }
        self.crowded_out = self.crowded_out.max(stored.forgotten.through());
        for (incarnation, count) in stored.forgotten.counts() {
            let most = match *incarnation == marker(incarnation.source) {
                true => self.forgotten.entry(incarnation.source).or_default(),
                false => self.before.entry(*incarnation).or_default(),
            };
            *most = (*count).max(*most);
        }
    }
}

/// Stands for all lives of a source without `created_at`.
fn marker(source: SourceId) -> Incarnation {
    let since = Since::Reset { observer: ReplicaId::from_u64(0), n: u32::MAX };
    Incarnation { source, since }
}

/// Adds to `delta` what a store is to know of a sum.
pub(super) fn store<'a>(
    service: &ServiceName,
    key: &AggregationKey,
    sum: &Sum,
    touched: impl Iterator<Item = &'a Incarnation>,
    delta: &mut Delta,
) {
    let stored = sum.to_stored(touched);
    let service = ServiceName::from(format!("{STORED}{service}"));
    delta.state.join_aggregate(&service, key.clone(), stored, &mut Delta::default());
}

/// The incarnations of one error that a prune takes.
pub(super) fn of(pruned: &[(Incarnation, Age)]) -> impl Iterator<Item = &Incarnation> {
    pruned.iter().map(|(incarnation, _)| incarnation)
}

/// Takes the stored sums out of a state: what is left is the state that they tell of.
pub(super) fn take(state: &mut State) -> Vec<(ServiceName, AggregationKey, Aggregate)> {
    let names: Vec<_> =
        state.services().filter(|name| name.as_str().starts_with(STORED)).cloned().collect();
    let mut taken = Vec::new();
    for name in names {
        let of = ServiceName::from(&name.as_str()[STORED.len()..]);
        let errors = state.services.remove(&name).map(|service| service.errors);
        let errors = errors.into_iter().flatten();
        taken.extend(errors.map(|(key, aggregate)| (of.clone(), key, *aggregate)));
    }
    taken
}
