//! The engine in virtual time: no test waits.

use std::time::Duration;

use super::*;
use crate::ids::{AggregationKey, ReplicaId};
use crate::observer::Settings;
use crate::occurrence::Severity;
use crate::report::ReportedError;

const START: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);
const INTERVAL: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);

/// An engine, its clock, and what it has put out.
struct World {
    engine: Engine,
    now: Timestamp,
    requests: Vec<(Timestamp, ScrapeRequest)>,
    deltas: Vec<Delta>,
    prunes: usize,
    events: Vec<Event>,
}

impl World {
    /// A server that has been told of these services, each with one discovery, number 0.
    fn new(services: &[&str]) -> Self {
        let mut world = Self {
            engine: Engine::new(observer(), START),
            now: START,
            requests: Vec::new(),
            deltas: Vec::new(),
            prunes: 0,
            events: Vec::new(),
        };
        let specs = services.iter().map(|name| ServiceSpec::new(*name, vec![0])).collect();
        world.tell(|engine, now| engine.handle_services(now, specs));
        world
    }

    /// Tells the engine something and takes what it puts out.
    fn tell<T>(&mut self, something: impl FnOnce(&mut Engine, Timestamp) -> T) -> T {
        let told = something(&mut self.engine, self.now);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Scrape(request) => self.requests.push((self.now, request)),
                Output::Changed(delta) => self.deltas.push(delta),
                Output::Pruned(_) => self.prunes += 1,
                Output::Learned(_) | Output::CrowdedOut(_) => {}
                Output::Event(event) => self.events.push(event),
            }
        }
        told
    }

    fn discover(&mut self, service: &str, addresses: &[&str]) {
        let group = TargetGroup {
            source: "s".to_owned(),
            targets: addresses.iter().map(|a| Labels::from([("__address__", *a)])).collect(),
            labels: Labels::new(),
        };
        self.tell(|engine, now| engine.handle_groups(now, &service.into(), 0, vec![group]));
    }

    /// Lets time pass; `answer` answers each request at once, or never where it says `None`.
    fn pass(
        &mut self,
        time: Duration,
        mut answer: impl FnMut(&ScrapeRequest) -> Option<Result<Report, ScrapeFailure>>,
    ) {
        let end = self.now.plus(time);
        while let Some(at) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            let asked = self.requests.len();
            self.tell(Engine::handle_timeout);
            for (_, request) in self.requests.split_off(asked) {
                let outcome = answer(&request);
                self.requests.push((self.now, request.clone()));
                if let Some(outcome) = outcome {
                    self.answer(&request, outcome);
                }
            }
        }
        self.now = end;
    }

    fn answer(&mut self, request: &ScrapeRequest, outcome: Result<Report, ScrapeFailure>) {
        let duration = Duration::from_millis(5);
        let result = ScrapeResult { target: request.target, duration, outcome };
        self.tell(|engine, now| engine.handle_scrape(now, result));
    }

    /// Lets time pass until a target is asked, and leaves it waiting for its answer.
    fn next_request(&mut self) -> ScrapeRequest {
        let asked = self.requests.len();
        while self.requests.len() == asked {
            self.now = self.engine.poll_timeout().unwrap();
            self.tell(Engine::handle_timeout);
        }
        self.requests.last().unwrap().1.clone()
    }

    fn act(&mut self, key: &str, n: u128, act: Act) {
        let id = AggregateId { service: "api".into(), key: key.into() };
        self.tell(|engine, now| engine.handle_act(now, &id, ActionId(n), act, "ann", "")).unwrap();
    }

    fn total(&self, key: &str) -> u64 {
        let id = AggregateId { service: "api".into(), key: key.into() };
        self.engine.state().error(&id).map_or(0, |error| error.total())
    }

    fn is_exported(&self, key: &str) -> bool {
        let id = AggregateId { service: "api".into(), key: key.into() };
        self.engine.state().error(&id).is_some_and(|e| e.sources().iter().any(|s| s.exported))
    }

    fn health(&self, service: &str) -> Vec<Health> {
        self.engine.targets_of(&service.into()).map(|target| target.status().health).collect()
    }

    /// What became of the errors, in order.
    fn error_events(&self) -> Vec<(Option<Status>, Option<Status>)> {
        let change = |event: &Event| match event {
            Event::Error { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        self.events.iter().filter_map(change).collect()
    }
}

fn observer() -> Observer {
    Observer::new(ReplicaId::from_u64(1), Settings::default(), START)
}

/// The answer of an exporter that counted `count` of one error since the start.
fn report(key: &str, count: u64) -> Report {
    Report {
        target_uuid: Some("u".to_owned()),
        errors: vec![ReportedError {
            key: AggregationKey::from(key),
            total_count: count,
            severity: Severity::Error,
            created_at: Some(START),
            incarnations: None,
            occurrences: Vec::new(),
            unchanged: Vec::new(),
        }],
        ..Report::default()
    }
}

/// The answer of a target that has nothing to tell.
fn nothing(_: &ScrapeRequest) -> Option<Result<Report, ScrapeFailure>> {
    Some(Ok(Report::default()))
}

#[test]
fn a_target_is_asked_once_an_interval() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a", "b"]);
    world.pass(INTERVAL * 6, nothing);
    assert_eq!(world.requests.len(), 12);
    let of_a: Vec<_> =
        world.requests.iter().filter(|(_, r)| &*r.url == "http://a/-/exceptions").collect();
    for pair in of_a.windows(2) {
        assert_eq!(pair[1].0.since(pair[0].0), INTERVAL);
    }
}

