//! What waits to be written.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use periskop_core::Delta;
use periskop_core::observer::Pruned;
use periskop_core::storage::StorageError;
use periskop_core::wire::state::errors;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::health::{Figures, Health, StoreStatus};

/// How long what scrapes changed may wait, to be written together.
pub(super) const GATHER: Duration = Duration::from_secs(1);

/// What is to be written, and how the store fares that it is written to. A clone notes into the
/// same journal.
///
/// Deltas merge, and so do prunes: one of each is all that ever waits.
#[derive(Clone)]
pub struct Journal(Arc<Shared>);

struct Shared {
    name: String,
    pending: Mutex<Pending>,
    /// For the keeper: something was noted, somebody waits, or the end has come.
    wake: Notify,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Pending {
    noted: Noted,
    /// Errors that are being written.
    writing: usize,
    is_closed: bool,
}

/// What is to be written, and who waits for it.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) pruned: Pruned,
    /// What is known after the prune.
    pub(super) delta: Delta,
    /// Told when everything that was noted before them is durable.
    waiters: Vec<oneshot::Sender<()>>,
}

impl Journal {
    /// The journal of a store of this name, which has no credentials in it.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            pending: Mutex::default(),
            wake: Notify::new(),
            health: Mutex::new(Health::new()),
        }))
    }

    /// The state grew by this.
    pub fn changed(&self, delta: Delta) {
        self.pending().noted.delta.append(delta);
        self.0.wake.notify_one();
    }

    /// The state forgot this.
    pub fn pruned(&self, pruned: Pruned) {
        self.pending().noted.prune(pruned);
        self.0.wake.notify_one();
    }

    /// Waits until everything that was noted is durable; `false` if that will not come.
    pub async fn durable(&self) -> bool {
        let (written, wait) = oneshot::channel();
        self.pending().noted.waiters.push(written);
        self.0.wake.notify_one();
        wait.await.is_ok()
    }

    /// Nothing more will be noted: the keeper ends when everything is written.
    pub fn close(&self) {
        self.pending().is_closed = true;
        self.0.wake.notify_one();
    }

    /// Of how many errors something waits to be written.
    pub fn pending_errors(&self) -> usize {
        let pending = self.pending();
        pending.writing + errors(pending.noted.delta.state()).count()
    }

    /// How its store fares.
    pub fn status(&self) -> StoreStatus {
        let pending = self.pending_errors();
        self.health().status(&self.0.name, pending)
    }

    /// The same for metrics.
    pub fn figures(&self) -> Figures {
        let pending = self.pending_errors();
        self.health().figures(pending)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.0.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What only the keeper does.
impl Journal {
    /// Waits until something is to be done: what was noted is to be written, or it is time to ask
    /// the store for news.
    pub(super) async fn due(&self, next_poll: Instant) {
        let mut until = next_poll;
        let mut gathers = false;
        loop {
            {
                let mut pending = self.pending();
                if pending.is_closed || pending.noted.is_awaited() {
                    return;
                }
                if !gathers && !pending.noted.is_empty() {
                    gathers = true;
                    until = until.min(Instant::now() + GATHER);
                }
            }
            if timeout_at(until, self.0.wake.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Waits for so long; if somebody waits for a write only for `shortest`.
    pub(super) async fn pause(&self, shortest: Duration, longest: Duration) {
        let begun = Instant::now();
        loop {
            let hurries = {
                let mut pending = self.pending();
                pending.is_closed || pending.noted.is_awaited()
            };
            if hurries {
                return tokio::time::sleep_until(begun + shortest.min(longest)).await;
            }
            if timeout_at(begun + longest, self.0.wake.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until it is closed and nothing is to be written.
    pub(super) async fn finished(&self) {
        while !self.is_finished() {
            self.0.wake.notified().await;
        }
    }

    /// Whether it is closed and nothing is to be written.
    pub(super) fn is_finished(&self) -> bool {
        let pending = self.pending();
        pending.is_closed && pending.noted.is_empty() && pending.writing == 0
    }

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.pending().is_closed
    }

    /// What is to be written now.
    pub(super) fn take(&self) -> Noted {
        let mut pending = self.pending();
        pending.writing = errors(pending.noted.delta.state()).count();
        mem::take(&mut pending.noted)
    }

    /// It was written.
    pub(super) fn written(&self, noted: Noted) {
        self.pending().writing = 0;
        for waiter in noted.waiters {
            // Who does not wait any more has given up.
            let _ = waiter.send(());
        }
    }

    /// It was not, or perhaps not.
    pub(super) fn put_back(&self, mut noted: Noted) {
        let mut pending = self.pending();
        pending.writing = 0;
        let later = mem::take(&mut pending.noted);
        noted.prune(later.pruned);
        noted.delta.append(later.delta);
        noted.waiters.extend(later.waiters);
        pending.noted = noted;
    }

    /// The store did what it was asked for.
    pub(super) fn answered(&self) {
        if let Some(since) = self.health().answered() {
            tracing::info!(store = self.0.name, %since, "the store, which failed, works again");
        }
    }

    /// The store did not.
    pub(super) fn failed(&self, error: &StorageError) {
        self.health().failed(error);
    }

    /// What is stored has been loaded.
    pub(super) fn loaded(&self) {
        self.health().loaded();
    }

    /// Something was committed.
    pub(super) fn committed(&self, took: Duration) {
        self.health().committed(took);
    }
}

impl Noted {
    fn is_empty(&self) -> bool {
        self.pruned.is_empty() && self.delta.is_empty()
    }

    /// Whether somebody waits for it, and has not given up.
    fn is_awaited(&mut self) -> bool {
        self.waiters.retain(|waiter| !waiter.is_closed());
        !self.waiters.is_empty()
    }

    fn prune(&mut self, pruned: Pruned) {
        self.delta.forget(&pruned);
        self.pruned.append(pruned);
    }
}
