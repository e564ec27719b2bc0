//! A plugin of the world `aggregator`: records are folded into accumulators, which the host keeps.
//!
//! The rule: an accumulator is opaque bytes here; there is exactly one a group, before and after; what a part of a batch that failed did to them
//! is forgotten.
//! Left to others: which groups there are, and when they are finished (`window`), which record or window is at fault (`bisect`).

use std::{collections::HashMap, fmt, ops::Range, time::Duration};

use arrow::array::RecordBatch;

use crate::plugin::{
    Call, Failure, Manifest, Metrics, Processed, RecordError, TimerOps,
    bindings::{
        aggregate::{self, FoldInput},
        types::{self, ColumnParam},
    },
    bisect::{self, Bisected, Divisible, KeyState, Seen, StateCell},
    describe::Output,
    instance::Instance,
    lift, lower,
};
use crate::record::{Batch, Cells};

/// The keys of a call: one cell and one row of typed columns a key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySet {
    /// encoded
    pub bytes: Cells,
    /// the columns of the step's `key:`, in its order
    pub fields: RecordBatch,
}

/// The groups of a call: a key and a window each. The last two have the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// what `key` points into
    pub keys: KeySet,
    /// index of each group's key; empty where groups are folded, which does not depend on keys
    pub key: Vec<u32>,
    /// included
    pub start_ms: Vec<i64>,
    /// excluded
    pub end_ms: Vec<i64>,
}

impl Windows {
    /// How many groups.
    pub fn len(&self) -> usize {
        self.start_ms.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.start_ms.is_empty()
    }
}

/// Why a group is finished now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firing {
    /// before the window's end
    Early,
    /// the watermark has passed the window's end
    OnTime,
    /// again, with late records
    Late,
    /// takes back what was fired before
    Retract,
}

/// Groups to finish. All columns have as many cells as groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Closing {
    pub groups: Windows,
    pub firing: Vec<Firing>,
    pub firing_number: Vec<u32>,
    pub accumulators: Cells,
}

/// What folding gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// one a group
    pub accumulators: Cells,
    /// records that could not be folded
    pub errors: Vec<RecordError>,
}

/// A copy of an aggregator. It is started by its first call and replaced after a failure.
pub struct AggregatorInstance {
    instance: Instance,
    manifest: Manifest,
}

impl fmt::Debug for AggregatorInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AggregatorInstance({})", self.manifest.name)
    }
}

impl AggregatorInstance {
    pub(in crate::plugin) fn new(instance: Instance, manifest: Manifest) -> Self {
        Self { instance, manifest }
    }

    /// What the plugin says of itself under this step's config.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Starts the plugin with its config, so that a config it refuses is known before the first record.
    pub async fn start(&mut self) -> Result<(), Failure> {
        self.instance.warm().await
    }

    /// CPU time that the last call took.
    pub fn spent(&self) -> Duration {
        self.instance.spent()
    }

    /// What the plugin counted since this was last asked.
    pub fn take_metrics(&mut self) -> Metrics {
        self.instance.take_metrics()
    }

    /// Folds record `row[i]` into group `group[i]`. A new group's accumulator is an empty cell.
    pub async fn fold(
        &mut self,
        call: &Call,
        batch: &Batch,
        groups: &Windows,
        row: &[u32],
        group: &[u32],
        accumulators: &Cells,
    ) -> Result<Folded, Failure> {
        let budget = self.instance.limits().call_time;
        self.fold_within(call, batch, (groups, row, group), accumulators, budget).await
    }

    /// As [`AggregatorInstance::fold`]; when that fails, finds the records at fault and folds the others. All rows are those of the batch.
    pub async fn fold_or_bisect(
        &mut self,
        call: &Call,
        batch: &Batch,
        groups: &Windows,
        (row, group): (&[u32], &[u32]),
        mut accumulators: Cells,
    ) -> Result<(Cells, Bisected), Failure> {
        let work = Folds { plugin: self, call, batch, groups, row, group, accumulators: &mut accumulators };
        let Bisected { mut processed, mut rejected } = bisect::process(work).await?;
        let named = |place: &mut u32| *place = row[*place as usize];
        processed.errors.iter_mut().for_each(|error| named(&mut error.row));
        rejected.iter_mut().for_each(|rejected| named(&mut rejected.row));
        Ok((accumulators, Bisected { processed, rejected }))
    }

    async fn fold_within(
        &mut self,
        call: &Call,
        batch: &Batch,
        (groups, row, group): (&Windows, &[u32], &[u32]),
        accumulators: &Cells,
        budget: Duration,
    ) -> Result<Folded, Failure> {
        let input = self.manifest.input();
        let rows = lower::Rows::new(batch, 0..batch.len(), &input.identity, &input.fields)?;
        let keys = lower::keys(&groups.keys)?;
        let (fields, shards, key_fields) = (rows.fields(), rows.shards(), lower::params(&keys));
        let mut running = self.instance.begin(call, budget, None).await?;
        let (aggregate, store) = running.aggregate();
        let argument = FoldInput {
            records: rows.param(call, &fields, &shards),
            groups: windows(groups, 0..groups.len(), &key_fields),
            row,
            group,
            accumulators: lower::cells(accumulators),
        };
        let answer = aggregate.call_fold(store, argument).await;
        let folded = self.instance.end(running, answer)?;
        let checked = lift::cells(folded.accumulators, groups.len(), "accumulators")
            .and_then(|accumulators| Ok(Folded { accumulators, errors: lift::errors(folded.errors, batch.len())? }));
        checked.map_err(|what| self.instance.broke(what))
    }

