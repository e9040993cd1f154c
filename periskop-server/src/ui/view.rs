//! What the pages show: plain values, already chosen, counted and bounded, not yet formatted.
//!
//! Whatever a target, a user or a configuration wrote is a [`Text`].

mod error;
mod list;
mod targets;

use std::time::Duration;

use periskop_core::ids::sha256_hex;
use periskop_core::{AggregateId, Severity, Timestamp};

use super::chart::Series;
use super::format;
use super::link;
use super::text::Text;

pub use error::*;
pub use list::*;
pub use targets::*;

/// All services, worst first.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// One a service.
    pub services: Vec<ServiceRow>,
}

impl Overview {
    /// Instances that answer.
    pub fn up(&self) -> usize {
        self.services.iter().map(|s| s.up).sum()
    }

    /// Instances known.
    pub fn instances(&self) -> usize {
        self.services.iter().map(|s| s.instances).sum()
    }

    /// Errors that want attention.
    pub fn open(&self) -> usize {
        self.services.iter().map(|s| s.open).sum()
    }

    /// Of these, those that are new.
    pub fn news(&self) -> usize {
        self.services.iter().map(|s| s.new).sum()
    }

    /// Of these, those that came back.
    pub fn regressed(&self) -> usize {
        self.services.iter().map(|s| s.regressed).sum()
    }

    /// Occurrences per minute, now.
    pub fn rate(&self) -> f64 {
        self.services.iter().map(|s| s.rate).sum()
    }
}

/// A service in the overview.
#[derive(Clone, Debug)]
pub struct ServiceRow {
    /// Its name.
    pub name: Text,
    /// Instances that answered their last scrape.
    pub up: usize,
    /// Instances that are scraped.
    pub instances: usize,
    /// Errors open or regressed.
    pub open: usize,
    /// Of these, first seen lately.
    pub new: usize,
    /// Of these, resolved once and back.
    pub regressed: usize,
    /// Occurrences per minute, now.
    pub rate: f64,
    /// Now, as a multiple of the day before; where there is something to compare with.
    pub trend: Option<f64>,
    /// The worst severity among its open errors.
    pub severity: Severity,
    /// Its occurrences in the last day.
    pub series: Series,
}

impl ServiceRow {
    /// An identity within the page that survives live updates.
    pub fn id(&self) -> String {
        format!("s-{}", &sha256_hex(self.name.as_str().as_bytes())[..16])
    }

    /// Whether it explodes.
    pub fn is_rising(&self) -> bool {
        self.trend.is_some_and(|ratio| ratio >= RISING)
    }
}

/// So many times the usual rate is called an explosion.
const RISING: f64 = 2.0;

/// An error in the list.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    /// Its service.
    pub service: Text,
    /// Its aggregation key.
    pub key: Text,
    /// The class of its newest exception, or the key where that has none.
    pub class: Text,
    /// Its message; may be empty.
    pub message: Text,
    /// How bad it is.
    pub severity: Severity,
    /// What to say of its state.
    pub state: State,
    /// Occurrences, ever.
    pub total: u64,
    /// The first of them.
    pub first_seen: Timestamp,
    /// The last of them.
    pub last_seen: Timestamp,
    /// Occurrences in the last day.
    pub series: Series,
}

impl ErrorRow {
    /// Which error.
    pub fn error_id(&self) -> AggregateId {
        AggregateId { service: self.service.as_str().into(), key: self.key.as_str().into() }
    }

    /// What a form sends of it.
    pub fn value(&self) -> String {
        link::value(&self.error_id())
    }

    /// An identity within the page that survives live updates: scripts and focus hold on to it.
    pub fn id(&self) -> String {
        let name = [self.service.as_str(), self.key.as_str()].join("\0");
        format!("e-{}", &sha256_hex(name.as_bytes())[..16])
    }
}

/// The state of an error, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Open for a while.
    Open,
    /// Open, first seen lately.
    New(Lately),
    /// Resolved, and it came back.
    Regressed,
    /// Resolved.
    Resolved,
    /// Hidden, for ever or until something happens.
    Muted(Muted),
}

/// How lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lately {
    /// Within the last hour.
    Hour,
    /// Within the last day.
    Day,
}

/// Until when an error is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// Until it is unmuted.
    Ever,
    /// For so much longer.
    For(Duration),
    /// Until it has occurred so often again.
    Further(u64),
}

impl State {
    /// The word on the page; none for a state without need of one.
    pub fn word(self) -> Option<String> {
        Some(match self {
            Self::Open => return None,
            Self::New(_) => "NEW".to_owned(),
            Self::Regressed => "REGRESSED".to_owned(),
            Self::Resolved => "RESOLVED".to_owned(),
            Self::Muted(Muted::Ever) => "MUTED".to_owned(),
            Self::Muted(Muted::For(left)) => format!("MUTED {}", format::span(left)),
            Self::Muted(Muted::Further(n)) => format!("MUTED {} more", format::short(n)),
        })
    }

    /// The class that colours the word.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::New(Lately::Hour) => "new now",
            Self::New(Lately::Day) => "new",
            Self::Regressed => "reg",
            Self::Resolved => "ok",
            Self::Muted(_) => "mut",
        }
    }

    /// Whether the error is hidden, and can be shown again.
    pub const fn is_muted(self) -> bool {
        matches!(self, Self::Muted(_))
    }

    /// The word of the act that resolves the error, or reopens it.
    pub const fn resolving(self) -> &'static str {
        if self.can_resolve() { "resolve" } else { "reopen" }
    }

    /// Whether the error can be resolved; else it can be reopened.
    pub const fn can_resolve(self) -> bool {
        !matches!(self, Self::Resolved)
    }
}

/// What runs here, and how it is configured.
#[derive(Clone, Debug, Default)]
pub struct StatusPage {
    /// Groups of facts, each with its heading.
    pub facts: Vec<(&'static str, Vec<(&'static str, Text)>)>,
    /// The configuration as it is in force, secrets as `<secret>`.
    pub config: Text,
    /// What the operator should know, such as an address open to everybody.
    pub warnings: Vec<Text>,
}

/// What could not be done.
#[derive(Clone, Debug)]
pub struct ProblemPage {
    /// The HTTP status.
    pub status: u16,
    /// In a few words.
    pub title: &'static str,
    /// What was asked for, or what to do.
    pub detail: Text,
}
