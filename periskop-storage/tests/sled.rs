//! What holds of the store on sled beside the laws of every store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use periskop_core::aggregate::{Act, ActionId};
use periskop_core::observer::Pruned;
use periskop_core::storage::{Storage, StorageError};
use periskop_core::target::LastState;
use periskop_core::testing::jvm::Payloads;
use periskop_core::wire::state::LineReader;
use periskop_core::{AggregateId, Delta, Observer, ReplicaId, Settings, State, Timestamp};
use periskop_storage::SledStorage;
use tempfile::TempDir;

/// As `src/embedded/database.rs` has it; part of the persisted form.
const SEGMENT: usize = 2 << 20;

/// The database below the store.
fn database(folder: &Path) -> sled::Db {
    let config = sled::Config::new().path(folder).segment_size(SEGMENT);
    // Threads of the one that was dropped before still have it for a moment.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match config.open() {
            Ok(database) => return database,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::yield_now();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Every record, in hexadecimal.
fn records(folder: &Path) -> Vec<String> {
    let all = database(folder).iter().map(|record| record.expect("it can be read"));
    all.map(|(key, value)| format!("{} {}", hex(&key), hex(&value))).collect()
}

fn delta() -> Delta {
    let now = Timestamp::from_micros(1_790_000_000_000_000);
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    let report = Payloads::new().report(0, now);
    observer.pushed(now, &"service".into(), report)
}

#[tokio::test]
async fn a_second_process_is_told_that_another_one_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = SledStorage::open(folder.path().join("deep/in/a/folder")).unwrap();
    let second = SledStorage::open(folder.path().join("deep/in/a/folder"));
    let error = second.err().expect("the first one has it");
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(first);
    SledStorage::open(folder.path().join("deep/in/a/folder")).unwrap();
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    SledStorage::open(folder.path()).unwrap().close().await.unwrap();
    let opened = database(folder.path());
    let (key, _) =
        opened.iter().map(Result::unwrap).find(|(k, _)| k.ends_with(b"version")).unwrap();
    opened.insert(key, &3_u32.to_be_bytes()).unwrap();
    opened.flush().unwrap();
    drop(opened);
    let before = records(folder.path());
    let error = SledStorage::open(folder.path()).err().expect("it is newer");
    assert!(matches!(error, StorageError::Newer { found: 3, known: 2, .. }), "{error}");
    assert_eq!(records(folder.path()), before);
}

/// The files of commits that wait, in the order in which they were begun.
fn waiting(folder: &Path) -> Vec<PathBuf> {
    let files =
        std::fs::read_dir(folder).expect("it works").map(|entry| entry.expect("it works").path());
    let is_waiting = |path: &PathBuf| {
        path.file_name().expect("it works").to_string_lossy().starts_with("waiting-")
    };
    let mut files: Vec<_> = files.filter(is_waiting).collect();
    files.sort();
    files
}

/// Removes something that is not there, which leaves nothing waiting.
async fn settle(store: &mut SledStorage) {
    let last = LastState::up(Timestamp::from_micros(0));
    let targets = vec![("service".into(), "http://nowhere".into(), last)];
    store.prune(&Pruned { targets, ..Pruned::default() }).await.expect("it works");
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.commit(&delta()).await.unwrap();
    let files = || {
        let mut paths = waiting(folder.path());
        paths.push(folder.path().join("db"));
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    };
    let before = files();
    for _ in 0..3 {
        store.commit(&Delta::default()).await.unwrap();
        store.prune(&Pruned::default()).await.unwrap();
        store.load().await.unwrap();
    }
    assert!(files() == before, "something was written");
    settle(&mut store).await;
    let before = files();
    settle(&mut store).await;
    assert!(files() == before, "what is in the tables was written again");
}

#[tokio::test]
async fn damage_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.commit(&delta()).await.unwrap();
    settle(&mut store).await;
    store.close().await.unwrap();
    drop(store);
    let opened = database(folder.path());
    let (key, _) = opened.iter().map(Result::unwrap).find(|(k, _)| k[0] == 0x30).unwrap();
    opened.insert(key, "nonsense").unwrap();
    opened.flush().unwrap();
    drop(opened);
    let error = SledStorage::open(folder.path()).unwrap().load().await.unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("error 30"), "{error}");
}

#[tokio::test]
async fn damage_to_what_waits_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.commit(&delta()).await.unwrap();
    store.commit(&delta()).await.unwrap();
    drop(store);
    let [file] = &waiting(folder.path())[..] else { panic!("there is one file") };
    let mut bytes = std::fs::read(file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    let error = store.load().await.unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("waiting-0000000000000000"), "{error}");
    assert!(!store.check().unwrap().is_sound());
}

