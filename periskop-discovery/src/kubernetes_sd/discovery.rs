//! From what watches tell to groups of targets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::stream::{BoxStream, SelectAll, StreamExt as _};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;

use super::client::Server;
use super::config::{Attach, KubernetesConfig, Role};
use super::index::{Index, Need, of_endpoints, of_pod, of_slice, owner};
use super::objects::{
    EndpointSlice, Endpoints, Host, Ingress, Job, Namespace, Node, Pod, ReplicaSet, Resource,
    Service,
};
use super::store::{Change, Changed, Key, Stores};
use super::watch::{Scope, watch};
use super::{endpoints, endpointslice, ingress, node, pod, service};

/// So much of what has come already is taken in before groups are made of it: an object that
/// changes many times is told once.
const AT_ONCE: usize = 10_000;

/// The targets of a cluster.
pub(super) struct KubernetesDiscovery {
    role: Role,
    attach: Attach,
    stores: Stores,
    /// Objects that become groups, by what they need.
    index: Index,
    /// Pods by what made them, where pods are not what becomes groups.
    owners: Index,
    /// What has to be told anew.
    changed: BTreeSet<Key>,
    told_once: bool,
    watches: SelectAll<BoxStream<'static, (usize, Told)>>,
    progress: Vec<Progress>,
    /// The last failure of each watch that is not yet told.
    failures: BTreeMap<usize, DiscoveryError>,
    /// The watches whose last word is an error.
    failing: BTreeSet<usize>,
    /// Whether it is to be told that nothing fails any more.
    recovered: bool,
}

type Told = Result<Update, DiscoveryError>;

/// How far a watch is.
struct Progress {
    /// The namespace that it looks at; `None`: all.
    namespace: Option<String>,
    state: Sync,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Waiting,
    /// Nothing came but a failure.
    Failed,
    Known,
}

/// What any of the watches tells.
enum Update {
    Pods(Change<Pod>),
    Services(Change<Service>),
    Endpoints(Change<Endpoints>),
    Slices(Change<EndpointSlice>),
    Nodes(Change<Node>),
    Hosts(Change<Host>),
    Ingresses(Change<Ingress>),
    Namespaces(Change<Namespace>),
    ReplicaSets(Change<ReplicaSet>),
    Jobs(Change<Job>),
}

impl KubernetesDiscovery {
    pub(super) fn new(server: &Server, config: &KubernetesConfig) -> Self {
        let mut discovery = Self {
            role: config.role,
            attach: of_use(config.attach, config.role),
            stores: Stores::default(),
            index: Index::default(),
            owners: Index::default(),
            changed: BTreeSet::new(),
            told_once: false,
            watches: SelectAll::new(),
            progress: Vec::new(),
            failures: BTreeMap::new(),
            failing: BTreeSet::new(),
            recovered: false,
        };
        discovery.watch_all(server, config);
        discovery
    }

    fn watch_all(&mut self, server: &Server, config: &KubernetesConfig) {
        let (role, attach) = (self.role, self.attach);
        let scope = |role: Role, namespace: Option<&String>| {
            let selector = config.selectors.iter().find(|selector| selector.role == role);
            Scope {
                namespace: namespace.cloned(),
                label: selector.map_or_else(String::new, |selector| selector.label.clone()),
                field: selector.map_or_else(String::new, |selector| selector.field.clone()),
            }
        };
        if role == Role::Node {
            return self.watch(server, scope(Role::Node, None), Update::Nodes);
        }
        if attach.node {
            self.watch(server, scope(Role::Node, None), Update::Hosts);
        }
        if attach.namespace {
            self.watch(server, Scope::default(), Update::Namespaces);
        }
        let namespaces: Vec<Option<&String>> = match server.namespaces.is_empty() {
            true => vec![None],
            false => server.namespaces.iter().map(Some).collect(),
        };
        for namespace in namespaces {
            let whole = || Scope { namespace: namespace.cloned(), ..Scope::default() };
            let with_pods = matches!(role, Role::Pod | Role::Endpoints | Role::EndpointSlice);
            if with_pods {
                self.watch(server, scope(Role::Pod, namespace), Update::Pods);
            }
            if attach.deployment {
                self.watch(server, whole(), Update::ReplicaSets);
            }
            if attach.cronjob {
                self.watch(server, whole(), Update::Jobs);
            }
            match role {
                Role::Service | Role::Endpoints | Role::EndpointSlice => {
                    self.watch(server, scope(Role::Service, namespace), Update::Services);
                }
                Role::Ingress => self.watch(server, scope(role, namespace), Update::Ingresses),
                Role::Pod | Role::Node => {}
            }
            match role {
                Role::Endpoints => self.watch(server, scope(role, namespace), Update::Endpoints),
                Role::EndpointSlice => self.watch(server, scope(role, namespace), Update::Slices),
                _ => {}
            }
        }
    }

