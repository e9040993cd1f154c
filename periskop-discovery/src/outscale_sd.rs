//! `outscale_sd_configs`: the virtual machines of an Outscale account in one region.
//!
//! API: `POST /ReadVms`, paged by a token, signed as AWS's requests are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use url::Url;

use crate::api::Api;
use crate::aws::credentials::{Credentials, missing};
use crate::aws::paging::Pages;
use crate::aws::session::{endpoint, now};
use crate::aws::sign::Signing;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::http_client::Source;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Prometheus's default, and the region in every signature, whichever region is asked: so does
/// Outscale's own client.
const REGION: &str = "eu-west-2";
const SERVICE: &str = "oapi";
const JSON: &str = "application/json";

/// One item of `outscale_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutscaleConfig {
    /// Where the API is.
    pub endpoint: String,
    /// The region. Default: `eu-west-2`.
    pub region: String,
    /// The name of a key.
    pub access_key: String,
    /// Its secret; a file is read at every refresh.
    pub secret_key: Source<Secret>,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

impl OutscaleConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let region = fields.string("region").unwrap_or_else(|| REGION.into());
        let access_key = fields.string("access_key").unwrap_or_default();
        let secret = fields.secret("secret_key").filter(|secret| !secret.is_empty());
        let file = fields.string("secret_key_file").filter(|file| !file.is_empty());
        if region.is_empty() {
            fields.problem("region", "outscale SD configuration requires a region");
        }
        if access_key.is_empty() {
            fields.problem("access_key", "outscale SD configuration requires access_key");
        }
        let secret_key = match (secret, file) {
            (Some(secret), None) => Some(Source::Inline(secret)),
            (None, Some(file)) => Some(Source::File(PathBuf::from(file))),
            (None, None) => {
                let message = "one of secret_key & secret_key_file must be configured";
                fields.problem("secret_key", message);
                None
            }
            (Some(_), Some(_)) => {
                let message = "at most one of secret_key & secret_key_file must be configured";
                fields.problem("secret_key_file", message);
                None
            }
        };
        let given = fields.string("endpoint").filter(|endpoint| !endpoint.is_empty());
        let endpoint = given.unwrap_or_else(|| format!("https://api.{region}.outscale.com/api/v1"));
        fields.finish();
        Some(Self { endpoint, region, access_key, secret_key: secret_key?, api })
    }
}

impl Mechanism for OutscaleConfig {
    fn name(&self) -> &'static str {
        "outscale"
    }

    fn effective(&self) -> Node {
        let (secret, file) = match &self.secret_key {
            Source::Inline(secret) => (secret.into(), String::new()),
            Source::File(file) => (Node::null(), file.display().to_string()),
        };
        let mut entries = vec![
            ("endpoint", Node::from(&self.endpoint)),
            ("region", Node::from(&self.region)),
            ("access_key", Node::from(&self.access_key)),
            ("secret_key", secret),
            ("secret_key_file", file.into()),
        ];
        entries.extend(self.api.effective());
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.secret_key.resolve_path(dir);
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let mut url = endpoint(&self.endpoint)?;
        let above = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{above}/ReadVms"));
        let interval = self.api.refresh_interval;
        let backend = Backend::new(&self.api.http, options, interval)?;
        Ok(options.poll(OutscaleDiscovery { backend, url, config: self.clone() }, interval))
    }
}

struct OutscaleDiscovery {
    backend: Backend,
    url: Url,
    config: OutscaleConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Page {
    vms: Vec<Vm>,
    next_page_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Vm {
    vm_id: String,
    state: String,
    private_ip: Option<String>,
    public_ip: Option<String>,
    placement: Placement,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Placement {
    subregion_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

#[async_trait]
impl Refresh for OutscaleDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let secret = self.config.secret_key.read().await;
        let secret_key = secret.map_err(|error| missing("outscale", error.to_string()))?;
        let access_key = self.config.access_key.clone();
        let credentials =
            Credentials { access_key, secret_key, session_token: None, expires: None };
        let mut targets = Vec::new();
        let mut pages = Pages::new("outscale ReadVms");
        loop {
            let page = self.page(pages.token(), &credentials).await?;
            let (region, port) = (&self.config.region, self.config.api.port);
            targets.extend(page.vms.iter().filter_map(|vm| target(vm, region, port)));
            if !pages.turn(page.next_page_token.as_deref())? {
                break;
            }
        }
        let source = self.config.region.clone();
        Ok(vec![TargetGroup { source, targets, ..TargetGroup::default() }].into())
    }
}

impl OutscaleDiscovery {
    async fn page(
        &self,
        token: Option<&str>,
        credentials: &Credentials,
    ) -> Result<Page, DiscoveryError> {
        let body = match token {
            Some(token) => serde_json::json!({ "NextPageToken": token }),
            None => serde_json::json!({}),
        };
        let body = body.to_string();
        let signing = Signing {
            method: "POST",
            url: &self.url,
            headers: &[(CONTENT_TYPE, JSON)],
            body: body.as_bytes(),
            region: REGION,
            service: SERVICE,
        };
        let mut call = self.backend.post(self.url.clone());
        for (name, value) in signing.headers(credentials, now()) {
            call = call.credential(name, &value);
        }
        call.body(JSON, body).send().await?.success()?.json()
    }
}

/// `None` for a machine without an address.
fn target(vm: &Vm, region: &str, port: u16) -> Option<Labels> {
    let filled = |ip: &Option<String>| ip.clone().filter(|ip| !ip.is_empty());
    let address = filled(&vm.private_ip).or_else(|| filled(&vm.public_ip))?;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(&address, port)),
        ("__meta_outscale_vm_instance_id", vm.vm_id.clone()),
        ("__meta_outscale_vm_region", region.to_owned()),
        ("__meta_outscale_vm_state", vm.state.clone()),
    ]);
    for (name, value) in [
        ("subregion", &vm.placement.subregion_name),
        ("private_ip", &vm.private_ip),
        ("public_ip", &vm.public_ip),
    ] {
        if let Some(value) = value {
            labels.insert(format!("__meta_outscale_vm_{name}"), value);
        }
    }
    for Tag { key, value } in &vm.tags {
        if !key.is_empty() && !value.is_empty() {
            labels.insert(format!("__meta_outscale_vm_tag_{}", sanitize(key)), value);
        }
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::config::{decode, parse};

    #[test]
    fn the_secret_is_not_shown() {
        let settings = parse("{access_key: A, secret_key: hunter2}").unwrap();
        let config = decode(&settings, OutscaleConfig::decode).unwrap();
        let shown = format!("{config:?} {}", config.effective());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn the_file_of_the_secret_is_read_at_every_refresh() {
        let settings = parse("{access_key: A, secret_key_file: none, endpoint: 'http://[::1]:1'}");
        let mut config = decode(&settings.unwrap(), OutscaleConfig::decode).unwrap();
        let dir = tempfile::tempdir().unwrap();
        config.resolve_paths(dir.path());
        let backend = Backend::new(&config.api.http, &BuildOptions::default(), Duration::ZERO);
        let url = Url::parse("http://[::1]:1").unwrap();
        let mut discovery = OutscaleDiscovery { backend: backend.unwrap(), url, config };
        let error = discovery.refresh().await.unwrap_err().to_string();
        assert!(error.contains("none"), "the file is not there: {error}");
        std::fs::write(dir.path().join("none"), "secret\n").unwrap();
        let error = discovery.refresh().await.unwrap_err().to_string();
        assert!(error.contains("[::1]:1"), "now the backend is not there: {error}");
    }
}
