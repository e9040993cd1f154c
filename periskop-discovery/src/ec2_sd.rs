//! `ec2_sd_configs`: the instances of an AWS account in one region.
//!
//! API: `DescribeInstances` of EC2, paged; `DescribeAvailabilityZones` once.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::aws::client::EC2;
use crate::aws::paging::List;
use crate::aws::session::Session;
use crate::aws::{AwsApi, AwsFilter, text};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize, wrapped};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use crate::xml::Element;

pub(crate) const VERSION: &str = "2016-11-15";
/// The instances, be it all or some.
pub(crate) const INSTANCES: List = List {
    what: "could not describe instances",
    action: "DescribeInstances",
    version: VERSION,
    token: "NextToken",
    next: &["nextToken"],
};
/// The most that EC2 puts on a page. Prometheus does not say, and then a page may be of any length.
const PER_PAGE: &str = "1000";
/// More network interfaces than any instance has: their numbers are places in a list.
const INTERFACES_LIMIT: usize = 1024;

/// One item of `ec2_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Config {
    /// Which part of AWS is asked, and how.
    pub aws: AwsApi,
    /// Which instances are wanted.
    pub filters: Vec<AwsFilter>,
}

impl Ec2Config {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let aws = AwsApi::take(&mut fields);
        let filters = AwsFilter::take(&mut fields);
        if filters.iter().any(|filter| filter.values.is_empty()) {
            fields.problem("filters", "EC2 SD configuration filter values cannot be empty");
        }
        fields.finish();
        Some(Self { aws, filters })
    }
}

impl Mechanism for Ec2Config {
    fn name(&self) -> &'static str {
        "ec2"
    }

    fn effective(&self) -> Node {
        let mut entries = self.aws.effective();
        entries.push(("filters", AwsFilter::effective(&self.filters)));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.aws.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = Ec2Discovery {
            session: Session::new(&self.aws, options)?,
            port: self.aws.api.port,
            filters: filter_parameters(&self.filters),
            zones: None,
        };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

fn filter_parameters(filters: &[AwsFilter]) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for (i, filter) in (1..).zip(filters) {
        parameters.push((format!("Filter.{i}.Name"), filter.name.clone()));
        let values = (1..).zip(&filter.values);
        let named = |(j, value): (usize, &String)| (format!("Filter.{i}.Value.{j}"), value.clone());
        parameters.extend(values.map(named));
    }
    parameters
}

struct Ec2Discovery {
    session: Session,
    port: u16,
    filters: Vec<(String, String)>,
    /// The identifiers of the account's zones by their names. None: not known yet.
    zones: Option<HashMap<String, String>>,
}

#[async_trait]
impl Refresh for Ec2Discovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.session.region().await?.to_owned();
        if self.zones.is_none() {
            // Without them a label is empty, which is no reason to find nothing.
            match self.describe_zones().await {
                Ok(zones) => self.zones = Some(zones),
                Err(error) => tracing::debug!(%error, "availability zones are not known"),
            }
        }
        let no_zones = HashMap::new();
        let zones = self.zones.as_ref().unwrap_or(&no_zones);
        let client = self.session.client(EC2);
        let filters = self.filters.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut parameters: Vec<_> = filters.collect();
        parameters.push(("MaxResults", PER_PAGE.to_owned()));
        let mut targets = Vec::new();
        let look = |page: &Element| {
            for (reservation, instance) in instances(page) {
                targets.extend(target(reservation, instance, &region, self.port, zones));
            }
        };
        client.each_page(&INSTANCES, &parameters, look).await?;
        Ok(vec![TargetGroup { source: region, targets, ..TargetGroup::default() }].into())
    }
}

impl Ec2Discovery {
    async fn describe_zones(&self) -> Result<HashMap<String, String>, DiscoveryError> {
        let what = "could not describe availability zones";
        let client = self.session.client(EC2);
        let page = client.query(what, "DescribeAvailabilityZones", VERSION, &[]).await?;
        let zones = page.root().all(&["availabilityZoneInfo"], "item");
        let named = zones.filter_map(|zone| {
            Some((text(zone, &["zoneName"])?.to_owned(), text(zone, &["zoneId"])?.to_owned()))
        });
        Ok(named.collect())
    }
}

