//! What the page of targets shows.

use std::time::Duration;

use periskop_core::Timestamp;
use periskop_core::ids::sha256_hex;

use super::super::target_filter::{TargetFilter, TargetState};
use super::super::text::Text;

/// What is scraped.
#[derive(Clone, Debug, Default)]
pub struct TargetsPage {
    /// What is asked for.
    pub filter: TargetFilter,
    /// Per service, where a target matches.
    pub services: Vec<TargetGroup>,
    /// Of the services that are asked for, whatever the state.
    pub counts: TargetCounts,
    /// Every service that is configured.
    pub names: Vec<Text>,
}

/// How many targets are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetCounts {
    /// They answered their last scrape.
    pub up: usize,
    /// They did not.
    pub down: usize,
    /// They have not been tried yet.
    pub unknown: usize,
    /// Relabelling dropped them.
    pub dropped: usize,
}

impl TargetCounts {
    /// All but those that were dropped.
    pub fn total(&self) -> usize {
        self.up + self.down + self.unknown
    }

    /// So many are in that state.
    pub fn of(&self, state: TargetState) -> usize {
        match state {
            TargetState::All => self.total(),
            TargetState::Up => self.up,
            TargetState::Down => self.down,
            TargetState::Unknown => self.unknown,
            TargetState::Dropped => self.dropped,
        }
    }

    /// Counts one more.
    pub fn count(&mut self, health: Health) {
        match health {
            Health::Up => self.up += 1,
            Health::Down => self.down += 1,
            Health::Unknown => self.unknown += 1,
        }
    }

    /// Adds others.
    pub fn add(&mut self, others: Self) {
        self.up += others.up;
        self.down += others.down;
        self.unknown += others.unknown;
        self.dropped += others.dropped;
    }
}

/// The targets of a service.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// The service.
    pub service: Text,
    /// All of its targets.
    pub counts: TargetCounts,
    /// How many targets match, dropped ones included.
    pub matching: usize,
    /// How many pages they fill where the service is looked at alone; else 1.
    pub pages: usize,
    /// Those that are scraped and shown, those that are down first.
    pub targets: Vec<TargetRow>,
    /// Why some of what was found is no target; a bounded number.
    pub invalid: Vec<Text>,
    /// Labels of targets that relabelling dropped; those that are shown.
    pub dropped: Vec<Vec<(Text, Text)>>,
    /// Why discovery does not work at present.
    pub problems: Vec<Text>,
}

impl TargetGroup {
    /// How many match and are not shown.
    pub fn further(&self) -> usize {
        self.matching.saturating_sub(self.targets.len() + self.dropped.len())
    }
}

/// A target.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// Where it is scraped.
    pub url: Text,
    /// Whether it answers.
    pub health: Health,
    /// When it was last scraped.
    pub last_scrape: Option<Timestamp>,
    /// How long that took.
    pub took: Option<Duration>,
    /// What went wrong; may be empty.
    pub error: Text,
    /// How it was found last, if this process has not tried it yet.
    pub before: Option<Before>,
    /// What was wrong with parts of its last good answer.
    pub warnings: Vec<Text>,
    /// Its labels after relabelling.
    pub labels: Vec<(Text, Text)>,
    /// Its labels as discovery found them.
    pub discovered: Vec<(Text, Text)>,
}

impl TargetRow {
    /// An identity within the page that survives live updates.
    pub fn id(&self) -> String {
        // The same URL may be found twice, with other labels.
        let labels = self.discovered.iter().flat_map(|(name, value)| [name, value]);
        let all: Vec<_> = std::iter::once(&self.url).chain(labels).map(Text::as_str).collect();
        format!("t-{}", &sha256_hex(all.join("\0").as_bytes())[..16])
    }
}

/// How a target was found before this process began.
#[derive(Clone, Debug)]
pub struct Before {
    /// Whether it answered.
    pub is_up: bool,
    /// Since when it was so.
    pub since: Timestamp,
    /// Why it did not answer; may be empty.
    pub reason: Text,
}

/// Whether a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered its last scrape.
    Up,
    /// It did not.
    Down,
    /// It has not been scraped yet.
    Unknown,
}
