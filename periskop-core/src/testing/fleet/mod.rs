//! A fleet and its observers in virtual time.
//!
//! Instances count errors, restart, fork, vanish and come back, with clocks that are wrong, and
//! some lie. Answers are lost, or come again when they are old. Servers scrape them, restart on
//! what they stored, and join each other's state. After every step what a server shows is compared
//! with what it was told (see `truth.rs`).

mod instance;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::aggregate::{Act, ActionId, MuteFor};
use crate::engine::{Engine, Output, ScrapeFailure, ScrapeRequest, ScrapeResult};
use crate::ids::{AggregateId, ReplicaId, ServiceName};
use crate::observer::{Observer, Settings};
use crate::state::State;
use crate::target::{Labels, ServiceSpec, TargetGroup};
use crate::testing::START;
use crate::time::Timestamp;
use crate::view::ErrorView;
use instance::{Instance, Kind};
use truth::Truth;

/// Something that happens in a simulation. Numbers choose, modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A process of an instance raises an error so often.
    Raise(usize, usize, u64),
    /// Time passes, and servers scrape.
    Pass(Duration),
    /// An instance's process is replaced by a new one, with the same address.
    Restart(usize),
    /// A further worker with the same uuid answers in turn with the others.
    Fork(usize),
    /// A further process with a uuid of its own answers in turn with the others.
    Balance(usize),
    /// An instance leaves discovery, or returns to it.
    Vanish(usize),
    /// An instance's clock is set: so many minutes ahead, or behind.
    SetClock(usize, i64),
    /// The next answer of an instance gets lost.
    Lose(usize),
    /// The next answer of an instance is one that it gave before.
    Repeat(usize, usize),
    /// The next answer of an instance tells too small counts and impossible times.
    Lie(usize),
    /// A server stops, and starts on what it stored.
    RestartServer(usize),
    /// A server joins the state of another.
    Join(usize),
    /// Somebody does something to an error at a server.
    Act(usize, usize, Act),
}

/// What may happen, in any order.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = || 0..12_usize;
    let act = prop_oneof![
        4 => Just(Act::Resolve),
        1 => Just(Act::Reopen),
        1 => Just(Act::Mute(MuteFor::Ever)),
        1 => Just(Act::Unmute),
    ];
    let step = prop_oneof![
        8 => (n(), n(), 1..4_u64).prop_map(|(i, key, times)| Step::Raise(i, key, times)),
        8 => (1..60_u64).prop_map(|secs| Step::Pass(Duration::from_secs(secs))),
        1 => (1..20_u64).prop_map(|hours| Step::Pass(Duration::from_secs(hours * 60))),
        2 => n().prop_map(Step::Restart),
        1 => n().prop_map(Step::Fork),
        1 => n().prop_map(Step::Balance),
        1 => n().prop_map(Step::Vanish),
        1 => (n(), -300..300_i64).prop_map(|(i, minutes)| Step::SetClock(i, minutes)),
        1 => n().prop_map(Step::Lose),
        2 => (n(), n()).prop_map(|(i, which)| Step::Repeat(i, which)),
        1 => n().prop_map(Step::Lie),
        1 => n().prop_map(Step::RestartServer),
        1 => n().prop_map(Step::Join),
        2 => (n(), n(), act).prop_map(|(server, key, act)| Step::Act(server, key, act)),
    ];
    vec(step, 1..60)
}

/// Runs a history, and panics where a server shows something that it should not.
pub fn run(steps: &[Step]) {
    let mut simulation = Simulation::new();
    for step in steps {
        simulation.step(*step);
        simulation.check();
    }
    // Everything that is still there is told once more, and lost nothing.
    simulation.step(Step::Pass(Duration::from_secs(60)));
    simulation.check();
}

/// The errors that dated instances raise, and those of instances without `created_at`.
const DATED: [&str; 3] = ["a", "b", "c"];
const UNDATED: [&str; 2] = ["undated a", "undated b"];

