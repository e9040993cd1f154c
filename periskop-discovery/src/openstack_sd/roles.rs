//! What each role asks for, and the targets that it makes of the answers.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;
use periskop_core::discovery::DiscoveryError;
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::keystone::{Identity, Session};
use super::{OpenstackConfig, Role};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::polling::{Found, Refresh};

pub(super) struct OpenstackDiscovery {
    pub(super) config: OpenstackConfig,
    pub(super) identity: Identity,
}

#[async_trait]
impl Refresh for OpenstackDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let session = self.identity.enter().await?;
        let config = &self.config;
        let targets = match config.role {
            Role::Hypervisor => hypervisors(&session, config).await?,
            Role::Instance => instances(&session, config).await?,
            Role::LoadBalancer => load_balancers(&session, config).await?,
        };
        let source = format!("OS_{}", config.region);
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

async fn hypervisors(
    session: &Session<'_>,
    config: &OpenstackConfig,
) -> Result<Vec<Labels>, DiscoveryError> {
    let url = below(&session.service("compute", config)?, &["os-hypervisors", "detail"]);
    let all: Vec<Hypervisor> = session.list(url, "hypervisors").await?;
    Ok(all.iter().map(|hypervisor| hypervisor_target(hypervisor, config.port)).collect())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hypervisor {
    /// A number, and since microversion 2.53 a text.
    id: Value,
    host_ip: String,
    hypervisor_hostname: String,
    hypervisor_type: String,
    state: String,
    status: String,
}

fn hypervisor_target(hypervisor: &Hypervisor, port: u16) -> Labels {
    let id = match &hypervisor.id {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => String::new(),
    };
    Labels::from([
        (ADDRESS, join_host_port(&hypervisor.host_ip, port)),
        ("__meta_openstack_hypervisor_id", id),
        ("__meta_openstack_hypervisor_host_ip", hypervisor.host_ip.clone()),
        ("__meta_openstack_hypervisor_hostname", hypervisor.hypervisor_hostname.clone()),
        ("__meta_openstack_hypervisor_status", hypervisor.status.clone()),
        ("__meta_openstack_hypervisor_state", hypervisor.state.clone()),
        ("__meta_openstack_hypervisor_type", hypervisor.hypervisor_type.clone()),
    ])
}

async fn instances(
    session: &Session<'_>,
    config: &OpenstackConfig,
) -> Result<Vec<Labels>, DiscoveryError> {
    let network = session.service("network", config)?;
    let compute = session.service("compute", config)?;
    let ports: Vec<Port> = session.list(below(&network, &["v2.0", "ports"]), "ports").await?;
    let floating = below(&network, &["v2.0", "floatingips"]);
    let floating: Vec<FloatingIp> = session.list(floating, "floatingips").await?;
    let floating = FloatingIps::new(&ports, floating);
    let mut url = below(&compute, &["servers", "detail"]);
    if config.all_tenants {
        url.query_pairs_mut().append_pair("all_tenants", "true");
    }
    let servers: Vec<Server> = session.list(url, "servers").await?;
    Ok(servers.iter().flat_map(|server| targets(server, &floating, config.port)).collect())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    id: String,
    device_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FloatingIp {
    floating_ip_address: String,
    fixed_ip_address: String,
    port_id: String,
}

/// Floating IPs by server and fixed IP.
struct FloatingIps {
    by_fixed: HashMap<(String, String), String>,
    all: HashSet<String>,
}

impl FloatingIps {
    fn new(ports: &[Port], ips: Vec<FloatingIp>) -> Self {
        let devices: HashMap<_, _> = ports.iter().map(|port| (&port.id, &port.device_id)).collect();
        let (mut by_fixed, mut all) = (HashMap::new(), HashSet::new());
        for ip in ips {
            if ip.port_id.is_empty() || ip.fixed_ip_address.is_empty() {
                continue; // associated with nothing
            }
            if let Some(device) = devices.get(&ip.port_id) {
                all.insert(ip.floating_ip_address.clone());
                by_fixed.insert(((*device).clone(), ip.fixed_ip_address), ip.floating_ip_address);
            }
        }
        Self { by_fixed, all }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Server {
    id: String,
    name: String,
    status: String,
    tenant_id: String,
    user_id: String,
    flavor: Value,
    /// `""` where it was started from a volume.
    image: Value,
    metadata: BTreeMap<String, String>,
    addresses: BTreeMap<String, Value>,
}

/// A target for each address that is not a floating IP.
fn targets(server: &Server, floating: &FloatingIps, port: u16) -> Vec<Labels> {
    let text = |value: &Value, key| value.get(key).and_then(Value::as_str).map(str::to_owned);
    // Since microversion 2.47 a flavour is told in full rather than by its ID.
    let flavor = text(&server.flavor, "original_name").or_else(|| text(&server.flavor, "id"));
    let Some(flavor) = flavor else {
        if !server.addresses.is_empty() {
            tracing::warn!(server = server.id, "a server without a flavor is left out");
        }
        return Vec::new();
    };
    let mut common = Labels::from([
        ("__meta_openstack_instance_id", server.id.as_str()),
        ("__meta_openstack_instance_status", &server.status),
        ("__meta_openstack_instance_name", &server.name),
        ("__meta_openstack_project_id", &server.tenant_id),
        ("__meta_openstack_user_id", &server.user_id),
        ("__meta_openstack_instance_flavor", &flavor),
    ]);
    if let Some(image) = text(&server.image, "id") {
        common.insert("__meta_openstack_instance_image", image);
    }
    for (key, value) in &server.metadata {
        common.insert(format!("__meta_openstack_tag_{}", sanitize(key)), value.as_str());
    }
    let mut targets = Vec::new();
    for (pool, addresses) in &server.addresses {
        for address in addresses.as_array().into_iter().flatten() {
            let Some(ip) = text(address, "addr") else { continue };
            if floating.all.contains(&ip) {
                continue;
            }
            let mut labels = common.clone();
            labels.insert(ADDRESS, join_host_port(&ip, port));
            labels.insert("__meta_openstack_address_pool", pool.as_str());
            labels.insert("__meta_openstack_private_ip", ip.as_str());
            if let Some(public) = floating.by_fixed.get(&(server.id.clone(), ip)) {
                labels.insert("__meta_openstack_public_ip", public.as_str());
            }
            targets.push(labels);
        }
    }
    targets
}

async fn load_balancers(
    session: &Session<'_>,
    config: &OpenstackConfig,
) -> Result<Vec<Labels>, DiscoveryError> {
    let balancing = session.service("load-balancer", config)?;
    let network = session.service("network", config)?;
    // Some catalogues have the version in it, some do not.
    let versioned = balancing.path().trim_end_matches('/').ends_with("v2.0");
    let version: &[&str] = if versioned { &[] } else { &["v2.0"] };
    let url = |kind| below(&balancing, &[version, &["lbaas", kind]].concat());
    let balancers: Vec<LoadBalancer> = session.list(url("loadbalancers"), "loadbalancers").await?;
    let listeners: Vec<Listener> = session.list(url("listeners"), "listeners").await?;
    let floating = below(&network, &["v2.0", "floatingips"]);
    let floating: Vec<FloatingIp> = session.list(floating, "floatingips").await?;

    let mut ports = HashMap::<&str, i64>::new();
    for listener in listeners.iter().filter(|listener| listener.protocol == "PROMETHEUS") {
        for balancer in &listener.loadbalancers {
            ports.entry(&balancer.id).or_insert(listener.protocol_port); // the first one counts
        }
    }
    let floating = floating.iter().filter(|ip| !ip.port_id.is_empty());
    let floating: HashMap<&str, &str> =
        floating.map(|ip| (ip.port_id.as_str(), ip.floating_ip_address.as_str())).collect();
    let target = |balancer: &LoadBalancer| {
        let port = ports.get(balancer.id.as_str())?;
        let floating = floating.get(balancer.vip_port_id.as_str());
        Some(load_balancer_target(balancer, *port, floating.copied()))
    };
    Ok(balancers.iter().filter_map(target).collect())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    id: String,
    name: String,
    operating_status: String,
    provisioning_status: String,
    availability_zone: String,
    vip_address: String,
    vip_port_id: String,
    provider: String,
    project_id: String,
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Listener {
    protocol: String,
    protocol_port: i64,
    loadbalancers: Vec<Reference>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    id: String,
}

fn load_balancer_target(balancer: &LoadBalancer, port: i64, floating: Option<&str>) -> Labels {
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&balancer.vip_address, port).as_str()),
        ("__meta_openstack_loadbalancer_id", &balancer.id),
        ("__meta_openstack_loadbalancer_name", &balancer.name),
        ("__meta_openstack_loadbalancer_operating_status", &balancer.operating_status),
        ("__meta_openstack_loadbalancer_provisioning_status", &balancer.provisioning_status),
        ("__meta_openstack_loadbalancer_availability_zone", &balancer.availability_zone),
        ("__meta_openstack_loadbalancer_vip", &balancer.vip_address),
        ("__meta_openstack_loadbalancer_provider", &balancer.provider),
        ("__meta_openstack_project_id", &balancer.project_id),
    ]);
    if !balancer.tags.is_empty() {
        labels.insert("__meta_openstack_loadbalancer_tags", balancer.tags.join(","));
    }
    if let Some(floating) = floating {
        labels.insert("__meta_openstack_loadbalancer_floating_ip", floating);
    }
    labels
}
