//! A state out of what is stored: by the beginnings of errors' ids, on as many threads as there
//! are processors, each in the order of the keys.
//!
//! What costs is finding pages and reading documents; the state that is being built is locked only
//! while what has been read of an error goes into it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use periskop_core::aggregate::Known;
use periskop_core::ids::{ErrorDigest, ServiceName};
use periskop_core::wire::state::{Reading, Slot, StateBuilder};
use periskop_core::{State, Timestamp};

use super::key::{self, Fields, Short};
use super::table::{Long, Record, Table};
use super::trouble::{Trouble, damaged};
use super::value::{self, Head, Hour, Label};
use super::waiting::Waiting;
use crate::progress::Progress;

/// Errors are read in so many shares: by the first byte of their ids.
const SHARES: usize = 256;

/// More threads than this wait for each other only.
const MOST_THREADS: usize = 8;

/// Everything.
pub(super) fn state(table: Table<'_>, waiting: &Waiting) -> Result<State, Trouble> {
    waiting.records()?.join_into(tables(table)?)
}

/// Everything that is in the tables.
fn tables(table: Table<'_>) -> Result<StateBuilder, Trouble> {
    let mut builder = StateBuilder::new();
    services(table, &mut builder)?;
    sources(table, &mut builder)?;
    let load = Load {
        table,
        builder: Mutex::new(builder),
        next: AtomicUsize::new(0),
        progress: Mutex::new(Progress::new()),
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| load.shares())).collect();
        let own = load.shares();
        let others = others.into_iter().map(|other| match other.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        others.fold(own, Result::and)
    })?;
    Ok(load.builder.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn services(table: Table<'_>, builder: &mut StateBuilder) -> Result<(), Trouble> {
    let mut names: HashMap<Short, ServiceName> = HashMap::new();
    for record in table.scan(&[key::SERVICE]) {
        let (key, value) = record?;
        let whole = whole(table, &key, &value)?;
        let read = || Ok((Fields::of_key(&key).take()?, value::text(&whole)?.into()));
        let (short, name) = read().map_err(|e: Trouble| e.at(&key))?;
        builder.service(&name, []);
        names.insert(short, name);
    }
    let name_of = |fields: &mut Fields<'_>| match names.get(&fields.take()?) {
        Some(name) => Ok(name),
        None => Err(damaged("its service is missing")),
    };
    for record in table.scan(&[key::OBSERVER]) {
        let (key, _) = record?;
        let mut fields = Fields::of_key(&key);
        let mut read = || Ok((name_of(&mut fields)?, fields.observer()?));
        let (name, observer) = read().map_err(|e: Trouble| e.at(&key))?;
        builder.service(name, [observer]);
    }
    for record in table.scan(&[key::TARGET]) {
        let (key, value) = record?;
        let whole = whole(table, &key, &value)?;
        let read = || Ok((name_of(&mut Fields::of_key(&key))?, value::read_target(&whole)?));
        let (name, (url, last)) = read().map_err(|e: Trouble| e.at(&key))?;
        builder.target(name, &url, last);
    }
    Ok(())
}

fn sources(table: Table<'_>, builder: &mut StateBuilder) -> Result<(), Trouble> {
    for record in table.scan(&[key::SOURCE]) {
        let (key, value) = record?;
        let whole = whole(table, &key, &value)?;
        let read = || Ok((Fields::of_key(&key).source()?, value::read_source(&whole)?));
        let (id, source) = read().map_err(|e: Trouble| e.at(&key))?;
        builder.source(id, &source.name, source.labels);
    }
    Ok(())
}

/// What the threads that read errors share.
struct Load<'a> {
    table: Table<'a>,
    builder: Mutex<StateBuilder>,
    /// The next share that nobody has begun with.
    next: AtomicUsize,
    progress: Mutex<Progress>,
}

