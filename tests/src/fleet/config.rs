//! The configuration of a server that scrapes the fleet.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::addresses::Addresses;
use super::{Fleet, Plan};

/// Where the configuration is written: a file, and beside it one with the targets of each service.
#[derive(Clone, Debug)]
pub struct Configuration {
    file: PathBuf,
    /// Lines for the end of the file, such as a `repository`.
    pub more: String,
}

impl Configuration {
    /// One that is written to this file.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), more: String::new() }
    }

    /// Writes it, and the targets of every service.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write(&self, fleet: &Fleet, addresses: Addresses) -> io::Result<()> {
        let plan = fleet.plan();
        self.write_targets(fleet, addresses, |_| true)?;
        let mut yaml =
            "# Written by fleet. A server that is started with this scrapes it.\nservices:\n"
                .to_owned();
        for service in 0..plan.services {
            // As JSON, which YAML understands.
            let targets = json!(std::path::absolute(self.targets(service))?);
            let discovery = format!("file_sd_configs: [{{files: [{targets}]}}]");
            service_of(&mut yaml, &Fleet::service_name(service), &discovery, "/-/exceptions", plan);
        }
        yaml.push_str(&self.more);
        replace(&self.file, yaml.as_bytes())
    }

    /// Writes one that scrapes gateways, each for a service.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_gateways(&self, plan: &Plan, gateways: &[String]) -> io::Result<()> {
        let mut yaml =
            "# Written by fleet, which pushes to these gateways.\nservices:\n".to_owned();
        for (service, gateway) in gateways.iter().enumerate() {
            let discovery = format!("static_configs: [{{targets: ['{gateway}']}}]");
            service_of(&mut yaml, &Fleet::service_name(service), &discovery, "/-/errors", plan);
        }
        yaml.push_str(&self.more);
        replace(&self.file, yaml.as_bytes())
    }

    /// Writes the targets of some services again.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write_targets(
        &self,
        fleet: &Fleet,
        addresses: Addresses,
        whose: impl Fn(usize) -> bool,
    ) -> io::Result<()> {
        let mut targets = vec![Vec::new(); fleet.plan().services];
        for (serial, service) in fleet.addresses() {
            targets[service].push(addresses.of(serial).to_string());
        }
        for (service, targets) in targets.into_iter().enumerate().filter(|(n, _)| whose(*n)) {
            let zones = ["a", "b", "c"].iter().enumerate().map(|(n, zone)| {
                let targets: Vec<_> = targets.iter().skip(n).step_by(3).collect();
                json!({ "targets": targets, "labels": { "zone": zone } })
            });
            let groups = zones.collect::<serde_json::Value>();
            replace(&self.targets(service), groups.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn targets(&self, service: usize) -> PathBuf {
        self.file.with_extension(format!("targets-{service:03}.json"))
    }
}

fn service_of(yaml: &mut String, name: &str, discovery: &str, endpoint: &str, plan: &Plan) {
    let interval = plan.interval.as_millis();
    let written = write!(
        yaml,
        "- name: {name}\n  {discovery}\n  scraper:\n    endpoint: {endpoint}\n    \
         refresh_interval: {interval}ms\n    enable_compression: {}\n",
        plan.gzip
    );
    written.expect("memory can be written to");
}

/// At once, for whoever reads at the same time.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::serve::now;

    #[test]
    fn every_instance_is_a_target_of_its_service() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("periskop.yaml");
        let fleet = Fleet::new(Plan { instances: 7, services: 2, ..Plan::default() }, now());
        let addresses = Addresses::from("127.1.0.1".parse().unwrap(), 9800).unwrap();
        Configuration::at(&file).write(&fleet, addresses).unwrap();
        let yaml = fs::read_to_string(&file).unwrap();
        assert!(yaml.contains("- name: fleet-001\n"), "{yaml}");
        assert!(yaml.contains("/periskop.targets-001.json\"]"), "{yaml}");
        let read = |n| {
            let file = directory.path().join(format!("periskop.targets-00{n}.json"));
            let groups: Vec<serde_json::Value> =
                serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            let targets = groups.iter().flat_map(|group| group["targets"].as_array().unwrap());
            let mut targets: Vec<_> = targets.map(|t| t.as_str().unwrap().to_owned()).collect();
            targets.sort();
            targets
        };
        assert_eq!(
            read(0),
            ["127.1.0.1:9800", "127.1.0.3:9800", "127.1.0.5:9800", "127.1.0.7:9800"]
        );
        assert_eq!(read(1), ["127.1.0.2:9800", "127.1.0.4:9800", "127.1.0.6:9800"]);
    }
}
