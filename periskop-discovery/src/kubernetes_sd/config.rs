//! The settings, and what contradicts itself in them.

use std::path::{Path, PathBuf};

use periskop_core::config::{At, Fields, Node, Problems};
use url::Url;

use super::selector::{check_fields, check_labels};
use crate::http_client::{HttpClientConfig, redact_text};

/// One item of `kubernetes_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesConfig {
    /// What becomes a target.
    pub role: Role,
    /// Which API server is asked, and as whom.
    pub access: Access,
    /// The namespaces that are looked at; none: all.
    pub namespaces: Vec<String>,
    /// Which objects count, at most one for each role.
    pub selectors: Vec<Selector>,
    /// What else is looked up for a target.
    pub attach: Attach,
}

/// Which objects become targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Containers' ports.
    Pod,
    /// Ports of services, by their DNS names.
    Service,
    /// Addresses behind services, from `Endpoints`.
    Endpoints,
    /// Addresses behind services, from `EndpointSlice`s.
    EndpointSlice,
    /// Nodes, at their kubelet's port.
    Node,
    /// Paths of ingresses.
    Ingress,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::Pod, Self::Service, Self::Endpoints, Self::EndpointSlice, Self::Node, Self::Ingress];

    /// As it is written in settings and in the names of labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Node => "node",
            Self::Ingress => "ingress",
        }
    }

    fn from_name(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| format!("unknown Kubernetes SD role {name:?}"))
    }

    /// The roles whose objects a selector may restrict.
    fn selectable(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Node => &[Self::Node],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

/// How the API server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// As the service account of the pod that we run in.
    InCluster {
        /// Whether its namespace is looked at, besides those that are named.
        own_namespace: bool,
    },
    /// As a kubeconfig file says.
    Kubeconfig(PathBuf),
    /// At this address, with these settings.
    ApiServer {
        /// The address as configured. It may hold a password.
        url: String,
        /// How HTTP is spoken.
        http: Box<HttpClientConfig>,
    },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InCluster { own_namespace } => {
                f.debug_struct("InCluster").field("own_namespace", own_namespace).finish()
            }
            Self::Kubeconfig(path) => f.debug_tuple("Kubeconfig").field(path).finish(),
            Self::ApiServer { url, http } => f
                .debug_struct("ApiServer")
                .field("url", &redact_text(url))
                .field("http", http)
                .finish(),
        }
    }
}

/// Which objects of one role count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Whose objects.
    pub role: Role,
    /// A label selector; `""`: any.
    pub label: String,
    /// A field selector; `""`: any.
    pub field: String,
}

/// What is looked up for a target beyond its own objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Labels and annotations of its node.
    pub node: bool,
    /// Labels and annotations of its namespace.
    pub namespace: bool,
    /// The deployment that its pod is of.
    pub deployment: bool,
    /// The job that its pod is of.
    pub job: bool,
    /// The cron job that its pod is of.
    pub cronjob: bool,
}

impl Attach {
    fn named(self) -> [(&'static str, bool); 5] {
        [
            ("node", self.node),
            ("namespace", self.namespace),
            ("deployment", self.deployment),
            ("job", self.job),
            ("cronjob", self.cronjob),
        ]
    }
}

impl KubernetesConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let has_role = fields.node("role").is_some_and(|role| !role.node.is_null());
        let role = fields.parsed("role", Role::from_name);
        if !has_role {
            let roles = Role::ALL.map(Role::name).join(", ");
            fields.problem("role", format!("role missing (one of: {roles})"));
        }
        let api_server = fields.string("api_server");
        let kubeconfig = fields.string("kubeconfig_file").filter(|path| !path.is_empty());
        let http = HttpClientConfig::take(&mut fields);
        let (own_namespace, namespaces) =
            fields.section("namespaces", decode_namespaces).unwrap_or_default();
        let attach = fields.section("attach_metadata", decode_attach).unwrap_or_default();
        let selectors = decode_selectors(&mut fields, role);

        if let Some(Err(reason)) = api_server.as_deref().map(parse_url) {
            fields.problem("api_server", reason);
        }
        let custom_http = http != HttpClientConfig::default();
        match (&api_server, &kubeconfig) {
            (Some(_), Some(_)) => fields.problem(
                "kubeconfig_file",
                "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
            ),
            (None, Some(_)) if custom_http => fields.problem(
                "kubeconfig_file",
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (None, None) if custom_http => fields.problem(
                "",
                "to use custom HTTP client configuration please provide the 'api_server' URL \
                 explicitly",
            ),
            (Some(_), None) if own_namespace => fields.problem(
                "namespaces",
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            ),
            (None, Some(_)) if own_namespace => fields.problem(
                "namespaces",
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            ),
            _ => {}
        }
        fields.finish();
        let access = match (api_server, kubeconfig) {
            (Some(url), _) => Access::ApiServer { url, http: Box::new(http) },
            (None, Some(path)) => Access::Kubeconfig(path.into()),
            (None, None) => Access::InCluster { own_namespace },
        };
        Some(Self { role: role?, access, namespaces, selectors, attach })
    }

