//! A running `periskop-pushgw`, which can be killed and begin anew at its address.

use std::net::SocketAddr;

use reqwest::{Client, StatusCode};
use tokio::process::Command;

use crate::process::Process;
use crate::{http, workspace};

/// A gateway on loopback, with these arguments beside its address.
#[derive(Debug)]
pub struct Gateway {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    arguments: Vec<String>,
    client: Client,
    process: Process,
}

impl Gateway {
    /// Starts one on a free port.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::at("127.0.0.1:0", arguments).await
    }

    async fn at(address: &str, arguments: Vec<String>) -> Self {
        let mut command = Command::new(workspace::binary("periskop-pushgw"));
        command.args(["--listen", address]).args(&arguments);
        let mut process = Process::start(&mut command);
        let url = process.line_after("listening on ").await.trim_end_matches('/').to_owned();
        Self { url, arguments, client: http(), process }
    }

    /// `127.0.0.1:PORT`
    ///
    /// # Panics
    ///
    /// Never: it says where it listens.
    pub fn address(&self) -> SocketAddr {
        let (_, address) = self.url.split_once("://").expect("it is a URL");
        address.parse().expect("it says its address")
    }

    /// The number of its process.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn id(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Kills it, and starts it anew at the same address.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn killed_and_restarted(self) -> Self {
        let (address, arguments) = (self.address().to_string(), self.arguments.clone());
        self.process.kill().await;
        Self::at(&address, arguments).await
    }

    /// Pushes; the status and the answer.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn push(&self, content_type: &str, body: String) -> (StatusCode, String) {
        let url = format!("{}/errors", self.url);
        let push = self.client.post(url).header("content-type", content_type).body(body);
        let answer = push.send().await.expect("the gateway answers");
        (answer.status(), answer.text().await.expect("the gateway answers to the end"))
    }

    /// What it answers to `GET path`.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.expect("the gateway answers");
        (answer.status(), answer.text().await.expect("the gateway answers to the end"))
    }
}
