//! What goes out of a store goes into another, and what is wrong is told before it is written.

use std::io::{self, Write};
use std::path::PathBuf;

use periskop_core::storage::Storage;
use periskop_core::wire::exporter;
use periskop_core::{Observer, ReplicaId, Settings, State, Timestamp};
use periskop_storage::persist::{Scripted, newer};
use periskop_storage::{Fault, Faulty, MemoryStorage};

use super::*;

/// A state of so many errors, counted by two instances.
fn state(errors: usize) -> State {
    let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    for instance in ["a", "b"] {
        let errors: Vec<_> = (0..errors)
            .map(|n| {
                serde_json::json!({
                    "aggregation_key": format!("k{n}"),
                    "total_count": n + 1,
                    "latest_errors": [{
                        "uuid": format!("{instance}{n}"),
                        "timestamp": "2026-11-19T00:00:00Z",
                        "error": {"class": "Oops", "message": "line\nbreak", "stacktrace": ["x"]},
                    }],
                })
            })
            .collect();
        let body = serde_json::json!({"target_uuid": instance, "aggregated_errors": errors});
        let options = exporter::Options::default();
        let report = exporter::parse(body.to_string().as_bytes(), now, &options).unwrap();
        observer.pushed(now, &"s".into(), report);
    }
    observer.into_state()
}

fn named(storage: impl Storage + 'static) -> NamedStore {
    NamedStore { name: "test".into(), storage: Box::new(storage), path: None }
}

async fn holding(state: State) -> MemoryStorage {
    let mut store = MemoryStorage::new();
    for delta in state.into_deltas(usize::MAX) {
        store.commit(&delta).await.unwrap();
    }
    store
}

/// Standard error that somebody has closed.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
}

fn written(state: &State) -> String {
    let mut out = Vec::new();
    export::write(state, &mut out, &mut Progress::to(io::sink())).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is wrong with it.
fn mistakes(text: &str) -> Vec<String> {
    import::read(text.as_bytes(), &mut Progress::to(io::sink())).unwrap().unwrap_err()
}

#[tokio::test]
async fn what_was_exported_is_imported_whole_also_where_nobody_looks() {
    let state = state(2500);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.jsonl");
    let mut from = named(holding(state.clone()).await);
    export::export(&mut from, Some(&file), &mut Progress::to(Closed)).await.unwrap();

    let scripted = Scripted::default();
    let mut into = named(scripted.clone());
    for _ in 0..2 {
        import::import(&mut into, Some(&file), &mut Progress::to(Closed)).await.unwrap();
        assert_eq!(scripted.holds().await, state, "twice is once");
        assert_eq!(scripted.calls(), ["identify", "commit", "commit", "commit", "close"]);
    }
}

#[tokio::test]
async fn an_import_joins_what_is_there() {
    let (mut expected, store) = (state(3), holding(state(5)).await);
    expected.join(state(5));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.jsonl");
    std::fs::write(&file, written(&state(3)).replace('\n', "\r\n\r\n")).unwrap();
    import::import(&mut named(store.clone()), Some(&file), &mut Progress::to(io::sink()))
        .await
        .unwrap();
    assert_eq!(store.clone().load().await.unwrap().state, expected);
}

#[test]
fn a_file_appears_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.jsonl");
    std::fs::write(&file, "before").unwrap();
    let lines = export::write_file(&state(1), &file, &mut Progress::to(io::sink())).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!((text.lines().count(), text), (lines, written(&state(1))));
    let here = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(here, 1, "nothing else is left");
    let nowhere = folder.path().join("no/such/folder/file");
    assert!(export::write_file(&state(1), &nowhere, &mut Progress::to(io::sink())).is_err());
}

#[test]
fn every_bad_line_is_told_with_its_number_up_to_twenty() {
    let good = written(&state(30));
    assert_eq!(mistakes(&good.replace("\"k3\"", "3")).len(), 1);
    let bad = good.replace("\"aggregation_key\"", "\"key\"");
    let told = mistakes(&bad);
    assert_eq!(told.len(), 21, "{told:#?}");
    let first = good.lines().position(|line| line.contains("aggregation_key")).unwrap() + 1;
    assert!(told[0].starts_with(&format!("line {first}: no line of this form: ")), "{}", told[0]);
    assert_eq!(told[20], "and 10 more");
}

