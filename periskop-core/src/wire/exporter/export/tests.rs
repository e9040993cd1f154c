use proptest::prelude::*;

use super::*;
use crate::ids::{AggregationKey, ReplicaId};
use crate::observer::Settings;
use crate::occurrence::{ContentHash, Exception, Occurrence, Severity};
use crate::target::Labels;
use crate::testing::state::{Step, step, take};
use crate::wire::exporter::{Options, parse};

const START: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn service() -> ServiceName {
    "svc".into()
}

/// A gateway: an observer, and what it told.
struct Gateway {
    observer: Observer,
    exported: Exported,
}

impl Gateway {
    fn new(id: u64) -> Self {
        let settings = Settings::default();
        let observer = Observer::new(ReplicaId::from_u64(id), settings, START);
        Self { observer, exported: Exported::new(settings.retention) }
    }

    fn push(&mut self, now: Timestamp, report: Report) {
        self.exported.pushed(now, &mut self.observer, &service(), report);
    }

    fn prune(&mut self, now: Timestamp) {
        self.exported.prune(now, &mut self.observer);
    }

    fn payload(&self, now: Timestamp) -> Vec<u8> {
        let mut writer = Writer::new(None);
        self.exported.write(now, self.observer.state(), &service(), &mut writer);
        writer.finish()
    }

    /// Scrapes another one, over the wire; whether anything was new.
    fn scrape(&mut self, now: Timestamp, name: &str, other: &Gateway) -> bool {
        let report = parse(&other.payload(now), now, &Options::default()).unwrap();
        assert_eq!((report.skipped, &report.warnings), (0, &vec![]));
        let url = format!("http://{name}/-/errors");
        !self.observer.scraped(now, &service(), &url, &Labels::default(), report).is_empty()
    }

    /// What it knows of each error, content hashes apart: they are of bytes that were written here.
    fn known(&self) -> Vec<(String, u64, Vec<Occurrence>)> {
        let known = self.observer.state().errors().map(|view| {
            let occurrences = view
                .occurrences()
                .map(|shown| Occurrence { content: ContentHash([0; 16]), ..shown.to_occurrence() });
            (view.key().to_string(), view.total(), occurrences.collect())
        });
        known.collect()
    }

    /// What a reader of sums reads of the one error that there is.
    fn sum(&self, now: Timestamp) -> u64 {
        self.told(now).total_count
    }

    fn told(&self, now: Timestamp) -> ReportedError {
        let view = self.observer.state().errors().next().unwrap();
        self.exported.error(now, view)
    }
}

/// A report of one error that `source` has counted since then.
fn report(source: Option<&str>, since: Option<Timestamp>, count: u64) -> Report {
    let occurrence = Occurrence {
        name: format!("{source:?} {count}"),
        content: ContentHash([0; 16]),
        time: since.map(|since| since.plus(Duration::from_secs(count))),
        severity: Severity::Warning,
        exceptions: vec![Exception { message: Some("no".into()), ..Exception::default() }],
        http: None,
    };
    let error = ReportedError {
        key: AggregationKey::from("k"),
        total_count: count,
        severity: Severity::Error,
        created_at: since,
        incarnations: None,
        occurrences: vec![occurrence],
        unchanged: Vec::new(),
    };
    let target_uuid = source.map(str::to_owned);
    Report { target_uuid, errors: vec![error], ..Report::default() }
}

#[test]
fn who_reads_an_export_knows_what_the_exporter_knows() {
    let (mut gateway, mut reader) = (Gateway::new(1), Gateway::new(2));
    gateway.push(START, report(Some("a"), Some(START), 3));
    gateway.push(START, report(Some("b"), None, 4));
    gateway.push(START, report(None, None, 5));
    assert!(reader.scrape(START, "gw", &gateway));
    assert_eq!(reader.known(), gateway.known());
    assert_eq!(reader.known()[0].1, 12);
    let later = START.plus(Duration::from_secs(10));
    assert!(!reader.scrape(later, "gw", &gateway), "reading it twice changes nothing");
}

#[test]
fn what_arrives_over_several_paths_and_hops_counts_once() {
    let (mut gateway, mut other) = (Gateway::new(1), Gateway::new(2));
    for gateway in [&mut gateway, &mut other] {
        gateway.push(START, report(Some("a"), Some(START), 3));
    }
    other.push(START, report(Some("b"), None, 4));
    let (mut first, mut second, mut last) = (Gateway::new(3), Gateway::new(4), Gateway::new(5));
    for server in [&mut first, &mut second] {
        server.scrape(START, "gw", &gateway);
        server.scrape(START, "other", &other);
    }
    for (name, exporter) in [("1", &first), ("2", &second), ("gw", &gateway), ("other", &other)] {
        last.scrape(START, name, exporter);
    }
    assert_eq!(last.known()[0].1, 7);
    assert_eq!(last.known(), first.known());
}

