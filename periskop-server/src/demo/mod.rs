//! A small fleet in this very process, for a first look without any configuration.
//!
//! Nothing is faked but the reasons: instances listen on ports of their own, export what their
//! collectors counted of errors that really happened, many while a request was answered, stop
//! answering, and restart with a new identity; a batch job pushes to a gateway. The server finds and
//! scrapes them as it would any other.

mod batch;
mod handlers;
mod instance;
mod mishaps;

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use periskop_client::DEFAULT_PATH;
use tokio::task::JoinSet;

use self::instance::Instance;
use self::mishaps::Mishap;
use crate::config::Config;
use crate::server::{Builder, Periskop};

/// The fleet; it ends when this is dropped.
pub struct Fleet {
    config: String,
    _instances: JoinSet<()>,
}

/// A service of the fleet.
struct Plan {
    name: &'static str,
    zones: &'static [&'static str],
    /// Milliseconds from one mishap of an instance to the next, on average.
    pace: u64,
    /// Seconds that an instance lives, on average; 0: as long as the demo.
    life: u64,
    mishaps: &'static [Mishap],
}

const PLANS: [Plan; 4] = [
    Plan {
        name: "shop",
        zones: &["eu-1", "eu-2", "us-1"],
        pace: 900,
        life: 0,
        mishaps: mishaps::SHOP,
    },
    Plan {
        name: "search",
        zones: &["eu-1", "us-1"],
        pace: 400,
        life: 90,
        mishaps: mishaps::SEARCH,
    },
    Plan {
        name: "mailer",
        zones: &["eu-1", "eu-2"],
        pace: 2500,
        life: 45,
        mishaps: mishaps::MAILER,
    },
    Plan {
        name: "billing/ledger",
        zones: &["eu-1"],
        pace: 6000,
        life: 0,
        mishaps: mishaps::BILLING,
    },
];

/// The service that has, besides its good instances, one that answers 503.
const WITH_A_FAILING_ONE: &str = "billing/ledger";

impl Fleet {
    /// Starts every instance. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// There is no port left on loopback.
    pub async fn start() -> io::Result<Self> {
        let mut instances = JoinSet::new();
        let mut config = String::from("# The fleet of `periskop-server demo`.\nservices:\n");
        for plan in &PLANS {
            let mut targets = Vec::new();
            for zone in plan.zones {
                let instance = Instance::bind(plan).await?;
                targets.push((instance.address(), *zone));
                instances.spawn(instance.run());
            }
            if plan.name == WITH_A_FAILING_ONE {
                let (address, failing) = instance::failing().await?;
                targets.push((address, "us-1"));
                instances.spawn(failing);
            }
            describe(&mut config, plan.name, &targets, DEFAULT_PATH);
        }
        let (gateway, job) = batch::start().await?;
        instances.spawn(job);
        describe(&mut config, "nightly-import", &[(gateway, "eu-1")], batch::EXPORT);
        Ok(Self { config, _instances: instances })
    }

    /// A server that scrapes this fleet.
    ///
    /// # Errors
    ///
    /// Never: the configuration is the demo's own.
    pub fn builder(&self) -> Result<Builder, periskop_core::config::Problems> {
        Ok(Periskop::builder().config(Config::parse(&self.config, Path::new(""))?))
    }
}

/// As one would write it by hand.
fn describe(config: &mut String, service: &str, targets: &[(SocketAddr, &str)], endpoint: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(config, "- name: {service}\n  static_configs:");
    for (address, zone) in targets {
        let _ = writeln!(config, "  - targets: ['{address}']\n    labels: {{zone: {zone}}}");
    }
    let _ = writeln!(config, "  scraper: {{endpoint: {endpoint}, refresh_interval: 2s}}");
}
