//! The laws of discovery.

use async_trait::async_trait;
use periskop_core::discovery::Discovery;
use periskop_core::testing::discovery::Fleet;
use periskop_tests::PATIENCE;
use periskop_tests::sd::kubernetes::{ApiServer, Event, Objects};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use super::listener::Listener;

/// Nodes: each has one address and one port.
struct Nodes {
    server: ApiServer,
    there: Vec<String>,
}

fn node(address: &str) -> Json {
    let (host, port) = address.split_once(':').expect("an address has a port");
    let port: u16 = port.parse().expect("a port is a number");
    json!({
        "metadata": {"name": format!("node-{host}-{port}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": host}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    })
}

#[async_trait]
impl Fleet for Nodes {
    async fn set(&mut self, addresses: &[&str]) {
        for gone in self.there.iter().filter(|there| !addresses.contains(&there.as_str())) {
            self.server.happen(Event::new("DELETED", "nodes", node(gone)));
        }
        for new in addresses.iter().filter(|new| !self.there.iter().any(|it| it == *new)) {
            self.server.happen(Event::new("ADDED", "nodes", node(new)));
        }
        self.there = addresses.iter().map(ToString::to_string).collect();
    }

    async fn discover(&mut self) -> Box<dyn Discovery> {
        Listener::begin(&self.server, json!({"role": "node"})).discovery
    }
}

fn run(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async { timeout(PATIENCE, law).await }).expect("it does not wait for ever");
}

/// The server starts within the law, in its runtime.
struct Later(Option<Nodes>);

impl Later {
    async fn nodes(&mut self) -> &mut Nodes {
        if self.0.is_none() {
            let server = ApiServer::start(Objects::new(), None).await;
            self.0 = Some(Nodes { server, there: Vec::new() });
        }
        self.0.as_mut().expect("it has been made")
    }
}

#[async_trait]
impl Fleet for Later {
    async fn set(&mut self, addresses: &[&str]) {
        self.nodes().await.set(addresses).await;
    }

    async fn discover(&mut self) -> Box<dyn Discovery> {
        self.nodes().await.discover().await
    }
}

periskop_core::discovery_conformance! {
    run: run,
    fleet: Later(None),
}
