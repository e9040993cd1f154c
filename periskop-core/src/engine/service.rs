//! One service: its targets and how they fare.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use crate::engine::{Event, Health, ScrapeFailure, ScrapeResult};
use crate::ids::ServiceName;
use crate::report::Warning;
use crate::target::{
    DroppedTarget, LastState, Pool, ProviderId, ServiceSpec, Target, TargetId, TargetLimitExceeded,
};
use crate::time::Timestamp;

/// What the engine keeps of a service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) pool: Pool,
    pub(super) targets: HashMap<TargetId, Scraped>,
    /// How many of the targets are in each health.
    pub(super) healths: Healths,
    /// How many targets share a URL. The state knows a target by its URL.
    urls: HashMap<Arc<str>, usize>,
    pub(super) failing: BTreeMap<ProviderId, String>,
    /// Memos that are older than this are void.
    pub(super) memo_epoch: u64,
    /// Whether none may be scraped since there are too many.
    pub(super) halted: bool,
    /// The limit that its targets say they are over.
    pub(super) limit_told: Option<usize>,
}

/// What the engine keeps of a target.
#[derive(Debug)]
pub(super) struct Scraped {
    pub(super) url: Arc<str>,
    pub(super) status: TargetStatus,
    /// Memos that are older than this are void.
    pub(super) memo_epoch: u64,
}

impl Service {
    pub(super) fn new(spec: ServiceSpec, memo_epoch: u64) -> Self {
        Self {
            pool: Pool::new(spec),
            targets: HashMap::new(),
            healths: Healths::default(),
            urls: HashMap::new(),
            failing: BTreeMap::new(),
            memo_epoch,
            halted: false,
            limit_told: None,
        }
    }

    /// Begins to keep a target; its URL if no other target has it.
    pub(super) fn enter(&mut self, id: TargetId, memo_epoch: u64) -> Option<Arc<str>> {
        let url = self.pool.target(id)?.url();
        let (url, sharing) = match self.urls.get_key_value(url) {
            Some((url, sharing)) => (Arc::clone(url), *sharing),
            None => (Arc::from(url), 0),
        };
        self.urls.insert(Arc::clone(&url), sharing + 1);
        let status = TargetStatus::default();
        self.healths.enter(status.health);
        self.targets.insert(id, Scraped { url: Arc::clone(&url), status, memo_epoch });
        (sharing == 0).then_some(url)
    }

    /// Keeps a target no longer; its URL if no other target has it.
    pub(super) fn leave(&mut self, id: TargetId) -> Option<Arc<str>> {
        let Scraped { url, status, .. } = self.targets.remove(&id)?;
        self.healths.leave(status.health);
        let sharing = self.urls.get_mut(&url)?;
        *sharing -= 1;
        if *sharing > 0 {
            return None;
        }
        self.urls.remove(&url);
        Some(url)
    }

    /// Takes note of how a scrape of one of its targets ended; an event if that changes whether the
    /// target is up.
    pub(super) fn record(&mut self, now: Timestamp, result: &ScrapeResult) -> Option<Event> {
        let Scraped { url, status, .. } = self.targets.get_mut(&result.target)?;
        status.scrapes += 1;
        status.last_scrape = Some(now);
        status.last_duration = result.duration;
        let before = status.health;
        match &result.outcome {
            // The reason why it will not be asked again says more than this answer.
            _ if self.halted => {}
            Ok(report) => {
                status.health = Health::Up;
                status.last_error = None;
                status.warnings.clone_from(&report.warnings);
            }
            Err(failure) => {
                status.health = Health::Down;
                status.last_error = Some(failure.clone());
                status.failures += 1;
            }
        }
        self.healths.leave(before);
        self.healths.enter(status.health);
        (status.health != before).then(|| Event::Target {
            service: self.pool.spec().name.clone(),
            target: result.target,
            url: Arc::clone(url),
            health: status.health,
            failure: status.last_error.clone(),
        })
    }

    pub(super) fn has_url(&self, url: &str) -> bool {
        self.urls.contains_key(url)
    }

