//! `stackit_sd_configs`: the servers of a STACKIT project.
//!
//! API: `GET /v1/projects/PROJECT/servers?details=true` of the IaaS API, in one piece.

mod key_flow;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde::Deserialize;
use serde_json::Value;
use url::{ParseError, Url};

use crate::api::Api;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

use key_flow::KeyFlow;

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const REGION: &str = "eu01";
const SOURCE: &str = "stackit";

/// One item of `stackit_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackitConfig {
    /// The ID of the project.
    pub project: String,
    /// The region. Default `eu01`.
    pub region: String,
    /// The address of the API; `""`: that of the region.
    pub endpoint: String,
    /// A service account. Without one the HTTP client's settings say who we are.
    pub account: AccountConfig,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

/// The settings of a service account; `""`: not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountConfig {
    /// `service_account_key`: JSON.
    pub key: Secret,
    /// `service_account_key_path`: a file of it.
    pub key_path: String,
    /// `private_key`: PEM. It need not be set if the account's key holds it.
    pub private_key: Secret,
    /// `private_key_path`: a file of it.
    pub private_key_path: String,
    /// `credentials_file_path`: where the private key is looked for last.
    pub credentials_file_path: String,
}

impl StackitConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let mut text = |name| fields.string(name).unwrap_or_default();
        let account = AccountConfig {
            key: Secret::new(text("service_account_key")),
            key_path: text("service_account_key_path"),
            private_key: Secret::new(text("private_key")),
            private_key_path: text("private_key_path"),
            credentials_file_path: text("credentials_file_path"),
        };
        let config = Self {
            project: text("project"),
            endpoint: text("endpoint"),
            region: fields.string("region").unwrap_or_else(|| REGION.to_owned()),
            account,
            api: Api::take(&mut fields, REFRESH_INTERVAL, 80),
        };
        if config.endpoint.is_empty() && config.region.is_empty() {
            fields.problem("region", "stackit_sd: endpoint and region missing");
        } else if let Err(error) = check_endpoint(&config.endpoint) {
            let endpoint = &config.endpoint;
            let message = format!("stackit_sd: invalid endpoint {endpoint:?}: {error}");
            fields.problem("endpoint", message);
        }
        fields.finish();
        Some(config)
    }
}

/// Go takes a relative one for a URL, and finds out when it is used.
fn check_endpoint(endpoint: &str) -> Result<(), String> {
    match Url::parse(endpoint) {
        _ if endpoint.starts_with(':') => Err("missing protocol scheme".into()),
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

impl Mechanism for StackitConfig {
    fn name(&self) -> &'static str {
        "stackit"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        entries.push(("project", (&self.project).into()));
        let account = &self.account;
        for (name, text) in [
            ("region", &self.region),
            ("endpoint", &self.endpoint),
            ("service_account_key_path", &account.key_path),
            ("private_key_path", &account.private_key_path),
            ("credentials_file_path", &account.credentials_file_path),
        ] {
            if !text.is_empty() {
                entries.push((name, text.into()));
            }
        }
        let secrets =
            [("service_account_key", &account.key), ("private_key", &account.private_key)];
        for (name, secret) in secrets {
            if !secret.is_empty() {
                entries.push((name, secret.into()));
            }
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        // Those of the account are relative to where the process runs, as in Prometheus.
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let mut url = match self.endpoint.as_str() {
            "" => options.origin(&format!("https://iaas.api.{}.stackit.cloud", self.region))?,
            endpoint => Url::parse(endpoint).map_err(BuildError::Url)?,
        };
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "projects", &self.project, "servers"]);
        }
        url.query_pairs_mut().append_pair("details", "true");
        let interval = self.api.refresh_interval;
        let discovery = StackitDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            key_flow: KeyFlow::new(&self.account, &self.api.http, options)?,
            url,
            project: self.project.clone(),
            port: self.api.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct StackitDiscovery {
    backend: Backend,
    key_flow: Option<KeyFlow>,
    url: Url,
    project: String,
    port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Servers {
    items: Vec<Server>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Server {
    availability_zone: String,
    id: String,
    labels: BTreeMap<String, Value>,
    machine_type: String,
    name: String,
    nics: Vec<Nic>,
    power_status: String,
    status: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Nic {
    network_name: String,
    ipv4: String,
    public_ip: String,
}

#[async_trait]
impl Refresh for StackitDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let mut call = self.backend.get(self.url.clone()).header(ACCEPT, "application/json");
        if let Some(flow) = &self.key_flow {
            let bearer = format!("Bearer {}", flow.token().await?.expose());
            call = call.credential(AUTHORIZATION, &bearer);
        }
        let answer = call.send().await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(flow) = &self.key_flow
        {
            flow.forget().await;
        }
        let servers: Servers = answer.ok()?.json()?;
        let target = |server| target(server, &self.project, self.port);
        let targets = servers.items.iter().filter_map(target).collect();
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

/// A server without an address is no target.
fn target(server: &Server, project: &str, port: u16) -> Option<Labels> {
    let public = server.nics.iter().map(|nic| &nic.public_ip).find(|ip| !ip.is_empty());
    let private = server.nics.iter().filter(|nic| !nic.ipv4.is_empty());
    let address = public.or_else(|| private.clone().next().map(|nic| &nic.ipv4))?;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(address, port).as_str()),
        ("__meta_stackit_project", project),
        ("__meta_stackit_id", &server.id),
        ("__meta_stackit_name", &server.name),
        ("__meta_stackit_availability_zone", &server.availability_zone),
        ("__meta_stackit_status", &server.status),
        ("__meta_stackit_power_status", &server.power_status),
        ("__meta_stackit_type", &server.machine_type),
    ]);
    for nic in private {
        let name = format!("__meta_stackit_private_ipv4_{}", sanitize(&nic.network_name));
        labels.insert(name, nic.ipv4.as_str());
    }
    if let Some(public) = public {
        labels.insert("__meta_stackit_public_ipv4", public.as_str());
    }
    for (key, value) in &server.labels {
        if let Some(value) = value.as_str() {
            let key = sanitize(key);
            labels.insert(format!("__meta_stackit_labelpresent_{key}"), "true");
            labels.insert(format!("__meta_stackit_label_{key}"), value);
        }
    }
    Some(labels)
}