/// The instances of an answer, each with its reservation.
pub(crate) fn instances(page: &Element) -> impl Iterator<Item = (&Element, &Element)> {
    page.all(&["reservationSet"], "item").flat_map(|reservation| {
        let instances = reservation.all(&["instancesSet"], "item");
        instances.map(move |instance| (reservation, instance))
    })
}

/// `None` for an instance without an address in a network.
fn target(
    reservation: &Element,
    instance: &Element,
    region: &str,
    port: u16,
    zones: &HashMap<String, String>,
) -> Option<Labels> {
    let in_vpc = instance.child("vpcId").is_some();
    let ipv6 = if in_vpc { Ipv6::of(instance) } else { Ipv6::default() };
    let private_ip = text(instance, &["privateIpAddress"]);
    let address = private_ip.or(ipv6.usual())?;

    let mut labels = Labels::from([
        (ADDRESS, join_host_port(address, port)),
        ("__meta_ec2_region", region.to_owned()),
    ]);
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            labels.insert(format!("__meta_ec2_{name}"), value);
        }
    };
    let of = |path: &[&str]| text(instance, path);
    // What is one of a list of words in the API is not there where it is empty.
    let word = |path: &[&str]| of(path).filter(|word| !word.is_empty());
    set("instance_id", of(&["instanceId"]));
    set("owner_id", text(reservation, &["ownerId"]));
    set("default_ipv6_address", ipv6.usual());
    set("private_ip", private_ip);
    set("private_dns_name", of(&["privateDnsName"]));
    set("platform", word(&["platform"]));
    if let Some(public_ip) = of(&["ipAddress"]) {
        set("public_ip", Some(public_ip));
        set("public_dns_name", Some(of(&["dnsName"]).unwrap_or_default()));
    }
    set("ami", Some(of(&["imageId"]).unwrap_or_default()));
    let zone = of(&["placement", "availabilityZone"]).unwrap_or_default();
    set("availability_zone", Some(zone));
    set("availability_zone_id", Some(zones.get(zone).map_or("", String::as_str)));
    set("instance_state", Some(of(&["instanceState", "name"]).unwrap_or_default()));
    set("instance_type", Some(of(&["instanceType"]).unwrap_or_default()));
    set("instance_lifecycle", word(&["instanceLifecycle"]));
    set("architecture", word(&["architecture"]));
    if in_vpc {
        set("vpc_id", of(&["vpcId"]));
        set("primary_subnet_id", Some(of(&["subnetId"]).unwrap_or_default()));
        set("subnet_id", Some(&wrapped(subnets(instance), ",")));
    }
    if !ipv6.primary.is_empty() {
        set("primary_ipv6_addresses", Some(&wrapped(&ipv6.primary, ",")));
    }
    if !ipv6.all.is_empty() {
        set("ipv6_addresses", Some(&wrapped(&ipv6.all, ",")));
    }
    for (key, value) in tags(instance) {
        set(&format!("tag_{}", sanitize(key)), Some(value));
    }
    Some(labels)
}

/// The tags of an instance.
pub(crate) fn tags(instance: &Element) -> impl Iterator<Item = (&str, &str)> {
    let tags = instance.all(&["tagSet"], "item");
    tags.filter_map(|tag| Some((text(tag, &["key"])?, text(tag, &["value"])?)))
}

/// The interfaces that are in a subnet.
fn interfaces(instance: &Element) -> impl Iterator<Item = (&Element, &str)> {
    let interfaces = instance.all(&["networkInterfaceSet"], "item");
    interfaces.filter_map(|interface| Some((interface, text(interface, &["subnetId"])?)))
}

/// Each subnet once, in the order of the interfaces.
fn subnets(instance: &Element) -> Vec<&str> {
    let mut subnets = Vec::new();
    for (_, subnet) in interfaces(instance) {
        if !subnets.contains(&subnet) {
            subnets.push(subnet);
        }
    }
    subnets
}

