//! A keyed window step: tumbling windows in event time, and when they fire.
//!
//! The rules: a row is late when the end of its window plus the allowed lateness is not after the watermark *before that row*; a window
//! fires on time once when the watermark passes its end, again for each change within the allowed lateness, and is purged after it.
//! The accumulators belong to the [`Aggregate`], which keeps them in a form of its own, by slot; they become bytes only when an epoch
//! ends, each changed one once.
//! Left to others: what is durable (`checkpoint`), which slot a key has (`slots`).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array},
    compute::{filter, take, take_record_batch},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit},
};

use super::{
    assign::Tumbling,
    slots::{Placed, Slots},
};
use crate::{
    error::{Error, Kind, Result},
    record::{Batch, Firings, MIN_US, Origin},
    state::{Delta, HashRange, StateStore, codec::KeyCodec, key, scan_step},
    transform::{LocalPending, Outputs, RowReject, Step, evidence::Evidence},
};

/// The rows of a batch that take part, and the slot of each.
#[derive(Debug)]
pub struct Folding<'a> {
    /// rows of the batch, rising
    pub rows: &'a [u32],
    /// one a row
    pub slots: &'a [u32],
    /// what slots stand for
    pub windows: &'a Slots,
    /// of the step
    pub watermark_us: i64,
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

impl Finished {
    /// Takes out the results of windows that were refused.
    fn drop_refused(&mut self) -> std::result::Result<(), arrow::error::ArrowError> {
        let refused: HashSet<u32> = self.rejects.iter().map(|reject| reject.row).collect();
        let keep: BooleanArray = self.source.iter().map(|window| Some(!refused.contains(window))).collect();
        self.columns =
            self.columns.iter().map(|column| filter(column, &keep)).collect::<std::result::Result<_, _>>()?;
        self.source.retain(|window| !refused.contains(window));
        Ok(())
    }
}

/// The accumulators of an aggregate: one for each slot that it was given; one that it was never given is a new one.
pub trait Accumulators {
    /// Appends the bytes of an accumulator. They are kept stable.
    fn save(&self, slot: u32, into: &mut Vec<u8>);

    /// The reverse of [`Accumulators::save`]. `Kind::State` where the bytes are none of this aggregate's.
    fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<()>;

    /// These accumulators are gone; the next that comes under their slots is a new one.
    fn clear(&mut self, slots: &[u32]);
}

/// What a window computes.
pub trait Aggregate: Accumulators {
    /// The result fields.
    fn fields(&self) -> &[FieldRef];

    /// Folds rows. A row that cannot be folded is a reject and leaves its accumulator as it was. The batch is lent, to be shown to a plugin
    /// with other columns, and comes back as it was.
    fn fold<'a>(&'a mut self, batch: &'a mut Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Unfolded>>;

    /// Results of these windows, whose accumulators are in `slots`; they stay as they are. What the rows of rejects count is windows.
    fn finish<'a>(&'a mut self, windows: &'a Firings, slots: &'a [u32], why: Why)
    -> LocalPending<'a, Result<Finished>>;
}

/// Rows that could not be folded.
#[derive(Debug, Default)]
pub struct Unfolded {
    /// in the order of the batch
    pub rejects: Vec<RowReject>,
    /// what a plugin was given over which it failed
    pub evidence: Vec<Evidence>,
}

/// Which firing of a window a result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firing {
    /// before the watermark passed the end
    Early,
    /// when it did
    OnTime,
    /// after that, for a change within the allowed lateness
    Late,
}

/// Why windows give results now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Why {
    /// of all of them
    pub firing: Firing,
    /// how far event time has come with that
    pub watermark_us: i64,
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

/// A keyed window step.
pub struct WindowAggregate {
    name: Arc<str>,
    codec: KeyCodec,
    windows: Tumbling,
    allowed_lateness_us: i64,
    aggregate: Box<dyn Aggregate>,
    schema: SchemaRef,
    open: Slots,
    /// rows of the store that the next freeze deletes
    purged: Vec<Vec<u8>>,
    watermark_us: i64,
}

impl std::fmt::Debug for WindowAggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowAggregate")
            .field("name", &self.name)
            .field("open", &self.open.windows())
            .finish_non_exhaustive()
    }
}