/// Whoever is killed while it appends has not been told that it has happened.
#[tokio::test]
async fn half_a_commit_has_not_happened() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    let delta = delta();
    store.commit(&delta).await.unwrap();
    let before = store.load().await.unwrap().state;
    drop(store);
    let [file] = &waiting(folder.path())[..] else { panic!("there is one file") };
    let mut bytes = std::fs::read(file).unwrap();
    let whole = bytes.len();
    bytes.extend_from_within(..whole / 2);
    std::fs::write(file, bytes).unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    assert_eq!(store.load().await.unwrap().state, before);
    // The next commit goes elsewhere, and all of it joins.
    store.commit(&delta).await.unwrap();
    assert_eq!(waiting(folder.path()).len(), 2);
    settle(&mut store).await;
    assert_eq!(waiting(folder.path()).len(), 0);
    assert_eq!(store.load().await.unwrap().state, before);
}

/// When the call returns, and in whatever waited before.
#[tokio::test]
async fn what_is_forgotten_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    let now = Timestamp::from_micros(1_790_000_000_000_000);
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    let report = Payloads::new().report(0, now);
    let id = AggregateId { service: "service".into(), key: report.errors[0].key.clone() };
    store.commit(&observer.pushed(now, &"service".into(), report)).await.unwrap();
    assert_eq!(waiting(folder.path()).len(), 1);
    let forgotten = observer.act(now, &id, ActionId(1), Act::Forget, "ann", "because").unwrap();
    store.commit(&forgotten).await.unwrap();
    assert_eq!(waiting(folder.path()).len(), 0);
    let mut state = State::new(10);
    state.join(store.load().await.unwrap().state);
    assert_eq!(state, *observer.state());
    drop(store);
    let of_error = |kind: &str| {
        let begins = format!("{kind}{}", hex(id.digest().as_bytes()));
        records(folder.path()).iter().filter(|record| record.starts_with(&begins)).count()
    };
    assert_eq!((of_error("30"), of_error("35"), of_error("36")), (1, 0, 0));
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// The state that is frozen as lines of JSON: see `persisted_form.rs`.
fn frozen() -> State {
    let mut reader = LineReader::new();
    for line in fixture("state-v1.jsonl").lines() {
        reader.line(line).expect("it can be read");
    }
    reader.finish().expect("it is whole")
}

/// A store of what a file of this name says: keys and values of the tables, and files that wait.
fn stored(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("it works");
    let opened = database(folder.path());
    let records = fixture(name);
    assert!(records.lines().count() > 20);
    for line in records.lines() {
        let (key, value) = line.split_once(' ').expect("it works");
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("it works");
            (0..hex.len()).step_by(2).map(digits).collect()
        };
        if key.starts_with("waiting-") {
            std::fs::write(folder.path().join(key), bytes(value)).expect("it works");
        } else {
            opened.insert(bytes(key), bytes(value)).expect("it works");
        }
    }
    opened.flush().expect("it works");
    folder
}

/// The files of old versions are never to be written anew.
async fn is_the_frozen_one(folder: &Path) {
    let mut store = SledStorage::open(folder).expect("it works");
    assert_eq!(store.load().await.expect("it works").state, frozen());
    assert!(store.check().expect("it works").is_sound());
    let name = store.identify(ReplicaId::from_u64(1)).await.expect("it works");
    assert_eq!(name, ReplicaId::from_u64(7));
}

/// As the store itself has it.
fn version(folder: &Path) -> String {
    let records = records(folder);
    let version = records.iter().find(|record| record.starts_with("0176657273696f6e "));
    version.expect("it has one")[17..].to_owned()
}

#[tokio::test]
async fn records_of_version_1_are_read() {
    let folder = stored("sled-v1.txt");
    is_the_frozen_one(folder.path()).await;
    assert_eq!(version(folder.path()), "00000001", "whoever only reads leaves it as it is");
}

#[tokio::test]
async fn records_and_waiting_commits_of_version_2_are_read() {
    let folder = stored("sled-v2.txt");
    assert_eq!(waiting(folder.path()).len(), 1);
    is_the_frozen_one(folder.path()).await;
}

/// A program of version 1 would not see what waits beside the tables.
#[tokio::test]
async fn a_store_of_version_1_is_of_version_2_once_something_waits() {
    let folder = stored("sled-v1.txt");
    let mut store = SledStorage::open(folder.path()).unwrap();
    let delta = delta();
    store.commit(&delta).await.unwrap();
    let mut expected = frozen();
    expected.join(delta.into_state());
    assert_eq!(store.load().await.unwrap().state, expected);
    assert!(store.check().unwrap().is_sound());
    drop(store);
    assert_eq!(version(folder.path()), "00000002");
}

/// How the file was made: `PERISKOP_FREEZE=DIRECTORY cargo test -p periskop-storage freeze`. What is
/// committed before something is forgotten is in the tables, what comes after it waits.
#[tokio::test]
async fn freeze() {
    let Some(directory) = std::env::var_os("PERISKOP_FREEZE") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.identify(ReplicaId::from_u64(7)).await.unwrap();
    let mut state = frozen();
    state.set_keep(10);
    for delta in state.into_deltas(1) {
        store.commit(&delta).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    let mut text: String = records(folder.path()).into_iter().map(|line| line + "\n").collect();
    for path in waiting(folder.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        text += &format!("{name} {}\n", hex(&std::fs::read(&path).unwrap()));
    }
    std::fs::write(Path::new(&directory).join("sled-v2.txt"), text).unwrap();
}
