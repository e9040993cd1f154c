//! The whole of Periskop without sockets, clock or runtime.
//!
//! Whoever drives it tells what happened, with the time at which it did, and does what it asks
//! for: after each `handle_*` poll the outputs until there are none, and call
//! [`handle_timeout`](Engine::handle_timeout) when the time of
//! [`poll_timeout`](Engine::poll_timeout) has come. Requests come out in the order in which they
//! are due. How many scrapes are under way at once, in all and per service, is for the driver to
//! bound; here a slow target delays nobody but itself.

mod messages;
mod service;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

pub use messages::{Event, Health, Output, ScrapeFailure, ScrapeRequest, ScrapeResult};
pub use service::{Healths, ServiceView, TargetStatus, TargetView};

use crate::aggregate::{Act, ActionId, Status};
use crate::ids::{AggregateId, ServiceName};
use crate::observer::{Observer, Settings, UnknownError};
use crate::report::Report;
use crate::state::{Delta, State};
use crate::target::{
    Labels, PoolChange, ProviderId, Schedule, ServiceSpec, TargetGroup, TargetId,
    TargetLimitExceeded,
};
use crate::time::Timestamp;
use service::Service;

/// Discovers, schedules, merges and tells what changed. See the [module](self).
pub struct Engine {
    observer: Observer,
    services: BTreeMap<ServiceName, Service>,
    /// Which service an active target belongs to.
    owners: HashMap<TargetId, ServiceName>,
    schedule: Schedule,
    in_flight: HashMap<TargetId, Flight>,
    outputs: VecDeque<Output>,
    last_memo_epoch: u64,
    next_prune: Timestamp,
    /// The last time told.
    now: Timestamp,
}

/// What is known of a request by the time its answer comes, even if its target has left.
#[derive(Debug)]
struct Flight {
    service: ServiceName,
    url: Arc<str>,
    labels: Labels,
}

