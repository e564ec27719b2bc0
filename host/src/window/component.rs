//! Runs a plugin of the world `aggregator` in a window step: it folds and finishes, the host owns windows and storage.
//!
//! The rule: a batch, or windows that fire together, count when all of it is done: no accumulator is half changed, and a plugin that asks for a retry
//! finds them as they were.
//! Left to others: which record or window is at fault (`plugin`), when windows fire (`aggregate`).

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{FieldRef, Schema},
};

use super::{
    aggregate::{self, Accumulators, Aggregate, Finished, Folding, Unfolded, Why},
    slots::Slots,
};
use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    plugin::{AggregatorInstance, Closing, Firing, KeySet, Windows},
    random,
    record::{Batch, Cells, CellsBuilder, Firings},
    state::codec::KeyCodec,
    transform::{
        LocalPending,
        calling::{self, Retries, told},
        evidence::{self, Asked},
        wanted::Wanted,
    },
};

/// A plugin that computes windows.
pub struct Component {
    plugin: AggregatorInstance,
    codec: KeyCodec,
    wanted: Wanted,
    fields: Vec<FieldRef>,
    clock: Arc<dyn Clock>,
    /// by slot; empty: a new one
    accumulators: Vec<Vec<u8>>,
    /// by slot: the call that it was last a group of, and which
    stamps: Vec<(u64, u32)>,
    stamp: u64,
}

struct Groups {
    slots: Vec<u32>,
    of_row: Vec<u32>,
}

impl Component {
    /// A window's plugin; `Kind::Config` where it has not one output.
    pub fn new(plugin: AggregatorInstance, codec: KeyCodec, wanted: Wanted, clock: Arc<dyn Clock>) -> Result<Self> {
        let outputs = &plugin.manifest().outputs;
        let [output] = outputs.as_slice() else {
            return Err(Error::new(
                Kind::Config,
                format!("the aggregator declares {} outputs; it must have one", outputs.len()),
            ));
        };
        let fields = output.schema.fields().to_vec();
        Ok(Self { plugin, codec, wanted, fields, clock, accumulators: Vec::new(), stamps: Vec::new(), stamp: 0 })
    }

    /// The groups of a call that folds: keys are not told, as they would cost more than the folding where most groups have one record.
    fn folded(&self, windows: &Slots, slots: &[u32]) -> Windows {
        let start_us = |slot: &u32| windows.get(*slot).start_us;
        Windows {
            keys: KeySet { bytes: Cells::default(), fields: RecordBatch::new_empty(Arc::new(Schema::empty())) },
            key: Vec::new(),
            start_ms: slots.iter().map(|slot| start_us(slot) / 1000).collect(),
            end_ms: slots.iter().map(|slot| windows.end_us(start_us(slot)) / 1000).collect(),
        }
    }