/// So many windows fire in one call: what a plugin may take and give back in a call is bounded.
const MOST_AT_ONCE: usize = 4096;

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
        let name: Arc<str> = Arc::from(name);
        Self {
            open: Slots::new(name.clone(), windows),
            name,
            codec,
            windows,
            allowed_lateness_us,
            aggregate,
            schema,
            purged: Vec::new(),
            watermark_us: MIN_US,
        }
    }

    /// Fields of the results: the key, `window_start`, `window_end`, `firing`, `firing_number`, the aggregate's fields.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn fold(&mut self, mut input: Batch, out: &mut Outputs) -> Result<()> {
        let keys = self.codec.encode(&input.fields);
        let (windows, lateness_us, reached) = (self.windows, self.allowed_lateness_us, self.watermark_us);
        let Placed { rows, slots, late, new } =
            self.open.place(&input, &keys, |start, before| gone(windows, lateness_us, start, before.max(reached)));
        if !late.is_empty() {
            out.late += late.len() as u64;
            out.batches.push((LATE_OUTPUT, rows_of(&input, &late)?));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let folding = Folding { rows: &rows, slots: &slots, windows: &self.open, watermark_us: reached };
        let Unfolded { rejects, evidence } = self.aggregate.fold(&mut input, folding).await?;
        out.evidence.extend(evidence);
        if !rejects.is_empty() {
            self.forget_empty(&rows, &slots, &new, &rejects);
            out.rejects.push((input, rejects));
        }
        Ok(())
    }

    /// A window whose only records were rejected has none: it must not fire.
    fn forget_empty(&mut self, rows: &[u32], slots: &[u32], new: &[u32], rejects: &[RowReject]) {
        let refused: HashSet<u32> = rejects.iter().map(|reject| reject.row).collect();
        let taken = rows.iter().zip(slots).filter(|(row, _)| !refused.contains(row));
        let taken: HashSet<u32> = taken.map(|(_, slot)| *slot).collect();
        let empty: Vec<u32> = new.iter().copied().filter(|slot| !taken.contains(slot)).collect();
        self.aggregate.clear(&empty);
        empty.into_iter().for_each(|slot| self.open.remove(slot));
    }

    /// Fires these slots, so many at once.
    async fn fire(&mut self, slots: &[u32], why: Why, out: &mut Outputs) -> Result<()> {
        for some in slots.chunks(MOST_AT_ONCE) {
            self.fire_some(some, why, out).await?;
        }
        Ok(())
    }

    /// Fires these slots as one batch. A window that the aggregate refuses gives no result, but a reject with its key.
    async fn fire_some(&mut self, slots: &[u32], why: Why, out: &mut Outputs) -> Result<()> {
        let firing = why.firing;
        let windows = Arc::new(self.open.firings(slots));
        let mut finished = self.aggregate.finish(&windows, slots, why).await?;
        for slot in slots {
            let entry = self.open.get_mut(*slot);
            entry.firings += 1;
            entry.on_time |= firing == Firing::OnTime;
            entry.changed = false;
            entry.dirty = true;
        }
        if !finished.rejects.is_empty() {
            let every: Vec<u32> = (0..slots.len() as u32).collect();
            let head = self.head(&windows, firing, &every)?;
            let fields = self.schema.project(&(0..head.len()).collect::<Vec<_>>()).map_err(|e| self.internal(e))?;
            let fields = RecordBatch::try_new(Arc::new(fields), head).map_err(|e| self.internal(e))?;
            finished.drop_refused().map_err(|e| self.internal(e))?;
            out.rejects.push((self.batch(&windows, every, fields), std::mem::take(&mut finished.rejects)));
        }
        let mut columns = self.head(&windows, firing, &finished.source)?;
        columns.extend(finished.columns);
        let fields = RecordBatch::try_new(self.schema.clone(), columns).map_err(|e| self.internal(e))?;
        out.batches.push((0, self.batch(&windows, finished.source, fields)));
        Ok(())
    }

    fn internal(&self, e: arrow::error::ArrowError) -> Error {
        Error::new(Kind::Internal, format!("step {}: {e}", self.name))
    }

    /// Rows that come from these windows.
    fn batch(&self, windows: &Arc<Firings>, source: Vec<u32>, fields: RecordBatch) -> Batch {
        Batch {
            origin: Origin::Firings(windows.clone()),
            event_us: source.iter().map(|w| windows.end_us[*w as usize] - 1).collect(),
            nth: counted(&source),
            watermark_us: vec![self.watermark_us; source.len()],
            rows: source,
            fields,
        }
    }

    /// What the host adds to a result: the key, the window, the firing.
    fn head(&self, windows: &Firings, firing: Firing, source: &[u32]) -> Result<Vec<ArrayRef>> {
        let of = UInt32Array::from(source.to_vec());
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in self.codec.decode((0..windows.key.len()).map(|row| windows.key.cell(row)))? {
            columns.push(take(&column, &of, None).map_err(|e| self.internal(e))?);
        }
        let time = |of: &[i64]| -> ArrayRef {
            let values = source.iter().map(|w| of[*w as usize]);
            Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
        };
        columns.push(time(&windows.start_us));
        columns.push(time(&windows.end_us));
        columns.push(Arc::new(StringArray::from_iter_values(source.iter().map(|_| firing.name()))));
        columns.push(Arc::new(UInt32Array::from_iter_values(source.iter().map(|w| windows.number[*w as usize]))));
        Ok(columns)
    }

    async fn advance_to(&mut self, watermark_us: i64, out: &mut Outputs) -> Result<i64> {
        let (mut on_time, mut late, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for (start, slots) in self.open.iter() {
            if self.windows.end(start) > watermark_us {
                break;
            }
            for slot in slots {
                let entry = self.open.get(*slot);
                if !entry.on_time {
                    on_time.push(*slot);
                } else if entry.changed {
                    late.push(*slot);
                }
            }
            if gone(self.windows, self.allowed_lateness_us, start, watermark_us) {
                done.push(start);
            }
        }
        let why = |firing| Why { firing, watermark_us: watermark_us.max(self.watermark_us) };
        let (now, again) = (why(Firing::OnTime), why(Firing::Late));
        self.fire(&on_time, now, out).await?;
        self.fire(&late, again, out).await?;
        for start in done {
            let slots = self.open.purge(start);
            self.aggregate.clear(&slots);
            // A window that came and went within an epoch was never stored.
            let stored = slots.iter().map(|slot| self.open.get(*slot)).filter(|entry| entry.stored);
            self.purged.extend(stored.map(|entry| row_key(&self.name, &self.codec, &entry.key, start)));
        }
        self.watermark_us = self.watermark_us.max(watermark_us);
        Ok(self.watermark_us)
    }

    async fn close_all(&mut self, out: &mut Outputs) -> Result<()> {
        let slots = self.open.iter().flat_map(|(_, slots)| slots).copied();
        let unfired = |slot: &u32| self.open.get(*slot).changed || self.open.get(*slot).firings == 0;
        let slots: Vec<u32> = slots.filter(unfired).collect();
        self.fire(&slots, Why { firing: Firing::Early, watermark_us: self.watermark_us }, out).await
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
        let slot = self.open.restore(start, key);
        let entry = self.open.get_mut(slot);
        entry.firings = u32::from_be_bytes([a, b, c, d]);
        entry.on_time = on_time == 1;
        entry.changed = changed == 1;
        entry.stored = true;
        self.aggregate.load(slot, accumulator)
    }
}

