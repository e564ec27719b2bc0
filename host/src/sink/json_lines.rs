//! Rows as JSON objects, one a line, for every sink that writes text.
//!
//! The rule: one object a row, every field in it, null where there is no value; times in UTC as RFC 3339 says.
//! Left to others: where the lines go, and what goes with them.

use std::collections::HashSet;

use arrow::{
    array::{Array, RecordBatch},
    json::writer::{LineDelimited, WriterBuilder},
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;

use crate::{
    error::{Error, Kind, Result},
    record::{Batch, Cells},
    sink::id::Id,
};

/// A time without a zone is UTC here.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// One JSON object a row, without line ends.
pub fn rows(batch: &Batch) -> Result<Cells> {
    let lines = lines(&batch.fields)?;
    let mut data = Vec::with_capacity(lines.len());
    let mut offsets = vec![0];
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        data.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        offsets.push(u32::try_from(data.len()).map_err(|_| failed(&"a batch is over 4 GiB as JSON"))?);
    }
    let cells = Cells::new(Bytes::from(data), offsets).map_err(|bad| failed(&bad))?;
    if cells.len() != batch.len() {
        return Err(failed(&format!("{} rows became {} lines", batch.len(), cells.len())));
    }
    Ok(cells)
}

/// One JSON object a line, each with its line end.
pub fn lines(fields: &RecordBatch) -> Result<Vec<u8>> {
    let builder = WriterBuilder::new().with_explicit_nulls(true).with_timestamp_format(TIME.to_owned());
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(fields).and_then(|()| writer.finish()).map_err(|bad| failed(&bad))?;
    Ok(writer.into_inner())
}

fn failed(why: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("rows cannot be written as JSON: {why}"))
}

/// The text of one field of each row; nothing where it is null. The names of all fields are in the error if it is missing.
pub fn texts(batch: &Batch, field: &str) -> Result<Vec<Option<String>>> {
    let Some(column) = batch.fields.column_by_name(field) else {
        let schema = batch.fields.schema();
        let names: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::new(Kind::Config, format!("rows have no field `{field}`: they have {names:?}")));
    };
    let formatter = ArrayFormatter::try_new(column, &FormatOptions::default()).map_err(|bad| failed(&bad))?;
    let text = |row| (!column.is_null(row)).then(|| formatter.value(row).to_string());
    Ok((0..column.len()).map(text).collect())
}

/// The object with a last member `_pelton`: the id of the result, and the generation and fence of who wrote it.
pub fn with_identity(object: &[u8], id: Id, generation: u64, fence: u64) -> Vec<u8> {
    let body = object.strip_suffix(b"}").unwrap_or(object);
    let comma = if body == b"{" { "" } else { "," };
    let identity = format!(r#"{comma}"_pelton":{{"id":"{id}","generation":{generation},"fence":{fence}}}}}"#);
    [body, identity.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use arrow::{
        array::{Float64Array, StringArray, TimestampMicrosecondArray},
        datatypes::{DataType, Field, Schema, TimeUnit},
    };

    use super::*;

    fn fields() -> RecordBatch {
        let time = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let schema = Schema::new(vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Float64, true),
            Field::new("t", time(None), true),
            Field::new("u", time(Some("UTC")), true),
        ]);
        let times = vec![Some(1_357_041_600_000_000), Some(1_357_041_600_250_000)];
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringArray::from(vec![Some("x\n\""), None])),
                Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(1.5)])),
                Arc::new(TimestampMicrosecondArray::from(times.clone())),
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            ],
        )
        .unwrap()
    }

    #[test]
    fn lines_keep_nulls_and_times_are_utc() {
        let text = String::from_utf8(lines(&fields()).unwrap()).unwrap();
        let expected = [
            r#"{"a":"x\n\"","b":null,"t":"2013-01-01T12:00:00Z","u":"2013-01-01T12:00:00Z"}"#,
            r#"{"a":null,"b":1.5,"t":"2013-01-01T12:00:00.250Z","u":"2013-01-01T12:00:00.250Z"}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn identity_is_the_last_member() {
        let id = Id([0xAB; 16]);
        let text = |object: &[u8]| String::from_utf8(with_identity(object, id, 2, 3)).unwrap();
        let identity = format!(r#""_pelton":{{"id":"{id}","generation":2,"fence":3}}"#);
        assert_eq!(text(b"{}"), format!("{{{identity}}}"));
        assert_eq!(text(br#"{"a":1}"#), format!(r#"{{"a":1,{identity}}}"#));
    }
}
