//! One observer: a state, and what this process alone knows about it.
//!
//! Who exports what right now, which targets were tried since the start and when a source was
//! last heard of are not knowledge that merges: they are this process's own, and begin anew with
//! it. What they lead to (tallies, ages, series) goes into the [`State`].

mod exports;
mod hear;
mod prune;

use std::mem;
use std::time::Duration;

use hashbrown::HashMap;

use crate::aggregate::{
    Act, Action, ActionId, Age, Aggregate, Forgotten, Known, Triage, Watermark,
};
use crate::ids::{AggregateId, ReplicaId, ServiceName, SourceId};
use crate::merge::Merge;
use crate::report::Report;
use crate::state::{Delta, Source, State};
use crate::target::{Labels, LastState};
use crate::time::Timestamp;

use exports::{Exports, Local};
use hear::Hearing;
pub use prune::Pruned;

/// Sees reports, acts and departures, and keeps the [`State`] of what it saw.
pub struct Observer {
    id: ReplicaId,
    settings: Settings,
    started: Timestamp,
    state: State,
    local: HashMap<ServiceName, Local>,
    evicted: u64,
    /// The same when sources were last let go.
    evicted_before: u64,
    /// What went because there were too many, until somebody asks.
    crowded_out: Pruned,
    unusable_times: u64,
}

/// What is exported is told again to other observers this often within a retention: often enough
/// that one who cannot hear for weeks still forgets nothing.
const TOLD_AGAIN: u32 = 4;

/// An age that never lasts is told after so long.
const TOLD_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The newest occurrences kept of each error, 1 to 100.
    pub occurrences_per_error: u8,
    /// Incarnations remembered per error; beyond it the ones not exported go first.
    pub incarnations_limit: usize,
    /// How long an incarnation is remembered after it was last exported.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            occurrences_per_error: 10,
            // 100,000 one-shot jobs a day, each with an identity of its own, in 6.4 MB.
            incarnations_limit: 100_000,
            retention: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// There is no such service or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such error is known")]
pub struct UnknownError;

impl Observer {
    /// An observer that knows nothing yet. `id` must be that of no other running process.
    pub fn new(id: ReplicaId, settings: Settings, started: Timestamp) -> Self {
        Self::restore(id, settings, started, State::default())
    }

    /// An observer that starts on what a store kept. Nobody knows yet who exports what: what was
    /// exported at the stop ages from now.
    pub fn restore(
        id: ReplicaId,
        settings: Settings,
        started: Timestamp,
        mut state: State,
    ) -> Self {
        state.set_keep(settings.occurrences_per_error);
        state.aggregates_mut().for_each(|aggregate| {
            aggregate.counts.map_ages(|known| match known.age.is_exported() {
                true => Age::gone(started),
                false => known.age,
            });
        });
        Self {
            id,
            settings,
            started,
            state,
            local: HashMap::new(),
            evicted: 0,
            evicted_before: 0,
            crowded_out: Pruned::default(),
            unusable_times: 0,
        }
    }

    /// Who observes.
    pub fn id(&self) -> ReplicaId {
        self.id
    }

    /// What is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is known, for a store or another observer.
    pub fn into_state(self) -> State {
        self.state
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Other settings from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        if settings.occurrences_per_error != self.settings.occurrences_per_error {
            self.state.set_keep(settings.occurrences_per_error);
        }
        self.settings = settings;
    }

    /// How many incarnations went because an error had more than the limit, since the start.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What has gone because an error had more incarnations than the limit, since this was asked
    /// for last: for a store to follow.
    pub fn take_crowded_out(&mut self) -> Pruned {
        mem::take(&mut self.crowded_out)
    }

    /// How many occurrences came with a time that is not usable, since the start.
    pub fn unusable_times(&self) -> u64 {
        self.unusable_times
    }

    /// How a target was found when that last changed. `target` is its scrape URL.
    pub fn last_state(&self, service: &ServiceName, target: &str) -> Option<&LastState> {
        self.state.target(service, &without_userinfo(target))
    }

