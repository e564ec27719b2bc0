//! The checked form of a job: nodes in the order of the path, edges by index, settings of real types.
//!
//! The rule: what is in a graph needs no second look: every edge exists, every field that is read is there, every setting is in
//! its range. The canonical text and its digest name what was deployed; secrets are not in them.
//! Left to others: running it (`partition`, `run`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

mod connectors;
mod plugin;

pub use connectors::{Answer, Connector};
pub use plugin::Plugin;

pub use super::file::raw::{Compatibility, FileFormat, Misplaced, OnError, OnFailure, OnIncompatible, Order};
use super::{PluginInterface, file::Secret};
pub use crate::window::built_in::Function;
use crate::{
    decode::{FieldPath, Kind, WantedField, columns::KIND_KEY, registry::Registered},
    source::Start,
};

/// A job that may run.
#[derive(Clone, Debug, Serialize)]
pub struct Graph {
    /// the job's name
    pub job: String,
    /// where Avro schemas come from
    pub registry: Option<Registry>,
    /// what enrichers ask, by name
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub connectors: BTreeMap<String, Connector>,
    /// an input of a node stands before the node
    pub nodes: Vec<Node>,
    /// length of an epoch
    #[serde(serialize_with = "micros")]
    pub epoch: Duration,
    /// paths in the canonical form are relative to it, so that a job is the same from every working directory
    #[serde(skip)]
    pub folder: PathBuf,
    /// folder of the state
    #[serde(skip)]
    pub state_dir: PathBuf,
    /// where records go that could not be processed; none: a folder below the state directory
    pub dead_letters: Option<Files>,
    /// what every worker of a fleet reaches; none: state is in the folder alone. No part of what is deployed
    #[serde(skip)]
    pub store: Option<Store>,
    /// how workers share the work; none: there is one. No part of what is deployed
    #[serde(skip)]
    pub leases: Option<Leases>,
    /// what happens when a step has failed: no part of what state was made with
    #[serde(skip)]
    pub on_failure: OnFailure,
    /// how the job is cut
    pub partitioning: Partitioning,
    /// inline tests: no part of what is deployed
    #[serde(skip)]
    pub tests: Vec<Test>,
    /// what is not wrong, and worth knowing
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// Where manifests and state lie for every worker of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// a folder that all workers reach
    Folder(PathBuf),
    /// a bucket
    S3 { bucket: String, prefix: String, aws: Aws },
}

/// How workers share the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leases {
    /// the table; none: the job's name
    pub table: Option<String>,
    /// how DynamoDB is reached
    pub aws: Aws,
    /// a lease that was not renewed for so long is free
    pub duration: Duration,
}

/// One partition a shard, or one for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitioning {
    /// every step is shard-local; by step with state, the key field that holds the partition key
    PerShard { reason: String, hashed_by: BTreeMap<String, String> },
    /// some step is not
    One { reason: String },
}

/// A schema registry, and the ones behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registry {
    /// what it is
    #[serde(flatten)]
    pub kind: RegistryKind,
    /// asked for what the first does not know
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<Box<Registry>>,
}

/// Kinds of registries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistryKind {
    /// speaks Confluent's REST calls, at any of these addresses
    Confluent {
        urls: Vec<String>,
        user: Option<String>,
        password: Option<Secret>,
        token: Option<Secret>,
        ca: Option<PathBuf>,
    },
    /// a registry of AWS Glue
    Glue { registry: String, aws: Aws },
    /// files
    Folder { path: PathBuf },
}

/// A source, step or sink.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// its name, unique in the job
    pub name: String,
    /// what it does
    pub kind: NodeKind,
    /// where its rows come from
    pub inputs: Vec<Edge>,
    /// the columns that arrive; empty for a source
    #[serde(serialize_with = "columns")]
    pub input_schema: SchemaRef,
    /// where its rows go; the first is the one without a name
    pub outputs: Vec<Output>,
}

/// An output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// index in [`Graph::nodes`]
    pub node: usize,
    /// index in its outputs
    pub output: usize,
}

/// What leaves a node.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// the name behind the dot; empty for the first
    pub name: String,
    /// its columns
    #[serde(serialize_with = "columns")]
    pub schema: SchemaRef,
}

