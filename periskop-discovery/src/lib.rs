//! Prometheus's service discovery and HTTP client settings.
//!
//! [`DiscoveryConfig`] reads the `*_sd_configs` and `static_configs` of one service and builds a
//! [`Discovery`](periskop_core::discovery::Discovery) for each. A [`Mechanism`] is one module: its
//! settings, and what fetches groups. Those that only fetch implement [`Refresh`] and leave
//! time, differences and errors to [`Polling`]; so the next one is small.
//!
//! What is deliberately absent: policy. Everything found is told, with `__meta_*` labels;
//! choosing is relabelling's work. Nor is anything cached on disk or retried between two
//! intervals: after an error the last groups stay, for as long as it takes.
//!
//! Each mechanism is a cargo feature of its name; `all` has all of them.
//!
//! Needs a Tokio runtime with time and I/O enabled.
//!
//! ```
//! use periskop_discovery::{BuildOptions, DiscoveryConfig};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let yaml = "
//! static_configs:
//!   - targets: ['10.0.0.1:8080', '10.0.0.2:8080']
//!     labels: {rack: a1}
//! ";
//! for config in DiscoveryConfig::parse(yaml).expect("it is valid") {
//!     let mut discovery = config.build(&BuildOptions::default()).expect("it can be put to work");
//!     // Whoever goes on asking is told what changes.
//!     for group in discovery.next().await.expect("the backend answers") {
//!         assert_eq!(group.targets.len(), 2);
//!         assert_eq!(group.labels.get("rack"), "a1");
//!     }
//! }
//! # }
//! ```

// A build with some of the mechanisms uses some of what they share.
#![cfg_attr(not(feature = "all"), allow(dead_code, unused_imports, unused_variables))]

#[cfg(feature = "_backend")]
mod api;
#[cfg(feature = "_aws")]
mod aws;
#[cfg(feature = "aws")]
pub mod aws_sd;
#[cfg(feature = "azure")]
pub mod azure_sd;
#[cfg(feature = "_backend")]
mod backend;
mod build;
mod config;
#[cfg(feature = "consul")]
pub mod consul_sd;
#[cfg(feature = "digitalocean")]
pub mod digitalocean_sd;
#[cfg(feature = "dns")]
pub mod dns_sd;
#[cfg(feature = "docker")]
pub mod docker_sd;
#[cfg(feature = "dockerswarm")]
pub mod dockerswarm_sd;
#[cfg(feature = "ec2")]
pub mod ec2_sd;
#[cfg(feature = "ecs")]
pub mod ecs_sd;
#[cfg(feature = "elasticache")]
pub mod elasticache_sd;
mod environment;
#[cfg(feature = "eureka")]
pub mod eureka_sd;
#[cfg(feature = "file")]
pub mod file_sd;
#[cfg(feature = "gce")]
pub mod gce_sd;
#[cfg(any(feature = "_backend", feature = "_zookeeper"))]
mod go_json;
#[cfg(feature = "_go_url")]
mod go_url;
mod groups;
#[cfg(feature = "hetzner")]
pub mod hetzner_sd;
pub mod http_client;
#[cfg(feature = "http")]
pub mod http_sd;
#[cfg(feature = "ionos")]
pub mod ionos_sd;
#[cfg(feature = "_backend")]
mod ip;
mod known;
#[cfg(feature = "kubernetes")]
pub mod kubernetes_sd;
#[cfg(feature = "kuma")]
pub mod kuma_sd;
mod label;
#[cfg(feature = "lightsail")]
pub mod lightsail_sd;
#[cfg(feature = "linode")]
pub mod linode_sd;
#[cfg(feature = "marathon")]
pub mod marathon_sd;
mod mechanism;
#[cfg(feature = "_cloud")]
mod metadata;
#[cfg(feature = "_moby")]
mod moby;
#[cfg(feature = "msk")]
pub mod msk_sd;
#[cfg(feature = "nerve")]
pub mod nerve_sd;
#[cfg(feature = "nomad")]
pub mod nomad_sd;
#[cfg(feature = "oci")]
pub mod oci_sd;
#[cfg(feature = "openstack")]
pub mod openstack_sd;
#[cfg(feature = "outscale")]
pub mod outscale_sd;
#[cfg(feature = "ovhcloud")]
pub mod ovhcloud_sd;
mod polling;
#[cfg(feature = "puppetdb")]
pub mod puppetdb_sd;
#[cfg(feature = "rds")]
pub mod rds_sd;
mod rsa_key;
#[cfg(feature = "scaleway")]
pub mod scaleway_sd;
#[cfg(feature = "serverset")]
pub mod serverset_sd;
#[cfg(feature = "stackit")]
pub mod stackit_sd;
pub mod static_sd;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(all(test, feature = "_cloud"))]
mod testing_backend;
#[cfg(feature = "_cloud")]
mod token;
#[cfg(feature = "triton")]
pub mod triton_sd;
#[cfg(feature = "uyuni")]
pub mod uyuni_sd;
#[cfg(feature = "vultr")]
pub mod vultr_sd;
#[cfg(feature = "_watching")]
mod watching;
#[cfg(feature = "_xml")]
mod xml;
#[cfg(feature = "_zookeeper")]
mod zookeeper;

#[cfg(feature = "_backend")]
pub use api::Api;
#[cfg(feature = "_aws")]
pub use aws::{AwsApi, AwsFilter, Clusters};
pub use build::{BuildError, BuildOptions};
pub use config::mechanisms;
pub use environment::Environment;
pub use mechanism::{DiscoveryConfig, Mechanism};
pub use polling::{Found, Polling, Refresh};
