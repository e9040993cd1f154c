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
    /// How many targets share a URL. The state knows a target by its URL.
    urls: HashMap<Arc<str>, usize>,
    pub(super) failing: BTreeMap<ProviderId, String>,
    /// Memos that are older than this are void.
    pub(super) memo_epoch: u64,
    /// Whether none may be scraped since there are too many.
    pub(super) halted: bool,
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
            urls: HashMap::new(),
            failing: BTreeMap::new(),
            memo_epoch,
            halted: false,
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
        self.targets.insert(id, Scraped { url: Arc::clone(&url), status, memo_epoch });
        (sharing == 0).then_some(url)
    }

    /// Keeps a target no longer; its URL if no other target has it.
    pub(super) fn leave(&mut self, id: TargetId) -> Option<Arc<str>> {
        let url = self.targets.remove(&id)?.url;
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
