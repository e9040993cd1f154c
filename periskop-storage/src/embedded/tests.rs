//! What holds of this store beside the laws of every store, and those laws whatever waits.

use std::path::Path;

use futures_util::FutureExt;
use periskop_core::merge::Merge;
use periskop_core::storage::Storage;
use periskop_core::testing::jvm::Payloads;
use periskop_core::{Delta, Observer, ReplicaId, Settings, State, Timestamp};

use super::SledStorage;
use super::waiting::Limits;

fn store(folder: &Path, limits: Limits) -> SledStorage {
    SledStorage { limits, ..SledStorage::new(folder) }
}

/// As it is.
mod usual {
    use super::*;

    periskop_core::storage_conformance! {
        run: FutureExt::now_or_never,
        open: {
            let folder = tempfile::tempdir().unwrap();
            async move || Box::new(SledStorage::open(folder.path()).unwrap()) as Box<dyn Storage>
        },
    }
}

/// A file is full after a few commits, and is joined into the tables bit by bit.
mod small_files {
    use super::*;

    periskop_core::storage_conformance! {
        run: FutureExt::now_or_never,
        open: {
            let folder = tempfile::tempdir().unwrap();
            let limits = Limits { full: 12_000, longest: 6_000 };
            async move || Box::new(store(folder.path(), limits)) as Box<dyn Storage>
        },
    }
}

/// Each commit waits for the next one only.
mod one_commit_a_file {
    use super::*;

    periskop_core::storage_conformance! {
        run: FutureExt::now_or_never,
        open: {
            let folder = tempfile::tempdir().unwrap();
            let limits = Limits { full: 1, longest: usize::MAX };
            async move || Box::new(store(folder.path(), limits)) as Box<dyn Storage>
        },
    }
}

/// Nothing waits.
mod at_once {
    use super::*;

    periskop_core::storage_conformance! {
        run: FutureExt::now_or_never,
        open: {
            let folder = tempfile::tempdir().unwrap();
            let limits = Limits { full: 1, longest: 0 };
            async move || Box::new(store(folder.path(), limits)) as Box<dyn Storage>
        },
    }
}

/// An instance whose errors happen again and again.
struct Instance {
    observer: Observer,
    made: Payloads,
    report: periskop_core::Report,
    now: Timestamp,
}

impl Instance {
    fn new() -> Self {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        let mut made = Payloads::new();
        let report = made.report(0, now);
        Self { observer, made, report, now }
    }

    fn scraped(&mut self) -> Delta {
        self.now = self.now.plus(std::time::Duration::from_secs(60));
        let report = self.report.clone();
        let delta = self.observer.pushed(self.now, &"service".into(), report);
        let report = std::mem::take(&mut self.report);
        self.report = self.made.grown(report, self.now);
        delta
    }
}

fn files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("waiting-")).count()
}

fn load(store: &mut SledStorage) -> State {
    let loaded = store.load().now_or_never().unwrap().unwrap().state;
    assert!(store.check().unwrap().is_sound());
    let mut state = State::new(10);
    state.merge(loaded);
    state
}

/// Whoever is stopped in the middle of it leaves files that are in the tables in part; the next one
/// begins with them anew.
#[test]
fn what_is_joined_in_part_is_joined_again() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { full: 200_000, longest: 200_000 };
    let mut instance = Instance::new();
    let mut most = 0;
    for life in 0..24 {
        let mut store = store(folder.path(), limits);
        // Some lives are too short to join anything.
        for _ in 0..=life % 4 {
            let delta = instance.scraped();
            store.commit(&delta).now_or_never().unwrap().unwrap();
        }
        most = most.max(files(folder.path()));
        assert_eq!(load(&mut store), *instance.observer.state(), "life {life}");
    }
    assert!((2..8).contains(&most), "{most} files");
}

/// Each of them tells one thing.
#[test]
fn processes_that_end_early_leave_few_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut instance = Instance::new();
    let mut most = 0;
    for _ in 0..40 {
        let mut store = store(folder.path(), Limits::USUAL);
        store.commit(&instance.scraped()).now_or_never().unwrap().unwrap();
        most = most.max(files(folder.path()));
    }
    assert!(most < 12, "{most} files");
    assert_eq!(load(&mut store(folder.path(), Limits::USUAL)), *instance.observer.state());
}

/// However many commits there are.
#[test]
fn there_are_never_more_than_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path(), Limits { full: 200_000, longest: 200_000 });
    let mut instance = Instance::new();
    let mut most = 0;
    for _ in 0..60 {
        store.commit(&instance.scraped()).now_or_never().unwrap().unwrap();
        most = most.max(files(folder.path()));
    }
    assert_eq!(most, 2);
    assert_eq!(load(&mut store), *instance.observer.state());
}
