//! Walking through nested values: over those that nobody reads, and through those that become JSON text.
//!
//! The rule: depth, the number of steps and the length of the text are bounded, whatever the bytes say; a block of items must
//! have the size that it says, so whether a record is good does not depend on who reads it.
//! Left to others: simple fields at fixed places (`program`).

use base64::Engine;

use super::{
    convert,
    read::{Fault, Input},
    resolve::{Gives, Leaf, Node, NodeId, Part},
};
use crate::decode::instant::{date_text, instant_text};

/// How deep the values of a record may nest.
const MOST_DEPTH: u32 = 128;
/// How long the JSON text of one cell may be.
const MOST_TEXT: usize = 10 << 20;
/// How many values without bytes a record may have: each is time and text that the record did not pay for.
const MOST_EMPTY: u64 = 1 << 16;

/// One walk through one record.
#[derive(Debug)]
pub struct Walk<'a> {
    nodes: &'a [Node],
    steps_left: u64,
    depth: u32,
}

impl<'a> Walk<'a> {
    /// A walk over a record of this many bytes: values without bytes (null, empty records) can be as many as a block's count
    /// says, so steps are bounded by themselves.
    pub fn new(nodes: &'a [Node], bytes: usize) -> Self {
        Self { nodes, steps_left: MOST_EMPTY + 16 * bytes as u64, depth: 0 }
    }

    fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        self.steps_left = self.steps_left.checked_sub(1).ok_or(Fault::TooLarge)?;
        if self.depth > MOST_DEPTH { Err(Fault::TooLarge) } else { Ok(()) }
    }

    /// Passes over a value.
    pub fn skip(&mut self, id: NodeId, input: &mut Input<'_>) -> Result<(), Fault> {
        self.enter()?;
        match &self.nodes[id] {
            Node::Leaf(leaf, _) => skip_leaf(*leaf, input)?,
            Node::Enum(symbols) => drop(input.index(symbols.len(), Fault::BadSymbol)?),
            Node::Array(item) => self.blocks(input, |walk, input| walk.skip(*item, input))?,
            Node::Map(value) => self.blocks(input, |walk, input| {
                input.bytes()?;
                walk.skip(*value, input)
            })?,
            Node::Union(branches) => {
                let branch = input.index(branches.len(), Fault::BadBranch)?;
                self.skip(branches[branch], input)?;
            }
            Node::Record(_, parts) => {
                for part in parts {
                    if let Part::Skip(node) | Part::Field(_, node) = part {
                        self.skip(*node, input)?;
                    }
                }
            }
            Node::Link(node) => self.skip(*node, input)?,
            Node::Mismatch(message) => return Err(Fault::Mismatch(*message)),
            Node::Open => return Err(Fault::TooLarge),
        }
        self.depth -= 1;
        Ok(())
    }

    fn blocks<'b>(
        &mut self,
        input: &mut Input<'b>,
        mut item: impl FnMut(&mut Self, &mut Input<'b>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            let block = input.block()?;
            if block.count == 0 {
                return block.check(input);
            }
            for _ in 0..block.count {
                item(self, input)?;
            }
            block.check(input)?;
        }
    }

    /// Appends a value as JSON text: bytes as base64, decimals as text, times as RFC 3339, a union as the value of its branch.
    pub fn json(&mut self, id: NodeId, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.enter()?;
        if out.len() > MOST_TEXT {
            return Err(Fault::TooLarge);
        }
        match &self.nodes[id] {
            Node::Leaf(leaf, gives) => json_leaf(*leaf, *gives, input, out)?,
            Node::Enum(symbols) => {
                let place = input.index(symbols.len(), Fault::BadSymbol)?;
                json_text(symbols[place].as_ref().map_err(|message| Fault::Mismatch(*message))?, out);
            }
            Node::Array(item) => {
                let mut list = List::open(b'[', out);
                self.blocks(input, |walk, input| {
                    list.next(out);
                    walk.json(*item, input, out)
                })?;
                out.push(b']');
            }
            Node::Map(value) => {
                let mut list = List::open(b'{', out);
                self.blocks(input, |walk, input| {
                    list.next(out);
                    json_text(input.text()?, out);
                    out.push(b':');
                    walk.json(*value, input, out)
                })?;
                out.push(b'}');
            }
            Node::Union(branches) => {
                let branch = input.index(branches.len(), Fault::BadBranch)?;
                self.json(branches[branch], input, out)?;
            }
            Node::Record(_, parts) => self.json_record(parts, input, out)?,
            Node::Link(node) => self.json(*node, input, out)?,
            Node::Mismatch(message) => return Err(Fault::Mismatch(*message)),
            Node::Open => return Err(Fault::TooLarge),
        }
        self.depth -= 1;
        Ok(())
    }

    fn json_record(&mut self, parts: &[Part], input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut list = List::open(b'{', out);
        for part in parts {
            match part {
                Part::Skip(node) => self.skip(*node, input)?,
                Part::Field(name, node) => {
                    list.named(name, out);
                    self.json(*node, input, out)?;
                }
                Part::Default(name, bytes, node) => {
                    list.named(name, out);
                    self.json(*node, &mut Input::new(bytes), out)?;
                }
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// Passes over a simple value.
fn skip_leaf(leaf: Leaf, input: &mut Input<'_>) -> Result<(), Fault> {
    match leaf {
        Leaf::Null => {}
        Leaf::Boolean => drop(input.boolean()?),
        Leaf::Int => drop(input.int()?),
        Leaf::Long => drop(input.long()?),
        Leaf::Float => drop(input.take(4)?),
        Leaf::Double => drop(input.take(8)?),
        Leaf::Bytes | Leaf::String => drop(input.bytes()?),
        Leaf::Fixed(size) => drop(input.take(size)?),
    }
    Ok(())
}

/// Commas between the parts of a list or an object.
struct List {
    is_first: bool,
}

impl List {
    fn open(bracket: u8, out: &mut Vec<u8>) -> Self {
        out.push(bracket);
        Self { is_first: true }
    }

    fn next(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.is_first) {
            out.push(b',');
        }
    }

    fn named(&mut self, name: &str, out: &mut Vec<u8>) {
        self.next(out);
        json_text(name, out);
        out.push(b':');
    }
}

/// Appends a JSON string.
fn json_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text can be written to memory");
}

fn json_float(value: f64, shown: String, out: &mut Vec<u8>) {
    match value {
        value if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => out.extend_from_slice(shown.as_bytes()),
    }
}

fn json_leaf(leaf: Leaf, gives: Gives, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match gives {
        Gives::Null => out.extend_from_slice(b"null"),
        Gives::Boolean => out.extend_from_slice(if input.boolean()? { b"true" } else { b"false" }),
        Gives::Int | Gives::Long => out.extend_from_slice(convert::whole(leaf, input)?.to_string().as_bytes()),
        Gives::Time(step) => {
            let micros = i128::from(convert::whole(leaf, input)?) * i128::from(step);
            out.extend_from_slice(micros.to_string().as_bytes());
        }
        Gives::Float => {
            let value = convert::floating(leaf, true, input)?;
            json_float(value, format!("{:?}", value as f32), out);
        }
        Gives::Double => {
            let value = convert::floating(leaf, false, input)?;
            json_float(value, format!("{value:?}"), out);
        }
        Gives::Bytes => base64_text(convert::bytes(leaf, input)?, out),
        Gives::Text => json_text(convert::text(leaf, input)?, out),
        Gives::Uuid => json_text(&convert::uuid(leaf, input)?, out),
        Gives::Decimal { scale } => {
            let value = match leaf {
                Leaf::Int | Leaf::Long => arrow::datatypes::i256::from_i128(i128::from(convert::whole(leaf, input)?)),
                _ => convert::unscaled(convert::bytes(leaf, input)?).ok_or(Fault::TooLarge)?,
            };
            json_text(&convert::decimal_text(value, scale).ok_or(Fault::TooLarge)?, out);
        }
        Gives::Date => json_text(&date_text(convert::whole(leaf, input)?), out),
        Gives::Timestamp(unit) => {
            let micros = convert::micros(convert::whole(leaf, input)?, unit).ok_or(Fault::TooLarge)?;
            json_text(&instant_text(micros), out);
        }
        Gives::Duration => {
            let bytes = convert::bytes(leaf, input)?;
            let part =
                |at: usize| bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map_or(0, u32::from_le_bytes);
            let text = format!(r#"{{"months":{},"days":{},"millis":{}}}"#, part(0), part(4), part(8));
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

fn base64_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}
