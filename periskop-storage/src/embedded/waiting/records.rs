//! Commits that waited, read: what is of errors apart from the rest and by the beginnings of their
//! ids, so that it can be joined bit by bit, in the order in which the tables have it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use periskop_core::Timestamp;
use periskop_core::aggregate::Known;
use periskop_core::ids::{ErrorDigest, ServiceName};
use periskop_core::wire::state::{Reading, Slot, StateBuilder};

use super::super::key::{self, Fields, Short};
use super::super::occurrences::Waited;
use super::super::trouble::{Trouble, damaged};
use super::super::value::{self, Head, Hour, Label};
use super::file;
use super::record::ENTRY_HEAD;

/// Errors are joined in so many shares, by the beginnings of their ids: the order in which they are
/// stored.
pub(super) const SHARES: usize = 64;

/// What lies where in files of records. What they say is read when it is asked for: it may be as
/// much as all else that a process has in memory.
#[derive(Default)]
pub(in crate::embedded) struct Records {
    files: Vec<File>,
    count: u64,
    bytes: u64,
    keep: Option<u8>,
    /// Services and sources, and what belongs to them.
    others: Vec<Span>,
    /// Errors and what belongs to them.
    shares: Vec<Vec<Span>>,
    stacks: HashMap<Short, Span>,
}

/// Some bytes of a file.
#[derive(Clone, Copy)]
struct Span {
    file: usize,
    at: u64,
    length: usize,
}

/// A share of the errors, read.
pub(super) struct Share {
    entries: Vec<u8>,
    stacks: HashMap<Short, Vec<u8>>,
    keep: usize,
}

impl Records {
    /// Those of these files.
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Self, Trouble> {
        let mut all = Self { shares: vec![Vec::new(); SHARES], ..Self::default() };
        for path in files {
            all.add(path).map_err(|trouble| trouble.in_file(path))?;
        }
        Ok(all)
    }

