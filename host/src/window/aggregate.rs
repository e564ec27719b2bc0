//! A keyed window step: tumbling windows in event time, accumulators per key and window, and when they fire.
//!
//! The rules: a batch is folded by key before any accumulator is touched; a row is late when the end of its window plus the allowed
//! lateness is not after the watermark *before that row*; a window fires on time once when the watermark passes its end, again for
//! each change within the allowed lateness, and is purged after it. The accumulator's bytes belong to the [`Aggregate`].
//! Left to others: what is durable. Changed accumulators are handed over at `freeze`, each once per epoch.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array},
    compute::{take, take_record_batch},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
};
use hashbrown::HashMap;

use super::{assign::Tumbling, key::KeyCodec};
use crate::{
    error::{Error, Kind, Result},
    record::{Batch, Cells, Firings, MIN_US, Origin},
    state::{Delta, HashRange, StateStore, key, scan_step},
    transform::{LocalPending, Outputs, RowReject, Step},
};

/// The rows of a batch that take part, the group of each, and the accumulators of the groups (empty: a new one).
#[derive(Debug)]
pub struct Folding<'a> {
    /// rows of the batch, rising
    pub rows: &'a [u32],
    /// index into `accumulators`, one a row
    pub groups: &'a [u32],
    /// the windows of the groups
    pub windows: &'a Firings,
    /// bytes to be replaced by the new ones
    pub accumulators: &'a mut [Vec<u8>],
}

/// Results of windows.
#[derive(Debug, Default)]
pub struct Finished {
    /// the window that each row comes from
    pub source: Vec<u32>,
    /// the aggregate's fields
    pub columns: Vec<ArrayRef>,
    /// windows that could not be finished
    pub rejects: Vec<RowReject>,
}

/// What a window computes. The host owns windows and storage, the aggregate owns the accumulator's bytes.
pub trait Aggregate {
    /// The result fields.
    fn fields(&self) -> &[FieldRef];

    /// Folds rows. A row that cannot be folded is a reject and leaves its accumulator as it was.
    fn fold<'a>(&'a mut self, batch: &'a Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Vec<RowReject>>>;

    /// Results of these windows; accumulators stay as they are.
    fn finish<'a>(
        &'a mut self,
        windows: &'a Firings,
        accumulators: &'a [Vec<u8>],
    ) -> LocalPending<'a, Result<Finished>>;
}

/// Which firing of a window a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firing {
    Early,
    OnTime,
    Late,
}

impl Firing {
    fn name(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::OnTime => "on_time",
            Self::Late => "late",
        }
    }
}

/// One accumulator of one window.
#[derive(Debug, Default)]
struct Slot {
    key: Arc<[u8]>,
    accumulator: Vec<u8>,
    /// how often it fired
    firings: u32,
    /// fired when the watermark passed the end
    on_time: bool,
    /// changed since it last fired
    changed: bool,
    /// changed since the last freeze
    dirty: bool,
    /// group in the batch with this stamp
    stamp: (u64, u32),
}

#[derive(Debug, Default)]
struct Window {
    by_key: HashMap<Arc<[u8]>, usize>,
    slots: Vec<Slot>,
}

/// A keyed window step.
pub struct WindowAggregate {
    name: Arc<str>,
    codec: KeyCodec,
    windows: Tumbling,
    allowed_lateness_us: i64,
    aggregate: Box<dyn Aggregate>,
    schema: SchemaRef,
    open: BTreeMap<i64, Window>,
    purged: Vec<Vec<u8>>,
    watermark_us: i64,
    stamp: u64,
}

impl std::fmt::Debug for WindowAggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowAggregate")
            .field("name", &self.name)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

/// Output 0: results. Output 1: records that came too late.
pub const LATE_OUTPUT: usize = 1;

