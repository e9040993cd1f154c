//! `nerve_sd_configs`: services that AirBnB's Nerve keeps in ZooKeeper.

use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::Discovery;
use periskop_core::target::Labels;
use serde::Deserialize;

use crate::build::{BuildError, BuildOptions};
use crate::go_json;
use crate::groups::ADDRESS;
use crate::label::join_host_port;
use crate::mechanism::Mechanism;
pub use crate::zookeeper::Ensemble;

/// One item of `nerve_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NerveConfig {
    /// Where the members are.
    pub ensemble: Ensemble,
}

impl NerveConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let ensemble = Ensemble::take(&mut fields, "nerve");
        fields.finish();
        Some(Self { ensemble })
    }
}

impl Mechanism for NerveConfig {
    fn name(&self) -> &'static str {
        "nerve"
    }

    fn effective(&self) -> Node {
        self.ensemble.effective()
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        Ok(self.ensemble.watch(options, target))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Member {
    host: String,
    port: i64,
    name: String,
}

fn target(data: &[u8], path: &str) -> Option<Labels> {
    let Member { host, port, name } = go_json::from_slice(data).ok()?;
    Some(Labels::from([
        (ADDRESS, join_host_port(&host, port)),
        ("__meta_nerve_path", path.to_owned()),
        ("__meta_nerve_endpoint_host", host),
        ("__meta_nerve_endpoint_port", port.to_string()),
        ("__meta_nerve_endpoint_name", name),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_no_member() {
        assert_eq!(
            target(b"{\"Host\": \"::1\", \"port\": 2}", "/x").unwrap().get(ADDRESS),
            "[::1]:2"
        );
        assert_eq!(target(b"null", "/x").unwrap().get(ADDRESS), ":0");
        assert_eq!(target(b"", "/x"), None);
        assert_eq!(target(b"{\"port\": \"2\"}", "/x"), None);
    }
}