#[test]
fn a_pusher_that_outlives_its_gateway_counts_once_for_who_reads_incarnations() {
    let mut reader = Gateway::new(9);
    let mut gateway = Gateway::new(1);
    gateway.push(START, report(Some("a"), Some(START), 3));
    reader.scrape(START, "gw", &gateway);
    let mut restarted = Gateway::new(2);
    restarted.push(START, report(Some("a"), Some(START), 4));
    reader.scrape(START, "gw", &restarted);
    assert_eq!(reader.known()[0].1, 4);
}

#[test]
fn an_occurrence_goes_out_with_its_name_and_its_time_as_it_came() {
    let mut gateway = Gateway::new(1);
    let body = br#"{"aggregated_errors": [{"aggregation_key": "k", "total_count": 1,
        "latest_errors": [{"error": {"message": "m"}, "timestamp": "2999-01-01T00:00:00Z"}]}]}"#;
    gateway.push(START, parse(body, START, &Options::default()).unwrap());
    let told = gateway.told(START);
    let occurrence = &told.occurrences[0];
    assert!(occurrence.name.starts_with("hash:"), "{}", occurrence.name);
    assert_eq!(occurrence.time, Timestamp::parse("2999-01-01T00:00:00Z"));
    let again = parse(&gateway.payload(START), START, &Options::default()).unwrap();
    assert_eq!(again.errors[0].occurrences[0].name, occurrence.name);
}

#[test]
fn what_is_pushed_says_since_when_it_is_gone() {
    let mut gateway = Gateway::new(1);
    gateway.push(START, report(Some("a"), Some(START), 1));
    let told = gateway.told(START.plus(DAY)).incarnations.unwrap();
    assert_eq!(told[0].gone, Some(START));
    assert_eq!((told[0].source.as_str(), &told[0].life), ("a", &ReportedLife::Since(START)));
}

#[test]
fn what_is_forgotten_stays_in_the_sum() {
    let mut gateway = Gateway::new(1);
    gateway.push(START, report(Some("a"), Some(START), 3));
    let later = START.plus(29 * DAY);
    gateway.push(later, report(Some("b"), Some(later), 2));
    let pruned = START.plus(31 * DAY);
    gateway.prune(pruned);
    assert_eq!(gateway.observer.state().errors().next().unwrap().total(), 2);
    assert_eq!(gateway.sum(pruned), 5);
    // Also when the whole error was forgotten in between.
    let whole = START.plus(70 * DAY);
    gateway.prune(whole);
    assert_eq!(gateway.observer.state().errors().count(), 0);
    gateway.push(whole, report(Some("c"), Some(whole), 1));
    assert_eq!(gateway.sum(whole), 6);
}

#[test]
fn a_pusher_that_comes_back_after_it_was_forgotten_adds_only_what_is_new() {
    for (source, since) in [(Some("a"), Some(START)), (Some("a"), None), (None, None)] {
        let mut gateway = Gateway::new(1);
        gateway.push(START, report(source, since, 3));
        let later = START.plus(31 * DAY);
        gateway.prune(later);
        gateway.push(later, report(source, since, 4));
        let counted = gateway.sum(later);
        assert!((3..=4).contains(&counted), "{source:?} {since:?}: {counted}");
        gateway.push(later, report(source, since, 6));
        assert_eq!(gateway.sum(later), counted + 2, "{source:?} {since:?}");
    }
}

#[test]
fn a_pusher_that_was_crowded_out_stays_in_the_sum_and_adds_only_what_is_new() {
    for since in [Some(START), None] {
        let mut gateway = Gateway::new(1);
        gateway.observer.set_settings(Settings { incarnations_limit: 2, ..Settings::default() });
        let at = |minutes: u32| START.plus(Duration::from_secs(60) * minutes);
        gateway.push(at(0), report(Some("a"), since, 3));
        gateway.push(at(10), report(Some("b"), Some(at(10)), 2));
        gateway.push(at(20), report(Some("c"), Some(at(20)), 1));
        let listed = |gateway: &Gateway| gateway.told(at(60)).incarnations.unwrap().len();
        assert_eq!((listed(&gateway), gateway.sum(at(20))), (2, 6), "a is gone, and was counted");
        // Somebody new is told from somebody who was here.
        gateway.push(at(30), report(Some("d"), Some(at(30)), 4));
        assert_eq!(gateway.sum(at(30)), 10);
        gateway.push(at(40), report(Some("a"), since, 5));
        let counted = gateway.sum(at(40));
        assert!((10..=12).contains(&counted), "{since:?}: {counted}");
        gateway.push(at(50), report(Some("a"), since, 7));
        assert!((counted..=14).contains(&gateway.sum(at(50))), "{since:?}");
        assert_eq!(listed(&gateway), 2);
    }
}

