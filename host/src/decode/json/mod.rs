//! JSON objects, one a record, straight into columns.
//!
//! The rule: a record is one object and nothing after it; fields that nobody wants are passed over without being kept; a field
//! named twice has its last value. Numbers are exact as far as 64-bit integers and doubles are: write others as text.
//! Left to others: bytes (`binary` fields are base64 text), times that are neither RFC 3339 nor epoch milliseconds.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Value, error::Category};

use self::cell::Cell;
use super::{
    Decoded, Decoder, FieldPath, Kind, Outcome, Tree, WantedField,
    columns::{Column, Columns, Refusal, arrow_schema},
    gzip,
};
use crate::{error::Result, record::RawBatch};

mod cell;

/// Decodes JSON objects into the columns that are wanted.
#[derive(Debug)]
pub struct JsonDecoder {
    wanted: Vec<WantedField>,
    tree: Branch,
    schema: SchemaRef,
    limit: usize,
    body: Vec<u8>,
    text: Vec<u8>,
}

/// Where wanted fields sit, with a faster way to find a name.
#[derive(Debug)]
struct Branch {
    columns: Vec<usize>,
    children: Vec<(Box<str>, Branch)>,
    places: HashMap<Box<str>, usize>,
}

impl Branch {
    fn new(tree: Tree) -> Self {
        let children: Vec<_> = tree.children.into_iter().map(|(name, child)| (name, Self::new(child))).collect();
        let places = children.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        Self { columns: tree.columns, children, places }
    }

    /// The place of a child; records mostly name fields in one order, so the next one is tried first.
    fn place(&self, name: &str, next: usize) -> Option<usize> {
        match self.children.get(next) {
            Some((known, _)) if **known == *name => Some(next),
            _ => self.places.get(name).copied(),
        }
    }
}

impl JsonDecoder {
    /// A decoder. Any object can have any field, so only malformed paths are refused.
    pub fn new(wanted: &[WantedField], gzip_limit: usize) -> Result<Self> {
        let tree = Branch::new(Tree::new(wanted)?);
        let schema = arrow_schema(wanted);
        Ok(Self { wanted: wanted.to_vec(), tree, schema, limit: gzip_limit, body: Vec::new(), text: Vec::new() })
    }

    fn append(&mut self, record: &[u8], columns: &mut Columns) -> std::result::Result<(), Refusal> {
        let mut bytes = record;
        if gzip::is_gzip(record) {
            gzip::inflate(record, self.limit, &mut self.body).map_err(|bad| (bad.code(), bad.message(self.limit)))?;
            bytes = &self.body;
        }
        if bytes.is_empty() {
            return Err(("empty", "the record is empty".to_owned()));
        }
        let rows = columns.rows();
        let mut row = Row { columns: columns.all(), wanted: &self.wanted, rows, text: &mut self.text, refusal: None };
        let mut parser = serde_json::Deserializer::from_slice(bytes);
        let read = Object { branch: &self.tree, row: &mut row }.deserialize(&mut parser);
        if let Err(failed) = read {
            return Err(row.refusal.take().unwrap_or_else(|| refusal(&failed)));
        }
        parser.end().map_err(|failed| ("trailing_bytes", format!("bytes are left after the object: {failed}")))?;
        let missing = row.columns.iter_mut().find_map(|column| {
            let is_complete = column.len() > rows || column.null();
            (!is_complete).then(|| column.wanted().path.0.to_string())
        });
        match missing {
            Some(name) => {
                Err(("missing_field", format!("field `{name}` is missing or null, and a record must have it")))
            }
            None => Ok(()),
        }
    }

    fn run(&mut self, batch: &RawBatch) -> Result<Decoded> {
        let columns = Columns::new(&self.schema, &self.wanted, batch.len());
        columns.fill(batch, |record, columns| self.append(record, columns))
    }
}

impl Decoder for JsonDecoder {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self, batch: &RawBatch) -> Result<Outcome> {
        self.run(batch).map(Outcome::Done)
    }
}

fn refusal(failed: &serde_json::Error) -> Refusal {
    let code = match failed.classify() {
        Category::Eof => "truncated",
        Category::Data => "wrong_type",
        Category::Syntax | Category::Io => "malformed",
    };
    (code, format!("the record is not the JSON that is wanted: {failed}"))
}

/// The row being read.
struct Row<'a> {
    columns: &'a mut [Column],
    wanted: &'a [WantedField],
    rows: usize,
    text: &'a mut Vec<u8>,
    /// a better reason than the parser's
    refusal: Option<Refusal>,
}

impl Row<'_> {
    /// Nulls for everything here and below.
    fn clear(&mut self, branch: &Branch) {
        for column in &branch.columns {
            self.columns[*column].truncate(self.rows);
        }
        branch.children.iter().for_each(|(_, child)| self.clear(child));
    }
}

