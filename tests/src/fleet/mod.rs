//! A fleet of instances on loopback, for whoever wants to load a server and knows afterwards what
//! it must show.
//!
//! [`Fleet`] is what happens: instances whose errors occur again, which restart and are replaced,
//! as time passes. It is handed the time and does no I/O. Around it: [`serve`] answers scrapes at
//! an address for each instance, [`push`] pushes instead, [`config`] writes the configuration that
//! scrapes it, [`drive`] asks a server's API meanwhile, [`check`] compares a server's totals with
//! the truth.
//!
//! Whoever dies takes along what it counted since it was last scraped, which no server can know.
//! So that the truth is exact, an instance restarts or leaves only when everything that it counted
//! has been read: when the next request comes over the connection on which that was answered, or
//! the push was accepted.

pub mod addresses;
pub mod args;
pub mod check;
pub mod config;
mod dice;
pub mod drive;
mod encoding;
mod hostile;
mod instance;
pub mod latencies;
mod plan;
pub mod playing;
mod progress;
pub mod push;
mod queries;
pub mod run;
pub mod serve;
mod truth;
mod written;

use std::collections::HashMap;
use std::time::Duration;

use periskop_core::Timestamp;

pub use dice::Dice;
pub use encoding::Encoding;
pub use hostile::{Hostile, Hostility};
pub use instance::Answer;
pub use plan::{Pace, Plan, Size};
pub use queries::word;
pub use truth::{Difference, Truth};

use instance::{Fate, Instance};
use written::Program;

/// Which address an instance has: numbers from 0, none of which is used twice.
pub type Serial = u32;

/// The instances, and everything that was ever counted.
#[derive(Debug)]
pub struct Fleet {
    plan: Plan,
    program: Program,
    dice: Dice,
    /// By their place in the fleet.
    instances: Vec<Instance>,
    places: HashMap<Serial, usize>,
    lives: u64,
    serials: Serial,
    /// What is there no more had counted, by service and kind.
    gone: HashMap<(usize, u64), u64>,
    moved: Vec<Moved>,
    changes: Due,
    restarts: Due,
    churn: Due,
    is_quiet: bool,
    kept: usize,
    happened: Happened,
    /// When each honest instance was asked, if that is noted.
    requests: Option<HashMap<Serial, Vec<Timestamp>>>,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Happened {
    /// Honest answers that were begun, and pushes.
    pub answers: u64,
    /// Their length in bytes, as it was sent.
    pub bytes: u64,
    /// Requests that were treated with hostility.
    pub hostilities: u64,
    /// Occurrences after the start.
    pub changes: u64,
    /// Processes that ended, and began anew at the same address.
    pub restarts: u64,
    /// Instances that another one replaced.
    pub replaced: u64,
}

impl std::fmt::Display for Happened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, bytes, hostilities, changes, restarts, replaced } = self;
        write!(f, "{answers} answers, {:.1} MB, {changes} changes, ", *bytes as f64 / 1e6)?;
        write!(f, "{restarts} restarts, {replaced} replaced, {hostilities} hostile")
    }
}

/// One instance took the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The service of both.
    pub service: usize,
    /// The address that is not there any more.
    pub from: Serial,
    /// The new one.
    pub to: Serial,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Reply {
    /// What the instance counted.
    Honest(Answer),
    /// This, and what would be said honestly.
    Hostile(Hostility, Answer),
    /// Nobody is there.
    Gone,
}

impl Fleet {
    /// A fleet that has run for some hours.
    pub fn new(plan: Plan, now: Timestamp) -> Self {
        let program = Program::new(plan.seed, plan.size);
        let due = |pace: Pace| Due { period: pace.period(plan.interval), last: now };
        let mut fleet = Self {
            dice: Dice::of(&[plan.seed]),
            instances: Vec::new(),
            places: HashMap::new(),
            lives: 0,
            serials: 0,
            gone: HashMap::new(),
            moved: Vec::new(),
            changes: due(plan.changes),
            restarts: due(plan.restarts),
            churn: due(plan.churn),
            is_quiet: false,
            kept: 0,
            happened: Happened::default(),
            requests: None,
            program,
            plan,
        };
        for slot in 0..fleet.plan.instances {
            let names = fleet.names();
            fleet.instances.push(Instance::old(&fleet.plan, &fleet.program, slot, names, now));
            fleet.places.insert(names.0, slot);
        }
        let kinds = fleet.plan.hostile.iter();
        let hostile = kinds.flat_map(|(kind, n)| std::iter::repeat_n(*kind, *n));
        for (instance, kind) in fleet.instances.iter_mut().zip(hostile) {
            instance.hostility = Some(kind);
        }
        fleet
    }

