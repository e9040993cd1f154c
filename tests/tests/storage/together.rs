//! Several processes that write to one database at the same time: the result is the join, each is
//! told everything, and nobody fails.

use std::time::Duration;

use periskop_core::storage::{Cursor, Storage};
use periskop_core::testing::state::{step, take};
use periskop_core::{Delta, Observer, ReplicaId, Settings, State, Timestamp};
use periskop_tests::store::{Store, open};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

const BEGIN: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
const WRITERS: u64 = 4;
const COMMITS: u64 = 30;

/// What one process sees: a random history of the same errors as all others.
fn history(writer: u64) -> Vec<Delta> {
    let mut runner = TestRunner::new_with_rng(
        Default::default(),
        proptest::test_runner::TestRng::from_seed(
            proptest::test_runner::RngAlgorithm::ChaCha,
            &[u8::try_from(writer).expect("there are few"); 32],
        ),
    );
    let settings = Settings { occurrences_per_error: 4, ..Settings::default() };
    let mut observer = Observer::new(ReplicaId::from_u64(writer), settings, BEGIN);
    let mut history = Vec::new();
    for n in 0.. {
        let now = BEGIN.plus(Duration::from_secs(600 * n) + Duration::from_micros(writer));
        let step = step().new_tree(&mut runner).expect("there are no filters").current();
        let delta = take(&mut observer, now, &step);
        if !delta.is_empty() {
            history.push(delta);
        }
        if history.len() as u64 == COMMITS {
            return history;
        }
    }
    history
}

async fn write(spec: String, history: Vec<Delta>) -> State {
    let mut store = open(&spec);
    let fresh = ReplicaId::from_u64(rand::random());
    store.identify(fresh).await.expect("there is a name for everybody");
    let mut known = State::new(4);
    let mut cursor = Cursor::default();
    for delta in history {
        store.commit(&delta).await.expect("who is in the way is waited for");
        known.join(delta.into_state());
        if rand::random_range(0..3) == 0 {
            cursor = learn(&mut *store, cursor, &mut known).await;
        }
    }
    // The others may still be at it; they are done when all of them have been counted.
    known
}

async fn learn(store: &mut dyn Storage, cursor: Cursor, known: &mut State) -> Cursor {
    match store.changes_since(&cursor).await.expect("it can be read") {
        None => cursor,
        Some(stored) => {
            known.join(stored.state);
            stored.cursor
        }
    }
}

/// Somebody who only looks, from the first commit to the last.
async fn watch(spec: String, mut done: tokio::sync::oneshot::Receiver<()>) -> State {
    let mut store = open(&spec);
    let mut known = State::new(4);
    let mut cursor = Cursor::default();
    let mut pause = tokio::time::interval(Duration::from_millis(3));
    loop {
        let ended = done.try_recv().is_ok();
        cursor = learn(&mut *store, cursor, &mut known).await;
        if ended {
            return known;
        }
        pause.tick().await;
    }
}

async fn all_at_once(spec: &str) {
    let histories: Vec<_> = (0..WRITERS).map(history).collect();
    let mut expected = State::new(4);
    for delta in histories.iter().flatten() {
        expected.join(delta.state().clone());
    }
    // The tables are there before everybody comes.
    open(spec).load().await.expect("it can be read");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let watching = tokio::spawn(watch(spec.to_owned(), stopped));
    let writing: Vec<_> =
        histories.into_iter().map(|h| tokio::spawn(write(spec.to_owned(), h))).collect();
    for writer in writing {
        writer.await.expect("it has written everything");
    }
    stop.send(()).expect("somebody watches");
    let told = watching.await.expect("it has seen everything");
    let stored = open(spec).load().await.expect("it can be read").state;
    let mut loaded = State::new(4);
    loaded.join(stored);
    assert!(loaded == expected, "what is stored is not the join");
    assert!(told == expected, "something was skipped");
}

async fn on(kind: &str, isolation: Option<&str>) {
    let Some(store) = Store::fresh(kind).await else { return };
    let spec = match isolation {
        None => store.spec.clone(),
        Some(level) => format!("{}?default_transaction_isolation={level}", store.spec),
    };
    all_at_once(&spec).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    on("sqlite", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    on("mysql", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    on("postgres", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_with_repeatable_reads() {
    on("postgres", Some("repeatable%20read")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_with_serializable_transactions() {
    on("postgres", Some("serializable")).await;
}

/// The first who comes makes the tables, whoever it is.
async fn all_begin_at_once(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let begin = |n: u64| {
        let spec = store.spec.clone();
        tokio::spawn(async move {
            open(&spec)
                .identify(ReplicaId::from_u64(n))
                .await
                .expect("one of them makes the tables")
        })
    };
    let begun: Vec<_> = (1..6).map(begin).collect();
    let mut names = Vec::new();
    for begun in begun {
        names.push(begun.await.expect("it has a name"));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5, "each has another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_all_begin_at_once() {
    all_begin_at_once("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres_all_begin_at_once() {
    all_begin_at_once("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mysql_all_begin_at_once() {
    all_begin_at_once("mysql").await;
}
