//! `msk_sd_configs`: the nodes of the Kafka clusters (MSK) of an AWS account in one region.
//!
//! API: `GET /api/v2/clusters` (or one of them by its ARN) and `GET /v1/clusters/ARN/nodes` of
//! MSK, paged. Serverless clusters have no nodes.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node as ConfigNode, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::aws::client::KAFKA;
use crate::aws::paging::{Pages, all};
use crate::aws::session::Session;
use crate::aws::sign::encoded;
use crate::aws::{AwsApi, Clusters};
use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::label::{join_host_port, sanitize};
use crate::mechanism::Mechanism;
use crate::polling::{Found, Refresh};

/// Prometheus's default.
pub(crate) const CONCURRENCY: i64 = 10;
const CLUSTERS: &str = "/api/v2/clusters";
const PROVISIONED: &str = "PROVISIONED";
/// The most that MSK answers at once.
const PER_PAGE: &str = "100";

/// One item of `msk_sd_configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MskConfig {
    /// Which part of AWS is asked, and how.
    pub aws: AwsApi,
    /// Which clusters are looked at, by their ARNs. Default: all, ten at once.
    pub clusters: Clusters,
}

impl MskConfig {
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

impl Mechanism for MskConfig {
    fn name(&self) -> &'static str {
        "msk"
    }

    fn effective(&self) -> ConfigNode {
        let mut entries = self.aws.effective();
        entries.extend(self.clusters.effective());
        ConfigNode::mapping(entries)
    }

    fn resolve_paths(&mut self, dir: &Path) {
        self.aws.resolve_paths(dir);
    }

    fn build(&self, options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        let discovery = MskDiscovery {
            session: Session::new(&self.aws, options)?.asking_at_once(self.clusters.at_once()),
            port: self.aws.api.port,
            clusters: self.clusters.names.clone(),
            is_tested: false,
        };
        Ok(options.poll(discovery, self.aws.api.refresh_interval))
    }
}

