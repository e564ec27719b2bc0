//! What a plugin says of itself, checked.
//!
//! The rule: a manifest that got through has unique names, known sizes, and nothing that its world cannot do, so that nobody after this
//! has to ask again.
//! Left to others: whether the fields exist upstream (`job`).

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};

use pelton_schema::AvroSchema;

use super::{bindings::types, capability::log::clean, package::World};

/// Most outputs and connectors, and most fields of one of them.
const MOST: usize = 1_000;

/// Most inputs of a plugin with state.
const MOST_INPUTS: usize = 16;

/// Most tables: a byte counts them.
const MOST_TABLES: usize = 255;

/// Longest name or path in bytes.
const LONGEST_NAME: usize = 200;

/// Paths that begin with it are the interface's.
const RESERVED: &str = "pelton:";

/// What stands in no path yet.
const UNUSED: [char; 4] = ['[', ']', '"', '\\'];

/// Digits after the point of every decimal column that a plugin makes: a column has one scale, and a manifest states none.
pub(super) const DECIMAL_SCALE: i8 = 18;

/// What a cell can be, as in `wit/types.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    Boolean,
    Int32,
    Int64,
    Float64,
    Text,
    Binary,
    Decimal,
    /// microseconds since 1970 in UTC
    Timestamp,
    /// days since 1970
    Date,
    /// nested values as JSON text
    Json,
}

impl FieldKind {
    /// The kind that columns of this type cross the boundary as.
    pub fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Self::Int32,
            DataType::Int64 | DataType::UInt32 => Self::Int64,
            DataType::Float32 | DataType::Float64 => Self::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Binary
            }
            DataType::Decimal128(_, _) => Self::Decimal,
            DataType::Timestamp(_, _) => Self::Timestamp,
            DataType::Date32 => Self::Date,
            DataType::Dictionary(_, values) => return Self::of(values),
            _ => return None,
        })
    }

    /// How a column of this kind is held between steps. Decimals that come in may have any precision and scale.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Decimal => DataType::Decimal128(38, DECIMAL_SCALE),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Date => DataType::Date32,
        }
    }
}

/// A field that is wanted or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// dotted: `coords.latitude`
    pub path: Arc<str>,
    /// what its cells are
    pub kind: FieldKind,
    /// whether cells may be null
    pub optional: bool,
    /// for people
    pub doc: String,
}

/// Columns beside the fields: those an input wants, or an output sets itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub partition_key: bool,
    pub event_time: bool,
    pub arrival_time: bool,
    pub position: bool,
    pub payload: bool,
    pub operation: bool,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub identity: Identity,
    pub fields: Vec<Field>,
    pub doc: String,
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    pub name: String,
    pub fields: Vec<Field>,
    pub sets: Identity,
    pub doc: String,
    /// the columns that every batch of this output has
    pub schema: SchemaRef,
}

/// State that the plugin keeps; table 0 of an aggregator is its accumulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub prefetch: bool,
    /// an Avro schema, or nothing for opaque bytes
    pub schema: Option<String>,
    pub schema_version: u32,
    /// stored versions that `migrate` turns into this one
    pub migrates_from: Vec<u32>,
    pub ttl_ms: Option<u64>,
}

/// A name that requests use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    pub name: String,
    pub doc: String,
}

/// What a plugin says of itself under one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub version: String,
    pub doc: String,
    /// JSON Schema of the step's config, or nothing when it takes none
    pub config_schema: Option<String>,
    /// at least one; exactly one where there is no state
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// fields of the step's key, in order; none: it takes any key
    pub key: Vec<Field>,
    pub tables: Vec<Table>,
    pub connectors: Vec<Connector>,
}

impl Manifest {
    /// The first input, which is the only one where there is no state.
    pub fn input(&self) -> &Input {
        self.inputs.first().expect("a checked manifest has an input")
    }
}

type Checked<T> = Result<T, String>;

