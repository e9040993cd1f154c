//! In virtual time: what reaches a store, when, and in which order, whatever the store does.

use std::sync::mpsc;
use std::time::Duration;

use crate::{Fault, Faulty, MemoryStorage};
use periskop_core::storage::{Storage, StorageError};
use periskop_core::wire::exporter;
use periskop_core::wire::state::errors;
use periskop_core::{Delta, Observer, ReplicaId, Settings, State, Timestamp};
use tokio::time::{Instant, sleep, timeout};

use super::journal::{GATHER, Journal};
use super::keeper::{AT_ONCE, LOAD_WITHIN, News, POLL, RETRY, START_WITHIN, Store};
use super::scripted::{Scripted, newer, unavailable};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Somebody who observes, in a time of its own.
struct World {
    observer: Observer,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        Self { observer: Observer::new(ReplicaId::from_u64(1), Settings::default(), now), now }
    }

    /// Error `key` is pushed with this count.
    fn push(&mut self, key: &str, count: u64) -> Delta {
        let body = format!(
            r#"{{"aggregated_errors": [{{"aggregation_key": "{key}", "total_count": {count}}}]}}"#
        );
        let options = exporter::Options::default();
        let report = exporter::parse(body.as_bytes(), self.now, &options).unwrap();
        self.observer.pushed(self.now, &"s".into(), report)
    }

    /// So many errors are pushed at once.
    fn push_many(&mut self, errors: usize) -> Delta {
        let errors: Vec<_> = (0..errors)
            .map(|n| format!(r#"{{"aggregation_key": "{n}", "total_count": 1}}"#))
            .collect();
        let body = format!(r#"{{"aggregated_errors": [{}]}}"#, errors.join(","));
        let report = exporter::parse(body.as_bytes(), self.now, &Default::default()).unwrap();
        self.observer.pushed(self.now, &"s".into(), report)
    }

    /// So much later what is old is forgotten.
    fn prune_after(&mut self, time: Duration) -> periskop_core::observer::Pruned {
        self.now = self.now.plus(time);
        self.observer.prune(self.now)
    }

    fn state(&self) -> &State {
        self.observer.state()
    }
}

fn open(storage: impl Storage + 'static) -> Store {
    Store::open(Box::new(storage), Journal::new("scripted"), ReplicaId::from_u64(7), |_| {})
}

async fn opened(storage: impl Storage + 'static) -> Store {
    let mut store = open(storage);
    assert!(matches!(store.news().await.unwrap(), News::Loaded { .. }));
    store
}

#[tokio::test(start_paused = true)]
async fn what_changed_is_written_within_a_second_and_at_once_if_somebody_waits() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    assert_eq!(scripted.calls(), ["identify", "load"]);
    store.journal().changed(world.push("a", 1));
    store.journal().changed(world.push("b", 1));
    let begun = Instant::now();
    assert!(store.journal().durable().await);
    assert!(begun.elapsed() < GATHER, "whoever waits is not gathered for");
    assert_eq!(scripted.calls(), ["commit"]);
    assert_eq!(scripted.holds().await, *world.state());

    for key in ["c", "d", "e"] {
        store.journal().changed(world.push(key, 1));
    }
    sleep(GATHER).await;
    tokio::task::yield_now().await;
    assert_eq!(scripted.calls(), ["commit"], "they are written together");
    assert_eq!(scripted.holds().await, *world.state());
}

#[tokio::test(start_paused = true)]
async fn much_is_written_in_parts_and_only_what_is_left_is_written_again() {
    for failing in [None, Some(0), Some(1), Some(2)] {
        let (inner, mut world) = (MemoryStorage::new(), World::new());
        // After `identify` and `load`.
        let faulty = Faulty::new(inner.clone(), move |operation| {
            (Some(operation) == failing.map(|part| part + 2)).then_some(Fault::Before)
        });
        let store = opened(faulty).await;
        store.journal().changed(world.push_many(2 * AT_ONCE + 1));
        assert!(store.journal().durable().await);
        assert_eq!(inner.clone().load().await.unwrap().state, *world.state(), "{failing:?}");
        let commits = store.journal().figures().commits;
        assert_eq!(commits.count(), 3, "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_any_operation_has_everything_in_the_end() {
    for fault in [Fault::Before, Fault::After] {
        for failing in 0..9 {
            let (inner, mut world) = (MemoryStorage::new(), World::new());
            let faulty = Faulty::new(inner.clone(), move |operation| {
                (operation == failing || operation == failing + 1).then_some(fault)
            });
            let (failures, told) = mpsc::channel();
            let mut store = Store::open(
                Box::new(faulty),
                Journal::new("faulty"),
                ReplicaId::from_u64(7),
                move |_| failures.send(()).unwrap(),
            );
            assert!(matches!(store.news().await.unwrap(), News::Loaded { .. }));
            let journal = store.journal().clone();
            for round in 1..4_u64 {
                journal.changed(world.push("old", round));
                journal.changed(world.push(&format!("k{round}"), 1));
                assert!(journal.durable().await);
                journal.pruned(world.prune_after(DAY * 31));
                journal.changed(world.push("back", round));
                assert!(journal.durable().await);
                let held = inner.clone().load().await.unwrap().state;
                assert_eq!(held, *world.state(), "{fault:?} at {failing}, round {round}");
            }
            assert_eq!(told.try_iter().count(), 2, "{fault:?} at {failing}");
            assert!(store.finish(Duration::from_secs(5)).await.is_ok());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_one_delta_and_one_prune_however_long_the_store_is_away() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    scripted.fail(unavailable);
    for count in 1..500 {
        store.journal().changed(world.push("often", count));
        if count % 100 == 0 {
            store.journal().pruned(world.prune_after(DAY * 31));
            store.journal().changed(world.push("often", count));
        }
        sleep(Duration::from_secs(10)).await;
        assert_eq!(store.journal().pending_errors(), 1);
    }
    let calls = scripted.calls();
    assert!(calls.len() < 200, "it is tried ever more seldom: {}", calls.len());
    scripted.work();
    assert!(store.journal().durable().await);
    assert_eq!(scripted.calls()[..2], ["prune", "commit"]);
    assert_eq!(store.journal().pending_errors(), 0);
    assert_eq!(scripted.holds().await, *world.state());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_went_and_came_back_is_pruned_first_and_keeps_nothing() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    store.journal().changed(world.push("k", 5));
    assert!(store.journal().durable().await);
    scripted.calls();
    store.journal().changed(world.push("k", 6));
    store.journal().pruned(world.prune_after(DAY * 31));
    store.journal().changed(world.push("k", 1));
    assert!(store.journal().durable().await);
    assert_eq!(scripted.calls(), ["prune", "commit"]);
    assert_eq!(scripted.holds().await, *world.state());
    assert_eq!(world.state().errors().map(|error| error.total()).sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_before_it_was_written_is_not_written() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    store.journal().changed(world.push("k", 5));
    let (mut waiting, pruned) = (world.push("k", 6), world.prune_after(DAY * 31));
    waiting.forget(&pruned);
    assert!(waiting.changed().is_empty(), "not even its name waits");
    store.journal().pruned(pruned);
    assert_eq!(store.journal().pending_errors(), 0);
    assert!(store.journal().durable().await);
    assert_eq!(errors(&scripted.holds().await).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_others_write_is_told_every_few_seconds() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let mut store = opened(scripted.clone()).await;
    world.push("theirs", 3);
    scripted.others_write(world.state().clone());
    let begun = Instant::now();
    let News::Learned(state) = store.news().await.unwrap() else { panic!("nothing learned") };
    assert_eq!(state, *world.state());
    assert!(begun.elapsed() <= POLL);
    scripted.calls();
    sleep(POLL * 10).await;
    let calls = scripted.calls();
    assert!((9..=10).contains(&calls.len()), "{calls:?}");
    assert!(calls.iter().all(|call| *call == "changes_since"), "nothing else: {calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_written_to_all_the_time_is_asked_all_the_same() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    for count in 1..40 {
        store.journal().changed(world.push("busy", count));
        sleep(Duration::from_millis(500)).await;
    }
    let polls = scripted.calls().iter().filter(|call| **call == "changes_since").count();
    assert!((3..=4).contains(&polls), "{polls} in 20 s");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_not_waited_for_and_written_when_it_is_back() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let mut earlier = scripted.inner.clone();
    earlier.identify(ReplicaId::from_u64(3)).await.unwrap();
    scripted.fail(unavailable);
    let mut store = open(scripted.clone());
    let begun = Instant::now();
    assert!(matches!(store.news().await.unwrap(), News::Late));
    assert_eq!(begun.elapsed(), START_WITHIN);
    let status = store.journal().status();
    assert!(!status.is_loaded && !status.is_up);
    assert!(status.trouble().unwrap().starts_with("scripted: unavailable: as told (since "));

    store.journal().changed(world.push("k", 1));
    sleep(Duration::from_secs(600)).await;
    let calls = scripted.calls();
    assert!(calls.iter().all(|call| *call == "identify"), "{calls:?}");
    assert!((20..40).contains(&calls.len()), "at most every 30 s in the end: {}", calls.len());
    assert_eq!(store.journal().pending_errors(), 1);

    scripted.work();
    let News::Loaded { id, .. } = store.news().await.unwrap() else { panic!("not loaded") };
    assert_eq!(id, ReplicaId::from_u64(3));
    assert!(store.journal().durable().await);
    assert_eq!(scripted.holds().await, *world.state());
    assert_eq!(store.journal().status().trouble(), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_may_take_longer_to_tell_what_it_holds() {
    let scripted = Scripted::default();
    scripted.load_for(START_WITHIN * 3);
    opened(scripted.clone()).await;

    scripted.load_for(LOAD_WITHIN * 2);
    let mut store = open(scripted.clone());
    let begun = Instant::now();
    assert!(matches!(store.news().await.unwrap(), News::Late));
    assert_eq!(begun.elapsed(), LOAD_WITHIN);
    assert!(store.journal().status().trouble().unwrap().contains("being loaded"));
    assert!(matches!(store.news().await.unwrap(), News::Loaded { .. }));
    assert_eq!(begun.elapsed(), LOAD_WITHIN * 2, "the attempt goes on");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_pass_is_the_end() {
    let locked = || StorageError::Locked { store: "scripted".into() };
    let damaged = || StorageError::Damaged { store: "scripted".into(), reason: "torn".into() };
    let superseded = || StorageError::Superseded { store: "scripted".into() };
    let failures: [fn() -> StorageError; 4] = [locked, newer, damaged, superseded];
    for failure in failures {
        let scripted = Scripted::default();
        scripted.fail(failure);
        let ended = open(scripted.clone()).news().await.map(drop).unwrap_err();
        assert_eq!(ended.to_string(), failure().to_string(), "at the start");
        assert_eq!(scripted.calls(), ["identify"], "not tried again");
    }
    for failure in &failures[1..] {
        let (scripted, mut world) = (Scripted::default(), World::new());
        let mut store = opened(scripted.clone()).await;
        scripted.fail(*failure);
        store.journal().changed(world.push("k", 1));
        let ended = store.news().await.map(drop).unwrap_err();
        assert_eq!(ended.to_string(), failure().to_string(), "later");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_a_store_is_not_locked_out_of_it() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    scripted.fail(|| StorageError::Locked { store: "scripted".into() });
    store.journal().changed(world.push("k", 1));
    sleep(Duration::from_secs(60)).await;
    scripted.work();
    assert!(store.journal().durable().await);
    assert_eq!(scripted.holds().await, *world.state());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_waits_cuts_the_pause_short_and_nobody_who_has_given_up_does() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    scripted.fail(unavailable);
    store.journal().changed(world.push("k", 1));
    sleep(Duration::from_secs(300)).await;
    let given_up = timeout(Duration::from_secs(2), store.journal().durable()).await;
    assert!(given_up.is_err());
    scripted.calls();
    sleep(RETRY.1 * 2).await;
    assert!(scripted.calls().len() <= 3);
    scripted.work();
    let begun = Instant::now();
    assert!(store.journal().durable().await);
    assert!(begun.elapsed() <= RETRY.0, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_is_known_since_when_the_store_is_away_and_what_that_cost() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    store.journal().changed(world.push("a", 1));
    assert!(store.journal().durable().await);
    let before = store.journal().status();
    assert!(before.is_up && before.is_loaded && before.last_error.is_none());
    assert_eq!(before.trouble(), None);

    scripted.fail(unavailable);
    store.journal().changed(world.push("a", 2));
    store.journal().changed(world.push("b", 2));
    sleep(Duration::from_secs(10)).await;
    let away = store.journal().status();
    assert!(!away.is_up && away.is_loaded && away.since > before.since);
    assert_eq!(away.pending, 2);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.journal().status().since, away.since, "it is away since then");

    scripted.work();
    assert!(store.journal().durable().await);
    let after = store.journal().status();
    assert!(after.is_up && after.trouble().is_none() && after.pending == 0);
    assert_eq!(after.last_error.as_deref(), Some("scripted: unavailable: as told"));
    let figures = store.journal().figures();
    assert_eq!(figures.commits.count(), 2);
    assert!(figures.failures > 3);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_everything_is_written_and_the_store_is_closed() {
    let (scripted, mut world) = (Scripted::default(), World::new());
    let store = opened(scripted.clone()).await;
    scripted.calls();
    store.journal().changed(world.push("k", 1));
    store.finish(Duration::from_secs(5)).await.unwrap();
    assert_eq!(scripted.calls(), ["commit", "close"]);
    assert_eq!(scripted.holds().await, *world.state());
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_store_that_is_away() {
    let within = Duration::from_secs(5);
    let (scripted, mut world) = (Scripted::default(), World::new());
    scripted.fail(unavailable);
    let begun = Instant::now();
    open(scripted.clone()).finish(within).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing is to be written");

    let store = open(scripted.clone());
    store.journal().changed(world.push("k", 1));
    store.finish(within).await.unwrap();
    assert_eq!(begun.elapsed(), within, "it might come back in time");

    let store = open(scripted.clone());
    store.journal().changed(world.push("l", 1));
    let finishing = tokio::spawn(store.finish(within));
    sleep(within / 2).await;
    scripted.work();
    finishing.await.unwrap().unwrap();
    assert!(begun.elapsed() < within * 2);
    assert_eq!(scripted.holds().await.errors().count(), 1);
    assert_eq!(scripted.calls().last(), Some(&"close"));
}
