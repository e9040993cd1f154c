//! Ingresses: a target for each path of each host.

use periskop_core::target::{Labels, TargetGroup};

use super::config::Attach;
use super::labels::{NAMESPACE, add_namespace, add_object};
use super::objects::{Ingress, IngressRule};
use super::store::Stores;
use crate::groups::ADDRESS;

/// The group of an ingress.
pub(super) fn group(
    ingress: &Ingress,
    source: String,
    stores: &Stores,
    attach: Attach,
) -> TargetGroup {
    let (meta, spec) = (&ingress.metadata, &ingress.spec);
    let mut group = TargetGroup { source, ..TargetGroup::default() };
    group.labels.insert(NAMESPACE, &*meta.namespace);
    if let Some(class) = &spec.ingress_class_name {
        group.labels.insert("__meta_kubernetes_ingress_class_name", &**class);
    }
    add_object(&mut group.labels, "ingress", &meta.name, &meta.labels, &meta.annotations);
    add_namespace(&mut group.labels, &meta.namespace, stores, attach);
    for rule in &spec.rules {
        let mut hosts = spec.tls.iter().flat_map(|tls| &tls.hosts);
        let scheme =
            if hosts.any(|pattern| covers(pattern, &rule.host)) { "https" } else { "http" };
        for path in paths(rule) {
            group.targets.push(Labels::from([
                (ADDRESS, &*rule.host),
                ("__meta_kubernetes_ingress_scheme", scheme),
                ("__meta_kubernetes_ingress_host", &*rule.host),
                ("__meta_kubernetes_ingress_path", path),
            ]));
        }
    }
    group
}

/// A rule without paths at all is for everything, one with an empty list is for nothing.
fn paths(rule: &IngressRule) -> Vec<&str> {
    match &rule.http {
        None => vec!["/"],
        Some(http) => {
            let paths = http.paths.iter().map(|path| &*path.path);
            paths.map(|path| if path.is_empty() { "/" } else { path }).collect()
        }
    }
}

/// Whether a TLS host is `host`; `*.` stands for one label.
fn covers(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    let (mut patterns, mut labels) = (pattern.split('.'), host.split('.'));
    patterns.next() == Some("*") && labels.next().is_some() && patterns.eq(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        for (pattern, host, wanted) in [
            ("a.example", "a.example", true),
            ("*.example", "a.example", true),
            ("*.example", "b.a.example", false),
            ("*.example", "example", false),
            ("*", "example", true),
            ("a.*", "a.b", false),
            ("", "a", false),
        ] {
            assert_eq!(covers(pattern, host), wanted, "{pattern} {host}");
        }
    }

    #[test]
    fn no_rule_about_http_is_everything_and_an_empty_one_is_nothing() {
        let rule = |json| crate::go_json::from_value::<IngressRule>(json).unwrap();
        assert_eq!(paths(&rule(serde_json::json!({"host": "a"}))), ["/"]);
        assert_eq!(paths(&rule(serde_json::json!({"http": {}}))), [""; 0]);
        let two = serde_json::json!({"http": {"paths": [{}, {"path": "/x"}]}});
        assert_eq!(paths(&rule(two)), ["/", "/x"]);
    }
}