struct MskDiscovery {
    session: Session,
    port: u16,
    clusters: Vec<String>,
    /// Whether credentials have been tried once, before anything is asked for.
    is_tested: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClusterPage {
    cluster_info_list: Vec<Cluster>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct OneCluster {
    cluster_info: Cluster,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NodePage {
    node_info_list: Vec<Node>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cluster {
    cluster_arn: String,
    cluster_name: String,
    cluster_type: String,
    current_version: String,
    state: String,
    tags: BTreeMap<String, String>,
    provisioned: Provisioned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provisioned {
    current_broker_software_info: Software,
    open_monitoring: Option<OpenMonitoring>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Software {
    configuration_arn: Option<String>,
    configuration_revision: Option<i64>,
    kafka_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpenMonitoring {
    prometheus: Option<Exporters>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exporters {
    jmx_exporter: Option<Exporter>,
    node_exporter: Option<Exporter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exporter {
    enabled_in_broker: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Node {
    added_to_cluster_time: String,
    instance_type: String,
    #[serde(rename = "nodeARN")]
    node_arn: String,
    broker_node_info: Option<Broker>,
    controller_node_info: Option<Controller>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Broker {
    #[serde(rename = "attachedENIId")]
    attached_eni_id: String,
    broker_id: f64,
    client_subnet: String,
    client_vpc_ip_address: String,
    endpoints: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Controller {
    endpoints: Vec<String>,
}

#[async_trait]
impl Refresh for MskDiscovery {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        let region = self.session.region().await?.to_owned();
        if !self.is_tested {
            let _: ClusterPage = self.ask("MSK credential test failed", CLUSTERS, &[]).await?;
            self.is_tested = true;
        }
        let clusters = match self.clusters.as_slice() {
            [] => self.all_clusters().await?,
            arns => all(arns.iter().map(|arn| self.cluster(arn))).await?,
        };
        let nodes = all(clusters.iter().map(|cluster| self.nodes_of(cluster))).await?;
        let with_nodes = clusters.iter().zip(&nodes);
        let targets = with_nodes
            .flat_map(|(cluster, nodes)| nodes.iter().map(move |node| (cluster, node)))
            .flat_map(|(cluster, node)| targets(cluster, node, self.port))
            .collect();
        Ok(vec![TargetGroup { source: region, targets, ..TargetGroup::default() }].into())
    }
}

impl MskDiscovery {
    async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, DiscoveryError> {
        self.session.client(KAFKA).get(what, path, query).await
    }

    async fn all_clusters(&self) -> Result<Vec<Cluster>, DiscoveryError> {
        let what = "could not list clusters";
        let mut clusters = Vec::new();
        let mut pages = Pages::new(what);
        loop {
            let mut query =
                vec![("clusterTypeFilter", PROVISIONED.into()), ("maxResults", PER_PAGE.into())];
            query.extend(pages.token().map(|token| ("nextToken", token.to_owned())));
            let page: ClusterPage = self.ask(what, CLUSTERS, &query).await?;
            clusters.extend(page.cluster_info_list);
            if !pages.turn(page.next_token.as_deref())? {
                return Ok(clusters);
            }
        }
    }

    async fn cluster(&self, arn: &str) -> Result<Cluster, DiscoveryError> {
        let path = format!("{CLUSTERS}/{}", encoded(arn, ""));
        let answer: OneCluster = self.ask("could not describe cluster", &path, &[]).await?;
        Ok(answer.cluster_info)
    }

    /// Only provisioned clusters have nodes; to ask others for them would be an error.
    async fn nodes_of(&self, cluster: &Cluster) -> Result<Vec<Node>, DiscoveryError> {
        if cluster.cluster_type != PROVISIONED && !self.clusters.is_empty() {
            let (arn, kind) = (&cluster.cluster_arn, &cluster.cluster_type);
            tracing::warn!(arn, kind, "only provisioned clusters of MSK have nodes");
            return Ok(Vec::new());
        }
        let what = "could not list nodes";
        let path = format!("/v1/clusters/{}/nodes", encoded(&cluster.cluster_arn, ""));
        let mut nodes = Vec::new();
        let mut pages = Pages::new(what);
        loop {
            let mut query = vec![("maxResults", PER_PAGE.to_owned())];
            query.extend(pages.token().map(|token| ("nextToken", token.to_owned())));
            let page: NodePage = self.ask(what, &path, &query).await?;
            nodes.extend(page.node_info_list);
            if !pages.turn(page.next_token.as_deref())? {
                return Ok(nodes);
            }
        }
    }
}

/// One target for each endpoint of a node.
fn targets(cluster: &Cluster, node: &Node, port: u16) -> Vec<Labels> {
    let software = &cluster.provisioned.current_broker_software_info;
    let mut labels = Labels::from([
        ("__meta_msk_cluster_name", cluster.cluster_name.clone()),
        ("__meta_msk_cluster_arn", cluster.cluster_arn.clone()),
        ("__meta_msk_cluster_state", cluster.state.clone()),
        ("__meta_msk_cluster_type", cluster.cluster_type.clone()),
        ("__meta_msk_cluster_version", cluster.current_version.clone()),
        ("__meta_msk_cluster_kafka_version", software.kafka_version.clone()),
        ("__meta_msk_node_arn", node.node_arn.clone()),
        ("__meta_msk_node_added_time", node.added_to_cluster_time.clone()),
        ("__meta_msk_node_instance_type", node.instance_type.clone()),
    ]);
    if let Some(arn) = &software.configuration_arn {
        labels.insert("__meta_msk_cluster_configuration_arn", arn);
    }
    if let Some(revision) = software.configuration_revision {
        labels.insert("__meta_msk_cluster_configuration_revision", revision.to_string());
    }
    let monitoring = cluster.provisioned.open_monitoring.as_ref();
    let exporters = monitoring.and_then(|monitoring| monitoring.prometheus.as_ref());
    if let Some(jmx) = exporters.and_then(|exporters| exporters.jmx_exporter.as_ref()) {
        let enabled = jmx.enabled_in_broker.to_string();
        labels.insert("__meta_msk_cluster_jmx_exporter_enabled", enabled);
    }
    for (key, value) in &cluster.tags {
        labels.insert(format!("__meta_msk_cluster_tag_{}", sanitize(key)), value);
    }
    let (kind, endpoints, index) = match (&node.broker_node_info, &node.controller_node_info) {
        (Some(broker), _) => {
            labels.insert("__meta_msk_node_attached_eni", &broker.attached_eni_id);
            labels.insert("__meta_msk_broker_id", format!("{:.0}", broker.broker_id));
            labels.insert("__meta_msk_broker_client_subnet", &broker.client_subnet);
            labels.insert("__meta_msk_broker_client_vpc_ip", &broker.client_vpc_ip_address);
            let exporter = exporters.and_then(|exporters| exporters.node_exporter.as_ref());
            if let Some(exporter) = exporter {
                let enabled = exporter.enabled_in_broker.to_string();
                labels.insert("__meta_msk_broker_node_exporter_enabled", enabled);
            }
            ("BROKER", &broker.endpoints, "__meta_msk_broker_endpoint_index")
        }
        (None, Some(controller)) => {
            ("CONTROLLER", &controller.endpoints, "__meta_msk_controller_endpoint_index")
        }
        (None, None) => return Vec::new(),
    };
    labels.insert("__meta_msk_node_type", kind);
    let of_endpoint = |(i, endpoint): (usize, &String)| {
        let mut labels = labels.clone();
        labels.insert(index, i.to_string());
        labels.insert(ADDRESS, join_host_port(endpoint, port));
        labels
    };
    endpoints.iter().enumerate().map(of_endpoint).collect()
}
