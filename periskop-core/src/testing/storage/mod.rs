//! The laws of [`Storage`].

mod fleet;
mod shared;

use std::time::Duration;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::aggregate::{Act, Age, MuteFor};
use crate::ids::{AggregateId, ReplicaId};
use crate::observer::{Observer, Pruned, Settings};
use crate::occurrence::Exception;
use crate::report::Report;
use crate::state::{Delta, State};
use crate::storage::Storage;
use crate::testing::START;
use crate::testing::state::{step, take};
use crate::time::Timestamp;

use fleet::{Fleet, commit, error, full, holds, id, load, named, service};
pub use shared::*;

/// Makes one `#[test]` of each law of [`Storage`](crate::storage::Storage).
///
/// `run` runs a future to its end. `open` makes, for each test, an async closure that opens a new
/// store when it is called first, and the same one when it is called again; what it gave before
/// has been dropped by then.
///
/// ```text
/// periskop_core::storage_conformance! {
///     run: |law| tokio::runtime::Runtime::new().unwrap().block_on(law),
///     open: {
///         let folder = tempfile::tempdir().unwrap();
///         async move || Box::new(MyStore::open(folder.path()).await.unwrap()) as Box<dyn Storage>
///     },
/// }
/// ```
#[macro_export]
macro_rules! storage_conformance {
    (run: $run:expr, open: $open:expr $(,)?) => {
        $crate::storage_conformance! { @laws $run, $open;
            a_new_store_holds_nothing
            what_was_committed_is_loaded
            what_was_committed_outlives_the_process
            committing_twice_is_committing_once
            commits_join_in_any_order
            commits_may_be_appended_to_each_other
            loading_changes_nothing
            an_empty_delta_is_taken
            an_observer_keeps_its_name
            keys_that_differ_in_any_byte_stay_apart
            texts_come_back_character_by_character
            times_come_back_to_the_microsecond
            the_greatest_counts_come_back
            as_many_occurrences_as_are_kept_come_back
            what_people_did_comes_back
            a_service_without_errors_comes_back
            what_was_pruned_is_gone_and_nothing_else
            what_comes_back_after_it_was_pruned_stays
            what_was_forgotten_stays_forgotten_after_its_error_is_pruned
            what_is_heard_of_after_it_was_pruned_is_not_pruned
            no_more_occurrences_than_are_kept_are_stored
            how_targets_were_found_comes_back
            random_histories_are_what_they_join_to
            scraping_again_after_a_restart_adds_nothing
        }
    };
    (@laws $run:expr, $open:expr; $($law:ident)*) => {
        $(#[test]
        fn $law() {
            ($run)($crate::testing::storage::$law($open));
        })*
    };
}

/// No state, and no error because there is none.
pub async fn a_new_store_holds_nothing(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    holds(&mut *open().await, &State::default()).await;
}

/// Errors, counts, occurrences, sources with labels, series, ages.
pub async fn what_was_committed_is_loaded(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        commit(&mut *store, &delta).await;
        holds(&mut *store, &fleet.committed(&delta)).await;
    }
}

/// Durable when the call returns.
pub async fn what_was_committed_outlives_the_process(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        commit(&mut *open().await, &delta).await;
        holds(&mut *open().await, &fleet.committed(&delta)).await;
    }
}

/// A retry is harmless.
pub async fn committing_twice_is_committing_once(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        for _ in 0..2 {
            commit(&mut *store, &delta).await;
        }
        holds(&mut *store, &fleet.committed(&delta)).await;
    }
}

/// A late commit lowers nothing.
pub async fn commits_join_in_any_order(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let history = fleet.history();
    let mut all = State::default();
    for delta in history.iter().rev() {
        commit(&mut *store, delta).await;
        all = fleet.committed(delta);
    }
    commit(&mut *store, &history[0]).await;
    holds(&mut *store, &all).await;
}

/// What could not be committed when it happened is committed with what happened next.
pub async fn commits_may_be_appended_to_each_other(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let mut all = Delta::default();
    let mut state = State::default();
    for delta in fleet.history() {
        state = fleet.committed(&delta);
        all.append(delta);
    }
    commit(&mut *store, &all).await;
    holds(&mut *store, &state).await;
}

/// However often.
pub async fn loading_changes_nothing(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    for delta in Fleet::new().history() {
        commit(&mut *store, &delta).await;
    }
    let first = load(&mut *store).await;
    holds(&mut *store, &first).await;
    drop(store);
    holds(&mut *open().await, &first).await;
}