impl WindowAggregate {
    /// A step of this name over records with these key columns.
    pub fn new(
        name: &str,
        codec: KeyCodec,
        windows: Tumbling,
        allowed_lateness_us: i64,
        aggregate: Box<dyn Aggregate>,
    ) -> Self {
        let schema = result_schema(&codec, aggregate.fields());
        Self {
            name: Arc::from(name),
            codec,
            windows,
            allowed_lateness_us,
            aggregate,
            schema,
            open: BTreeMap::new(),
            purged: Vec::new(),
            watermark_us: MIN_US,
            stamp: 0,
        }
    }

    /// Fields of the results: the key, `window_start`, `window_end`, `firing`, `firing_number`, the aggregate's fields.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn gone(&self, start_us: i64, watermark_us: i64) -> bool {
        self.windows.end(start_us).saturating_add(self.allowed_lateness_us) <= watermark_us
    }

    /// Sorts the rows of a batch into groups; rows that are late are given back apart.
    fn group(&mut self, batch: &Batch) -> Grouped {
        self.stamp += 1;
        let keys = self.codec.encode(&batch.fields);
        let mut grouped = Grouped::default();
        for row in 0..batch.len() {
            let start = self.windows.start(batch.event_us[row]);
            if self.gone(start, batch.watermark_us[row].max(self.watermark_us)) {
                grouped.late.push(row as u32);
                continue;
            }
            let window = self.open.entry(start).or_default();
            let slot = window.slot(keys.cell(row));
            if window.slots[slot].stamp.0 != self.stamp {
                window.slots[slot].stamp = (self.stamp, grouped.slots.len() as u32);
                grouped.slots.push((start, slot));
            }
            grouped.rows.push(row as u32);
            grouped.groups.push(window.slots[slot].stamp.1);
        }
        grouped
    }

    fn slot(&mut self, place: (i64, usize)) -> &mut Slot {
        let window = self.open.get_mut(&place.0).expect("a group's window is open while its batch is folded");
        &mut window.slots[place.1]
    }

    fn firings(&self, places: &[(i64, usize)]) -> Firings {
        let slot = |place: &(i64, usize)| &self.open[&place.0].slots[place.1];
        Firings {
            step: self.name.clone(),
            key: places.iter().map(|place| &*slot(place).key).collect::<Cells>(),
            start_us: places.iter().map(|place| place.0).collect(),
            end_us: places.iter().map(|place| self.windows.end(place.0)).collect(),
            number: places.iter().map(|place| slot(place).firings).collect(),
        }
    }

    async fn fold(&mut self, input: Batch, out: &mut Outputs) -> Result<()> {
        let grouped = self.group(&input);
        if !grouped.late.is_empty() {
            out.late += grouped.late.len() as u64;
            out.batches.push((LATE_OUTPUT, rows_of(&input, &grouped.late)?));
        }
        if grouped.rows.is_empty() {
            return Ok(());
        }
        let windows = self.firings(&grouped.slots);
        let mut accumulators: Vec<Vec<u8>> =
            grouped.slots.iter().map(|place| std::mem::take(&mut self.slot(*place).accumulator)).collect();
        let folding = Folding {
            rows: &grouped.rows,
            groups: &grouped.groups,
            windows: &windows,
            accumulators: &mut accumulators,
        };
        let folded = self.aggregate.fold(&input, folding).await;
        for (place, accumulator) in grouped.slots.iter().zip(accumulators) {
            let slot = self.slot(*place);
            slot.accumulator = accumulator;
            slot.changed = true;
            slot.dirty = true;
        }
        let rejects = folded?;
        if !rejects.is_empty() {
            out.rejects.push((input, rejects));
        }
        Ok(())
    }

    /// Fires these windows as one batch.
    async fn fire(&mut self, places: &[(i64, usize)], firing: Firing, out: &mut Outputs) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let windows = Arc::new(self.firings(places));
        let accumulators: Vec<Vec<u8>> = places.iter().map(|place| self.slot(*place).accumulator.clone()).collect();
        let finished = self.aggregate.finish(&windows, &accumulators).await?;
        for place in places {
            let slot = self.slot(*place);
            slot.firings += 1;
            slot.on_time |= firing == Firing::OnTime;
            slot.changed = false;
            slot.dirty = true;
        }
        let rows = finished.source.len();
        let fields = self.result(&windows, firing, &finished)?;
        let event_us = finished.source.iter().map(|w| windows.end_us[*w as usize] - 1).collect();
        let batch = Batch {
            origin: Origin::Firings(windows),
            rows: finished.source,
            nth: vec![0; rows],
            event_us,
            watermark_us: vec![self.watermark_us; rows],
            fields,
        };
        if !finished.rejects.is_empty() {
            out.rejects.push((batch.clone(), finished.rejects));
        }
        out.batches.push((0, batch));
        Ok(())
    }

    fn result(&self, windows: &Firings, firing: Firing, finished: &Finished) -> Result<RecordBatch> {
        let internal = |e: arrow::error::ArrowError| Error::new(Kind::Internal, format!("step {}: {e}", self.name));
        let source = UInt32Array::from(finished.source.clone());
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in self.codec.decode((0..windows.key.len()).map(|row| windows.key.cell(row)))? {
            columns.push(take(&column, &source, None).map_err(internal)?);
        }
        let time = |of: &[i64]| -> ArrayRef {
            let values = finished.source.iter().map(|w| of[*w as usize]);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
        };
        columns.push(time(&windows.start_us));
        columns.push(time(&windows.end_us));
        columns.push(Arc::new(StringArray::from_iter_values(finished.source.iter().map(|_| firing.name()))));
        columns
            .push(Arc::new(UInt32Array::from_iter_values(finished.source.iter().map(|w| windows.number[*w as usize]))));
        columns.extend(finished.columns.iter().cloned());
        RecordBatch::try_new(self.schema.clone(), columns).map_err(internal)
    }

    async fn advance_to(&mut self, watermark_us: i64, out: &mut Outputs) -> Result<i64> {
        let (mut on_time, mut late, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for (start, window) in &self.open {
            if self.windows.end(*start) > watermark_us {
                break;
            }
            for (place, slot) in window.slots.iter().enumerate() {
                if !slot.on_time {
                    on_time.push((*start, place));
                } else if slot.changed {
                    late.push((*start, place));
                }
            }
            if self.gone(*start, watermark_us) {
                done.push(*start);
            }
        }
        self.fire(&on_time, Firing::OnTime, out).await?;
        self.fire(&late, Firing::Late, out).await?;
        for start in done {
            let window = self.open.remove(&start).expect("it was open a moment ago");
            self.purged.extend(window.slots.iter().map(|slot| row_key(&self.name, &self.codec, &slot.key, start)));
        }
        self.watermark_us = self.watermark_us.max(watermark_us);
        Ok(self.watermark_us)
    }

    async fn close_all(&mut self, out: &mut Outputs) -> Result<()> {
        let unfired = |slot: &Slot| slot.changed || slot.firings == 0;
        let places: Vec<_> = self
            .open
            .iter()
            .flat_map(|(start, window)| {
                window.slots.iter().enumerate().filter(|(_, s)| unfired(s)).map(|(place, _)| (*start, place))
            })
            .collect();
        self.fire(&places, Firing::Early, out).await
    }

    fn load(&mut self, row: &[u8], value: &[u8]) -> Result<()> {
        let bad = || {
            Error::new(
                Kind::State,
                format!("a row of step {} in the state is damaged; restore the state from a copy", self.name),
            )
        };
        let (_, key, sub_key) = key::parse_state(&self.name, row).ok_or_else(bad)?;
        let start = i64::from_be_bytes(sub_key.try_into().map_err(|_| bad())?);
        let (head, accumulator) = value.split_first_chunk::<6>().ok_or_else(bad)?;
        let [a, b, c, d, on_time, changed] = *head;
        let window = self.open.entry(start).or_default();
        let place = window.slot(key);
        let slot = &mut window.slots[place];
        slot.accumulator = accumulator.to_vec();
        slot.firings = u32::from_be_bytes([a, b, c, d]);
        slot.on_time = on_time == 1;
        slot.changed = changed == 1;
        Ok(())
    }
}

