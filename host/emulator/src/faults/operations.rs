//! The operations that rules can name, and how each one says that there were too many calls.

/// Who answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Kinesis,
    Firehose,
    DynamoDb,
    /// The schema registry of Glue.
    Glue,
    /// Of schemas, a server of its own.
    Registry,
}

/// The error of a call too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttle {
    Throughput,
    Limit,
    /// Firehose's own word.
    Unavailable,
}

use Throttle::{Limit, Throughput, Unavailable};

const KINESIS: &[(&str, Throttle)] = &[
    ("CreateStream", Limit),
    ("DeleteStream", Limit),
    ("DescribeStream", Limit),
    ("DescribeStreamSummary", Limit),
    ("ListStreams", Limit),
    ("ListShards", Limit),
    ("SplitShard", Limit),
    ("MergeShards", Limit),
    ("UpdateShardCount", Limit),
    ("PutRecord", Throughput),
    ("PutRecords", Throughput),
    ("GetShardIterator", Throughput),
    ("GetRecords", Throughput),
    ("RegisterStreamConsumer", Limit),
    ("DescribeStreamConsumer", Limit),
    ("ListStreamConsumers", Limit),
    ("DeregisterStreamConsumer", Limit),
    ("SubscribeToShard", Limit),
];
const FIREHOSE: &[(&str, Throttle)] = &[
    ("CreateDeliveryStream", Limit),
    ("DescribeDeliveryStream", Limit),
    ("ListDeliveryStreams", Limit),
    ("PutRecord", Unavailable),
    ("PutRecordBatch", Unavailable),
];
const DYNAMODB: &[(&str, Throttle)] = &[
    ("CreateTable", Limit),
    ("DescribeTable", Limit),
    ("UpdateTable", Limit),
    ("DeleteTable", Limit),
    ("ListTables", Limit),
    ("PutItem", Throughput),
    ("GetItem", Throughput),
    ("UpdateItem", Throughput),
    ("DeleteItem", Throughput),
    ("Query", Throughput),
    ("Scan", Throughput),
];
const GLUE: &[(&str, Throttle)] = &[
    ("CheckSchemaVersionValidity", Limit),
    ("CreateRegistry", Limit),
    ("CreateSchema", Limit),
    ("DeleteRegistry", Limit),
    ("DeleteSchema", Limit),
    ("DeleteSchemaVersions", Limit),
    ("GetRegistry", Limit),
    ("GetSchema", Limit),
    ("GetSchemaByDefinition", Limit),
    ("GetSchemaVersion", Limit),
    ("GetSchemaVersionsDiff", Limit),
    ("ListRegistries", Limit),
    ("ListSchemaVersions", Limit),
    ("ListSchemas", Limit),
    ("PutSchemaVersionMetadata", Limit),
    ("QuerySchemaVersionMetadata", Limit),
    ("RegisterSchemaVersion", Limit),
    ("RemoveSchemaVersionMetadata", Limit),
    ("UpdateRegistry", Limit),
    ("UpdateSchema", Limit),
];
/// Of a registry, which knows one error of too many calls.
pub const REGISTRY: &[&str] = &[
    "CheckCompatibility",
    "DeleteConfig",
    "DeleteMode",
    "DeleteSubject",
    "DeleteVersion",
    "GetConfig",
    "GetMode",
    "GetReferencedBy",
    "GetSchema",
    "GetSchemaUses",
    "GetSchemas",
    "GetServer",
    "GetVersion",
    "Labels",
    "ListSubjects",
    "ListVersions",
    "LookUpSchema",
    "RegisterSchema",
    "SetConfig",
    "SetMode",
];
const SERVICES: [Service; 5] =
    [Service::Kinesis, Service::Firehose, Service::DynamoDb, Service::Glue, Service::Registry];

impl Service {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "Kinesis",
            Self::Firehose => "Firehose",
            Self::DynamoDb => "DynamoDB",
            Self::Glue => "Glue",
            Self::Registry => "Registry",
        }
    }

    fn operations(self) -> &'static [(&'static str, Throttle)] {
        match self {
            Self::Kinesis => KINESIS,
            Self::Firehose => FIREHOSE,
            Self::DynamoDb => DYNAMODB,
            Self::Glue => GLUE,
            Self::Registry => &[],
        }
    }

    fn has(self, operation: &str) -> bool {
        let is_of_registry = self == Self::Registry && REGISTRY.contains(&operation);
        is_of_registry || self.operations().iter().any(|(name, _)| *name == operation)
    }

    pub fn throttle(self, operation: &str) -> Throttle {
        self.operations().iter().find(|(name, _)| *name == operation).map_or(Limit, |(_, throttle)| *throttle)
    }
}

/// Whether a rule's operation is one: `*`, `GetItem`, `DynamoDB.*` or `DynamoDB.GetItem`.
pub fn is_known(pattern: &str) -> bool {
    let (service, operation) = pattern.split_once('.').map_or((None, pattern), |(s, o)| (Some(s), o));
    let mut services = SERVICES.into_iter().filter(|s| service.is_none_or(|name| name == s.name()));
    services.any(|s| operation == "*" || s.has(operation))
}

pub fn matches(pattern: &str, service: Service, operation: &str) -> bool {
    let (of, wanted) = pattern.split_once('.').map_or((None, pattern), |(s, o)| (Some(s), o));
    of.is_none_or(|name| name == service.name()) && (wanted == "*" || wanted == operation)
}
