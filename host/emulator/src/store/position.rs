//! Where a reader starts: the five types of GetShardIterator and SubscribeToShard, and iterators as text.
//!
//! The rule: a place is a lower bound among sequence numbers, so a number need not be a record's to be a place; a
//! continuation works as well. An iterator holds everything needed to go on, so the store keeps nothing about readers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::{ApiError, ErrorKind, invalid};
use super::shard::{Shard, id_of};
use super::{Millis, Sequence};

pub const ITERATOR_LIFE_MILLIS: u64 = 5 * 60 * 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    TrimHorizon,
    Latest,
    At(String),
    After(String),
    AtTime(Millis),
}

impl Position {
    /// From the fields of a request; `timestamp` is in seconds.
    pub fn parse(kind: &str, sequence: Option<&str>, timestamp: Option<f64>) -> Result<Self, ApiError> {
        let number = || {
            let missing = || invalid(format!("a starting position of type {kind} needs a sequence number"));
            sequence.map(str::to_owned).ok_or_else(missing)
        };
        match kind {
            "TRIM_HORIZON" => Ok(Self::TrimHorizon),
            "LATEST" => Ok(Self::Latest),
            "AT_SEQUENCE_NUMBER" => Ok(Self::At(number()?)),
            "AFTER_SEQUENCE_NUMBER" => Ok(Self::After(number()?)),
            "AT_TIMESTAMP" => match timestamp {
                Some(seconds) => Ok(Self::AtTime(millis(seconds)?)),
                None => Err(invalid("a starting position of type AT_TIMESTAMP needs a timestamp")),
            },
            _ => Err(ApiError::new(
                ErrorKind::Validation,
                format!(
                    "1 validation error detected: Value '{kind}' at 'shardIteratorType' failed to satisfy constraint: \
                     Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, \
                     AT_SEQUENCE_NUMBER, TRIM_HORIZON]"
                ),
            )),
        }
    }

    /// The least number that the reader wants.
    pub fn resolve(&self, shard: &Shard, now: Millis, stream: &str) -> Result<Sequence, ApiError> {
        match self {
            Self::TrimHorizon => Ok(shard.starting()),
            Self::Latest => Ok(shard.tip()),
            Self::At(text) => number_of(text, shard, stream),
            Self::After(text) => Ok(number_of(text, shard, stream)?.successor()),
            Self::AtTime(time) if *time > now => {
                Err(invalid(format!("timestamp {time} ms lies ahead of the clock, which is at {now} ms")))
            }
            Self::AtTime(time) => Ok(shard.at_time(*time)),
        }
    }
}

/// A request's time stamp, given in seconds with a fraction.
pub fn millis(seconds: f64) -> Result<Millis, ApiError> {
    if !seconds.is_finite() || !(0.0..1e13).contains(&seconds) {
        return Err(invalid(format!("timestamp {seconds} is out of range: give seconds since 1970")));
    }
    Ok((seconds * 1000.0).round() as Millis)
}

fn number_of(text: &str, shard: &Shard, stream: &str) -> Result<Sequence, ApiError> {
    let parsed = text.parse::<Sequence>().ok();
    let own = parsed.filter(|number| number.belongs_to(shard.birth, shard.index));
    own.ok_or_else(|| {
        invalid(format!(
            "StartingSequenceNumber {} is invalid for shard {} in stream {stream} under account 000000000000 because \
             it did not come from this shard.",
            text.chars().take(140).collect::<String>(),
            shard.id()
        ))
    })
}

/// What an iterator's text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iterator {
    pub stream: String,
    pub stream_created: Millis,
    pub shard: u32,
    pub next: Sequence,
    pub issued: Millis,
}

impl Iterator {
    pub fn encode(&self) -> String {
        let Self { stream, stream_created, shard, next, issued } = self;
        STANDARD.encode(format!("1/{stream}/{stream_created}/{shard}/{next}/{issued}"))
    }

    pub fn decode(text: &str, now: Millis) -> Result<Self, ApiError> {
        let iterator = Self::parse(text).ok_or_else(|| invalid("Invalid ShardIterator."))?;
        let age = now.saturating_sub(iterator.issued);
        if age > ITERATOR_LIFE_MILLIS {
            return Err(ApiError::new(
                ErrorKind::ExpiredIterator,
                format!(
                    "Iterator expired. The iterator for {} was created {age} ms ago, longer than the tolerated delay \
                     of {ITERATOR_LIFE_MILLIS} milliseconds.",
                    id_of(iterator.shard)
                ),
            ));
        }
        Ok(iterator)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let parts: Vec<&str> = plain.split('/').collect();
        let ["1", stream, created, shard, next, issued] = parts.as_slice() else {
            return None;
        };
        Some(Self {
            stream: (*stream).to_owned(),
            stream_created: created.parse().ok()?,
            shard: shard.parse().ok()?,
            next: next.parse().ok()?,
            issued: issued.parse().ok()?,
        })
    }
}
