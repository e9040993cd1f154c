//! `elasticache_sd_configs`: the caches of an AWS account in one region.
//!
//! API: `DescribeServerlessCaches`, `DescribeCacheClusters` (twice: within replication groups and
//! outside of them) and `ListTagsForResource` of ElastiCache.

mod labels;

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};

use crate::aws::client::ELASTICACHE;
use crate::aws::paging::{List, all};
use crate::aws::session::Session;
use crate::aws::table::set_all;
use crate::aws::{AwsApi, Clusters, text};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};
use crate::xml::Element;

/// Prometheus's default.
pub(crate) const CONCURRENCY: i64 = 10;
const VERSION: &str = "2015-02-02";
const SERVERLESS: List = List {
    what: "failed to describe serverless caches",
    action: "DescribeServerlessCaches",
    version: VERSION,
    token: "NextToken",
    next: &["DescribeServerlessCachesResult", "NextToken"],
};
const CLUSTERS: List = List {
    what: "failed to describe cache clusters",
    action: "DescribeCacheClusters",
    version: VERSION,
    token: "Marker",
    next: &["DescribeCacheClustersResult", "Marker"],
};

/// One item of `elasticache_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticacheConfig {
    /// Which part of AWS is asked, and how. The port is not used: caches tell theirs.
    pub aws: AwsApi,
    /// Which caches are looked at, by their ARNs. Default: all, ten at once.
    pub clusters: Clusters,
}

impl ElasticacheConfig {
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

impl Mechanism for ElasticacheConfig {
    fn name(&self) -> &'static str {
        "elasticache"
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
        let discovery = ElasticacheDiscovery {
            session: Session::new(&self.aws, options)?.asking_at_once(self.clusters.at_once()),
            wanted: Wanted::of(&self.clusters.names),
            is_tested: false,
        };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

/// The caches of the settings, by their kinds. A kind of which none is named is looked for as a
/// whole, as by Prometheus.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    serverless: Vec<String>,
    clusters: Vec<String>,
}

impl Wanted {
    /// What is no ARN of a cache is left out.
    fn of(arns: &[String]) -> Self {
        let mut wanted = Self::default();
        for arn in arns.iter().filter(|arn| !arn.is_empty()) {
            let mut parts = arn.split(':').skip(5);
            match (parts.next(), parts.next()) {
                (Some("serverlesscache"), Some(name)) => wanted.serverless.push(name.to_owned()),
                (Some("replicationgroup"), Some(name)) => wanted.clusters.push(name.to_owned()),
                (Some(_), Some(_)) => {}
                _ => tracing::warn!(arn, "not an ARN of ElastiCache"),
            }
        }
        wanted
    }
}

struct ElasticacheDiscovery {
    session: Session,
    wanted: Wanted,
    /// Whether credentials have been tried once, before anything is asked for.
    is_tested: bool,
}

#[async_trait]
impl Refresh for ElasticacheDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.session.region().await?.to_owned();
        if !self.is_tested {
            let client = self.session.client(ELASTICACHE);
            let what = "elasticache credential test failed";
            client.query(what, CLUSTERS.action, VERSION, &[]).await?;
            self.is_tested = true;
        }
        let (serverless, clusters) = tokio::try_join!(self.serverless(), self.clusters())?;
        let mut arns: Vec<_> =
            serverless.iter().chain(&clusters).filter_map(|cache| text(cache, &["ARN"])).collect();
        arns.sort_unstable();
        arns.dedup();
        let tags = all(arns.iter().map(|arn| self.tags_of(arn))).await?;
        let tags: HashMap<_, _> = arns.into_iter().zip(tags).collect();
        let none = Vec::new();
        let tags_of = |cache| text(cache, &["ARN"]).and_then(|arn| tags.get(arn)).unwrap_or(&none);
        let mut targets = Vec::new();
        targets.extend(serverless.iter().map(|cache| serverless_target(cache, tags_of(cache))));
        targets.extend(clusters.iter().flat_map(|cache| cluster_targets(cache, tags_of(cache))));
        Ok(vec![TargetGroup { source: region, targets, ..TargetGroup::default() }].into())
    }
}

impl ElasticacheDiscovery {
    async fn serverless(&self) -> Result<Vec<Element>, DiscoveryError> {
        let mut questions = vec![vec![("MaxResults", "50".to_owned())]];
        if !self.wanted.serverless.is_empty() {
            let named = |name: &String| {
                vec![("MaxResults", "50".to_owned()), ("ServerlessCacheName", name.clone())]
            };
            questions = self.wanted.serverless.iter().map(named).collect();
        }
        self.ask_all(&SERVERLESS, "ServerlessCaches", questions).await
    }

    async fn clusters(&self) -> Result<Vec<Element>, DiscoveryError> {
        let mut questions = Vec::new();
        let names: Vec<_> = self.wanted.clusters.iter().map(Some).collect();
        for name in if names.is_empty() { vec![None] } else { names } {
            for outside_of_groups in ["false", "true"] {
                let mut question = vec![
                    ("MaxRecords", "100".to_owned()),
                    ("ShowCacheNodeInfo", "true".to_owned()),
                    ("ShowCacheClustersNotInReplicationGroups", outside_of_groups.to_owned()),
                ];
                question.extend(name.map(|name| ("CacheClusterId", name.clone())));
                questions.push(question);
            }
        }
        self.ask_all(&CLUSTERS, "CacheClusters", questions).await
    }

