//! Attribute values: from the JSON of requests and back, with the service's checks, sizes and order.
//!
//! The rules: a value has exactly one type; sets are never empty and hold nothing twice; nesting ends at 32 levels. Only
//! strings, numbers and binaries have an order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::error::{TableError, invalid, invalid_value, unreadable};
use super::number::Number;

/// The service's limit for an item, names included.
pub const MAX_ITEM: usize = 400 << 10;
const MAX_DEPTH: usize = 32;
pub const MAX_HASH_KEY: usize = 2048;
pub const MAX_RANGE_KEY: usize = 1024;

pub type Item = BTreeMap<String, Value>;

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    S(String),
    N(Number),
    B(Vec<u8>),
    Ss(BTreeSet<String>),
    Ns(BTreeSet<Number>),
    Bs(BTreeSet<Vec<u8>>),
    M(BTreeMap<String, Value>),
    L(Vec<Value>),
    Bool(bool),
    Null,
}

pub const TYPES: [&str; 10] = ["S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL"];

impl Value {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::S(_) => "S",
            Self::N(_) => "N",
            Self::B(_) => "B",
            Self::Ss(_) => "SS",
            Self::Ns(_) => "NS",
            Self::Bs(_) => "BS",
            Self::M(_) => "M",
            Self::L(_) => "L",
            Self::Bool(_) => "BOOL",
            Self::Null => "NULL",
        }
    }

    /// Whether it has an order, and can be a key.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Self::S(_) | Self::N(_) | Self::B(_))
    }

    /// The order of two values of the same scalar type.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::S(a), Self::S(b)) => Some(a.cmp(b)),
            (Self::N(a), Self::N(b)) => Some(a.cmp(b)),
            (Self::B(a), Self::B(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// What `size()` says.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::S(text) => Some(text.encode_utf16().count()),
            Self::B(bytes) => Some(bytes.len()),
            Self::Ss(set) => Some(set.len()),
            Self::Ns(set) => Some(set.len()),
            Self::Bs(set) => Some(set.len()),
            Self::M(map) => Some(map.len()),
            Self::L(list) => Some(list.len()),
            Self::N(_) | Self::Bool(_) | Self::Null => None,
        }
    }

    /// What it counts against the size of its item.
    pub fn size(&self) -> usize {
        match self {
            Self::S(text) => text.len(),
            Self::N(number) => number.size(),
            Self::B(bytes) => bytes.len(),
            Self::Ss(set) => set.iter().map(String::len).sum(),
            Self::Ns(set) => set.iter().map(|n| n.size()).sum(),
            Self::Bs(set) => set.iter().map(Vec::len).sum(),
            Self::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + value.size()).sum::<usize>(),
            Self::L(list) => 3 + list.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::Bool(_) | Self::Null => 1,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::M(map) => 1 + map.values().map(Self::depth).max().unwrap_or(0),
            Self::L(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            _ => 1,
        }
    }

    pub fn to_json(&self) -> Json {
        let bytes = |bytes: &Vec<u8>| Json::from(STANDARD.encode(bytes));
        match self {
            Self::S(text) => json!({ "S": text }),
            Self::N(number) => json!({ "N": number.to_string() }),
            Self::B(data) => json!({ "B": bytes(data) }),
            Self::Ss(set) => json!({ "SS": set }),
            Self::Ns(set) => json!({ "NS": set.iter().map(ToString::to_string).collect::<Vec<_>>() }),
            Self::Bs(set) => json!({ "BS": set.iter().map(bytes).collect::<Vec<_>>() }),
            Self::M(map) => json!({ "M": item_json(map) }),
            Self::L(list) => json!({ "L": list.iter().map(Self::to_json).collect::<Vec<_>>() }),
            Self::Bool(value) => json!({ "BOOL": value }),
            Self::Null => json!({ "NULL": true }),
        }
    }

    pub fn from_json(json: &Json) -> Result<Self, TableError> {
        parse(json, 0)
    }
}

