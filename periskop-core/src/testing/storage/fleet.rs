//! A fleet that is observed, and what a store should hold of it.

use std::time::Duration;

use crate::aggregate::{Act, ActionId};
use crate::ids::{AggregateId, ReplicaId, ServiceName};
use crate::observer::{Observer, Pruned, Settings};
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::state::{Delta, State};
use crate::storage::Storage;
use crate::target::Labels;
use crate::testing::START;
use crate::time::Timestamp;

/// A fleet that is observed, and what a store should hold of it.
pub(super) struct Fleet {
    pub(super) observer: Observer,
    pub(super) now: Timestamp,
    pub(super) expected: State,
    reports: Vec<Report>,
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::from(Observer::new(ReplicaId::from_u64(7), settings, START))
    }

    pub(super) fn restored(state: State) -> Self {
        let started = START.plus(Duration::from_secs(3600));
        let settings = Settings::default();
        Self::from(Observer::restore(ReplicaId::from_u64(7), settings, started, state))
    }

    fn from(observer: Observer) -> Self {
        let now = START.plus(Duration::from_secs(3600));
        let expected = State::new(observer.settings().occurrences_per_error);
        Self { observer, now, expected, reports: Vec::new() }
    }

    /// Three targets count, one of them without `created_at` and falling back; one departs.
    pub(super) fn history(&mut self) -> Vec<Delta> {
        let mut history = Vec::new();
        self.reports = vec![self.report(0); 3];
        for round in 1..4 {
            for target in 0..3 {
                let mut report = self.report(round * 5 + target);
                report.target_uuid = Some(format!("target {target}"));
                if target == 1 {
                    for error in &mut report.errors {
                        error.created_at = None;
                        error.total_count = if round == 2 { 2 } else { error.total_count };
                    }
                }
                if target == 2 {
                    report.errors.push(error("only here", 1, vec![full(1, "only here")]));
                }
                self.reports[usize::try_from(target).expect("it is small")] = report.clone();
                history.push(self.scraped(target, report));
            }
            history.push(self.act("a", u128::from(round), Act::Resolve));
        }
        let departed = self.observer.departed(self.now, &service(), &url(2));
        history.push(departed);
        history.retain(|delta| !delta.is_empty());
        history
    }

    pub(super) fn report(&self, n: u64) -> Report {
        let occurrence = |k: u64| full(usize::try_from(n * 10 + k).expect("it is small"), "text");
        Report {
            errors: vec![
                error("a", 1 + n, vec![occurrence(0), occurrence(1)]),
                error("b", 10 + n * 3, vec![occurrence(2)]),
            ],
            ..named()
        }
    }

    pub(super) fn last_report(&self, target: u64) -> Report {
        self.reports[usize::try_from(target).expect("it is small")].clone()
    }

    pub(super) fn scraped(&mut self, target: u64, report: Report) -> Delta {
        self.now = self.now.plus(Duration::from_secs(10));
        let labels = Labels::from([("instance", format!("host {target}")), ("zone", "x".into())]);
        self.observer.scraped(self.now, &service(), &url(target), &labels, report)
    }

    pub(super) fn found(&mut self, target: u64, failure: Option<&str>) -> Delta {
        self.now = self.now.plus(Duration::from_secs(10));
        self.observer.found(self.now, &service(), &url(target), failure)
    }

    pub(super) fn act(&mut self, key: &str, n: u128, act: Act) -> Delta {
        self.now = self.now.plus(Duration::from_secs(10));
        self.observer
            .act(self.now, &id(key), ActionId(n), act, "ann's", "because \0")
            .expect("the error is there")
    }

    /// What a store holds that has committed this too.
    pub(super) fn committed(&mut self, delta: &Delta) -> State {
        self.expected.join(delta.state().clone());
        self.expected.clone()
    }

    /// Lets all targets but the first depart and age, and has the store follow.
    pub(super) async fn prune_what_departed(&mut self, store: &mut dyn Storage) -> Pruned {
        let kept = self.report(1);
        for target in 1..3 {
            let delta = self.observer.departed(self.now, &service(), &url(target));
            commit(store, &delta).await;
            self.committed(&delta);
        }
        if self.reports.is_empty() {
            let delta = self.observer.departed(self.now, &service(), &url(0));
            commit(store, &delta).await;
            self.committed(&delta);
        } else {
            let delta = self.scraped(0, Report { errors: kept.errors[..1].to_vec(), ..named() });
            commit(store, &delta).await;
            self.committed(&delta);
        }
        let later = self.now.plus(Duration::from_secs(31 * 24 * 3600));
        let pruned = self.observer.prune(later);
        store.prune(&pruned).await.expect("the store works");
        self.expected.remove(&pruned);
        pruned
    }
}

pub(super) async fn load(store: &mut dyn Storage) -> State {
    store.load().await.expect("the store works").state
}

/// Fails with the first error that differs: whole states are long.
pub(super) async fn holds(store: &mut dyn Storage, expected: &State) {
    same(&load(store).await, expected);
}

pub(super) fn same(loaded: &State, expected: &State) {
    for (found, wanted, missing) in [(loaded, expected, "more"), (expected, loaded, "less")] {
        for (name, service) in &found.services {
            for (key, aggregate) in &service.errors {
                match wanted.aggregate(name, key) {
                    Some(other) if *other == **aggregate => {}
                    Some(other) => panic!("{key:?} is\n{aggregate:?}\nand not\n{other:?}"),
                    None => panic!("one error {missing} than expected: {key:?}"),
                }
            }
        }
    }
    assert_eq!(loaded.sources, expected.sources);
    assert!(loaded == expected, "the services differ");
}

pub(super) async fn commit(store: &mut dyn Storage, delta: &Delta) {
    store.commit(delta).await.expect("the store works");
}

pub(super) fn service() -> ServiceName {
    "the service".into()
}

pub(super) fn id(key: &str) -> AggregateId {
    AggregateId { service: service(), key: key.into() }
}

pub(super) fn url(target: u64) -> String {
    format!("http://localhost/{target}")
}

pub(super) fn named() -> Report {
    Report { target_uuid: Some("target 0".to_owned()), ..Report::default() }
}

pub(super) fn error(key: &str, total_count: u64, occurrences: Vec<Occurrence>) -> ReportedError {
    ReportedError {
        key: key.into(),
        total_count,
        severity: Severity::Warning,
        created_at: Some(START),
        incarnations: None,
        occurrences,
        unchanged: Vec::new(),
    }
}

/// The n-th occurrence, with `text` wherever a text may be.
pub(super) fn full(n: usize, text: &str) -> Occurrence {
    let exception = |class: &str| Exception {
        class: Some(class.to_owned()),
        message: Some(text.to_owned()),
        stacktrace: vec![text.to_owned(), "frame".to_owned()],
    };
    let name = format!("occurrence {n:03}");
    Occurrence {
        content: ContentHash::of(name.as_bytes()),
        name,
        time: Some(START.plus(Duration::from_micros(n as u64))),
        severity: Severity::Info,
        exceptions: vec![exception(text), exception("cause")],
        http: Some(HttpContext {
            method: Some(text.to_owned()),
            url: Some(text.to_owned()),
            headers: vec![("a header".to_owned(), text.to_owned())],
            body: Some(text.to_owned()),
        }),
    }
}
