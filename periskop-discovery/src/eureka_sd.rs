//! `eureka_sd_configs`: the instances that are registered with a Eureka server.
//!
//! API: `GET /apps` below the server's URL, as XML.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use url::Url;

use crate::api::interval_entry;
use crate::backend::{Backend, PATIENCE};
use crate::build::{BuildError, BuildOptions};
use crate::go_url::GoUrl;
use crate::groups::ADDRESS;
use crate::http_client::{HttpClientConfig, redact_text};
use crate::label::{join_host_port, quoted, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use crate::xml::{Document, Element};

/// Prometheus's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
const SOURCE: &str = "eureka";

/// One item of `eureka_sd_configs`.
#[derive(Clone, PartialEq, Eq)]
pub struct EurekaConfig {
    /// The server's URL, such as `http://eureka:8761/eureka`.
    pub server: String,
    /// How often. Default 30s.
    pub refresh_interval: Duration,
    /// How HTTP is spoken.
    pub http: HttpClientConfig,
}

impl EurekaConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            server: fields.string("server").unwrap_or_default(),
            refresh_interval: fields.duration("refresh_interval").unwrap_or(REFRESH_INTERVAL),
            http: HttpClientConfig::take(&mut fields),
        };
        if config.server.is_empty() {
            fields.problem("server", "eureka_sd: empty or null eureka server");
        } else {
            match GoUrl::parse(&config.server) {
                Ok(url) if url.scheme.is_empty() || url.host.is_empty() => {
                    fields.problem("server", "eureka_sd: invalid eureka server URL");
                }
                Ok(_) => {}
                Err(message) => fields.problem("server", message),
            }
        }
        fields.finish();
        Some(config)
    }
}

impl Mechanism for EurekaConfig {
    fn name(&self) -> &'static str {
        "eureka"
    }

    fn effective(&self) -> Node {
        let mut entries = vec![("server", redact_text(&self.server).into())];
        entries.extend(self.http.effective());
        entries.extend(interval_entry(self.refresh_interval));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.http.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = EurekaDiscovery {
            backend: Backend::new(&self.http, options, PATIENCE)?,
            url: Url::parse(&format!("{}/apps", self.server)).map_err(BuildError::Url)?,
        };
        Ok(options.poll(discovery, self.refresh_interval))
    }
}

/// The server may be written with a password.
impl std::fmt::Debug for EurekaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EurekaConfig").field(&self.effective().to_string()).finish()
    }
}

struct EurekaDiscovery {
    backend: Backend,
    url: Url,
}

#[async_trait]
impl Refresh for EurekaDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let answer = self.backend.get(self.url.clone()).send().await?;
        if !answer.status.is_success() {
            let status = answer.status.as_u16();
            return Err(answer.invalid(format!(
                "non 2xx status '{status}' response during eureka service discovery"
            )));
        }
        let document = answer.xml()?;
        let targets = targets(&document).map_err(|reason| answer.invalid(reason))?;
        Ok(vec![TargetGroup { source: SOURCE.into(), targets, ..TargetGroup::default() }].into())
    }
}

fn targets(document: &Document) -> Result<Vec<Labels>, String> {
    let root = document.root();
    // Any other document, such as a page to log in with, names no applications either.
    if root.name != "applications" {
        return Err("not a list of applications".into());
    }
    let mut targets = Vec::new();
    for app in root.all(&[], "application") {
        for instance in app.all(&[], "instance") {
            targets.push(target(document, app.text_at(&["name"]), instance)?);
        }
    }
    Ok(targets)
}

