//! `vultr_sd_configs`: the instances of a Vultr account.
//!
//! API: `GET /v2/instances`, paged by a cursor.

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
const ORIGIN: &str = "https://api.vultr.com";
const SOURCE: &str = "Vultr";
/// The most that the API answers at once.
const PER_PAGE: &str = "100";

/// One item of `vultr_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VultrConfig {
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

impl VultrConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        fields.finish();
        Some(Self { api })
    }
}

impl Mechanism for VultrConfig {
    fn name(&self) -> &'static str {
        "vultr"
    }

    fn effective(&self) -> Node {
        Node::mapping(self.api.effective())
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let discovery = VultrDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            origin: options.origin(ORIGIN)?,
            port: self.api.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct VultrDiscovery {
    backend: Backend,
    origin: Url,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    instances: Vec<Instance>,
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Links {
    next: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    label: String,
    os: String,
    os_id: i64,
    region: String,
    plan: String,
    main_ip: String,
    internal_ip: String,
    v6_main_ip: String,
    features: Vec<String>,
    tags: Vec<String>,
    hostname: String,
    server_status: String,
    vcpu_count: i64,
    ram: i64,
    disk: i64,
    allowed_bandwidth: i64,
}

#[async_trait]
impl Refresh for VultrDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let mut targets = Vec::new();
        let mut cursor = String::new();
        let mut first = self.origin.clone();
        first.set_path("/v2/instances");
        for _ in 0..PAGES_LIMIT {
            let mut url = first.clone();
            url.query_pairs_mut().append_pair("per_page", PER_PAGE);
            if !cursor.is_empty() {
                url.query_pairs_mut().append_pair("cursor", &cursor);
            }
            let page: Page = self.backend.get(url).send().await?.success()?.json()?;
            targets.extend(page.instances.iter().map(|instance| target(instance, self.port)));
            cursor = page.meta.links.next;
            if cursor.is_empty() {
                let labels = Labels::new();
                return Ok(vec![TargetGroup { source: SOURCE.into(), targets, labels }].into());
            }
        }
        Err(too_many_pages(&first))
    }
}

fn target(instance: &Instance, port: u16) -> Labels {
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&instance.main_ip, port)),
        ("__meta_vultr_instance_id", instance.id.clone()),
        ("__meta_vultr_instance_label", instance.label.clone()),
        ("__meta_vultr_instance_os", instance.os.clone()),
        ("__meta_vultr_instance_os_id", instance.os_id.to_string()),
        ("__meta_vultr_instance_region", instance.region.clone()),
        ("__meta_vultr_instance_plan", instance.plan.clone()),
        ("__meta_vultr_instance_main_ip", instance.main_ip.clone()),
        ("__meta_vultr_instance_internal_ip", instance.internal_ip.clone()),
        ("__meta_vultr_instance_main_ipv6", instance.v6_main_ip.clone()),
        ("__meta_vultr_instance_hostname", instance.hostname.clone()),
        ("__meta_vultr_instance_server_status", instance.server_status.clone()),
        ("__meta_vultr_instance_vcpu_count", instance.vcpu_count.to_string()),
        ("__meta_vultr_instance_ram_mb", instance.ram.to_string()),
        ("__meta_vultr_instance_disk_gb", instance.disk.to_string()),
        ("__meta_vultr_instance_allowed_bandwidth_gb", instance.allowed_bandwidth.to_string()),
    ]);
    if !instance.features.is_empty() {
        labels.insert("__meta_vultr_instance_features", wrapped(&instance.features, ","));
    }
    if !instance.tags.is_empty() {
        labels.insert("__meta_vultr_instance_tags", wrapped(&instance.tags, ","));
    }
    labels
}
