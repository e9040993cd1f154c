//! Which elements of caches become which label.

use crate::aws::table::Entry;
use crate::aws::table::Kind::{Bool, Number, Text, Time, Word};

/// Of a `ServerlessCache`, behind `__meta_elasticache_serverless_cache_`. Some names lack an
/// underscore, as they do in Prometheus.
pub(super) const SERVERLESS: &[Entry] = &[
    ("arn", "ARN", Text),
    ("cache_usage_limit_data_storagemaximum", "CacheUsageLimits/DataStorage/Maximum", Number),
    ("cache_usage_limit_data_storageminimum", "CacheUsageLimits/DataStorage/Minimum", Number),
    ("cache_usage_limit_data_storageunit", "CacheUsageLimits/DataStorage/Unit", Word),
    ("cache_usage_limit_ecpu_per_secondmaximum", "CacheUsageLimits/ECPUPerSecond/Maximum", Number),
    ("cache_usage_limit_ecpu_per_secondminimum", "CacheUsageLimits/ECPUPerSecond/Minimum", Number),
    ("create_time", "CreateTime", Time),
    ("daily_snapshot_time", "DailySnapshotTime", Text),
    ("description", "Description", Text),
    ("endpoint_address", "Endpoint/Address", Text),
    ("endpoint_port", "Endpoint/Port", Number),
    ("endpoint_reader_address", "ReaderEndpoint/Address", Text),
    ("endpoint_reader_port", "ReaderEndpoint/Port", Number),
    ("engine", "Engine", Text),
    ("full_engine_version", "FullEngineVersion", Text),
    ("kms_key_id", "KmsKeyId", Text),
    ("major_engine_version", "MajorEngineVersion", Text),
    ("name", "ServerlessCacheName", Text),
    ("snapshot_retention_limit", "SnapshotRetentionLimit", Number),
    ("status", "Status", Text),
    ("user_group_id", "UserGroupId", Text),
];

/// Of a `CacheCluster`, behind `__meta_elasticache_cache_cluster_`.
pub(super) const CLUSTER: &[Entry] = &[
    ("arn", "ARN", Text),
    ("at_rest_encryption_enabled", "AtRestEncryptionEnabled", Bool),
    ("auth_token_enabled", "AuthTokenEnabled", Bool),
    ("auth_token_last_modified", "AuthTokenLastModifiedDate", Time),
    ("auto_minor_version_upgrade", "AutoMinorVersionUpgrade", Bool),
    ("cache_cluster_create_time", "CacheClusterCreateTime", Time),
    ("cache_cluster_id", "CacheClusterId", Text),
    ("cache_cluster_status", "CacheClusterStatus", Text),
    ("cache_node_type", "CacheNodeType", Text),
    ("cache_parameter_group", "CacheParameterGroup/CacheParameterGroupName", Text),
    ("cache_subnet_group_name", "CacheSubnetGroupName", Text),
    ("client_download_landing_page", "ClientDownloadLandingPage", Text),
    ("configuration_endpoint_address", "ConfigurationEndpoint/Address", Text),
    ("configuration_endpoint_port", "ConfigurationEndpoint/Port", Number),
    ("engine", "Engine", Text),
    ("engine_version", "EngineVersion", Text),
    ("ip_discovery", "IpDiscovery", Word),
    ("network_type", "NetworkType", Word),
    ("notification_topic_arn", "NotificationConfiguration/TopicArn", Text),
    ("notification_topic_status", "NotificationConfiguration/TopicStatus", Text),
    ("num_cache_nodes", "NumCacheNodes", Number),
    ("pending_modified_values_auth_token_status", "PendingModifiedValues/AuthTokenStatus", Word),
    ("pending_modified_values_cache_node_type", "PendingModifiedValues/CacheNodeType", Text),
    ("pending_modified_values_engine_version", "PendingModifiedValues/EngineVersion", Text),
    ("pending_modified_values_num_cache_nodes", "PendingModifiedValues/NumCacheNodes", Number),
    (
        "pending_modified_values_transit_encryption_enabled",
        "PendingModifiedValues/TransitEncryptionEnabled",
        Bool,
    ),
    (
        "pending_modified_values_transit_encryption_mode",
        "PendingModifiedValues/TransitEncryptionMode",
        Word,
    ),
    ("preferred_availability_zone", "PreferredAvailabilityZone", Text),
    ("preferred_maintenance_window", "PreferredMaintenanceWindow", Text),
    ("preferred_outpost_arn", "PreferredOutpostArn", Text),
    ("replication_group_id", "ReplicationGroupId", Text),
    ("replication_group_log_delivery_enabled", "ReplicationGroupLogDeliveryEnabled", Bool),
    ("snapshot_retention_limit", "SnapshotRetentionLimit", Number),
    ("snapshot_window", "SnapshotWindow", Text),
    ("transit_encryption_enabled", "TransitEncryptionEnabled", Bool),
    ("transit_encryption_mode", "TransitEncryptionMode", Word),
];

/// Of a `CacheNode`, behind `__meta_elasticache_cache_cluster_node_`.
pub(super) const NODE: &[Entry] = &[
    ("availability_zone", "CustomerAvailabilityZone", Text),
    ("create_time", "CacheNodeCreateTime", Time),
    ("customer_outpost_arn", "CustomerOutpostArn", Text),
    ("endpoint_address", "Endpoint/Address", Text),
    ("endpoint_port", "Endpoint/Port", Number),
    ("id", "CacheNodeId", Text),
    ("parameter_group_status", "ParameterGroupStatus", Text),
    ("source_cache_node_id", "SourceCacheNodeId", Text),
    ("status", "CacheNodeStatus", Text),
];

/// Of each `LogDeliveryConfiguration`, behind
/// `__meta_elasticache_cache_cluster_log_delivery_configuration_` and before its number.
pub(super) const LOG_DELIVERY: &[Entry] = &[
    ("delivery_stream", "DestinationDetails/KinesisFirehoseDetails/DeliveryStream", Text),
    ("destination_type", "DestinationType", Word),
    ("log_format", "LogFormat", Word),
    ("log_group", "DestinationDetails/CloudWatchLogsDetails/LogGroup", Text),
    ("log_type", "LogType", Word),
    ("message", "Message", Text),
    ("status", "Status", Word),
];

/// Of each `SecurityGroups`, behind
/// `__meta_elasticache_cache_cluster_security_group_membership_` and before its number.
pub(super) const SECURITY_GROUP: &[Entry] =
    &[("id", "SecurityGroupId", Text), ("status", "Status", Text)];