/// How often ages that have lasted are told, and the state is asked to forget what is old: against
/// a retention of weeks, often.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl Engine {
    /// An engine that goes on from what the observer knows.
    pub fn new(observer: Observer, now: Timestamp) -> Self {
        Self {
            schedule: Schedule::new(observer.id()),
            observer,
            services: BTreeMap::new(),
            owners: HashMap::new(),
            in_flight: HashMap::new(),
            outputs: VecDeque::new(),
            last_memo_epoch: 0,
            next_prune: now.plus(PRUNE_EVERY),
            now,
        }
    }

    /// Takes the configured services, all of them. Services and targets that did not change keep
    /// their health and their rhythm; those of a service that is gone depart.
    pub fn handle_services(&mut self, now: Timestamp, services: Vec<ServiceSpec>) {
        self.advance(now);
        let mut before = mem::take(&mut self.services);
        let mut changes = Vec::new();
        for spec in services {
            let name = spec.name.clone();
            let known = before.remove(&name).or_else(|| self.services.remove(&name));
            let service = match known {
                Some(service) if *service.pool.spec() == spec => service,
                Some(mut service) => {
                    service.memo_epoch = self.fresh_epoch();
                    service.failing.retain(|provider, _| spec.providers.contains(provider));
                    changes.push((name.clone(), service.pool.reconfigure(spec)));
                    service
                }
                None => Service::new(spec, self.fresh_epoch()),
            };
            self.services.insert(name, service);
        }
        for (name, change) in changes {
            self.apply(now, &name, change);
        }
        for (name, service) in before {
            for target in service.targets.keys() {
                self.schedule.cancel(*target);
                self.owners.remove(target);
            }
            for url in service.urls() {
                let delta = self.observer.departed(now, &name, url);
                self.emit(delta);
            }
        }
    }

    /// Takes how much is kept and for how long, from now on.
    pub fn handle_settings(&mut self, now: Timestamp, settings: Settings) {
        self.advance(now);
        if settings.occurrences_per_error > self.observer.settings().occurrences_per_error {
            // What had no room may have some now.
            self.void_memos();
        }
        self.observer.set_settings(settings);
    }

    /// Takes what a discovery tells; see [`Discovery`](crate::discovery::Discovery).
    pub fn handle_groups(
        &mut self,
        now: Timestamp,
        service: &ServiceName,
        provider: ProviderId,
        groups: Vec<TargetGroup>,
    ) {
        self.advance(now);
        let Some(known) = self.services.get_mut(service) else { return };
        let change = known.pool.update(provider, groups);
        if known.failing.remove(&provider).is_some() {
            let service = service.clone();
            self.outputs.push_back(Output::Event(Event::Discovery {
                service,
                provider,
                failure: None,
            }));
        }
        self.apply(now, service, change);
    }

    /// Takes note that a discovery failed. What it told before stays.
    pub fn handle_discovery_failure(
        &mut self,
        now: Timestamp,
        service: &ServiceName,
        provider: ProviderId,
        reason: String,
    ) {
        self.advance(now);
        let Some(known) = self.services.get_mut(service) else { return };
        if !known.pool.spec().providers.contains(&provider) {
            return;
        }
        if known.failing.insert(provider, reason.clone()).is_none() {
            let (service, failure) = (service.clone(), Some(reason));
            self.outputs.push_back(Output::Event(Event::Discovery { service, provider, failure }));
        }
    }

    /// Takes the answer to a request. What nobody asked for is not heard.
    ///
    /// An answer that comes after its target has left is counted, since it was true when it was
    /// given, but exports nothing: what it says ages at once. If the whole service has left, the
    /// answer has too.
    pub fn handle_scrape(&mut self, now: Timestamp, result: ScrapeResult) {
        self.advance(now);
        let Some(flight) = self.in_flight.remove(&result.target) else { return };
        let Flight { service, url, labels } = flight;
        let Some(known) = self.services.get_mut(&service) else { return };
        if let Some(target) = known.pool.target(result.target) {
            if !known.halted {
                self.schedule.plan(now, target);
            }
            let changed = known.record(now, &result);
            let halted = known.halted;
            if changed.is_some() && !halted {
                let failure = result.outcome.as_ref().err().map(ToString::to_string);
                let delta = self.observer.found(now, &service, &url, failure.as_deref());
                self.emit(delta);
            }
            self.outputs.extend(changed.map(Output::Event));
        }
        let Some(known) = self.services.get_mut(&service) else { return };
        let active = known.has_url(&url);
        match result.outcome {
            Ok(report) => {
                let before = self.statuses(now, ids_of(&service, &report));
                let delta = self.observer.scraped(now, &service, &url, &labels, report);
                self.emit(delta);
                if !active {
                    let delta = self.observer.departed(now, &service, &url);
                    self.emit(delta);
                }
                self.emit_crowded_out();
                self.emit_changes(now, before);
            }
            Err(_) if active => {
                let delta = self.observer.scrape_failed(&service, &url);
                self.emit(delta);
            }
            Err(_) => {}
        }
    }

    /// Takes what somebody pushed.
    pub fn handle_push(&mut self, now: Timestamp, service: &ServiceName, report: Report) {
        self.advance(now);
        let before = self.statuses(now, ids_of(service, &report));
        let delta = self.observer.pushed(now, service, report);
        self.emit(delta);
        self.emit_crowded_out();
        self.emit_changes(now, before);
    }

    /// Takes what somebody does to an error. `action_id` is random.
    ///
    /// # Errors
    ///
    /// There is no such error.
    pub fn handle_act(
        &mut self,
        now: Timestamp,
        id: &AggregateId,
        action_id: ActionId,
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<(), UnknownError> {
        self.advance(now);
        let forgets = matches!(act, Act::Forget);
        let before = self.statuses(now, vec![id.clone()]);
        let delta = self.observer.act(now, id, action_id, act, by, why)?;
        if forgets {
            let epoch = self.fresh_epoch();
            if let Some(service) = self.services.get_mut(&id.service) {
                service.memo_epoch = epoch;
            }
        }
        self.emit(delta);
        self.emit_changes(now, before);
        Ok(())
    }

    /// Takes what another observer knows.
    pub fn handle_join(&mut self, now: Timestamp, other: &State) {
        let delta = self.join(now, other);
        if !delta.is_empty() {
            self.void_memos();
        }
        self.emit(delta);
    }

    /// Takes what the store holds, of an earlier process or of others that share it.
    pub fn handle_stored(&mut self, now: Timestamp, stored: &State) {
        let delta = self.join(now, stored);
        // Others may write to a shared store all the time: only memos of services of which they
        // knew something new are void.
        let epoch = self.fresh_epoch();
        for id in delta.changed() {
            if let Some(service) = self.services.get_mut(&id.service) {
                service.memo_epoch = epoch;
            }
        }
        if !delta.is_empty() {
            self.outputs.push_back(Output::Learned(delta));
        }
    }

    fn join(&mut self, now: Timestamp, other: &State) -> Delta {
        self.advance(now);
        let before = self.statuses(now, other.errors().map(|error| error.id()).collect());
        let delta = self.observer.join(now, other);
        self.emit_changes(now, before);
        delta
    }

    /// Does what is due: asks for scrapes, tells ages that have lasted, and forgets what is old.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        while let Some(target) = self.schedule.pop(now) {
            self.request(target);
        }
        if now >= self.next_prune {
            self.next_prune = now.plus(PRUNE_EVERY);
            let settled = self.observer.settle(now);
            self.emit(settled);
            let pruned = self.observer.prune(now);
            if !pruned.is_empty() {
                self.void_memos();
                self.outputs.push_back(Output::Pruned(pruned));
            }
        }
    }

    /// What is to be done or known next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) should be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.schedule.next().unwrap_or(self.next_prune);
        Some(due.min(self.next_prune))
    }

    /// What is known.
    pub fn state(&self) -> &State {
        self.observer.state()
    }

    /// Who observes, with which settings.
    pub const fn observer(&self) -> &Observer {
        &self.observer
    }

    /// The active targets, by service.
    pub fn targets(&self) -> impl Iterator<Item = TargetView<'_>> {
        self.services.keys().flat_map(|service| self.targets_of(service))
    }

    /// The active targets of a service, in no order.
    pub fn targets_of(&self, service: &ServiceName) -> impl Iterator<Item = TargetView<'_>> {
        self.services.get(service).into_iter().flat_map(|service| {
            service.pool.targets().filter_map(|target| {
                let scraped = service.targets.get(&target.id())?;
                let name = &service.pool.spec().name;
                Some(TargetView {
                    service: name,
                    target,
                    status: &scraped.status,
                    last: self.observer.last_state(name, &scraped.url),
                    next_scrape: self.schedule.next_of(target.id()),
                })
            })
        })
    }

    /// The configured services, by name.
    pub fn services(&self) -> impl Iterator<Item = ServiceView<'_>> {
        self.services.values().map(ServiceView)
    }

    /// One configured service.
    pub fn service(&self, name: &ServiceName) -> Option<ServiceView<'_>> {
        self.services.get(name).map(ServiceView)
    }

    /// Where the clock was set back, what waits for a moment of the old time waits for the next of
    /// the new.
    fn advance(&mut self, now: Timestamp) {
        let before = mem::replace(&mut self.now, now);
        if now >= before {
            return;
        }
        for target in self.services.values().flat_map(|service| service.pool.targets()) {
            if self.schedule.next_of(target.id()).is_some() {
                self.schedule.plan(now, target);
            }
        }
        self.next_prune = self.next_prune.min(now.plus(PRUNE_EVERY));
    }

    /// Lets the new targets of a service enter and those that are gone leave.
    fn apply(&mut self, now: Timestamp, name: &ServiceName, change: PoolChange) {
        let epoch = self.fresh_epoch();
        let Some(service) = self.services.get_mut(name) else { return };
        for id in &change.added {
            self.owners.insert(*id, name.clone());
            if let Some(url) = service.enter(*id, epoch) {
                self.observer.discovered(name, &url);
            }
        }
        let mut departed = Vec::new();
        for target in change.removed {
            self.owners.remove(&target.id());
            self.schedule.cancel(target.id());
            departed.extend(service.leave(target.id()));
        }
        match service.pool.over_limit() {
            Some(excess) => self.halt(name, &excess, &change.added),
            None if mem::take(&mut service.halted) => self.resume(now, name),
            None => {
                for id in change.added {
                    if let Some(target) = service.pool.target(id)
                        && !self.in_flight.contains_key(&id)
                    {
                        self.schedule.plan(now, target);
                    }
                }
            }
        }
        for url in departed {
            let delta = self.observer.departed(now, name, &url);
            self.emit(delta);
        }
    }

    /// Has none of a service's targets scraped, and says so of each that it was not said of.
    /// While there are too many, nothing changes for those that were told, but their number.
    fn halt(&mut self, name: &ServiceName, excess: &TargetLimitExceeded, added: &[TargetId]) {
        let Some(service) = self.services.get_mut(name) else { return };
        let failure = ScrapeFailure::new(excess.to_string());
        let was_halted = mem::replace(&mut service.halted, true);
        let told = service.limit_told.replace(excess.limit);
        let ids: Vec<TargetId> = match was_halted && told == Some(excess.limit) {
            true => added.to_vec(),
            false => service.targets.keys().copied().collect(),
        };
        for id in ids {
            self.schedule.cancel(id);
            let Some(scraped) = service.targets.get_mut(&id) else { continue };
            scraped.status.last_error = Some(failure.clone());
            let before = mem::replace(&mut scraped.status.health, Health::Down);
            service.healths.leave(before);
            service.healths.enter(Health::Down);
            if before != Health::Down {
                self.outputs.push_back(Output::Event(Event::Target {
                    service: name.clone(),
                    target: id,
                    url: Arc::clone(&scraped.url),
                    health: Health::Down,
                    failure: Some(failure.clone()),
                }));
            }
        }
    }

    /// Has all of a service's targets scraped again.
    fn resume(&mut self, now: Timestamp, name: &ServiceName) {
        let Some(service) = self.services.get_mut(name) else { return };
        for scraped in service.targets.values_mut() {
            service.healths.leave(scraped.status.health);
            scraped.status.health = Health::Unknown;
            service.healths.enter(Health::Unknown);
            scraped.status.last_error = None;
        }
        for target in service.pool.targets() {
            if !self.in_flight.contains_key(&target.id()) {
                self.schedule.plan(now, target);
            }
        }
    }

    fn request(&mut self, id: TargetId) {
        let Some(name) = self.owners.get(&id) else { return };
        let Some(service) = self.services.get(name) else { return };
        let (Some(target), Some(scraped)) = (service.pool.target(id), service.targets.get(&id))
        else {
            return;
        };
        self.in_flight.insert(
            id,
            Flight {
                service: name.clone(),
                url: Arc::clone(&scraped.url),
                labels: target.public_labels(),
            },
        );
        self.outputs.push_back(Output::Scrape(ScrapeRequest {
            target: id,
            service: name.clone(),
            url: Arc::clone(&scraped.url),
            timeout: target.timeout(),
            interval: target.interval(),
            memo_epoch: scraped.memo_epoch.max(service.memo_epoch),
        }));
    }

    fn fresh_epoch(&mut self) -> u64 {
        self.last_memo_epoch += 1;
        self.last_memo_epoch
    }

    fn void_memos(&mut self) {
        let epoch = self.fresh_epoch();
        for service in self.services.values_mut() {
            service.memo_epoch = epoch;
        }
    }

    fn emit_crowded_out(&mut self) {
        let gone = self.observer.take_crowded_out();
        if !gone.is_empty() {
            self.outputs.push_back(Output::CrowdedOut(gone));
        }
    }

    fn emit(&mut self, delta: Delta) {
        if !delta.is_empty() {
            self.outputs.push_back(Output::Changed(delta));
        }
    }

    fn statuses(
        &self,
        now: Timestamp,
        ids: Vec<AggregateId>,
    ) -> Vec<(AggregateId, Option<Status>)> {
        let status =
            |id: &AggregateId| self.observer.state().error(id).map(|error| error.status(now));
        ids.into_iter().map(|id| (status(&id), id)).map(|(status, id)| (id, status)).collect()
    }

    /// Tells of the errors that are not what they were.
    fn emit_changes(&mut self, now: Timestamp, before: Vec<(AggregateId, Option<Status>)>) {
        for (id, from) in before {
            let to = self.observer.state().error(&id).map(|error| error.status(now));
            if from != to {
                self.outputs.push_back(Output::Event(Event::Error { id, from, to }));
            }
        }
    }
}

/// The errors that a report may change, each once.
fn ids_of(service: &ServiceName, report: &Report) -> Vec<AggregateId> {
    let mut keys: Vec<_> = report.errors.iter().map(|error| error.key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|key| AggregateId { service: service.clone(), key }).collect()
}
