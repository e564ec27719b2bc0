//! An Avro schema as a list of types that name each other by number: no names left to look up, loops allowed.
//!
//! The rule: every number in a list is a place in that list. Left to others: parsing (apache-avro), and what reads what (`resolve`).

use std::collections::HashMap;

use apache_avro::schema::{InnerDecimalSchema, Name, NamespaceRef, RecordSchema, Schema, UuidSchema};
use serde_json::Value as Json;

use crate::error::{Error, Kind as ErrorKind, Result};

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
    Record {
        names: Names,
        fields: Vec<FieldType>,
    },
    Enum {
        names: Names,
        symbols: Vec<String>,
        default: Option<String>,
    },
    Fixed {
        names: Names,
        size: usize,
    },
    /// a name whose definition has not been met yet
    Unknown(String),
}

/// What a named type may be called.
#[derive(Clone, Debug, Default)]
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

/// A parsed schema with everything that it refers to.
#[derive(Clone, Debug)]
pub struct AvroSchema {
    types: Vec<Type>,
    root: TypeId,
}

impl AvroSchema {
    /// Parses the JSON of a schema. `references` are the schemas of the names that it uses without defining them.
    pub fn parse(text: &str, references: &[String]) -> Result<Self> {
        let bad = |failed: apache_avro::Error| {
            Error::new(
                ErrorKind::Config,
                format!("the Avro schema cannot be parsed: {failed}; it begins {}", start(text)),
            )
        };
        if references.is_empty() {
            return Self::new(&Schema::parse_str(text).map_err(bad)?, &[]);
        }
        let (main, others) = Schema::parse_str_with_list(text, references).map_err(bad)?;
        Self::new(&main, &others)
    }

