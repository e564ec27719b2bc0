//! Going on in the middle of a batch.
//!
//! The rule: what is done, and everything before it, is not handed out again; what is not done is.
//! Left to others: which position is remembered (`checkpoint`).

use std::sync::Arc;

use crate::record::{Cells, RawBatch, Records, Sequence};

/// The part of a batch after `done`; none when nothing is left.
pub fn after(batch: &RawBatch, done: Option<(Sequence, u32)>) -> Option<RawBatch> {
    let records = &batch.records;
    let at = |row: usize| (records.sequence[row], records.sub_sequence[row]);
    let first = match done {
        None => 0,
        Some(done) => (0..batch.len()).position(|row| at(row) > done).unwrap_or(batch.len()),
    };
    match first {
        _ if first == batch.len() => None,
        0 => Some(batch.clone()),
        _ => Some(tail(batch, first)),
    }
}

fn tail(batch: &RawBatch, first: usize) -> RawBatch {
    let records = &batch.records;
    let cells = |from: &Cells| (first..from.len()).map(|row| from.cell(row)).collect::<Cells>();
    RawBatch {
        records: Arc::new(Records {
            stream: records.stream.clone(),
            shard: records.shard.clone(),
            sequence: records.sequence[first..].to_vec(),
            sub_sequence: records.sub_sequence[first..].to_vec(),
            partition_key: cells(&records.partition_key),
            arrival_us: records.arrival_us[first..].to_vec(),
        }),
        data: cells(&batch.data),
    }
}

/// The position of the last record of a batch.
pub fn last(batch: &RawBatch) -> Option<(Sequence, u32)> {
    Some((*batch.records.sequence.last()?, *batch.records.sub_sequence.last()?))
}