/// What a node does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// reads
    Source(Source),
    /// a boolean SQL expression over the input's columns
    Filter { sql: String },
    /// names and SQL expressions over the input's columns
    Select { columns: Vec<(String, String)> },
    /// a plugin of the world `transformer`
    Transform(Plugin),
    /// runs a plugin over keyed state and timers
    KeyedTransform(KeyedTransform),
    /// groups in event time
    Window(Window),
    /// writes
    Sink(SinkKind),
}

/// A source.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// where from
    pub from: SourceKind,
    /// what the bytes are
    pub format: Format,
    /// event time; none: the time of arrival
    pub time: Option<Time>,
    /// the field that producers use as partition key
    pub partition_key: Option<String>,
    /// what happens with a record whose partition key lies outside its shard
    pub misplaced: Misplaced,
    /// which steps read which fields of Avro records as they are. No part of what is deployed
    #[serde(skip)]
    pub readers: Vec<(String, FieldPath)>,
    /// the fields that somebody reads: what `decode` is asked for
    #[serde(serialize_with = "columns")]
    pub wanted: SchemaRef,
}

/// Where a source reads.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// a data stream
    Kinesis { stream: String, start: Start, consumer: String, aws: Aws },
    /// one file
    File { path: PathBuf, format: FileFormat, key: Option<String> },
    /// given by a test or a program
    Memory { shards: u32 },
}

/// How AWS is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Aws {
    /// none: the service's own
    pub endpoint: Option<String>,
    /// none: as the environment says
    pub region: Option<String>,
    /// of the AWS configuration
    pub profile: Option<String>,
    /// ARN to assume
    pub role: Option<String>,
}

/// What the bytes of a record are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// an object
    Json,
    /// as they are: the field `payload`
    Raw,
    /// UTF-8: the field `payload`
    Text,
    /// in any of its frames
    Avro(Avro),
}

/// How Avro records are read.
#[derive(Clone, Debug, Serialize)]
pub struct Avro {
    /// whose versions they are written with
    pub subject: Option<String>,
    /// how the subject may grow
    pub compatibility: Compatibility,
    /// what happens where it does not
    pub on_incompatible: OnIncompatible,
    /// the reader schema's text, where the job gives one
    #[serde(rename = "reader")]
    pub schema: Option<String>,
    /// the reader schema: that one, or the newest version when the job was checked. No part of what is deployed: a subject may grow
    #[serde(skip)]
    pub reader: Arc<Registered>,
}

/// Event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Time {
    /// a timestamp, or an int64 of microseconds since 1970
    pub field: String,
    /// how far behind is in time
    #[serde(serialize_with = "micros")]
    pub out_of_order: Duration,
    /// how far past arrival is believed
    #[serde(serialize_with = "micros")]
    pub max_ahead: Duration,
    /// none: wait for ever
    #[serde(serialize_with = "micros_or_none")]
    pub idle: Option<Duration>,
}

/// A plugin with state by key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyedTransform {
    /// fields of the input, in order
    pub key: Vec<String>,
    /// of the world `stateful-transformer` or `keyed-transformer`
    pub plugin: Plugin,
    /// for each of the node's inputs the plugin's input that it goes to; none where there is but one
    pub ports: Vec<usize>,
    /// the columns that arrive, by input of the plugin
    #[serde(serialize_with = "all_columns")]
    pub input_schemas: Vec<SchemaRef>,
}

