//! What a table is: its keys, its indexes, and the settings that clients ask about.
//!
//! The rules: a key attribute is a string, a number or a binary of bounded length and not empty; an item is in an index if
//! it has the index's key attributes. Throughput is remembered and not enforced.

use serde::{Deserialize, Serialize};

use super::error::{TableError, invalid, invalid_value};
use super::value::{Item, KeyPart, MAX_HASH_KEY, MAX_RANGE_KEY, Value};
use crate::store::Millis;

/// A key attribute and its type: S, N or B.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    pub name: String,
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub hash: KeyAttribute,
    pub range: Option<KeyAttribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    All,
    KeysOnly,
    Include(Vec<String>),
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    pub key: Key,
    pub projection: Projection,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    pub name: String,
    pub created: Millis,
    pub key: Key,
    pub indexes: Vec<Index>,
    /// Units of reading and writing; None is on demand.
    pub throughput: Option<(u64, u64)>,
    pub protected: bool,
    pub time_to_live: Option<String>,
    pub point_in_time: bool,
}

/// Where an item is in its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemKey {
    pub hash: KeyPart,
    pub range: Option<KeyPart>,
}

impl KeyAttribute {
    /// The value as a key, if it can be one.
    pub fn part(&self, value: &Value, most: usize) -> Result<KeyPart, TableError> {
        let part = KeyPart::of(value).filter(|_| value.type_name() == self.kind);
        let part = part.ok_or_else(|| {
            invalid_value(format!(
                "Type mismatch for key {} expected: {} actual: {}",
                self.name,
                self.kind,
                value.type_name()
            ))
        })?;
        if part.is_empty() {
            let what = if self.kind == "B" { "a empty binary" } else { "an empty string" };
            return Err(invalid(format!(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain {what} \
                 value. Key: {}",
                self.name
            )));
        }
        if part.len() > most {
            return Err(invalid_value(format!(
                "Size of key {} is {} bytes: at most {most} bytes are allowed",
                self.name,
                part.len()
            )));
        }
        Ok(part)
    }
}

impl Key {
    pub fn attributes(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    pub fn has(&self, name: &str) -> bool {
        self.attributes().any(|a| a.name == name)
    }

    /// The key of an item, checked.
    pub fn of(&self, item: &Item) -> Result<ItemKey, TableError> {
        let value = |attribute: &KeyAttribute| {
            item.get(&attribute.name)
                .ok_or_else(|| invalid_value(format!("Missing the key {} in the item", attribute.name)))
        };
        let range = match &self.range {
            Some(range) => Some(range.part(value(range)?, MAX_RANGE_KEY)?),
            None => None,
        };
        Ok(ItemKey { hash: self.hash.part(value(&self.hash)?, MAX_HASH_KEY)?, range })
    }

    /// The key in a request: these attributes and no others.
    pub fn of_request(&self, item: &Item) -> Result<ItemKey, TableError> {
        if item.len() != self.attributes().count() || !self.attributes().all(|a| item.contains_key(&a.name)) {
            return Err(invalid("The provided key element does not match the schema"));
        }
        self.of(item)
    }

    /// The key of an item in an index; None if it is not in there.
    pub fn loose(&self, item: &Item) -> Option<ItemKey> {
        let part = |a: &KeyAttribute| item.get(&a.name).filter(|v| v.type_name() == a.kind).and_then(KeyPart::of);
        let range = match &self.range {
            Some(range) => Some(part(range)?),
            None => None,
        };
        Some(ItemKey { hash: part(&self.hash)?, range })
    }
}

impl ItemKey {
    pub fn to_item(&self, key: &Key) -> Item {
        let mut item = Item::new();
        item.insert(key.hash.name.clone(), self.hash.to_value());
        if let (Some(attribute), Some(part)) = (&key.range, &self.range) {
            item.insert(attribute.name.clone(), part.to_value());
        }
        item
    }
}

impl Index {
    /// Refuses an item that could not be in the index because an attribute has another type.
    pub fn check(&self, item: &Item) -> Result<(), TableError> {
        for attribute in self.key.attributes() {
            let Some(value) = item.get(&attribute.name) else { continue };
            if value.type_name() != attribute.kind {
                return Err(invalid_value(format!(
                    "Type mismatch for Index Key {} Expected: {} Actual: {} IndexName: {}",
                    attribute.name,
                    attribute.kind,
                    value.type_name(),
                    self.name
                )));
            }
            if KeyPart::of(value).is_some_and(|p| p.is_empty()) {
                return Err(invalid(format!(
                    "One or more parameter values are not valid. A value specified for a secondary index key is not \
                     supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: \
                     {}, IndexKey: {}",
                    self.name, attribute.name
                )));
            }
        }
        Ok(())
    }

    pub fn projects(&self, table: &Key, name: &str) -> bool {
        match &self.projection {
            Projection::All => true,
            _ if self.key.has(name) || table.has(name) => true,
            Projection::KeysOnly => false,
            Projection::Include(names) => names.iter().any(|n| n == name),
        }
    }

    pub fn projected(&self, table: &Key, item: &Item) -> Item {
        let kept = item.iter().filter(|(name, _)| self.projects(table, name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
