//! `http_sd_configs`: groups of targets from a URL, as JSON.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use reqwest::header::{ACCEPT, HeaderName};
use url::Url;

pub(crate) use crate::api::check_url;
use crate::backend::{self, Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::groups::groups_from_json;
use crate::http_client::{HttpClientConfig, redact_text};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// A hundred thousand targets with ten labels each are a fifth of it. Prometheus has no limit.
const BODY_LIMIT: usize = 256 << 20;

const URL_LABEL: &str = "__meta_url";
const INTERVAL_HEADER: HeaderName =
    HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// One item of `http_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where the groups are, as configured. It may hold a password.
    pub url: String,
    /// How often they are fetched, and how long that may take. Default 1m.
    pub refresh_interval: Duration,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl HttpConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            url: fields.string("url").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        if let Err(message) = check_url(&config.url) {
            fields.problem("url", message);
        }
        fields.finish();
        Some(config)
    }

    /// The URL as configured, but for a password in it.
    fn shown_url(&self) -> String {
        redact_text(&self.url)
    }
}

impl Mechanism for HttpConfig {
    fn name(&self) -> &'static str {
        "http"
    }

    fn effective(&self) -> Node {
        let mut entries = self.http.effective();
        if !self.refresh_interval.is_zero() {
            entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        }
        entries.push(("url", self.shown_url().into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = HttpDiscovery::new(self, options)?;
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

impl std::fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpConfig")
            .field("url", &self.shown_url())
            .field("refresh_interval", &self.refresh_interval)
            .field("http", &self.http)
            .finish()
    }
}

/// Fetches the groups.
pub struct HttpDiscovery {
    backend: Backend,
    url: Url,
    /// What is told of the URL: as configured, without a password.
    shown_url: String,
    refresh_interval: Duration,
}

impl HttpDiscovery {
    /// Fetches from the configured URL.
    ///
    /// # Errors
    ///
    /// [`BuildError`] where URL, certificates or other settings cannot be used.
    pub fn new(config: &HttpConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        let refresh_interval = match config.refresh_interval {
            Duration::ZERO => REFRESH_INTERVAL,
            interval => interval,
        };
        Ok(Self {
            backend: Backend::new(&config.http, options, refresh_interval)?,
            url: Url::parse(&config.url).map_err(BuildError::Url)?,
            shown_url: config.shown_url(),
            refresh_interval,
        })
    }

    async fn fetch(&self) -> Result<Answer, DiscoveryError> {
        let seconds = self.refresh_interval.as_secs_f64().to_string();
        let call = self.backend.get(self.url.clone()).limit(BODY_LIMIT);
        let call = call.header(ACCEPT, "application/json").header(INTERVAL_HEADER, &seconds);
        let answer = call.send().await?.ok()?;
        let content_type = answer.header("content-type");
        if !is_json(content_type) {
            return Err(answer.invalid(format!("unsupported content type {content_type:?}")));
        }
        Ok(answer)
    }
}

#[async_trait]
impl Refresh for HttpDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let answer = self.fetch().await?;
        let mut groups = groups_from_json(&answer.body).map_err(|reason| answer.invalid(reason))?;
        for (i, group) in groups.iter_mut().enumerate() {
            group.source = format!("{}:{i}", self.shown_url);
            group.labels.insert(URL_LABEL, self.shown_url.as_str());
        }
        Ok(groups.into())
    }
}

/// Whether a `Content-Type` says JSON in UTF-8. A missing one is refused as in Prometheus: an
/// error page must not pass for an empty list.
pub fn is_json(content_type: &str) -> bool {
    backend::is_json(content_type)
}
