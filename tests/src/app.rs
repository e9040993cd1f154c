//! A program with a published client in it, raising what it is told to.
//!
//! The protocol is the same for all languages, one line each way. The program first prints
//! `listening on ADDRESS`, where it answers `GET /-/exceptions` with the client's own handler. To
//! each `raise KIND N` it raises that kind N times, tells the client, and answers with a JSON
//! object: what it has told it of that kind since its start, counted by itself.

use serde::Deserialize;
use tokio::process::Command;

use crate::process::Process;

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

    /// Kills it.
    pub async fn kill(self) {
        self.process.kill().await;
    }
}
