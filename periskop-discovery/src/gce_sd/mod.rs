//! `gce_sd_configs`: the instances of a Google Compute Engine project in one zone.
//!
//! API: `GET /compute/v1/projects/PROJECT/zones/ZONE/instances`, paged by a token.

mod credentials;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use url::Url;

use crate::api::{PAGES_LIMIT, interval_entry};
use crate::backend::{Answer, Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{sanitize, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use crate::token;

use credentials::Credentials;

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const PORT: u16 = 80;
const TAG_SEPARATOR: &str = ",";
const ORIGIN: &str = "https://compute.googleapis.com";

/// One item of `gce_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GceConfig {
    /// The project's ID.
    pub project: String,
    /// The zone, such as `europe-west1-b`.
    pub zone: String,
    /// Which instances, in the API's language; `""`: all.
    pub filter: String,
    /// How often is asked. Default 1m.
    pub refresh_interval: Duration,
    /// The port of targets. Default 80.
    pub port: u16,
    /// What stands around and between tags. Default `,`.
    pub tag_separator: String,
}

impl GceConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            project: fields.string("project").unwrap_or_default(),
            zone: fields.string("zone").unwrap_or_default(),
            filter: fields.string("filter").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            port: fields.port("port").unwrap_or(PORT),
            tag_separator: fields
                .string("tag_separator")
                .unwrap_or_else(|| TAG_SEPARATOR.to_owned()),
        };
        if config.project.is_empty() {
            fields.problem("project", "GCE SD configuration requires a project");
        } else if config.zone.is_empty() {
            fields.problem("zone", "GCE SD configuration requires a zone");
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for GceConfig {
    fn name(&self) -> &'static str {
        "gce"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![("project", (&self.project).into()), ("zone", (&self.zone).into())];
        if !self.filter.is_empty() {
            entries.push(("filter", (&self.filter).into()));
        }
        entries.extend(interval_entry(self.refresh_interval));
        entries.push(("port", self.port.into()));
        if !self.tag_separator.is_empty() {
            entries.push(("tag_separator", (&self.tag_separator).into()));
        }
        Node::mapping(entries)
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = GceDiscovery::new(self, options)?;
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

struct GceDiscovery {
    config: GceConfig,
    backend: Backend,
    credentials: Credentials,
    url: Url,
}

impl GceDiscovery {
    fn new(config: &GceConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        let mut url = options.origin(ORIGIN)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(["compute", "v1", "projects", &config.project]);
            path.extend(["zones", &config.zone, "instances"]);
        }
        Ok(Self {
            config: config.clone(),
            backend: Backend::new(&token::unconfigured(), options, config.refresh_interval)?,
            credentials: Credentials::new(options)?,
            url,
        })
    }

    async fn page(&self, token: &str) -> Result<Answer, DiscoveryError> {
        let mut url = self.url.clone();
        if !self.config.filter.is_empty() {
            url.query_pairs_mut().append_pair("filter", &self.config.filter);
        }
        if !token.is_empty() {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        let access = self.credentials.token().await?;
        let bearer = format!("Bearer {}", access.expose());
        let answer = self.backend.get(url).credential(AUTHORIZATION, &bearer).send().await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.credentials.forget().await;
        }
        answer.success()
    }
}

#[async_trait]
impl Refresh for GceDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let mut targets = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_LIMIT {
            let answer = self.page(&token).await?;
            let page: Page = answer.json()?;
            for instance in &page.items {
                targets.extend(
                    target(&self.config, instance).map_err(|reason| answer.invalid(reason))?,
                );
            }
            if page.next_page_token.is_empty() {
                let source = format!("GCE_{}_{}", self.config.project, self.config.zone);
                return Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into());
            }
            if page.next_page_token == token {
                return Err(answer.invalid("the next page is the same page"));
            }
            token = page.next_page_token;
        }
        let reason = format!("more than {PAGES_LIMIT} pages");
        Err(DiscoveryError::Invalid { endpoint: shown(&self.url), reason })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    items: Vec<Instance>,
    #[serde(rename = "nextPageToken")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    /// A number, written as a text.
    id: String,
    name: String,
    zone: String,
    status: String,
    #[serde(rename = "machineType")]
    machine_type: String,
    #[serde(rename = "networkInterfaces")]
    interfaces: Vec<Interface>,
    tags: Tags,
    metadata: Metadata,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Interface {
    name: String,
    network: String,
    subnetwork: String,
    #[serde(rename = "networkIP")]
    ip: String,
    #[serde(rename = "accessConfigs")]
    access: Vec<AccessConfig>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccessConfig {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "natIP")]
    nat_ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    items: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    items: Vec<MetadataItem>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetadataItem {
    key: String,
    value: Option<String>,
}

