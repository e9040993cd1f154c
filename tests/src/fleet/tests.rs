//! What a fleet claims is what an observer finds out that scrapes it, in virtual time.

use std::collections::BTreeMap;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use periskop_core::target::Labels;
use periskop_core::wire::exporter::{Options, parse};
use periskop_core::{Observer, ReplicaId, ServiceName, Settings};

use super::*;

const START: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

fn seconds(n: u64) -> Timestamp {
    START.plus(Duration::from_secs(n))
}

fn plan() -> Plan {
    Plan { instances: 6, services: 2, errors: 3, size: Size::Small, ..Plan::default() }
}

/// Scrapes every instance once a second.
struct Scraper {
    observer: Observer,
    /// The versions answered over the connection to each instance.
    answered: BTreeMap<Serial, u64>,
    /// Answers that get lost on the way.
    lost: Dice,
}

impl Scraper {
    fn new() -> Self {
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), START);
        Self { observer, answered: BTreeMap::new(), lost: Dice::of(&[5]) }
    }

    fn scrape(&mut self, fleet: &mut Fleet, now: Timestamp, losing: bool) {
        fleet.advance(now);
        for (serial, service) in fleet.addresses().collect::<Vec<_>>() {
            if let Some(version) = self.answered.remove(&serial) {
                fleet.was_read(serial, version, now);
            }
            let Reply::Honest(answer) = fleet.answer(serial, Encoding::Identity, now) else {
                continue;
            };
            if losing && self.lost.below(5) == 0 {
                continue;
            }
            self.answered.insert(serial, answer.version);
            self.hear(serial, service, &body(&answer), now);
        }
        for moved in fleet.take_moved() {
            let service = ServiceName::from(Fleet::service_name(moved.service).as_str());
            self.observer.departed(now, &service, &url(moved.from));
        }
    }

    fn hear(&mut self, serial: Serial, service: usize, body: &[u8], now: Timestamp) {
        let report = parse(body, now, &Options::default()).unwrap();
        let service = ServiceName::from(Fleet::service_name(service).as_str());
        self.observer.scraped(now, &service, &url(serial), &Labels::new(), report);
    }

    fn totals(&self) -> Truth {
        let mut truth = Truth::default();
        for error in self.observer.state().errors() {
            let id = error.id();
            truth.add(id.service.as_str(), id.key.as_str().to_owned(), error.total());
        }
        truth
    }
}

fn url(serial: Serial) -> String {
    format!("http://{serial}/")
}

fn body(answer: &Answer) -> Vec<u8> {
    answer.parts.concat()
}

/// Two minutes of this, then what everybody counted is read once more.
fn observed(plan: Plan) -> (Fleet, Truth) {
    let mut fleet = Fleet::new(plan, START);
    let mut scraper = Scraper::new();
    for second in 1..120 {
        scraper.scrape(&mut fleet, seconds(second), true);
    }
    fleet.settle();
    scraper.scrape(&mut fleet, seconds(120), false);
    let totals = scraper.totals();
    (fleet, totals)
}

