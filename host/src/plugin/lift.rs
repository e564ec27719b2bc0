//! What a guest returned, checked and turned into columns.
//!
//! The rule: **everything a guest returns is hostile until it is checked here, and nothing here panics on it.** Offsets rise and end with
//! the data, columns have as many cells as rows, rows come from records that were given, outputs are those declared, text is UTF-8,
//! JSON is JSON, and there are not more rows than the limit allows. How many bytes came over is bounded before (`instance`).
//! Left to others: which record is at fault (`bisect`).

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    },
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
};
use bytes::Bytes;

use super::{
    bindings::types::{self, BytesColumnResult, ColumnResult, ValuesResult},
    capability::log::clean,
    describe::{DECIMAL_SCALE, Field, FieldKind, Output},
};
use crate::record::Cells;

mod refused;
mod timers;

pub use timers::TimerOps;

/// What rows of one output a call made.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    /// row of the input (or group) that each one comes from, in the order emitted
    pub source: Vec<u32>,
    /// the output's declared fields
    pub fields: RecordBatch,
    /// where the output sets it
    pub event_us: Option<Vec<i64>>,
    /// where the output sets it; UTF-8
    pub partition_key: Option<Cells>,
    /// where the output sets it
    pub payload: Option<Cells>,
    /// where the output sets it: 0 insert, 1 update-before, 2 update-after, 3 delete
    pub operation: Option<Vec<u8>>,
}

/// A record that the plugin could not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// row of the input (or group)
    pub row: u32,
    /// short, snake_case
    pub code: String,
    /// in words
    pub message: String,
}

/// What a call made.
#[derive(Clone, Debug, PartialEq)]
pub struct Processed {
    /// one a declared output, in the manifest's order
    pub outputs: Vec<Emitted>,
    /// records that could not be processed, each once, in the guest's order; no row comes from them
    pub errors: Vec<RecordError>,
    /// timers to set and to cancel
    pub timers: TimerOps,
}

/// What the guest did wrong, in words.
pub(super) type Lifted<T> = Result<T, String>;

/// Rows that a call may return whatever it was given.
const FREE_ROWS: usize = 1_000;

/// What a call was given, which bounds what may come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// rows, groups or timers
    pub sources: usize,
    /// keys that timers may be set for; none where the world has no timers
    pub keys: Option<usize>,
    pub outputs: &'a [Output],
    pub rows_per_row: usize,
}

/// Checks a call's results against what was given.
pub(super) fn processed(processed: types::Processed, given: Given<'_>) -> Lifted<Processed> {
    let Given { sources, keys, outputs, rows_per_row } = given;
    let timers = timers::timers(processed.timers, keys)?;
    let rows = processed.emitted.iter().fold(0usize, |sum, emitted| sum.saturating_add(emitted.source.len()));
    let most = sources.saturating_mul(rows_per_row).saturating_add(FREE_ROWS);
    if rows > most {
        return Err(format!("it emits {rows} rows for {sources} given, the limit is {most}"));
    }
    let mut found: Vec<Option<Emitted>> = outputs.iter().map(|_| None).collect();
    for emitted in processed.emitted {
        let index = emitted.output;
        let place = usize::try_from(index).ok().filter(|place| *place < outputs.len());
        let Some(place) = place else {
            return Err(format!("it emits to output {index}, but declares {} outputs", outputs.len()));
        };
        let output = &outputs[place];
        let lifted =
            self::emitted(emitted, sources, output).map_err(|what| format!("output `{}`: {what}", output.name))?;
        if found[place].replace(lifted).is_some() {
            return Err(format!("output `{}` is emitted twice in one call", output.name));
        }
    }
    let outputs =
        found.into_iter().zip(outputs).map(|(found, output)| found.unwrap_or_else(|| nothing(output))).collect();
    Processed { outputs, errors: errors(processed.errors, sources)?, timers }.without_refused()
}

/// An output that nothing was emitted to.
pub(super) fn nothing(output: &Output) -> Emitted {
    Emitted {
        source: Vec::new(),
        fields: RecordBatch::new_empty(output.schema.clone()),
        event_us: output.sets.event_time.then(Vec::new),
        partition_key: output.sets.partition_key.then(Cells::default),
        payload: output.sets.payload.then(Cells::default),
        operation: output.sets.operation.then(Vec::new),
    }
}