#[test]
fn what_is_no_export_or_not_all_of_one_is_not_imported() {
    let good = written(&state(3));
    let without_end = good.lines().take(good.lines().count() - 1).collect::<Vec<_>>().join("\n");
    let twice = good.repeat(2);
    let missing = good.replacen("\n{\"error", "\n\n{}\n{\"error", 1);
    for (text, what) in [
        ("", "after line 0: this is no exported state"),
        ("services: []\n- x\n- y\n", "line 1: this is no exported state"),
        ("{\"periskop_state\":{\"version\":9}}\nx\n", "line 1: this is of version 9"),
        (without_end.as_str(), "the last line is missing: this was cut off"),
        (twice.as_str(), "something comes after the last line"),
        (missing.as_str(), "no line of this form"),
    ] {
        let told = mistakes(text);
        assert!(told[0].contains(what), "{what}: {told:?}");
    }
    assert_eq!(mistakes("services: []\n- x\n- y\n").len(), 1, "said once");
    let read = import::read(
        &b"{\"periskop_state\":{\"version\":1}}\n\xff\n"[..],
        &mut Progress::to(Closed),
    );
    assert_eq!(read.unwrap().unwrap_err()[0], "line 2: not UTF-8");
}

#[tokio::test]
async fn a_wrong_file_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.jsonl");
    std::fs::write(&file, written(&state(3)).replace("\"k2\"", "2")).unwrap();
    let scripted = Scripted::default();
    let (mut store, mut progress) = (named(scripted.clone()), Progress::to(Closed));
    let imported = import::import(&mut store, Some(&file), &mut progress).await;
    let said = imported.unwrap_err().to_string();
    assert!(said.contains("state.jsonl: nothing was imported:\nline "), "{said}");
    assert_eq!(scripted.calls(), [""; 0], "the store is not asked for anything");
}

#[tokio::test]
async fn a_store_that_fails_half_way_may_be_written_to_again() {
    let store = MemoryStorage::new();
    let mut faulty =
        Faulty::new(store.clone(), |operation| (operation == 2).then_some(Fault::Before));
    let progress = &mut Progress::to(Closed);
    let said = import::write(&mut faulty, state(1500), progress).await.unwrap_err().to_string();
    assert!(said.contains("1000 of 1500 errors are written"), "{said}");
    assert_eq!(import::write(&mut faulty, state(1500), progress).await.unwrap(), 1500);
    assert_eq!(store.clone().load().await.unwrap().state, state(1500));
}

#[tokio::test]
async fn a_check_counts_each_kind_and_fails_with_the_store() {
    let said = check::Counts::of(&state(4)).to_string();
    for line in ["1 services", "2 sources", "4 errors", "8 counts", "8 occurrences", "0 actions"] {
        assert!(said.contains(&format!(" {line}")), "{line}: {said}");
    }
    let scripted = Scripted::default();
    scripted.fail(newer);
    let failed = check::check(&mut named(scripted), &mut Progress::to(Closed)).await.unwrap_err();
    assert_eq!(failed.to_string(), "scripted: has version 3, this program reads up to 1");
}

#[test]
fn progress_is_told_now_and_then() {
    let mut progress = Progress::to(Closed);
    progress.say("beginning");
    progress.tell(|| panic!("something was said just now"));
}

#[test]
fn a_store_is_named_by_the_command_line_else_by_the_configuration() {
    let named = |config: Option<&str>, storage: Option<&str>| {
        let args =
            StoreArgs { config: config.map(PathBuf::from), storage: storage.map(str::to_owned) };
        open(&args, |_| None).map(|store| store.name).map_err(|error| error.to_string())
    };
    assert_eq!(named(None, Some("memory")).unwrap(), "memory");
    assert!(named(None, Some("nonsense")).unwrap_err().starts_with("--storage: "));
    assert!(named(None, None).unwrap_err().starts_with("which store?"));
    assert!(named(Some("no/such/file"), None).unwrap_err().contains("no/such/file"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let memory = named(Some(file.path().to_str().unwrap()), None).unwrap_err();
    assert!(memory.ends_with("its `repository` is memory, which keeps nothing"), "{memory}");
}
