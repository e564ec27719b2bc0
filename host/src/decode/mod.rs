//! Bytes become checked columns.
//!
//! The rule: **a bad record never harms its neighbours.** Every record either becomes exactly one row, with exactly its bytes
//! consumed, or one reject with a reason. Only the fields that somebody downstream reads are decoded.
//! Left to others: event time and lateness (`window`), where rejects go (`reject`).

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};

use crate::{error::Result, record::RawBatch, source::Pending};

pub mod avro;
pub mod gzip;
pub mod json;
pub mod plain;
pub mod registry;

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

    /// Decodes a batch. An error means that the outside failed (a registry that does not answer, after retries), never that a
    /// record is bad; the same batch may be given again.
    fn decode<'a>(&'a mut self, batch: &'a RawBatch) -> Pending<'a, Result<Decoded>>;
}

/// A field that somebody downstream reads: a dotted path, `coords.latitude`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Arc<str>);

/// No columns at all.
pub fn no_fields() -> SchemaRef {
    Arc::new(Schema::empty())
}
