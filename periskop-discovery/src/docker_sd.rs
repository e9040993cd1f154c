//! `docker_sd_configs`: the containers of a Docker engine.
//!
//! API: `GET /containers/json` and `/networks` of the Engine API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;

use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, redact_text};
use crate::label::join_host_port;
use crate::mechanism::Mechanism;
pub use crate::moby::Filter;
use crate::moby::{Engine, MaybeIp, Narrowed, insert_all, merge, take_host};
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const SOURCE: &str = "Docker";
const PREFIX: &str = "__meta_docker_";

/// One item of `docker_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// Where the engine listens: `unix://`, `tcp://`, `http://` or `https://`.
    pub host: String,
    /// The port of targets that have no TCP port. Default 80.
    pub port: u16,
    /// Which containers.
    pub filters: Vec<Filter>,
    /// The address of containers that share the network of their host. Default `localhost`.
    pub host_networking_host: String,
    /// Whether of a container with several networks only the first is told, by name. Default
    /// true.
    pub match_first_network: bool,
    /// How often. Default 1m.
    pub refresh_interval: Duration,
    /// How HTTP is spoken, where `host` is an HTTP URL.
    pub http: HttpClientConfig,
}

impl DockerConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            host: take_host(&mut fields),
            port: fields.port("port").unwrap_or(80),
            filters: Filter::take(&mut fields),
            host_networking_host: fields
                .string_or_null("host_networking_host")
                .unwrap_or_else(|| "localhost".into()),
            match_first_network: fields.bool("match_first_network").unwrap_or(true),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        fields.finish();
        Some(config)
    }
}

impl Mechanism for DockerConfig {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn effective(&self) -> Node {
        let mut entries = self.http.effective();
        entries.push(("host", redact_text(&self.host).into()));
        entries.push(("port", self.port.into()));
        entries.push(("filters", Filter::effective(&self.filters)));
        entries.push(("host_networking_host", (&self.host_networking_host).into()));
        entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        entries.push(("match_first_network", self.match_first_network.into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.refresh_interval;
        let discovery = DockerDiscovery {
            engine: Engine::new(&self.host, &self.http, &self.filters, options, interval)?,
            addressing: Addressing {
                port: self.port,
                host_networking_host: self.host_networking_host.clone(),
                match_first_network: self.match_first_network,
            },
        };
        Ok(options.poll(discovery, interval))
    }
}

/// The host may be written with a password.
impl std::fmt::Debug for DockerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DockerConfig").field(&self.effective().to_string()).finish()
    }
}

struct DockerDiscovery {
    engine: Engine,
    addressing: Addressing,
}

struct Addressing {
    port: u16,
    host_networking_host: String,
    match_first_network: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Container {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    ports: Vec<Port>,
    labels: BTreeMap<String, String>,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: BTreeMap<String, Option<Endpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip_address: MaybeIp,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: MaybeIp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Port {
    #[serde(rename = "IP")]
    ip: MaybeIp,
    private_port: u16,
    public_port: u16,
    #[serde(rename = "Type")]
    protocol: String,
}

#[async_trait]
impl Refresh for DockerDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let containers: Vec<Container> = self.engine.list("containers/json", Narrowed::Yes).await?;
        let networks = self.engine.networks(PREFIX).await?;
        let targets = targets(&containers, &networks, &self.addressing);
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

fn targets(
    containers: &[Container],
    networks: &BTreeMap<String, Labels>,
    addressing: &Addressing,
) -> Vec<Labels> {
    let by_id: BTreeMap<&str, &Container> =
        containers.iter().map(|container| (container.id.as_str(), container)).collect();
    let mut targets = Vec::new();
    for container in containers {
        let Some(common) = container.labels() else { continue };
        let all = &shares_networks_of(container, &by_id).network_settings.networks;
        let endpoints: Vec<&Endpoint> = all.values().flatten().collect();
        // Where all are null, no network is first.
        let only_first = addressing.match_first_network && all.len() > 1;
        let shown = if only_first { 1 } else { endpoints.len() };
        for endpoint in endpoints.into_iter().take(shown) {
            targets.extend(of_endpoint(container, endpoint, &common, networks, addressing));
        }
    }
    targets
}

impl Container {
    /// What all its targets have; `None` for one without a name.
    fn labels(&self) -> Option<Labels> {
        let mut labels = Labels::from([
            ("__meta_docker_container_id", self.id.as_str()),
            ("__meta_docker_container_name", self.names.first()?.as_str()),
            ("__meta_docker_container_network_mode", self.host_config.network_mode.as_str()),
        ]);
        if !self.image.is_empty() {
            labels.insert("__meta_docker_container_image", self.image.as_str());
        }
        if !self.image_id.is_empty() {
            labels.insert("__meta_docker_container_image_id", self.image_id.as_str());
        }
        insert_all(&mut labels, "__meta_docker_container_label_", &self.labels);
        Some(labels)
    }
}

/// The container whose networks this one has: itself, or the one at the end of `container:ID`.
fn shares_networks_of<'c>(
    container: &'c Container,
    by_id: &BTreeMap<&str, &'c Container>,
) -> &'c Container {
    let mut current = container;
    // Two that share each other's have none.
    for _ in 0..by_id.len() {
        if !current.network_settings.networks.is_empty() {
            break;
        }
        let mode = current.host_config.network_mode.strip_prefix("container:");
        match mode.and_then(|id| by_id.get(id)) {
            Some(next) => current = next,
            None => break,
        }
    }
    current
}