/// It says nothing, and what is there stays.
pub async fn an_empty_delta_is_taken(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    commit(&mut *store, &Delta::default()).await;
    holds(&mut *store, &State::default()).await;
    let mut fleet = Fleet::new();
    let delta = fleet.scraped(0, fleet.report(1));
    commit(&mut *store, &delta).await;
    commit(&mut *store, &Delta::default()).await;
    holds(&mut *store, &fleet.committed(&delta)).await;
}

/// The first name it was given, for as long as the store lives.
pub async fn an_observer_keeps_its_name(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    for fresh in [u64::MAX, 1, 2] {
        let mut store = open().await;
        let name = store.identify(ReplicaId::from_u64(fresh)).await.expect("the store works");
        assert_eq!(name, ReplicaId::from_u64(u64::MAX));
        store.close().await.expect("the store works");
    }
}

/// Neither case nor blanks nor control characters nor any normal form makes two keys one.
pub async fn keys_that_differ_in_any_byte_stay_apart(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let long = "k".repeat(64 * 1024);
    let keys = [
        "",
        " ",
        "key",
        "Key",
        "KEY",
        "key ",
        " key",
        "key\t",
        "key\n",
        "key\0",
        "\0key",
        "k\0ey",
        "é",
        "e\u{301}",
        "e",
        "ß",
        "ss",
        "ﬁ",
        "fi",
        "ı",
        "i",
        "%",
        "_",
        "\\",
        "'",
        "\"",
        ";--",
        "?",
        "\u{feff}key",
        "\u{10ffff}",
        "\u{200b}",
        "日本",
        "🦀",
        &long,
        &format!("{long}2"),
    ];
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let mut state = State::default();
    for (n, key) in keys.iter().enumerate() {
        let count = n as u64 + 1;
        let delta = fleet.scraped(0, Report { errors: vec![error(key, count, vec![])], ..named() });
        commit(&mut *store, &delta).await;
        state = fleet.committed(&delta);
    }
    holds(&mut *store, &state).await;
    let loaded = load(&mut *store).await;
    assert_eq!(loaded.errors().count(), keys.len());
    for (n, key) in keys.iter().enumerate() {
        let id = AggregateId { service: service(), key: (*key).into() };
        assert_eq!(loaded.error(&id).map(|error| error.total()), Some(n as u64 + 1), "{key:?}");
    }
}

/// Every character there is, NUL included, and the difference between an empty text and none.
pub async fn texts_come_back_character_by_character(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let all: String = ('\0'..='\u{2fff}').chain('\u{e000}'..='\u{10ff}').chain(['🦀']).collect();
    let long = "x\0é\n".repeat(20_000);
    let texts = ["", "\0", "␀", "␀0\0", "'", "\\u0000", "null", &all, &long];
    let occurrences: Vec<_> = texts.iter().enumerate().map(|(n, text)| full(n, text)).collect();
    let mut none = full(texts.len(), "");
    none.exceptions = vec![Exception::default()];
    none.http = None;
    let occurrences: Vec<_> = occurrences.into_iter().chain([none]).collect();
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let report = Report { errors: vec![error("k", 9, occurrences.clone())], ..named() };
    commit(&mut *store, &fleet.scraped(0, report)).await;
    let loaded = load(&mut *store).await;
    let view = loaded.error(&id("k")).expect("it was committed");
    let mut kept: Vec<_> = view.occurrences().map(|o| o.to_occurrence()).collect();
    kept.reverse();
    assert_eq!(kept, occurrences);
}

/// Identities such as `created_at` would be others otherwise.
pub async fn times_come_back_to_the_microsecond(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let times = ["0001-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z"];
    let odd = times.map(|text| Timestamp::parse(text).expect("it is a time"));
    let mut all = State::default();
    for (n, created_at) in odd.into_iter().chain([START]).enumerate() {
        let mut error = error("k", 1 + n as u64, vec![full(n, "x")]);
        error.created_at = Some(created_at);
        let report = Report { errors: vec![error], ..named() };
        let delta = fleet.scraped(0, report);
        commit(&mut *store, &delta).await;
        all = fleet.committed(&delta);
    }
    holds(&mut *store, &all).await;
}

