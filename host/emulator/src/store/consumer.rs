//! Fan-out consumers of a stream: registering them and finding them again.
//!
//! The rule: a consumer's ARN ends with its time of creation, so a deleted and re-made consumer has another ARN and old
//! subscriptions do not become its own. What a consumer reads is `subscription.rs`.

use std::collections::HashMap;

use super::Millis;
use super::error::{ApiError, in_use, limit, not_found};
use super::stream::{Stream, check_name};
use super::subscription::Slot;

/// The service's limit for a provisioned stream.
pub const MAX_CONSUMERS: usize = 20;

#[derive(Clone, Debug)]
pub struct Consumer {
    pub name: String,
    /// Seconds.
    pub born: u64,
    pub arn: String,
    /// By the shard's index.
    pub slots: HashMap<u32, Slot>,
}

pub fn register(stream: &mut Stream, now: Millis, name: &str) -> Result<Consumer, ApiError> {
    check_name("consumerName", name)?;
    if stream.consumers.contains_key(name) {
        return Err(in_use(format!(
            "Consumer {name} under stream {} already exists for account 000000000000.",
            stream.name
        )));
    }
    if stream.consumers.len() >= MAX_CONSUMERS {
        return Err(limit(format!(
            "stream {} has {MAX_CONSUMERS} consumers, the most allowed: deregister one",
            stream.name
        )));
    }
    let born = (now / 1000).max(stream.last_consumer_born + 1);
    stream.last_consumer_born = born;
    let consumer = restored(stream, name, born);
    stream.consumers.insert(name.to_owned(), consumer.clone());
    Ok(consumer)
}

pub fn restored(stream: &Stream, name: &str, born: u64) -> Consumer {
    Consumer {
        name: name.to_owned(),
        born,
        arn: format!("{}/consumer/{name}:{born}", stream.arn()),
        slots: HashMap::new(),
    }
}

/// How requests name a consumer.
#[derive(Clone, Debug)]
pub enum ConsumerRef<'a> {
    Arn(&'a str),
    Name { stream: &'a str, consumer: &'a str },
}

pub fn find<'a>(stream: &'a Stream, reference: &ConsumerRef<'_>) -> Result<&'a Consumer, ApiError> {
    let found = match reference {
        ConsumerRef::Arn(arn) => stream.consumers.values().find(|c| c.arn == *arn),
        ConsumerRef::Name { consumer, .. } => stream.consumers.get(*consumer),
    };
    found.ok_or_else(|| missing(reference))
}

pub fn missing(reference: &ConsumerRef<'_>) -> ApiError {
    let name = match reference {
        ConsumerRef::Arn(arn) => arn,
        ConsumerRef::Name { consumer, .. } => consumer,
    };
    not_found(format!("Consumer {name} is not found for account 000000000000."))
}

pub fn deregister(stream: &mut Stream, reference: &ConsumerRef<'_>) -> Result<(), ApiError> {
    let name = find(stream, reference)?.name.clone();
    stream.consumers.remove(&name);
    stream.wake_all();
    Ok(())
}