    fn watch<T: Resource>(
        &mut self,
        server: &Server,
        scope: Scope,
        update: fn(Change<T>) -> Update,
    ) {
        let id = self.progress.len();
        let told = watch::<T>(server, id, &scope).map(move |told| (id, told.map(update)));
        self.watches.push(told.boxed());
        self.progress.push(Progress { namespace: scope.namespace, state: Sync::Waiting });
    }

    fn hear(&mut self, (id, told): (usize, Told)) {
        let Some(progress) = self.progress.get_mut(id) else { return };
        match told {
            Ok(update) => {
                progress.state = Sync::Known;
                self.recovered |= self.failing.remove(&id) && self.failing.is_empty();
                let namespace = progress.namespace.clone();
                self.apply(update, namespace.as_deref());
            }
            Err(error) => {
                if progress.state == Sync::Waiting {
                    progress.state = Sync::Failed;
                }
                self.failing.insert(id);
                self.recovered = false;
                self.failures.insert(id, error);
            }
        }
    }

    fn apply(&mut self, update: Update, scope: Option<&str>) {
        match update {
            Update::Pods(change) => {
                for changed in self.stores.pods.apply(change, scope) {
                    self.pod_changed(changed);
                }
            }
            Update::Services(change) => {
                for Changed { key, .. } in self.stores.services.apply(change, scope) {
                    match self.role {
                        Role::Service => {
                            self.changed.insert(key);
                        }
                        _ => self.need_changed(&Need::Service(key)),
                    }
                }
            }
            Update::Endpoints(change) => {
                for Changed { key, before } in self.stores.endpoints.apply(change, scope) {
                    let now = self.stores.endpoints.get(&key.namespace, &key.name);
                    let needs = |endpoints: Option<&Endpoints>| {
                        endpoints.map(|it| of_endpoints(it, self.attach)).unwrap_or_default()
                    };
                    self.index.update(&key, needs(before.as_ref()), needs(now));
                    self.changed.insert(key);
                }
            }
            Update::Slices(change) => {
                for Changed { key, before } in self.stores.slices.apply(change, scope) {
                    let now = self.stores.slices.get(&key.namespace, &key.name);
                    let needs = |slice: Option<&EndpointSlice>| {
                        slice.map(|it| of_slice(it, self.attach)).unwrap_or_default()
                    };
                    self.index.update(&key, needs(before.as_ref()), needs(now));
                    self.changed.insert(key);
                }
            }
            Update::Nodes(change) => {
                let changed = self.stores.nodes.apply(change, scope);
                self.changed.extend(changed.into_iter().map(|changed| changed.key));
            }
            Update::Ingresses(change) => {
                let changed = self.stores.ingresses.apply(change, scope);
                self.changed.extend(changed.into_iter().map(|changed| changed.key));
            }
            Update::Hosts(change) => {
                for Changed { key, .. } in self.stores.hosts.apply(change, scope) {
                    self.need_changed(&Need::Node(key.name));
                }
            }
            Update::Namespaces(change) => {
                for Changed { key, .. } in self.stores.namespaces.apply(change, scope) {
                    self.namespace_changed(&key.name);
                }
            }
            Update::ReplicaSets(change) => {
                for Changed { key, .. } in self.stores.replica_sets.apply(change, scope) {
                    self.owner_changed(&Need::ReplicaSet(key));
                }
            }
            Update::Jobs(change) => {
                for Changed { key, .. } in self.stores.jobs.apply(change, scope) {
                    self.owner_changed(&Need::Job(key));
                }
            }
        }
    }

    fn pod_changed(&mut self, Changed { key, before }: Changed<Pod>) {
        let attach = self.attach;
        let now = self.stores.pods.get(&key.namespace, &key.name);
        if self.role == Role::Pod {
            let needs = |pod: Option<&Pod>| pod.map(|pod| of_pod(pod, attach)).unwrap_or_default();
            self.index.update(&key, needs(before.as_ref()), needs(now));
            self.changed.insert(key);
        } else {
            let needs =
                |pod: Option<&Pod>| pod.and_then(|pod| owner(pod, attach)).into_iter().collect();
            self.owners.update(&key, needs(before.as_ref()), needs(now));
            self.need_changed(&Need::Pod(key));
        }
    }

    fn need_changed(&mut self, need: &Need) {
        self.changed.extend(self.index.dependents(need).cloned());
    }

    fn owner_changed(&mut self, owner: &Need) {
        if self.role == Role::Pod {
            return self.need_changed(owner);
        }
        for pod in self.owners.dependents(owner) {
            self.changed.extend(self.index.dependents(&Need::Pod(pod.clone())).cloned());
        }
    }

    fn namespace_changed(&mut self, namespace: &str) {
        let stores = &self.stores;
        let names: Vec<&str> = match self.role {
            Role::Pod => stores.pods.names(namespace).collect(),
            Role::Service => stores.services.names(namespace).collect(),
            Role::Endpoints => stores.endpoints.names(namespace).collect(),
            Role::EndpointSlice => stores.slices.names(namespace).collect(),
            Role::Ingress => stores.ingresses.names(namespace).collect(),
            Role::Node => Vec::new(),
        };
        self.changed.extend(names.into_iter().map(|name| Key::new(namespace, name)));
    }

