//! Nodes: a target for each, at the port of its kubelet.

use periskop_core::target::{Labels, TargetGroup};

use super::labels::add_object;
use super::objects::Node;
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};

/// Types of addresses, the one that is taken first.
const PREFERRED: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The group of a node; `None` where it has no address, which says nothing of it.
pub(super) fn group(node: &Node, source: String) -> Option<TargetGroup> {
    let first = |kind: &str| node.status.addresses.iter().find(|address| &*address.kind == kind);
    let address = PREFERRED.iter().find_map(|kind| first(kind))?;
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let mut target = Labels::from([
        (ADDRESS, join_host_port(&address.address, port)),
        ("instance", node.metadata.name.to_string()),
    ]);
    // Of several addresses of a type the first is told.
    for address in node.status.addresses.iter().rev() {
        let name = format!("__meta_kubernetes_node_address_{}", sanitize(&address.kind));
        target.insert(name, &*address.address);
    }
    let mut labels = Labels::new();
    labels.insert("__meta_kubernetes_node_provider_id", &*node.spec.provider_id);
    for condition in &node.status.conditions {
        let kind = sanitize(&condition.kind.to_lowercase());
        let name = format!("__meta_kubernetes_node_condition_{kind}");
        labels.insert(name, condition.status.to_lowercase());
    }
    let meta = &node.metadata;
    add_object(&mut labels, "node", &meta.name, &meta.labels, &meta.annotations);
    Some(TargetGroup { source, targets: vec![target], labels })
}