    /// What it is to be like.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The name of a service.
    pub fn service_name(service: usize) -> String {
        format!("fleet-{service:03}")
    }

    /// The addresses that there are, with their services, by place.
    pub fn addresses(&self) -> impl Iterator<Item = (Serial, usize)> {
        self.instances.iter().map(|instance| (instance.serial, instance.service))
    }

    /// What has happened so far.
    pub fn happened(&self) -> Happened {
        self.happened
    }

    /// When something is due next. `None`: nothing ever is.
    pub fn next(&self) -> Option<Timestamp> {
        let due = [&self.changes, &self.restarts, &self.churn];
        due.into_iter().filter(|_| !self.is_quiet).filter_map(Due::next).min()
    }

    /// Has happen what is due by now.
    pub fn advance(&mut self, now: Timestamp) {
        if self.is_quiet {
            return;
        }
        for _ in 0..self.changes.take(now) {
            let relent = self.plan.relent;
            if let Some(slot) = self.choose(|instance| instance.may_change(relent)) {
                self.change(slot, 1, now);
            }
        }
        for (fate, n) in
            [(Fate::Restarts, self.restarts.take(now)), (Fate::Leaves, self.churn.take(now))]
        {
            for _ in 0..n {
                let may = |i: &Instance| i.fate == Fate::Lives && i.hostility.is_none();
                if let Some(slot) = self.choose(may) {
                    self.instances[slot].fate = fate;
                    // It may have been read since the last request.
                    self.meet_fate(slot, now);
                }
            }
        }
    }

    /// Other changes from now on.
    pub fn set_changes(&mut self, changes: Pace, now: Timestamp) {
        self.plan.changes = changes;
        self.changes = Due { period: changes.period(self.plan.interval), last: now };
    }

    /// Other restarts from now on.
    pub fn set_restarts(&mut self, restarts: Pace, now: Timestamp) {
        self.plan.restarts = restarts;
        self.restarts = Due { period: restarts.period(self.plan.interval), last: now };
    }

    /// Nothing new happens any more.
    pub fn settle(&mut self) {
        self.is_quiet = true;
        for instance in &mut self.instances {
            instance.fate = Fate::Lives;
        }
    }

    /// The answer of this version has been read to its end.
    pub fn was_read(&mut self, serial: Serial, version: u64, now: Timestamp) {
        if let Some(&slot) = self.places.get(&serial) {
            self.instances[slot].was_read(version);
            self.meet_fate(slot, now);
        }
    }

    /// What the instance at this address answers now.
    pub fn answer(&mut self, serial: Serial, encoding: Encoding, now: Timestamp) -> Reply {
        let Some(&slot) = self.places.get(&serial) else { return Reply::Gone };
        let instance = &mut self.instances[slot];
        instance.asked += 1;
        let is_first = instance.asked == 1;
        if !self.is_quiet && !is_first && self.instances[slot].may_change(self.plan.relent) {
            if self.plan.restarts.per_scrape() > 0 && self.instances[slot].is_read() {
                self.restart(slot, now);
            }
            self.change(slot, self.plan.changes.per_scrape(), now);
        }
        let Self { plan, program, dice, kept, instances, .. } = self;
        let instance = &mut instances[slot];
        let dice = plan.shuffled.then_some(dice);
        let is_usual = plan.gzip == (encoding == Encoding::Gzip);
        let answer = instance.answer(program, encoding, dice, &mut |length| {
            let may = is_usual && *kept + length <= plan.kept;
            if may {
                *kept += length;
            }
            may
        });
        let relents = plan.relent > 0 && instance.asked.is_multiple_of(plan.relent);
        match instance.hostility {
            Some(kind) if !relents => {
                self.happened.hostilities += 1;
                Reply::Hostile(kind, answer)
            }
            _ => {
                self.happened.answers += 1;
                if let Some(requests) = &mut self.requests {
                    requests.entry(serial).or_default().push(now);
                }
                self.happened.bytes += answer.len() as u64;
                Reply::Honest(answer)
            }
        }
    }