#[test]
fn an_incarnation_older_than_the_retention_enters_the_sum_with_what_it_adds() {
    let mut gateway = Gateway::new(1);
    gateway.push(START, report(Some("a"), Some(START.minus(31 * DAY)), 1000));
    assert_eq!(gateway.sum(START), 0);
    gateway.push(START, report(Some("a"), Some(START.minus(31 * DAY)), 1001));
    assert_eq!(gateway.sum(START), 1);
    let told = gateway.told(START).incarnations.unwrap();
    assert_eq!(told[0].count, 1001, "readers of incarnations get it whole");
}

#[test]
fn created_at_is_what_was_exported_first() {
    let mut gateway = Gateway::new(1);
    gateway.push(START, report(Some("a"), Some(START), 1));
    gateway.push(START, report(Some("b"), Some(START.minus(DAY)), 1));
    assert_eq!(gateway.told(START).created_at, Some(START));
    assert_eq!(gateway.observer.state().errors().next().unwrap().first_seen(), START.minus(DAY));
}

#[test]
fn of_too_many_incarnations_those_that_changed_least_recently_are_left_out() {
    let mut gateway = Gateway::new(1);
    for n in 0..20_u32 {
        let at = START.plus(Duration::from_secs(3600) * n);
        gateway.push(at, report(Some(&format!("s{n}")), Some(at), 1));
    }
    let view = gateway.observer.state().errors().next().unwrap();
    let listed = |now, most| {
        let listed = incarnations(now, view, most).into_iter().map(|i| i.source);
        listed.collect::<std::collections::BTreeSet<_>>()
    };
    let soon = START.plus(DAY);
    assert_eq!(listed(soon, 5).len(), 20, "all of them changed within a day");
    let late = START.plus(3 * DAY);
    let newest = (15..20).map(|n| format!("s{n}")).collect();
    assert_eq!(listed(late, 5), newest);
}

/// Somebody who pushes, and how many days it has counted when it does so first.
#[derive(Clone, Debug)]
struct Pusher {
    days_before: u32,
    tells_since: bool,
    has_uuid: bool,
}

fn pusher() -> impl Strategy<Value = Pusher> {
    (0..90_u32, any::<bool>(), any::<bool>()).prop_map(|(days_before, tells_since, has_uuid)| {
        Pusher { days_before, tells_since, has_uuid }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_export_carries_whatever_was_heard(steps in proptest::collection::vec(step(), 0..12)) {
        let mut gateway = Gateway::new(1);
        for (at, step) in (0..).zip(steps.iter().filter(|step| !matches!(step, Step::Act(..)))) {
            // After every occurrence: what is not usable yet may be when it is read.
            take(&mut gateway.observer, START.plus(Duration::from_secs(3600 + at)), step);
        }
        let now = START.plus(Duration::from_secs(7200));
        let mut reader = Gateway::new(2);
        reader.scrape(now, "gw", &gateway);
        prop_assert_eq!(reader.known(), gateway.known());
        prop_assert!(!reader.scrape(now, "gw", &gateway));
        let mut further = Gateway::new(3);
        further.scrape(now, "gw", &gateway);
        further.scrape(now, "reader", &reader);
        prop_assert_eq!(further.known(), gateway.known());
    }

    #[test]
    fn a_sum_never_falls_and_never_exceeds_what_happened(
        pushers in proptest::collection::vec(pusher(), 1..6),
        pushes in proptest::collection::vec((0..6_usize, 0..5_u64, 0..20_u32), 1..25),
    ) {
        let mut gateway = Gateway::new(1);
        let mut counted = vec![0_u64; pushers.len()];
        let mut began = vec![None; pushers.len()];
        let (mut now, mut last) = (START, 0);
        for (who, more, days) in pushes {
            let who = who % pushers.len();
            let Pusher { days_before, tells_since, has_uuid } = pushers[who];
            now = now.plus(DAY * days);
            gateway.prune(now);
            // Who pushes for the first time has something to tell.
            counted[who] = (counted[who] + more).max(1);
            // Two without a uuid that began at the same time would be one to everybody.
            let apart = Duration::from_secs(who as u64);
            let began = *began[who].get_or_insert(now.minus(DAY * days_before).plus(apart));
            let name = format!("p{who}");
            let source = has_uuid.then_some(name.as_str());
            gateway.push(now, report(source, tells_since.then_some(began), counted[who]));
            let sum = gateway.sum(now);
            prop_assert!(sum >= last, "fell from {} to {}", last, sum);
            last = sum;
            prop_assert!(sum <= counted.iter().sum(), "{} of {:?}", sum, counted);
        }
    }
}
