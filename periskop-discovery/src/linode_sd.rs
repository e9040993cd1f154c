//! `linode_sd_configs`: the instances of a Linode account.
//!
//! API: `GET /v4/linode/instances`, `/v4/networking/ips` and `/v4/networking/ipv6/ranges`, paged
//! by number. Once they are known, `GET /v4/account/events` is asked whether anything has happened
//! since, and only then, or every tenth time, all is read again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use periskop_core::Timestamp;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use url::Url;

use crate::api::{Api, PAGES_LIMIT, too_many_pages};
use crate::backend::{Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::ip;
use crate::label::{join_host_port, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const TAG_SEPARATOR: &str = ",";
const ORIGIN: &str = "https://api.linode.com";
const SOURCE: &str = "Linode";
/// The most that the API answers at once.
const PER_PAGE: &str = "500";
/// One event is as good as many.
const EVENTS_PER_PAGE: &str = "25";
const FILTER: HeaderName = HeaderName::from_static("x-filter");
/// What happens within a machine is no event: so often all is read without one.
const QUIET_POLLS: u32 = 10;

/// One item of `linode_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinodeConfig {
    /// The region whose instances are told; `""`: those of all.
    pub region: String,
    /// What stands between and around the items of lists in labels. Default `,`.
    pub tag_separator: String,
    /// How the API is asked. Defaults: every minute, port 80.
    pub api: Api,
}

impl LinodeConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            api: Api::take(&mut fields, REFRESH_INTERVAL, 80),
            region: fields.string("region").unwrap_or_default(),
            tag_separator: fields.string("tag_separator").unwrap_or_else(|| TAG_SEPARATOR.into()),
        };
        fields.finish();
        Some(config)
    }
}

impl Mechanism for LinodeConfig {
    fn name(&self) -> &'static str {
        "linode"
    }

    fn effective(&self) -> Node {
        let mut entries = self.api.effective();
        let texts = [("tag_separator", &self.tag_separator), ("region", &self.region)];
        let set = texts.into_iter().filter(|(_, text)| !text.is_empty());
        entries.extend(set.map(|(name, text)| (name, text.into())));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.api.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let interval = self.api.refresh_interval;
        let discovery = LinodeDiscovery {
            backend: Backend::new(&self.api.http, options, interval)?,
            origin: options.origin(ORIGIN)?,
            config: self.clone(),
            last_read: None,
            events: true,
            quiet: 0,
        };
        Ok(options.poll(discovery, interval))
    }
}

struct LinodeDiscovery {
    backend: Backend,
    origin: Url,
    config: LinodeConfig,
    /// When the last refresh that did not fail began, if there was one.
    last_read: Option<Timestamp>,
    /// Whether we may see events.
    events: bool,
    /// How often there was none since all was read.
    quiet: u32,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Page<T> {
    data: Vec<T>,
    pages: usize,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { data: Vec::new(), pages: 0 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: i64,
    label: String,
    image: String,
    region: String,
    r#type: String,
    status: String,
    group: String,
    hypervisor: String,
    tags: Vec<String>,
    ipv4: Vec<String>,
    ipv6: String,
    backups: Backups,
    specs: Specs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Backups {
    enabled: bool,
}

/// Sizes in mebibytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Specs {
    disk: i64,
    memory: i64,
    vcpus: i64,
    gpus: i64,
    transfer: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    address: String,
    public: bool,
    rdns: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    range: String,
    prefix: i64,
    route_target: String,
}

#[async_trait]
impl Refresh for LinodeDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let now = now();
        let quiet = match self.last_read {
            Some(since) => self.nothing_happened(since).await?,
            None => false,
        };
        let found = if quiet {
            Found { kept: vec![SOURCE.into()], ..Found::default() }
        } else {
            let targets = self.targets().await?;
            self.quiet = 0;
            vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into()
        };
        self.last_read = Some(now);
        Ok(found)
    }
}

