//! `uyuni_sd_configs`: what a Uyuni (or SUSE Multi-Linux Manager) server has under monitoring.
//!
//! API: XML-RPC by `POST` to `/rpc/api` below the configured server.

mod xmlrpc;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use tokio::time::Instant;
use url::{ParseError, Url};

use crate::api::{below, interval_entry};
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, redact_text, redact_url};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use xmlrpc::{MethodCall, Value};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const ENTITLEMENT: &str = "monitoring_entitled";
const SEPARATOR: &str = ",";
const PATH: &str = "rpc/api";
/// For so many seconds a token is asked for.
const TOKEN_SECONDS: u32 = 600;
/// A token is used for half of the time that it is good for.
const TOKEN_USE: Duration = Duration::from_secs(TOKEN_SECONDS as u64 / 2);

/// One item of `uyuni_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct UyuniConfig {
    /// The server's URL, as configured. It may hold a password.
    pub server: String,
    /// Who we are to its API.
    pub username: String,
    /// And the password.
    pub password: Secret,
    /// Which systems are told. Default `monitoring_entitled`.
    pub entitlement: String,
    /// What stands between the names of a system's groups. Default `,`.
    pub separator: String,
    /// How often is asked. Default 1m.
    pub refresh_interval: Duration,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl UyuniConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            server: fields.string("server").unwrap_or_default(),
            username: fields.string("username").unwrap_or_default(),
            password: fields.secret("password").unwrap_or_default(),
            entitlement: fields.string("entitlement").unwrap_or_else(|| ENTITLEMENT.into()),
            separator: fields.string("separator").unwrap_or_else(|| SEPARATOR.into()),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        match Url::parse(&config.server) {
            _ if config.server.is_empty() => {
                fields.problem("server", "Uyuni SD configuration requires server host");
            }
            // Prometheus takes a host alone, and fails when it asks it.
            Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => {}
            Err(error) => {
                fields.problem("server", format!("Uyuni Server URL is not valid: {error}"))
            }
        }
        if config.username.is_empty() {
            fields.problem("username", "Uyuni SD configuration requires a username");
        }
        if config.password.is_empty() {
            fields.problem("password", "Uyuni SD configuration requires a password");
        }
        fields.finish();
        Some(config)
    }
}

impl std::fmt::Debug for UyuniConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UyuniConfig")
            .field("server", &redact_text(&self.server))
            .field("username", &self.username)
            .field("password", &self.password)
            .field("entitlement", &self.entitlement)
            .field("separator", &self.separator)
            .field("refresh_interval", &self.refresh_interval)
            .field("http", &self.http)
            .finish()
    }
}

