//! `oci_sd_configs`: the compute instances of an Oracle Cloud tenancy.
//!
//! APIs: Identity for compartments, Core for instances, their VNIC attachments and VNICs. Requests
//! are signed.

mod client;
mod credentials;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems, Secret, format_duration};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use serde_json::Value;

use crate::api::Api;
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

use client::{OciClient, Service};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const SOURCE: &str = "OCI";
const ONLY_API_KEY: &str = "oci_sd: instance_principal auth must not have tenancy, user, \
                            fingerprint, key_file, key_passphrase, or key_passphrase_file set";

/// One item of `oci_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciConfig {
    /// How we say who we are. Default: by an API key.
    pub auth: Auth,
    /// The region that is looked in.
    pub region: String,
    /// The compartments that are looked in. Empty: all below the tenancy.
    pub compartments: Vec<String>,
    /// How the APIs are asked. Defaults: every minute, port 80.
    pub api: Api,
}

/// How we say who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A key of a user.
    ApiKey(ApiKey),
    /// The certificate that Oracle gives an instance.
    InstancePrincipal,
}

/// A key of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The OCID of the tenancy.
    pub tenancy: String,
    /// The OCID of the user.
    pub user: String,
    /// The fingerprint of the key.
    pub fingerprint: String,
    /// Where the key is: PEM.
    pub key_file: PathBuf,
    /// `key_passphrase`: what the key is encrypted with; `""`: not set.
    pub key_passphrase: Secret,
    /// `key_passphrase_file`: where that is.
    pub key_passphrase_file: Option<PathBuf>,
}

impl OciConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let auth = fields.string("auth");
        let auth = auth.as_deref().unwrap_or("api_key");
        let key = ApiKey {
            tenancy: fields.string("tenancy").unwrap_or_default(),
            user: fields.string("user").unwrap_or_default(),
            fingerprint: fields.string("fingerprint").unwrap_or_default(),
            key_file: fields.string("key_file").unwrap_or_default().into(),
            key_passphrase: fields.secret("key_passphrase").unwrap_or_default(),
            key_passphrase_file: fields
                .string("key_passphrase_file")
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
        };
        let region = fields.string("region").unwrap_or_default();
        let compartments = fields.string_list("compartments").unwrap_or_default();
        let api = Api::take(&mut fields, REFRESH_INTERVAL, 80);
        let empty = compartments.iter().position(String::is_empty);
        let wrong = if region.is_empty() {
            Some(("region", "oci_sd: region is required".to_owned()))
        } else if let Some((field, message)) = wrong_auth(auth, &key) {
            Some((field, message))
        } else if let Some(i) = empty {
            Some(("compartments", format!("oci_sd: compartments[{i}] must not be empty")))
        } else if api.refresh_interval.is_zero() {
            let message = "oci_sd: refresh_interval must be positive, got 0s".to_owned();
            Some(("refresh_interval", message))
        } else {
            None
        };
        if let Some((field, message)) = wrong {
            fields.problem(field, message);
        }
        fields.finish();
        let auth = if auth == "api_key" { Auth::ApiKey(key) } else { Auth::InstancePrincipal };
        Some(Self { auth, region, compartments, api })
    }
}

fn wrong_auth(auth: &str, key: &ApiKey) -> Option<(&'static str, String)> {
    let has_passphrase = !key.key_passphrase.is_empty();
    let has_passphrase_file = key.key_passphrase_file.is_some();
    let given = [
        ("tenancy", !key.tenancy.is_empty()),
        ("user", !key.user.is_empty()),
        ("fingerprint", !key.fingerprint.is_empty()),
        ("key_file", !key.key_file.as_os_str().is_empty()),
    ];
    match auth {
        "api_key" => match given.into_iter().find(|(_, given)| !given) {
            Some((name, _)) => Some((name, format!("oci_sd: api_key auth requires {name}"))),
            None if has_passphrase && has_passphrase_file => {
                let message = "oci_sd: at most one of key_passphrase and key_passphrase_file must \
                               be configured";
                Some(("key_passphrase_file", message.to_owned()))
            }
            None => None,
        },
        "instance_principal" => {
            let passphrases =
                [("key_passphrase", has_passphrase), ("key_passphrase_file", has_passphrase_file)];
            let mut all = given.into_iter().chain(passphrases);
            let (name, _) = all.find(|(_, given)| *given)?;
            Some((name, ONLY_API_KEY.to_owned()))
        }
        _ => {
            let message = format!(
                "oci_sd: unknown auth method {auth:?}, expected \"api_key\" or \
                 \"instance_principal\""
            );
            Some(("auth", message))
        }
    }
}