impl LinodeDiscovery {
    /// Whether what is known may be left as it is.
    async fn nothing_happened(&mut self, since: Timestamp) -> Result<bool, DiscoveryError> {
        if !self.events {
            return Ok(false);
        }
        let filter = since_filter(since);
        let answer = self.ask("/v4/account/events", 1, EVENTS_PER_PAGE, &filter).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // The token may not read events: all is read each time.
            self.events = false;
            return Ok(false);
        }
        let events: Page<Json> = answer.success()?.json()?;
        self.quiet += 1;
        Ok(events.data.is_empty() && self.quiet < QUIET_POLLS)
    }

    async fn targets(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let instances: Vec<Instance> = self.all("/v4/linode/instances").await?;
        let addresses: Vec<Address> = self.all("/v4/networking/ips").await?;
        let ranges: Vec<Range> = self.all("/v4/networking/ipv6/ranges").await?;
        let networks = Networks::new(&addresses, &ranges);
        let target = |instance| target(instance, &networks, &self.config);
        Ok(instances.iter().filter_map(target).collect())
    }

    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, DiscoveryError> {
        let filter = region_filter(&self.config.region);
        let mut all = Vec::new();
        for number in 1..=PAGES_LIMIT {
            let answer = self.ask(path, number, PER_PAGE, &filter).await?;
            let page: Page<T> = answer.success()?.json()?;
            all.extend(page.data);
            if number >= page.pages {
                return Ok(all);
            }
        }
        Err(too_many_pages(&self.url(path)))
    }

    async fn ask(
        &self,
        path: &str,
        page: usize,
        per_page: &str,
        filter: &str,
    ) -> Result<Answer, DiscoveryError> {
        let mut url = self.url(path);
        url.query_pairs_mut()
            .append_pair("page", &page.to_string())
            .append_pair("page_size", per_page);
        let mut call = self.backend.get(url);
        if !filter.is_empty() {
            call = call.header(FILTER, filter);
        }
        call.send().await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.plus(since_epoch.unwrap_or_default())
}

/// Which items are wanted, in the API's notation. `""`: all.
fn region_filter(region: &str) -> String {
    match region {
        "" => String::new(),
        region => format!(r#"{{"region": {}}}"#, json!(region)),
    }
}

/// The API takes seconds, in UTC, without saying so.
fn since_filter(since: Timestamp) -> String {
    let text = since.to_string();
    let seconds = text.split_once('.').map_or(text.as_str(), |(seconds, _)| seconds);
    format!(r#"{{"created": {{"+gte": "{seconds}"}}}}"#)
}

/// What is known about addresses, by address: instances only name theirs.
struct Networks<'a> {
    addresses: BTreeMap<&'a str, Vec<&'a Address>>,
    ranges: BTreeMap<&'a str, Vec<&'a Range>>,
}

impl<'a> Networks<'a> {
    fn new(addresses: &'a [Address], ranges: &'a [Range]) -> Self {
        let mut networks = Self { addresses: BTreeMap::new(), ranges: BTreeMap::new() };
        for address in addresses {
            networks.addresses.entry(&address.address).or_default().push(address);
        }
        for range in ranges {
            networks.ranges.entry(&range.route_target).or_default().push(range);
        }
        networks
    }

    fn addresses(&self, address: &str) -> impl Iterator<Item = &'a Address> + use<'a, '_> {
        self.addresses.get(address).into_iter().flatten().copied()
    }
}

/// An address and the name that it resolves to.
#[derive(Default)]
struct Named<'a> {
    address: &'a str,
    name: &'a str,
}

impl<'a> From<&'a Address> for Named<'a> {
    fn from(address: &'a Address) -> Self {
        // The API once sent the text for a name that is not there.
        let name = if address.rdns == "null" { "" } else { &address.rdns };
        Self { address: &address.address, name }
    }
}