/// What a plugin of this world says.
pub(super) fn check(manifest: types::Manifest, world: World) -> Checked<Manifest> {
    let count = manifest.inputs.len();
    let most_inputs = if world == World::StatefulTransformer { MOST_INPUTS } else { 1 };
    if count == 0 || count > most_inputs {
        let expected = if most_inputs == 1 { "exactly one".to_owned() } else { format!("1 to {most_inputs}") };
        return Err(format!("it declares {count} inputs, expected {expected}"));
    }
    let inputs: Vec<Input> = manifest.inputs.into_iter().map(input).collect::<Checked<_>>()?;
    unique("input", inputs.iter().map(|input| input.name.as_str()))?;
    let counts = [
        ("outputs", manifest.outputs.len(), MOST),
        ("tables", manifest.tables.len(), MOST_TABLES),
        ("connectors", manifest.connectors.len(), MOST),
    ];
    for (what, count, most) in counts {
        if count > most {
            return Err(format!("it declares {count} {what}, the limit is {most}"));
        }
    }
    let outputs: Vec<Output> = manifest.outputs.into_iter().map(output).collect::<Checked<_>>()?;
    unique("output", outputs.iter().map(|output| output.name.as_str()))?;
    let tables: Vec<Table> = manifest.tables.into_iter().map(table).collect::<Checked<_>>()?;
    unique("table", tables.iter().map(|table| table.name.as_str()))?;
    let connectors: Vec<Connector> = manifest.connectors.into_iter().map(connector).collect::<Checked<_>>()?;
    unique("connector", connectors.iter().map(|connector| connector.name.as_str()))?;
    let key = fields("the key", manifest.key, false)?;
    fits_world(world, &tables, &key, &connectors)?;
    Ok(Manifest {
        name: named("the plugin", manifest.name)?,
        version: named("the plugin's version", manifest.version)?,
        doc: clean(&manifest.doc),
        config_schema: json("the config schema", manifest.config_schema)?,
        inputs,
        outputs,
        key,
        tables,
        connectors,
    })
}

/// What a world has no use for is a mistake of the plugin's author.
fn fits_world(world: World, tables: &[Table], key: &[Field], connectors: &[Connector]) -> Checked<()> {
    let none = |what: &str, name: &str, with: &str| {
        Err(format!("it declares the {what} `{name}`, and a {world} has none: leave it out, or make it {with}"))
    };
    let is_keyed = !matches!(world, World::Transformer | World::Enricher);
    match (tables.first(), key.first(), connectors.first()) {
        (Some(table), _, _) if !is_keyed => none("table", &table.name, "a stateful-transformer"),
        (_, Some(field), _) if !is_keyed => none("key field", &field.path, "a stateful-transformer"),
        (_, _, Some(connector)) if world != World::Enricher => none("connector", &connector.name, "an enricher"),
        _ => Ok(()),
    }
}

fn input(input: types::Input) -> Checked<Input> {
    let identity = identity(input.identity);
    if identity.payload {
        return Err("its input wants the payload, which this host does not pass on yet: ask for fields".into());
    }
    let fields = fields("the input", input.fields, true)?;
    Ok(Input { name: named("the input", input.name)?, identity, fields, doc: clean(&input.doc) })
}

fn output(output: types::Output) -> Checked<Output> {
    let name = named("an output", output.name)?;
    let fields = fields(&format!("output `{name}`"), output.fields, false)?;
    let sets = identity(output.sets);
    if sets.arrival_time || sets.position {
        return Err(format!("output `{name}` sets the arrival time or the position, which only the host knows"));
    }
    if sets.payload && !fields.is_empty() {
        return Err(format!("output `{name}` has both fields and a payload: declare one of them"));
    }
    let schema = Arc::new(Schema::new(fields.iter().map(arrow_field).collect::<Vec<_>>()));
    Ok(Output { name, fields, sets, doc: clean(&output.doc), schema })
}

fn arrow_field(field: &Field) -> ArrowField {
    ArrowField::new(field.path.as_ref(), field.kind.data_type(), field.optional)
}

