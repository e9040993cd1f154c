//! `kuma_sd_configs`: the dataplanes of a Kuma service mesh.
//!
//! API: the control plane's Monitoring Assignment Discovery Service, version 1:
//! `POST /v3/discovery:monitoringassignments`, an xDS fetch that waits for a change. Messages are
//! those of Protocol Buffers in their JSON form.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::api::interval_entry;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::go_json;
use crate::go_url::GoUrl;
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, redact_text};
use crate::label::{quoted, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);
/// How much longer than it may wait the server may take to answer.
const OVERHEAD: Duration = Duration::from_secs(15);
const SOURCE: &str = "kuma";
const MESSAGE: &str = "kuma.observability.v1.MonitoringAssignment";
const TYPE_URL: &str = "type.googleapis.com/kuma.observability.v1.MonitoringAssignment";

/// One item of `kuma_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct KumaConfig {
    /// The URL of the control plane, such as `http://kuma-control-plane:5676`.
    pub server: String,
    /// Who we are to the control plane. Not set: the name of this host.
    pub client_id: String,
    /// How often is asked at most. Default 15s.
    pub refresh_interval: Duration,
    /// How long the control plane may wait for a change before it answers that there is none.
    /// Default 2m.
    pub fetch_timeout: Duration,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl KumaConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            server: fields.string("server").unwrap_or_default(),
            client_id: fields.string("client_id").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            fetch_timeout: fields.duration("fetch_timeout").unwrap_or(FETCH_TIMEOUT),
            http: HttpClientConfig::take(&mut fields),
        };
        if config.server.is_empty() {
            fields.problem("server", "kuma SD server must not be empty: ");
        } else {
            match GoUrl::parse(&config.server) {
                Ok(url) if url.scheme.is_empty() || url.host.is_empty() => {
                    let shown = redact_text(&config.server);
                    let message =
                        format!("kuma SD server must not be empty and have a scheme: {shown}");
                    fields.problem("server", message);
                }
                Ok(_) => {}
                Err(message) => fields.problem("server", message),
            }
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for KumaConfig {
    fn name(&self) -> &'static str {
        "kuma"
    }

    fn effective(&self) -> Node {
        let mut entries = self.http.effective();
        entries.extend(interval_entry(self.refresh_interval));
        if !self.fetch_timeout.is_zero() {
            entries.push(("fetch_timeout", format_duration(self.fetch_timeout).into()));
        }
        entries.push(("server", redact_text(&self.server).into()));
        if !self.client_id.is_empty() {
            entries.push(("client_id", (&self.client_id).into()));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let mut url = Url::parse(&self.server).map_err(BuildError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            let message = "invalid xDS server URL protocol. must be either 'http' or 'https'";
            return Err(BuildError::Missing(message.into()));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v3", "discovery:monitoringassignments"]);
        }
        let fetch_timeout = format_duration(self.fetch_timeout);
        url.set_query(Some(&format!("fetch-timeout={fetch_timeout}")));
        let client_id = match self.client_id.as_str() {
            "" => own_name(options),
            id => id.to_owned(),
        };
        let discovery = KumaDiscovery {
            backend: Backend::new(&self.http, options, self.fetch_timeout + OVERHEAD)?,
            url,
            client_id,
            version: String::new(),
            nonce: String::new(),
            targets: Vec::new(),
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

/// The server may be written with a password.
impl std::fmt::Debug for KumaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KumaConfig").field(&self.effective().to_string()).finish()
    }
}

/// The name of this host, where the system tells it.
fn own_name(options: &BuildOptions) -> String {
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = options.environment.get("HOSTNAME").or_else(from_kernel).unwrap_or_default();
    match name.trim() {
        "" => "periskop".into(),
        name => name.to_owned(),
    }
}

struct KumaDiscovery {
    backend: Backend,
    url: Url,
    client_id: String,
    /// What was last read in whole.
    version: String,
    nonce: String,
    targets: Vec<Labels>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DiscoveryResponse {
    #[serde(alias = "versionInfo")]
    version_info: String,
    resources: Vec<Value>,
    #[serde(alias = "typeUrl")]
    type_url: String,
    nonce: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Assignment {
    #[serde(rename = "@type")]
    kind: String,
    mesh: String,
    service: String,
    targets: Vec<Dataplane>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Dataplane {
    name: String,
    scheme: String,
    address: String,
    #[serde(alias = "metricsPath")]
    metrics_path: String,
    labels: BTreeMap<String, String>,
}

impl KumaDiscovery {
    /// What is asked: all that is newer than what we have.
    fn question(&self) -> Value {
        let mut question = json!({ "node": { "id": self.client_id }, "type_url": TYPE_URL });
        for (name, value) in [("version_info", &self.version), ("response_nonce", &self.nonce)] {
            if !value.is_empty() {
                question[name] = value.as_str().into();
            }
        }
        question
    }

    fn found(&self) -> Found {
        let targets = self.targets.clone();
        vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into()
    }
}

#[async_trait]
impl Refresh for KumaDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let call = self.backend.post(self.url.clone()).json(&self.question());
        let answer = call.header(ACCEPT, "application/json").send().await?;
        match answer.status {
            StatusCode::NOT_MODIFIED => return Ok(self.found()),
            StatusCode::OK => {}
            other => {
                let status = other.as_u16();
                let reason = format!("non 200 status '{status}' response during xDS fetch");
                return Err(answer.invalid(reason));
            }
        }
        let response: DiscoveryResponse = answer.json()?;
        self.targets =
            targets(response.resources, &response.type_url).map_err(|e| answer.invalid(e))?;
        // Only now: what cannot be read must be told once more.
        (self.version, self.nonce) = (response.version_info, response.nonce);
        Ok(self.found())
    }
}

fn targets(resources: Vec<Value>, type_url: &str) -> Result<Vec<Labels>, String> {
    if type_url != TYPE_URL {
        let shown = quoted(type_url);
        return Err(format!("received invalid typeURL for Kuma MADS v1 Resource: {shown}"));
    }
    let mut targets = Vec::new();
    for resource in resources {
        let assignment: Assignment =
            go_json::from_value(resource).map_err(|e| quoted(&e.to_string()))?;
        if assignment.kind.rsplit('/').next() != Some(MESSAGE) {
            return Err("a resource that is no monitoring assignment".into());
        }
        targets.extend(assignment.targets.iter().map(|dataplane| target(dataplane, &assignment)));
    }
    Ok(targets)
}

fn target(dataplane: &Dataplane, assignment: &Assignment) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in dataplane.labels.iter().chain(&assignment.labels) {
        labels.insert(format!("__meta_kuma_label_{}", sanitize(name)), value.as_str());
    }
    for (name, value) in [
        ("__meta_kuma_mesh", &assignment.mesh),
        ("__meta_kuma_service", &assignment.service),
        ("__meta_kuma_dataplane", &dataplane.name),
        (ADDRESS, &dataplane.address),
        ("instance", &dataplane.name),
        ("__scheme__", &dataplane.scheme),
        ("__metrics_path__", &dataplane.metrics_path),
    ] {
        labels.insert(name, value.as_str());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: &str) -> Value {
        json!({ "@type": kind, "mesh": "m", "unknown": 1, "targets": [
            { "name": "d", "address": "10.0.0.1:1", "metricsPath": "/x", "labels": { "a": "own" } },
        ], "labels": { "a": "common", "b": null } })
    }

    #[test]
    fn both_ways_to_write_names_are_read_and_common_labels_win() {
        let found = targets(vec![resource(TYPE_URL)], TYPE_URL).unwrap();
        assert_eq!(found[0].get("__metrics_path__"), "/x");
        assert_eq!(found[0].get("__meta_kuma_label_a"), "common");
    }

    #[test]
    fn what_is_no_assignment_fails_the_whole() {
        assert!(targets(vec![], "other").is_err());
        assert!(targets(vec![resource(TYPE_URL), resource("x/other")], TYPE_URL).is_err());
        assert!(targets(vec![json!({})], TYPE_URL).is_err());
        assert!(targets(vec![json!({"@type": TYPE_URL, "targets": "x"})], TYPE_URL).is_err());
    }
}
