//! `openstack_sd_configs`: servers, hypervisors or load balancers of an OpenStack.
//!
//! APIs: Keystone v3 for a token and the catalogue, at every refresh; Nova for servers and
//! hypervisors, Neutron for floating IPs, Octavia for load balancers.

mod keystone;
mod roles;

use std::path::Path;
use std::time::Duration;

use periskop_core::config::{At, Fields, Node, Problems, Secret, Value};
use periskop_core::discovery::Discovery;

use crate::api::interval_entry;
use crate::build::{BuildError, BuildOptions};
use crate::http_client::TlsConfig;
use crate::mechanism::Mechanism;

use keystone::Identity;
use roles::OpenstackDiscovery;

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const PORT: u16 = 80;

/// One item of `openstack_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenstackConfig {
    /// What is looked for.
    pub role: Role,
    /// The region, as in the catalogue.
    pub region: String,
    /// Who we are, and to whom. Without an endpoint the environment (`OS_*`) says so, and nothing
    /// else here counts.
    pub identity: IdentityConfig,
    /// Whether the servers of all projects are found. Default: those of our own.
    pub all_tenants: bool,
    /// Which endpoints of the catalogue are used. Default public.
    pub availability: Availability,
    /// How TLS is spoken.
    pub tls: TlsConfig,
    /// How often is asked. Default 1m.
    pub refresh_interval: Duration,
    /// The port of servers and hypervisors. Default 80.
    pub port: u16,
}

/// The settings of Keystone; `""`: not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityConfig {
    /// `identity_endpoint`.
    pub endpoint: String,
    /// `username`.
    pub username: String,
    /// `userid`.
    pub user_id: String,
    /// `password`.
    pub password: Secret,
    /// `project_name`.
    pub project_name: String,
    /// `project_id`.
    pub project_id: String,
    /// `domain_name`.
    pub domain_name: String,
    /// `domain_id`.
    pub domain_id: String,
    /// `application_credential_name`.
    pub application_credential_name: String,
    /// `application_credential_id`.
    pub application_credential_id: String,
    /// `application_credential_secret`.
    pub application_credential_secret: Secret,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The machines that run virtual ones.
    Hypervisor,
    /// Virtual machines.
    Instance,
    /// Load balancers with a listener for Prometheus.
    LoadBalancer,
}

impl Role {
    const ALL: [Self; 3] = [Self::Hypervisor, Self::Instance, Self::LoadBalancer];

    fn name(self) -> &'static str {
        match self {
            Self::Hypervisor => "hypervisor",
            Self::Instance => "instance",
            Self::LoadBalancer => "loadbalancer",
        }
    }
}

/// Whom an endpoint of the catalogue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Everyone.
    Public,
    /// Those within.
    Internal,
    /// Those who run it.
    Admin,
}

impl Availability {
    const ALL: [Self; 3] = [Self::Public, Self::Internal, Self::Admin];

    fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

impl OpenstackConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let role = fields.string("role");
        let availability = fields.string("availability");
        let availability = availability.as_deref().unwrap_or(Availability::Public.name());
        let known_role = role
            .as_deref()
            .and_then(|role| Role::ALL.into_iter().find(|known| known.name() == role));
        let known_availability =
            Availability::ALL.into_iter().find(|known| known.name() == availability);
        let config = Self {
            role: known_role.unwrap_or(Role::Instance),
            region: fields.string("region").unwrap_or_default(),
            identity: IdentityConfig::take(&mut fields),
            all_tenants: fields.bool("all_tenants").unwrap_or_default(),
            availability: known_availability.unwrap_or(Availability::Public),
            tls: fields.section("tls_config", TlsConfig::decode).unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            port: fields.port("port").unwrap_or(PORT),
        };
        match role {
            Some(role) if known_role.is_none() => {
                fields.problem("role", format!("unknown OpenStack SD role {role:?}"));
            }
            _ if known_availability.is_none() => {
                let message = format!(
                    "unknown availability {availability}, must be one of admin, internal or public"
                );
                fields.problem("availability", message);
            }
            None => {
                let message = "role missing (one of: instance, hypervisor, loadbalancer)";
                fields.problem("role", message);
            }
            Some(_) if config.region.is_empty() => {
                fields.problem("region", "openstack SD configuration requires a region");
            }
            Some(_) => {}
        }
        fields.finish();
        Some(config)
    }
}

impl IdentityConfig {
    fn take(fields: &mut Fields<'_, '_>) -> Self {
        let mut text = |name| fields.string(name).unwrap_or_default();
        Self {
            endpoint: text("identity_endpoint"),
            username: text("username"),
            user_id: text("userid"),
            password: Secret::new(text("password")),
            project_name: text("project_name"),
            project_id: text("project_id"),
            domain_name: text("domain_name"),
            domain_id: text("domain_id"),
            application_credential_name: text("application_credential_name"),
            application_credential_id: text("application_credential_id"),
            application_credential_secret: Secret::new(text("application_credential_secret")),
        }
    }

    fn effective(&self) -> [(&'static str, Node); 11] {
        // Prometheus prints a secret that is not set as null.
        let secret = |secret: &Secret| match secret.is_empty() {
            true => Node::new(Value::Null),
            false => secret.into(),
        };
        [
            ("identity_endpoint", (&self.endpoint).into()),
            ("username", (&self.username).into()),
            ("userid", (&self.user_id).into()),
            ("password", secret(&self.password)),
            ("project_name", (&self.project_name).into()),
            ("project_id", (&self.project_id).into()),
            ("domain_name", (&self.domain_name).into()),
            ("domain_id", (&self.domain_id).into()),
            ("application_credential_name", (&self.application_credential_name).into()),
            ("application_credential_id", (&self.application_credential_id).into()),
            ("application_credential_secret", secret(&self.application_credential_secret)),
        ]
    }
}

impl Mechanism for OpenstackConfig {
    fn name(&self) -> &'static str {
        "openstack"
    }

    fn effective(&self) -> Node {
        let mut entries = self.identity.effective().to_vec();
        entries.push(("role", self.role.name().into()));
        entries.push(("region", (&self.region).into()));
        entries.extend(interval_entry(self.refresh_interval));
        entries.push(("port", self.port.into()));
        if self.all_tenants {
            entries.push(("all_tenants", true.into()));
        }
        entries.extend(self.tls.entry());
        entries.push(("availability", self.availability.name().into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.tls.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let identity = Identity::new(self, options)?;
        let discovery = OpenstackDiscovery { config: self.clone(), identity };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}
