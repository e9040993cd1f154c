//! Servers that scrape, are pushed to, join, restart and are told to resolve, against a naive model.
//!
//! The bytes are a program: what happens in a fleet whose instances and networks do whatever they
//! like. After every step each server must know exactly what the model knows.

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use periskop_core::aggregate::{Act, ActionId, Status};
use periskop_core::target::Labels;
use periskop_core::{
    AggregateId, ContentHash, Delta, Exception, Observer, Occurrence, ReplicaId, Report,
    ReportedError, ServiceName, Settings, Severity, State, Timestamp,
};

use model::{Answer, Expected, Knowledge, Source};

/// 2026-03-01T12:00:00Z; every step is a second later. Short of the hour after which an age counts
/// as news, and of any retention.
const BEGIN: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// Longest program, in steps.
const STEPS: u32 = 200;

/// How many servers there are.
const SERVERS: u8 = 3;

/// Runs the program.
///
/// # Panics
///
/// If a server knows anything else than the model.
pub fn run(input: &[u8]) {
    let mut fleet = Fleet::new();
    let mut program = Program(input.iter());
    for step in 1..=STEPS {
        let now = BEGIN.plus(Duration::from_secs(step.into()));
        if fleet.step(now, &mut program).is_none() {
            break;
        }
    }
    fleet.converge(BEGIN.plus(Duration::from_secs(u64::from(STEPS) + 1)));
}

/// The rest of the input; what is missing at its end ends the program.
struct Program<'a>(std::slice::Iter<'a, u8>);

impl Program<'_> {
    fn below(&mut self, n: u8) -> Option<u8> {
        Some(self.0.next()? % n)
    }
}

struct Fleet {
    servers: Vec<Server>,
    actions: u64,
}

struct Server {
    number: u8,
    observer: Observer,
    /// What somebody knows who is told nothing but the deltas.
    follower: State,
    model: Knowledge,
}

impl Fleet {
    fn new() -> Self {
        let servers = (0..SERVERS).map(|number| Server {
            number,
            observer: Observer::new(replica(number), Settings::default(), BEGIN),
            follower: State::default(),
            model: Knowledge::default(),
        });
        Self { servers: servers.collect(), actions: 0 }
    }

    fn step(&mut self, now: Timestamp, program: &mut Program<'_>) -> Option<()> {
        let what = program.below(16)?;
        let server = usize::from(program.below(SERVERS)?);
        match what {
            0..=8 => self.servers[server].scrape(now, program)?,
            9 => self.servers[server].push(now, program)?,
            10 | 11 => self.join(now, server, usize::from(program.below(SERVERS)?)),
            12 | 13 => {
                self.actions += 1;
                let act = if what == 12 { Act::Resolve } else { Act::Reopen };
                self.servers[server].act(now, program.below(2)?, act, self.actions);
            }
            14 => self.servers[server].restart(now),
            _ => self.servers[server].lose_targets(now),
        }
        self.servers[server].check(now);
        Some(())
    }

    fn join(&mut self, now: Timestamp, into: usize, from: usize) {
        let Server { observer, model, .. } = &self.servers[from];
        let (state, model) = (observer.state().clone(), model.clone());
        let server = &mut self.servers[into];
        let delta = server.observer.join(now, &state);
        server.learned(delta);
        server.model.join(model);
    }

    /// When everybody has told everybody, all know the same, and nothing is news any more.
    fn converge(&mut self, now: Timestamp) {
        let all = 0..self.servers.len();
        let pairs = all.clone().flat_map(|into| all.clone().map(move |from| (into, from)));
        let pairs: Vec<_> = pairs.collect();
        for (into, from) in [&pairs[..], &pairs].concat() {
            self.join(now, into, from);
        }
        let known = describe(self.servers[0].observer.state(), now);
        for server in &self.servers {
            server.check(now);
            assert_eq!(describe(server.observer.state(), now), known);
        }
        let other = self.servers[1].observer.state().clone();
        let again = self.servers[0].observer.join(now, &other);
        assert!(again.changed().is_empty(), "news of what is known: {:?}", again.changed());
    }
}

impl Server {
    fn scrape(&mut self, now: Timestamp, program: &mut Program<'_>) -> Option<()> {
        let target = program.below(2)?;
        let source = match program.below(4)? {
            0 => Source::Target(target),
            n => Source::Uuid(n),
        };
        let answers = answers(program, source)?;
        let url = url(target);
        self.observer.discovered(&service(), &url);
        let delta =
            self.observer.scraped(now, &service(), &url, &Labels::new(), report(source, &answers));
        self.learned(delta);
        self.model.heard(now, self.number, source, answers);
        Some(())
    }

    fn push(&mut self, now: Timestamp, program: &mut Program<'_>) -> Option<()> {
        let source = Source::Uuid(1 + program.below(3)?);
        let answers = answers(program, source)?;
        let delta = self.observer.pushed(now, &service(), report(source, &answers));
        self.learned(delta);
        self.model.heard(now, self.number, source, answers);
        Some(())
    }