    /// A target is discovered. `target` is its scrape URL.
    pub fn discovered(&mut self, service: &ServiceName, target: &str) {
        self.local.entry(service.clone()).or_default().discovered(without_userinfo(target));
    }

    /// A target left discovery: what it exported ages from now.
    pub fn departed(&mut self, now: Timestamp, service: &ServiceName, target: &str) -> Delta {
        let mut delta = Delta::default();
        if let Some(local) = self.local.get_mut(service) {
            let gone = local.departed(&without_userinfo(target));
            let (age, unsettled) = (Age::gone(now), &mut local.unsettled);
            exports::age(now, &mut self.state, service, gone, age, unsettled, &mut delta);
        }
        delta
    }

    /// A target did not answer, or not well: it keeps what it last told, and its service is known.
    pub fn scrape_failed(&mut self, service: &ServiceName, target: &str) -> Delta {
        let mut delta = Delta::default();
        self.state.join_service(service, [self.id], &mut delta);
        self.local.entry(service.clone()).or_default().tried(without_userinfo(target));
        delta
    }

    /// A target answers well, or does not, because of `failure`. News only if that is not how it
    /// was found last.
    pub fn found(
        &mut self,
        now: Timestamp,
        service: &ServiceName,
        target: &str,
        failure: Option<&str>,
    ) -> Delta {
        let mut delta = Delta::default();
        let target = without_userinfo(target);
        let before = self.state.target(service, &target);
        if before.is_some_and(|before| before.is_up() == failure.is_none()) {
            return delta;
        }
        // What is found later rules, whatever the clock says.
        let after = before.map(|before| before.since().plus(Duration::from_micros(1)));
        let since = after.map_or(now, |after| after.max(now));
        let last = match failure {
            None => LastState::up(since),
            Some(reason) => LastState::down(since, reason),
        };
        self.state.join_target(service, target.into(), last, &mut delta);
        delta
    }

    /// A target answered.
    pub fn scraped(
        &mut self,
        now: Timestamp,
        service: &ServiceName,
        target: &str,
        labels: &Labels,
        report: Report,
    ) -> Delta {
        let target = without_userinfo(target);
        let name = report.target_uuid.clone().unwrap_or_else(|| target.clone());
        let labels = labels.iter().filter(|(name, _)| !name.starts_with("__")).collect();
        let (source, named) = self.source(&name, Some((now, labels)));
        let mut delta = Delta::default();
        self.state.join_service(service, [self.id], &mut delta);
        let local = self.local.entry(service.clone()).or_default();
        let horizon = local.last_good(&target).unwrap_or(self.started);
        let heard_before = local.heard(source, now);
        let unchanged = local.told_before(&target, source, &report.unchanged);
        let hearing = Hearing { now, source, heard_before, horizon, pushed: false };
        let mut exports = self.hear(service, &hearing, report, &mut delta);
        self.keep_unchanged(service, source, unchanged, &mut exports);
        self.join_named_source(source, named, &mut delta);
        let Some(local) = self.local.get_mut(service) else { return delta };
        let exported = |(key, incarnation): &exports::Pair| {
            let known = self.state.aggregate(service, key);
            known.and_then(|k| k.counts.get(incarnation)).is_some_and(|k| k.age.is_exported())
        };
        let (appeared, gone) = local.answered(now, target, source, exports, exported);
        for (turned, age) in [(appeared, Age::exported(now)), (gone, Age::gone(now))] {
            let unsettled = &mut local.unsettled;
            exports::age(now, &mut self.state, service, turned, age, unsettled, &mut delta);
        }
        delta
    }

