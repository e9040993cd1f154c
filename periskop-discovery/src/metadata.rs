//! The server on a link-local address that tells a machine in a cloud about itself.

use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use crate::backend::{Backend, Call};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::HttpClientConfig;

/// Where the large clouds have it.
pub(crate) const LINK_LOCAL: &str = "http://169.254.169.254";
/// It is on the same host; where there is none, packets vanish.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A metadata server. No proxy leads to it, and no redirect away from it.
pub(crate) struct MetadataServer {
    backend: Backend,
    origin: Url,
    /// The header that shows that nobody was tricked into asking, as each cloud wants it.
    proof: (HeaderName, &'static str),
}

impl MetadataServer {
    /// The server at `origin`.
    pub(crate) fn new(
        options: &BuildOptions,
        origin: Url,
        proof: (HeaderName, &'static str),
    ) -> Result<Self, BuildError> {
        let http = HttpClientConfig { follow_redirects: false, ..HttpClientConfig::default() };
        Ok(Self { backend: Backend::new(&http, options, TIMEOUT)?, origin, proof })
    }

    /// Asks for what is at a path.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Call {
        let mut url = self.origin.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let (name, value) = &self.proof;
        self.backend.get(url).header(name.clone(), value)
    }
}
