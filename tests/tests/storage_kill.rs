//! Processes that are killed at any moment lose nothing that was acknowledged, leave no commit by
//! halves, and are followed by one that has their name.
//!
//! Ten times for each store, or `PERISKOP_KILLS` times.

use std::time::Duration;

use periskop_tests::process::Process;
use periskop_tests::pushing::counted;
use periskop_tests::store::Store;
use tokio::process::Command;

async fn killed_at_random_moments(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let kills = std::env::var("PERISKOP_KILLS").map_or(10, |n| n.parse().expect("a number"));
    let mut names = Vec::new();
    for kill in 0..kills {
        let mut process =
            Process::start(Command::new(env!("CARGO_BIN_EXE_store_pusher")).arg(&store.spec));
        // At any moment of its life, the beginning included: whatever the number of commits, some
        // microseconds more.
        let commits = rand::random_range(0..40);
        let more = Duration::from_micros(rand::random_range(0..5_000));
        let mut acknowledged = 0;
        for _ in 0..commits {
            let line = process.line().await;
            let (count, name) = line.split_once(' ').expect("a count and a name");
            acknowledged = count.parse().expect("a number");
            names.push(name.to_owned());
        }
        let said = process.killed_after(more).await;
        if let Some(last) = said.iter().rev().find_map(|line| line.split_once(' ')?.0.parse().ok())
        {
            acknowledged = last;
        }
        let mut opened = store.open();
        let stored = counted(&opened.load().await.expect("it can be read").state);
        assert!(
            stored == acknowledged || stored == acknowledged + 1 || acknowledged == 0,
            "{kind}, kill {kill}: {acknowledged} acknowledged, {stored} stored"
        );
        opened.close().await.expect("it can be closed");
    }
    names.dedup();
    assert!(names.len() <= 1, "who follows on this machine takes over the name: {names:?}");
}

#[tokio::test]
async fn sled() {
    killed_at_random_moments("sled").await;
}

#[tokio::test]
async fn sqlite() {
    killed_at_random_moments("sqlite").await;
}

#[tokio::test]
async fn postgres() {
    killed_at_random_moments("postgres").await;
}

#[tokio::test]
async fn mysql() {
    killed_at_random_moments("mysql").await;
}
