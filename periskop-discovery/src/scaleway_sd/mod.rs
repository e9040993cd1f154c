//! `scaleway_sd_configs`: the instances, or the Elastic Metal servers, of a Scaleway zone.
//!
//! APIs: `/instance/v1/zones/ZONE/servers` and, for instances that have private networks only,
//! `/ipam/v1/regions/REGION/ips`; `/baremetal/v1/zones/ZONE/servers`, `/offers` and `/os`. All are
//! paged by number and tell how many items there are.

mod baremetal;
mod instance;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use regex::Regex;
use reqwest::header::HeaderName;
use serde::de::DeserializeOwned;
use url::Url;

use crate::api::{Api, PAGES_LIMIT, below, too_many_pages};
use crate::backend::{Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{Source, redact_text};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const API_URL: &str = "https://api.scaleway.com";
const ZONE: &str = "fr-par-1";
const SOURCE: &str = "scaleway";
const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const PER_PAGE: &str = "50";

/// One item of `scaleway_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct ScalewayConfig {
    /// What is looked for.
    pub role: ScalewayRole,
    /// The project's id. It is checked, and as in Prometheus not asked for: the key decides.
    pub project_id: String,
    /// Where the API is, without a slash at the end.
    pub api_url: String,
    /// The zone. Default `fr-par-1`.
    pub zone: String,
    /// The id of the key.
    pub access_key: String,
    /// The key; a file is read at every request.
    pub secret_key: Source<Secret>,
    /// A part of the names of servers; `""`: any.
    pub name_filter: String,
    /// Tags that servers have, all of them.
    pub tags_filter: Vec<String>,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

/// What targets are at Scaleway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalewayRole {
    /// Virtual machines.
    Instance,
    /// Dedicated servers.
    Baremetal,
}

impl ScalewayRole {
    fn parse(name: &str) -> Result<Self, String> {
        let role = [Self::Instance, Self::Baremetal].into_iter().find(|role| role.name() == name);
        role.ok_or_else(|| format!("unknown role {name:?}"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Baremetal => "baremetal",
        }
    }
}

impl ScalewayConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let role = fields.parsed("role", ScalewayRole::parse);
        if fields.node("role").is_none_or(|at| at.node.is_null()) {
            fields.problem("role", "role missing (one of: instance, baremetal)");
        }
        let secret_key = take_secret_key(&mut fields);
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let config = Self {
            role: role.unwrap_or(ScalewayRole::Instance),
            project_id: fields.string("project_id").unwrap_or_default(),
            api_url: fields.string("api_url").unwrap_or_else(|| API_URL.into()),
            zone: fields.string("zone").unwrap_or_else(|| ZONE.into()),
            access_key: fields.string("access_key").unwrap_or_default(),
            secret_key: secret_key.unwrap_or_else(|| Source::Inline(Secret::default())),
            name_filter: fields.string("name_filter").unwrap_or_default(),
            tags_filter: fields.string_list("tags_filter").unwrap_or_default(),
            api,
        };
        config.check(&mut fields);
        fields.finish();
        Some(config)
    }

    /// The rules of Prometheus, and those of Scaleway's library that it uses.
    fn check(&self, fields: &mut Fields<'_, '_>) {
        const UUID_FORM: &str = "expected a UUID: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        if self.project_id.is_empty() {
            fields.problem("project_id", "project_id is mandatory");
        } else if !is_uuid(&self.project_id) {
            let id = &self.project_id;
            let message = format!("scaleway-sdk-go: invalid project ID format '{id}', {UUID_FORM}");
            fields.problem("project_id", message);
        }
        if self.access_key.is_empty() {
            fields.problem("access_key", "access_key is mandatory");
        } else if !is_access_key(&self.access_key) {
            let message = format!(
                "scaleway-sdk-go: invalid access key format '{}', expected SCWXXXXXXXXXXXXXXXXX format",
                self.access_key
            );
            fields.problem("access_key", message);
        }
        if let Source::Inline(key) = &self.secret_key
            && !key.is_empty()
            && !is_uuid(key.expose())
        {
            let message = format!("scaleway-sdk-go: invalid secret key format, {UUID_FORM}");
            fields.problem("secret_key", message);
        }
        if region(&self.zone).is_none() {
            let zone = &self.zone;
            let message = format!(
                "scaleway-sdk-go: invalid default zone format '{zone}', expected one as {ZONE}"
            );
            fields.problem("zone", message);
        }
        let (url, shown) = (&self.api_url, redact_text(&self.api_url));
        if url.is_empty() || matches!(Url::parse(url), Err(e) if e != RELATIVE) {
            fields.problem("api_url", format!("scaleway-sdk-go: invalid API url '{shown}'"));
        } else if url.ends_with('/') {
            let message = format!(
                "scaleway-sdk-go: invalid API url '{shown}' it should not have a trailing slash"
            );
            fields.problem("api_url", message);
        }
    }
}

/// What Go's parser takes as well; it fails when it is used.
const RELATIVE: url::ParseError = url::ParseError::RelativeUrlWithoutBase;

