//! A delta joins what is stored: what is stored of what it tells is read, and what differs is
//! written.
//!
//! Invariant: of an error that is not stored nothing else is stored either; so what is new is not
//! looked for.

use std::collections::{HashMap, HashSet};

use periskop_core::Delta;
use periskop_core::ids::{ErrorDigest, SourceId};
use periskop_core::state::Source;
use periskop_core::wire::state::{
    self, Documents, ErrorParts, ServiceParts, StateBuilder, Summary,
};

use super::key::{self, Key};
use super::occurrences::{Occurrences, Told, Waited};
use super::series;
use super::table::{Changes, Long, Table};
use super::trouble::Trouble;
use super::value::{self, Head};

/// What `delta` changes of what is stored.
///
/// Occurrences that `waited` come with it, by their error, which the delta tells too.
pub(super) fn changes<'a>(
    table: Table<'a>,
    documents: &'a mut Documents,
    delta: &'a Delta,
    waited: HashMap<ErrorDigest, Vec<Waited<'a>>>,
) -> Result<Changes, Trouble> {
    documents.begin();
    let mut commit = Commit {
        table,
        changes: Changes::default(),
        keep: usize::from(delta.occurrences_kept()),
        counted: HashSet::new(),
        documents,
        waited,
    };
    let state = delta.state();
    for service in state::services(state) {
        commit.service(service)?;
    }
    // In the order of the keys, so that pages are visited one after the other.
    let mut errors: Vec<_> = state::errors(state).map(|error| (error.digest(), error)).collect();
    errors.sort_unstable_by_key(|(digest, _)| *digest);
    for (digest, error) in errors {
        commit.error(&digest, error)?;
    }
    for (id, source) in state::sources(state) {
        commit.source(id, source)?;
    }
    Ok(commit.changes)
}

struct Commit<'a> {
    table: Table<'a>,
    changes: Changes,
    /// How many occurrences of an error are kept.
    keep: usize,
    /// The sources of which the delta has counts.
    counted: HashSet<SourceId>,
    documents: &'a mut Documents,
    waited: HashMap<ErrorDigest, Vec<Waited<'a>>>,
}

