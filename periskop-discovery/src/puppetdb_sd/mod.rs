//! `puppetdb_sd_configs`: the nodes whose resources a query of PuppetDB finds.
//!
//! API: `POST /pdb/query/v4` below the configured URL, in one piece.

mod parameters;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use url::Url;

use crate::api::{Api, below, check_url};
use crate::backend::{Backend, is_json};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{redact_text, redact_url};
use crate::label::{join_host_port, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const PATH: &str = "pdb/query/v4";

/// One item of `puppetdb_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct PuppetDbConfig {
    /// Where PuppetDB is, as configured. It may hold a password.
    pub url: String,
    /// What is looked for, in the Puppet Query Language: resources.
    pub query: String,
    /// Whether the resources' parameters become labels. They may hold secrets.
    pub include_parameters: bool,
    /// How PuppetDB is asked. Defaults: every minute, port 80.
    pub api: Api,
}

impl PuppetDbConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            api: Api::take(&mut fields, REFRESH_INTERVAL, 80),
            url: fields.string("url").unwrap_or_default(),
            query: fields.string("query").unwrap_or_default(),
            include_parameters: fields.bool("include_parameters").unwrap_or_default(),
        };
        if let Err(message) = check_url(&config.url) {
            fields.problem("url", message);
        }
        if config.query.is_empty() {
            fields.problem("query", "query missing");
        }
        fields.finish();
        Some(config)
    }
}

impl std::fmt::Debug for PuppetDbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PuppetDbConfig")
            .field("url", &redact_text(&self.url))
            .field("query", &self.query)
            .field("include_parameters", &self.include_parameters)
            .field("api", &self.api)
            .finish()
    }
}

impl Mechanism for PuppetDbConfig {
    fn name(&self) -> &'static str {
        "puppetdb"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        entries.push(("url", redact_text(&self.url).into()));
        entries.push(("query", (&self.query).into()));
        entries.push(("include_parameters", self.include_parameters.into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let url = below(&Url::parse(&self.url).map_err(BuildError::Url)?, PATH);
        let discovery = PuppetDbDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            source: format!("{}?query={}", redact_url(&url), self.query),
            url,
            query: self.query.clone(),
            include_parameters: self.include_parameters,
            port: self.api.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct PuppetDbDiscovery {
    backend: Backend,
    source: String,
    url: Url,
    query: String,
    include_parameters: bool,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    certname: String,
    resource: String,
    r#type: String,
    title: String,
    exported: bool,
    tags: Vec<String>,
    file: String,
    environment: String,
    parameters: Map<String, Json>,
}

#[async_trait]
impl Refresh for PuppetDbDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let call = self.backend.post(self.url.clone()).header(ACCEPT, "application/json");
        let answer = call.json(&json!({ "query": self.query })).send().await?.ok()?;
        let content_type = answer.header("content-type");
        if !is_json(content_type) {
            return Err(answer.invalid(format!("unsupported content type {content_type}")));
        }
        let resources: Vec<Resource> = answer.json()?;
        let targets = resources.iter().map(|resource| self.target(resource)).collect();
        let source = self.source.clone();
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

impl PuppetDbDiscovery {
    fn target(&self, resource: &Resource) -> Labels {
        let mut labels = Labels::from([
            (ADDRESS, join_host_port(&resource.certname, self.port)),
            ("__meta_puppetdb_query", self.query.clone()),
            ("__meta_puppetdb_certname", resource.certname.clone()),
            ("__meta_puppetdb_resource", resource.resource.clone()),
            ("__meta_puppetdb_type", resource.r#type.clone()),
            ("__meta_puppetdb_title", resource.title.clone()),
            ("__meta_puppetdb_exported", resource.exported.to_string()),
            ("__meta_puppetdb_file", resource.file.clone()),
            ("__meta_puppetdb_environment", resource.environment.clone()),
        ]);
        if !resource.tags.is_empty() {
            labels.insert("__meta_puppetdb_tags", wrapped(&resource.tags, ","));
        }
        if self.include_parameters {
            for (name, value) in parameters::labels(&resource.parameters) {
                labels.insert(format!("__meta_puppetdb_parameter_{name}"), value);
            }
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let yaml = "{url: 'http://me:hunter2@pdb:8080/', query: nodes}";
        let root = periskop_core::config::parse(yaml).unwrap();
        let config = periskop_core::config::decode(&root, PuppetDbConfig::decode).unwrap();
        for shown in [format!("{config:?}"), config.effective().to_string()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn the_query_goes_below_the_url_whatever_its_slashes() {
        for (base, wanted) in [
            ("http://pdb:8080", "http://pdb:8080/pdb/query/v4"),
            ("http://pdb:8080/", "http://pdb:8080/pdb/query/v4"),
            ("https://x//below/", "https://x/below/pdb/query/v4"),
        ] {
            assert_eq!(below(&Url::parse(base).unwrap(), PATH).as_str(), wanted);
        }
    }
}
