//! What the Azure Resource Manager is asked, and what it answers.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use periskop_core::discovery::DiscoveryError;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::credentials::Credentials;
use crate::api::PAGES_LIMIT;
use crate::backend::{Answer, Backend, shown};

/// The versions that Prometheus's client asks for.
const COMPUTE_VERSION: &str = "2024-03-01";
const NETWORK_VERSION: &str = "2023-05-01";
const SCALE_SET_NETWORK_VERSION: &str = "2018-10-01";
const EXPAND: &str = "IPConfigurations/PublicIPAddress";
/// As many interfaces as Prometheus keeps.
const KEPT_INTERFACES: usize = 5000;

/// The resource manager, as seen by one subscription.
pub(super) struct Arm {
    pub(super) backend: Backend,
    pub(super) credentials: Credentials,
    /// Where it is.
    pub(super) origin: Url,
    /// Where it says that it is, in links to the next page.
    pub(super) canonical: Url,
    pub(super) subscription: String,
}

/// The parts of a resource's ID that are needed.
pub(super) struct ResourceId<'a> {
    pub(super) group: &'a str,
    pub(super) name: &'a str,
}

impl<'a> ResourceId<'a> {
    /// `/subscriptions/S/resourceGroups/G/providers/P/TYPE/NAME[/TYPE/NAME…]`, without regard to
    /// case.
    pub(super) fn parse(id: &'a str) -> Option<Self> {
        let parts: Vec<&str> = id.strip_prefix('/')?.split('/').collect();
        let [subscriptions, _, groups, group, providers, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let known = subscriptions.eq_ignore_ascii_case("subscriptions")
            && groups.eq_ignore_ascii_case("resourceGroups")
            && providers.eq_ignore_ascii_case("providers");
        let name = *rest.last()?;
        // The provider, then pairs of type and name.
        let whole = known && rest.len() >= 3 && rest.len() % 2 == 1 && !group.is_empty();
        (whole && !name.is_empty()).then_some(Self { group, name })
    }
}

impl Arm {
    /// All items of a list, from all of its pages.
    pub(super) async fn list<T: DeserializeOwned + Default>(
        &self,
        path: &[&str],
    ) -> Result<Vec<T>, DiscoveryError> {
        let first = self.url(path, &[("api-version", COMPUTE_VERSION)]);
        let (mut url, mut items) = (first.clone(), Vec::new());
        for _ in 0..PAGES_LIMIT {
            let answer = self.get(url.clone()).await?.success()?;
            let page: Page<T> = answer.json()?;
            items.extend(page.value);
            if page.next.is_empty() {
                return Ok(items);
            }
            let next = self.next(&page.next).map_err(|reason| answer.invalid(reason))?;
            if next == url {
                return Err(answer.invalid("the next page is the same page"));
            }
            url = next;
        }
        let reason = format!("more than {PAGES_LIMIT} pages");
        Err(DiscoveryError::Invalid { endpoint: shown(&first), reason })
    }

    /// The interface of a machine, `None` where it does not exist.
    pub(super) async fn interface(
        &self,
        id: &ResourceId<'_>,
        scale_set: Option<(&str, &str)>,
    ) -> Result<Option<Interface>, DiscoveryError> {
        let group = ["resourceGroups", id.group, "providers"];
        let (path, version) = match scale_set {
            None => {
                let end = ["Microsoft.Network", "networkInterfaces", id.name];
                ([&group[..], &end].concat(), NETWORK_VERSION)
            }
            Some((set, instance)) => {
                let set = ["microsoft.Compute", "virtualMachineScaleSets", set];
                let end = ["virtualMachines", instance, "networkInterfaces", id.name];
                ([&group[..], &set, &end].concat(), SCALE_SET_NETWORK_VERSION)
            }
        };
        let url = self.url(&path, &[("$expand", EXPAND), ("api-version", version)]);
        let answer = self.get(url).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.success()?.json().map(Some),
        }
    }

    async fn get(&self, url: Url) -> Result<Answer, DiscoveryError> {
        let token = self.credentials.token().await?;
        let bearer = format!("Bearer {}", token.expose());
        let answer = self.backend.get(url).credential(AUTHORIZATION, &bearer).send().await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.credentials.forget().await;
        }
        Ok(answer)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.origin.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["subscriptions", &self.subscription]).extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// A link to the next page. It leads nowhere else, since our token goes along.
    fn next(&self, link: &str) -> Result<Url, &'static str> {
        let link = Url::parse(link).map_err(|_| "the link to the next page is no URL")?;
        if link.origin() != self.canonical.origin() && link.origin() != self.origin.origin() {
            return Err("the next page is on another host");
        }
        let mut url = self.origin.clone();
        url.set_path(link.path());
        url.set_query(link.query());
        Ok(url)
    }
}

