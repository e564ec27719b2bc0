//! Every key of a job file, with what it means: these types are the reference and make the published JSON Schema.
//!
//! The rule: settings are as the person wrote them (texts for durations and sizes), each with its place, and all of them optional
//! here, so that a missing one does not hide the other mistakes. Left to others: which are needed (`check`).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value as Json;

pub use super::connectors::{AtConnector, AtNumber, AtText, Connector, Order, TestAnswer};
pub use super::plugin::{Limits, OnError, OnFailure, Transform};
pub use super::schemas::{
    AvroFormat, AvroSink, Compatibility, Confluent, Glue, OnIncompatible, Registry, SinkFormat, Strategy,
};
use super::{
    read::{At, Named, OneOrMore},
    schemas::sink_format_schema,
};

/// A Pelton job: sources, steps, sinks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Job {
    /// Version of the job file: `v1`.
    #[schemars(required)]
    pub pelton: Option<At<String>>,
    /// Name of the job: letters, digits, `-` and `_`.
    #[schemars(required)]
    pub job: Option<At<String>>,
    /// Where Avro schemas come from.
    pub registry: Option<At<Registry>>,
    /// What enrichers may ask, by the names that they use.
    pub connectors: Option<At<Named<Connector>>>,
    /// Where records come from, by name.
    #[schemars(required)]
    pub sources: Option<At<Named<Source>>>,
    /// What is done with them, by name.
    pub steps: Option<At<Named<Step>>>,
    /// Where results go, by name.
    #[schemars(required)]
    pub sinks: Option<At<Named<Sink>>>,
    /// Where records go that could not be processed. Default: a folder below the state directory.
    pub dead_letters: Option<At<DeadLetters>>,
    /// When progress becomes durable.
    pub checkpoint: Option<At<Checkpoint>>,
    /// What happens when a step has failed, not a record: too many rejects, or a plugin that cannot run. Default: `stop`.
    pub on_failure: Option<At<OnFailure>>,
    /// How several workers share the work: every `pelton run` of this file joins them.
    pub leases: Option<At<Leases>>,
    /// Where state is kept.
    pub state: Option<At<State>>,
    /// Inline tests, run by `pelton test`.
    pub tests: Option<At<Vec<At<Test>>>>,
}

/// A source: exactly one of `kinesis`, `file`, `memory`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = format_is_optional)]
pub struct Source {
    /// A Kinesis data stream.
    pub kinesis: Option<At<KinesisSource>>,
    /// A file of JSON lines or CSV.
    pub file: Option<At<FileSource>>,
    /// Records given by a test or a program.
    pub memory: Option<At<MemorySource>>,
    /// What the bytes are. Default: `json`.
    #[schemars(schema_with = "format_schema")]
    pub format: Option<At<Format>>,
    /// Where event time comes from. Default: the time of arrival.
    pub time: Option<At<Time>>,
    /// The field that producers use as partition key; a record whose key differs is rejected. Steps keyed by it run per shard.
    pub partition_key: Option<At<String>>,
    /// What happens, where steps run per shard, with a record that an explicit hash key put into a shard that does not hold its partition
    /// key: `stop` or `dead_letter`. Default: `stop`.
    pub explicit_hash_key: Option<At<Misplaced>>,
}

/// What happens with a record that lies in the wrong shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Misplaced {
    /// The job stops.
    #[default]
    Stop,
    /// It goes to the dead letters.
    DeadLetter,
}

/// A Kinesis data stream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KinesisSource {
    /// Name of the stream.
    #[schemars(required)]
    pub stream: Option<At<String>>,
    /// Enhanced fan-out (SubscribeToShard). Default: true, and false is not supported yet.
    pub fan_out: Option<At<bool>>,
    /// Where a new job begins: `latest`, `trim_horizon` or `{ at: TIME }`. Default: `trim_horizon`.
    pub start: Option<At<Start>>,
    /// Name of the registered consumer. Default: `pelton-` and the job's name.
    pub consumer: Option<At<String>>,
    /// Another endpoint, such as `http://localhost:4567`.
    pub endpoint: Option<At<String>>,
    /// AWS region. Default: as the environment says.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// Where a new job begins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// What arrives from now on.
    Latest,
    /// The oldest record that is kept.
    TrimHorizon,
    /// What arrived at or after a time (RFC 3339).
    At(At<String>),
}

/// A file of records, one a line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileSource {
    /// Path, relative to the job file.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// `json_lines` (default) or `csv` with a header line.
    pub format: Option<At<FileFormat>>,
    /// The field that becomes the partition key.
    pub key: Option<At<String>>,
}

/// How a file holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values with a header line.
    Csv,
}

/// Records given by a test or a program.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MemorySource {
    /// How many shards. Default: 1.
    pub shards: Option<At<i64>>,
}