impl NodeKind {
    /// The plugin that the node runs.
    pub fn plugin(&self) -> Option<&Plugin> {
        match self {
            Self::Transform(plugin) | Self::KeyedTransform(KeyedTransform { plugin, .. }) => Some(plugin),
            Self::Window(Window { aggregate: Aggregate::Plugin(plugin), .. }) => Some(plugin),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn plugin_mut(&mut self) -> Option<&mut Plugin> {
        match self {
            Self::Transform(plugin) | Self::KeyedTransform(KeyedTransform { plugin, .. }) => Some(plugin),
            Self::Window(Window { aggregate: Aggregate::Plugin(plugin), .. }) => Some(plugin),
            _ => None,
        }
    }

    /// The number of the plugin's input that this one of the node's inputs goes to.
    pub fn port(&self, input: usize) -> usize {
        match self {
            Self::KeyedTransform(keyed) => keyed.ports.get(input).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether something is remembered from batch to batch.
    pub fn has_state(&self) -> bool {
        matches!(self, Self::Window(_) | Self::KeyedTransform(_))
    }
}

/// Groups in event time.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    /// fields of the input, in order
    pub key: Vec<String>,
    /// length of a tumbling window
    #[serde(serialize_with = "micros")]
    pub tumbling: Duration,
    /// how long it stays open after its end
    #[serde(serialize_with = "micros")]
    pub allowed_lateness: Duration,
    /// what is computed
    pub aggregate: Aggregate,
}

/// What is computed for a window.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// a plugin of the world `aggregator`
    Plugin(Plugin),
    /// functions of ours, in order
    BuiltIn(Vec<Column>),
}

/// One output field of a built-in aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// name of the output field
    pub name: String,
    /// what is computed
    #[serde(serialize_with = "function_name")]
    pub function: Function,
    /// the input field; none: `count` counts rows
    pub field: Option<String>,
}

/// Where a sink writes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// JSON lines
    Stdout,
    /// kept for a test or a program
    Memory,
    /// JSON lines
    File(Files),
    /// a data stream; `key` is a field of the input
    Kinesis { stream: String, key: Option<String>, aws: Aws, avro: Option<AvroSink> },
    /// a delivery stream
    Firehose { delivery_stream: String, aws: Aws, avro: Option<AvroSink> },
}

/// Results as Avro.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AvroSink {
    /// under which the schema is registered
    pub subject: String,
    /// the schema's text
    pub schema: String,
    /// whether it is registered where it is not
    pub auto_register: bool,
}

/// Files that are rolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Files {
    /// the folder
    pub path: PathBuf,
    /// greatest age of a file
    #[serde(serialize_with = "micros")]
    pub every: Duration,
    /// greatest size of a file in bytes
    pub size: u64,
}

/// An inline test.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// what it shows
    pub name: String,
    /// bytes of the job file, for messages
    pub place: std::ops::Range<usize>,
    /// in order
    pub input: Vec<TestInput>,
    /// by connector and request
    pub answers: BTreeMap<(String, String), Answer>,
    /// expected rows: index of a step or sink, objects
    pub expect: Vec<(usize, Vec<Json>)>,
    /// expected rejects: step (none: any) and a part of the message
    pub rejects: Vec<(Option<String>, String)>,
}

/// One thing that happens in a test.
#[derive(Clone, Debug, PartialEq)]
pub enum TestInput {
    /// a record arrives
    Record { source: usize, body: TestBody, key: String, at_us: Option<i64> },
    /// event time has come this far, in this source or in all
    Watermark { source: Option<usize>, us: i64 },
}

/// What a record of a test holds.
#[derive(Clone, Debug, PartialEq)]
pub enum TestBody {
    /// fields, to be encoded as the source's format says
    Fields(Json),
    /// bytes as text
    Text(String),
}

impl Source {
    /// The fields that somebody reads, as `decode` wants to be asked. A type that records do not have (which no check lets through) is read as JSON text.
    pub fn wanted_fields(&self) -> Vec<WantedField> {
        let wanted = |field: &Field| {
            let is_json = field.metadata().get(KIND_KEY).is_some_and(|kind| kind == "json");
            let kind = match field.data_type() {
                DataType::Utf8 if is_json => Kind::Json,
                DataType::Boolean => Kind::Boolean,
                DataType::Int32 => Kind::Int32,
                DataType::Int64 => Kind::Int64,
                DataType::Float32 | DataType::Float64 => Kind::Float64,
                DataType::Utf8 => Kind::Text,
                DataType::Binary => Kind::Binary,
                DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
                    Kind::Decimal { precision: *precision, scale: *scale }
                }
                DataType::Timestamp(..) => Kind::Timestamp,
                DataType::Date32 => Kind::Date,
                _ => Kind::Json,
            };
            WantedField { path: FieldPath::new(field.name()), kind, optional: field.is_nullable() }
        };
        self.wanted.fields().iter().map(|field| wanted(field)).collect()
    }
}

impl Graph {
    /// Whether its steps keep nothing from one record to the next.
    pub fn is_stateless(&self) -> bool {
        !self.nodes.iter().any(|node| node.kind.has_state())
    }

