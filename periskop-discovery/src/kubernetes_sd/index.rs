//! Who has to be told again when something else changes.

use std::collections::{BTreeSet, HashMap};

use super::config::Attach;
use super::endpoints::referenced_node;
use super::endpointslice::SERVICE_NAME;
use super::objects::{EndpointSlice, Endpoints, Pod, Reference};
use super::store::Key;

/// Something whose change changes what is told of others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Need {
    Node(Box<str>),
    Pod(Key),
    Service(Key),
    ReplicaSet(Key),
    Job(Key),
}

/// Which objects need what.
#[derive(Debug, Default)]
pub(super) struct Index(HashMap<Need, BTreeSet<Key>>);

impl Index {
    /// What an object needs now, and needed before.
    pub(super) fn update(&mut self, key: &Key, before: Vec<Need>, now: Vec<Need>) {
        for need in before.into_iter().filter(|need| !now.contains(need)) {
            if let Some(keys) = self.0.get_mut(&need) {
                keys.remove(key);
                if keys.is_empty() {
                    self.0.remove(&need);
                }
            }
        }
        for need in now {
            self.0.entry(need).or_default().insert(key.clone());
        }
    }

    pub(super) fn dependents(&self, need: &Need) -> impl Iterator<Item = &Key> {
        self.0.get(need).into_iter().flatten()
    }
}

/// What made the pod's maker.
pub(super) fn owner(pod: &Pod, attach: Attach) -> Option<Need> {
    let controller = pod.metadata.controller.as_deref()?;
    let key = || Key::new(&pod.metadata.namespace, &controller.name);
    match &*controller.kind {
        "ReplicaSet" if attach.deployment => Some(Need::ReplicaSet(key())),
        "Job" if attach.cronjob => Some(Need::Job(key())),
        _ => None,
    }
}

pub(super) fn of_pod(pod: &Pod, attach: Attach) -> Vec<Need> {
    let node = attach.node.then(|| Need::Node(pod.spec.node_name.clone()));
    node.into_iter().chain(owner(pod, attach)).collect()
}

pub(super) fn of_endpoints(endpoints: &Endpoints, attach: Attach) -> Vec<Need> {
    let meta = &endpoints.metadata;
    let mut needs = vec![Need::Service(Key::new(&meta.namespace, &meta.name))];
    for subset in &endpoints.subsets {
        for address in subset.addresses.iter().chain(&subset.not_ready_addresses) {
            let reference = address.target_ref.as_deref();
            add(&mut needs, reference, address.node_name.as_deref(), attach);
        }
    }
    needs
}

pub(super) fn of_slice(slice: &EndpointSlice, attach: Attach) -> Vec<Need> {
    let meta = &slice.metadata;
    let service = meta.labels.get(SERVICE_NAME);
    let service = service.map(|name| Need::Service(Key::new(&meta.namespace, name)));
    let mut needs: Vec<Need> = service.into_iter().collect();
    for endpoint in &slice.endpoints {
        let reference = endpoint.target_ref.as_deref();
        add(&mut needs, reference, endpoint.node_name.as_deref(), attach);
    }
    needs
}

fn add(
    needs: &mut Vec<Need>,
    reference: Option<&Reference>,
    node_name: Option<&str>,
    attach: Attach,
) {
    if attach.node {
        let nodes = node_name.into_iter().chain(referenced_node(reference));
        needs.extend(nodes.map(|name| Need::Node(name.into())));
    }
    if let Some(pod) = reference.filter(|reference| &*reference.kind == "Pod") {
        needs.push(Need::Pod(Key::new(&pod.namespace, &pod.name)));
    }
}
