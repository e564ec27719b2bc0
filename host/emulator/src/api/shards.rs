//! Shards: ListShards with its filters and pages, SplitShard, MergeShards, UpdateShardCount.
//!
//! The rule: a page's token holds stream, place and filter, so later pages filter as the first did.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encode::hash_range;
use super::{StreamRef, count, parse, required, validation};
use crate::store::{ApiError, ErrorKind, Millis, RETENTION_MILLIS, Shard, Store, id_of, index_of, invalid, millis};

const PAGE: usize = 1000;
const MAX_PAGE: usize = 10_000;
const TOKEN_LIFE_MILLIS: u64 = 300_000;

pub fn shard_json(shard: &Shard) -> Value {
    let mut out = json!({
        "ShardId": shard.id(),
        "HashKeyRange": hash_range(&shard.range),
        "SequenceNumberRange": { "StartingSequenceNumber": shard.starting().to_string() },
    });
    if let Some(closed) = shard.closed {
        out["SequenceNumberRange"]["EndingSequenceNumber"] = closed.ending.to_string().into();
    }
    for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        out[*name] = id_of(*parent).into();
    }
    out
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    r#type: Option<String>,
    shard_id: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize, Serialize)]
struct Token {
    stream: String,
    created: Millis,
    after: u32,
    filter: Option<Filter>,
    issued: Millis,
}

pub fn list(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        next_token: Option<String>,
        exclusive_start_shard_id: Option<String>,
        max_results: Option<i64>,
        shard_filter: Option<Filter>,
    }
    let request: Request = parse(body)?;
    let most = count(request.max_results, "maxResults", MAX_PAGE, PAGE)?;
    let token = match &request.next_token {
        Some(_) if request.stream.stream_name.is_some() => {
            return Err(invalid("NextToken and StreamName cannot be provided together."));
        }
        Some(text) => Some(decode_token(text, now)?),
        None => None,
    };
    let (name, filter, after) = match &token {
        Some(token) => (token.stream.as_str(), token.filter.clone(), Some(token.after)),
        None => {
            let start = request.exclusive_start_shard_id.as_deref();
            let after = start.map(shard_index).transpose()?;
            (request.stream.name()?, request.shard_filter, after)
        }
    };
    store.with_stream(name, |stream| {
        if token.as_ref().is_some_and(|t| t.created != stream.created) {
            return Err(invalid("Invalid NextToken: its stream was deleted."));
        }
        let wanted = wanted(filter.as_ref(), now)?;
        let mut page: Vec<&Shard> = stream
            .shards
            .iter()
            .filter(|s| after.is_none_or(|after| s.index > after) && wanted(s))
            .take(most + 1)
            .collect();
        let more = page.len() > most;
        page.truncate(most);
        let mut out = json!({ "Shards": page.iter().map(|s| shard_json(s)).collect::<Vec<_>>() });
        if let (true, Some(last)) = (more, page.last()) {
            let token = Token {
                stream: stream.name.clone(),
                created: stream.created,
                after: last.index,
                filter: filter.clone(),
                issued: now,
            };
            out["NextToken"] = STANDARD.encode(json!(token).to_string()).into();
        }
        Ok(out)
    })
}

fn decode_token(text: &str, now: Millis) -> Result<Token, ApiError> {
    let plain = STANDARD.decode(text).ok();
    let token: Option<Token> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
    let token = token.ok_or_else(|| invalid("Invalid NextToken."))?;
    if now.saturating_sub(token.issued) > TOKEN_LIFE_MILLIS {
        let message = "The pagination token passed to the operation is expired.";
        return Err(ApiError::new(ErrorKind::ExpiredNextToken, message));
    }
    Ok(token)
}

fn shard_index(id: &str) -> Result<u32, ApiError> {
    index_of(id).ok_or_else(|| invalid(format!("'{id}' is not the id of a shard")))
}

