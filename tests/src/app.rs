//! A program with a published client in it, raising what it is told to.
//!
//! The protocol is the same for all languages, one line each way. The program first prints
//! `listening on ADDRESS`, where it answers `GET /-/exceptions` with the client's own handler. To
//! each `raise KIND N` it raises that kind N times, tells the client, and answers with a JSON
//! object: what it has told it of that kind since its start, counted by itself. Where
//! `PERISKOP_PUSH_TO` names a gateway, it pushes after each exception, as the client does that, and
//! does not mind if nobody is there. The Python program also understands `fork KIND N M`: N forked
//! workers raise it M times each and end; its answer is the same.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::Deserialize;
use tokio::process::Command;

use crate::process::Process;
use crate::{skip, workspace};

/// A running program with a client in it.
#[derive(Debug)]
pub struct App {
    process: Process,
    /// Where it listens, `host:port`.
    pub address: String,
}

/// What the client has been told of one kind.
#[derive(Debug, Deserialize)]
pub struct Told {
    /// The class that the client sees.
    pub class: String,
    /// How often, since the program started.
    pub count: u64,
    /// The messages of all of them, in order.
    pub messages: Vec<String>,
}

impl App {
    /// Starts the program and waits until it listens.
    pub async fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command);
        let address = process.line_after("listening on ").await;
        Self { process, address }
    }

    /// Has it raise `kind` `n` times.
    ///
    /// # Panics
    ///
    /// If it does not answer as agreed.
    pub async fn raise(&mut self, kind: &str, n: usize) -> Told {
        self.process.tell(&format!("raise {kind} {n}")).await;
        let line = self.process.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Has `workers` forked workers raise `kind` `n` times each.
    ///
    /// # Panics
    ///
    /// If it does not answer as agreed.
    pub async fn fork(&mut self, kind: &str, workers: usize, n: usize) -> Told {
        self.process.tell(&format!("fork {kind} {workers} {n}")).await;
        let line = self.process.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Kills it.
    pub async fn kill(self) {
        self.process.kill().await;
    }
}

/// The program with the published Python client, on this port. `None` where that cannot be had: the
/// test is skipped then, by name. `PERISKOP_PYTHON` names an interpreter that has the packages of
/// `tests/requirements.txt`; `scripts/test` prepares one.
pub fn python_app(port: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("PERISKOP_PYTHON") else {
        skip("PERISKOP_PYTHON names no interpreter with the published client");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(workspace::root().join("tests/clients/python_app.py")).arg(port);
    Some(command)
}

/// The program with the published Go client, on this port, built where there is a Go toolchain and
/// the pinned module can be had. `None` where not: the test is skipped then, by name.
pub fn go_app(port: &str) -> Option<Command> {
    match built_go() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.arg(port);
            Some(command)
        }
        Err(why) => {
            skip(why.replace('\n', " "));
            None
        }
    }
}

/// The Go program, built once for all tests of a process; else why not.
fn built_go() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let program = workspace::scratch().join("go-app");
        let output = std::process::Command::new("go")
            .current_dir(workspace::root().join("tests/clients/go"))
            .args(["build", "-mod=readonly", "-o"])
            .arg(&program)
            .arg(".")
            .output()
            .map_err(|error| format!("there is no Go: {error}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        match complaint.trim() {
            _ if output.status.success() => Ok(program),
            complaint if complaint.contains("go.sum") || complaint.contains("main.go") => {
                panic!("the program for the Go client is broken:\n{complaint}")
            }
            complaint => Err(format!("the Go client cannot be had: {complaint}")),
        }
    };
    BUILT.get_or_init(build).clone()
}
