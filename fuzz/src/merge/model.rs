//! What must be known, by the rules alone: maps, maxima and sums, nothing shared with core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use periskop_core::Timestamp;
use periskop_core::aggregate::Status;

use super::{BEGIN, key_of};

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// An instance with a `target_uuid`, whose lives have a `created_at`.
    Uuid(u8),
    /// Whoever answers behind an address, with neither.
    Target(u8),
}

/// What an instance says of one error.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) key: u8,
    pub(super) life: Option<u8>,
    pub(super) count: u8,
    /// By their ages in seconds.
    pub(super) occurrences: Vec<u8>,
}

impl Answer {
    pub(super) fn created_at(&self) -> Option<Timestamp> {
        self.life.map(|life| BEGIN.minus(Duration::from_secs(100 + u64::from(life))))
    }

    pub(super) fn named(&self) -> impl Iterator<Item = (Timestamp, String)> {
        let name = |age: &u8| {
            let time = BEGIN.minus(Duration::from_secs((*age).into()));
            (time, format!("{} at -{age}", self.key))
        };
        self.occurrences.iter().map(name)
    }
}

/// Everything that one server knows.
#[derive(Clone, Default)]
pub(super) struct Knowledge(BTreeMap<u8, Error>);

#[derive(Clone, Default)]
struct Error {
    lives: BTreeMap<Life, u64>,
    /// Lives that have exported an occurrence.
    timed: BTreeSet<Life>,
    first_seen: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    occurrences: BTreeSet<(Timestamp, String)>,
    actions: BTreeMap<u64, Action>,
}

/// One life of one counter. Without `created_at` it is numbered by who observed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    Since(Source, u8),
    Reset(Source, u8, usize),
}

#[derive(Clone)]
enum Action {
    Resolve { watermark: BTreeMap<Life, u64> },
    Reopen,
}

/// What must be seen of an error; of its status where the rules leave no doubt.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) total: u64,
    pub(super) first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) newest: Vec<String>,
    pub(super) status: Option<Status>,
}

impl Knowledge {
    /// A server has heard from somebody. One key may be there twice.
    pub(super) fn heard(&mut self, now: Timestamp, server: u8, source: Source, all: Vec<Answer>) {
        let mut answers: BTreeMap<(u8, Option<u8>), Answer> = BTreeMap::new();
        for answer in all {
            match answers.get_mut(&(answer.key, answer.life)) {
                Some(twice) => {
                    twice.count = twice.count.max(answer.count);
                    twice.occurrences.extend(answer.occurrences);
                }
                None => drop(answers.insert((answer.key, answer.life), answer)),
            }
        }
        for answer in answers.into_values() {
            let error = self.0.entry(answer.key).or_default();
            error.heard(now, server, source, &answer);
        }
    }

    /// Somebody resolves or reopens; false if there is no such error.
    pub(super) fn act(&mut self, key: u8, resolve: bool, id: u64) -> bool {
        let Some(error) = self.0.get_mut(&key).filter(|error| error.total() > 0) else {
            return false;
        };
        let action = match resolve {
            true => Action::Resolve { watermark: error.lives.clone() },
            false => Action::Reopen,
        };
        error.actions.insert(id, action);
        true
    }

    pub(super) fn join(&mut self, other: Self) {
        for (key, theirs) in other.0 {
            self.0.entry(key).or_default().join(theirs);
        }
    }

    pub(super) fn errors(&self) -> BTreeMap<String, Expected> {
        let listed = self.0.iter().filter(|(_, error)| error.total() > 0);
        listed.map(|(key, error)| (key_of(*key), error.expected())).collect()
    }
}

impl Error {
    fn heard(&mut self, now: Timestamp, server: u8, source: Source, answer: &Answer) {
        let count = u64::from(answer.count);
        let life = match answer.life {
            Some(life) => Life::Since(source, life),
            None => self.present_life(server, source, count),
        };
        let known = self.lives.get(&life).copied();
        let occurred: Vec<_> = answer.named().collect();
        let times = || occurred.iter().map(|(time, _)| *time).chain(answer.created_at());
        if !occurred.is_empty() {
            self.timed.insert(life);
        }
        let first = times().min().or(if self.first_seen.is_none() { Some(now) } else { None });
        self.first_seen = self.first_seen.into_iter().chain(first).min();
        let raised = known.is_none_or(|known| count > known);
        let found = (raised && !self.timed.contains(&life)).then_some(now);
        self.last_seen = self.last_seen.max(times().max()).max(found);
        self.lives.insert(life, known.map_or(count, |known| known.max(count)));
        self.occurrences.extend(occurred);
    }

    /// A count below the present life's opens a new one.
    fn present_life(&self, server: u8, source: Source, count: u64) -> Life {
        let lives = (0..).map(|n| Life::Reset(source, server, n));
        let mut known = lives.clone().take_while(|life| self.lives.contains_key(life));
        match known.by_ref().last() {
            None => Life::Reset(source, server, 0),
            Some(last) if count >= self.lives[&last] => last,
            Some(Life::Reset(_, _, n)) => Life::Reset(source, server, n + 1),
            Some(last) => last,
        }
    }

    /// Everybody with a `created_at`, and of the others what their largest observer counted.
    fn total(&self) -> u64 {
        let mut observers: BTreeMap<(Source, u8), u64> = BTreeMap::new();
        let mut total = 0;
        for (life, count) in &self.lives {
            match life {
                Life::Since(..) => total += count,
                Life::Reset(source, server, _) => {
                    *observers.entry((*source, *server)).or_default() += count;
                }
            }
        }
        let mut largest: BTreeMap<Source, u64> = BTreeMap::new();
        for ((source, _), sum) in observers {
            let largest = largest.entry(source).or_default();
            *largest = sum.max(*largest);
        }
        total + largest.into_values().sum::<u64>()
    }

    fn join(&mut self, other: Self) {
        for (life, count) in other.lives {
            let known = self.lives.entry(life).or_default();
            *known = count.max(*known);
        }
        self.timed.extend(other.timed);
        self.first_seen = self.first_seen.into_iter().chain(other.first_seen).min();
        self.last_seen = self.last_seen.max(other.last_seen);
        self.occurrences.extend(other.occurrences);
        self.actions.extend(other.actions);
    }

    fn expected(&self) -> Expected {
        let newest = self.occurrences.iter().rev().take(10);
        Expected {
            total: self.total(),
            first_seen: self.first_seen.unwrap_or(Timestamp::EPOCH),
            last_seen: self.last_seen.unwrap_or(Timestamp::EPOCH),
            newest: newest.map(|(_, name)| name.clone()).collect(),
            status: self.status(),
        }
    }

    fn status(&self) -> Option<Status> {
        match self.actions.last_key_value() {
            None | Some((_, Action::Reopen)) => Some(Status::Open),
            Some((_, Action::Resolve { watermark })) => {
                let grown = |(life, count): (&Life, &u64)| self.lives[life] > *count;
                if watermark.iter().any(grown) {
                    Some(Status::Regressed)
                } else if watermark.len() == self.lives.len() {
                    Some(Status::Resolved)
                } else {
                    // Lives that nobody knew then: whether they bring anything new depends on
                    // times, which the recorded histories test.
                    None
                }
            }
        }
    }
}