    /// Notes from now on when honest instances are asked.
    pub fn note_requests(&mut self) {
        self.requests = Some(HashMap::new());
    }

    /// From each request that was noted to the next of the same instance.
    pub fn intervals(&self) -> Vec<Duration> {
        let requests = self.requests.iter().flat_map(HashMap::values);
        requests.flat_map(|times| times.windows(2).map(|two| two[1].since(two[0]))).collect()
    }

    /// What took the place of what since this was asked last.
    pub fn take_moved(&mut self) -> Vec<Moved> {
        std::mem::take(&mut self.moved)
    }

    /// What the totals must be once everything has been read.
    pub fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        let name = Self::service_name;
        for ((service, kind), count) in &self.gone {
            truth.add(&name(*service), self.program.key(*kind), *count);
        }
        for instance in self.instances.iter().filter(|i| i.is_honest(self.plan.relent)) {
            for total in instance.totals() {
                truth.add(&name(instance.service), self.program.key(total.kind), total.count);
            }
        }
        truth
    }

    fn names(&mut self) -> (Serial, u64) {
        let names = (self.serials, self.lives);
        self.serials += 1;
        self.lives += 1;
        names
    }

    /// One of the instances of which this is true.
    fn choose(&mut self, may: impl Fn(&Instance) -> bool) -> Option<usize> {
        let n = self.instances.len();
        let first = self.dice.below(n);
        // The dice first, then whoever comes next.
        (0..n).map(|step| (first + step) % n).find(|slot| may(&self.instances[*slot]))
    }

    fn change(&mut self, slot: usize, times: usize, now: Timestamp) {
        for _ in 0..times {
            let freed = self.instances[slot].occurs_in_turn(self.plan.occurrences, now);
            self.kept -= freed;
            self.happened.changes += 1;
        }
    }

    /// Has an instance whose time has come restart or leave, once all that it counted was read.
    fn meet_fate(&mut self, slot: usize, now: Timestamp) {
        if !self.instances[slot].is_read() {
            return;
        }
        match self.instances[slot].fate {
            Fate::Lives => {}
            Fate::Restarts => self.restart(slot, now),
            Fate::Leaves => self.replace(slot, now),
        }
    }

    fn restart(&mut self, slot: usize, now: Timestamp) {
        self.bury(slot);
        self.lives += 1;
        self.instances[slot].begin(&self.plan, &self.program, self.lives - 1, now);
        self.happened.restarts += 1;
    }

    fn replace(&mut self, slot: usize, now: Timestamp) {
        self.bury(slot);
        let names = self.names();
        let new = Instance::new(&self.plan, &self.program, slot, names, now);
        let old = std::mem::replace(&mut self.instances[slot], new);
        self.places.remove(&old.serial);
        self.places.insert(names.0, slot);
        self.moved.push(Moved { service: old.service, from: old.serial, to: names.0 });
        self.happened.replaced += 1;
    }

    /// What a process has counted stays counted.
    fn bury(&mut self, slot: usize) {
        let instance = &self.instances[slot];
        self.kept -= instance.kept();
        for total in instance.totals() {
            *self.gone.entry((instance.service, total.kind)).or_default() += total.count;
        }
    }
}

/// Something that happens again and again.
#[derive(Clone, Copy, Debug)]
struct Due {
    period: Option<Duration>,
    last: Timestamp,
}

impl Due {
    fn next(&self) -> Option<Timestamp> {
        Some(self.last.plus(self.period?))
    }

    /// How often it has to happen to be up to date.
    fn take(&mut self, now: Timestamp) -> u64 {
        let Some(period) = self.period.map(|period| period.as_nanos().max(1)) else { return 0 };
        let times = now.since(self.last).as_nanos() / period;
        let times = u64::try_from(times).unwrap_or(u64::MAX);
        let passed = u64::try_from(period.saturating_mul(times.into())).unwrap_or(u64::MAX);
        self.last = self.last.plus(Duration::from_nanos(passed));
        times
    }
}

#[cfg(test)]
mod tests;