    /// Joins accumulators: the parts of group `g` are `parts[offsets[g]..offsets[g + 1]]`.
    pub async fn combine(&mut self, call: &Call, parts: &Cells, offsets: &[u32]) -> Result<Cells, Failure> {
        let groups = offsets.len().saturating_sub(1);
        let budget = self.instance.limits().call_time;
        let mut running = self.instance.begin(call, budget, None).await?;
        let (aggregate, store) = running.aggregate();
        let answer = aggregate.call_combine(store, lower::cells(parts), offsets).await;
        let combined = self.instance.end(running, answer)?;
        lift::cells(combined, groups, "accumulators").map_err(|what| self.instance.broke(what))
    }

    /// Makes results of groups; `source` of a result is its group.
    pub async fn finish(&mut self, call: &Call, closing: &Closing) -> Result<Processed, Failure> {
        let budget = self.instance.limits().call_time;
        Closes { plugin: self, call, closing }.part(0..closing.groups.len(), budget).await
    }

    /// As [`AggregatorInstance::finish`]; when that fails, finds the groups at fault and finishes the others.
    pub async fn finish_or_bisect(&mut self, call: &Call, closing: &Closing) -> Result<Bisected, Failure> {
        bisect::process(Closes { plugin: self, call, closing }).await
    }
}

/// Records that are folded, and the accumulators as the parts that are done with have left them.
struct Folds<'a> {
    plugin: &'a mut AggregatorInstance,
    call: &'a Call,
    batch: &'a Batch,
    groups: &'a Windows,
    row: &'a [u32],
    group: &'a [u32],
    accumulators: &'a mut Cells,
}

impl Divisible for Folds<'_> {
    fn len(&self) -> usize {
        self.row.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &[]
    }

    fn seen(&self, item: usize) -> Seen {
        let group = self.group[item] as usize;
        let tables = self.plugin.manifest.tables.iter().map(|table| (table.name.clone(), table.schema_version));
        let value = self.accumulators.cell(group).to_vec();
        let cells = vec![StateCell { table: 0, sub_key: Vec::new(), value }];
        Seen {
            state: KeyState { tables: tables.collect(), cells, is_cut: false },
            window_ms: Some((self.groups.start_ms[group], self.groups.end_ms[group])),
            answers: Vec::new(),
        }
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let (row, group) = (&self.row[range.clone()], &self.group[range]);
        let folded =
            self.plugin.fold_within(self.call, self.batch, (self.groups, row, group), self.accumulators, budget);
        let Folded { accumulators, errors } = folded.await?;
        let places: HashMap<u32, u32> =
            if errors.is_empty() { HashMap::new() } else { row.iter().copied().zip(0..).collect() };
        let place = |error: RecordError| match places.get(&error.row) {
            Some(place) => Ok(RecordError { row: *place, ..error }),
            None => Err(format!("it refuses record {}, which it was not given to fold", error.row)),
        };
        let errors = errors.into_iter().map(place).collect::<Result<_, _>>();
        let errors = errors.map_err(|what| self.plugin.instance.broke(what))?;
        *self.accumulators = accumulators;
        Ok(Processed { outputs: Vec::new(), errors, timers: TimerOps::default() })
    }
}

/// Groups that are finished.
struct Closes<'a> {
    plugin: &'a mut AggregatorInstance,
    call: &'a Call,
    closing: &'a Closing,
}

impl Divisible for Closes<'_> {
    fn len(&self) -> usize {
        self.closing.groups.len()
    }

    fn instance(&mut self) -> &mut Instance {
        &mut self.plugin.instance
    }

    fn outputs(&self) -> &[Output] {
        &self.plugin.manifest.outputs
    }

    async fn part(&mut self, range: Range<usize>, budget: Duration) -> Result<Processed, Failure> {
        let Self { plugin: AggregatorInstance { instance, manifest }, call, closing } = self;
        let keys = lower::keys(&closing.groups.keys)?;
        let key_fields = lower::params(&keys);
        let firing: Vec<aggregate::Firing> = closing.firing[range.clone()].iter().copied().map(lowered).collect();
        let accumulators: Cells = range.clone().map(|group| closing.accumulators.cell(group)).collect();
        let mut running = instance.begin(call, budget, None).await?;
        let (aggregate, store) = running.aggregate();
        let argument = aggregate::Closing {
            groups: windows(&closing.groups, range.clone(), &key_fields),
            firing: &firing,
            firing_number: &closing.firing_number[range.clone()],
            accumulators: lower::cells(&accumulators),
            now_ms: call.now_ms,
            seed: call.seed,
            watermark_ms: call.watermark_ms,
        };
        let answer = aggregate.call_finish(store, argument).await;
        let processed = instance.end(running, answer)?;
        let rows_per_row = instance.limits().rows_per_row;
        let given = lift::Given { sources: range.len(), keys: None, outputs: &manifest.outputs, rows_per_row };
        lift::processed(processed, given).map_err(|what| instance.broke(what))
    }
}

/// Some groups; their keys are those of all.
fn windows<'a>(windows: &'a Windows, range: Range<usize>, fields: &'a [ColumnParam<'a>]) -> aggregate::Windows<'a> {
    aggregate::Windows {
        keys: types::KeySet { bytes: lower::cells(&windows.keys.bytes), fields },
        key: windows.key.get(range.clone()).unwrap_or_default(),
        start_ms: &windows.start_ms[range.clone()],
        end_ms: &windows.end_ms[range],
    }
}

fn lowered(firing: Firing) -> aggregate::Firing {
    match firing {
        Firing::Early => aggregate::Firing::Early,
        Firing::OnTime => aggregate::Firing::OnTime,
        Firing::Late => aggregate::Firing::Late,
        Firing::Retract => aggregate::Firing::Retract,
    }
}
