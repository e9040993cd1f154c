//! One instance: a place in the fleet at an address, and the process that lives there now.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use periskop_core::Timestamp;

use super::dice::Dice;
use super::encoding::Encoding;
use super::hostile::Hostility;
use super::plan::Plan;
use super::written::{HEAD, Program, Told, tail};

/// An instance.
#[derive(Debug)]
pub(super) struct Instance {
    /// Which address it has.
    pub(super) serial: u32,
    /// Which service it belongs to.
    pub(super) service: usize,
    pub(super) hostility: Option<Hostility>,
    /// What is to happen as soon as somebody has read all that it counted.
    pub(super) fate: Fate,
    /// Answers and refusals so far.
    pub(super) asked: u64,
    life: u64,
    /// What its payload ends with.
    tail: Bytes,
    errors: Vec<Counted>,
    /// Goes up with everything that happens.
    version: u64,
    /// The version that has been read.
    read: Option<u64>,
    /// The error that has something new at the next scrape, in turn.
    next: usize,
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    /// Its process is replaced by a new one, at the same address.
    Restarts,
    /// Another instance takes its place, at another address.
    Leaves,
}

/// An error of this process.
#[derive(Debug)]
struct Counted {
    kind: u64,
    total: u64,
    created_at: Timestamp,
    /// When the newest ones were.
    latest: VecDeque<Timestamp>,
    /// As it is told, until something happens.
    written: Option<(Encoding, Bytes)>,
}

/// An honest answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it is made of, in order.
    pub parts: Vec<Bytes>,
    /// Which state of the instance it tells.
    pub version: u64,
}

impl Answer {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an instance had counted of an error.
pub(super) struct Total {
    pub(super) kind: u64,
    pub(super) count: u64,
}

impl Instance {
    /// An instance whose process has run for a while.
    pub(super) fn old(
        plan: &Plan,
        program: &Program,
        slot: usize,
        (serial, life): (u32, u64),
        now: Timestamp,
    ) -> Self {
        let mut instance = Self::new(plan, program, slot, (serial, life), now);
        for error in &mut instance.errors {
            let mut dice = Dice::of(&[plan.seed, life, error.kind]);
            let minutes = 1 + dice.below(600) as u64;
            error.total = (plan.occurrences + dice.below(1000)) as u64;
            error.created_at = now.minus(Duration::from_secs(60 * minutes));
            let step = Duration::from_secs(60 * minutes) / 200;
            // No two errors happen in the same microsecond, but for a few.
            let last =
                now.minus(step * u32::try_from(dice.below(1_000_000)).unwrap_or(0) / 1_000_000);
            let newest = (0..u32::try_from(plan.occurrences).unwrap_or(u32::MAX)).rev();
            error.latest = newest.map(|n| last.minus(step * n)).collect();
        }
        instance
    }

    /// An instance whose process begins now, where each error happens a few times at once.
    pub(super) fn new(
        plan: &Plan,
        program: &Program,
        slot: usize,
        (serial, life): (u32, u64),
        now: Timestamp,
    ) -> Self {
        let service = slot % plan.services;
        // Instances of a service share its errors; others have errors of their own place.
        let first = if plan.shared { service } else { slot } * plan.errors;
        let kinds = (0..plan.errors).map(|n| (first + n) as u64);
        let mut instance = Self {
            serial,
            service,
            hostility: None,
            fate: Fate::Lives,
            asked: 0,
            life,
            tail: Bytes::new(),
            errors: kinds
                .map(|kind| Counted {
                    kind,
                    total: 0,
                    created_at: now,
                    latest: VecDeque::new(),
                    written: None,
                })
                .collect(),
            version: 0,
            read: None,
            next: slot % plan.errors.max(1),
        };
        instance.begin(plan, program, life, now);
        instance
    }

