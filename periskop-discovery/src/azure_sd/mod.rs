//! `azure_sd_configs`: the virtual machines of an Azure subscription, those of scale sets too.
//!
//! API: the Azure Resource Manager; lists of machines and of scale sets, then each network
//! interface, which is where the addresses are.

mod arm;
mod credentials;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use periskop_core::config::{At, Fields, Node, Problems, Secret};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::api::Api;
use crate::backend::{Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

use arm::{Arm, Interface, Interfaces, Machine, ResourceId, ScaleSet};
use credentials::Credentials;

/// Prometheus's defaults.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
const ENVIRONMENT: &str = "AzurePublicCloud";
/// How many interfaces are asked for at once. Prometheus asks for all.
const AT_ONCE: usize = 20;

/// One item of `azure_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureConfig {
    /// Which of Microsoft's clouds. Default `AzurePublicCloud`.
    pub environment: String,
    /// How we say who we are. Default OAuth.
    pub authentication: Authentication,
    /// Whose machines.
    pub subscription_id: String,
    /// The tenant of the application; `""`: not set.
    pub tenant_id: String,
    /// The application, or the identity of the machine; `""`: not set.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: Secret,
    /// The resource group that is looked in; `""`: all.
    pub resource_group: String,
    /// How the resource manager is asked. Defaults: every five minutes, port 80.
    pub api: Api,
}

/// `authentication_method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// An application with a secret.
    OAuth,
    /// The identity that Azure gives a machine.
    ManagedIdentity,
    /// Whatever the environment has: an application, a workload, a machine.
    Sdk,
    /// The identity of a workload in a Kubernetes cluster.
    WorkloadIdentity,
}

impl Authentication {
    const ALL: [Self; 4] = [Self::OAuth, Self::ManagedIdentity, Self::Sdk, Self::WorkloadIdentity];

    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuth => "OAuth",
            Self::ManagedIdentity => "ManagedIdentity",
            Self::Sdk => "SDK",
            Self::WorkloadIdentity => "WorkloadIdentity",
        }
    }
}

impl AzureConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let method = fields.string("authentication_method");
        let method = method.as_deref().unwrap_or(Authentication::OAuth.name());
        let known = Authentication::ALL.into_iter().find(|known| known.name() == method);
        let config = Self {
            environment: fields.string("environment").unwrap_or_else(|| ENVIRONMENT.to_owned()),
            authentication: known.unwrap_or(Authentication::Sdk),
            subscription_id: fields.string("subscription_id").unwrap_or_default(),
            tenant_id: fields.string("tenant_id").unwrap_or_default(),
            client_id: fields.string("client_id").unwrap_or_default(),
            client_secret: fields.secret("client_secret").unwrap_or_default(),
            resource_group: fields.string("resource_group").unwrap_or_default(),
            api: Api::take(&mut fields, REFRESH_INTERVAL, 80),
        };
        let missing = [
            ("subscription_id", config.subscription_id.is_empty()),
            ("tenant_id", config.tenant_id.is_empty()),
            ("client_id", config.client_id.is_empty()),
            ("client_secret", config.client_secret.is_empty()),
        ];
        let oauth = config.authentication == Authentication::OAuth;
        let needed = if oauth { missing.len() } else { 1 };
        if let Some((name, _)) = missing.into_iter().take(needed).find(|(_, missing)| *missing) {
            fields.problem(name, format!("azure SD configuration requires a {name}"));
        } else if known.is_none() {
            let message = format!(
                "unknown authentication_type {method:?}. Supported types are \"OAuth\", \
                 \"ManagedIdentity\", \"SDK\" or \"WorkloadIdentity\""
            );
            fields.problem("authentication_method", message);
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for AzureConfig {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        entries.push(("subscription_id", (&self.subscription_id).into()));
        entries.push(("authentication_method", self.authentication.name().into()));
        for (name, text) in [
            ("environment", &self.environment),
            ("tenant_id", &self.tenant_id),
            ("client_id", &self.client_id),
            ("resource_group", &self.resource_group),
        ] {
            if !text.is_empty() {
                entries.push((name, text.into()));
            }
        }
        if !self.client_secret.is_empty() {
            entries.push(("client_secret", (&self.client_secret).into()));
        }
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = AzureDiscovery::new(self, options)?;
        Ok(options.poll(discovery, self.api.refresh_interval))
    }
}

