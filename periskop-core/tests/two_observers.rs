//! Two observers of one service that share a store, each with targets of its own: neither forgets
//! what the other's targets still export, and nobody writes where nothing happens.

use std::time::Duration;

use periskop_core::target::Labels;
use periskop_core::{
    Delta, Observer, ReplicaId, Report, ReportedError, ServiceName, Settings, Severity, State,
    Timestamp,
};

const HOUR: Duration = Duration::from_secs(3600);

fn begin() -> Timestamp {
    Timestamp::parse("2026-11-27T00:00:00Z").expect("it is a time")
}

/// An observer whose one target exports one error of its own, and does so for ever.
struct Half {
    observer: Observer,
    url: &'static str,
    uuid: &'static str,
}

impl Half {
    fn new(id: u64, url: &'static str, uuid: &'static str) -> Self {
        let observer = Observer::new(ReplicaId::from_u64(id), Settings::default(), begin());
        Self { observer, url, uuid }
    }

    fn scrape(&mut self, now: Timestamp) -> Delta {
        let error = ReportedError {
            key: self.uuid.into(),
            total_count: 3,
            severity: Severity::Error,
            created_at: Some(begin()),
            incarnations: None,
            occurrences: vec![],
            unchanged: Vec::new(),
        };
        let report = Report {
            target_uuid: Some(self.uuid.to_owned()),
            errors: vec![error],
            ..Report::default()
        };
        self.observer.discovered(&service(), self.url);
        self.observer.scraped(now, &service(), self.url, &Labels::new(), report)
    }
}

fn service() -> ServiceName {
    "shared".into()
}

#[test]
fn what_the_other_ones_targets_export_is_not_forgotten() {
    let mut halves = [Half::new(1, "http://a/", "a"), Half::new(2, "http://b/", "b")];
    let mut store = State::default();
    let mut written = 0;
    for hour in 0..100 * 24 {
        let now = begin().plus(HOUR * hour);
        for half in &mut halves {
            for delta in [half.scrape(now), half.observer.settle(now)] {
                written += usize::from(!delta.is_empty());
                store.join(delta.into_state());
            }
            half.observer.join(now, &store);
            store.remove(&half.observer.prune(now));
        }
    }
    let totals: Vec<_> = store.errors().map(|e| (e.key().to_string(), e.total())).collect();
    assert_eq!(totals, [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    // A quarter of a retention is a week: fourteen times each, and some at the beginning.
    assert!((28..40).contains(&written), "{written} writes in a hundred days");
}

#[test]
fn what_the_other_one_had_is_forgotten_once_it_has_been_gone_for_the_retention() {
    let mut halves = [Half::new(1, "http://a/", "a"), Half::new(2, "http://b/", "b")];
    let mut store = State::default();
    for hour in 0..40 * 24 {
        let now = begin().plus(HOUR * hour);
        // The second one goes with its target in the first hour.
        let count = if hour == 0 { 2 } else { 1 };
        for half in &mut halves[..count] {
            for delta in [half.scrape(now), half.observer.settle(now)] {
                store.join(delta.into_state());
            }
            half.observer.join(now, &store);
            store.remove(&half.observer.prune(now));
        }
    }
    let totals: Vec<_> = store.errors().map(|e| e.key().to_string()).collect();
    assert_eq!(totals, ["a"]);
}

#[test]
fn who_observes_alone_tells_nothing_twice() {
    let mut half = Half::new(1, "http://a/", "a");
    half.scrape(begin());
    let mut told = 0;
    for hour in 1..100 * 24 {
        let now = begin().plus(HOUR * hour);
        told += usize::from(!half.scrape(now).is_empty());
        told += usize::from(!half.observer.settle(now).is_empty());
    }
    assert_eq!(told, 0);
}
