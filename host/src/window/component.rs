//! Runs a plugin of the world `aggregator` in a window step: it folds and finishes, the host owns windows and storage.
//!
//! A batch that fails is folded again in halves, so that only the record at fault is rejected and no accumulator is half changed.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{FieldRef, Schema},
};

use super::{
    aggregate::{Aggregate, Finished, Folding},
    key::KeyCodec,
};
use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    plugin::{AggregatorInstance, Call, Closing, Failure, Firing, KeySet, Windows},
    random,
    record::{Batch, Cells, Firings},
    transform::{LocalPending, RowReject},
};

/// So many calls a batch may cost when records are looked for that break the plugin.
const SEARCH: u32 = 32;

/// A plugin that computes windows.
pub struct Component {
    plugin: AggregatorInstance,
    codec: KeyCodec,
    columns: Vec<usize>,
    fields: Vec<FieldRef>,
    clock: Arc<dyn Clock>,
}

impl Component {
    /// `columns` says which column of the input each wanted field is.
    pub fn new(
        plugin: AggregatorInstance,
        codec: KeyCodec,
        columns: Vec<usize>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let outputs = &plugin.manifest().outputs;
        let [output] = outputs.as_slice() else {
            return Err(Error::new(
                Kind::Config,
                format!("the aggregator declares {} outputs; it must have one", outputs.len()),
            ));
        };
        let fields = output.schema.fields().to_vec();
        Ok(Self { plugin, codec, columns, fields, clock })
    }

    fn call(&self) -> Call {
        Call { now_ms: self.clock.wall_us() / 1000, seed: random::bits(), watermark_ms: i64::MIN / 1000 }
    }

    fn windows(&self, firings: &Firings) -> Result<Windows> {
        let columns = self.codec.decode((0..firings.key.len()).map(|row| firings.key.cell(row)))?;
        let schema = Arc::new(Schema::new(self.codec.fields().to_vec()));
        let fields = RecordBatch::try_new(schema, columns).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        Ok(Windows {
            keys: KeySet { bytes: firings.key.clone(), fields },
            key: (0..firings.key.len() as u32).collect(),
            start_ms: firings.start_us.iter().map(|us| us / 1000).collect(),
            end_ms: firings.end_us.iter().map(|us| us / 1000).collect(),
        })
    }

    async fn fold_all(&mut self, batch: &Batch, folding: Folding<'_>) -> Result<Vec<RowReject>> {
        let fields = batch.fields.project(&self.columns).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
        let asked = Batch { fields, ..batch.clone() };
        let windows = self.windows(folding.windows)?;
        let call = self.call();
        let mut rejects = Vec::new();
        let mut calls = 0;
        let mut parts = vec![(0, folding.rows.len())];
        while let Some((from, to)) = parts.pop() {
            calls += 1;
            let cells: Cells = folding.accumulators.iter().map(Vec::as_slice).collect();
            let (rows, groups) = (&folding.rows[from..to], &folding.groups[from..to]);
            match self.plugin.fold(&call, &asked, &windows, rows, groups, &cells).await {
                Ok(folded) => {
                    for (accumulator, cell) in folding.accumulators.iter_mut().zip(folded.accumulators.iter()) {
                        accumulator.clear();
                        accumulator.extend_from_slice(cell);
                    }
                    rejects.extend(folded.errors.into_iter().map(|e| RowReject {
                        row: e.row,
                        code: e.code,
                        message: e.message,
                    }));
                }
                Err(failure @ (Failure::Retry(_) | Failure::Fatal(_))) => {
                    return Err(Error::new(Kind::Step, failure.to_string()));
                }
                Err(failure) if calls >= SEARCH => return Err(Error::new(Kind::Step, failure.to_string())),
                Err(failure) if to - from == 1 => {
                    rejects.push(RowReject {
                        row: rows[0],
                        code: failure.code().to_owned(),
                        message: failure.to_string(),
                    });
                }
                Err(_) => {
                    let middle = from + (to - from) / 2;
                    parts.push((middle, to));
                    parts.push((from, middle));
                }
            }
        }
        rejects.sort_by_key(|reject| reject.row);
        Ok(rejects)
    }

    async fn finish_all(&mut self, firings: &Firings, accumulators: &[Vec<u8>]) -> Result<Finished> {
        let closing = Closing {
            groups: self.windows(firings)?,
            firing: vec![Firing::OnTime; firings.key.len()],
            firing_number: firings.number.clone(),
            accumulators: accumulators.iter().map(Vec::as_slice).collect(),
        };
        let call = self.call();
        let processed =
            self.plugin.finish(&call, &closing).await.map_err(|failure| Error::new(Kind::Step, failure.to_string()))?;
        let rejects =
            processed.errors.into_iter().map(|e| RowReject { row: e.row, code: e.code, message: e.message }).collect();
        let Some(emitted) = processed.outputs.into_iter().next() else {
            return Err(Error::new(Kind::Internal, "a checked aggregator has one output"));
        };
        Ok(Finished { source: emitted.source, columns: emitted.fields.columns().to_vec(), rejects })
    }
}

impl Aggregate for Component {
    fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn fold<'a>(&'a mut self, batch: &'a Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.fold_all(batch, folding))
    }

    fn finish<'a>(
        &'a mut self,
        windows: &'a Firings,
        accumulators: &'a [Vec<u8>],
    ) -> LocalPending<'a, Result<Finished>> {
        Box::pin(self.finish_all(windows, accumulators))
    }
}
