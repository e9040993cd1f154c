//! Labels that several roles have.

use periskop_core::target::Labels;

use super::config::Attach;
use super::objects::{Controller, Host, Pairs, Pod};
use super::store::Stores;
use crate::label::sanitize;

pub(super) const NAMESPACE: &str = "__meta_kubernetes_namespace";
const PRESENT: &str = "true";

/// The labels and annotations of an object: each as it is, and that it is there.
pub(super) fn add_labels(to: &mut Labels, of: &str, labels: &Pairs, annotations: &Pairs) {
    for (what, pairs) in [("label", labels), ("annotation", annotations)] {
        for (name, value) in pairs.iter() {
            let name = sanitize(name);
            to.insert(format!("__meta_kubernetes_{of}_{what}_{name}"), value);
            to.insert(format!("__meta_kubernetes_{of}_{what}present_{name}"), PRESENT);
        }
    }
}

/// The same with the object's name.
pub(super) fn add_object(
    to: &mut Labels,
    of: &str,
    name: &str,
    labels: &Pairs,
    annotations: &Pairs,
) {
    to.insert(format!("__meta_kubernetes_{of}_name"), name);
    add_labels(to, of, labels, annotations);
}

/// What a namespace says of all that is in it, if that is asked for and known.
pub(super) fn add_namespace(to: &mut Labels, namespace: &str, stores: &Stores, attach: Attach) {
    if !attach.namespace {
        return;
    }
    if let Some(namespace) = stores.namespaces.get("", namespace) {
        let meta = &namespace.metadata;
        add_labels(to, "namespace", &meta.labels, &meta.annotations);
    }
}

/// What a node says of all that is on it, if that is asked for and known.
pub(super) fn add_node(to: &mut Labels, name: Option<&str>, stores: &Stores, attach: Attach) {
    let Some(name) = name.filter(|_| attach.node) else { return };
    if let Some(Host { metadata }) = stores.hosts.get("", name) {
        add_object(to, "node", &metadata.name, &metadata.labels, &metadata.annotations);
    }
}

/// What a pod says of its containers.
pub(super) fn add_pod(to: &mut Labels, pod: &Pod, stores: &Stores, attach: Attach) {
    let (meta, status) = (&pod.metadata, &pod.status);
    to.insert("__meta_kubernetes_pod_ip", &*status.pod_ip);
    let ready = status.ready.as_deref().unwrap_or("unknown").to_lowercase();
    to.insert("__meta_kubernetes_pod_ready", ready);
    to.insert("__meta_kubernetes_pod_phase", &*status.phase);
    to.insert("__meta_kubernetes_pod_node_name", &*pod.spec.node_name);
    to.insert("__meta_kubernetes_pod_host_ip", &*status.host_ip);
    to.insert("__meta_kubernetes_pod_uid", &*meta.uid);
    add_object(to, "pod", &meta.name, &meta.labels, &meta.annotations);
    let Some(Controller { kind, name }) = meta.controller.as_deref() else { return };
    if !kind.is_empty() {
        to.insert("__meta_kubernetes_pod_controller_kind", &**kind);
    }
    if !name.is_empty() {
        to.insert("__meta_kubernetes_pod_controller_name", &**name);
    }
    match &**kind {
        "ReplicaSet" if attach.deployment => {
            let owned = stores.replica_sets.get(&meta.namespace, name).map(|rs| &rs.metadata);
            let owner = owned.and_then(|owned| owned.controller.as_deref());
            if let Some(owner) = owner.filter(|owner| &*owner.kind == "Deployment") {
                to.insert("__meta_kubernetes_pod_deployment_name", &*owner.name);
            }
        }
        "Job" => {
            if attach.job {
                to.insert("__meta_kubernetes_pod_job_name", &**name);
            }
            let owned = stores.jobs.get(&meta.namespace, name).map(|job| &job.metadata);
            let owner = owned.and_then(|owned| owned.controller.as_deref());
            if let Some(owner) = owner.filter(|owner| attach.cronjob && &*owner.kind == "CronJob") {
                to.insert("__meta_kubernetes_pod_cronjob_name", &*owner.name);
            }
        }
        _ => {}
    }
}
