//! One stream: its shards and consumers, and which open shard a key goes to.
//!
//! The rule: `open` names exactly the shards that are not closed, by the start of their ranges, and they cover every
//! hash key. Names and numbers outside the service's limits are refused here. Locking is `mod.rs`.

use std::collections::BTreeMap;

use super::Millis;
use super::consumer::Consumer;
use super::error::{ApiError, invalid, limit, not_found};
use super::hash::{self, HashRange};
use super::sequence::MAX_SHARD_INDEX;
use super::shard::{Shard, index_of};
use crate::disk::Log;

/// Region and account are made up: nothing here checks credentials.
const ARN_PREFIX: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/";
/// Keeps a mistyped number from eating the memory.
pub const MAX_OPEN_SHARDS: u32 = 2000;
pub const RETENTION_MILLIS: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug)]
pub struct Stream {
    pub name: String,
    pub created: Millis,
    pub shards: Vec<Shard>,
    open: BTreeMap<u128, u32>,
    pub consumers: BTreeMap<String, Consumer>,
    /// Seconds; the creation time in a consumer's ARN never repeats.
    pub last_consumer_born: u64,
    /// When it was scaled, within a day.
    pub scaled: Vec<Millis>,
    pub log: Option<Log>,
}

impl Stream {
    pub fn new(now: Millis, name: &str, shards: u32) -> Result<Self, ApiError> {
        check_name("streamName", name)?;
        if shards == 0 {
            return Err(invalid("ShardCount 0 is too small: give at least 1"));
        }
        if shards > MAX_OPEN_SHARDS {
            return Err(limit(format!(
                "ShardCount {shards} is above the emulator's limit of {MAX_OPEN_SHARDS} open shards in a stream"
            )));
        }
        let mut stream = Self::restored(name.to_owned(), now);
        for range in hash::even_ranges(shards) {
            stream.add_shard(now, now / 1000, range, Vec::new())?;
        }
        Ok(stream)
    }

    /// A stream without shards, for `disk.rs` to fill.
    pub fn restored(name: String, created: Millis) -> Self {
        Self {
            name,
            created,
            shards: Vec::new(),
            open: BTreeMap::new(),
            consumers: BTreeMap::new(),
            last_consumer_born: 0,
            scaled: Vec::new(),
            log: None,
        }
    }

    pub fn add_shard(&mut self, now: Millis, birth: u64, range: HashRange, parents: Vec<u32>) -> Result<u32, ApiError> {
        let index = u32::try_from(self.shards.len()).unwrap_or(u32::MAX);
        if index > MAX_SHARD_INDEX {
            return Err(limit(format!(
                "stream {} has had {index} shards, the most that it can: make a new stream",
                self.name
            )));
        }
        self.insert_shard(Shard::new(index, range, birth, now, parents));
        Ok(index)
    }

    pub fn insert_shard(&mut self, shard: Shard) {
        if shard.closed.is_none() {
            self.open.insert(shard.range.start, shard.index);
        }
        self.shards.push(shard);
    }

    pub fn forget_open(&mut self, range: HashRange) {
        self.open.remove(&range.start);
    }

    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    pub fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}", self.name)
    }

    pub fn shard(&self, id: &str) -> Result<&Shard, ApiError> {
        let shard = index_of(id).and_then(|index| self.shards.get(index as usize));
        shard.ok_or_else(|| self.no_shard(id))
    }

    pub fn shard_mut(&mut self, id: &str) -> Result<&mut Shard, ApiError> {
        let missing = self.no_shard(id);
        let shard = index_of(id).and_then(|index| self.shards.get_mut(index as usize));
        shard.ok_or(missing)
    }

    fn no_shard(&self, id: &str) -> ApiError {
        not_found(format!("Could not find shard {id} in stream {} under account 000000000000.", self.name))
    }

    /// The open shard that a record goes to.
    pub fn route(&self, partition_key: &str, explicit: Option<&str>) -> Result<u32, ApiError> {
        let key = match explicit {
            Some(text) => hash::parse("ExplicitHashKey", text)?,
            None => hash::of_partition_key(partition_key),
        };
        self.open_for(key)
    }

    /// The open shard whose range holds a hash key.
    pub fn open_for(&self, key: u128) -> Result<u32, ApiError> {
        let found = self.open.range(..=key).next_back();
        found
            .map(|(_, &index)| index)
            .ok_or_else(|| not_found(format!("stream {} has no open shard for {key}", self.name)))
    }

    /// Whether an open shard begins at a hash key.
    pub fn open_at(&self, key: u128) -> bool {
        self.open.contains_key(&key)
    }

    pub fn wake_all(&self) {
        self.shards.iter().for_each(Shard::wake);
    }

    pub fn trim(&mut self, now: Millis) -> usize {
        let horizon = now.saturating_sub(RETENTION_MILLIS);
        self.shards.iter_mut().map(|s| s.trim(horizon)).sum()
    }
}

/// A stream's name out of its ARN or the ARN of one of its consumers.
pub fn name_in_arn(arn: &str) -> Result<&str, ApiError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let resource = match parts.as_slice() {
        ["arn", _, "kinesis", _, _, resource] => resource.strip_prefix("stream/"),
        _ => None,
    };
    let name = resource.and_then(|r| r.split('/').next());
    name.filter(|n| !n.is_empty()).ok_or_else(|| invalid(format!("'{arn}' is not the ARN of a stream")))
}

/// The service's rule for names of streams and consumers.
pub fn check_name(field: &str, name: &str) -> Result<(), ApiError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
        return Err(ApiError::new(
            super::error::ErrorKind::Validation,
            format!(
                "1 validation error detected: Value '{}' at '{field}' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ and have 1 to 128 characters",
                name.chars().take(140).collect::<String>()
            ),
        ));
    }
    Ok(())
}