    /// The groups of a call that finishes.
    fn finished(&self, firings: &Firings) -> Result<Windows> {
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

    /// Which groups a call has: the distinct slots of its rows in the order in which they come, and the group of each row.
    fn group(&mut self, slots: &[u32]) -> Groups {
        let most = slots.iter().max().map_or(0, |slot| *slot as usize + 1);
        if self.accumulators.len() < most {
            self.accumulators.resize_with(most, Vec::new);
            self.stamps.resize(most, (0, 0));
        }
        self.stamp += 1;
        let mut groups = Groups { slots: Vec::new(), of_row: Vec::with_capacity(slots.len()) };
        for slot in slots {
            let stamp = &mut self.stamps[*slot as usize];
            if stamp.0 != self.stamp {
                *stamp = (self.stamp, groups.slots.len() as u32);
                groups.slots.push(*slot);
            }
            groups.of_row.push(stamp.1);
        }
        groups
    }

    fn cells(&self, slots: &[u32]) -> Cells {
        let of = |slot: &u32| self.accumulators.get(*slot as usize).map_or(&[][..], Vec::as_slice);
        let mut cells = CellsBuilder::with_capacity(slots.len(), slots.iter().map(|slot| of(slot).len()).sum());
        slots.iter().for_each(|slot| cells.push(of(slot)));
        cells.finish()
    }

    /// Folds a batch whose fields are those that the plugin wants.
    async fn fold_all(&mut self, batch: &Batch, folding: Folding<'_>) -> Result<Unfolded> {
        let Groups { slots, of_row } = self.group(folding.slots);
        let windows = self.folded(folding.windows, &slots);
        let call = told(&*self.clock, folding.watermark_us, batch.seed());
        let mut retries = Retries::default();
        let (accumulators, done) = loop {
            let (cells, rows) = (self.cells(&slots), (folding.rows, of_row.as_slice()));
            match self.plugin.fold_or_bisect(&call, batch, &windows, rows, cells).await {
                Ok(done) => break done,
                Err(failure) => retries.pause(failure).await?,
            }
        };
        for (slot, cell) in slots.iter().zip(accumulators.iter()) {
            let accumulator = &mut self.accumulators[*slot as usize];
            accumulator.clear();
            accumulator.extend_from_slice(cell);
        }
        let asked = Asked { call: &call, input: 0, batch, keyed: None, due: None };
        let evidence = evidence::take(&asked, &done.rejected);
        Ok(Unfolded { rejects: calling::rejects(done.processed.errors, &done.rejected), evidence })
    }

    /// Finishes windows; those that break the plugin are looked for, so that the others get through.
    async fn finish_all(&mut self, firings: &Firings, slots: &[u32], why: Why) -> Result<Finished> {
        let firing = match why.firing {
            aggregate::Firing::Early => Firing::Early,
            aggregate::Firing::OnTime => Firing::OnTime,
            aggregate::Firing::Late => Firing::Late,
        };
        let closing = Closing {
            groups: self.finished(firings)?,
            firing: vec![firing; slots.len()],
            firing_number: firings.number.clone(),
            accumulators: self.cells(slots),
        };
        let drawn = (&firings.step, firings.key.iter().next(), firings.start_us.first(), firings.number.first());
        let call = told(&*self.clock, why.watermark_us, random::bits_for(drawn));
        let mut retries = Retries::default();
        let done = loop {
            match self.plugin.finish_or_bisect(&call, &closing).await {
                Ok(done) => break done,
                Err(failure) => retries.pause(failure).await?,
            }
        };
        let Some(emitted) = done.processed.outputs.into_iter().next() else {
            return Err(Error::new(Kind::Internal, "a checked aggregator has one output"));
        };
        let rejects = calling::rejects(done.processed.errors, &done.rejected);
        Ok(Finished { source: emitted.source, columns: emitted.fields.columns().to_vec(), rejects })
    }
}

impl Aggregate for Component {
    fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn fold<'a>(&'a mut self, batch: &'a mut Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Unfolded>> {
        Box::pin(async move {
            let asked = self.wanted.of(&batch.fields)?;
            let whole = std::mem::replace(&mut batch.fields, asked);
            let folded = self.fold_all(batch, folding).await;
            batch.fields = whole;
            folded
        })
    }

    fn finish<'a>(
        &'a mut self,
        windows: &'a Firings,
        slots: &'a [u32],
        why: Why,
    ) -> LocalPending<'a, Result<Finished>> {
        Box::pin(self.finish_all(windows, slots, why))
    }
}

impl Accumulators for Component {
    fn save(&self, slot: u32, into: &mut Vec<u8>) {
        if let Some(accumulator) = self.accumulators.get(slot as usize) {
            into.extend_from_slice(accumulator);
        }
    }

    fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<()> {
        self.group(&[slot]);
        self.accumulators[slot as usize] = bytes.to_vec();
        Ok(())
    }

    fn clear(&mut self, slots: &[u32]) {
        for slot in slots {
            if let Some(accumulator) = self.accumulators.get_mut(*slot as usize) {
                accumulator.clear();
            }
        }
    }
}
