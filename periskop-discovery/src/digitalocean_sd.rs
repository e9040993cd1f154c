//! `digitalocean_sd_configs`: the droplets or the managed databases of a DigitalOcean account.
//!
//! API: `GET /v2/droplets` and `GET /v2/databases`, paged by number.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use url::Url;

use crate::api::{Api, PAGES_LIMIT, too_many_pages};
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const ORIGIN: &str = "https://api.digitalocean.com";
/// The most databases that Prometheus asks for at once.
const DATABASES_PER_PAGE: &str = "100";

/// One item of `digitalocean_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigitalOceanConfig {
    /// What is looked for. Default: droplets.
    pub role: DigitalOceanRole,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

/// What targets are at DigitalOcean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigitalOceanRole {
    /// Virtual machines.
    #[default]
    Droplets,
    /// Clusters of managed databases.
    Databases,
}

impl DigitalOceanRole {
    fn parse(name: &str) -> Result<Self, String> {
        let roles = [Self::Droplets, Self::Databases];
        let role = roles.into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("unknown DigitalOcean SD role {name:?}"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Droplets => "droplets",
            Self::Databases => "databases",
        }
    }
}

impl DigitalOceanConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let role = fields.parsed("role", DigitalOceanRole::parse).unwrap_or_default();
        fields.finish();
        Some(Self { role, api })
    }
}

