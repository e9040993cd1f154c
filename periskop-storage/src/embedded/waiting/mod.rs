//! Commits that wait to be joined into the tables.
//!
//! A store is a journal of joins, so a commit need not know what is stored: it is appended to a
//! file, durably, and has happened. Whoever loads joins tables and files. Joining commits into the
//! tables is what costs, since all that they change is read and sled writes whole pages; so it is
//! done for many at once, among which the same errors have changed again and again.
//!
//! A file that is full is closed, and the next one begins. While that one fills, the errors of the
//! closed one are joined into the tables, at each commit as large a part of them as the commit is
//! one of its file: so that no commit has to do all of it, and never more than two files are full.
//! A process appends to files of its own only; those that it finds are closed.
//!
//! Invariants: a file goes when all that it holds is durable in the tables, and not before; joining
//! it again does nothing, so no crash can do harm. A file needs nothing that is elsewhere. Nothing
//! waits when something is taken away, be it pruned or forgotten, so that it cannot come back.

mod file;
mod record;
mod records;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use periskop_core::ids::ErrorDigest;
use periskop_core::wire::state::{Documents, StateBuilder, errors};
use periskop_core::{Delta, State};

use super::commit;
use super::database::Database;
use super::key::Short;
use super::occurrences::Waited;
use super::trouble::Trouble;
use file::Journal;
pub(super) use records::Records;
use records::SHARES;

/// How much waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A file with as many bytes is closed.
    pub(super) full: u64,
    /// A commit with more bytes is joined into the tables at once: it would be most of a file, and
    /// nothing would be saved.
    pub(super) longest: usize,
}

impl Limits {
    /// Two full files take a few tenths of a second of a start. Smaller ones save less, since the
    /// same errors change less often in each.
    pub(super) const USUAL: Self = Self { full: 32 << 20, longest: 8 << 20 };

    /// What is closed is in the tables when the next file is so long: all of it is, before that one
    /// is closed.
    const fn folded_by(self) -> u64 {
        self.full / 4 * 3
    }
}

/// So many small files may be left by processes that ended early.
const MOST_FILES: usize = 8;

/// The parts in which it is joined: the shares of errors, and what is not of errors.
const PARTS: u64 = SHARES as u64 + 1;

/// The commits that wait in a folder.
pub(super) struct Waiting {
    folder: PathBuf,
    limits: Limits,
    /// The number of the next file.
    next: u64,
    /// Files to which nothing is appended any more, in the order in which they were begun.
    closed: Vec<Closed>,
    open: Option<Open>,
    folding: Option<Folding>,
}

/// A file to which nothing is appended any more.
struct Closed {
    path: PathBuf,
    length: u64,
}

/// The file that commits are appended to.
struct Open {
    journal: Journal,
    /// The stacks that are in it.
    stacks: HashSet<Short>,
}

/// Closed files that are being joined into the tables.
struct Folding {
    /// How many they are, the first ones.
    files: usize,
    records: Records,
    /// How many shares of the errors are done.
    done: usize,
}