fn target(document: &Document, app: &str, instance: &Element) -> Result<Labels, String> {
    let port = instance.child("port");
    let number = |element: &Element| integer(element.text());
    let address_port = port.map_or(Ok(80), number)?;
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(instance.text_at(&["hostName"]), address_port).as_str()),
        ("instance", instance.text_at(&["instanceId"])),
        ("__meta_eureka_app_name", app),
    ]);
    for (name, element) in [
        ("hostname", "hostName"),
        ("homepage_url", "homePageUrl"),
        ("statuspage_url", "statusPageUrl"),
        ("healthcheck_url", "healthCheckUrl"),
        ("ip_addr", "ipAddr"),
        ("vip_address", "vipAddress"),
        ("secure_vip_address", "secureVipAddress"),
        ("status", "status"),
        ("id", "instanceId"),
    ] {
        let value = instance.text_at(&[element]);
        labels.insert(format!("__meta_eureka_app_instance_{name}"), value);
    }
    let country = integer(instance.text_at(&["countryId"]))?;
    labels.insert("__meta_eureka_app_instance_country_id", country.to_string());
    for (name, port) in [("port", port), ("secure_port", instance.child("securePort"))] {
        let Some(port) = port else { continue };
        let enabled = boolean(port.attribute("enabled"))?;
        labels.insert(format!("__meta_eureka_app_instance_{name}"), number(port)?.to_string());
        labels.insert(format!("__meta_eureka_app_instance_{name}_enabled"), enabled.to_string());
    }
    if let Some(datacenter) = instance.child("dataCenterInfo") {
        let name = datacenter.text_at(&["name"]);
        labels.insert("__meta_eureka_app_instance_datacenterinfo_name", name);
        let prefix = "__meta_eureka_app_instance_datacenterinfo_metadata_";
        insert_metadata(&mut labels, prefix, document, datacenter.child("metadata"));
    }
    let prefix = "__meta_eureka_app_instance_metadata_";
    insert_metadata(&mut labels, prefix, document, instance.child("metadata"));
    Ok(labels)
}

/// Every element is a name, and what is written in it the value: entities stay as they are.
fn insert_metadata(
    labels: &mut Labels,
    prefix: &str,
    document: &Document,
    metadata: Option<&Element>,
) {
    for item in metadata.into_iter().flat_map(|metadata| &metadata.children) {
        labels.insert(format!("{prefix}{}", sanitize(&item.name)), document.inner(item));
    }
}

/// As Go reads numbers in XML.
fn integer(text: &str) -> Result<i64, String> {
    match text.trim() {
        "" => Ok(0),
        trimmed => trimmed.parse().map_err(|_| format!("{} is no number", quoted(trimmed))),
    }
}

/// As Go reads booleans in XML.
fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(format!("{} is neither true nor false", quoted(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(instances: &str) -> Result<Vec<Labels>, String> {
        let xml = format!(
            "<applications><application><name>APP</name>{instances}</application></applications>"
        );
        targets(&Document::parse(xml.as_bytes()).unwrap())
    }

    #[test]
    fn an_instance_without_a_port_is_on_port_80() {
        let labels = &found("<instance><hostName>a</hostName></instance>").unwrap()[0];
        assert_eq!(labels.get(ADDRESS), "a:80");
        assert!(!labels.contains("__meta_eureka_app_instance_port"));
        assert_eq!(labels.get("__meta_eureka_app_instance_country_id"), "0");
    }

    #[test]
    fn metadata_is_told_as_it_is_written() {
        let xml = "<instance><metadata class='x'><a.b>1 &lt; 2</a.b><c/></metadata></instance>";
        let labels = &found(xml).unwrap()[0];
        assert_eq!(labels.get("__meta_eureka_app_instance_metadata_a_b"), "1 &lt; 2");
        assert!(labels.contains("__meta_eureka_app_instance_metadata_c"));
    }

    #[test]
    fn what_has_another_form_fails_the_whole() {
        assert!(found("<instance><port>x</port></instance>").is_err());
        assert!(found("<instance><port enabled='y'>1</port></instance>").is_err());
        let page = Document::parse(b"<html><body>log in</body></html>").unwrap();
        assert!(targets(&page).is_err());
    }
}
