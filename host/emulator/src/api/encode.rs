//! Records as JSON text.
//!
//! Written by hand because it is most of what the emulator sends: data goes to base64 straight into the output, without
//! an intermediate text. The rule: what is written is what serde_json would read back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::store::{ChildShard, Event, Found, HashRange, Progress, Record};

pub fn hash_range(range: &HashRange) -> Value {
    json!({ "StartingHashKey": range.start.to_string(), "EndingHashKey": range.end.to_string() })
}

pub fn event(event: &Event) -> Vec<u8> {
    let mut out = records(event.records.iter().map(AsRef::as_ref));
    field(&mut out, "MillisBehindLatest", &event.millis_behind.into());
    match &event.progress {
        Progress::Continuation(number) => {
            field(&mut out, "ContinuationSequenceNumber", &number.to_string().into());
        }
        Progress::Children(list) => field(&mut out, "ChildShards", &children(list)),
    }
    out.push(b'}');
    out
}

pub fn found(found: &Found) -> Vec<u8> {
    let mut out = records(found.batch.records.iter().map(AsRef::as_ref));
    field(&mut out, "MillisBehindLatest", &found.batch.millis_behind.into());
    match &found.iterator {
        Some(iterator) => field(&mut out, "NextShardIterator", &iterator.as_str().into()),
        None => field(&mut out, "ChildShards", &children(&found.children)),
    }
    out.push(b'}');
    out
}

fn children(children: &[ChildShard]) -> Value {
    let child = |child: &ChildShard| {
        json!({
            "ShardId": child.id,
            "ParentShards": child.parents,
            "HashKeyRange": hash_range(&child.range),
        })
    };
    children.iter().map(child).collect()
}

fn field(out: &mut Vec<u8>, name: &str, value: &Value) {
    out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
}

/// The opening of an object with its Records; the caller goes on with `field`.
fn records<'a>(records: impl Iterator<Item = &'a Record> + Clone) -> Vec<u8> {
    let size: usize = records.clone().map(|r| r.data.len() * 4 / 3 + r.partition_key.len() + 220).sum();
    let mut out = Vec::with_capacity(size + 512);
    out.extend_from_slice(b"{\"Records\":[");
    for (i, record) in records.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_record(&mut out, record);
    }
    out.push(b']');
    out
}

fn write_record(out: &mut Vec<u8>, record: &Record) {
    let (secs, millis) = (record.arrival / 1000, record.arrival % 1000);
    let head = format!(
        "{{\"SequenceNumber\":\"{}\",\"ApproximateArrivalTimestamp\":{secs}.{millis:03},\"Data\":\"",
        record.sequence
    );
    out.extend_from_slice(head.as_bytes());
    let start = out.len();
    out.resize(start + record.data.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(&record.data, &mut out[start..]).expect("the room was computed");
    out.truncate(start + written);
    out.extend_from_slice(b"\",\"PartitionKey\":");
    out.extend_from_slice(Value::from(record.partition_key.as_str()).to_string().as_bytes());
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::Sequence;
    use bytes::Bytes;

    #[test]
    fn a_record_reads_back_as_json() {
        for size in 0..7 {
            let record = Record {
                sequence: Sequence::record(1, 0, 1, 1_234_005),
                arrival: 1_234_005,
                partition_key: "a\"b\\\u{1}é".into(),
                data: Bytes::from(vec![0xff; size]),
            };
            let mut out = records([&record].into_iter());
            out.push(b'}');
            let read: Value = serde_json::from_slice(&out).unwrap();
            let read = &read["Records"][0];
            assert_eq!(read["PartitionKey"], record.partition_key.as_str());
            assert_eq!(read["ApproximateArrivalTimestamp"], 1234.005);
            assert_eq!(STANDARD.decode(read["Data"].as_str().unwrap()).unwrap(), record.data);
        }
    }
}
