//! From a discovered target's labels to what is scraped, as Prometheus does it.
//!
//! The rules are those of Prometheus's `PopulateDiscoveredLabels` and `PopulateLabels`: defaults
//! that a target may override with labels, then relabelling, then checks. No port is ever added
//! to an address.

use std::fmt;
use std::mem;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::config::{format_duration, parse_duration};
use crate::ids::{ReplicaId, ServiceName};
use crate::target::Labels;
use crate::target::url::{self, Params};

/// What a service's targets have where their labels say nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeSettings {
    /// `__scheme__`: `http` or `https`. Others are taken as they come and fail when scraped.
    pub scheme: String,
    /// `__metrics_path__`.
    pub path: String,
    /// Query parameters. The first value of each is also the label `__param_NAME`.
    pub params: Params,
    /// `__scrape_interval__`: the time between two scrapes of a target.
    pub interval: Duration,
    /// `__scrape_timeout__`, not above the interval.
    pub timeout: Duration,
}

impl Default for ScrapeSettings {
    /// Every client of the reference exports under `/-/exceptions`; ten seconds are the interval
    /// that its documentation uses, and the timeout that Prometheus has.
    fn default() -> Self {
        Self {
            scheme: "http".to_owned(),
            path: "/-/exceptions".to_owned(),
            params: Params::new(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
        }
    }
}

impl ScrapeSettings {
    /// The labels that relabelling starts from: the target's own, then its group's where the
    /// target has none of that name (one with an empty value hides the group's), then these
    /// settings and `job` where nothing else is said.
    pub fn discovered_labels(&self, job: &str, target: &Labels, group: &Labels) -> Labels {
        let mut labels = target.clone();
        for (name, value) in group.iter() {
            if !target.contains(name) {
                labels.insert(name, value);
            }
        }
        labels.retain(|_, value| !value.is_empty());
        let defaults = [
            (JOB, job),
            (INTERVAL, &format_duration(self.interval)),
            (TIMEOUT, &format_duration(self.timeout)),
            (PATH, &self.path),
            (SCHEME, &self.scheme),
        ];
        for (name, value) in defaults {
            insert_if_absent(&mut labels, name, value);
        }
        for (name, values) in &self.params {
            if let Some(value) = values.first() {
                insert_if_absent(&mut labels, &format!("{PARAM}{name}"), value);
            }
        }
        labels
    }
}

/// What is scraped.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    id: TargetId,
    labels: Labels,
    discovered: Labels,
    url: String,
    interval: Duration,
    timeout: Duration,
}

impl Target {
    /// The target that `labels`, the outcome of relabelling `discovered`, describe.
    ///
    /// # Errors
    ///
    /// [`TargetError`] says which label cannot be used. It costs this target, not its group.
    pub fn new(
        service: &ServiceName,
        settings: &ScrapeSettings,
        discovered: Labels,
        mut labels: Labels,
    ) -> Result<Self, TargetError> {
        let address = labels.get(ADDRESS).to_owned();
        if address.is_empty() {
            return Err(TargetError::NoAddress);
        }
        if address.contains('/') {
            return Err(TargetError::Address(address));
        }
        let interval = parse_duration(labels.get(INTERVAL)).map_err(TargetError::Interval)?;
        if interval.is_zero() {
            return Err(TargetError::ZeroInterval);
        }
        let timeout = parse_duration(labels.get(TIMEOUT)).map_err(TargetError::Timeout)?;
        if timeout.is_zero() {
            return Err(TargetError::ZeroTimeout);
        }
        if timeout > interval {
            return Err(TargetError::TimeoutAboveInterval {
                timeout: labels.get(TIMEOUT).to_owned(),
                interval: labels.get(INTERVAL).to_owned(),
            });
        }
        labels.retain(|name, value| !name.starts_with(META) && !value.is_empty());
        insert_if_absent(&mut labels, INSTANCE, &address);

        let mut params = settings.params.clone();
        for (name, value) in labels.iter() {
            if let Some(name) = name.strip_prefix(PARAM) {
                let values = params.entry(name.to_owned()).or_default();
                match values.first_mut() {
                    Some(first) => value.clone_into(first),
                    None => values.push(value.to_owned()),
                }
            }
        }
        let url = url::print(labels.get(SCHEME), &address, labels.get(PATH), &params);
        let id = TargetId::of(service, &labels, &url);
        Ok(Self { id, labels, discovered, url, interval, timeout })
    }

