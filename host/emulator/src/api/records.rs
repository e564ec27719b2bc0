//! Records: PutRecord, PutRecords, GetShardIterator, GetRecords.
//!
//! An entry of PutRecords that is wrong fails the whole call, as at the service; in part it fails only by a fault.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::{Value, json};

use super::{StreamRef, count, encode, failing, parse, required, trimmed};
use crate::faults::{Fault, Fired};
use crate::store::{ApiError, Entry, ErrorKind, Millis, Position, Put, Store, id_of};

/// Bytes that are base64 in JSON.
pub struct Blob(pub Bytes);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a blob in base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
                let bytes = STANDARD.decode(text);
                let bytes = bytes.map_err(|e| E::custom(format!("blob is not base64: {e}")))?;
                Ok(Blob(Bytes::from(bytes)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireEntry {
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

impl WireEntry {
    fn checked(self) -> Result<Entry, ApiError> {
        Ok(Entry {
            data: required(self.data, "data")?.0,
            partition_key: required(self.partition_key, "partitionKey")?,
            explicit_hash_key: self.explicit_hash_key,
        })
    }
}

fn put_json(put: &Put) -> Value {
    json!({ "ShardId": id_of(put.shard), "SequenceNumber": put.sequence.to_string() })
}

/// An entry that a fault has refused, in one of the two ways of the service.
fn failed_json(number: usize) -> Value {
    if number.is_multiple_of(2) {
        let message = "Rate exceeded for shard: a fault was asked for.";
        json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": message })
    } else {
        json!({ "ErrorCode": "InternalFailure", "ErrorMessage": "Internal Service Failure: a fault was asked for." })
    }
}

// These requests name their streams in plain fields: flattening would buffer the blobs as JSON values.
pub fn put_record(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        stream_name: Option<String>,
        #[serde(rename = "StreamARN")]
        stream_arn: Option<String>,
        data: Option<Blob>,
        partition_key: Option<String>,
        explicit_hash_key: Option<String>,
    }
    let Request { stream_name, stream_arn, data, partition_key, explicit_hash_key } = parse(body)?;
    let stream = StreamRef { stream_name, stream_arn };
    let entry = WireEntry { data, partition_key, explicit_hash_key }.checked()?;
    let puts = store.put_records(now, stream.name()?, vec![entry])?;
    let mut out = puts.first().map_or(Value::Null, put_json);
    out["EncryptionType"] = "NONE".into();
    Ok(out)
}

pub fn put_records(store: &Store, now: Millis, body: &[u8], fired: &[Fired]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        stream_name: Option<String>,
        #[serde(rename = "StreamARN")]
        stream_arn: Option<String>,
        records: Option<Vec<WireEntry>>,
    }
    let Request { stream_name, stream_arn, records } = parse(body)?;
    let stream = StreamRef { stream_name, stream_arn };
    let entries = required(records, "records")?.into_iter().map(WireEntry::checked);
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let fails = failing(entries.len(), fired);
    let kept: Vec<Entry> = entries.into_iter().zip(&fails).filter(|(_, fails)| !**fails).map(|(e, _)| e).collect();
    let name = stream.name()?;
    let puts = if kept.is_empty() && !fails.is_empty() { Vec::new() } else { store.put_records(now, name, kept)? };
    let mut puts = puts.iter();
    let answer = |(number, fails): (usize, &bool)| {
        if *fails { failed_json(number) } else { puts.next().map_or(Value::Null, put_json) }
    };
    Ok(json!({
        "FailedRecordCount": fails.iter().filter(|fails| **fails).count(),
        "EncryptionType": "NONE",
        "Records": fails.iter().enumerate().map(answer).collect::<Vec<_>>(),
    }))
}

pub fn get_shard_iterator(store: &Store, now: Millis, body: &[u8], fired: &[Fired]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        shard_id: Option<String>,
        shard_iterator_type: Option<String>,
        starting_sequence_number: Option<String>,
        timestamp: Option<f64>,
    }
    let request: Request = parse(body)?;
    let shard = required(request.shard_id, "shardId")?;
    let kind = required(request.shard_iterator_type, "shardIteratorType")?;
    let sequence = request.starting_sequence_number.as_deref();
    let position = trimmed(Position::parse(&kind, sequence, request.timestamp)?, fired)?;
    let iterator = store.shard_iterator(now, request.stream.name()?, &shard, &position)?;
    Ok(json!({ "ShardIterator": iterator }))
}

pub fn get_records(store: &Store, now: Millis, body: &[u8], fired: &[Fired]) -> Result<Vec<u8>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        shard_iterator: Option<String>,
        limit: Option<i64>,
    }
    let request: Request = parse(body)?;
    let iterator = required(request.shard_iterator, "shardIterator")?;
    let most = count(request.limit, "limit", 10_000, 10_000)?;
    if fired.iter().any(|f| f.fault == Fault::ExpireIterator) {
        return Err(ApiError::new(ErrorKind::ExpiredIterator, "Iterator expired: a fault was asked for."));
    }
    let found = store.get_records(now, &iterator, Some(most))?;
    Ok(encode::found(&found))
}
