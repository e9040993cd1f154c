//! The one place where the name of a store becomes a store.
//!
//! Invariant: nothing here does I/O. A store opens when it is first asked for something, so that
//! one that is away can be made all the same, and is tried again like any other failure.

use std::fmt;
use std::path::PathBuf;

use periskop_core::storage::Storage;
use periskop_storage::{SpecError, StoreSpec};

use crate::config::Config;

/// A store, and its name for people, without credentials.
pub(crate) struct NamedStore {
    pub(crate) name: String,
    pub(crate) storage: Box<dyn Storage>,
    /// Where it is, if it is on this machine's disk.
    pub(crate) path: Option<PathBuf>,
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

/// The store that a configuration names; `None` where that is memory: the server's own is enough.
pub(crate) fn configured(config: &Config) -> Option<NamedStore> {
    let spec = &config.repository;
    (*spec != StoreSpec::Memory).then(|| open(spec))
}

/// The store that a command line names.
///
/// # Errors
///
/// No store is called so.
pub(crate) fn named(spec: &str) -> Result<NamedStore, SpecError> {
    Ok(open(&StoreSpec::parse(spec)?))
}

fn open(spec: &StoreSpec) -> NamedStore {
    let path = match spec {
        StoreSpec::Sled(path) | StoreSpec::Sqlite(path) => Some(path.clone()),
        StoreSpec::Memory | StoreSpec::Postgres(_) | StoreSpec::MySql(_) => None,
    };
    NamedStore { name: spec.to_string(), storage: periskop_storage::open(spec), path }
}