impl Window {
    /// The slot of this key, a new one if there is none.
    fn slot(&mut self, key: &[u8]) -> usize {
        if let Some(slot) = self.by_key.get(key) {
            return *slot;
        }
        let key: Arc<[u8]> = Arc::from(key);
        self.slots.push(Slot { key: key.clone(), ..Slot::default() });
        self.by_key.insert(key, self.slots.len() - 1);
        self.slots.len() - 1
    }
}

#[derive(Default)]
struct Grouped {
    rows: Vec<u32>,
    groups: Vec<u32>,
    slots: Vec<(i64, usize)>,
    late: Vec<u32>,
}

fn row_key(step: &str, codec: &KeyCodec, key: &[u8], start_us: i64) -> Vec<u8> {
    key::state(step, key::Kind::Window, codec.hash(key), key, 0, &start_us.to_be_bytes())
}

fn result_schema(codec: &KeyCodec, fields: &[FieldRef]) -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut all: Vec<FieldRef> = codec.fields().to_vec();
    all.push(Arc::new(Field::new("window_start", time(), false)));
    all.push(Arc::new(Field::new("window_end", time(), false)));
    all.push(Arc::new(Field::new("firing", DataType::Utf8, false)));
    all.push(Arc::new(Field::new("firing_number", DataType::UInt32, false)));
    all.extend(fields.iter().cloned());
    Arc::new(Schema::new(all))
}

