//! The rows of a batch as an author sees them: a struct of his own, filled from columns while he iterates.
//!
//! `#[derive(Fields)]` writes the implementation: it declares the wanted fields and identity columns, opens one reader a field, and
//! reads row i. Columns that nobody asked for do not cross the boundary.

use crate::bindings::types::{Batch, Column, Field, Identity, Input};
use crate::cell::{self, Bytes, Cell};
use std::ops::Deref;

/// A struct whose fields are columns of the input, or for several inputs an enum of such structs, a variant an input. Derive it.
pub trait Fields<'a>: Sized {
    type Columns;
    /// What a row may come by.
    fn inputs() -> Vec<Input> {
        vec![crate::transform::input(Self::declare(), Self::identity())]
    }
    fn declare() -> Vec<Field>;
    fn identity() -> Identity;
    fn open(source: &Source<'a>) -> Result<Self::Columns, String>;
    fn read(columns: &Self::Columns, index: usize) -> Self;
}

/// Where readers come from; used by derived code.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    columns: &'a [Column],
    count: usize,
    /// none where keys are read, which carry nothing beside their fields
    batch: Option<&'a Batch>,
}

impl<'a> Source<'a> {
    pub fn of_batch(batch: &'a Batch) -> Self {
        Self { columns: &batch.fields, count: batch.count as usize, batch: Some(batch) }
    }

    pub fn of_keys(columns: &'a [Column], count: usize) -> Self {
        Self { columns, count, batch: None }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The input that the rows came by.
    pub fn input(&self) -> u32 {
        self.batch.map_or(0, |batch| batch.input)
    }

    /// Reader of the field at `index` of those declared.
    pub fn field<T: Cell<'a>>(&self, index: usize, path: &str) -> Result<T::Reader, String> {
        let column: &'a Column = self.columns.get(index).ok_or_else(|| format!("field `{path}` was not sent"))?;
        cell::open::<T>(column, self.count, path)
    }

    pub fn special<T: Special<'a>>(&self) -> Result<T::Reader, String> {
        let missing = || format!("identity column of {} was not sent", std::any::type_name::<T>());
        self.batch.and_then(T::open).ok_or_else(missing)
    }
}

/// An identity column: what a record carries beside its fields. Used by derived code.
pub trait Special<'a>: Sized {
    type Reader;
    fn open(batch: &'a Batch) -> Option<Self::Reader>;
    fn read(reader: &Self::Reader, index: usize) -> Self;
}

macro_rules! special_bytes {
    ($(#[$doc:meta])* $name:ident, $column:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a>(pub &'a [u8]);
        impl<'a> Special<'a> for $name<'a> {
            type Reader = Bytes<'a>;
            fn open(batch: &'a Batch) -> Option<Self::Reader> {
                Bytes::open(&batch.$column, batch.count as usize)
            }
            #[inline]
            fn read(reader: &Self::Reader, index: usize) -> Self {
                Self(reader.get(index))
            }
        }
    };
}

macro_rules! special_time {
    ($(#[$doc:meta])* $name:ident, $column:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub i64);
        impl<'a> Special<'a> for $name {
            type Reader = &'a [i64];
            fn open(batch: &'a Batch) -> Option<Self::Reader> {
                (batch.$column.len() == batch.count as usize).then_some(&batch.$column)
            }
            #[inline]
            fn read(reader: &Self::Reader, index: usize) -> Self {
                Self(reader[index])
            }
        }
    };
}

special_bytes!(
    /// The partition key of the record.
    PartitionKey, partition_key
);
special_bytes!(
    /// The record's bytes as they came from the stream.
    Payload, payload
);
special_time!(
    /// Event time in microseconds.
    EventTime, event_us
);
special_time!(
    /// When the stream received the record, in microseconds.
    ArrivalTime, arrival_us
);

/// Where the record stands in its stream: no other record of the job has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// `STREAM/SHARD`.
    pub shard: &'a str,
    /// Decimal digits: compare them as numbers.
    pub sequence: &'a [u8],
    pub sub_sequence: u32,
}

impl<'a> Special<'a> for Position<'a> {
    type Reader = (&'a Batch, Bytes<'a>);
    fn open(batch: &'a Batch) -> Option<Self::Reader> {
        let count = batch.count as usize;
        let whole = batch.shard_index.len() == count && batch.sub_sequence.len() == count;
        let known = batch.shard_index.iter().all(|shard| (*shard as usize) < batch.shards.len());
        Some((batch, Bytes::open(&batch.sequence, count)?)).filter(|_| whole && known)
    }
    fn read((batch, sequence): &Self::Reader, index: usize) -> Self {
        let shard = &batch.shards[batch.shard_index[index] as usize];
        Self { shard, sequence: sequence.get(index), sub_sequence: batch.sub_sequence[index] }
    }
}

/// The rows of one batch, in order.
pub struct Rows<'a, F: Fields<'a>> {
    batch: &'a Batch,
    columns: F::Columns,
    next: u32,
}

impl<'a, F: Fields<'a>> Rows<'a, F> {
    pub fn open(batch: &'a Batch) -> Result<Self, String> {
        Ok(Self { batch, columns: F::open(&Source::of_batch(batch))?, next: 0 })
    }

    /// Row `index`, or `None` past the end.
    #[inline]
    pub fn get(&self, index: u32) -> Option<Row<F>> {
        (index < self.batch.count).then(|| Row { fields: F::read(&self.columns, index as usize), index })
    }

    /// Processing time: the same again when a batch is retried.
    pub fn now_ms(&self) -> i64 {
        self.batch.now_ms
    }

    /// A seed for random numbers: the same again when a batch is retried.
    pub fn seed(&self) -> u64 {
        self.batch.seed
    }

    /// How far event time has come; none while there is no watermark.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.batch.watermark_ms
    }
}

impl<'a, F: Fields<'a>> Iterator for Rows<'a, F> {
    type Item = Row<F>;

    #[inline]
    fn next(&mut self) -> Option<Row<F>> {
        let row = self.get(self.next)?;
        self.next += 1;
        Some(row)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.batch.count - self.next) as usize;
        (left, Some(left))
    }
}

impl<'a, F: Fields<'a>> ExactSizeIterator for Rows<'a, F> {}

/// One row: the author's struct, and which record it is.
#[derive(Clone, Copy, Debug)]
pub struct Row<F> {
    pub fields: F,
    index: u32,
}

impl<F> Row<F> {
    pub(crate) fn new(fields: F, index: u32) -> Self {
        Self { fields, index }
    }

    /// Place of the record in its batch: what `Out` wants to know where a result comes from.
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl<F> Deref for Row<F> {
    type Target = F;
    #[inline]
    fn deref(&self) -> &F {
        &self.fields
    }
}