    /// A process pushed its state.
    pub fn pushed(&mut self, now: Timestamp, service: &ServiceName, report: Report) -> Delta {
        let (source, named) = self.source(report.source_of_push(), None);
        let mut delta = Delta::default();
        self.state.join_service(service, [self.id], &mut delta);
        let local = self.local.entry(service.clone()).or_default();
        let heard_before = local.heard(source, now);
        let horizon = heard_before.unwrap_or(self.started);
        let hearing = Hearing { now, source, heard_before, horizon, pushed: true };
        let pushed = self.hear(service, &hearing, report, &mut delta);
        self.join_named_source(source, named, &mut delta);
        // What is pushed is exported by nobody; it ages from the last push that had it.
        let pairs = pushed.into_iter().flat_map(|(key, incarnations)| {
            incarnations.into_iter().map(move |incarnation| (key.clone(), incarnation))
        });
        let turned = pairs.filter(|pair| !self.is_exported(service, pair)).collect();
        if let Some(local) = self.local.get_mut(service) {
            let (age, unsettled) = (Age::gone(now), &mut local.unsettled);
            exports::age(now, &mut self.state, service, turned, age, unsettled, &mut delta);
        }
        delta
    }

    /// What has lasted by now of who is exported and who is not: an age is told once it has
    /// lasted an hour, so that idle scrapes write nothing. Worth calling every hour. One that
    /// never lasts, of somebody who pushes all the time, is told once a day all the same: after a
    /// restart it is as old as what was told last.
    ///
    /// Of a service that others observe as well it is told again now and then what is still
    /// exported here: to them, what they have not heard of for the retention is forgotten.
    pub fn settle(&mut self, now: Timestamp) -> Delta {
        let mut delta = Delta::default();
        self.tell_again(now, &mut delta);
        let patience = TOLD_WITHIN.min(self.settings.retention / TOLD_AGAIN);
        self.tell_ages(now, patience, &mut delta);
        delta
    }

    /// The same of everything that has not been told, whether it has lasted or not. Worth calling
    /// before a stop.
    pub fn settle_all(&mut self, now: Timestamp) -> Delta {
        let mut delta = Delta::default();
        self.tell_ages(now, Duration::ZERO, &mut delta);
        delta
    }

    /// Tells ages that have lasted, or have not been told for longer than `patience`.
    fn tell_ages(&mut self, now: Timestamp, patience: Duration, delta: &mut Delta) {
        let state = &self.state;
        let due = now.minus(patience);
        for (service, local) in &mut self.local {
            local.unsettled.retain(|(key, incarnation), since| {
                let known = state.aggregate(service, key).and_then(|k| k.counts.get(incarnation));
                let Some(&known) = known else { return false };
                let is_told = exports::lasted(known.age.time(), now) || *since <= due;
                if is_told {
                    let counts = [known].into_iter().collect();
                    let told = Aggregate { counts, ..Aggregate::default() };
                    let unheard = &mut Delta::default();
                    delta.state.join_aggregate(service, key.clone(), told, unheard);
                }
                !is_told
            });
        }
    }

    fn tell_again(&mut self, now: Timestamp, delta: &mut Delta) {
        let due = now.minus(self.settings.retention / TOLD_AGAIN);
        for (name, service) in &mut self.state.services {
            let others = service.observers.iter().any(|observer| *observer != self.id);
            if !others || !service.observers.contains(&self.id) {
                continue;
            }
            for (key, aggregate) in &mut service.errors {
                let old = |k: &&Known| k.age.is_exported() && k.age.time() <= due;
                let told: Vec<_> = aggregate.counts.iter().filter(old).copied().collect();
                if told.is_empty() {
                    continue;
                }
                let again = |known: Known| Known { age: Age::exported(now), ..known };
                let counts = told.into_iter().map(again).collect();
                let update = Aggregate { counts, ..Aggregate::default() };
                aggregate.merge(update.clone());
                delta.state.join_aggregate(name, key.clone(), update, &mut Delta::default());
            }
        }
    }

    fn is_exported(&self, service: &ServiceName, (key, incarnation): &exports::Pair) -> bool {
        let known = self.state.aggregate(service, key);
        known.and_then(|k| k.counts.get(incarnation)).is_some_and(|k| k.age.is_exported())
    }