    fn act(&mut self, now: Timestamp, key: u8, act: Act, id: u64) {
        let error = AggregateId { service: service(), key: key_of(key).as_str().into() };
        let done = self.observer.act(now, &error, ActionId(id.into()), act, "anonymous", "");
        assert_eq!(done.is_ok(), self.model.act(key, act == Act::Resolve, id));
        if let Ok(delta) = done {
            self.learned(delta);
            let status = self.observer.state().error(&error).map(|error| error.status(now));
            let expected = if act == Act::Resolve { Status::Resolved } else { Status::Open };
            assert_eq!(status, Some(expected), "it is as somebody has just said");
        }
    }

    fn restart(&mut self, now: Timestamp) {
        let kept = self.observer.state().clone();
        self.follower = kept.clone();
        self.observer = Observer::restore(replica(self.number), Settings::default(), now, kept);
    }

    /// Targets fail, leave, and time goes by: no reason to forget anything within minutes.
    fn lose_targets(&mut self, now: Timestamp) {
        let failed = self.observer.scrape_failed(&service(), &url(0));
        self.learned(failed);
        let left = self.observer.departed(now, &service(), &url(1));
        self.learned(left);
        assert!(self.observer.prune(now).is_empty());
    }

    fn learned(&mut self, delta: Delta) {
        self.follower.join(delta.into_state());
    }

    fn check(&self, now: Timestamp) {
        let known = describe(self.observer.state(), now);
        assert_eq!(describe(&self.follower, now), known, "deltas tell all");
        let expected = self.model.errors();
        assert_eq!(known.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (key, error) in &known {
            expected[key].assert_is(error);
        }
    }
}

/// What can be seen of an error.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    total: u64,
    first_seen: Timestamp,
    last_seen: Timestamp,
    newest: Vec<String>,
    status: Status,
}

impl Expected {
    fn assert_is(&self, seen: &Seen) {
        assert_eq!(self.total, seen.total, "{seen:?}");
        assert_eq!(
            (self.first_seen, self.last_seen),
            (seen.first_seen, seen.last_seen),
            "{seen:?}"
        );
        assert_eq!(self.newest, seen.newest);
        if let Some(status) = self.status {
            assert_eq!(status, seen.status, "{seen:?}");
        }
    }
}

fn describe(state: &State, now: Timestamp) -> BTreeMap<String, Seen> {
    let seen = state.errors().map(|error| {
        let newest = error.occurrences().map(|occurrence| occurrence.name().into_owned());
        let seen = Seen {
            total: error.total(),
            first_seen: error.first_seen(),
            last_seen: error.last_seen(),
            newest: newest.collect(),
            status: error.status(now),
        };
        (error.key().as_str().to_owned(), seen)
    });
    seen.collect()
}

fn answers(program: &mut Program<'_>, source: Source) -> Option<Vec<Answer>> {
    let answer = |program: &mut Program<'_>| {
        let (key, life, count) = (program.below(2)?, program.below(3)?, program.below(40)?);
        let occurrences = match program.below(8)? {
            n @ 0..=5 => (0..n).map(|_| program.below(60)).collect::<Option<_>>()?,
            _ => Vec::new(),
        };
        Some(match source {
            // No created_at, and no times: taken at its word.
            Source::Target(_) => Answer { key, life: None, count, occurrences: Vec::new() },
            Source::Uuid(_) => Answer { key, life: Some(life), count, occurrences },
        })
    };
    (0..program.below(4)?).map(|_| answer(program)).collect()
}

fn report(source: Source, answers: &[Answer]) -> Report {
    let occurrence = |name: String, time: Timestamp| Occurrence {
        content: ContentHash::of(name.as_bytes()),
        name,
        time: Some(time),
        severity: Severity::Error,
        exceptions: vec![Exception::default()],
        http: None,
    };
    let error = |answer: &Answer| ReportedError {
        key: key_of(answer.key).as_str().into(),
        total_count: answer.count.into(),
        severity: Severity::Error,
        created_at: answer.created_at(),
        incarnations: None,
        occurrences: answer.named().map(|(time, name)| occurrence(name, time)).collect(),
        unchanged: Vec::new(),
    };
    Report {
        target_uuid: match source {
            Source::Uuid(n) => Some(format!("instance {n}")),
            Source::Target(_) => None,
        },
        errors: answers.iter().map(error).collect(),
        ..Report::default()
    }
}

fn service() -> ServiceName {
    ServiceName::from("service")
}

fn url(target: u8) -> String {
    format!("http://127.0.0.1:{target}/-/exceptions")
}

fn key_of(key: u8) -> String {
    format!("key {key}")
}

fn replica(server: u8) -> ReplicaId {
    ReplicaId::from_u64(server.into())
}
