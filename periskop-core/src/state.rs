//! What is known of all services: the value that merges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use crate::aggregate::{Aggregate, LatestOccurrences, Series};
use crate::ids::{AggregateId, AggregationKey, ReplicaId, ServiceName, SourceId};
use crate::merge::{Merge, raise};
use crate::observer::Pruned;
use crate::target::{Labels, LastState};
use crate::texts::Texts;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// Everything that is known: services, their errors, and who counted.
///
/// A join semilattice: states of several observers join in any order, any number of times, to the
/// same result. What one process knows beyond that, such as who exports what right now, is its
/// [`Observer`](crate::Observer)'s.
#[derive(Default)]
pub struct State {
    pub(crate) services: BTreeMap<ServiceName, Service>,
    pub(crate) sources: HashMap<SourceId, Source>,
    pub(crate) texts: Texts,
    keep: Keep,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Service {
    /// Who has scraped it or received pushes for it: nobody else prunes it.
    pub(crate) observers: BTreeSet<ReplicaId>,
    /// Boxed: a tree has room for half as many again as it has in it.
    pub(crate) errors: BTreeMap<AggregationKey, Box<Aggregate>>,
    /// How its targets were found, by scrape URL without userinfo.
    pub(crate) targets: BTreeMap<Box<str>, LastState>,
}

/// How many occurrences of an error are kept.
#[derive(Clone, Copy)]
struct Keep(u8);

impl Default for Keep {
    fn default() -> Self {
        Self(10)
    }
}

/// Who counts: its name, and the labels of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub(crate) name: Arc<str>,
    /// After relabelling, without those that begin with `__`; and since when they are these.
    pub(crate) labels: Option<(Timestamp, Labels)>,
}

/// What a step found to be new: a small [`State`] that, joined elsewhere, has the same effect.
#[derive(Debug)]
pub struct Delta {
    pub(crate) state: State,
    changed: BTreeSet<AggregateId>,
    /// How many occurrences of each error the state keeps that this is part of.
    kept: u8,
}

impl State {
    /// Nothing known, `keep` occurrences of each error kept (1 to 100).
    pub fn new(keep: u8) -> Self {
        Self { keep: Keep(keep.clamp(1, LatestOccurrences::MOST)), ..Self::default() }
    }

    /// A state of these parts, which are as they should be.
    pub(crate) fn of_parts(
        services: BTreeMap<ServiceName, Service>,
        sources: HashMap<SourceId, Source>,
        texts: Texts,
    ) -> Self {
        Self { services, sources, texts, keep: Keep(LatestOccurrences::MOST) }
    }

