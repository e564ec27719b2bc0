//! An Avro schema as a list of types that name each other by number: no names left to look up, loops allowed.
//!
//! The rule: every number in a list is a place in that list. Left to others: making it (`parse`), and what reads what (`compat`).

use std::fmt;

use serde_json::Value as Json;

use crate::parse;

/// How many branches of a union are told.
const MOST_TOLD: usize = 8;

/// Place of a type in its schema.
pub type TypeId = usize;

/// How a value lies on the wire.
#[derive(Clone, Debug)]
pub enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record { names: Names, fields: Vec<FieldType> },
    Enum { names: Names, symbols: Vec<String>, default: Option<String> },
    Fixed { names: Names, size: usize },
}

/// What a named type may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// with namespace
    pub full: String,
    /// without
    pub short: String,
    /// with namespace
    pub aliases: Vec<String>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct FieldType {
    pub name: String,
    pub aliases: Vec<String>,
    pub default: Option<Json>,
    pub id: TypeId,
}

/// What a value means beyond its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    Decimal {
        precision: usize,
        scale: usize,
    },
    Uuid,
    Date,
    /// time of day: how many microseconds one step is
    Time(i64),
    Timestamp(Unit),
    Duration,
}

/// The step of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// A type: shape and meaning.
#[derive(Clone, Debug)]
pub struct Type {
    pub shape: Shape,
    pub logical: Option<Logical>,
}

/// Why a text is no Avro schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", place(.path))]
pub struct SchemaError {
    /// where: `order.items[].price`; empty for the whole
    pub path: String,
    /// in words
    pub what: String,
}

/// Something that the specification forbids, and that keeps no record from being read.
pub type Defect = SchemaError;

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("at `{path}`: ") }
}

/// A parsed schema with everything that it refers to.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    pub(crate) types: Vec<Type>,
    pub(crate) root: TypeId,
    pub(crate) defects: Vec<Defect>,
}

impl AvroSchema {
    /// Parses the JSON of a schema. `references` are the schemas of the names that it uses without defining them, in any order.
    /// What is merely wrong (a default that does not fit, a name with a dash) is kept as [`AvroSchema::defects`]: records that were
    /// written with such a schema can be read all the same.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        parse::parse(text, references)
    }

    /// The same for a schema that is new: its first defect is an error.
    pub fn parse_strict(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        let schema = Self::parse(text, references)?;
        match schema.defects.first() {
            Some(defect) => Err(defect.clone()),
            None => Ok(schema),
        }
    }

    /// What the specification forbids in it.
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// The type of the whole.
    pub fn root(&self) -> TypeId {
        self.root
    }

    /// The type at a place.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id]
    }

    /// How many types it has.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Whether it has none, which no schema that was parsed has.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The fields of the record that the schema is; none where it is something else.
    pub fn fields(&self) -> &[FieldType] {
        match &self.get(self.root).shape {
            Shape::Record { fields, .. } => fields,
            _ => &[],
        }
    }

    /// The full name of the record, enum or fixed that the schema is.
    pub fn full_name(&self) -> Option<&str> {
        self.get(self.root).shape.names().map(|names| names.full.as_str())
    }

    /// The name of the record that the schema is, or what else it is, for messages.
    pub fn title(&self) -> String {
        self.describe(self.root)
    }

    /// What a type is, for messages.
    pub fn describe(&self, id: TypeId) -> String {
        let one = self.get(id);
        if let Some(logical) = one.logical {
            return logical.to_string();
        }
        match &one.shape {
            Shape::Array(item) => format!("array of {}", self.kind_of(*item)),
            Shape::Map(value) => format!("map of {}", self.kind_of(*value)),
            Shape::Union(branches) => {
                let names: Vec<String> = branches.iter().take(MOST_TOLD).map(|branch| self.kind_of(*branch)).collect();
                let more = branches.len().saturating_sub(MOST_TOLD);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("union of {}{more}", names.join(" and "))
            }
            _ => self.kind_of(id),
        }
    }

    /// The same without what is inside.
    fn kind_of(&self, id: TypeId) -> String {
        let one = self.get(id);
        if let Some(logical) = one.logical {
            return logical.to_string();
        }
        match &one.shape {
            Shape::Record { names, .. } | Shape::Enum { names, .. } | Shape::Fixed { names, .. } => {
                format!("{} `{}`", one.shape.word(), names.full)
            }
            shape => shape.word().to_owned(),
        }
    }
}

impl Shape {
    /// The word of the specification.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record { .. } => "record",
            Self::Enum { .. } => "enum",
            Self::Fixed { .. } => "fixed",
        }
    }

    /// The names of a record, enum or fixed.
    pub fn names(&self) -> Option<&Names> {
        match self {
            Self::Record { names, .. } | Self::Enum { names, .. } | Self::Fixed { names, .. } => Some(names),
            _ => None,
        }
    }

    /// Every type that it names.
    pub(crate) fn inner_mut(&mut self) -> Vec<&mut TypeId> {
        match self {
            Self::Array(inner) | Self::Map(inner) => vec![inner],
            Self::Union(branches) => branches.iter_mut().collect(),
            Self::Record { fields, .. } => fields.iter_mut().map(|field| &mut field.id).collect(),
            _ => Vec::new(),
        }
    }
}

impl Names {
    /// Whether a writer's type of these names may be read as a reader's of those: by the name without namespace, or by an alias of the
    /// reader.
    pub fn are_read_as(&self, reader: &Names) -> bool {
        self.short == reader.short || reader.aliases.contains(&self.full)
    }
}

impl fmt::Display for Logical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::Time(1000) => "time in milliseconds",
            Self::Time(_) => "time in microseconds",
            Self::Timestamp(Unit::Millis) => "timestamp in milliseconds",
            Self::Timestamp(Unit::Micros) => "timestamp in microseconds",
            Self::Timestamp(Unit::Nanos) => "timestamp in nanoseconds",
            Self::Duration => "duration",
        })
    }
}