/// Interfaces that were asked for, each kept for ten refreshes and up to three more, so that not
/// all are asked for anew at once.
pub(super) struct Interfaces {
    known: Mutex<HashMap<String, (Arc<Interface>, Instant)>>,
    interval: Duration,
}

impl Interfaces {
    pub(super) fn new(interval: Duration) -> Self {
        Self { known: Mutex::default(), interval }
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<Interface>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (interface, expires) = known.get(id)?;
        (Instant::now() < *expires).then(|| interface.clone())
    }

    /// Keeps an interface, if there is room: beyond it the oldest are of no more use than the
    /// newest, as all are asked for in turn.
    pub(super) fn insert(&self, id: &str, interface: &Arc<Interface>) {
        let now = Instant::now();
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let spread = hasher.finish() % 300;
        let seconds = self.interval.as_secs_f64() * (10.0 + spread as f64 / 100.0);
        let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let Some(expires) = now.checked_add(lifetime) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_INTERFACES {
            known.retain(|_, (_, expires)| now < *expires);
        }
        if known.len() < KEPT_INTERFACES || known.contains_key(id) {
            known.insert(id.to_owned(), (interface.clone(), expires));
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "nextLink")]
    next: String,
}

/// A virtual machine, alone or of a scale set.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Machine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) location: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) properties: MachineProperties,
    /// Only of a scale set.
    #[serde(rename = "instanceId")]
    pub(super) instance_id: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MachineProperties {
    #[serde(rename = "osProfile")]
    pub(super) os: OsProfile,
    #[serde(rename = "storageProfile")]
    pub(super) storage: StorageProfile,
    #[serde(rename = "networkProfile")]
    pub(super) network: NetworkProfile,
    #[serde(rename = "hardwareProfile")]
    pub(super) hardware: HardwareProfile,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OsProfile {
    #[serde(rename = "computerName")]
    pub(super) computer_name: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StorageProfile {
    #[serde(rename = "osDisk")]
    pub(super) os_disk: OsDisk,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OsDisk {
    #[serde(rename = "osType")]
    pub(super) os_type: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NetworkProfile {
    #[serde(rename = "networkInterfaces")]
    pub(super) interfaces: Vec<Reference>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) id: String,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct HardwareProfile {
    #[serde(rename = "vmSize")]
    pub(super) size: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ScaleSet {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Interface {
    pub(super) properties: Option<InterfaceProperties>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct InterfaceProperties {
    /// Not told of a machine that is deallocated.
    pub(super) primary: Option<bool>,
    #[serde(rename = "ipConfigurations")]
    pub(super) addresses: Vec<IpConfiguration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct IpConfiguration {
    pub(super) properties: IpProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct IpProperties {
    #[serde(rename = "privateIPAddress")]
    pub(super) private: Option<String>,
    #[serde(rename = "publicIPAddress")]
    pub(super) public: PublicIp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PublicIp {
    pub(super) properties: PublicIpProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PublicIpProperties {
    #[serde(rename = "ipAddress")]
    pub(super) address: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_resource_names_its_group_and_itself() {
        let id = "/subscriptions/s/resourcegroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/7";
        let parsed = ResourceId::parse(id).unwrap();
        assert_eq!((parsed.group, parsed.name), ("rg", "7"));
        for bad in [
            "",
            "/subscriptions/s",
            "/subscriptions/s/resourceGroups//providers/a/b/c",
            "/subscriptions/s/resourceGroups/rg/providers/a/b",
            "/subscriptions/s/resourceGroups/rg/providers/a/b/",
            "subscriptions/s/resourceGroups/rg/providers/a/b/c",
        ] {
            assert!(ResourceId::parse(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_interface_is_kept_for_ten_refreshes_and_at_most_thirteen() {
        let interfaces = Interfaces::new(Duration::from_secs(300));
        interfaces.insert("a", &Arc::default());
        tokio::time::advance(Duration::from_secs(2999)).await;
        assert!(interfaces.get("a").is_some());
        tokio::time::advance(Duration::from_secs(901)).await;
        assert!(interfaces.get("a").is_none());
    }
}
