//! How a target was found when that last changed: what outlives a restart of whoever scrapes it.

use crate::merge::Merge;
use crate::time::Timestamp;

/// How a target was found, and since when. The later finding rules.
///
/// Only changes are noted, so that a target that goes on answering costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastState {
    since: Timestamp,
    is_down: bool,
    reason: Box<str>,
}

/// The longest reason that is kept, in bytes.
const LONGEST: usize = 1024;

impl LastState {
    /// It answered well.
    pub fn up(since: Timestamp) -> Self {
        Self { since, is_down: false, reason: "".into() }
    }

    /// It did not, because of `reason`, of which at most 1 KiB is kept.
    pub fn down(since: Timestamp, reason: &str) -> Self {
        let cut = (0..=LONGEST.min(reason.len())).rev().find(|i| reason.is_char_boundary(*i));
        Self { since, is_down: true, reason: reason[..cut.unwrap_or(0)].into() }
    }

    /// Since when it is so.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether it answered well.
    pub fn is_up(&self) -> bool {
        !self.is_down
    }

    /// Why it is down; empty if it is not.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Merge for LastState {
    fn merge(&mut self, other: Self) -> bool {
        let grows = other > *self;
        if grows {
            *self = other;
        }
        grows
    }
}
