//! A store on disk without anything beside the program: sled, a database written in Rust.
//!
//! One process has it at a time. A commit is appended to a file beside sled's, where it waits to be
//! joined into the tables (`waiting/`): it happens wholly or not at all, reads nothing, and is
//! durable when it returns; one that has nothing to tell writes nothing. One that is large, or
//! takes something away, is joined at once: one batch, then a flush. Records are small and many,
//! one for each thing that can change by itself, so that joining costs what changes.
//!
//! # What is stored
//!
//! Frozen: whoever changes it raises the version (`database.rs`), and goes on reading what there was
//! before. `key.rs` has the bytes. Version 1 had no files of commits that wait; a store of it becomes
//! one of version 2 when the first commit waits.
//!
//! | key | value |
//! | --- | --- |
//! | `01` `version`, `01` `observer` | four bytes; eight bytes |
//! | `10` service | * its name |
//! | `11` service, observer | nothing |
//! | `12` service, digest of the URL | * JSON: URL, since when it is up or down, why |
//! | `20` source | * JSON: its name, its labels, since when |
//! | `21` source, error | nothing: there are counts of this source in this error |
//! | `22` source | nothing: there were no counts of it when it was written |
//! | `30` error | * JSON: service, key, first and last seen, severity, what is forgotten |
//! | `31` error, incarnation | count, newest, risen, age: eight bytes each |
//! | `32` error, incarnation | the forgotten count: eight bytes |
//! | `33` error, time, action | * JSON: what, by whom, why, what was known then |
//! | `34` error, observer, hour | the hour's count: four bytes; a byte and four for each minute |
//! | `35` error, stack | * the stack's document |
//! | `36` error, time, name | * hash of the content, stack: 16 bytes each; the document |
//! | `70` key, number | a further part of what is under that key |
//!
//! Services, stacks and URLs are the first 16 bytes of a SHA-256, errors and sources what
//! [`ErrorDigest`](periskop_core::ids::ErrorDigest) and
//! [`SourceId`](periskop_core::ids::SourceId) say. An incarnation is its source, then 0 and its
//! `created_at`, or 1, the observer and the number. Values with an asterisk may be long, and say in
//! a first byte in how many parts they are (`table.rs`).
//!
//! | in `waiting-` and a number (16 hexadecimal digits), for each commit | |
//! | --- | --- |
//! | length, checksum | of what follows: four bytes; XXH3 of 64 bits |
//! | how many occurrences of an error are kept | a byte |
//! | lengths, key, value, and so on | two bytes, four bytes; as above, whole, less `21`, `22`, `32` and parts; `35` has no error in its key |
//!
//! # What is known against it
//!
//! Sled 0.34 is the last release but for previews of a rewrite. The advisories for what it depends
//! on are listed in `deny.toml` with why they do not matter here; what it does not do that a store
//! needs is listed, and done, in `database.rs`.

mod check;
mod commit;
mod database;
mod key;
mod load;
mod occurrences;
mod prune;
mod series;
mod table;
mod trouble;
mod value;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::wire::state::Documents;
use periskop_core::{Delta, ReplicaId};
use tokio::runtime::{Handle, RuntimeFlavor};

pub use check::Check;
use database::Database;
use table::Changes;
use trouble::{Trouble, damaged};
use waiting::{Limits, Waiting};

/// A store in a folder, by sled. One process has it at a time.
///
/// Each call is done when its future has been polled once, so that dropping the future leaves
/// nothing half done. On a runtime of several threads the others go on meanwhile.
pub struct SledStorage {
    folder: PathBuf,
    /// After an error it is opened again: sled writes nothing any more.
    opened: Option<Opened>,
    /// Dropped after it, so that nobody waits for the database of a process that goes on.
    lock: Option<File>,
    documents: Documents,
    limits: Limits,
}

/// What is open of a store.
struct Opened {
    database: Database,
    waiting: Waiting,
}

impl SledStorage {
    /// A store in this folder, which is opened, and created if it is not there, when something is
    /// asked of it.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let documents = Documents::remembering(rand::random());
        Self {
            folder: folder.as_ref().to_owned(),
            opened: None,
            lock: None,
            documents,
            limits: Limits::USUAL,
        }
    }

    /// Opens the store in this folder; creates it, with the folders above it, if it is not there.
    ///
    /// # Errors
    ///
    /// [`StorageError::Locked`] if another process has it, [`StorageError::Newer`] if a newer
    /// version wrote it, [`StorageError::Damaged`] if it is something else, and
    /// [`StorageError::Unavailable`] if the system refuses.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StorageError> {
        let mut store = Self::new(folder);
        store.with(|_| Ok(()))?;
        Ok(store)
    }

    /// Reads and decodes everything, and says how much there is of each kind and what is wrong.
    ///
    /// # Errors
    ///
    /// It cannot be read at all.
    pub fn check(&mut self) -> Result<Check, StorageError> {
        self.with(|opened| check::check(opened.database.table(), &opened.waiting))
    }

    /// Does something with the database, for which it is opened if it is not.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Opened) -> Result<T, Trouble>,
    ) -> Result<T, StorageError> {
        let done = without_delaying_others(|| work(self.opened()?));
        done.map_err(|trouble| {
            self.opened = None;
            trouble.of(format!("sled:{}", self.folder.display()))
        })
    }

    fn opened(&mut self) -> Result<&mut Opened, Trouble> {
        if self.lock.is_none() {
            self.lock = Some(database::lock(&self.folder)?);
        }
        match &mut self.opened {
            Some(opened) => Ok(opened),
            closed => {
                let database = Database::open(&self.folder)?;
                let waiting = Waiting::open(&self.folder, self.limits)?;
                Ok(closed.insert(Opened { database, waiting }))
            }
        }
    }
}

#[async_trait]
impl Storage for SledStorage {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        self.with(|Opened { database, .. }| {
            if let Some(name) = database.table().get(key::NAME)? {
                return match <[u8; 8]>::try_from(&*name) {
                    Ok(name) => Ok(ReplicaId::from_u64(u64::from_be_bytes(name))),
                    Err(_) => Err(damaged("it is no name of an observer").at(key::NAME)),
                };
            }
            let mut changes = Changes::default();
            changes.put(key::NAME, &fresh.as_u64().to_be_bytes());
            database.write(changes)?;
            Ok(fresh)
        })
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        let state = self.with(|opened| load::state(opened.database.table(), &opened.waiting))?;
        Ok(Stored { state, cursor: Cursor::default() })
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        if delta.is_empty() {
            return Ok(());
        }
        let mut documents = std::mem::take(&mut self.documents);
        let done = self.with(|Opened { database, waiting }| {
            if waiting.take(database, &mut documents, delta)? {
                return Ok(());
            }
            if waiting::forgets(delta) {
                waiting.settle(database, &mut documents)?;
            }
            let table = database.table();
            database.write(commit::changes(table, &mut documents, delta, HashMap::new())?)?;
            Ok(())
        });
        self.documents = documents;
        done
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        if pruned.is_empty() {
            return Ok(());
        }
        let mut documents = std::mem::take(&mut self.documents);
        let done = self.with(|Opened { database, waiting }| {
            waiting.settle(database, &mut documents)?;
            database.write(prune::changes(database.table(), pruned)?)?;
            Ok(())
        });
        self.documents = documents;
        done
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        match self.opened {
            Some(_) => self.with(|opened| opened.database.flush()),
            None => Ok(()),
        }
    }
}

/// Does what takes a while where it is: only so is it done wholly, even if nobody waits for it any
/// more. A runtime of several threads is told, so that it goes on with the rest elsewhere.
fn without_delaying_others<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
