//! `marathon_sd_configs`: the tasks of the applications that Marathon runs.
//!
//! API: `GET /v2/apps/?embed=apps.tasks`.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use url::Url;

use crate::api::interval_entry;
use crate::backend::{Backend, PATIENCE};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, Source, redact_text};
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// One item of `marathon_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct MarathonConfig {
    /// URLs of servers; each time any of them is asked.
    pub servers: Vec<String>,
    /// How often. Default 30s.
    pub refresh_interval: Duration,
    /// `auth_token` or `auth_token_file`: a token of DC/OS.
    pub auth_token: Option<Source<Secret>>,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl MarathonConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let servers = fields.string_list("servers").unwrap_or_default();
        if servers.is_empty() {
            fields.problem("servers", "marathon_sd: must contain at least one Marathon server");
        }
        let auth_token = take_token(&mut fields);
        let config = Self {
            servers,
            auth_token,
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        fields.finish();
        Some(config)
    }
}

fn take_token(fields: &mut Fields<'_, '_>) -> Option<Source<Secret>> {
    let token = fields.secret("auth_token").filter(|token| !token.is_empty());
    let file = fields.string("auth_token_file").filter(|file| !file.is_empty());
    if token.is_some() && file.is_some() {
        let message = "marathon_sd: at most one of auth_token & auth_token_file must be configured";
        fields.problem("auth_token_file", message);
    }
    let file = file.map(|file| Source::File(PathBuf::from(file)));
    let token = token.map(Source::Inline).or(file)?;
    let is_set = |fields: &mut Fields<'_, '_>, name| {
        fields.node(name).is_some_and(|at| !at.node.is_null() && at.node.text() != Some(""))
    };
    if is_set(fields, "basic_auth") {
        let message = "marathon_sd: at most one of basic_auth, auth_token & auth_token_file \
                       must be configured";
        fields.problem("basic_auth", message);
    } else if is_set(fields, "bearer_token") || is_set(fields, "bearer_token_file") {
        let message = "marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & \
                       auth_token_file must be configured";
        fields.problem("bearer_token", message);
    } else if is_set(fields, "authorization") {
        let message = "marathon_sd: at most one of auth_token, auth_token_file & authorization \
                       must be configured";
        fields.problem("authorization", message);
    }
    Some(token)
}

impl Mechanism for MarathonConfig {
    fn name(&self) -> &'static str {
        "marathon"
    }

    fn effective(&self) -> Node {
        let servers = self.servers.iter().map(|server| redact_text(server));
        let mut entries = vec![("servers", Node::sequence(servers))];
        entries.extend(interval_entry(self.refresh_interval));
        match &self.auth_token {
            Some(Source::Inline(token)) => entries.push(("auth_token", token.into())),
            Some(Source::File(file)) => {
                entries.push(("auth_token_file", file.display().to_string().into()));
            }
            None => {}
        }
        entries.extend(self.http.effective());
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
        self.auth_token.iter_mut().for_each(|token| token.resolve_path(dir));
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let url = |server: &String| {
            Url::parse(&format!("{server}/v2/apps/?embed=apps.tasks")).map_err(BuildError::Url)
        };
        let discovery = MarathonDiscovery {
            backend: Backend::new(&self.http, options, PATIENCE)?,
            urls: self.servers.iter().map(url).collect::<Result<_, _>>()?,
            auth_token: self.auth_token.clone(),
            random: RandomState::new(),
            looks: 0,
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

/// Servers may be written with a password.
impl std::fmt::Debug for MarathonConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MarathonConfig").field(&self.effective().to_string()).finish()
    }
}

struct MarathonDiscovery {
    backend: Backend,
    urls: Vec<Url>,
    auth_token: Option<Source<Secret>>,
    /// Which server is asked is by chance; the standard library's hashes are enough for that.
    random: RandomState,
    looks: u64,
}

impl MarathonDiscovery {
    fn any_url(&mut self) -> Option<&Url> {
        self.looks = self.looks.wrapping_add(1);
        let count = u64::try_from(self.urls.len()).ok()?;
        let index = self.random.hash_one(self.looks).checked_rem(count)?;
        self.urls.get(usize::try_from(index).ok()?)
    }
}

