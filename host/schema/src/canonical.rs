//! The canonical form of a schema and its fingerprint, by which single objects name their schema.
//!
//! The rule: two schemas that read the same bytes have the same form: no documentation, defaults, aliases or meanings, full names, one
//! order of keys. Source: Avro specification, "Parsing Canonical Form" and "Schema Fingerprints" (CRC-64-AVRO).
//! Left to others: finding a schema by its fingerprint.

use std::collections::HashSet;

use serde_json::Value as Json;

use crate::types::{AvroSchema, Names, Shape, TypeId};

impl AvroSchema {
    /// The parsing canonical form.
    pub fn canonical(&self) -> String {
        let (mut out, mut seen) = (String::new(), HashSet::new());
        // Names make chains as long as the schema: deeper than a stack.
        let mut open = vec![Part::Type(self.root)];
        while let Some(part) = open.pop() {
            match part {
                Part::Text(text) => out.push_str(&text),
                Part::Type(id) => {
                    let mut parts = self.parts(id, &mut seen);
                    parts.reverse();
                    open.append(&mut parts);
                }
            }
        }
        out
    }

    /// CRC-64-AVRO of the canonical form. On the wire its bytes are little-endian.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(self.canonical().as_bytes())
    }

    /// The form of one type, with the types that it names.
    fn parts(&self, id: TypeId, seen: &mut HashSet<TypeId>) -> Vec<Part> {
        let shape = &self.get(id).shape;
        let fixed = |text: &str| Part::Text(text.to_owned());
        match shape {
            Shape::Array(inner) => vec![fixed(r#"{"type":"array","items":"#), Part::Type(*inner), fixed("}")],
            Shape::Map(inner) => vec![fixed(r#"{"type":"map","values":"#), Part::Type(*inner), fixed("}")],
            Shape::Union(branches) => {
                let mut parts = vec![fixed("[")];
                for (place, branch) in branches.iter().enumerate() {
                    parts.extend((place > 0).then(|| fixed(",")));
                    parts.push(Part::Type(*branch));
                }
                parts.push(fixed("]"));
                parts
            }
            _ => match shape.names() {
                Some(names) if !seen.insert(id) => vec![Part::Text(text(&names.full))],
                Some(names) => named(shape, names),
                None => vec![Part::Text(text(shape.word()))],
            },
        }
    }
}

/// A piece of a form.
enum Part {
    Text(String),
    Type(TypeId),
}

fn named(shape: &Shape, names: &Names) -> Vec<Part> {
    let head = format!(r#"{{"name":{},"type":"{}""#, text(&names.full), shape.word());
    let mut parts = vec![Part::Text(head)];
    match shape {
        Shape::Record { fields, .. } => {
            parts.push(Part::Text(r#","fields":["#.to_owned()));
            for (place, field) in fields.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                parts.push(Part::Text(format!(r#"{comma}{{"name":{},"type":"#, text(&field.name))));
                parts.extend([Part::Type(field.id), Part::Text("}".to_owned())]);
            }
            parts.push(Part::Text("]".to_owned()));
        }
        Shape::Enum { symbols, .. } => {
            let symbols: Vec<String> = symbols.iter().map(|symbol| text(symbol)).collect();
            parts.push(Part::Text(format!(r#","symbols":[{}]"#, symbols.join(","))));
        }
        Shape::Fixed { size, .. } => parts.push(Part::Text(format!(r#","size":{size}"#))),
        _ => {}
    }
    parts.push(Part::Text("}".to_owned()));
    parts
}

fn text(text: &str) -> String {
    Json::from(text).to_string()
}

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut print = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            print = (print >> 1) ^ (EMPTY & (print & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = print;
        byte += 1;
    }
    table
};

fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(EMPTY, |print, byte| (print >> 8) ^ TABLE[((print ^ u64::from(*byte)) & 0xff) as usize])
}