/// Checks the records that a guest refused. The first error of a record counts.
pub(super) fn errors(errors: Vec<types::RecordError>, sources: usize) -> Lifted<Vec<RecordError>> {
    let mut seen = HashSet::new();
    let checked: Vec<RecordError> =
        errors.into_iter().map(|error| record_error(error, sources)).collect::<Lifted<_>>()?;
    Ok(checked.into_iter().filter(|error| seen.insert(error.row)).collect())
}

fn record_error(error: types::RecordError, sources: usize) -> Lifted<RecordError> {
    if error.index as usize >= sources {
        return Err(format!("it refuses record {}, but was given {sources}", error.index));
    }
    let code: String = error
        .code
        .chars()
        .take(64)
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' })
        .collect();
    let code = if code.is_empty() { "rejected".to_owned() } else { code };
    Ok(RecordError { row: error.index, code, message: clean(&error.message) })
}

fn emitted(emitted: types::Emitted, sources: usize, output: &Output) -> Lifted<Emitted> {
    let rows = emitted.source.len();
    if let Some(row) = emitted.source.iter().find(|row| **row as usize >= sources) {
        return Err(format!("a row comes from record {row}, but {sources} were given"));
    }
    Ok(Emitted {
        fields: record_batch(emitted.fields, rows, output)?,
        source: emitted.source,
        event_us: set("event time", output.sets.event_time, emitted.event_us, rows)?,
        partition_key: set_cells("partition key", output.sets.partition_key, emitted.partition_key, rows)?
            .map(|keys| utf8(&keys, "partition key").map(|()| keys))
            .transpose()?,
        payload: set_cells("payload", output.sets.payload, emitted.payload, rows)?,
        operation: operations(output.sets.operation, emitted.operation, rows)?,
    })
}

fn set<T>(what: &str, sets: bool, cells: Vec<T>, rows: usize) -> Lifted<Option<Vec<T>>> {
    let expected = if sets { rows } else { 0 };
    if cells.len() != expected {
        return Err(format!("{what} has {} cells, expected {expected}", cells.len()));
    }
    Ok(sets.then_some(cells))
}

fn set_cells(what: &str, sets: bool, cells: BytesColumnResult, rows: usize) -> Lifted<Option<Cells>> {
    if sets {
        return self::cells(cells, rows, what).map(Some);
    }
    if cells.data.is_empty() && cells.offsets.len() <= 1 {
        return Ok(None);
    }
    Err(format!("{what} is given, but the output does not declare that it sets it"))
}

/// An empty list means all insert.
fn operations(sets: bool, operations: Vec<u8>, rows: usize) -> Lifted<Option<Vec<u8>>> {
    if let Some(unknown) = operations.iter().find(|operation| **operation > 3) {
        return Err(format!("operation {unknown} is unknown: expected 0 to 3"));
    }
    if sets && operations.is_empty() {
        return Ok(Some(vec![0; rows]));
    }
    set("operation", sets, operations, rows)
}

/// Checks a column of bytes that must have `rows` cells.
pub(super) fn cells(column: BytesColumnResult, rows: usize, what: &str) -> Lifted<Cells> {
    if column.offsets.len() != rows.saturating_add(1) {
        return Err(format!(
            "{what} has {} offsets for {rows} rows, expected {}",
            column.offsets.len(),
            rows.saturating_add(1)
        ));
    }
    Cells::new(Bytes::from(column.data), column.offsets).map_err(|bad| format!("{what}: {bad}"))
}

/// Checks cells of which some are not there.
pub(super) fn optional(column: types::OptionalBytes, rows: usize) -> Lifted<Vec<Option<Vec<u8>>>> {
    if column.present.len() != rows {
        return Err(format!("it marks {} values of {rows} given", column.present.len()));
    }
    let values = cells(column.cells, rows, "values")?;
    let found = values.iter().zip(&column.present).enumerate().map(|(row, (cell, present))| match present {
        1 => Ok(Some(cell.to_vec())),
        0 if cell.is_empty() => Ok(None),
        0 => Err(format!("value {row} is marked as not there, but has {} bytes", cell.len())),
        other => Err(format!("the mark of value {row} is {other}, expected 0 or 1")),
    });
    found.collect()
}

