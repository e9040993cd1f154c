//! A catalogue follows a state; lists say what the state says.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::aggregate::{Act, ActionId, MuteFor, Status};
use crate::ids::{ReplicaId, ServiceName};
use crate::observer::{Observer, Settings};
use crate::occurrence::{ContentHash, Exception, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::search::ScanningIndex;
use crate::target::Labels;

const START: Timestamp = Timestamp::from_micros(1_750_000_000_123_457);

/// An observer with a catalogue that follows it.
struct World {
    observer: Observer,
    catalogue: Catalogue,
    now: Timestamp,
    actions: u128,
}

impl World {
    fn new() -> Self {
        let settings = Settings { occurrences_per_error: 2, ..Settings::default() };
        Self {
            observer: Observer::new(ReplicaId::from_u64(1), settings, START),
            catalogue: Catalogue::new(ScanningIndex::new()),
            now: START,
            actions: 0,
        }
    }

    fn pass(&mut self, minutes: u64) {
        self.now = self.now.plus(Duration::from_secs(60 * minutes));
    }

    /// An instance in a zone tells of errors: key, count, severity.
    fn scrape(&mut self, service: &str, zone: &str, errors: &[(&str, u64, Severity)]) {
        let url = format!("http://{service}-{zone}/");
        self.observer.discovered(&service.into(), &url);
        let errors = errors.iter().map(|(key, count, severity)| ReportedError {
            key: (*key).into(),
            total_count: *count,
            severity: *severity,
            created_at: Some(START),
            incarnations: None,
            occurrences: vec![self.occurrence(&format!("{key} {zone} {count}"), *severity)],
            unchanged: Vec::new(),
        });
        let report = Report { errors: errors.collect(), ..Report::default() };
        let labels: Labels = [("zone", zone), ("instance", &*url)].into_iter().collect();
        let delta = self.observer.scraped(self.now, &service.into(), &url, &labels, report);
        self.catalogue.take(self.observer.state(), &delta);
    }

    fn occurrence(&self, message: &str, severity: Severity) -> Occurrence {
        Occurrence {
            name: message.to_owned(),
            content: ContentHash::of(message.as_bytes()),
            time: Some(self.now),
            severity,
            exceptions: vec![Exception {
                class: Some("Oops".to_owned()),
                message: Some(format!("message of {message}")),
                stacktrace: vec!["main".to_owned()],
            }],
            http: None,
        }
    }

    fn act(&mut self, service: &str, key: &str, act: Act) {
        let id = AggregateId { service: service.into(), key: key.into() };
        self.actions += 1;
        let id_of_action = ActionId(self.actions);
        if let Ok(delta) = self.observer.act(self.now, &id, id_of_action, act, "", "") {
            self.catalogue.take(self.observer.state(), &delta);
        }
    }

    fn list(&self, wanted: &Wanted) -> Page<'_> {
        self.catalogue.list(self.observer.state(), wanted, self.now)
    }

    fn keys(&self, wanted: &Wanted) -> Vec<&str> {
        self.list(wanted).errors.iter().map(|error| error.key().as_str()).collect()
    }

    /// What the state says, looked at error by error.
    fn naive(&self) -> BTreeMap<AggregateId, (u64, Status, Severity, Timestamp, Timestamp)> {
        let all = self.observer.state().errors().map(|error| {
            let status = error.status(self.now);
            let (first, last) = (error.first_seen(), error.last_seen());
            (error.id(), (error.total(), status, error.severity(), first, last))
        });
        all.collect()
    }

    fn known(&self) -> BTreeMap<AggregateId, (u64, Status, Severity, Timestamp, Timestamp)> {
        let all = self.catalogue.facts(self.now).map(|facts| {
            let id = AggregateId { service: facts.service.clone(), key: facts.key.clone() };
            let (first, last) = (facts.first_seen, facts.last_seen);
            (id, (facts.total, facts.status, facts.severity, first, last))
        });
        all.collect()
    }

    /// Of each service: errors by state, new ones, the worst severity, the rate, and the hours.
    fn services(&self) -> BTreeMap<ServiceName, Glance> {
        let all = self.catalogue.services(self.now).into_iter().map(|service| {
            let states = Status::ALL.map(|status| service.count(status));
            let hours = service.hours.clone();
            let rate = (service.rate * 15.0).round();
            (service.name.clone(), (states, service.new, service.severity, rate, hours))
        });
        all.collect()
    }

    /// The same, looked at error by error.
    fn naive_services(&self) -> BTreeMap<ServiceName, Glance> {
        let mut services = BTreeMap::new();
        for error in self.observer.state().errors() {
            let nothing = || ([0; 4], 0, Severity::Info, 0.0, vec![0; Service::HOURS]);
            let sum = services.entry(error.service().clone()).or_insert_with(nothing);
            let status = error.status(self.now);
            sum.0[Status::ALL.iter().position(|known| *known == status).unwrap()] += 1;
            sum.1 += usize::from(crate::query::is_new(status, error.first_seen(), self.now));
            if matches!(status, Status::Open | Status::Regressed) {
                sum.2 = sum.2.max(error.severity());
                sum.3 += (error.rate(self.now) * 15.0).round();
                let from = self.now.minus(Service::HOUR * 23);
                let day = error.series(from, from.plus(Service::HOUR * 25), Service::HOUR);
                sum.4.iter_mut().zip(day).for_each(|(sum, (_, n))| *sum += n);
            }
        }
        services
    }

    /// All that is wanted, page after page.
    fn paged(&self, wanted: &Wanted) -> Vec<AggregateId> {
        let mut wanted = wanted.clone();
        let mut ids = Vec::new();
        loop {
            let page = self.list(&wanted);
            assert!(page.errors.len() <= wanted.limit);
            ids.extend(page.errors.iter().map(|error| error.id()));
            let Some(next) = page.next else { return ids };
            wanted.after = Some(next);
        }
    }

    /// The same, sorted as a whole.
    fn naive_order(&self, wanted: &Wanted) -> Vec<AggregateId> {
        let rank = |error: &ErrorView<'_>| match wanted.sort {
            Sort::Count => i128::from(error.total()),
            _ => i128::from(error.last_seen().as_micros()),
        };
        let mut all: Vec<_> = self.observer.state().errors().collect();
        let direction = if wanted.ascending { 1 } else { -1 };
        all.sort_by_key(|error| (direction * rank(error), error.id()));
        all.into_iter().map(|error| error.id()).collect()
    }
}