/// What the bytes of a record are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A JSON object.
    Json(At<JsonFormat>),
    /// Bytes as they are: one field `payload`.
    Raw,
    /// UTF-8: one field `payload`.
    Text,
    /// Avro: in the frame of Confluent or of Glue, as a single object, or as an object container file with one object.
    Avro(At<AvroFormat>),
}

/// A key whose schema is written out counts as required, whatever its type.
fn format_is_optional(schema: &mut Schema) {
    let required = schema.get_mut("required").and_then(|required| required.as_array_mut());
    let left = required.map(|required| {
        required.retain(|key| key != "format");
        required.len()
    });
    if left == Some(0) {
        schema.remove("required");
    }
}

fn format_schema(generator: &mut SchemaGenerator) -> Schema {
    let named = generator.subschema_for::<Format>();
    json_schema!({ "anyOf": [{ "enum": ["json", "raw", "text"] }, named] })
}

/// JSON objects.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct JsonFormat {
    /// Field and type (`boolean`, `int32`, `int64`, `float64`, `text`, `binary`, `timestamp`, `date`, `decimal(P,S)`, `json`); a `?` behind the type
    /// lets it be absent. Needed wherever something other than a plugin reads a field.
    pub fields: Option<At<Named<String>>>,
}

/// Event time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Time {
    /// The field that holds it: a timestamp, or an int64 of microseconds since 1970.
    #[schemars(required)]
    pub field: Option<At<String>>,
    /// How far behind the newest a record may come and still be in time. Default: `0s`.
    pub out_of_order: Option<At<String>>,
    /// An event time further than this past arrival is a reject. Default: `1h`.
    pub max_ahead: Option<At<String>>,
    /// A shard silent for this long no longer holds time back; `wait` never gives up. Default: `1m`.
    pub idle: Option<At<String>>,
}

/// A step: `from`, and exactly one of `filter`, `select`, `transform`, `aggregate`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Step {
    /// A source or step, `STEP.OUTPUT`, or a list of them; for a plugin with several inputs, these by the input's name.
    #[schemars(required)]
    pub from: Option<At<StepFrom>>,
    /// Keeps the records for which an SQL expression is true.
    pub filter: Option<At<String>>,
    /// New fields by name, each an SQL expression; or a list of fields to keep.
    pub select: Option<At<Select>>,
    /// Runs a plugin over the records.
    pub transform: Option<At<Transform>>,
    /// The field or fields that make a group.
    pub key: Option<At<OneOrMore<String>>>,
    /// How time cuts groups.
    pub window: Option<At<Window>>,
    /// What is computed for each key and window: a plugin, or `OUT: count | sum(FIELD) | avg(FIELD) | min(FIELD) | max(FIELD)` by name.
    pub aggregate: Option<At<Aggregate>>,
    /// Name of the output for records that come too late for their window. Default: `late`.
    pub late: Option<At<String>>,
}

/// Where a step reads.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum StepFrom {
    /// A source or step.
    One(String),
    /// Some of them.
    Many(Vec<At<String>>),
    /// By input of the plugin.
    Named(Named<OneOrMore<String>>),
}

impl<'de> Deserialize<'de> for StepFrom {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FromVisitor;
        impl<'de> serde::de::Visitor<'de> for FromVisitor {
            type Value = StepFrom;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one, a list, or a map of a plugin's inputs")
            }

            fn visit_str<E>(self, text: &str) -> Result<StepFrom, E> {
                Ok(StepFrom::One(text.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<StepFrom, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(StepFrom::Named(Named(all)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<StepFrom, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(StepFrom::Many(all))
            }
        }
        from.deserialize_any(FromVisitor)
    }
}

/// New fields.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Select {
    /// Name and expression.
    Named(Named<String>),
    /// Fields to keep.
    List(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SelectVisitor;
        impl<'de> serde::de::Visitor<'de> for SelectVisitor {
            type Value = Select;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of names and expressions, or a list of fields")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Select, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Select::Named(Named(all)))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Select, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Select::List(all))
            }
        }
        from.deserialize_any(SelectVisitor)
    }
}

/// How time cuts groups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Window {
    /// Length of windows that follow each other, aligned to 1970.
    #[schemars(required)]
    pub tumbling: Option<At<String>>,
    /// How long a window stays open for late records after it has fired. Default: `0s`.
    pub allowed_lateness: Option<At<String>>,
}

/// What is computed: the keys of a plugin, or names with built-in functions.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Aggregate(pub Named<Json>);

impl JsonSchema for Aggregate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Aggregate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let plugin = generator.subschema_for::<Transform>();
        json_schema!({ "anyOf": [plugin, { "type": "object", "additionalProperties": { "type": "string" } }] })
    }
}