    /// The services known: from their first scrape on, good or bad, with errors or without.
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }

    /// Whether a service is known.
    pub fn knows(&self, service: &ServiceName) -> bool {
        self.services.contains_key(service)
    }

    /// Every error whose total is not 0, by service and key.
    pub fn errors(&self) -> impl Iterator<Item = ErrorView<'_>> {
        self.services.iter().flat_map(|(name, service)| self.listed(name, service))
    }

    /// The errors of one service, by key.
    pub fn errors_of(&self, service: &ServiceName) -> impl Iterator<Item = ErrorView<'_>> {
        let known = self.services.get_key_value(service);
        known.into_iter().flat_map(|(name, service)| self.listed(name, service))
    }

    /// One error, if its total is not 0.
    pub fn error(&self, id: &AggregateId) -> Option<ErrorView<'_>> {
        let (name, service) = self.services.get_key_value(&id.service)?;
        let (key, aggregate) = service.errors.get_key_value(&id.key)?;
        aggregate.is_listed().then(|| ErrorView::new(self, name, key, aggregate))
    }

    /// Occurrences of all errors of a service over time, one sum for each `step`: of each error what
    /// [`ErrorView::series`] shows.
    pub fn series_of(
        &self,
        service: &ServiceName,
        from: Timestamp,
        to: Timestamp,
        step: Duration,
    ) -> Vec<(Timestamp, u64)> {
        let mut sums = Series::default().show(from, to, step);
        for error in self.errors_of(service) {
            if !error.may_be_seen_since(from) {
                continue;
            }
            for (sum, (_, count)) in sums.iter_mut().zip(error.series(from, to, step)) {
                sum.1 = sum.1.saturating_add(count);
            }
        }
        sums
    }

    fn listed<'a>(
        &'a self,
        name: &'a ServiceName,
        service: &'a Service,
    ) -> impl Iterator<Item = ErrorView<'a>> {
        let listed = service.errors.iter().filter(|(_, aggregate)| aggregate.is_listed());
        listed.map(move |(key, aggregate)| ErrorView::new(self, name, key, aggregate))
    }

    /// What is known of an error, listed or not.
    pub(crate) fn aggregate(
        &self,
        service: &ServiceName,
        key: &AggregationKey,
    ) -> Option<&Aggregate> {
        self.services.get(service)?.errors.get(key).map(Box::as_ref)
    }

    pub(crate) fn aggregate_mut(
        &mut self,
        service: &ServiceName,
        key: &AggregationKey,
    ) -> Option<&mut Aggregate> {
        self.services.get_mut(service)?.errors.get_mut(key).map(Box::as_mut)
    }

    /// Joins another state and tells what was new.
    pub fn join(&mut self, other: State) -> Delta {
        let mut delta = Delta::default();
        for (id, source) in other.sources {
            self.join_source(id, source, &mut delta);
        }
        for (name, service) in other.services {
            self.join_service(&name, service.observers, &mut delta);
            for (url, last) in service.targets {
                self.join_target(&name, url, last, &mut delta);
            }
            for (key, aggregate) in service.errors {
                self.join_aggregate(&name, key, *aggregate, &mut delta);
            }
        }
        delta
    }

    /// All of it as deltas of at most `errors_each` errors, for whoever stores a large state bit by
    /// bit. Each brings the sources that its errors name, unless one before it did, so that a store
    /// that drops what nothing refers to does not drop them in between.
    pub fn into_deltas(self, errors_each: usize) -> impl Iterator<Item = Delta> {
        let State { services, mut sources, keep, .. } = self;
        let mut services = services.into_iter();
        let mut unfinished = None;
        iter::from_fn(move || {
            let mut delta = Delta { kept: keep.0, ..Delta::default() };
            while delta.changed.len() < errors_each.max(1) {
                let next = unfinished.take().or_else(|| {
                    let (name, mut service) = services.next()?;
                    let errors = mem::take(&mut service.errors).into_iter();
                    delta.state.services.insert(name.clone(), service);
                    Some((name, errors))
                });
                let Some((name, mut errors)) = next else {
                    // What is left belongs to errors that are gone.
                    delta.state.sources.extend(sources.drain());
                    break;
                };
                let Some((key, aggregate)) = errors.next() else { continue };
                for known in aggregate.counts.iter() {
                    let source = known.incarnation.source;
                    delta.state.sources.extend(sources.remove(&source).map(|s| (source, s)));
                }
                delta.changed.insert(AggregateId { service: name.clone(), key: key.clone() });
                let service = delta.state.services.entry(name.clone()).or_default();
                service.errors.insert(key, aggregate);
                unfinished = Some((name, errors));
            }
            (!delta.is_empty()).then_some(delta)
        })
    }

    /// Who counts, by what identifies it.
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(&id)
    }

    /// How many sources are known.
    pub fn source_count(&self) -> usize {
        self.sources.len()
    }

    /// How a target was found when that last changed. `url` is what is scraped, without userinfo.
    pub fn target(&self, service: &ServiceName, url: &str) -> Option<&LastState> {
        self.services.get(service)?.targets.get(url)
    }

    /// Removes what an observer of this state pruned, so that a store can follow it. An error goes
    /// with its last incarnation, a source when nothing refers to it any more. What has been
    /// heard of since it was pruned stays.
    pub fn remove(&mut self, pruned: &Pruned) {
        for (name, url, last) in &pruned.targets {
            let Some(service) = self.services.get_mut(name) else { continue };
            service.targets.retain(|known, state| known != url || &*state > last);
        }
        for (id, gone) in &pruned.incarnations {
            let Some(service) = self.services.get_mut(&id.service) else { continue };
            let Some(aggregate) = service.errors.get_mut(&id.key) else { continue };
            aggregate.counts.retain(|known| !Pruned::has(gone, known));
            if !aggregate.counts.is_empty() {
                continue;
            }
            // What people had forgotten outlives the error.
            let forgotten = mem::take(&mut aggregate.forgotten);
            if forgotten.is_empty() {
                service.errors.remove(&id.key);
            } else {
                let latest = LatestOccurrences::new(self.keep.0);
                **aggregate = Aggregate { forgotten, latest, ..Aggregate::default() };
            }
        }
        let all = self.aggregates().flat_map(|known| known.counts.iter());
        let used: HashSet<SourceId> = all.map(|known| known.incarnation.source).collect();
        self.sources.retain(|source, _| used.contains(source));
        self.texts.sweep();
    }

    pub(crate) fn join_service(
        &mut self,
        name: &ServiceName,
        observers: impl IntoIterator<Item = ReplicaId>,
        delta: &mut Delta,
    ) {
        let before = self.services.len();
        let known = self.services.entry(name.clone()).or_default();
        let news: Vec<_> = observers.into_iter().filter(|o| known.observers.insert(*o)).collect();
        if !news.is_empty() || self.services.len() > before {
            delta.state.services.entry(name.clone()).or_default().observers.extend(news);
        }
    }

    pub(crate) fn join_target(
        &mut self,
        service: &ServiceName,
        url: Box<str>,
        last: LastState,
        delta: &mut Delta,
    ) {
        let targets = &mut self.services.entry(service.clone()).or_default().targets;
        if let Some(known) = targets.get_mut(&url) {
            if !known.merge(last.clone()) {
                return;
            }
        } else {
            targets.insert(url.clone(), last.clone());
        }
        delta.state.services.entry(service.clone()).or_default().targets.insert(url, last);
    }

    pub(crate) fn join_source(&mut self, id: SourceId, source: Source, delta: &mut Delta) {
        let known = match self.sources.get_mut(&id) {
            Some(known) => {
                if !raise(&mut known.labels, source.labels) {
                    return;
                }
                known.clone()
            }
            None => self.sources.entry(id).or_insert(source).clone(),
        };
        delta.state.sources.insert(id, known);
    }

    pub(crate) fn join_aggregate(
        &mut self,
        service: &ServiceName,
        key: AggregationKey,
        update: Aggregate,
        delta: &mut Delta,
    ) {
        let errors = &mut self.services.entry(service.clone()).or_default().errors;
        let known = errors.entry(key.clone()).or_insert_with(|| {
            let latest = LatestOccurrences::new(self.keep.0);
            Box::new(Aggregate { latest, ..Aggregate::default() })
        });
        let growth = known.join(update, &mut self.texts);
        delta.kept = self.keep.0;
        if growth.substance {
            delta.changed.insert(AggregateId { service: service.clone(), key: key.clone() });
        }
        if growth.any {
            let errors = &mut delta.state.services.entry(service.clone()).or_default().errors;
            match errors.entry(key) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(Box::new(growth.delta));
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().join(growth.delta, &mut delta.state.texts);
                }
            }
        }
    }

    /// Keeps this many occurrences of each error from now on (1 to 100).
    pub fn set_keep(&mut self, keep: u8) {
        self.keep = Keep(keep.clamp(1, LatestOccurrences::MOST));
        self.aggregates_mut().for_each(|aggregate| aggregate.latest.set_keep(keep));
    }

    pub(crate) fn aggregates(&self) -> impl Iterator<Item = &Aggregate> {
        self.services.values().flat_map(|service| service.errors.values()).map(Box::as_ref)
    }

    pub(crate) fn aggregates_mut(&mut self) -> impl Iterator<Item = &mut Aggregate> {
        self.services.values_mut().flat_map(|service| service.errors.values_mut()).map(Box::as_mut)
    }
}

