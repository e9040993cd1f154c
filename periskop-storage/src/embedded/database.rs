//! The files, and the one way to write to them: a batch, then a flush.
//!
//! What sled 0.34 does not do by itself is done here:
//!
//! - Its lock is found out about by the text of an error only, and is held for a moment after the
//!   database has been dropped. So there is a lock of our own, in a file beside sled's, and while
//!   it is held sled's is waited for.
//! - A program that is killed while sled writes a snapshot leaves half of one behind, which sled
//!   takes for the newest and refuses to start. It is removed: a snapshot saves time and holds
//!   nothing of its own.
//! - On Linux a flush of sled's brings the bytes to the disk, but not that the file has grown. So
//!   every flush is followed by one of the file.
//! - Values for which a page gets larger than a quarter of a segment are put into files of their
//!   own, which nothing flushes. So segments are large and values are cut (see `table.rs`), and no
//!   page ever gets there.
//! - After an error nothing can be written any more. So whoever gets one opens a new database.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::{Duration, Instant};

use super::key;
use super::table::{Changes, Table};
use super::trouble::{Trouble, damaged};

/// The version of what is stored. A program reads every version up to its own.
///
/// The first one had no commits that wait in files beside the tables. A database of that version
/// is one of this as soon as the first commit waits.
pub(super) const VERSION: u32 = 2;

/// Four times what a page may need: 24 values of [`super::table::LONGEST`] and their keys. Part of
/// the persisted form: sled refuses another one than it began with.
pub(super) const SEGMENT: usize = 2 * 1024 * 1024;

/// Pages of errors that go on happening stay in memory between commits: some thousands of them.
const CACHE: u64 = 64 * 1024 * 1024;

/// How long sled's own lock is waited for while ours is held: threads of a database that this
/// process has dropped let go of it within milliseconds.
const DROPPED_WITHIN: Duration = Duration::from_secs(5);

/// How long ours is waited for. A process that starts another one shares what it has locked with it
/// for a moment, until that one has become another program: its own end is not the end of the lock.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// An open database.
pub(super) struct Database {
    sled: sled::Db,
    /// The file that sled writes to.
    file: File,
    /// As it is stored.
    version: u32,
}

impl Database {
    /// Opens the database in a folder, which is there and locked.
    pub(super) fn open(folder: &Path) -> Result<Self, Trouble> {
        remove_half_written_snapshots(folder)?;
        let sled = open_sled(folder)?;
        let file = File::options().read(true).write(true).open(folder.join("db"))?;
        let mut database = Self { sled, file, version: 0 };
        database.version = database.stored_version()?;
        if !database.sled.was_recovered() {
            // The names of the files are to be as durable as what is in them.
            sync_folder(folder)?;
        }
        Ok(database)
    }

    fn stored_version(&self) -> Result<u32, Trouble> {
        let table = self.table();
        let Some(version) = table.get(key::VERSION)? else {
            if table.is_empty() {
                self.write_version()?;
                return Ok(VERSION);
            }
            return Err(damaged("it has no version, so it is no store of Periskop"));
        };
        let found = <[u8; 4]>::try_from(&*version).map(u32::from_be_bytes);
        match found {
            Ok(found) if found > VERSION => Err(Trouble::Newer(found)),
            Ok(found) => Ok(found),
            Err(_) => Err(damaged("its version is no number").at(key::VERSION)),
        }
    }

    /// What is stored is of this program's version from now on: older ones will leave it alone.
    pub(super) fn raise_version(&mut self) -> Result<(), Trouble> {
        if self.version < VERSION {
            self.write_version()?;
            self.version = VERSION;
        }
        Ok(())
    }

    fn write_version(&self) -> Result<(), Trouble> {
        let mut changes = Changes::default();
        changes.put(key::VERSION, &VERSION.to_be_bytes());
        self.write(changes)?;
        Ok(())
    }

    /// To read from.
    pub(super) fn table(&self) -> Table<'_> {
        Table::new(&self.sled)
    }

    /// Writes all of it or nothing; durable when it returns. Whether there was anything to write.
    pub(super) fn write(&self, changes: Changes) -> Result<bool, Trouble> {
        let is_any = self.apply(changes)?;
        if is_any {
            self.flush()?;
        }
        Ok(is_any)
    }

    /// The same, durable only with the next flush.
    pub(super) fn apply(&self, changes: Changes) -> Result<bool, Trouble> {
        let Some(batch) = changes.into_batch() else { return Ok(false) };
        self.sled.apply_batch(batch)?;
        Ok(true)
    }

    /// Everything that was written is durable when it returns.
    pub(super) fn flush(&self) -> Result<(), Trouble> {
        self.sled.flush()?;
        self.file.sync_data()?;
        Ok(())
    }
}

/// Creates a folder where there is none, and has it for this process alone until the file is
/// dropped.
pub(super) fn lock(folder: &Path) -> Result<File, Trouble> {
    fs::create_dir_all(folder)?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK))?;
    let deadline = Instant::now() + SHARED_FOR;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(Trouble::Locked),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

fn open_sled(folder: &Path) -> Result<sled::Db, Trouble> {
    let config = sled::Config::new()
        .path(folder)
        .segment_size(SEGMENT)
        .cache_capacity(CACHE)
        // Each write is flushed; there is nothing to do in between.
        .flush_every_ms(None);
    let deadline = Instant::now() + DROPPED_WITHIN;
    loop {
        // Sled takes some things that it does not expect to find in a file for mistakes of its own.
        let opened = panic::catch_unwind(AssertUnwindSafe(|| config.open()));
        match opened.map_err(|_| damaged("sled stopped in the middle of opening it"))? {
            Err(error) if is_locked(&error) => {
                if Instant::now() > deadline {
                    return Err(Trouble::Locked);
                }
                std::thread::sleep(PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
}

/// Sled has no error of its own for this.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error)
        if error.kind() == io::ErrorKind::Other
            && error.to_string().starts_with("could not acquire lock"))
}

fn remove_half_written_snapshots(folder: &Path) -> Result<(), Trouble> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Elsewhere a folder cannot be opened like this, and need not be.
#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
