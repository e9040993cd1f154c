//! The driver and its store, in virtual time and without targets.

use std::time::Duration;

use periskop_core::aggregate::Act;
use periskop_core::storage::Storage;
use periskop_core::wire::exporter;
use periskop_core::{AggregateId, Observer, ReplicaId, Settings, State, Timestamp};
use periskop_storage::persist::{Scripted, newer, unavailable};
use tokio::time::{Instant, sleep};

use crate::handle::{ActError, Handle};
use crate::server::{Periskop, ServeError};

fn report(key: &str, now: Timestamp) -> periskop_core::Report {
    let body =
        format!(r#"{{"aggregated_errors": [{{"aggregation_key": "{key}", "total_count": 1}}]}}"#);
    exporter::parse(body.as_bytes(), now, &exporter::Options::default()).unwrap()
}

/// What somebody else knows.
fn known(key: &str) -> State {
    let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    observer.pushed(now, &"s".into(), report(key, now));
    observer.into_state()
}

async fn store_holding(key: &str) -> Scripted {
    let mut scripted = Scripted::default();
    for delta in known(key).into_deltas(1) {
        scripted.inner.commit(&delta).await.unwrap();
    }
    scripted.identify(ReplicaId::from_u64(3)).await.unwrap();
    scripted.calls();
    scripted
}

fn start(store: &Scripted) -> Periskop {
    Periskop::builder().storage(store.clone()).build()
}

/// As a scrape would.
fn hear(handle: &Handle, key: &str) {
    let now = handle.now();
    handle.write(|engine| engine.handle_push(now, &"s".into(), report(key, now)));
}

fn keys(handle: &Handle) -> Vec<String> {
    handle.read(|engine| engine.state().errors().map(|e| e.key().as_str().to_owned()).collect())
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(120), "it was never so that {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn resolve(handle: &Handle, key: &str) -> Result<(), ActError> {
    let id = AggregateId { service: "s".into(), key: key.into() };
    handle.act(&id, Act::Resolve, "", "").await
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_there_says_who_this_is_and_what_is_known() {
    let store = store_holding("old").await;
    let periskop = start(&store);
    let handle = periskop.handle();
    until("it is ready", async || handle.is_ready()).await;
    assert_eq!(keys(handle), ["old"]);
    assert_eq!(handle.read(|engine| engine.observer().id()), ReplicaId::from_u64(3));
    resolve(handle, "old").await.unwrap();
    assert_eq!(store.calls(), ["identify", "load", "commit"]);
    periskop.stop().await;
    assert_eq!(store.calls(), ["close"]);
}

#[tokio::test(start_paused = true)]
async fn without_its_store_it_goes_on_under_a_name_of_its_own_until_the_store_is_back() {
    let store = store_holding("old").await;
    store.fail(unavailable);
    let periskop = start(&store);
    let handle = periskop.handle();
    sleep(Duration::from_secs(5)).await;
    assert!(!handle.is_ready());
    let name = handle.read(|engine| engine.observer().id());
    assert_ne!(name, ReplicaId::from_u64(3));
    hear(handle, "new");
    assert_eq!(resolve(handle, "new").await, Err(ActError::NotReady));
    until("what changed waits", async || handle.store().unwrap().pending == 1).await;

    store.work();
    until("it is ready", async || handle.is_ready()).await;
    assert_eq!(keys(handle), ["new", "old"]);
    assert_eq!(handle.read(|engine| engine.observer().id()), name);
    resolve(handle, "new").await.unwrap();
    let held = store.holds().await;
    assert_eq!(held.errors().count(), 2);
    assert_eq!(held, handle.read(|engine| engine.state().clone()));
}

#[tokio::test(start_paused = true)]
async fn what_others_write_is_known_here_and_not_written_back() {
    let store = store_holding("old").await;
    let periskop = start(&store);
    let handle = periskop.handle();
    until("it is ready", async || handle.is_ready()).await;
    store.others_write(known("theirs"));
    until("theirs is known", async || keys(handle).len() == 2).await;
    sleep(Duration::from_secs(20)).await;
    let calls = store.calls();
    assert!(calls.contains(&"changes_since") && !calls.contains(&"commit"), "{calls:?}");
    assert_eq!(handle.store().unwrap().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_used_ends_it_and_says_why() {
    let store = store_holding("old").await;
    store.fail(newer);
    let mut periskop = start(&store);
    let ended = periskop.ended().await.unwrap_err();
    assert!(matches!(ended, ServeError::Storage(_)));
    assert_eq!(ended.to_string(), "scripted: has version 3, this program reads up to 1");
    assert!(!periskop.handle().is_ready());

    store.work();
    let mut periskop = start(&store);
    until("it is ready", async || periskop.handle().is_ready()).await;
    store.fail(newer);
    periskop.ended().await.unwrap_err();
    assert!(!periskop.handle().is_ready(), "what embeds it can see that");
    assert!(periskop.handle().store().unwrap().trouble().unwrap().contains("has version 3"));
    periskop.ended().await.expect("it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_ends_it_too() {
    let store = Scripted::default();
    let mut periskop = start(&store);
    until("it is ready", async || periskop.handle().is_ready()).await;
    store.fail(|| panic!("a mistake in the store"));
    let ended = periskop.ended().await.unwrap_err();
    assert!(matches!(ended, ServeError::Panicked(_)), "{ended}");
    assert!(!periskop.handle().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_keeps_people_waiting_for_two_seconds() {
    let store = store_holding("old").await;
    let periskop = start(&store);
    let handle = periskop.handle();
    until("it is ready", async || handle.is_ready()).await;
    store.fail(unavailable);
    let begun = Instant::now();
    assert_eq!(resolve(handle, "old").await, Err(ActError::NotStored));
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(handle.is_ready());
    store.work();
    sleep(Duration::from_secs(60)).await;
    let held = store.holds().await;
    assert_eq!(held, handle.read(|engine| engine.state().clone()), "it is done all the same");
}

#[tokio::test(start_paused = true)]
async fn it_stops_at_once_before_anything_was_loaded() {
    let store = Scripted::default();
    store.load_for(Duration::from_secs(20));
    let periskop = start(&store);
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    periskop.stop().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(store.calls(), ["identify", "load", "close"]);
}
