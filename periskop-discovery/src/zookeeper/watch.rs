//! Trees of znodes, watched.
//!
//! ZooKeeper tells once that something about a znode has changed, its data or its children; what
//! was told is asked for again, which watches it again. All that goes wrong ends the session:
//! what is known stays, and after a while everything is read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use periskop_core::discovery::DiscoveryError;
use periskop_core::target::TargetGroup;
use tokio::time::{Instant, sleep, sleep_until};
use zookeeper_client::{Client, Error, EventType, OneshotWatcher, SessionState};

use super::{Ensemble, Parse};
use crate::build::BuildOptions;
use crate::label::quoted;
use crate::watching::Teller;

/// How long a failure is waited out, as in Prometheus.
const RETRY: Duration = Duration::from_secs(10);
/// So many znodes are read at once. Prometheus reads one after the other.
const AT_ONCE: usize = 32;
/// More than any ensemble holds in one place.
const ZNODES_LIMIT: usize = 1_000_000;

/// A watch that has not begun.
pub(super) struct Watch {
    ensemble: Ensemble,
    parse: Parse,
    retry: Duration,
}

impl Watch {
    pub(super) fn new(ensemble: Ensemble, parse: Parse, options: &BuildOptions) -> Self {
        Self { ensemble, parse, retry: options.interval(RETRY) }
    }

    pub(super) async fn run(self, mut teller: Teller) {
        loop {
            // The client's crate panics where a session ends in a way that it does not expect,
            // such as by an answer that nobody asked for. That must not be the end of the watch.
            let session = AssertUnwindSafe(self.session(&mut teller)).catch_unwind().await;
            let reason = match session {
                Ok(Err(reason)) => reason,
                Err(_) => "the session ended unexpectedly".into(),
            };
            teller.error(self.failed(&reason)).await;
            sleep(self.retry).await;
        }
    }

    fn failed(&self, reason: &str) -> DiscoveryError {
        let endpoint = format!("zookeeper {}", self.ensemble.servers.join(","));
        DiscoveryError::Unreachable { endpoint, reason: reason.to_owned() }
    }

    /// Reads everything and follows it, until something goes wrong.
    async fn session(&self, teller: &mut Teller) -> Result<Infallible, String> {
        let connector = Client::connector().with_session_timeout(self.ensemble.timeout);
        let servers = self.ensemble.servers.join(",");
        let client = connector.connect(&servers).await.map_err(|e| e.to_string())?;
        let mut state = client.state_watcher();
        let mut trees = Trees::new(client, self.parse);

        let mut absent = self.read_roots(&mut trees, teller, &self.ensemble.paths).await?;
        loop {
            let retry_at = Instant::now() + self.retry;
            let tried = tokio::select! {
                fired = trees.fired.next(), if !trees.fired.is_empty() => fired,
                changed = state.changed() => match changed {
                    SessionState::SyncConnected | SessionState::ConnectedReadOnly => continue,
                    _ => return Err("lost connection to Zookeeper".into()),
                },
                () = sleep_until(retry_at), if !absent.is_empty() => None,
            };
            match tried {
                Some(fired) => {
                    trees.handle(fired).await?;
                    teller.groups(trees.changed()).await;
                    for root in &self.ensemble.paths {
                        if !absent.contains(root) && !trees.nodes.contains_key(root) {
                            absent.push(root.clone());
                            let message = format!("path {root} no longer exists");
                            teller.error(self.failed(&message)).await;
                        }
                    }
                }
                None => absent = self.read_roots(&mut trees, teller, &absent).await?,
            }
        }
    }

