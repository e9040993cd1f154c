//! From a task and what is around it to a target.

use std::collections::HashMap;

use periskop_core::target::Labels;

use super::api::{Cluster, Instance, Service, Tag, Task};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};

/// What is around the tasks of a cluster.
pub(super) struct Surroundings<'a> {
    pub(super) cluster: &'a Cluster,
    /// By their names.
    pub(super) services: HashMap<String, Service>,
    /// The identifiers of instances of EC2, by the ARNs that ECS has for them.
    pub(super) on: HashMap<String, String>,
    /// By their identifiers.
    pub(super) instances: HashMap<String, Instance>,
    /// Of interfaces, by their identifiers.
    pub(super) public_ips: HashMap<String, String>,
    pub(super) region: &'a str,
    pub(super) port: u16,
}

/// Where a task can be reached.
#[derive(Default)]
struct Place<'a> {
    mode: &'static str,
    ip: &'a str,
    public_ip: &'a str,
    subnet_id: &'a str,
}

/// `None` for a task without an address.
pub(super) fn target(task: &Task, around: &Surroundings<'_>) -> Option<Labels> {
    let instance_id = task.container_instance_arn.as_ref().and_then(|arn| around.on.get(arn));
    let instance = instance_id.and_then(|id| around.instances.get(id));
    let place = place(task, instance, around);
    if place.ip.is_empty() {
        return None;
    }
    let mut labels = Labels::from([
        (ADDRESS, join_host_port(place.ip, around.port)),
        ("__meta_ecs_region", around.region.to_owned()),
    ]);
    let mut set = |name: &str, value: &str| labels.insert(format!("__meta_ecs_{name}"), value);
    set("ip_address", place.ip);
    set("launch_type", &task.launch_type);
    set("health_status", &task.health_status);
    set("network_mode", place.mode);
    for (name, value) in [
        ("cluster_arn", &around.cluster.cluster_arn),
        ("cluster", &around.cluster.cluster_name),
        ("task_group", &task.group),
        ("task_arn", &task.task_arn),
        ("task_definition", &task.task_definition_arn),
        ("availability_zone", &task.availability_zone),
        ("desired_status", &task.desired_status),
        ("last_status", &task.last_status),
        ("container_instance_arn", &task.container_instance_arn),
        ("platform_family", &task.platform_family),
        ("platform_version", &task.platform_version),
    ] {
        if let Some(value) = value {
            set(name, value);
        }
    }
    let of_instance = |of: fn(&Instance) -> &str| instance.map_or("", of);
    for (name, value) in [
        ("subnet_id", place.subnet_id),
        ("public_ip", place.public_ip),
        ("ec2_instance_id", instance_id.map_or("", String::as_str)),
        ("ec2_instance_type", of_instance(|instance| &instance.kind)),
        ("ec2_instance_private_ip", of_instance(|instance| &instance.private_ip)),
        ("ec2_instance_public_ip", of_instance(|instance| &instance.public_ip)),
    ] {
        if !value.is_empty() {
            set(name, value);
        }
    }
    set_tags(&mut labels, "cluster", &around.cluster.tags);
    let service = task.group.as_deref().and_then(|group| group.strip_prefix("service:"));
    if let Some(service) = service.and_then(|name| around.services.get(name)) {
        for (name, value) in [
            ("service", &service.service_name),
            ("service_arn", &service.service_arn),
            ("service_status", &service.status),
        ] {
            if let Some(value) = value {
                labels.insert(format!("__meta_ecs_{name}"), value);
            }
        }
        set_tags(&mut labels, "service", &service.tags);
    }
    set_tags(&mut labels, "task", &task.tags);
    for (key, value) in instance.map(|instance| &instance.tags).into_iter().flatten() {
        labels.insert(format!("__meta_ecs_tag_ec2_{}", sanitize(key)), value);
    }
    Some(labels)
}

/// A task has an interface of its own, or shares those of the instance that it runs on.
fn place<'a>(
    task: &'a Task,
    instance: Option<&'a Instance>,
    around: &'a Surroundings<'_>,
) -> Place<'a> {
    if let Some(interface) = task.interface() {
        let detail = |name| interface.detail(name).unwrap_or_default();
        let public_ip = around.public_ips.get(detail("networkInterfaceId"));
        return Place {
            mode: "awsvpc",
            ip: detail("privateIPv4Address"),
            public_ip: public_ip.map_or("", String::as_str),
            subnet_id: detail("subnetId"),
        };
    }
    match instance {
        Some(instance) => Place {
            mode: "bridge",
            ip: &instance.private_ip,
            public_ip: &instance.public_ip,
            subnet_id: &instance.subnet_id,
        },
        None => Place::default(),
    }
}

fn set_tags(labels: &mut Labels, of: &str, tags: &[Tag]) {
    for tag in tags {
        if let Tag { key: Some(key), value: Some(value) } = tag {
            labels.insert(format!("__meta_ecs_tag_{of}_{}", sanitize(key)), value);
        }
    }
}
