//! What happened lately, summed up by service as it becomes known.
//!
//! To add up the last day of ten thousand errors whenever somebody looks would take longer than
//! anything else on the page. So each error remembers what it has added to the sums of its service,
//! and what it adds is replaced when it changes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::Row;
use crate::aggregate::{Status, Width};
use crate::search::ErrorSet;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// What an error has lately, by number of hour and of minute: the last day and the last quarter of
/// an hour of those that it has any in. Empty for one that is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lately {
    hours: Box<[(u32, u32)]>,
    minutes: Box<[(u32, u32)]>,
}

/// What the errors of a service have lately that are unresolved until something happens.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    hours: BTreeMap<u32, u64>,
    minutes: BTreeMap<u32, u64>,
    /// Those that are muted for a time: whether they count is asked when it is told.
    pub(super) timed: ErrorSet,
}

/// Hours that are shown.
pub(super) const HOURS: usize = SHOWN as usize;
const SHOWN: u32 = 24;

/// Minutes that make a rate.
const MINUTES: u32 = 15;

impl Lately {
    /// Of several observers the one that saw most in that time, as far as is known now: which one
    /// that is is not asked again when hours have passed and nothing else has happened.
    pub(super) fn of(error: ErrorView<'_>, row: &Row) -> Self {
        // A mute that ends has ended by then.
        let in_the_end = row.standing().at(Timestamp::from_micros(i64::MAX));
        if !matches!(in_the_end, Status::Open | Status::Regressed) {
            return Self::default();
        }
        Self {
            hours: error.newest_buckets(Width::Hour, SHOWN).into(),
            minutes: error.newest_buckets(Width::Minute, MINUTES).into(),
        }
    }

    /// Adds up to `hours`, which end with that of `now`; returns what is in the last minutes.
    pub(super) fn add_to(&self, hours: &mut [u64; HOURS], now: Timestamp) -> u64 {
        for (hour, count) in &self.hours {
            if let Some(sum) = place(*hour, now).and_then(|i| hours.get_mut(i)) {
                *sum = sum.saturating_add(u64::from(*count));
            }
        }
        let rated = self.minutes.iter().filter(|(minute, _)| is_rated(*minute, now));
        rated.map(|(_, count)| u64::from(*count)).sum()
    }
}

impl Sums {
    /// Puts what an error has now in place of what it had.
    pub(super) fn replace(&mut self, old: &Lately, new: &Lately) {
        replace(&mut self.hours, &old.hours, &new.hours);
        replace(&mut self.minutes, &old.minutes, &new.minutes);
    }

    /// The sums of the hours that end with that of `now`, and of the last minutes.
    pub(super) fn at(&self, now: Timestamp) -> ([u64; HOURS], u64) {
        let mut hours = [0; HOURS];
        for (hour, count) in self.hours.range(first_hour(now)..) {
            if let Some(sum) = place(*hour, now).and_then(|i| hours.get_mut(i)) {
                *sum = *count;
            }
        }
        let minute = Width::Minute.number(now);
        let rated = self.minutes.range(minute.saturating_sub(MINUTES - 1)..=minute);
        (hours, rated.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count)))
    }
}

/// Occurrences a minute.
pub(super) fn rate(count: u64) -> f64 {
    // Exact up to 2^32, beyond which nobody needs it to be.
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(MINUTES)
}

/// When the first hour begins that is shown.
pub(super) fn begin(now: Timestamp) -> Timestamp {
    let hour = Duration::from_secs(Width::Hour.secs().into());
    Timestamp::EPOCH.plus(hour * first_hour(now))
}

fn first_hour(now: Timestamp) -> u32 {
    Width::Hour.number(now).saturating_sub(SHOWN - 1)
}

fn place(hour: u32, now: Timestamp) -> Option<usize> {
    hour.checked_sub(first_hour(now)).map(|i| i as usize)
}

fn is_rated(minute: u32, now: Timestamp) -> bool {
    let current = Width::Minute.number(now);
    minute <= current && minute > current.saturating_sub(MINUTES)
}

/// Touches only the sums whose part has changed; both are sorted.
fn replace(sums: &mut BTreeMap<u32, u64>, old: &[(u32, u32)], new: &[(u32, u32)]) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let next = old.peek().map(|(n, _)| *n).into_iter().chain(new.peek().map(|(n, _)| *n)).min();
        let Some(number) = next else { return };
        let before = old.next_if(|(n, _)| *n == number).map_or(0, |(_, count)| *count);
        let after = new.next_if(|(n, _)| *n == number).map_or(0, |(_, count)| *count);
        if before == after {
            continue;
        }
        let sum = sums.entry(number).or_default();
        *sum = sum.saturating_sub(before.into()).saturating_add(after.into());
        if *sum == 0 {
            sums.remove(&number);
        }
    }
}
