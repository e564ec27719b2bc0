//! Every decoded row gets its time: what the clock of its shard accepts goes on, the rest become rejects.
//!
//! Left to others: where a batch comes from (`partition`, `testing`), what lateness means (`window`).

use arrow::{array::UInt32Array, compute::take_record_batch};

use crate::{
    decode::{Decoded, Reject},
    error::{Error, Kind, Result},
    record::{Batch, Origin, RawBatch},
    window::event_time::{ShardClock, TimeRule},
};

/// The rows that have a time, as a batch of records of `raw`, and every reject so far in the order of the log. Moves the clock on.
pub fn timed(
    clock: &mut ShardClock,
    rule: &TimeRule,
    raw: &RawBatch,
    decoded: Decoded,
) -> Result<(Batch, Vec<Reject>)> {
    let arrival: Vec<i64> = decoded.rows.iter().map(|row| raw.records.arrival_us[*row as usize]).collect();
    let timed = clock.observe(rule, &decoded.fields, &arrival)?;
    let mut rejects = decoded.rejects;
    let origin_row = |row: u32| decoded.rows[row as usize];
    rejects.extend(timed.bad.into_iter().map(|bad| Reject {
        row: origin_row(bad.row),
        code: bad.code,
        message: bad.message,
    }));
    rejects.sort_by_key(|reject| reject.row);
    let fields = if timed.rows.len() == decoded.rows.len() {
        decoded.fields
    } else {
        take_record_batch(&decoded.fields, &UInt32Array::from(timed.rows.clone()))
            .map_err(|e| Error::new(Kind::Internal, e.to_string()))?
    };
    let batch = Batch {
        origin: Origin::Records(raw.records.clone()),
        rows: timed.rows.iter().map(|row| origin_row(*row)).collect(),
        nth: vec![0; timed.rows.len()],
        event_us: timed.event_us,
        watermark_us: timed.watermark_us,
        fields,
    };
    Ok((batch, rejects))
}