/// The addresses of one of Microsoft's clouds.
struct Cloud {
    names: &'static [&'static str],
    authority: &'static str,
    manager: &'static str,
    audience: &'static str,
}

/// The cloud of Germany is gone; Prometheus's client takes its name for the public one.
static CLOUDS: [Cloud; 3] = [
    Cloud {
        names: &["AzureCloud", "AzurePublicCloud", "AzureGermanCloud"],
        authority: "https://login.microsoftonline.com",
        manager: "https://management.azure.com",
        audience: "https://management.core.windows.net/",
    },
    Cloud {
        names: &["AzureUSGovernment", "AzureUSGovernmentCloud"],
        authority: "https://login.microsoftonline.us",
        manager: "https://management.usgovcloudapi.net",
        audience: "https://management.core.usgovcloudapi.net",
    },
    Cloud {
        names: &["AzureChinaCloud"],
        authority: "https://login.chinacloudapi.cn",
        manager: "https://management.chinacloudapi.cn",
        audience: "https://management.core.chinacloudapi.cn",
    },
];

fn cloud(name: &str) -> Option<&'static Cloud> {
    CLOUDS.iter().find(|cloud| cloud.names.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

struct AzureDiscovery {
    config: AzureConfig,
    arm: Arm,
    interfaces: Interfaces,
}

#[async_trait]
impl Refresh for AzureDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let machines = self.machines().await?;
        let this = &*self;
        let targets = machines.iter().map(|(machine, set)| this.target(machine, set.as_deref()));
        let targets = stream::iter(targets.collect::<Vec<_>>()).buffered(AT_ONCE);
        let targets: Vec<Option<Labels>> = targets.try_collect().await?;
        let targets = targets.into_iter().flatten().collect();
        Ok(vec![TargetGroup { targets, ..TargetGroup::default() }].into())
    }
}

impl AzureDiscovery {
    fn new(config: &AzureConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        let cloud = cloud(&config.environment).ok_or_else(|| {
            let name = &config.environment;
            BuildError::Missing(format!(
                "there is no cloud configuration matching the name {name:?}"
            ))
        })?;
        let arm = Arm {
            backend: Backend::new(&config.api.http, options, Duration::ZERO)?,
            credentials: Credentials::new(config, cloud, options)?,
            origin: options.origin(cloud.manager)?,
            canonical: url::Url::parse(cloud.manager).map_err(BuildError::Url)?,
            subscription: config.subscription_id.clone(),
        };
        let interfaces = Interfaces::new(config.api.refresh_interval);
        Ok(Self { config: config.clone(), arm, interfaces })
    }

    /// All machines, with the name of the scale set that each belongs to.
    async fn machines(&self) -> Result<Vec<(Machine, Option<String>)>, DiscoveryError> {
        let group = self.config.resource_group.as_str();
        let within = |kind| match group {
            "" => vec!["providers", "Microsoft.Compute", kind],
            group => vec!["resourceGroups", group, "providers", "Microsoft.Compute", kind],
        };
        let alone: Vec<Machine> = self.arm.list(&within("virtualMachines")).await?;
        let mut machines: Vec<_> = alone.into_iter().map(|machine| (machine, None)).collect();
        let sets: Vec<ScaleSet> = self.arm.list(&within("virtualMachineScaleSets")).await?;
        for set in sets {
            let id = ResourceId::parse(&set.id).ok_or_else(|| self.invalid_id(&set.id))?;
            let kind = ["providers", "Microsoft.Compute", "virtualMachineScaleSets"];
            let path = ["resourceGroups", id.group, kind[0], kind[1], kind[2], &set.name];
            let path = [&path[..], &["virtualMachines"]].concat();
            let members: Vec<Machine> = self.arm.list(&path).await?;
            machines.extend(members.into_iter().map(|machine| (machine, Some(set.name.clone()))));
        }
        Ok(machines)
    }