    /// The groups that are to be told now, if any. Before the first time that is only when every
    /// watch has come to something; then it is everything, be it nothing.
    ///
    /// A namespace is told of when all watches that it takes know what there is: one that cannot
    /// be looked at does not hold up others, and nobody is told half of one.
    fn groups(&mut self) -> Option<Vec<TargetGroup>> {
        if self.changed.is_empty() && self.told_once {
            return None;
        }
        let ready = Ready::of(&self.progress);
        let first = !self.told_once;
        if first && !ready.begins {
            return None;
        }
        let (told, kept) = std::mem::take(&mut self.changed)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|key| ready.covers(&key.namespace));
        self.changed = kept;
        let groups = told.iter().filter_map(|key| self.group(key));
        // What has no targets from the beginning is known to nobody.
        let groups = groups.filter(|group| !first || !group.targets.is_empty());
        let groups: Vec<_> = groups.collect();
        self.told_once = true;
        (first || !groups.is_empty()).then_some(groups)
    }

    /// The group of an object as it is now, without targets where there is no such object;
    /// `None` where nothing can be told.
    fn group(&self, key: &Key) -> Option<TargetGroup> {
        let (stores, attach, Key { namespace, name }) = (&self.stores, self.attach, key);
        let source = match self.role {
            Role::Pod => format!("pod/{namespace}/{name}"),
            Role::Service => format!("svc/{namespace}/{name}"),
            Role::Endpoints => format!("endpoints/{namespace}/{name}"),
            Role::EndpointSlice => format!("endpointslice/{namespace}/{name}"),
            Role::Node => format!("node/{name}"),
            Role::Ingress => format!("ingress/{namespace}/{name}"),
        };
        let gone = TargetGroup { source: source.clone(), ..TargetGroup::default() };
        let group = match self.role {
            Role::Pod => {
                stores.pods.get(namespace, name).map(|it| pod::group(it, source, stores, attach))
            }
            Role::Service => stores
                .services
                .get(namespace, name)
                .map(|it| service::group(it, source, stores, attach)),
            Role::Endpoints => stores
                .endpoints
                .get(namespace, name)
                .map(|it| endpoints::group(it, source, stores, attach)),
            Role::EndpointSlice => stores
                .slices
                .get(namespace, name)
                .map(|it| endpointslice::group(it, source, stores, attach)),
            Role::Ingress => stores
                .ingresses
                .get(namespace, name)
                .map(|it| ingress::group(it, source, stores, attach)),
            Role::Node => match stores.nodes.get(namespace, name) {
                Some(it) => Some(node::group(it, source)?),
                None => None,
            },
        };
        Some(group.unwrap_or(gone))
    }
}

#[async_trait]
impl Discovery for KubernetesDiscovery {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        loop {
            if let Some((_, error)) = self.failures.pop_first() {
                return Err(error);
            }
            let recovered = std::mem::take(&mut self.recovered) && self.told_once;
            if let Some(groups) = self.groups().or(recovered.then(Vec::new)) {
                return Ok(groups);
            }
            // Watches do not end.
            let Some(told) = self.watches.next().await else {
                return std::future::pending().await;
            };
            self.hear(told);
            for _ in 0..AT_ONCE {
                let Some(Some(told)) = self.watches.next().now_or_never() else { break };
                self.hear(told);
            }
        }
    }
}

/// What of it means something to a role.
fn of_use(attach: Attach, role: Role) -> Attach {
    match role {
        Role::Pod | Role::Endpoints | Role::EndpointSlice => attach,
        Role::Service | Role::Ingress => {
            Attach { namespace: attach.namespace, ..Attach::default() }
        }
        Role::Node => Attach::default(),
    }
}

/// What can be told of.
struct Ready<'p> {
    /// Whether what concerns everything is known.
    shared: bool,
    /// Namespaces of which something is not known.
    without: HashSet<&'p str>,
    /// Whether a first answer can be given.
    begins: bool,
}

impl<'p> Ready<'p> {
    fn of(progress: &'p [Progress]) -> Self {
        let unknown = || progress.iter().filter(|watch| watch.state != Sync::Known);
        let shared = unknown().all(|watch| watch.namespace.is_some());
        let without: HashSet<_> = unknown().filter_map(|it| it.namespace.as_deref()).collect();
        let covers = |watch: &Progress| {
            watch.namespace.as_deref().is_none_or(|namespace| !without.contains(namespace))
        };
        let begins = shared
            && unknown().all(|watch| watch.state == Sync::Failed)
            && progress.iter().any(covers);
        Self { shared, without, begins }
    }

    fn covers(&self, namespace: &str) -> bool {
        self.shared && !self.without.contains(namespace)
    }
}