impl Load<'_> {
    /// Reads shares until there are none left. After an error nobody begins with another one.
    fn shares(&self) -> Result<(), Trouble> {
        let mut reading = Reading::new();
        loop {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Ok(share) = u8::try_from(next) else { return Ok(()) };
            if let Err(trouble) = self.share(share, &mut reading) {
                self.next.fetch_add(SHARES, Ordering::Relaxed);
                return Err(trouble);
            }
            let errors = self.builder().len();
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            progress.is_at(errors, (next + 1) * 100 / SHARES);
        }
    }

    fn share(&self, share: u8, reading: &mut Reading) -> Result<(), Trouble> {
        self.errors(share)?;
        self.counts(share)?;
        self.actions(share)?;
        self.hours(share)?;
        self.occurrences(share, reading)
    }

    fn errors(&self, share: u8) -> Result<(), Trouble> {
        let mut errors = Vec::new();
        for record in self.table.scan(&[key::ERROR, share]) {
            let (key, value) = record?;
            let whole = whole(self.table, &key, &value)?;
            let read = || {
                let head = Head::read(&whole)?;
                Ok((head.id(), head.summary()?))
            };
            let (id, summary) = read().map_err(|e: Trouble| e.at(&key))?;
            if id.digest() != Fields::of_key(&key).error()? {
                return Err(damaged("it is stored under the key of another error").at(&key));
            }
            errors.push((id, summary));
        }
        let mut builder = self.builder();
        for (id, summary) in errors {
            builder.error(id, summary);
        }
        Ok(())
    }

    fn counts(&self, share: u8) -> Result<(), Trouble> {
        let read = |mut fields: Fields<'_>, value: &[u8]| {
            let incarnation = fields.incarnation()?;
            fields.end()?;
            let (tally, age) = value::read_count(value)?;
            Ok(Known { incarnation, tally, age })
        };
        self.each(key::COUNT, share, read, StateBuilder::count)?;
        let read = |mut fields: Fields<'_>, value: &[u8]| {
            let incarnation = fields.incarnation()?;
            fields.end()?;
            Ok((incarnation, value::read_forgotten(value)?))
        };
        self.each(key::FORGOTTEN, share, read, |builder, slot, (incarnation, count)| {
            builder.forgotten(slot, incarnation, count);
        })
    }

    fn hours(&self, share: u8) -> Result<(), Trouble> {
        let read = |mut fields: Fields<'_>, value: &[u8]| {
            let (observer, number) = (fields.observer()?, fields.number()?);
            fields.end()?;
            Ok((observer, number, Hour::read(value)?))
        };
        self.each(key::HOUR, share, read, |builder, slot, (observer, number, hour)| {
            hour.buckets(observer, number).for_each(|bucket| builder.bucket(slot, bucket));
        })
    }

    fn actions(&self, share: u8) -> Result<(), Trouble> {
        for record in self.table.scan(&[key::ACTION, share]) {
            let (key, value) = record?;
            let whole = whole(self.table, &key, &value)?;
            let read = || Ok((Fields::of_key(&key).error()?, value::read_action(&key, &whole)?));
            let (digest, action) = read().map_err(|e: Trouble| e.at(&key))?;
            let mut builder = self.builder();
            let slot = slot(&builder, &digest).map_err(|e| e.at(&key))?;
            builder.action(slot, action);
        }
        Ok(())
    }

    /// Occurrences and their stacks lie in the same order of errors.
    fn occurrences(&self, share: u8, reading: &mut Reading) -> Result<(), Trouble> {
        let table = self.table;
        let mut stacks = table.scan(&[key::STACK, share]).peekable();
        let mut of = None;
        for record in table.scan(&[key::OCCURRENCE, share]) {
            let (key, value) = record?;
            let digest = Fields::of_key(&key).error().map_err(|e| e.at(&key))?;
            if of.as_ref().is_none_or(|(of, _)| *of != digest) {
                self.put(of.replace((digest, key.clone())), reading)?;
                while let Some(record) =
                    stacks.next_if(|record| belongs(record, |error| error <= digest))
                {
                    let (key, value) = record?;
                    let whole = whole(table, &key, &value)?;
                    read_stack(&key, &whole, &digest, reading).map_err(|e| e.at(&key))?;
                }
            }
            let whole = whole(table, &key, &value)?;
            read_occurrence(&key, &whole, reading).map_err(|e| e.at(&key))?;
        }
        self.put(of, reading)
    }

    /// Puts what was read of an error, of which this is the first key, where it belongs.
    fn put(
        &self,
        of: Option<(ErrorDigest, sled::IVec)>,
        reading: &mut Reading,
    ) -> Result<(), Trouble> {
        if let Some((digest, key)) = of {
            let mut builder = self.builder();
            let slot = slot(&builder, &digest).map_err(|e| e.at(&key))?;
            builder.occurrences(slot, reading);
        }
        reading.clear();
        Ok(())
    }

    /// Reads records of errors whose values are never long.
    fn each<T>(
        &self,
        kind: u8,
        share: u8,
        read: impl Fn(Fields<'_>, &[u8]) -> Result<T, Trouble>,
        mut put: impl FnMut(&mut StateBuilder, Slot, T),
    ) -> Result<(), Trouble> {
        let mut all = Vec::new();
        for record in self.table.scan(&[kind, share]) {
            let (key, value) = record?;
            let mut fields = Fields::of_key(&key);
            let mut read = || Ok((fields.error()?, read(fields, &value)?));
            let (digest, read) = read().map_err(|e: Trouble| e.at(&key))?;
            all.push((digest, key, read));
        }
        let mut builder = self.builder();
        for (digest, key, read) in all {
            let slot = slot(&builder, &digest).map_err(|e| e.at(&key))?;
            put(&mut builder, slot, read);
        }
        Ok(())
    }

    fn builder(&self) -> MutexGuard<'_, StateBuilder> {
        // Who panics while it has it ends the whole load.
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(builder: &StateBuilder, digest: &ErrorDigest) -> Result<Slot, Trouble> {
    builder.slot(digest).ok_or_else(|| damaged("its error is missing"))
}

/// Whether a record is one that cannot be read, or of such an error.
fn belongs(record: &Result<Record, Trouble>, fits: impl Fn(ErrorDigest) -> bool) -> bool {
    match record {
        Ok((key, _)) => Fields::of_key(key).error().map_or(true, fits),
        Err(_) => true,
    }
}

/// A stack of an error without occurrences is no use to anybody, and no harm.
fn read_stack(
    key: &[u8],
    document: &[u8],
    of: &ErrorDigest,
    reading: &mut Reading,
) -> Result<(), Trouble> {
    let mut fields = Fields::of_key(key);
    if fields.error()? == *of {
        let name = value::stack_name(fields.take()?);
        reading.stack(&name, value::text(document)?)?;
    }
    Ok(())
}

fn read_occurrence(key: &[u8], value: &[u8], reading: &mut Reading) -> Result<(), Trouble> {
    let (time, _): (Timestamp, _) = value::read_occurrence_key(key)?;
    let (label, document) = (Label::read(value)?, Label::document(value)?);
    reading.occurrence(time, label.content, document)?;
    Ok(())
}

/// All of the value of a record that may be long.
fn whole(table: Table<'_>, key: &[u8], value: &sled::IVec) -> Result<sled::IVec, Trouble> {
    let long = Long::read(value).map_err(|e| e.at(key))?;
    table.whole(key, long)
}
