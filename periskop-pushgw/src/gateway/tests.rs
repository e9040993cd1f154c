use axum::http::StatusCode;
use periskop_core::Report;
use periskop_core::wire::exporter::Options;
use periskop_storage::MemoryStorage;
use periskop_storage::persist::{Scripted, newer, unavailable};

use super::*;

fn gateway() -> Gateway {
    Gateway::new(Settings::default(), ReplicaId::from_u64(1))
}

/// The time of these tests: that of the clock when the first of them began, since the gateway's
/// own house is kept by the clock.
fn now() -> Timestamp {
    static NOW: std::sync::LazyLock<Timestamp> = std::sync::LazyLock::new(clock::now);
    *NOW
}

/// One error that began an hour ago.
fn payload(source: &str, count: u64) -> String {
    let created_at = now().minus(Duration::from_secs(3600));
    format!(
        r#"{{"target_uuid": "{source}", "aggregated_errors": [{{"aggregation_key": "k",
        "total_count": {count}, "created_at": "{created_at}", "latest_errors": []}}]}}"#
    )
}

fn exported(gateway: &Gateway) -> Report {
    let body = gateway.export(now());
    parse(&body, now(), &Options::default()).unwrap()
}

#[test]
fn the_same_payload_pushed_a_hundred_times_counts_once() {
    let gateway = gateway();
    for n in 0..100 {
        let pushed = gateway.push(now(), payload("u", 410).as_bytes(), None).unwrap();
        assert_eq!(pushed.is_news, n == 0);
    }
    let report = exported(&gateway);
    assert_eq!(report.errors[0].total_count, 410);
    assert_eq!(report.target_uuid, None);
    assert_eq!(report.errors[0].incarnations.as_ref().unwrap()[0].count, 410);
}

#[test]
fn what_is_not_pushed_any_more_is_forgotten_and_still_counted_for_readers_of_sums() {
    let gateway = gateway();
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    assert_eq!(gateway.clean(now().plus(Duration::from_secs(31 * 24 * 3600))), 1);
    assert_eq!(exported(&gateway).errors, []);
    gateway.push(now(), payload("v", 2).as_bytes(), None).unwrap();
    let error = exported(&gateway).errors.remove(0);
    assert_eq!(error.total_count, 5);
    assert_eq!(error.incarnations.unwrap()[0].count, 2);
}

#[test]
fn nonsense_is_refused_with_its_place_and_harms_nothing() {
    let gateway = gateway();
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    let error = gateway.push(now(), b"{\n \"a\": x}", None).unwrap_err();
    assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    let text = error.to_string();
    assert!(text.contains("byte 8") && text.contains("line 2, column 7"), "{text}");
    assert_eq!(exported(&gateway).errors[0].total_count, 3);
}

async fn open(storage: impl Storage + 'static) -> Gateway {
    let id = ReplicaId::from_u64(2);
    let opened = Gateway::open(Settings::default(), id, "scripted", Box::new(storage)).await;
    opened.expect("it can be used")
}

/// Waits in virtual time, an hour at most.
async fn eventually(is_so: impl Fn() -> bool) {
    let asked = async {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        while !is_so() {
            seconds.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), asked).await.expect("it is so in time");
}

