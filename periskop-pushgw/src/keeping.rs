//! The store of a gateway: how what is stored gets in, and how what was pushed becomes durable.

use std::time::Duration;

use periskop_core::storage::{Storage, StorageError};
use periskop_core::{ReplicaId, State};
use periskop_storage::persist::{Journal, News, Store, StoreStatus};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a push may wait to be durable.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// How long a stop waits for what was pushed last.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Where there is a store.
pub(crate) struct Keeping {
    journal: Journal,
    /// Until it is finished.
    store: Mutex<Option<Store>>,
}

/// What is stored, once it is known.
pub(crate) enum Stored {
    /// Everything, and who this gateway is.
    Everything(ReplicaId, Box<State>),
    /// Nothing yet: the store is away.
    NotYet,
}

impl Keeping {
    /// Opens a store, and waits for what is in it unless that takes long. `failed` is told of each
    /// failure.
    pub(crate) async fn open(
        name: &str,
        storage: Box<dyn Storage>,
        fresh: ReplicaId,
        failed: impl Fn(&StorageError) + Send + 'static,
    ) -> Result<(Self, Stored), StorageError> {
        let journal = Journal::new(name);
        let mut store = Store::open(storage, journal.clone(), fresh, failed);
        let stored = match store.news().await? {
            News::Loaded { id, state } => Stored::Everything(id, state.into()),
            News::Late | News::Learned(_) => Stored::NotYet,
        };
        Ok((Self { journal, store: Mutex::new(Some(store)) }, stored))
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn status(&self) -> StoreStatus {
        self.journal.status()
    }

    /// Waits until everything that was noted is durable; else why it is not.
    pub(crate) async fn durable(&self) -> Result<(), String> {
        let trouble = || {
            let status = self.journal.status();
            status.trouble().unwrap_or_else(|| format!("{}: it is slow", status.name))
        };
        // Whoever pushes waits in the middle of handling an exception: not for what will not come.
        let status = self.journal.status();
        if !status.is_up {
            return Err(trouble());
        }
        match timeout(STORE_WITHIN, self.journal.durable()).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(trouble()),
        }
    }

    /// Gives what the store has to tell to `learn`; ends when the store cannot be used any more.
    pub(crate) async fn follow(&self, learn: impl Fn(State)) -> StorageError {
        let mut store = self.store.lock().await;
        let Some(store) = store.as_mut() else { return std::future::pending().await };
        loop {
            match store.news().await {
                Ok(News::Loaded { state, .. } | News::Learned(state)) => learn(state),
                Ok(News::Late) => {}
                Err(error) => return error,
            }
        }
    }

    /// Writes what is left, for some seconds.
    pub(crate) async fn finish(&self) -> Result<(), StorageError> {
        match self.store.lock().await.take() {
            Some(store) => store.finish(STOP_WITHIN).await,
            None => Ok(()),
        }
    }
}
