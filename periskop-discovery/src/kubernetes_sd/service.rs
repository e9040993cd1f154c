//! Services: a target for each port, at the service's DNS name.

use periskop_core::target::{Labels, TargetGroup};

use super::config::Attach;
use super::labels::{NAMESPACE, add_namespace, add_object};
use super::objects::Service;
use super::store::Stores;
use crate::groups::ADDRESS;
use crate::label::join_host_port;

/// The group of a service.
pub(super) fn group(
    service: &Service,
    source: String,
    stores: &Stores,
    attach: Attach,
) -> TargetGroup {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut labels = Labels::new();
    add_service(&mut labels, service);
    add_namespace(&mut labels, &meta.namespace, stores, attach);
    let host = format!("{}.{}.svc", meta.name, meta.namespace);
    let target = |port: &super::objects::ServicePort| {
        let mut labels = Labels::from([
            (ADDRESS, join_host_port(&host, port.port)),
            ("__meta_kubernetes_service_port_name", port.name.to_string()),
            ("__meta_kubernetes_service_port_number", port.port.to_string()),
            ("__meta_kubernetes_service_port_protocol", port.protocol.to_string()),
            ("__meta_kubernetes_service_type", spec.kind.to_string()),
        ]);
        if &*spec.kind == "ExternalName" {
            labels.insert("__meta_kubernetes_service_external_name", &*spec.external_name);
        } else {
            labels.insert("__meta_kubernetes_service_cluster_ip", &*spec.cluster_ip);
        }
        if &*spec.kind == "LoadBalancer" {
            labels.insert("__meta_kubernetes_service_loadbalancer_ip", load_balancer_ip(service));
        }
        labels
    };
    TargetGroup { source, targets: spec.ports.iter().map(target).collect(), labels }
}

/// What a service says of itself and of what is behind it.
pub(super) fn add_service(to: &mut Labels, service: &Service) {
    let meta = &service.metadata;
    to.insert(NAMESPACE, &*meta.namespace);
    add_object(to, "service", &meta.name, &meta.labels, &meta.annotations);
}

/// What the load balancer has, else what it was asked to have.
fn load_balancer_ip(service: &Service) -> String {
    let ips = service.status.load_balancer.ingress.iter().map(|ingress| &*ingress.ip);
    let ips: Vec<_> = ips.filter(|ip| !ip.is_empty()).collect();
    if ips.is_empty() { service.spec.load_balancer_ip.to_string() } else { ips.join(",") }
}
