//! What version 1 wrote is read, from now on: a state as lines of JSON, and the same state as the
//! rows of a SQLite file.
//!
//! Never to be written anew: a version that stores otherwise adds its own files beside these. They
//! were made by what is at the end of this file, once.

use std::path::{Path, PathBuf};

use periskop_core::aggregate::{Act, ActionId, MuteFor, Status};
use periskop_core::target::Labels;
use periskop_core::wire::state::{LineReader, lines};
use periskop_core::{
    AggregateId, ContentHash, Exception, HttpContext, Observer, Occurrence, ReplicaId, Report,
    ReportedError, ServiceName, Settings, Severity, State, Timestamp,
};
use periskop_storage::SqlStorage;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn frozen() -> State {
    let text = std::fs::read_to_string(fixture("state-v1.jsonl")).expect("it is there");
    let mut reader = LineReader::new();
    for line in text.lines() {
        reader.line(line).expect("it can be read");
    }
    reader.finish().expect("it is whole")
}

fn total(state: &State, key: &str) -> Option<u64> {
    let id = AggregateId { service: "shop ␀\0".into(), key: key.into() };
    state.error(&id).map(|error| error.total())
}

#[test]
fn lines_of_version_1_say_what_they_said() {
    let state = frozen();
    assert_eq!(total(&state, "dated"), Some(30));
    assert_eq!(total(&state, "numbered"), Some(9));
    assert_eq!(total(&state, "texts \0␀ 🦀"), Some(4));
    assert_eq!(total(&state, "forgotten"), Some(1), "what is forgotten does not count");
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let status = |key: &str| {
        let id = AggregateId { service: "shop ␀\0".into(), key: key.into() };
        state.error(&id).map(|error| error.status(now))
    };
    assert_eq!(status("dated"), Some(Status::Regressed));
    assert_eq!(status("numbered"), Some(Status::Muted));
    assert_eq!(state, made(), "and all the rest");
}

#[test]
fn what_was_read_is_written_as_it_was() {
    let text = std::fs::read_to_string(fixture("state-v1.jsonl")).unwrap();
    let mut before: Vec<_> = text.lines().collect();
    let state = frozen();
    let mut after: Vec<_> = lines(&state).map(|(_, line)| line).collect();
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(after, before);
}

#[tokio::test]
async fn rows_of_version_1_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("periskop.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let dump = std::fs::read_to_string(fixture("sqlite-v1.sql")).unwrap();
    connection.execute(AssertSqlSafe(dump)).await.unwrap();
    drop(connection);
    let mut store: Box<dyn periskop_core::storage::Storage> = Box::new(SqlStorage::sqlite(&path));
    let loaded = store.load().await.unwrap().state;
    assert_eq!(loaded, frozen());
    // The name of whoever wrote it goes on.
    let name = store.identify(ReplicaId::from_u64(1)).await.unwrap();
    assert_eq!(name, ReplicaId::from_u64(7));
}

/// A state with every kind of thing in it.
fn made() -> State {
    let begin = Timestamp::parse("2026-11-27T06:00:00.123456789Z").expect("it is a time");
    let minute = std::time::Duration::from_secs(60);
    let mut observer = Observer::new(ReplicaId::from_u64(7), Settings::default(), begin);
    let service = ServiceName::from("shop ␀\0");
    let url = |n: u32| format!("http://10.0.0.{n}:80/-/exceptions");
    let labels = Labels::from([("instance", "10.0.0.1:80"), ("zone", "ü\"␀\0")]);
    let occurrence = |n: u32, text: &str, time| Occurrence {
        name: format!("00000000-0000-4000-8000-{n:012}"),
        content: ContentHash::of(&n.to_be_bytes()),
        time,
        severity: Severity::Warning,
        exceptions: ["Outer", "Inner"]
            .map(|class| Exception {
                class: Some(class.to_owned()),
                message: (class == "Outer").then(|| text.to_owned()),
                stacktrace: vec![format!("at {class}.run(File.java:{n})"), text.to_owned()],
            })
            .into(),
        http: Some(HttpContext {
            method: Some("POST".into()),
            url: Some(format!("https://shop.example.com/?q={text}")),
            headers: vec![("Accept".into(), "*/*".into()), ("X-Text".into(), text.into())],
            body: None,
        }),
    };
    let error = |key: &str, total_count, created_at, occurrences| ReportedError {
        key: key.into(),
        total_count,
        severity: Severity::Error,
        created_at,
        incarnations: None,
        occurrences,
        unchanged: Vec::new(),
    };
    let id = |key: &str| AggregateId { service: service.clone(), key: key.into() };
    let report = |uuid: Option<&str>, errors| Report {
        target_uuid: uuid.map(str::to_owned),
        errors,
        ..Report::default()
    };
    for round in 0..3_u32 {
        let now = begin.plus(minute * (1 + round));
        let count = u64::from(round);
        let dated = occurrence(round, "häagen", Some(now));
        // Longer than sled's values are.
        let long = occurrence(30, &"long ".repeat(2_000), Some(begin));
        let errors = vec![
            error("long", 1, Some(begin), vec![long]),
            error("dated", 10 * (count + 1), Some(begin), vec![dated]),
            error("texts \0␀ 🦀", 4, None, vec![occurrence(9, "a\0b␀0", Some(begin))]),
            error("forgotten", 3 + u64::from(round == 2), Some(begin), vec![]),
        ];
        observer.scraped(now, &service, &url(1), &labels, report(Some("one"), errors));
        observer.found(now, &service, &url(1), None);
        let numbered = [5, 2, 4][round as usize];
        let errors = vec![error("numbered", numbered, None, vec![occurrence(20, "", None)])];
        observer.scraped(now, &service, &url(2), &Labels::new(), report(None, errors));
        observer.found(now, &service, &url(2), (round > 0).then_some("refused \0"));
        if round == 1 {
            let acts = [
                ("dated", Act::Resolve),
                ("numbered", Act::Mute(MuteFor::Further(5))),
                ("numbered", Act::Unmute),
                ("numbered", Act::Mute(MuteFor::Ever)),
                ("texts \0␀ 🦀", Act::Mute(MuteFor::Until(now))),
                ("forgotten", Act::Reopen),
                ("forgotten", Act::Forget),
            ];
            for (n, (key, act)) in (1..).zip(acts) {
                let done = observer.act(now, &id(key), ActionId(n), act, "ann ␀", "because \0");
                done.expect("the error is there");
            }
        }
    }
    observer.pushed(begin.plus(minute * 9), &"batch".into(), report(None, vec![]));
    observer.departed(begin.plus(minute * 10), &service, &url(2));
    observer.into_state()
}

/// How the files were made: `PERISKOP_FREEZE=DIRECTORY cargo test -p periskop-storage freeze`
/// leaves them there, the rows as a file for `sqlite3 FILE .dump`.
#[tokio::test]
async fn freeze() {
    let Some(directory) = std::env::var_os("PERISKOP_FREEZE").map(PathBuf::from) else { return };
    let state = made();
    let text: String = lines(&state).map(|(_, line)| line + "\n").collect();
    std::fs::write(directory.join("state-v1.jsonl"), text).unwrap();
    let mut store: Box<dyn periskop_core::storage::Storage> =
        Box::new(SqlStorage::sqlite(directory.join("v1.db")));
    store.identify(ReplicaId::from_u64(7)).await.unwrap();
    let delta = State::new(10).join(state);
    store.commit(&delta).await.unwrap();
    store.close().await.unwrap();
}