/// These rows of a batch.
pub fn rows_of(batch: &Batch, rows: &[u32]) -> Result<Batch> {
    let fields = take_record_batch(&batch.fields, &UInt32Array::from(rows.to_vec()))
        .map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
    let at = |row: &u32| *row as usize;
    Ok(Batch {
        origin: batch.origin.clone(),
        rows: rows.iter().map(|r| batch.rows[at(r)]).collect(),
        nth: rows.iter().map(|r| batch.nth[at(r)]).collect(),
        event_us: rows.iter().map(|r| batch.event_us[at(r)]).collect(),
        watermark_us: rows.iter().map(|r| batch.watermark_us[at(r)]).collect(),
        fields,
    })
}

impl Step for WindowAggregate {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.fold(input, out))
    }

    fn advance<'a>(&'a mut self, watermark_us: i64, out: &'a mut Outputs) -> LocalPending<'a, Result<i64>> {
        Box::pin(self.advance_to(watermark_us, out))
    }

    fn close<'a>(&'a mut self, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.close_all(out))
    }

    fn freeze(&mut self, delta: &mut Delta) {
        self.purged.drain(..).for_each(|row| delta.delete(row));
        for (start, window) in &mut self.open {
            for slot in window.slots.iter_mut().filter(|slot| slot.dirty) {
                slot.dirty = false;
                let mut value = Vec::with_capacity(6 + slot.accumulator.len());
                value.extend_from_slice(&slot.firings.to_be_bytes());
                value.extend_from_slice(&[u8::from(slot.on_time), u8::from(slot.changed)]);
                value.extend_from_slice(&slot.accumulator);
                delta.put(row_key(&self.name, &self.codec, &slot.key, *start), value);
            }
        }
    }

    fn restore(&mut self, store: &dyn StateStore, range: HashRange, watermark_us: Option<i64>) -> Result<()> {
        self.watermark_us = watermark_us.unwrap_or(MIN_US);
        self.open.clear();
        self.purged.clear();
        let name = self.name.clone();
        scan_step(store, &name, range, |row, value| self.load(row, &value))
    }
}
