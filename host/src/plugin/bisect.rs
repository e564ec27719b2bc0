//! Finds the records that make a batch fail, so that the others get through.
//!
//! The rule: a record is rejected only when it failed **alone**; one that took too long only when, alone, in a fresh instance and with
//! twice the time, it took too long again. The search has a budget; past it the batch has failed as a whole and nothing came of it.
//! Left to others: what is done with a rejected record (`reject`), and how many are too many (`job`).

use std::{ops::Range, time::Duration};

use arrow::compute::concat_batches;

use super::{Call, Emitted, Failure, Processed, RecordError, TransformerInstance, describe::Output};
use crate::record::{Batch, Cells, CellsBuilder};

/// Part of a call's time that the smallest part of a batch gets.
const LEAST_SHARE: f64 = 0.05;

/// A record that failed alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// row of the batch
    pub row: u32,
    /// what it did to the plugin
    pub failure: Failure,
}

/// What became of a batch, with the records at fault taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Bisected {
    /// of all other records; `source` and rows of errors count from the start of the batch
    pub processed: Processed,
    /// rising by row
    pub rejected: Vec<Rejected>,
}

/// One call with the whole batch; a search only if that fails.
pub(super) async fn process(plugin: &mut TransformerInstance, call: &Call, batch: &Batch) -> Result<Bisected, Failure> {
    let budget = plugin.instance().limits().call_time;
    match plugin.part(call, batch, 0..batch.len(), budget).await {
        Ok(processed) => Ok(Bisected { processed, rejected: Vec::new() }),
        Err(failure) if !blames_records(&failure) => Err(failure),
        Err(failure) => Search::new(plugin, call, batch).run(failure).await,
    }
}

/// Whether a smaller batch may fare better.
fn blames_records(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Trap { .. } | Failure::TimedOut { .. } | Failure::Invalid { .. } | Failure::Missing { .. }
    )
}

struct Search<'a> {
    plugin: &'a mut TransformerInstance,
    call: &'a Call,
    batch: &'a Batch,
    calls_left: u32,
    time_left: Duration,
    good: Vec<(usize, Processed)>,
    rejected: Vec<Rejected>,
}

impl<'a> Search<'a> {
    fn new(plugin: &'a mut TransformerInstance, call: &'a Call, batch: &'a Batch) -> Self {
        let limits = plugin.instance().limits();
        let (calls_left, time_left) = (limits.bisect_calls, limits.bisect_time);
        Self { plugin, call, batch, calls_left, time_left, good: Vec::new(), rejected: Vec::new() }
    }

    /// Depth first and left to right, so that what is found is in the order of the batch.
    async fn run(mut self, first: Failure) -> Result<Bisected, Failure> {
        let mut open = Vec::new();
        let whole = 0..self.batch.len();
        self.split(whole, first, &mut open).await?;
        while let Some(range) = open.pop() {
            let budget = self.share(range.len());
            match self.attempt(range.clone(), budget).await {
                Ok(processed) => self.good.push((range.start, processed)),
                Err(failure) if blames_records(&failure) => self.split(range, failure, &mut open).await?,
                Err(failure) => return Err(failure),
            }
        }
        let outputs = &self.plugin.manifest().outputs;
        Ok(Bisected { processed: join(self.good, outputs)?, rejected: self.rejected })
    }

    /// Halves a range that failed, or rejects it when it is one record.
    async fn split(
        &mut self,
        range: Range<usize>,
        failure: Failure,
        open: &mut Vec<Range<usize>>,
    ) -> Result<(), Failure> {
        if range.len() > 1 {
            if self.calls_left == 0 || self.time_left.is_zero() {
                return Err(self.gave_up(failure));
            }
            let middle = range.start + range.len() / 2;
            open.push(middle..range.end);
            open.push(range.start..middle);
            return Ok(());
        }
        if range.is_empty() {
            return Err(failure);
        }
        let failure = match failure {
            Failure::TimedOut { .. } => {
                self.plugin.instance().renew();
                let twice = self.plugin.instance().limits().call_time.saturating_mul(2);
                match self.attempt(range.clone(), twice).await {
                    Ok(processed) => {
                        self.good.push((range.start, processed));
                        return Ok(());
                    }
                    Err(failure) if blames_records(&failure) => failure,
                    Err(failure) => return Err(failure),
                }
            }
            failure => failure,
        };
        let row = u32::try_from(range.start).expect("a batch that was called with has at most 2^32 rows");
        self.rejected.push(Rejected { row, failure });
        Ok(())
    }