    /// Somebody decided about an error. `action` is random; `by` is who: nobody is `anonymous`.
    ///
    /// # Errors
    ///
    /// [`UnknownError`] if there is no such error, or none that is listed.
    pub fn act(
        &mut self,
        now: Timestamp,
        id: &AggregateId,
        action: ActionId,
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<Delta, UnknownError> {
        let known = self.state.aggregate(&id.service, &id.key).ok_or(UnknownError)?;
        if known.total() == 0 {
            return Err(UnknownError);
        }
        // Later than whatever was done before, whatever the clocks say.
        let after = known.triage.newest().map(|at| at.plus(Duration::from_micros(1)));
        let at = after.map_or(now, |after| after.max(now));
        let watermark = match act {
            Act::Resolve | Act::Mute(_) => {
                Some(Box::new(Watermark::of(known.last_seen, &known.counts)))
            }
            Act::Reopen | Act::Unmute | Act::Forget => None,
        };
        let forgotten = match act {
            Act::Forget => {
                let through = known.last_seen.map_or(at, |seen| seen.max(at));
                let counts = known.counts.iter().map(|k| (k.incarnation, k.tally.count()));
                Forgotten::new(through, counts)
            }
            _ => Forgotten::default(),
        };
        let by = if by.is_empty() { "anonymous" } else { by };
        let action = Action { id: action, at, act, by: by.into(), why: why.into(), watermark };
        let update = Aggregate { triage: Triage::of(action), forgotten, ..Aggregate::default() };
        let mut delta = Delta::default();
        self.state.join_aggregate(&id.service, id.key.clone(), update, &mut delta);
        if act == Act::Forget {
            self.state.texts.sweep();
        }
        Ok(delta)
    }

    /// Joins what another observer knows. What is exported there ages here from now, unless it is
    /// exported here too.
    pub fn join(&mut self, now: Timestamp, other: &State) -> Delta {
        let mut other = other.clone();
        for (name, service) in &mut other.services {
            for (key, aggregate) in &mut service.errors {
                let ours = self.state.aggregate(name, key).map(|known| &known.counts);
                aggregate.counts.map_ages(|theirs| {
                    match ours.and_then(|counts| counts.get(&theirs.incarnation)) {
                        Some(ours) if ours.age.is_exported() => ours.age,
                        // What they said is known here already, and ages since then.
                        Some(ours) if ours.age >= theirs.age => ours.age,
                        _ if theirs.age.is_exported() => Age::gone(now),
                        _ => theirs.age,
                    }
                });
            }
        }
        self.state.join(other)
    }

    /// Names a source; labels that are the same as before are no news.
    fn source(&self, name: &str, labels: Option<(Timestamp, Labels)>) -> (SourceId, Source) {
        let id = SourceId::of(name);
        let known = self.state.sources.get(&id);
        let news = labels.filter(|(_, labels)| known.and_then(Source::labels) != Some(labels));
        (id, Source { name: crate::ids::bounded(name).as_ref().into(), labels: news })
    }

    /// A source is remembered only while something refers to it.
    fn join_named_source(&mut self, id: SourceId, source: Source, delta: &mut Delta) {
        let mine = |aggregate: &Aggregate| !aggregate.counts.of_source(id).is_empty();
        let counted = delta.state.aggregates().any(mine);
        if counted || self.state.sources.contains_key(&id) {
            self.state.join_source(id, source, delta);
        }
    }

    /// What a memo says is as it was is exported as it was.
    fn keep_unchanged(
        &self,
        service: &ServiceName,
        source: SourceId,
        unchanged: Exports,
        exports: &mut Exports,
    ) {
        for (key, mut incarnations) in unchanged {
            if incarnations.is_empty() {
                // Told so long ago that it is not remembered: the source's last life then.
                let counts = self.state.aggregate(service, &key).map(|known| &known.counts);
                let last = counts.and_then(|counts| counts.of_source(source).last());
                incarnations.extend(last.map(|known| known.incarnation));
            }
            exports.entry(key).or_default().extend(incarnations);
        }
    }
}

/// A new password is no new instance.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}
