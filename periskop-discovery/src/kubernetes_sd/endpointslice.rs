//! Endpoint slices: as endpoints, of which each is a part.

use periskop_core::target::{Labels, TargetGroup};

use super::config::Attach;
use super::endpoints::{Behind, referenced_node, referenced_pod};
use super::labels::{NAMESPACE, add_namespace, add_node, add_object, add_pod};
use super::objects::{Endpoint, EndpointPort, EndpointSlice, Service};
use super::pod::add_container_port;
use super::service::add_service;
use super::store::Stores;
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};

/// The label of a slice that names its service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The group of a slice.
pub(super) fn group(
    slice: &EndpointSlice,
    source: String,
    stores: &Stores,
    attach: Attach,
) -> TargetGroup {
    let meta = &slice.metadata;
    let mut group = TargetGroup { source, ..TargetGroup::default() };
    group.labels.insert(NAMESPACE, &*meta.namespace);
    group.labels.insert("__meta_kubernetes_endpointslice_address_type", &*slice.address_type);
    add_object(&mut group.labels, "endpointslice", &meta.name, &meta.labels, &meta.annotations);
    let service = meta.labels.get(SERVICE_NAME);
    let service = service.and_then(|name| stores.services.get(&meta.namespace, name));
    if let Some(service) = service {
        add_service(&mut group.labels, service);
    }
    add_namespace(&mut group.labels, &meta.namespace, stores, attach);
    if service.is_some_and(|service| is_of_second_family(slice, service)) {
        return group;
    }

    let mut behind = Behind::default();
    for endpoint in &slice.endpoints {
        let pod = referenced_pod(endpoint.target_ref.as_deref(), stores);
        for port in &slice.ports {
            for address in &endpoint.addresses {
                let mut target = target(address, endpoint, port, stores, attach);
                if let Some(pod) = pod {
                    add_pod(&mut target, pod, stores, attach);
                    if let Some(number) = port.port {
                        add_container_port(&mut target, pod, number, None);
                    }
                    behind.named(pod, port.port);
                }
                group.targets.push(target);
            }
        }
    }
    group.targets.extend(behind.targets(stores, attach));
    group
}

fn target(
    address: &str,
    endpoint: &Endpoint,
    port: &EndpointPort,
    stores: &Stores,
    attach: Attach,
) -> Labels {
    let mut labels = Labels::new();
    let place = match port.port {
        Some(number) => join_host_port(address, number),
        None => address.to_owned(),
    };
    labels.insert(ADDRESS, place);
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            labels.insert(format!("__meta_kubernetes_endpointslice_{name}"), value);
        }
    };
    let text = |value: &Option<Box<str>>| value.as_deref().map(str::to_owned);
    let truth = |value: Option<bool>| value.map(|value| value.to_string());
    tell("port_name", text(&port.name));
    tell("port_protocol", text(&port.protocol));
    tell("port", port.port.map(|number| number.to_string()));
    tell("port_app_protocol", text(&port.app_protocol));
    tell("endpoint_conditions_ready", truth(endpoint.conditions.ready));
    tell("endpoint_conditions_serving", truth(endpoint.conditions.serving));
    tell("endpoint_conditions_terminating", truth(endpoint.conditions.terminating));
    tell("endpoint_hostname", text(&endpoint.hostname));
    let reference = endpoint.target_ref.as_deref();
    tell("address_target_kind", reference.map(|to| to.kind.to_string()));
    tell("address_target_name", reference.map(|to| to.name.to_string()));
    tell("endpoint_node_name", text(&endpoint.node_name));
    tell("endpoint_zone", text(&endpoint.zone));
    for (name, value) in endpoint.deprecated_topology.iter() {
        let name = sanitize(name);
        tell(&format!("endpoint_topology_{name}"), Some(value.to_owned()));
        tell(&format!("endpoint_topology_present_{name}"), Some("true".to_owned()));
    }
    let node = referenced_node(reference).or(endpoint.node_name.as_deref());
    add_node(&mut labels, node, stores, attach);
    labels
}

/// A dual-stack service has its pods twice, in slices of each family; those of the first family
/// are the targets.
fn is_of_second_family(slice: &EndpointSlice, service: &Service) -> bool {
    let spec = &service.spec;
    let dual = matches!(&*spec.ip_family_policy, "PreferDualStack" | "RequireDualStack");
    dual && spec.ip_families.first().is_some_and(|first| *first != slice.address_type)
}
