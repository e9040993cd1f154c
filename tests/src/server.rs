//! A running `periskop-server`, and what its pages say.

use std::collections::BTreeMap;

use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::{eventually, http, workspace};

/// A server with a configuration of its own, on a free port of loopback.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    client: Client,
    process: Process,
    _directory: TempDir,
}

/// An error as `GET /services/{service}/errors/` has it.
#[derive(Debug, Deserialize)]
pub struct ShownError {
    /// The aggregation key.
    pub aggregation_key: String,
    /// The total.
    pub total_count: u64,
    /// The severity.
    pub severity: String,
    /// The newest occurrences, newest first.
    pub latest_errors: Vec<ShownOccurrence>,
}

/// An occurrence as `GET /services/{service}/errors/` has it.
#[derive(Debug, Deserialize)]
pub struct ShownOccurrence {
    /// The exception.
    pub error: ShownException,
    /// When, in seconds since the epoch.
    pub timestamp: i64,
    /// The request during which it happened.
    pub http_context: Option<serde_json::Value>,
}

/// An exception as `GET /services/{service}/errors/` has it.
#[derive(Debug, Deserialize)]
pub struct ShownException {
    /// The class.
    pub class: String,
    /// The message.
    pub message: Option<String>,
    /// The frames.
    pub stacktrace: Vec<String>,
    /// What caused it.
    pub cause: Option<Box<ShownException>>,
}

impl Server {
    /// Starts a server with this configuration and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not get so far.
    pub async fn start(configuration: &str) -> Self {
        let server = Self::listening(configuration).await;
        server.is_ready().await;
        server
    }

    /// `periskop-server demo`.
    pub async fn demo() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new(workspace::binary("periskop-server"));
        command.args(["demo", "--listen", "127.0.0.1:0"]);
        Self::ready(command, directory).await
    }

    /// Starts a server with this configuration and waits until it listens, ready or not.
    ///
    /// # Panics
    ///
    /// If it does not get so far.
    pub async fn listening(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("periskop.yaml");
        std::fs::write(&file, configuration).expect("a temporary file");
        let mut command = Command::new(workspace::binary("periskop-server"));
        command.arg("--config").arg(&file).args(["--listen", "127.0.0.1:0"]);
        Self::begun(command, directory).await
    }

    async fn ready(command: Command, directory: TempDir) -> Self {
        let server = Self::begun(command, directory).await;
        server.is_ready().await;
        server
    }

    /// Waits until what is stored is loaded.
    ///
    /// # Panics
    ///
    /// If that does not happen.
    pub async fn is_ready(&self) {
        eventually("the server is ready", || async {
            match self.get("/-/ready").await {
                (status, _) if status.is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Kills it, without a chance to write anything.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    /// Sends it a request without a body, as a script would.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn send(&self, method: reqwest::Method, path: &str) -> (StatusCode, String) {
        let answer = self.client.request(method, format!("{}{path}", self.url)).send().await;
        let answer = answer.expect("the server answers");
        (answer.status(), answer.text().await.expect("the server answers to the end"))
    }

    async fn begun(mut command: Command, directory: TempDir) -> Self {
        let mut process = Process::start(command.current_dir(directory.path()));
        let url = process.line_after("listening on ").await.trim_end_matches('/').to_owned();
        Self { url, client: http(), process, _directory: directory }
    }

    /// A server that scrapes one target of one service, often.
    pub async fn scraping(service: &str, address: &str) -> Self {
        Self::start(&format!(
            "services:\n\
             - name: {service}\n  \
               static_configs:\n  \
               - targets: ['{address}']\n  \
               scraper:\n    \
                 endpoint: /-/exceptions\n    \
                 refresh_interval: 200ms\n"
        ))
        .await
    }

    /// The most memory that it has had so far, in bytes, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// What it answers to `GET path`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.expect("the server answers");
        (answer.status(), answer.text().await.expect("the server answers to the end"))
    }

    /// The errors of a service, by key; none while the service is not known.
    ///
    /// # Panics
    ///
    /// If the answer has another shape.
    pub async fn errors(&self, service: &str) -> BTreeMap<String, ShownError> {
        let (status, body) = self.get(&format!("/services/{service}/errors/")).await;
        if status == StatusCode::NOT_FOUND {
            return BTreeMap::new();
        }
        let errors: Vec<ShownError> =
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
        errors.into_iter().map(|error| (error.aggregation_key.clone(), error)).collect()
    }

    /// The one error of `service` whose key or class is `name`, once its total is `count`.
    ///
    /// # Panics
    ///
    /// If it never gets there, or goes beyond.
    pub async fn error_of(&self, service: &str, name: &str, count: u64) -> ShownError {
        let what = format!("{name} of {service} is counted {count} times");
        eventually(&what, || async {
            let mut errors = self.errors(service).await;
            errors.retain(|key, error| key == name || error.latest_errors[0].error.class == name);
            assert!(errors.len() <= 1, "{name} is one error: {errors:?}");
            match errors.into_values().next() {
                Some(error) if error.total_count == count => Ok(error),
                Some(error) => {
                    assert!(error.total_count < count, "counted more than was told: {error:?}");
                    Err(format!("{}", error.total_count))
                }
                None => Err("unknown".to_owned()),
            }
        })
        .await
    }
}

impl ShownError {
    /// The messages of the occurrences, newest first.
    pub fn messages(&self) -> Vec<&str> {
        self.latest_errors
            .iter()
            .map(|occurrence| occurrence.error.message.as_deref().unwrap_or_default())
            .collect()
    }
}