    /// The URLs of its targets, each once.
    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.urls.keys().map(|url| &**url)
    }
}

/// How many targets are in each health: counted as it changes, for nobody wants to look at ten
/// thousand targets to say how many are up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healths {
    /// Not tried yet.
    pub unknown: usize,
    /// Up.
    pub up: usize,
    /// Down.
    pub down: usize,
}

impl Healths {
    /// How many are in this health.
    pub const fn of(self, health: Health) -> usize {
        match health {
            Health::Unknown => self.unknown,
            Health::Up => self.up,
            Health::Down => self.down,
        }
    }

    pub(super) fn enter(&mut self, health: Health) {
        *self.count(health) += 1;
    }

    pub(super) fn leave(&mut self, health: Health) {
        let count = self.count(health);
        *count = count.saturating_sub(1);
    }

    fn count(&mut self, health: Health) -> &mut usize {
        match health {
            Health::Unknown => &mut self.unknown,
            Health::Up => &mut self.up,
            Health::Down => &mut self.down,
        }
    }
}

/// How a target fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetStatus {
    /// Whether it answers.
    pub health: Health,
    /// Why it is down; `None` while it is not.
    pub last_error: Option<ScrapeFailure>,
    /// When the last scrape ended.
    pub last_scrape: Option<Timestamp>,
    /// How long the last scrape took.
    pub last_duration: Duration,
    /// Scrapes since this process found it.
    pub scrapes: u64,
    /// How many of them failed.
    pub failures: u64,
    /// What was wrong with parts of its last good answer.
    pub warnings: Vec<Warning>,
}

/// A service as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct ServiceView<'a>(pub(super) &'a Service);

impl<'a> ServiceView<'a> {
    /// Its name.
    pub fn name(self) -> &'a ServiceName {
        &self.0.pool.spec().name
    }

    /// How it is configured.
    pub fn spec(self) -> &'a ServiceSpec {
        self.0.pool.spec()
    }

    /// How many targets it has.
    pub fn target_count(self) -> usize {
        self.0.pool.len()
    }

    /// How many of them are in each health.
    pub fn healths(self) -> Healths {
        self.0.healths
    }

    /// What was found and is not scraped. There may be many; see [`Pool::dropped`].
    pub fn dropped(self) -> impl Iterator<Item = DroppedTarget<'a>> {
        self.0.pool.dropped()
    }

    /// How many are [`dropped`](Self::dropped).
    pub fn dropped_count(self) -> usize {
        self.0.pool.dropped_count()
    }

    /// Why none of its targets is scraped, if that is so.
    pub fn over_limit(self) -> Option<TargetLimitExceeded> {
        self.0.pool.over_limit()
    }

    /// The discoveries whose last attempt failed, and why.
    pub fn failing_discoveries(self) -> impl Iterator<Item = (ProviderId, &'a str)> {
        self.0.failing.iter().map(|(provider, reason)| (*provider, reason.as_str()))
    }
}

/// A target as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct TargetView<'a> {
    pub(super) service: &'a ServiceName,
    pub(super) target: &'a Target,
    pub(super) status: &'a TargetStatus,
    pub(super) last: Option<&'a LastState>,
    pub(super) next_scrape: Option<Timestamp>,
}

impl<'a> TargetView<'a> {
    /// The service that it belongs to.
    pub const fn service(self) -> &'a ServiceName {
        self.service
    }

    /// What is scraped: labels, discovered labels, URL, interval, timeout.
    pub const fn target(self) -> &'a Target {
        self.target
    }

    /// How it fares.
    pub const fn status(self) -> &'a TargetStatus {
        self.status
    }

    /// How it was found when that last changed, before this process began included; `None` if it
    /// has never been tried.
    pub const fn last_state(self) -> Option<&'a LastState> {
        self.last
    }

    /// When it is scraped next; `None` while a scrape is under way or none is allowed.
    pub const fn next_scrape(self) -> Option<Timestamp> {
        self.next_scrape
    }
}