impl Mechanism for OciConfig {
    fn name(&self) -> &'static str {
        "oci"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.http.effective();
        let file = |path: &Path| Node::from(path.display().to_string());
        match &self.auth {
            Auth::ApiKey(key) => {
                entries.push(("auth", "api_key".into()));
                entries.push(("tenancy", (&key.tenancy).into()));
                entries.push(("user", (&key.user).into()));
                entries.push(("fingerprint", (&key.fingerprint).into()));
                entries.push(("key_file", file(&key.key_file)));
                if !key.key_passphrase.is_empty() {
                    entries.push(("key_passphrase", (&key.key_passphrase).into()));
                }
                if let Some(path) = &key.key_passphrase_file {
                    entries.push(("key_passphrase_file", file(path)));
                }
            }
            Auth::InstancePrincipal => entries.push(("auth", "instance_principal".into())),
        }
        entries.push(("region", (&self.region).into()));
        if !self.compartments.is_empty() {
            entries.push(("compartments", Node::sequence(&self.compartments)));
        }
        entries.push(("port", self.api.port.into()));
        let interval = format_duration(self.api.refresh_interval);
        entries.push(("refresh_interval", interval.into()));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
        if let Auth::ApiKey(key) = &mut self.auth {
            key.key_file = dir.join(&key.key_file);
            key.key_passphrase_file.iter_mut().for_each(|file| *file = dir.join(&*file));
        }
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = OciDiscovery::new(self, options)?;
        Ok(options.poll(discovery, self.api.refresh_interval))
    }
}

struct OciDiscovery {
    config: OciConfig,
    client: OciClient,
    /// The compartments within each, as last heard: one that cannot be listed keeps its own.
    children: HashMap<String, Vec<String>>,
    /// The targets by instance, as last heard: one whose network cannot be read keeps its own.
    known: HashMap<String, Labels>,
}

#[async_trait]
impl Refresh for OciDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        self.client.renew().await?;
        let compartments = match self.config.compartments.as_slice() {
            [] => self.all_compartments().await,
            some => some.to_vec(),
        };
        let mut targets = Vec::new();
        let mut known = HashMap::new();
        for compartment in compartments {
            let query = [("compartmentId", compartment.as_str()), ("limit", "100")];
            let instances: Vec<Instance> =
                self.client.list(Service::Core, "instances", &query).await?;
            for instance in instances {
                let Some(labels) = self.target(&instance).await else { continue };
                known.insert(instance.id, labels.clone());
                targets.push(labels);
            }
        }
        self.known = known;
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

impl OciDiscovery {
    fn new(config: &OciConfig, options: &BuildOptions) -> Result<Self, BuildError> {
        Ok(Self {
            config: config.clone(),
            client: OciClient::new(config, options)?,
            children: HashMap::new(),
            known: HashMap::new(),
        })
    }

    /// The tenancy and all active compartments below it, the nearest first.
    async fn all_compartments(&mut self) -> Vec<String> {
        let mut queue = VecDeque::from([self.client.tenancy().to_owned()]);
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        let mut children = HashMap::new();
        while let Some(current) = queue.pop_front() {
            if !seen.insert(current.clone()) {
                continue;
            }
            let query = [
                ("compartmentId", current.as_str()),
                ("accessLevel", "ACCESSIBLE"),
                ("compartmentIdInSubtree", "false"),
                ("limit", "100"),
            ];
            let listed = self.client.list(Service::Identity, "compartments", &query).await;
            let below: Vec<String> = match listed {
                Ok(listed) => listed.into_iter().filter_map(Compartment::active).collect(),
                Err(error) => {
                    tracing::warn!(compartment = current, %error, "cannot list the compartments");
                    self.children.remove(&current).unwrap_or_default()
                }
            };
            queue.extend(below.iter().cloned());
            children.insert(current.clone(), below);
            all.push(current);
        }
        self.children = children;
        all
    }

    async fn target(&self, instance: &Instance) -> Option<Labels> {
        if instance.id.is_empty() || instance.compartment_id.is_empty() {
            tracing::warn!("an instance without OCIDs is left out");
            return None;
        }
        match self.primary_vnic(instance).await {
            Ok(vnic) => {
                let (tenancy, port) = (self.client.tenancy(), self.config.api.port);
                labels(instance, &vnic.unwrap_or_default(), tenancy, port)
            }
            Err(error) => {
                tracing::warn!(instance = instance.id, %error, "cannot read the network");
                self.known.get(&instance.id).cloned()
            }
        }
    }

