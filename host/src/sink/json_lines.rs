//! Rows as JSON objects, one a line, for every sink that writes text.
//!
//! The rule: one object a row, every field in it, null where there is no value; times in UTC as RFC 3339 says. A row with a time
//! that has no such text is given back.
//! Left to others: where the lines go, and what goes with them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    compute::{cast, kernels::nullif::nullif},
    datatypes::{DataType, Int64Type, Schema, TimeUnit},
    json::writer::{LineDelimited, WriterBuilder},
    util::display::{ArrayFormatter, FormatOptions},
};
use bytes::Bytes;

use crate::{
    error::{Error, Kind, Result},
    record::{Batch, Cells, RowReject},
    sink::id::Id,
};

/// A time without a zone is UTC here.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.fZ";

/// One JSON object a row, without line ends; an empty cell for each row that is given back.
pub fn rows(batch: &Batch) -> Result<(Cells, Vec<RowReject>)> {
    let (lines, rejects) = written(&batch.fields)?;
    let mut refused = rejects.iter().map(|reject| reject.row as usize).peekable();
    let mut data = Vec::with_capacity(lines.len());
    let mut offsets = vec![0];
    for (row, line) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if refused.next_if_eq(&row).is_none() {
            data.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        }
        offsets.push(u32::try_from(data.len()).map_err(|_| failed(&"a batch is over 4 GiB as JSON"))?);
    }
    let cells = Cells::new(Bytes::from(data), offsets).map_err(|bad| failed(&bad))?;
    if cells.len() != batch.len() {
        return Err(failed(&format!("{} rows became {} lines", batch.len(), cells.len())));
    }
    Ok((cells, rejects))
}

/// One JSON object a line, each with its line end, without the rows that are given back.
pub fn lines(fields: &RecordBatch) -> Result<(Vec<u8>, Vec<RowReject>)> {
    let (lines, rejects) = written(fields)?;
    if rejects.is_empty() {
        return Ok((lines, rejects));
    }
    let mut refused = rejects.iter().map(|reject| reject.row as usize).peekable();
    let all = lines.split_inclusive(|byte| *byte == b'\n').enumerate();
    let kept: Vec<&[u8]> = all.filter(|(row, _)| refused.next_if_eq(row).is_none()).map(|(_, line)| line).collect();
    Ok((kept.concat(), rejects))
}

/// A line for every row, and the rows whose line is not what they hold.
fn written(fields: &RecordBatch) -> Result<(Vec<u8>, Vec<RowReject>)> {
    let (fields, rejects) = printable(fields)?;
    let builder = WriterBuilder::new().with_explicit_nulls(true).with_timestamp_format(TIME.to_owned());
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(&fields).and_then(|()| writer.finish()).map_err(|bad| failed(&bad))?;
    Ok((writer.into_inner(), rejects))
}

/// Days since 1970 of the first day of the year 1 and of the last one of the year 9999: RFC 3339 has four digits for a year.
const DAYS: (i64, i64) = (-719_162, 2_932_896);

/// The same with null where a time has no text, which would be written as an error message, and the rows where that is so.
fn printable(fields: &RecordBatch) -> Result<(RecordBatch, Vec<RowReject>)> {
    let mut bad: BTreeMap<usize, &str> = BTreeMap::new();
    let mut columns = fields.columns().to_vec();
    let schema = fields.schema();
    for (column, field) in columns.iter_mut().zip(schema.fields()) {
        let Some(wrong) = beyond(column)? else { continue };
        wrong.iter().enumerate().filter(|(_, wrong)| *wrong == Some(true)).for_each(|(row, _)| {
            bad.entry(row).or_insert(field.name());
        });
        *column = nullif(column, &wrong).map_err(|bad| failed(&bad))?;
    }
    if bad.is_empty() {
        return Ok((fields.clone(), Vec::new()));
    }
    let reject = |(row, field): (&usize, &&str)| RowReject {
        row: u32::try_from(*row).unwrap_or(u32::MAX),
        code: "time_out_of_range".to_owned(),
        message: format!("the field `{field}` holds a time outside of the years 1 to 9999"),
    };
    let rejects = bad.iter().map(reject).collect();
    let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
    Ok((RecordBatch::try_new(schema, columns).map_err(|bad| failed(&bad))?, rejects))
}

/// Which values of a column of times are out of range; none where all are in it.
fn beyond(column: &ArrayRef) -> Result<Option<BooleanArray>> {
    let a_day: i64 = match column.data_type() {
        DataType::Date32 => 1,
        DataType::Timestamp(TimeUnit::Second, _) => 86_400,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 86_400_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 86_400_000_000,
        _ => return Ok(None),
    };
    let (first, end) = (DAYS.0 * a_day, (DAYS.1 + 1) * a_day);
    let counts = cast(column, &DataType::Int64).map_err(|bad| failed(&bad))?;
    let counts = counts.as_primitive::<Int64Type>();
    let wrong = |count: i64| !(first..end).contains(&count);
    if !counts.iter().flatten().any(wrong) {
        return Ok(None);
    }
    Ok(Some(counts.iter().map(|count| Some(count.is_some_and(wrong))).collect()))
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
    use arrow::{
        array::{Date32Array, Float64Array, StringArray, TimestampMicrosecondArray},
        datatypes::Field,
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
        let (text, rejects) = lines(&fields()).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(rejects.is_empty());
        let expected = [
            r#"{"a":"x\n\"","b":null,"t":"2013-01-01T12:00:00Z","u":"2013-01-01T12:00:00Z"}"#,
            r#"{"a":null,"b":1.5,"t":"2013-01-01T12:00:00.250Z","u":"2013-01-01T12:00:00.250Z"}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_row_with_a_time_that_has_no_text_is_given_back_alone() {
        let times = [0, i64::MAX, -62_135_596_800_000_000, -62_135_596_800_000_001, 253_402_300_799_999_999, 1];
        let days = [0, 0, 0, 0, 0, i32::MAX];
        let schema = Schema::new(vec![
            Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), false),
            Field::new("d", DataType::Date32, false),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(TimestampMicrosecondArray::from(times.to_vec())), Arc::new(Date32Array::from(days.to_vec()))];
        let fields = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let (text, rejects) = lines(&fields).unwrap();
        assert_eq!(rejects.iter().map(|reject| reject.row).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(rejects[2].message.contains("`d`"), "{rejects:?}");
        let expected = [
            r#"{"t":"1970-01-01T00:00:00Z","d":"1970-01-01"}"#,
            r#"{"t":"0001-01-01T00:00:00Z","d":"1970-01-01"}"#,
            r#"{"t":"9999-12-31T23:59:59.999999Z","d":"1970-01-01"}"#,
        ];
        assert_eq!(String::from_utf8(text).unwrap().lines().collect::<Vec<_>>(), expected);
        let mut batch = crate::contract::rows(0..6);
        batch.fields = fields;
        let (cells, rejects) = rows(&batch).unwrap();
        assert_eq!((cells.len(), cells.cell(1), rejects.len()), (6, &b""[..], 3));
        assert_eq!(cells.cell(2), expected[1].as_bytes());
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
