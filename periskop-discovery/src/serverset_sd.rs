//! `serverset_sd_configs`: members of Twitter's ServerSets, as Finagle and Aurora keep them in
//! ZooKeeper.

use std::collections::BTreeMap;

use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::Discovery;
use periskop_core::target::Labels;
use serde::Deserialize;

use crate::build::{BuildError, BuildOptions};
use crate::go_json;
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
pub use crate::zookeeper::Ensemble;

/// One item of `serverset_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServersetConfig {
    /// Where the members are.
    pub ensemble: Ensemble,
}

impl ServersetConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let ensemble = Ensemble::take(&mut fields, "serverset");
        fields.finish();
        Some(Self { ensemble })
    }
}

impl Mechanism for ServersetConfig {
    fn name(&self) -> &'static str {
        "serverset"
    }

    fn effective(&self) -> Node {
        self.ensemble.effective()
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        Ok(self.ensemble.watch(options, target))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Member {
    service_endpoint: Endpoint,
    additional_endpoints: BTreeMap<String, Endpoint>,
    status: String,
    shard: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    host: String,
    port: i64,
}

fn target(data: &[u8], path: &str) -> Option<Labels> {
    let member: Member = go_json::from_slice(data).ok()?;
    let Endpoint { host, port } = &member.service_endpoint;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(host, port)),
        ("__meta_serverset_path", path.to_owned()),
        ("__meta_serverset_endpoint_host", host.clone()),
        ("__meta_serverset_endpoint_port", port.to_string()),
        ("__meta_serverset_status", member.status.clone()),
        ("__meta_serverset_shard", member.shard.to_string()),
    ]);
    for (name, Endpoint { host, port }) in &member.additional_endpoints {
        let name = sanitize(name);
        labels.insert(format!("__meta_serverset_endpoint_host_{name}"), host.as_str());
        labels.insert(format!("__meta_serverset_endpoint_port_{name}"), port.to_string());
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_what_is_no_object_is_no_member() {
        let json = br#"{"ServiceEndpoint": {"HOST": "a", "port": 1}, "additionalEndpoints": null}"#;
        assert_eq!(target(json, "/x").unwrap().get(ADDRESS), "a:1");
        assert_eq!(target(b"{}", "/x").unwrap().get(ADDRESS), ":0");
        assert_eq!(target(b"null", "/x").unwrap().get(ADDRESS), ":0");
        for data in [&b""[..], b"[]", b"1", b"{\"shard\": \"1\"}", b"{} x"] {
            assert_eq!(target(data, "/x"), None);
        }
    }
}
