//! An event of a subscription becomes records with identity, or progress without records.
//!
//! The rule: what was done before is dropped by (sequence, sub-sequence); an aggregated record is refused by name.
//! Left to others: when to go on from where (`machine`).

use std::sync::Arc;

use aws_sdk_kinesis::types::{ChildShard, HashKeyRange, Record, SubscribeToShardEvent};

use super::aggregate;
use crate::{
    error::{Error, Kind, Result},
    record::{CellsBuilder, RawBatch, Records, Sequence, ShardId},
    source::{Event, Position, Shard, resume},
};

/// Where an event comes from, and what was done before it.
pub struct Context<'a> {
    pub stream: &'a Arc<str>,
    pub shard: &'a ShardId,
    /// by the service's clock
    pub wall_us: i64,
    pub done: Option<(Sequence, u32)>,
}

/// The last record that is done.
type Done = Option<(Sequence, u32)>;

/// What the reader is told, with the last record that is done then; none where a shard ends without records.
pub fn translate(event: SubscribeToShardEvent, context: &Context<'_>) -> Result<Option<(Event, Done)>> {
    let behind_ms = u64::try_from(event.millis_behind_latest).unwrap_or(0);
    let ended = event.continuation_sequence_number.is_empty();
    let continuation = (!ended).then_some(event.continuation_sequence_number);
    let as_of_us = as_of_us(context.wall_us, event.millis_behind_latest);
    let position = |record| Position { record, continuation, as_of_us };
    let batch = raw(&event.records, context)?;
    let Some(batch) = resume::after(&batch, context.done) else {
        let progress = Event::Progress { position: position(context.done), behind_ms };
        return Ok((!ended).then_some((progress, context.done)));
    };
    let done = resume::last(&batch);
    let event = Event::Records { batch, position: position(done), behind_ms: Some(behind_ms) };
    Ok(Some((event, done)))
}

/// What arrived before this is done, once an event is that is so far behind the end of its shard.
pub fn as_of_us(wall_us: i64, behind_ms: i64) -> i64 {
    wall_us.saturating_sub(behind_ms.max(0).saturating_mul(1_000))
}

fn raw(records: &[Record], context: &Context<'_>) -> Result<RawBatch> {
    let (mut keys, mut data) = (CellsBuilder::default(), CellsBuilder::default());
    let mut sequence = Vec::with_capacity(records.len());
    let mut arrival_us = Vec::with_capacity(records.len());
    for record in records {
        let number = record.sequence_number.parse::<Sequence>().map_err(|bad| malformed(context, &bad))?;
        if aggregate::is_aggregate(record.data.as_ref()) {
            return Err(aggregated(context, number));
        }
        sequence.push(number);
        arrival_us.push(record.approximate_arrival_timestamp.map_or(context.wall_us, |time| {
            time.secs().saturating_mul(1_000_000).saturating_add(i64::from(time.subsec_nanos() / 1_000))
        }));
        keys.push(record.partition_key.as_deref().unwrap_or_default().as_bytes());
        data.push(record.data.as_ref());
    }
    let records = Arc::new(Records {
        stream: context.stream.clone(),
        shard: context.shard.clone(),
        sub_sequence: vec![0; sequence.len()],
        sequence,
        partition_key: keys.finish(),
        arrival_us,
    });
    Ok(RawBatch { records, data: data.finish() })
}

/// The shards that go on where this one ended.
pub fn children(children: &[ChildShard]) -> Result<Vec<Shard>> {
    children.iter().map(|child| shard(&child.shard_id, &child.parent_shards, child.hash_key_range.as_ref())).collect()
}

/// A shard as the service describes it.
pub fn shard(id: &str, parents: &[String], range: Option<&HashKeyRange>) -> Result<Shard> {
    let key = |text: &str| {
        let bad = || Error::new(Kind::Internal, format!("shard `{id}` has the hash key `{text}`: expected a number"));
        text.parse::<u128>().map_err(|_| bad())
    };
    let hash_range = match range {
        Some(range) => (key(&range.starting_hash_key)?, key(&range.ending_hash_key)?),
        None => (0, u128::MAX),
    };
    Ok(Shard { id: ShardId::new(id), parents: parents.iter().map(ShardId::new).collect(), hash_range })
}

fn malformed(context: &Context<'_>, bad: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("stream `{}`, shard `{}`: {bad}", context.stream, context.shard))
}

fn aggregated(context: &Context<'_>, sequence: Sequence) -> Error {
    let message = format!(
        "stream `{}`, shard `{}`, record {sequence}: aggregated records are not supported yet; switch aggregation off in the producer",
        context.stream, context.shard
    );
    Error::new(Kind::Config, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use aws_sdk_kinesis::primitives::{Blob, DateTime};
    use md5::{Digest, Md5};

    use super::*;

    fn record(sequence: &str, data: &[u8]) -> Record {
        let time = DateTime::from_secs_and_nanos(3, 5_000_000);
        let builder = Record::builder().sequence_number(sequence).data(Blob::new(data)).partition_key("k");
        builder.approximate_arrival_timestamp(time).build().unwrap()
    }

    fn event(records: Vec<Record>, continuation: &str) -> SubscribeToShardEvent {
        let builder = SubscribeToShardEvent::builder().set_records(Some(records));
        builder.continuation_sequence_number(continuation).millis_behind_latest(7).build().unwrap()
    }

    fn told(event: SubscribeToShardEvent, done: Option<u64>) -> Result<Option<(Event, Done)>> {
        let done = done.map(|number| (Sequence::from_u64(number), 0));
        translate(event, &Context { stream: &Arc::from("s"), shard: &ShardId::new("0"), wall_us: 9, done })
    }

    #[test]
    fn records_keep_their_identity_and_what_is_done_is_dropped() {
        let (event, done) = told(event(vec![record("1", b"a"), record("2", b"b")], "5"), Some(1)).unwrap().unwrap();
        let Event::Records { batch, position, behind_ms: Some(7) } = event else { panic!("{event:?}") };
        assert_eq!((batch.data.cell(0), batch.len()), (&b"b"[..], 1));
        assert_eq!(batch.records.arrival_us, [3_005_000]);
        assert_eq!(done, Some((Sequence::from_u64(2), 0)));
        assert_eq!(position, Position { record: done, continuation: Some("5".into()), as_of_us: 9 - 7_000 });
    }

    #[test]
    fn without_new_records_there_is_progress_and_at_the_end_nothing() {
        let (event_, _) = told(event(vec![record("1", b"a")], "5"), Some(1)).unwrap().unwrap();
        assert!(matches!(event_, Event::Progress { position: Position { record: Some(_), .. }, behind_ms: 7 }));
        assert_eq!(told(event(vec![], ""), Some(1)).unwrap(), None);
    }

    #[test]
    fn the_last_records_of_a_shard_have_no_continuation() {
        let (event, _) = told(event(vec![record("3", b"a")], ""), None).unwrap().unwrap();
        assert!(matches!(event, Event::Records { position: Position { continuation: None, .. }, .. }));
    }

    #[test]
    fn an_aggregate_is_refused_by_name() {
        let data = [&[0xF3, 0x89, 0x9A, 0xC2][..], b"\x0a\x01a", &Md5::digest(b"\x0a\x01a")[..]].concat();
        let refused = told(event(vec![record("77", &data)], "5"), None).unwrap_err();
        assert_eq!(refused.kind(), Kind::Config);
        assert!(refused.to_string().contains("stream `s`, shard `0`, record 77: aggregated"), "{refused}");
    }
}
