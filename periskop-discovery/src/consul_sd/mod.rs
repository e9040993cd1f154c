//! `consul_sd_configs`: the instances of services that are registered in a Consul catalogue.
//!
//! API: `GET /v1/agent/self`, `/v1/catalog/services` and `/v1/health/service/NAME`, the latter
//! two as [blocking queries](https://developer.hashicorp.com/consul/api-docs/features/blocking):
//! one for the catalogue, one for each service.

mod agent;
mod labels;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::Discovery;

use crate::api::interval_entry;
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{Auth, HttpClientConfig, Source, redact_text};
use crate::mechanism::Mechanism;
use crate::watching::Watching;
use agent::HttpAgent;
use watch::{Pace, RETRY, Scope, Watch};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// One item of `consul_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsulConfig {
    /// Host and port of the agent, or a URL. Default `localhost:8500`.
    pub server: String,
    /// What stands before every path, where Consul is behind a gateway.
    pub path_prefix: String,
    /// An ACL token; not set: `CONSUL_HTTP_TOKEN` of the environment.
    pub token: Secret,
    /// Not set: the agent's.
    pub datacenter: String,
    /// Consul Enterprise; not set: `CONSUL_NAMESPACE` of the environment.
    pub namespace: String,
    /// Consul Enterprise; not set: `CONSUL_PARTITION` of the environment.
    pub partition: String,
    /// What stands between tags in their label. Default `,`.
    pub tag_separator: String,
    /// `http` or `https`.
    pub scheme: String,
    /// An older way to write basic authentication; [`ConsulConfig::http`] has it too.
    pub username: String,
    /// See `username`.
    pub password: Secret,
    /// Whether any server may answer rather than the leader alone. Default true.
    pub allow_stale: bool,
    /// How often each query is sent at most. Default 30s.
    pub refresh_interval: Duration,
    /// Which services; empty: all.
    pub services: Vec<String>,
    /// Tags that an instance must have, all of them.
    pub tags: Vec<String>,
    /// Metadata that a node must have.
    pub node_meta: BTreeMap<String, String>,
    /// An expression that filters the catalogue.
    pub filter: String,
    /// An expression that filters the instances of each service.
    pub health_filter: String,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl ConsulConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let mut text =
            |name, default: &str| fields.string_or_null(name).unwrap_or_else(|| default.to_owned());
        let server = text("server", "localhost:8500");
        let path_prefix = text("path_prefix", "");
        let datacenter = text("datacenter", "");
        let namespace = text("namespace", "");
        let partition = text("partition", "");
        let tag_separator = text("tag_separator", ",");
        let scheme = text("scheme", "http");
        let username = text("username", "");
        let filter = text("filter", "");
        let health_filter = text("health_filter", "");
        let mut config = Self {
            server,
            path_prefix,
            token: fields.secret("token").unwrap_or_default(),
            datacenter,
            namespace,
            partition,
            tag_separator,
            scheme,
            username,
            password: fields.secret("password").unwrap_or_default(),
            allow_stale: fields.bool("allow_stale").unwrap_or(true),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            services: fields.string_list("services").unwrap_or_default(),
            tags: fields.string_list("tags").unwrap_or_default(),
            node_meta: fields.string_map("node_meta").unwrap_or_default(),
            filter,
            health_filter,
            http: HttpClientConfig::take(&mut fields),
        };
        if config.server.trim().is_empty() {
            fields.problem("server", "consul SD configuration requires a server address");
        }
        config.take_username(&mut fields);
        if !config.token.is_empty()
            && (is_set(&mut fields, "authorization") || is_set(&mut fields, "oauth2"))
        {
            let message =
                "at most one of consul SD token, authorization, or oauth2 can be configured";
            fields.problem("token", message);
        }
        fields.finish();
        Some(config)
    }

    /// `username` and `password` are another way to write `basic_auth`.
    fn take_username(&mut self, fields: &mut Fields<'_, '_>) {
        if self.username.is_empty() && self.password.is_empty() {
            return;
        }
        let at = if self.username.is_empty() { "password" } else { "username" };
        if is_set(fields, "basic_auth") {
            let message = "at most one of consul SD configuration username and password and \
                           basic auth can be configured";
            fields.problem(at, message);
        } else if self.http.auth.is_some() {
            let message = "at most one of basic_auth, oauth2 & authorization must be configured";
            fields.problem(at, message);
        } else {
            let username = Some(self.username.clone()).filter(|name| !name.is_empty());
            let password = Some(self.password.clone()).filter(|password| !password.is_empty());
            self.http.auth = Some(Auth::Basic {
                username: username.map(Source::Inline),
                password: password.map(Source::Inline),
            });
        }
    }
}

fn is_set(fields: &mut Fields<'_, '_>, name: &'static str) -> bool {
    fields.node(name).is_some_and(|at| !at.node.is_null())
}

impl Mechanism for ConsulConfig {
    fn name(&self) -> &'static str {
        "consul"
    }

    fn effective(&self) -> Node {
        let server = redact_text(&self.server);
        let text = |name, value: &str| (!value.is_empty()).then(|| (name, Node::from(value)));
        let secret = |name, value: &Secret| (!value.is_empty()).then(|| (name, Node::from(value)));
        let list =
            |name, items: &[String]| (!items.is_empty()).then(|| (name, Node::sequence(items)));
        let mut entries = vec![("server", Node::from(server.as_str()))];
        entries.extend(text("path_prefix", &self.path_prefix));
        entries.extend(secret("token", &self.token));
        entries.extend(text("datacenter", &self.datacenter));
        entries.extend(text("namespace", &self.namespace));
        entries.extend(text("partition", &self.partition));
        entries.extend(text("tag_separator", &self.tag_separator));
        entries.extend(text("scheme", &self.scheme));
        entries.extend(text("username", &self.username));
        entries.extend(secret("password", &self.password));
        entries.push(("allow_stale", self.allow_stale.into()));
        entries.extend(interval_entry(self.refresh_interval));
        entries.extend(list("services", &self.services));
        entries.extend(list("tags", &self.tags));
        if !self.node_meta.is_empty() {
            entries.push(("node_meta", Node::mapping(&self.node_meta)));
        }
        entries.extend(text("filter", &self.filter));
        entries.extend(text("health_filter", &self.health_filter));
        entries.extend(self.http.effective());
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let every = match options.interval(self.refresh_interval) {
            Duration::ZERO => REFRESH_INTERVAL,
            interval => interval,
        };
        let watch = Watch {
            agent: HttpAgent::new(self, options)?,
            scope: Scope { services: self.services.clone(), tags: self.tags.clone() },
            asks_catalogue: self.services.is_empty()
                || !self.tags.is_empty()
                || !self.filter.is_empty(),
            datacenter: Some(self.datacenter.clone()).filter(|name| !name.is_empty()),
            tag_separator: self.tag_separator.clone(),
            pace: Pace { every, retry: options.interval(RETRY) },
        };
        Ok(Box::new(Watching::new(|teller| watch.run(teller))))
    }
}

/// The server may be written with a password.
impl std::fmt::Debug for ConsulConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConsulConfig").field(&self.effective().to_string()).finish()
    }
}
