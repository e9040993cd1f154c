//! `hetzner_sd_configs`: cloud servers, or the dedicated servers of the Robot.
//!
//! APIs: `GET /v1/servers` and `GET /v1/networks` of the cloud, paged by number; `GET /server` of
//! the Robot, in one piece.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::api::{Api, PAGES_LIMIT, too_many_pages};
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::ip;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const HCLOUD_ORIGIN: &str = "https://api.hetzner.cloud";
const ROBOT_ORIGIN: &str = "https://robot-ws.your-server.de";
const SOURCE: &str = "hetzner";
/// The most that the cloud's API answers at once.
const PER_PAGE: &str = "50";

/// One item of `hetzner_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HetznerConfig {
    /// What is looked for.
    pub role: HetznerRole,
    /// Which cloud servers, by their labels, in Hetzner's notation; `""`: all.
    pub label_selector: String,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

/// What targets are at Hetzner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HetznerRole {
    /// Dedicated servers.
    Robot,
    /// Cloud servers.
    Hcloud,
}

impl HetznerRole {
    fn parse(name: &str) -> Result<Self, String> {
        let role = [Self::Robot, Self::Hcloud].into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("unknown role {name:?}"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Robot => "robot",
            Self::Hcloud => "hcloud",
        }
    }
}

impl HetznerConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let label_selector = fields.string("label_selector").unwrap_or_default();
        let role = fields.parsed("role", HetznerRole::parse);
        if fields.node("role").is_none_or(|at| at.node.is_null()) {
            fields.problem("role", "role missing (one of: robot, hcloud)");
        }
        fields.finish();
        Some(Self { role: role?, label_selector, api })
    }
}