struct Simulation {
    now: Timestamp,
    instances: Vec<Instance>,
    servers: Vec<Server>,
    /// How often each error really happened.
    raised: BTreeMap<String, u64>,
    /// Errors that somebody told of with neither `created_at` nor a usable time: whether such an
    /// answer is late nobody can tell, so it may count twice.
    unpromised: BTreeSet<String>,
    acts: u128,
}

struct Server {
    engine: Engine,
    /// What it has stored: the join of its deltas.
    stored: State,
    truth: Truth,
}

impl Simulation {
    fn new() -> Self {
        let kinds = [Kind::Named, Kind::Named, Kind::Anonymous, Kind::Undated, Kind::UndatedNamed];
        let mut simulation = Self {
            now: START,
            instances: kinds.iter().enumerate().map(|(n, kind)| Instance::new(n, *kind)).collect(),
            servers: Vec::new(),
            raised: BTreeMap::new(),
            unpromised: BTreeSet::new(),
            acts: 0,
        };
        for n in 0..2 {
            let observer = Observer::new(ReplicaId::from_u64(n), Settings::default(), START);
            let engine = Engine::new(observer, START);
            let (stored, truth) = (State::default(), Truth::default());
            simulation.servers.push(Server { engine, stored, truth });
        }
        simulation.discover();
        simulation
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Raise(i, key, times) => {
                let now = self.now;
                let instance = self.instance(i);
                let keys: &[&str] = if instance.is_dated() { &DATED } else { &UNDATED };
                let key = keys[key % keys.len()];
                instance.raise(now, key, times);
                *self.raised.entry(key.to_owned()).or_default() += times;
            }
            Step::Pass(time) => self.pass(time),
            Step::Restart(i) => self.instance(i).restart(),
            Step::Fork(i) => self.instance(i).fork(),
            Step::Balance(i) => self.instance(i).balance(),
            Step::Vanish(i) => {
                let instance = self.instance(i);
                instance.discovered = !instance.discovered;
                self.discover();
            }
            Step::SetClock(i, minutes) => self.instance(i).skew_minutes = minutes,
            Step::Lose(i) => self.instance(i).next = instance::Next::Lost,
            Step::Repeat(i, which) => self.instance(i).next = instance::Next::Again(which),
            Step::Lie(i) => self.instance(i).next = instance::Next::Lie,
            Step::RestartServer(s) => self.restart_server(s % 2),
            Step::Join(to) => self.join(to % 2),
            Step::Act(server, key, act) => self.act(server % 2, DATED[key % DATED.len()], act),
        }
    }

    fn instance(&mut self, i: usize) -> &mut Instance {
        let count = self.instances.len();
        &mut self.instances[i % count]
    }

    fn discover(&mut self) {
        let there = self.instances.iter().filter(|instance| instance.discovered);
        let group = TargetGroup {
            source: "fleet".to_owned(),
            targets: there.map(|i| Labels::from([("__address__", i.address.as_str())])).collect(),
            labels: Labels::new(),
        };
        for s in 0..self.servers.len() {
            let (now, group) = (self.now, group.clone());
            let engine = &mut self.servers[s].engine;
            engine.handle_services(now, vec![ServiceSpec::new(service(), vec![0])]);
            engine.handle_groups(now, &service(), 0, vec![group]);
            self.drain(s);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.plus(time);
        loop {
            let due = |s: usize| self.servers[s].engine.poll_timeout().filter(|at| *at <= end);
            let Some((at, s)) = (0..2).filter_map(|s| Some((due(s)?, s))).min() else { break };
            self.now = at;
            self.servers[s].engine.handle_timeout(at);
            self.drain(s);
        }
        self.now = end;
    }

    /// Does what a server asks for, until it asks for nothing more.
    fn drain(&mut self, s: usize) {
        while let Some(output) = self.servers[s].engine.poll_output() {
            match output {
                Output::Scrape(request) => self.scrape(s, &request),
                Output::Changed(delta) => {
                    self.servers[s].stored.join(delta.into_state());
                }
                Output::Pruned(pruned) | Output::CrowdedOut(pruned) => {
                    self.servers[s].stored.remove(&pruned);
                }
                Output::Learned(_) | Output::Event(_) => {}
            }
        }
    }

    fn scrape(&mut self, s: usize, request: &ScrapeRequest) {
        let now = self.now;
        let answering = self.instances.iter_mut().find(|i| request.url.contains(&i.address));
        let answer = answering.and_then(Instance::answer);
        let server = &mut self.servers[s];
        if let Some(report) = &answer {
            server.truth.hear(now, &request.url, report);
            let horizon = now.plus(Duration::from_secs(5 * 60));
            let is_usable = |time: Timestamp| time >= Timestamp::YEAR_2000 && time <= horizon;
            let untimed = report.errors.iter().filter(|error| {
                let mut times = error.occurrences.iter().filter_map(|o| o.time);
                error.created_at.is_none() && !times.any(is_usable)
            });
            self.unpromised.extend(untimed.map(|error| error.key.as_str().to_owned()));
        }
        server.engine.handle_scrape(
            now,
            ScrapeResult {
                target: request.target,
                duration: Duration::ZERO,
                outcome: answer.ok_or_else(|| ScrapeFailure::new("lost")),
            },
        );
    }

    fn restart_server(&mut self, s: usize) {
        let Server { stored, .. } = &self.servers[s];
        let id = ReplicaId::from_u64(s as u64);
        let settings = Settings::default();
        let observer = Observer::restore(id, settings, self.now, stored.clone());
        self.servers[s].engine = Engine::new(observer, self.now);
        self.discover();
    }

    fn join(&mut self, to: usize) {
        let from = 1 - to;
        let other = self.servers[from].engine.state().clone();
        let truth = self.servers[from].truth.clone();
        self.servers[to].engine.handle_join(self.now, &other);
        self.servers[to].truth.join(truth);
        self.drain(to);
    }

    fn act(&mut self, s: usize, key: &str, act: Act) {
        self.acts += 1;
        let id = AggregateId { service: service(), key: key.into() };
        let server = &mut self.servers[s];
        let done = server.engine.handle_act(self.now, &id, ActionId(self.acts), act, "ann", "");
        assert_eq!(done.is_ok(), server.truth.total(key) > 0, "{key} can be acted upon if listed");
        if done.is_ok() {
            server.truth.act(self.acts, key, act);
        }
        self.drain(s);
    }

    fn check(&self) {
        for server in &self.servers {
            let state = server.engine.state();
            assert_eq!(shown(&server.stored), shown(state), "what is stored is what is shown");
            for key in DATED {
                let id = AggregateId { service: service(), key: key.into() };
                server.truth.check(self.now, key, state.error(&id));
            }
            for (key, raised) in
                self.raised.iter().filter(|(key, _)| !self.unpromised.contains(*key))
            {
                let id = AggregateId { service: service(), key: key.as_str().into() };
                let total = state.error(&id).map_or(0, |error| error.total());
                assert!(total <= *raised, "{key}: {total} shown, {raised} happened");
            }
            for key in UNDATED {
                let id = AggregateId { service: service(), key: key.into() };
                let total = state.error(&id).map_or(0, |error| error.total());
                let told = server.truth.greatest(key);
                assert!(total >= told, "{key}: {total} shown, {told} told at once");
            }
        }
    }
}

/// Everything that is shown of each error but for its status, which follows from the rest.
fn shown(state: &State) -> Vec<impl PartialEq + Debug> {
    let error = |error: ErrorView<'_>| {
        let occurrences: Vec<_> = error.occurrences().map(|o| o.to_occurrence()).collect();
        let counts: Vec<_> = error.sources().iter().map(|s| (s.count, s.newest)).collect();
        let history: Vec<_> = error.history().map(|action| action.id).collect();
        let seen = (error.first_seen(), error.last_seen());
        (error.id(), error.total(), seen, error.severity(), occurrences, counts, history)
    };
    state.errors().map(error).collect()
}

fn service() -> ServiceName {
    "fleet".into()
}
