//! The calls that are made now and then: listing shards, and registering the consumer as the Kinesis Client Library does.
//!
//! The rule: a consumer is described first and registered only if it is missing; all workers of a job share one.
//! Left to others: reading (`fan_out`).

use std::time::Duration;

use aws_sdk_kinesis::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{describe_stream_consumer::DescribeStreamConsumerError, list_shards::ListShardsOutput},
    types::{self, ConsumerStatus},
};

use super::events;
use crate::{
    aws, clock,
    error::{Error, Kind, Result},
    random,
    record::{Sequence, ShardId},
    source::Shard,
};

/// How often a call is tried that is refused for its rate, or a consumer asked that is being made.
const TRIES: u32 = 60;
/// Between two tries, plus some jitter.
const BETWEEN: Duration = Duration::from_secs(1);

/// What the listing says.
pub enum Listing {
    /// every shard, page after page
    Shards(Vec<Shard>),
    /// there is no such stream
    NoStream,
}

/// What a stream says about itself.
#[derive(Clone, Debug)]
pub struct Summary {
    /// its full name
    pub arn: String,
    /// when it was created, microseconds since 1970: a stream made again under the same name holds other records
    pub created_us: i64,
    /// how long it keeps records, microseconds
    pub keeps_us: i64,
}

/// Describes the stream.
pub async fn summary(client: &Client, stream: &str) -> Result<Summary> {
    let answer = client.describe_stream_summary().stream_name(stream).send().await;
    let answer = answer.map_err(|failed| match failed.as_service_error() {
        Some(service) if service.is_resource_not_found_exception() => no_stream(stream),
        _ => unavailable(format!("stream `{stream}` cannot be described"), &failed),
    })?;
    let lacking = || Error::new(Kind::Unavailable, format!("stream `{stream}` is described without a summary"));
    let summary = answer.stream_description_summary.ok_or_else(lacking)?;
    let created = summary.stream_creation_timestamp;
    let created_us = created.secs().saturating_mul(1_000_000) + i64::from(created.subsec_nanos() / 1_000);
    let keeps_us = i64::from(summary.retention_period_hours).saturating_mul(3_600_000_000);
    Ok(Summary { arn: summary.stream_arn, created_us, keeps_us })
}

/// Every shard that is kept.
pub async fn list(client: &Client, stream: &str) -> Result<Listing> {
    let Some(listed) = listed(client, stream).await? else { return Ok(Listing::NoStream) };
    let shard = |shard: &types::Shard| {
        let parents = [shard.parent_shard_id.clone(), shard.adjacent_parent_shard_id.clone()];
        let parents: Vec<String> = parents.into_iter().flatten().collect();
        events::shard(&shard.shard_id, &parents, shard.hash_key_range.as_ref())
    };
    listed.iter().map(shard).collect::<Result<_>>().map(Listing::Shards)
}

/// The last number of a shard that is closed and kept.
pub async fn end(client: &Client, stream: &str, shard: &ShardId) -> Result<Option<Sequence>> {
    let listed = listed(client, stream).await?.unwrap_or_default();
    let range =
        listed.into_iter().find(|listed| listed.shard_id == shard.as_str()).and_then(|it| it.sequence_number_range);
    Ok(range.and_then(|range| range.ending_sequence_number?.parse().ok()))
}

/// What the service lists, page after page; none where there is no such stream.
async fn listed(client: &Client, stream: &str) -> Result<Option<Vec<types::Shard>>> {
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let call = match &next {
            Some(token) => client.list_shards().next_token(token),
            None => client.list_shards().stream_name(stream),
        };
        let page: ListShardsOutput = match call.send().await {
            Ok(page) => page,
            Err(failed) if failed.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
                return Ok(None);
            }
            Err(failed) => return Err(unavailable(format!("shards of stream `{stream}` cannot be listed"), &failed)),
        };
        shards.extend(page.shards.unwrap_or_default());
        match page.next_token {
            Some(token) => next = Some(token),
            None => return Ok(Some(shards)),
        }
    }
}

/// The full name of the consumer, registered if it was missing, once it may read.
pub async fn consumer(client: &Client, stream_arn: &str, name: &str) -> Result<String> {
    for _ in 0..TRIES {
        match describe(client, stream_arn, name).await? {
            Described::Active(arn) => return Ok(arn),
            Described::Missing => register(client, stream_arn, name).await?,
            Described::Wait => pause().await,
        }
    }
    let message =
        format!("consumer `{name}` of `{stream_arn}` is still not active: look at its state, then start again");
    Err(Error::new(Kind::Unavailable, message))
}

enum Described {
    Active(String),
    Missing,
    Wait,
}

async fn describe(client: &Client, stream_arn: &str, name: &str) -> Result<Described> {
    let answer = client.describe_stream_consumer().stream_arn(stream_arn).consumer_name(name).send().await;
    match answer.map(|output| output.consumer_description) {
        Ok(Some(it)) if it.consumer_status == ConsumerStatus::Active => Ok(Described::Active(it.consumer_arn)),
        Ok(_) => Ok(Described::Wait),
        Err(failed) => match failed.as_service_error() {
            Some(DescribeStreamConsumerError::ResourceNotFoundException(_)) => Ok(Described::Missing),
            Some(DescribeStreamConsumerError::LimitExceededException(_)) => Ok(Described::Wait),
            _ => Err(unavailable(format!("consumer `{name}` of `{stream_arn}` cannot be described"), &failed)),
        },
    }
}

async fn register(client: &Client, stream_arn: &str, name: &str) -> Result<()> {
    let answer = client.register_stream_consumer().stream_arn(stream_arn).consumer_name(name).send().await;
    let Err(failed) = answer else { return Ok(()) };
    match failed.as_service_error() {
        // somebody else was faster: describe it
        Some(service) if service.is_resource_in_use_exception() => Ok(()),
        Some(service) if service.is_limit_exceeded_exception() => {
            pause().await;
            Ok(())
        }
        _ => Err(unavailable(format!("consumer `{name}` cannot be registered with `{stream_arn}`"), &failed)),
    }
}

/// Takes a consumer away that nobody shares.
pub async fn deregister(client: &Client, consumer_arn: &str) -> Result<()> {
    let answer = client.deregister_stream_consumer().consumer_arn(consumer_arn).send().await;
    let failed = |failed| unavailable(format!("consumer `{consumer_arn}` cannot be deregistered"), &failed);
    answer.map(drop).map_err(failed)
}

async fn pause() {
    clock::sleep(BETWEEN + random::jitter(BETWEEN / 10)).await;
}

/// A stream that does not exist.
pub fn no_stream(stream: &str) -> Error {
    let message = format!("stream `{stream}` does not exist: create it, or mend `stream:`, region or endpoint");
    Error::new(Kind::Config, message)
}

fn unavailable<E, R>(what: String, failed: &SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    Error::new(Kind::Unavailable, format!("{what}: {}", aws::said(failed)))
}
