//! Columns of a batch as a guest is given them.
//!
//! The rule: one copy a column at most before the boundary, and only columns that the manifest asks for.
//! Left to others: what the guest makes of them (`lift`).

use std::ops::Range;

use arrow::{
    array::{Array, ArrayRef, AsArray, GenericByteArray},
    compute::cast,
    datatypes::{
        ByteArrayType, DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};

use super::{
    Call, Failure, KeySet,
    bindings::types::{self, BytesColumnParam, ColumnParam, DecimalColumnParam, ValuesParam},
    describe::{Field, FieldKind, Identity},
};
use crate::record::{Batch, Cells, CellsBuilder, Origin};

/// A column of bytes that is not there.
pub(super) const ABSENT: BytesColumnParam<'static> = BytesColumnParam { data: &[], offsets: &[] };

/// Columns, or why they cannot be passed in.
pub(super) type Lowered<T> = Result<T, Failure>;

fn unfit(what: String) -> Failure {
    Failure::Unfit { what }
}

/// One column, in the form that crosses the boundary. What arrow holds the same way is borrowed from it.
#[derive(Debug)]
pub(super) struct Column {
    kind: FieldKind,
    array: ArrayRef,
    /// booleans as bytes, or the digits of decimals
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    null: Vec<u8>,
}

impl Column {
    pub(super) fn new(field: &Field, array: &ArrayRef) -> Lowered<Self> {
        let array = fitting(field, array)?;
        let mut column = Self { kind: field.kind, bytes: Vec::new(), offsets: Vec::new(), null: nulls(&array), array };
        match field.kind {
            FieldKind::Boolean => {
                column.bytes = column.array.as_boolean().iter().map(|cell| cell.unwrap_or(false).into()).collect()
            }
            FieldKind::Text | FieldKind::Json => column.offsets = offsets(column.array.as_string::<i32>()),
            FieldKind::Binary => column.offsets = offsets(column.array.as_binary::<i32>()),
            FieldKind::Decimal => {
                let cells = column.array.as_primitive::<Decimal128Type>().values();
                column.bytes = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
                column.offsets = (0..=cells.len()).map(|cell| (cell * 16) as u32).collect();
            }
            _ => {}
        }
        Ok(column)
    }

    pub(super) fn param(&self) -> ColumnParam<'_> {
        let array = &self.array;
        let values = match self.kind {
            FieldKind::Boolean => ValuesParam::Boolean(&self.bytes),
            FieldKind::Int32 => ValuesParam::Int32(array.as_primitive::<Int32Type>().values()),
            FieldKind::Int64 => ValuesParam::Int64(array.as_primitive::<Int64Type>().values()),
            FieldKind::Float64 => ValuesParam::Float64(array.as_primitive::<Float64Type>().values()),
            FieldKind::Timestamp => ValuesParam::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values()),
            FieldKind::Date => ValuesParam::Date(array.as_primitive::<Date32Type>().values()),
            FieldKind::Text => ValuesParam::Text(self.cells(data(array.as_string::<i32>()))),
            FieldKind::Json => ValuesParam::Json(self.cells(data(array.as_string::<i32>()))),
            FieldKind::Binary => ValuesParam::Binary(self.cells(data(array.as_binary::<i32>()))),
            FieldKind::Decimal => {
                let scale = match array.data_type() {
                    DataType::Decimal128(_, scale) => i32::from(*scale),
                    _ => 0,
                };
                ValuesParam::Decimal(DecimalColumnParam { unscaled: self.cells(&self.bytes), scale })
            }
        };
        ColumnParam { values, null: &self.null }
    }

    fn cells<'a>(&'a self, data: &'a [u8]) -> BytesColumnParam<'a> {
        BytesColumnParam { data, offsets: &self.offsets }
    }
}

/// The array itself, or a cast of it where a stage holds the same values in another form (views, dictionaries, larger integers).
fn fitting(field: &Field, array: &ArrayRef) -> Lowered<ArrayRef> {
    let wanted = field.kind.data_type();
    let found = array.data_type();
    let fits = found == &wanted
        || matches!((field.kind, found), (FieldKind::Decimal, DataType::Decimal128(_, _)))
        || matches!(
            (field.kind, found),
            (FieldKind::Timestamp, DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _))
        );
    let array = if fits {
        array.clone()
    } else {
        cast(array, &wanted)
            .map_err(|_| unfit(format!("field `{}` is {found}, which cannot become {wanted}", field.path)))?
    };
    if !field.optional && array.logical_null_count() > 0 {
        let what = format!("field `{}`, which the plugin does not declare optional", field.path);
        return Err(Failure::Missing { what });
    }
    Ok(array)
}

