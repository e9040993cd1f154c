//! From the `*_sd_configs` and `static_configs` of a service to what finds its targets.

use periskop_core::config::{self, At, Fields, Problems};

use crate::mechanism::{DiscoveryConfig, Mechanism};
use crate::static_sd::StaticConfig;

/// Declares all mechanisms but the static one: name, which is that of its cargo feature, and
/// settings.
macro_rules! mechanisms {
    ($($name:literal => $config:path,)*) => {
        /// Takes the settings of all mechanisms but the static one.
        fn take_all(fields: &mut Fields<'_, '_>, all: &mut Vec<DiscoveryConfig>) {
            $(
                #[cfg(feature = $name)]
                take(fields, concat!($name, "_sd_configs"), <$config>::decode, all);
                #[cfg(not(feature = $name))]
                refuse(fields, concat!($name, "_sd_configs"), $name);
            )*
        }

        /// The names of the mechanisms that this build has, `static` among them.
        pub fn mechanisms() -> Vec<&'static str> {
            let mut names = vec!["static"];
            $(
                #[cfg(feature = $name)]
                names.push($name);
            )*
            names
        }
    };
}

mechanisms! {
    "aws" => crate::aws_sd::AwsConfig,
    "azure" => crate::azure_sd::AzureConfig,
    "consul" => crate::consul_sd::ConsulConfig,
    "digitalocean" => crate::digitalocean_sd::DigitalOceanConfig,
    "dns" => crate::dns_sd::DnsConfig,
    "docker" => crate::docker_sd::DockerConfig,
    "dockerswarm" => crate::dockerswarm_sd::DockerSwarmConfig,
    "ec2" => crate::ec2_sd::Ec2Config,
    "ecs" => crate::ecs_sd::EcsConfig,
    "elasticache" => crate::elasticache_sd::ElasticacheConfig,
    "eureka" => crate::eureka_sd::EurekaConfig,
    "file" => crate::file_sd::FileConfig,
    "gce" => crate::gce_sd::GceConfig,
    "hetzner" => crate::hetzner_sd::HetznerConfig,
    "http" => crate::http_sd::HttpConfig,
    "ionos" => crate::ionos_sd::IonosConfig,
    "kubernetes" => crate::kubernetes_sd::KubernetesConfig,
    "kuma" => crate::kuma_sd::KumaConfig,
    "lightsail" => crate::lightsail_sd::LightsailConfig,
    "linode" => crate::linode_sd::LinodeConfig,
    "marathon" => crate::marathon_sd::MarathonConfig,
    "msk" => crate::msk_sd::MskConfig,
    "nerve" => crate::nerve_sd::NerveConfig,
    "nomad" => crate::nomad_sd::NomadConfig,
    "oci" => crate::oci_sd::OciConfig,
    "openstack" => crate::openstack_sd::OpenstackConfig,
    "outscale" => crate::outscale_sd::OutscaleConfig,
    "ovhcloud" => crate::ovhcloud_sd::OvhcloudConfig,
    "puppetdb" => crate::puppetdb_sd::PuppetDbConfig,
    "rds" => crate::rds_sd::RdsConfig,
    "scaleway" => crate::scaleway_sd::ScalewayConfig,
    "serverset" => crate::serverset_sd::ServersetConfig,
    "stackit" => crate::stackit_sd::StackitConfig,
    "triton" => crate::triton_sd::TritonConfig,
    "uyuni" => crate::uyuni_sd::UyuniConfig,
    "vultr" => crate::vultr_sd::VultrConfig,
}

fn take<M: Mechanism + Clone + PartialEq>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    decode: fn(&At<'_>, &mut Problems) -> Option<M>,
    all: &mut Vec<DiscoveryConfig>,
) {
    all.extend(fields.list(key, decode).into_iter().map(DiscoveryConfig::new));
}

/// A mechanism that was left out of this build is no unknown field.
#[cfg(not(feature = "all"))]
fn refuse(fields: &mut Fields<'_, '_>, key: &'static str, feature: &'static str) {
    if !fields.list(key, |_, _| Some(())).is_empty() {
        let message = format!("this build has no {key} (cargo feature {feature:?})");
        fields.problem(key, message);
    }
}

impl DiscoveryConfig {
    /// Reads `*_sd_configs` and `static_configs` out of a YAML text that has nothing else.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its place.
    pub fn parse(yaml: &str) -> Result<Vec<Self>, Problems> {
        config::decode(&config::parse(yaml)?, |at, problems| {
            let mut fields = Fields::new(at, problems)?;
            let all = Self::decode_all(&mut fields);
            fields.finish();
            Some(all)
        })
    }

    /// Takes all discovery settings out of a service's section. What is wrong with them is noted
    /// there, in Prometheus's words where it has some.
    pub fn decode_all(fields: &mut Fields<'_, '_>) -> Vec<Self> {
        let mut all = Vec::new();
        take_all(fields, &mut all);
        all.extend(StaticConfig::take(fields).map(Self::new));
        all
    }
}
