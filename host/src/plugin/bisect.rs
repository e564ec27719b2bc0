//! Finds the records that make a batch fail, so that the others get through.
//!
//! The rule: a record is rejected only when it failed **alone**; one that took too long only when, alone, in a fresh instance and with
//! twice the time, it took too long again. The search has a budget that every part that is done with gives back, and a bound on its time
//! as a whole; what is untried when one of them is used up is rejected as not tried, so that no batch stops a job for ever.
//! Left to others: what is done with a rejected record (`reject`), and how many are too many (`job`).

use std::{ops::Range, time::Duration};

use arrow::compute::concat_batches;

use super::{
    Emitted, Failure, Outcome, Processed, RecordError, Request, TimerOps, describe::Output, instance::Instance,
};
use crate::record::{Cells, CellsBuilder};

/// Part of a call's time that the smallest part of a batch gets.
const LEAST_SHARE: f64 = 0.05;

/// The whole search may take the time of so many: as many records as may fail in an epoch without more ado.
const SEARCHES: u32 = 20;

/// A record that failed alone, or was not tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// row of the batch
    pub row: u32,
    /// what it did to the plugin
    pub failure: Failure,
    /// what the plugin saw beside it
    pub seen: Seen,
}

/// What a plugin saw beside a record when it failed over that alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// the state of its key, where the plugin has state; of an aggregator the accumulator of a window
    pub state: KeyState,
    /// that window: its start, included, and its end, milliseconds since 1970
    pub window_ms: Option<(i64, i64)>,
    /// what the plugin had asked, and what came of it, in the order in which it was asked
    pub answers: Vec<(Request, Outcome)>,
}

/// State of a key, as far as it was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// the plugin's tables: name and version, in the manifest's order
    pub tables: Vec<(String, u32)>,
    /// what there is
    pub cells: Vec<StateCell>,
    /// there is more: it was too much, or could not be read
    pub is_cut: bool,
}

/// A value of a key's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCell {
    /// index in the manifest's tables
    pub table: u32,
    /// empty where the table has none
    pub sub_key: Vec<u8>,
    /// as the plugin wrote it
    pub value: Vec<u8>,
}

/// What became of a batch, with the records at fault taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Bisected {
    /// of all other records; `source` and rows of errors count from the start of the batch
    pub processed: Processed,
    /// rising by row
    pub rejected: Vec<Rejected>,
}

/// What can be called with a part of its items: a batch with its plugin, or timers that are due.
pub(super) trait Divisible {
    /// How many items there are.
    fn len(&self) -> usize;

    fn instance(&mut self) -> &mut Instance;

    fn outputs(&self) -> &[Output];

    /// What there was beside an item whose part has just failed, as far as it is not too much to look at.
    fn seen(&self, item: usize) -> Seen {
        let _ = item;
        Seen::default()
    }

    /// CPU time that the last part took.
    fn spent(&mut self) -> Duration {
        self.instance().spent()
    }

    /// One call with some items; rows of the result count from the start of the range.
    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure>;
}

/// One call with all items; a search only if that fails.
pub(super) async fn process(mut whole: impl Divisible) -> Result<Bisected, Failure> {
    let budget = whole.instance().limits().call_time;
    let all = 0..whole.len();
    match whole.part(all, budget).await {
        Ok(processed) => Ok(Bisected { processed, rejected: Vec::new() }),
        Err(failure) if !blames_records(&failure) => Err(failure),
        Err(failure) => Search::new(whole).run(failure).await,
    }
}

/// Whether a smaller batch may fare better.
fn blames_records(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Trap { .. } | Failure::TimedOut { .. } | Failure::Invalid { .. } | Failure::Missing { .. }
    )
}

struct Search<D> {
    whole: D,
    /// until the next part that is done with
    calls_left: u32,
    time_left: Duration,
    /// of the whole search
    time_in_all: Duration,
    good: Vec<(usize, Processed)>,
    rejected: Vec<Rejected>,
}

impl<D: Divisible> Search<D> {
    fn new(mut whole: D) -> Self {
        let limits = whole.instance().limits();
        let (calls_left, time_left) = (limits.bisect_calls, limits.bisect_time);
        let time_in_all = time_left.saturating_mul(SEARCHES);
        Self { whole, calls_left, time_left, time_in_all, good: Vec::new(), rejected: Vec::new() }
    }

