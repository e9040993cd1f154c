//! The objects of the API, as far as anything is made of them.
//!
//! They are read by Go's rules straight into these: a pod has a hundred fields, of which we keep
//! twenty. What is not here costs no memory, and a change of it is no change.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de::DeserializeOwned};

/// A kind of object that can be listed and watched.
pub(super) trait Resource: DeserializeOwned + PartialEq + Send + 'static {
    /// Where it is: `api/v1` of `/api/v1/pods`.
    const API: &'static str;
    /// Its name in the plural: `pods`.
    const PLURAL: &'static str;
    /// Whether nothing but its metadata is asked for, which a server sends by itself if told so.
    const METADATA_ONLY: bool = false;

    /// Its namespace; `""` where it has none.
    fn namespace(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
}

macro_rules! resources {
    ($($type:ident: $api:literal $plural:literal $(metadata $only:literal)?;)*) => {
        $(
            impl Resource for $type {
                const API: &'static str = $api;
                const PLURAL: &'static str = $plural;
                $(const METADATA_ONLY: bool = $only;)?

                fn namespace(&self) -> &str {
                    &self.metadata.namespace
                }

                fn name(&self) -> &str {
                    &self.metadata.name
                }
            }
        )*
    };
}

resources! {
    Pod: "api/v1" "pods";
    Service: "api/v1" "services";
    Endpoints: "api/v1" "endpoints";
    EndpointSlice: "apis/discovery.k8s.io/v1" "endpointslices";
    Node: "api/v1" "nodes";
    Host: "api/v1" "nodes" metadata true;
    Ingress: "apis/networking.k8s.io/v1" "ingresses";
    Namespace: "api/v1" "namespaces" metadata true;
    ReplicaSet: "apis/apps/v1" "replicasets" metadata true;
    Job: "apis/batch/v1" "jobs" metadata true;
}

/// Names and values, in the order in which they came. A map would take several times the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(Box<[(Box<str>, Box<str>)]>);

impl Pairs {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn get(&self, wanted: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs.into()))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
}

/// Who has made an object and takes care of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Controller {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
}

/// Of all the owners of an object the one that controls it.
fn controller<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<Controller>>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Owner {
        kind: Box<str>,
        name: Box<str>,
        controller: bool,
    }
    let owners = Vec::<Owner>::deserialize(deserializer)?;
    let controls = owners.into_iter().find(|owner| owner.controller);
    Ok(controls.map(|Owner { kind, name, .. }| Box::new(Controller { kind, name })))
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: PodMeta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

/// [`Meta`] with what only pods' is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct PodMeta {
    pub(super) name: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) uid: Box<str>,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
    #[serde(rename = "ownerReferences", deserialize_with = "controller")]
    pub(super) controller: Option<Box<Controller>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Box<str>,
    pub(super) containers: Box<[Container]>,
    pub(super) init_containers: Box<[Container]>,
}

impl PodSpec {
    /// The containers, the initial ones last, and whether they are of those.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = (&Container, bool)> {
        let usual = self.containers.iter().map(|container| (container, false));
        usual.chain(self.init_containers.iter().map(|container| (container, true)))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Box<str>,
    pub(super) image: Box<str>,
    pub(super) ports: Box<[ContainerPort]>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: Box<str>,
    pub(super) container_port: i32,
    pub(super) protocol: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Box<str>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Box<str>,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: Box<str>,
    /// The status of the condition `Ready`.
    #[serde(rename = "conditions", deserialize_with = "ready")]
    pub(super) ready: Option<Box<str>>,
    pub(super) container_statuses: Box<[ContainerStatus]>,
    pub(super) init_container_statuses: Box<[ContainerStatus]>,
}

fn ready<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    let conditions = Vec::<Typed>::deserialize(deserializer)?;
    Ok(conditions.into_iter().find(|c| &*c.kind == "Ready").map(|c| c.status))
}

/// A condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Typed {
    #[serde(rename = "type")]
    pub(super) kind: Box<str>,
    pub(super) status: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: Box<str>,
    #[serde(rename = "containerID")]
    pub(super) container_id: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Meta,
    pub(super) spec: ServiceSpec,
    pub(super) status: ServiceStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: Box<str>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Box<str>,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: Box<str>,
    pub(super) external_name: Box<str>,
    pub(super) ip_family_policy: Box<str>,
    pub(super) ip_families: Vec<Box<str>>,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ServicePort {
    pub(super) name: Box<str>,
    pub(super) port: i32,
    pub(super) protocol: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancer {
    pub(super) ingress: Vec<LoadBalancerIngress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancerIngress {
    pub(super) ip: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Endpoints {
    pub(super) metadata: Meta,
    pub(super) subsets: Vec<Subset>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Subset {
    pub(super) addresses: Vec<EndpointAddress>,
    pub(super) not_ready_addresses: Vec<EndpointAddress>,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointAddress {
    pub(super) ip: Box<str>,
    pub(super) hostname: Box<str>,
    pub(super) node_name: Option<Box<str>>,
    pub(super) target_ref: Option<Box<Reference>>,
}

/// Another object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: Box<str>,
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: Meta,
    pub(super) address_type: Box<str>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ports: Vec<EndpointPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) addresses: Vec<Box<str>>,
    pub(super) conditions: EndpointConditions,
    pub(super) hostname: Option<Box<str>>,
    pub(super) target_ref: Option<Box<Reference>>,
    pub(super) deprecated_topology: Pairs,
    pub(super) node_name: Option<Box<str>>,
    pub(super) zone: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct EndpointConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct EndpointPort {
    pub(super) name: Option<Box<str>>,
    pub(super) protocol: Option<Box<str>>,
    pub(super) port: Option<i32>,
    pub(super) app_protocol: Option<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<Typed>,
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) daemon_endpoints: DaemonEndpoints,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: Box<str>,
    pub(super) address: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct DaemonEndpoints {
    pub(super) kubelet_endpoint: DaemonEndpoint,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub(super) port: i32,
}

/// A node as far as pods on it are told of it. Its kubelet reports every few minutes, which must
/// not have all its pods told anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Host {
    pub(super) metadata: Meta,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Ingress {
    pub(super) metadata: Meta,
    pub(super) spec: IngressSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct IngressSpec {
    pub(super) ingress_class_name: Option<Box<str>>,
    pub(super) tls: Vec<IngressTls>,
    pub(super) rules: Vec<IngressRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct IngressTls {
    pub(super) hosts: Vec<Box<str>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct IngressRule {
    pub(super) host: Box<str>,
    pub(super) http: Option<IngressHttp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct IngressHttp {
    pub(super) paths: Vec<IngressPath>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct IngressPath {
    pub(super) path: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Namespace {
    pub(super) metadata: Meta,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ReplicaSet {
    pub(super) metadata: OwnedMeta,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    pub(super) metadata: OwnedMeta,
}

/// Of what stands between a pod and a deployment or a cron job only the way is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct OwnedMeta {
    pub(super) name: Box<str>,
    pub(super) namespace: Box<str>,
    #[serde(rename = "ownerReferences", deserialize_with = "controller")]
    pub(super) controller: Option<Box<Controller>>,
}
