//! Dedicated servers (Elastic Metal).

use std::collections::BTreeMap;

use periskop_core::discovery::DiscoveryError;
use periskop_core::target::Labels;
use serde::Deserialize;

use super::{PER_PAGE, Page, ScalewayDiscovery};
use crate::backend::shown;
use crate::groups::ADDRESS;
use crate::ip;
use crate::label::{join_host_port, wrapped};

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
    zone: String,
    status: String,
    project_id: String,
    offer_id: String,
    install: Option<Install>,
    tags: Vec<String>,
    ips: Vec<Ip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Install {
    os_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    address: String,
    version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Offers {
    offers: Vec<Offer>,
    total_count: u64,
}

impl Page for Offers {
    type Item = Offer;

    fn open(self) -> (Vec<Offer>, u64) {
        (self.offers, self.total_count)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Offer {
    id: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Systems {
    os: Vec<System>,
    total_count: u64,
}

impl Page for Systems {
    type Item = System;

    fn open(self) -> (Vec<System>, u64) {
        (self.os, self.total_count)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct System {
    id: String,
    name: String,
    version: String,
}

impl ScalewayDiscovery {
    pub(super) async fn servers(&self) -> Result<Vec<Labels>, DiscoveryError> {
        let config = &self.config;
        let path = |list: &str| format!("/baremetal/v1/zones/{}/{list}", config.zone);
        let paged = [("page_size", PER_PAGE)];
        let mut query = paged.to_vec();
        if !config.name_filter.is_empty() {
            query.push(("name", &config.name_filter));
        }
        query.extend(config.tags_filter.iter().map(|tag| ("tags", tag.as_str())));
        let servers = self.all::<Servers>(&path("servers"), &query).await?;
        let offers = by_id(self.all::<Offers>(&path("offers"), &paged).await?, |o| o.id.clone());
        let systems = by_id(self.all::<Systems>(&path("os"), &paged).await?, |s| s.id.clone());
        let target = |server| {
            target(server, &offers, &systems, config.api.port)
                .map_err(|reason| DiscoveryError::Invalid { endpoint: shown(&self.url), reason })
        };
        servers.iter().map(target).collect()
    }
}

/// The first of each id.
fn by_id<T>(items: Vec<T>, id: impl Fn(&T) -> String) -> BTreeMap<String, T> {
    let mut by_id = BTreeMap::new();
    for item in items {
        by_id.entry(id(&item)).or_insert(item);
    }
    by_id
}

/// The target of a server, whose address is its first of version 4, else of version 6, else there
/// is none.
fn target(
    server: &Server,
    offers: &BTreeMap<String, Offer>,
    systems: &BTreeMap<String, System>,
    port: u16,
) -> Result<Labels, String> {
    let mut labels = Labels::from(
        [
            ("id", &server.id),
            ("name", &server.name),
            ("zone", &server.zone),
            ("status", &server.status),
            ("project_id", &server.project_id),
        ]
        .map(|(name, value)| (label(name), value.clone())),
    );
    if let Some(offer) = offers.get(&server.offer_id) {
        labels.insert(label("type"), offer.name.as_str());
    }
    if let Some(system) = server.install.as_ref().and_then(|install| systems.get(&install.os_id)) {
        labels.insert(label("os_name"), system.name.as_str());
        labels.insert(label("os_version"), system.version.as_str());
    }
    if !server.tags.is_empty() {
        labels.insert(label("tags"), wrapped(&server.tags, ","));
    }
    for (version, name) in [("IPv6", "public_ipv6"), ("IPv4", "public_ipv4")] {
        if let Some(found) = server.ips.iter().find(|ip| version_of(ip) == version) {
            let address = ip::address(&found.address);
            labels.insert(ADDRESS, join_host_port(&address, port));
            labels.insert(label(name), address);
        }
    }
    match server.ips.iter().map(version_of).find(|version| !matches!(*version, "IPv4" | "IPv6")) {
        Some(unknown) => Err(format!("unknown IP version: {unknown}")),
        None => Ok(labels),
    }
}

/// Scaleway's library takes one that is not told for version 4.
fn version_of(ip: &Ip) -> &str {
    if ip.version.is_empty() { "IPv4" } else { &ip.version }
}

fn label(name: &str) -> String {
    format!("__meta_scaleway_baremetal_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn read(json: &str) -> Result<Labels, String> {
        let offers = BTreeMap::from([("o".into(), Offer { id: "o".into(), name: "EM-A".into() })]);
        let system = System { id: "s".into(), name: "Debian".into(), version: "12".into() };
        let server = go_json::from_slice(json.as_bytes()).unwrap();
        target(&server, &offers, &BTreeMap::from([("s".into(), system)]), 9100)
    }

    #[test]
    fn the_address_is_the_first_of_version_4_else_of_version_6() {
        let both = r#"{"offer_id":"o","install":{"os_id":"s"},"ips":[
            {"address":"2001:db8::1","version":"IPv6"},{"address":"192.0.2.1","version":"IPv4"},
            {"address":"192.0.2.2","version":"IPv4"}]}"#;
        let labels = read(both).unwrap();
        assert_eq!(labels.get(ADDRESS), "192.0.2.1:9100");
        assert_eq!(labels.get("__meta_scaleway_baremetal_public_ipv6"), "2001:db8::1");
        assert_eq!(labels.get("__meta_scaleway_baremetal_type"), "EM-A");
        assert_eq!(labels.get("__meta_scaleway_baremetal_os_version"), "12");
        let ipv6 = r#"{"ips":[{"address":"2001:db8::1","version":"IPv6"}]}"#;
        assert_eq!(read(ipv6).unwrap().get(ADDRESS), "[2001:db8::1]:9100");
        assert!(!read("{}").unwrap().contains(ADDRESS));
    }

    #[test]
    fn a_version_that_does_not_exist_is_an_error() {
        let error = read(r#"{"ips":[{"address":"x","version":"IPv5"}]}"#).unwrap_err();
        assert_eq!(error, "unknown IP version: IPv5");
    }
}
