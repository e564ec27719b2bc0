//! Texts of schemas without what does not matter: white space, and for those who ask the order of keys and the way names are written.
//!
//! The rule: a bare text is the text that came, so numbers and escapes stay as they are; a normal form is an Avro schema that means the
//! same, with everything that the first one had, and it is its own normal form.
//! Left to others: whether the text is a schema (`pelton_schema`).

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

/// The text of JSON without white space between its parts. A bare name such as `string` is a schema too, though it is not JSON.
pub fn bare(text: &str) -> Result<String, String> {
    if let Err(bad) = serde_json::from_str::<Json>(text) {
        let name = text.trim();
        if !name.is_empty() && name.chars().all(|one| one.is_alphanumeric() || one == '_') {
            return Ok(format!("\"{name}\""));
        }
        let start: String = text.chars().take(60).collect();
        return Err(format!("this is no JSON: {bad}; it begins `{}`", start.escape_debug()));
    }
    let (mut out, mut is_text, mut is_escaped) = (String::with_capacity(text.len()), false, false);
    for one in text.chars() {
        if !is_text && one.is_ascii_whitespace() {
            continue;
        }
        out.push(one);
        match one {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ => {}
        }
    }
    Ok(out)
}

/// The normal form of an Avro schema that parses with these references.
pub fn form(text: &str, references: &[String]) -> Result<String, String> {
    let mut names = HashSet::new();
    for reference in references {
        defined(&read(reference)?, "", &mut names);
    }
    let schema = read(text)?;
    defined(&schema, "", &mut names);
    Ok(Form { names: &names }.any(&schema, "").to_string())
}

fn read(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|bad| format!("this is no JSON: {bad}"))
}

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const NAMED: [&str; 4] = ["record", "error", "enum", "fixed"];
/// What comes first in a type, in this order; the rest follows by name.
const OF_TYPE: &[&str] = &[
    "type",
    "name",
    "namespace",
    "doc",
    "aliases",
    "logicalType",
    "items",
    "values",
    "size",
    "symbols",
    "fields",
    "default",
];
/// The same in a field.
const OF_FIELD: &[&str] = &["name", "type", "doc", "aliases", "default", "order"];

/// Name and namespace of a record, enum or fixed.
fn name_of<'a>(object: &'a Map<String, Json>, space: &'a str) -> Option<(&'a str, &'a str)> {
    if !NAMED.contains(&object.get("type")?.as_str()?) {
        return None;
    }
    let name = object.get("name")?.as_str()?;
    Some(match (name.rsplit_once('.'), object.get("namespace").and_then(Json::as_str)) {
        (Some((space, short)), _) => (short, space),
        (None, Some(own)) => (name, own),
        (None, None) => (name, space),
    })
}

fn full(name: &str, space: &str) -> String {
    if space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

/// Every name that a schema defines.
fn defined(json: &Json, space: &str, names: &mut HashSet<String>) {
    match json {
        Json::Array(branches) => branches.iter().for_each(|branch| defined(branch, space, names)),
        Json::Object(object) => {
            let mut space = space;
            if let Some((name, own)) = name_of(object, space) {
                names.insert(full(name, own));
                space = own;
            }
            for key in ["type", "items", "values"] {
                object.get(key).into_iter().for_each(|inner| defined(inner, space, names));
            }
            for field in object.get("fields").and_then(Json::as_array).into_iter().flatten() {
                field.get("type").into_iter().for_each(|inner| defined(inner, space, names));
            }
        }
        _ => {}
    }
}

struct Form<'a> {
    names: &'a HashSet<String>,
}

impl Form<'_> {
    fn any(&self, json: &Json, space: &str) -> Json {
        match json {
            Json::String(name) => self.name(name, space).into(),
            Json::Array(branches) => branches.iter().map(|branch| self.any(branch, space)).collect(),
            Json::Object(object) => match object.get("type") {
                // `{"type": T}` is T.
                Some(inner) if object.len() == 1 => self.any(inner, space),
                Some(Json::String(_)) => self.object(object, space),
                Some(inner) => {
                    let mut out = object.clone();
                    out.insert("type".to_owned(), self.any(inner, space));
                    ordered(out, OF_TYPE)
                }
                None => json.clone(),
            },
            other => other.clone(),
        }
    }

    /// A name in full.
    fn name(&self, name: &str, space: &str) -> String {
        if PRIMITIVES.contains(&name) || name.contains('.') {
            return name.to_owned();
        }
        let full = full(name, space);
        if self.names.contains(&full) { full } else { name.to_owned() }
    }

    fn object(&self, object: &Map<String, Json>, space: &str) -> Json {
        let mut out = object.clone();
        let mut inner_space = space;
        if let Some((name, own)) = name_of(object, space) {
            out.insert("name".to_owned(), name.into());
            out.shift_remove("namespace");
            if own != space {
                out.insert("namespace".to_owned(), own.into());
            }
            if let Some(Json::Array(aliases)) = out.get_mut("aliases") {
                for alias in aliases.iter_mut().filter(|alias| alias.as_str().is_some_and(|text| !text.contains('.'))) {
                    *alias = full(alias.as_str().unwrap_or_default(), own).into();
                }
            }
            inner_space = own;
        } else if let Some(Json::String(name)) = object.get("type") {
            let known = ["array", "map"].contains(&name.as_str());
            let name = if known { name.clone() } else { self.name(name, space) };
            out.insert("type".to_owned(), name.into());
        }
        for key in ["items", "values"] {
            if let Some(inner) = out.get_mut(key) {
                *inner = self.any(inner, inner_space);
            }
        }
        if let Some(Json::Array(fields)) = out.get_mut("fields") {
            for field in fields.iter_mut() {
                *field = self.field(field, inner_space);
            }
        }
        ordered(out, OF_TYPE)
    }

    fn field(&self, field: &Json, space: &str) -> Json {
        let Json::Object(object) = field else { return field.clone() };
        let mut out = object.clone();
        if let Some(inner) = out.get_mut("type") {
            *inner = self.any(inner, space);
        }
        ordered(out, OF_FIELD)
    }
}

/// Keys in one order, without lists of no aliases.
fn ordered(mut object: Map<String, Json>, first: &[&str]) -> Json {
    let mut out = Map::new();
    for key in first {
        if let Some(value) = object.shift_remove(*key) {
            let is_schema = ["type", "items", "values", "fields"].contains(key);
            if !(*key == "aliases" && value.as_array().is_some_and(Vec::is_empty)) {
                out.insert((*key).to_owned(), if is_schema { value } else { sorted(value) });
            }
        }
    }
    let mut rest: Vec<(String, Json)> = object.into_iter().collect();
    rest.sort_by(|one, other| one.0.cmp(&other.0));
    out.extend(rest.into_iter().map(|(key, value)| (key, sorted(value))));
    out.into()
}

/// A value with all its keys by name.
fn sorted(json: Json) -> Json {
    match json {
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        Json::Object(object) => {
            let mut entries: Vec<(String, Json)> = object.into_iter().collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            entries.into_iter().map(|(key, value)| (key, sorted(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}
