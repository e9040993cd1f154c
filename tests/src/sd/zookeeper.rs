//! A real ZooKeeper, as Debian's package `zookeeper` has it: one server for all cases, which come
//! one after the other, each to an empty tree.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};
use zookeeper_client::{Acls, Client, CreateMode, Error};

use crate::{PATIENCE, eventually};

const JAR: &str = "/usr/share/java/zookeeper.jar";
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// Runs a server as long as its standard input is open, which is as long as we are there.
const GUARD: &str =
    r#"dir=$1; shift; "$@" & cat >/dev/null; kill $! 2>/dev/null; wait; rm -rf "$dir""#;

/// A znode that a case begins with.
#[derive(Clone, Debug, Deserialize)]
pub struct Znode {
    path: String,
    #[serde(default)]
    data: String,
}

/// A change.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Step {
    /// A new znode.
    Create(Znode),
    /// Other data.
    Set(Znode),
    /// A znode that goes, with all below it.
    Delete {
        /// Which.
        path: String,
    },
}

/// Why no server can be started here; `None` where one can.
pub fn missing() -> Option<String> {
    if !Path::new(JAR).exists() {
        return Some("Debian's package zookeeper is not installed".into());
    }
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    (!java.is_ok_and(|status| status.success())).then(|| "there is no java".into())
}

/// A server with an empty tree, for as long as this is held.
pub struct ZooKeeper {
    client: Client,
    address: SocketAddr,
    _turn: MutexGuard<'static, ()>,
}

impl ZooKeeper {
    /// Waits for its turn, and empties the tree.
    ///
    /// # Errors
    ///
    /// Why there is no server, or what it would not do.
    pub async fn take() -> Result<Self, String> {
        static TURN: Mutex<()> = Mutex::const_new(());
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        let turn = TURN.lock().await;
        let server = SERVER.get_or_init(|| Server::start().map_err(|e| e.to_string()));
        let address = server.as_ref().map_err(Clone::clone)?.address;
        let client = connect(address).await?;
        let zookeeper = Self { client, address, _turn: turn };
        for child in zookeeper.client.list_children("/").await.map_err(|e| e.to_string())? {
            if child != "zookeeper" {
                zookeeper.delete(&format!("/{child}")).await?;
            }
        }
        Ok(zookeeper)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a znode, and those above it.
    ///
    /// # Errors
    ///
    /// What the server would not do.
    pub async fn create(&self, path: &str, data: &str) -> Result<(), String> {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        if !above.is_empty() {
            self.client.mkdir(above, &options).await.map_err(|e| format!("{above}: {e}"))?;
        }
        match self.client.create(path, data.as_bytes(), &options).await {
            Ok(_) => Ok(()),
            // It was made as one above another.
            Err(Error::NodeExists) => self.set(path, data).await,
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// Gives a znode other data.
    ///
    /// # Errors
    ///
    /// What the server would not do.
    pub async fn set(&self, path: &str, data: &str) -> Result<(), String> {
        let set = self.client.set_data(path, data.as_bytes(), None).await;
        set.map(drop).map_err(|e| format!("{path}: {e}"))
    }

    /// Deletes a znode and all below it.
    ///
    /// # Errors
    ///
    /// What the server would not do.
    pub async fn delete(&self, path: &str) -> Result<(), String> {
        let failed = |error: Error| format!("{path}: {error}");
        // Each after all that is below it.
        let mut all = vec![path.to_owned()];
        let mut next = 0;
        while let Some(path) = all.get(next).cloned() {
            let children = self.client.list_children(&path).await.map_err(failed)?;
            all.extend(children.iter().map(|child| format!("{path}/{child}")));
            next += 1;
        }
        for path in all.iter().rev() {
            self.client.delete(path, None).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Does what a case says.
    ///
    /// # Errors
    ///
    /// What the server would not do.
    pub async fn apply(&self, step: &Step) -> Result<(), String> {
        match step {
            Step::Create(znode) => self.create(&znode.path, &znode.data).await,
            Step::Set(znode) => self.set(&znode.path, &znode.data).await,
            Step::Delete { path } => self.delete(path).await,
        }
    }

    /// Makes what a case begins with.
    ///
    /// # Errors
    ///
    /// What the server would not do.
    pub async fn create_all(&self, znodes: &[Znode]) -> Result<(), String> {
        for Znode { path, data } in znodes {
            self.create(path, data).await?;
        }
        Ok(())
    }
}

/// A session with a server that may only just be starting.
async fn connect(address: SocketAddr) -> Result<Client, String> {
    // What is connected to before the server is ready may never be answered.
    eventually("ZooKeeper", || connect_within(address, Duration::from_secs(2))).await;
    connect_within(address, PATIENCE).await
}

async fn connect_within(address: SocketAddr, timeout: Duration) -> Result<Client, String> {
    let connector = Client::connector().with_fail_eagerly().with_session_timeout(timeout);
    connector.connect(&address.to_string()).await.map_err(|error| error.to_string())
}

struct Server {
    address: SocketAddr,
    /// Its standard input is what keeps the server.
    _guard: Child,
}

impl Server {
    fn start() -> io::Result<Self> {
        let dir = tempfile::tempdir()?.keep();
        // The port is free again, and the next that is given away is another one.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             maxClientCnxns=0\nadmin.enableServer=false\n",
            dir.display(),
            address.port(),
        );
        fs::write(dir.join("zoo.cfg"), config)?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&dir)
            .args(["java", "-Xmx128m", "-XX:TieredStopAtLevel=1"])
            .args(["-Dzookeeper.jmx.log4j.disable=true", "-cp"])
            .arg(format!("{JAR}:/usr/share/java/*"))
            .arg(MAIN)
            .arg(dir.join("zoo.cfg"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { address, _guard: guard })
    }
}