fn minutes_later(minutes: u64) -> Timestamp {
    now().plus(Duration::from_secs(60 * minutes))
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_there_after_a_restart_and_sums_go_on_where_they_were() {
    let store = MemoryStorage::new();
    let gateway = open(store.clone()).await;
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    gateway.stored().await.unwrap();
    // Killed: nothing is finished.
    drop(gateway);
    let gateway = open(store.clone()).await;
    let before = exported(&gateway).errors.remove(0);
    assert_eq!((before.total_count, before.incarnations.unwrap()[0].count), (3, 3));
    gateway.push(minutes_later(1), payload("u", 5).as_bytes(), None).unwrap();
    gateway.clean(now().plus(Duration::from_secs(31 * 24 * 3600)));
    gateway.push(minutes_later(32 * 24 * 60), payload("v", 1).as_bytes(), None).unwrap();
    gateway.finish().await.unwrap();
    let gateway = open(store).await;
    let error = exported(&gateway).errors.remove(0);
    let told: Vec<_> = error.incarnations.unwrap().iter().map(|i| i.source.clone()).collect();
    assert_eq!(told, ["v"], "u is forgotten");
    assert_eq!(error.total_count, 5, "and stays in the sum; v began before u was forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_push_says_if_it_is_not_stored_and_is_stored_later() {
    let store = Scripted::default();
    let gateway = open(store.clone()).await;
    let house = tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.keep_house().await }
    });
    store.fail(unavailable);
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    let error = gateway.stored().await.unwrap_err();
    assert_eq!((error.status(), error.reason()), (StatusCode::SERVICE_UNAVAILABLE, "not_stored"));
    assert!(error.to_string().contains("scripted: unavailable: as told"), "{error}");
    // Known to be away: nobody waits for it.
    let begun = tokio::time::Instant::now();
    gateway.push(now(), payload("u", 4).as_bytes(), None).unwrap();
    gateway.stored().await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(exported(&gateway).errors[0].total_count, 4, "it is known all the same");
    store.work();
    eventually(|| gateway.store().unwrap().trouble().is_none()).await;
    gateway.stored().await.unwrap();
    let totals: Vec<_> = store.holds().await.errors().map(|view| view.total()).collect();
    assert!(totals.contains(&4), "{totals:?}");
    house.abort();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_the_start_is_joined_when_it_is_there() {
    let store = Scripted::default();
    let gateway = open(store.clone()).await;
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    gateway.stored().await.unwrap();
    drop(gateway);
    store.fail(unavailable);
    let gateway = open(store.clone()).await;
    assert!(!gateway.store().unwrap().is_loaded);
    gateway.push(now(), payload("v", 4).as_bytes(), None).unwrap();
    assert_eq!(exported(&gateway).errors[0].total_count, 4);
    store.work();
    let following = gateway.clone();
    let house = tokio::spawn(async move { following.keep_house().await });
    eventually(|| exported(&gateway).errors[0].incarnations.as_ref().unwrap().len() == 2).await;
    house.abort();
    gateway.finish().await.unwrap();
    let error = exported(&open(store).await).errors.remove(0);
    let counts: Vec<_> = error.incarnations.unwrap().iter().map(|i| i.count).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (2, 7));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_used_ends_it() {
    let store = Scripted::default();
    store.fail(newer);
    let id = ReplicaId::from_u64(2);
    let opened = Gateway::open(Settings::default(), id, "scripted", Box::new(store.clone())).await;
    assert!(matches!(opened.err(), Some(StorageError::Newer { .. })));
    store.work();
    let gateway = open(store.clone()).await;
    store.fail(newer);
    gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
    assert!(matches!(gateway.keep_house().await, StorageError::Newer { .. }));
}

#[test]
fn beyond_the_limit_of_pushers_new_ones_are_refused_and_known_ones_are_not() {
    let settings = Settings { pushers_limit: 2, ..Settings::default() };
    let gateway = Gateway::new(settings, ReplicaId::from_u64(1));
    gateway.push(now(), payload("a", 1).as_bytes(), None).unwrap();
    gateway.push(now(), payload("b", 1).as_bytes(), None).unwrap();
    let error = gateway.push(now(), payload("c", 1).as_bytes(), None).unwrap_err();
    assert_eq!(
        (error.status(), error.reason()),
        (StatusCode::TOO_MANY_REQUESTS, "too_many_pushers")
    );
    gateway.push(now(), payload("b", 2).as_bytes(), None).unwrap();
    assert_eq!(exported(&gateway).errors[0].total_count, 3);
    // Of whom there is nothing to count nothing is remembered.
    let nothing = br#"{"target_uuid": "d", "aggregated_errors": []}"#;
    gateway.push(now(), nothing, None).unwrap();
    // Who is forgotten makes room.
    let later = now().plus(Duration::from_secs(31 * 24 * 3600));
    assert_eq!(gateway.clean(later), 2);
    gateway.push(later, payload("c", 1).as_bytes(), None).unwrap();
}

#[test]
fn beyond_the_limit_of_errors_new_ones_are_left_out_and_known_ones_go_on() {
    let settings = Settings { errors_limit: 2, ..Settings::default() };
    let gateway = Gateway::new(settings, ReplicaId::from_u64(1));
    let push = |keys: &[&str], count: u64| {
        let errors: Vec<_> = keys
            .iter()
            .map(|key| format!(r#"{{"aggregation_key": "{key}", "total_count": {count}}}"#))
            .collect();
        let body = format!(r#"{{"aggregated_errors": [{}]}}"#, errors.join(","));
        gateway.push(now(), body.as_bytes(), None).unwrap()
    };
    assert_eq!(push(&["a", "b"], 1).left_out, 0);
    let pushed = push(&["c", "a", "d", "b"], 2);
    assert_eq!((pushed.errors, pushed.left_out), (2, 2));
    let totals: Vec<_> =
        exported(&gateway).errors.iter().map(|e| (e.key.to_string(), e.total_count)).collect();
    assert_eq!(totals, [("a".to_owned(), 2), ("b".to_owned(), 2)]);
}

#[test]
fn an_error_that_has_counted_nothing_takes_a_place_as_well() {
    let settings = Settings { errors_limit: 2, ..Settings::default() };
    let gateway = Gateway::new(settings, ReplicaId::from_u64(1));
    let left_out: usize = (0..10)
        .map(|n| {
            let body = format!(
                r#"{{"aggregated_errors": [{{"aggregation_key": "k{n}", "total_count": 0}}]}}"#
            );
            gateway.push(now(), body.as_bytes(), None).unwrap().left_out
        })
        .sum();
    assert_eq!(left_out, 8);
}