    /// From a schema of apache-avro and those that it refers to.
    pub fn new(main: &Schema, others: &[Schema]) -> Result<Self> {
        let mut build = Build::default();
        for other in others {
            build.add(other, None);
        }
        let root = build.add(main, None);
        let missing = build.types.iter().find_map(|one| match &one.shape {
            Shape::Unknown(name) => Some(name),
            _ => None,
        });
        if let Some(name) = missing {
            let message = format!(
                "the Avro schema uses `{name}` without defining it: add the schema of that name as a reference"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(Self { types: build.types, root })
    }

    /// The type of the whole.
    pub fn root(&self) -> TypeId {
        self.root
    }

    /// The type at a place.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id]
    }

    /// The name of the record that the schema is, or what else it is, for messages.
    pub fn title(&self) -> String {
        self.describe(self.root)
    }

    /// What a type is, for messages.
    pub fn describe(&self, id: TypeId) -> String {
        let one = self.get(id);
        let shape = match &one.shape {
            Shape::Null => "null".to_owned(),
            Shape::Boolean => "boolean".to_owned(),
            Shape::Int => "int".to_owned(),
            Shape::Long => "long".to_owned(),
            Shape::Float => "float".to_owned(),
            Shape::Double => "double".to_owned(),
            Shape::Bytes => "bytes".to_owned(),
            Shape::String => "string".to_owned(),
            Shape::Array(_) => "array".to_owned(),
            Shape::Map(_) => "map".to_owned(),
            Shape::Union(branches) => {
                let names: Vec<String> = branches.iter().map(|branch| self.describe(*branch)).collect();
                format!("union of {}", names.join(" and "))
            }
            Shape::Record { names, .. } => format!("record `{}`", names.full),
            Shape::Enum { names, .. } => format!("enum `{}`", names.full),
            Shape::Fixed { names, .. } => format!("fixed `{}`", names.full),
            Shape::Unknown(name) => format!("unknown `{name}`"),
        };
        match one.logical {
            None => shape,
            Some(Logical::Decimal { precision, scale }) => format!("decimal({precision}, {scale})"),
            Some(Logical::Uuid) => "uuid".to_owned(),
            Some(Logical::Date) => "date".to_owned(),
            Some(Logical::Time(_)) => "time of day".to_owned(),
            Some(Logical::Timestamp(_)) => "timestamp".to_owned(),
            Some(Logical::Duration) => "duration".to_owned(),
        }
    }
}

/// The first characters of a long text, for messages.
fn start(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[derive(Default)]
struct Build {
    types: Vec<Type>,
    ids: HashMap<String, TypeId>,
}

impl Build {
    fn plain(&mut self, shape: Shape, logical: Option<Logical>) -> TypeId {
        self.types.push(Type { shape, logical });
        self.types.len() - 1
    }

    /// The place of a name, kept free until its definition comes.
    fn named(&mut self, full: &str) -> TypeId {
        if let Some(id) = self.ids.get(full) {
            return *id;
        }
        let id = self.plain(Shape::Unknown(full.to_owned()), None);
        self.ids.insert(full.to_owned(), id);
        id
    }

    fn fixed(
        &mut self,
        fixed: &apache_avro::schema::FixedSchema,
        logical: Option<Logical>,
        space: NamespaceRef,
    ) -> TypeId {
        let names = names(&fixed.name, fixed.aliases.as_deref(), space);
        let id = self.named(&names.full);
        self.types[id] = Type { shape: Shape::Fixed { names, size: fixed.size }, logical };
        id
    }

    fn record(&mut self, record: &RecordSchema, space: NamespaceRef) -> TypeId {
        let full = record.name.fully_qualified_name(space);
        let names = names(&record.name, record.aliases.as_deref(), space);
        let id = self.named(&names.full);
        let field = |build: &mut Self, field: &apache_avro::schema::RecordField| FieldType {
            name: field.name.clone(),
            aliases: field.aliases.clone(),
            default: field.default.clone(),
            id: build.add(&field.schema, full.namespace()),
        };
        let fields = record.fields.iter().map(|one| field(self, one)).collect();
        self.types[id] = Type { shape: Shape::Record { names, fields }, logical: None };
        id
    }

    fn add(&mut self, schema: &Schema, space: NamespaceRef) -> TypeId {
        let timestamp = |unit| Some(Logical::Timestamp(unit));
        let (shape, logical) = match schema {
            Schema::Null => (Shape::Null, None),
            Schema::Boolean => (Shape::Boolean, None),
            Schema::Int => (Shape::Int, None),
            Schema::Long => (Shape::Long, None),
            Schema::Float => (Shape::Float, None),
            Schema::Double => (Shape::Double, None),
            // A big-decimal carries its scale in each value, which no column can; its bytes are handed on.
            Schema::Bytes | Schema::BigDecimal => (Shape::Bytes, None),
            Schema::String => (Shape::String, None),
            Schema::Array(array) => (Shape::Array(self.add(&array.items, space)), None),
            Schema::Map(map) => (Shape::Map(self.add(&map.types, space)), None),
            Schema::Union(union) => {
                (Shape::Union(union.variants().iter().map(|branch| self.add(branch, space)).collect()), None)
            }
            Schema::Record(record) => return self.record(record, space),
            Schema::Enum(one) => {
                let names = names(&one.name, one.aliases.as_deref(), space);
                let id = self.named(&names.full);
                let shape = Shape::Enum { names, symbols: one.symbols.clone(), default: one.default.clone() };
                self.types[id] = Type { shape, logical: None };
                return id;
            }
            Schema::Fixed(fixed) => return self.fixed(fixed, None, space),
            Schema::Decimal(decimal) => {
                let logical = Some(Logical::Decimal { precision: decimal.precision, scale: decimal.scale });
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => (Shape::Bytes, logical),
                    InnerDecimalSchema::Fixed(fixed) => return self.fixed(fixed, logical, space),
                }
            }
            Schema::Uuid(UuidSchema::Bytes) => (Shape::Bytes, Some(Logical::Uuid)),
            Schema::Uuid(UuidSchema::String) => (Shape::String, Some(Logical::Uuid)),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => return self.fixed(fixed, Some(Logical::Uuid), space),
            Schema::Date => (Shape::Int, Some(Logical::Date)),
            Schema::TimeMillis => (Shape::Int, Some(Logical::Time(1000))),
            Schema::TimeMicros => (Shape::Long, Some(Logical::Time(1))),
            Schema::TimestampMillis | Schema::LocalTimestampMillis => (Shape::Long, timestamp(Unit::Millis)),
            Schema::TimestampMicros | Schema::LocalTimestampMicros => (Shape::Long, timestamp(Unit::Micros)),
            Schema::TimestampNanos | Schema::LocalTimestampNanos => (Shape::Long, timestamp(Unit::Nanos)),
            Schema::Duration(fixed) => return self.fixed(fixed, Some(Logical::Duration), space),
            Schema::Ref { name } => {
                let full = name.fully_qualified_name(space).fullname(None);
                return self.named(&full);
            }
        };
        self.plain(shape, logical)
    }
}

fn names(name: &Name, aliases: Option<&[apache_avro::schema::Alias]>, space: NamespaceRef) -> Names {
    let full = name.fully_qualified_name(space);
    let aliases = aliases.unwrap_or_default().iter().map(|alias| alias.fullname(full.namespace())).collect();
    Names { full: full.fullname(None), short: full.name().to_owned(), aliases }
}
