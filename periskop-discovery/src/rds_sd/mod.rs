//! `rds_sd_configs`: the instances of the database clusters of an AWS account in one region.
//!
//! API: `DescribeDBClusters` and, for each cluster, `DescribeDBInstances` of RDS, paged. Instances
//! outside of a cluster are not looked for, as by Prometheus.

mod labels;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::aws::client::RDS;
use crate::aws::paging::{List, all};
use crate::aws::session::Session;
use crate::aws::table::set_all;
use crate::aws::{AwsApi, AwsFilter, Clusters, text};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use crate::xml::Element;

/// Prometheus's default.
pub(crate) const CONCURRENCY: i64 = 10;
const VERSION: &str = "2014-10-31";
const CLUSTERS: List = List {
    what: "could not describe DB clusters",
    action: "DescribeDBClusters",
    version: VERSION,
    token: "Marker",
    next: &["DescribeDBClustersResult", "Marker"],
};
const INSTANCES: List = List {
    what: "could not describe DB instances",
    action: "DescribeDBInstances",
    version: VERSION,
    token: "Marker",
    next: &["DescribeDBInstancesResult", "Marker"],
};
/// The most that RDS answers at once.
const PER_PAGE: (&str, &str) = ("MaxRecords", "100");

/// One item of `rds_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdsConfig {
    /// Which part of AWS is asked, and how.
    pub aws: AwsApi,
    /// Which clusters are looked at, by their ARNs. Default: all, ten at once.
    pub clusters: Clusters,
    /// Which instances of them are wanted.
    pub filters: Vec<AwsFilter>,
}

impl RdsConfig {
    /// Reads one item.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let config = Self {
            aws: AwsApi::take(&mut fields),
            clusters: Clusters::take(&mut fields, CONCURRENCY),
            filters: AwsFilter::take(&mut fields),
        };
        fields.finish();
        Some(config)
    }
}

impl Mechanism for RdsConfig {
    fn name(&self) -> &'static str {
        "rds"
    }

    fn effective(&self) -> Node {
        let mut entries = self.aws.effective();
        entries.extend(self.clusters.effective());
        entries.push(("filters", AwsFilter::effective(&self.filters)));
        Node::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.aws.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = RdsDiscovery {
            session: Session::new(&self.aws, options)?.asking_at_once(self.clusters.at_once()),
            port: self.aws.api.port,
            clusters: self.clusters.names.clone(),
            filters: self.filters.clone(),
            is_tested: false,
        };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

struct RdsDiscovery {
    session: Session,
    port: u16,
    clusters: Vec<String>,
    filters: Vec<AwsFilter>,
    /// Whether credentials have been tried once, before anything is asked for.
    is_tested: bool,
}

#[async_trait]
impl Refresh for RdsDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.session.region().await?.to_owned();
        if !self.is_tested {
            let client = self.session.client(RDS);
            client.query("RDS credential test failed", CLUSTERS.action, VERSION, &[]).await?;
            self.is_tested = true;
        }
        let clusters = match self.clusters.as_slice() {
            [] => self.all_clusters().await?,
            names => self.named_clusters(names).await?,
        };
        let with_instances = clusters.values().map(|cluster| self.targets_of(cluster));
        let targets = all(with_instances).await?.into_iter().flatten().collect();
        Ok(vec![TargetGroup { source: region, targets, ..TargetGroup::default() }].into())
    }
}

impl RdsDiscovery {
    /// All clusters, by their ARNs. One without an ARN cannot be asked for its instances.
    async fn all_clusters(&self) -> Result<BTreeMap<String, Element>, DiscoveryError> {
        let mut clusters = BTreeMap::new();
        let parameters = [owned(PER_PAGE)];
        let client = self.session.client(RDS);
        client
            .each_page(&CLUSTERS, &parameters, |result| {
                for cluster in children(result, "DBClusters") {
                    if let Some(arn) = text(cluster, &["DBClusterArn"]) {
                        clusters.insert(arn.to_owned(), cluster.clone());
                    }
                }
            })
            .await?;
        Ok(clusters)
    }

