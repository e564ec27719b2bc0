//! What a plugin gave back, as JSON lines; checked as the host checks it.

use crate::bindings::types::{BytesColumn, Column, Emitted, Field, Identity, Manifest, Processed, RecordError, Values};
use crate::cell::{cells, shape};
use serde_json::{Map, Value, json};

/// Lines in the order of the records they come from.
pub fn lines(manifest: &Manifest, processed: &Processed, first: usize) -> Result<Vec<String>, String> {
    let lines = placed(manifest, processed, |index| index as usize + first)?;
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Lines with the place, in the whole input, of the record they come from, and in the order of these.
pub fn placed(
    manifest: &Manifest,
    processed: &Processed,
    place: impl Fn(u32) -> usize,
) -> Result<Vec<(usize, String)>, String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for emitted in &processed.emitted {
        for (row, source) in emitted.source.iter().enumerate() {
            lines.push((place(*source), record(manifest, emitted, row)?.to_string()));
        }
    }
    for error in &processed.errors {
        let place = place(error.index);
        lines.push((place, reject(error, place)));
    }
    lines.sort_by_key(|(place, _)| *place);
    Ok(lines)
}

/// Lines of an aggregator: each with the key of its group.
pub fn keyed(manifest: &Manifest, processed: &Processed, keys: &[Value]) -> Result<Vec<String>, String> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    for emitted in &processed.emitted {
        for (row, source) in emitted.source.iter().enumerate() {
            let key = keys
                .get(*source as usize)
                .ok_or_else(|| format!("a result comes from group {source}, which does not exist"))?;
            let mut line = Map::new();
            if !key.is_null() {
                line.insert("_key".to_owned(), key.clone());
            }
            line.append(&mut record(manifest, emitted, row)?.as_object().cloned().unwrap_or_default());
            lines.push((*source, Value::Object(line).to_string()));
        }
    }
    lines.extend(processed.errors.iter().map(|error| (error.index, reject(error, error.index as usize))));
    lines.sort_by_key(|(source, _)| *source);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

pub fn rejects(errors: &[RecordError], first: usize) -> Vec<String> {
    errors.iter().map(|error| reject(error, error.index as usize + first)).collect()
}

fn reject(error: &RecordError, place: usize) -> String {
    json!({ "_reject": { "index": place, "code": error.code, "message": error.message } }).to_string()
}

fn record(manifest: &Manifest, emitted: &Emitted, row: usize) -> Result<Value, String> {
    let output = manifest
        .outputs
        .get(emitted.output as usize)
        .ok_or_else(|| format!("there is no output {}", emitted.output))?;
    let mut record = Map::new();
    if manifest.outputs.len() > 1 {
        record.insert("_output".to_owned(), Value::from(output.name.as_str()));
    }
    if output.sets.contains(Identity::PARTITION_KEY) {
        record.insert("_partition_key".to_owned(), Value::from(string(&emitted.partition_key, row)?));
    }
    if output.sets.contains(Identity::EVENT_TIME) {
        record.insert("_event_time".to_owned(), json!(emitted.event_us.get(row).ok_or("an event time is missing")?));
    }
    if output.sets.contains(Identity::PAYLOAD) {
        record.insert("_payload".to_owned(), Value::from(string(&emitted.payload, row)?));
    }
    if output.fields.len() != emitted.fields.len() {
        return Err(format!(
            "output `{}` has {} fields, {} were emitted",
            output.name,
            output.fields.len(),
            emitted.fields.len()
        ));
    }
    for (field, column) in output.fields.iter().zip(&emitted.fields) {
        record.insert(field.path.clone(), cell(field, column, row, emitted.source.len())?);
    }
    Ok(Value::Object(record))
}

fn cell(field: &Field, column: &Column, row: usize, count: usize) -> Result<Value, String> {
    let found = shape(&column.values);
    if found != (field.kind, count) {
        return Err(format!(
            "field `{}` is declared as {:?}; emitted are {found:?} for {count} records",
            field.path, field.kind
        ));
    }
    if column.null.get(row).is_some_and(|null| *null != 0) {
        let refused = || format!("field `{}` has no value, but is not optional", field.path);
        return field.optional.then_some(Value::Null).ok_or_else(refused);
    }
    Ok(match &column.values {
        Values::Boolean(v) => json!(v[row] != 0),
        Values::Int32(v) | Values::Date(v) => json!(v[row]),
        Values::Int64(v) | Values::Timestamp(v) => json!(v[row]),
        Values::Float64(v) if v[row].is_finite() => json!(v[row]),
        Values::Float64(v) => json!(v[row].to_string()),
        Values::Text(v) | Values::Binary(v) => Value::from(string(v, row)?),
        Values::Json(v) => {
            serde_json::from_str(&string(v, row)?).map_err(|error| format!("field `{}`: {error}", field.path))?
        }
        Values::Decimal(v) => Value::from(string(&v.unscaled, row)?),
    })
}

fn string(column: &BytesColumn, row: usize) -> Result<String, String> {
    let ends = (row < cells(column)).then(|| (column.offsets[row] as usize, column.offsets[row + 1] as usize));
    let bytes =
        ends.and_then(|(start, end)| column.data.get(start..end)).ok_or("a column of byte strings is too short")?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
