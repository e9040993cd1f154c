//! The plug for keeping state beyond the life of a process.

use std::collections::BTreeMap;

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
///   microsecond, every count; keys that differ in any byte stay apart. Of the occurrences of an
///   error only those need be kept that a state keeps that keeps
///   [`Delta::occurrences_kept`] of them.
/// - Several processes may share one store where its kind allows it; what each commits joins, and
///   [`changes_since`](Storage::changes_since) tells each what the others committed.
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

    /// Everything that is stored, and where to go on from with
    /// [`changes_since`](Storage::changes_since).
    ///
    /// # Errors
    ///
    /// [`StorageError`]; what is stored is unharmed.
    async fn load(&mut self) -> Result<Stored, StorageError>;

    /// What other processes have committed since `cursor`, and where to go on from next. It may
    /// tell more than that, which merges, and never skips anything, in whatever order commits
    /// become visible. `None`: nothing.
    ///
    /// A process calls this every few seconds for as long as it runs, which also is how a store
    /// that is shared learns that it still does. A store that no other process can write to has
    /// nothing to tell; that is the default.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the same cursor may be used again.
    async fn changes_since(&mut self, cursor: &Cursor) -> Result<Option<Stored>, StorageError> {
        let _ = cursor;
        Ok(None)
    }

    /// Joins `delta` into what is stored. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; the delta must be kept and committed again, alone or with later ones
    /// appended to it.
    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError>;

    /// Removes what the state has pruned, as [`State::remove`] does: what has been heard of since
    /// stays. Durable when it returns. Removing what is not there does nothing.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; it may be repeated, also after later commits.
    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError>;

    /// The process ends, or will not use the store any more: another one may take its name at
    /// once. Whoever does not call this is only slower to be followed.
    ///
    /// # Errors
    ///
    /// [`StorageError`]; everything that was acknowledged is stored all the same.
    async fn close(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// What a store holds, or a part of it.
#[derive(Debug, Default)]
pub struct Stored {
    /// To be joined.
    pub state: State,
    /// Up to where this is everything.
    pub cursor: Cursor,
}

/// How much of a shared store is known: how many commits of each process.
///
/// Each process numbers its own commits, and they become visible in that order. One number for
/// all would not do: of two processes the one with the smaller number may commit later, and
/// whoever read the greater one would skip it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<ReplicaId, u64>);

impl Cursor {
    /// How many commits of a process are known.
    pub fn of(&self, process: ReplicaId) -> u64 {
        self.0.get(&process).copied().unwrap_or(0)
    }
}

impl FromIterator<(ReplicaId, u64)> for Cursor {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(commits: I) -> Self {
        Self(commits.into_iter().collect())
    }
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
    #[error("{store}: in use by another process; only one at a time can have it")]
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
    /// Another process took this one's name over, since nothing was heard of this one for too
    /// long. It must not go on under that name.
    #[error(
        "{store}: another process has taken over the name of this one, which did not renew it in time; start again"
    )]
    Superseded {
        /// Which store, without credentials.
        store: String,
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
    /// Whether trying again later may help, without anybody doing anything.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