/// Counts are below 2^53 when they are reported, and sums of them fit in 64 bits.
pub async fn the_greatest_counts_come_back(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let most = (1 << 53) - 1;
    let report = Report { errors: vec![error("k", most, vec![])], ..named() };
    commit(&mut *store, &fleet.scraped(0, report)).await;
    let loaded = load(&mut *store).await;
    assert_eq!(loaded.error(&id("k")).map(|error| error.total()), Some(most));
}

/// A store keeps no number of its own.
pub async fn as_many_occurrences_as_are_kept_come_back(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let settings = Settings { occurrences_per_error: 100, ..Settings::default() };
    let mut fleet = Fleet::with(settings);
    let occurrences = (0..120).map(|n| full(n, "x")).collect();
    let report = Report { errors: vec![error("k", 120, occurrences)], ..named() };
    commit(&mut *store, &fleet.scraped(0, report)).await;
    let loaded = load(&mut *store).await;
    assert_eq!(loaded.error(&id("k")).map(|error| error.occurrences().len()), Some(100));
}

/// Every kind of act, with its watermark, its author and its reason.
pub async fn what_people_did_comes_back(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let acts = [
        Act::Resolve,
        Act::Reopen,
        Act::Mute(MuteFor::Ever),
        Act::Mute(MuteFor::Until(START)),
        Act::Mute(MuteFor::Further(u64::MAX >> 1)),
        Act::Unmute,
        Act::Forget,
    ];
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let delta = fleet.scraped(0, fleet.report(1));
    commit(&mut *store, &delta).await;
    fleet.committed(&delta);
    for (n, act) in acts.into_iter().enumerate() {
        let delta = fleet.act("a", u128::MAX - n as u128, act);
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
        let delta = fleet.scraped(0, fleet.report(2 + n as u64));
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
    }
    drop(store);
    holds(&mut *open().await, &fleet.expected).await;
}

/// A service is known from its first scrape on.
pub async fn a_service_without_errors_comes_back(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    commit(&mut *store, &fleet.scraped(0, Report::default())).await;
    assert!(load(&mut *store).await.knows(&service()));
}

/// Whole errors, or the incarnations that went of an error that stays.
pub async fn what_was_pruned_is_gone_and_nothing_else(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
    }
    let before = load(&mut *store).await;
    let pruned = fleet.prune_what_departed(&mut *store).await;
    assert!(!pruned.errors.is_empty() && pruned.incarnations.len() > pruned.errors.len());
    holds(&mut *store, &fleet.expected).await;
    assert!(load(&mut *store).await != before);
    store.prune(&pruned).await.expect("the store works");
    holds(&mut *store, &fleet.expected).await;
    drop(store);
    holds(&mut *open().await, &fleet.expected).await;
}

/// A join with what has not forgotten brings it back.
pub async fn what_comes_back_after_it_was_pruned_stays(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let history = fleet.history();
    for delta in &history {
        commit(&mut *store, delta).await;
        fleet.committed(delta);
    }
    fleet.prune_what_departed(&mut *store).await;
    commit(&mut *store, &history[0]).await;
    let expected = fleet.committed(&history[0]);
    drop(store);
    holds(&mut *open().await, &expected).await;
}

/// `forgotten` outlives the error: a late report does not bring a text back.
pub async fn what_was_forgotten_stays_forgotten_after_its_error_is_pruned(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let late = fleet.report(1);
    let seen = fleet.scraped(0, late.clone());
    let forgotten = fleet.act("a", 1, Act::Forget);
    for delta in [seen, forgotten] {
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
    }
    fleet.prune_what_departed(&mut *store).await;
    let mut restarted = Fleet::restored(load(&mut *store).await);
    restarted.scraped(0, late);
    let total = restarted.observer.state().error(&id("a")).map(|error| error.total());
    assert_eq!(total, None, "what was known of it is forgotten");
}

/// What has come back, or is exported by another observer, goes on living.
pub async fn what_is_heard_of_after_it_was_pruned_is_not_pruned(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let seen = fleet.scraped(0, fleet.report(1));
    commit(&mut *store, &seen).await;
    fleet.committed(&seen);
    let error = fleet.expected.aggregate(&service(), &id("a").key).expect("it was committed");
    let known = *error.counts.iter().next().expect("it was counted");
    let late = Pruned {
        errors: vec![id("a")],
        incarnations: [(id("a"), vec![(known.incarnation, Age::gone(START))])].into(),
        ..Pruned::default()
    };
    store.prune(&late).await.expect("the store works");
    holds(&mut *store, &fleet.expected).await;
    let last = late.incarnations[&id("a")][0].0;
    let told = Pruned { incarnations: [(id("a"), vec![(last, known.age)])].into(), ..late };
    store.prune(&told).await.expect("the store works");
    fleet.expected.remove(&told);
    assert!(fleet.expected.error(&id("a")).is_none());
    holds(&mut *store, &fleet.expected).await;
}

