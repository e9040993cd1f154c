//! What is scraped: processes that count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::occurrence::{ContentHash, Exception, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::time::Timestamp;

/// How an instance names itself and its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `target_uuid` and `created_at`.
    Named,
    /// `created_at` only.
    Anonymous,
    /// Neither.
    Undated,
    /// A `target_uuid` only.
    UndatedNamed,
}

/// What the next answer will be.
pub(super) enum Next {
    Honest,
    Lost,
    Again(usize),
    Lie,
}

/// One address, and the processes behind it.
pub(super) struct Instance {
    pub(super) address: String,
    pub(super) discovered: bool,
    pub(super) skew_minutes: i64,
    pub(super) next: Next,
    kind: Kind,
    /// They answer in turn.
    processes: Vec<Process>,
    turn: usize,
    /// Makes names and times unique.
    made: usize,
    /// The answers that it gave.
    past: Vec<Report>,
}

struct Process {
    uuid: Option<String>,
    counters: BTreeMap<String, Counter>,
}

struct Counter {
    created_at: Timestamp,
    count: u64,
    /// The newest, as a client keeps them.
    occurrences: Vec<Occurrence>,
}

/// As many occurrences as clients keep.
const KEPT: usize = 10;

impl Instance {
    pub(super) fn new(n: usize, kind: Kind) -> Self {
        let mut instance = Self {
            address: format!("10.0.0.{n}:80"),
            discovered: true,
            skew_minutes: 0,
            next: Next::Honest,
            kind,
            processes: Vec::new(),
            turn: 0,
            made: 0,
            past: Vec::new(),
        };
        instance.balance();
        instance
    }

    pub(super) fn is_dated(&self) -> bool {
        matches!(self.kind, Kind::Named | Kind::Anonymous)
    }

    /// A new process instead of the old ones. Without `created_at` only the name of the process
    /// could tell that it is another, so there it stays: the count falls.
    pub(super) fn restart(&mut self) {
        let uuid = self.processes[0].uuid.clone();
        self.processes.clear();
        self.balance();
        if self.kind == Kind::UndatedNamed {
            self.processes[0].uuid = uuid;
        }
    }

    /// A worker that was forked after its uuid was chosen.
    pub(super) fn fork(&mut self) {
        if self.is_dated() {
            let uuid = self.processes[0].uuid.clone();
            self.processes.push(Process { uuid, counters: BTreeMap::new() });
        }
    }

    /// One more process behind the address.
    pub(super) fn balance(&mut self) {
        if !self.is_dated() && !self.processes.is_empty() {
            return;
        }
        self.made += 1;
        let named = matches!(self.kind, Kind::Named | Kind::UndatedNamed);
        let uuid = named.then(|| format!("{} {}", self.address, self.made));
        self.processes.push(Process { uuid, counters: BTreeMap::new() });
    }

    pub(super) fn raise(&mut self, now: Timestamp, key: &str, times: u64) {
        let offset = Duration::from_secs(self.skew_minutes.unsigned_abs() * 60);
        let clock = if self.skew_minutes < 0 { now.minus(offset) } else { now.plus(offset) };
        let process = self.made % self.processes.len();
        for _ in 0..times {
            self.made += 1;
            let time = clock.plus(Duration::from_micros(self.made as u64));
            let counters = &mut self.processes[process].counters;
            let counter = counters.entry(key.to_owned()).or_insert(Counter {
                created_at: time,
                count: 0,
                occurrences: Vec::new(),
            });
            counter.count += 1;
            counter.occurrences.push(occurrence(&format!("{} {}", self.address, self.made), time));
            if counter.occurrences.len() > KEPT {
                counter.occurrences.remove(0);
            }
        }
    }

    /// The next answer, if it arrives.
    pub(super) fn answer(&mut self) -> Option<Report> {
        self.turn += 1;
        let process = &self.processes[self.turn % self.processes.len()];
        let dated = matches!(self.kind, Kind::Named | Kind::Anonymous);
        let mut report = Report {
            target_uuid: process.uuid.clone(),
            errors: process.counters.iter().map(|(key, c)| c.told(key, dated)).collect(),
            ..Report::default()
        };
        match std::mem::replace(&mut self.next, Next::Honest) {
            Next::Honest => {}
            Next::Lost => return None,
            Next::Again(which) if !self.past.is_empty() => {
                return Some(self.past[which % self.past.len()].clone());
            }
            Next::Again(_) => {}
            Next::Lie => {
                for error in report.errors.iter_mut().filter(|_| dated) {
                    error.total_count /= 2;
                    for occurrence in &mut error.occurrences {
                        occurrence.time = Timestamp::parse("2999-01-01T00:00:00Z");
                        occurrence.name.push_str(" (a lie)");
                    }
                }
            }
        }
        self.past.push(report.clone());
        Some(report)
    }
}

impl Counter {
    fn told(&self, key: &str, dated: bool) -> ReportedError {
        ReportedError {
            key: key.into(),
            total_count: self.count,
            severity: Severity::Error,
            created_at: dated.then_some(self.created_at),
            incarnations: None,
            occurrences: self.occurrences.clone(),
            unchanged: Vec::new(),
        }
    }
}

fn occurrence(name: &str, time: Timestamp) -> Occurrence {
    Occurrence {
        name: name.to_owned(),
        content: ContentHash::of(name.as_bytes()),
        time: Some(time),
        severity: Severity::Error,
        exceptions: vec![Exception { class: Some("Boom".to_owned()), ..Exception::default() }],
        http: None,
    }
}
