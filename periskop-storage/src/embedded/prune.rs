//! What a state has pruned goes from what is stored, as [`State::remove`](periskop_core::State::remove)
//! takes it out of a state.

use std::collections::{BTreeSet, HashSet};

use periskop_core::AggregateId;
use periskop_core::aggregate::{Age, Incarnation};
use periskop_core::ids::{ErrorDigest, SourceId};
use periskop_core::observer::Pruned;
use periskop_core::wire::state::Summary;

use super::key::{self, Fields, Key};
use super::table::{Changes, Long, Table};
use super::trouble::Trouble;
use super::value::{self, Head};

/// What `pruned` changes of what is stored.
pub(super) fn changes(table: Table<'_>, pruned: &Pruned) -> Result<Changes, Trouble> {
    let mut prune = Prune {
        table,
        changes: Changes::default(),
        sources: BTreeSet::new(),
        counts_nowhere: HashSet::new(),
    };
    for (service, url, last) in &pruned.targets {
        let key = Key::of_service(key::TARGET, service).bytes(&key::short(url));
        let Some(long) = table.long(&key)? else { continue };
        let whole = table.whole(key.as_ref(), long.clone())?;
        let (_, known) = value::read_target(&whole).map_err(|e| e.at(key.as_ref()))?;
        if known <= *last {
            prune.changes.remove_long(key.as_ref(), &long);
        }
    }
    for (id, gone) in &pruned.incarnations {
        prune.error(id, gone)?;
    }
    prune.sources()?;
    Ok(prune.changes)
}

struct Prune<'a> {
    table: Table<'a>,
    changes: Changes,
    /// Those of which a count has gone.
    sources: BTreeSet<SourceId>,
    /// The entries of who counts where that go.
    counts_nowhere: HashSet<Key>,
}

impl Prune<'_> {
    fn error(&mut self, id: &AggregateId, gone: &[(Incarnation, Age)]) -> Result<(), Trouble> {
        let digest = id.digest();
        let key = Key::of_error(key::ERROR, &digest);
        let Some(head) = self.table.long(&key)? else { return Ok(()) };
        let removed = self.counts(&digest, gone)?;
        if self.remains(&Key::of_error(key::COUNT, &digest), &removed)? {
            return Ok(());
        }
        for kind in [key::ACTION, key::STACK, key::OCCURRENCE] {
            for record in self.table.scan(Key::of_error(kind, &digest).as_ref()) {
                let (key, value) = record?;
                let long = Long::read(&value).map_err(|e| e.at(&key))?;
                self.changes.remove_long(&key, &long);
            }
        }
        for record in self.table.scan(Key::of_error(key::HOUR, &digest).as_ref()) {
            self.changes.remove(record?.0);
        }
        // What people had forgotten outlives the error.
        let whole = self.table.whole(key.as_ref(), head.clone())?;
        let error = Head::read(&whole).map_err(|e| e.at(key.as_ref()))?;
        let summary = error.summary().map_err(|e| e.at(key.as_ref()))?;
        let through = summary.forgotten_through;
        let forgotten = Key::of_error(key::FORGOTTEN, &digest);
        if through.is_none() && !self.remains(&forgotten, &HashSet::new())? {
            self.changes.remove_long(key.as_ref(), &head);
            return Ok(());
        }
        let left = Summary { forgotten_through: through, ..Summary::default() };
        if left != summary {
            self.changes.replace_long(key.as_ref(), Some(&head), &error.rewrite(left));
        }
        Ok(())
    }

    /// Removes the counts that have not been heard of since, and says which.
    fn counts(
        &mut self,
        digest: &ErrorDigest,
        gone: &[(Incarnation, Age)],
    ) -> Result<HashSet<Key>, Trouble> {
        let mut removed = HashSet::new();
        let mut sources = BTreeSet::new();
        for (incarnation, age) in gone {
            let key = Key::of_error(key::COUNT, digest).incarnation(incarnation);
            let Some(value) = self.table.get(&key)? else { continue };
            let (_, known) = value::read_count(&value).map_err(|e| e.at(key.as_ref()))?;
            if known <= *age {
                self.changes.remove(key.clone());
                removed.insert(key);
                sources.insert(incarnation.source);
            }
        }
        for source in sources {
            let lives = Key::of_error(key::COUNT, digest).bytes(source.as_bytes());
            if !self.remains(&lives, &removed)? {
                let key = Key::of_source(key::COUNTS_IN, source).bytes(digest.as_bytes());
                self.changes.remove(key.clone());
                self.counts_nowhere.insert(key);
                self.sources.insert(source);
            }
        }
        Ok(removed)
    }

    /// Sources that no count names any more, whether it went now or never was.
    fn sources(&mut self) -> Result<(), Trouble> {
        let mut loose = BTreeSet::new();
        for record in self.table.scan(&[key::LOOSE]) {
            let (key, _) = record?;
            loose.insert(Fields::of_key(&key).source().map_err(|e| e.at(&key))?);
        }
        for source in loose.union(&self.sources).copied().collect::<Vec<_>>() {
            if loose.contains(&source) {
                self.changes.remove(Key::of_source(key::LOOSE, source));
            }
            let counts = Key::of_source(key::COUNTS_IN, source);
            if self.remains(&counts, &self.counts_nowhere)? {
                continue;
            }
            let key = Key::of_source(key::SOURCE, source);
            if let Some(long) = self.table.long(&key)? {
                self.changes.remove_long(key.as_ref(), &long);
            }
        }
        Ok(())
    }

    /// Whether there is any record whose key begins like this, `removed` apart.
    fn remains(&self, beginning: &Key, removed: &HashSet<Key>) -> Result<bool, Trouble> {
        for record in self.table.scan(beginning.as_ref()) {
            let (key, _) = record?;
            if !removed.contains::<[u8]>(&key) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
