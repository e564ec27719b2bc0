//! Bytes become checked columns.
//!
//! The rule: **a bad record never harms its neighbours.** Every record either becomes exactly one row, with exactly its bytes
//! consumed, or one reject with a reason. Only the fields that somebody downstream reads are decoded.
//! Left to others: event time and lateness (`window`), where rejects go (`reject`).

use std::{fmt, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};

use crate::{
    error::{Error, Kind as ErrorKind, Result},
    record::RawBatch,
    source::Pending,
};

pub mod avro;
pub mod columns;
pub mod gzip;
pub mod instant;
pub mod json;
pub mod plain;
pub mod registry;
mod suggest;
#[cfg(test)]
mod tests;

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// row of the raw batch
    pub row: u32,
    /// stable, short, snake_case: `truncated`, `unknown_schema`, `wrong_magic`, ...
    pub code: &'static str,
    /// in words
    pub message: String,
}

/// What became of a raw batch: `rows.len() + rejects.len()` is the number of its records.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// the fields asked for, one row a good record, in the order of the log
    pub fields: RecordBatch,
    /// for each row of `fields`, its row in the raw batch; rising
    pub rows: Vec<u32>,
    /// the others, rising by row
    pub rejects: Vec<Reject>,
}

/// Turns the bytes of a batch into columns. One instance per partition; it may keep caches between calls, never records.
pub trait Decoder: Send {
    /// The columns that every batch will have: exactly the fields asked for, in the order asked.
    fn schema(&self) -> SchemaRef;

    /// Decodes a batch. An error means that the job must stop (a schema breaks the contract of the source), never that a record is bad.
    fn decode(&mut self, batch: &RawBatch) -> Result<Outcome>;
}

/// What decoding a batch gave.
pub enum Outcome {
    /// rows and rejects
    Done(Decoded),
    /// nothing yet: something of the outside is needed (a schema). Worth another try with the same batch when this comes back, which may be
    /// long; the records are not bad
    Waits(Pending<'static, ()>),
}

/// Decodes a batch, however long it has to wait.
pub async fn decode_all(decoder: &mut dyn Decoder, batch: &RawBatch) -> Result<Decoded> {
    loop {
        match decoder.decode(batch)? {
            Outcome::Done(decoded) => return Ok(decoded),
            Outcome::Waits(waiting) => waiting.await,
        }
    }
}

/// A field that somebody downstream reads: a dotted path, `coords.latitude`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Arc<str>);

impl FieldPath {
    /// A path of this text.
    pub fn new(path: impl AsRef<str>) -> Self {
        Self(Arc::from(path.as_ref()))
    }

    /// The names on the way.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

/// What the cells of a column are: the kinds of `wit/types.wit`, decimals with their digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// true or false
    Boolean,
    /// 32 bits, signed
    Int32,
    /// 64 bits, signed
    Int64,
    /// floating point of 64 bits
    Float64,
    /// UTF-8
    Text,
    /// bytes
    Binary,
    /// an exact number of at most `precision` digits (76 are the most), `scale` of them behind the point
    Decimal { precision: u8, scale: i8 },
    /// microseconds since 1970 in UTC
    Timestamp,
    /// days since 1970
    Date,
    /// any nested value, as JSON text
    Json,
}

impl Kind {
    /// Precision and scale of a decimal; the widest where it is none.
    pub fn digits(self) -> (u8, i8) {
        match self {
            Self::Decimal { precision, scale } => (precision, scale),
            _ => (76, 0),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision}, {scale})"),
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Json => "json",
        })
    }
}

/// A field that is wanted, and as what. An optional one may be null or missing in the schema; a record that lacks one that is
/// not optional is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedField {
    /// where it is
    pub path: FieldPath,
    /// what its cells become
    pub kind: Kind,
    /// whether a record may lack it
    pub optional: bool,
}

impl WantedField {
    /// A field that each record must have.
    pub fn required(path: impl AsRef<str>, kind: Kind) -> Self {
        Self { path: FieldPath::new(path), kind, optional: false }
    }

    /// A field that a record may lack.
    pub fn optional(path: impl AsRef<str>, kind: Kind) -> Self {
        Self { path: FieldPath::new(path), kind, optional: true }
    }
}

/// What the bytes of a record are.
#[derive(Clone)]
pub enum Encoding {
    /// one JSON object a record
    Json,
    /// Avro, in any of its frames
    Avro {
        /// where the schemas that records name are found
        schemas: Arc<registry::Registry>,
        /// what they have to keep
        contract: avro::Contract,
    },
    /// bytes, as one column `payload`
    Raw,
    /// UTF-8, as one column `payload`
    Text,
}

/// What the bytes of a record are, and how far they may inflate.
#[derive(Clone)]
pub struct Format {
    /// what they are
    pub encoding: Encoding,
    /// the most bytes that a record compressed by gzip may inflate to
    pub gzip_limit: usize,
}

impl From<Encoding> for Format {
    fn from(encoding: Encoding) -> Self {
        Self { encoding, gzip_limit: gzip::DEFAULT_LIMIT }
    }
}

/// A decoder for one partition. Fails with `Config` where the format cannot give what is wanted.
pub fn decoder(format: &Format, wanted: &[WantedField]) -> Result<Box<dyn Decoder>> {
    let limit = format.gzip_limit;
    Ok(match &format.encoding {
        Encoding::Json => Box::new(json::JsonDecoder::new(wanted, limit)?),
        Encoding::Avro { schemas, contract } => {
            Box::new(avro::AvroDecoder::new(Arc::clone(schemas), contract.clone(), wanted, limit)?)
        }
        Encoding::Raw => Box::new(plain::PlainDecoder::new(false, wanted, limit)?),
        Encoding::Text => Box::new(plain::PlainDecoder::new(true, wanted, limit)?),
    })
}

/// The reject of a record whose cells have no room in the batch any more.
fn batch_is_full() -> (&'static str, String) {
    ("too_large", "the texts of one column of the batch are more than 1 GiB: make batches smaller".to_owned())
}

/// Where each wanted field sits in the tree of the paths.
#[derive(Debug, Default)]
struct Tree {
    /// columns that want this very value
    columns: Vec<usize>,
    /// what is wanted inside of it
    children: Vec<(Box<str>, Tree)>,
}

impl Tree {
    fn new(wanted: &[WantedField]) -> Result<Self> {
        let mut root = Self::default();
        for (column, field) in wanted.iter().enumerate() {
            let mut at = &mut root;
            let depth = field.path.parts().count();
            if field.path.parts().any(str::is_empty) || depth > 32 {
                let message = format!("`{}` is no field: expected 1 to 32 names with dots between", field.path.0);
                return Err(Error::new(ErrorKind::Config, message));
            }
            for name in field.path.parts() {
                let place = at.children.iter().position(|(known, _)| &**known == name).unwrap_or_else(|| {
                    at.children.push((name.into(), Self::default()));
                    at.children.len() - 1
                });
                at = &mut at.children[place].1;
            }
            at.columns.push(column);
        }
        Ok(root)
    }

    /// Every column here and below.
    fn all_columns(&self) -> Vec<usize> {
        let below = self.children.iter().flat_map(|(_, child)| child.all_columns());
        self.columns.iter().copied().chain(below).collect()
    }
}

/// No columns at all.
pub fn no_fields() -> SchemaRef {
    Arc::new(Schema::empty())
}
