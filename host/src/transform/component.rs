//! Runs a plugin of the world `transformer` as a step.
//!
//! Each declared output becomes an output of the step. A record that fails alone is a reject with the guest's backtrace; a plugin
//! that asks for a retry is called again, one that cannot go on stops the step.

use std::{sync::Arc, time::Duration};

use super::{LocalPending, Outputs, RowReject, Step};
use crate::{
    clock::{self, Clock},
    error::{Error, Kind, Result},
    plugin::{Bisected, Call, Emitted, Failure, TransformerInstance},
    random,
    record::{Batch, Branch},
};

/// A plugin is asked so often, when it asks for a retry.
const RETRIES: u32 = 8;

/// A plugin in the graph.
pub struct Component {
    plugin: TransformerInstance,
    /// for each field that the plugin wants, its column in what arrives
    columns: Vec<usize>,
    /// one an output, for ids
    branches: Vec<Branch>,
    clock: Arc<dyn Clock>,
}

impl Component {
    /// The step of this name; `columns` says which column of the input each wanted field is.
    pub fn new(step: &str, plugin: TransformerInstance, columns: Vec<usize>, clock: Arc<dyn Clock>) -> Self {
        let branches = (0..plugin.manifest().outputs.len()).map(|output| Branch::new(step, output)).collect();
        Self { plugin, columns, branches, clock }
    }

    async fn run(&mut self, mut input: Batch, out: &mut Outputs) -> Result<()> {
        let fields = input.fields.project(&self.columns).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        // The batch as the plugin sees it, and back: nothing of it is copied.
        let whole = std::mem::replace(&mut input.fields, fields);
        let call = call(&*self.clock, &input);
        let done = self.call(&call, &input).await?;
        input.fields = whole;
        for ((output, emitted), branch) in done.processed.outputs.into_iter().enumerate().zip(&self.branches) {
            if !emitted.source.is_empty() {
                out.batches.push((output, emitted_rows(&input, emitted, *branch)));
            }
        }
        let mut rejects: Vec<RowReject> = done
            .processed
            .errors
            .into_iter()
            .map(|error| RowReject { row: error.row, code: error.code, message: error.message })
            .collect();
        rejects.extend(done.rejected.into_iter().map(|rejected| RowReject {
            row: rejected.row,
            code: rejected.failure.code().to_owned(),
            message: rejected.failure.to_string(),
        }));
        rejects.sort_by_key(|reject| reject.row);
        if !rejects.is_empty() {
            out.rejects.push((input, rejects));
        }
        Ok(())
    }

    async fn call(&mut self, call: &Call, batch: &Batch) -> Result<Bisected> {
        let mut attempt = 0;
        loop {
            match self.plugin.process_or_bisect(call, batch).await {
                Ok(done) => return Ok(done),
                Err(Failure::Retry(why)) if attempt < RETRIES => {
                    tracing::warn!("the plugin asks to be called again: {why}");
                    clock::sleep(random::back_off(attempt, Duration::from_millis(100), Duration::from_secs(10))).await;
                    attempt += 1;
                }
                Err(failure) => return Err(Error::new(Kind::Step, failure.to_string())),
            }
        }
    }
}

/// What a call is told: the same again for retries and bisections of the same batch.
pub fn call(clock: &dyn Clock, batch: &Batch) -> Call {
    let watermark_us = batch.watermark_us.first().copied().unwrap_or(crate::record::MIN_US);
    Call { now_ms: clock.wall_us() / 1000, seed: random::bits(), watermark_ms: watermark_us / 1000 }
}

/// The rows that a plugin made, with the origin of the rows they come from. A plugin may emit them in any order.
pub fn emitted_rows(input: &Batch, emitted: Emitted, branch: Branch) -> Batch {
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

impl Step for Component {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.run(input, out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

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