/// A store that is used for years does not grow with what is not shown.
pub async fn no_more_occurrences_than_are_kept_are_stored(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut store = open().await;
    let settings = Settings { occurrences_per_error: 3, ..Settings::default() };
    let mut fleet = Fleet::with(settings);
    for n in 0..9_u8 {
        let report = Report {
            errors: vec![error("k", n.into(), vec![full((9 - n).into(), "x")])],
            ..named()
        };
        let delta = fleet.scraped(0, report);
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
        holds(&mut *store, &fleet.expected).await;
    }
    let loaded = load(&mut *store).await;
    assert_eq!(loaded.error(&id("k")).map(|error| error.occurrences().len()), Some(3));
}

/// Up or down, since when and why.
pub async fn how_targets_were_found_comes_back(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut store = open().await;
    let mut fleet = Fleet::new();
    let long = "no\0 answer ".repeat(200);
    for (target, failure) in [(0, None), (1, Some("refused")), (0, Some(&*long)), (1, None)] {
        let delta = fleet.found(target, failure);
        commit(&mut *store, &delta).await;
        fleet.committed(&delta);
        holds(&mut *store, &fleet.expected).await;
    }
    let before = fleet.expected.clone();
    let pruned = fleet.observer.prune(fleet.now.plus(Duration::from_secs(31 * 24 * 3600)));
    assert_eq!(pruned.targets.len(), 0, "nobody prunes what it has not observed");
    holds(&mut *store, &before).await;
    let gone = Pruned {
        targets: before.services[&service()]
            .targets
            .iter()
            .map(|(url, last)| (service(), url.clone(), last.clone()))
            .collect(),
        ..Pruned::default()
    };
    store.prune(&gone).await.expect("the store works");
    fleet.expected.remove(&gone);
    holds(&mut *store, &fleet.expected).await;
}

/// Three observers, whatever they see, and whatever people do; deltas come late and twice.
pub async fn random_histories_are_what_they_join_to(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut runner = TestRunner::deterministic();
    let mut next = || step().new_tree(&mut runner).expect("there are no filters").current();
    let settings = Settings { occurrences_per_error: 4, ..Settings::default() };
    let mut observers: Vec<_> =
        (0..3).map(|n| Observer::new(ReplicaId::from_u64(n), settings, START)).collect();
    let mut expected = State::new(4);
    let mut late = Vec::new();
    let mut store = open().await;
    for round in 0..120_u64 {
        let now = START.plus(Duration::from_secs(600 * round));
        let observer = usize::try_from(round % 3).expect("it is small");
        let delta = take(&mut observers[observer], now, &next());
        if delta.is_empty() {
            continue;
        }
        expected.join(delta.state().clone());
        if round % 4 == 0 {
            late.push(delta);
            continue;
        }
        commit(&mut *store, &delta).await;
        if round % 5 == 0 {
            commit(&mut *store, &delta).await;
        }
        if round % 16 == 0 {
            for delta in late.drain(..).rev() {
                commit(&mut *store, &delta).await;
            }
            holds(&mut *store, &expected).await;
        }
    }
    for delta in late {
        commit(&mut *store, &delta).await;
    }
    drop(store);
    holds(&mut *open().await, &expected).await;
}

/// Incarnations and observers are what they were.
pub async fn scraping_again_after_a_restart_adds_nothing(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        commit(&mut *open().await, &delta).await;
    }
    let total = |state: &State| state.errors().map(|error| error.total()).sum::<u64>();
    let before = total(fleet.observer.state());
    let mut restarted = Fleet::restored(load(&mut *open().await).await);
    assert_eq!(total(restarted.observer.state()), before);
    for target in 0..3 {
        let delta = restarted.scraped(target, fleet.last_report(target));
        assert!(delta.changed().is_empty(), "{:?}", delta.changed());
    }
    assert_eq!(total(restarted.observer.state()), before);
}