#[test]
fn the_totals_are_what_it_claims_whatever_happens() {
    let pace = |text: &str| text.parse::<Pace>().unwrap();
    for shared in [false, true] {
        for (changes, restarts, churn) in
            [("0", "0", "0"), ("7/s", "1/s", "20/min"), ("1/scrape", "1/scrape", "1/s")]
        {
            let plan = Plan {
                shared,
                changes: pace(changes),
                restarts: pace(restarts),
                churn: pace(churn),
                ..plan()
            };
            let (fleet, totals) = observed(plan);
            let happened = fleet.happened();
            let differences = fleet.truth().differences(&totals);
            assert_eq!(differences, [], "{changes} {restarts} {churn} {happened:?}");
            assert_eq!(totals.errors(), if shared { 6 } else { 18 });
            for (pace, n) in [
                (changes, happened.changes),
                (restarts, happened.restarts),
                (churn, happened.replaced),
            ] {
                assert_eq!(pace == "0", n == 0, "{pace}: {happened:?}");
            }
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_fleet() {
    let plan = Plan { changes: Pace::PerSecond(3.0), churn: Pace::PerSecond(1.0), ..plan() };
    let (one, totals) = observed(plan.clone());
    let (other, same) = observed(plan.clone());
    assert_eq!((totals, one.happened()), (same, other.happened()));
    let (_, others) = observed(Plan { seed: 2, ..plan });
    assert_ne!(one.truth(), others);
}

#[test]
fn nobody_dies_with_something_that_was_not_read() {
    let plan = Plan { churn: Pace::PerSecond(6.0), changes: Pace::PerSecond(1.0), ..plan() };
    let mut fleet = Fleet::new(plan, START);
    fleet.advance(seconds(1));
    let before: Vec<_> = fleet.addresses().collect();
    let (serial, _) = before[0];
    let Reply::Honest(answer) = fleet.answer(serial, Encoding::Identity, seconds(2)) else {
        panic!("it is honest");
    };
    assert_eq!(fleet.take_moved(), [], "it was answered, but who knows whether that was read");
    fleet.was_read(serial, answer.version, seconds(3));
    assert_eq!(fleet.take_moved(), [Moved { service: 0, from: serial, to: 6 }]);
    let gone = fleet.answer(serial, Encoding::Identity, seconds(3));
    assert!(matches!(gone, Reply::Gone));
    assert_eq!(fleet.addresses().next(), Some((6, 0)));
}

#[test]
fn errors_come_in_another_order_each_time_if_they_are_to() {
    let first = |shuffled| {
        let mut fleet = Fleet::new(Plan { shuffled, errors: 30, ..plan() }, START);
        let mut answer = || match fleet.answer(0, Encoding::Identity, START) {
            Reply::Honest(answer) => body(&answer),
            other => panic!("{other:?}"),
        };
        (answer(), answer())
    };
    let (one, other) = first(false);
    assert_eq!(one, other);
    let (one, other) = first(true);
    assert_ne!(one, other);
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_compressed_answer_says_the_same() {
    let answer = |gzip, encoding| {
        let mut fleet = Fleet::new(Plan { gzip, ..plan() }, START);
        match fleet.answer(0, encoding, START) {
            Reply::Honest(answer) => body(&answer),
            other => panic!("{other:?}"),
        }
    };
    let plain = answer(false, Encoding::Identity);
    let packed = answer(true, Encoding::Gzip);
    assert!(packed.len() < plain.len() / 2);
    let unpacked = std::io::read_to_string(MultiGzDecoder::new(packed.as_slice())).unwrap();
    assert_eq!(unpacked.as_bytes(), plain);
    assert_eq!(answer(true, Encoding::Identity), plain, "for whoever does not unpack");
}

#[test]
fn what_is_kept_stays_within_its_limit() {
    let plan = Plan { kept: 10_000, changes: Pace::PerScrape(2), ..plan() };
    let mut fleet = Fleet::new(plan, START);
    for second in 0..50 {
        for (serial, _) in fleet.addresses().collect::<Vec<_>>() {
            fleet.answer(serial, Encoding::Identity, seconds(second));
            let kept = fleet.instances.iter().map(Instance::kept).sum::<usize>();
            assert_eq!(kept, fleet.kept);
            assert!(kept <= 10_000);
        }
    }
    assert!(fleet.kept > 5_000);
}

#[test]
fn what_nobody_is_told_honestly_does_not_count() {
    let hostile = vec![(Hostility::Cut, 1)];
    let silent = Plan { hostile, changes: Pace::PerSecond(3.0), ..plan() };
    let (fleet, totals) = observed(silent.clone());
    assert_eq!(fleet.truth(), totals);
    assert_eq!(totals.errors(), 15);
    let (fleet, totals) = observed(Plan { relent: 2, ..silent });
    assert_eq!(totals.errors(), 18, "one that is honest now and then is heard");
    assert!(fleet.happened().hostilities > 50);
}

#[test]
fn an_answer_that_does_not_change_is_not_written_again() {
    let mut fleet = Fleet::new(Plan { shuffled: false, ..plan() }, START);
    let mut parts = || match fleet.answer(0, Encoding::Identity, START) {
        Reply::Honest(answer) => answer.parts,
        other => panic!("{other:?}"),
    };
    let pointers = |parts: &[Bytes]| parts.iter().map(|part| part.as_ptr()).collect::<Vec<_>>();
    assert_eq!(pointers(&parts()), pointers(&parts()));
}
