//! `nomad_sd_configs`: the services that Nomad itself registers.
//!
//! API: `GET /v1/services`, then `/v1/service/NAME` for each.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use url::Url;

use crate::backend::{Backend, PATIENCE};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, redact_text};
use crate::label::{join_host_port, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const SOURCE: &str = "Nomad";
/// So many services are asked for at once. Prometheus asks for one after the other.
const AT_ONCE: usize = 8;

/// One item of `nomad_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct NomadConfig {
    /// The API's URL; of its path nothing is used. Default `http://localhost:4646`.
    pub server: String,
    /// The namespace; `*` is all. Default `default`.
    pub namespace: String,
    /// The region. Default `global`.
    pub region: String,
    /// Whether any server may answer rather than the leader alone. Default true.
    pub allow_stale: bool,
    /// What stands between tags in their label. Default `,`.
    pub tag_separator: String,
    /// How often. Default 1m.
    pub refresh_interval: Duration,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl NomadConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let mut text =
            |name, default: &str| fields.string_or_null(name).unwrap_or_else(|| default.to_owned());
        let server = text("server", "http://localhost:4646");
        let namespace = text("namespace", "default");
        let region = text("region", "global");
        let tag_separator = text("tag_separator", ",");
        let config = Self {
            server,
            namespace,
            region,
            tag_separator,
            allow_stale: fields.bool("allow_stale").unwrap_or(true),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        if config.server.trim().is_empty() {
            fields.problem("server", "nomad SD configuration requires a server address");
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for NomadConfig {
    fn name(&self) -> &'static str {
        "nomad"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![("allow_stale", self.allow_stale.into())];
        entries.extend(self.http.effective());
        entries.push(("namespace", (&self.namespace).into()));
        entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        entries.push(("region", (&self.region).into()));
        entries.push(("server", redact_text(&self.server).into()));
        if !self.tag_separator.is_empty() {
            entries.push(("tag_separator", (&self.tag_separator).into()));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let mut base = Url::parse(&self.server).map_err(BuildError::Url)?;
        if !matches!(base.scheme(), "http" | "https") {
            let message = format!("nomad: unsupported protocol scheme {:?}", base.scheme());
            return Err(BuildError::Missing(message));
        }
        base.set_path("/");
        base.set_query(None);
        {
            let mut query = base.query_pairs_mut();
            for (name, value) in [("namespace", &self.namespace), ("region", &self.region)] {
                if !value.is_empty() {
                    query.append_pair(name, value);
                }
            }
            if self.allow_stale {
                query.append_pair("stale", "");
            }
        }
        let discovery = NomadDiscovery {
            backend: Backend::new(&self.http, options, PATIENCE)?,
            base,
            tag_separator: self.tag_separator.clone(),
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

/// The server may be written with a password.
impl std::fmt::Debug for NomadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NomadConfig").field(&self.effective().to_string()).finish()
    }
}

struct NomadDiscovery {
    backend: Backend,
    base: Url,
    tag_separator: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Namespace {
    services: Vec<Stub>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Stub {
    service_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "ServiceName")]
    service: String,
    #[serde(rename = "Namespace")]
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    #[serde(rename = "Datacenter")]
    datacenter: String,
    #[serde(rename = "Tags")]
    tags: Vec<String>,
    #[serde(rename = "Address")]
    address: String,
    #[serde(rename = "Port")]
    port: i64,
}

impl NomadDiscovery {
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn instances(&self, service: &str) -> Result<Vec<Instance>, DiscoveryError> {
        self.backend.get(self.url(&["v1", "service", service])).send().await?.ok()?.json()
    }
}

#[async_trait]
impl Refresh for NomadDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let url = self.url(&["v1", "services"]);
        let namespaces: Vec<Namespace> = self.backend.get(url).send().await?.ok()?.json()?;
        let names: Vec<String> = namespaces
            .into_iter()
            .flat_map(|namespace| namespace.services)
            .map(|stub| stub.service_name)
            .collect();
        let this = &*self;
        let services: Vec<Vec<Instance>> = stream::iter(names)
            .map(|name| async move { this.instances(&name).await })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let instances = services.iter().flatten();
        let targets = instances.map(|instance| target(instance, &self.tag_separator)).collect();
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

fn target(instance: &Instance, tag_separator: &str) -> Labels {
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&instance.address, instance.port)),
        ("__meta_nomad_address", instance.address.clone()),
        ("__meta_nomad_dc", instance.datacenter.clone()),
        ("__meta_nomad_node_id", instance.node_id.clone()),
        ("__meta_nomad_namespace", instance.namespace.clone()),
        ("__meta_nomad_service", instance.service.clone()),
        ("__meta_nomad_service_address", instance.address.clone()),
        ("__meta_nomad_service_id", instance.id.clone()),
        ("__meta_nomad_service_port", instance.port.to_string()),
    ]);
    if !instance.tags.is_empty() {
        labels.insert("__meta_nomad_tags", wrapped(&instance.tags, tag_separator));
    }
    labels
}
