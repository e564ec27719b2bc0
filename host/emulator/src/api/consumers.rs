//! Fan-out consumers: RegisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, DeregisterStreamConsumer, and
//! the call part of SubscribeToShard.
//!
//! A consumer is ACTIVE when RegisterStreamConsumer answers. The events of a subscription are `subscribe.rs`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{count, parse, required, trimmed};
use crate::faults::Fired;
use crate::store::{
    ApiError, Consumer, ConsumerRef, MAX_CONSUMERS, Millis, Position, Store, Subscription, name_in_arn,
};

fn consumer_json(consumer: &Consumer) -> Value {
    json!({
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": "ACTIVE",
        "ConsumerCreationTimestamp": consumer.born,
    })
}

pub fn register(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    let request: Request = parse(body)?;
    let arn = required(request.stream_arn, "streamARN")?;
    let name = required(request.consumer_name, "consumerName")?;
    let consumer = store.register_consumer(now, name_in_arn(&arn)?, &name)?;
    Ok(json!({ "Consumer": consumer_json(&consumer) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
}

impl Request {
    fn reference(&self) -> Result<ConsumerRef<'_>, ApiError> {
        if let Some(arn) = &self.consumer_arn {
            return Ok(ConsumerRef::Arn(arn));
        }
        let arn = required(self.stream_arn.as_deref(), "streamARN")?;
        let consumer = required(self.consumer_name.as_deref(), "consumerName")?;
        Ok(ConsumerRef::Name { stream: name_in_arn(arn)?, consumer })
    }
}

pub fn describe(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    let request: Request = parse(body)?;
    let consumer = store.consumer(&request.reference()?)?;
    let mut description = consumer_json(&consumer);
    let stream = consumer.arn.split("/consumer/").next();
    description["StreamARN"] = stream.unwrap_or_default().into();
    Ok(json!({ "ConsumerDescription": description }))
}

pub fn deregister(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    let request: Request = parse(body)?;
    store.deregister_consumer(&request.reference()?)?;
    Ok(Value::Null)
}

pub fn list(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(rename = "StreamARN")]
        stream_arn: Option<String>,
        next_token: Option<String>,
        max_results: Option<i64>,
    }
    let request: Request = parse(body)?;
    let arn = required(request.stream_arn, "streamARN")?;
    let most = count(request.max_results, "maxResults", 10_000, MAX_CONSUMERS)?;
    store.with_stream(name_in_arn(&arn)?, |stream| {
        // The token is the last name of the page before.
        let after = |c: &&Consumer| request.next_token.as_ref().is_none_or(|t| c.name > *t);
        let mut page: Vec<_> = stream.consumers.values().filter(after).take(most + 1).collect();
        let more = page.len() > most;
        page.truncate(most);
        let mut out = json!({ "Consumers": page.iter().map(|c| consumer_json(c)).collect::<Vec<_>>() });
        if let (true, Some(last)) = (more, page.last()) {
            out["NextToken"] = last.name.as_str().into();
        }
        Ok(out)
    })
}

pub fn subscribe_to_shard(store: &Store, now: Millis, body: &[u8], fired: &[Fired]) -> Result<Subscription, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Start {
        r#type: Option<String>,
        sequence_number: Option<String>,
        timestamp: Option<f64>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        #[serde(rename = "ConsumerARN")]
        consumer_arn: Option<String>,
        shard_id: Option<String>,
        starting_position: Option<Start>,
    }
    let request: Request = parse(body)?;
    let arn = required(request.consumer_arn, "consumerARN")?;
    let shard = required(request.shard_id, "shardId")?;
    let start = required(request.starting_position, "startingPosition")?;
    let kind = required(start.r#type, "startingPosition.type")?;
    let position = trimmed(Position::parse(&kind, start.sequence_number.as_deref(), start.timestamp)?, fired)?;
    store.subscribe(now, &arn, &shard, &position)
}
