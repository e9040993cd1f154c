//! `ovhcloud_sd_configs`: the VPS or dedicated servers of an OVHcloud account.
//!
//! API: a list of names, then of each server what it is and its addresses. Requests are signed.

pub(crate) mod addresses;
mod client;
mod servers;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::api::interval_entry;
use crate::build::{BuildError, BuildOptions};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

use client::{OvhClient, endpoint};

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const ENDPOINT: &str = "ovh-eu";
/// How many servers are asked for at once. Prometheus asks for one after another.
const AT_ONCE: usize = 8;

/// One item of `ovhcloud_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OvhcloudConfig {
    /// The name of an API (`ovh-eu`, `ovh-ca`, …), or its URL.
    pub endpoint: String,
    /// The key of the application, which is no secret.
    pub application_key: String,
    /// What is signed with.
    pub application_secret: Secret,
    /// The key of the account that lets the application in.
    pub consumer_key: Secret,
    /// How often is asked. Default 1m.
    pub refresh_interval: Duration,
    /// What is looked for.
    pub service: Service,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Virtual private servers.
    Vps,
    /// Dedicated servers.
    DedicatedServer,
}

impl Service {
    const ALL: [Self; 2] = [Self::Vps, Self::DedicatedServer];

    fn name(self) -> &'static str {
        match self {
            Self::Vps => "vps",
            Self::DedicatedServer => "dedicated_server",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Vps => "/vps",
            Self::DedicatedServer => "/dedicated/server",
        }
    }
}

impl OvhcloudConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let service = fields.string("service").unwrap_or_default();
        let known = Service::ALL.into_iter().find(|known| known.name() == service);
        let config = Self {
            endpoint: fields.string("endpoint").unwrap_or_else(|| ENDPOINT.to_owned()),
            application_key: fields.string("application_key").unwrap_or_default(),
            application_secret: fields.secret("application_secret").unwrap_or_default(),
            consumer_key: fields.secret("consumer_key").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            service: known.unwrap_or(Service::Vps),
        };
        let empty = [
            ("endpoint", "endpoint", config.endpoint.is_empty()),
            ("application_key", "application key", config.application_key.is_empty()),
            ("application_secret", "application secret", config.application_secret.is_empty()),
            ("consumer_key", "consumer key", config.consumer_key.is_empty()),
        ];
        if let Some((field, words, _)) = empty.into_iter().find(|(.., empty)| *empty) {
            fields.problem(field, format!("{words} can not be empty"));
        } else if known.is_none() {
            fields.problem("service", format!("unknown service: {service}"));
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for OvhcloudConfig {
    fn name(&self) -> &'static str {
        "ovhcloud"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![
            ("endpoint", (&self.endpoint).into()),
            ("application_key", (&self.application_key).into()),
            ("application_secret", (&self.application_secret).into()),
            ("consumer_key", (&self.consumer_key).into()),
        ];
        entries.extend(interval_entry(self.refresh_interval));
        entries.push(("service", self.service.name().into()));
        Node::mapping(entries)
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = OvhcloudDiscovery::new(self, options)?;
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

struct OvhcloudDiscovery {
    client: OvhClient,
    service: Service,
    /// The targets by server, as last heard: one that cannot be asked for keeps its own.
    known: HashMap<String, Labels>,
}

#[async_trait]
impl Refresh for OvhcloudDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        self.client.set_clock().await?;
        let names: Vec<String> = self.client.get(self.service.path()).await?;
        let this = &*self;
        let looks = names.into_iter().map(|name| this.look(name)).collect::<Vec<_>>();
        let found: Vec<(String, Option<Labels>)> =
            stream::iter(looks).buffered(AT_ONCE).collect().await;
        let found = found.into_iter().filter_map(|(name, labels)| Some((name, labels?)));
        let found: Vec<_> = found.collect();
        let targets = found.iter().map(|(_, labels)| labels.clone()).collect();
        self.known = found.into_iter().collect();
        let source = format!("ovhcloud_{}", self.service.name());
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

impl OvhcloudDiscovery {
    fn new(config: &OvhcloudConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        Ok(Self {
            client: OvhClient::new(config, endpoint(&config.endpoint, options)?, options)?,
            service: config.service,
            known: HashMap::new(),
        })
    }

    /// A server as it is now; as it was where it cannot be asked for.
    async fn look(&self, name: String) -> (String, Option<Labels>) {
        let asked = match self.service {
            Service::Vps => servers::vps(&self.client, &name).await,
            Service::DedicatedServer => servers::dedicated(&self.client, &name).await,
        };
        let labels = asked.map(Some).unwrap_or_else(|error| {
            tracing::warn!(server = name, %error, "cannot ask for a server");
            self.known.get(&name).cloned()
        });
        (name, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::ADDRESS;
    use crate::testing_backend::Recorder;
    use periskop_core::config;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn a_server_that_cannot_be_asked_for_stays_as_it_was() {
        let down = Arc::new(AtomicBool::new(false));
        let is_down = down.clone();
        let recorder = Recorder::answering_by(move |request| {
            let body = match request.split(' ').nth(1).unwrap_or_default() {
                "/1.0/auth/time" => "1700000000",
                "/1.0/vps" => r#"["a","never seen"]"#,
                "/1.0/vps/a" if !is_down.load(Ordering::SeqCst) => r#"{"name":"a"}"#,
                "/1.0/vps/a/ips" => r#"["1.2.3.4"]"#,
                _ => return (404, "{}".to_owned()),
            };
            (200, body.to_owned())
        })
        .await;
        let yaml = format!(
            "{{application_key: k, application_secret: s, consumer_key: c, service: vps, \
             endpoint: '{}1.0'}}",
            recorder.url()
        );
        let yaml = config::parse(&yaml).unwrap();
        let config = config::decode(&yaml, OvhcloudConfig::decode).unwrap();
        let mut discovery = OvhcloudDiscovery::new(&config, &BuildOptions::default()).unwrap();
        for _ in 0..2 {
            let groups = discovery.refresh().await.unwrap().groups;
            assert_eq!(groups[0].source, "ovhcloud_vps");
            let targets: Vec<_> = groups[0].targets.iter().map(|t| t.get(ADDRESS)).collect();
            assert_eq!(targets, ["1.2.3.4"]);
            down.store(true, Ordering::SeqCst);
        }
    }
}
