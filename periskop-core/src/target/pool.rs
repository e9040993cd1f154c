//! From the groups that discovery tells to the targets of one service.
//!
//! A pool does no scraping and keeps no health: it answers which targets there are, and what each
//! change of groups or of configuration changed. Only what changed is relabelled again.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use hashbrown::HashMap;

use crate::ids::ServiceName;
use crate::target::{
    Labels, RelabelConfig, ScrapeSettings, Target, TargetError, TargetGroup, TargetId, relabel,
};

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
}

/// The targets of one service.
#[derive(Debug)]
pub struct Pool {
    spec: ServiceSpec,
    /// Providers that a reload brought and that have not told anything yet.
    awaited: BTreeSet<ProviderId>,
    groups: BTreeMap<(ProviderId, String), Group>,
    targets: HashMap<TargetId, Held>,
}

impl Pool {
    /// A pool without targets.
    pub fn new(spec: ServiceSpec) -> Self {
        Self { spec, awaited: BTreeSet::new(), groups: BTreeMap::new(), targets: HashMap::new() }
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
        self.awaited.remove(&provider);
        self.drop_groups_of_departed_providers(&mut touched);
        self.finish(touched)
    }

    /// Takes another configuration. Targets that come out the same stay.
    ///
    /// What providers told that are gone stays until all new ones have told something, so that a
    /// change of the way in which a fleet is found does not make the fleet depart for a moment.
    pub fn reconfigure(&mut self, spec: ServiceSpec) -> PoolChange {
        let old = mem::replace(&mut self.spec, spec);
        let new = &self.spec;
        self.awaited.retain(|provider| new.providers.contains(provider));
        self.awaited.extend(new.providers.iter().filter(|p| !old.providers.contains(p)));
        let same = (&old.scrape, &old.relabel) == (&new.scrape, &new.relabel);
        let mut touched = Touched::default();
        self.drop_groups_of_departed_providers(&mut touched);
        if !same {
            for ((provider, _), group) in mem::take(&mut self.groups) {
                self.release(&group.targets, &mut touched);
                self.claim(provider, group.told, &mut touched);
            }
        }
        self.finish(touched)
    }

    /// The targets, in no order.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.values().map(|held| &held.target)
    }

    /// One target.
    pub fn target(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(&id).map(|held| &held.target)
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// What discovery found and is not scraped, by provider and source. Labels are made when they
    /// are asked for: what relabelling drops may be most of what a cluster holds.
    pub fn dropped(&self) -> impl Iterator<Item = DroppedTarget<'_>> {
        self.groups.values().flat_map(|group| {
            group.dropped.iter().map(|dropped| DroppedTarget {
                discovered: self.discovered(&group.told, dropped.index),
                error: dropped.error.as_ref(),
            })
        })
    }

    /// How many are [`dropped`](Self::dropped).
    pub fn dropped_count(&self) -> usize {
        self.groups.values().map(|group| group.dropped.len()).sum()
    }

    /// Why none of the targets may be scraped, if that is so.
    pub fn over_limit(&self) -> Option<TargetLimitExceeded> {
        let limit = self.spec.target_limit;
        (limit > 0 && self.len() > limit)
            .then(|| TargetLimitExceeded { targets: self.len(), limit })
    }

    fn replace(&mut self, provider: ProviderId, told: TargetGroup, touched: &mut Touched) {
        let key = (provider, told.source.clone());
        match self.groups.get(&key) {
            Some(old) if old.told == told => return,
            Some(_) => {
                let old = self.groups.remove(&key);
                self.release(&old.map(|old| old.targets).unwrap_or_default(), touched);
            }
            None => {}
        }
        if !told.targets.is_empty() {
            self.claim(provider, told, touched);
        }
    }

    fn drop_groups_of_departed_providers(&mut self, touched: &mut Touched) {
        if !self.awaited.is_empty() {
            return;
        }
        let providers = &self.spec.providers;
        let mut gone = Vec::new();
        self.groups.retain(|(provider, _), group| {
            let stays = providers.contains(provider);
            if !stays {
                gone.append(&mut group.targets);
            }
            stays
        });
        self.release(&gone, touched);
    }

    fn claim(&mut self, provider: ProviderId, told: TargetGroup, touched: &mut Touched) {
        let mut group = Group { targets: Vec::new(), dropped: Vec::new(), told };
        for index in 0..group.told.targets.len() {
            let discovered = self.discovered(&group.told, index);
            let target = relabel(&self.spec.relabel, discovered.clone())
                .map(|labels| Target::new(&self.spec.name, &self.spec.scrape, discovered, labels))
                .transpose();
            match target {
                Ok(Some(target)) => {
                    group.targets.push(target.id());
                    self.hold(target, touched);
                }
                Ok(None) => group.dropped.push(Dropped { index, error: None }),
                Err(error) => group.dropped.push(Dropped { index, error: Some(error) }),
            }
        }
        self.groups.insert((provider, group.told.source.clone()), group);
    }

    fn discovered(&self, group: &TargetGroup, index: usize) -> Labels {
        let ServiceSpec { name, scrape, .. } = &self.spec;
        scrape.discovered_labels(name.as_str(), &group.targets[index], &group.labels)
    }

    fn hold(&mut self, target: Target, touched: &mut Touched) {
        let id = target.id();
        let holders = self.targets.get(&id).map_or(0, |held| held.holders);
        touched.before(id, holders);
        // The newer one: equal but for what discovery says of it.
        self.targets.insert(id, Held { target, holders: holders + 1 });
    }

    fn release(&mut self, targets: &[TargetId], touched: &mut Touched) {
        for id in targets {
            if let Some(held) = self.targets.get_mut(id) {
                touched.before(*id, held.holders);
                held.holders -= 1;
            }
        }
    }

    fn finish(&mut self, touched: Touched) -> PoolChange {
        let mut change = PoolChange::default();
        for (id, was_there) in touched.0 {
            let is_there = self.targets.get(&id).is_some_and(|held| held.holders > 0);
            if is_there && !was_there {
                change.added.push(id);
            } else if !is_there
                && let Some(held) = self.targets.remove(&id)
                && was_there
            {
                change.removed.push(held.target);
            }
        }
        change
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

#[derive(Debug)]
struct Group {
    told: TargetGroup,
    /// The targets it holds; one that it names twice is here twice.
    targets: Vec<TargetId>,
    dropped: Vec<Dropped>,
}

#[derive(Debug)]
struct Dropped {
    index: usize,
    error: Option<TargetError>,
}

/// A target, and how often groups name it.
#[derive(Debug)]
struct Held {
    target: Target,
    holders: usize,
}

/// Whether a target was there before the present change touched it.
#[derive(Default)]
struct Touched(HashMap<TargetId, bool>);

impl Touched {
    fn before(&mut self, id: TargetId, holders: usize) {
        self.0.entry(id).or_insert(holders > 0);
    }
}

#[cfg(test)]
mod tests;