impl Mechanism for UyuniConfig {
    fn name(&self) -> &'static str {
        "uyuni"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![
            ("server", redact_text(&self.server).into()),
            ("username", (&self.username).into()),
            ("password", (&self.password).into()),
        ];
        entries.extend(self.http.effective());
        let texts = [("entitlement", &self.entitlement), ("separator", &self.separator)];
        let set = texts.into_iter().filter(|(_, text)| !text.is_empty());
        entries.extend(set.map(|(name, text)| (name, text.into())));
        entries.extend(interval_entry(self.refresh_interval));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let url = below(&Url::parse(&self.server).map_err(BuildError::Url)?, PATH);
        let discovery = UyuniDiscovery {
            // Prometheus waits for ever.
            backend: Backend::new(&self.http, options, Duration::ZERO)?,
            source: redact_url(&url).into(),
            url,
            config: self.clone(),
            token: None,
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

struct UyuniDiscovery {
    backend: Backend,
    source: String,
    url: Url,
    config: UyuniConfig,
    /// A token, and until when it is used.
    token: Option<(Secret, Instant)>,
}

#[async_trait]
impl Refresh for UyuniDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let token = self.token().await?;
        // Whatever goes wrong may be the token's fault: the next time with another.
        let targets = self.targets(token.expose()).await.inspect_err(|_| self.token = None)?;
        let source = self.source.clone();
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

impl UyuniDiscovery {
    async fn token(&mut self) -> Result<Secret, DiscoveryError> {
        if let Some((token, until)) = &self.token
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let (user, password) = (&self.config.username, self.config.password.expose());
        let call = MethodCall::new("auth.login").text(user).text(password);
        let answer =
            self.ask("unable to login to Uyuni API", call.int(TOKEN_SECONDS.into()), |value| {
                match value {
                    Value::Text(token) => Ok(Secret::new(token)),
                    _ => Err("the token is no text".to_owned()),
                }
            })
            .await?;
        self.token = Some((answer.clone(), Instant::now() + TOKEN_USE));
        Ok(answer)
    }

    async fn targets(&self, token: &str) -> Result<Vec<Labels>, DiscoveryError> {
        let call = MethodCall::new("system.listSystemGroupsForSystemsWithEntitlement");
        let call = call.text(token).text(&self.config.entitlement);
        let groups = self
            .ask(
                "unable to get the managed system groups information of monitored clients",
                call,
                |answer| read_groups(&answer),
            )
            .await?;
        let ids = || groups.keys().copied();
        let call = MethodCall::new("system.monitoring.listEndpoints").text(token).ints(ids());
        let endpoints = self
            .ask("unable to get endpoints information", call, |answer| {
                answer.items()?.iter().map(Endpoint::read).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let call = MethodCall::new("system.getNetworkForSystems").text(token).ints(ids());
        let networks = self
            .ask("unable to get the systems network information", call, |answer| {
                answer.items()?.iter().map(Network::read).collect::<Result<BTreeMap<_, _>, _>>()
            })
            .await?;
        let target = |endpoint: &Endpoint| {
            let groups = groups.get(&endpoint.system_id).map_or(&[][..], Vec::as_slice);
            target(endpoint, groups, networks.get(&endpoint.system_id), &self.config.separator)
        };
        Ok(endpoints.iter().map(target).collect())
    }

    /// Asks once and reads the answer; an error tells `failed`.
    async fn ask<T>(
        &self,
        failed: &str,
        call: MethodCall,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Result<T, DiscoveryError> {
        let call = self.backend.post(self.url.clone()).body("text/xml", call.finish());
        let answer = call.send().await.map_err(|error| told(error, failed))?;
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return Err(
                answer.invalid(format!("{failed}: request error: bad status code - {status}"))
            );
        }
        let document = answer.xml().map_err(|error| told(error, failed))?;
        let value = Value::of_response(&document).and_then(read);
        value.map_err(|reason| answer.invalid(format!("{failed}: {reason}")))
    }
}

/// The same error, telling what failed by it.
fn told(error: DiscoveryError, failed: &str) -> DiscoveryError {
    match error {
        DiscoveryError::Unreachable { endpoint, reason } => {
            DiscoveryError::Unreachable { endpoint, reason: format!("{failed}: {reason}") }
        }
        DiscoveryError::Invalid { endpoint, reason } => {
            DiscoveryError::Invalid { endpoint, reason: format!("{failed}: {reason}") }
        }
        other => other,
    }
}

/// The names of the groups that each system is in, by the system's id.
fn read_groups(answer: &Value) -> Result<BTreeMap<i64, Vec<String>>, String> {
    let system = |system: &Value| {
        let groups = system.list("system_groups")?.iter();
        let names = groups.map(|group| Ok(group.text("name")?.to_owned()));
        Ok((system.int("id")?, names.collect::<Result<_, String>>()?))
    };
    answer.items()?.iter().map(system).collect()
}

/// Something to be scraped.
#[derive(Debug, Default)]
struct Endpoint {
    system_id: i64,
    name: String,
    exporter: String,
    module: String,
    path: String,
    port: i64,
    tls: bool,
}

impl Endpoint {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            system_id: value.int("system_id")?,
            name: value.text("endpoint_name")?.to_owned(),
            exporter: value.text("exporter_name")?.to_owned(),
            module: value.text("module")?.to_owned(),
            path: value.text("path")?.to_owned(),
            port: value.int("port")?,
            tls: value.bool("tls_enabled")?,
        })
    }
}

/// How a system is called.
#[derive(Debug, Default)]
struct Network {
    hostname: String,
    primary_fqdn: String,
}

impl Network {
    fn read(value: &Value) -> Result<(i64, Self), String> {
        let network = Self {
            hostname: value.text("hostname")?.to_owned(),
            primary_fqdn: value.text("primary_fqdn")?.to_owned(),
        };
        Ok((value.int("system_id")?, network))
    }
}

fn target(
    endpoint: &Endpoint,
    groups: &[String],
    network: Option<&Network>,
    separator: &str,
) -> Labels {
    let unknown = Network::default();
    let network = network.unwrap_or(&unknown);
    Labels::from([
        // No brackets, whatever the name: as Prometheus writes it.
        (ADDRESS, format!("{}:{}", network.hostname, endpoint.port)),
        ("__meta_uyuni_minion_hostname", network.hostname.clone()),
        ("__meta_uyuni_primary_fqdn", network.primary_fqdn.clone()),
        ("__meta_uyuni_system_id", endpoint.system_id.to_string()),
        ("__meta_uyuni_groups", groups.join(separator)),
        ("__meta_uyuni_endpoint_name", endpoint.name.clone()),
        ("__meta_uyuni_exporter", endpoint.exporter.clone()),
        ("__meta_uyuni_proxy_module", endpoint.module.clone()),
        ("__meta_uyuni_metrics_path", endpoint.path.clone()),
        ("__meta_uyuni_scheme", if endpoint.tls { "https" } else { "http" }.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let yaml = "{server: 'https://a:s3cret@uyuni', username: u, password: hunter2}";
        let root = periskop_core::config::parse(yaml).unwrap();
        let config = periskop_core::config::decode(&root, UyuniConfig::decode).unwrap();
        for shown in [format!("{config:?}"), config.effective().to_string()] {
            assert!(!shown.contains("hunter2") && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn a_system_that_has_no_name_has_an_address_without_a_host() {
        let endpoint = Endpoint { system_id: 1, port: 9100, ..Endpoint::default() };
        let labels = target(&endpoint, &["a".into(), "b".into()], None, ";");
        assert_eq!(labels.get(ADDRESS), ":9100");
        assert_eq!(labels.get("__meta_uyuni_groups"), "a;b");
        assert_eq!(labels.get("__meta_uyuni_scheme"), "http");
    }
}