    /// A part got through, or one record is found at fault: the search has got somewhere.
    fn refill(&mut self) {
        let limits = self.whole.instance().limits();
        self.calls_left = limits.bisect_calls;
        self.time_left = limits.bisect_time.min(self.time_in_all);
    }

    fn is_over(&self) -> bool {
        self.calls_left == 0 || self.time_left.is_zero()
    }

    /// Depth first and left to right, so that what is found is in the order of the batch.
    async fn run(mut self, first: Failure) -> Result<Bisected, Failure> {
        let mut open = Vec::new();
        let whole = 0..self.whole.len();
        self.split(whole, first, &mut open).await?;
        while let Some(range) = open.pop() {
            if self.is_over() {
                self.not_tried(range);
                continue;
            }
            let budget = self.share(range.len());
            match self.attempt(range.clone(), budget).await {
                Ok(processed) => self.done(range.start, processed),
                Err(failure) if blames_records(&failure) => self.split(range, failure, &mut open).await?,
                Err(failure) => return Err(failure),
            }
        }
        let processed = join(self.good, self.whole.outputs())?;
        Ok(Bisected { processed, rejected: self.rejected })
    }

    /// Halves a range that failed, or rejects it when it is one record.
    async fn split(
        &mut self,
        range: Range<usize>,
        failure: Failure,
        open: &mut Vec<Range<usize>>,
    ) -> Result<(), Failure> {
        if range.len() > 1 {
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
                self.whole.instance().renew();
                let twice = self.whole.instance().limits().call_time.saturating_mul(2);
                match self.attempt(range.clone(), twice).await {
                    Ok(processed) => {
                        self.done(range.start, processed);
                        return Ok(());
                    }
                    Err(failure) if blames_records(&failure) => failure,
                    Err(failure) => return Err(failure),
                }
            }
            failure => failure,
        };
        let seen = self.whole.seen(range.start);
        self.reject(range.start, failure, seen);
        self.refill();
        Ok(())
    }

    fn done(&mut self, start: usize, processed: Processed) {
        self.good.push((start, processed));
        self.refill();
    }

    fn reject(&mut self, row: usize, failure: Failure, seen: Seen) {
        let row = u32::try_from(row).expect("a batch that was called with has at most 2^32 rows");
        self.rejected.push(Rejected { row, failure, seen });
    }

    fn not_tried(&mut self, range: Range<usize>) {
        let found = self.rejected.iter().filter(|rejected| !matches!(rejected.failure, Failure::NotTried(_))).count();
        let what = format!(
            "the search for bad records took too long; {found} were found in this batch before it was given up"
        );
        range.for_each(|row| self.reject(row, Failure::NotTried(what.clone()), Seen::default()));
    }

    /// A part gets its share of the time of a call, else one record that never ends would use up the budget of the search.
    /// A part that is cut short wrongly is only split further.
    fn share(&mut self, rows: usize) -> Duration {
        let time = self.whole.instance().limits().call_time;
        time.mul_f64((rows as f64 / self.whole.len() as f64).max(LEAST_SHARE))
    }

    async fn attempt(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        self.calls_left = self.calls_left.saturating_sub(1);
        let result = self.whole.part(range, budget).await;
        let spent = self.whole.spent();
        self.time_left = self.time_left.saturating_sub(spent);
        self.time_in_all = self.time_in_all.saturating_sub(spent);
        result
    }
}

/// Results of parts, in the order of the batch, as one.
pub(super) fn join(parts: Vec<(usize, Processed)>, outputs: &[Output]) -> Result<Processed, Failure> {
    let (mut errors, mut timers) = (Vec::new(), TimerOps::default());
    let mut columns: Vec<Vec<(u32, Emitted)>> = outputs.iter().map(|_| Vec::new()).collect();
    for (start, part) in parts {
        let start = u32::try_from(start).expect("a batch that was called with has at most 2^32 rows");
        errors.extend(part.errors.into_iter().map(|error| RecordError { row: error.row + start, ..error }));
        timers.extend(part.timers);
        columns.iter_mut().zip(part.outputs).for_each(|(column, emitted)| column.push((start, emitted)));
    }
    let outputs =
        columns.into_iter().zip(outputs).map(|(parts, output)| join_output(parts, output)).collect::<Result<_, _>>()?;
    Ok(Processed { outputs, errors, timers })
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
