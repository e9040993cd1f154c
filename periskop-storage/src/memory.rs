//! A store that lives as long as somebody holds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId, State};

/// Keeps nothing beyond the process: the default, and the model that other stores are like.
///
/// A clone is another handle on the same store. Since the process's own state already is in
/// memory, a server that is configured for memory needs no store at all; this one is for tests,
/// and for whoever wants a state to outlive an engine.
#[derive(Clone, Debug, Default)]
pub struct MemoryStorage(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    observer: Option<ReplicaId>,
    state: State,
}

impl Default for Kept {
    fn default() -> Self {
        // As many occurrences as any state keeps, until somebody says.
        Self { observer: None, state: State::new(u8::MAX) }
    }
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A join leaves no half of itself behind that a second one would not complete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        Ok(*self.kept().observer.get_or_insert(fresh))
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        Ok(Stored { state: self.kept().state.clone(), cursor: Cursor::default() })
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        let mut kept = self.kept();
        kept.state.set_keep(delta.occurrences_kept());
        kept.state.join(delta.state().clone());
        Ok(())
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        self.kept().state.remove(pruned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    periskop_core::storage_conformance! {
        run: futures_util::FutureExt::now_or_never,
        open: {
            let store = MemoryStorage::new();
            async move || Box::new(store.clone()) as Box<dyn Storage>
        },
    }
}