/// An instance without a network is none.
fn target(config: &GceConfig, instance: &Instance) -> Result<Option<Labels>, String> {
    let Some(primary) = instance.interfaces.first() else { return Ok(None) };
    let id: u64 = match instance.id.as_str() {
        "" => 0,
        id => id.parse().map_err(|_| format!("the id {id:?} of an instance is no number"))?,
    };
    let mut labels = Labels::from([
        // Without brackets around IPv6, as in Prometheus.
        (ADDRESS, format!("{}:{}", primary.ip, config.port)),
        ("__meta_gce_project", config.project.clone()),
        ("__meta_gce_zone", instance.zone.clone()),
        ("__meta_gce_instance_id", id.to_string()),
        ("__meta_gce_instance_name", instance.name.clone()),
        ("__meta_gce_instance_status", instance.status.clone()),
        ("__meta_gce_machine_type", instance.machine_type.clone()),
        ("__meta_gce_network", primary.network.clone()),
        ("__meta_gce_subnetwork", primary.subnetwork.clone()),
        ("__meta_gce_private_ip", primary.ip.clone()),
    ]);
    for interface in &instance.interfaces {
        let name = format!("__meta_gce_interface_ipv4_{}", sanitize(&interface.name));
        labels.insert(name, interface.ip.as_str());
    }
    if !instance.tags.items.is_empty() {
        labels.insert("__meta_gce_tags", wrapped(&instance.tags.items, &config.tag_separator));
    }
    for item in &instance.metadata.items {
        if let Some(value) = &item.value {
            labels.insert(format!("__meta_gce_metadata_{}", sanitize(&item.key)), value.as_str());
        }
    }
    for (key, value) in &instance.labels {
        labels.insert(format!("__meta_gce_label_{}", sanitize(key)), value.as_str());
    }
    if let Some(access) = primary.access.first()
        && access.kind == "ONE_TO_ONE_NAT"
    {
        labels.insert("__meta_gce_public_ip", access.nat_ip.as_str());
    }
    Ok(Some(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::metadata::LINK_LOCAL;
    use crate::testing_backend::Recorder;
    use periskop_core::config;

    /// On a machine without files of credentials.
    fn discovery(recorder: &Recorder) -> GceDiscovery {
        let yaml = config::parse("{project: p, zone: z, filter: status=RUNNING}").unwrap();
        let config = config::decode(&yaml, GceConfig::decode).unwrap();
        let options = BuildOptions {
            environment: Environment::fixed([("HOME", "/nowhere")]),
            origins: [ORIGIN, LINK_LOCAL].map(|o| (o.to_owned(), recorder.url())).into(),
            ..BuildOptions::default()
        };
        GceDiscovery::new(&config, &options).unwrap()
    }

    async fn recorder(status: u16, instances: &'static str) -> Recorder {
        Recorder::answering_by(move |request| match request.contains("/computeMetadata/") {
            true => (200, r#"{"access_token":"hunter2","expires_in":3600}"#.to_owned()),
            false => (status, instances.to_owned()),
        })
        .await
    }

    #[tokio::test]
    async fn the_metadata_server_is_asked_for_a_token_which_is_kept() {
        let recorder = recorder(200, "{}").await;
        let mut discovery = discovery(&recorder);
        discovery.refresh().await.unwrap();
        discovery.refresh().await.unwrap();
        let token = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=\
                     https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcompute.readonly ";
        let list = "GET /compute/v1/projects/p/zones/z/instances?filter=status%3DRUNNING ";
        assert_eq!(recorder.requests(), [token, list, list]);
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_asked_for_anew() {
        let recorder = recorder(401, "{}").await;
        let mut discovery = discovery(&recorder);
        for _ in 0..2 {
            let error = discovery.refresh().await.unwrap_err().to_string();
            assert!(error.contains("401 Unauthorized") && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(recorder.requests().len(), 4);
    }

    #[tokio::test]
    async fn a_page_that_names_itself_as_the_next_one_ends_the_refresh() {
        let recorder = recorder(200, r#"{"nextPageToken":"again"}"#).await;
        let error = discovery(&recorder).refresh().await.unwrap_err().to_string();
        assert!(error.ends_with("the next page is the same page"), "{error}");
    }
}