type Wanted = Box<dyn Fn(&Shard) -> bool>;

fn wanted(filter: Option<&Filter>, now: Millis) -> Result<Wanted, ApiError> {
    let Some(filter) = filter else {
        return Ok(Box::new(|_| true));
    };
    let kind = required(filter.r#type.as_deref(), "shardFilter.type")?;
    let horizon = now.saturating_sub(RETENTION_MILLIS);
    let time = || millis(required(filter.timestamp, "shardFilter.timestamp")?);
    let open_at =
        |time: Millis| -> Wanted { Box::new(move |s| s.opened <= time && s.closed.is_none_or(|c| c.at > time)) };
    let ends_after = |time: Millis| -> Wanted { Box::new(move |s| s.closed.is_none_or(|c| c.at >= time)) };
    Ok(match kind {
        "AFTER_SHARD_ID" => {
            let id = required(filter.shard_id.as_deref(), "shardFilter.shardId")?;
            let after = shard_index(id)?;
            Box::new(move |s| s.index > after)
        }
        // The shards that were open at the horizon; of a younger stream, those it was made with.
        "AT_TRIM_HORIZON" => Box::new(move |s| {
            let then = s.opened <= horizon || s.parents.is_empty();
            then && s.closed.is_none_or(|c| c.at > horizon)
        }),
        "FROM_TRIM_HORIZON" => ends_after(horizon),
        "AT_LATEST" => Box::new(|s| s.closed.is_none()),
        "AT_TIMESTAMP" => open_at(time()?),
        "FROM_TIMESTAMP" => ends_after(time()?),
        _ => {
            return Err(validation(format!(
                "Value '{kind}' at 'shardFilter.type' failed to satisfy constraint: Member must satisfy enum value set: \
                 [AT_TRIM_HORIZON, FROM_TIMESTAMP, AT_TIMESTAMP, FROM_TRIM_HORIZON, AT_LATEST, AFTER_SHARD_ID]"
            )));
        }
    })
}

pub fn split(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        shard_to_split: Option<String>,
        new_starting_hash_key: Option<String>,
    }
    let request: Request = parse(body)?;
    let shard = required(request.shard_to_split, "shardToSplit")?;
    let key = required(request.new_starting_hash_key, "newStartingHashKey")?;
    store.split_shard(now, request.stream.name()?, &shard, &key)?;
    Ok(Value::Null)
}

pub fn merge(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        shard_to_merge: Option<String>,
        adjacent_shard_to_merge: Option<String>,
    }
    let request: Request = parse(body)?;
    let shard = required(request.shard_to_merge, "shardToMerge")?;
    let adjacent = required(request.adjacent_shard_to_merge, "adjacentShardToMerge")?;
    store.merge_shards(now, request.stream.name()?, &shard, &adjacent)?;
    Ok(Value::Null)
}

pub fn update_count(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(flatten)]
        stream: StreamRef,
        target_shard_count: Option<i64>,
        scaling_type: Option<String>,
    }
    let request: Request = parse(body)?;
    let target = required(request.target_shard_count, "targetShardCount")?;
    let kind = required(request.scaling_type, "scalingType")?;
    if kind != "UNIFORM_SCALING" {
        return Err(validation(format!(
            "Value '{kind}' at 'scalingType' failed to satisfy constraint: Member must satisfy enum value set: \
             [UNIFORM_SCALING]"
        )));
    }
    let target = u32::try_from(target).ok().filter(|target| *target > 0).ok_or_else(|| {
        validation(format!(
            "Value '{target}' at 'targetShardCount' failed to satisfy constraint: Member must be at least 1"
        ))
    })?;
    let name = request.stream.name()?;
    let before = store.update_shard_count(now, name, target)?;
    let arn = store.with_stream(name, |stream| Ok(stream.arn()))?;
    Ok(json!({ "StreamName": name, "StreamARN": arn, "CurrentShardCount": before, "TargetShardCount": target }))
}