    /// A part gets its share of the time of a call, else one record that never ends would use up the budget of the search.
    /// A part that is cut short wrongly is only split further.
    fn share(&mut self, rows: usize) -> Duration {
        let whole = self.plugin.instance().limits().call_time;
        whole.mul_f64((rows as f64 / self.batch.len() as f64).max(LEAST_SHARE))
    }

    async fn attempt(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        if self.calls_left == 0 || self.time_left.is_zero() {
            let rows = format!("rows {} to {} were not tried", range.start, range.end.saturating_sub(1));
            return Err(Failure::Fatal(format!("{}: {rows}", self.exhausted())));
        }
        self.calls_left -= 1;
        let result = self.plugin.part(self.call, self.batch, range, budget).await;
        self.time_left = self.time_left.saturating_sub(self.plugin.spent());
        result
    }

    fn exhausted(&self) -> String {
        let limits_hint = format!("{} records were found at fault", self.rejected.len());
        format!("the search for bad records used up its budget of calls or time, {limits_hint}")
    }

    fn gave_up(&self, last: Failure) -> Failure {
        Failure::Fatal(format!("{}; the last failure: {last}", self.exhausted()))
    }
}

/// Results of parts, in the order of the batch, as one.
fn join(parts: Vec<(usize, Processed)>, outputs: &[Output]) -> Result<Processed, Failure> {
    let mut errors = Vec::new();
    let mut columns: Vec<Vec<(u32, Emitted)>> = outputs.iter().map(|_| Vec::new()).collect();
    for (start, part) in parts {
        let start = u32::try_from(start).expect("a batch that was called with has at most 2^32 rows");
        errors.extend(part.errors.into_iter().map(|error| RecordError { row: error.row + start, ..error }));
        columns.iter_mut().zip(part.outputs).for_each(|(column, emitted)| column.push((start, emitted)));
    }
    let outputs =
        columns.into_iter().zip(outputs).map(|(parts, output)| join_output(parts, output)).collect::<Result<_, _>>()?;
    Ok(Processed { outputs, errors })
}

fn join_output(parts: Vec<(u32, Emitted)>, output: &Output) -> Result<Emitted, Failure> {
    let fields = concat_batches(&output.schema, parts.iter().map(|(_, part)| &part.fields))
        .map_err(|error| Failure::Fatal(format!("output `{}` is too large: {error}", output.name)))?;
    let source = parts.iter().flat_map(|(start, part)| part.source.iter().map(move |row| row + start)).collect();
    let numbers = |sets: bool, pick: fn(&Emitted) -> &Option<Vec<i64>>| {
        sets.then(|| parts.iter().flat_map(|(_, part)| pick(part).iter().flatten().copied()).collect())
    };
    let cells = |sets: bool, pick: fn(&Emitted) -> &Option<Cells>| {
        sets.then(|| {
            let mut joined = CellsBuilder::default();
            parts
                .iter()
                .filter_map(|(_, part)| pick(part).as_ref())
                .flat_map(Cells::iter)
                .for_each(|cell| joined.push(cell));
            joined.finish()
        })
    };
    Ok(Emitted {
        event_us: numbers(output.sets.event_time, |part| &part.event_us),
        partition_key: cells(output.sets.partition_key, |part| &part.partition_key),
        payload: cells(output.sets.payload, |part| &part.payload),
        operation: output
            .sets
            .operation
            .then(|| parts.iter().flat_map(|(_, part)| part.operation.iter().flatten().copied()).collect()),
        source,
        fields,
    })
}
