//! Prometheus's service discovery and HTTP client settings.
//!
//! [`DiscoveryConfig`] reads the `*_sd_configs` and `static_configs` of one service and builds a
//! [`Discovery`](periskop_core::discovery::Discovery) for each. A mechanism is one module: its
//! settings, and what fetches groups. Those that only fetch implement [`Refresh`] and leave
//! time, differences and errors to [`Polling`]; so the next one is small.
//!
//! What is deliberately absent: policy. Everything found is told, with `__meta_*` labels;
//! choosing is relabelling's work. Nor is anything cached on disk or retried between two
//! intervals: after an error the last groups stay, for as long as it takes.
//!
//! Needs a Tokio runtime with time and I/O enabled.

mod config;
pub mod dns_sd;
pub mod file_sd;
mod groups;
pub mod http_client;
pub mod http_sd;
mod known;
mod polling;
pub mod static_sd;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{BuildError, BuildOptions, DiscoveryConfig};
pub use polling::{Found, Polling, Refresh};
