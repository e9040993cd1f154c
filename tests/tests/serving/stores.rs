//! The server on its stores: what it knows outlives it, what people did is durable before the
//! answer, and a store that is away stops nobody from seeing errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_client::Timestamp;
use periskop_tests::cut::Proxy;
use periskop_tests::database::{Database, Server as DatabaseServer};
use periskop_tests::server::Server;
use periskop_tests::store::{DURABLE, SHARED, Store};
use periskop_tests::target::{Target, error, payload};
use periskop_tests::{eventually, workspace};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::process::Command;

/// A time so many seconds ago, with the nanoseconds that Go's clients tell.
fn ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let at = Timestamp::EPOCH.plus(now).minus(Duration::from_secs(seconds)).to_string();
    at.replace('Z', "789Z")
}

/// A target whose error `fails` has happened as often as the number says; `resolved` has not
/// happened again.
async fn target(count: &Arc<AtomicU64>) -> Target {
    let count = Arc::clone(count);
    let (began, last) = (ago(600), ago(300));
    Target::answering(move |_| {
        let count = count.load(Ordering::SeqCst);
        let errors = [
            error("fails", count, Some(&began), std::slice::from_ref(&last)),
            error("resolved", 7, Some(&began), std::slice::from_ref(&last)),
        ];
        payload(Some("instance"), &errors)
    })
    .await
}

fn configuration(repository: &str, address: &str) -> String {
    format!(
        "repository: {repository}\n\
         services:\n\
         - name: shop\n  \
           static_configs: [{{targets: ['{address}'], labels: {{zone: a}}}}]\n  \
           scraper: {{endpoint: /-/exceptions, refresh_interval: 200ms}}\n"
    )
}

/// The repository of a configuration that is a store.
fn repository(store: &Store) -> String {
    repository_of(&store.spec)
}

fn repository_of(spec: &str) -> String {
    match spec.split_once(':') {
        Some((kind @ ("sled" | "sqlite"), path)) => format!("{{type: {kind}, path: '{path}'}}"),
        Some((kind @ ("postgres" | "mysql"), _)) => format!("{{type: {kind}, dsn: '{spec}'}}"),
        _ => panic!("no repository: {spec}"),
    }
}

async fn whole(server: &Server, key: &str) -> Value {
    let (status, body) = server.get(&format!("/api/v1/errors/shop/{key}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).expect("it is JSON")
}

/// What must be the same before and after a restart.
fn lasting(error: &Value) -> Vec<&Value> {
    ["total_count", "first_seen", "last_seen", "severity", "state", "occurrences", "history"]
        .iter()
        .map(|member| &error[*member])
        .collect()
}

async fn killed_and_started_again(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let count = Arc::new(AtomicU64::new(3));
    let target = target(&count).await;
    let configuration = configuration(&repository(&store), &target.address);
    let server = Server::start(&configuration).await;
    server.error_of("shop", "fails", 3).await;
    count.store(5, Ordering::SeqCst);
    server.error_of("shop", "fails", 5).await;
    let (status, body) = server.send(Method::DELETE, "/services/shop/errors/resolved/").await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    let before = [whole(&server, "fails").await, whole(&server, "resolved").await];
    server.kill().await;

    let server = Server::start(&configuration).await;
    for error in before.iter() {
        let key = error["aggregation_key"].as_str().expect("it has a key");
        let after = whole(&server, key).await;
        assert_eq!(lasting(&after), lasting(error), "{kind}: {after}");
    }
    target.scraped_again(4).await;
    let listed = server.errors("shop").await;
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["fails"], "what was resolved stays resolved");
    assert_eq!(listed["fails"].total_count, 5, "{kind}: what was counted is not counted again");
    count.store(6, Ordering::SeqCst);
    server.error_of("shop", "fails", 6).await;
    let (_, targets) = server.get("/api/v1/targets").await;
    assert!(targets.contains("\"zone\":\"a\""), "{targets}");
}

#[tokio::test]
async fn on_sled_what_is_known_outlives_the_process() {
    killed_and_started_again("sled").await;
}

#[tokio::test]
async fn on_sqlite_what_is_known_outlives_the_process() {
    killed_and_started_again("sqlite").await;
}

#[tokio::test]
async fn on_postgres_what_is_known_outlives_the_process() {
    killed_and_started_again("postgres").await;
}

#[tokio::test]
async fn on_mysql_what_is_known_outlives_the_process() {
    killed_and_started_again("mysql").await;
}

async fn seen_by_another_server(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let target = target(&Arc::new(AtomicU64::new(3))).await;
    let configuration = configuration(&repository(&store), &target.address);
    let one = Server::start(&configuration).await;
    let other = Server::start(&configuration).await;
    one.error_of("shop", "fails", 3).await;
    other.error_of("shop", "fails", 3).await;
    let (status, body) = one.send(Method::DELETE, "/services/shop/errors/fails/").await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    eventually("the other server knows that it is resolved", || async {
        let error = whole(&other, "fails").await;
        if error["state"] == "resolved" { Ok(()) } else { Err(error["state"].clone()) }
    })
    .await;
    assert_eq!(whole(&other, "fails").await["total_count"], 3);
}

#[tokio::test]
async fn on_sqlite_a_second_server_sees_what_was_done_on_the_first() {
    seen_by_another_server(SHARED[0]).await;
}

#[tokio::test]
async fn on_postgres_a_second_server_sees_what_was_done_on_the_first() {
    seen_by_another_server(SHARED[1]).await;
}

#[tokio::test]
async fn on_mysql_a_second_server_sees_what_was_done_on_the_first() {
    seen_by_another_server(SHARED[2]).await;
}

/// A server on a database behind a line that can be cut.
async fn behind_a_line(server: DatabaseServer) -> Option<(Database, Proxy, String)> {
    let database = Database::fresh(server).await?;
    let proxy = database.proxy();
    let repository = repository_of(&database.url_through(&proxy));
    Some((database, proxy, repository))
}

async fn gone_for_a_while(server: DatabaseServer) {
    let Some((_database, mut line, repository)) = behind_a_line(server).await else { return };
    let count = Arc::new(AtomicU64::new(3));
    let target = target(&count).await;
    let configuration = configuration(&repository, &target.address);
    let server = Server::start(&configuration).await;
    server.error_of("shop", "fails", 3).await;

    line.cut().await;
    count.store(9, Ordering::SeqCst);
    server.error_of("shop", "fails", 9).await;
    let (status, body) = server.send(Method::POST, "/api/v1/errors/shop/fails/resolve").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "not durable: {body}");
    let (status, ready) = server.get("/-/ready").await;
    assert!(status.is_success() && ready.contains("store"), "{status} {ready}");
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.contains("periskop_store_up 0"), "{metrics}");

    line.restore();
    eventually("the store has what waited", || async {
        let (_, metrics) = server.get("/metrics").await;
        let is_written = metrics.contains("periskop_store_up 1")
            && metrics.contains("periskop_store_pending_errors 0");
        if is_written { Ok(()) } else { Err(metrics) }
    })
    .await;
    server.kill().await;
    let server = Server::start(&configuration).await;
    let error = whole(&server, "fails").await;
    assert_eq!((&error["total_count"], &error["state"]), (&9.into(), &"resolved".into()));
}