    /// What is deployed, in one form: keys sorted, defaults filled in, secrets left out.
    pub fn canonical(&self) -> Json {
        sorted(serde_json::to_value(self).expect("a graph is JSON"), &self.folder)
    }

    /// SHA-256 of the canonical text, without what may change in a swap: the digests of plugins, which are compared one by one, their names,
    /// versions and connectors, and without the order of columns,
    /// which a newer version of a schema may change.
    pub fn digest(&self) -> String {
        let mut job = self.clone();
        for node in &mut job.nodes {
            node.input_schema = by_name(&node.input_schema);
            node.outputs.iter_mut().for_each(|output| output.schema = by_name(&output.schema));
            match &mut node.kind {
                NodeKind::Source(source) => source.wanted = by_name(&source.wanted),
                NodeKind::KeyedTransform(keyed) => {
                    keyed.input_schemas.iter_mut().for_each(|schema| *schema = by_name(schema))
                }
                _ => {}
            }
            if let Some(plugin) = node.kind.plugin_mut() {
                let PluginInterface { digest, name, version, connectors, .. } = &mut plugin.interface;
                [digest, name, version].into_iter().for_each(String::clear);
                connectors.clear();
            }
        }
        let digest = Sha256::digest(job.canonical().to_string().as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether records of a source can come to a step.
    pub fn leads(&self, source: &str, step: &str) -> bool {
        let (Some(source), Some(step)) = (self.find(source), self.find(step)) else { return false };
        // an input of a node stands before the node
        let mut reached = vec![false; self.nodes.len()];
        reached[source] = true;
        for (index, node) in self.nodes.iter().enumerate() {
            reached[index] |= node.inputs.iter().any(|edge| reached[edge.node]);
        }
        reached[step]
    }

    /// The index of a node.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Every node that reads an output, with the number of its plugin's input that it reads it by.
    pub fn readers(&self, of: Edge) -> impl Iterator<Item = (usize, usize)> {
        self.nodes.iter().enumerate().flat_map(move |(index, node)| {
            let reads = node.inputs.iter().enumerate().filter(move |(_, edge)| **edge == of);
            reads.map(move |(at, _)| (index, node.kind.port(at)))
        })
    }
}

fn sorted(value: Json, folder: &Path) -> Json {
    match value {
        Json::Object(entries) => {
            let mut entries: Vec<(String, Json)> =
                entries.into_iter().map(|(key, value)| (key, sorted(value, folder))).collect();
            for (_, value) in entries.iter_mut().filter(|(key, _)| key == "path") {
                if let Some(inside) = value.as_str().and_then(|path| Path::new(path).strip_prefix(folder).ok()) {
                    *value = Json::String(inside.display().to_string());
                }
            }
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(entries.into_iter().collect())
        }
        Json::Array(values) => Json::Array(values.into_iter().map(|value| sorted(value, folder)).collect()),
        other => other,
    }
}

fn micros<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{}us", duration.as_micros()))
}

fn micros_or_none<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => micros(duration, to),
        None => to.serialize_str("wait"),
    }
}

fn by_name(schema: &SchemaRef) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.sort_by(|a, b| a.name().cmp(b.name()));
    Arc::new(Schema::new(fields))
}

fn columns<S: Serializer>(schema: &SchemaRef, to: S) -> Result<S::Ok, S::Error> {
    let optional = |nullable| if nullable { "?" } else { "" };
    to.collect_seq(
        schema
            .fields()
            .iter()
            .map(|field| format!("{}: {}{}", field.name(), field.data_type(), optional(field.is_nullable()))),
    )
}

fn all_columns<S: Serializer>(schemas: &[SchemaRef], to: S) -> Result<S::Ok, S::Error> {
    let name = |field: &arrow::datatypes::FieldRef| format!("{}: {}", field.name(), field.data_type());
    to.collect_seq(schemas.iter().map(|schema| schema.fields().iter().map(name).collect::<Vec<_>>()))
}

fn function_name<S: Serializer>(function: &Function, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match function {
        Function::Count => "count",
        Function::Sum => "sum",
        Function::Avg => "avg",
        Function::Min => "min",
        Function::Max => "max",
    })
}