type Glance = ([usize; 4], usize, Severity, f64, Vec<u64>);

use Severity::{Error, Info, Warning};

/// `web` in two zones, `mail` in one.
fn world() -> World {
    let mut world = World::new();
    world.pass(1);
    world.scrape("web", "a", &[("one", 3, Error), ("two", 1, Warning)]);
    world.pass(1);
    world.scrape("web", "b", &[("one", 4, Error)]);
    world.pass(1);
    world.scrape("mail", "a", &[("three", 5, Info)]);
    world
}

fn wanted(query: &str) -> Wanted {
    Wanted { query: Query::parse(query).unwrap(), ..Wanted::default() }
}

#[test]
fn everything_is_listed_the_most_recent_first() {
    let world = world();
    let page = world.list(&Wanted::default());
    assert_eq!(world.keys(&Wanted::default()), ["three", "one", "two"]);
    assert_eq!((page.total, page.occurrences, page.next), (3, 13, None));
    assert_eq!(world.keys(&wanted("message:b")), ["one"]);
}

#[test]
fn a_list_is_sorted_as_asked_for_and_ties_are_broken_by_name() {
    let world = world();
    let sorted = |sort, ascending| world.keys(&Wanted { sort, ascending, ..Wanted::default() });
    assert_eq!(sorted(Sort::Count, false), ["one", "three", "two"]);
    assert_eq!(sorted(Sort::Count, true), ["two", "three", "one"]);
    assert_eq!(sorted(Sort::FirstSeen, true), ["three", "one", "two"], "all at the same time");
    assert_eq!(sorted(Sort::Rate, false), ["three", "one", "two"]);
}

#[test]
fn pages_follow_each_other_while_errors_come_and_change() {
    let mut world = World::new();
    let keys: Vec<String> = (0..25).map(|n| format!("k{n:02}")).collect();
    let all: Vec<_> = keys.iter().map(|key| (key.as_str(), 1, Error)).collect();
    world.pass(1);
    world.scrape("web", "a", &all);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = Wanted { limit: 10, after, ..Wanted::default() };
        seen.extend(world.keys(&page).into_iter().map(str::to_owned));
        after = world.list(&page).next;
        if after.is_none() {
            break;
        }
        assert_eq!(
            after.as_ref().map(|place| Place::parse(&place.to_string())),
            Some(Ok(after.clone().unwrap()))
        );
        // One that was shown already and one that was not happen again, and a new one appears.
        world.pass(1);
        world.scrape("web", "b", &[("k03", 1, Error), (&format!("new{}", seen.len()), 1, Error)]);
    }
    assert_eq!(seen, keys, "each once, in order; what is new is on top and not here");
}

