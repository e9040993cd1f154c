//! What holds of the store on sled beside the laws of every store.

use std::path::Path;
use std::time::{Duration, Instant};

use periskop_core::storage::{Storage, StorageError};
use periskop_core::testing::jvm::Payloads;
use periskop_core::wire::state::LineReader;
use periskop_core::{Delta, Observer, ReplicaId, Settings, State, Timestamp};
use periskop_storage::SledStorage;

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

/// Every record, in hexadecimal.
fn records(folder: &Path) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
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
    opened.insert(key, &2_u32.to_be_bytes()).unwrap();
    opened.flush().unwrap();
    drop(opened);
    let before = records(folder.path());
    let error = SledStorage::open(folder.path()).err().expect("it is newer");
    assert!(matches!(error, StorageError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(records(folder.path()), before);
}

#[tokio::test]
async fn what_is_stored_already_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    let delta = delta();
    store.commit(&delta).await.unwrap();
    let log = || std::fs::read(folder.path().join("db")).unwrap();
    let before = log();
    for _ in 0..3 {
        store.commit(&delta).await.unwrap();
        store.commit(&Delta::default()).await.unwrap();
        store.prune(&Default::default()).await.unwrap();
    }
    assert!(log() == before, "something was written");
}

#[tokio::test]
async fn damage_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.commit(&delta()).await.unwrap();
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

/// Never to be written anew, like the other files of version 1.
#[tokio::test]
async fn records_of_version_1_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let opened = database(folder.path());
    let records = fixture("sled-v1.txt");
    assert!(records.lines().count() > 30);
    for line in records.lines() {
        let (key, value) = line.split_once(' ').unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            let digits = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(digits).collect()
        };
        opened.insert(bytes(key), bytes(value)).unwrap();
    }
    opened.flush().unwrap();
    drop(opened);
    let mut store = SledStorage::open(folder.path()).unwrap();
    assert_eq!(store.load().await.unwrap().state, frozen());
    let name = store.identify(ReplicaId::from_u64(1)).await.unwrap();
    assert_eq!(name, ReplicaId::from_u64(7));
}

/// How the file was made: `PERISKOP_FREEZE=DIRECTORY cargo test -p periskop-storage freeze`.
#[tokio::test]
async fn freeze() {
    let Some(directory) = std::env::var_os("PERISKOP_FREEZE") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledStorage::open(folder.path()).unwrap();
    store.identify(ReplicaId::from_u64(7)).await.unwrap();
    store.commit(&State::new(10).join(frozen())).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let text: String = records(folder.path()).into_iter().map(|line| line + "\n").collect();
    std::fs::write(Path::new(&directory).join("sled-v1.txt"), text).unwrap();
}