/// A sink: `from`, and exactly one of `stdout`, `file`, `kinesis`, `firehose`, `memory`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Sink {
    /// A source or step, `STEP.OUTPUT`, or a list of them.
    #[schemars(required)]
    pub from: Option<At<OneOrMore<String>>>,
    /// JSON lines on standard output.
    pub stdout: Option<At<Nothing>>,
    /// Files of JSON lines, exactly once.
    pub file: Option<At<FileSink>>,
    /// A Kinesis data stream, at least once.
    pub kinesis: Option<At<KinesisSink>>,
    /// A Firehose delivery stream, at least once.
    pub firehose: Option<At<FirehoseSink>>,
    /// Results kept for a test or a program.
    pub memory: Option<At<Nothing>>,
    /// What records of `kinesis` and `firehose` are: `json` or `avro`. Default: `json`.
    #[schemars(schema_with = "sink_format_schema")]
    pub format: Option<At<SinkFormat>>,
}

/// No settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Nothing {}

/// Files of JSON lines.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FileSink {
    /// Folder, relative to the job file.
    #[schemars(required)]
    pub path: Option<At<String>>,
    /// When a file is full. Default: every `1m` or at `64MiB`.
    pub roll: Option<At<Roll>>,
}

/// When a file is full.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Roll {
    /// Its greatest age.
    pub every: Option<At<String>>,
    /// Its greatest size.
    pub size: Option<At<String>>,
}

/// A Kinesis data stream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KinesisSink {
    /// Name of the stream.
    #[schemars(required)]
    pub stream: Option<At<String>>,
    /// The field that becomes the partition key. Default: the partition key or the group that the row comes from.
    pub key: Option<At<String>>,
    /// Another endpoint, such as `http://localhost:4567`.
    pub endpoint: Option<At<String>>,
    /// AWS region. Default: as the environment says.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// A Firehose delivery stream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FirehoseSink {
    /// Name of the delivery stream.
    #[schemars(required)]
    pub delivery_stream: Option<At<String>>,
    /// Another endpoint, such as `http://localhost:4567`.
    pub endpoint: Option<At<String>>,
    /// AWS region. Default: as the environment says.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// Where records go that could not be processed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DeadLetters {
    /// Files, exactly once.
    #[schemars(required)]
    pub file: Option<At<FileSink>>,
}

/// When progress becomes durable.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Checkpoint {
    /// Length of an epoch. Default: `1s`, and `10s` with a `store`.
    pub every: Option<At<String>>,
    /// Where manifests and state are kept that every worker of a fleet reaches: `s3://BUCKET/PREFIX`, or a folder relative to the job
    /// file. Without it they are kept in the state directory alone.
    pub store: Option<At<String>>,
    /// Address of an S3-compatible server.
    pub endpoint: Option<At<String>>,
    /// Region of the bucket.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// How the workers of a fleet share the work.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Leases {
    /// A table of DynamoDB, as the Kinesis Client Library keeps it.
    #[schemars(required)]
    pub dynamodb: Option<At<DynamoDb>>,
    /// A lease that was not renewed for so long is free. Default: `10s`.
    pub duration: Option<At<String>>,
}

/// A lease table. It is made if it is missing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DynamoDb {
    /// Name of the table. Default: the job's name; with several sources that are cut by shards, the source's name follows it.
    pub table: Option<At<String>>,
    /// Address of DynamoDB.
    pub endpoint: Option<At<String>>,
    /// Region of the table.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// Where state is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct State {
    /// Folder, relative to the job file. Default: `.pelton/` and the job's name.
    pub dir: Option<At<String>>,
}

/// Records in, expected results out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Test {
    /// What it shows.
    #[schemars(required)]
    pub name: Option<At<String>>,
    /// Records and watermarks, in order.
    #[schemars(required)]
    pub input: Option<At<Vec<At<TestInput>>>>,
    /// What connectors answer, by connector and by request (`GET /path`): nothing outside is asked. What has no answer here fails the test.
    pub answers: Option<At<Named<Named<TestAnswer>>>>,
    /// Expected rows by step or sink, in any order; fields that are not named are not compared.
    pub expect: Option<At<Named<Vec<At<Json>>>>>,
    /// Expected rejects, in order; a reject that is not expected fails the test.
    pub rejects: Option<At<Vec<At<TestReject>>>>,
}

/// One record, or a watermark.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TestInput {
    /// Which source. Default: the only one.
    pub source: Option<At<String>>,
    /// The record's fields, as JSON; those of Avro records too.
    pub record: Option<At<Json>>,
    /// The record's bytes as text, in place of `record`.
    pub text: Option<At<String>>,
    /// Its partition key. Default: the field that `partition_key:` of the source names, else empty.
    pub key: Option<At<String>>,
    /// Its time of arrival (RFC 3339). Default: that of the record before it; without any, `max_ahead` is not applied.
    pub at: Option<At<String>>,
    /// Event time has come this far (RFC 3339).
    pub watermark: Option<At<String>>,
}

/// A record that must be rejected.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TestReject {
    /// The step that rejects it, or `decode`.
    pub step: Option<At<String>>,
    /// A part of its message.
    pub contains: Option<At<String>>,
}
