//! Who exports what right now, as this process heard it.

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;

use crate::aggregate::{Age, Aggregate, Incarnation, Known};
use crate::ids::{AggregationKey, ServiceName, SourceId};
use crate::state::{Delta, State};
use crate::time::Timestamp;

/// The incarnations of each error in one answer.
pub(super) type Exports = HashMap<AggregationKey, Vec<Incarnation>>;

/// An incarnation of an error.
pub(super) type Pair = (AggregationKey, Incarnation);

/// What began or ceased to be exported.
pub(super) type Turned = Vec<Pair>;

/// What is not told yet, and since when.
pub(super) type Unsettled = HashMap<Pair, Timestamp>;

/// Behind one address there may be several sources that answer in turn; of so many of them it is
/// remembered what they told, as for the memos of the parser.
const SOURCES_PER_TARGET: usize = 16;

/// What this process knows of one service.
#[derive(Default)]
pub(super) struct Local {
    targets: BTreeMap<String, Target>,
    /// When each source last answered or pushed.
    heard: HashMap<SourceId, Timestamp>,
    /// How many targets export an incarnation beside the first, where there are such.
    shared: HashMap<Pair, u32>,
    /// Whose age changed and has not been told yet, and since when.
    pub(super) unsettled: Unsettled,
}

#[derive(Default)]
struct Target {
    tried: bool,
    last_good: Option<Timestamp>,
    /// What its sources told, the one that answered last first; only that one is exported.
    answers: Vec<(SourceId, Exports)>,
}

impl Local {
    pub(super) fn discovered(&mut self, target: String) {
        self.targets.entry(target).or_default();
    }

    pub(super) fn tried(&mut self, target: String) {
        self.targets.entry(target).or_default().tried = true;
    }

    /// Whether a target is discovered now.
    pub(super) fn is_discovered(&self, target: &str) -> bool {
        self.targets.contains_key(target)
    }

    /// Whether every target discovered has been tried since the start.
    pub(super) fn all_tried(&self) -> bool {
        self.targets.values().all(|target| target.tried)
    }

    pub(super) fn last_good(&self, target: &str) -> Option<Timestamp> {
        self.targets.get(target)?.last_good
    }

    /// A source is heard now; returns when it was heard before.
    pub(super) fn heard(&mut self, source: SourceId, now: Timestamp) -> Option<Timestamp> {
        self.heard.insert(source, now)
    }

    /// Lets go of sources that nothing refers to.
    pub(super) fn retain_heard(&mut self, keep: impl Fn(&SourceId) -> bool) {
        self.heard.retain(|source, _| keep(source));
    }

    /// What the source told of these errors when it last answered at this target.
    pub(super) fn told_before(
        &self,
        target: &str,
        source: SourceId,
        keys: &[AggregationKey],
    ) -> Exports {
        let answers = self.targets.get(target).map_or(&[][..], |target| &target.answers);
        let told = answers.iter().find(|(s, _)| *s == source).map(|(_, exports)| exports);
        let of = |key| told.and_then(|told| told.get(key)).cloned().unwrap_or_default();
        keys.iter().map(|key| (key.clone(), of(key))).collect()
    }

    /// A target answered well; returns what began and what ceased to be exported.
    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        target: String,
        source: SourceId,
        mut exports: Exports,
        exported: impl Fn(&Pair) -> bool,
    ) -> (Turned, Turned) {
        for incarnations in exports.values_mut() {
            incarnations.sort_unstable();
            incarnations.dedup();
        }
        let target = self.targets.entry(target).or_default();
        target.tried = true;
        target.last_good = Some(now);
        let empty = Exports::new();
        let before = target.answers.first().map_or(&empty, |(_, exports)| exports);
        let began = missing(&exports, before);
        let ceased = missing(before, &exports);
        if let Some(i) = target.answers.iter().position(|(s, _)| *s == source) {
            target.answers.remove(i);
        }
        target.answers.insert(0, (source, exports));
        target.answers.truncate(SOURCES_PER_TARGET);
        let appeared = began.into_iter().filter(|pair| self.count_up(pair, &exported)).collect();
        let gone = ceased.into_iter().filter(|pair| self.count_down(pair)).collect();
        (appeared, gone)
    }

    /// A target is gone; returns what ceased to be exported.
    pub(super) fn departed(&mut self, target: &str) -> Turned {
        let answers = self.targets.remove(target).map(|target| target.answers).unwrap_or_default();
        let Some((_, exports)) = answers.into_iter().next() else { return Turned::new() };
        missing(&exports, &Exports::new()).into_iter().filter(|p| self.count_down(p)).collect()
    }

    /// One more target exports it; whether it is the first.
    fn count_up(&mut self, pair: &Pair, exported: impl Fn(&Pair) -> bool) -> bool {
        if !exported(pair) {
            return true;
        }
        *self.shared.entry(pair.clone()).or_default() += 1;
        false
    }

    /// One target less exports it; whether it was the last.
    fn count_down(&mut self, pair: &Pair) -> bool {
        let Some(others) = self.shared.get_mut(pair) else { return true };
        *others -= 1;
        if *others == 0 {
            self.shared.remove(pair);
        }
        false
    }
}

/// What is in `a` and not in `b`.
fn missing(a: &Exports, b: &Exports) -> Turned {
    let mut missing = Turned::new();
    for (key, incarnations) in a {
        let others = b.get(key).map_or(&[][..], Vec::as_slice);
        let new = incarnations.iter().filter(|i| others.binary_search(i).is_err());
        missing.extend(new.map(|incarnation| (key.clone(), *incarnation)));
    }
    missing
}

/// Says of incarnations whether they are exported, or since when not.
///
/// That is no news for anybody else until it has lasted: behind one address several sources may
/// take turns, and pushers push all the time. It is told at once where the incarnation itself is
/// new, or where what was told before has lasted and no longer holds.
pub(super) fn age(
    now: Timestamp,
    state: &mut State,
    service: &ServiceName,
    turned: Turned,
    age: Age,
    unsettled: &mut Unsettled,
    delta: &mut Delta,
) {
    for (key, incarnation) in turned {
        let known = state.aggregate(service, &key).and_then(|known| known.counts.get(&incarnation));
        let Some(&before) = known else { continue };
        let told = before.age.gone_since().is_some_and(|gone| lasted(gone, now));
        let is_new = delta.state.aggregate(service, &key);
        let is_new = is_new.is_some_and(|new| new.counts.get(&incarnation).is_some());
        let counts = [Known { age: age.after(before.age), ..before }].into_iter().collect();
        let update = Aggregate { counts, ..Aggregate::default() };
        if is_new || (told && age.is_exported()) {
            state.join_aggregate(service, key, update, delta);
        } else {
            state.join_aggregate(service, key.clone(), update, &mut Delta::default());
            unsettled.entry((key, incarnation)).or_insert(now);
        }
    }
}

/// Whether an age that began at `since` is told to a store and to others.
pub(super) fn lasted(since: Timestamp, now: Timestamp) -> bool {
    since.plus(Duration::from_secs(3600)) <= now
}