fn utf8(cells: &Cells, what: &str) -> Lifted<()> {
    match cells.iter().position(|cell| std::str::from_utf8(cell).is_err()) {
        Some(row) => Err(format!("{what} of row {row} is not UTF-8")),
        None => Ok(()),
    }
}

fn record_batch(columns: Vec<ColumnResult>, rows: usize, output: &Output) -> Lifted<RecordBatch> {
    if columns.len() != output.fields.len() {
        return Err(format!("it has {} columns, expected {}", columns.len(), output.fields.len()));
    }
    let arrays = columns
        .into_iter()
        .zip(&output.fields)
        .map(|(column, field)| array(column, rows, field).map_err(|what| format!("field `{}`: {what}", field.path)))
        .collect::<Lifted<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(output.schema.clone(), arrays, &options).map_err(|error| error.to_string())
}

fn array(column: ColumnResult, rows: usize, field: &Field) -> Lifted<ArrayRef> {
    let nulls = nulls(column.null, rows, field.optional)?;
    Ok(match (field.kind, column.values) {
        (FieldKind::Boolean, ValuesResult::Boolean(cells)) => {
            let cells = counted(cells, rows)?;
            if let Some(row) = cells.iter().position(|cell| *cell > 1) {
                return Err(format!("row {row} is {}, expected 0 or 1", cells[row]));
            }
            Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(rows, |row| cells[row] == 1), nulls))
        }
        (FieldKind::Int32, ValuesResult::Int32(cells)) => {
            Arc::new(Int32Array::new(counted(cells, rows)?.into(), nulls))
        }
        (FieldKind::Int64, ValuesResult::Int64(cells)) => {
            Arc::new(Int64Array::new(counted(cells, rows)?.into(), nulls))
        }
        (FieldKind::Float64, ValuesResult::Float64(cells)) => {
            Arc::new(Float64Array::new(counted(cells, rows)?.into(), nulls))
        }
        (FieldKind::Date, ValuesResult::Date(cells)) => Arc::new(Date32Array::new(counted(cells, rows)?.into(), nulls)),
        (FieldKind::Timestamp, ValuesResult::Timestamp(cells)) => {
            Arc::new(TimestampMicrosecondArray::new(counted(cells, rows)?.into(), nulls).with_timezone("UTC"))
        }
        (FieldKind::Text, ValuesResult::Text(column)) => Arc::new(text(column, rows, nulls)?),
        (FieldKind::Json, ValuesResult::Json(column)) => Arc::new(json(column, rows, nulls)?),
        (FieldKind::Binary, ValuesResult::Binary(column)) => {
            let (offsets, data) = parts(column, rows)?;
            Arc::new(BinaryArray::try_new(offsets, data, nulls).map_err(|error| error.to_string())?)
        }
        (FieldKind::Decimal, ValuesResult::Decimal(column)) => Arc::new(decimals(column, rows, nulls)?),
        (expected, found) => return Err(format!("its cells are {}, declared is {expected:?}", name(&found))),
    })
}

fn name(values: &ValuesResult) -> &'static str {
    match values {
        ValuesResult::Boolean(_) => "Boolean",
        ValuesResult::Int32(_) => "Int32",
        ValuesResult::Int64(_) => "Int64",
        ValuesResult::Float64(_) => "Float64",
        ValuesResult::Text(_) => "Text",
        ValuesResult::Binary(_) => "Binary",
        ValuesResult::Decimal(_) => "Decimal",
        ValuesResult::Timestamp(_) => "Timestamp",
        ValuesResult::Date(_) => "Date",
        ValuesResult::Json(_) => "Json",
    }
}

fn counted<T>(cells: Vec<T>, rows: usize) -> Lifted<Vec<T>> {
    if cells.len() == rows { Ok(cells) } else { Err(format!("it has {} cells for {rows} rows", cells.len())) }
}