/// The IPv6 addresses of an instance.
#[derive(Debug, Default)]
struct Ipv6<'e> {
    /// The primary ones, each at the place of its interface; empty texts for those without.
    primary: Vec<&'e str>,
    /// All of them.
    all: Vec<&'e str>,
}

impl<'e> Ipv6<'e> {
    fn of(instance: &'e Element) -> Self {
        let mut found = Self::default();
        for (interface, _) in interfaces(instance) {
            for item in interface.all(&["ipv6AddressesSet"], "item") {
                let Some(address) = text(item, &["ipv6Address"]) else { continue };
                found.all.push(address);
                let place = text(interface, &["attachment", "deviceIndex"]);
                let place = place.and_then(|place| place.parse::<usize>().ok());
                if text(item, &["isPrimaryIpv6"]) == Some("true")
                    && let Some(place) = place.filter(|place| *place < INTERFACES_LIMIT)
                {
                    if found.primary.len() <= place {
                        found.primary.resize(place + 1, "");
                    }
                    if let Some(slot) = found.primary.get_mut(place) {
                        *slot = address;
                    }
                }
            }
        }
        found
    }

    /// The one to use: the first primary one, else the first of all.
    fn usual(&self) -> Option<&'e str> {
        self.primary.iter().chain(&self.all).copied().find(|address| !address.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::tests::Backend;
    use periskop_core::config::{decode, parse};

    async fn refresh(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Option<Found> {
        let backend = Backend::start(move |request, _| answer(request)).await;
        let settings =
            format!("{{endpoint: '{}', region: r, access_key: A, secret_key: x}}", backend.url);
        let config = decode(&parse(&settings).unwrap(), Ec2Config::decode).unwrap();
        let session = Session::new(&config.aws, &BuildOptions::default()).unwrap();
        let mut discovery = Ec2Discovery { session, port: 80, filters: Vec::new(), zones: None };
        discovery.refresh().await.ok()
    }

    fn page(ip: &str, next: &str) -> (u16, String) {
        let instance =
            format!("<instanceId>i</instanceId><privateIpAddress>{ip}</privateIpAddress>");
        let set = format!("<item><instancesSet><item>{instance}</item></instancesSet></item>");
        let set = format!("<reservationSet>{set}</reservationSet><nextToken>{next}</nextToken>");
        (200, format!("<DescribeInstancesResponse>{set}</DescribeInstancesResponse>"))
    }

    #[tokio::test]
    async fn all_pages_are_read_and_zones_need_not_be_known() {
        let found = refresh(|request| match request {
            _ if request.contains("Action=DescribeAvailabilityZones") => (403, String::new()),
            _ if request.contains("NextToken=two") => page("10.0.0.2", ""),
            _ => page("10.0.0.1", "two"),
        });
        let groups = found.await.unwrap().groups;
        let addresses: Vec<_> = groups[0].targets.iter().map(|t| t.get(ADDRESS)).collect();
        assert_eq!(addresses, ["10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(groups[0].source, "r");
    }

    #[tokio::test]
    async fn a_part_of_the_pages_is_not_told() {
        let found = refresh(|request| match request.contains("NextToken=two") {
            true => (400, String::new()),
            false => page("10.0.0.1", "two"),
        });
        assert!(found.await.is_none());
    }

    #[test]
    fn an_interface_with_an_absurd_number_takes_no_memory() {
        let address =
            "<item><ipv6Address>fd00::1</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item>";
        let interface = format!(
            "<item><subnetId>s</subnetId><attachment><deviceIndex>4294967295</deviceIndex>\
             </attachment><ipv6AddressesSet>{address}</ipv6AddressesSet></item>"
        );
        let xml = format!("<i><networkInterfaceSet>{interface}</networkInterfaceSet></i>");
        let document = crate::xml::Document::parse(xml.as_bytes()).unwrap();
        let ipv6 = Ipv6::of(document.root());
        assert_eq!((ipv6.primary.len(), ipv6.usual()), (0, Some("fd00::1")));
    }
}