impl Merge for State {
    fn merge(&mut self, other: Self) -> bool {
        !self.join(other).is_empty()
    }
}

impl Clone for State {
    /// A copy that shares the texts, and whose own texts begin anew.
    fn clone(&self) -> Self {
        Self {
            services: self.services.clone(),
            sources: self.sources.clone(),
            texts: Texts::default(),
            keep: self.keep,
        }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.services == other.services && self.sources == other.sources
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("services", &self.services)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, and since when they are these.
    pub fn labels_since(&self) -> Option<(Timestamp, &Labels)> {
        self.labels.as_ref().map(|(since, labels)| (*since, labels))
    }

    /// The labels of its target after relabelling, without those that begin with `__`.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref().map(|(_, labels)| labels)
    }
}

/// Nothing new.
impl Default for Delta {
    fn default() -> Self {
        // It keeps whatever the state keeps that it is part of, and shares its texts.
        let state = State { texts: Texts::passing(), ..State::new(LatestOccurrences::MOST) };
        Self { state, changed: BTreeSet::new(), kept: LatestOccurrences::MOST }
    }
}

impl Delta {
    /// Whether nothing at all was new.
    pub fn is_empty(&self) -> bool {
        self.state.services.is_empty() && self.state.sources.is_empty()
    }

    /// The errors of which something was new, ages and series apart.
    pub fn changed(&self) -> &BTreeSet<AggregateId> {
        &self.changed
    }