    fn add(&mut self, path: &Path) -> Result<(), Trouble> {
        self.files.push(File::open(path)?);
        let bytes = fs::read(path)?;
        for (at, record) in file::records(&bytes)? {
            let Some((keep, entries)) = record.split_first() else {
                return Err(damaged("a commit is empty"));
            };
            self.keep = Some(*keep);
            self.count += 1;
            self.bytes += record.len() as u64;
            let file = self.files.len() - 1;
            let mut at = at as u64 + 1;
            each(entries, |key, value| {
                let length = ENTRY_HEAD + key.len() + value.len();
                let whole = Span { file, at, length };
                at += length as u64;
                match key {
                    [key::STACK, name @ ..] => {
                        let Ok(name) = Short::try_from(name) else {
                            return Err(damaged("it is no name of a stack"));
                        };
                        let length = value.len();
                        self.stacks.insert(name, Span { at: at - length as u64, length, file });
                    }
                    [key::ERROR..=key::OCCURRENCE, first, ..] => {
                        put(&mut self.shares[usize::from(*first) * SHARES / 256], whole);
                    }
                    _ => put(&mut self.others, whole),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many they are.
    pub(in crate::embedded) fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes they have.
    pub(in crate::embedded) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many occurrences of an error are kept since the last of them.
    pub(super) fn keep(&self) -> Option<u8> {
        self.keep
    }

    /// Reads a share of the errors.
    pub(super) fn share(&self, share: usize) -> Result<Share, Trouble> {
        let entries = self.read(&self.shares[share])?;
        let mut stacks = HashMap::new();
        each(&entries, |key, value| {
            if key.first() == Some(&key::OCCURRENCE) {
                let name = Label::read(value)?.stack;
                if let (Entry::Vacant(vacant), Some(span)) =
                    (stacks.entry(name), self.stacks.get(&name))
                {
                    vacant.insert(self.read(&[*span])?);
                }
            }
            Ok(())
        })?;
        Ok(Share { entries, stacks, keep: self.keep.unwrap_or(u8::MAX).into() })
    }

    /// Joins everything but errors into what is being put together.
    pub(super) fn others(&self, builder: &mut StateBuilder) -> Result<(), Trouble> {
        let mut services = HashMap::new();
        each(&self.read(&self.others)?, |key, value| other(key, value, builder, &mut services))
    }

    fn read(&self, spans: &[Span]) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; spans.iter().map(|span| span.length).sum()];
        let mut rest = &mut bytes[..];
        for span in spans {
            let (part, more) = rest.split_at_mut(span.length);
            let mut file = &self.files[span.file];
            file.seek(SeekFrom::Start(span.at))?;
            file.read_exact(part)?;
            rest = more;
        }
        Ok(bytes)
    }
}

/// What belongs to one error lies together.
fn put(spans: &mut Vec<Span>, next: Span) {
    match spans.last_mut() {
        Some(last) if last.file == next.file && last.at + last.length as u64 == next.at => {
            last.length += next.length;
        }
        _ => spans.push(next),
    }
}

fn each<'a>(
    entries: &'a [u8],
    mut look: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut fields = Fields::of_value(entries);
    while !fields.rest().is_empty() {
        let (key, value) = (u16::from_be_bytes(fields.take()?), fields.number()?);
        let key = fields.slice(key.into())?;
        let value = fields.slice(usize::try_from(value).unwrap_or(usize::MAX))?;
        look(key, value).map_err(|trouble| trouble.at(key))?;
    }
    Ok(())
}

impl Share {
    /// Joins it into what is being put together.
    pub(super) fn join(&self, builder: &mut StateBuilder) -> Result<(), Trouble> {
        let mut reading = Reading::new();
        for (slot, waited) in self.errors(builder)?.into_values() {
            for waited in waited {
                let stack = value::stack_name(waited.label.stack);
                if !reading.has_stack(&stack) {
                    reading.stack(&stack, waited.stack)?;
                }
                reading.occurrence(waited.time, waited.label.content, waited.document)?;
            }
            builder.occurrences(slot, &mut reading);
        }
        Ok(())
    }

    /// The same without occurrences: those that may be kept, by their errors.
    pub(super) fn errors(
        &self,
        builder: &mut StateBuilder,
    ) -> Result<HashMap<ErrorDigest, (Slot, Vec<Waited<'_>>)>, Trouble> {
        let mut errors = HashMap::new();
        each(&self.entries, |key, value| self.of_error(key, value, builder, &mut errors))?;
        for (_, waited) in errors.values_mut() {
            newest(waited, self.keep);
        }
        Ok(errors)
    }

    fn of_error<'a>(
        &'a self,
        key: &'a [u8],
        value: &'a [u8],
        builder: &mut StateBuilder,
        errors: &mut HashMap<ErrorDigest, (Slot, Vec<Waited<'a>>)>,
    ) -> Result<(), Trouble> {
        let mut fields = Fields::of_key(key);
        let digest = fields.error()?;
        let kind = key[0];
        if kind == key::ERROR {
            let head = Head::read(value)?;
            let slot = builder.error(head.id(), head.summary()?);
            errors.entry(digest).or_insert((slot, Vec::new()));
            return Ok(());
        }
        let Some((slot, waited)) = errors.get_mut(&digest) else {
            return Err(damaged("its error is missing"));
        };
        match kind {
            key::COUNT => {
                let incarnation = fields.incarnation()?;
                let (tally, age) = value::read_count(value)?;
                builder.count(*slot, Known { incarnation, tally, age });
            }
            key::ACTION => builder.action(*slot, value::read_action(key, value)?),
            key::HOUR => {
                let (observer, number) = (fields.observer()?, fields.number()?);
                for bucket in Hour::read(value)?.buckets(observer, number) {
                    builder.bucket(*slot, bucket);
                }
            }
            key::OCCURRENCE => {
                let (time, name) = value::read_occurrence_key(key)?;
                let (label, document) = (Label::read(value)?, Label::document(value)?);
                let Some(stack) = self.stacks.get(&label.stack) else {
                    return Err(damaged("its stack is missing"));
                };
                let stack = value::text(stack)?;
                waited.push(Waited { time, name, label, document, stack });
            }
            _ => return Err(damaged("no such record waits")),
        }
        Ok(())
    }
}

fn other(
    key: &[u8],
    value: &[u8],
    builder: &mut StateBuilder,
    services: &mut HashMap<Short, ServiceName>,
) -> Result<(), Trouble> {
    let mut fields = Fields::of_key(key);
    let service = |fields: &mut Fields<'_>| match services.get(&fields.take()?) {
        Some(name) => Ok(name.clone()),
        None => Err(damaged("its service is missing")),
    };
    match key[0] {
        key::SERVICE => {
            let name: ServiceName = value::text(value)?.into();
            builder.service(&name, []);
            services.insert(fields.take()?, name);
        }
        key::OBSERVER => builder.service(&service(&mut fields)?, [fields.observer()?]),
        key::TARGET => {
            let (url, last) = value::read_target(value)?;
            builder.target(&service(&mut fields)?, &url, last);
        }
        key::SOURCE => {
            let source = value::read_source(value)?;
            builder.source(fields.source()?, &source.name, source.labels);
        }
        _ => return Err(damaged("no such record waits")),
    }
    Ok(())
}

/// Drops what is not kept, as a state chooses: of one name the greater, then the newest. Those that
/// are equal up to their documents stay, for the state to choose.
fn newest(waited: &mut Vec<Waited<'_>>, keep: usize) {
    waited.sort_unstable_by_key(|told| Reverse((told.time, told.name, told.label.content.0)));
    let mut greatest: HashMap<&str, (Timestamp, [u8; 16])> = HashMap::new();
    waited.retain(|told| {
        let rank = (told.time, told.label.content.0);
        match greatest.get(told.name) {
            Some(known) => *known == rank,
            None if greatest.len() == keep => false,
            None => greatest.insert(told.name, rank).is_none(),
        }
    });
}
