//! The one place where the name of a store becomes a store.
//!
//! Invariant: nothing here does I/O. A store opens when it is first asked for something, so that
//! one that is away can be made all the same, and is tried again like any other failure.

use std::fmt;

use periskop_core::storage::Storage;
use periskop_storage::MemoryStorage;

use crate::config::Config;

/// A store, and its name for people, without credentials.
pub(crate) struct NamedStore {
    pub(crate) name: String,
    pub(crate) storage: Box<dyn Storage>,
}

impl NamedStore {
    /// Whoever is next may have its name at once. Where this fails they wait a little.
    pub(crate) async fn close(&mut self) {
        if let Err(error) = self.storage.close().await {
            tracing::warn!(reason = %error, "the store was not closed");
        }
    }
}

impl fmt::Debug for NamedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedStore").field(&self.name).finish()
    }
}

/// No store is called so.
#[derive(Debug, thiserror::Error)]
#[error("unknown store; expected memory")]
pub(crate) struct UnknownStore;

/// The store that a configuration names; `None` where that is memory: the server's own is enough.
pub(crate) fn configured(_config: &Config) -> Option<NamedStore> {
    // `repository` knows no other so far.
    None
}

/// The store that a command line names.
pub(crate) fn named(spec: &str) -> Result<NamedStore, UnknownStore> {
    match spec {
        "memory" => Ok(NamedStore { name: spec.into(), storage: Box::new(MemoryStorage::new()) }),
        _ => Err(UnknownStore),
    }
}
