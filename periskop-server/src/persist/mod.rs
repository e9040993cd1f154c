//! From the engine's deltas to the store.
//!
//! The driver notes what changed and goes on; a task of its own writes it, at most a second
//! later. Whatever a store does not take now is kept and written with what comes later: deltas
//! merge, so that waiting costs memory for what changed and not for how often. Invariant: writes
//! reach the store in the order in which they were noted, and one that may have failed is
//! repeated.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use periskop_core::Delta;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Storage, StorageError};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long what scrapes changed may wait, to be written together.
const GATHER: Duration = Duration::from_secs(1);
/// The pause after a failed write: doubled from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// What is to be written. A clone notes into the same journal; one without a store notes nothing.
#[derive(Clone, Default)]
pub(crate) struct Journal(Option<Arc<Shared>>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    writes: VecDeque<Write>,
    /// Told when everything that was noted before them is durable.
    waiters: Vec<oneshot::Sender<()>>,
}

enum Write {
    Commit(Box<Delta>),
    Prune(Pruned),
}

impl Journal {
    /// A journal, and the task that writes it to `storage`. `failed` is told of each failure.
    pub(crate) fn new(
        storage: Box<dyn Storage>,
        failed: impl Fn(&StorageError) + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let shared = Arc::new(Shared::default());
        let writer = Writer { shared: Arc::clone(&shared), storage, failed };
        (Self(Some(shared)), writer.run())
    }

    /// The state grew by this.
    pub(crate) fn changed(&self, delta: Delta) {
        let Some(shared) = &self.0 else { return };
        let mut queue = shared.queue();
        match queue.writes.back_mut() {
            Some(Write::Commit(before)) => before.append(delta),
            _ => queue.writes.push_back(Write::Commit(Box::new(delta))),
        }
        shared.wake.notify_one();
    }

    /// The state forgot this.
    pub(crate) fn pruned(&self, pruned: Pruned) {
        let Some(shared) = &self.0 else { return };
        shared.queue().writes.push_back(Write::Prune(pruned));
        shared.wake.notify_one();
    }

    /// Waits until everything that was noted is durable. Without a store it is as durable as it
    /// gets.
    pub(crate) async fn durable(&self) {
        let Some(shared) = &self.0 else { return };
        let (written, wait) = oneshot::channel();
        shared.queue().waiters.push(written);
        shared.wake.notify_one();
        // The writer ends with the process only.
        let _ = wait.await;
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to write, and for more of it unless somebody waits.
    async fn gather(&self) {
        let mut until = None;
        loop {
            {
                let queue = self.queue();
                if !queue.waiters.is_empty() {
                    return;
                }
                if !queue.writes.is_empty() && until.is_none() {
                    until = Some(Instant::now() + GATHER);
                }
            }
            match until {
                None => self.wake.notified().await,
                Some(at) if timeout_at(at, self.wake.notified()).await.is_err() => return,
                Some(_) => {}
            }
        }
    }
}

struct Writer<F> {
    shared: Arc<Shared>,
    storage: Box<dyn Storage>,
    failed: F,
}

impl<F: Fn(&StorageError) + Send + 'static> Writer<F> {
    async fn run(mut self) {
        let mut pause = RETRY.0;
        loop {
            self.shared.gather().await;
            let (mut writes, waiters) = {
                let mut queue = self.shared.queue();
                (std::mem::take(&mut queue.writes), std::mem::take(&mut queue.waiters))
            };
            match self.write(&mut writes).await {
                Ok(()) => {
                    pause = RETRY.0;
                    // Who does not wait any more has given up.
                    for waiter in waiters {
                        let _ = waiter.send(());
                    }
                }
                Err(error) => {
                    (self.failed)(&error);
                    self.put_back(writes, waiters);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Writes from the front; what is left was not, or perhaps not, written.
    async fn write(&mut self, writes: &mut VecDeque<Write>) -> Result<(), StorageError> {
        while let Some(write) = writes.front() {
            match write {
                Write::Commit(delta) => self.storage.commit(delta).await?,
                Write::Prune(pruned) => self.storage.prune(pruned).await?,
            }
            writes.pop_front();
        }
        Ok(())
    }

    fn put_back(&self, mut writes: VecDeque<Write>, waiters: Vec<oneshot::Sender<()>>) {
        let mut queue = self.shared.queue();
        for later in std::mem::take(&mut queue.writes) {
            match (writes.back_mut(), later) {
                (Some(Write::Commit(before)), Write::Commit(delta)) => before.append(*delta),
                (_, later) => writes.push_back(later),
            }
        }
        queue.writes = writes;
        queue.waiters.splice(0..0, waiters);
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::wire::exporter;
    use periskop_core::{Observer, ReplicaId, Settings, Timestamp};
    use periskop_storage::{Fault, Faulty, MemoryStorage};

    use super::*;

    fn delta(count: u64) -> Delta {
        let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        let body = format!(
            r#"{{"aggregated_errors": [{{"aggregation_key": "k{count}", "total_count": {count}}}]}}"#
        );
        let report = exporter::parse(body.as_bytes(), now, &exporter::Options::default()).unwrap();
        observer.pushed(now, &"s".into(), report)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_noted_is_written_and_somebody_who_waits_is_told() {
        let store = MemoryStorage::new();
        let (journal, writer) = Journal::new(Box::new(store.clone()), |_| {});
        let writer = tokio::spawn(writer);
        journal.changed(delta(1));
        journal.changed(delta(2));
        let begun = Instant::now();
        journal.durable().await;
        assert!(begun.elapsed() < GATHER, "whoever waits is not gathered for");
        assert_eq!(store.clone().load().await.unwrap().state.errors().count(), 2);
        journal.changed(delta(3));
        tokio::time::sleep(GATHER * 2).await;
        assert_eq!(store.clone().load().await.unwrap().state.errors().count(), 3);
        writer.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_at_any_operation_has_everything_in_the_end() {
        for fault in [Fault::Before, Fault::After] {
            for failing in 0..4 {
                let store = MemoryStorage::new();
                let faulty = Faulty::new(store.clone(), move |operation| {
                    (operation == failing || operation == failing + 1).then_some(fault)
                });
                let (failures, told) = std::sync::mpsc::channel();
                let (journal, writer) =
                    Journal::new(Box::new(faulty), move |_| failures.send(()).unwrap());
                let writer = tokio::spawn(writer);
                for count in 1..6 {
                    journal.changed(delta(count));
                    if count % 2 == 0 {
                        journal.durable().await;
                    }
                }
                journal.durable().await;
                assert_eq!(store.clone().load().await.unwrap().state.errors().count(), 5);
                assert!(told.try_recv().is_ok() || failing > 2);
                writer.abort();
            }
        }
    }

    #[tokio::test]
    async fn without_a_store_nobody_waits() {
        Journal::default().durable().await;
    }
}
