//! How a record of Avro begins: which schema it was written with, and where its body is.
//!
//! | first bytes | frame |
//! |---|---|
//! | `00` and 4 bytes | Confluent: number of the schema |
//! | `01` and 16 bytes | Confluent: GUID of the schema |
//! | `03`, `00` or `05`, and 16 bytes | AWS Glue: schema version, body plain or compressed (zlib) |
//! | `C3 01` and 8 bytes | single object: fingerprint of the schema |
//! | `Obj` `01` | object container file with one object: the schema itself |
//!
//! The rule: what is no such frame is refused by what it seems to be. Left to others: what the id means (`registry`).

use md5::{Digest, Md5};

use super::read::Input;
use crate::decode::{columns::Refusal, registry::SchemaId};

/// The longest head that has a fixed length.
pub const HEAD: usize = 18;
/// How an object container file begins.
const CONTAINER: &[u8] = b"Obj\x01";
/// Entries in the head of a container file.
const MOST_ENTRIES: u64 = 1000;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    /// with the head and checksum of RFC 1950
    Zlib,
    /// without
    Deflate,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// which schema
    pub id: SchemaId,
    /// how the body is packed
    pub packing: Packing,
    /// the body
    pub body: &'a [u8],
    /// the schema's text, where the record brings it along
    pub schema: Option<&'a str>,
}

/// Whether a record is an object container file: its head has no fixed length.
pub fn is_container(record: &[u8]) -> bool {
    record.starts_with(CONTAINER)
}

/// Takes a record apart. Of a record that is not whole, `body` is what there is.
pub fn head(record: &[u8]) -> Result<Head<'_>, Refusal> {
    let plain = |id, body| Ok(Head { id, packing: Packing::Plain, body, schema: None });
    match record {
        [0, rest @ ..] => match rest.split_first_chunk::<4>() {
            Some((id, body)) => plain(SchemaId::Number(u32::from_be_bytes(*id)), body),
            None => Err(short(record, "0x00 and the four bytes of a schema id")),
        },
        [1, rest @ ..] => match rest.split_first_chunk::<16>() {
            Some((id, body)) => plain(SchemaId::Guid(u128::from_be_bytes(*id)), body),
            None => Err(short(record, "0x01 and the sixteen bytes of a schema's GUID")),
        },
        [3, packing, rest @ ..] => {
            let packing = match packing {
                0 => Packing::Plain,
                5 => Packing::Zlib,
                other => {
                    let words = format!(
                        "a record in the frame of AWS Glue says 0x{other:02x} for its compression: expected 0x00 (none) or 0x05 (zlib)"
                    );
                    return Err(("wrong_magic", words));
                }
            };
            match rest.split_first_chunk::<16>() {
                Some((id, body)) => {
                    Ok(Head { id: SchemaId::Glue(u128::from_be_bytes(*id)), packing, body, schema: None })
                }
                None => Err(short(record, "the eighteen bytes of the frame of AWS Glue")),
            }
        }
        [0xc3, 0x01, rest @ ..] => match rest.split_first_chunk::<8>() {
            Some((print, body)) => plain(SchemaId::Fingerprint(u64::from_le_bytes(*print)), body),
            None => Err(short(record, "0xC301 and the eight bytes of a fingerprint")),
        },
        [b'O', b'b', b'j', 1, rest @ ..] => container(rest),
        [] => Err(("empty", "the record is empty".to_owned())),
        other => Err(foreign(other)),
    }
}

fn short(record: &[u8], expected: &str) -> Refusal {
    ("truncated", format!("the record has {} bytes: expected {expected}", record.len()))
}

fn foreign(record: &[u8]) -> Refusal {
    let first = record[0];
    let like = match record {
        [3] => return short(record, "the eighteen bytes of the frame of AWS Glue"),
        [0xf3, 0x89, 0x9a, 0xc2, ..] => "an aggregate of the Kinesis Producer Library, which is not supported yet",
        [b'{' | b'[', ..] => "JSON",
        _ => {
            let words =
                format!("the first byte is 0x{first:02x}: expected 0x00 and a schema id, or another frame of Avro");
            return ("wrong_magic", words);
        }
    };
    ("wrong_magic", format!("the first byte is 0x{first:02x}, not 0x00: this looks like {like}"))
}

/// A container file: a map of texts, a marker, and blocks. A record is one object.
fn container(rest: &[u8]) -> Result<Head<'_>, Refusal> {
    let damaged = |_| ("bad_container", "the object container file is cut off or damaged".to_owned());
    let refuse = |words: String| Err(("bad_container", words));
    let mut input = Input::new(rest);
    let (mut schema, mut codec, mut entries) = (None, "null", 0);
    loop {
        let block = input.block().map_err(damaged)?;
        if block.count == 0 {
            break;
        }
        for _ in 0..block.count {
            entries += 1;
            if entries > MOST_ENTRIES {
                return refuse(format!("the object container file has more than {MOST_ENTRIES} entries in its head"));
            }
            let key = input.text().map_err(damaged)?;
            let value = input.bytes().map_err(damaged)?;
            match key {
                "avro.schema" => schema = std::str::from_utf8(value).ok(),
                "avro.codec" => codec = std::str::from_utf8(value).unwrap_or("?"),
                _ => {}
            }
        }
    }
    let Some(schema) = schema else { return refuse("the object container file has no schema".to_owned()) };
    let packing = match codec {
        "null" => Packing::Plain,
        "deflate" => Packing::Deflate,
        other => {
            return refuse(format!(
                "the object container file is packed by {}: expected null or deflate",
                other.chars().take(60).collect::<String>().escape_debug()
            ));
        }
    };
    let marker = input.array::<16>().map_err(damaged)?;
    let count = input.long().map_err(damaged)?;
    let body = input.bytes().map_err(damaged)?;
    let end = input.array::<16>().map_err(damaged)?;
    if count != 1 || input.left() > 0 {
        let more = if input.left() > 0 { "more than one block".to_owned() } else { format!("{count} objects") };
        return refuse(format!("the object container file has {more}: a record of a stream is one object"));
    }
    if end != marker {
        return refuse("the block of the object container file does not end with its marker".to_owned());
    }
    let id = SchemaId::Own(u128::from_be_bytes(Md5::digest(schema.as_bytes()).into()));
    Ok(Head { id, packing, body, schema: Some(schema) })
}

/// A record in Confluent's frame.
pub fn frame(schema_id: u32, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(5 + body.len());
    record.push(0);
    record.extend_from_slice(&schema_id.to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// The head of a record that names its schema by an id. A schema of its own has none.
pub fn write(id: SchemaId, record: &mut Vec<u8>) {
    match id {
        SchemaId::Number(id) => {
            record.push(0);
            record.extend_from_slice(&id.to_be_bytes());
        }
        SchemaId::Guid(id) => {
            record.push(1);
            record.extend_from_slice(&id.to_be_bytes());
        }
        SchemaId::Glue(id) => {
            record.extend_from_slice(&[3, 0]);
            record.extend_from_slice(&id.to_be_bytes());
        }
        SchemaId::Fingerprint(print) => {
            record.extend_from_slice(&[0xc3, 0x01]);
            record.extend_from_slice(&print.to_le_bytes());
        }
        SchemaId::Own(_) => {}
    }
}
