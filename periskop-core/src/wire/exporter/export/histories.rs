//! Histories of a gateway in virtual time: pushers that fork, repeat themselves and have wrong
//! clocks; restarts with and without a store; scrapes that are lost, late and repeated; two of our
//! servers, which restart, and readers of sums. What each of them may know is worked out by a
//! model that has heard of nothing but lives and their largest counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::ReplicaId;
use crate::observer::Settings;
use crate::occurrence::Severity;
use crate::target::Labels;
use crate::wire::exporter::{Options, parse};

const START: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
const KEYS: [&str; 2] = ["a", "b"];

/// Something that happens. Whom it happens to is taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    /// An error happens in a process, so often.
    Count { pusher: usize, key: usize, more: u64 },
    /// A process pushes its state.
    Push { pusher: usize },
    /// What a process pushed before arrives once more, the n-th payload from the end; unless that
    /// was so long ago that it is forgotten, which nobody could tell from news.
    PushAgain { nth: usize },
    /// A process begins anew under its name: a forked worker, or a job that has a fixed name.
    Fork { pusher: usize },
    /// The gateway is stopped and begins anew, on its store if it has one.
    RestartGateway,
    /// The same, but it is killed.
    KillGateway,
    /// One of our servers begins anew on its store.
    RestartServer { server: usize },
    /// A server scrapes the gateway, and so does the reader of sums.
    Scrape { server: usize },
    /// An answer that a server got before arrives once more, the n-th from the end.
    ScrapeAgain { server: usize, nth: usize },
    /// A scrape that fails.
    Lost { server: usize },
    /// Time passes, and what is old is forgotten.
    Hours(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..6_usize;
    prop_oneof![
        4 => (who.clone(), 0..2_usize, 1..4_u64)
            .prop_map(|(pusher, key, more)| Step::Count { pusher, key, more }),
        6 => who.clone().prop_map(|pusher| Step::Push { pusher }),
        2 => (0..6_usize).prop_map(|nth| Step::PushAgain { nth }),
        1 => who.prop_map(|pusher| Step::Fork { pusher }),
        1 => Just(Step::RestartGateway),
        1 => Just(Step::KillGateway),
        1 => (0..2_usize).prop_map(|server| Step::RestartServer { server }),
        6 => (0..2_usize).prop_map(|server| Step::Scrape { server }),
        1 => (0..2_usize, 0..4_usize).prop_map(|(server, nth)| Step::ScrapeAgain { server, nth }),
        1 => (0..2_usize).prop_map(|server| Step::Lost { server }),
        2 => (1..48_u64).prop_map(Step::Hours),
        1 => (1..1000_u64).prop_map(Step::Hours),
    ]
}

/// A process that pushes. Its clock may be wrong by so many hours.
#[derive(Clone, Debug)]
struct Pusher {
    has_uuid: bool,
    tells_since: bool,
    clock: i64,
}

fn pusher() -> impl Strategy<Value = Pusher> {
    let clock = prop_oneof![3 => Just(0), 1 => -1000..1000_i64];
    let mostly = prop::bool::weighted(0.8);
    (mostly, mostly, clock).prop_map(|(has_uuid, tells_since, clock)| Pusher {
        has_uuid,
        tells_since,
        clock,
    })
}