impl Commit<'_> {
    fn service(&mut self, service: ServiceParts<'_>) -> Result<(), Trouble> {
        let name = service.name();
        let key = Key::of_service(key::SERVICE, name);
        if !self.table.has(&key)? {
            self.changes.put_long(key, name.as_str().as_bytes());
        }
        for observer in service.observers() {
            let key = Key::of_service(key::OBSERVER, name).observer(observer);
            if !self.table.has(&key)? {
                self.changes.put(key, &[]);
            }
        }
        for (url, last) in service.targets() {
            let key = Key::of_service(key::TARGET, name).bytes(&key::short(url));
            let stored = self.table.long(&key)?;
            if let Some(stored) = &stored {
                let whole = self.table.whole(key.as_ref(), stored.clone())?;
                let (_, known) = value::read_target(&whole).map_err(|e| e.at(key.as_ref()))?;
                if known >= *last {
                    continue;
                }
            }
            let value = value::write_target(url, last);
            self.changes.replace_long(key.as_ref(), stored.as_ref(), &value);
        }
        Ok(())
    }

    fn source(&mut self, id: SourceId, source: &Source) -> Result<(), Trouble> {
        let key = Key::of_source(key::SOURCE, id);
        let Some(stored) = self.table.long(&key)? else {
            self.changes.put_long(key, &value::write_source(source.name(), source));
            let counts_in = Key::of_source(key::COUNTS_IN, id);
            if !self.counted.contains(&id) && self.table.scan(counts_in.as_ref()).next().is_none() {
                self.changes.put(Key::of_source(key::LOOSE, id), &[]);
            }
            return Ok(());
        };
        let whole = self.table.whole(key.as_ref(), stored.clone())?;
        let known = value::read_source(&whole).map_err(|e| e.at(key.as_ref()))?;
        if known.is_raised_by(source) {
            let value = value::write_source(&known.name, source);
            self.changes.replace_long(key.as_ref(), Some(&stored), &value);
        }
        Ok(())
    }

    fn error(&mut self, digest: &ErrorDigest, error: ErrorParts<'_>) -> Result<(), Trouble> {
        let key = Key::of_error(key::ERROR, digest);
        let stored = self.table.long(&key)?;
        let before = match &stored {
            None => Summary::default(),
            Some(stored) => {
                let whole = self.table.whole(key.as_ref(), stored.clone())?;
                let head = Head::read(&whole).map_err(|e| e.at(key.as_ref()))?;
                head.summary().map_err(|e| e.at(key.as_ref()))?
            }
        };
        let summary = value::join(before, error.summary());
        if stored.is_none() || summary != before {
            let value = Head::write(error, summary);
            self.changes.replace_long(key.as_ref(), stored.as_ref(), &value);
        }
        let is_known = stored.is_some();
        self.counts(digest, error, is_known)?;
        self.forgotten(digest, error, is_known)?;
        let is_raised = summary.forgotten_through > before.forgotten_through;
        let waited = self.waited.remove(digest).unwrap_or_default();
        let told = error.occurrences().map(Told::Known);
        let told: Vec<_> = told.chain(waited.into_iter().map(Told::Waited)).collect();
        if is_raised || !told.is_empty() {
            let (table, keep, through) = (self.table, self.keep, summary.forgotten_through);
            let (changes, documents) = (&mut self.changes, &mut *self.documents);
            Occurrences { table, changes, documents, digest, keep, through }
                .join(told, is_known)?;
        }
        self.actions(digest, error, is_known)?;
        series::join(self.table, &mut self.changes, digest, error, is_known)
    }

    fn counts(
        &mut self,
        digest: &ErrorDigest,
        error: ErrorParts<'_>,
        is_known: bool,
    ) -> Result<(), Trouble> {
        for told in error.counts() {
            let key = Key::of_error(key::COUNT, digest).incarnation(&told.incarnation);
            let stored = if is_known { self.table.get(&key)? } else { None };
            let known = stored.as_ref().map(|value| value::read_count(value));
            let known = known.transpose().map_err(|e| e.at(key.as_ref()))?;
            let joined = value::join_count(known, *told);
            let source = told.incarnation.source;
            self.counted.insert(source);
            if known.is_none() {
                let counts_in = Key::of_source(key::COUNTS_IN, source).bytes(digest.as_bytes());
                if !(is_known && self.table.has(&counts_in)?) {
                    self.changes.put(counts_in, &[]);
                }
            }
            if known != Some((joined.tally, joined.age)) {
                self.changes.put(key, &value::write_count(&joined));
            }
        }
        Ok(())
    }

    fn forgotten(
        &mut self,
        digest: &ErrorDigest,
        error: ErrorParts<'_>,
        is_known: bool,
    ) -> Result<(), Trouble> {
        for (incarnation, count) in error.forgotten() {
            let key = Key::of_error(key::FORGOTTEN, digest).incarnation(incarnation);
            let stored = if is_known { self.table.get(&key)? } else { None };
            let known = stored.as_ref().map(|value| value::read_forgotten(value));
            let known = known.transpose().map_err(|e| e.at(key.as_ref()))?;
            if known.is_none_or(|known| known < *count) {
                self.changes.put(key, &count.to_be_bytes());
            }
        }
        Ok(())
    }

    /// Acts are rare, and what becomes of earlier ones is decided where a state decides it.
    fn actions(
        &mut self,
        digest: &ErrorDigest,
        error: ErrorParts<'_>,
        is_known: bool,
    ) -> Result<(), Trouble> {
        if error.actions().next().is_none() {
            return Ok(());
        }
        let mut stored = Vec::new();
        if is_known {
            for record in self.table.scan(Key::of_error(key::ACTION, digest).as_ref()) {
                let (key, value) = record?;
                let long = Long::read(&value).map_err(|e| e.at(&key))?;
                let whole = self.table.whole(&key, long.clone())?;
                let action = value::read_action(&key, &whole).map_err(|e| e.at(&key))?;
                stored.push((key, long, action));
            }
        }
        let mut builder = StateBuilder::new();
        let slot = builder.error(error.id(), Summary::default());
        for action in stored.iter().map(|(_, _, action)| action).chain(error.actions()) {
            builder.action(slot, action.clone());
        }
        let joined = builder.finish();
        let kept: Vec<_> = state::errors(&joined).flat_map(|error| error.actions()).collect();
        for (key, long, action) in &stored {
            if !kept.iter().any(|kept| kept.id == action.id && kept.at == action.at) {
                self.changes.remove_long(key, long);
            }
        }
        for action in kept {
            let before = stored.iter().find(|(_, _, a)| a.id == action.id && a.at == action.at);
            if before.is_none_or(|(_, _, before)| before != action) {
                let key = value::action_key(digest, action);
                let long = before.map(|(_, long, _)| long);
                self.changes.replace_long(key.as_ref(), long, &value::write_action(action));
            }
        }
        Ok(())
    }
}
