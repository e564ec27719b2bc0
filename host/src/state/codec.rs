//! Key columns become bytes and back.
//!
//! The rule: equal keys have equal bytes, whatever batch they came in, and the bytes are kept stable: they name rows of state. A cell is
//! 0 for null, or 1 and the value: numbers as 8 bytes, most significant first; text and bytes with their length.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Date32Array, Date32Builder,
        Int32Array, Int32Builder, Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder,
        TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    },
    datatypes::{DataType, Date32Type, FieldRef, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType},
};

use super::key::hash;
use crate::{
    error::{Error, Kind, Result},
    record::{Cells, CellsBuilder},
};

/// The `key:` of a step.
#[derive(Clone, Debug)]
pub struct KeyCodec {
    columns: Vec<usize>,
    fields: Vec<FieldRef>,
    /// which of the fields is the partition key of the records' source, where state lies in the hash space of shards
    hashed_by: Option<usize>,
}

impl KeyCodec {
    /// Keys made of these columns. `Kind::Config` for a column that is missing or of a type that makes no key.
    pub fn new(schema: &SchemaRef, names: &[String]) -> Result<Self> {
        let mut codec = Self { columns: Vec::new(), fields: Vec::new(), hashed_by: None };
        for name in names {
            let config = |what: String| Error::new(Kind::Config, what);
            let Some((column, field)) = schema.fields().find(name) else {
                let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                return Err(config(format!("the key `{name}` is no field of the input; it has {}", known.join(", "))));
            };
            match field.data_type() {
                DataType::Utf8
                | DataType::Binary
                | DataType::Boolean
                | DataType::Int32
                | DataType::Int64
                | DataType::Date32 => {}
                DataType::Timestamp(TimeUnit::Microsecond, _) => {}
                other => {
                    return Err(config(format!(
                        "the key `{name}` is {other}, which makes no key; use text, numbers, dates or booleans"
                    )));
                }
            }
            codec.columns.push(column);
            codec.fields.push(field.clone());
        }
        Ok(codec)
    }

    /// State of a key lies where this field, the partition key of its records, has its hash.
    pub fn hashed_by(mut self, field: &str) -> Self {
        self.hashed_by = self.fields.iter().position(|known| known.name() == field);
        self
    }

    /// Where the state of a key lies: the MD5 of the key, or of the partition key within it.
    pub fn hash(&self, key: &[u8]) -> [u8; 16] {
        let text = self.hashed_by.and_then(|place| {
            let mut rest = key;
            let (before, field) = (&self.fields[..place], &self.fields[place]);
            before.iter().try_for_each(|field| cell(field.data_type(), &mut rest).map(drop)).ok()?;
            partition_key_text(field.data_type(), cell(field.data_type(), &mut rest).ok()??)
        });
        text.map_or_else(|| hash(key), |text| hash(&text))
    }

    /// The key fields, in order.
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// One key a row.
    pub fn encode(&self, batch: &RecordBatch) -> Cells {
        let columns: Vec<Column<'_>> = self.columns.iter().map(|c| Column::of(batch.column(*c))).collect();
        let rows = batch.num_rows();
        if let [Column::Text(texts)] = columns.as_slice()
            && texts.null_count() == 0
        {
            return encode_texts(texts);
        }
        let mut cells = CellsBuilder::with_capacity(rows, rows * 16 * columns.len());
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            columns.iter().for_each(|column| column.encode(row, &mut key));
            cells.push(&key);
        }
        cells.finish()
    }

    /// The key columns of these keys. `Kind::State` if bytes are no key of this step.
    pub fn decode<'a>(&self, keys: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Vec<ArrayRef>> {
        let mut rests: Vec<&[u8]> = keys.collect();
        self.fields.iter().map(|field| decode_column(field.data_type(), &mut rests)).collect()
    }
}