impl Mechanism for DigitalOceanConfig {
    fn name(&self) -> &'static str {
        "digitalocean"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        entries.push(("role", self.role.name().into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let discovery = DigitalOceanDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            origin: options.origin(ORIGIN)?,
            role: self.role,
            port: self.api.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct DigitalOceanDiscovery {
    backend: Backend,
    origin: Url,
    role: DigitalOceanRole,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DropletsPage {
    droplets: Vec<Droplet>,
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DatabasesPage {
    databases: Vec<Database>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Links {
    pages: Pages,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pages {
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Droplet {
    id: i64,
    name: String,
    image: Image,
    region: Region,
    size_slug: String,
    status: String,
    vpc_uuid: String,
    networks: Networks,
    features: Vec<String>,
    tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    slug: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Region {
    slug: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Networks {
    v4: Vec<Network>,
    v6: Vec<Network>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    ip_address: String,
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Database {
    id: String,
    name: String,
    engine: String,
    version: String,
    status: String,
    region: String,
    size: String,
    num_nodes: i64,
    connection: Option<Connection>,
    private_connection: Option<Connection>,
    tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Connection {
    host: String,
}

#[async_trait]
impl Refresh for DigitalOceanDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let (source, targets) = match self.role {
            DigitalOceanRole::Droplets => ("DigitalOcean", self.droplets().await?),
            DigitalOceanRole::Databases => ("DigitalOcean Databases", self.databases().await?),
        };
        Ok(vec![TargetGroup { source: source.into(), targets, ..TargetGroup::default() }].into())
    }
}

impl DigitalOceanDiscovery {
    async fn droplets(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let mut url = self.origin.clone();
        url.set_path("/v2/droplets");
        let mut targets = Vec::new();
        for page in 1..=PAGES_LIMIT {
            if page > 1 {
                url.query_pairs_mut().clear().append_pair("page", &page.to_string());
            }
            let call = self.backend.get(url.clone());
            let answer: DropletsPage = call.send().await?.success()?.json()?;
            targets.extend(answer.droplets.iter().filter_map(|d| droplet(d, self.port)));
            if answer.links.pages.next.is_empty() {
                return Ok(targets);
            }
        }
        Err(too_many_pages(&url))
    }

    /// The links of this API name no last page: the first empty one is.
    async fn databases(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let mut url = self.origin.clone();
        url.set_path("/v2/databases");
        let mut targets = Vec::new();
        for page in 1..=PAGES_LIMIT {
            url.query_pairs_mut()
                .clear()
                .append_pair("page", &page.to_string())
                .append_pair("per_page", DATABASES_PER_PAGE);
            let call = self.backend.get(url.clone());
            let answer: DatabasesPage = call.send().await?.success()?.json()?;
            if answer.databases.is_empty() {
                return Ok(targets);
            }
            targets.extend(answer.databases.iter().map(|d| database(d, self.port)));
        }
        Err(too_many_pages(&url))
    }
}

/// The target of a droplet; one without IPv4 networks is none.
fn droplet(droplet: &Droplet, port: u16) -> Option<Labels> {
    if droplet.networks.v4.is_empty() {
        return None;
    }
    let first = |networks: &[Network], kind: &str| {
        let network = networks.iter().find(|network| network.r#type == kind);
        network.map_or_else(String::new, |network| network.ip_address.clone())
    };
    let public_ipv4 = first(&droplet.networks.v4, "public");
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&public_ipv4, port)),
        ("__meta_digitalocean_droplet_id", droplet.id.to_string()),
        ("__meta_digitalocean_droplet_name", droplet.name.clone()),
        ("__meta_digitalocean_image", droplet.image.slug.clone()),
        ("__meta_digitalocean_image_name", droplet.image.name.clone()),
        ("__meta_digitalocean_private_ipv4", first(&droplet.networks.v4, "private")),
        ("__meta_digitalocean_public_ipv4", public_ipv4),
        ("__meta_digitalocean_public_ipv6", first(&droplet.networks.v6, "public")),
        ("__meta_digitalocean_region", droplet.region.slug.clone()),
        ("__meta_digitalocean_size", droplet.size_slug.clone()),
        ("__meta_digitalocean_status", droplet.status.clone()),
        ("__meta_digitalocean_vpc", droplet.vpc_uuid.clone()),
    ]);
    if !droplet.features.is_empty() {
        labels.insert("__meta_digitalocean_features", wrapped(&droplet.features, ","));
    }
    if !droplet.tags.is_empty() {
        labels.insert("__meta_digitalocean_tags", wrapped(&droplet.tags, ","));
    }
    Some(labels)
}

/// The target of a cluster; where nothing can be connected to, it has no address.
fn database(cluster: &Database, port: u16) -> Labels {
    let mut labels = Labels::from([
        ("__meta_digitalocean_db_id", cluster.id.clone()),
        ("__meta_digitalocean_db_name", cluster.name.clone()),
        ("__meta_digitalocean_db_engine", cluster.engine.clone()),
        ("__meta_digitalocean_db_version", cluster.version.clone()),
        ("__meta_digitalocean_db_status", cluster.status.clone()),
        ("__meta_digitalocean_db_region", cluster.region.clone()),
        ("__meta_digitalocean_db_size", cluster.size.clone()),
        ("__meta_digitalocean_db_num_nodes", cluster.num_nodes.to_string()),
    ]);
    let connections = [
        ("__meta_digitalocean_db_private_host", &cluster.private_connection),
        ("__meta_digitalocean_db_host", &cluster.connection),
    ];
    for (label, connection) in connections {
        let Some(connection) = connection else { continue };
        labels.insert(label, connection.host.as_str());
        if !connection.host.is_empty() && !labels.contains(ADDRESS) {
            labels.insert(ADDRESS, join_host_port(&connection.host, port));
        }
    }
    for tag in &cluster.tags {
        // As they are: Prometheus does not sanitise these.
        labels.insert(format!("__meta_digitalocean_db_tag_{tag}"), "true");
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    #[test]
    fn a_droplet_without_a_public_address_has_an_address_without_a_host() {
        let json = br#"{"id":1,"networks":{"v4":[{"ip_address":"10.0.0.1","type":"private"}]}}"#;
        let labels = droplet(&go_json::from_slice(json).unwrap(), 80).unwrap();
        assert_eq!(labels.get(ADDRESS), ":80");
        assert_eq!(labels.get("__meta_digitalocean_private_ipv4"), "10.0.0.1");
        assert_eq!(labels.get("__meta_digitalocean_image"), "", "an image that is gone");
    }

    #[test]
    fn a_droplet_without_networks_is_no_target() {
        for json in ["{}", r#"{"networks":null}"#, r#"{"networks":{"v4":null,"v6":[{}]}}"#] {
            let read: Droplet = go_json::from_slice(json.as_bytes()).unwrap();
            assert_eq!(droplet(&read, 80), None, "{json}");
        }
    }

    #[test]
    fn a_private_connection_without_a_host_leaves_the_address_to_the_public_one() {
        let json = br#"{"private_connection":{},"connection":{"host":"db"},"tags":["a-b"]}"#;
        let labels = database(&go_json::from_slice(json).unwrap(), 9000);
        assert_eq!(labels.get(ADDRESS), "db:9000");
        assert_eq!(labels.get("__meta_digitalocean_db_tag_a-b"), "true");
        let nothing = database(&Database::default(), 9000);
        assert!(!nothing.contains(ADDRESS));
    }
}