    /// Every error that is part of it, those of which only ages or series are new included.
    pub fn touched(&self) -> impl Iterator<Item = AggregateId> {
        self.state.services.iter().flat_map(|(name, service)| {
            let id = |key: &AggregationKey| AggregateId { service: name.clone(), key: key.clone() };
            service.errors.keys().map(id)
        })
    }

    /// The new knowledge itself.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The new knowledge itself.
    pub fn into_state(self) -> State {
        self.state
    }

    /// The same in parts of at most `errors_each` errors, which may be stored one after the other, as by
    /// [`State::into_deltas`]. All errors of a part pass for [changed](Self::changed).
    pub fn into_parts(self, errors_each: usize) -> impl Iterator<Item = Delta> {
        let kept = self.kept;
        self.state.into_deltas(errors_each).map(move |part| Delta { kept, ..part })
    }

    /// How many occurrences of each error are kept where this happened: whoever stores it need
    /// keep no more.
    pub fn occurrences_kept(&self) -> u8 {
        self.kept
    }

    /// Both, for a journal that writes now and then: they merge.
    pub fn append(&mut self, later: Delta) {
        if later.kept != self.kept {
            self.kept = later.kept;
            self.state.set_keep(self.kept);
        }
        self.state.join(later.state);
        self.changed.extend(later.changed);
    }

    /// Takes out what was pruned after it had become known, so that a journal need not write it.
    pub fn forget(&mut self, pruned: &Pruned) {
        for (id, gone) in &pruned.incarnations {
            let Some(service) = self.state.services.get_mut(&id.service) else { continue };
            let Some(aggregate) = service.errors.get_mut(&id.key) else { continue };
            aggregate.counts.retain(|known| !Pruned::has(gone, known));
            if pruned.errors.binary_search(id).is_ok() && aggregate.counts.is_empty() {
                self.changed.remove(id);
                let forgotten = mem::take(&mut aggregate.forgotten);
                if forgotten.is_empty() {
                    service.errors.remove(&id.key);
                } else {
                    **aggregate = Aggregate { forgotten, ..Aggregate::default() };
                }
            }
        }
        for (name, url, last) in &pruned.targets {
            if let Some(service) = self.state.services.get_mut(name) {
                service.targets.retain(|known, state| known != url || &*state > last);
            }
        }
    }
}