/// The targets of a container in one network: one for each TCP port, or one without.
fn of_endpoint(
    container: &Container,
    endpoint: &Endpoint,
    common: &Labels,
    networks: &BTreeMap<String, Labels>,
    addressing: &Addressing,
) -> Vec<Labels> {
    let ip = endpoint.ip_address.or(endpoint.global_ipv6_address);
    let mut base = Labels::from([("__meta_docker_network_ip", ip.as_str())]);
    merge(&mut base, Some(common));
    merge(&mut base, networks.get(&endpoint.network_id));
    let with_port = |port: &Port| {
        let mut labels = base.clone();
        labels.insert(ADDRESS, join_host_port(&ip, port.private_port));
        labels.insert("__meta_docker_port_private", port.private_port.to_string());
        if port.public_port > 0 {
            labels.insert("__meta_docker_port_public", port.public_port.to_string());
            labels.insert("__meta_docker_port_public_ip", port.ip.or(MaybeIp::default()));
        }
        labels
    };
    let mut targets: Vec<Labels> =
        container.ports.iter().filter(|port| port.protocol == "tcp").map(with_port).collect();
    if targets.is_empty() {
        let address = match container.host_config.network_mode.as_str() {
            "host" => addressing.host_networking_host.clone(),
            _ => join_host_port(&ip, addressing.port),
        };
        base.insert(ADDRESS, address);
        targets.push(base);
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str) -> Vec<String> {
        let containers: Vec<Container> = crate::go_json::from_slice(json.as_bytes()).unwrap();
        let addressing = Addressing {
            port: 80,
            host_networking_host: "localhost".into(),
            match_first_network: true,
        };
        let targets = targets(&containers, &BTreeMap::new(), &addressing);
        targets.iter().map(|target| target.get(ADDRESS).to_owned()).collect()
    }

    #[test]
    fn containers_that_share_each_others_network_have_none() {
        let json = r#"[
            {"Id": "a", "Names": ["/a"], "HostConfig": {"NetworkMode": "container:b"}},
            {"Id": "b", "Names": ["/b"], "HostConfig": {"NetworkMode": "container:a"}}]"#;
        assert!(found(json).is_empty());
    }

    #[test]
    fn what_is_null_or_has_no_name_is_passed_over() {
        let json = r#"[null, {"Id": "a", "NetworkSettings": {"Networks": {"n": {}}}},
            {"Id": "b", "Names": ["/b"], "NetworkSettings": null, "Ports": null},
            {"Id": "c", "Names": ["/c"], "NetworkSettings": {"Networks":
                {"m": null, "n": {"IPAddress": "10.0.0.1"}}}}]"#;
        assert_eq!(found(json), ["10.0.0.1:80"]);
    }

    #[test]
    fn the_network_of_the_host_has_no_port() {
        let json = r#"[{"Id": "a", "Names": ["/a"], "HostConfig": {"NetworkMode": "host"},
            "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}}]"#;
        assert_eq!(found(json), ["localhost"]);
    }
}
