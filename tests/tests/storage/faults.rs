//! A SQL store whose database goes away at any statement, one after the other: what is stored is
//! the whole of a write or nothing of it.

use periskop_core::aggregate::{Act, ActionId};
use periskop_core::testing::state::{Step, take};
use periskop_core::{Observer, ReplicaId, Settings, State, Timestamp};
use periskop_storage::testing::fail_after;
use periskop_tests::pushing::Pusher;
use periskop_tests::store::Store;

/// Everything that follows happens in one thread: faults are counted in it.
fn run(law: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(law);
}

async fn load(store: &Store) -> State {
    let mut store = store.open();
    let loaded = store.load().await.expect("it can be read").state;
    store.close().await.expect("it can be closed");
    loaded
}

/// A commit of several errors, occurrences and an act, and a prune of what it has made.
async fn whole_or_nothing(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let mut pusher = Pusher::new(ReplicaId::from_u64(1), State::default());
    let mut expected = State::new(10);
    let mut failures = 0;
    for commits in 1.. {
        let (_, delta) = pusher.again();
        let mut before = expected.clone();
        expected.join(delta.state().clone());
        let mut fails = 0;
        loop {
            let mut opened = store.open();
            opened.identify(ReplicaId::from_u64(1)).await.expect("it works");
            fail_after(Some(fails));
            let done = opened.commit(&delta).await;
            let left = fail_after(None);
            let loaded = load(&store).await;
            match done {
                Ok(()) => {
                    assert!(loaded == expected, "{kind}: not all of commit {commits}");
                    assert!(left.is_some_and(|left| left > 0) || fails > 0);
                    opened.close().await.expect("it can be closed");
                    break;
                }
                Err(error) => {
                    assert!(error.is_transient(), "{error}");
                    let whole = loaded == expected;
                    assert!(whole || loaded == before, "{kind}: a part of commit {commits}");
                    if whole {
                        before = expected.clone();
                    }
                    failures += 1;
                }
            }
            // The same handle goes on when the database is back.
            opened.changes_since(&Default::default()).await.expect("it works again");
            opened.close().await.expect("it can be closed");
            fails += 1;
        }
        // Far enough for acts, and for occurrences that go because there are too many.
        if commits >= 14 {
            break;
        }
    }
    assert!(failures > 60, "{kind}: {failures}");

    let mut observer = Observer::restore(
        ReplicaId::from_u64(1),
        Settings::default(),
        Timestamp::EPOCH,
        expected.clone(),
    );
    let id = expected.errors().next().expect("there are some").id();
    let act = Step::Act(0, ActionId(1), Act::Forget);
    take(&mut observer, Timestamp::EPOCH, &act);
    let later = Timestamp::from_micros(i64::MAX / 4);
    let pruned = observer.prune(later);
    assert!(pruned.errors.contains(&id));
    let before = expected.clone();
    expected.remove(&pruned);
    for fails in 0.. {
        let mut opened = store.open();
        fail_after(Some(fails));
        let done = opened.prune(&pruned).await;
        fail_after(None);
        let loaded = load(&store).await;
        match done {
            Ok(()) => {
                assert!(loaded == expected, "{kind}: not all was pruned");
                break;
            }
            Err(_) => assert!(loaded == before || loaded == expected, "{kind}: a part was pruned"),
        }
    }
}

#[test]
fn sqlite() {
    run(whole_or_nothing("sqlite"));
}

#[test]
fn postgres() {
    run(whole_or_nothing("postgres"));
}

#[test]
fn mysql() {
    run(whole_or_nothing("mysql"));
}
