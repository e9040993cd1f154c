//! A process that lives as long as its test needs it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::PATIENCE;

/// A running program whose standard output is read line by line. Killed when it is dropped; its
/// standard error goes where the test's goes.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: ChildStdin,
    /// `None` once nobody listens any more.
    output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, output: Some(output) }
    }

    /// What is read of the output next.
    ///
    /// # Panics
    ///
    /// If the program ends or keeps silent.
    pub async fn line(&mut self) -> String {
        let output = self.output.as_mut().expect("somebody listens");
        match timeout(PATIENCE, output.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Ok(ended) => panic!("the program ended: {ended:?} {:?}", self.child.wait().await),
            Err(_) => panic!("the program says nothing"),
        }
    }

    /// The rest of the first line that begins with `prefix`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn line_after(&mut self, prefix: &str) -> String {
        loop {
            if let Some(rest) = self.line().await.strip_prefix(prefix) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Reads on without listening, for one that talks more than a pipe holds and would wait.
    /// Called within a runtime.
    pub fn let_talk(&mut self) {
        if let Some(mut output) = self.output.take() {
            tokio::spawn(async move { while let Ok(Some(_)) = output.next_line().await {} });
        }
    }

    /// Writes a line to its input.
    ///
    /// # Panics
    ///
    /// If it does not listen any more.
    pub async fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.expect("the program reads its input");
        self.input.flush().await.expect("the program reads its input");
    }

    /// Its number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it at once after this time, and waits until it is gone; what it still said.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub async fn killed_after(mut self, time: Duration) -> Vec<String> {
        tokio::time::sleep(time).await;
        self.child.kill().await.expect("the program can be killed");
        let mut said = Vec::new();
        if let Some(output) = &mut self.output {
            while let Ok(Some(line)) = output.next_line().await {
                said.push(line);
            }
        }
        said
    }

    /// Waits until it has ended by itself; how it ended.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub async fn ended(mut self) -> std::process::ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("the program does not end"),
        }
    }

    /// Ends it at once, without a chance to say goodbye, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the program can be killed");
    }
}