#[test]
fn a_target_that_does_not_answer_is_not_asked_again_and_delays_nobody() {
    let mut world = World::new(&["api", "web"]);
    world.discover("api", &["a", "b", "c"]);
    world.discover("web", &["d"]);
    world.pass(INTERVAL * 10, |r| if r.service.as_str() == "api" { None } else { nothing(r) });
    let asked = |service: &str| {
        world.requests.iter().filter(|(_, r)| r.service.as_str() == service).count()
    };
    assert_eq!(asked("api"), 3);
    assert_eq!(asked("web"), 10);
}

#[test]
fn a_late_answer_is_followed_by_one_scrape_not_by_a_burst() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let request = world.next_request();
    world.pass(INTERVAL * 5, nothing);
    world.answer(&request, Ok(Report::default()));
    world.pass(INTERVAL, nothing);
    assert_eq!(world.requests.len(), 2);
}

#[test]
fn what_nobody_asked_for_is_not_heard() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let request = world.next_request();
    world.answer(&request, Ok(report("k", 1)));
    world.answer(&request, Ok(report("k", 9)));
    assert_eq!(world.total("k"), 1);
}

#[test]
fn a_scrape_that_finds_nothing_new_puts_out_nothing() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL * 2, |_| Some(Ok(report("k", 3))));
    let seen = (world.deltas.len(), world.events.len());
    assert_eq!(world.deltas.iter().filter(|delta| !delta.changed().is_empty()).count(), 1);
    world.pass(INTERVAL * 5, |_| Some(Ok(report("k", 3))));
    assert_eq!((world.deltas.len(), world.events.len()), seen);
}

#[test]
fn a_target_is_down_with_its_reason_until_it_answers_again() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    assert_eq!(world.health("api"), [Health::Unknown]);
    let failure = ScrapeFailure { reason: "not JSON".to_owned(), position: Some(7) };
    world.pass(INTERVAL * 2, |_| Some(Err(failure.clone())));
    let view = world.engine.targets().next().unwrap();
    assert_eq!(view.status().health, Health::Down);
    assert_eq!(view.status().last_error, Some(failure.clone()));
    assert_eq!((view.status().scrapes, view.status().failures), (2, 2));
    assert!(world.engine.state().knows(&"api".into()), "known from its first scrape, good or bad");
    world.pass(INTERVAL, nothing);
    let view = world.engine.targets().next().unwrap();
    assert_eq!((view.status().health, &view.status().last_error), (Health::Up, &None));
    let told: Vec<_> = world
        .events
        .iter()
        .map(|event| match event {
            Event::Target { health, failure, .. } => (*health, failure.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(Health::Down, Some(failure)), (Health::Up, None)]);
}

#[test]
fn a_target_that_is_down_still_exports_and_one_that_left_does_not() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, |_| Some(Ok(report("k", 3))));
    world.pass(INTERVAL, |_| Some(Err(ScrapeFailure::new("timeout"))));
    assert!(world.is_exported("k"));
    world.discover("api", &[]);
    assert!(!world.is_exported("k"));
    assert_eq!(world.total("k"), 3);
}

#[test]
fn the_late_answer_of_a_target_that_left_counts_and_exports_nothing() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let request = world.next_request();
    world.discover("api", &[]);
    world.answer(&request, Ok(report("k", 3)));
    assert_eq!(world.total("k"), 3);
    assert!(!world.is_exported("k"));
    world.pass(INTERVAL * 2, nothing);
    assert_eq!(world.requests.len(), 1, "it is not asked again");
}