#[async_trait]
impl Refresh for MarathonDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let Some(url) = self.any_url().cloned() else { return Ok(Found::default()) };
        let shown = crate::backend::shown(&url);
        let mut call = self.backend.get(url);
        if let Some(token) = &self.auth_token {
            let token = token.read().await.map_err(|error| DiscoveryError::Unreachable {
                endpoint: shown,
                reason: format!("unable to read auth token file: {error}"),
            })?;
            call = call.credential(AUTHORIZATION, &format!("token={}", token.expose()));
        }
        let answer = call.send().await?;
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return Err(answer.invalid(format!(
                "non 2xx status '{status}' response during marathon service discovery"
            )));
        }
        Ok(groups(answer.json()?).into())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AppList {
    apps: Vec<App>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct App {
    id: String,
    tasks: Vec<Task>,
    labels: BTreeMap<String, String>,
    container: Container,
    port_definitions: Vec<PortDefinition>,
    networks: Vec<Network>,
    require_ports: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Task {
    id: String,
    host: String,
    ports: Vec<u32>,
    ip_addresses: Vec<IpAddress>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IpAddress {
    ip_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    docker: Docker,
    port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Docker {
    image: String,
    port_mappings: Vec<PortMapping>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortMapping {
    labels: BTreeMap<String, String>,
    container_port: u32,
    host_port: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PortDefinition {
    labels: BTreeMap<String, String>,
    port: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    mode: String,
}

/// A group for each application; its source is the application's ID.
fn groups(list: AppList) -> Vec<TargetGroup> {
    let groups: BTreeMap<String, TargetGroup> =
        list.apps.into_iter().map(|app| (app.id.clone(), app.group())).collect();
    groups.into_values().collect()
}

/// The ports that an application has by its definition.
struct Ports<'a> {
    /// The names of their labels begin with it.
    prefix: &'static str,
    /// Zero: the task knows.
    ports: Vec<u32>,
    labels: Vec<&'a BTreeMap<String, String>>,
}

impl App {
    fn group(&self) -> TargetGroup {
        let mut labels = Labels::from([
            ("__meta_marathon_app", self.id.as_str()),
            ("__meta_marathon_image", &self.container.docker.image),
        ]);
        for (name, value) in &self.labels {
            let name = format!("__meta_marathon_app_label_{}", sanitize(name));
            labels.insert(name, value.as_str());
        }
        TargetGroup { source: self.id.clone(), labels, targets: self.targets() }
    }

    fn in_container_network(&self) -> bool {
        self.networks.first().is_some_and(|network| network.mode == "container")
    }

    fn ports(&self) -> Ports<'_> {
        // Where mappings are has changed with Marathon 1.5.
        let mappings = [&self.container.port_mappings, &self.container.docker.port_mappings];
        if let Some(mappings) = mappings.into_iter().find(|mappings| !mappings.is_empty()) {
            let reached = |mapping: &PortMapping| match self.in_container_network() {
                true => mapping.container_port,
                false => mapping.host_port,
            };
            return Ports {
                prefix: "__meta_marathon_port_mapping_label_",
                ports: mappings.iter().map(reached).collect(),
                labels: mappings.iter().map(|mapping| &mapping.labels).collect(),
            };
        }
        // Unless it is required, the port of a definition is one of the service, not of the task.
        let own = |definition: &PortDefinition| {
            if self.require_ports { definition.port } else { 0 }
        };
        Ports {
            prefix: "__meta_marathon_port_definition_label_",
            ports: self.port_definitions.iter().map(own).collect(),
            labels: self.port_definitions.iter().map(|definition| &definition.labels).collect(),
        }
    }

    fn targets(&self) -> Vec<Labels> {
        let Ports { prefix, mut ports, labels } = self.ports();
        let mut targets = Vec::new();
        for task in &self.tasks {
            // From the first task that has some on, as in Prometheus: they count for all later
            // tasks of the application.
            if ports.is_empty() {
                ports.clone_from(&task.ports);
            }
            for (i, port) in ports.iter().enumerate() {
                let chosen = match task.ports.get(i) {
                    Some(chosen) if *port == 0 && task.ports.len() == ports.len() => chosen,
                    _ => port,
                };
                let mut target = Labels::from([
                    (ADDRESS, join_host_port(self.host_of(task), chosen)),
                    ("__meta_marathon_task", task.id.clone()),
                    ("__meta_marathon_port_index", i.to_string()),
                ]);
                for (name, value) in labels.get(i).into_iter().copied().flatten() {
                    target.insert(format!("{prefix}{}", sanitize(name)), value.as_str());
                }
                targets.push(target);
            }
        }
        targets
    }

    fn host_of<'t>(&self, task: &'t Task) -> &'t str {
        match task.ip_addresses.first() {
            Some(own) if self.in_container_network() => &own.ip_address,
            _ => &task.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::config::{decode, parse};

    #[test]
    fn a_token_is_in_no_debug_and_not_printed() {
        let yaml = "{servers: ['http://u:hidden1@m'], auth_token: hidden2}";
        let config = decode(&parse(yaml).unwrap(), MarathonConfig::decode).unwrap();
        let shown = format!("{config:?} {}", config.effective());
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn of_two_applications_with_one_id_the_last_counts() {
        let json = br#"{"apps": [{"id": "/a", "tasks": [{"host": "x", "ports": [1]}]}, null,
            {"id": "/a", "tasks": [{"host": "y", "ports": [2, 3]}]}]}"#;
        let groups = groups(crate::go_json::from_slice(json).unwrap());
        let of_a = groups.iter().find(|group| group.source == "/a").unwrap();
        assert_eq!(of_a.targets.len(), 2);
    }
}