    /// Equal for two targets of one service that have the same labels and URL.
    pub const fn id(&self) -> TargetId {
        self.id
    }

    /// The labels after relabelling, without `__meta_*`.
    pub const fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The labels that are shown and kept with what the target reports: those without `__`.
    pub fn public_labels(&self) -> Labels {
        self.labels.iter().filter(|(name, _)| !name.starts_with("__")).collect()
    }

    /// The labels before relabelling.
    pub const fn discovered(&self) -> &Labels {
        &self.discovered
    }

    /// Only the labels before relabelling.
    pub(super) fn into_discovered(self) -> Labels {
        self.discovered
    }

    /// Lets it be one that was discovered as something else and came out the same; as what it was.
    pub(super) fn replace_discovered(&mut self, discovered: Labels) -> Labels {
        mem::replace(&mut self.discovered, discovered)
    }

    /// What is fetched. It never has userinfo: an `@` in an address is escaped.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The time between two scrapes.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long one scrape may take, at most the interval.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Without the discovered labels, of which some mechanisms have a hundred.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("url", &self.url).field("labels", &self.labels).finish()
    }
}

/// Identifies a target: a hash of its service, its labels after relabelling and its URL, the same
/// in every process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(u128);

impl TargetId {
    fn of(service: &ServiceName, labels: &Labels, url: &str) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            // With its length, so that no text can pretend to be two.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(service.as_str());
        add(url);
        for (name, value) in labels.iter() {
            add(name);
            add(value);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(u128::from_be_bytes(id))
    }

    /// Spreads targets over an interval: the same for this target and observer in every process,
    /// another for another observer, so that two servers do not ask at the same moment.
    pub(crate) fn spread(self, seed: ReplicaId) -> u64 {
        let bytes = self.0.to_be_bytes();
        xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, seed.as_u64())
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a discovered target cannot be scraped, in Prometheus's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// `__address__` is absent or empty.
    #[error("no address")]
    NoAddress,
    /// `__address__` is no `host` or `host:port`.
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    /// `__scrape_interval__` is no duration.
    #[error("error parsing scrape interval: {0}")]
    Interval(String),
    /// `__scrape_interval__` is zero.
    #[error("scrape interval cannot be 0")]
    ZeroInterval,
    /// `__scrape_timeout__` is no duration.
    #[error("error parsing scrape timeout: {0}")]
    Timeout(String),
    /// `__scrape_timeout__` is zero.
    #[error("scrape timeout cannot be 0")]
    ZeroTimeout,
    /// A scrape may not last into the next.
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutAboveInterval {
        /// `__scrape_timeout__`.
        timeout: String,
        /// `__scrape_interval__`.
        interval: String,
    },
}

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const PARAM: &str = "__param_";
const META: &str = "__meta_";
const JOB: &str = "job";
const INSTANCE: &str = "instance";

fn insert_if_absent(labels: &mut Labels, name: &str, value: &str) {
    if labels.get(name).is_empty() && !value.is_empty() {
        labels.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(service: &str, labels: &Labels) -> Target {
        let settings = ScrapeSettings::default();
        let discovered = settings.discovered_labels(service, labels, &Labels::new());
        Target::new(&service.into(), &settings, discovered.clone(), discovered).unwrap()
    }

    #[test]
    fn a_bare_address_is_scraped_as_every_client_exports() {
        let target = target("api", &Labels::from([("__address__", "10.0.0.1:7778")]));
        assert_eq!(target.url(), "http://10.0.0.1:7778/-/exceptions");
        assert_eq!(
            target.public_labels(),
            Labels::from([("instance", "10.0.0.1:7778"), ("job", "api")])
        );
    }

    #[test]
    fn an_identity_is_made_of_service_labels_and_url_but_not_of_meta_labels() {
        let address = ("__address__", "a:1");
        let plain = target("api", &Labels::from([address])).id();
        let meta = target("api", &Labels::from([address, ("__meta_dc", "x")])).id();
        let zone = target("api", &Labels::from([address, ("zone", "x")])).id();
        let query = target("api", &Labels::from([address, ("__param_q", "x")])).id();
        let other = target("web", &Labels::from([address, ("job", "api")])).id();
        assert_eq!(plain, meta);
        for different in [zone, query, other] {
            assert_ne!(plain, different);
        }
    }
}
