//! The calls: from the JSON of a request to the core and back, one file per family.
//!
//! The rule: `call` is the only way in, with the faults that were drawn for the call.
//! Malformed JSON and wrong types are SerializationException, missing members ValidationException, as at the service.
//! HTTP itself is `http.rs`.

mod consumers;
mod encode;
mod firehose;
mod records;
mod shards;
mod streams;
mod subscribe;

pub use subscribe::{CONTENT_TYPE as EVENTS_CONTENT_TYPE, EventBody};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::faults::{Fault, Fired, Trimmed};
use crate::services::refuse_stream_call;
use crate::store::{ApiError, ErrorKind, Millis, Position, Store, Subscription, invalid, name_in_arn, not_found};

pub enum Reply {
    /// The body as it is sent.
    Json(Vec<u8>),
    Events(Box<Subscription>),
}

/// Does what `target` (the X-Amz-Target header) names.
pub fn call(store: &Store, now: Millis, target: &str, body: &[u8], fired: &[Fired]) -> Result<Reply, ApiError> {
    refuse_stream_call(fired, target)?;
    let body = if body.is_empty() { b"{}" } else { body };
    let out = match target.split_once('.') {
        Some(("Kinesis_20131202", "SubscribeToShard")) => {
            let subscription = consumers::subscribe_to_shard(store, now, body, fired)?;
            return Ok(Reply::Events(Box::new(subscription)));
        }
        Some(("Kinesis_20131202", "GetRecords")) => {
            return Ok(Reply::Json(records::get_records(store, now, body, fired)?));
        }
        Some(("Kinesis_20131202", operation)) => kinesis(store, now, operation, body, fired)?,
        Some(("Firehose_20150804", operation)) => firehose::call(store, now, operation, body, fired)?,
        _ => return Err(unknown(target)),
    };
    let bytes = match out {
        // Calls without an output answer an empty body, as the service does.
        Value::Null => Vec::new(),
        value => value.to_string().into_bytes(),
    };
    Ok(Reply::Json(bytes))
}

fn kinesis(store: &Store, now: Millis, operation: &str, body: &[u8], fired: &[Fired]) -> Result<Value, ApiError> {
    match operation {
        "CreateStream" => streams::create(store, now, body),
        "DeleteStream" => streams::delete(store, body),
        "DescribeStream" => streams::describe(store, body),
        "DescribeStreamSummary" => streams::describe_summary(store, body),
        "ListStreams" => streams::list(store, body),
        "ListShards" => shards::list(store, now, body),
        "SplitShard" => shards::split(store, now, body),
        "MergeShards" => shards::merge(store, now, body),
        "UpdateShardCount" => shards::update_count(store, now, body),
        "PutRecord" => records::put_record(store, now, body),
        "PutRecords" => records::put_records(store, now, body, fired),
        "GetShardIterator" => records::get_shard_iterator(store, now, body, fired),
        "RegisterStreamConsumer" => consumers::register(store, now, body),
        "DescribeStreamConsumer" => consumers::describe(store, body),
        "ListStreamConsumers" => consumers::list(store, body),
        "DeregisterStreamConsumer" => consumers::deregister(store, body),
        _ => Err(unknown(operation)),
    }
}

/// Where a reader that names a position starts, if that position is to be past the retention.
fn trimmed(position: Position, fired: &[Fired]) -> Result<Position, ApiError> {
    let how = fired.iter().find_map(|f| match f.fault {
        Fault::Trimmed(how) => Some(how),
        _ => None,
    });
    match how {
        None => Ok(position),
        Some(Trimmed::NotFound) => Err(not_found("Could not find the position: a fault was asked for.")),
        Some(Trimmed::Invalid) => Err(invalid("StartingSequenceNumber is past the retention: a fault was asked for.")),
        Some(Trimmed::Silent) => Ok(Position::Latest),
    }
}

/// Which of so many entries fail, if some are to: at least one, and not all of several.
fn failing(count: usize, fired: &[Fired]) -> Vec<bool> {
    let drawn = fired.iter().find(|f| f.fault == Fault::Partial && count > 0);
    let Some(Fired { bits, .. }) = drawn else {
        return vec![false; count];
    };
    let mut out: Vec<bool> =
        (0..count as u64).map(|i| (bits ^ i.wrapping_mul(0x9e37_79b9)).count_ones() % 2 == 1).collect();
    let first = (bits % count as u64) as usize;
    out[first] = true;
    if count > 1 {
        out[(first + 1) % count] = false;
    }
    out
}

fn unknown(target: &str) -> ApiError {
    let shown: String = target.chars().take(100).collect();
    let message = format!("the emulator has no operation '{shown}'");
    ApiError::new(ErrorKind::UnknownOperation, message)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::new(ErrorKind::Serialization, e.to_string()))
}

fn validation(message: String) -> ApiError {
    ApiError::new(ErrorKind::Validation, format!("1 validation error detected: {message}"))
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, ApiError> {
    let missing =
        || validation(format!("Value null at '{field}' failed to satisfy constraint: Member must not be null"));
    value.ok_or_else(missing)
}

/// A count within `least..=most`, or `default`.
fn count(value: Option<i64>, field: &str, most: usize, default: usize) -> Result<usize, ApiError> {
    let Some(given) = value else {
        return Ok(default);
    };
    let fits = usize::try_from(given).ok().filter(|n| (1..=most).contains(n));
    fits.ok_or_else(|| {
        validation(format!("Value '{given}' at '{field}' failed to satisfy constraint: Member must be 1 to {most}"))
    })
}

/// How most requests name their stream.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamRef {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

impl StreamRef {
    fn name(&self) -> Result<&str, ApiError> {
        match (&self.stream_arn, &self.stream_name) {
            (Some(arn), _) => name_in_arn(arn),
            (None, name) => required(name.as_deref(), "streamName"),
        }
    }
}

/// Times in JSON are seconds.
fn seconds(time: Millis) -> f64 {
    time as f64 / 1000.0
}
