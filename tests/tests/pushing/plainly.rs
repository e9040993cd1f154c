//! Processes that push their whole state on every exception, as the published clients do: N
//! reported are N on the server, whatever is killed in between.
//!
//! Python's and Go's clients are the real ones; what Ruby's and Scala's really sent is replayed.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_client::Timestamp;
use periskop_tests::app::{App, go_app, python_app};
use periskop_tests::gateway::Gateway;
use periskop_tests::server::Server;
use periskop_tests::{eventually, workspace};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

/// A gateway, and a server on a store of its own that scrapes it.
struct Pair {
    gateway: Gateway,
    server: Server,
    configuration: String,
}

impl Pair {
    async fn start(directory: &Path, gateway: &[&str]) -> Self {
        let gateway = Gateway::start(gateway).await;
        let database = directory.join("server.db");
        let configuration = format!(
            "repository: {{type: sqlite, path: '{}'}}\n\
             services:\n\
             - name: jobs\n  \
               static_configs: [{{targets: ['{}']}}]\n  \
               scraper: {{endpoint: /-/errors, refresh_interval: 200ms}}\n",
            database.display(),
            gateway.address()
        );
        let server = Server::start(&configuration).await;
        Self { gateway, server, configuration }
    }

    async fn counts(&self, name: &str, count: u64) {
        self.server.error_of("jobs", name, count).await;
    }

    async fn kill_the_gateway(self) -> Self {
        Self { gateway: self.gateway.killed_and_restarted().await, ..self }
    }

    /// Kills the server once it has written what it was last told, at most a second later: a gateway
    /// without a store may not have that any more.
    async fn kill_the_server(self) -> Self {
        eventually("the server has written what it knows", || async {
            let (_, page) = self.server.get("/metrics").await;
            let pending = page.lines().find(|line| line.starts_with("periskop_store_pending"));
            match pending {
                Some(line) if line.ends_with(" 0") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        self.server.kill().await;
        Self { server: Server::start(&self.configuration).await, ..self }
    }
}

/// Two processes of one program, one of which ends; everything is killed in between.
#[expect(clippy::unwrap_used, reason = "it is what two tests do")]
async fn n_reported_are_n_on_the_server(command: impl Fn() -> Option<Command>, kind: &str) {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("gateway.db").display());
    for gateway in [&["--storage", &store][..], &[]] {
        let folder = directory.path().join(gateway.len().to_string());
        std::fs::create_dir(&folder).unwrap();
        let mut pair = Pair::start(&folder, gateway).await;
        let start = || {
            let mut command = command()?;
            command.env("PERISKOP_PUSH_TO", &pair.gateway.url);
            Some(command)
        };
        let Some(mut first) = start() else { return };
        let mut second = App::start(&mut start().unwrap()).await;
        let mut first = App::start(&mut first).await;

        let told = first.raise(kind, 12).await;
        pair.counts(&told.class, 12).await;
        second.raise(kind, 3).await;
        pair.counts(&told.class, 15).await;
        second.kill().await;

        pair = pair.kill_the_gateway().await;
        first.raise(kind, 4).await;
        pair.counts(&told.class, 19).await;

        pair = pair.kill_the_server().await;
        pair.counts(&told.class, 19).await;
        first.raise(kind, 1).await;
        pair.counts(&told.class, 20).await;

        pair = pair.kill_the_gateway().await.kill_the_server().await;
        first.raise(kind, 2).await;
        pair.counts(&told.class, 22).await;
    }
}

#[tokio::test]
async fn what_the_python_client_pushes_is_counted_once() {
    n_reported_are_n_on_the_server(|| python_app("0"), "value").await;
}

#[tokio::test]
async fn what_the_go_client_pushes_is_counted_once() {
    n_reported_are_n_on_the_server(|| go_app("0"), "plain").await;
}

fn sample(client: &str) -> Value {
    let file = workspace::corpus("samples").join(format!("clients/periskop-{client}.json"));
    serde_json::from_slice(&std::fs::read(file).expect("it is there")).expect("it is JSON")
}

fn seconds_ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    Timestamp::EPOCH.plus(now).minus(Duration::from_secs(seconds)).to_string()
}

/// What a process of another language has counted: as its client sent it, but that each of its
/// errors has happened so often, and first at that time.
fn payload(sample: &Value, uuid: &str, count: u64, began: &str) -> String {
    let mut payload = sample.clone();
    payload["target_uuid"] = json!(uuid);
    for error in payload["aggregated_errors"].as_array_mut().expect("it has errors") {
        error["total_count"] = json!(count);
        error["created_at"] = json!(began);
    }
    payload.to_string()
}

/// Two forked workers share the uuid of the collector that was made before the fork, and a third
/// process has its own. Each pushes after every exception.
#[expect(clippy::unwrap_used, reason = "it is what two tests do")]
async fn forked_workers_add_up(client: &str, content_type: &str) {
    let sample = sample(client);
    let keys: Vec<_> = sample["aggregated_errors"].as_array().unwrap().iter().collect();
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", directory.path().join("gateway.db").display());
    let mut pair = Pair::start(directory.path(), &["--storage", &store]).await;
    // The second begins later: what happens first within one second looks like one.
    let workers = [("forked", 50, 7), ("forked", 40, 5), ("other", 50, 3)];
    let payloads = workers.map(|(uuid, began, most)| {
        let began = seconds_ago(began);
        (1..=most).map(|count| payload(&sample, uuid, count, &began)).collect::<Vec<_>>()
    });
    for round in 0..7 {
        for worker in &payloads {
            // One that has ended is heard no more.
            let Some(body) = worker.get(round) else { continue };
            let (status, answer) = pair.gateway.push(content_type, body.clone()).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        }
        if round == 3 {
            pair = pair.kill_the_gateway().await;
        }
        if round == 5 {
            pair = pair.kill_the_server().await;
        }
    }
    // Pushes that arrive once more, the oldest last.
    for body in payloads.iter().flatten().rev() {
        assert_eq!(pair.gateway.push(content_type, body.clone()).await.0, StatusCode::OK);
    }
    pair = pair.kill_the_gateway().await;
    for error in keys {
        pair.counts(error["aggregation_key"].as_str().unwrap(), 15).await;
    }
}

#[tokio::test]
async fn forked_workers_of_ruby_add_up() {
    forked_workers_add_up("ruby", "application/json").await;
}

#[tokio::test]
async fn what_scala_sends_as_a_form_is_counted_once() {
    forked_workers_add_up("scala", "application/x-www-form-urlencoded").await;
}

#[tokio::test]
async fn forked_workers_of_the_python_client_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Pair::start(directory.path(), &[]).await;
    let Some(mut command) = python_app("0") else { return };
    command.env("PERISKOP_PUSH_TO", &pair.gateway.url);
    let mut app = App::start(&mut command).await;
    // Three workers raise the same, each twice, and end.
    let told = app.fork("value", 3, 2).await;
    assert_eq!(told.count, 6);
    pair.counts(&told.class, 6).await;
}