/// A key column, its type found once a batch.
enum Column<'a> {
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Boolean(&'a BooleanArray),
    Int32(&'a Int32Array),
    Date(&'a Date32Array),
    Int64(&'a Int64Array),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Column<'a> {
    /// Of a column whose type was checked when the codec was made.
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            _ => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>()),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Binary(array) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
        }
    }

    fn encode(&self, row: usize, key: &mut Vec<u8>) {
        if self.is_null(row) {
            return key.push(0);
        }
        key.push(1);
        let number = |value: i64| value.to_be_bytes();
        match self {
            Self::Text(array) => sized_cell(array.value(row).as_bytes(), key),
            Self::Binary(array) => sized_cell(array.value(row), key),
            Self::Boolean(array) => key.push(u8::from(array.value(row))),
            Self::Int32(array) => key.extend_from_slice(&number(array.value(row).into())),
            Self::Date(array) => key.extend_from_slice(&number(array.value(row).into())),
            Self::Int64(array) => key.extend_from_slice(&number(array.value(row))),
            Self::Timestamp(array) => key.extend_from_slice(&number(array.value(row))),
        }
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a batch is bounded far below 4 GiB").to_be_bytes()
}

fn sized_cell(bytes: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&length(bytes));
    key.extend_from_slice(bytes);
}

/// The commonest key: one column of text, no nulls.
fn encode_texts(texts: &StringArray) -> Cells {
    let mut cells = CellsBuilder::with_capacity(texts.len(), texts.value_data().len() + 5 * texts.len());
    for row in 0..texts.len() {
        let text = texts.value(row).as_bytes();
        let [a, b, c, d] = length(text);
        cells.push_parts(&[1, a, b, c, d], text);
    }
    cells.finish()
}

/// The next cell; none where it is null.
fn cell<'a>(kind: &DataType, rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    if take(rest, 1)? == [0] {
        return Ok(None);
    }
    let length = match kind {
        DataType::Utf8 | DataType::Binary => u32::from_be_bytes(take(rest, 4)?.try_into().map_err(|_| bad())?) as usize,
        DataType::Boolean => 1,
        _ => 8,
    };
    take(rest, length).map(Some)
}

/// A cell as producers write it for a partition key: text as it is, whole numbers in decimal; nothing else makes one.
fn partition_key_text<'a>(kind: &DataType, cell: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
    match kind {
        DataType::Utf8 => Some(cell.into()),
        DataType::Int32 | DataType::Int64 => {
            Some(i64::from_be_bytes(cell.try_into().ok()?).to_string().into_bytes().into())
        }
        _ => None,
    }
}

fn bad() -> Error {
    Error::new(Kind::State, "a key in the state does not fit the step's `key:`; the state was made by another job")
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(bad)?;
    *rest = left;
    Ok(taken)
}

/// The next cell of every key: `None` where it is null.
fn fixed(rests: &mut [&[u8]]) -> Result<Vec<Option<i64>>> {
    let cell = |rest: &mut &[u8]| match take(rest, 1)? {
        [0] => Ok(None),
        _ => Ok(Some(i64::from_be_bytes(take(rest, 8)?.try_into().map_err(|_| bad())?))),
    };
    rests.iter_mut().map(cell).collect()
}

fn sized<'a>(rests: &mut [&'a [u8]]) -> Result<Vec<Option<&'a [u8]>>> {
    let cell = |rest: &mut &'a [u8]| match take(rest, 1)? {
        [0] => Ok(None),
        _ => {
            let length = u32::from_be_bytes(take(rest, 4)?.try_into().map_err(|_| bad())?) as usize;
            take(rest, length).map(Some)
        }
    };
    rests.iter_mut().map(cell).collect()
}

