//! `lightsail_sd_configs`: the Lightsail instances of an AWS account in one region.
//!
//! API: `GetInstances` of Lightsail; like Prometheus only the first page is asked for.

use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;

use crate::aws::AwsApi;
use crate::aws::client::LIGHTSAIL;
use crate::aws::session::Session;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

const TARGET: &str = "Lightsail_20161128.GetInstances";

/// One item of `lightsail_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightsailConfig {
    /// Which part of AWS is asked, and how.
    pub aws: AwsApi,
}

impl LightsailConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let aws = AwsApi::take(&mut fields);
        fields.finish();
        Some(Self { aws })
    }
}

impl Mechanism for LightsailConfig {
    fn name(&self) -> &'static str {
        "lightsail"
    }

    fn effective(&self) -> Node {
        Node::mapping(self.aws.effective())
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.aws.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let session = Session::new(&self.aws, options)?;
        let discovery = LightsailDiscovery { session, port: self.aws.api.port };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

struct LightsailDiscovery {
    session: Session,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    instances: Vec<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    name: Option<String>,
    support_code: Option<String>,
    location: Location,
    blueprint_id: Option<String>,
    bundle_id: Option<String>,
    private_ip_address: Option<String>,
    public_ip_address: Option<String>,
    ipv6_addresses: Vec<String>,
    state: State,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Location {
    availability_zone: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[async_trait]
impl Refresh for LightsailDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.session.region().await?.to_owned();
        let client = self.session.client(LIGHTSAIL);
        let nothing = serde_json::json!({});
        let page: Page = client.json("could not get instances", TARGET, &nothing).await?;
        let targets = page.instances.iter().filter_map(|i| target(i, &region, self.port));
        let targets = targets.collect();
        Ok(vec![TargetGroup { source: region, targets, ..TargetGroup::default() }].into())
    }
}

/// `None` for an instance without a private address.
fn target(instance: &Instance, region: &str, port: u16) -> Option<Labels> {
    let private_ip = instance.private_ip_address.as_deref()?;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(private_ip, port)),
        ("__meta_lightsail_private_ip", private_ip.to_owned()),
        ("__meta_lightsail_region", region.to_owned()),
    ]);
    for (name, value) in [
        ("availability_zone", &instance.location.availability_zone),
        ("blueprint_id", &instance.blueprint_id),
        ("bundle_id", &instance.bundle_id),
        ("instance_name", &instance.name),
        ("instance_state", &instance.state.name),
        ("instance_support_code", &instance.support_code),
        ("public_ip", &instance.public_ip_address),
    ] {
        if let Some(value) = value {
            labels.insert(format!("__meta_lightsail_{name}"), value);
        }
    }
    if !instance.ipv6_addresses.is_empty() {
        labels.insert("__meta_lightsail_ipv6_addresses", wrapped(&instance.ipv6_addresses, ","));
    }
    for tag in &instance.tags {
        if let Tag { key: Some(key), value: Some(value) } = tag {
            labels.insert(format!("__meta_lightsail_tag_{}", sanitize(key)), value);
        }
    }
    Some(labels)
}
