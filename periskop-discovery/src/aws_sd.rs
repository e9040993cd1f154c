//! `aws_sd_configs`: the mechanisms of AWS under one key, chosen by `role`.
//!
//! What is found, and under which labels, is the business of the role's mechanism.

use std::path::{Path, PathBuf};

use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::Discovery;

use crate::api::Api;
use crate::aws::settings::{PORT, REFRESH_INTERVAL};
use crate::aws::{AwsApi, AwsFilter, Clusters};
use crate::build::{BuildError, BuildOptions};
use crate::ec2_sd::Ec2Config;
use crate::ecs_sd::{self, EcsConfig};
use crate::elasticache_sd::{self, ElasticacheConfig};
use crate::http_client::HttpClientConfig;
use crate::lightsail_sd::LightsailConfig;
use crate::mechanism::Mechanism;
use crate::msk_sd::{self, MskConfig};
use crate::rds_sd::{self, RdsConfig};

/// One item of `aws_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsConfig {
    /// The mechanism that is meant, with its own defaults.
    pub role: AwsRole,
    written: Written,
}

/// What `role` chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsRole {
    /// `ec2`
    Ec2(Ec2Config),
    /// `ecs`
    Ecs(EcsConfig),
    /// `elasticache`
    Elasticache(ElasticacheConfig),
    /// `lightsail`
    Lightsail(LightsailConfig),
    /// `msk`
    Msk(MskConfig),
    /// `rds`
    Rds(RdsConfig),
}

/// What is printed as it was written, because the role's own settings say it otherwise or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    refresh_interval: bool,
    port: bool,
    filters: Vec<AwsFilter>,
    clusters: Vec<String>,
    bearer_token: bool,
    bearer_token_file: Option<PathBuf>,
}

impl AwsConfig {
    /// Reads one item. As by Prometheus redirects and HTTP/2 are off unless they are on here, and
    /// two ways to say who we are are no error: signatures replace both.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let role = fields.string("role").unwrap_or_default();
        let interval = fields.duration("refresh_interval").filter(|every| !every.is_zero());
        let port = fields.port("port").filter(|port| *port != 0);
        let api = Api {
            http: HttpClientConfig::take_unchecked(&mut fields),
            refresh_interval: interval.unwrap_or(REFRESH_INTERVAL),
            port: port.unwrap_or(PORT),
        };
        let aws = AwsApi::with(&mut fields, api);
        let filters = AwsFilter::take(&mut fields);
        let clusters = fields.string_list("clusters").unwrap_or_default();
        let token_file = fields.string("bearer_token_file").filter(|file| !file.is_empty());
        let written = Written {
            refresh_interval: interval.is_some(),
            port: port.is_some(),
            filters: filters.clone(),
            clusters: clusters.clone(),
            bearer_token: fields.string("bearer_token").is_some_and(|token| !token.is_empty()),
            bearer_token_file: token_file.map(PathBuf::from),
        };
        let of = |request_concurrency| Clusters { names: clusters.clone(), request_concurrency };
        let role = match role.as_str() {
            "ec2" => Some(AwsRole::Ec2(Ec2Config { aws, filters })),
            "ecs" => Some(AwsRole::Ecs(EcsConfig { aws, clusters: of(ecs_sd::CONCURRENCY) })),
            "elasticache" => Some(AwsRole::Elasticache(ElasticacheConfig {
                aws,
                clusters: of(elasticache_sd::CONCURRENCY),
            })),
            "lightsail" => Some(AwsRole::Lightsail(LightsailConfig { aws })),
            "msk" => Some(AwsRole::Msk(MskConfig { aws, clusters: of(msk_sd::CONCURRENCY) })),
            "rds" => {
                let clusters = of(rds_sd::CONCURRENCY);
                Some(AwsRole::Rds(RdsConfig { aws, clusters, filters }))
            }
            unknown => {
                fields.problem("role", format!("unknown AWS SD role {unknown:?}"));
                None
            }
        };
        fields.finish();
        Some(Self { role: role?, written })
    }

    fn mechanism(&self) -> &dyn Mechanism {
        match &self.role {
            AwsRole::Ec2(config) => config,
            AwsRole::Ecs(config) => config,
            AwsRole::Elasticache(config) => config,
            AwsRole::Lightsail(config) => config,
            AwsRole::Msk(config) => config,
            AwsRole::Rds(config) => config,
        }
    }

    fn aws(&self) -> &AwsApi {
        match &self.role {
            AwsRole::Ec2(config) => &config.aws,
            AwsRole::Ecs(config) => &config.aws,
            AwsRole::Elasticache(config) => &config.aws,
            AwsRole::Lightsail(config) => &config.aws,
            AwsRole::Msk(config) => &config.aws,
            AwsRole::Rds(config) => &config.aws,
        }
    }
}

impl Mechanism for AwsConfig {
    fn name(&self) -> &'static str {
        "aws"
    }

    /// Prometheus prints what was written, not what the role makes of it.
    fn effective(&self) -> Node {
        let (aws, written) = (self.aws(), &self.written);
        let mut entries: Vec<(&'static str, Node)> = vec![("role", self.mechanism().name().into())];
        let texts = [("region", &aws.region), ("endpoint", &aws.endpoint)];
        let set = texts.into_iter().filter(|(_, text)| !text.is_empty());
        entries.extend(set.map(|(name, text)| (name, text.into())));
        entries.extend(aws.identity());
        if written.refresh_interval {
            entries.push(("refresh_interval", format_duration(aws.api.refresh_interval).into()));
        }
        if written.port {
            entries.push(("port", aws.api.port.into()));
        }
        let has_bearer = written.bearer_token || written.bearer_token_file.is_some();
        let http = aws.api.http.effective().into_iter();
        entries.extend(http.filter(|(name, _)| !(has_bearer && *name == "authorization")));
        if written.bearer_token {
            entries.push(("bearer_token", periskop_core::config::Secret::HIDDEN.into()));
        }
        if let Some(file) = &written.bearer_token_file {
            entries.push(("bearer_token_file", file.display().to_string().into()));
        }
        if !written.filters.is_empty() {
            entries.push(("filters", AwsFilter::effective(&written.filters)));
        }
        if !written.clusters.is_empty() {
            entries.push(("clusters", Node::sequence(&written.clusters)));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        match &mut self.role {
            AwsRole::Ec2(config) => config.resolve_paths(dir),
            AwsRole::Ecs(config) => config.resolve_paths(dir),
            AwsRole::Elasticache(config) => config.resolve_paths(dir),
            AwsRole::Lightsail(config) => config.resolve_paths(dir),
            AwsRole::Msk(config) => config.resolve_paths(dir),
            AwsRole::Rds(config) => config.resolve_paths(dir),
        }
        if let Some(file) = &mut self.written.bearer_token_file {
            *file = dir.join(&*file);
        }
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        self.mechanism().build(options)
    }
}
