//! The id of a result: the same after every crash and repeat, whatever batch the result came in.
//!
//! The rule: an id is the first 16 bytes of SHA-256 over job, sink and origin, each part with its length in front, so that no
//! two origins write the same bytes. **These bytes never change**: consumers remember ids across versions of Pelton.
//!
//! The parts, numbers as big-endian bytes, texts with their length as 8 bytes in front:
//! - the bytes `pelton id 1`, the job's name, the sink's name;
//! - of a record: `record`, its stream, its shard, its sequence number (24 bytes), its sub-sequence number (4), `nth` (8);
//! - of a window: `firing`, its step, its encoded key, its start and end (8 each, microseconds), the firing's number (4), `nth` (8).
//! - of a timer: `timer`, its step, its encoded key, 1 in event time and 0 else (1), its tag, its time (8, milliseconds), its number
//!   (4), `nth` (8).
//!
//! `nth` tells apart what comes from one record. It is 0 at the source and in a window's result, and changes where rows can part
//! ([`Branch`](crate::record::Branch)): at each output of a plugin, and on the way into a sink or step whose `from` names several
//! outputs, so that one record that takes two ways to a sink has two ids. A filter or a `select` changes nothing: with one in
//! front, ids stay. There: `nth' = s(s(s(nth) ^ b) + count)` in 64 bits, where `b` is the first 8 bytes of SHA-256 over the length
//! (8) and text of the name of the step (or source), and the output's number (8); `count` is how many rows of the same row this
//! output was given before; and `s` is `x += 0x9E3779B97F4A7C15; x = (x ^ x>>30) * 0xBF58476D1CE4E5B9; x = (x ^ x>>27) *
//! 0x94D049BB133111EB; x ^ x>>31`. So renaming a step, or a second output in `from`, gives new ids.
//! Left to others: dropping what comes twice (the consumer).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    planted,
    record::{Batch, Firings, Origin, Records, Timers},
};

/// 16 bytes, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Makes the ids of one sink of one job.
#[derive(Clone, Debug)]
pub struct Ids(Sha256);

impl Ids {
    /// For the sink of this name.
    pub fn new(job: &str, sink: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"pelton id 1");
        part(&mut hash, job.as_bytes());
        part(&mut hash, sink.as_bytes());
        Self(hash)
    }

    /// The id of each row, in order.
    pub fn of(&self, batch: &Batch) -> Vec<Id> {
        let rows = batch.rows.iter().zip(&batch.nth).map(|(row, nth)| (*row as usize, *nth));
        match &batch.origin {
            Origin::Records(records) => {
                let mut shard = self.0.clone();
                shard.update(b"record");
                part(&mut shard, records.stream.as_bytes());
                part(&mut shard, records.shard.as_str().as_bytes());
                rows.map(|(row, nth)| of_record(shard.clone(), records, row, nth)).collect()
            }
            Origin::Firings(firings) => {
                let mut step = self.0.clone();
                step.update(b"firing");
                part(&mut step, firings.step.as_bytes());
                rows.map(|(row, nth)| of_firing(step.clone(), firings, row, nth)).collect()
            }
            Origin::Timers(timers) => {
                let mut step = self.0.clone();
                step.update(b"timer");
                part(&mut step, timers.step.as_bytes());
                rows.map(|(row, nth)| of_timer(step.clone(), timers, row, nth)).collect()
            }
        }
    }
}

fn of_record(mut hash: Sha256, records: &Records, row: usize, nth: u64) -> Id {
    hash.update(records.sequence[row].to_bytes());
    hash.update(records.sub_sequence[row].to_be_bytes());
    hash.update(nth.to_be_bytes());
    if planted::is("ids-by-batch") {
        hash.update(row.to_be_bytes());
    }
    finish(hash)
}

fn of_firing(mut hash: Sha256, firings: &Firings, row: usize, nth: u64) -> Id {
    part(&mut hash, firings.key.cell(row));
    hash.update(firings.start_us[row].to_be_bytes());
    hash.update(firings.end_us[row].to_be_bytes());
    hash.update(firings.number[row].to_be_bytes());
    hash.update(nth.to_be_bytes());
    finish(hash)
}