fn decode_column(kind: &DataType, rests: &mut [&[u8]]) -> Result<ArrayRef> {
    Ok(match kind {
        DataType::Utf8 => {
            let mut column = StringBuilder::new();
            for cell in sized(rests)? {
                column.append_option(cell.map(std::str::from_utf8).transpose().map_err(|_| bad())?);
            }
            Arc::new(column.finish())
        }
        DataType::Binary => {
            let mut column = BinaryBuilder::new();
            sized(rests)?.into_iter().for_each(|cell| column.append_option(cell));
            Arc::new(column.finish())
        }
        DataType::Boolean => {
            let mut column = BooleanBuilder::new();
            for rest in rests.iter_mut() {
                column.append_option(match take(rest, 1)? {
                    [0] => None,
                    _ => Some(take(rest, 1)? == [1]),
                });
            }
            Arc::new(column.finish())
        }
        DataType::Int32 => {
            let mut column = Int32Builder::new();
            for cell in fixed(rests)? {
                column.append_option(cell.map(i32::try_from).transpose().map_err(|_| bad())?);
            }
            Arc::new(column.finish())
        }
        DataType::Date32 => {
            let mut column = Date32Builder::new();
            for cell in fixed(rests)? {
                column.append_option(cell.map(i32::try_from).transpose().map_err(|_| bad())?);
            }
            Arc::new(column.finish())
        }
        DataType::Int64 => {
            let mut column = Int64Builder::new();
            fixed(rests)?.into_iter().for_each(|cell| column.append_option(cell));
            Arc::new(column.finish())
        }
        other => {
            let mut column = TimestampMicrosecondBuilder::new().with_data_type(other.clone());
            fixed(rests)?.into_iter().for_each(|cell| column.append_option(cell));
            Arc::new(column.finish())
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use arrow::{
        array::{BooleanArray, Int64Array, StringArray},
        datatypes::{Field, Schema},
    };
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_come_back(rows in prop::collection::vec((any::<Option<String>>(), any::<Option<i64>>(), any::<Option<bool>>()), 1..20)) {
            let schema = Arc::new(Schema::new(vec![
                Field::new("s", DataType::Utf8, true), Field::new("i", DataType::Int64, true), Field::new("b", DataType::Boolean, true),
            ]));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|r| r.0.clone()).collect::<StringArray>()),
                Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|r| r.2).collect::<BooleanArray>()),
            ];
            let batch = RecordBatch::try_new(schema.clone(), columns.clone()).unwrap();
            let codec = KeyCodec::new(&schema, &["s".into(), "i".into(), "b".into()]).unwrap();
            let keys = codec.encode(&batch);
            let distinct: std::collections::HashSet<_> = rows.iter().collect();
            prop_assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), distinct.len());
            prop_assert_eq!(codec.decode((0..keys.len()).map(|i| keys.cell(i))).unwrap(), columns);
        }

        #[test]
        fn state_lies_where_the_partition_key_has_its_hash(text: String, number: i64, flag: Option<bool>) {
            let schema = Arc::new(Schema::new(vec![
                Field::new("b", DataType::Boolean, true), Field::new("s", DataType::Utf8, true), Field::new("i", DataType::Int64, true),
            ]));
            let columns: Vec<ArrayRef> = vec![
                Arc::new(BooleanArray::from(vec![flag])),
                Arc::new(StringArray::from(vec![text.clone()])),
                Arc::new(Int64Array::from(vec![number])),
            ];
            let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
            let codec = KeyCodec::new(&schema, &["b".into(), "s".into(), "i".into()]).unwrap();
            let keys = codec.encode(&batch);
            prop_assert_eq!(codec.hash(keys.cell(0)), hash(keys.cell(0)));
            prop_assert_eq!(codec.clone().hashed_by("s").hash(keys.cell(0)), hash(text.as_bytes()));
            prop_assert_eq!(codec.hashed_by("i").hash(keys.cell(0)), hash(number.to_string().as_bytes()));
        }

        #[test]
        fn hostile_bytes_are_refused_or_read_but_never_panic(key: Vec<u8>) {
            let schema = Arc::new(Schema::new(vec![Field::new("s", DataType::Utf8, true), Field::new("i", DataType::Int32, true)]));
            let codec = KeyCodec::new(&schema, &["s".into(), "i".into()]).unwrap();
            let _ = codec.decode([key.as_slice()].into_iter());
            codec.hashed_by("i").hash(&key);
        }
    }
}
