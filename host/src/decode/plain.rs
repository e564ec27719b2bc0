//! Records that are not looked into: `raw` bytes and `text`, as one column named `payload`.
//!
//! The rule: raw stays as it is, gzip included; text is UTF-8, inflated where it was compressed.
//! Left to others: whatever the bytes mean.

use arrow::datatypes::SchemaRef;

use super::{
    Decoded, Decoder, Kind, Outcome, WantedField,
    columns::{Columns, Refusal, arrow_schema},
    gzip,
    suggest::did_you_mean,
};
use crate::{
    error::{Error, Kind as ErrorKind, Result},
    record::RawBatch,
};

/// The name of the one column.
pub const PAYLOAD: &str = "payload";

/// Hands bytes on as they are, or checked to be text.
#[derive(Debug)]
pub struct PlainDecoder {
    schema: SchemaRef,
    wanted: Vec<WantedField>,
    is_text: bool,
    limit: usize,
    buffer: Vec<u8>,
}

impl PlainDecoder {
    /// A decoder of raw bytes (`is_text` false) or text. What is wanted is `payload` or nothing.
    pub fn new(is_text: bool, wanted: &[WantedField], gzip_limit: usize) -> Result<Self> {
        let (kind, format) = if is_text { (Kind::Text, "text") } else { (Kind::Binary, "raw") };
        for field in wanted {
            let name = &field.path.0;
            let wrong = match (name.as_ref() == PAYLOAD, field.kind == kind) {
                (true, true) => continue,
                (true, false) => format!("field `{name}` of format `{format}` is {kind}, not {}", field.kind),
                (false, _) => format!("format `{format}` has no field `{name}`{}", did_you_mean(name, [PAYLOAD])),
            };
            return Err(Error::new(ErrorKind::Config, wrong));
        }
        let schema = arrow_schema(wanted);
        Ok(Self { schema, wanted: wanted.to_vec(), is_text, limit: gzip_limit, buffer: Vec::new() })
    }

    fn append(&mut self, record: &[u8], columns: &mut Columns) -> std::result::Result<(), Refusal> {
        let mut bytes = record;
        if self.is_text {
            if gzip::is_gzip(record) {
                gzip::inflate(record, self.limit, &mut self.buffer)
                    .map_err(|bad| (bad.code(), bad.message(self.limit)))?;
                bytes = &self.buffer;
            }
            if let Err(bad) = std::str::from_utf8(bytes) {
                return Err(("bad_utf8", format!("the text is no UTF-8 from byte {} on", bad.valid_up_to())));
            }
        }
        for column in columns.all() {
            column.bytes(bytes).map_err(|_| super::batch_is_full())?;
        }
        Ok(())
    }

    fn run(&mut self, batch: &RawBatch) -> Result<Decoded> {
        let columns = Columns::new(&self.schema, &self.wanted, batch.len());
        columns.fill(batch, |record, columns| self.append(record, columns))
    }
}

impl Decoder for PlainDecoder {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self, batch: &RawBatch) -> Result<Outcome> {
        self.run(batch).map(Outcome::Done)
    }
}
