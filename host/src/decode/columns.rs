//! The columns of a batch while they are built: plain vectors that a row is appended to, and taken back from.
//!
//! The rule: **rows are all or nothing.** A decoder appends the cells of a record in any order, then calls [`Columns::keep`]
//! or [`Columns::drop_row`]; what is kept has exactly one cell in each column.
//! Left to others: reading values out of bytes.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array, Int32Array,
        Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    },
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, i256},
};

use super::{Decoded, Kind, Reject, WantedField};
use crate::{
    error::{Error, Kind as ErrorKind, Result},
    record::RawBatch,
};

/// Why a record makes no row: the code and the words of its reject.
pub type Refusal = (&'static str, String);

/// The most bytes that the text or binary cells of one column of a batch may have together.
const MOST_BYTES: usize = 1 << 30;

/// The cells of a column, without their nulls.
#[derive(Debug)]
pub enum Values {
    /// booleans
    Boolean(Vec<bool>),
    /// 32-bit numbers and dates
    Int32(Vec<i32>),
    /// 64-bit numbers and timestamps
    Int64(Vec<i64>),
    /// floating point
    Float64(Vec<f64>),
    /// text, bytes and JSON: the bytes of all cells and where each ends
    Bytes(Vec<u8>, Vec<i32>),
    /// decimals of at most 38 digits
    Decimal(Vec<i128>),
    /// decimals of more digits
    Wide(Vec<i256>),
}

/// A column being built.
#[derive(Debug)]
pub struct Column {
    values: Values,
    /// one a cell, only kept where the field is optional
    valid: Option<Vec<bool>>,
    wanted: WantedField,
}

/// A cell does not fit into the column any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Column {
    fn new(wanted: &WantedField, rows: usize) -> Self {
        let values = match wanted.kind {
            Kind::Boolean => Values::Boolean(Vec::with_capacity(rows)),
            Kind::Int32 | Kind::Date => Values::Int32(Vec::with_capacity(rows)),
            Kind::Int64 | Kind::Timestamp => Values::Int64(Vec::with_capacity(rows)),
            Kind::Float64 => Values::Float64(Vec::with_capacity(rows)),
            Kind::Text | Kind::Binary | Kind::Json => {
                let mut ends = Vec::with_capacity(rows + 1);
                ends.push(0);
                Values::Bytes(Vec::new(), ends)
            }
            Kind::Decimal { precision, .. } if precision > 38 => Values::Wide(Vec::with_capacity(rows)),
            Kind::Decimal { .. } => Values::Decimal(Vec::with_capacity(rows)),
        };
        Self { values, valid: wanted.optional.then(|| Vec::with_capacity(rows)), wanted: wanted.clone() }
    }

    /// The field that the column is for.
    pub fn wanted(&self) -> &WantedField {
        &self.wanted
    }

    /// How many cells it has.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Boolean(list) => list.len(),
            Values::Int32(list) => list.len(),
            Values::Int64(list) => list.len(),
            Values::Float64(list) => list.len(),
            Values::Bytes(_, ends) => ends.len() - 1,
            Values::Decimal(list) => list.len(),
            Values::Wide(list) => list.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn mark(&mut self, is_valid: bool) {
        if let Some(valid) = &mut self.valid {
            valid.push(is_valid);
        }
    }

    /// Adds a boolean. This and its siblings do nothing to a column of another kind, which [`Columns::finish`] finds out.
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        if let Values::Boolean(list) = &mut self.values {
            list.push(value);
            self.mark(true);
        }
    }

    /// Adds a 32-bit number or a date.
    #[inline]
    pub fn int32(&mut self, value: i32) {
        if let Values::Int32(list) = &mut self.values {
            list.push(value);
            self.mark(true);
        }
    }

    /// Adds a 64-bit number or a timestamp.
    #[inline]
    pub fn int64(&mut self, value: i64) {
        if let Values::Int64(list) = &mut self.values {
            list.push(value);
            self.mark(true);
        }
    }

    /// Adds a floating point number.
    #[inline]
    pub fn float64(&mut self, value: f64) {
        if let Values::Float64(list) = &mut self.values {
            list.push(value);
            self.mark(true);
        }
    }

    /// Adds bytes, or text that was checked to be UTF-8.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> std::result::Result<(), Full> {
        if let Values::Bytes(data, ends) = &mut self.values {
            if data.len() + value.len() > MOST_BYTES {
                return Err(Full);
            }
            data.extend_from_slice(value);
            ends.push(data.len() as i32);
            self.mark(true);
        }
        Ok(())
    }

    /// Adds an unscaled decimal. `false` when it has more digits than the column takes.
    pub fn decimal(&mut self, value: i256) -> bool {
        let Kind::Decimal { precision, .. } = self.wanted.kind else { return true };
        let bound = power_of_ten(u32::from(precision));
        if bound.is_some_and(|bound| value >= bound || value <= bound.wrapping_neg()) {
            return false;
        }
        match (&mut self.values, value.to_i128()) {
            (Values::Decimal(list), Some(value)) => list.push(value),
            (Values::Wide(list), _) => list.push(value),
            _ => return false,
        }
        self.mark(true);
        true
    }

    /// Adds a cell without a value. `false` when the field must have one.
    #[inline]
    pub fn null(&mut self) -> bool {
        if self.valid.is_none() {
            return false;
        }
        match &mut self.values {
            Values::Boolean(list) => list.push(false),
            Values::Int32(list) => list.push(0),
            Values::Int64(list) => list.push(0),
            Values::Float64(list) => list.push(0.0),
            Values::Bytes(data, ends) => ends.push(data.len() as i32),
            Values::Decimal(list) => list.push(0),
            Values::Wide(list) => list.push(i256::ZERO),
        }
        self.mark(false);
        true
    }

    /// Forgets every cell from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(list) => list.truncate(rows),
            Values::Int32(list) => list.truncate(rows),
            Values::Int64(list) => list.truncate(rows),
            Values::Float64(list) => list.truncate(rows),
            Values::Bytes(data, ends) => {
                ends.truncate(rows + 1);
                data.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Decimal(list) => list.truncate(rows),
            Values::Wide(list) => list.truncate(rows),
        }
        if let Some(valid) = &mut self.valid {
            valid.truncate(rows);
        }
    }

    fn finish(self) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
        let nulls = self.valid.filter(|valid| valid.contains(&false)).map(NullBuffer::from);
        Ok(match (self.values, self.wanted.kind) {
            (Values::Boolean(list), _) => Arc::new(BooleanArray::new(BooleanBuffer::from(list), nulls)),
            (Values::Int32(list), Kind::Date) => Arc::new(Date32Array::try_new(list.into(), nulls)?),
            (Values::Int32(list), _) => Arc::new(Int32Array::try_new(list.into(), nulls)?),
            (Values::Int64(list), Kind::Timestamp) => {
                Arc::new(TimestampMicrosecondArray::try_new(list.into(), nulls)?.with_timezone("UTC"))
            }
            (Values::Int64(list), _) => Arc::new(Int64Array::try_new(list.into(), nulls)?),
            (Values::Float64(list), _) => Arc::new(Float64Array::try_new(list.into(), nulls)?),
            (Values::Bytes(data, ends), kind) => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
                match kind {
                    Kind::Binary => Arc::new(BinaryArray::try_new(ends, Buffer::from(data), nulls)?) as ArrayRef,
                    _ => Arc::new(StringArray::try_new(ends, Buffer::from(data), nulls)?),
                }
            }
            (Values::Decimal(list), kind) => {
                let (precision, scale) = kind.digits();
                Arc::new(Decimal128Array::try_new(list.into(), nulls)?.with_precision_and_scale(precision, scale)?)
            }
            (Values::Wide(list), kind) => {
                let (precision, scale) = kind.digits();
                Arc::new(Decimal256Array::try_new(list.into(), nulls)?.with_precision_and_scale(precision, scale)?)
            }
        })
    }
}

