//! What observers saw over time: all that one saw of an error within an hour is one record.
//!
//! One record for each minute would be sixty times as many, and each occurrence would write two:
//! one for its minute and one for its hour.
//!
//! Invariant: whatever a series keeps is stored. What is older may be, for a while: it is dropped
//! when the next hour begins, and a state drops it again when it is read.

use std::collections::BTreeMap;

use periskop_core::aggregate::Width;
use periskop_core::ids::{ErrorDigest, ReplicaId};
use periskop_core::wire::state::ErrorParts;

use super::key::{self, Fields, Key};
use super::table::{Changes, Table};
use super::trouble::Trouble;
use super::value::Hour;

/// A minute has gone when this many hours have begun since its own.
const MINUTES_GO_AFTER: u32 = Width::Minute.kept() / 60 + 1;

/// The newest bucket of each width that is known: older ones are dropped counting from there.
#[derive(Clone, Copy, Default)]
struct Newest {
    hour: Option<u32>,
    minute: Option<u64>,
}

/// Joins what `error` tells of series into what is stored.
pub(super) fn join(
    table: Table<'_>,
    changes: &mut Changes,
    digest: &ErrorDigest,
    error: ErrorParts<'_>,
    is_known: bool,
) -> Result<(), Trouble> {
    for (observer, hours) in hours(error) {
        let of_observer = Key::of_error(key::HOUR, digest).observer(observer);
        Observed { table, changes: &mut *changes, of_observer, is_known }.join(&hours)?;
    }
    Ok(())
}

/// What `error` tells of series, as it is stored: by observer and hour.
pub(super) fn hours(error: ErrorParts<'_>) -> BTreeMap<ReplicaId, BTreeMap<u32, Hour>> {
    let mut told: BTreeMap<ReplicaId, BTreeMap<u32, Hour>> = BTreeMap::new();
    for bucket in error.buckets() {
        let hours = told.entry(bucket.observer).or_default();
        match bucket.width {
            Width::Hour => hours.entry(bucket.number).or_default().whole = bucket.count,
            Width::Minute => {
                let hour = hours.entry(bucket.number / 60).or_default();
                let minute = u8::try_from(bucket.number % 60).unwrap_or_default();
                hour.minutes.insert(minute, bucket.count);
            }
        }
    }
    told
}

/// What one observer saw of one error.
struct Observed<'a, 'b> {
    table: Table<'a>,
    changes: &'b mut Changes,
    of_observer: Key,
    is_known: bool,
}

impl Observed<'_, '_> {
    fn join(mut self, told: &BTreeMap<u32, Hour>) -> Result<(), Trouble> {
        let last = self.last(told)?;
        let mut newest = Newest::default();
        last.iter().for_each(|(hour, known)| newest.see(*hour, known));
        told.iter().for_each(|(hour, told)| newest.see(*hour, told));

        for (&number, told) in told {
            let key = self.of_observer.clone().number(number);
            let stored = match &last {
                Some((last, known)) if *last == number => Some(known.clone()),
                Some((last, _)) if *last > number => match self.table.get(&key)? {
                    Some(value) => Some(read(key.as_ref(), &value)?.1),
                    None => None,
                },
                _ => None,
            };
            let mut joined = stored.clone().unwrap_or_default();
            joined.join(told);
            self.put(key, stored.as_ref(), &newest.keep(number, joined));
        }
        match (last, told.last_key_value()) {
            (Some((before, _)), Some((now, _))) if *now > before => {
                self.drop_old(before, *now, newest, told)
            }
            _ => Ok(()),
        }
    }

    /// The last hour that is stored; if only one is told and that is stored, that one.
    fn last(&self, told: &BTreeMap<u32, Hour>) -> Result<Option<(u32, Hour)>, Trouble> {
        if !self.is_known {
            return Ok(None);
        }
        if let (1, Some((number, _))) = (told.len(), told.first_key_value()) {
            // As it is but once an hour, and costs less to find.
            let key = self.of_observer.clone().number(*number);
            if let Some(value) = self.table.get(&key)? {
                return read(key.as_ref(), &value).map(Some);
            }
        }
        let last = self.table.scan(self.of_observer.as_ref()).next_back().transpose()?;
        last.map(|(key, value)| read(&key, &value)).transpose()
    }

    /// Drops what is too old since the hour `now` has begun; the last one until then was `before`.
    fn drop_old(
        &mut self,
        before: u32,
        now: u32,
        newest: Newest,
        told: &BTreeMap<u32, Hour>,
    ) -> Result<(), Trouble> {
        let begun = now.saturating_sub(MINUTES_GO_AFTER - 1);
        let ranges = [
            (0, now.saturating_sub(Width::Hour.kept() - 1)),
            (before.saturating_sub(MINUTES_GO_AFTER), begun),
        ];
        for (from, to) in ranges {
            let from = self.of_observer.clone().number(from);
            let to = self.of_observer.clone().number(to);
            if from >= to {
                continue;
            }
            for record in self.table.between(from, to) {
                let (key, value) = record?;
                let (number, hour) = read(&key, &value)?;
                if told.contains_key(&number) {
                    // It has just been joined.
                    continue;
                }
                let kept = newest.keep(number, hour.clone());
                self.put(self.of_observer.clone().number(number), Some(&hour), &kept);
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Key, stored: Option<&Hour>, kept: &Hour) {
        let is_empty = *kept == Hour::default();
        match stored {
            Some(_) if is_empty => self.changes.remove(key),
            Some(stored) if stored == kept => {}
            None if is_empty => {}
            _ => self.changes.put(key, &kept.write()),
        }
    }
}

fn read(key: &[u8], value: &[u8]) -> Result<(u32, Hour), Trouble> {
    let read = || {
        let mut fields = Fields::of_key(key);
        fields.error()?;
        fields.observer()?;
        let number = fields.number()?;
        fields.end()?;
        Ok((number, Hour::read(value)?))
    };
    read().map_err(|e: Trouble| e.at(key))
}

impl Newest {
    fn see(&mut self, number: u32, hour: &Hour) {
        if hour.whole > 0 {
            self.hour = self.hour.max(Some(number));
        }
        if let Some((minute, _)) = hour.minutes.last_key_value() {
            self.minute = self.minute.max(Some(minute_number(number, *minute)));
        }
    }

    /// What of an hour is not too old.
    fn keep(self, number: u32, mut hour: Hour) -> Hour {
        let oldest = self.hour.map_or(0, |newest| newest.saturating_sub(Width::Hour.kept() - 1));
        if number < oldest {
            hour.whole = 0;
        }
        let kept = u64::from(Width::Minute.kept() - 1);
        let oldest = self.minute.map_or(0, |newest| newest.saturating_sub(kept));
        hour.minutes.retain(|minute, _| minute_number(number, *minute) >= oldest);
        hour
    }
}

impl Hour {
    /// Of two counts of the same time the greater.
    fn join(&mut self, told: &Self) {
        self.whole = self.whole.max(told.whole);
        for (minute, count) in &told.minutes {
            let known = self.minutes.entry(*minute).or_default();
            *known = (*known).max(*count);
        }
    }
}

/// The number of a minute since the epoch.
fn minute_number(hour: u32, minute: u8) -> u64 {
    u64::from(hour) * 60 + u64::from(minute)
}
