//! `dns_sd_configs`: targets from DNS records.

mod lookup;

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use hickory_resolver::proto::rr::{RData, RecordType as WireType};
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

pub use lookup::DnsServers;

use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use lookup::Resolver;

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

/// One item of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The names to look up; each is a source.
    pub names: Vec<String>,
    /// How often. Default 30s.
    pub refresh_interval: Duration,
    /// Which records. Default SRV.
    pub record_type: RecordType,
    /// The targets' port; SRV records bring their own.
    pub port: u16,
}

/// The types of record that name a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchanges.
    Mx,
    /// Name servers.
    Ns,
    /// Hosts with ports, RFC 2782.
    #[default]
    Srv,
}

impl RecordType {
    const ALL: [Self; 5] = [Self::A, Self::Aaaa, Self::Mx, Self::Ns, Self::Srv];

    /// The type's name in upper case.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Srv => "SRV",
        }
    }

    fn from_name(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("invalid DNS-SD records type {name}"))
    }

    fn on_the_wire(self) -> WireType {
        match self {
            Self::A => WireType::A,
            Self::Aaaa => WireType::AAAA,
            Self::Mx => WireType::MX,
            Self::Ns => WireType::NS,
            Self::Srv => WireType::SRV,
        }
    }
}

impl DnsConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let known_type = fields.parsed("type", RecordType::from_name);
        let type_is_wrong = known_type.is_none() && fields.string("type").is_some();
        let config = Self {
            names: fields.string_list("names").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            record_type: known_type.unwrap_or_default(),
            port: fields.port("port").unwrap_or(0),
        };
        if config.names.is_empty() {
            fields.problem("names", "DNS-SD config must contain at least one SRV record name");
        }
        if config.record_type != RecordType::Srv && config.port == 0 && !type_is_wrong {
            let message = "a port is required in DNS-SD configs for all record types except SRV";
            fields.problem("port", message);
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for DnsConfig {
    fn name(&self) -> &'static str {
        "dns"
    }

    /// The type in upper case.
    fn effective(&self) -> Node {
        let mut entries = vec![("names", Node::sequence(&self.names))];
        if !self.refresh_interval.is_zero() {
            entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        }
        entries.push(("type", self.record_type.name().into()));
        entries.push(("port", self.port.into()));
        Node::mapping(entries)
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = DnsDiscovery::new(self.clone(), options.dns.clone());
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

/// Looks the names up.
///
/// A name that is known not to exist has an empty group. One that cannot be looked up keeps the
/// group it had, and does not keep the others from being told.
pub struct DnsDiscovery {
    config: DnsConfig,
    servers: DnsServers,
}

impl DnsDiscovery {
    /// Asks `servers`.
    pub fn new(config: DnsConfig, servers: DnsServers) -> Self {
        Self { config, servers }
    }

    async fn group(&self, resolver: &Resolver, name: &str) -> Result<TargetGroup, DiscoveryError> {
        let record_type = self.config.record_type;
        let records = resolver.records(name, record_type.on_the_wire()).await.map_err(|e| {
            DiscoveryError::Unreachable {
                endpoint: format!("{name} ({})", record_type.name()),
                reason: e.to_string(),
            }
        })?;
        Ok(TargetGroup {
            source: name.to_owned(),
            targets: records.iter().filter_map(|data| self.target(name, data)).collect(),
            labels: Labels::new(),
        })
    }

    fn target(&self, name: &str, data: &RData) -> Option<Labels> {
        // All labels are there whatever the type, as in Prometheus.
        let mut labels = Labels::from([
            (NAME, name),
            (SRV_TARGET, ""),
            (SRV_PORT, ""),
            (MX_TARGET, ""),
            (NS_TARGET, ""),
        ]);
        let host_port = |host: &str, port: u16| format!("{}:{port}", host.trim_end_matches('.'));
        let address = match data {
            RData::SRV(srv) => {
                let target = srv.target.to_string();
                labels.insert(SRV_PORT, srv.port.to_string());
                let address = host_port(&target, srv.port);
                labels.insert(SRV_TARGET, target);
                address
            }
            RData::MX(mx) => {
                let target = mx.exchange.to_string();
                let address = host_port(&target, self.config.port);
                labels.insert(MX_TARGET, target);
                address
            }
            RData::NS(ns) => {
                let target = ns.0.to_string();
                let address = host_port(&target, self.config.port);
                labels.insert(NS_TARGET, target);
                address
            }
            RData::A(a) => self.ip_port(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => self.ip_port(IpAddr::V6(aaaa.0)),
            // The way to the records, not one of them.
            RData::CNAME(_) => return None,
            other => {
                tracing::warn!(name, record = %other.record_type(), "unexpected record ignored");
                return None;
            }
        };
        labels.insert(ADDRESS, address);
        Some(labels)
    }

    fn ip_port(&self, ip: IpAddr) -> String {
        std::net::SocketAddr::new(ip, self.config.port).to_string()
    }
}

#[async_trait]
impl Refresh for DnsDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let resolver = Resolver::new(&self.servers).map_err(|e| DiscoveryError::Unreachable {
            endpoint: "/etc/resolv.conf".into(),
            reason: e.to_string(),
        })?;
        let mut found = Found::default();
        let groups = join_all(self.config.names.iter().map(|name| self.group(&resolver, name)));
        for (name, group) in self.config.names.iter().zip(groups.await) {
            match group {
                Ok(group) => found.groups.push(group),
                Err(error) => {
                    found.kept.push(name.clone());
                    found.errors.push(error);
                }
            }
        }
        Ok(found)
    }
}