fn take_secret_key(fields: &mut Fields<'_, '_>) -> Option<Source<Secret>> {
    let inline = fields.secret("secret_key").filter(|key| !key.is_empty());
    let file = fields.string("secret_key_file").filter(|file| !file.is_empty());
    match (inline, file) {
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
        (Some(key), None) => Some(Source::Inline(key)),
        (None, Some(file)) => Some(Source::File(file.into())),
    }
}

/// Scaleway's library looks for a UUID anywhere in the text.
fn is_uuid(text: &str) -> bool {
    static UUID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
            .expect("the pattern is constant and tested")
    });
    UUID.is_match(text)
}

fn is_access_key(text: &str) -> bool {
    text.strip_prefix("SCW").is_some_and(|rest| {
        rest.len() == 17 && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

/// The region of a zone: `fr-par` of `fr-par-1`. None of what is no zone.
fn region(zone: &str) -> Option<&str> {
    let (region, number) = zone.rsplit_once('-')?;
    let (country, city) = region.split_once('-')?;
    let letters = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_lowercase());
    let is_zone =
        letters(country, 2) && letters(city, 3) && matches!(number.as_bytes(), [b'1'..=b'9']);
    is_zone.then_some(region)
}

impl std::fmt::Debug for ScalewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScalewayConfig")
            .field("role", &self.role)
            .field("project_id", &self.project_id)
            .field("api_url", &redact_text(&self.api_url))
            .field("zone", &self.zone)
            .field("access_key", &self.access_key)
            .field("secret_key", &self.secret_key)
            .field("name_filter", &self.name_filter)
            .field("tags_filter", &self.tags_filter)
            .field("api", &self.api)
            .finish()
    }
}

impl Mechanism for ScalewayConfig {
    fn name(&self) -> &'static str {
        "scaleway"
    }

    fn effective(&self) -> Node {
        let (key, file) = match &self.secret_key {
            Source::Inline(key) => (key.into(), String::new()),
            Source::File(path) => (Node::null(), path.display().to_string()),
        };
        let mut entries = vec![
            ("project_id", (&self.project_id).into()),
            ("api_url", redact_text(&self.api_url).into()),
            ("zone", (&self.zone).into()),
            ("access_key", (&self.access_key).into()),
            ("secret_key", key),
            ("secret_key_file", file.into()),
        ];
        if !self.name_filter.is_empty() {
            entries.push(("name_filter", (&self.name_filter).into()));
        }
        if !self.tags_filter.is_empty() {
            entries.push(("tags_filter", Node::sequence(&self.tags_filter)));
        }
        entries.extend(self.api.effective());
        entries.push(("role", self.role.name().into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.secret_key.resolve_path(dir);
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let discovery = ScalewayDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            url: Url::parse(&self.api_url).map_err(BuildError::Url)?,
            config: self.clone(),
        };
        Ok(options.poll(discovery, interval))
    }
}

struct ScalewayDiscovery {
    backend: Backend,
    url: Url,
    config: ScalewayConfig,
}

#[async_trait]
impl Refresh for ScalewayDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let targets: Vec<Labels> = match self.config.role {
            ScalewayRole::Instance => self.instances().await?,
            ScalewayRole::Baremetal => self.servers().await?,
        };
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

/// One page of a list.
trait Page: DeserializeOwned {
    type Item;
    /// The items on it, and how many there are on all pages.
    fn open(self) -> (Vec<Self::Item>, u64);
}

impl ScalewayDiscovery {
    /// The items of all pages.
    async fn all<P: Page>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<P::Item>, DiscoveryError> {
        let mut url = below(&self.url, path);
        let (mut all, mut pages) = (Vec::new(), None);
        for number in 1..=PAGES_LIMIT {
            url.set_query(None);
            url.query_pairs_mut().extend_pairs(query).append_pair("page", &number.to_string());
            let token = self.config.secret_key.read().await.map_err(|error| {
                let reason = error.to_string();
                DiscoveryError::Unreachable { endpoint: shown(&url), reason }
            })?;
            let call = self.backend.get(url.clone()).credential(TOKEN, token.expose());
            let answer = call.send().await?.success()?;
            let counted = answer.header("x-total-count").parse().ok();
            let (items, total) = answer.json::<P>()?.open();
            if items.is_empty() {
                return Ok(all);
            }
            // Every page but the last is as long as the first.
            let length = items.len() as u64;
            let pages = *pages.get_or_insert(counted.unwrap_or(total).div_ceil(length));
            all.extend(items);
            if number as u64 >= pages {
                return Ok(all);
            }
        }
        Err(too_many_pages(&url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_a_region_and_other_texts_have_none() {
        assert_eq!(region("fr-par-1"), Some("fr-par"));
        for none in ["", "fr-par", "fr-par-0", "fr-par-10", "FR-par-1", "fr-pari-1", "fr-par-1-1"] {
            assert_eq!(region(none), None, "{none}");
        }
    }

    #[test]
    fn a_bad_secret_is_refused_and_not_quoted() {
        let yaml = "{role: instance, project_id: 8feda53f-15f0-447f-badf-ebe32dad2fc0, \
            access_key: SCW0W8NG6024YHRJ7723, secret_key: hunter2}";
        let root = periskop_core::config::parse(yaml).unwrap();
        let refused = periskop_core::config::decode(&root, ScalewayConfig::decode).unwrap_err();
        let message = refused.to_string();
        assert!(message.contains("invalid secret key format"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
