//! Where records come from.
//!
//! What a source owes: the records of a shard in the order of the log, each once per reading, with positions from which the
//! reading can go on; the end of a shard with the names of its children; and a bounded amount of memory whatever the reader
//! of the reader does. A source never decides that progress is durable: it is told where to start and starts there.
//! Left to others: what the bytes mean (`decode`), and which positions are remembered (`checkpoint`).

use std::{future::Future, pin::Pin};

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    record::{RawBatch, Sequence, ShardId},
};

pub mod file;
pub mod kinesis;
pub mod memory;
pub mod resume;

/// A future that a trait object can return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a shard that was never read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// the oldest record that is still kept
    TrimHorizon,
    /// what arrives from now on
    Latest,
    /// what arrived at or after this time, microseconds since 1970
    At(i64),
}

/// Up to where a shard is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// the last record that is done, and its index in an aggregate; none before the first record
    pub record: Option<(Sequence, u32)>,
    /// the continuation that the stream gave with it: progress even where no record came
    pub continuation: Option<String>,
    /// what arrived before this is done, microseconds since 1970 by the clock that stamps arrivals
    pub as_of_us: i64,
}

impl Position {
    /// The time of a position that another application left: nobody knows it, so its age is not judged.
    pub const AGE_UNKNOWN: i64 = i64::MAX;
}

/// Where to begin reading a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// nothing of this shard is done yet
    Start(Start),
    /// everything up to and with the position is done
    After(Position),
}

/// A shard as the source's listing shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// its name
    pub id: ShardId,
    /// the shards that it was split or merged from; they are read first
    pub parents: Vec<ShardId>,
    /// the hash keys it holds, both ends included
    pub hash_range: (u128, u128),
}

/// What a reader says next.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// records, and the position once they are all done
    Records { batch: RawBatch, position: Position, behind_ms: Option<u64> },
    /// nothing new; `behind_ms` 0 means caught up
    Progress { position: Position, behind_ms: u64 },
    /// the shard is read to its end; said once, after its last record
    Ended { children: Vec<Shard> },
}

/// A stream, a folder of files, a list in memory.
pub trait Source: Send + Sync {
    /// The name of the stream or file, for identity.
    fn stream(&self) -> &str;

    /// How it is read, in a word, for people.
    fn mode(&self) -> &'static str {
        "given"
    }

    /// When the stream was made, microseconds since 1970: one made again under the same name holds other records.
    fn created_us(&self) -> Option<i64> {
        None
    }

    /// Now, by the clock that stamps arrivals, if it is not ours; rather early than late.
    fn now_us(&self) -> Option<i64> {
        None
    }

    /// Every shard that can be read now, parents too while they are kept.
    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>>;

    /// The number behind which nothing comes any more in a shard that is closed, where the source knows it.
    fn end<'a>(&'a self, _shard: &'a ShardId) -> Pending<'a, Result<Option<Sequence>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Takes back what was made at the stream to read it, as a consumer that nobody shares. Nobody reads here after that.
    fn leave(&self) -> Pending<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Opens a shard. Reading goes on in the background into a bounded queue until the reader is dropped.
    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>>;
}

/// One shard being read.
pub trait Reader: Send {
    /// The next event. Cancel safe: a dropped call loses nothing. An error is final; what can be mended by trying again was tried.
    fn next(&mut self) -> Pending<'_, Result<Event>>;
}

impl Serialize for Sequence {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ShardId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ShardId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}
