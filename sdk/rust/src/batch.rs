//! Columns as they are, for plugins whose fields are named by their config and which therefore have no struct for them.
//!
//! The fields are those of the manifest's input, in its order; the same checks apply as for derived rows.

use crate::bindings::types::{Batch, Column, Emitted, Field, Identity, Kind, RecordError};
use crate::cell::{self, Cell};
use crate::out::{self, Identities, Reject};

/// One batch of a plugin that names its fields at run time.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    batch: &'a Batch,
}

impl<'a> Columns<'a> {
    pub fn new(batch: &'a Batch) -> Self {
        Self { batch }
    }

    /// Number of records.
    pub fn count(&self) -> usize {
        self.batch.count as usize
    }

    /// The column of the input field at `index`.
    pub fn column(&self, index: usize) -> Result<&'a Column, String> {
        self.batch
            .fields
            .get(index)
            .ok_or_else(|| format!("field {index} was not sent; {} were", self.batch.fields.len()))
    }

    /// The cells of the input field at `index`, as `T`.
    pub fn cells<T: Cell<'a>>(&self, index: usize) -> Result<Cells<'a, T>, String> {
        let column = self.column(index)?;
        Ok(Cells { reader: cell::open::<T>(column, self.count(), &format!("number {index}"))? })
    }

    /// Everything else, as it crossed the boundary.
    pub fn raw(&self) -> &'a Batch {
        self.batch
    }
}

/// Typed cells of one column.
pub struct Cells<'a, T: Cell<'a>> {
    reader: T::Reader,
}

impl<'a, T: Cell<'a>> Cells<'a, T> {
    #[inline]
    pub fn get(&self, index: usize) -> T {
        T::read(&self.reader, index)
    }
}

/// What a call gives back, column by column.
#[derive(Debug, Default)]
pub struct Emit {
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) errors: Vec<RecordError>,
}

impl Emit {
    /// Records of `output`: `source` says which input record (or group) each comes from, `fields` are the output's, in its order.
    pub fn push(&mut self, output: u32, source: Vec<u32>, fields: Vec<Column>) {
        self.emitted.push(out::emitted(output, source, Identities::default(), Identity::empty(), fields));
    }

    /// Record (or group) `index` cannot be processed.
    pub fn reject(&mut self, index: u32, Reject { code, message }: Reject) {
        self.errors.push(RecordError { index, code, message });
    }
}

/// A field of a manifest.
pub fn field(path: &str, kind: Kind, optional: bool, doc: &str) -> Field {
    Field { path: path.to_owned(), kind, optional, doc: doc.to_owned() }
}

/// An output of a manifest that sets nothing but its fields.
pub fn output(name: &str, fields: Vec<Field>, doc: &str) -> crate::bindings::types::Output {
    crate::bindings::types::Output { name: name.to_owned(), fields, sets: Identity::empty(), doc: doc.to_owned() }
}