#[test]
fn the_late_answer_of_a_service_that_left_is_not_heard() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let request = world.next_request();
    world.tell(|engine, now| engine.handle_services(now, vec![]));
    world.answer(&request, Ok(report("k", 3)));
    assert_eq!(world.total("k"), 0);
    assert!(!world.engine.state().knows(&"api".into()));
}

#[test]
fn a_target_that_returns_while_its_answer_is_awaited_is_asked_once() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let request = world.next_request();
    world.discover("api", &[]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL * 3, nothing);
    assert_eq!(world.requests.len(), 1);
    world.answer(&request, Ok(report("k", 3)));
    assert!(world.is_exported("k"));
    let again = world.next_request();
    assert_eq!(again.target, request.target);
    assert_ne!(again.memo_epoch, request.memo_epoch, "it may be another process");
}

#[test]
fn of_two_targets_with_one_url_the_second_to_leave_ends_the_export() {
    let mut world = World::new(&["api"]);
    let zone = |zones: &[&str]| TargetGroup {
        source: "s".to_owned(),
        targets: zones.iter().map(|z| Labels::from([("__address__", "a"), ("zone", *z)])).collect(),
        labels: Labels::new(),
    };
    for (zones, exported) in [(vec!["x", "y"], true), (vec!["y"], true), (vec![], false)] {
        let group = zone(&zones);
        world.tell(|engine, now| engine.handle_groups(now, &"api".into(), 0, vec![group]));
        world.pass(INTERVAL, |_| Some(Ok(report("k", 3))));
        assert_eq!(world.is_exported("k"), exported, "{zones:?}");
    }
}

#[test]
fn a_reload_that_changes_nothing_keeps_health_rhythm_and_memos() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, nothing);
    let due = world.engine.poll_timeout();
    let epoch = world.requests[0].1.memo_epoch;
    world.tell(|engine, now| {
        engine.handle_services(now, vec![ServiceSpec::new("api", vec![0])]);
    });
    assert_eq!(world.health("api"), [Health::Up]);
    assert_eq!(world.engine.poll_timeout(), due);
    assert_eq!(world.next_request().memo_epoch, epoch);
}

#[test]
fn a_reload_that_changes_another_thing_keeps_health_and_rhythm_of_the_same_targets() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, nothing);
    let due = world.engine.poll_timeout();
    let spec = ServiceSpec { target_limit: 7, ..ServiceSpec::new("api", vec![0]) };
    world.tell(|engine, now| engine.handle_services(now, vec![spec]));
    assert_eq!((world.health("api"), world.engine.poll_timeout()), (vec![Health::Up], due));
}

#[test]
fn memos_die_with_forget_and_join_and_survive_everything_else() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let epoch = |world: &mut World| {
        let request = world.next_request();
        world.answer(&request, Ok(report("k", 3)));
        request.memo_epoch
    };
    let first = epoch(&mut world);
    world.act("k", 1, Act::Resolve);
    world.tell(|engine, now| engine.handle_push(now, &"api".into(), report("p", 1)));
    assert_eq!(epoch(&mut world), first);
    world.act("k", 2, Act::Forget);
    let second = epoch(&mut world);
    assert_ne!(second, first);
    let mut other = World::new(&["web"]);
    other.discover("web", &["b"]);
    other.pass(INTERVAL, |_| Some(Ok(report("w", 1))));
    world.tell(|engine, now| engine.handle_join(now, other.engine.state()));
    let third = epoch(&mut world);
    assert_ne!(third, second);
    // What a store tells of another service is no reason to read this one's answers again.
    other.pass(INTERVAL, |_| Some(Ok(report("w", 2))));
    world.tell(|engine, now| engine.handle_stored(now, other.engine.state()));
    assert_eq!(epoch(&mut world), third);
    let mut same = World::new(&["api"]);
    same.discover("api", &["c"]);
    same.pass(INTERVAL, |_| Some(Ok(report("s", 1))));
    world.tell(|engine, now| engine.handle_stored(now, same.engine.state()));
    assert_ne!(epoch(&mut world), third);
}

#[test]
fn memos_die_when_more_occurrences_are_kept_and_not_when_fewer_are() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let mut epoch = |occurrences_per_error| {
        let settings = Settings { occurrences_per_error, ..Settings::default() };
        world.tell(|engine, now| engine.handle_settings(now, settings));
        let request = world.next_request();
        world.answer(&request, Ok(report("k", 3)));
        request.memo_epoch
    };
    let ten = epoch(10);
    assert_eq!(epoch(5), ten);
    assert_ne!(epoch(6), ten);
}

