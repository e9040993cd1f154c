//! What is asked of ECS and EC2, and what they answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use periskop_core::discovery::DiscoveryError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::aws::client::{EC2, ECS};
use crate::aws::paging::{List, Pages, all};
use crate::aws::session::Session;
use crate::aws::text;
use crate::ec2_sd::{INSTANCES, VERSION, instances, tags};
use crate::xml::Element;

/// The most that may be asked about at once, by ECS's rules.
const BATCH: usize = 100;
/// The same of services.
const SERVICES_BATCH: usize = 10;
/// So many identifiers fit well into one question to EC2.
const EC2_BATCH: usize = 200;
const INTERFACES: List = List {
    what: "could not describe network interfaces",
    action: "DescribeNetworkInterfaces",
    version: VERSION,
    token: "NextToken",
    next: &["nextToken"],
};

/// Asks ECS and EC2.
pub(super) struct Api {
    pub(super) session: Session,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Cluster {
    pub(super) cluster_arn: Option<String>,
    pub(super) cluster_name: Option<String>,
    pub(super) tags: Vec<Tag>,
}

impl Cluster {
    /// By its ARN; Prometheus cannot look at one that is named otherwise in the settings.
    pub(super) fn is_called(&self, name: &str) -> bool {
        [&self.cluster_arn, &self.cluster_name].into_iter().flatten().any(|own| own == name)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) service_arn: Option<String>,
    pub(super) service_name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Task {
    pub(super) attachments: Vec<Attachment>,
    pub(super) availability_zone: Option<String>,
    pub(super) container_instance_arn: Option<String>,
    pub(super) desired_status: Option<String>,
    pub(super) group: Option<String>,
    pub(super) health_status: String,
    pub(super) last_status: Option<String>,
    pub(super) launch_type: String,
    pub(super) platform_family: Option<String>,
    pub(super) platform_version: Option<String>,
    pub(super) tags: Vec<Tag>,
    pub(super) task_arn: Option<String>,
    pub(super) task_definition_arn: Option<String>,
}

impl Task {
    /// The network interface of its own, if it has one.
    pub(super) fn interface(&self) -> Option<&Attachment> {
        self.attachments.iter().find(|a| a.kind.as_deref() == Some("ElasticNetworkInterface"))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Attachment {
    #[serde(rename = "type")]
    kind: Option<String>,
    details: Vec<Detail>,
}

impl Attachment {
    /// What is said of it under a name.
    pub(super) fn detail(&self, name: &str) -> Option<&str> {
        let named = |detail: &&Detail| detail.name.as_deref() == Some(name);
        let details = self.details.iter().rev().filter(named);
        details.filter_map(|detail| detail.value.as_deref()).next()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    name: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tag {
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerInstance {
    container_instance_arn: Option<String>,
    ec2_instance_id: Option<String>,
}

/// An instance of EC2 that tasks run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Instance {
    pub(super) private_ip: String,
    pub(super) public_ip: String,
    pub(super) subnet_id: String,
    pub(super) kind: String,
    pub(super) tags: BTreeMap<String, String>,
}

/// A page of any list: each has one of these.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Arns {
    cluster_arns: Vec<String>,
    service_arns: Vec<String>,
    task_arns: Vec<String>,
    next_token: Option<String>,
}

/// An answer to any description: each has one of these.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Described {
    clusters: Vec<Cluster>,
    services: Vec<Service>,
    tasks: Vec<Task>,
    container_instances: Vec<ContainerInstance>,
}

impl Api {
    /// Tries whether the credentials are good for anything.
    pub(super) async fn test(&self) -> Result<(), DiscoveryError> {
        let what = "ECS credential test failed";
        self.ask::<Described>(what, "DescribeClusters", &json!({})).await.map(|_| ())
    }

    pub(super) async fn list_clusters(&self) -> Result<Vec<String>, DiscoveryError> {
        self.list("could not list clusters", "ListClusters", None, |page| page.cluster_arns).await
    }

    pub(super) async fn list_services(&self, cluster: &str) -> Result<Vec<String>, DiscoveryError> {
        let what = "could not list services";
        self.list(what, "ListServices", Some(cluster), |page| page.service_arns).await
    }

    pub(super) async fn list_tasks(&self, cluster: &str) -> Result<Vec<String>, DiscoveryError> {
        self.list("could not list tasks", "ListTasks", Some(cluster), |page| page.task_arns).await
    }

    pub(super) async fn describe_clusters(
        &self,
        names: &[String],
    ) -> Result<Vec<Cluster>, DiscoveryError> {
        let body = |batch| json!({ "clusters": batch, "include": ["TAGS"] });
        let bodies = names.chunks(BATCH).map(body).collect();
        let what = "could not describe clusters";
        let answers = self.describe(what, "DescribeClusters", bodies).await?;
        Ok(answers.into_iter().flat_map(|answer| answer.clusters).collect())
    }

    /// Services by their names.
    pub(super) async fn describe_services(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<HashMap<String, Service>, DiscoveryError> {
        let body = |batch| json!({ "cluster": cluster, "services": batch, "include": ["TAGS"] });
        let bodies = arns.chunks(SERVICES_BATCH).map(body).collect();
        let what = "could not describe services";
        let answers = self.describe(what, "DescribeServices", bodies).await?;
        let services = answers.into_iter().flat_map(|answer| answer.services);
        let services = services.filter(|service| service.service_arn.is_some());
        Ok(services.filter_map(|service| Some((service.service_name.clone()?, service))).collect())
    }

    pub(super) async fn describe_tasks(
        &self,
        cluster: &str,
        arns: &[String],
    ) -> Result<Vec<Task>, DiscoveryError> {
        let body = |batch| json!({ "cluster": cluster, "tasks": batch, "include": ["TAGS"] });
        let bodies = arns.chunks(BATCH).map(body).collect();
        let answers = self.describe("could not describe tasks", "DescribeTasks", bodies).await?;
        Ok(answers.into_iter().flat_map(|answer| answer.tasks).collect())
    }

    /// On which instances of EC2 the tasks run, by the ARNs that ECS has for these.
    pub(super) async fn describe_container_instances(
        &self,
        cluster: &str,
        tasks: &[Task],
    ) -> Result<HashMap<String, String>, DiscoveryError> {
        let arns: BTreeSet<_> =
            tasks.iter().filter_map(|task| task.container_instance_arn.as_deref()).collect();
        let arns: Vec<_> = arns.into_iter().collect();
        let body = |batch| json!({ "cluster": cluster, "containerInstances": batch });
        let bodies = arns.chunks(BATCH).map(body).collect();
        let what = "could not describe container instances";
        let answers = self.describe(what, "DescribeContainerInstances", bodies).await?;
        let instances = answers.into_iter().flat_map(|answer| answer.container_instances);
        let pair = |i: ContainerInstance| Some((i.container_instance_arn?, i.ec2_instance_id?));
        Ok(instances.filter_map(pair).collect())
    }

    /// Instances of EC2 by their identifiers, which are the values of `on`.
    pub(super) async fn describe_instances(
        &self,
        on: &HashMap<String, String>,
    ) -> Result<HashMap<String, Instance>, DiscoveryError> {
        let ids: BTreeSet<_> = on.values().map(String::as_str).collect();
        let found = self.ask_ec2(&INSTANCES, "InstanceId", &ids, |answer, found| {
            let instances = instances(answer).filter_map(|(_, instance)| read_instance(instance));
            found.extend(instances);
        });
        Ok(found.await?.into_iter().collect())
    }

    /// Public addresses of the tasks' own interfaces, by the identifiers of these.
    pub(super) async fn public_ips(
        &self,
        tasks: &[Task],
    ) -> Result<HashMap<String, String>, DiscoveryError> {
        let interfaces = tasks.iter().filter_map(Task::interface);
        let ids: BTreeSet<_> =
            interfaces.filter_map(|interface| interface.detail("networkInterfaceId")).collect();
        let found = self.ask_ec2(&INTERFACES, "NetworkInterfaceId", &ids, |answer, found| {
            for interface in answer.all(&["networkInterfaceSet"], "item") {
                let id = text(interface, &["networkInterfaceId"]);
                let ip = text(interface, &["association", "publicIp"]);
                if let (Some(id), Some(ip)) = (id, ip) {
                    found.push((id.to_owned(), ip.to_owned()));
                }
            }
        });
        Ok(found.await?.into_iter().collect())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        action: &str,
        body: &Value,
    ) -> Result<T, DiscoveryError> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{action}");
        self.session.client(ECS).json(what, &target, body).await
    }

    async fn list(
        &self,
        what: &'static str,
        action: &str,
        cluster: Option<&str>,
        of: impl Fn(Arns) -> Vec<String>,
    ) -> Result<Vec<String>, DiscoveryError> {
        let mut arns = Vec::new();
        let mut pages = Pages::new(what);
        loop {
            let mut body = json!({ "maxResults": BATCH });
            for (name, value) in [("cluster", cluster), ("nextToken", pages.token())] {
                if let Some(value) = value {
                    body[name] = value.into();
                }
            }
            let page: Arns = self.ask(what, action, &body).await?;
            let more = pages.turn(page.next_token.as_deref())?;
            arns.extend(of(page));
            if !more {
                return Ok(arns);
            }
        }
    }

    async fn describe(
        &self,
        what: &str,
        action: &str,
        bodies: Vec<Value>,
    ) -> Result<Vec<Described>, DiscoveryError> {
        let ask = |body| async move { self.ask(what, action, &body).await };
        all(bodies.into_iter().map(ask)).await
    }

    /// Asks EC2 about identifiers, a part of them at a time.
    async fn ask_ec2<T: Send>(
        &self,
        list: &List,
        parameter: &str,
        ids: &BTreeSet<&str>,
        look: impl Fn(&Element, &mut Vec<T>) + Send + Sync,
    ) -> Result<Vec<T>, DiscoveryError> {
        let ids: Vec<_> = ids.iter().copied().collect();
        let client = self.session.regional(EC2);
        let mut found = Vec::new();
        for batch in ids.chunks(EC2_BATCH) {
            let named = (1..).zip(batch).map(|(i, id)| (format!("{parameter}.{i}"), *id));
            let named: Vec<_> = named.collect();
            let parameters: Vec<_> =
                named.iter().map(|(name, id)| (name.as_str(), (*id).to_owned())).collect();
            client.each_page(list, &parameters, |answer| look(answer, &mut found)).await?;
        }
        Ok(found)
    }
}

/// `None` for an instance without a private address.
fn read_instance(instance: &Element) -> Option<(String, Instance)> {
    let of = |name: &str| text(instance, &[name]).map(str::to_owned);
    let info = Instance {
        private_ip: of("privateIpAddress")?,
        public_ip: of("ipAddress").unwrap_or_default(),
        subnet_id: of("subnetId").unwrap_or_default(),
        kind: of("instanceType").unwrap_or_default(),
        tags: tags(instance).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    Some((of("instanceId")?, info))
}
