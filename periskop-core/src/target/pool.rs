//! From the groups that discovery tells to the targets of one service.
//!
//! A pool does no scraping and keeps no health: it answers which targets there are, and what each
//! change of groups or of configuration changed. Only what changed is relabelled again, also within
//! a group: many mechanisms tell one group of everything whenever one target of it changes.
//!
//! Invariant: what a pool answers follows from the groups it holds, not from the order in which
//! they came.

mod active;
mod group;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use crate::ids::ServiceName;
use crate::target::{
    Labels, RelabelConfig, ScrapeSettings, Target, TargetError, TargetGroup, TargetId, relabel,
};
use active::{Active, Touched};
use group::{Fate, Group, Match};

/// One configured discovery of a service. Whoever drives discovery gives each a number, and
/// another configuration another number, so that a reload shows which of them are still the same.
pub type ProviderId = usize;

/// A service as it is configured: how its targets are found and what is scraped of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSpec {
    /// The service. It is the label `job` of its targets unless they say otherwise.
    pub name: ServiceName,
    /// Its discoveries.
    pub providers: Vec<ProviderId>,
    /// Defaults for what a target's labels do not say.
    pub scrape: ScrapeSettings,
    /// Applied to each discovered target.
    pub relabel: Vec<RelabelConfig>,
    /// Above this many targets none of them is scraped; 0 is no limit.
    pub target_limit: usize,
}

impl ServiceSpec {
    /// A service with all defaults.
    pub fn new(name: impl Into<ServiceName>, providers: Vec<ProviderId>) -> Self {
        Self {
            name: name.into(),
            providers,
            scrape: ScrapeSettings::default(),
            relabel: Vec::new(),
            target_limit: 0,
        }
    }

    fn discovered(&self, group: &TargetGroup, target: &Labels) -> Labels {
        self.scrape.discovered_labels(self.name.as_str(), target, &group.labels)
    }

    /// Whether the same comes of every target.
    fn judges_as(&self, other: &Self) -> bool {
        (&self.name, &self.scrape, &self.relabel) == (&other.name, &other.scrape, &other.relabel)
    }

    /// What a target comes to, `None` where relabelling drops it.
    fn judge(&self, discovered: Labels) -> Result<Option<Target>, TargetError> {
        relabel(&self.relabel, discovered.clone())
            .map(|labels| Target::new(&self.name, &self.scrape, discovered, labels))
            .transpose()
    }
}

/// The targets of one service.
///
/// Where several discovered targets come out the same they are one, with the discovered labels
/// that are first in order.
#[derive(Debug)]
pub struct Pool {
    spec: ServiceSpec,
    /// Providers that a reload brought and that have not told anything yet.
    awaited: BTreeSet<ProviderId>,
    groups: BTreeMap<(ProviderId, String), Group>,
    active: Active,
}

impl Pool {
    /// A pool without targets.
    pub fn new(spec: ServiceSpec) -> Self {
        Self { spec, awaited: BTreeSet::new(), groups: BTreeMap::new(), active: Active::default() }
    }

    /// The service as it is configured now.
    pub const fn spec(&self) -> &ServiceSpec {
        &self.spec
    }

    /// Takes what a provider tells: each group replaces the one of the same source, one without
    /// targets ends its source. A provider that does not belong to the pool (any more) is not
    /// heard.
    pub fn update(&mut self, provider: ProviderId, groups: Vec<TargetGroup>) -> PoolChange {
        if !self.spec.providers.contains(&provider) {
            return PoolChange::default();
        }
        let mut touched = Touched::default();
        for group in groups {
            self.replace(provider, group, &mut touched);
        }
        if self.awaited.remove(&provider) {
            self.drop_departed(&mut touched);
        }
        touched.change(&self.active)
    }

    /// Takes another configuration. Targets that come out the same stay.
    ///
    /// What providers told that are gone stays until all new ones have told something, so that a
    /// change of the way in which a fleet is found does not make the fleet depart for a moment.
    pub fn reconfigure(&mut self, spec: ServiceSpec) -> PoolChange {
        let new = |provider: &&ProviderId| !self.spec.providers.contains(provider);
        self.awaited.extend(spec.providers.iter().filter(new));
        self.awaited.retain(|provider| spec.providers.contains(provider));
        let old = mem::replace(&mut self.spec, spec);
        let mut touched = Touched::default();
        if old.judges_as(&self.spec) {
            self.drop_departed(&mut touched);
        } else {
            self.active.release_all(&mut touched);
            for ((provider, source), group) in mem::take(&mut self.groups) {
                if self.is_there(provider) {
                    let group = self.claim(group.into_told(), &mut touched);
                    self.groups.insert((provider, source), group);
                }
            }
        }
        touched.change(&self.active)
    }

