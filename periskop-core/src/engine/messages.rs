//! What goes into the engine and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::aggregate::Status;
use crate::ids::{AggregateId, ServiceName};
use crate::observer::Pruned;
use crate::report::Report;
use crate::state::Delta;
use crate::target::{ProviderId, TargetId};

/// Something that the engine wants done or known.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Scrape this target now and answer with [`Engine::handle_scrape`](super::Engine::handle_scrape).
    Scrape(ScrapeRequest),
    /// The state grew by this: to be stored, indexed and shown. Never empty.
    Changed(Delta),
    /// The state grew by this, which the store has: to be indexed and shown. Never empty.
    Learned(Delta),
    /// The state forgot this for its age: to be removed from store and index. Never empty.
    Pruned(Pruned),
    /// The state forgot this because there was too much of it: to be removed from the store. Never
    /// empty.
    CrowdedOut(Pruned),
    /// Something happened that somebody may want to be told.
    Event(Event),
}

/// One scrape to be made.
///
/// Each request must be answered once, whatever happens: the target is not asked again before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// The target.
    pub target: TargetId,
    /// Its service, whose HTTP client settings apply.
    pub service: ServiceName,
    /// What to fetch.
    pub url: Arc<str>,
    /// When to give up: this long after the request, connecting included.
    pub timeout: Duration,
    /// The time between two scrapes of this target.
    pub interval: Duration,
    /// What is remembered of this target's earlier answers may be used only if it was remembered
    /// under the same number: the state has since forgotten or learnt something else.
    pub memo_epoch: u64,
}

/// How a scrape ended.
#[derive(Debug)]
pub struct ScrapeResult {
    /// The target of the request.
    pub target: TargetId,
    /// How long it took.
    pub duration: Duration,
    /// What it answered.
    pub outcome: Result<Report, ScrapeFailure>,
}

/// Why a scrape gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeFailure {
    /// For people, without credentials.
    pub reason: String,
    /// Where in the (decompressed) answer the trouble is, in bytes.
    pub position: Option<usize>,
}

impl ScrapeFailure {
    /// A failure that has no place in the answer.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), position: None }
    }
}

impl fmt::Display for ScrapeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.position {
            Some(position) => write!(f, " (at byte {position})"),
            None => Ok(()),
        }
    }
}

/// Whether a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Health {
    /// It has not been tried.
    #[default]
    Unknown,
    /// Its last answer was good.
    Up,
    /// Its last scrape failed, or it may not be scraped.
    Down,
}

impl Health {
    /// The name that Prometheus's targets API gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A target's health changed.
    Target {
        /// The service.
        service: ServiceName,
        /// The target.
        target: TargetId,
        /// What is scraped.
        url: Arc<str>,
        /// Its health now.
        health: Health,
        /// Why it is down.
        failure: Option<ScrapeFailure>,
    },
    /// An error appeared, regressed, was resolved, reopened, muted or forgotten.
    Error {
        /// The error.
        id: AggregateId,
        /// What it was; `None` where it was not listed.
        from: Option<Status>,
        /// What it is; `None` where it is not listed any more.
        to: Option<Status>,
    },
    /// A discovery began to fail, or works again.
    Discovery {
        /// The service.
        service: ServiceName,
        /// Which of its discoveries.
        provider: ProviderId,
        /// Why it fails; `None`: it works.
        failure: Option<String>,
    },
}
