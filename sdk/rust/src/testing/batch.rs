//! JSON rows to the batch that the host would send.

use crate::bindings::types::{Batch, BytesColumn, Column, DecimalColumn, Field, Identity, Input, KeySet, Kind, Values};
use crate::out::absent;
use crate::value::BytesBuilder;
use serde_json::Value;

pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1)))
        .collect()
}

/// `first` is the place of the first row in the whole input.
pub fn build(input: &Input, rows: &[Value], first: usize) -> Result<Batch, String> {
    let wants = |flag| input.identity.contains(flag);
    let times = |flag, name: &str| -> Result<Vec<i64>, String> {
        if wants(flag) { rows.iter().map(|row| row.get(name).map_or(Ok(0), integer)).collect() } else { Ok(Vec::new()) }
    };
    let position = if wants(Identity::POSITION) { rows.len() } else { 0 };
    let strings = |flag, cell: &dyn Fn(usize, &Value) -> String| {
        let cells = rows.iter().enumerate().map(|(index, row)| cell(first + index, row));
        if wants(flag) { column(cells) } else { absent() }
    };
    let key = |_: usize, row: &Value| row.get("_partition_key").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Batch {
        input: 0,
        count: rows.len() as u32,
        now_ms: 1_700_000_000_000,
        seed: 1,
        watermark_ms: None,
        keys: KeySet { bytes: absent(), fields: Vec::new() },
        key_index: Vec::new(),
        shards: vec!["test/shardId-000000000000".to_owned()],
        shard_index: vec![0; position],
        sequence: strings(Identity::POSITION, &|index, _| index.to_string()),
        sub_sequence: vec![0; position],
        partition_key: strings(Identity::PARTITION_KEY, &key),
        event_us: times(Identity::EVENT_TIME, "_event_time")?,
        arrival_us: times(Identity::ARRIVAL_TIME, "_arrival_time")?,
        operation: Vec::new(),
        payload: strings(Identity::PAYLOAD, &|_, row| row.to_string()),
        fields: input.fields.iter().map(|field| cells(field, rows)).collect::<Result<_, String>>()?,
    })
}

fn column(cells: impl Iterator<Item = impl AsRef<[u8]>>) -> BytesColumn {
    let mut column = BytesBuilder::default();
    cells.for_each(|cell| column.push(cell.as_ref()));
    column.finish()
}

pub fn cells(field: &Field, rows: &[Value]) -> Result<Column, String> {
    let found: Vec<&Value> = rows.iter().map(|row| lookup(row, &field.path)).collect();
    let null: Vec<u8> = found.iter().map(|value| u8::from(value.is_null())).collect();
    let any = null.contains(&1);
    if any && !field.optional {
        return Err(format!("field `{}` has no value in some row, but is not optional", field.path));
    }
    let values = values(field.kind, &found).map_err(|error| format!("field `{}`: {error}", field.path))?;
    Ok(Column { values, null: if any { null } else { Vec::new() } })
}

fn lookup<'a>(row: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(row, |value, name| value.get(name).unwrap_or(&Value::Null))
}

fn each<T: Default>(found: &[&Value], read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    found.iter().map(|value| if value.is_null() { Ok(T::default()) } else { read(value) }).collect()
}

fn integer(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{value} is not a whole number"))
}

fn small(value: &Value) -> Result<i32, String> {
    integer(value)?.try_into().map_err(|_| format!("{value} does not fit 32 bits"))
}

fn float(value: &Value) -> Result<f64, String> {
    match value.as_str() {
        Some(text) => text.parse().map_err(|_| format!("{value} is not a number")),
        None => value.as_f64().ok_or_else(|| format!("{value} is not a number")),
    }
}

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is not text"))
}

fn values(kind: Kind, found: &[&Value]) -> Result<Values, String> {
    let flag = |value: &Value| value.as_bool().map(u8::from).ok_or_else(|| format!("{value} is not true or false"));
    Ok(match kind {
        Kind::Boolean => Values::Boolean(each(found, flag)?),
        Kind::Int32 => Values::Int32(each(found, small)?),
        Kind::Int64 => Values::Int64(each(found, integer)?),
        Kind::Float64 => Values::Float64(each(found, float)?),
        Kind::Timestamp => Values::Timestamp(each(found, integer)?),
        Kind::Date => Values::Date(each(found, small)?),
        Kind::Text => Values::Text(column(each(found, text)?.into_iter())),
        Kind::Binary => Values::Binary(column(each(found, text)?.into_iter())),
        Kind::Json => Values::Json(column(each(found, |value| Ok(value.to_string()))?.into_iter())),
        Kind::Decimal => {
            let cells = each(found, |value| Ok(integer(value)?.to_be_bytes().to_vec()))?;
            Values::Decimal(DecimalColumn { unscaled: column(cells.into_iter()), scale: 0 })
        }
    })
}