/// The target of an instance; one without IPv4 addresses is none.
fn target(instance: &Instance, networks: &Networks<'_>, config: &LinodeConfig) -> Option<Labels> {
    if instance.ipv4.is_empty() {
        return None;
    }
    let (mut private, mut public, mut public6) =
        (Named::default(), Named::default(), Named::default());
    let mut extra = Vec::new();
    for address in &instance.ipv4 {
        for known in networks.addresses(&ip::address(address)) {
            match known.public {
                true if public.address.is_empty() => public = known.into(),
                false if private.address.is_empty() => private = known.into(),
                _ => extra.push(known.address.as_str()),
            }
        }
    }
    let mut ranges = Vec::new();
    if !instance.ipv6.is_empty() {
        let own = instance.ipv6.split('/').next().unwrap_or_default();
        for known in networks.addresses(own) {
            let named = Named::from(known);
            let name = if named.name.is_empty() { public6.name } else { named.name };
            public6 = Named { address: named.address, name };
        }
        let routed = networks.ranges.get(own).into_iter().flatten();
        ranges.extend(routed.map(|range| format!("{}/{}", range.range, range.prefix)));
    }
    let specs = &instance.specs;
    let bytes = |mebibytes: i64| (mebibytes << 20).to_string();
    let backups = if instance.backups.enabled { "enabled" } else { "disabled" };
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(public.address, config.api.port)),
        ("__meta_linode_instance_id", instance.id.to_string()),
        ("__meta_linode_instance_label", instance.label.clone()),
        ("__meta_linode_image", instance.image.clone()),
        ("__meta_linode_private_ipv4", private.address.to_owned()),
        ("__meta_linode_public_ipv4", public.address.to_owned()),
        ("__meta_linode_public_ipv6", public6.address.to_owned()),
        ("__meta_linode_private_ipv4_rdns", private.name.to_owned()),
        ("__meta_linode_public_ipv4_rdns", public.name.to_owned()),
        ("__meta_linode_public_ipv6_rdns", public6.name.to_owned()),
        ("__meta_linode_region", instance.region.clone()),
        ("__meta_linode_type", instance.r#type.clone()),
        ("__meta_linode_status", instance.status.clone()),
        ("__meta_linode_group", instance.group.clone()),
        ("__meta_linode_gpus", specs.gpus.to_string()),
        ("__meta_linode_hypervisor", instance.hypervisor.clone()),
        ("__meta_linode_backups", backups.to_owned()),
        ("__meta_linode_specs_disk_bytes", bytes(specs.disk)),
        ("__meta_linode_specs_memory_bytes", bytes(specs.memory)),
        ("__meta_linode_specs_vcpus", specs.vcpus.to_string()),
        ("__meta_linode_specs_transfer_bytes", bytes(specs.transfer)),
    ]);
    let separator = &config.tag_separator;
    if !instance.tags.is_empty() {
        labels.insert("__meta_linode_tags", wrapped(&instance.tags, separator));
    }
    if !extra.is_empty() {
        labels.insert("__meta_linode_extra_ips", wrapped(&extra, separator));
    }
    if !ranges.is_empty() {
        labels.insert("__meta_linode_ipv6_ranges", wrapped(&ranges, separator));
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn config() -> LinodeConfig {
        let root = periskop_core::config::parse("{tag_separator: ';'}").unwrap();
        periskop_core::config::decode(&root, LinodeConfig::decode).unwrap()
    }

    #[test]
    fn filters_are_what_the_api_reads() {
        assert_eq!(region_filter(""), "");
        assert_eq!(region_filter("us-east"), r#"{"region": "us-east"}"#);
        assert_eq!(region_filter(r#"a"b"#), r#"{"region": "a\"b"}"#);
        let time = Timestamp::parse("2026-11-28T01:02:03.999Z").unwrap();
        assert_eq!(since_filter(time), r#"{"created": {"+gte": "2026-11-28T01:02:03"}}"#);
    }

    #[test]
    fn an_instance_whose_addresses_nobody_knows_has_an_address_without_a_host() {
        let json = br#"{"id":1,"ipv4":["10.0.0.1"],"specs":null,"backups":null,"tags":["a","b"]}"#;
        let instance = go_json::from_slice(json).unwrap();
        let labels = target(&instance, &Networks::new(&[], &[]), &config()).unwrap();
        assert_eq!(labels.get(ADDRESS), ":80");
        assert_eq!(labels.get("__meta_linode_backups"), "disabled");
        assert_eq!(labels.get("__meta_linode_tags"), ";a;b;");
        let none = Instance::default();
        assert_eq!(target(&none, &Networks::new(&[], &[]), &config()), None);
    }

    #[test]
    fn the_first_address_of_a_kind_is_the_address_and_the_others_are_extra() {
        let address = |address: &str, public, rdns: &str| Address {
            address: address.into(),
            public,
            rdns: rdns.into(),
        };
        let addresses = [
            address("192.0.2.1", true, "null"),
            address("192.0.2.2", true, "b"),
            address("2001:db8::1", true, "six"),
        ];
        let range =
            Range { range: "2001:db8:1::".into(), prefix: 64, route_target: "2001:db8::1".into() };
        let instance = Instance {
            ipv4: vec!["192.0.2.1".into(), "192.0.2.2".into()],
            ipv6: "2001:db8::1/128".into(),
            ..Instance::default()
        };
        let ranges = [range];
        let labels = target(&instance, &Networks::new(&addresses, &ranges), &config()).unwrap();
        assert_eq!(labels.get("__meta_linode_public_ipv4"), "192.0.2.1");
        assert_eq!(labels.get("__meta_linode_public_ipv4_rdns"), "");
        assert_eq!(labels.get("__meta_linode_extra_ips"), ";192.0.2.2;");
        assert_eq!(labels.get("__meta_linode_public_ipv6_rdns"), "six");
        assert_eq!(labels.get("__meta_linode_ipv6_ranges"), ";2001:db8:1::/64;");
    }
}