    /// The settings as keys and values.
    pub(super) fn effective_entries(&self) -> Vec<(&'static str, Node)> {
        let mut entries = vec![("role", self.role.name().into())];
        let (mut kubeconfig, mut own) = (String::new(), false);
        match &self.access {
            Access::InCluster { own_namespace } => {
                own = *own_namespace;
                entries.extend(HttpClientConfig::default().effective());
            }
            Access::Kubeconfig(path) => {
                kubeconfig = path.display().to_string();
                entries.extend(HttpClientConfig::default().effective());
            }
            Access::ApiServer { url, http } => {
                entries.push(("api_server", redact_text(url).into()));
                entries.extend(http.effective());
            }
        }
        entries.push(("kubeconfig_file", kubeconfig.into()));
        if own || !self.namespaces.is_empty() {
            let names = Node::sequence(&self.namespaces);
            let namespaces = [("own_namespace", Node::from(own)), ("names", names)];
            entries.push(("namespaces", Node::mapping(namespaces)));
        }
        if !self.selectors.is_empty() {
            let selectors = self.selectors.iter().map(|selector| {
                let mut entries: Vec<(_, Node)> = vec![("role", selector.role.name().into())];
                for (name, text) in [("label", &selector.label), ("field", &selector.field)] {
                    if !text.is_empty() {
                        entries.push((name, text.into()));
                    }
                }
                Node::mapping(entries)
            });
            entries.push(("selectors", Node::sequence(selectors)));
        }
        if self.attach != Attach::default() {
            let attach = self.attach.named().map(|(name, on)| (name, Node::from(on)));
            entries.push(("attach_metadata", Node::mapping(attach)));
        }
        entries
    }

    pub(super) fn resolve(&mut self, dir: &Path) {
        match &mut self.access {
            Access::InCluster { .. } => {}
            Access::Kubeconfig(path) => *path = dir.join(&*path),
            Access::ApiServer { http, .. } => http.resolve_paths(dir),
        }
    }
}

/// The address of an API server. As in client-go nothing is this host, and what has no scheme is
/// spoken to in plain HTTP.
pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let text = if text.is_empty() { "localhost" } else { text };
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) if url.has_host() => {
            Err(format!("the scheme {:?} is none of an API server", url.scheme()))
        }
        // Not the text: it may hold a password.
        _ => Url::parse(&format!("http://{text}")).map_err(|e| format!("invalid URL: {e}")),
    }
}

fn decode_namespaces(at: &At<'_>, problems: &mut Problems) -> Option<(bool, Vec<String>)> {
    let mut fields = Fields::new(at, problems)?;
    let own_namespace = fields.bool("own_namespace").unwrap_or(false);
    let names = fields.string_list("names").unwrap_or_default();
    fields.finish();
    Some((own_namespace, names))
}

fn decode_attach(at: &At<'_>, problems: &mut Problems) -> Option<Attach> {
    let mut fields = Fields::new(at, problems)?;
    let mut on = |name| fields.bool(name).unwrap_or(false);
    let attach = Attach {
        node: on("node"),
        namespace: on("namespace"),
        deployment: on("deployment"),
        job: on("job"),
        cronjob: on("cronjob"),
    };
    fields.finish();
    Some(attach)
}

/// A role that is not known says nothing about its selectors.
fn decode_selectors(fields: &mut Fields<'_, '_>, of: Option<Role>) -> Vec<Selector> {
    let mut seen: Vec<Option<Role>> = Vec::new();
    let Some(at) = fields.node("selectors") else { return Vec::new() };
    let problems = fields.problems();
    let items = at.items(problems).unwrap_or_default();
    let mut selectors = Vec::new();
    for item in items {
        let Some(mut fields) = Fields::new(&item, problems) else { continue };
        let named = fields.string("role");
        let role = fields.parsed("role", Role::from_name);
        let label = fields.string("label").unwrap_or_default();
        let field = fields.string("field").unwrap_or_default();
        if named.is_none() || role.is_some() {
            if seen.contains(&role) {
                let name = role.map_or("", Role::name);
                fields.problem("role", format!("duplicated selector role: {name}"));
            } else if let Some(of) = of
                && role.is_none_or(|role| !of.selectable().contains(&role))
            {
                let names: Vec<_> = of.selectable().iter().map(|role| role.name()).collect();
                let (of, names) = (of.name(), names.join(", "));
                fields.problem("role", format!("{of} role supports only {names} selectors"));
            }
            seen.push(role);
        }
        if let Err(reason) = check_fields(&field) {
            fields.problem("field", reason);
        }
        if let Err(reason) = check_labels(&label) {
            fields.problem("label", reason);
        }
        fields.finish();
        selectors.extend(role.map(|role| Selector { role, label, field }));
    }
    selectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let url = "https://user:hunter2@k8s:6443".to_owned();
        let access = Access::ApiServer { url, http: Box::default() };
        let config = KubernetesConfig {
            role: Role::Pod,
            access,
            namespaces: Vec::new(),
            selectors: Vec::new(),
            attach: Attach::default(),
        };
        let shown = format!("{config:?} {}", Node::mapping(config.effective_entries()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_address_may_lack_a_scheme_and_may_be_empty() {
        for (text, url) in [
            ("", "http://localhost/"),
            ("k8s:6443", "http://k8s:6443/"),
            ("10.0.0.1:6443", "http://10.0.0.1:6443/"),
            ("https://k8s/k8s/clusters/c-1", "https://k8s/k8s/clusters/c-1"),
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), url);
        }
        assert!(parse_url("ftp://k8s").is_err());
    }
}
