//! From what a manager answers to targets.

use std::collections::BTreeMap;

use periskop_core::discovery::DiscoveryError;
use periskop_core::target::Labels;
use serde::Deserialize;
use serde_json::Value;

use crate::groups::ADDRESS;
use crate::label::join_host_port;
use crate::moby::{address_of, insert_all, merge};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SwarmNode {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec")]
    spec: NodeSpec,
    #[serde(rename = "Description")]
    description: Description,
    #[serde(rename = "Status")]
    status: NodeStatus,
    #[serde(rename = "ManagerStatus")]
    manager: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeSpec {
    labels: BTreeMap<String, String>,
    role: String,
    availability: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Description {
    hostname: String,
    platform: Platform,
    engine: EngineDescription,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    #[serde(rename = "Architecture")]
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct EngineDescription {
    engine_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeStatus {
    state: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ManagerStatus {
    leader: bool,
    reachability: String,
    addr: String,
}

const NODE_ADDRESS: &str = "__meta_dockerswarm_node_address";

impl SwarmNode {
    pub(super) fn target(&self, port: u16) -> Labels {
        let mut labels = self.labels();
        let engine = self.description.engine.engine_version.as_str();
        labels.insert("__meta_dockerswarm_node_engine_version", engine);
        if let Some(manager) = &self.manager {
            labels.insert("__meta_dockerswarm_node_manager_leader", manager.leader.to_string());
            let reachability = manager.reachability.as_str();
            labels.insert("__meta_dockerswarm_node_manager_reachability", reachability);
            labels.insert("__meta_dockerswarm_node_manager_address", manager.addr.as_str());
        }
        labels.insert(ADDRESS, join_host_port(&self.status.addr, port));
        labels
    }

    /// What its tasks have too.
    fn labels(&self) -> Labels {
        let Self { id, spec, description, status, .. } = self;
        let mut labels = Labels::from([
            ("__meta_dockerswarm_node_id", id.as_str()),
            ("__meta_dockerswarm_node_role", &spec.role),
            (NODE_ADDRESS, &status.addr),
            ("__meta_dockerswarm_node_availability", &spec.availability),
            ("__meta_dockerswarm_node_hostname", &description.hostname),
            ("__meta_dockerswarm_node_platform_architecture", &description.platform.architecture),
            ("__meta_dockerswarm_node_platform_os", &description.platform.os),
            ("__meta_dockerswarm_node_status", &status.state),
        ]);
        insert_all(&mut labels, "__meta_dockerswarm_node_label_", &spec.labels);
        labels
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Spec")]
    spec: ServiceSpec,
    #[serde(rename = "Endpoint")]
    endpoint: ServiceEndpoint,
    #[serde(rename = "UpdateStatus")]
    update: Option<UpdateStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceSpec {
    name: String,
    labels: BTreeMap<String, String>,
    task_template: TaskSpec,
    mode: Mode,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TaskSpec {
    container_spec: Option<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerSpec {
    image: String,
    hostname: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Mode {
    replicated: Option<Value>,
    global: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceEndpoint {
    #[serde(rename = "Ports")]
    ports: Vec<Port>,
    #[serde(rename = "VirtualIPs")]
    virtual_ips: Vec<VirtualIp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Port {
    name: String,
    protocol: String,
    published_port: u32,
    publish_mode: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VirtualIp {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "Addr")]
    address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct UpdateStatus {
    state: String,
}

impl Service {
    /// What its tasks have too.
    fn labels(&self) -> Labels {
        let mode = match &self.spec.mode {
            Mode { global: Some(_), .. } => "global",
            Mode { replicated: Some(_), .. } => "replicated",
            Mode { .. } => "",
        };
        let mut labels = Labels::from([
            ("__meta_dockerswarm_service_id", self.id.as_str()),
            ("__meta_dockerswarm_service_name", &self.spec.name),
            ("__meta_dockerswarm_service_mode", mode),
        ]);
        insert_all(&mut labels, "__meta_dockerswarm_service_label_", &self.spec.labels);
        labels
    }
}

fn tcp(ports: &[Port]) -> impl Iterator<Item = &Port> {
    ports.iter().filter(|port| port.protocol == "tcp")
}

pub(super) fn of_services(
    services: &[Service],
    networks: &BTreeMap<String, Labels>,
    port: u16,
) -> Result<Vec<Labels>, DiscoveryError> {
    let mut targets = Vec::new();
    for service in services {
        let mut common = service.labels();
        // Services of plugins have no container.
        if let Some(container) = &service.spec.task_template.container_spec {
            let hostname = container.hostname.as_str();
            common.insert("__meta_dockerswarm_service_task_container_hostname", hostname);
            let image = container.image.as_str();
            common.insert("__meta_dockerswarm_service_task_container_image", image);
        }
        if let Some(update) = &service.update {
            common.insert("__meta_dockerswarm_service_updating_status", update.state.as_str());
        }
        for virtual_ip in &service.endpoint.virtual_ips {
            let ip = address_of(&virtual_ip.address)?.to_string();
            let mut base = common.clone();
            merge(&mut base, networks.get(&virtual_ip.network_id));
            let before = targets.len();
            for published in tcp(&service.endpoint.ports) {
                let mut labels = base.clone();
                let name = published.name.as_str();
                labels.insert("__meta_dockerswarm_service_endpoint_port_name", name);
                let mode = published.publish_mode.as_str();
                labels.insert("__meta_dockerswarm_service_endpoint_port_publish_mode", mode);
                labels.insert(ADDRESS, join_host_port(&ip, published.published_port));
                targets.push(labels);
            }
            if targets.len() == before {
                base.insert(ADDRESS, join_host_port(&ip, port));
                targets.push(base);
            }
        }
    }
    Ok(targets)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Task {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Slot")]
    slot: i64,
    #[serde(rename = "NodeID")]
    node_id: String,
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(rename = "DesiredState")]
    desired_state: String,
    #[serde(rename = "Status")]
    status: TaskStatus,
    #[serde(rename = "Spec")]
    spec: TaskSpec,
    #[serde(rename = "NetworksAttachments")]
    attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct TaskStatus {
    state: String,
    container_status: Option<ContainerStatus>,
    port_status: PortStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    #[serde(rename = "ContainerID")]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PortStatus {
    ports: Vec<Port>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Attachment {
    network: AttachedNetwork,
    addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
}

impl Task {
    fn labels(&self) -> Labels {
        let mut labels = Labels::from([
            ("__meta_dockerswarm_task_id", self.id.clone()),
            ("__meta_dockerswarm_task_desired_state", self.desired_state.clone()),
            ("__meta_dockerswarm_task_state", self.status.state.clone()),
            ("__meta_dockerswarm_task_slot", self.slot.to_string()),
        ]);
        if let Some(container) = &self.status.container_status {
            labels.insert("__meta_dockerswarm_task_container_id", container.id.as_str());
        }
        if let Some(container) = &self.spec.container_spec {
            insert_all(&mut labels, "__meta_dockerswarm_container_label_", &container.labels);
        }
        labels
    }
}

/// What tasks are seen beside.
pub(super) struct Tasks {
    services: BTreeMap<String, (Labels, Vec<Port>)>,
    nodes: BTreeMap<String, Labels>,
    networks: BTreeMap<String, Labels>,
    port: u16,
}

impl Tasks {
    pub(super) fn new(
        services: Vec<Service>,
        nodes: Vec<SwarmNode>,
        networks: BTreeMap<String, Labels>,
        port: u16,
    ) -> Self {
        let service = |service: Service| {
            let labels = service.labels();
            (service.id, (labels, service.endpoint.ports))
        };
        let node = |node: SwarmNode| (node.id.clone(), node.labels());
        Self {
            services: services.into_iter().map(service).collect(),
            nodes: nodes.into_iter().map(node).collect(),
            networks,
            port,
        }
    }

    pub(super) fn targets(&self, tasks: &[Task]) -> Result<Vec<Labels>, DiscoveryError> {
        let mut targets = Vec::new();
        for task in tasks {
            let mut common = task.labels();
            let service = self.services.get(&task.service_id);
            merge(&mut common, service.map(|(labels, _)| labels));
            merge(&mut common, self.nodes.get(&task.node_id));

            let host = common.get(NODE_ADDRESS).to_owned();
            let published = tcp(&task.status.port_status.ports);
            targets.extend(published.map(|port| with_port(&common, &host, port)));

            let ports = service.map_or(&[][..], |(_, ports)| ports);
            for attachment in &task.attachments {
                let mut base = common.clone();
                merge(&mut base, self.networks.get(&attachment.network.id));
                for address in &attachment.addresses {
                    let ip = address_of(address)?.to_string();
                    let before = targets.len();
                    targets.extend(tcp(ports).map(|port| with_port(&base, &ip, port)));
                    if targets.len() == before {
                        let mut labels = base.clone();
                        labels.insert(ADDRESS, join_host_port(&ip, self.port));
                        targets.push(labels);
                    }
                }
            }
        }
        Ok(targets)
    }
}

fn with_port(base: &Labels, host: &str, port: &Port) -> Labels {
    let mut labels = base.clone();
    labels.insert("__meta_dockerswarm_task_port_publish_mode", port.publish_mode.as_str());
    labels.insert(ADDRESS, join_host_port(host, port.published_port));
    labels
}
