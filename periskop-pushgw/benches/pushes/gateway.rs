//! The gateway that is measured.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A gateway of its own, ended with this.
pub(crate) struct Gateway {
    pub(crate) address: String,
    pub(crate) storage: String,
    /// `1`, or `all` where it cannot be pinned.
    pub(crate) processors: &'static str,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// Starts one with this `--storage`. A path in it is below a temporary folder.
    pub(crate) fn start(storage: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let storage = match storage.split_once(':') {
            Some((kind @ ("sqlite" | "sled"), path)) => {
                format!("{kind}:{}", folder.path().join(path).display())
            }
            _ => storage.to_owned(),
        };
        let program = env!("CARGO_BIN_EXE_periskop-pushgw");
        let has_taskset = Command::new("taskset").arg("--version").output().is_ok();
        let (mut command, processors) = if has_taskset {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", "0", program]);
            (pinned, "1")
        } else {
            (Command::new(program), "all")
        };
        let child = command
            .args(["--listen", "127.0.0.1:0", "--storage", &storage])
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("the gateway starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the gateway says where it listens");
        let address = line.trim().rsplit('/').next().unwrap_or_default().to_owned();
        Self { address, storage, processors, child, _folder: folder }
    }

    /// Its processor time so far, user's and system's.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap_or_default();
        // The name, in parentheses, may hold blanks; user and system time are the 12th and 13th
        // after it, in hundredths of a second.
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// What it has in memory, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        kibibytes.unwrap_or(0_u64) * 1024
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.child.id()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has ended by itself only if something went wrong, which was told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
