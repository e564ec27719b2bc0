//! A plugin of the world `aggregator`: records are folded into accumulators, which the host keeps.
//!
//! The rule: an accumulator is opaque bytes here; there is exactly one a group, before and after.
//! Left to others: which groups there are, and when they are finished (`window`).

use std::{fmt, time::Duration};

use arrow::array::RecordBatch;

use crate::plugin::{
    Call, Failure, Manifest, Metrics, Processed, RecordError,
    bindings::{
        aggregate::{self, FoldInput},
        types::{self, ColumnParam},
    },
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
        let input = self.manifest.input();
        let rows = lower::Rows::new(batch, 0..batch.len(), &input.identity, &input.fields)?;
        let keys = lower::keys(&groups.keys)?;
        let (fields, shards, key_fields) = (rows.fields(), rows.shards(), lower::params(&keys));
        let mut running = self.begin(call).await?;
        let (aggregate, store) = running.aggregate();
        let argument = FoldInput {
            records: rows.param(call, &fields, &shards),
            groups: windows(groups, &key_fields),
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
        let mut running = self.begin(call).await?;
        let (aggregate, store) = running.aggregate();
        let answer = aggregate.call_combine(store, lower::cells(parts), offsets).await;
        let combined = self.instance.end(running, answer)?;
        lift::cells(combined, groups, "accumulators").map_err(|what| self.instance.broke(what))
    }

    /// Makes results of groups; `source` of a result is its group.
    pub async fn finish(&mut self, call: &Call, closing: &Closing) -> Result<Processed, Failure> {
        let count = closing.groups.len();
        let keys = lower::keys(&closing.groups.keys)?;
        let key_fields = lower::params(&keys);
        let firing: Vec<aggregate::Firing> = closing.firing.iter().map(|firing| lowered(*firing)).collect();
        let mut running = self.begin(call).await?;
        let (aggregate, store) = running.aggregate();
        let argument = aggregate::Closing {
            groups: windows(&closing.groups, &key_fields),
            firing: &firing,
            firing_number: &closing.firing_number,
            accumulators: lower::cells(&closing.accumulators),
            now_ms: call.now_ms,
            seed: call.seed,
            watermark_ms: call.watermark_ms,
        };
        let answer = aggregate.call_finish(store, argument).await;
        let processed = self.instance.end(running, answer)?;
        let rows_per_row = self.instance.limits().rows_per_row;
        let given = lift::Given { sources: count, keys: None, outputs: &self.manifest.outputs, rows_per_row };
        lift::processed(processed, given).map_err(|what| self.instance.broke(what))
    }

    async fn begin(&mut self, call: &Call) -> Result<crate::plugin::instance::Running, Failure> {
        let budget = self.instance.limits().call_time;
        self.instance.begin(call, budget, None).await
    }
}

fn windows<'a>(windows: &'a Windows, fields: &'a [ColumnParam<'a>]) -> aggregate::Windows<'a> {
    aggregate::Windows {
        keys: types::KeySet { bytes: lower::cells(&windows.keys.bytes), fields },
        key: &windows.key,
        start_ms: &windows.start_ms,
        end_ms: &windows.end_ms,
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
