//! Putting records into streams and reading them with iterators.
//!
//! The rule: a call's entries are checked as a whole, then numbered in the order given, then logged with one write, then
//! made readable: so all of a call is stored or nothing is. Fan-out reading is `subscription.rs`.

use bytes::Bytes;

use super::error::{ApiError, ErrorKind, invalid};
use super::position::{Iterator, Position};
use super::shard::{Batch, RECORD_OVERHEAD};
use super::stream::Stream;
use super::subscription::{ChildShard, children_of};
use super::{MAX_HELD_BYTES, Millis, Sequence, Store, disk_failed};
use crate::disk;

pub const MAX_ENTRIES: usize = 500;
pub const MAX_CALL_BYTES: usize = 10 << 20;
/// Data and partition key together.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
pub const MAX_KEY_CHARS: usize = 256;
const READ_RECORDS: usize = 10_000;
const READ_BYTES: usize = 10 << 20;

#[derive(Clone, Debug)]
pub struct Entry {
    pub data: Bytes,
    pub partition_key: String,
    pub explicit_hash_key: Option<String>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    pub shard: u32,
    pub sequence: Sequence,
}

/// What GetRecords answers; no iterator at the end of a closed shard.
#[derive(Debug)]
pub struct Found {
    pub batch: Batch,
    pub iterator: Option<String>,
    pub children: Vec<ChildShard>,
}

impl Store {
    pub fn put_records(&self, now: Millis, stream: &str, entries: Vec<Entry>) -> Result<Vec<Put>, ApiError> {
        let bytes = check(&entries)?;
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.held + bytes > MAX_HELD_BYTES {
            let freed: usize = state.streams.values_mut().map(|s| s.trim(now)).sum();
            state.held -= freed.min(state.held);
        }
        if state.held + bytes > MAX_HELD_BYTES {
            return Err(ApiError::new(
                ErrorKind::ProvisionedThroughputExceeded,
                format!("the emulator holds {} bytes of records, its limit: delete a stream", state.held),
            ));
        }
        let puts = append(state.stream_mut(stream)?, now, entries)?;
        state.held += bytes;
        Ok(puts)
    }

    pub fn shard_iterator(
        &self,
        now: Millis,
        stream: &str,
        shard: &str,
        position: &Position,
    ) -> Result<String, ApiError> {
        self.with_stream(stream, |stream| {
            let shard = stream.shard(shard)?;
            let iterator = Iterator {
                stream: stream.name.clone(),
                stream_created: stream.created,
                shard: shard.index,
                next: position.resolve(shard, now, &stream.name)?,
                issued: now,
            };
            Ok(iterator.encode())
        })
    }

    pub fn get_records(&self, now: Millis, iterator: &str, most: Option<usize>) -> Result<Found, ApiError> {
        let most = most.unwrap_or(READ_RECORDS);
        if !(1..=READ_RECORDS).contains(&most) {
            return Err(invalid(format!("Limit {most} is out of range: give 1 to {READ_RECORDS}")));
        }
        let iterator = Iterator::decode(iterator, now)?;
        self.with_stream(&iterator.stream, |stream| {
            let same = stream.created == iterator.stream_created;
            let shard = stream.shards.get(iterator.shard as usize).filter(|_| same);
            let shard = shard.ok_or_else(|| invalid("Invalid ShardIterator: its stream was deleted."))?;
            let batch = shard.read(now, iterator.next, most, READ_BYTES);
            if batch.caught_up && shard.closed.is_some() {
                let children = children_of(stream, shard);
                return Ok(Found { batch, iterator: None, children });
            }
            let onward = Iterator { next: batch.next, issued: now, ..iterator.clone() };
            Ok(Found { batch, iterator: Some(onward.encode()), children: Vec::new() })
        })
    }
}

/// Checks the service's limits; returns the memory that the entries will hold.
fn check(entries: &[Entry]) -> Result<usize, ApiError> {
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(ApiError::new(
            ErrorKind::Validation,
            format!(
                "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have 1 to \
                 {MAX_ENTRIES} entries, not {}",
                entries.len()
            ),
        ));
    }
    let mut total = 0;
    for entry in entries {
        let chars = entry.partition_key.chars().count();
        if chars == 0 || chars > MAX_KEY_CHARS {
            return Err(ApiError::new(
                ErrorKind::Validation,
                format!(
                    "1 validation error detected: Value at 'partitionKey' failed to satisfy constraint: Member must \
                     have 1 to {MAX_KEY_CHARS} characters, not {chars}"
                ),
            ));
        }
        let bytes = entry.data.len() + entry.partition_key.len();
        if bytes > MAX_RECORD_BYTES {
            return Err(invalid(format!(
                "a record of {bytes} bytes (data and partition key) is too large: at most {MAX_RECORD_BYTES}"
            )));
        }
        total += bytes;
    }
    if total > MAX_CALL_BYTES {
        return Err(invalid(format!(
            "Records size {total} bytes exceeds {MAX_CALL_BYTES} bytes: send fewer records in one call"
        )));
    }
    Ok(total + entries.len() * RECORD_OVERHEAD)
}

fn append(stream: &mut Stream, now: Millis, entries: Vec<Entry>) -> Result<Vec<Put>, ApiError> {
    let routed: Result<Vec<u32>, ApiError> =
        entries.iter().map(|e| stream.route(&e.partition_key, e.explicit_hash_key.as_deref())).collect();
    let mut numbered = Vec::with_capacity(entries.len());
    for (shard, entry) in routed?.into_iter().zip(entries) {
        let home = &mut stream.shards[shard as usize];
        numbered.push((shard, home.number(now, entry.partition_key, entry.data)));
    }
    if let Some(log) = &mut stream.log {
        let frames = numbered.iter().map(|(shard, record)| disk::record_frame(*shard, record));
        log.append(frames).map_err(disk_failed)?;
    }
    let mut puts = Vec::with_capacity(numbered.len());
    for (shard, record) in numbered {
        let sequence = record.sequence;
        stream.shards[shard as usize].push(record);
        puts.push(Put { shard, sequence });
    }
    let mut touched: Vec<u32> = puts.iter().map(|p| p.shard).collect();
    touched.sort_unstable();
    touched.dedup();
    for shard in touched {
        stream.shards[shard as usize].wake();
    }
    Ok(puts)
}
