//! What is in the cluster, and who listens to what is told of it.

use std::collections::BTreeMap;
use std::time::Duration;

use periskop_core::config::{self, At, Fields, Node, Problems};
use periskop_core::discovery::Discovery;
use periskop_core::target::Labels;
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use periskop_tests::PATIENCE;
use periskop_tests::sd::kubernetes::{ApiServer, Objects};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

/// Nothing is told that is not told after so long.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) fn pod(name: &str, ip: &str) -> Json {
    pod_of("default", name, ip)
}

pub(crate) fn pod_of(namespace: &str, name: &str, ip: &str) -> Json {
    json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"podIP": ip},
    })
}

pub(crate) fn objects<const N: usize>(of: [(&str, Vec<Json>); N]) -> Objects {
    of.into_iter().map(|(resource, objects)| (resource.to_owned(), objects)).collect()
}

/// What is known, by source: the addresses, and the labels of the group.
#[derive(Default)]
pub(crate) struct Known(BTreeMap<String, (Vec<String>, BTreeMap<String, String>)>);

/// A discovery that is listened to.
pub(crate) struct Listener {
    pub(crate) discovery: Box<dyn Discovery>,
    known: Known,
    pub(crate) errors: Vec<String>,
}

impl Listener {
    /// Begins with one item of `kubernetes_sd_configs`, with the server's address in it.
    pub(crate) fn begin(server: &ApiServer, mut item: Json) -> Self {
        item["api_server"] = json!(format!("http://{}", server.address()));
        Self::build(&item, &BuildOptions::default()).expect("it can be built")
    }

    pub(crate) fn build(item: &Json, options: &BuildOptions) -> Result<Self, String> {
        let root = Node::from_json(&json!({"kubernetes_sd_configs": [item]}));
        let decode = |at: &At<'_>, problems: &mut Problems| {
            let mut fields = Fields::new(at, problems)?;
            let configs = DiscoveryConfig::decode_all(&mut fields);
            fields.finish();
            configs.into_iter().next()
        };
        let config = config::decode(&root, decode).map_err(|problems| problems.to_string())?;
        let discovery = config.build(options).map_err(|error| error.to_string())?;
        Ok(Self { discovery, known: Known::default(), errors: Vec::new() })
    }

    /// Listens once; answers with the sources that were told.
    pub(crate) async fn hear(&mut self) -> Vec<String> {
        let next = timeout(PATIENCE, self.discovery.next()).await.expect("something comes");
        match next {
            Ok(groups) => {
                let mut sources = Vec::new();
                for group in groups {
                    sources.push(group.source.clone());
                    if group.targets.is_empty() {
                        self.known.0.remove(&group.source);
                        continue;
                    }
                    let address = |target: &Labels| target.get("__address__").to_owned();
                    let addresses = group.targets.iter().map(address).collect();
                    let labels = group.labels.iter();
                    let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
                    self.known.0.insert(group.source, (addresses, labels));
                }
                sources
            }
            Err(error) => {
                self.errors.push(error.to_string());
                Vec::new()
            }
        }
    }

    pub(crate) async fn hear_an_error(&mut self) -> String {
        while self.errors.is_empty() {
            self.hear().await;
        }
        let error = self.errors.remove(0);
        assert!(!error.contains('\n'), "one line: {error}");
        error
    }

    /// Listens until these addresses are known.
    pub(crate) async fn hear_of(&mut self, addresses: &[&str]) {
        while self.addresses() != addresses {
            self.hear().await;
        }
    }

    pub(crate) async fn hears_nothing(&mut self) {
        let told = timeout(QUIET, self.discovery.next()).await;
        assert!(told.is_err(), "told {told:?}");
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut all: Vec<_> = self.known.0.values().flat_map(|(it, _)| it.clone()).collect();
        all.sort();
        all
    }

    pub(crate) fn label(&self, source: &str, name: &str) -> Option<&str> {
        self.known.0.get(source)?.1.get(name).map(String::as_str)
    }
}
