//! The fields that a plugin wants, taken from what arrives at its step.
//!
//! The rule: no column is copied; a field that may be absent, and is, is null in every row. Left to others: whether what is there fits the
//! plugin (`job::check`, `plugin::lower`).

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{FieldRef, Schema, SchemaRef},
};

use crate::error::{Error, Kind, Result};

/// Where one wanted field comes from.
#[derive(Clone, Debug)]
pub enum At {
    /// this column of what arrives
    Column(usize),
    /// nothing that arrives has it
    Nowhere(FieldRef),
}

/// For each field that a plugin wants, in its order, where it comes from.
#[derive(Clone, Debug)]
pub struct Wanted {
    from: Vec<At>,
    schema: SchemaRef,
}

impl Wanted {
    /// The fields of rows of this schema. `Kind::Internal` where it has no such column.
    pub fn new(from: Vec<At>, arrives: &SchemaRef) -> Result<Self> {
        let field = |from: &At| match from {
            At::Column(column) => arrives.fields().get(*column).cloned().ok_or_else(|| gone(*column)),
            At::Nowhere(field) => Ok(field.clone()),
        };
        let fields = from.iter().map(field).collect::<Result<Vec<_>>>()?;
        Ok(Self { from, schema: Arc::new(Schema::new(fields)) })
    }

    /// The wanted columns of these rows.
    pub fn of(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = |(from, field): (&At, &FieldRef)| match from {
            At::Column(column) => rows.columns().get(*column).cloned().ok_or_else(|| gone(*column)),
            At::Nowhere(_) => Ok(new_null_array(field.data_type(), rows.num_rows())),
        };
        let columns = self.from.iter().zip(self.schema.fields()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let taken = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        taken.map_err(|e| Error::new(Kind::Internal, e.to_string()))
    }
}

fn gone(column: usize) -> Error {
    Error::new(Kind::Internal, format!("what arrives has no column {column}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use arrow::{
        array::{Array, ArrayRef, Int64Array},
        datatypes::{DataType, Field},
    };

    use super::*;

    #[test]
    fn what_is_absent_is_null_in_every_row() {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_from_iter([("n", n)]).unwrap();
        let absent = Arc::new(Field::new("note", DataType::Utf8, true));
        let wanted = Wanted::new(vec![At::Nowhere(absent), At::Column(0)], &rows.schema()).unwrap();
        let taken = wanted.of(&rows).unwrap();
        assert_eq!(
            taken.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(),
            ["note", "n"]
        );
        assert_eq!((taken.column(0).null_count(), taken.column(1).null_count(), taken.num_rows()), (2, 0, 2));
        let none = Wanted::new(Vec::new(), &rows.schema()).unwrap();
        assert_eq!(none.of(&rows).unwrap().num_rows(), 2, "a plugin may want no field at all");
        assert!(Wanted::new(vec![At::Column(1)], &rows.schema()).is_err());
    }
}