fn of_timer(mut hash: Sha256, timers: &Timers, row: usize, nth: u64) -> Id {
    part(&mut hash, timers.key.cell(row));
    hash.update([u8::from(timers.in_event_time[row])]);
    part(&mut hash, timers.tag.cell(row));
    hash.update(timers.at_ms[row].to_be_bytes());
    hash.update(timers.number[row].to_be_bytes());
    hash.update(nth.to_be_bytes());
    finish(hash)
}

fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn finish(hash: Sha256) -> Id {
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    Id(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use arrow::{array::RecordBatch, datatypes::Schema};

    use super::*;
    use crate::record::{Cells, Sequence, ShardId};

    fn batch(origin: Origin, rows: Vec<u32>, nth: Vec<u64>) -> Batch {
        let fields = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let times = vec![0; rows.len()];
        Batch { origin, rows, nth, event_us: times.clone(), watermark_us: times, fields }
    }

    fn records() -> Origin {
        Origin::Records(Arc::new(Records {
            stream: "clicks".into(),
            shard: ShardId::new("shardId-000000000000"),
            sequence: vec![Sequence::from_u64(1), Sequence::from_u64(2)],
            sub_sequence: vec![0, 3],
            partition_key: [&b"a"[..], b"b"].into_iter().collect::<Cells>(),
            arrival_us: vec![0, 0],
        }))
    }

    fn firings() -> Origin {
        Origin::Firings(Arc::new(Firings {
            step: "hourly".into(),
            key: [&b"JFK"[..]].into_iter().collect::<Cells>(),
            start_us: vec![0],
            end_us: vec![3_600_000_000],
            number: vec![0],
        }))
    }

    fn timers() -> Origin {
        Origin::Timers(Arc::new(Timers {
            step: "logins".into(),
            key: [&b"JFK"[..]; 3].into_iter().collect::<Cells>(),
            tag: [&b"quiet"[..], b"quiet", b""].into_iter().collect::<Cells>(),
            in_event_time: vec![true, false, true],
            at_ms: vec![1000, 1000, -1],
            number: vec![0, 0, 2],
        }))
    }

    fn text(ids: Vec<Id>) -> Vec<String> {
        ids.iter().map(Id::to_string).collect()
    }

    #[test]
    fn ids_are_fixed_for_ever() {
        let ids = Ids::new("job", "out");
        assert_eq!(text(ids.of(&batch(records(), vec![0, 1, 1], vec![0, 0, 1]))), RECORD_IDS);
        assert_eq!(text(ids.of(&batch(firings(), vec![0], vec![0]))), FIRING_IDS);
        assert_eq!(text(ids.of(&batch(timers(), vec![0, 1, 2], vec![0, 0, 7]))), TIMER_IDS);
    }

    // computed apart from this code, from the rule in the header
    const RECORD_IDS: [&str; 3] =
        ["601bfb611815a86bae457d470b9cfa06", "853c78971391c7d50637d25b48b01a8f", "0f731bf5d1c375a1988b0b1f2383a2a4"];
    const FIRING_IDS: [&str; 1] = ["04893c17a09895d52fe8d4f2ab532f00"];
    const TIMER_IDS: [&str; 3] =
        ["59a0a6039494a4b9e77c50823d8d7096", "c267a464c182874d3b16f4e4412129c5", "0e16238ec26219a9988cc23763f0f401"];

    #[test]
    fn an_id_does_not_depend_on_the_batch_but_on_job_and_sink() {
        let ids = Ids::new("job", "out");
        let alone = ids.of(&batch(records(), vec![1], vec![0]));
        assert_eq!(alone[0], ids.of(&batch(records(), vec![0, 1], vec![0, 0]))[1]);
        assert_ne!(alone, Ids::new("jobo", "ut").of(&batch(records(), vec![1], vec![0])));
    }
}
