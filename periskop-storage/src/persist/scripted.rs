//! A store that does as a test says, and remembers what it was asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::MemoryStorage;
use async_trait::async_trait;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId, State};

/// A clone is another handle on the same store.
#[derive(Clone, Default)]
pub struct Scripted {
    /// Where it keeps what it is given.
    pub inner: MemoryStorage,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    calls: Vec<&'static str>,
    failure: Option<fn() -> StorageError>,
    /// What another process has written, until it is asked for.
    news: Option<State>,
    loading: Duration,
}

/// It is away.
pub fn unavailable() -> StorageError {
    StorageError::Unavailable { store: "scripted".into(), reason: "as told".into() }
}

/// Another version wrote it.
pub fn newer() -> StorageError {
    StorageError::Newer { store: "scripted".into(), found: 3, known: 1 }
}

impl Scripted {
    /// From now on every operation fails so.
    pub fn fail(&self, failure: fn() -> StorageError) {
        self.script().failure = Some(failure);
    }

    /// From now on every operation succeeds.
    pub fn work(&self) {
        self.script().failure = None;
    }

    /// Loading takes so long.
    pub fn load_for(&self, loading: Duration) {
        self.script().loading = loading;
    }

    /// Another process writes this.
    pub fn others_write(&self, state: State) {
        self.script().news = Some(state);
    }

    /// What it was asked for since this was asked last, failures included.
    pub fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.script().calls)
    }

    /// What it holds.
    pub async fn holds(&self) -> State {
        self.inner.clone().load().await.expect("memory always answers").state
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, name: &'static str) -> Result<(), StorageError> {
        let mut script = self.script();
        script.calls.push(name);
        script.failure.map_or(Ok(()), |failure| Err(failure()))
    }
}

#[async_trait]
impl Storage for Scripted {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        self.call("identify")?;
        self.inner.identify(fresh).await
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        self.call("load")?;
        let loading = self.script().loading;
        tokio::time::sleep(loading).await;
        self.inner.load().await
    }

    async fn changes_since(&mut self, _: &Cursor) -> Result<Option<Stored>, StorageError> {
        self.call("changes_since")?;
        let news = self.script().news.take();
        Ok(news.map(|state| Stored { state, cursor: Cursor::default() }))
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        self.call("commit")?;
        self.inner.commit(delta).await
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        self.call("prune")?;
        self.inner.prune(pruned).await
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        self.call("close")
    }
}
