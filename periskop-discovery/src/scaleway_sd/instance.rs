//! Virtual machines.

use std::collections::{BTreeMap, BTreeSet};

use periskop_core::discovery::DiscoveryError;
use periskop_core::target::Labels;
use serde::Deserialize;

use super::{PER_PAGE, Page, ScalewayDiscovery, region};
use crate::groups::ADDRESS;
use crate::ip;
use crate::label::{join_host_port, wrapped};

/// So many interfaces are asked for at once, so that the URL stays short.
const NICS_AT_ONCE: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Servers {
    servers: Vec<Server>,
    total_count: u64,
}

impl Page for Servers {
    type Item = Server;

    fn open(self) -> (Vec<Server>, u64) {
        (self.servers, self.total_count)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    id: String,
    name: String,
    hostname: String,
    organization: String,
    project: String,
    state: String,
    boot_type: String,
    commercial_type: String,
    zone: String,
    image: Option<Image>,
    location: Option<Location>,
    security_group: Option<SecurityGroup>,
    tags: Vec<String>,
    public_ips: Vec<PublicIp>,
    public_ip: Option<PublicIp>,
    ipv6: Option<PublicIp>,
    private_ip: Option<String>,
    private_nics: Vec<PrivateNic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    id: String,
    name: String,
    arch: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    cluster_id: String,
    hypervisor_id: String,
    node_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SecurityGroup {
    id: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PublicIp {
    address: String,
    family: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PrivateNic {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ips {
    ips: Vec<Ip>,
    total_count: u64,
}

impl Page for Ips {
    type Item = Ip;

    fn open(self) -> (Vec<Ip>, u64) {
        (self.ips, self.total_count)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    address: String,
    is_ipv6: bool,
    resource: Option<Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    id: String,
}

impl ScalewayDiscovery {
    pub(super) async fn instances(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let config = &self.config;
        let tags = config.tags_filter.join(",");
        let mut query = vec![("order", "creation_date_desc"), ("per_page", PER_PAGE)];
        if !config.name_filter.is_empty() {
            query.push(("name", &config.name_filter));
        }
        if !tags.is_empty() {
            query.push(("tags", &tags));
        }
        let path = format!("/instance/v1/zones/{}/servers", config.zone);
        let servers = self.all::<Servers>(&path, &query).await?;
        let mut private = BTreeMap::new();
        for (region, nics) in private_only(&servers) {
            let path = format!("/ipam/v1/regions/{region}/ips");
            for nics in nics.chunks(NICS_AT_ONCE) {
                let mut query =
                    vec![("page_size", PER_PAGE), ("resource_types", "instance_private_nic")];
                query.extend(nics.iter().map(|nic| ("resource_ids", *nic)));
                let ips = self.all::<Ips>(&path, &query).await?;
                private.extend(ips.into_iter().filter_map(private_ip));
            }
        }
        let target = |server| target(server, &private, config.api.port);
        Ok(servers.iter().filter_map(target).collect())
    }
}

/// The interfaces of servers whose addresses only the address management knows, by region.
fn private_only(servers: &[Server]) -> BTreeMap<&str, Vec<&str>> {
    let mut by_region = BTreeMap::<&str, BTreeSet<&str>>::new();
    for server in servers {
        if server.private_ip.is_some() || server.public_ip.is_some() || server.ipv6.is_some() {
            continue;
        }
        let Some(region) = region(&server.zone) else { continue };
        let nics = server.private_nics.iter().map(|nic| nic.id.as_str());
        by_region.entry(region).or_default().extend(nics.filter(|nic| !nic.is_empty()));
    }
    let listed = by_region.into_iter().map(|(region, nics)| (region, nics.into_iter().collect()));
    listed.collect()
}

/// An interface and its IPv4 address, which is written with the length of its network.
fn private_ip(ip: Ip) -> Option<(String, String)> {
    let address = ip.address.split('/').next().unwrap_or_default();
    let known = !ip.is_ipv6 && !address.is_empty();
    Some((ip.resource.filter(|_| known)?.id, ip::address(address)))
}

/// The target of a server; one without any address is none.
fn target(server: &Server, private: &BTreeMap<String, String>, port: u16) -> Option<Labels> {
    let mut labels = Labels::from(
        [
            ("boot_type", &server.boot_type),
            ("hostname", &server.hostname),
            ("id", &server.id),
            ("name", &server.name),
            ("organization_id", &server.organization),
            ("project_id", &server.project),
            ("status", &server.state),
            ("type", &server.commercial_type),
            ("zone", &server.zone),
        ]
        .map(|(name, value)| (label(name), value.clone())),
    );
    let mut set = |name: &str, value: &str| labels.insert(label(name), value);
    if let Some(image) = &server.image {
        set("image_arch", &image.arch);
        set("image_id", &image.id);
        set("image_name", &image.name);
    }
    if let Some(location) = &server.location {
        set("location_cluster_id", &location.cluster_id);
        set("location_hypervisor_id", &location.hypervisor_id);
        set("location_node_id", &location.node_id);
    }
    if let Some(group) = &server.security_group {
        set("security_group_id", &group.id);
        set("security_group_name", &group.name);
    }
    if let Some(region) = region(&server.zone) {
        set("region", region);
    }
    if !server.tags.is_empty() {
        set("tags", &wrapped(&server.tags, ","));
    }
    for (family, name) in [("inet", "public_ipv4_addresses"), ("inet6", "public_ipv6_addresses")] {
        let ips = server.public_ips.iter().filter(|ip| ip.family == family);
        let addresses: Vec<String> = ips.map(|ip| ip::address(&ip.address)).collect();
        if !addresses.is_empty() {
            set(name, &wrapped(addresses, ","));
        }
    }
    // Each of these is preferred to the ones before it.
    let mut address = String::new();
    if let Some(ip) = &server.ipv6 {
        address = ip::address(&ip.address);
        set("public_ipv6", &address);
    }
    if let Some(ip) = &server.public_ip {
        address = ip::address(&ip.address);
        if ip.family != "inet6" {
            set("public_ipv4", &address);
        }
    }
    if let Some(ip) = &server.private_ip {
        address.clone_from(ip);
        set("private_ipv4", ip);
    }
    let known = server.private_nics.iter().find_map(|nic| private.get(&nic.id));
    if let (true, Some(known)) = (address.is_empty(), known) {
        address.clone_from(known);
        set("private_ipv4", known);
    }
    if address.is_empty() {
        return None;
    }
    labels.insert(ADDRESS, join_host_port(&address, port));
    Some(labels)
}

fn label(name: &str) -> String {
    format!("__meta_scaleway_instance_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn read(json: &str, private: &[(&str, &str)]) -> Option<Labels> {
        let server = go_json::from_slice(json.as_bytes()).unwrap();
        let private = private.iter().map(|(nic, ip)| ((*nic).to_owned(), (*ip).to_owned()));
        target(&server, &private.collect(), 80)
    }

    #[test]
    fn a_private_address_is_preferred_to_a_public_one_and_that_to_ipv6() {
        let all = r#"{"private_ip":"10.0.0.1","public_ip":{"address":"192.0.2.1"},
            "ipv6":{"address":"2001:db8::1"},"private_nics":[{"id":"n"}]}"#;
        assert_eq!(read(all, &[("n", "10.9.9.9")]).unwrap().get(ADDRESS), "10.0.0.1:80");
        let public = r#"{"private_ip":null,"public_ip":{"address":"192.0.2.1","family":"inet"},
            "ipv6":{"address":"2001:db8::1"}}"#;
        assert_eq!(read(public, &[]).unwrap().get(ADDRESS), "192.0.2.1:80");
        let ipv6 = r#"{"public_ip":null,"ipv6":{"address":"2001:db8::1"}}"#;
        assert_eq!(read(ipv6, &[]).unwrap().get(ADDRESS), "[2001:db8::1]:80");
        let managed = r#"{"private_nics":[null,{"id":"m"},{"id":"n"}]}"#;
        assert_eq!(read(managed, &[("n", "10.9.9.9")]).unwrap().get(ADDRESS), "10.9.9.9:80");
        assert_eq!(read(managed, &[]), None, "an address that nobody knows");
    }

    #[test]
    fn addresses_are_asked_for_where_only_their_management_knows_them() {
        let json = r#"{"servers":[{"zone":"fr-par-1","private_nics":[{"id":"a"},{"id":""}]},
            {"zone":"fr-par-2","private_nics":[{"id":"b"},{"id":"a"}]},
            {"zone":"nl-ams-1","private_ip":"10.0.0.1","private_nics":[{"id":"c"}]},
            {"zone":"moon","private_nics":[{"id":"d"}]}]}"#;
        let page: Servers = go_json::from_slice(json.as_bytes()).unwrap();
        assert_eq!(private_only(&page.servers), BTreeMap::from([("fr-par", vec!["a", "b"])]));
    }

    #[test]
    fn only_addresses_of_version_4_of_something_count() {
        let read = |json: &str| private_ip(go_json::from_slice(json.as_bytes()).unwrap());
        let known = read(r#"{"address":"10.0.0.7/32","resource":{"id":"n"}}"#);
        assert_eq!(known, Some(("n".into(), "10.0.0.7".into())));
        assert_eq!(read(r#"{"address":"fd00::1/64","is_ipv6":true,"resource":{"id":"n"}}"#), None);
        assert_eq!(read(r#"{"address":"10.0.0.7/32","resource":null}"#), None);
        assert_eq!(read(r#"{"address":null,"resource":{"id":"n"}}"#), None);
    }
}