    /// A machine with the addresses of its primary interface; `None` where it has none of use.
    async fn target(
        &self,
        machine: &Machine,
        set: Option<&str>,
    ) -> Result<Option<Labels>, DiscoveryError> {
        let id = ResourceId::parse(&machine.id).ok_or_else(|| self.invalid_id(&machine.id))?;
        for reference in &machine.properties.network.interfaces {
            let Some(interface) = self.interface(&reference.id, machine, set).await? else {
                tracing::warn!(interface = reference.id, "a network interface does not exist");
                return Ok(None);
            };
            let Some(properties) = &interface.properties else { continue };
            match (properties.primary, properties.addresses.first()) {
                (None, _) => return Ok(None),
                (Some(true), Some(ip)) => {
                    let ip = &ip.properties;
                    let Some(private) = &ip.private else {
                        let reason = format!("unable to find a private IP for VM {}", machine.name);
                        return Err(self.invalid(reason));
                    };
                    let mut labels = self.labels(machine, id.group, set);
                    labels.insert(ADDRESS, join_host_port(private, self.config.api.port));
                    labels.insert("__meta_azure_machine_private_ip", private.as_str());
                    if let Some(public) = &ip.public.properties.address {
                        labels.insert("__meta_azure_machine_public_ip", public.as_str());
                    }
                    return Ok(Some(labels));
                }
                (Some(_), _) => {}
            }
        }
        Ok(None)
    }

    async fn interface(
        &self,
        id: &str,
        machine: &Machine,
        set: Option<&str>,
    ) -> Result<Option<Arc<Interface>>, DiscoveryError> {
        if let Some(known) = self.interfaces.get(id) {
            return Ok(Some(known));
        }
        let parsed = ResourceId::parse(id).ok_or_else(|| self.invalid_id(id))?;
        let set = set.map(|set| (set, machine.instance_id.as_str()));
        let Some(interface) = self.arm.interface(&parsed, set).await? else { return Ok(None) };
        let interface = Arc::new(interface);
        self.interfaces.insert(id, &interface);
        Ok(Some(interface))
    }

    fn labels(&self, machine: &Machine, group: &str, set: Option<&str>) -> Labels {
        let (config, properties) = (&self.config, &machine.properties);
        let mut labels = Labels::from([
            ("__meta_azure_subscription_id", config.subscription_id.as_str()),
            ("__meta_azure_tenant_id", &config.tenant_id),
            ("__meta_azure_machine_id", &machine.id),
            ("__meta_azure_machine_name", &machine.name),
            ("__meta_azure_machine_computer_name", &properties.os.computer_name),
            ("__meta_azure_machine_os_type", &properties.storage.os_disk.os_type),
            ("__meta_azure_machine_location", &machine.location),
            ("__meta_azure_machine_resource_group", group),
            ("__meta_azure_machine_size", &properties.hardware.size),
        ]);
        if let Some(set) = set {
            labels.insert("__meta_azure_machine_scale_set", set);
        }
        for (key, value) in &machine.tags {
            labels.insert(format!("__meta_azure_machine_tag_{}", sanitize(key)), value.as_str());
        }
        labels
    }

    fn invalid_id(&self, id: &str) -> DiscoveryError {
        let id: String = id.chars().take(300).collect();
        self.invalid(format!("invalid ID {id:?} of a resource"))
    }

