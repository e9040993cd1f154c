//! The occurrences of an error, joined into those that are stored.

use std::borrow::Cow;
use std::cmp::Ordering;

use periskop_core::Timestamp;
use periskop_core::ids::ErrorDigest;
use periskop_core::occurrence::ContentHash;
use periskop_core::texts::OccurrenceView;
use periskop_core::wire::state::{Documents, StackName, stack_document};

use super::key::{self, Key, Short};
use super::table::{Changes, Long, Record, Table};
use super::trouble::Trouble;
use super::value::{self, Label};

/// An occurrence that joins.
pub(super) enum Told<'a> {
    /// As a state has it.
    Known(OccurrenceView<'a>),
    /// As it waited.
    Waited(Waited<'a>),
}

/// An occurrence as it is written: nobody need read it to write it again.
pub(super) struct Waited<'a> {
    pub(super) time: Timestamp,
    pub(super) name: &'a str,
    pub(super) label: Label,
    pub(super) document: &'a str,
    /// The document of its stack.
    pub(super) stack: &'a str,
}

impl Told<'_> {
    fn time(&self) -> Timestamp {
        match self {
            Self::Known(view) => view.ordering_time(),
            Self::Waited(waited) => waited.time,
        }
    }

    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Known(view) => view.name(),
            Self::Waited(waited) => waited.name.into(),
        }
    }

    fn content(&self) -> ContentHash {
        match self {
            Self::Known(view) => view.content(),
            Self::Waited(waited) => waited.label.content,
        }
    }

    /// And the name of its stack.
    fn document(&self, documents: &mut Documents) -> (Cow<'_, str>, Short) {
        match self {
            Self::Known(view) => {
                let (document, StackName(stack)) = documents.occurrence(*view);
                (document.into(), stack)
            }
            Self::Waited(waited) => (waited.document.into(), waited.label.stack),
        }
    }

    fn stack_document(&self) -> Cow<'_, str> {
        match self {
            Self::Known(view) => stack_document(*view).into(),
            Self::Waited(waited) => waited.stack.into(),
        }
    }
}

/// Those of one error.
pub(super) struct Occurrences<'a> {
    pub(super) table: Table<'a>,
    pub(super) changes: &'a mut Changes,
    pub(super) documents: &'a mut Documents,
    pub(super) digest: &'a ErrorDigest,
    /// How many are kept.
    pub(super) keep: usize,
    /// Up to when they are forgotten.
    pub(super) through: Option<Timestamp>,
}

impl Occurrences<'_> {
    fn stored(&self) -> Result<Vec<Stored>, Trouble> {
        let records = self.table.scan(Key::of_error(key::OCCURRENCE, self.digest).as_ref());
        records.map(|record| Stored::read(record?)).collect()
    }

    /// Of one name the greater stays, then the newest; those that are forgotten go.
    pub(super) fn join(mut self, told: Vec<Told<'_>>, is_known: bool) -> Result<(), Trouble> {
        let stored = if is_known { self.stored()? } else { Vec::new() };
        let (digest, through) = (self.digest, self.through);
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
        for told in told.into_iter().filter(|told| !is_forgotten(told.time())) {
            let name = told.name();
            let known = kept.iter_mut().find(|kept| kept.name() == name);
            drop(name);
            match known {
                None => kept.push(Candidate::Told(told)),
                Some(known) => {
                    if self.is_greater(&told, known)?
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
                    let (document, name) = told.document(self.documents);
                    if !stacks.contains(&name) && !named.contains(&name) {
                        let key = Key::of_error(key::STACK, digest).bytes(&name);
                        self.changes.put_long(key, told.stack_document().as_bytes());
                    }
                    let label = Label { content: told.content(), stack: name };
                    let key = Key::of_error(key::OCCURRENCE, digest)
                        .time(told.time())
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
    fn is_greater(&mut self, told: &Told<'_>, known: &Candidate<'_>) -> Result<bool, Trouble> {
        let (time, content) = known.time_and_content();
        match (told.time(), told.content()).cmp(&(time, content)) {
            Ordering::Greater => Ok(true),
            Ordering::Less => Ok(false),
            Ordering::Equal => {
                let other = match known {
                    Candidate::Told(known) => known.document(self.documents).0.into_owned(),
                    Candidate::Stored(stored) => {
                        let whole = self.table.whole(&stored.key, stored.long.clone())?;
                        Label::document(&whole).map_err(|e| e.at(&stored.key))?.to_owned()
                    }
                };
                Ok(*told.document(self.documents).0 > *other)
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
    fn read((key, value): Record) -> Result<Self, Trouble> {
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
    Told(Told<'a>),
}

impl Candidate<'_> {
    fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Stored(stored) => stored.name().into(),
            Self::Told(told) => told.name(),
        }
    }

    fn time_and_content(&self) -> (Timestamp, ContentHash) {
        match self {
            Self::Stored(stored) => (stored.time, stored.label.content),
            Self::Told(told) => (told.time(), told.content()),
        }
    }

    fn rank(&self) -> (Timestamp, Cow<'_, str>) {
        (self.time_and_content().0, self.name())
    }

    fn stored(self) -> Option<Stored> {
        match self {
            Self::Stored(stored) => Some(stored),
            Self::Told(_) => None,
        }
    }
}