#[test]
fn each_kind_of_choice_counts_what_the_others_leave() {
    let mut world = world();
    world.act("web", "two", Act::Resolve);
    let page = world.list(&Wanted {
        services: vec!["web".into()],
        states: vec![Choice::Is(Status::Open)],
        facet_label: Some("zone".into()),
        ..Wanted::default()
    });
    assert_eq!(page.total, 1);
    let services: Vec<_> = page.facets.services.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    assert_eq!(services, [("mail", 1), ("web", 1)], "of the open ones");
    assert_eq!(page.facets.states[&Status::Resolved], 1, "of the service");
    assert_eq!(page.facets.states[&Status::Muted], 0);
    assert_eq!(page.facets.severities[&Error], 1);
    assert_eq!(page.facets.new, 1);
    assert_eq!(page.facets.label, [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
}

#[test]
fn what_was_not_seen_lately_can_be_left_out() {
    let world = world();
    let lately =
        Wanted { seen_since: Some(world.now.minus(Duration::from_secs(90))), ..Wanted::default() };
    assert_eq!(world.keys(&lately), ["three", "one"]);
    assert_eq!(world.catalogue.all_wanted(world.observer.state(), &lately, world.now).len(), 2);
}

#[test]
fn a_mute_ends_without_anybody_telling() {
    let mut world = world();
    let until = world.now.plus(Duration::from_secs(90));
    world.act("web", "one", Act::Mute(MuteFor::Until(until)));
    let muted = Wanted { states: vec![Choice::Is(Status::Muted)], ..Wanted::default() };
    assert_eq!(world.keys(&muted), ["one"]);
    world.pass(2);
    assert!(world.keys(&muted).is_empty());
}

#[test]
fn what_is_forgotten_is_not_found_by_its_texts_any_more() {
    let mut world = world();
    world.act("web", "one", Act::Forget);
    assert!(world.keys(&wanted("message:one")).is_empty());
    world.pass(1);
    world.scrape("web", "a", &[("one", 4, Error)]);
    assert_eq!(world.keys(&wanted("key:one")), ["one"], "it is counted on");
    assert!(world.keys(&wanted("\"one a 3\"")).is_empty(), "the old text stays away");
    assert_eq!(world.keys(&wanted("\"one a 4\"")), ["one"]);
}

#[test]
fn what_is_pruned_leaves_and_its_number_is_used_again() {
    let mut world = world();
    for (service, url) in [("mail", "http://mail-a/"), ("web", "http://web-a/")] {
        let (service, now) = (ServiceName::from(service), world.now);
        let delta = world.observer.departed(now, &service, url);
        world.catalogue.take(world.observer.state(), &delta);
    }
    world.pass(31 * 24 * 60);
    let pruned = world.observer.prune(world.now);
    world.catalogue.take_pruned(world.observer.state(), &pruned);
    assert_eq!(world.keys(&Wanted::default()), ["one"]);
    assert_eq!(world.list(&Wanted::default()).occurrences, 4, "zone b's");
    world.scrape("other", "a", &[("three", 1, Info), ("four", 1, Info)]);
    assert_eq!(world.catalogue.len(), 3);
    assert_eq!(world.known(), world.naive());
    assert_eq!(world.keys(&wanted("service:mail")), [""; 0]);
}

#[test]
fn the_first_of_many_are_found_whatever_order_they_come_in() {
    let mut world = World::new();
    world.pass(1);
    let keys: Vec<String> = (0..500).map(|n| format!("k{:03}", (n * 7) % 500)).collect();
    let counts = (0..500_u64).map(|n| (n * 13) % 97 + 1);
    let all: Vec<_> = keys.iter().zip(counts).map(|(k, n)| (k.as_str(), n, Error)).collect();
    world.scrape("web", "a", &all);
    for ascending in [false, true] {
        for limit in [1, 7, 100, 1_000] {
            let wanted = Wanted { sort: Sort::Count, ascending, limit, ..Wanted::default() };
            assert_eq!(world.paged(&wanted), world.naive_order(&wanted), "{ascending} {limit}");
        }
    }
}

#[test]
fn texts_of_many_new_errors_are_found_before_they_are_indexed_and_while_they_are() {
    let mut world = World::new();
    world.pass(1);
    let keys: Vec<String> = (0..=INDEXED_AT_ONCE).map(|n| format!("k{n:03}")).collect();
    let all: Vec<_> = keys.iter().map(|key| (key.as_str(), 1, Error)).collect();
    world.scrape("web", "a", &all);
    let mut asked = 0;
    loop {
        assert_eq!(world.catalogue.unindexed(), keys.len().saturating_sub(100 * asked));
        assert_eq!(world.keys(&wanted("\"MESSAGE of k100 \"")), ["k100"]);
        assert_eq!(world.keys(&wanted("class:oops k25")).len(), 7);
        asked += 1;
        if !world.catalogue.index_some(world.observer.state(), 100) {
            break;
        }
    }
    assert_eq!(asked, 3);
    assert_eq!(world.catalogue.unindexed(), 0);
    assert_eq!(world.keys(&wanted("\"MESSAGE of k100 \"")), ["k100"]);
    assert!(!world.catalogue.index_some(world.observer.state(), 100), "nothing is left");
}

#[test]
fn all_can_be_seen_some_at_a_time() {
    let mut world = world();
    world.act("web", "two", Act::Forget);
    let (mut seen, mut from) = (Vec::new(), Some(ErrorNumber(0)));
    while let Some(first) = from {
        let state = world.observer.state();
        from = world.catalogue.some(state, first, 2, |error| seen.push(error.id()));
    }
    seen.sort();
    assert_eq!(seen, world.observer.state().errors().map(|e| e.id()).collect::<Vec<_>>());
}

#[test]
fn another_text_is_no_cursor() {
    for text in ["", "zz", "5", "5b5d", "ü", "3120", "312032206162", "3020393920"] {
        assert_eq!(
            Place::parse(text).err(),
            (text != "312032206162").then_some(BadCursor),
            "{text}"
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Scrape(&'static str, &'static str, Vec<(&'static str, u64, Severity)>),
    Act(&'static str, &'static str, Act),
    Prune,
    Anew,
    Index(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let service = || prop::sample::select(vec!["web", "mail"]);
    let key = || prop::sample::select(vec!["one", "two", "three"]);
    let severity = prop::sample::select(vec![Error, Warning, Info]);
    let errors = prop::collection::vec((key(), 0_u64..6, severity), 0..3);
    let act = prop::sample::select(vec![
        Act::Resolve,
        Act::Reopen,
        Act::Mute(MuteFor::Ever),
        Act::Mute(MuteFor::Further(2)),
        Act::Mute(MuteFor::Until(START.plus(Duration::from_secs(3_600)))),
        Act::Unmute,
        Act::Forget,
    ]);
    let step = prop_oneof![
        2 => prop::sample::select(vec![1_u64, 20, 50, 31 * 24 * 60]).prop_map(Step::Pass),
        5 => (service(), prop::sample::select(vec!["a", "b"]), errors)
            .prop_map(|(service, zone, errors)| Step::Scrape(service, zone, errors)),
        3 => (service(), key(), act).prop_map(|(service, key, act)| Step::Act(service, key, act)),
        1 => Just(Step::Prune),
        1 => Just(Step::Anew),
        1 => (0_usize..3).prop_map(Step::Index),
    ];
    prop::collection::vec(step, 0..30)
}

proptest! {
    #[test]
    fn it_says_what_the_state_says_whatever_happens(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Pass(minutes) => world.pass(minutes),
                Step::Scrape(service, zone, errors) => world.scrape(service, zone, &errors),
                Step::Act(service, key, act) => world.act(service, key, act),
                Step::Prune => {
                    let pruned = world.observer.prune(world.now);
                    world.catalogue.take_pruned(world.observer.state(), &pruned);
                }
                Step::Anew => world.catalogue.take_all(world.observer.state()),
                Step::Index(most) => {
                    world.catalogue.index_some(world.observer.state(), most);
                }
            }
            prop_assert_eq!(world.known(), world.naive());
            prop_assert_eq!(world.services(), world.naive_services());
            for (sort, ascending, limit) in [(Sort::LastSeen, false, 1), (Sort::Count, true, 2)] {
                let wanted = Wanted { sort, ascending, limit, ..Wanted::default() };
                prop_assert_eq!(world.paged(&wanted), world.naive_order(&wanted));
            }
            let (state, now) = (world.observer.state(), world.now);
            for query in [
                "one",
                "message:b",
                "\"two a 3\"",
                "zone OR three",
                "/of (one|two) a/ -class:/^oops$/",
                "label.zone:a",
                "rate:>0",
            ] {
                let query = Query::parse(query).unwrap();
                let listed = Wanted { query: query.clone(), ..Wanted::default() };
                let mut found = world.catalogue.all_wanted(state, &listed, now);
                found.sort();
                let looked = state.errors().filter(|error| query.matches(*error, now));
                prop_assert_eq!(found, looked.map(|e| e.id()).collect::<Vec<_>>());
            }
        }
    }
}
