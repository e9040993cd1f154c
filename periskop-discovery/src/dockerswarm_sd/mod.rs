//! `dockerswarm_sd_configs`: the services, tasks or nodes of a Docker Swarm.
//!
//! API: `GET /services`, `/tasks`, `/nodes` and `/networks` of a manager's Engine API.

mod labels;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;

use crate::build::{BuildError, BuildOptions};
use crate::http_client::{HttpClientConfig, redact_text};
use crate::mechanism::Mechanism;
pub use crate::moby::Filter;
use crate::moby::{Engine, Narrowed, take_host};
use crate::polling::{Found, Refresh};
use labels::{Service, SwarmNode, Task, Tasks};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const SOURCE: &str = "DockerSwarm";
const PREFIX: &str = "__meta_dockerswarm_";

/// One item of `dockerswarm_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct DockerSwarmConfig {
    /// Where a manager's engine listens: `unix://`, `tcp://`, `http://` or `https://`.
    pub host: String,
    /// What is a target.
    pub role: Role,
    /// The port of targets that publish none. Default 80.
    pub port: u16,
    /// Which services, tasks or nodes.
    pub filters: Vec<Filter>,
    /// How often. Default 1m.
    pub refresh_interval: Duration,
    /// How HTTP is spoken, where `host` is an HTTP URL.
    pub http: HttpClientConfig,
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A virtual address of a service.
    Services,
    /// A task with its ports.
    Tasks,
    /// A machine of the swarm.
    Nodes,
}

impl Role {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Tasks => "tasks",
            Self::Nodes => "nodes",
        }
    }

    fn from_name(name: &str) -> Result<Self, String> {
        let roles = [Self::Services, Self::Tasks, Self::Nodes];
        match roles.into_iter().find(|role| role.name() == name) {
            Some(role) => Ok(role),
            None if name.is_empty() => Err(ROLE_MISSING.into()),
            None => Err(format!("invalid role {name}, expected tasks, services, or nodes")),
        }
    }
}

const ROLE_MISSING: &str = "role missing (one of: tasks, services, nodes)";

impl DockerSwarmConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let host = take_host(&mut fields);
        let role = fields.parsed("role", Role::from_name);
        if role.is_none() && fields.node("role").is_none_or(|at| at.node.is_null()) {
            fields.problem("role", ROLE_MISSING);
        }
        let config = Self {
            host,
            role: role.unwrap_or(Role::Tasks),
            port: fields.port("port").unwrap_or(80),
            filters: Filter::take(&mut fields),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        fields.finish();
        Some(config)
    }
}

impl Mechanism for DockerSwarmConfig {
    fn name(&self) -> &'static str {
        "dockerswarm"
    }

    fn effective(&self) -> Node {
        let mut entries = self.http.effective();
        entries.push(("host", redact_text(&self.host).into()));
        entries.push(("role", self.role.name().into()));
        entries.push(("port", self.port.into()));
        entries.push(("filters", Filter::effective(&self.filters)));
        entries.push(("refresh_interval", format_duration(self.refresh_interval).into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.refresh_interval;
        let discovery = SwarmDiscovery {
            engine: Engine::new(&self.host, &self.http, &self.filters, options, interval)?,
            role: self.role,
            port: self.port,
        };
        Ok(options.poll(discovery, interval))
    }
}

/// The host may be written with a password.
impl std::fmt::Debug for DockerSwarmConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DockerSwarmConfig").field(&self.effective().to_string()).finish()
    }
}

struct SwarmDiscovery {
    engine: Engine,
    role: Role,
    port: u16,
}

#[async_trait]
impl Refresh for SwarmDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let (engine, port) = (&mut self.engine, self.port);
        let targets = match self.role {
            Role::Nodes => {
                let nodes: Vec<SwarmNode> = engine.list("nodes", Narrowed::Yes).await?;
                nodes.iter().map(|node| node.target(port)).collect()
            }
            Role::Services => {
                let services: Vec<Service> = engine.list("services", Narrowed::Yes).await?;
                let networks = engine.networks(PREFIX).await?;
                labels::of_services(&services, &networks, port)?
            }
            Role::Tasks => {
                let tasks: Vec<Task> = engine.list("tasks", Narrowed::Yes).await?;
                let services = engine.list("services", Narrowed::No).await?;
                let nodes = engine.list("nodes", Narrowed::No).await?;
                let networks = engine.networks(PREFIX).await?;
                Tasks::new(services, nodes, networks, port).targets(&tasks)?
            }
        };
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}
