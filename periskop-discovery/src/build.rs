//! What a mechanism takes from the process that it runs in, and what may be wrong with that.

use std::collections::BTreeMap;
use std::time::Duration;

use periskop_core::discovery::Discovery;
use url::Url;

#[cfg(feature = "dns")]
use crate::dns_sd::DnsServers;
use crate::environment::Environment;
use crate::http_client::HttpError;
use crate::polling::{Polling, Refresh};

/// What mechanisms take from the process rather than from their settings.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// How we introduce ourselves to HTTP backends. Default: `Periskop/` and the version.
    pub user_agent: String,
    /// Where environment variables come from: credentials of clouds, proxies, regions.
    pub environment: Environment,
    /// Whom DNS discovery asks. Default: the servers of `/etc/resolv.conf`.
    #[cfg(feature = "dns")]
    pub dns: DnsServers,
    /// Where the service account of the pod that we run in is: `token`, `ca.crt`, `namespace`.
    /// Default: `/var/run/secrets/kubernetes.io/serviceaccount`.
    #[cfg(feature = "kubernetes")]
    pub service_account: std::path::PathBuf,
    /// How often is looked, whatever the settings say: for tests. Default: as they say.
    pub refresh_interval: Option<Duration>,
    /// Other places for APIs whose address no setting has, by the address of theirs
    /// (`https://compute.googleapis.com`): private endpoints, and tests.
    pub origins: BTreeMap<String, Url>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("Periskop/", env!("CARGO_PKG_VERSION")).into(),
            environment: Environment::Process,
            #[cfg(feature = "dns")]
            dns: DnsServers::System,
            #[cfg(feature = "kubernetes")]
            service_account: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
            refresh_interval: None,
            origins: BTreeMap::new(),
        }
    }
}

impl BuildOptions {
    /// How often is looked where the settings say `configured`.
    pub fn interval(&self, configured: Duration) -> Duration {
        self.refresh_interval.unwrap_or(configured)
    }

    /// Looks with `refresh` as often as `configured`.
    pub fn poll(&self, refresh: impl Refresh, configured: Duration) -> Box<dyn Discovery> {
        Box::new(Polling::new(refresh, self.interval(configured)))
    }

    /// The address of an API that no setting has, such as `https://compute.googleapis.com`.
    ///
    /// # Errors
    ///
    /// [`BuildError::Url`] where `origin` is none.
    pub fn origin(&self, origin: &str) -> Result<Url, BuildError> {
        match self.origins.get(origin) {
            Some(elsewhere) => Ok(elsewhere.clone()),
            None => Url::parse(origin).map_err(BuildError::Url),
        }
    }
}

/// Settings that cannot be put to work.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A URL that Prometheus's parser takes and ours does not.
    #[error("invalid URL: {0}")]
    Url(url::ParseError),
    /// What the settings leave to the process is not there: credentials, a region, a file.
    #[error("{0}")]
    Missing(String),
}
