//! The one place where the name of a store becomes a store.
//!
//! Invariant: nothing here does I/O. A store opens when it is first asked for something, so that
//! one that is away can be made all the same, and is tried again like any other failure.

use std::fmt;

use periskop_core::storage::Storage;

use crate::config::Config;

/// A store, and its name for people, without credentials.
pub(crate) struct NamedStore {
    pub(crate) name: String,
    pub(crate) storage: Box<dyn Storage>,
}

impl fmt::Debug for NamedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedStore").field(&self.name).finish()
    }
}

/// The store that a configuration names; `None` where that is memory: the server's own is enough.
pub(crate) fn configured(_config: &Config) -> Option<NamedStore> {
    // `repository` knows no other so far.
    None
}
