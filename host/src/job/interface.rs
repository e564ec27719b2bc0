//! What checking asks of others: what a plugin says about itself, and which fields a subject has.
//!
//! The rule: plain types only, so that a job can be checked without a WebAssembly engine or a registry at hand.
//! Left to others: answering (`plugin`, `decode`).

use std::{collections::BTreeSet, path::Path, sync::Arc};

use arrow::datatypes::{DataType, TimeUnit};
use pelton_schema::Mode;
use serde::Serialize;

use crate::{
    decode::{Kind, registry::Registered},
    plugin::{Bounds, Capability},
};

/// Tells what a plugin is.
pub trait PluginInspector {
    /// Loads the component, asks it about itself with this configuration and starts it, within these bounds. The error says in words why it cannot be used: no
    /// component, unknown world, a refused import, a refused configuration.
    fn inspect(&self, path: &Path, config: &serde_json::Value, bounds: &Bounds) -> Result<PluginInterface, String>;
}

/// Tells what registries say.
pub trait SchemaLookup {
    /// The newest version of a subject.
    fn latest(&self, subject: &str) -> Result<Arc<Registered>, String>;

    /// The numbers of the versions of a subject, rising; none where there is no such subject.
    fn versions(&self, subject: &str) -> Result<Vec<u32>, String>;

    /// A version of a subject. Nothing where it was deleted or is no Avro.
    fn version(&self, subject: &str, number: u32) -> Result<Option<Arc<Registered>>, String>;

    /// The mode under which the registry lets the subject grow, if it has such a thing.
    fn mode(&self, subject: &str) -> Result<Option<Mode>, String>;

    /// How a schema is registered under a subject. Nothing where it is not.
    fn registered(&self, subject: &str, text: &str) -> Result<Option<Arc<Registered>>, String>;
}

/// A lookup where there is no registry.
pub struct NoRegistry;

impl NoRegistry {
    fn none<T>() -> Result<T, String> {
        Err("there is no registry".to_owned())
    }
}

impl SchemaLookup for NoRegistry {
    fn latest(&self, _: &str) -> Result<Arc<Registered>, String> {
        Self::none()
    }

    fn versions(&self, _: &str) -> Result<Vec<u32>, String> {
        Self::none()
    }

    fn version(&self, _: &str, _: u32) -> Result<Option<Arc<Registered>>, String> {
        Self::none()
    }

    fn mode(&self, _: &str) -> Result<Option<Mode>, String> {
        Self::none()
    }

    fn registered(&self, _: &str, _: &str) -> Result<Option<Arc<Registered>>, String> {
        Self::none()
    }
}

/// What a plugin says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginInterface {
    /// what it is for
    pub world: World,
    /// its own name
    pub name: String,
    /// its own version
    pub version: String,
    /// SHA-256 of the component, hexadecimal
    pub digest: String,
    /// one, but for plugins with state
    pub inputs: Vec<PluginInput>,
    /// the fields of the key that it needs; none: any
    pub key: Vec<PluginField>,
    /// what leaves it; the first is the one without a name in `from:`
    pub outputs: Vec<PluginOutput>,
    /// what it asks others for, by the names of the job's connectors
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connectors: Vec<String>,
    /// what it uses besides computing
    #[serde(skip)]
    pub uses: BTreeSet<Capability>,
}

/// The worlds of the plugin interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    Transformer,
    StatefulTransformer,
    KeyedTransformer,
    Aggregator,
    Enricher,
}

/// An input of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginInput {
    /// the name in `from:` where there are several
    pub name: String,
    /// the fields it wants
    pub wants: Vec<PluginField>,
}

/// A field that a plugin wants or makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginField {
    /// dotted
    pub path: String,
    /// its type
    pub kind: FieldKind,
    /// whether it may be null or absent
    pub optional: bool,
}

/// An output of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginOutput {
    /// the name behind the dot in `from: STEP.NAME`
    pub name: String,
    /// none: raw bytes, one column `payload`
    pub fields: Vec<PluginField>,
}

/// The types that cross the plugin boundary, and that `fields:` of a JSON source may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Boolean,
    Int32,
    Int64,
    Float64,
    Text,
    Binary,
    Decimal,
    Timestamp,
    Date,
    Json,
}

/// The name of a column's type as people write it.
pub fn type_name(data_type: &DataType) -> String {
    let known = KINDS.iter().find(|(_, kind)| kind.data_type() == *data_type);
    known.map_or_else(|| data_type.to_string(), |(name, _)| (*name).to_owned())
}

/// Every name of a type, for messages.
pub const KINDS: [(&str, FieldKind); 10] = [
    ("boolean", FieldKind::Boolean),
    ("int32", FieldKind::Int32),
    ("int64", FieldKind::Int64),
    ("float64", FieldKind::Float64),
    ("text", FieldKind::Text),
    ("binary", FieldKind::Binary),
    ("decimal", FieldKind::Decimal),
    ("timestamp", FieldKind::Timestamp),
    ("date", FieldKind::Date),
    ("json", FieldKind::Json),
];

impl FieldKind {
    /// The column type. A decimal without precision and scale has 38 digits, 18 of them behind the point, as plugins make them.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Decimal => DataType::Decimal128(38, 18),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
        }
    }

    /// What `decode` makes of it.
    pub fn kind(self) -> Kind {
        match self {
            Self::Boolean => Kind::Boolean,
            Self::Int32 => Kind::Int32,
            Self::Int64 => Kind::Int64,
            Self::Float64 => Kind::Float64,
            Self::Text => Kind::Text,
            Self::Binary => Kind::Binary,
            Self::Decimal => Kind::Decimal { precision: 38, scale: 18 },
            Self::Timestamp => Kind::Timestamp,
            Self::Date => Kind::Date,
            Self::Json => Kind::Json,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether a column of this type can be given to who wants this kind without a loss.
    pub fn takes(self, column: &DataType) -> bool {
        match (self, column) {
            (Self::Int64 | Self::Float64, DataType::Int32) => true,
            (Self::Float64, DataType::Float32) => true,
            (Self::Decimal, DataType::Decimal128(..)) => true,
            (Self::Timestamp, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Millisecond, _)) => true,
            (Self::Json, column) => column.is_nested() || *column == DataType::Utf8,
            (kind, column) => kind.data_type() == *column,
        }
    }
}
