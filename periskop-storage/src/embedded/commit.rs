//! A delta joins what is stored: what is stored of what it tells is read, and what differs is
//! written.
//!
//! Invariant: of an error that is not stored nothing else is stored either; so what is new is not
//! looked for.

use std::cmp::Ordering;
use std::collections::HashSet;

use periskop_core::Delta;
use periskop_core::Timestamp;
use periskop_core::ids::{ErrorDigest, SourceId};
use periskop_core::occurrence::ContentHash;
use periskop_core::state::Source;
use periskop_core::texts::OccurrenceView;
use periskop_core::wire::state::{
    self, Documents, ErrorParts, ServiceParts, StackName, StateBuilder, Summary, stack_document,
};

use super::key::{self, Key, Short};
use super::series;
use super::table::{Changes, Long, Table};
use super::trouble::Trouble;
use super::value::{self, Head, Label};

/// What `delta` changes of what is stored.
pub(super) fn changes(
    table: Table<'_>,
    documents: &mut Documents,
    delta: &Delta,
) -> Result<Changes, Trouble> {
    documents.begin();
    let mut commit = Commit {
        table,
        changes: Changes::default(),
        keep: usize::from(delta.occurrences_kept()),
        counted: HashSet::new(),
        documents,
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
        if is_raised || error.occurrences().len() > 0 {
            let known = if is_known { self.occurrences(digest)? } else { Vec::new() };
            self.join_occurrences(digest, error, known, summary.forgotten_through)?;
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

    fn occurrences(&self, digest: &ErrorDigest) -> Result<Vec<Stored>, Trouble> {
        let records = self.table.scan(Key::of_error(key::OCCURRENCE, digest).as_ref());
        records.map(|record| Stored::read(record?)).collect()
    }

    /// Of one name the greater stays, then the newest; those that are forgotten go.
    fn join_occurrences(
        &mut self,
        digest: &ErrorDigest,
        error: ErrorParts<'_>,
        stored: Vec<Stored>,
        through: Option<Timestamp>,
    ) -> Result<(), Trouble> {
        let is_forgotten = |time| through.is_some_and(|through| time <= through);
        let mut kept: Vec<Candidate<'_>> = Vec::new();
        let mut gone = Vec::new();
        let stacks: Vec<Short> = stored.iter().map(|stored| stored.label.stack).collect();
        for stored in stored {
            match is_forgotten(stored.time) {
                true => gone.push(stored),
                false => kept.push(Candidate::Stored(stored)),
            }
        }
        for told in error.occurrences().filter(|told| !is_forgotten(told.ordering_time())) {
            match kept.iter_mut().find(|kept| kept.name() == told.name()) {
                None => kept.push(Candidate::Told(told)),
                Some(known) => {
                    if self.is_greater(told, known)?
                        && let Candidate::Stored(less) =
                            std::mem::replace(known, Candidate::Told(told))
                    {
                        gone.push(less);
                    }
                }
            }
        }
        kept.sort_unstable_by(|a, b| b.rank().cmp(&a.rank()));
        let dropped = kept.split_off(self.keep.min(kept.len()));
        gone.extend(dropped.into_iter().filter_map(Candidate::stored));
        self.remove_occurrences(&gone);

        let mut named: Vec<Short> = Vec::with_capacity(kept.len());
        for kept in &kept {
            named.push(match kept {
                Candidate::Stored(stored) => stored.label.stack,
                Candidate::Told(told) => {
                    let (document, StackName(name)) = self.documents.occurrence(*told);
                    if !stacks.contains(&name) && !named.contains(&name) {
                        let key = Key::of_error(key::STACK, digest).bytes(&name);
                        self.changes.put_long(key, stack_document(*told).as_bytes());
                    }
                    let label = Label { content: told.content(), stack: name };
                    let key = Key::of_error(key::OCCURRENCE, digest)
                        .time(told.ordering_time())
                        .bytes(told.name().as_bytes());
                    self.changes.put_long(key, &label.write(&document));
                    name
                }
            });
        }
        for stack in gone.iter().map(|gone| gone.label.stack) {
            if !named.contains(&stack) {
                let key = Key::of_error(key::STACK, digest).bytes(&stack);
                if let Some(long) = self.table.long(&key)? {
                    self.changes.remove_long(key.as_ref(), &long);
                }
            }
        }
        Ok(())
    }

    /// Before others are put: one of the same time and name may take the place of one of them.
    fn remove_occurrences(&mut self, gone: &[Stored]) {
        for gone in gone {
            self.changes.remove_long(&gone.key, &gone.long);
        }
    }

    /// The greater time, then the greater content, then the greater document.
    fn is_greater(
        &mut self,
        told: OccurrenceView<'_>,
        known: &Candidate<'_>,
    ) -> Result<bool, Trouble> {
        let (time, content) = known.time_and_content();
        match (told.ordering_time(), told.content()).cmp(&(time, content)) {
            Ordering::Greater => Ok(true),
            Ordering::Less => Ok(false),
            Ordering::Equal => {
                let other = match known {
                    Candidate::Told(known) => self.documents.occurrence(*known).0,
                    Candidate::Stored(stored) => {
                        let whole = self.table.whole(&stored.key, stored.long.clone())?;
                        Label::document(&whole).map_err(|e| e.at(&stored.key))?.to_owned()
                    }
                };
                Ok(self.documents.occurrence(told).0 > other)
            }
        }
    }
}

/// An occurrence that is stored, of which only what is needed has been read.
struct Stored {
    key: sled::IVec,
    long: Long,
    time: Timestamp,
    label: Label,
}

impl Stored {
    fn read((key, value): super::table::Record) -> Result<Self, Trouble> {
        let read = || {
            let (time, _) = value::read_occurrence_key(&key)?;
            let long = Long::read(&value)?;
            let label = Label::read(&long.first)?;
            Ok((long, time, label))
        };
        let (long, time, label) = read().map_err(|e: Trouble| e.at(&key))?;
        Ok(Self { key, long, time, label })
    }

    /// That it is a text has been found out before.
    fn name(&self) -> &str {
        value::read_occurrence_key(&self.key).map_or("", |(_, name)| name)
    }
}

/// One of those among which the newest are kept.
enum Candidate<'a> {
    Stored(Stored),
    Told(OccurrenceView<'a>),
}

impl Candidate<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Stored(stored) => stored.name(),
            Self::Told(told) => told.name(),
        }
    }

    fn time_and_content(&self) -> (Timestamp, ContentHash) {
        match self {
            Self::Stored(stored) => (stored.time, stored.label.content),
            Self::Told(told) => (told.ordering_time(), told.content()),
        }
    }

    fn rank(&self) -> (Timestamp, &str) {
        (self.time_and_content().0, self.name())
    }

    fn stored(self) -> Option<Stored> {
        match self {
            Self::Stored(stored) => Some(stored),
            Self::Told(_) => None,
        }
    }
}
