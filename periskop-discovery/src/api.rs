//! The settings that nearly every mechanism which asks an HTTP API has, and paging.

use std::path::Path;
use std::time::Duration;

use periskop_core::config::{Fields, Node, format_duration};

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

/// `refresh_interval` as Prometheus prints it: not at all where it is zero.
pub(crate) fn interval_entry(interval: Duration) -> Option<(&'static str, Node)> {
    (!interval.is_zero()).then(|| ("refresh_interval", format_duration(interval).into()))
}
