//! What is told of a server, and its labels.

use periskop_core::discovery::DiscoveryError;
use periskop_core::target::Labels;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded::byte_serialize;

use super::Service;
use super::addresses::Addresses;
use super::client::OvhClient;
use crate::groups::ADDRESS;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Vps {
    zone: String,
    model: VpsModel,
    display_name: String,
    cluster: String,
    state: String,
    name: String,
    netboot_mode: String,
    memory_limit: i64,
    offer_type: String,
    vcore: i64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VpsModel {
    /// So it is written there.
    #[serde(rename = "maximumAdditionnalIp")]
    maximum_additional_ip: i64,
    offer: String,
    datacenter: Vec<String>,
    vcore: i64,
    version: String,
    name: String,
    disk: i64,
    memory: i64,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dedicated {
    state: String,
    commercial_range: String,
    link_speed: i64,
    rack: String,
    no_intervention: bool,
    os: String,
    support_level: String,
    server_id: i64,
    reverse: String,
    datacenter: String,
    name: String,
}

/// Asks for a server and its addresses.
async fn ask<T: DeserializeOwned>(
    client: &OvhClient,
    service: Service,
    name: &str,
) -> Result<(T, Addresses), DiscoveryError> {
    let name: String = byte_serialize(name.as_bytes()).collect();
    let path = format!("{}/{name}", service.path());
    let server = client.get(&path).await?;
    let answer = client.answer(&format!("{path}/ips")).await?;
    let list: Vec<String> = answer.json()?;
    let addresses = Addresses::parse(&list).map_err(|reason| answer.invalid(reason))?;
    Ok((server, addresses))
}

pub(super) async fn vps(client: &OvhClient, name: &str) -> Result<Labels, DiscoveryError> {
    let (vps, addresses): (Vps, _) = ask(client, Service::Vps, name).await?;
    let model = vps.model;
    Ok(labels(
        "vps",
        vps.name,
        &addresses,
        [
            ("offer", model.offer),
            // As Go prints a list.
            ("datacenter", format!("[{}]", model.datacenter.join(" "))),
            ("model_vcore", model.vcore.to_string()),
            ("maximum_additional_ip", model.maximum_additional_ip.to_string()),
            ("version", model.version),
            ("model_name", model.name),
            ("disk", model.disk.to_string()),
            ("memory", model.memory.to_string()),
            ("zone", vps.zone),
            ("display_name", vps.display_name),
            ("cluster", vps.cluster),
            ("state", vps.state),
            ("netboot_mode", vps.netboot_mode),
            ("memory_limit", vps.memory_limit.to_string()),
            ("offer_type", vps.offer_type),
            ("vcore", vps.vcore.to_string()),
        ],
    ))
}

pub(super) async fn dedicated(client: &OvhClient, name: &str) -> Result<Labels, DiscoveryError> {
    let (server, addresses): (Dedicated, _) = ask(client, Service::DedicatedServer, name).await?;
    Ok(labels(
        "dedicated_server",
        server.name,
        &addresses,
        [
            ("state", server.state),
            ("commercial_range", server.commercial_range),
            ("link_speed", server.link_speed.to_string()),
            ("rack", server.rack),
            ("no_intervention", server.no_intervention.to_string()),
            ("os", server.os),
            ("support_level", server.support_level),
            ("server_id", server.server_id.to_string()),
            ("reverse", server.reverse),
            ("datacenter", server.datacenter),
        ],
    ))
}

fn labels<const N: usize>(
    kind: &str,
    name: String,
    addresses: &Addresses,
    more: [(&str, String); N],
) -> Labels {
    let mut labels = Labels::from([(ADDRESS, addresses.first()), ("instance", name.clone())]);
    let common = [("name", name), ("ipv4", addresses.v4()), ("ipv6", addresses.v6())];
    for (key, value) in common.into_iter().chain(more) {
        labels.insert(format!("__meta_ovhcloud_{kind}_{key}"), value);
    }
    labels
}