#[tokio::test]
async fn while_postgres_is_gone_errors_are_seen_and_nothing_is_lost() {
    gone_for_a_while(DatabaseServer::Postgres).await;
}

#[tokio::test]
async fn while_mysql_is_gone_errors_are_seen_and_nothing_is_lost() {
    gone_for_a_while(DatabaseServer::MySql).await;
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_waited_for() {
    let Some((_database, mut line, repository)) = behind_a_line(DatabaseServer::Postgres).await
    else {
        return;
    };
    let count = Arc::new(AtomicU64::new(3));
    let target = target(&count).await;
    let configuration = configuration(&repository, &target.address);
    let server = Server::start(&configuration).await;
    server.error_of("shop", "fails", 3).await;
    let (status, _) = server.send(Method::DELETE, "/services/shop/errors/resolved/").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    server.kill().await;

    line.cut().await;
    count.store(4, Ordering::SeqCst);
    let server = Server::listening(&configuration).await;
    let (status, why) = server.get("/-/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
    server.error_of("shop", "fails", 4).await;
    let (status, _) = server.get("/").await;
    assert!(status.is_success(), "there are pages");
    let (status, _) = server.send(Method::DELETE, "/services/shop/errors/fails/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "what it is about is not known yet");

    line.restore();
    server.is_ready().await;
    server.error_of("shop", "fails", 4).await;
    eventually("it is known again that it was resolved", || async {
        let listed = server.errors("shop").await;
        if listed.contains_key("resolved") { Err(listed) } else { Ok(()) }
    })
    .await;
}

#[tokio::test]
async fn scrapes_that_find_nothing_write_nothing() {
    let store = Store::fresh("sqlite").await.expect("it needs no server");
    let target = target(&Arc::new(AtomicU64::new(3))).await;
    let server = Server::start(&configuration(&repository(&store), &target.address)).await;
    server.error_of("shop", "fails", 3).await;
    let path = store.spec.trim_start_matches("sqlite:");
    let commits = || async {
        let (_, metrics) = server.get("/metrics").await;
        let line = metrics.lines().find(|line| line.starts_with("periskop_store_commits_total "));
        line.unwrap_or_default().to_owned()
    };
    let written = || {
        let of = |file: String| std::fs::read(file).unwrap_or_default();
        [of(path.to_owned()), of(format!("{path}-wal"))]
    };
    // What the first scrapes found is written within a second or so.
    eventually("it is written", || async {
        let (_, metrics) = server.get("/metrics").await;
        let waits = !metrics.contains("periskop_store_pending_errors 0");
        if waits || commits().await.ends_with(" 0") { Err(metrics) } else { Ok(()) }
    })
    .await;
    let before = (commits().await, written());
    target.scraped_again(15).await;
    let after = (commits().await, written());
    assert_eq!(after.0, before.0);
    assert!(after.1 == before.1, "the files have changed");
}

/// `periskop-server storage …` on a store.
async fn storage(arguments: &[&str], store: &Store) -> (bool, String, String) {
    let mut command = Command::new(workspace::binary("periskop-server"));
    let output = command
        .arg("storage")
        .args(arguments)
        .args(["--storage", &store.spec])
        .output()
        .await
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_state_moves_from_store_to_store() {
    let first = Store::fresh("sqlite").await.expect("it needs no server");
    let target = target(&Arc::new(AtomicU64::new(3))).await;
    let server = Server::start(&configuration(&repository(&first), &target.address)).await;
    server.error_of("shop", "fails", 3).await;
    let (status, _) = server.send(Method::DELETE, "/services/shop/errors/resolved/").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    server.kill().await;

    let folder = tempfile::tempdir().expect("a temporary directory");
    let (done, exported, said) = storage(&["export"], &first).await;
    assert!(done && exported.lines().count() > 4, "{said}");
    let mut expected: Vec<_> = exported.lines().map(str::to_owned).collect();
    expected.sort_unstable();
    for kind in DURABLE {
        let Some(store) = Store::fresh(kind).await else { continue };
        let file = folder.path().join("state.jsonl");
        std::fs::write(&file, &exported).expect("a temporary file");
        let file = file.to_str().expect("its name is text");
        for _ in 0..2 {
            let (done, _, said) = storage(&["import", file], &store).await;
            assert!(done, "{kind}: {said}");
        }
        let (done, checked, said) = storage(&["check"], &store).await;
        assert!(done, "{kind}: {checked}{said}");
        let (done, again, said) = storage(&["export"], &store).await;
        assert!(done, "{kind}: {said}");
        let mut again: Vec<_> = again.lines().map(str::to_owned).collect();
        again.sort_unstable();
        assert_eq!(again, expected, "{kind}");
    }
    let cut = exported.lines().next().expect("it has a header").to_owned();
    std::fs::write(folder.path().join("cut.jsonl"), cut).expect("a temporary file");
    let file = folder.path().join("cut.jsonl");
    let file = file.to_str().expect("its name is text");
    let (done, _, said) = storage(&["import", file], &first).await;
    assert!(!done && said.contains("cut off"), "{said}");
}

/// What a server says that does not start.
async fn refused(configuration: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("periskop.yaml");
    std::fs::write(&file, configuration).expect("a temporary file");
    let mut command = Command::new(workspace::binary("periskop-server"));
    command.arg("--config").arg(&file).args(["--listen", "127.0.0.1:0"]).kill_on_drop(true);
    let output = tokio::time::timeout(periskop_tests::PATIENCE, command.output()).await;
    let output = output.expect("it ends by itself").expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_second_server_on_sled_is_told_why_it_cannot_start() {
    let store = Store::fresh("sled").await.expect("it needs no server");
    let configuration = configuration(&repository(&store), "127.0.0.1:1");
    let _first = Server::start(&configuration).await;
    let said = refused(&configuration).await;
    assert!(said.contains("in use by another process"), "{said}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let store = Store::fresh("sqlite").await.expect("it needs no server");
    let path = store.spec.trim_start_matches("sqlite:");
    let text = "somebody's letters".repeat(300);
    std::fs::write(path, &text).expect("a temporary file");
    let said = refused(&configuration(&repository(&store), "127.0.0.1:1")).await;
    assert!(said.contains("damaged") && said.contains("not a database"), "{said}");
    assert_eq!(std::fs::read_to_string(path).expect("it is there"), text);
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    for kind in SHARED {
        let Some(store) = Store::fresh(kind).await else { continue };
        let mut opened = store.open();
        opened.load().await.expect("the tables are made");
        opened.close().await.expect("it can be closed");
        let newer = "INSERT INTO periskop_schema (version) VALUES (99)";
        run_on(&store.spec, newer).await;
        let configuration = configuration(&repository(&store), "127.0.0.1:1");
        let said = refused(&configuration).await;
        assert!(said.contains("has version 99, this program reads up to 1"), "{kind}: {said}");
    }
}

async fn run_on(spec: &str, sql: &'static str) {
    use sqlx::{Connection, Executor};
    match spec.split_once(':').expect("it has a kind").0 {
        "sqlite" => {
            let mut c = sqlx::SqliteConnection::connect(spec).await.expect("it is there");
            c.execute(sql).await.map(drop)
        }
        "postgres" => {
            let mut c = sqlx::PgConnection::connect(spec).await.expect("it is there");
            c.execute(sql).await.map(drop)
        }
        _ => {
            let mut c = sqlx::MySqlConnection::connect(spec).await.expect("it is there");
            c.execute(sql).await.map(drop)
        }
    }
    .expect("it can be done");
}
