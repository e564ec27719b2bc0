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
        let mut out = String::new();
        self.write(self.root, &mut HashSet::new(), &mut out);
        out
    }

    /// CRC-64-AVRO of the canonical form. On the wire its bytes are little-endian.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(self.canonical().as_bytes())
    }

    fn write(&self, id: TypeId, seen: &mut HashSet<TypeId>, out: &mut String) {
        let shape = &self.get(id).shape;
        if let Some(names) = shape.names() {
            if !seen.insert(id) {
                return out.push_str(&text(&names.full));
            }
            return self.named(shape, names, seen, out);
        }
        match shape {
            Shape::Array(inner) => self.around(r#"{"type":"array","items":"#, *inner, seen, out),
            Shape::Map(inner) => self.around(r#"{"type":"map","values":"#, *inner, seen, out),
            Shape::Union(branches) => {
                out.push('[');
                for (place, branch) in branches.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    self.write(*branch, seen, out);
                }
                out.push(']');
            }
            simple => out.push_str(&text(simple.word())),
        }
    }

    fn around(&self, head: &str, inner: TypeId, seen: &mut HashSet<TypeId>, out: &mut String) {
        out.push_str(head);
        self.write(inner, seen, out);
        out.push('}');
    }

    fn named(&self, shape: &Shape, names: &Names, seen: &mut HashSet<TypeId>, out: &mut String) {
        out.push_str(&format!(r#"{{"name":{},"type":"{}""#, text(&names.full), shape.word()));
        match shape {
            Shape::Record { fields, .. } => {
                out.push_str(r#","fields":["#);
                for (place, field) in fields.iter().enumerate() {
                    let comma = if place > 0 { "," } else { "" };
                    out.push_str(&format!(r#"{comma}{{"name":{},"type":"#, text(&field.name)));
                    self.write(field.id, seen, out);
                    out.push('}');
                }
                out.push(']');
            }
            Shape::Enum { symbols, .. } => {
                let symbols: Vec<String> = symbols.iter().map(|symbol| text(symbol)).collect();
                out.push_str(&format!(r#","symbols":[{}]"#, symbols.join(",")));
            }
            Shape::Fixed { size, .. } => out.push_str(&format!(r#","size":{size}"#)),
            _ => {}
        }
        out.push('}');
    }
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
