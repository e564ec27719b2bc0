//! Every key of a job file about schemas: registries, how Avro records are read, how results become Avro.
//!
//! As in `raw`: settings are as the person wrote them, and these types are the reference.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Secret,
    read::{At, OneOrMore},
};

/// The schema registry: exactly one of `confluent`, `glue`, `folder`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Registry {
    /// A registry that speaks Confluent's REST API.
    pub confluent: Option<At<Confluent>>,
    /// The schema registry of AWS Glue.
    pub glue: Option<At<Glue>>,
    /// A folder of schemas: `SUBJECT/VERSION.avsc`.
    pub folder: Option<At<Folder>>,
    /// A second registry, asked for what the first does not know.
    pub secondary: Option<At<Box<Registry>>>,
}

/// A Confluent registry.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Confluent {
    /// Such as `http://localhost:8081`; several are tried in order.
    #[schemars(required)]
    pub url: Option<At<OneOrMore<String>>>,
    /// User name for basic authentication.
    pub user: Option<At<String>>,
    /// Password for basic authentication; use `${secret:env:NAME}` or `${secret:file:PATH}`.
    pub password: Option<At<Secret>>,
    /// Bearer token, in place of user and password; use `${secret:env:NAME}` or `${secret:file:PATH}`.
    pub token: Option<At<Secret>>,
    /// Certificates in PEM that are trusted beside the system's: a path, relative to the job file.
    pub ca: Option<At<String>>,
}

/// A registry of AWS Glue.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Glue {
    /// Name of the registry. Default: `default-registry`.
    pub registry: Option<At<String>>,
    /// Another endpoint, such as `http://localhost:5000`.
    pub endpoint: Option<At<String>>,
    /// AWS region. Default: as the environment says.
    pub region: Option<At<String>>,
    /// Profile of the AWS configuration.
    pub profile: Option<At<String>>,
    /// ARN of a role to assume.
    pub role: Option<At<String>>,
}

/// A folder of schemas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Folder {
    /// Path, relative to the job file.
    #[schemars(required)]
    pub path: Option<At<String>>,
}

/// Avro records.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AvroFormat {
    /// Subject in the registry (in Glue: the schema). Needed unless there is a `schema`.
    pub subject: Option<At<String>>,
    /// What a new schema version must keep, whatever the registry enforces. Default: `backward`.
    pub compatibility: Option<At<Compatibility>>,
    /// The reader schema: a path of an `.avsc` file, or the schema itself. Default: the newest version of the subject.
    pub schema: Option<At<Json>>,
    /// What happens before the first record of a schema that breaks `compatibility` or that the job cannot read: `stop` or `dead_letter`.
    /// Default: `stop`.
    pub on_incompatible: Option<At<OnIncompatible>>,
}

/// What happens with records whose schema the job does not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnIncompatible {
    /// The job stops before them.
    #[default]
    Stop,
    /// They go to the dead letters.
    DeadLetter,
    /// Their key waits: not there yet.
    Park,
}

/// Compatibility modes of schema registries. The ones that end in `_all` look at every version before, the others at the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Nothing is checked: records that cannot be read are rejected one by one.
    None,
    /// A new version reads what the one before wrote.
    Backward,
    /// A new version reads what every version before wrote.
    BackwardAll,
    /// The version before reads what a new one writes.
    Forward,
    /// Every version before reads what a new one writes.
    ForwardAll,
    /// Both, against the version before.
    Full,
    /// Both, against every version before.
    FullAll,
    /// No version may come after the one that the job reads by.
    Disabled,
}

impl Compatibility {
    /// The mode of that name.
    pub fn mode(self) -> pelton_schema::Mode {
        use pelton_schema::Mode;
        match self {
            Self::None => Mode::None,
            Self::Backward => Mode::Backward,
            Self::BackwardAll => Mode::BackwardAll,
            Self::Forward => Mode::Forward,
            Self::ForwardAll => Mode::ForwardAll,
            Self::Full => Mode::Full,
            Self::FullAll => Mode::FullAll,
            Self::Disabled => Mode::Disabled,
        }
    }
}

/// What a result becomes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkFormat {
    /// A JSON object.
    Json,
    /// Avro, in the frame of the job's registry.
    Avro(At<AvroSink>),
}

/// Either a word or a map.
pub fn sink_format_schema(generator: &mut SchemaGenerator) -> Schema {
    let named = generator.subschema_for::<SinkFormat>();
    json_schema!({ "anyOf": [{ "enum": ["json"] }, named] })
}

/// Results as Avro.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AvroSink {
    /// Subject in the registry (in Glue: the schema). Default: as `strategy` says.
    pub subject: Option<At<String>>,
    /// How the subject is named: `stream` (`STREAM-value`), `record` (the record's full name) or `stream_record`. Default: `stream`.
    pub strategy: Option<At<Strategy>>,
    /// The schema: a path of an `.avsc` file, or the schema itself. Default: made from the fields of the results.
    pub schema: Option<At<Json>>,
    /// Registers the schema where it is not registered yet. Default: false.
    pub auto_register: Option<At<bool>>,
    /// What a new version of the schema must keep. Default: what the registry says, else `backward`.
    pub compatibility: Option<At<Compatibility>>,
}

/// How a subject is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// `STREAM-value`: one schema a stream.
    #[default]
    Stream,
    /// The record's full name, whatever the stream.
    Record,
    /// `STREAM-RECORD`: several kinds of records in one stream.
    StreamRecord,
}
