//! `http_sd_configs`: groups of targets from a URL, as JSON.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::DiscoveryError;
use periskop_core::target::TargetGroup;
use regex::Regex;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use url::{ParseError, Url};

use crate::config::BuildError;
use crate::groups::groups_from_json;
use crate::http_client::{HttpClient, HttpClientConfig, HttpError, redact_text};
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

    /// The item as Prometheus would print it again.
    pub fn effective(&self) -> Node {
        let mut entries = self.http.effective();
        if !self.refresh_interval.is_zero() {
            entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        }
        entries.push(("url", self.shown_url().into()));
        Node::mapping(entries)
    }

    /// The URL as configured, but for a password in it.
    fn shown_url(&self) -> String {
        redact_text(&self.url)
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

/// Prometheus's rules, in its words.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    const SCHEME: &str = "URL scheme must be 'http' or 'https'";
    const HOST: &str = "host is missing in URL";
    if url.is_empty() {
        return Err("URL is missing".into());
    }
    match Url::parse(url) {
        Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => Err(SCHEME.into()),
        // The URL standard of browsers finds a host in `http:a` and `http:///a`; Go does not.
        Ok(_) if url.split_once("://").is_none_or(|(_, rest)| rest.starts_with('/')) => {
            Err(HOST.into())
        }
        // A port beyond 65535 passes in Prometheus and fails when it is used.
        Ok(_) | Err(ParseError::InvalidPort) => Ok(()),
        Err(ParseError::RelativeUrlWithoutBase) => Err(SCHEME.into()),
        Err(ParseError::EmptyHost) => Err(HOST.into()),
        Err(error) => Err(format!("invalid URL: {error}")),
    }
}

/// Fetches the groups.
pub struct HttpDiscovery {
    client: HttpClient,
    url: Url,
    /// What is told of the URL: as configured, without a password.
    shown_url: String,
    timeout: Duration,
}

impl HttpDiscovery {
    /// Fetches from the configured URL, as `user_agent`.
    ///
    /// # Errors
    ///
    /// [`BuildError`] where URL, certificates or other settings cannot be used.
    pub fn new(config: &HttpConfig, user_agent: &str) -> Result<Self, BuildError> {
        Ok(Self {
            client: HttpClient::new(&config.http, user_agent)?,
            url: Url::parse(&config.url).map_err(BuildError::Url)?,
            shown_url: config.shown_url(),
            timeout: match config.refresh_interval {
                Duration::ZERO => REFRESH_INTERVAL,
                interval => interval,
            },
        })
    }

    async fn fetch(&self) -> Result<Vec<u8>, DiscoveryError> {
        let seconds = self.timeout.as_secs_f64().to_string();
        let seconds = HeaderValue::try_from(seconds).map_err(|_| self.invalid("no interval"))?;
        let mut response = self
            .client
            .get(self.url.clone())
            .timeout(self.timeout)
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(INTERVAL_HEADER, seconds)
            .send()
            .await
            .map_err(|e| self.unreachable(&e))?;
        if response.status() != StatusCode::OK {
            let reason = format!("server returned HTTP status {}", response.status());
            return Err(self.invalid(reason));
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(content_type) {
            return Err(self.invalid(format!("unsupported content type {content_type:?}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|e| self.unreachable(&HttpError::from(e)))?
        {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(self.invalid(format!("longer than {BODY_LIMIT} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn invalid(&self, reason: impl Into<String>) -> DiscoveryError {
        DiscoveryError::Invalid { endpoint: self.shown_url.clone(), reason: reason.into() }
    }

    fn unreachable(&self, error: &HttpError) -> DiscoveryError {
        DiscoveryError::Unreachable { endpoint: self.shown_url.clone(), reason: error.to_string() }
    }
}

#[async_trait]
impl Refresh for HttpDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let body = self.fetch().await?;
        let mut groups: Vec<TargetGroup> =
            groups_from_json(&body).map_err(|reason| self.invalid(reason))?;
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
    static JSON: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^(?i:application/json(;\s*charset=("utf-8"|utf-8))?)$"#)
            .expect("the pattern is constant and tested")
    });
    JSON.is_match(content_type.trim())
}