    /// A new process, where each error happens a few times at once.
    pub(super) fn begin(&mut self, plan: &Plan, program: &Program, life: u64, now: Timestamp) {
        self.life = life;
        self.tail = tail(&program.uuid(life));
        self.fate = Fate::Lives;
        self.version += 1;
        for error in &mut self.errors {
            let times = 1 + Dice::of(&[plan.seed, life, error.kind]).below(3);
            error.total = times as u64;
            error.created_at = now;
            error.latest = std::iter::repeat_n(now, times.min(plan.occurrences)).collect();
            error.written = None;
        }
    }

    /// Whether somebody has read all that it counted.
    pub(super) fn is_read(&self) -> bool {
        self.read == Some(self.version)
    }

    /// The answer with this version has been read to its end.
    pub(super) fn was_read(&mut self, version: u64) {
        self.read = self.read.max(Some(version));
    }

    /// Whether something new may happen to it: not if nobody would hear of it, nor while it waits
    /// for its end.
    pub(super) fn may_change(&self, relent: u64) -> bool {
        self.fate == Fate::Lives && self.is_honest(relent) && !self.errors.is_empty()
    }

    /// Whether it ever tells what it counted.
    pub(super) fn is_honest(&self, relent: u64) -> bool {
        self.hostility.is_none() || relent > 0
    }

    /// One of its errors, in turn, happens once more. How many bytes are not kept any more.
    pub(super) fn occurs_in_turn(&mut self, occurrences: usize, now: Timestamp) -> usize {
        let which = self.next;
        self.next = (which + 1) % self.errors.len().max(1);
        self.occurs(which, occurrences, now)
    }

    /// One of its errors happens once more. How many bytes are not kept any more.
    fn occurs(&mut self, which: usize, occurrences: usize, now: Timestamp) -> usize {
        let Some(error) = self.errors.get_mut(which) else { return 0 };
        error.total += 1;
        error.latest.push_back(now);
        while error.latest.len() > occurrences {
            error.latest.pop_front();
        }
        self.version += 1;
        error.written.take().map_or(0, |(_, written)| written.len())
    }

    /// What this process has counted.
    pub(super) fn totals(&self) -> impl Iterator<Item = Total> {
        self.errors.iter().map(|error| Total { kind: error.kind, count: error.total })
    }

    /// How many bytes it keeps.
    pub(super) fn kept(&self) -> usize {
        self.errors
            .iter()
            .filter_map(|e| e.written.as_ref())
            .map(|(_, written)| written.len())
            .sum()
    }

    /// What it answers, with its errors in the order of `dice`. What has to be written is kept if
    /// `keep` says so of its length; in an `encoding` that is not that of the plan nothing is.
    pub(super) fn answer(
        &mut self,
        program: &Program,
        encoding: Encoding,
        dice: Option<&mut Dice>,
        keep: &mut dyn FnMut(usize) -> bool,
    ) -> Answer {
        let mut order: Vec<usize> = (0..self.errors.len()).collect();
        if let Some(dice) = dice {
            dice.shuffle(&mut order);
        }
        let mut parts = Vec::with_capacity(2 * order.len() + 2);
        parts.push(encoding.encode(Bytes::from_static(HEAD)));
        for (place, which) in order.into_iter().enumerate() {
            if place > 0 {
                parts.push(encoding.encode(Bytes::from_static(b",")));
            }
            let error = &mut self.errors[which];
            parts.push(match &error.written {
                Some((kept, written)) if *kept == encoding => written.clone(),
                _ => {
                    let written = encoding.encode(error.write(program, self.life));
                    if keep(written.len()) {
                        error.written = Some((encoding, written.clone()));
                    }
                    written
                }
            });
        }
        parts.push(encoding.encode(self.tail.clone()));
        Answer { parts, version: self.version }
    }
}

impl Counted {
    fn write(&self, program: &Program, life: u64) -> Bytes {
        let mut out = Vec::with_capacity(4 << 10);
        let first = self.total - self.latest.len() as u64;
        let mut latest = (first..).zip(self.latest.iter().copied());
        let told = Told {
            kind: self.kind,
            life,
            total: self.total,
            created_at: self.created_at,
            latest: &mut latest,
        };
        program.write(told, &mut out);
        out.shrink_to_fit();
        out.into()
    }
}
