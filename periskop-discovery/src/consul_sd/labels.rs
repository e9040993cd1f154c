//! From the instances of a service to a target group.

use std::collections::BTreeMap;

use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;

use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize, wrapped};

/// An instance: `ServiceEntry` of Consul's health API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Entry {
    node: Node,
    service: Service,
    checks: Vec<Check>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Node {
    node: String,
    address: String,
    tagged_addresses: BTreeMap<String, String>,
    meta: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    port: i64,
    address: String,
    namespace: String,
    partition: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    #[serde(rename = "Status")]
    status: String,
}

/// The group of a service; its source is the service's name.
pub(super) fn group(
    service: &str,
    datacenter: &str,
    entries: &[Entry],
    tag_separator: &str,
) -> TargetGroup {
    TargetGroup {
        source: service.to_owned(),
        labels: Labels::from([
            ("__meta_consul_service", service),
            ("__meta_consul_dc", datacenter),
        ]),
        targets: entries.iter().map(|entry| target(entry, tag_separator)).collect(),
    }
}

fn target(entry: &Entry, tag_separator: &str) -> Labels {
    let Entry { node, service, checks } = entry;
    // A service may be registered through another node than the one that it runs on.
    let host = if service.address.is_empty() { &node.address } else { &service.address };
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(host, service.port)),
        ("__meta_consul_address", node.address.clone()),
        ("__meta_consul_node", node.node.clone()),
        ("__meta_consul_namespace", service.namespace.clone()),
        ("__meta_consul_partition", service.partition.clone()),
        ("__meta_consul_tags", wrapped(&service.tags, tag_separator)),
        ("__meta_consul_service_address", service.address.clone()),
        ("__meta_consul_service_port", service.port.to_string()),
        ("__meta_consul_service_id", service.id.clone()),
        ("__meta_consul_health", health(checks).to_owned()),
    ]);
    let prefixed = [
        ("__meta_consul_metadata_", &node.meta),
        ("__meta_consul_service_metadata_", &service.meta),
        ("__meta_consul_tagged_address_", &node.tagged_addresses),
    ];
    for (prefix, values) in prefixed {
        for (name, value) in values {
            labels.insert(format!("{prefix}{}", sanitize(name)), value.as_str());
        }
    }
    labels
}

/// The worst of all checks, as Consul's client has it; `""` where one has a status that is none.
fn health(checks: &[Check]) -> &'static str {
    let mut worst = 0;
    for check in checks {
        let maintained =
            check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:");
        worst = worst.max(match check.status.as_str() {
            _ if maintained => 3,
            "critical" => 2,
            "warning" => 1,
            "passing" => 0,
            _ => return "",
        });
    }
    match worst {
        0 => "passing",
        1 => "warning",
        2 => "critical",
        _ => "maintenance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_is_that_of_the_worst_check() {
        let check = |id: &str, status: &str| Check { id: id.into(), status: status.into() };
        let health = |checks: &[(&str, &str)]| {
            let checks: Vec<_> = checks.iter().map(|(id, status)| check(id, status)).collect();
            super::health(&checks)
        };
        assert_eq!(health(&[]), "passing");
        assert_eq!(health(&[("a", "passing"), ("b", "warning")]), "warning");
        assert_eq!(health(&[("a", "critical"), ("b", "warning")]), "critical");
        assert_eq!(health(&[("a", "critical"), ("_node_maintenance", "?")]), "maintenance");
        assert_eq!(health(&[("_service_maintenance:x", "critical")]), "maintenance");
        assert_eq!(health(&[("_node_maintenance", ""), ("b", "odd")]), "");
    }

    #[test]
    fn a_node_or_service_that_is_null_has_empty_labels() {
        let json = br#"[{"Node": null, "Service": null, "Checks": null}]"#;
        let entries: Vec<Entry> = crate::go_json::from_slice(json).unwrap();
        let group = group("web", "dc1", &entries, ",");
        assert_eq!(group.targets[0].get(ADDRESS), ":0");
        assert_eq!(group.targets[0].get("__meta_consul_tags"), ",,");
    }
}