    /// The targets, in no order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.active.targets()
    }

    /// One target.
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.active.get(id)
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.active.len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.active.len() == 0
    }

    /// What discovery found and is not scraped, by provider and source. Labels are made when they
    /// are asked for: what relabelling drops may be most of what a cluster holds.
    pub fn dropped(&self) -> impl Iterator<Item = DroppedTarget<'_>> {
        self.groups.values().flat_map(|group| {
            group.dropped().map(|(target, error)| DroppedTarget {
                discovered: self.spec.discovered(group.told(), target),
                error,
            })
        })
    }

    /// How many are [`dropped`](Self::dropped).
    pub fn dropped_count(&self) -> usize {
        self.groups.values().map(Group::dropped_count).sum()
    }

    /// Why none of the targets may be scraped, if that is so.
    pub fn over_limit(&self) -> Option<TargetLimitExceeded> {
        let limit = self.spec.target_limit;
        (limit > 0 && self.len() > limit)
            .then(|| TargetLimitExceeded { targets: self.len(), limit })
    }

    fn replace(&mut self, provider: ProviderId, told: TargetGroup, touched: &mut Touched) {
        let key = (provider, told.source.clone());
        let group = match self.groups.get(&key) {
            None => self.claim(told, touched),
            Some(old) if *old.told() == told => return,
            Some(_) => {
                let old = self.groups.remove(&key).unwrap_or_default();
                self.exchange(old, told, touched)
            }
        };
        if !group.told().targets.is_empty() {
            self.groups.insert(key, group);
        }
    }

    /// Lets what is equal in both groups be.
    fn exchange(&mut self, mut old: Group, told: TargetGroup, touched: &mut Touched) -> Group {
        let Match { of_new, gone } = Match::new(old.told(), &told);
        for index in gone {
            self.release(&old, index, touched);
        }
        let mut fates = Vec::with_capacity(told.targets.len());
        for (target, same) in told.targets.iter().zip(of_new) {
            fates.push(match same {
                Some(index) => old.take_fate(index),
                None => self.decide(&told, target, touched),
            });
        }
        Group::new(told, fates)
    }

    fn claim(&mut self, told: TargetGroup, touched: &mut Touched) -> Group {
        let fates = told.targets.iter().map(|target| self.decide(&told, target, touched));
        let fates = fates.collect::<Vec<_>>();
        Group::new(told, fates)
    }

    fn decide(&mut self, group: &TargetGroup, target: &Labels, touched: &mut Touched) -> Fate {
        match self.spec.judge(self.spec.discovered(group, target)) {
            Ok(Some(target)) => {
                let id = target.id();
                self.active.hold(target, touched);
                Fate::Active(id)
            }
            Ok(None) => Fate::Dropped(None),
            Err(error) => Fate::Dropped(Some(error)),
        }
    }

    fn release(&mut self, group: &Group, index: usize, touched: &mut Touched) {
        if let Some((id, target)) = group.active_at(index) {
            let discovered = || self.spec.discovered(group.told(), target);
            self.active.release(id, discovered, touched);
        }
    }

    fn drop_departed(&mut self, touched: &mut Touched) {
        let departed = self.groups.keys().filter(|(provider, _)| !self.is_there(*provider));
        for key in departed.cloned().collect::<Vec<_>>() {
            let Some(group) = self.groups.remove(&key) else { continue };
            for index in 0..group.told().targets.len() {
                self.release(&group, index, touched);
            }
        }
    }

    /// Whether what a provider told still counts.
    fn is_there(&self, provider: ProviderId) -> bool {
        !self.awaited.is_empty() || self.spec.providers.contains(&provider)
    }
}

/// What an update of a pool changed.
#[derive(Debug, Default)]
pub struct PoolChange {
    /// Targets that were not there.
    pub added: Vec<TargetId>,
    /// Targets that are no longer there.
    pub removed: Vec<Target>,
}

/// Something that discovery found and that is not scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedTarget<'a> {
    /// Its labels before relabelling.
    pub discovered: Labels,
    /// Why; `None` where relabelling dropped it, as somebody wished.
    pub error: Option<&'a TargetError>,
}

/// There are more targets than somebody thought possible, so probably discovery or relabelling is
/// wrong. As in Prometheus none is scraped then, rather than some that chance selects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("target_limit exceeded (number of targets: {targets}, limit: {limit})")]
pub struct TargetLimitExceeded {
    /// How many there are.
    pub targets: usize,
    /// How many there may be.
    pub limit: usize,
}

#[cfg(test)]
mod tests;
