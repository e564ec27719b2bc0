//! What every step that runs a plugin does: says what a call is told, asks again when the plugin wants that, and passes on what came back.
//!
//! The rule: a record that fails alone is a reject with the guest's backtrace; a plugin that asks for a retry is called again with the same
//! call, and one that cannot go on stops the step.
//! Left to others: the calls themselves (`component`, `stateful`, `window::component`), what becomes of rejects (`reject`).

use std::time::Duration;

use super::{Outputs, RowReject};
use crate::{
    clock::{self, Clock},
    error::{Error, Kind, Result},
    plugin::{Bisected, Call, Emitted, Failure, RecordError, Rejected},
    random,
    record::{self, Batch, Branch},
};

/// A plugin is asked so often again, when it asks for a retry.
const RETRIES: u32 = 8;

/// How often a plugin asked to be called again.
#[derive(Debug, Default)]
pub struct Retries(u32);

impl Retries {
    /// Waits before the plugin is called again, longer each time; an error where this failure does not ask for that, or did so too often.
    pub async fn pause(&mut self, failure: Failure) -> Result<()> {
        match failure {
            Failure::Retry(why) if self.0 < RETRIES => {
                tracing::warn!("the plugin asks to be called again: {why}");
                clock::sleep(random::back_off(self.0, Duration::from_millis(100), Duration::from_secs(10))).await;
                self.0 += 1;
                Ok(())
            }
            Failure::State(why) => Err(Error::new(Kind::State, why)),
            failure => Err(Error::new(Kind::Step, failure.to_string())),
        }
    }
}

/// Passes on what came of a batch: rows by output (`branches` has one an output), and rejects with the batch.
pub fn deliver(done: Bisected, branches: &[Branch], from: Batch, out: &mut Outputs) {
    for ((output, emitted), branch) in done.processed.outputs.into_iter().enumerate().zip(branches) {
        if !emitted.source.is_empty() {
            out.batches.push((output, emitted_rows(&from, emitted, *branch)));
        }
    }
    let rejects = rejects(done.processed.errors, &done.rejected);
    if !rejects.is_empty() {
        out.rejects.push((from, rejects));
    }
}

/// The records (or windows) that a plugin refused and those that broke it, rising.
pub fn rejects(refused: Vec<RecordError>, rejected: &[Rejected]) -> Vec<RowReject> {
    let broke = rejected.iter().map(|rejected| RowReject {
        row: rejected.row,
        code: rejected.failure.code().to_owned(),
        message: rejected.failure.to_string(),
    });
    let refused =
        refused.into_iter().map(|error| RowReject { row: error.row, code: error.code, message: error.message });
    let mut rejects: Vec<RowReject> = refused.chain(broke).collect();
    rejects.sort_by_key(|reject| reject.row);
    rejects
}

/// What a call with a batch is told.
pub fn call(clock: &dyn Clock, batch: &Batch) -> Call {
    told(clock, batch.watermark_us.first().copied().unwrap_or(record::MIN_US), batch.seed())
}

/// What a call is told: the same again for retries and bisections of the same batch, so it is made once for all of them.
pub fn told(clock: &dyn Clock, watermark_us: i64, seed: u64) -> Call {
    Call { now_ms: clock.wall_us() / 1000, seed, watermark_ms: record::watermark_ms(watermark_us) }
}

/// The rows that a plugin made, with the origin of the rows they come from. A plugin may emit them in any order.
fn emitted_rows(input: &Batch, emitted: Emitted, branch: Branch) -> Batch {
    let Emitted { source, event_us, fields, .. } = emitted;
    let at = |row: &u32| *row as usize;
    let mut counts = vec![0u64; input.len()];
    let mut nth = Vec::with_capacity(source.len());
    for row in &source {
        let count = &mut counts[at(row)];
        nth.push(branch.nth(input.nth[at(row)], *count));
        *count += 1;
    }
    Batch {
        origin: input.origin.clone(),
        rows: source.iter().map(|row| input.rows[at(row)]).collect(),
        nth,
        event_us: event_us.unwrap_or_else(|| source.iter().map(|row| input.event_us[at(row)]).collect()),
        watermark_us: source.iter().map(|row| input.watermark_us[at(row)]).collect(),
        fields,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::{collections::BTreeSet, sync::Arc};

    use arrow::{array::RecordBatch, datatypes::Schema};

    use super::*;
    use crate::contract;

    #[test]
    fn rows_of_one_record_are_told_apart_in_whatever_order_they_are_emitted() {
        let input = contract::rows(0..3);
        let emit = |source: Vec<u32>| {
            let fields = RecordBatch::new_empty(Arc::new(Schema::empty()));
            let emitted =
                Emitted { fields, source, event_us: None, partition_key: None, payload: None, operation: None };
            emitted_rows(&input, emitted, Branch::new("split", 0))
        };
        let mixed = emit(vec![0, 1, 0, 2, 0]);
        let ids: BTreeSet<(u32, u64)> = mixed.rows.iter().copied().zip(mixed.nth.iter().copied()).collect();
        assert_eq!(ids.len(), 5, "{ids:?}");
        let sorted = emit(vec![0, 0, 0, 1, 2]);
        assert_eq!(ids, sorted.rows.iter().copied().zip(sorted.nth).collect());
    }
}