    fn invalid(&self, reason: String) -> DiscoveryError {
        DiscoveryError::Invalid { endpoint: shown(&self.arm.origin), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_backend::Recorder;
    use periskop_core::config;

    const MACHINES: &str =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";
    const NICS: &str =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces";

    /// Looks at one machine, whose interface answers so.
    async fn look(machines: Option<&str>, status: u16, nic: &str) -> Result<Vec<Labels>, String> {
        let usual = format!(
            r#"{{"value":[{{"id":"{MACHINES}/vm","name":"vm","properties":{{"networkProfile":
            {{"networkInterfaces":[{{"id":"{NICS}/nic"}}]}}}}}}]}}"#
        );
        let (machines, nic) = (machines.unwrap_or(&usual).to_owned(), nic.to_owned());
        let recorder = Recorder::answering_by(move |request| {
            let is = |part| request.contains(part);
            if is("/oauth2/") {
                (200, r#"{"access_token":"t","expires_in":3600}"#.to_owned())
            } else if is("/networkInterfaces/") {
                (status, nic.clone())
            } else if is("/virtualMachineScaleSets") {
                (200, "{}".to_owned())
            } else {
                (200, machines.clone())
            }
        })
        .await;
        let yaml = "{subscription_id: s, tenant_id: t, client_id: c, client_secret: x}";
        let config = config::decode(&config::parse(yaml).unwrap(), AzureConfig::decode).unwrap();
        let origins = [CLOUDS[0].authority, CLOUDS[0].manager];
        let options = BuildOptions {
            origins: origins.map(|origin| (origin.to_owned(), recorder.url())).into(),
            ..BuildOptions::default()
        };
        let mut discovery = AzureDiscovery::new(&config, &options).unwrap();
        let found = discovery.refresh().await.map_err(|error| error.to_string())?;
        Ok(found.groups.into_iter().flat_map(|group| group.targets).collect())
    }

    #[tokio::test]
    async fn a_machine_without_an_interface_of_use_is_no_target() {
        assert_eq!(look(None, 404, "{}").await, Ok(vec![]));
        assert_eq!(look(None, 200, "{}").await, Ok(vec![]));
        // Deallocated: it is not told which interface is the primary one.
        assert_eq!(look(None, 200, r#"{"properties":{}}"#).await, Ok(vec![]));
        assert_eq!(look(None, 200, r#"{"properties":{"primary":false}}"#).await, Ok(vec![]));
    }

    #[tokio::test]
    async fn the_first_configuration_of_the_primary_interface_has_the_addresses() {
        let nic = r#"{"properties":{"primary":true,"ipConfigurations":[{"properties":{
            "privateIPAddress":"fd00::1",
            "publicIPAddress":{"properties":{"ipAddress":"203.0.113.1"}}}}]}}"#;
        let targets = look(None, 200, nic).await.unwrap();
        assert_eq!(targets[0].get(ADDRESS), "[fd00::1]:80");
        assert_eq!(targets[0].get("__meta_azure_machine_public_ip"), "203.0.113.1");
        assert_eq!(targets[0].get("__meta_azure_machine_resource_group"), "g");
    }

    #[tokio::test]
    async fn what_cannot_be_understood_fails_the_refresh() {
        let nic = r#"{"properties":{"primary":true,"ipConfigurations":[{}]}}"#;
        let error = look(None, 200, nic).await.unwrap_err();
        assert!(error.ends_with("unable to find a private IP for VM vm"), "{error}");
        assert!(look(None, 500, "{}").await.is_err());
        let elsewhere = r#"{"value":[],"nextLink":"https://evil.example/"}"#;
        let error = look(Some(elsewhere), 200, "{}").await.unwrap_err();
        assert!(error.ends_with("the next page is on another host"), "{error}");
        let error = look(Some(r#"{"value":[{"id":"vm"}]}"#), 200, "{}").await.unwrap_err();
        assert!(error.ends_with("invalid ID \"vm\" of a resource"), "{error}");
    }
}
