//! Endpoints: a target for each address and port behind a service, and for the other ports of the
//! pods that are there.

use std::collections::BTreeMap;

use periskop_core::target::{Labels, TargetGroup};

use super::config::Attach;
use super::labels::{NAMESPACE, add_namespace, add_node, add_object, add_pod};
use super::objects::{EndpointAddress, Endpoints, Pod, Reference, ServicePort};
use super::pod::{add_container_port, targets_beside};
use super::service::add_service;
use super::store::Stores;
use crate::groups::ADDRESS;
use crate::label::join_host_port;

/// The group of one `Endpoints`, which has the name of its service.
pub(super) fn group(
    endpoints: &Endpoints,
    source: String,
    stores: &Stores,
    attach: Attach,
) -> TargetGroup {
    let meta = &endpoints.metadata;
    let mut group = TargetGroup { source, ..TargetGroup::default() };
    group.labels.insert(NAMESPACE, &*meta.namespace);
    if let Some(service) = stores.services.get(&meta.namespace, &meta.name) {
        add_service(&mut group.labels, service);
    }
    add_object(&mut group.labels, "endpoints", &meta.name, &meta.labels, &meta.annotations);
    add_namespace(&mut group.labels, &meta.namespace, stores, attach);

    let mut behind = Behind::default();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, true));
            let not_ready = subset.not_ready_addresses.iter().map(|address| (address, false));
            for (address, ready) in ready.chain(not_ready) {
                let mut target = target(address, port, ready, stores, attach);
                if let Some(pod) = referenced_pod(address.target_ref.as_deref(), stores) {
                    add_pod(&mut target, pod, stores, attach);
                    add_container_port(&mut target, pod, port.port, Some(&port.protocol));
                    behind.named(pod, Some(port.port));
                }
                group.targets.push(target);
            }
        }
    }
    group.targets.extend(behind.targets(stores, attach));
    group
}

fn target(
    address: &EndpointAddress,
    port: &ServicePort,
    ready: bool,
    stores: &Stores,
    attach: Attach,
) -> Labels {
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&address.ip, port.port)),
        ("__meta_kubernetes_endpoint_port_name", port.name.to_string()),
        ("__meta_kubernetes_endpoint_port_protocol", port.protocol.to_string()),
        ("__meta_kubernetes_endpoint_ready", ready.to_string()),
    ]);
    let reference = address.target_ref.as_deref();
    if let Some(Reference { kind, name, .. }) = reference {
        labels.insert("__meta_kubernetes_endpoint_address_target_kind", &**kind);
        labels.insert("__meta_kubernetes_endpoint_address_target_name", &**name);
    }
    if let Some(node) = &address.node_name {
        labels.insert("__meta_kubernetes_endpoint_node_name", &**node);
    }
    if !address.hostname.is_empty() {
        labels.insert("__meta_kubernetes_endpoint_hostname", &*address.hostname);
    }
    let node = address.node_name.as_deref().or_else(|| referenced_node(reference));
    add_node(&mut labels, node, stores, attach);
    labels
}

/// The pods behind a service, and which of their ports it names.
#[derive(Default)]
pub(super) struct Behind<'s>(BTreeMap<(&'s str, &'s str), (&'s Pod, Vec<i32>)>);

impl<'s> Behind<'s> {
    pub(super) fn named(&mut self, pod: &'s Pod, port: Option<i32>) {
        let key = (&*pod.metadata.namespace, &*pod.metadata.name);
        self.0.entry(key).or_insert((pod, Vec::new())).1.extend(port);
    }

    /// Targets for the ports that it does not name.
    pub(super) fn targets(self, stores: &Stores, attach: Attach) -> Vec<Labels> {
        let pods = self.0.into_values();
        pods.flat_map(|(pod, named)| targets_beside(pod, &named, stores, attach)).collect()
    }
}

pub(super) fn referenced_pod<'s>(
    reference: Option<&Reference>,
    stores: &'s Stores,
) -> Option<&'s Pod> {
    let reference = reference.filter(|reference| &*reference.kind == "Pod")?;
    stores.pods.get(&reference.namespace, &reference.name)
}

pub(super) fn referenced_node(reference: Option<&Reference>) -> Option<&str> {
    reference.filter(|reference| &*reference.kind == "Node").map(|reference| &*reference.name)
}