/// 10 to this power, where it fits.
pub fn power_of_ten(power: u32) -> Option<i256> {
    (power <= 76).then(|| (0..power).fold(i256::ONE, |value, _| value.wrapping_mul(i256::from(10))))
}

/// All columns of a batch.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Column>,
    schema: SchemaRef,
    rows: usize,
}

impl Columns {
    /// Columns for a batch of about `rows`.
    pub fn new(schema: &SchemaRef, wanted: &[WantedField], rows: usize) -> Self {
        let columns = wanted.iter().map(|field| Column::new(field, rows)).collect();
        Self { columns, schema: Arc::clone(schema), rows: 0 }
    }

    /// Rows that were kept.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, to append to.
    pub fn all(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// The row is good.
    pub fn keep(&mut self) {
        self.rows += 1;
    }

    /// The row is bad: forgets whatever was appended since the last good one.
    pub fn drop_row(&mut self) {
        let rows = self.rows;
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    /// Whether every cell of the columns of text is UTF-8: for decoders that append bytes without looking.
    pub fn is_text_valid(&self) -> bool {
        self.columns.iter().all(|column| match (&column.values, column.wanted.kind) {
            (Values::Bytes(data, ends), Kind::Text) => {
                data.is_ascii()
                    || std::str::from_utf8(data)
                        .is_ok_and(|text| ends.iter().all(|end| text.is_char_boundary(*end as usize)))
            }
            _ => true,
        })
    }

    /// Every record of a batch as a row or a reject: what `append` refuses is taken back.
    pub fn fill(
        mut self,
        batch: &RawBatch,
        mut append: impl FnMut(&[u8], &mut Self) -> std::result::Result<(), Refusal>,
    ) -> Result<Decoded> {
        let (mut rows, mut rejects) = (Vec::with_capacity(batch.len()), Vec::new());
        for (row, record) in (0u32..).zip(batch.data.iter()) {
            match append(record, &mut self) {
                Ok(()) => {
                    self.keep();
                    rows.push(row);
                }
                Err((code, message)) => {
                    self.drop_row();
                    rejects.push(Reject { row, code, message });
                }
            }
        }
        Ok(Decoded { fields: self.finish()?, rows, rejects })
    }

    /// The batch.
    pub fn finish(self) -> Result<RecordBatch> {
        let rows = self.rows;
        if let Some(column) = self.columns.iter().find(|column| column.len() != rows) {
            let (name, cells) = (&column.wanted.path.0, column.len());
            return Err(Error::new(ErrorKind::Internal, format!("column `{name}` has {cells} cells for {rows} rows")));
        }
        let arrays = self.columns.into_iter().map(Column::finish).collect::<std::result::Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        arrays
            .and_then(|arrays| RecordBatch::try_new_with_options(self.schema, arrays, &options))
            .map_err(|failed| Error::new(ErrorKind::Internal, format!("decoded columns do not make a batch: {failed}")))
    }
}

/// The key of a field's metadata that says what arrow's own type does not: `json`.
pub const KIND_KEY: &str = "pelton.kind";

/// The Arrow type of a kind.
fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Int32 => DataType::Int32,
        Kind::Int64 => DataType::Int64,
        Kind::Float64 => DataType::Float64,
        Kind::Text | Kind::Json => DataType::Utf8,
        Kind::Binary => DataType::Binary,
        Kind::Decimal { precision, scale } if precision > 38 => DataType::Decimal256(precision, scale),
        Kind::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Date => DataType::Date32,
    }
}

/// The Arrow schema of the fields that are wanted, in their order.
pub fn arrow_schema(wanted: &[WantedField]) -> SchemaRef {
    let field = |wanted: &WantedField| {
        let field = Field::new(wanted.path.0.as_ref(), data_type(wanted.kind), wanted.optional);
        match wanted.kind {
            Kind::Json => field.with_metadata(HashMap::from([(KIND_KEY.to_owned(), "json".to_owned())])),
            _ => field,
        }
    };
    Arc::new(Schema::new(wanted.iter().map(field).collect::<Vec<_>>()))
}
