//! The next version of a schema, from edits that a person names: what a mode needs for them is added, or the edit is refused.
//!
//! The rule: the text keeps its order and everything that is not edited; a field that is added gets a default that its type has, a renamed
//! one its old name as alias. Left to others: whether the mode takes the result (`mode`).

use serde_json::{Map, Value as Json, json};

use crate::types::{AvroSchema, SchemaError};

/// One change to the record that a schema is.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// a new field with its type, `string` or `string?` or JSON, and its default
    Add { path: String, kind: Json, default: Option<Json> },
    /// a field goes
    Remove { path: String },
    /// a field is called otherwise
    Rename { path: String, to: String },
    /// a field gets another type
    Retype { path: String, kind: Json },
    /// an enum gets a symbol
    Symbol { path: String, symbol: String },
}

fn error(path: &str, what: impl Into<String>) -> SchemaError {
    SchemaError { path: path.to_owned(), what: what.into() }
}

/// A type as people type it: a name, a name with `?` for null or that, or the JSON of a type.
pub fn kind(text: &str) -> Result<Json, SchemaError> {
    let text = text.trim();
    if text.starts_with(['{', '[', '"']) {
        return serde_json::from_str(text).map_err(|bad| error("", format!("`{text}` is no JSON of a type: {bad}")));
    }
    let simple = |name: &str| match name {
        "date" => json!({ "type": "int", "logicalType": "date" }),
        "timestamp" => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        "uuid" => json!({ "type": "string", "logicalType": "uuid" }),
        name => json!(name),
    };
    Ok(match text.strip_suffix('?') {
        Some(name) => json!(["null", simple(name)]),
        None => simple(text),
    })
}

/// Applies edits in order. The result is a valid schema.
pub fn evolve(text: &str, edits: &[Edit]) -> Result<Json, SchemaError> {
    AvroSchema::parse(text, &[])?;
    let mut schema: Json = serde_json::from_str(text).map_err(|bad| error("", format!("this is no JSON: {bad}")))?;
    for edit in edits {
        apply(&mut schema, edit)?;
    }
    AvroSchema::parse_strict(&schema.to_string(), &[])?;
    Ok(schema)
}

fn apply(schema: &mut Json, edit: &Edit) -> Result<(), SchemaError> {
    match edit {
        Edit::Add { path, kind, default } => {
            let (fields, name) = fields_around(schema, path)?;
            if fields.iter().any(|field| field["name"] == name) {
                return Err(error(path, "there is such a field already"));
            }
            let default = match default {
                Some(default) => default.clone(),
                None => natural_default(kind).ok_or_else(|| {
                    error(
                        path,
                        "a field of this type has no natural default: say which, as in `--add NAME:TYPE=DEFAULT`",
                    )
                })?,
            };
            fields.push(json!({ "name": name, "type": kind, "default": default }));
        }
        Edit::Remove { path } => {
            let (fields, name) = fields_around(schema, path)?;
            let place = place_of(fields, name, path)?;
            fields.remove(place);
        }
        Edit::Rename { path, to } => {
            let field = field_at(schema, path)?;
            let old = field.insert("name".to_owned(), json!(to)).unwrap_or_default();
            let aliases = field.entry("aliases").or_insert_with(|| json!([]));
            if let Some(aliases) = aliases.as_array_mut() {
                aliases.push(old);
            }
        }
        Edit::Retype { path, kind } => drop(field_at(schema, path)?.insert("type".to_owned(), kind.clone())),
        Edit::Symbol { path, symbol } => {
            let field = field_at(schema, path)?;
            let kind = field.get_mut("type").and_then(present).filter(|kind| kind.get("symbols").is_some());
            let symbols = kind.and_then(|kind| kind["symbols"].as_array_mut());
            symbols.ok_or_else(|| error(path, "the field is no enum that is defined here"))?.push(json!(symbol));
        }
    }
    Ok(())
}

/// The type itself, or the one that is not null of a union of two.
fn present(kind: &mut Json) -> Option<&mut Json> {
    let is_wrapped = kind.get("type").is_some_and(|inner| !inner.is_string());
    if is_wrapped {
        return kind.get_mut("type").and_then(present);
    }
    match kind {
        Json::Array(branches) => branches.iter_mut().find(|branch| branch.is_object()),
        other => Some(other),
    }
}

/// The fields of the record around a path, and the last name of the path.
fn fields_around<'a, 'p>(schema: &'a mut Json, path: &'p str) -> Result<(&'a mut Vec<Json>, &'p str), SchemaError> {
    let (around, name) = path.rsplit_once('.').map_or((None, path), |(around, name)| (Some(around), name));
    let record = match around {
        None => schema,
        Some(around) => {
            field_at(schema, around)?.get_mut("type").ok_or_else(|| error(around, "the field has no type"))?
        }
    };
    let fields = present(record).and_then(|record| record.get_mut("fields")).and_then(Json::as_array_mut);
    let fields = fields.ok_or_else(|| error(around.unwrap_or(""), "this is no record that is defined here"))?;
    Ok((fields, name))
}

fn place_of(fields: &[Json], name: &str, path: &str) -> Result<usize, SchemaError> {
    fields.iter().position(|field| field["name"] == name).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
        error(path, format!("there is no such field: the record has {}", names.join(", ")))
    })
}

fn field_at<'a>(schema: &'a mut Json, path: &str) -> Result<&'a mut Map<String, Json>, SchemaError> {
    let (fields, name) = fields_around(schema, path)?;
    let place = place_of(fields, name, path)?;
    fields[place].as_object_mut().ok_or_else(|| error(path, "the field is no object"))
}

/// What a reader sees where a writer had no such field, if there is something that means nothing.
fn natural_default(kind: &Json) -> Option<Json> {
    match kind {
        Json::Array(branches) => branches.iter().any(|branch| branch == "null").then_some(Json::Null),
        Json::Object(object) => match object.get("type")?.as_str()? {
            "array" => Some(json!([])),
            "map" => Some(json!({})),
            _ => None,
        },
        _ => None,
    }
}