fn connector(connector: types::Connector) -> Checked<Connector> {
    Ok(Connector { name: named("a connector", connector.name)?, doc: clean(&connector.doc) })
}

fn table(table: types::Table) -> Checked<Table> {
    let name = named("a table", table.name)?;
    if table.migrates_from.len() > MOST {
        let count = table.migrates_from.len();
        return Err(format!("table `{name}` migrates from {count} versions, the limit is {MOST}"));
    }
    Ok(Table {
        migrates_from: table.migrates_from,
        schema: avro(&name, table.schema)?,
        name,
        prefetch: table.prefetch,
        schema_version: table.schema_version,
        ttl_ms: table.ttl_ms,
    })
}

/// `wanted`: they are of an input, where a path that only later hosts know may be asked for.
fn fields(place: &str, fields: Vec<types::Field>, wanted: bool) -> Checked<Vec<Field>> {
    if fields.len() > MOST {
        return Err(format!("{place} has {} fields, the limit is {MOST}", fields.len()));
    }
    let fields: Vec<Field> = fields
        .into_iter()
        .map(|field| {
            let path = named(&format!("a field of {place}"), field.path)?;
            if path.split('.').any(str::is_empty) {
                return Err(format!("field `{path}` of {place} has an empty part: expected names joined by dots"));
            }
            if let Some(unused) = path.chars().find(|letter| UNUSED.contains(letter)) {
                return Err(format!(
                    "field `{path}` of {place} has a `{unused}`, which stands in no path yet: rename it"
                ));
            }
            if path.starts_with(RESERVED) && !(wanted && field.optional) {
                return Err(format!(
                    "field `{path}` of {place} is the interface's, and this host does not know it: rename it{}",
                    if wanted { ", or make it optional" } else { "" }
                ));
            }
            Ok(Field { path: path.into(), kind: kind(field.kind), optional: field.optional, doc: clean(&field.doc) })
        })
        .collect::<Checked<_>>()?;
    unique(&format!("field of {place}"), fields.iter().map(|field| field.path.as_ref()))?;
    Ok(fields)
}

fn named(what: &str, name: String) -> Checked<String> {
    // marks of text direction, which make a name look like another, are not in a clean text either
    if name.is_empty() || name.len() > LONGEST_NAME || clean(&name) != name {
        return Err(format!(
            "{what} has the name `{}`: expected 1 to {LONGEST_NAME} printable characters",
            clean(&name)
        ));
    }
    Ok(name)
}

fn json(what: &str, text: String) -> Checked<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!("{what} is no JSON: {error}")),
    }
}

fn avro(table: &str, text: String) -> Checked<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    match AvroSchema::parse(&text, &[]) {
        Ok(_) => Ok(Some(text)),
        Err(error) => {
            Err(format!("the schema of table `{table}` is no Avro: {error}; leave it empty for opaque bytes"))
        }
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Checked<()> {
    let mut seen = HashSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(format!("{what} `{twice}` is declared twice")),
        None => Ok(()),
    }
}

fn identity(flags: types::Identity) -> Identity {
    Identity {
        partition_key: flags.contains(types::Identity::PARTITION_KEY),
        event_time: flags.contains(types::Identity::EVENT_TIME),
        arrival_time: flags.contains(types::Identity::ARRIVAL_TIME),
        position: flags.contains(types::Identity::POSITION),
        payload: flags.contains(types::Identity::PAYLOAD),
        operation: flags.contains(types::Identity::OPERATION),
    }
}

