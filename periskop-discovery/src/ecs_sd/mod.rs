//! `ecs_sd_configs`: the tasks of the ECS clusters of an AWS account in one region.
//!
//! API: lists and descriptions of clusters, services, tasks and container instances of ECS, and of
//! instances and network interfaces of EC2.

mod api;
mod labels;

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::aws::credentials::missing;
use crate::aws::paging::all;
use crate::aws::session::Session;
use crate::aws::{AwsApi, Clusters};
use crate::build::{BuildError, BuildOptions};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use api::{Api, Cluster};
use labels::Surroundings;

/// Prometheus's default: as often in a second does ECS answer in the long run.
pub(crate) const CONCURRENCY: i64 = 20;

/// One item of `ecs_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcsConfig {
    /// Which part of AWS is asked, and how. `endpoint` is that of ECS, not of EC2.
    pub aws: AwsApi,
    /// Which clusters are looked at, by their ARNs. Default: all, twenty questions at once.
    pub clusters: Clusters,
}

impl EcsConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            aws: AwsApi::take(&mut fields),
            clusters: Clusters::take(&mut fields, CONCURRENCY),
        };
        fields.finish();
        Some(config)
    }
}

impl Mechanism for EcsConfig {
    fn name(&self) -> &'static str {
        "ecs"
    }

    fn effective(&self) -> Node {
        let mut entries = self.aws.effective();
        entries.extend(self.clusters.effective());
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.aws.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let session = Session::new(&self.aws, options)?.asking_at_once(self.clusters.at_once());
        let discovery = EcsDiscovery {
            api: Api { session },
            port: self.aws.api.port,
            clusters: self.clusters.names.clone(),
            is_tested: false,
            known: HashMap::new(),
        };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

struct EcsDiscovery {
    api: Api,
    port: u16,
    clusters: Vec<String>,
    /// Whether credentials have been tried once, before anything is asked for.
    is_tested: bool,
    /// The targets that each cluster had when it could be looked at last.
    known: HashMap<String, Vec<Labels>>,
}

#[async_trait]
impl Refresh for EcsDiscovery {
    /// A cluster that cannot be looked at keeps its targets, and the others tell theirs.
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.api.session.region().await?.to_owned();
        if !self.is_tested {
            self.api.test().await?;
            self.is_tested = true;
        }
        let names = match self.clusters.as_slice() {
            [] => self.api.list_clusters().await?,
            names => names.to_vec(),
        };
        let (clusters, services, tasks) = tokio::try_join!(
            self.api.describe_clusters(&names),
            all(names.iter().map(|name| self.api.list_services(name))),
            all(names.iter().map(|name| self.api.list_tasks(name))),
        )?;
        let mut looks = Vec::new();
        for ((name, services), tasks) in names.iter().zip(&services).zip(&tasks) {
            let cluster = clusters.iter().find(|cluster| cluster.is_called(name));
            if !tasks.is_empty() {
                looks.push(self.look(name, cluster, services, tasks, &region));
            }
        }
        // No error of one of them is one of all.
        let looks = all(looks.into_iter().map(|look| async { Ok(look.await) })).await?;

        let mut known = HashMap::new();
        let mut errors = Vec::new();
        for (name, found) in looks {
            let targets = found.unwrap_or_else(|error| {
                errors.push(error);
                self.known.remove(name).unwrap_or_default()
            });
            known.insert(name.to_owned(), targets);
        }
        self.known = known;
        let mut targets: Vec<_> = self.known.values().flatten().cloned().collect();
        // ECS lists in no order.
        targets.sort_unstable();
        let groups = vec![TargetGroup { source: region, targets, ..TargetGroup::default() }];
        Ok(Found { groups, errors, ..Found::default() })
    }
}

impl EcsDiscovery {
    /// The targets of one cluster, one for each of its tasks that has an address.
    async fn look<'a>(
        &self,
        name: &'a str,
        cluster: Option<&Cluster>,
        services: &[String],
        tasks: &[String],
        region: &str,
    ) -> (&'a str, Result<Vec<Labels>, DiscoveryError>) {
        let found =
            match cluster.and_then(|cluster| Some((cluster, cluster.cluster_arn.as_deref()?))) {
                Some((cluster, arn)) => self.look_into(cluster, arn, services, tasks, region).await,
                None => Err(missing("ECS", format!("there is no cluster {name:?}"))),
            };
        (name, found)
    }

    async fn look_into(
        &self,
        cluster: &Cluster,
        arn: &str,
        services: &[String],
        tasks: &[String],
        region: &str,
    ) -> Result<Vec<Labels>, DiscoveryError> {
        let (api, port) = (&self.api, self.port);
        let (services, tasks) =
            tokio::try_join!(api.describe_services(arn, services), api.describe_tasks(arn, tasks))?;
        let (on, public_ips) = tokio::try_join!(
            api.describe_container_instances(arn, &tasks),
            api.public_ips(&tasks)
        )?;
        let instances = api.describe_instances(&on).await?;
        let surroundings =
            Surroundings { cluster, services, on, instances, public_ips, region, port };
        Ok(tasks.iter().filter_map(|task| labels::target(task, &surroundings)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::tests::Backend;
    use periskop_core::config::{decode, parse};
    use serde_json::{Value, json};

    fn answer(request: &str, n: usize) -> (u16, String) {
        let body: Value = request
            .split_once("\r\n\r\n")
            .and_then(|(_, body)| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let action = request.split("AmazonEC2ContainerServiceV20141113.").nth(1);
        let action = action.and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
        let ip = match body["cluster"].as_str() {
            Some("arn:a") => "10.0.0.1",
            _ => "10.0.0.2",
        };
        let interface = json!([{ "name": "privateIPv4Address", "value": ip }]);
        let interface = json!([{ "type": "ElasticNetworkInterface", "details": interface }]);
        let answer = match action {
            "ListClusters" => json!({ "clusterArns": ["arn:a", "arn:b"] }),
            "DescribeClusters" => {
                json!({ "clusters": [{ "clusterArn": "arn:a" }, { "clusterArn": "arn:b" }] })
            }
            "ListTasks" => json!({ "taskArns": ["t"] }),
            // Cluster b cannot be looked at a second time.
            "DescribeTasks" if n > 10 && ip == "10.0.0.2" => return (400, String::new()),
            "DescribeTasks" => json!({ "tasks": [{ "attachments": interface }] }),
            _ => json!({}),
        };
        (200, answer.to_string())
    }

    #[tokio::test]
    async fn a_cluster_that_cannot_be_looked_at_keeps_its_targets() {
        let backend = Backend::start(answer).await;
        let settings =
            format!("{{endpoint: '{}', region: r, access_key: A, secret_key: x}}", backend.url);
        let config = decode(&parse(&settings).unwrap(), EcsConfig::decode).unwrap();
        let session = Session::new(&config.aws, &BuildOptions::default()).unwrap();
        let mut discovery = EcsDiscovery {
            api: Api { session },
            port: 80,
            clusters: Vec::new(),
            is_tested: false,
            known: HashMap::new(),
        };
        let first = discovery.refresh().await.unwrap();
        assert_eq!((first.groups[0].targets.len(), first.errors.len()), (2, 0));
        assert_eq!(backend.asked().len(), 9);
        let second = discovery.refresh().await.unwrap();
        assert_eq!(second.groups, first.groups);
        let error = second.errors[0].to_string();
        assert!(
            error.contains("could not describe tasks: server returned HTTP status 400"),
            "{error}"
        );
    }
}
