//! Streams: CreateStream, DeleteStream, DescribeStream, DescribeStreamSummary, ListStreams.
//!
//! A stream is ACTIVE when CreateStream answers and gone when DeleteStream answers; there is nothing to wait for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::shards::shard_json;
use super::{StreamRef, count, parse, required, seconds, validation};
use crate::store::{ApiError, Millis, RETENTION_MILLIS, Shard, Store, Stream};

const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;
/// What an on-demand stream starts with at the service.
const ON_DEMAND_SHARDS: i64 = 4;

pub fn create(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Mode {
        stream_mode: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        stream_name: Option<String>,
        shard_count: Option<i64>,
        stream_mode_details: Option<Mode>,
    }
    let request: Request = parse(body)?;
    let name = required(request.stream_name, "streamName")?;
    let mode = request.stream_mode_details.and_then(|m| m.stream_mode);
    let shards = match (request.shard_count, mode.as_deref()) {
        (Some(shards), _) => shards,
        (None, Some("ON_DEMAND")) => ON_DEMAND_SHARDS,
        (None, _) => required(None, "shardCount")?,
    };
    let shards = u32::try_from(shards).map_err(|_| {
        validation(format!("Value '{shards}' at 'shardCount' failed to satisfy constraint: Member must be at least 1"))
    })?;
    store.create_stream(now, &name, shards)?;
    Ok(Value::Null)
}

pub fn delete(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        enforce_consumer_deletion: Option<bool>,
    }
    let request: Request = parse(body)?;
    let enforce = request.enforce_consumer_deletion.unwrap_or(false);
    store.delete_stream(request.stream.name()?, enforce)?;
    Ok(Value::Null)
}

pub fn describe(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        limit: Option<i64>,
        exclusive_start_shard_id: Option<String>,
    }
    let request: Request = parse(body)?;
    let most = count(request.limit, "limit", MAX_PAGE, DEFAULT_PAGE)?;
    let start = request.exclusive_start_shard_id;
    store.with_stream(request.stream.name()?, |stream| {
        let after = |s: &&Shard| start.as_ref().is_none_or(|start| s.id() > *start);
        let mut shards: Vec<&Shard> = stream.shards.iter().filter(after).take(most + 1).collect();
        let more = shards.len() > most;
        shards.truncate(most);
        let mut description = common(stream);
        description["Shards"] = shards.into_iter().map(shard_json).collect();
        description["HasMoreShards"] = more.into();
        Ok(json!({ "StreamDescription": description }))
    })
}

pub fn describe_summary(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    let request: StreamRef = parse(body)?;
    store.with_stream(request.name()?, |stream| {
        let mut description = common(stream);
        description["OpenShardCount"] = stream.open_count().into();
        description["ConsumerCount"] = stream.consumers.len().into();
        description["MaxRecordSizeInKiB"] = 1024.into();
        Ok(json!({ "StreamDescriptionSummary": description }))
    })
}

fn common(stream: &Stream) -> Value {
    json!({
        "StreamName": stream.name,
        "StreamARN": stream.arn(),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": RETENTION_MILLIS / 3_600_000,
        "StreamCreationTimestamp": seconds(stream.created),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
    })
}

pub fn list(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        limit: Option<i64>,
        exclusive_start_stream_name: Option<String>,
        next_token: Option<String>,
    }
    let request: Request = parse(body)?;
    let most = count(request.limit, "limit", MAX_PAGE, DEFAULT_PAGE)?;
    // The token is the last name of the page before.
    let start = request.next_token.or(request.exclusive_start_stream_name);
    let (names, more) = store.stream_names(start.as_deref(), most);
    let summary = |name: &String| {
        let look = |s: &Stream| {
            Ok(json!({
                "StreamName": s.name,
                "StreamARN": s.arn(),
                "StreamStatus": "ACTIVE",
                "StreamModeDetails": { "StreamMode": "PROVISIONED" },
                "StreamCreationTimestamp": seconds(s.created),
            }))
        };
        // A stream deleted since the names were taken is left out.
        store.with_stream(name, look).ok()
    };
    let summaries: Vec<Value> = names.iter().filter_map(summary).collect();
    let mut out = json!({ "StreamNames": names, "HasMoreStreams": more, "StreamSummaries": summaries });
    if more {
        out["NextToken"] = names.last().cloned().into();
    }
    Ok(out)
}