impl Mechanism for HetznerConfig {
    fn name(&self) -> &'static str {
        "hetzner"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        entries.push(("role", self.role.name().into()));
        if !self.label_selector.is_empty() {
            entries.push(("label_selector", (&self.label_selector).into()));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let origin = match self.role {
            HetznerRole::Robot => ROBOT_ORIGIN,
            HetznerRole::Hcloud => HCLOUD_ORIGIN,
        };
        let discovery = HetznerDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            origin: options.origin(origin)?,
            role: self.role,
            label_selector: self.label_selector.clone(),
            port: self.api.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct HetznerDiscovery {
    backend: Backend,
    origin: Url,
    role: HetznerRole,
    label_selector: String,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServersPage {
    servers: Vec<CloudServer>,
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworksPage {
    networks: Vec<CloudNetwork>,
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    pagination: Pagination,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pagination {
    next_page: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloudServer {
    id: i64,
    name: String,
    status: String,
    public_net: PublicNet,
    private_net: Vec<PrivateNet>,
    server_type: ServerType,
    location: Location,
    image: Option<Image>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PublicNet {
    ipv4: PublicIp,
    ipv6: PublicIp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PublicIp {
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrivateNet {
    network: i64,
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerType {
    name: String,
    cores: i64,
    cpu_type: String,
    memory: f64,
    disk: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    name: String,
    network_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    /// Snapshots have none.
    name: Option<String>,
    description: String,
    os_flavor: String,
    os_version: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloudNetwork {
    id: i64,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RobotItem {
    server: RobotServer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RobotServer {
    server_ip: String,
    server_number: i64,
    server_name: String,
    dc: String,
    status: String,
    product: String,
    cancelled: bool,
    subnet: Vec<Subnet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subnet {
    ip: String,
    mask: String,
}

#[async_trait]
impl Refresh for HetznerDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let targets = match self.role {
            HetznerRole::Robot => self.robot().await?,
            HetznerRole::Hcloud => self.hcloud().await?,
        };
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

impl HetznerDiscovery {
    async fn robot(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let mut url = self.origin.clone();
        url.set_path("/server");
        let answer = self.backend.get(url).send().await?;
        if !answer.status.is_success() {
            return Err(answer.invalid(format!(
                "non 2xx status '{}' response during hetzner service discovery with role robot",
                answer.status.as_u16()
            )));
        }
        let items: Vec<RobotItem> = answer.json()?;
        Ok(items.iter().map(|item| robot_target(&item.server, self.port)).collect())
    }

    async fn hcloud(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let selector = [("label_selector", self.label_selector.as_str())];
        let selector = if self.label_selector.is_empty() { &[][..] } else { &selector };
        let servers = self.pages("/v1/servers", selector, |page: ServersPage| {
            (page.servers, page.meta.pagination.next_page)
        });
        let servers = servers.await?;
        let networks = self.pages("/v1/networks", &[], |page: NetworksPage| {
            (page.networks, page.meta.pagination.next_page)
        });
        let networks = networks.await?;
        let names = networks.into_iter().map(|network| (network.id, network.name)).collect();
        Ok(servers.iter().map(|server| hcloud_target(server, &names, self.port)).collect())
    }

    /// The items of all pages; `open` tells those of one and the number of the next, 0 for none.
    async fn pages<P: DeserializeOwned, T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        open: impl Fn(P) -> (Vec<T>, u64),
    ) -> Result<Vec<T>, DiscoveryError> {
        let mut url = self.origin.clone();
        url.set_path(path);
        let (mut all, mut number) = (Vec::new(), 1);
        for _ in 0..PAGES_LIMIT {
            url.query_pairs_mut()
                .clear()
                .append_pair("page", &number.to_string())
                .append_pair("per_page", PER_PAGE)
                .extend_pairs(query);
            let page: P = self.backend.get(url.clone()).send().await?.success()?.json()?;
            let (items, next) = open(page);
            all.extend(items);
            if next == 0 {
                return Ok(all);
            }
            number = next;
        }
        Err(too_many_pages(&url))
    }
}

fn robot_target(server: &RobotServer, port: u16) -> Labels {
    let datacenter = server.dc.to_lowercase();
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&server.server_ip, port)),
        ("__meta_hetzner_role", HetznerRole::Robot.name().to_owned()),
        ("__meta_hetzner_server_id", server.server_number.to_string()),
        ("__meta_hetzner_server_name", server.server_name.clone()),
        ("__meta_hetzner_server_status", server.status.clone()),
        ("__meta_hetzner_public_ipv4", server.server_ip.clone()),
        ("__meta_hetzner_datacenter", datacenter.clone()),
        ("__meta_hetzner_robot_datacenter", datacenter),
        ("__meta_hetzner_robot_product", server.product.clone()),
        ("__meta_hetzner_robot_cancelled", server.cancelled.to_string()),
    ]);
    if let Some(subnet) = server.subnet.iter().find(|subnet| !ip::is_v4(&subnet.ip)) {
        let network = format!("{}/{}", subnet.ip, subnet.mask);
        labels.insert("__meta_hetzner_public_ipv6_network", network);
    }
    labels
}

fn hcloud_target(server: &CloudServer, networks: &BTreeMap<i64, String>, port: u16) -> Labels {
    let public_ipv4 = ip::address(&server.public_net.ipv4.ip);
    let (location, zone) = (&server.location.name, &server.location.network_zone);
    let server_type = &server.server_type;
    #[expect(clippy::cast_possible_truncation, reason = "whole gigabytes, as Prometheus tells")]
    let memory = server_type.memory as i64;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&public_ipv4, port)),
        ("__meta_hetzner_role", HetznerRole::Hcloud.name().to_owned()),
        ("__meta_hetzner_server_id", server.id.to_string()),
        ("__meta_hetzner_server_name", server.name.clone()),
        ("__meta_hetzner_server_status", server.status.clone()),
        ("__meta_hetzner_public_ipv4", public_ipv4),
        ("__meta_hetzner_public_ipv6_network", ip::network(&server.public_net.ipv6.ip)),
        ("__meta_hetzner_hcloud_location", location.clone()),
        ("__meta_hetzner_hcloud_location_network_zone", zone.clone()),
        ("__meta_hetzner_hcloud_datacenter_location", location.clone()),
        ("__meta_hetzner_hcloud_datacenter_location_network_zone", zone.clone()),
        ("__meta_hetzner_hcloud_server_type", server_type.name.clone()),
        ("__meta_hetzner_hcloud_cpu_cores", server_type.cores.to_string()),
        ("__meta_hetzner_hcloud_cpu_type", server_type.cpu_type.clone()),
        ("__meta_hetzner_hcloud_memory_size_gb", memory.to_string()),
        ("__meta_hetzner_hcloud_disk_size_gb", server_type.disk.to_string()),
    ]);
    if let Some(image) = &server.image {
        let name = image.name.as_deref().unwrap_or_default();
        let version = image.os_version.as_deref().unwrap_or_default();
        labels.insert("__meta_hetzner_hcloud_image_name", name);
        labels.insert("__meta_hetzner_hcloud_image_description", image.description.as_str());
        labels.insert("__meta_hetzner_hcloud_image_os_version", version);
        labels.insert("__meta_hetzner_hcloud_image_os_flavor", image.os_flavor.as_str());
    }
    for private in &server.private_net {
        if let Some(name) = networks.get(&private.network) {
            let label = format!("__meta_hetzner_hcloud_private_ipv4_{}", sanitize(name));
            labels.insert(label, ip::address(&private.ip));
        }
    }
    for (key, value) in &server.labels {
        let key = sanitize(key);
        labels.insert(format!("__meta_hetzner_hcloud_labelpresent_{key}"), "true");
        labels.insert(format!("__meta_hetzner_hcloud_label_{key}"), value.as_str());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn a_cloud_server_without_public_addresses_says_so_as_go_does() {
        let json = br#"{"id":7,"public_net":{"ipv4":null,"ipv6":null},"image":null,
            "server_type":{"memory":7.5},"private_net":[{"network":1,"ip":"10.0.0.2"},
            {"network":2,"ip":"10.1.0.2"}]}"#;
        let networks = BTreeMap::from([(1, "my net".to_owned())]);
        let labels = hcloud_target(&go_json::from_slice(json).unwrap(), &networks, 80);
        assert_eq!(labels.get(ADDRESS), "<nil>:80");
        assert_eq!(labels.get("__meta_hetzner_public_ipv6_network"), "<nil>");
        assert_eq!(labels.get("__meta_hetzner_hcloud_memory_size_gb"), "7");
        assert_eq!(labels.get("__meta_hetzner_hcloud_private_ipv4_my_net"), "10.0.0.2");
        assert!(!labels.contains("__meta_hetzner_hcloud_image_name"));
    }

    #[test]
    fn the_first_subnet_that_is_not_of_version_4_is_the_network() {
        let json = br#"{"server_ip":"2001:db8::1","subnet":[{"ip":"10.0.0.0","mask":"24"},
            {"ip":"2a01:4f8::","mask":"64"},{"ip":"2a01:4f9::","mask":"64"}]}"#;
        let labels = robot_target(&go_json::from_slice(json).unwrap(), 9100);
        assert_eq!(labels.get("__meta_hetzner_public_ipv6_network"), "2a01:4f8::/64");
        assert_eq!(labels.get(ADDRESS), "[2001:db8::1]:9100");
    }
}
