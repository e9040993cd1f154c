//! Prometheus itself, where it is installed.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::targets_api::Targets;
use crate::{eventually, http};

/// The programs: `prometheus`, and `promtool` beside it.
#[derive(Clone, Debug)]
pub struct Installed {
    prometheus: PathBuf,
    promtool: PathBuf,
}

/// A running Prometheus on a free port of loopback; it ends by being dropped.
#[derive(Debug)]
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    log: PathBuf,
    _process: Child,
    _directory: TempDir,
}

impl Installed {
    /// What `PERISKOP_PROMETHEUS` names (`scripts/prepare` sets it). `None`: nothing.
    pub fn find() -> Option<Self> {
        let prometheus = PathBuf::from(std::env::var_os("PERISKOP_PROMETHEUS")?);
        let promtool = prometheus.with_file_name("promtool");
        (prometheus.is_file() && promtool.is_file()).then_some(Self { prometheus, promtool })
    }

    /// Whether a configuration is one for it. JSON is YAML.
    ///
    /// # Errors
    ///
    /// What it says of it.
    ///
    /// # Panics
    ///
    /// If it cannot be asked.
    pub async fn accepts(&self, configuration: &Json) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), configuration.to_string()).expect("a temporary file");
        let mut check = Command::new(&self.promtool);
        let output =
            check.args(["check", "config", "--syntax-only"]).arg(file.path()).output().await;
        let output = output.expect("promtool can be started");
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Err(why.trim().to_owned())
    }

    /// Starts it with a configuration and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not get so far.
    pub async fn start(&self, configuration: &Json) -> Prometheus {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let in_it = |name: &str| directory.path().join(name);
        std::fs::write(in_it("prometheus.yml"), configuration.to_string()).expect("a file");
        let log = in_it("log");
        let written = std::fs::File::create(&log).expect("a file");
        let process = Command::new(&self.prometheus)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .current_dir(directory.path())
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("NO_PROXY", "127.0.0.1,localhost")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(written)
            .kill_on_drop(true)
            .spawn()
            .expect("Prometheus can be started");
        let address = eventually("Prometheus listens", || async {
            let said = std::fs::read_to_string(&log).map_err(|e| e.to_string())?;
            let listening = said.lines().find(|line| line.contains(r#"msg="Listening on""#));
            let address = listening.and_then(|line| line.split("address=").nth(1));
            address.map(|address| address.trim().to_owned()).ok_or(said)
        });
        let url = format!("http://{}", address.await);
        Prometheus { url, client: http(), log, _process: process, _directory: directory }
    }
}

impl Prometheus {
    /// The targets that it shows.
    ///
    /// # Panics
    ///
    /// If it does not answer, with the end of its log.
    pub async fn targets(&self) -> Targets {
        let url = format!("{}/api/v1/targets?state=any", self.url);
        let answer = async {
            let answer = self.client.get(url).send().await.map_err(|e| e.to_string())?;
            Targets::read(&answer.text().await.map_err(|e| e.to_string())?)
        };
        match answer.await {
            Ok(targets) => targets,
            Err(reason) => panic!("Prometheus: {reason}\n{}", self.last_words()),
        }
    }

    /// What it last complained of a job, if it did.
    pub fn complaint_of(&self, job: &str) -> Option<String> {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let of_job = format!("={job} ");
        let complaint = said.lines().rev().find(|line| line.contains(&of_job))?;
        Some(complaint.split_once("msg=").map_or(complaint, |(_, said)| said).to_owned())
    }

    fn last_words(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
