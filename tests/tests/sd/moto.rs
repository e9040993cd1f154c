//! Discovery of AWS beside moto's server, which checks signatures and policies.
//!
//! `PERISKOP_PYTHON` names an interpreter with moto and boto3; `scripts/test` prepares one.

use std::collections::BTreeMap;

use periskop_core::config::{self, At, Problems};
use periskop_core::discovery::Discovery;
use periskop_core::target::TargetGroup;
use periskop_discovery::ec2_sd::Ec2Config;
use periskop_discovery::ecs_sd::EcsConfig;
use periskop_discovery::{BuildOptions, DiscoveryConfig, Environment, Mechanism};
use periskop_tests::process::Process;
use periskop_tests::{PATIENCE, skip, workspace};
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

/// What runs at moto's AWS: `tests/clients/aws_fleet.py`.
#[derive(Deserialize)]
struct Fleet {
    url: String,
    region: String,
    /// Private addresses of the instances of the shop that run.
    instances: BTreeMap<String, String>,
    zone: String,
    task: String,
    role: String,
    access_key: String,
    secret_key: String,
}

impl Fleet {
    /// None, and the test is skipped, where there is no moto.
    async fn start() -> Option<(Process, Self)> {
        let Some(python) = std::env::var_os("PERISKOP_PYTHON") else {
            skip("PERISKOP_PYTHON names no interpreter with moto");
            return None;
        };
        let imports =
            Command::new(&python).args(["-c", "import boto3, moto.server"]).output().await;
        if !imports.is_ok_and(|output| output.status.success()) {
            skip("the interpreter of PERISKOP_PYTHON has no moto");
            return None;
        }
        let script = workspace::root().join("tests/clients/aws_fleet.py");
        let mut process = Process::start(Command::new(python).arg(script));
        let told = process.line_after("fleet ").await;
        Some((process, serde_json::from_str(&told).expect("the fleet as JSON")))
    }

    /// The settings of who may do nothing but become the role.
    fn as_role(&self) -> String {
        let Self { url, region, role, access_key, secret_key, .. } = self;
        format!(
            "endpoint: '{url}'\nregion: {region}\nport: 8080\nrole_arn: '{role}'\n\
             access_key: {access_key}\nsecret_key: '{secret_key}'\n"
        )
    }

    fn discovery<M: Mechanism + Clone + PartialEq>(
        &self,
        settings: &str,
        decode: fn(&At<'_>, &mut Problems) -> Option<M>,
    ) -> Box<dyn Discovery> {
        let root = config::parse(settings).expect("YAML");
        let config = config::decode(&root, decode).expect("settings of the mechanism");
        // Roles are assumed at, and instances asked for by the mechanism for ECS, moto's server.
        let environment = Environment::fixed([("AWS_ENDPOINT_URL", &self.url)]);
        let options = BuildOptions { environment, ..BuildOptions::default() };
        DiscoveryConfig::new(config).build(&options).expect("settings that work")
    }
}

/// The only group of the first look.
async fn first(mut discovery: Box<dyn Discovery>) -> Result<TargetGroup, String> {
    let told = timeout(PATIENCE, discovery.next()).await.expect("nothing is told");
    let mut groups = told.map_err(|error| error.to_string())?;
    assert_eq!(groups.len(), 1, "{groups:?}");
    Ok(groups.remove(0))
}

const SHOP: &str = "filters:\n- {name: 'tag:service', values: [shop]}\n\
                    - {name: instance-state-name, values: [running, pending]}\n";

#[tokio::test]
async fn instances_are_found_by_a_role_that_may_find_them() {
    let Some((_process, fleet)) = Fleet::start().await else { return };
    let settings = fleet.as_role() + SHOP;
    let group = first(fleet.discovery(&settings, Ec2Config::decode)).await.unwrap();
    assert_eq!(group.source, fleet.region);
    let mut found = BTreeMap::new();
    for target in &group.targets {
        let (id, ip) = (target.get("__meta_ec2_instance_id"), target.get("__meta_ec2_private_ip"));
        found.insert(id.to_owned(), ip.to_owned());
        assert_eq!(target.get("__address__"), format!("{ip}:8080"));
        assert_eq!(target.get("__meta_ec2_tag_service"), "shop");
        assert_eq!(target.get("__meta_ec2_availability_zone"), fleet.zone);
        assert_ne!(target.get("__meta_ec2_availability_zone_id"), "");
        assert!(target.get("__meta_ec2_subnet_id").starts_with(",subnet-"), "{target:?}");
    }
    assert_eq!(found, fleet.instances);
}

#[tokio::test]
async fn who_may_not_find_instances_or_signs_with_another_secret_is_told_so() {
    let Some((_process, fleet)) = Fleet::start().await else { return };
    let without_role = fleet.as_role().replace("role_arn", "external_id");
    let reason = first(fleet.discovery(&without_role, Ec2Config::decode)).await.unwrap_err();
    assert!(reason.contains("could not describe instances: HTTP status 403"), "{reason}");
    assert!(reason.contains("is not authorized to perform: ec2:DescribeInstances"), "{reason}");

    let wrong = without_role.replace(&fleet.secret_key, "wrong");
    let reason = first(fleet.discovery(&wrong, Ec2Config::decode)).await.unwrap_err();
    assert!(reason.contains("AuthFailure"), "{reason}");
}

#[tokio::test]
async fn a_task_is_found_at_the_interface_of_its_own() {
    let Some((_process, fleet)) = Fleet::start().await else { return };
    let group = first(fleet.discovery(&fleet.as_role(), EcsConfig::decode)).await.unwrap();
    let [target] = group.targets.as_slice() else { panic!("one task: {group:?}") };
    assert_eq!(target.get("__meta_ecs_task_arn"), fleet.task);
    assert_eq!(target.get("__meta_ecs_network_mode"), "awsvpc");
    assert_eq!(target.get("__meta_ecs_cluster"), "shop");
    let ip = target.get("__meta_ecs_ip_address");
    assert_eq!(target.get("__address__"), format!("{ip}:8080"));
    assert_eq!(target.get("__meta_ecs_tag_cluster_team"), "shop");
}
