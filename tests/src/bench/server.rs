//! A server that is measured.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use url::Url;

use super::Outcome;
use super::process::Account;
use crate::process::Process;

/// How long a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: Url,
    pub(super) account: Account,
    id: u32,
    process: Process,
}

impl Server {
    /// Starts it and waits until it is ready; how long that took. Its log, of which `filter` says
    /// what is in it, goes to a file.
    pub(super) async fn start(
        binary: &Path,
        config: &Path,
        log: &Path,
        filter: &str,
    ) -> Outcome<(Self, Duration)> {
        let begun = Instant::now();
        let mut command = Command::new(binary);
        command.arg("--config").arg(config).args(["--listen", "127.0.0.1:0"]);
        command.env("RUST_LOG", filter).stderr(Stdio::from(File::create(log)?));
        let mut process = Process::start(&mut command);
        let url = Url::parse(&process.line_after("listening on ").await)?;
        let id = process.id().ok_or("the server has ended")?;
        let server = Self { url, account: Account::of(id), id, process };
        let ready = server.url.join("-/ready")?;
        let client = crate::http();
        while !client.get(ready.clone()).send().await?.status().is_success() {
            if begun.elapsed() > PATIENCE {
                return Err("the server does not become ready".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((server, begun.elapsed()))
    }

    /// Has it end, and waits until it has; how long that took.
    pub(super) async fn stop(self) -> Outcome<Duration> {
        let begun = Instant::now();
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).ok_or("no process")?;
        kill_process(id, Signal::TERM)?;
        let status = self.process.ended().await;
        if !status.success() {
            return Err(format!("the server ended with {status}").into());
        }
        Ok(begun.elapsed())
    }

    /// Has it read its configuration again.
    pub(super) async fn reload(&self) -> Outcome<()> {
        let answer = crate::http().post(self.url.join("-/reload")?).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// How many errors it lists.
    pub(super) async fn errors(&self) -> Outcome<usize> {
        let body = self.get("api/v1/errors?limit=1").await?;
        let page: serde_json::Value = serde_json::from_str(&body)?;
        let total = page["total"].as_u64().ok_or("the list has no total")?;
        Ok(usize::try_from(total)?)
    }

    /// What it answers.
    pub(super) async fn get(&self, path: &str) -> Outcome<String> {
        let answer = crate::http().get(self.url.join(path)?).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// The server beside this program, unless another is asked for.
pub(super) fn binary(asked: Option<&Path>) -> Outcome<PathBuf> {
    let binary = match asked {
        Some(binary) => binary.to_owned(),
        None => {
            let name = format!("periskop-server{}", std::env::consts::EXE_SUFFIX);
            std::env::current_exe()?.with_file_name(name)
        }
    };
    match binary.is_file() {
        true => Ok(binary),
        false => Err(format!("there is no {}; scripts/bench builds it", binary.display()).into()),
    }
}