fn kind(kind: types::Kind) -> FieldKind {
    match kind {
        types::Kind::Boolean => FieldKind::Boolean,
        types::Kind::Int32 => FieldKind::Int32,
        types::Kind::Int64 => FieldKind::Int64,
        types::Kind::Float64 => FieldKind::Float64,
        types::Kind::Text => FieldKind::Text,
        types::Kind::Binary => FieldKind::Binary,
        types::Kind::Decimal => FieldKind::Decimal,
        types::Kind::Timestamp => FieldKind::Timestamp,
        types::Kind::Date => FieldKind::Date,
        types::Kind::Json => FieldKind::Json,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn declared() -> types::Manifest {
        let field = |path: &str| types::Field {
            path: path.into(),
            kind: types::Kind::Int64,
            optional: true,
            doc: String::new(),
        };
        types::Manifest {
            name: "p".into(),
            version: "1".into(),
            doc: String::new(),
            config_schema: String::new(),
            inputs: vec![types::Input {
                name: "in".into(),
                identity: types::Identity::empty(),
                fields: vec![field("a.b")],
                doc: String::new(),
            }],
            outputs: vec![types::Output {
                name: "out".into(),
                fields: vec![field("c")],
                sets: types::Identity::empty(),
                doc: String::new(),
            }],
            key: Vec::new(),
            tables: Vec::new(),
            connectors: Vec::new(),
            annotations: Vec::new(),
        }
    }

    #[test]
    fn a_sound_manifest_becomes_a_schema() {
        let manifest = check(declared(), World::Transformer).unwrap();
        assert_eq!(manifest.outputs[0].schema.field(0).data_type(), &DataType::Int64);
        assert_eq!(manifest.input().fields[0].path.as_ref(), "a.b");
    }

    #[test]
    fn a_path_of_later_hosts_may_be_asked_for_where_it_is_optional() {
        let mut manifest = declared();
        manifest.inputs[0].fields[0].path = "pelton:lag".into();
        assert_eq!(check(manifest, World::Transformer).unwrap().input().fields[0].path.as_ref(), "pelton:lag");
    }

    #[test]
    fn the_schema_of_a_table_is_avro_or_nothing() {
        let with = |schema: &str| {
            let table = types::Table {
                name: "t".into(),
                prefetch: false,
                schema: schema.into(),
                schema_version: 1,
                migrates_from: Vec::new(),
                ttl_ms: None,
            };
            check(types::Manifest { tables: vec![table], ..declared() }, World::KeyedTransformer)
        };
        assert_eq!(with("").unwrap().tables[0].schema, None);
        assert!(with("\"long\"").unwrap().tables[0].schema.is_some());
        assert!(with("{\"a\": 1}").unwrap_err().contains("table `t` is no Avro"));
    }

    #[test]
    fn each_mistake_is_named() {
        type Spoil = fn(&mut types::Manifest);
        let cases: [(&str, Spoil); 13] = [
            ("0 inputs", |m| m.inputs.clear()),
            ("output `out` is declared twice", |m| m.outputs.push(m.outputs[0].clone())),
            ("field of the input `a.b` is declared twice", |m| {
                let field = m.inputs[0].fields[0].clone();
                m.inputs[0].fields.push(field);
            }),
            ("empty part", |m| m.inputs[0].fields[0].path = "a..b".into()),
            ("only the host knows", |m| m.outputs[0].sets = types::Identity::POSITION),
            ("both fields and a payload", |m| m.outputs[0].sets = types::Identity::PAYLOAD),
            ("the config schema is no JSON", |m| m.config_schema = "{".into()),
            ("the plugin has the name ``", |m| m.name.clear()),
            ("`a[0]` of the input has a `[`", |m| m.inputs[0].fields[0].path = "a[0]".into()),
            ("this host does not know it: rename it, or make it optional", |m| {
                m.inputs[0].fields[0] =
                    types::Field { path: "pelton:x".into(), optional: false, ..m.inputs[0].fields[0].clone() };
            }),
            ("`pelton:x` of output `out` is the interface's", |m| m.outputs[0].fields[0].path = "pelton:x".into()),
            ("a transformer has none", |m| m.key.push(m.outputs[0].fields[0].clone())),
            ("the connector `c`", |m| m.connectors.push(types::Connector { name: "c".into(), doc: String::new() })),
        ];
        for (expected, spoil) in cases {
            let mut manifest = declared();
            spoil(&mut manifest);
            let what = check(manifest, World::Transformer).unwrap_err();
            assert!(what.contains(expected), "{what}");
        }
    }
}
