//! Records: PutRecord, PutRecords, GetShardIterator, GetRecords.
//!
//! PutRecords here never fails in part: an entry that is wrong fails the whole call, as at the service.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_json::{Value, json};

use super::{StreamRef, count, encode, parse, required};
use crate::store::{ApiError, Entry, Millis, Position, Put, Store, id_of};

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

pub fn put_records(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
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
    let puts = store.put_records(now, stream.name()?, entries)?;
    Ok(json!({
        "FailedRecordCount": 0,
        "EncryptionType": "NONE",
        "Records": puts.iter().map(put_json).collect::<Vec<_>>(),
    }))
}

pub fn get_shard_iterator(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
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
    let position = Position::parse(&kind, sequence, request.timestamp)?;
    let iterator = store.shard_iterator(now, request.stream.name()?, &shard, &position)?;
    Ok(json!({ "ShardIterator": iterator }))
}

pub fn get_records(store: &Store, now: Millis, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        shard_iterator: Option<String>,
        limit: Option<i64>,
    }
    let request: Request = parse(body)?;
    let iterator = required(request.shard_iterator, "shardIterator")?;
    let most = count(request.limit, "limit", 10_000, 10_000)?;
    let found = store.get_records(now, &iterator, Some(most))?;
    Ok(encode::found(&found))
}
