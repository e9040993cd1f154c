//! The plug for keeping state beyond the life of a process.

use async_trait::async_trait;

use crate::ids::ReplicaId;
use crate::observer::Pruned;
use crate::state::{Delta, State};

/// Keeps what is known.
///
/// # Contract
///
/// A store is a journal of joins: it holds the join of everything that was ever committed, less
/// what was pruned. It is not asked while the process runs; reads are answered from memory.
///
/// - Every write is a merge. Committing something twice, late, or in another order leads to the
///   same; nothing stored is ever lowered. So whoever is not sure whether a write has happened
///   writes again.
/// - A write that returns is durable: what a later [`load`](Storage::load) gives, after a crash
///   too, includes it. A write that fails has happened wholly or not at all, and which of them is
///   not known until it is repeated.
/// - What is stored is stored exactly: every text with every character, every time to the
///   microsecond, every count; keys that differ in any byte stay apart.
/// - Several processes may share one store where its kind allows it; what each commits joins.
/// - An empty delta costs nothing and writes nothing.
/// - The caller makes one call at a time. Dropping a call's future is like a failure of the call.
///
/// The suite `periskop_core::testing::storage` (feature `testing`) checks an implementation.
#[async_trait]
pub trait Storage: Send {
    /// Who this process is: the observer that the store remembers, else `fresh`, which it
    /// remembers from now on. `fresh` is random.
    ///
    /// A store that several processes share gives each of them another one while they run.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the process must not observe anything without a name.
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError>;

    /// Everything that is stored.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what is stored is unharmed.
    async fn load(&mut self) -> Result<State, StorageError>;

    /// Joins `delta` into what is stored. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the delta must be kept and committed again, alone or with later ones
    /// appended to it.
    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError>;

    /// Removes what the state has pruned. Durable when it returns. Removing what is not there
    /// does nothing.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; it may be repeated, also after later commits: what has come back since
    /// is in the state, and the caller commits it again.
    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError>;
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// It cannot be reached, or is full, or does not answer in time. To be tried again later.
    #[error("{store}: unavailable: {reason}")]
    Unavailable {
        /// Which store, without credentials.
        store: String,
        /// Why.
        reason: String,
    },
    /// Another process has it, and it is not of a kind that can be shared.
    #[error("{store}: in use by another process")]
    Locked {
        /// Which store.
        store: String,
    },
    /// A newer version of Periskop wrote it. This one leaves it alone.
    #[error("{store}: has version {found}, this program reads up to {known}")]
    Newer {
        /// Which store, without credentials.
        store: String,
        /// The version of what is stored.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// What is stored cannot be read.
    #[error("{store}: damaged: {reason}")]
    Damaged {
        /// Which store, without credentials.
        store: String,
        /// What is wrong, and where.
        reason: String,
    },
}

impl StorageError {
    /// Whether trying again later may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Locked { .. })
    }
}