    /// Reads what is below some of the roots and tells it. Answers with those that do not exist:
    /// what was known of them stays.
    async fn read_roots(
        &self,
        trees: &mut Trees,
        teller: &mut Teller,
        roots: &[String],
    ) -> Result<Vec<String>, String> {
        let mut absent = Vec::new();
        for root in roots {
            trees.read(root.clone()).await?;
            if !trees.nodes.contains_key(root) {
                absent.push(root.clone());
            }
        }
        if absent.len() < roots.len() {
            let mut groups = trees.changed();
            let gone = teller.sources().filter(|source| {
                roots.iter().any(|root| is_below(source, root) && !absent.contains(root))
                    && !trees.nodes.contains_key(*source)
            });
            groups.extend(gone.map(empty));
            // Of znodes without a target nobody need know before there was one.
            groups.retain(|group| teller.told_once() || !group.targets.is_empty());
            teller.groups(groups).await;
        }
        // Errors come last: what is told after one says that it is over.
        for root in &absent {
            teller.error(self.failed(&format!("path {root} does not exist"))).await;
        }
        Ok(absent)
    }
}

fn empty(source: &str) -> TargetGroup {
    TargetGroup { source: source.to_owned(), ..TargetGroup::default() }
}

fn is_below(path: &str, root: &str) -> bool {
    path == root || path.starts_with(&prefix(root))
}

/// What the paths of all znodes below one begin with.
fn prefix(path: &str) -> String {
    if path == "/" { "/".into() } else { format!("{path}/") }
}

/// What is known of the znodes, and what watches them.
struct Trees {
    client: Client,
    parse: Parse,
    nodes: BTreeMap<String, Znode>,
    fired: FuturesUnordered<Pin<Box<dyn Future<Output = Fired> + Send>>>,
    read: u64,
    /// By source, since it was last asked for.
    changed: BTreeMap<String, TargetGroup>,
}

struct Znode {
    /// The how many-th that was read: watches of an earlier one at this path are no news.
    number: u64,
    /// Names.
    children: BTreeSet<String>,
}

/// What a watch was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Data,
    Children,
}

struct Fired {
    path: String,
    number: u64,
    about: About,
    /// Nothing will come from this session any more.
    is_end: bool,
}

struct Read {
    path: String,
    data: Vec<u8>,
    children: Vec<String>,
    watchers: [(About, OneshotWatcher); 2],
}

impl Trees {
    fn new(client: Client, parse: Parse) -> Self {
        let (nodes, fired, changed) = Default::default();
        Self { client, parse, nodes, fired, read: 0, changed }
    }

    /// What has changed since this was last called.
    fn changed(&mut self) -> Vec<TargetGroup> {
        std::mem::take(&mut self.changed).into_values().collect()
    }

    /// Reads a znode and all below it, level by level. One that is not there is left out.
    async fn read(&mut self, root: String) -> Result<(), String> {
        let client = self.client.clone();
        let mut level = vec![root];
        while !level.is_empty() {
            let mut reads =
                stream::iter(level).map(|path| read(&client, path)).buffer_unordered(AT_ONCE);
            let mut next = Vec::new();
            while let Some(read) = reads.next().await {
                let Some(Read { path, data, children, watchers }) = read? else { continue };
                self.read += 1;
                let number = self.read;
                for (about, watcher) in watchers {
                    self.watch(&path, number, about, watcher);
                }
                self.note(&path, &data);
                next.extend(children.iter().map(|child| format!("{}{child}", prefix(&path))));
                let children = children.into_iter().collect();
                self.nodes.insert(path, Znode { number, children });
                if self.nodes.len() + next.len() > ZNODES_LIMIT {
                    return Err(format!("more than {ZNODES_LIMIT} znodes"));
                }
            }
            level = next;
        }
        Ok(())
    }

    fn watch(&self, path: &str, number: u64, about: About, watcher: OneshotWatcher) {
        let path = path.to_owned();
        self.fired.push(Box::pin(async move {
            let event = watcher.changed().await;
            Fired { path, number, about, is_end: event.event_type == EventType::Session }
        }));
    }

    /// Notes the target that a znode's data makes, or that it makes none.
    fn note(&mut self, path: &str, data: &[u8]) {
        let mut group = empty(path);
        group.targets.extend((self.parse)(data, path));
        self.changed.insert(path.to_owned(), group);
    }

