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

/// How many values all defaults of a schema have together, where they are looked at.
const MOST_CHECKED: usize = 1_000_000;
/// How much of a default is told.
const MOST_TOLD: usize = 200;

/// Appends the default's bytes. The error says what does not fit.
pub fn encode(schema: &AvroSchema, id: TypeId, json: &Json, out: &mut Vec<u8>) -> Result<(), String> {
    Encode { schema, values_left: MOST_VALUES }.nested(id, json, out, 0)
}

/// Looks at many defaults of a schema: what each may cost, all of them may cost ten times.
pub(crate) struct Checker<'a> {
    schema: &'a AvroSchema,
    values_left: usize,
}

impl<'a> Checker<'a> {
    /// Nothing was looked at yet.
    pub(crate) fn new(schema: &'a AvroSchema) -> Self {
        Self { schema, values_left: MOST_CHECKED }
    }

    /// What does not fit.
    pub(crate) fn check(&mut self, id: TypeId, json: &Json) -> Result<(), String> {
        let most = self.values_left.min(MOST_VALUES);
        let mut encode = Encode { schema: self.schema, values_left: most };
        let done = encode.nested(id, json, &mut Vec::new(), 0);
        self.values_left -= most - encode.values_left;
        done
    }
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
        self.values_left = self.values_left.saturating_sub(self.cost(id, json));
        let wrong = || format!("the default {} does not fit {}", shown(json), schema.describe(id));
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

    /// A text and a list of symbols are looked through, for each branch of a union again.
    fn cost(&self, id: TypeId, json: &Json) -> usize {
        let text = json.as_str().map_or(0, str::len);
        let symbols = match &self.schema.get(id).shape {
            Shape::Enum { symbols, .. } => symbols.len(),
            _ => 0,
        };
        1 + (text + symbols) / 16
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

/// A default in a message: its beginning, without writing out the rest.
fn shown(json: &Json) -> String {
    struct Start(Vec<u8>);
    impl std::io::Write for Start {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = MOST_TOLD - self.0.len();
            self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut start = Start(Vec::new());
    let is_whole = serde_json::to_writer(&mut start, json).is_ok();
    let text = String::from_utf8_lossy(&start.0);
    if is_whole { text.into_owned() } else { format!("{}...", text.trim_end_matches('\u{fffd}')) }
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
