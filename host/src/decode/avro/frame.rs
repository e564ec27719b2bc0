//! The Confluent frame: a zero, the schema's id in four bytes, the body.
//!
//! The rule: what is no such frame is refused by what it seems to be. Left to others: what the id means (`registry`).

use crate::decode::columns::Refusal;

/// Bytes before the body.
pub const HEAD: usize = 5;

/// The schema id of a record, from its first five bytes or all there are.
pub fn schema_id(record: &[u8]) -> Result<u32, Refusal> {
    let other = match record {
        [0, a, b, c, d, ..] => return Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        [] => return Err(("empty", "the record is empty".to_owned())),
        [0, ..] => {
            let length = record.len();
            return Err((
                "truncated",
                format!("the record has {length} bytes: expected 0x00 and the four bytes of a schema id"),
            ));
        }
        [1, ..] => "the frame of a schema GUID, which is not supported",
        [3, 0 | 5, ..] => "the frame of AWS Glue, which is not supported yet",
        [0xc3, 0x01, ..] => "a single Avro object with a fingerprint, which is not supported yet",
        [0xf3, 0x89, 0x9a, 0xc2, ..] => "an aggregate of the Kinesis Producer Library, which is not supported yet",
        [b'{' | b'[', ..] => "JSON",
        _ => {
            return Err((
                "wrong_magic",
                format!("the first byte is 0x{:02x}: expected 0x00 and a schema id", record[0]),
            ));
        }
    };
    Err(("wrong_magic", format!("the first byte is 0x{:02x}, not 0x00: this looks like {other}", record[0])))
}

/// A framed record.
pub fn frame(schema_id: u32, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + body.len());
    record.push(0);
    record.extend_from_slice(&schema_id.to_be_bytes());
    record.extend_from_slice(body);
    record
}
