//! `ionos_sd_configs`: the servers of an IONOS Cloud data center.
//!
//! API: `GET /cloudapi/v6/datacenters/ID/servers?depth=3`, in one piece.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use url::Url;

use crate::api::Api;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const ORIGIN: &str = "https://api.ionos.com";
const SOURCE: &str = "ionos";
/// How a network interface without a name is called in labels.
const UNNAMED: &str = "unnamed";

/// One item of `ionos_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IonosConfig {
    /// The data center's id.
    pub datacenter_id: String,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

impl IonosConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let datacenter_id = fields.string("datacenter_id").unwrap_or_default();
        if datacenter_id.is_empty() {
            fields.problem("datacenter_id", "datacenter id can't be empty");
        }
        fields.finish();
        Some(Self { datacenter_id, api })
    }
}

impl Mechanism for IonosConfig {
    fn name(&self) -> &'static str {
        "ionos"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![("datacenter_id", (&self.datacenter_id).into())];
        entries.extend(self.api.effective());
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let mut url = options.origin(ORIGIN)?;
        let not_a_base = |()| BuildError::Url(url::ParseError::RelativeUrlWithoutBase);
        url.path_segments_mut().map_err(not_a_base)?.extend([
            "cloudapi",
            "v6",
            "datacenters",
            &self.datacenter_id,
            "servers",
        ]);
        url.query_pairs_mut().append_pair("depth", "3");
        let backend = Backend::new(&self.api.http, options, interval)?;
        Ok(options.poll(IonosDiscovery { backend, url, port: self.api.port }, interval))
    }
}

struct IonosDiscovery {
    backend: Backend,
    url: Url,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Servers {
    id: Option<String>,
    items: Vec<Server>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    id: Option<String>,
    metadata: Metadata,
    properties: ServerProperties,
    entities: Entities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServerProperties {
    name: Option<String>,
    availability_zone: Option<String>,
    vm_state: Option<String>,
    cpu_family: Option<String>,
    r#type: Option<String>,
    boot_cdrom: Reference,
    boot_volume: Reference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entities {
    nics: Items<Nic>,
    volumes: Items<Volume>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Items<T> {
    items: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Nic {
    properties: Option<NicProperties>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NicProperties {
    name: Option<String>,
    ips: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    properties: VolumeProperties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeProperties {
    image: Option<String>,
}

#[async_trait]
impl Refresh for IonosDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let call = self.backend.get(self.url.clone());
        let servers: Servers = call.send().await?.success()?.json()?;
        let target = |server| target(server, servers.id.as_deref(), self.port);
        let targets = servers.items.iter().filter_map(target).collect();
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

/// The target of a server; one without addresses is none.
fn target(server: &Server, servers_id: Option<&str>, port: u16) -> Option<Labels> {
    let (all, by_nic) = addresses(&server.entities.nics.items);
    let first = all.first()?;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(first, port)),
        ("__meta_ionos_server_ip", wrapped(&all, ",")),
    ]);
    for (name, ips) in by_nic {
        let label = format!("__meta_ionos_server_nic_ip_{}", sanitize(name));
        labels.insert(label, wrapped(ips, ","));
    }
    let properties = &server.properties;
    let image = server.entities.volumes.items.first();
    let image = image.and_then(|volume| volume.properties.image.as_deref());
    let known = [
        ("availability_zone", properties.availability_zone.as_deref()),
        ("boot_cdrom_id", properties.boot_cdrom.id.as_deref()),
        ("boot_image_id", image),
        ("boot_volume_id", properties.boot_volume.id.as_deref()),
        ("cpu_family", properties.cpu_family.as_deref()),
        ("id", server.id.as_deref()),
        ("lifecycle", server.metadata.state.as_deref()),
        ("name", properties.name.as_deref()),
        ("servers_id", servers_id),
        ("state", properties.vm_state.as_deref()),
        ("type", properties.r#type.as_deref()),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            labels.insert(format!("__meta_ionos_server_{name}"), value);
        }
    }
    Some(labels)
}

/// All addresses, and those of each interface by its name. Prometheus puts each interface's before
/// those of the ones before it.
fn addresses(nics: &[Nic]) -> (Vec<&str>, BTreeMap<&str, Vec<&str>>) {
    let mut by_name = BTreeMap::<&str, Vec<&str>>::new();
    let mut all = Vec::new();
    for nic in nics.iter().rev().filter_map(|nic| nic.properties.as_ref()) {
        let ips = || nic.ips.iter().map(String::as_str);
        all.extend(ips());
        by_name.entry(nic.name.as_deref().unwrap_or(UNNAMED)).or_default().extend(ips());
    }
    (all, by_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn read(json: &str) -> Option<Labels> {
        target(&go_json::from_slice(json.as_bytes()).unwrap(), None, 80)
    }

    #[test]
    fn addresses_of_later_interfaces_come_first() {
        let labels = read(
            r#"{"entities":{"nics":{"items":[{"properties":{"name":"a","ips":["10.0.0.1","10.0.0.2"]}},
            {"properties":{"ips":["10.0.1.1"]}},{"properties":null},
            {"properties":{"name":"a","ips":["10.0.2.1"]}},{"properties":{"name":"b b"}}]}}}"#,
        );
        let labels = labels.unwrap();
        assert_eq!(labels.get(ADDRESS), "10.0.2.1:80");
        assert_eq!(labels.get("__meta_ionos_server_ip"), ",10.0.2.1,10.0.1.1,10.0.0.1,10.0.0.2,");
        assert_eq!(labels.get("__meta_ionos_server_nic_ip_a"), ",10.0.2.1,10.0.0.1,10.0.0.2,");
        assert_eq!(labels.get("__meta_ionos_server_nic_ip_unnamed"), ",10.0.1.1,");
        assert_eq!(labels.get("__meta_ionos_server_nic_ip_b_b"), ",,");
    }

    #[test]
    fn a_server_without_addresses_is_no_target() {
        for json in [
            "{}",
            "null",
            r#"{"entities":{"nics":null}}"#,
            r#"{"entities":{"nics":{"items":[null,{"properties":{"ips":null}}]}}}"#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
