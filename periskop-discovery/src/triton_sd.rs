//! `triton_sd_configs`: the containers or compute nodes of a Joyent Triton.
//!
//! API: `GET /vN/discover` or `/vN/gz/discover` of a container monitor, in one piece. Who asks is
//! told by the client certificate.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::api::interval_entry;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, TlsConfig};
use crate::label::wrapped;
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const PORT: u16 = 9163;
const VERSION: i64 = 1;

/// One item of `triton_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TritonConfig {
    /// The account. It is required, but the certificate is what counts.
    pub account: String,
    /// What is looked for. Default containers.
    pub role: Role,
    /// What comes after a machine's ID in its name.
    pub dns_suffix: String,
    /// The host that is asked.
    pub endpoint: String,
    /// The groups whose containers are looked for; of compute nodes, with which containers. Empty:
    /// all.
    pub groups: Vec<String>,
    /// The port that is asked and that targets have. Default 9163.
    pub port: u16,
    /// How often is asked. Default 1m.
    pub refresh_interval: Duration,
    /// How TLS is spoken, with the client certificate.
    pub tls: TlsConfig,
    /// The version of the API. Default 1.
    pub version: i64,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Virtual machines, which Triton calls containers.
    Container,
    /// The servers that they run on.
    ComputeNode,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::ComputeNode => "cn",
        }
    }
}

impl TritonConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let role = match fields.string("role").as_deref() {
            None | Some("container") => Some(Role::Container),
            Some("cn") => Some(Role::ComputeNode),
            Some(_) => None,
        };
        let config = Self {
            account: fields.string("account").unwrap_or_default(),
            role: role.unwrap_or(Role::Container),
            dns_suffix: fields.string("dns_suffix").unwrap_or_default(),
            endpoint: fields.string("endpoint").unwrap_or_default(),
            groups: fields.string_list("groups").unwrap_or_default(),
            port: fields.port("port").unwrap_or(PORT),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            tls: fields.section("tls_config", TlsConfig::decode).unwrap_or_default(),
            version: fields.int("version").unwrap_or(VERSION),
        };
        let wrong = if role.is_none() {
            Some(("role", "role to be 'container' or 'cn'"))
        } else if config.account.is_empty() {
            Some(("account", "an account"))
        } else if config.dns_suffix.is_empty() {
            Some(("dns_suffix", "a dns_suffix"))
        } else if config.endpoint.is_empty() {
            Some(("endpoint", "an endpoint"))
        } else if config.refresh_interval.is_zero() {
            Some(("refresh_interval", "RefreshInterval to be a positive integer"))
        } else {
            None
        };
        if let Some((field, what)) = wrong {
            fields.problem(field, format!("triton SD configuration requires {what}"));
        }
        fields.finish();
        Some(config)
    }

    /// The URL that is asked, which is the source too.
    fn url(&self) -> String {
        let zone = match self.role {
            Role::Container => "",
            Role::ComputeNode => "gz/",
        };
        let (endpoint, port, version) = (&self.endpoint, self.port, self.version);
        let mut url = format!("https://{endpoint}:{port}/v{version}/{zone}discover");
        if !self.groups.is_empty() {
            url.push_str("?groups=");
            url.extend(byte_serialize(self.groups.join(",").as_bytes()));
        }
        url
    }
}

impl Mechanism for TritonConfig {
    fn name(&self) -> &'static str {
        "triton"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![
            ("account", (&self.account).into()),
            ("role", self.role.name().into()),
            ("dns_suffix", (&self.dns_suffix).into()),
            ("endpoint", (&self.endpoint).into()),
        ];
        if !self.groups.is_empty() {
            entries.push(("groups", Node::sequence(&self.groups)));
        }
        entries.push(("port", self.port.into()));
        entries.extend(interval_entry(self.refresh_interval));
        entries.extend(self.tls.entry());
        entries.push(("version", self.version.into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.tls.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let http = HttpClientConfig { tls: self.tls.clone(), ..HttpClientConfig::default() };
        let discovery = TritonDiscovery {
            config: self.clone(),
            backend: Backend::new(&http, options, Duration::ZERO)?,
            source: self.url(),
            url: Url::parse(&self.url()).map_err(BuildError::Url)?,
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

struct TritonDiscovery {
    config: TritonConfig,
    backend: Backend,
    source: String,
    url: Url,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Containers {
    containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    groups: Vec<String>,
    server_uuid: String,
    vm_alias: String,
    vm_brand: String,
    vm_image_uuid: String,
    vm_uuid: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ComputeNodes {
    cns: Vec<ComputeNode>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ComputeNode {
    server_uuid: String,
    server_hostname: String,
}

#[async_trait]
impl Refresh for TritonDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        // Prometheus does not look at the status: an error in JSON would be an empty list.
        let answer = self.backend.get(self.url.clone()).send().await?.success()?;
        let targets = match self.config.role {
            Role::Container => {
                let found: Containers = answer.json()?;
                found.containers.iter().map(|container| self.container(container)).collect()
            }
            Role::ComputeNode => {
                let found: ComputeNodes = answer.json()?;
                found.cns.iter().map(|node| self.compute_node(node)).collect()
            }
        };
        let source = self.source.clone();
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

impl TritonDiscovery {
    fn container(&self, container: &Container) -> Labels {
        let mut labels = Labels::from([
            (ADDRESS, self.address(&container.vm_uuid).as_str()),
            ("__meta_triton_machine_id", &container.vm_uuid),
            ("__meta_triton_machine_alias", &container.vm_alias),
            ("__meta_triton_machine_brand", &container.vm_brand),
            ("__meta_triton_machine_image", &container.vm_image_uuid),
            ("__meta_triton_server_id", &container.server_uuid),
        ]);
        if !container.groups.is_empty() {
            labels.insert("__meta_triton_groups", wrapped(&container.groups, ","));
        }
        labels
    }

    fn compute_node(&self, node: &ComputeNode) -> Labels {
        Labels::from([
            (ADDRESS, self.address(&node.server_uuid).as_str()),
            ("__meta_triton_machine_id", &node.server_uuid),
            ("__meta_triton_machine_alias", &node.server_hostname),
        ])
    }

    fn address(&self, id: &str) -> String {
        format!("{id}.{}:{}", self.config.dns_suffix, self.config.port)
    }
}