    async fn primary_vnic(&self, instance: &Instance) -> Result<Option<Vnic>, DiscoveryError> {
        let query = [
            ("compartmentId", instance.compartment_id.as_str()),
            ("instanceId", &instance.id),
            ("limit", "100"),
        ];
        let attachments: Vec<Attachment> =
            self.client.list(Service::Core, "vnicAttachments", &query).await?;
        for attachment in attachments {
            if attachment.vnic_id.is_empty() || attachment.state != "ATTACHED" {
                continue;
            }
            let mut vnic: Vnic =
                self.client.get(Service::Core, &["vnics", &attachment.vnic_id]).await?;
            if vnic.is_primary {
                vnic.ipv6_addresses.sort();
                return Ok(Some(vnic));
            }
        }
        Ok(None)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Compartment {
    id: String,
    #[serde(rename = "lifecycleState")]
    state: String,
}

impl Compartment {
    fn active(self) -> Option<String> {
        (self.state == "ACTIVE" && !self.id.is_empty()).then_some(self.id)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    id: String,
    compartment_id: String,
    display_name: String,
    #[serde(rename = "lifecycleState")]
    state: String,
    shape: String,
    availability_domain: String,
    fault_domain: String,
    region: String,
    image_id: String,
    freeform_tags: BTreeMap<String, String>,
    defined_tags: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attachment {
    vnic_id: String,
    #[serde(rename = "lifecycleState")]
    state: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vnic {
    id: String,
    is_primary: bool,
    private_ip: String,
    public_ip: String,
    ipv6_addresses: Vec<String>,
    hostname_label: String,
}

/// An instance without an address is no target.
fn labels(instance: &Instance, vnic: &Vnic, tenancy: &str, port: u16) -> Option<Labels> {
    let addresses = [&vnic.private_ip, &vnic.public_ip].into_iter().chain(&vnic.ipv6_addresses);
    let address = addresses.into_iter().find(|address| !address.is_empty())?;
    let ipv6 = match vnic.ipv6_addresses.as_slice() {
        [] => String::new(),
        some => wrapped(some, ","),
    };
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(address, port).as_str()),
        ("__meta_oci_instance_id", &instance.id),
        ("__meta_oci_instance_name", &instance.display_name),
        ("__meta_oci_instance_state", &instance.state),
        ("__meta_oci_instance_shape", &instance.shape),
        ("__meta_oci_availability_domain", &instance.availability_domain),
        ("__meta_oci_fault_domain", &instance.fault_domain),
        ("__meta_oci_region", &instance.region),
        ("__meta_oci_tenancy_id", tenancy),
        ("__meta_oci_compartment_id", &instance.compartment_id),
        ("__meta_oci_image_id", &instance.image_id),
        ("__meta_oci_vnic_id", &vnic.id),
        ("__meta_oci_private_ip", &vnic.private_ip),
        ("__meta_oci_public_ip", &vnic.public_ip),
        ("__meta_oci_hostname_label", &vnic.hostname_label),
        ("__meta_oci_ipv6_addresses", &ipv6),
    ]);
    for (key, value) in &instance.freeform_tags {
        labels.insert(format!("__meta_oci_tag_{}", sanitize(key)), value.as_str());
    }
    for (namespace, tags) in &instance.defined_tags {
        for (key, value) in tags {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                // As Go prints a float64: in full, without an exponent.
                Value::Number(number) => number.as_f64().unwrap_or_default().to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => continue,
            };
            let (namespace, key) = (sanitize(namespace), sanitize(key));
            labels.insert(format!("__meta_oci_defined_tag_{namespace}_{key}"), value);
        }
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa_key::tests::PEM;
    use crate::testing_backend::Recorder;
    use periskop_core::config;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn what_cannot_be_read_of_a_compartment_or_an_instance_stays_as_it_was() {
        let down = Arc::new(AtomicBool::new(true));
        let is_down = down.clone();
        let recorder = Recorder::answering_by(move |request| {
            let is = |part| request.contains(part);
            let partly = is("/compartments") || is("/vnics/");
            if partly && is_down.load(Ordering::SeqCst) {
                return (503, "{}".to_owned());
            }
            let body = if is("/compartments?compartmentId=t") {
                r#"[{"id":"child","lifecycleState":"ACTIVE"}]"#
            } else if is("/instances?compartmentId=child") {
                r#"[{"id":"i","compartmentId":"child"},{"id":"no compartment"}]"#
            } else if is("/vnicAttachments") {
                r#"[{"vnicId":"w","lifecycleState":"DETACHED"},
                    {"vnicId":"v","lifecycleState":"ATTACHED"}]"#
            } else if is("/vnics/v") {
                r#"{"isPrimary":true,"ipv6Addresses":["fd00::2","fd00::1"]}"#
            } else {
                "[]"
            };
            (200, body.to_owned())
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        std::fs::write(&file, PEM).unwrap();
        let yaml = "{region: r, tenancy: t, user: u, fingerprint: f, key_file: key.pem}";
        let mut config = config::decode(&config::parse(yaml).unwrap(), OciConfig::decode).unwrap();
        config.resolve_paths(dir.path());
        let options = BuildOptions {
            origins: ["https://iaas.r.oraclecloud.com", "https://identity.r.oraclecloud.com"]
                .map(|origin| (origin.to_owned(), recorder.url()))
                .into(),
            ..BuildOptions::default()
        };
        let mut discovery = OciDiscovery::new(&config, &options).unwrap();
        let mut addresses = async || {
            let groups = discovery.refresh().await.unwrap().groups;
            let targets = groups[0].targets.iter();
            targets.map(|labels| labels.get(ADDRESS).to_owned()).collect::<Vec<_>>()
        };
        assert!(addresses().await.is_empty());
        down.store(false, Ordering::SeqCst);
        assert_eq!(addresses().await, ["[fd00::1]:80"]);
        down.store(true, Ordering::SeqCst);
        assert_eq!(addresses().await, ["[fd00::1]:80"]);
        // A key that is gone fails the whole: nothing is told, and what is known stays.
        std::fs::remove_file(file).unwrap();
        let error = discovery.refresh().await.unwrap_err().to_string();
        assert!(error.starts_with("Oracle Cloud credentials: cannot read"), "{error}");
    }
}
