//! A default of a schema, from its JSON to the bytes that a writer would have written.
//!
//! The rule: a default that does not fit its type is an error of the schema, found when the pair is compiled.
//! Left to others: reading those bytes like any others.

use serde_json::Value as Json;

use crate::types::{AvroSchema, Shape, TypeId};

/// How deep defaults may nest.
const MOST_DEPTH: usize = 64;
/// How many bytes a default may have.
const MOST_BYTES: usize = 1 << 20;
/// How many values: records without bytes in each other would go on for ever.
const MOST_VALUES: usize = 100_000;

/// Appends the default's bytes. The error says what does not fit.
pub fn encode(schema: &AvroSchema, id: TypeId, json: &Json, out: &mut Vec<u8>) -> Result<(), String> {
    Encode { schema, values_left: MOST_VALUES }.nested(id, json, out, 0)
}

struct Encode<'a> {
    schema: &'a AvroSchema,
    values_left: usize,
}

impl Encode<'_> {
    fn nested(&mut self, id: TypeId, json: &Json, out: &mut Vec<u8>, depth: usize) -> Result<(), String> {
        let schema = self.schema;
        if depth > MOST_DEPTH || out.len() > MOST_BYTES || self.values_left == 0 {
            return Err(format!("a default of {} is nested too deep or too large", schema.describe(id)));
        }
        self.values_left -= 1;
        let wrong = || format!("the default {json} does not fit {}", schema.describe(id));
        match (&schema.get(id).shape, json) {
            (Shape::Null, Json::Null) => {}
            (Shape::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
            (Shape::Int, Json::Number(_)) => {
                let value = json.as_i64().and_then(|value| i32::try_from(value).ok()).ok_or_else(wrong)?;
                long(i64::from(value), out);
            }
            (Shape::Long, Json::Number(_)) => long(json.as_i64().ok_or_else(wrong)?, out),
            (Shape::Float, _) => out.extend_from_slice(&(floating(json).ok_or_else(wrong)? as f32).to_le_bytes()),
            (Shape::Double, _) => out.extend_from_slice(&floating(json).ok_or_else(wrong)?.to_le_bytes()),
            (Shape::String, Json::String(text)) => text_of(text.as_bytes(), out),
            (Shape::Bytes, Json::String(text)) => text_of(&latin(text).ok_or_else(wrong)?, out),
            (Shape::Fixed { size, .. }, Json::String(text)) => {
                let bytes = latin(text).filter(|bytes| bytes.len() == *size).ok_or_else(wrong)?;
                out.extend_from_slice(&bytes);
            }
            (Shape::Enum { symbols, .. }, Json::String(text)) => {
                let place = symbols.iter().position(|symbol| symbol == text).ok_or_else(wrong)?;
                long(place as i64, out);
            }
            (Shape::Array(item), Json::Array(items)) => {
                block(items.len(), out);
                items.iter().try_for_each(|json| self.nested(*item, json, out, depth + 1))?;
                long(0, out);
            }
            (Shape::Map(value), Json::Object(entries)) => {
                block(entries.len(), out);
                for (key, json) in entries {
                    text_of(key.as_bytes(), out);
                    self.nested(*value, json, out, depth + 1)?;
                }
                long(0, out);
            }
            (Shape::Union(branches), _) => return self.union(branches, json, out, depth).ok_or_else(wrong),
            (Shape::Record { fields, .. }, Json::Object(entries)) => {
                for field in fields {
                    let json = entries.get(&field.name).or(field.default.as_ref()).ok_or_else(wrong)?;
                    self.nested(field.id, json, out, depth + 1)?;
                }
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// The first branch that the default fits; the standard of old allowed only the first.
    fn union(&mut self, branches: &[TypeId], json: &Json, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        let start = out.len();
        branches.iter().enumerate().find_map(|(place, branch)| {
            out.truncate(start);
            long(place as i64, out);
            self.nested(*branch, json, out, depth + 1).ok()
        })
    }
}

fn floating(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            // Avro for Java takes a number as text.
            other => other.parse().ok(),
        },
        _ => None,
    }
}

/// Bytes are written in JSON as the characters U+0000 to U+00FF.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|one| u8::try_from(u32::from(one)).ok()).collect()
}

fn text_of(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn block(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        long(count as i64, out);
    }
}

/// Appends a zigzag number.
pub fn long(value: i64, out: &mut Vec<u8>) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
