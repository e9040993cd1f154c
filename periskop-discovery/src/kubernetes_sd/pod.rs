//! Pods: a target for each port of each container.

use periskop_core::target::{Labels, TargetGroup};

use super::config::Attach;
use super::labels::{NAMESPACE, add_namespace, add_node, add_pod};
use super::objects::{Container, ContainerPort, ContainerStatus, Pod};
use super::store::Stores;
use crate::groups::ADDRESS;
use crate::label::join_host_port;

/// The group of a pod. Without an address it has no targets; neither has one whose node is not
/// known where nodes are asked for, since a selector may leave nodes out.
pub(super) fn group(pod: &Pod, source: String, stores: &Stores, attach: Attach) -> TargetGroup {
    let mut group = TargetGroup { source, ..TargetGroup::default() };
    let node = &*pod.spec.node_name;
    if pod.status.pod_ip.is_empty() || (attach.node && stores.hosts.get("", node).is_none()) {
        return group;
    }
    add_pod(&mut group.labels, pod, stores, attach);
    group.labels.insert(NAMESPACE, &*pod.metadata.namespace);
    add_node(&mut group.labels, Some(node), stores, attach);
    add_namespace(&mut group.labels, &pod.metadata.namespace, stores, attach);
    for (container, init) in pod.spec.all_containers() {
        let statuses = match init {
            false => &pod.status.container_statuses,
            true => &pod.status.init_container_statuses,
        };
        let mut labels = Labels::new();
        labels.insert("__meta_kubernetes_pod_container_id", id(statuses, &container.name));
        add_container(&mut labels, container, init);
        if container.ports.is_empty() {
            // Whoever wants such a container adds a port by relabelling.
            labels.insert(ADDRESS, &*pod.status.pod_ip);
            group.targets.push(labels);
            continue;
        }
        for port in &container.ports {
            let mut labels = labels.clone();
            labels.insert(ADDRESS, join_host_port(&pod.status.pod_ip, port.container_port));
            add_port(&mut labels, port, &port.protocol);
            group.targets.push(labels);
        }
    }
    group
}

fn id<'s>(statuses: &'s [ContainerStatus], name: &str) -> &'s str {
    let status = statuses.iter().find(|status| &*status.name == name);
    status.map_or("", |status| &status.container_id)
}

fn add_container(to: &mut Labels, container: &Container, init: bool) {
    to.insert("__meta_kubernetes_pod_container_name", &*container.name);
    to.insert("__meta_kubernetes_pod_container_image", &*container.image);
    to.insert("__meta_kubernetes_pod_container_init", init.to_string());
}

fn add_port(to: &mut Labels, port: &ContainerPort, protocol: &str) {
    to.insert("__meta_kubernetes_pod_container_port_name", &*port.name);
    to.insert("__meta_kubernetes_pod_container_port_number", port.container_port.to_string());
    to.insert("__meta_kubernetes_pod_container_port_protocol", protocol);
}

/// The container's port behind an endpoint, told with the `protocol` that is given, or its own.
pub(super) fn add_container_port(to: &mut Labels, pod: &Pod, number: i32, protocol: Option<&str>) {
    // As in Prometheus the last container with that port wins.
    for (container, init) in pod.spec.all_containers() {
        if let Some(port) = container.ports.iter().find(|port| port.container_port == number) {
            add_container(to, container, init);
            add_port(to, port, protocol.unwrap_or(&port.protocol));
        }
    }
}

/// Targets for the ports of a pod behind a service that the service does not name.
pub(super) fn targets_beside(
    pod: &Pod,
    named: &[i32],
    stores: &Stores,
    attach: Attach,
) -> Vec<Labels> {
    let mut targets = Vec::new();
    if pod.status.pod_ip.is_empty() {
        return targets;
    }
    for (container, init) in pod.spec.all_containers() {
        for port in container.ports.iter().filter(|port| !named.contains(&port.container_port)) {
            let mut labels = Labels::new();
            labels.insert(ADDRESS, join_host_port(&pod.status.pod_ip, port.container_port));
            add_container(&mut labels, container, init);
            add_port(&mut labels, port, &port.protocol);
            add_pod(&mut labels, pod, stores, attach);
            targets.push(labels);
        }
    }
    targets
}
