//! Questions to a Consul agent, as HashiCorp's client asks them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::header::HeaderName;
use serde_json::Value;
use url::Url;

use super::ConsulConfig;
use super::labels::Entry;
use crate::backend::{Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::HttpClientConfig;

/// How long a query may block at the server, as in Prometheus.
const WAIT: Duration = Duration::from_secs(120);
/// The server adds up to a sixteenth to it.
const TIMEOUT: Duration = Duration::from_secs(135);

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX_HEADER: &str = "x-consul-index";

/// An answer, and the state of the catalogue that it is of.
#[derive(Debug, Default)]
pub(super) struct Indexed<T> {
    /// `None`: the answer does not say, so that nothing can be waited for.
    pub(super) index: Option<u64>,
    /// What was asked for.
    pub(super) value: T,
}

/// Services by name, each with the tags of its instances.
pub(super) type Services = BTreeMap<String, Vec<String>>;

/// What is asked of an agent. A question with an index is answered when there is a later state,
/// or after [`WAIT`].
#[async_trait]
pub(super) trait Agent: Send + Sync + 'static {
    /// The agent's own datacenter.
    async fn datacenter(&self) -> Result<String, DiscoveryError>;

    /// All services.
    async fn services(&self, after: Option<u64>) -> Result<Indexed<Services>, DiscoveryError>;

    /// All instances of a service.
    async fn instances(
        &self,
        service: &str,
        after: Option<u64>,
    ) -> Result<Indexed<Vec<Entry>>, DiscoveryError>;
}

/// An agent behind HTTP.
pub(super) struct HttpAgent {
    backend: Backend,
    base: Url,
    token: Secret,
    /// Of every question: datacenter, namespace, partition.
    place: Vec<(&'static str, String)>,
    allow_stale: bool,
    node_meta: Vec<String>,
    tags: Vec<String>,
    filter: String,
    health_filter: String,
}

impl HttpAgent {
    pub(super) fn new(config: &ConsulConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        let variable = |set: &str, name| match set {
            "" => options.environment.get(name).unwrap_or_default(),
            set => set.to_owned(),
        };
        let place = [
            ("dc", config.datacenter.clone()),
            ("ns", variable(&config.namespace, "CONSUL_NAMESPACE")),
            ("partition", variable(&config.partition, "CONSUL_PARTITION")),
        ];
        // As with HashiCorp's client, the settings of HTTP are not for sockets.
        let (backend, base) = match config.server.strip_prefix("unix://") {
            Some(path) => {
                let backend = Backend::over_unix_socket(Path::new(path), options, TIMEOUT)?;
                (backend, base("http", "localhost", &config.path_prefix)?)
            }
            None => {
                // Every query holds its stream for minutes, and a server lets only some hundred
                // of them share a connection: those of further services would wait for ever.
                let http = HttpClientConfig { enable_http2: false, ..config.http.clone() };
                (Backend::new(&http, options, TIMEOUT)?, server(config, options)?)
            }
        };
        Ok(Self {
            backend,
            base,
            token: Secret::new(variable(config.token.expose(), "CONSUL_HTTP_TOKEN")),
            place: place.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            allow_stale: config.allow_stale,
            node_meta: config.node_meta.iter().map(|(k, v)| format!("{k}:{v}")).collect(),
            tags: config.tags.clone(),
            filter: config.filter.clone(),
            health_filter: config.health_filter.clone(),
        })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(&self.place);
        url
    }

    /// The URL of a query that waits.
    fn blocking(&self, path: &[&str], after: Option<u64>, filter: &str) -> Url {
        let mut url = self.url(path);
        let mut query = url.query_pairs_mut();
        if self.allow_stale {
            query.append_pair("stale", "");
        }
        if let Some(index) = after.filter(|index| *index != 0) {
            query.append_pair("index", &index.to_string());
        }
        query.append_pair("wait", &format!("{}ms", WAIT.as_millis()));
        if !filter.is_empty() {
            query.append_pair("filter", filter);
        }
        for meta in &self.node_meta {
            query.append_pair("node-meta", meta);
        }
        drop(query);
        url
    }

    async fn ask(&self, mut url: Url) -> Result<Answer, DiscoveryError> {
        if url.query() == Some("") {
            url.set_query(None);
        }
        let mut call = self.backend.get(url);
        if !self.token.is_empty() {
            call = call.credential(TOKEN_HEADER, self.token.expose());
        }
        call.send().await?.ok()
    }
}

#[async_trait]
impl Agent for HttpAgent {
    async fn datacenter(&self) -> Result<String, DiscoveryError> {
        let answer = self.ask(self.url(&["v1", "agent", "self"])).await?;
        let info: Value = answer.json()?;
        match info.get("Config").and_then(|config| config.get("Datacenter")) {
            Some(Value::String(name)) => Ok(name.clone()),
            other => {
                // As Go prints it.
                let found = match other {
                    None | Some(Value::Null) => "<nil>".to_owned(),
                    Some(other) => other.to_string().chars().take(80).collect(),
                };
                Err(answer.invalid(format!("invalid value '{found}' for Config.Datacenter")))
            }
        }
    }

