//! A state out of what is stored, read in the order of the keys.

use std::collections::HashMap;

use periskop_core::aggregate::Known;
use periskop_core::ids::{ErrorDigest, ServiceName};
use periskop_core::wire::state::{Slot, Stacks, StateBuilder};
use periskop_core::{State, Timestamp};

use super::key::{self, Fields, Short};
use super::table::{Long, Record, Table};
use super::trouble::{Trouble, damaged};
use super::value::{self, Head, Hour, Label};

/// Everything.
pub(super) fn state(table: Table<'_>) -> Result<State, Trouble> {
    let mut load = Load { table, builder: StateBuilder::new() };
    load.services()?;
    load.sources()?;
    load.errors()?;
    load.counts()?;
    load.actions()?;
    load.hours()?;
    load.occurrences()?;
    Ok(load.builder.finish())
}

struct Load<'a> {
    table: Table<'a>,
    builder: StateBuilder,
}

impl Load<'_> {
    fn services(&mut self) -> Result<(), Trouble> {
        let mut names: HashMap<Short, ServiceName> = HashMap::new();
        let table = self.table;
        for record in table.scan(&[key::SERVICE]) {
            let (key, value) = record?;
            let whole = whole(table, &key, &value)?;
            let read = || Ok((Fields::of_key(&key).take()?, value::text(&whole)?.into()));
            let (short, name) = read().map_err(|e: Trouble| e.at(&key))?;
            self.builder.service(&name, []);
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
            self.builder.service(name, [observer]);
        }
        for record in table.scan(&[key::TARGET]) {
            let (key, value) = record?;
            let whole = whole(table, &key, &value)?;
            let read = || Ok((name_of(&mut Fields::of_key(&key))?, value::read_target(&whole)?));
            let (name, (url, last)) = read().map_err(|e: Trouble| e.at(&key))?;
            self.builder.target(name, &url, last);
        }
        Ok(())
    }

    fn sources(&mut self) -> Result<(), Trouble> {
        for record in self.table.scan(&[key::SOURCE]) {
            let (key, value) = record?;
            let whole = whole(self.table, &key, &value)?;
            let read = || Ok((Fields::of_key(&key).source()?, value::read_source(&whole)?));
            let (id, source) = read().map_err(|e: Trouble| e.at(&key))?;
            self.builder.source(id, &source.name, source.labels);
        }
        Ok(())
    }

    fn errors(&mut self) -> Result<(), Trouble> {
        for record in self.table.scan(&[key::ERROR]) {
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
            self.builder.error(id, summary);
        }
        Ok(())
    }

    fn counts(&mut self) -> Result<(), Trouble> {
        self.each(&[key::COUNT], |builder, slot, fields, value| {
            let incarnation = fields.incarnation()?;
            fields.end()?;
            let (tally, age) = value::read_count(value)?;
            builder.count(slot, Known { incarnation, tally, age });
            Ok(())
        })?;
        self.each(&[key::FORGOTTEN], |builder, slot, fields, value| {
            let incarnation = fields.incarnation()?;
            fields.end()?;
            builder.forgotten(slot, incarnation, value::read_forgotten(value)?);
            Ok(())
        })
    }

    fn hours(&mut self) -> Result<(), Trouble> {
        self.each(&[key::HOUR], |builder, slot, fields, value| {
            let (observer, number) = (fields.observer()?, fields.number()?);
            fields.end()?;
            let hour = Hour::read(value)?;
            hour.buckets(observer, number).for_each(|bucket| builder.bucket(slot, bucket));
            Ok(())
        })
    }

    fn actions(&mut self) -> Result<(), Trouble> {
        for record in self.table.scan(&[key::ACTION]) {
            let (key, value) = record?;
            let whole = whole(self.table, &key, &value)?;
            let read = || Ok((self.slot(&key)?.1, value::read_action(&key, &whole)?));
            let (slot, action) = read().map_err(|e: Trouble| e.at(&key))?;
            self.builder.action(slot, action);
        }
        Ok(())
    }

    /// Occurrences and their stacks lie in the same order of errors.
    fn occurrences(&mut self) -> Result<(), Trouble> {
        let table = self.table;
        let mut stack_records = table.scan(&[key::STACK]).peekable();
        let mut stacks = Stacks::new();
        let mut of = None;
        for record in table.scan(&[key::OCCURRENCE]) {
            let (key, value) = record?;
            let (digest, slot) = self.slot(&key).map_err(|e| e.at(&key))?;
            if of != Some(digest) {
                of = Some(digest);
                stacks.clear();
                while let Some(record) =
                    stack_records.next_if(|record| belongs(record, |error| error <= digest))
                {
                    let (key, value) = record?;
                    let whole = whole(table, &key, &value)?;
                    read_stack(&key, &whole, &digest, &mut stacks).map_err(|e| e.at(&key))?;
                }
            }
            let whole = whole(table, &key, &value)?;
            let builder = &mut self.builder;
            read_occurrence(builder, slot, &key, &whole, &mut stacks).map_err(|e| e.at(&key))?;
        }
        Ok(())
    }

    /// Reads records of errors whose values are never long.
    fn each(
        &mut self,
        beginning: &[u8],
        mut read: impl FnMut(&mut StateBuilder, Slot, &mut Fields<'_>, &[u8]) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let mut last: Option<(ErrorDigest, Slot)> = None;
        for record in self.table.scan(beginning) {
            let (key, value) = record?;
            let mut fields = Fields::of_key(&key);
            let mut read = || {
                let digest = fields.error()?;
                let slot = match last {
                    Some((known, slot)) if known == digest => slot,
                    _ => self.slot(&key)?.1,
                };
                last = Some((digest, slot));
                read(&mut self.builder, slot, &mut fields, &value)
            };
            read().map_err(|e| e.at(&key))?;
        }
        Ok(())
    }

    fn slot(&self, key: &[u8]) -> Result<(ErrorDigest, Slot), Trouble> {
        let digest = Fields::of_key(key).error()?;
        match self.builder.slot(&digest) {
            Some(slot) => Ok((digest, slot)),
            None => Err(damaged("its error is missing")),
        }
    }
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
    stacks: &mut Stacks,
) -> Result<(), Trouble> {
    let mut fields = Fields::of_key(key);
    if fields.error()? == *of {
        let name = value::stack_name(fields.take()?);
        stacks.insert(&name, value::text(document)?)?;
    }
    Ok(())
}

fn read_occurrence(
    builder: &mut StateBuilder,
    slot: Slot,
    key: &[u8],
    value: &[u8],
    stacks: &mut Stacks,
) -> Result<(), Trouble> {
    let (time, _): (Timestamp, _) = value::read_occurrence_key(key)?;
    let (label, document) = (Label::read(value)?, Label::document(value)?);
    builder.occurrence(slot, time, label.content, document, stacks)?;
    Ok(())
}

/// All of the value of a record that may be long.
fn whole(table: Table<'_>, key: &[u8], value: &sled::IVec) -> Result<sled::IVec, Trouble> {
    let long = Long::read(value).map_err(|e| e.at(key))?;
    table.whole(key, long)
}
