//! How a store fares: for metrics, pages, and whoever asks whether the server is ready.

use std::time::{Duration, SystemTime};

use periskop_core::Timestamp;
use periskop_core::storage::StorageError;

use super::durations::Durations;

/// How a store fares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Which store, without credentials.
    pub name: String,
    /// Whether what is stored has been loaded. Until then what people did and what is older than
    /// this process is not known, and nobody can do anything.
    pub is_loaded: bool,
    /// Whether it did what it was asked for last.
    pub is_up: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// Why it failed when it last did, also if that is over.
    pub last_error: Option<String>,
    /// Of how many errors something waits to be written.
    pub pending: usize,
}

impl StoreStatus {
    /// What is wrong, on one line; `None` while all is well.
    pub fn trouble(&self) -> Option<String> {
        if self.is_up && self.is_loaded {
            return None;
        }
        let failure = self.last_error.as_ref().filter(|_| !self.is_up);
        let reason = match failure {
            Some(error) => format!("{error} (since {})", self.since),
            None => format!("{}: what is stored is being loaded", self.name),
        };
        Some(reason.replace(['\r', '\n'], " "))
    }
}

/// What metrics tell of a store.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Whether it did what it was asked for last.
    pub is_up: bool,
    /// Of how many errors something waits to be written.
    pub pending: usize,
    /// How often it failed.
    pub failures: u64,
    /// One for each commit.
    pub commits: Durations,
}

/// What is known of how a store fares.
#[derive(Debug)]
pub(super) struct Health {
    is_loaded: bool,
    is_up: bool,
    since: Timestamp,
    last_error: Option<String>,
    failures: u64,
    commits: Durations,
}

impl Health {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            is_loaded: false,
            is_up: false,
            since: now(),
            last_error: None,
            failures: 0,
            commits: Durations::default(),
        }
    }

    /// It did what it was asked for; since when it had failed, if it had.
    pub(super) fn answered(&mut self) -> Option<Timestamp> {
        let failed = (!self.is_up && self.failures > 0).then_some(self.since);
        self.turn(true);
        failed
    }

    /// It did not.
    pub(super) fn failed(&mut self, error: &StorageError) {
        self.failures += 1;
        self.last_error = Some(error.to_string());
        // Before it was loaded it was not up: the first failure is when it is known to be down.
        if self.is_up || self.failures == 1 {
            self.since = now();
        }
        self.turn(false);
    }

    pub(super) fn loaded(&mut self) {
        self.is_loaded = true;
    }

    pub(super) fn committed(&mut self, took: Duration) {
        self.commits.record(took);
    }

    fn turn(&mut self, is_up: bool) {
        if self.is_up != is_up {
            self.is_up = is_up;
            self.since = now();
        }
    }

    pub(super) fn status(&self, name: &str, pending: usize) -> StoreStatus {
        StoreStatus {
            name: name.to_owned(),
            is_loaded: self.is_loaded,
            is_up: self.is_up,
            since: self.since,
            last_error: self.last_error.clone(),
            pending,
        }
    }

    pub(super) fn figures(&self, pending: usize) -> Figures {
        Figures {
            is_up: self.is_up,
            pending,
            failures: self.failures,
            commits: self.commits.clone(),
        }
    }
}

/// Now, by the system's clock: people compare it with theirs.
fn now() -> Timestamp {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp::EPOCH.plus(since),
        Err(before) => Timestamp::EPOCH.minus(before.duration()),
    }
}
