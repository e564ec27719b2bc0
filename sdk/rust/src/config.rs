//! The step's `config:`: a Rust type, its JSON Schema, and errors an author of a job can act on.
//!
//! `#[pelton_sdk::config]` on a struct or a field-less enum derives both directions: parsing (by serde) and the schema that
//! `pelton check` holds the job file against.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A type that a config can be made of.
pub trait Schema {
    fn schema() -> Value;
}

/// A whole config. `()` takes none.
pub trait Config: Schema + DeserializeOwned {}
impl<T: Schema + DeserializeOwned> Config for T {}

/// Reads a config; no text, `null` and `{}` are the same.
pub fn parse<C: Config>(text: &str) -> Result<C, String> {
    let value = match text.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(|error| format!("config is not JSON: {error}"))?,
    };
    let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
    let first = if empty { Value::Object(Map::new()) } else { value };
    let read = C::deserialize(&first).map_err(|error| format!("config: {error}"));
    // `()` reads from null only.
    if empty { read.or_else(|error| C::deserialize(Value::Null).map_err(|_| error)) } else { read }
}

/// The schema as text; empty when no config is taken.
pub fn schema_text<C: Config>() -> String {
    match C::schema() {
        Value::Null => String::new(),
        schema => schema.to_string(),
    }
}

/// One property of an object; used by derived code.
pub fn property(properties: &mut Map<String, Value>, name: &str, mut schema: Value, doc: &str) {
    if let (Some(object), false) = (schema.as_object_mut(), doc.is_empty()) {
        object.insert("description".to_owned(), Value::from(doc));
    }
    properties.insert(name.to_owned(), schema);
}

/// The schema of an object; used by derived code.
pub fn object(properties: Map<String, Value>, required: &[&str], doc: &str) -> Value {
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if !doc.is_empty() {
            schema.insert("description".to_owned(), Value::from(doc));
        }
    }
    schema
}

macro_rules! schemas {
    ($($type:ty => $schema:tt),* $(,)?) => {
        $(impl Schema for $type {
            fn schema() -> Value {
                json!($schema)
            }
        })*
    };
}

schemas! {
    () => null,
    bool => { "type": "boolean" },
    String => { "type": "string" },
    f32 => { "type": "number" },
    f64 => { "type": "number" },
    i32 => { "type": "integer", "minimum": (i32::MIN), "maximum": (i32::MAX) },
    i64 => { "type": "integer" },
    u32 => { "type": "integer", "minimum": 0, "maximum": (u32::MAX) },
    u64 => { "type": "integer", "minimum": 0 },
    usize => { "type": "integer", "minimum": 0 },
    Value => {},
}

impl<T: Schema> Schema for Option<T> {
    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), { "type": "null" }] })
    }
}

impl<T: Schema> Schema for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

impl<T: Schema> Schema for std::collections::BTreeMap<String, T> {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