/// The number of each row among those of its window.
fn counted(source: &[u32]) -> Vec<u64> {
    let mut counts = HashMap::new();
    let next = |window: &u32| {
        let count = counts.entry(*window).or_insert(0);
        *count += 1;
        *count - 1
    };
    source.iter().map(next).collect()
}

/// Whether nothing of a window is kept at this watermark.
fn gone(windows: Tumbling, lateness_us: i64, start_us: i64, watermark_us: i64) -> bool {
    windows.end(start_us).saturating_add(lateness_us) <= watermark_us
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
        let slots: Vec<u32> = self.open.iter().flat_map(|(_, slots)| slots).copied().collect();
        for slot in slots {
            let entry = self.open.get_mut(slot);
            if !entry.dirty {
                continue;
            }
            (entry.dirty, entry.stored) = (false, true);
            let mut value = Vec::with_capacity(64);
            value.extend_from_slice(&entry.firings.to_be_bytes());
            value.extend_from_slice(&[u8::from(entry.on_time), u8::from(entry.changed)]);
            self.aggregate.save(slot, &mut value);
            delta.put(row_key(&self.name, &self.codec, &entry.key, entry.start_us), value);
        }
    }

    fn restore(&mut self, store: &Arc<dyn StateStore>, range: HashRange, watermark_us: Option<i64>) -> Result<()> {
        self.watermark_us = watermark_us.unwrap_or(MIN_US);
        let slots: Vec<u32> = self.open.iter().flat_map(|(_, slots)| slots).copied().collect();
        self.aggregate.clear(&slots);
        self.open.clear();
        self.purged.clear();
        let name = self.name.clone();
        scan_step(&**store, &name, range, |row, value| self.load(row, &value))
    }
}