impl Waiting {
    /// What waits in this folder. Nothing is appended to what another process has begun: its end
    /// may be torn.
    pub(super) fn open(folder: &Path, limits: Limits) -> Result<Self, Trouble> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(number) = file::number_of(&entry.file_name()) {
                let (path, length) = (entry.path(), entry.metadata()?.len());
                found.push((number, Closed { path, length }));
            }
        }
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            next: found.last().map_or(0, |(number, _)| number + 1),
            closed: found.into_iter().map(|(_, closed)| closed).collect(),
            open: None,
            folding: None,
        })
    }

    /// Has a delta wait, durably, and does its share of what the others wait for. `false`: this one
    /// must not wait, and nothing was done.
    pub(super) fn take(
        &mut self,
        database: &mut Database,
        documents: &mut Documents,
        delta: &Delta,
    ) -> Result<bool, Trouble> {
        if forgets(delta) {
            return Ok(false);
        }
        let nothing = HashSet::new();
        let known = self.open.as_ref().map_or(&nothing, |open| &open.stacks);
        let Some(record) = record::write(delta, documents, known, self.limits.longest) else {
            return Ok(false);
        };
        let length = self.append(database, record)?;
        self.fold(database, documents, length)?;
        if length >= self.limits.full {
            self.close();
        }
        Ok(true)
    }

    /// Joins all that waits into the tables.
    pub(super) fn settle(
        &mut self,
        database: &Database,
        documents: &mut Documents,
    ) -> Result<(), Trouble> {
        self.close();
        while !self.closed.is_empty() {
            self.fold(database, documents, u64::MAX)?;
        }
        Ok(())
    }

    /// What waits.
    pub(super) fn records(&self) -> Result<Records, Trouble> {
        let open = self.open.iter().map(|open| open.journal.path());
        Records::of(self.closed.iter().map(|closed| &*closed.path).chain(open))
    }

    /// How long the file is then.
    fn append(&mut self, database: &mut Database, record: record::Record) -> Result<u64, Trouble> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => {
                // Who does not know of files would miss what is in them.
                database.raise_version()?;
                let journal = Journal::create(&self.folder, self.next)?;
                self.next += 1;
                closed.insert(Open { journal, stacks: HashSet::new() })
            }
        };
        open.journal.append(&record.bytes)?;
        open.stacks.extend(record.stacks);
        Ok(open.journal.length())
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let (path, length) = (open.journal.path().to_owned(), open.journal.length());
            self.closed.push(Closed { path, length });
        }
    }

    /// How many bytes more wait than a process alone leaves: those that ended before they had filled
    /// a file must not leave more and more.
    fn left_over(&self) -> u64 {
        if self.closed.len() > MOST_FILES {
            return u64::MAX;
        }
        let closed = self.closed.iter().map(|closed| closed.length).sum::<u64>();
        closed.saturating_sub(self.limits.full.saturating_add(self.limits.longest as u64))
    }

    /// Joins closed files into the tables, as much as is due when the open one is so long.
    fn fold(
        &mut self,
        database: &Database,
        documents: &mut Documents,
        length: u64,
    ) -> Result<(), Trouble> {
        if self.closed.is_empty() {
            return Ok(());
        }
        let (folded_by, length) =
            (self.limits.folded_by(), length.saturating_add(self.left_over()));
        let folding = match &mut self.folding {
            Some(folding) => folding,
            none => none.insert(Folding {
                files: self.closed.len(),
                records: Records::of(self.closed.iter().map(|closed| &*closed.path))?,
                done: 0,
            }),
        };
        while length >= folded_by * (folding.done as u64 + 1) / PARTS {
            let is_last = folding.done == SHARES;
            match is_last {
                false => folding.errors(database, documents)?,
                // After the counts in which sources are named: so these are not taken for such as
                // no count names.
                true => folding.others(database, documents)?,
            }
            folding.done += 1;
            if is_last {
                database.flush()?;
                let files = folding.files;
                // Which has them open.
                self.folding = None;
                for closed in self.closed.drain(..files) {
                    file::remove(&closed.path)?;
                }
                break;
            }
        }
        Ok(())
    }
}

impl Folding {
    /// Joins the next share of the errors into the tables.
    fn errors(&self, database: &Database, documents: &mut Documents) -> Result<(), Trouble> {
        let mut builder = StateBuilder::new();
        let share = self.records.share(self.done)?;
        let errors = share.errors(&mut builder)?;
        let waited = errors.into_iter().map(|(error, (_, waited))| (error, waited)).collect();
        self.join(database, documents, builder, waited)
    }

    /// Joins everything but errors.
    fn others(&self, database: &Database, documents: &mut Documents) -> Result<(), Trouble> {
        let mut builder = StateBuilder::new();
        self.records.others(&mut builder)?;
        self.join(database, documents, builder, HashMap::new())
    }

    fn join(
        &self,
        database: &Database,
        documents: &mut Documents,
        builder: StateBuilder,
        waited: HashMap<ErrorDigest, Vec<Waited<'_>>>,
    ) -> Result<(), Trouble> {
        let mut state = builder.finish();
        state.set_keep(self.records.keep().unwrap_or(u8::MAX));
        // All of it is one.
        let Some(delta) = state.into_deltas(usize::MAX).next() else { return Ok(()) };
        database.apply(commit::changes(database.table(), documents, &delta, waited)?)?;
        Ok(())
    }
}

impl Records {
    /// Joins all of them into what is put together from tables, as far as it is to be kept.
    pub(super) fn join_into(&self, mut builder: StateBuilder) -> Result<State, Trouble> {
        self.others(&mut builder)?;
        (0..SHARES).try_for_each(|share| self.share(share)?.join(&mut builder))?;
        let mut state = builder.finish();
        if let Some(keep) = self.keep() {
            state.set_keep(keep);
            // How many the next one keeps is not known here.
            state.set_keep(u8::MAX);
        }
        Ok(state)
    }
}

/// Whether something that is stored must go.
pub(super) fn forgets(delta: &Delta) -> bool {
    errors(delta.state())
        .any(|error| error.summary().forgotten_through.is_some() || !error.forgotten().is_empty())
}
