//! The settings that nearly every mechanism which asks an HTTP API has, and paging.

use std::path::Path;
use std::time::Duration;

use periskop_core::config::{Fields, Node, format_duration};
use periskop_core::discovery::DiscoveryError;
use url::{ParseError, Url};

use crate::backend::shown;
use crate::http_client::HttpClientConfig;

/// More pages than any API has; one that pages in a circle must come to an end.
pub(crate) const PAGES_LIMIT: usize = 10_000;

/// How an API is asked, how often, and which port its machines are expected to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
    /// How often is asked.
    pub refresh_interval: Duration,
    /// The port of targets whose own is not known.
    pub port: u16,
}

impl Api {
    /// Takes the settings out of those of a mechanism that has these defaults.
    pub(crate) fn take(fields: &mut Fields<'_, '_>, refresh_interval: Duration, port: u16) -> Self {
        Self {
            http: HttpClientConfig::take(fields),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(refresh_interval),
            port: fields.port("port").unwrap_or(port),
        }
    }

    /// The settings as keys and values.
    pub(crate) fn effective(&self) -> Vec<(&'static str, Node)> {
        let mut entries = self.http.effective();
        entries.extend(interval_entry(self.refresh_interval));
        entries.push(("port", self.port.into()));
        entries
    }

    /// Takes relative file names as relative to `dir`.
    pub(crate) fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }
}

/// The error of a backend whose pages do not end. What was read of them is not told: it may be
/// anything but all.
pub(crate) fn too_many_pages(url: &Url) -> DiscoveryError {
    let reason = format!("more than {PAGES_LIMIT} pages");
    DiscoveryError::Invalid { endpoint: shown(url), reason }
}

/// Whether a setting is the URL of a backend: Prometheus's rules, in its words.
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

/// The address of an API below a configured address, whatever slashes that has at its end.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let parts = base.path().split('/').chain(path.split('/'));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let mut url = base.clone();
    url.set_path(&parts.join("/"));
    url
}

/// `refresh_interval` as Prometheus prints it: not at all where it is zero.
pub(crate) fn interval_entry(interval: Duration) -> Option<(&'static str, Node)> {
    (!interval.is_zero()).then(|| ("refresh_interval", format_duration(interval).into()))
}