    async fn named_clusters(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Element>, DiscoveryError> {
        let found = all(names.iter().map(|name| self.named_cluster(name))).await?;
        Ok(names.iter().cloned().zip(found).collect())
    }

    async fn named_cluster(&self, name: &str) -> Result<Element, DiscoveryError> {
        let mut found = None;
        let parameters = [("DBClusterIdentifier", name.to_owned()), owned(PER_PAGE)];
        let client = self.session.client(RDS);
        client
            .each_page(&CLUSTERS, &parameters, |result| {
                found = children(result, "DBClusters").last().cloned().or(found.take());
            })
            .await?;
        found.ok_or_else(|| DiscoveryError::Invalid {
            endpoint: "RDS".into(),
            reason: format!("no DB cluster found for ARN {name}"),
        })
    }

    /// The targets of a cluster, one for each of its instances.
    async fn targets_of(&self, cluster: &Element) -> Result<Vec<Labels>, DiscoveryError> {
        let Some(arn) = text(cluster, &["DBClusterArn"]) else { return Ok(Vec::new()) };
        let filters = self.filter_parameters(arn);
        let mut parameters: Vec<_> =
            filters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        parameters.push(owned(PER_PAGE));
        let mut targets = Vec::new();
        let client = self.session.client(RDS);
        client
            .each_page(&INSTANCES, &parameters, |result| {
                let instances = children(result, "DBInstances");
                targets.extend(instances.map(|instance| target(cluster, instance, self.port)));
            })
            .await?;
        Ok(targets)
    }

    fn filter_parameters(&self, cluster: &str) -> Vec<(String, String)> {
        let of_cluster = [cluster.to_owned()];
        let filters = self.filters.iter().map(|filter| (filter.name.as_str(), &filter.values[..]));
        let filters = std::iter::once(("db-cluster-id", &of_cluster[..])).chain(filters);
        let mut parameters = Vec::new();
        for (i, (name, values)) in (1..).zip(filters) {
            parameters.push((format!("Filters.Filter.{i}.Name"), name.to_owned()));
            for (j, value) in (1..).zip(values) {
                let name = format!("Filters.Filter.{i}.Values.Value.{j}");
                parameters.push((name, value.clone()));
            }
        }
        parameters
    }
}

fn owned((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}

/// The items of a list, whatever they are called.
fn children<'e>(result: &'e Element, list: &str) -> impl DoubleEndedIterator<Item = &'e Element> {
    result.child(list).map_or(&[][..], |list| &list.children).iter()
}

fn target(cluster: &Element, instance: &Element, port: u16) -> Labels {
    let mut labels = Labels::new();
    set_all(&mut labels, "__meta_rds_cluster_", labels::CLUSTER, cluster);
    set_all(&mut labels, "__meta_rds_instance_", labels::INSTANCE, instance);
    set_tags(&mut labels, "__meta_rds_cluster_tag_", cluster);
    set_tags(&mut labels, "__meta_rds_instance_tag_", instance);
    let writers: HashMap<_, _> = children(cluster, "DBClusterMembers")
        .filter_map(|member| {
            let id = text(member, &["DBInstanceIdentifier"])?;
            Some((id, text(member, &["IsClusterWriter"])?))
        })
        .collect();
    let is_writer = text(instance, &["DBInstanceIdentifier"]).and_then(|id| writers.get(id));
    if let Some(is_writer) = is_writer {
        labels.insert("__meta_rds_instance_is_cluster_writer", *is_writer);
    }
    let address = text(instance, &["Endpoint", "Address"]);
    if let (Some(address), Some(_)) = (address, text(instance, &["Endpoint", "Port"])) {
        labels.insert(ADDRESS, join_host_port(address, port));
    }
    labels
}

fn set_tags(labels: &mut Labels, prefix: &str, element: &Element) {
    for tag in children(element, "TagList") {
        if let (Some(key), Some(value)) = (text(tag, &["Key"]), text(tag, &["Value"])) {
            labels.insert(format!("{prefix}{}", sanitize(key)), value);
        }
    }
}
