//! Runs a plugin of the world `aggregator` in a window step: it folds and finishes, the host owns windows and storage.
//!
//! A batch that fails is folded again in halves, so that only the record at fault is rejected and no accumulator is half changed.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{Array, RecordBatch, new_empty_array},
    compute::concat,
    datatypes::{FieldRef, Schema},
};

use super::{
    aggregate::{self, Accumulators, Aggregate, Finished, Folding},
    slots::Slots,
};
use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    plugin::{AggregatorInstance, Call, Closing, Failure, Firing, KeySet, RecordError, Windows},
    random,
    record::{Batch, Cells, CellsBuilder, Firings},
    state::codec::KeyCodec,
    transform::{LocalPending, RowReject, wanted::Wanted},
};

/// So many calls may bring nothing when records are looked for that break the plugin: enough to find one in the largest batch.
const SEARCH: u32 = 32;

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

    fn call(&self, seed: u64) -> Call {
        Call { now_ms: self.clock.wall_us() / 1000, seed, watermark_ms: i64::MIN / 1000 }
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
    async fn fold_all(&mut self, batch: &Batch, folding: Folding<'_>) -> Result<Vec<RowReject>> {
        let groups = self.group(folding.slots);
        let windows = self.folded(folding.windows, &groups.slots);
        let call = self.call(batch.seed());
        let mut rejects = Vec::new();
        let mut calls = 0;
        let mut parts = vec![(0, folding.rows.len())];
        while let Some((from, to)) = parts.pop() {
            calls += 1;
            let cells = self.cells(&groups.slots);
            let (rows, of_row) = (&folding.rows[from..to], &groups.of_row[from..to]);
            match self.plugin.fold(&call, batch, &windows, rows, of_row, &cells).await {
                Ok(folded) => {
                    calls = 0;
                    for (slot, cell) in groups.slots.iter().zip(folded.accumulators.iter()) {
                        let accumulator = &mut self.accumulators[*slot as usize];
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
                    calls = 0;
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

    /// Finishes windows; those that break the plugin are looked for by halves, so that the others get through.
    async fn finish_all(&mut self, firings: &Firings, slots: &[u32], firing: aggregate::Firing) -> Result<Finished> {
        let mut done: Vec<Finished> = Vec::new();
        let mut rejects = Vec::new();
        let mut parts = vec![(0, slots.len())];
        while let Some((from, to)) = parts.pop() {
            match self.finish_part(firings, slots, from..to, firing).await? {
                Ok(finished) => done.push(finished),
                Err(failure) if to - from == 1 => rejects.push(RowReject {
                    row: from as u32,
                    code: failure.code().to_owned(),
                    message: failure.to_string(),
                }),
                Err(_) => {
                    let middle = from + (to - from) / 2;
                    parts.push((middle, to));
                    parts.push((from, middle));
                }
            }
        }
        let mut whole = joined(&self.fields, done)?;
        whole.rejects.extend(rejects);
        whole.rejects.sort_by_key(|reject| reject.row);
        Ok(whole)
    }

    /// One call. The inner error is the windows' fault, the outer one is not.
    async fn finish_part(
        &mut self,
        firings: &Firings,
        slots: &[u32],
        part: Range<usize>,
        firing: aggregate::Firing,
    ) -> Result<std::result::Result<Finished, Failure>> {
        let first = part.start as u32;
        let some = Firings {
            step: firings.step.clone(),
            key: part.clone().map(|window| firings.key.cell(window)).collect(),
            start_us: firings.start_us[part.clone()].to_vec(),
            end_us: firings.end_us[part.clone()].to_vec(),
            number: firings.number[part.clone()].to_vec(),
        };
        let drawn = random::bits_for((&some.step, some.key.iter().next(), some.start_us.first(), some.number.first()));
        let firing = match firing {
            aggregate::Firing::Early => Firing::Early,
            aggregate::Firing::OnTime => Firing::OnTime,
            aggregate::Firing::Late => Firing::Late,
        };
        let closing = Closing {
            groups: self.finished(&some)?,
            firing: vec![firing; part.len()],
            firing_number: some.number,
            accumulators: self.cells(&slots[part]),
        };
        let call = self.call(drawn);
        let processed = match self.plugin.finish(&call, &closing).await {
            Ok(processed) => processed,
            Err(failure @ (Failure::Retry(_) | Failure::Fatal(_))) => {
                return Err(Error::new(Kind::Step, failure.to_string()));
            }
            Err(failure) => return Ok(Err(failure)),
        };
        let reject = |e: RecordError| RowReject { row: first + e.row, code: e.code, message: e.message };
        let rejects = processed.errors.into_iter().map(reject).collect();
        let Some(emitted) = processed.outputs.into_iter().next() else {
            return Err(Error::new(Kind::Internal, "a checked aggregator has one output"));
        };
        let source = emitted.source.iter().map(|window| first + window).collect();
        Ok(Ok(Finished { source, columns: emitted.fields.columns().to_vec(), rejects }))
    }
}

/// The results of all parts, in the order of the windows.
fn joined(fields: &[FieldRef], parts: Vec<Finished>) -> Result<Finished> {
    let internal = |e: arrow::error::ArrowError| Error::new(Kind::Internal, e.to_string());
    let mut whole = Finished::default();
    for (place, field) in fields.iter().enumerate() {
        let of_parts: Vec<&dyn Array> = parts.iter().map(|part| &*part.columns[place] as &dyn Array).collect();
        whole.columns.push(match of_parts.as_slice() {
            [] => new_empty_array(field.data_type()),
            [_] => parts[0].columns[place].clone(),
            several => concat(several).map_err(internal)?,
        });
    }
    for part in parts {
        whole.source.extend(part.source);
        whole.rejects.extend(part.rejects);
    }
    Ok(whole)
}

impl Aggregate for Component {
    fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn fold<'a>(&'a mut self, batch: &'a mut Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Vec<RowReject>>> {
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
        firing: aggregate::Firing,
    ) -> LocalPending<'a, Result<Finished>> {
        Box::pin(self.finish_all(windows, slots, firing))
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
