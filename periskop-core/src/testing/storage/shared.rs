//! The laws of stores that several processes share.

use super::fleet::{Fleet, commit, holds, same};
use crate::ids::ReplicaId;
use crate::state::State;
use crate::storage::{Cursor, Storage, Stored};

/// Makes one `#[test]` of each law of a [`Storage`](crate::storage::Storage) that several
/// processes share, beside those of [`storage_conformance`](crate::storage_conformance).
///
/// `run` and `open` are the same as there, but what `open` gave before is still in use.
#[macro_export]
macro_rules! shared_storage_conformance {
    (run: $run:expr, open: $open:expr $(,)?) => {
        $crate::storage_conformance! { @laws $run, $open;
            two_processes_have_two_names
            a_name_that_was_given_back_is_given_again
            what_one_commits_the_others_are_told
            what_was_written_over_is_told
            what_was_told_is_not_told_again
            what_two_commit_joins
            commits_of_many_are_all_told
        }
    };
}

/// Never one for two that run.
pub async fn two_processes_have_two_names(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let (mut one, mut other) = (open().await, open().await);
    let first = one.identify(ReplicaId::from_u64(1)).await.expect("the store works");
    let second = other.identify(ReplicaId::from_u64(2)).await.expect("the store works");
    assert_ne!(first, second);
    let again = one.identify(ReplicaId::from_u64(3)).await.expect("the store works");
    assert_eq!(again, first, "a process is who it is");
}

/// To whoever comes next.
pub async fn a_name_that_was_given_back_is_given_again(
    mut open: impl AsyncFnMut() -> Box<dyn Storage>,
) {
    let (mut one, mut other) = (open().await, open().await);
    let first = one.identify(ReplicaId::from_u64(1)).await.expect("the store works");
    other.identify(ReplicaId::from_u64(2)).await.expect("the store works");
    one.close().await.expect("the store works");
    let mut next = open().await;
    let name = next.identify(ReplicaId::from_u64(3)).await.expect("the store works");
    assert_eq!(name, first);
}

/// From where they had loaded on.
pub async fn what_one_commits_the_others_are_told(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let (mut one, mut other) = (open().await, open().await);
    let mut fleet = Fleet::new();
    let history = fleet.history();
    commit(&mut *one, &history[0]).await;
    fleet.committed(&history[0]);
    let Stored { state, mut cursor } = other.load().await.expect("the store works");
    let mut known = State::new(10);
    known.join(state);
    for delta in &history[1..] {
        commit(&mut *one, delta).await;
        fleet.committed(delta);
        cursor = learn(&mut *other, &cursor, &mut known).await;
        same(&known, &fleet.expected);
    }
}

/// What another process wrote is told also where this one has since written to the same place
/// without knowing it.
pub async fn what_was_written_over_is_told(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let (mut one, mut other) = (open().await, open().await);
    let mut fleet = Fleet::new();
    let history = fleet.history();
    let mut cursor = Cursor::default();
    let mut known = State::new(10);
    for (n, delta) in history.iter().rev().enumerate() {
        // The newer half is written by the one, the older half over it by the other.
        let is_newer = n < history.len() / 2;
        commit(if is_newer { &mut *one } else { &mut *other }, delta).await;
        fleet.committed(delta);
        if !is_newer {
            known.join(delta.state().clone());
        }
    }
    cursor = learn(&mut *other, &cursor, &mut known).await;
    same(&known, &fleet.expected);
    assert!(other.changes_since(&cursor).await.expect("the store works").is_none());
}

/// So that it costs nothing where nothing happens.
pub async fn what_was_told_is_not_told_again(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let (mut one, mut other) = (open().await, open().await);
    let mut fleet = Fleet::new();
    for delta in fleet.history() {
        commit(&mut *one, &delta).await;
    }
    let cursor = other.load().await.expect("the store works").cursor;
    assert!(other.changes_since(&cursor).await.expect("the store works").is_none());
    let own = one.load().await.expect("the store works").cursor;
    assert!(one.changes_since(&own).await.expect("the store works").is_none());
}

/// Whoever of them was first.
pub async fn what_two_commit_joins(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut stores = [open().await, open().await];
    let mut fleet = Fleet::new();
    for (n, delta) in fleet.history().iter().rev().enumerate() {
        commit(&mut *stores[n % 2], delta).await;
        fleet.committed(delta);
        holds(&mut *stores[(n + 1) % 2], &fleet.expected).await;
    }
}

/// Each of them knows everything in the end.
pub async fn commits_of_many_are_all_told(mut open: impl AsyncFnMut() -> Box<dyn Storage>) {
    let mut stores = [open().await, open().await, open().await];
    let mut known: [(State, Cursor); 3] = Default::default();
    for (store, (state, cursor)) in stores.iter_mut().zip(&mut known) {
        let stored = store.load().await.expect("the store works");
        state.join(stored.state);
        *cursor = stored.cursor;
    }
    let mut fleet = Fleet::new();
    for (n, delta) in fleet.history().iter().enumerate() {
        commit(&mut *stores[n % 3], delta).await;
        known[n % 3].0.join(delta.state().clone());
        fleet.committed(delta);
        if n % 4 == 0 {
            let (state, cursor) = &mut known[n / 4 % 3];
            *cursor = learn(&mut *stores[n / 4 % 3], cursor, state).await;
        }
    }
    for (store, (state, cursor)) in stores.iter_mut().zip(&mut known) {
        *cursor = learn(&mut **store, cursor, state).await;
        same(state, &fleet.expected);
        holds(&mut **store, &fleet.expected).await;
    }
}

async fn learn(store: &mut dyn Storage, cursor: &Cursor, known: &mut State) -> Cursor {
    match store.changes_since(cursor).await.expect("the store works") {
        None => cursor.clone(),
        Some(Stored { state, cursor }) => {
            known.join(state);
            cursor
        }
    }
}
