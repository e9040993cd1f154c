//! Serverset and Nerve discovery beside a real ZooKeeper: the laws of `Discovery`, and what may
//! happen to znodes and connections.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::testing::discovery::Fleet;
use periskop_discovery::nerve_sd::{Ensemble, NerveConfig};
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use periskop_tests::cut::Proxy;
use periskop_tests::sd::zookeeper::{ZooKeeper, missing};
use periskop_tests::sd::{ExpectedGroup, State};
use periskop_tests::skip;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const ROOT: &str = "/nerve/web";

/// Runs a test to its end, where there can be a server.
fn run(test: impl Future<Output = ()>) {
    if let Some(why) = missing() {
        return skip(why);
    }
    Runtime::new().expect("a runtime can be made").block_on(async {
        timeout(periskop_tests::PATIENCE, test).await.expect("nothing more came");
    });
}

fn member(address: &str) -> String {
    let (host, port) = address.split_once(':').expect("an address with a port");
    format!(r#"{{"host": "{host}", "port": {port}, "name": "{host}"}}"#)
}

fn discover(server: SocketAddr) -> Box<dyn Discovery> {
    discover_within(server, Duration::from_secs(10))
}

/// The same with another session timeout, which is how long a connection is tried for.
fn discover_within(server: SocketAddr, timeout: Duration) -> Box<dyn Discovery> {
    let ensemble =
        Ensemble { servers: vec![server.to_string()], paths: vec![ROOT.into()], timeout };
    // What has gone wrong is looked at again after this time.
    let refresh_interval = Some(Duration::from_millis(100));
    let options = BuildOptions { refresh_interval, ..BuildOptions::default() };
    let config = DiscoveryConfig::new(NerveConfig { ensemble });
    config.build(&options).expect("nothing can be wrong with it")
}

/// What a listener knows.
struct Listener {
    discovery: Box<dyn Discovery>,
    state: State,
    errors: Vec<String>,
}

impl Listener {
    fn new(discovery: Box<dyn Discovery>) -> Self {
        Self { discovery, state: State::default(), errors: Vec::new() }
    }

    async fn hear(&mut self) -> Result<(), DiscoveryError> {
        match self.discovery.next().await {
            Ok(groups) => {
                self.state.update(groups.iter().map(ExpectedGroup::from));
                Ok(())
            }
            Err(error) => {
                self.errors.push(error.to_string());
                Err(error)
            }
        }
    }

    /// Listens until exactly these znodes below the root have targets.
    async fn knows(&mut self, names: &[&str]) {
        let wanted: Vec<String> = names.iter().map(|name| format!("{ROOT}{name}")).collect();
        while self.state.sources() != wanted {
            // Errors are noted, and the next one may be news.
            let _ = self.hear().await;
        }
    }

    /// Listens until an error says this.
    async fn is_told(&mut self, what: &str) {
        while !self.errors.iter().any(|error| error.contains(what)) {
            let _ = self.hear().await;
        }
    }
}

async fn server() -> ZooKeeper {
    ZooKeeper::take().await.expect("a server can be started")
}

mod laws {
    use super::*;

    #[derive(Default)]
    struct ZnodeFleet {
        server: Option<ZooKeeper>,
        addresses: Vec<String>,
    }

    impl ZnodeFleet {
        async fn server(&mut self) -> &ZooKeeper {
            if self.server.is_none() {
                let server = super::server().await;
                server.create(ROOT, "").await.expect("the root can be made");
                self.server = Some(server);
            }
            self.server.as_ref().expect("it has just been made")
        }
    }

    #[async_trait]
    impl Fleet for ZnodeFleet {
        async fn set(&mut self, addresses: &[&str]) {
            let before = self.addresses.clone();
            let server = self.server().await;
            for gone in before.iter().filter(|address| !addresses.contains(&address.as_str())) {
                server.delete(&format!("{ROOT}/{gone}")).await.expect("it is there");
            }
            for new in addresses.iter().filter(|new| !before.iter().any(|known| known == *new)) {
                let path = format!("{ROOT}/{new}");
                server.create(&path, &member(new)).await.expect("it is new");
            }
            self.addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        }

        async fn discover(&mut self) -> Box<dyn Discovery> {
            let address = self.server().await.address();
            super::discover(address)
        }
    }

    periskop_core::discovery_conformance! { run: run, fleet: ZnodeFleet::default() }
}

#[test]
fn znodes_of_any_depth_are_found_also_when_they_come_again() {
    run(async {
        let server = server().await;
        let set = async |name: &str| {
            server.create(&format!("{ROOT}{name}"), &member("a:1")).await.expect("it can be made");
        };
        set("/x/y/z").await;
        let mut listener = Listener::new(discover(server.address()));
        listener.knows(&["/x/y/z"]).await;
        set("/x/y/w").await;
        set("/v").await;
        listener.knows(&["/v", "/x/y/w", "/x/y/z"]).await;
        server.delete(&format!("{ROOT}/x")).await.expect("it is there");
        listener.knows(&["/v"]).await;
        set("/x/y/z").await;
        listener.knows(&["/v", "/x/y/z"]).await;
        assert!(listener.errors.is_empty(), "{:?}", listener.errors);
    });
}

#[test]
fn data_that_is_no_member_takes_only_its_own_target() {
    run(async {
        let server = server().await;
        for name in ["a", "b"] {
            let made = server.create(&format!("{ROOT}/{name}"), &member("a:1")).await;
            made.expect("it can be made");
        }
        let mut listener = Listener::new(discover(server.address()));
        listener.knows(&["/a", "/b"]).await;
        server.set(&format!("{ROOT}/a"), "garbage").await.expect("it is there");
        listener.knows(&["/b"]).await;
        server.set(&format!("{ROOT}/a"), &member("c:3")).await.expect("it is there");
        listener.knows(&["/a", "/b"]).await;
    });
}

#[test]
fn a_path_that_does_not_exist_is_an_error_until_it_does() {
    run(async {
        let server = server().await;
        let mut listener = Listener::new(discover(server.address()));
        listener.is_told("path /nerve/web does not exist").await;
        server.create(&format!("{ROOT}/a"), &member("a:1")).await.expect("it can be made");
        listener.knows(&["/a"]).await;
        server.delete(ROOT).await.expect("it is there");
        listener.knows(&[]).await;
        listener.is_told("path /nerve/web no longer exists").await;
        server.create(&format!("{ROOT}/b"), &member("a:1")).await.expect("it can be made");
        listener.knows(&["/b"]).await;
    });
}

#[test]
fn a_lost_connection_takes_no_targets_and_all_is_read_anew_afterwards() {
    run(async {
        let server = server().await;
        for name in ["a", "b"] {
            let made = server.create(&format!("{ROOT}/{name}"), &member("a:1")).await;
            made.expect("it can be made");
        }
        let mut line = Proxy::to(&server.address().to_string());
        let mut listener = Listener::new(discover(line.address()));
        listener.knows(&["/a", "/b"]).await;

        line.cut().await;
        listener.is_told("lost connection").await;
        server.delete(&format!("{ROOT}/a")).await.expect("it is there");
        server.create(&format!("{ROOT}/c"), &member("a:1")).await.expect("it can be made");
        assert_eq!(listener.state.sources().len(), 2, "what is known stays");

        line.restore();
        listener.knows(&["/b", "/c"]).await;
    });
}

/// A line to a server that talks nonsense for as long as it is told to.
struct NoisyLine {
    address: SocketAddr,
    is_noisy: watch::Sender<bool>,
    relay: JoinHandle<()>,
}

impl NoisyLine {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (is_noisy, noise) = watch::channel(false);
        let relay = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(Self::connect(client, server, noise.clone()));
            }
        });
        Self { address, is_noisy, relay }
    }

    async fn connect(mut client: TcpStream, server: SocketAddr, mut noise: watch::Receiver<bool>) {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        let begins = async {
            let _ = noise.wait_for(|noisy| *noisy).await;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            () = begins => {}
        }
        // Frames of sixteen bytes that are no answers to anything, and half a one.
        let nonsense = [0, 0, 0, 16, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0];
        let _ = client.write_all(&nonsense.repeat(8)).await;
        let _ = client.write_all(&nonsense[..7]).await;
    }
}

impl Drop for NoisyLine {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

#[test]
fn nonsense_takes_no_targets() {
    run(async {
        let server = server().await;
        let path = |name: &str| format!("{ROOT}/{name}");
        server.create(&path("a"), &member("a:1")).await.expect("it can be made");
        let line = NoisyLine::to(server.address()).await;
        let mut listener = Listener::new(discover_within(line.address, Duration::from_secs(2)));
        listener.knows(&["/a"]).await;

        line.is_noisy.send_replace(true);
        while listener.errors.len() < 2 {
            let _ = listener.hear().await;
            assert_eq!(listener.state.sources(), [path("a")], "{:?}", listener.errors);
        }
        let lines = listener.errors.iter().all(|error| !error.contains(char::is_control));
        assert!(lines, "{:?}", listener.errors);

        line.is_noisy.send_replace(false);
        server.create(&path("b"), &member("b:1")).await.expect("it can be made");
        listener.knows(&["/a", "/b"]).await;
    });
}