/// Reads an object for the fields that are wanted of it.
struct Object<'a, 'r> {
    branch: &'a Branch,
    row: &'a mut Row<'r>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut next = 0;
        while let Some(place) = map.next_key_seed(Name { branch: self.branch, next })? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            next = place + 1;
            let child = &self.branch.children[place].1;
            self.row.clear(child);
            map.next_value_seed(Wanted { branch: child, row: self.row })?;
        }
        Ok(())
    }
}

/// Finds a name without keeping it.
struct Name<'a> {
    branch: &'a Branch,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<Option<usize>, E> {
        Ok(self.branch.place(name, self.next))
    }
}

/// Reads a value that is wanted: into one column straight, for several readers through a value in memory.
struct Wanted<'a, 'r> {
    branch: &'a Branch,
    row: &'a mut Row<'r>,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        let Self { branch, row } = self;
        match (&branch.columns[..], branch.children.is_empty()) {
            ([column], true) => Cell::new(*column, row).deserialize(from),
            ([], false) => from.deserialize_option(Nullable { branch, row }),
            (columns, is_leaf) => {
                let value = <Value as serde::Deserialize>::deserialize(from)?;
                let failed = |failed: serde_json::Error| serde::de::Error::custom(failed);
                for column in columns {
                    Cell::new(*column, row).deserialize(&value).map_err(failed)?;
                }
                if !is_leaf && !value.is_null() {
                    (&value).deserialize_map(Object { branch, row }).map_err(failed)?;
                }
                Ok(())
            }
        }
    }
}

/// An object or null.
struct Nullable<'a, 'r> {
    branch: &'a Branch,
    row: &'a mut Row<'r>,
}

impl<'de> Visitor<'de> for Nullable<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_map(Object { branch: self.branch, row: self.row })
    }
}

/// Fields that samples may hold at most; past it nothing more is looked for.
const MOST_FIELDS: usize = 512;

/// The fields that samples have, by dotted path and in order of appearance; all optional, as samples prove nothing about the rest.
/// What is a list, or of different types, is JSON. Samples that are no objects say nothing.
pub fn infer_json<'a>(samples: impl IntoIterator<Item = &'a [u8]>) -> Vec<WantedField> {
    let mut found: Vec<(String, Option<Kind>)> = Vec::new();
    for sample in samples {
        if let Ok(Value::Object(fields)) = serde_json::from_slice(sample) {
            gather(&fields, "", 0, &mut found);
        }
    }
    // Where a field is an object in one sample and something else in another, the whole of it is JSON.
    let has_fields = |path: &str| found.iter().any(|(other, _)| is_inside(other, path));
    let mixed: Vec<String> =
        found.iter().filter(|(path, kind)| kind.is_some() && has_fields(path)).map(|(path, _)| path.clone()).collect();
    found.retain(|(path, _)| !mixed.iter().any(|whole| is_inside(path, whole)));
    found.iter_mut().filter(|(path, _)| mixed.contains(path)).for_each(|(_, kind)| *kind = Some(Kind::Json));
    let paths: Vec<String> = found.iter().map(|(path, _)| path.clone()).collect();
    found.retain(|(path, kind)| kind.is_some() || !paths.iter().any(|other| is_inside(other, path)));
    let field = |(path, kind): (String, Option<Kind>)| (path, kind.unwrap_or(Kind::Json));
    found
        .into_iter()
        .map(field)
        .map(|(path, kind)| WantedField { path: FieldPath::new(path), kind, optional: true })
        .collect()
}

/// Whether a path is that of a field somewhere inside of another.
fn is_inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

fn gather(
    fields: &serde_json::Map<String, Value>,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, Option<Kind>)>,
) {
    for (name, value) in fields {
        if name.is_empty() || name.contains('.') || found.len() >= MOST_FIELDS {
            continue;
        }
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let kind = match value {
            Value::Object(inner) if !inner.is_empty() && depth < 7 => {
                note(&path, None, found);
                gather(inner, &path, depth + 1, found);
                continue;
            }
            Value::Null => None,
            Value::Bool(_) => Some(Kind::Boolean),
            Value::Number(number) if number.is_i64() => Some(Kind::Int64),
            Value::Number(_) => Some(Kind::Float64),
            Value::String(_) => Some(Kind::Text),
            Value::Object(_) | Value::Array(_) => Some(Kind::Json),
        };
        note(&path, kind, found);
    }
}

/// Joins what is known of a field with what one sample says; nothing is known of nulls and objects.
fn note(path: &str, kind: Option<Kind>, found: &mut Vec<(String, Option<Kind>)>) {
    match found.iter_mut().find(|(known, _)| known == path) {
        None => found.push((path.to_owned(), kind)),
        Some((_, known)) => {
            *known = match (*known, kind) {
                (Some(one), Some(other)) if one == other => Some(one),
                (Some(Kind::Int64 | Kind::Float64), Some(Kind::Int64 | Kind::Float64)) => Some(Kind::Float64),
                (Some(_), Some(_)) => Some(Kind::Json),
                (one, other) => one.or(other),
            }
        }
    }
}
