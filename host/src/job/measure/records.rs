//! The records that a plugin is measured with: made of the fields that it wants, or read from a file of JSON lines.
//!
//! The rule: the same records in every run; a thousand keys, values that look like those of a stream. Left to others: running (`measure`).

use std::{path::Path, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        StringArray, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field as ArrowField, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};

use crate::{
    decode::columns::KIND_KEY,
    error::{Error, Kind, Result},
    plugin::{Field, FieldKind},
};

/// The field that is a key where the plugin names none.
pub(super) const KEY: &str = "measured_key";

/// Records that are made; a batch begins where the last one ended.
const MADE: usize = 20_000;

/// Where records come from.
#[derive(Clone, Debug)]
pub enum Given {
    /// they are made
    Made,
    /// read from a file
    Read(Vec<serde_json::Value>),
}

impl Given {
    /// The records of a file, one JSON object a line.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |why: String| Error::new(Kind::Config, format!("--records {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = lines.map(|(at, line)| match serde_json::from_str(line) {
            Ok(value @ serde_json::Value::Object(_)) => Ok(value),
            Ok(_) => Err(failed(format!("line {}: is no JSON object", at + 1))),
            Err(wrong) => Err(failed(format!("line {}: {wrong}", at + 1))),
        });
        let read = read.collect::<Result<Vec<_>>>()?;
        if read.is_empty() { Err(failed("has no record".to_owned())) } else { Ok(Self::Read(read)) }
    }

    /// The records as columns of this schema, cut into batches.
    pub(super) fn batches(&self, schema: &SchemaRef, size: usize) -> Result<Vec<RecordBatch>> {
        let count = MADE.max(size);
        let columns = schema.fields().iter().map(|field| match self {
            Self::Made => made(field, count),
            Self::Read(rows) => read(field, rows, count),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let all = RecordBatch::try_new_with_options(schema.clone(), columns, &options)
            .map_err(|e| Error::new(Kind::Internal, format!("records for the measurement cannot be made: {e}")))?;
        Ok((0..count / size).map(|part| all.slice(part * size, size)).collect())
    }
}

/// The type of a field as a job file names it.
pub(super) fn type_of(field: &Field) -> String {
    let name = match field.kind {
        FieldKind::Boolean => "boolean",
        FieldKind::Int32 => "int32",
        FieldKind::Int64 => "int64",
        FieldKind::Float64 => "float64",
        FieldKind::Text => "text",
        FieldKind::Binary => "binary",
        FieldKind::Decimal => "decimal(38,18)",
        FieldKind::Timestamp => "timestamp",
        FieldKind::Date => "date",
        FieldKind::Json => "json",
    };
    format!("{name}{}", if field.optional { "?" } else { "" })
}

/// One of a thousand.
pub(super) fn key(number: u64) -> String {
    format!("key-{:03}", mixed(number) % 1_000)
}

/// A number that looks like chance and is the same in every run.
fn mixed(number: u64) -> u64 {
    let spread = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (spread ^ (spread >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
}

fn numbers(count: usize) -> impl Iterator<Item = u64> {
    0..count as u64
}

fn made(field: &ArrowField, count: usize) -> Result<ArrayRef> {
    let is_json = field.metadata().get(KIND_KEY).is_some_and(|kind| kind == "json");
    Ok(match field.data_type() {
        DataType::Boolean => {
            Arc::new(numbers(count).map(|n| Some(mixed(n).is_multiple_of(2))).collect::<BooleanArray>())
        }
        DataType::Int32 => Arc::new(Int32Array::from_iter_values(numbers(count).map(|n| (mixed(n) % 100_000) as i32))),
        DataType::Int64 => {
            Arc::new(Int64Array::from_iter_values(numbers(count).map(|n| (mixed(n) % 1_000_000) as i64)))
        }
        DataType::Float64 => {
            Arc::new(Float64Array::from_iter_values(numbers(count).map(|n| (mixed(n) % 1_000_000) as f64 / 100.0)))
        }
        DataType::Utf8 if is_json => {
            Arc::new(StringArray::from_iter_values(numbers(count).map(|n| format!(r#"{{"n":{}}}"#, mixed(n) % 1_000))))
        }
        DataType::Utf8 => Arc::new(StringArray::from_iter_values(numbers(count).map(key))),
        DataType::Binary => Arc::new(BinaryArray::from_iter_values(numbers(count).map(|n| mixed(n).to_be_bytes()))),
        DataType::Decimal128(precision, scale) => {
            let cents = numbers(count).map(|n| i128::from(mixed(n) % 1_000_000));
            let typed = Decimal128Array::from_iter_values(cents).with_precision_and_scale(*precision, *scale);
            Arc::new(typed.map_err(|e| Error::new(Kind::Internal, e.to_string()))?)
        }
        DataType::Timestamp(_, zone) => {
            let at = TimestampMicrosecondArray::from_iter_values(numbers(count).map(|n| n as i64 * 1_000));
            Arc::new(at.with_timezone_opt(zone.clone()))
        }
        DataType::Date32 => Arc::new(Date32Array::from_iter_values(numbers(count).map(|n| 20_000 + (n % 365) as i32))),
        other => return Err(Error::new(Kind::Internal, format!("`{}` is {other}, which is not made", field.name()))),
    })
}

/// The values of a field of given records, over and over; the key is made where they have none.
fn read(field: &ArrowField, rows: &[serde_json::Value], count: usize) -> Result<ArrayRef> {
    if field.name() == KEY && rows.iter().all(|row| row.get(KEY).is_none()) {
        return made(field, count);
    }
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field.clone()]));
    let failed = |e: arrow::error::ArrowError| {
        Error::new(Kind::Config, format!("--records: the field `{}` is not {}: {e}", field.name(), field.data_type()))
    };
    let is_json = field.metadata().get(KIND_KEY).is_some_and(|kind| kind == "json");
    let mut decoder = arrow::json::ReaderBuilder::new(schema).with_batch_size(count).build_decoder().map_err(failed)?;
    let one = |row: &serde_json::Value| {
        let value = row.get(field.name()).cloned().unwrap_or_default();
        let value = if is_json && !value.is_null() { value.to_string().into() } else { value };
        serde_json::json!({ field.name(): value })
    };
    let all: Vec<serde_json::Value> = rows.iter().cycle().take(count).map(one).collect();
    decoder.serialize(&all).map_err(failed)?;
    let batch = decoder.flush().map_err(failed)?;
    let missing = || Error::new(Kind::Config, format!("--records: no record has the field `{}`", field.name()));
    Ok(batch.ok_or_else(missing)?.column(0).clone())
}