fn nulls(array: &ArrayRef) -> Vec<u8> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => nulls.iter().map(|valid| u8::from(!valid)).collect(),
        _ => Vec::new(),
    }
}

/// Offsets that start at 0, whatever part of its buffer the array is.
fn offsets<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Vec<u32> {
    let offsets = array.value_offsets();
    let first = offsets.first().copied().unwrap_or(0);
    offsets.iter().map(|offset| (offset - first) as u32).collect()
}

fn data<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> &[u8] {
    let offsets = array.value_offsets();
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => &array.value_data()[*first as usize..*last as usize],
        _ => &[],
    }
}

/// Cells as a guest is given them.
pub(super) fn cells(cells: &Cells) -> BytesColumnParam<'_> {
    BytesColumnParam { data: cells.data(), offsets: cells.offsets() }
}

/// The columns of fields, in the order declared.
pub(super) fn columns(fields: &[Field], batch: &arrow::array::RecordBatch) -> Lowered<Vec<Column>> {
    if fields.len() != batch.num_columns() {
        let what = format!("the plugin wants {} fields, the batch has {}", fields.len(), batch.num_columns());
        return Err(unfit(what));
    }
    fields.iter().zip(batch.columns()).map(|(field, array)| Column::new(field, array)).collect()
}

/// The typed columns of keys, in the order of the step's `key:`.
pub(super) fn keys(keys: &KeySet) -> Lowered<Vec<Column>> {
    let schema = keys.fields.schema();
    keys.fields
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| {
            let kind = FieldKind::of(field.data_type()).ok_or_else(|| Failure::Unfit {
                what: format!("key `{}` is {}, which plugins are not given", field.name(), field.data_type()),
            })?;
            let field = Field { path: field.name().as_str().into(), kind, optional: true, doc: String::new() };
            Column::new(&field, array)
        })
        .collect()
}

pub(super) fn params(columns: &[Column]) -> Vec<ColumnParam<'_>> {
    columns.iter().map(Column::param).collect()
}