    /// Asks again for what has changed.
    async fn handle(&mut self, fired: Fired) -> Result<(), String> {
        let Fired { path, number, about, is_end } = fired;
        if is_end {
            return Err("lost connection to Zookeeper".into());
        }
        if self.nodes.get(&path).is_none_or(|node| node.number != number) {
            return Ok(());
        }
        match about {
            About::Data => match self.client.get_and_watch_data(&path).await {
                Ok((data, _, watcher)) => {
                    self.watch(&path, number, About::Data, watcher);
                    self.note(&path, &data);
                }
                Err(Error::NoNode) => self.remove(&path),
                Err(error) => return Err(failed(&path, &error)),
            },
            About::Children => {
                let answer = self.client.get_and_watch_children(&path).await;
                match answer {
                    Ok((children, _, watcher)) => {
                        self.watch(&path, number, About::Children, watcher);
                        self.replace_children(&path, children).await?;
                    }
                    Err(Error::NoNode) => self.remove(&path),
                    Err(error) => return Err(failed(&path, &error)),
                }
            }
        }
        Ok(())
    }

    async fn replace_children(&mut self, path: &str, now: Vec<String>) -> Result<(), String> {
        let now: BTreeSet<String> = now.into_iter().collect();
        let Some(node) = self.nodes.get_mut(path) else { return Ok(()) };
        let before = std::mem::replace(&mut node.children, now.clone());
        let prefix = prefix(path);
        for gone in before.difference(&now) {
            self.remove(&format!("{prefix}{gone}"));
        }
        for child in now {
            let child = format!("{prefix}{child}");
            // One that is known may have gone and come back: its own watches say so.
            if !self.nodes.contains_key(&child) {
                self.read(child).await?;
            }
        }
        Ok(())
    }

    /// Forgets a znode and all below it.
    fn remove(&mut self, path: &str) {
        let below = prefix(path);
        let range = self.nodes.range(below.clone()..);
        let inside = range.take_while(|(path, _)| path.starts_with(&below));
        let mut gone: Vec<String> = inside.map(|(path, _)| path.clone()).collect();
        gone.push(path.to_owned());
        for path in gone {
            self.nodes.remove(&path);
            self.changed.insert(path.clone(), empty(&path));
        }
    }
}

/// A znode with its children, both watched; `None` where there is none.
async fn read(client: &Client, path: String) -> Result<Option<Read>, String> {
    let (data, _, data_watcher) = match client.get_and_watch_data(&path).await {
        Ok(answer) => answer,
        Err(Error::NoNode) => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let (children, _, children_watcher) = match client.get_and_watch_children(&path).await {
        Ok(answer) => answer,
        Err(Error::NoNode) => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let watchers = [(About::Data, data_watcher), (About::Children, children_watcher)];
    Ok(Some(Read { path, data, children, watchers }))
}

fn failed(path: &str, error: &Error) -> String {
    format!("{}: {error}", quoted(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watching::Watching;
    use periskop_core::discovery::Discovery as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_server_that_answers_garbage_is_an_error_and_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // A length that nobody sends, then nothing that was asked for.
                let _ = stream.write_all(b"\x7f\xff\xff\xffHTTP/1.1 400 Bad Request\r\n").await;
            }
        });
        let ensemble = Ensemble {
            servers: vec![address.to_string()],
            paths: vec!["/a".into()],
            timeout: Duration::from_millis(200),
        };
        let retry = Duration::from_millis(10);
        let watch = Watch { ensemble, parse: |_, _| None, retry };
        let mut watching = Watching::new(|teller| watch.run(teller));
        for _ in 0..2 {
            let told = timeout(Duration::from_secs(20), watching.next()).await.unwrap();
            assert!(told.unwrap_err().to_string().starts_with("zookeeper 127.0.0.1:"));
        }
        server.abort();
    }

    #[test]
    fn what_is_below_a_path_has_it_as_its_beginning_up_to_a_slash() {
        assert!(is_below("/a", "/a") && is_below("/a/b", "/a") && is_below("/a", "/"));
        assert!(!is_below("/ab", "/a"));
    }
}