fn nulls(null: Vec<u8>, rows: usize, optional: bool) -> Lifted<Option<NullBuffer>> {
    if null.is_empty() {
        return Ok(None);
    }
    if null.len() != rows {
        return Err(format!("its null mask has {} cells for {rows} rows", null.len()));
    }
    if let Some(row) = null.iter().position(|cell| *cell > 1) {
        return Err(format!("its null mask says {} for row {row}, expected 0 or 1", null[row]));
    }
    if !optional && null.contains(&1) {
        return Err("it has rows without a value, but is not declared optional".into());
    }
    Ok(Some(NullBuffer::new(BooleanBuffer::collect_bool(rows, |row| null[row] == 0))))
}

/// Offsets and data as arrow holds them, without a copy.
fn parts(column: BytesColumnResult, rows: usize) -> Lifted<(OffsetBuffer<i32>, Buffer)> {
    if i32::try_from(column.data.len()).is_err() {
        return Err(format!("it has {} bytes, more than a column can hold", column.data.len()));
    }
    let BytesColumnResult { data, offsets } = column;
    Cells::check(data.len(), &offsets).map_err(|bad| bad.to_string())?;
    if offsets.len() != rows.saturating_add(1) {
        return Err(format!("it has {} cells for {rows} rows", offsets.len() - 1));
    }
    // No offset is larger than the data, whose length was seen to fit; the vector is used again for the other type.
    let offsets: Vec<i32> = offsets.into_iter().map(|offset| offset as i32).collect();
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from(data)))
}

fn text(column: BytesColumnResult, rows: usize, nulls: Option<NullBuffer>) -> Lifted<StringArray> {
    let (offsets, data) = parts(column, rows)?;
    StringArray::try_new(offsets, data, nulls).map_err(|error| format!("it is not UTF-8: {error}"))
}

fn json(column: BytesColumnResult, rows: usize, nulls: Option<NullBuffer>) -> Lifted<StringArray> {
    let texts = text(column, rows, nulls)?;
    for (row, cell) in texts.iter().enumerate() {
        if let Some(Err(error)) = cell.map(serde_json::from_str::<serde::de::IgnoredAny>) {
            return Err(format!("row {row} is no JSON: {error}"));
        }
    }
    Ok(texts)
}

fn decimals(column: types::DecimalColumnResult, rows: usize, nulls: Option<NullBuffer>) -> Lifted<Decimal128Array> {
    let cells = cells(column.unscaled, rows, "digits")?;
    let hidden = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let values = cells
        .iter()
        .enumerate()
        .map(|(row, cell)| match hidden(row) {
            true => Ok(0),
            false => decimal(cell, column.scale).ok_or_else(|| {
                format!("row {row} does not fit a decimal of 38 digits, {DECIMAL_SCALE} of them after the point")
            }),
        })
        .collect::<Lifted<Vec<i128>>>()?;
    Decimal128Array::new(values.into(), nulls)
        .with_precision_and_scale(38, DECIMAL_SCALE)
        .map_err(|error| error.to_string())
}

/// A big-endian two's complement number with `scale` digits after the point, as one with `DECIMAL_SCALE`. No digit is lost.
fn decimal(bytes: &[u8], scale: i32) -> Option<i128> {
    const MOST: i128 = 10i128.pow(38);
    let sign = if bytes.first()? & 0x80 != 0 { 0xff } else { 0 };
    let extra = bytes.len().saturating_sub(16);
    let (head, tail) = bytes.split_at(extra);
    if head.iter().any(|byte| *byte != sign) {
        return None;
    }
    let mut wide = [sign; 16];
    wide[16 - tail.len()..].copy_from_slice(tail);
    let number = i128::from_be_bytes(wide);
    if (number < 0) != (sign != 0) {
        return None;
    }
    if number == 0 {
        return Some(0);
    }
    let shift = i32::from(DECIMAL_SCALE).checked_sub(scale)?;
    let factor = 10i128.checked_pow(shift.unsigned_abs())?;
    let scaled =
        if shift >= 0 { number.checked_mul(factor)? } else { (number % factor == 0).then_some(number / factor)? };
    (scaled.abs() < MOST).then_some(scaled)
}

#[cfg(test)]
mod tests;
