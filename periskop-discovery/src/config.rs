//! The discovery settings of one service.

use std::path::Path;

use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::Discovery;

use crate::dns_sd::{DnsConfig, DnsDiscovery, DnsServers};
use crate::file_sd::{FileConfig, FileDiscovery};
use crate::http_client::HttpError;
use crate::http_sd::{HttpConfig, HttpDiscovery};
use crate::polling::Polling;
use crate::static_sd::{StaticConfig, StaticDiscovery};

/// Mechanisms of Prometheus that are not here yet: their keys are known, so that nobody is told
/// of a misspelling.
const NOT_YET: [&str; 33] = [
    "aws_sd_configs",
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "elasticache_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kubernetes_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "msk_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "rds_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// One way to find the targets of a service, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiscoveryConfig {
    /// One item of `dns_sd_configs`.
    Dns(DnsConfig),
    /// One item of `file_sd_configs`.
    File(FileConfig),
    /// One item of `http_sd_configs`.
    Http(Box<HttpConfig>),
    /// All of `static_configs`.
    Static(StaticConfig),
}

impl DiscoveryConfig {
    /// Takes all discovery settings out of a service's section. What is wrong with them is noted
    /// there, in Prometheus's words where it has some.
    pub fn decode_all(fields: &mut Fields<'_, '_>) -> Vec<Self> {
        let mut all = Vec::new();
        all.extend(fields.list("dns_sd_configs", DnsConfig::decode).into_iter().map(Self::Dns));
        all.extend(fields.list("file_sd_configs", FileConfig::decode).into_iter().map(Self::File));
        let http = fields.list("http_sd_configs", HttpConfig::decode);
        all.extend(http.into_iter().map(|config| Self::Http(Box::new(config))));
        all.extend(StaticConfig::take(fields).map(Self::Static));
        for name in NOT_YET {
            if !fields.list(name, |_: &At<'_>, _: &mut Problems| Some(())).is_empty() {
                fields.problem(name, format!("{name} is not supported yet"));
            }
        }
        all
    }

    /// The mechanism's name, as in its key: `dns`, `file`, `http`, `static`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::File(_) => "file",
            Self::Http(_) => "http",
            Self::Static(_) => "static",
        }
    }

    /// The settings as Prometheus would print them again: defaults filled in, secrets masked.
    pub fn effective(&self) -> Node {
        match self {
            Self::Dns(config) => config.effective(),
            Self::File(config) => config.effective(),
            Self::Http(config) => config.effective(),
            Self::Static(config) => config.effective(),
        }
    }

    /// Takes relative file names as relative to `dir`, the directory of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        match self {
            Self::File(config) => config.resolve_paths(dir),
            Self::Http(config) => config.http.resolve_paths(dir),
            Self::Dns(_) | Self::Static(_) => {}
        }
    }

    /// Begins to look for targets. Must be called within a Tokio runtime; nothing is looked for
    /// before the first [`Discovery::next`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] where the settings cannot be put to work, such as a certificate that is not
    /// there. Other mechanisms can be used all the same.
    pub fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        Ok(match self {
            Self::Dns(config) => {
                let every = config.refresh_interval;
                let discovery = DnsDiscovery::new(config.clone(), options.dns.clone());
                Box::new(Polling::new(discovery, every))
            }
            Self::File(config) => Box::new(FileDiscovery::new(config.clone())),
            Self::Http(config) => {
                let discovery = HttpDiscovery::new(config, &options.user_agent)?;
                Box::new(Polling::new(discovery, config.refresh_interval))
            }
            Self::Static(config) => Box::new(StaticDiscovery::new(config.clone())),
        })
    }
}

/// What mechanisms take from the process rather than from their settings.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// How we introduce ourselves to HTTP backends. Default: `Periskop/` and the version.
    pub user_agent: String,
    /// Whom DNS discovery asks. Default: the servers of `/etc/resolv.conf`.
    pub dns: DnsServers,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("Periskop/", env!("CARGO_PKG_VERSION")).into(),
            dns: DnsServers::System,
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
}