    async fn services(&self, after: Option<u64>) -> Result<Indexed<Services>, DiscoveryError> {
        let url = self.blocking(&["v1", "catalog", "services"], after, &self.filter);
        let answer = self.ask(url).await?;
        Ok(Indexed { index: index(&answer), value: answer.json()? })
    }

    async fn instances(
        &self,
        service: &str,
        after: Option<u64>,
    ) -> Result<Indexed<Vec<Entry>>, DiscoveryError> {
        let mut path = vec!["v1", "health", "service"];
        path.extend(service.split('/'));
        let mut url = self.blocking(&path, after, &self.health_filter);
        url.query_pairs_mut().extend_pairs(self.tags.iter().map(|tag| ("tag", tag)));
        let answer = self.ask(url).await?;
        Ok(Indexed { index: index(&answer), value: answer.json()? })
    }
}

fn index(answer: &Answer) -> Option<u64> {
    answer.header(INDEX_HEADER).parse().ok()
}

/// The address by the rules of HashiCorp's client: a scheme of the server's own wins, but never
/// makes `http` of `https`, and what follows the host then is a prefix.
fn server(config: &ConsulConfig, options: &BuildOptions) -> Result<Url, BuildError> {
    let over_tls = || options.environment.get("CONSUL_HTTP_SSL").is_some_and(|set| is_true(&set));
    let mut scheme = match config.scheme.as_str() {
        "" if over_tls() => "https",
        "" => "http",
        scheme => scheme,
    };
    let (mut host, mut prefix) = (config.server.as_str(), config.path_prefix.as_str());
    if let Some((own, rest)) = config.server.split_once("://") {
        match own {
            "http" => {}
            "https" => scheme = "https",
            other => {
                let message = format!("consul server: unknown protocol scheme: {other}");
                return Err(BuildError::Missing(message));
            }
        }
        host = rest;
        if let Some(slash) = rest.find('/') {
            (host, prefix) = rest.split_at(slash);
        }
    }
    if !matches!(scheme, "http" | "https") {
        let message = format!("consul: unsupported protocol scheme {scheme:?}");
        return Err(BuildError::Missing(message));
    }
    base(scheme, host, prefix)
}

fn base(scheme: &str, host: &str, prefix: &str) -> Result<Url, BuildError> {
    let mut url = Url::parse(&format!("{scheme}://{host}")).map_err(BuildError::Url)?;
    if !prefix.is_empty() {
        url.set_path(prefix);
    }
    Ok(url)
}

/// Go's `strconv.ParseBool`.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use periskop_core::config::{decode, parse};

    fn agent(yaml: &str, environment: &[(&str, &str)]) -> Result<HttpAgent, BuildError> {
        let config = decode(&parse(yaml).unwrap(), ConsulConfig::decode).unwrap();
        let environment = Environment::fixed(environment.iter().copied());
        let options = BuildOptions { environment, ..BuildOptions::default() };
        HttpAgent::new(&config, &options)
    }

    #[test]
    fn the_server_may_be_a_url() {
        for (yaml, wanted) in [
            ("{}", "http://localhost:8500/v1/agent/self"),
            ("{scheme: https, server: 'a:1'}", "https://a:1/v1/agent/self"),
            ("{server: 'https://a:1'}", "https://a:1/v1/agent/self"),
            ("{scheme: https, server: 'http://a:1'}", "https://a:1/v1/agent/self"),
            ("{server: 'http://a:1/x/y', path_prefix: /z}", "http://a:1/x/y/v1/agent/self"),
            ("{server: 'a:1', path_prefix: /z/}", "http://a:1/z/v1/agent/self"),
        ] {
            let url = agent(yaml, &[]).unwrap().url(&["v1", "agent", "self"]);
            assert_eq!(url.as_str().trim_end_matches('?'), wanted, "{yaml}");
        }
        let socket = agent("{server: 'unix:///run/consul.sock', path_prefix: /z}", &[]).unwrap();
        assert_eq!(socket.base.as_str(), "http://localhost/z");
        for yaml in ["{server: 'ftp://a'}", "{scheme: ftp}", "{server: 'a b'}"] {
            assert!(agent(yaml, &[]).is_err(), "{yaml}");
        }
    }

    #[test]
    fn every_question_names_the_place_and_waits() {
        let yaml = "{datacenter: d, node_meta: {a: b c}, filter: 'x == 1'}";
        let agent = agent(yaml, &[("CONSUL_NAMESPACE", "n"), ("CONSUL_HTTP_TOKEN", "t")]).unwrap();
        assert_eq!(agent.token.expose(), "t");
        let url = agent.blocking(&["v1"], Some(7), &agent.filter);
        let query = "dc=d&ns=n&stale=&index=7&wait=120000ms&filter=x+%3D%3D+1&node-meta=a%3Ab+c";
        assert_eq!(url.query(), Some(query));
        assert!(!agent.blocking(&["v1"], None, "").query().unwrap().contains("index"));
        assert!(!agent.blocking(&["v1"], Some(0), "").query().unwrap().contains("index"));
    }
}