/// A life of a counter: the key, whose it is, and since when. Of a counter that does not tell that,
/// all lives are one, of which the largest count is known: one that fell may be a late push.
type Life = (&'static str, String, Option<Timestamp>);

/// What is known of each life.
#[derive(Clone, Default)]
struct Model(BTreeMap<Life, u64>);

impl Model {
    fn hear(&mut self, life: &Life, count: u64) {
        let most = self.0.entry(life.clone()).or_default();
        *most = count.max(*most);
    }

    fn total(&self, key: &str) -> u64 {
        self.0.iter().filter(|((of, ..), _)| *of == key).map(|(_, count)| count).sum()
    }
}

/// What a push said, as the model reads it.
type Payload = (Option<String>, Vec<(Life, u64)>);

struct Server {
    observer: Option<Observer>,
    model: Model,
    answers: Vec<(Vec<u8>, Model)>,
}

struct World {
    now: Timestamp,
    pushers: Vec<Pusher>,
    /// The present lives of each pusher's counters.
    counting: Vec<BTreeMap<&'static str, (Timestamp, u64)>>,
    pushed: Vec<(Timestamp, Payload)>,
    /// All that was ever pushed.
    truth: Model,
    observer: Observer,
    exported: Exported,
    store: Option<State>,
    /// What the gateway should know, and when it last heard of it.
    model: Model,
    heard: BTreeMap<Life, Timestamp>,
    /// Told to readers of sums since the state began: the sum, and since when.
    told: BTreeMap<String, (u64, Option<Timestamp>)>,
    /// What a reader of sums has made of it: the largest that it has seen.
    reader: BTreeMap<String, u64>,
    servers: [Server; 2],
    replicas: u64,
    /// Whether the gateway has never had a reason to leave something out of a sum.
    is_exact: bool,
    /// Whether the gateway may forget up to a day too early.
    may_forget_early: bool,
}

fn settings() -> Settings {
    Settings { retention: RETENTION, ..Settings::default() }
}

impl World {
    fn new(pushers: Vec<Pusher>, has_store: bool) -> Self {
        let server = |id| Server {
            observer: Some(Observer::new(ReplicaId::from_u64(id), settings(), START)),
            model: Model::default(),
            answers: Vec::new(),
        };
        Self {
            now: START,
            counting: vec![BTreeMap::new(); pushers.len()],
            pushers,
            pushed: Vec::new(),
            truth: Model::default(),
            observer: Observer::new(ReplicaId::from_u64(1), settings(), START),
            exported: Exported::new(RETENTION),
            store: has_store.then(|| State::new(10)),
            model: Model::default(),
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            reader: BTreeMap::new(),
            servers: [server(101), server(102)],
            replicas: 1,
            is_exact: true,
            may_forget_early: false,
        }
    }

    fn take(&mut self, step: &Step) {
        // Everything happens at a time of its own, so that lives have times of their own.
        self.now = self.now.plus(Duration::from_secs(1));
        let pusher = |n: usize| n % self.pushers.len();
        match *step {
            Step::Count { pusher: n, key, more } => {
                let n = pusher(n);
                let local = self.clock_of(n);
                let (_, count) =
                    self.counting[n].entry(KEYS[key % KEYS.len()]).or_insert((local, 0));
                *count += more;
            }
            Step::Push { pusher: n } => {
                let payload = self.payload(pusher(n));
                self.push(payload.clone());
                self.pushed.push((self.now, payload));
            }
            Step::PushAgain { nth } => {
                if let Some(at) = self.pushed.len().checked_sub(nth + 1) {
                    let (then, payload) = self.pushed[at].clone();
                    if then.plus(RETENTION) > self.now {
                        self.push(payload);
                    }
                }
            }
            Step::Fork { pusher: n } => {
                let n = pusher(n);
                self.counting[n].clear();
            }
            Step::RestartGateway => {
                let settled = self.observer.settle_all(self.now);
                if let Some(store) = &mut self.store {
                    store.join(settled.into_state());
                }
                self.restart_gateway();
            }
            Step::KillGateway => {
                // When somebody pushed what it had pushed before may not be stored.
                self.may_forget_early |= self.store.is_some();
                self.restart_gateway();
            }
            Step::RestartServer { server } => {
                let server = &mut self.servers[server];
                let before = server.observer.take().expect("there is always one");
                let id = before.id();
                let state = before.into_state();
                server.observer = Some(Observer::restore(id, settings(), self.now, state));
            }
            Step::Scrape { server } => self.scrape(server),
            Step::ScrapeAgain { server, nth } => {
                let answers = &self.servers[server].answers;
                if let Some(at) = answers.len().checked_sub(nth + 1) {
                    let (body, model) = answers[at].clone();
                    self.read(server, &body, &model);
                }
            }
            Step::Lost { server } => {
                let observer = self.servers[server].observer.as_mut().expect("there is one");
                observer.scrape_failed(&"jobs".into(), "http://gw/-/errors");
            }
            Step::Hours(hours) => {
                let until = self.now.plus(HOUR * u32::try_from(hours).expect("few"));
                while self.now < until {
                    self.now = self.now.plus(HOUR);
                    self.keep_house();
                }
            }
        }
    }

    fn clock_of(&self, pusher: usize) -> Timestamp {
        let wrong = self.pushers[pusher].clock;
        let hours = HOUR * u32::try_from(wrong.unsigned_abs()).expect("few");
        if wrong < 0 { self.now.minus(hours) } else { self.now.plus(hours) }
    }

    fn payload(&self, pusher: usize) -> Payload {
        let uuid = self.pushers[pusher].has_uuid.then(|| format!("p{pusher}"));
        let source = uuid.clone().unwrap_or_else(|| "push:".into());
        let errors = self.counting[pusher].iter();
        let since = |since| self.pushers[pusher].tells_since.then_some(since);
        let errors =
            errors.map(|(key, (began, count))| ((*key, source.clone(), since(*began)), *count));
        (uuid, errors.collect())
    }

    fn push(&mut self, (target_uuid, errors): Payload) {
        let now = self.now;
        for (life, count) in &errors {
            let (_, _, since) = life;
            let in_time = |since| now.minus(RETENTION).plus(HOUR) < since && since <= now;
            let in_time = since.is_none_or(in_time);
            self.is_exact &= in_time || self.model.0.contains_key(life);
            self.model.hear(life, *count);
            self.truth.hear(life, *count);
            self.heard.insert(life.clone(), now);
        }
        let reported = errors.into_iter().map(|((key, _, since), count)| ReportedError {
            key: key.into(),
            total_count: count,
            severity: Severity::Error,
            created_at: since,
            incarnations: None,
            occurrences: Vec::new(),
            unchanged: Vec::new(),
        });
        let report = Report { target_uuid, errors: reported.collect(), ..Report::default() };
        let heard = self.exported.pushed(now, &mut self.observer, &"pushed".into(), report);
        if let Some(store) = &mut self.store {
            store.join(heard.delta.into_state());
        }
    }

    fn keep_house(&mut self) {
        let now = self.now;
        let settled = self.observer.settle(now);
        let (delta, pruned) = self.exported.prune(now, &mut self.observer);
        if let Some(store) = &mut self.store {
            store.join(settled.into_state());
            store.join(delta.into_state());
            store.remove(&pruned);
        }
        let old: Vec<Life> = self
            .heard
            .iter()
            .filter(|(_, heard)| heard.plus(RETENTION) <= now)
            .map(|(life, _)| life.clone())
            .collect();
        self.is_exact &= old.is_empty();
        for life in old {
            self.heard.remove(&life);
            self.model.0.remove(&life);
        }
    }

    fn restart_gateway(&mut self) {
        let now = self.now;
        match &self.store {
            Some(store) => {
                let mut state = store.clone();
                self.exported = Exported::restore(RETENTION, &mut state);
                self.observer = Observer::restore(self.observer.id(), settings(), now, state);
            }
            None => {
                self.replicas += 1;
                let id = ReplicaId::from_u64(self.replicas);
                self.observer = Observer::new(id, settings(), now);
                self.exported = Exported::new(RETENTION);
                self.model = Model::default();
                self.heard.clear();
                self.told.clear();
                self.is_exact = false;
            }
        }
    }

    fn scrape(&mut self, server: usize) {
        let mut writer = Writer::new(None);
        let (now, state) = (self.now, self.observer.state());
        self.exported.write(now, state, &"pushed".into(), &mut writer);
        let body = writer.finish();
        let model = self.model.clone();
        self.read(server, &body, &model);
        self.servers[server].answers.push((body.clone(), model));
        self.read_sums(&body);
    }

    fn read(&mut self, server: usize, body: &[u8], model: &Model) {
        let server = &mut self.servers[server];
        let observer = server.observer.as_mut().expect("there is always one");
        let report = parse(body, self.now, &Options::default()).expect("it was written here");
        let (service, labels) = ("jobs".into(), Labels::default());
        observer.scraped(self.now, &service, "http://gw/-/errors", &labels, report);
        model.0.iter().for_each(|(life, count)| server.model.hear(life, *count));
    }

    /// The original server keeps the largest sum of each target and error, and knows no more.
    fn read_sums(&mut self, body: &[u8]) {
        let report = parse(body, self.now, &Options::default()).expect("it was written here");
        for error in report.errors {
            let key = error.key.to_string();
            let seen = self.reader.entry(key.clone()).or_default();
            *seen = error.total_count.max(*seen);
            let told = (error.total_count, error.created_at);
            if let Some(before) = self.told.insert(key.clone(), told) {
                assert!(before.0 <= told.0, "{key} fell from {} to {}", before.0, told.0);
                assert_eq!(before.1, told.1, "{key} began at another time");
            }
        }
    }

    fn check(&self) {
        for key in KEYS {
            for server in &self.servers {
                let observer = server.observer.as_ref().expect("there is always one");
                let id = AggregateId { service: "jobs".into(), key: key.into() };
                let total = observer.state().error(&id).map_or(0, |view| view.total());
                assert!(total <= server.model.total(key), "our server has more of {key}");
                if !self.may_forget_early {
                    assert_eq!(total, server.model.total(key), "our server has less of {key}");
                }
                assert!(total <= self.truth.total(key), "more of {key} than happened");
            }
            let seen = self.reader.get(key).copied().unwrap_or(0);
            assert!(seen <= self.truth.total(key), "a reader of sums has more of {key}");
        }
    }
}

fn run(pushers: Vec<Pusher>, has_store: bool, steps: Vec<Step>) {
    let mut world = World::new(pushers, has_store);
    for step in steps {
        world.take(&step);
        world.check();
    }
    // In the end everybody is heard.
    for n in 0..world.pushers.len() {
        world.take(&Step::Push { pusher: n });
    }
    for server in [0, 1] {
        world.take(&Step::Scrape { server });
    }
    world.check();
    if world.is_exact && !world.may_forget_early {
        for key in KEYS {
            let seen = world.reader.get(key).copied().unwrap_or(0);
            assert_eq!(seen, world.truth.total(key), "without a reason to leave anything out");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_a_gateway_exports_is_counted_once_and_never_lost(
        pushers in prop::collection::vec(pusher(), 1..5),
        has_store in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(pushers, has_store, steps);
    }
}