/// Some rows of a batch, ready to be borrowed by a guest's argument.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    count: u32,
    fields: Vec<Column>,
    event_us: &'a [i64],
    arrival_us: Vec<i64>,
    partition_key: Option<Cells>,
    shard: Option<String>,
    shard_index: Vec<u32>,
    sequence: Option<Cells>,
    sub_sequence: Vec<u32>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a Batch, range: Range<usize>, identity: &Identity, fields: &[Field]) -> Lowered<Self> {
        let length = range.len();
        let count =
            u32::try_from(length).map_err(|_| unfit(format!("a batch of {length} rows is too large for one call")))?;
        let sliced = batch.fields.slice(range.start, length);
        let mut rows = Self {
            count,
            fields: columns(fields, &sliced)?,
            event_us: if identity.event_time { &batch.event_us[range.clone()] } else { &[] },
            arrival_us: Vec::new(),
            partition_key: None,
            shard: None,
            shard_index: Vec::new(),
            sequence: None,
            sub_sequence: Vec::new(),
        };
        rows.identify(&batch.origin, &batch.rows[range], identity)?;
        Ok(rows)
    }

    fn identify(&mut self, origin: &'a Origin, rows: &[u32], identity: &Identity) -> Lowered<()> {
        let pick = |row: &u32| *row as usize;
        let keys = match origin {
            Origin::Records(records) => &records.partition_key,
            Origin::Firings(firings) => &firings.key,
            Origin::Timers(timers) => &timers.key,
        };
        if identity.partition_key {
            self.partition_key = Some(rows.iter().map(|row| keys.cell(pick(row))).collect());
        }
        if !identity.arrival_time && !identity.position {
            return Ok(());
        }
        let Origin::Records(records) = origin else {
            let what =
                "the plugin wants the arrival time or the position, which results of windows and timers do not have";
            return Err(unfit(what.into()));
        };
        if identity.arrival_time {
            self.arrival_us = rows.iter().map(|row| records.arrival_us[pick(row)]).collect();
        }
        if identity.position {
            self.shard = Some(format!("{}/{}", records.stream, records.shard.as_str()));
            self.shard_index = vec![0; rows.len()];
            self.sub_sequence = rows.iter().map(|row| records.sub_sequence[pick(row)]).collect();
            let mut sequence = CellsBuilder::default();
            rows.iter().for_each(|row| sequence.push(records.sequence[pick(row)].to_string().as_bytes()));
            self.sequence = Some(sequence.finish());
        }
        Ok(())
    }

    /// Columns and their borrower are apart because the argument is a slice of borrowed columns.
    pub(super) fn fields(&self) -> Vec<ColumnParam<'_>> {
        self.fields.iter().map(Column::param).collect()
    }

    pub(super) fn shards(&self) -> Vec<&str> {
        self.shard.iter().map(String::as_str).collect()
    }

    pub(super) fn param<'b>(
        &'b self,
        call: &Call,
        fields: &'b [ColumnParam<'b>],
        shards: &'b [&'b str],
    ) -> types::Batch<'b> {
        types::Batch {
            input: 0,
            count: self.count,
            now_ms: call.now_ms,
            seed: call.seed,
            watermark_ms: call.watermark_ms,
            keys: types::KeySet { bytes: ABSENT, fields: &[] },
            key_index: &[],
            shards,
            shard_index: &self.shard_index,
            sequence: self.sequence.as_ref().map_or(ABSENT, cells),
            sub_sequence: &self.sub_sequence,
            partition_key: self.partition_key.as_ref().map_or(ABSENT, cells),
            event_us: self.event_us,
            arrival_us: &self.arrival_us,
            operation: &[],
            payload: ABSENT,
            fields,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, DictionaryArray, Int64Array, StringArray};

    use super::*;

    fn field(kind: FieldKind, optional: bool) -> Field {
        Field { path: "f".into(), kind, optional, doc: String::new() }
    }

    #[test]
    fn a_slice_of_text_starts_at_zero_and_keeps_its_nulls() {
        let array: ArrayRef = Arc::new(StringArray::from(vec![Some("zero"), Some("a"), None, Some("ä")]));
        let column = Column::new(&field(FieldKind::Text, true), &array.slice(1, 3)).unwrap();
        let ValuesParam::Text(text) = column.param().values else { panic!("not text") };
        assert_eq!((text.data, text.offsets), ("aä".as_bytes(), [0, 1, 1, 3].as_slice()));
        assert_eq!(column.param().null, [0, 1, 0]);
    }

    #[test]
    fn other_forms_of_the_same_values_are_cast() {
        let words: DictionaryArray<Int32Type> = vec!["x", "y", "x"].into_iter().collect();
        let column = Column::new(&field(FieldKind::Text, false), &(Arc::new(words) as ArrayRef)).unwrap();
        let ValuesParam::Text(text) = column.param().values else { panic!("not text") };
        assert_eq!(text.data, b"xyx");
        let failure =
            Column::new(&field(FieldKind::Date, true), &(Arc::new(BooleanArray::from(vec![true])) as ArrayRef));
        assert!(matches!(failure.unwrap_err(), Failure::Unfit { .. }));
    }

    #[test]
    fn a_value_that_is_missing_is_told_from_a_batch_that_does_not_fit() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let failure = Column::new(&field(FieldKind::Int64, false), &array).unwrap_err();
        assert_eq!(failure.code(), "value_missing");
        assert!(Column::new(&field(FieldKind::Int64, false), &array.slice(0, 1)).is_ok());
    }

    #[test]
    fn decimals_keep_their_scale_and_sign() {
        let array = Decimal128Array::from(vec![-1, 256]).with_precision_and_scale(10, 2).unwrap();
        let column = Column::new(&field(FieldKind::Decimal, false), &(Arc::new(array) as ArrayRef)).unwrap();
        let ValuesParam::Decimal(decimals) = column.param().values else { panic!("not decimals") };
        assert_eq!(decimals.scale, 2);
        assert_eq!(decimals.unscaled.offsets, [0, 16, 32]);
        assert_eq!(decimals.unscaled.data[..16], [0xff; 16]);
        assert_eq!(decimals.unscaled.data[30..], [1, 0]);
    }
}