#[test]
fn what_the_store_tells_is_known_and_not_written_again() {
    let mut other = World::new(&["api"]);
    other.discover("api", &["b"]);
    other.pass(INTERVAL, |_| Some(Ok(report("k", 3))));
    let mut world = World::new(&["api"]);
    world.tell(|engine, now| engine.handle_stored(now, other.engine.state()));
    assert_eq!((world.total("k"), world.deltas.len()), (3, 0));
}

#[test]
fn how_a_target_was_found_is_told_when_it_changes_and_is_known_after_a_restart() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    let refused = || Some(Err(ScrapeFailure::new("refused")));
    world.pass(INTERVAL, |_| refused());
    let seen = world.deltas.len();
    world.pass(INTERVAL * 5, |_| refused());
    assert_eq!(world.deltas.len(), seen, "that it is still down is no news");
    let mut restarted = World::new(&["api"]);
    restarted.tell(|engine, now| engine.handle_stored(now, world.engine.state()));
    restarted.discover("api", &["a"]);
    let target = restarted.engine.targets().next().unwrap();
    assert_eq!(target.status().health, Health::Unknown);
    let last = target.last_state().expect("it was down");
    assert_eq!((last.is_up(), last.reason()), (false, "refused"));
}

#[test]
fn above_the_target_limit_all_are_down_and_none_is_asked() {
    let mut world = World::new(&[]);
    let spec = ServiceSpec { target_limit: 1, ..ServiceSpec::new("api", vec![0]) };
    world.tell(|engine, now| engine.handle_services(now, vec![spec]));
    world.discover("api", &["a"]);
    world.pass(INTERVAL, nothing);
    world.discover("api", &["a", "b"]);
    world.pass(INTERVAL * 3, nothing);
    assert_eq!(world.requests.len(), 1);
    for target in world.engine.targets() {
        assert_eq!(target.status().health, Health::Down);
        let reason = &target.status().last_error.as_ref().unwrap().reason;
        assert_eq!(reason, "target_limit exceeded (number of targets: 2, limit: 1)");
    }
    world.discover("api", &["b"]);
    world.pass(INTERVAL, nothing);
    assert_eq!(world.health("api"), [Health::Up]);
}

#[test]
fn the_state_is_asked_to_forget_once_an_hour() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, |_| Some(Ok(report("k", 3))));
    world.discover("api", &["b"]);
    world.pass(HOUR * 24 * 29, |_| Some(Ok(Report::default())));
    assert_eq!((world.total("k"), world.prunes), (3, 0));
    world.pass(HOUR * 24 * 2, |_| Some(Ok(Report::default())));
    assert_eq!((world.total("k"), world.prunes), (0, 1));
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, nothing);
    world.now = world.now.minus(HOUR);
    world.tell(Engine::handle_timeout);
    world.pass(INTERVAL * 3, nothing);
    assert_eq!(world.requests.len(), 4);
}

#[test]
fn what_becomes_of_an_error_is_told() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    world.pass(INTERVAL, |_| Some(Ok(report("k", 1))));
    world.act("k", 1, Act::Resolve);
    world.pass(INTERVAL, |_| Some(Ok(report("k", 1))));
    world.pass(INTERVAL, |_| Some(Ok(report("k", 2))));
    world.act("k", 2, Act::Forget);
    let (open, resolved) = (Some(Status::Open), Some(Status::Resolved));
    let regressed = Some(Status::Regressed);
    assert_eq!(
        world.error_events(),
        [(None, open), (open, resolved), (resolved, regressed), (regressed, None)]
    );
}

#[test]
fn a_discovery_that_fails_is_told_once_and_its_targets_stay() {
    let mut world = World::new(&["api"]);
    world.discover("api", &["a"]);
    for _ in 0..3 {
        world.tell(|engine, now| {
            engine.handle_discovery_failure(now, &"api".into(), 0, "refused".to_owned());
        });
    }
    let view = world.engine.service(&"api".into()).unwrap();
    assert_eq!(view.failing_discoveries().collect::<Vec<_>>(), [(0, "refused")]);
    assert_eq!(view.target_count(), 1);
    world.discover("api", &["a"]);
    let told: Vec<_> = world
        .events
        .iter()
        .map(|event| match event {
            Event::Discovery { failure, .. } => failure.as_deref(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [Some("refused"), None]);
}