    async fn ask_all(
        &self,
        list: &List,
        items: &str,
        questions: Vec<Vec<(&str, String)>>,
    ) -> Result<Vec<Element>, DiscoveryError> {
        let answers = all(questions.iter().map(|question| self.ask(list, items, question))).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn ask(
        &self,
        list: &List,
        items: &str,
        question: &[(&str, String)],
    ) -> Result<Vec<Element>, DiscoveryError> {
        let mut found = Vec::new();
        let client = self.session.client(ELASTICACHE);
        let look = |result: &Element| found.extend(children(result, items).cloned());
        client.each_page(list, question, look).await?;
        Ok(found)
    }

    async fn tags_of(&self, arn: &str) -> Result<Vec<(String, String)>, DiscoveryError> {
        let action = "ListTagsForResource";
        let parameters = [("ResourceName", arn.to_owned())];
        let client = self.session.client(ELASTICACHE);
        let what = "failed to list tags for resources";
        let answer = client.query(what, action, VERSION, &parameters).await?;
        let tags = answer.root().child("ListTagsForResourceResult");
        let tags = tags.map(|result| children(result, "TagList")).into_iter().flatten();
        let pair = |tag| Some((text(tag, &["Key"])?.to_owned(), text(tag, &["Value"])?.to_owned()));
        Ok(tags.filter_map(pair).collect())
    }
}

/// The items of a list, whatever they are called.
fn children<'e>(element: &'e Element, list: &str) -> impl Iterator<Item = &'e Element> {
    element.child(list).map_or(&[][..], |list| &list.children).iter()
}

fn serverless_target(cache: &Element, tags: &[(String, String)]) -> Labels {
    const PREFIX: &str = "__meta_elasticache_serverless_cache_";
    let mut labels = Labels::from([("__meta_elasticache_deployment_option", "serverless")]);
    set_all(&mut labels, PREFIX, labels::SERVERLESS, cache);
    for (name, list) in [("security_group_id", "SecurityGroupIds"), ("subnet_id", "SubnetIds")] {
        for (i, id) in children(cache, list).enumerate() {
            labels.insert(format!("{PREFIX}{name}_{i}"), id.text());
        }
    }
    set_tags(&mut labels, PREFIX, tags);
    set_address(&mut labels, cache);
    labels
}

/// One target for each node.
fn cluster_targets(cluster: &Element, tags: &[(String, String)]) -> Vec<Labels> {
    const PREFIX: &str = "__meta_elasticache_cache_cluster_";
    let mut common = Labels::from([("__meta_elasticache_deployment_option", "node")]);
    set_all(&mut common, PREFIX, labels::CLUSTER, cluster);
    for (name, list, table) in [
        ("log_delivery_configuration", "LogDeliveryConfigurations", labels::LOG_DELIVERY),
        ("security_group_membership", "SecurityGroups", labels::SECURITY_GROUP),
    ] {
        for (i, item) in children(cluster, list).enumerate() {
            let mut of_item = Labels::new();
            set_all(&mut of_item, &format!("{PREFIX}{name}_"), table, item);
            for (name, value) in of_item.iter() {
                common.insert(format!("{name}_{i}"), value);
            }
        }
    }
    if let Some(pending) = cluster.child("PendingModifiedValues") {
        let ids: Vec<_> = children(pending, "CacheNodeIdsToRemove").map(Element::text).collect();
        if !ids.is_empty() {
            let name = format!("{PREFIX}pending_modified_values_cache_node_ids_to_remove");
            common.insert(name, ids.join(","));
        }
    }
    set_tags(&mut common, PREFIX, tags);
    let of_node = |node: &Element| {
        let mut labels = common.clone();
        set_all(&mut labels, &format!("{PREFIX}node_"), labels::NODE, node);
        set_address(&mut labels, node);
        labels
    };
    children(cluster, "CacheNodes").map(of_node).collect()
}

fn set_tags(labels: &mut Labels, prefix: &str, tags: &[(String, String)]) {
    for (key, value) in tags {
        labels.insert(format!("{prefix}tag_{}", sanitize(key)), value);
    }
}

/// Where a cache or a node is, if it says so.
fn set_address(labels: &mut Labels, element: &Element) {
    let address = text(element, &["Endpoint", "Address"]);
    let port = text(element, &["Endpoint", "Port"]).and_then(|port| port.parse::<i32>().ok());
    if let (Some(address), Some(port)) = (address, port) {
        labels.insert(ADDRESS, join_host_port(address, port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_told_apart_by_what_they_name() {
        let arn = |rest: &str| format!("arn:aws:elasticache:r:1:{rest}");
        let arns = ["serverlesscache:s", "replicationgroup:c", "cluster:x", "snapshot"].map(arn);
        let wanted = Wanted::of(&arns);
        assert_eq!(wanted, Wanted { serverless: vec!["s".into()], clusters: vec!["c".into()] });
    }
}