pub fn item_json(item: &Item) -> Json {
    Json::Object(item.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
}

pub fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

pub fn item_from_json(json: &Map<String, Json>) -> Result<Item, TableError> {
    item_at(json, 0)
}

fn item_at(json: &Map<String, Json>, depth: usize) -> Result<Item, TableError> {
    json.iter()
        .map(|(name, value)| match name.as_str() {
            "" if depth == 0 => Err(invalid_value("Empty attribute name")),
            _ => Ok((name.clone(), parse(value, depth)?)),
        })
        .collect()
}

fn parse(json: &Json, depth: usize) -> Result<Value, TableError> {
    let json = match json {
        Json::Object(object) => object,
        Json::Null => return Err(invalid("The supplied Item contains a null AttributeValue")),
        _ => return Err(unreadable("an attribute value is an object such as {\"S\": \"text\"}")),
    };
    let mut known = json.iter().filter(|(name, value)| TYPES.contains(&name.as_str()) && !value.is_null());
    let (Some((kind, value)), more) = (known.next(), known.next()) else {
        return Err(invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"));
    };
    if more.is_some() {
        return Err(invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        ));
    }
    if depth >= MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(match kind.as_str() {
        "S" => Value::S(text(value)?.to_owned()),
        "N" => Value::N(number(value)?),
        "B" => Value::B(binary(value)?),
        "SS" => Value::Ss(set(value, "string", |v| Ok(text(v)?.to_owned()))?),
        "NS" => Value::Ns(set(value, "number", number)?),
        "BS" => Value::Bs(set(value, "binary", binary)?),
        "M" => Value::M(item_at(value.as_object().ok_or_else(|| unreadable("M is an object"))?, depth + 1)?),
        "L" => {
            let list = value.as_array().ok_or_else(|| unreadable("L is an array"))?;
            Value::L(list.iter().map(|v| parse(v, depth + 1)).collect::<Result<_, _>>()?)
        }
        "BOOL" => Value::Bool(value.as_bool().ok_or_else(|| unreadable("BOOL is true or false"))?),
        _ if value.as_bool() == Some(true) => Value::Null,
        _ => return Err(invalid_value("Null attribute value types must have the value of true")),
    })
}

fn too_deep() -> TableError {
    invalid("Nesting Levels have exceeded supported limits")
}

/// Refuses what an update has nested too deeply.
pub fn check_depth(item: &Item) -> Result<(), TableError> {
    if item.values().any(|value| value.depth() > MAX_DEPTH) { Err(too_deep()) } else { Ok(()) }
}

fn text(json: &Json) -> Result<&str, TableError> {
    json.as_str().ok_or_else(|| unreadable("a string, number or binary is written as a JSON string"))
}

fn number(json: &Json) -> Result<Number, TableError> {
    let text = text(json)?;
    Number::parse(text).map_err(|e| invalid(format!("{e}: {}", text.chars().take(60).collect::<String>())))
}

fn binary(json: &Json) -> Result<Vec<u8>, TableError> {
    STANDARD.decode(text(json)?).map_err(|e| unreadable(format!("B is not base64: {e}")))
}

fn set<T: Ord>(
    json: &Json,
    kind: &str,
    one: impl Fn(&Json) -> Result<T, TableError>,
) -> Result<BTreeSet<T>, TableError> {
    let list = json.as_array().ok_or_else(|| unreadable("a set is an array"))?;
    if list.is_empty() {
        return Err(invalid_value(format!("An {kind} set  may not be empty")));
    }
    let mut set = BTreeSet::new();
    for member in list {
        if !set.insert(one(member)?) {
            return Err(invalid_value("Input collection contains duplicates."));
        }
    }
    Ok(set)
}

/// A key attribute's value, in the order of its type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    S(String),
    N(Number),
    B(Vec<u8>),
}

impl KeyPart {
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::S(text) => Some(Self::S(text.clone())),
            Value::N(number) => Some(Self::N(*number)),
            Value::B(bytes) => Some(Self::B(bytes.clone())),
            _ => None,
        }
    }

    pub fn to_value(&self) -> Value {
        match self {
            Self::S(text) => Value::S(text.clone()),
            Self::N(number) => Value::N(*number),
            Self::B(bytes) => Value::B(bytes.clone()),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Self::S(text) => text.is_empty(),
            Self::N(_) => false,
            Self::B(bytes) => bytes.is_empty(),
        }
    }

    pub fn len(&self) -> usize {
        self.to_value().size()
    }
}
