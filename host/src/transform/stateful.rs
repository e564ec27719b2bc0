//! Runs a plugin over keyed state and timers as a step.
//!
//! The rule: what a batch, or timers that fired together, did to state and timers counts when all of it is done, and is gone when the step
//! fails; so a plugin that is asked again finds everything as it was. Timers in event time fire before their time's watermark leaves the step.
//! Left to others: the values (`tables`), the timers (`timers`), what is durable (`checkpoint`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{
    LocalPending, Outputs, Step,
    calling::{self, Retries, call, told},
    evidence::{self, Asked},
    tables::Tables,
    timers::{Name, Timers, When},
    wanted::Wanted,
};
use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    plugin::{Bisected, Call, Due, Failure, KeySet, Keyed, KeyedPlugin, SharedState, TimerOps},
    random,
    record::{self, Batch, Branch, Cells, MIN_US, Origin},
    state::{Delta, HashRange, StateStore, codec::KeyCodec},
};

/// So many timers fire in one call.
const MOST_AT_ONCE: usize = 4096;
/// Timers that set themselves again and again for times that have passed end the step after so many rounds.
const MOST_ROUNDS: u32 = 100_000;
/// Values of one call of `migrate`.
const MOST_MIGRATED: usize = 4096;

/// A plugin with state in the graph.
pub struct Stateful {
    name: Arc<str>,
    plugin: Box<dyn KeyedPlugin>,
    /// one an input of the plugin; their keys are of the same types
    ports: Vec<Port>,
    /// one an output, for ids
    branches: Vec<Branch>,
    tables: Arc<Mutex<Tables>>,
    timers: Timers,
    clock: Arc<dyn Clock>,
    watermark_us: i64,
}

/// One input of the plugin.
#[derive(Clone, Debug)]
pub struct Port {
    /// the key of what arrives
    pub codec: KeyCodec,
    /// what the plugin wants of it
    pub wanted: Wanted,
}

/// The distinct keys of some rows, and which each of them has.
struct Keys {
    set: Arc<KeySet>,
    of_row: Vec<u32>,
}

impl Stateful {
    /// The step of this name. `Kind::Internal` where it has no input.
    pub fn new(step: &str, plugin: Box<dyn KeyedPlugin>, ports: Vec<Port>, clock: Arc<dyn Clock>) -> Result<Self> {
        let name: Arc<str> = Arc::from(step);
        let first = ports.first().ok_or_else(|| Error::new(Kind::Internal, format!("step {step} has no input")))?;
        let codec = first.codec.clone();
        let branches = (0..plugin.manifest().outputs.len()).map(|output| Branch::new(step, output)).collect();
        let store = Arc::new(crate::state::memory::MemoryStore::default());
        let tables = Tables::new(name.clone(), codec.clone(), plugin.manifest().tables.clone(), store);
        Ok(Self {
            timers: Timers::new(name.clone(), codec),
            tables: Arc::new(Mutex::new(tables)),
            name,
            plugin,
            ports,
            branches,
            clock,
            watermark_us: MIN_US,
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self, cells: &Cells) -> Result<Keys> {
        let (mut known, mut distinct) = (HashMap::new(), Vec::new());
        let of_row = cells
            .iter()
            .map(|key| {
                *known.entry(key).or_insert_with(|| {
                    distinct.push(key);
                    distinct.len() as u32 - 1
                })
            })
            .collect();
        let codec = &self.ports[0].codec;
        let schema = Arc::new(Schema::new(codec.fields().to_vec()));
        let columns = codec.decode(distinct.iter().copied())?;
        let fields = RecordBatch::try_new(schema, columns).map_err(|e| internal(&e))?;
        Ok(Keys { set: Arc::new(KeySet { bytes: distinct.into_iter().collect(), fields }), of_row })
    }

    /// Keys whose state is ready to be used, brought up to date.
    async fn ready(&mut self, cells: &Cells, call: &Call) -> Result<(Keyed, Arc<KeySet>)> {
        let Keys { set, of_row } = self.keys(cells)?;
        let old = {
            let mut tables = self.tables();
            tables.begin_batch(&set.bytes, call.now_ms);
            tables.old()?
        };
        let mut groups: HashMap<(u32, u32), Vec<_>> = HashMap::new();
        old.into_iter().for_each(|old| groups.entry((old.table, old.from)).or_default().push(old));
        for ((table, from), mut values) in groups {
            while !values.is_empty() {
                let some: Vec<_> = values.drain(..values.len().min(MOST_MIGRATED)).collect();
                let given: Vec<_> = some.iter().map(|old| old.value.clone()).collect();
                let migrated = self.plugin.migrate(call, (table, from), &set, &given).await;
                let migrated = migrated.map_err(|failure| Error::new(Kind::Step, failure.to_string()))?;
                let mut tables = self.tables();
                some.into_iter().zip(migrated).for_each(|(old, value)| tables.renewed(old, value));
            }
        }
        let state: SharedState = self.tables.clone();
        Ok((Keyed { keys: set.clone(), index: of_row, state }, set))
    }

    async fn run(&mut self, port: usize, mut input: Batch, out: &mut Outputs) -> Result<()> {
        let Port { codec, wanted } = &self.ports[port];
        let cells = codec.encode(&input.fields);
        let fields = wanted.of(&input.fields)?;
        let call = call(&*self.clock, &input);
        let (keyed, keys) = self.ready(&cells, &call).await?;
        // The batch as the plugin sees it, and back: nothing of it is copied.
        let whole = std::mem::replace(&mut input.fields, fields);
        let (kept, port) = (keyed.clone(), port as u32);
        let done =
            self.asked(&cells, &call, keyed, async |plugin, keyed| plugin.process(&call, port, &input, keyed).await);
        let done = done.await?;
        let asked = Asked { call: &call, input: port, batch: &input, keyed: Some(&kept), due: None };
        out.evidence.extend(evidence::take(&asked, &done.rejected));
        input.fields = whole;
        self.deliver(done, &keys, input, out);
        self.fire_late(out).await
    }

    /// Calls until the plugin no longer asks for a retry; each time from the state as it was.
    async fn asked(
        &mut self,
        cells: &Cells,
        call: &Call,
        mut keyed: Keyed,
        ask: impl AsyncFn(&mut dyn KeyedPlugin, &Keyed) -> std::result::Result<Bisected, Failure>,
    ) -> Result<Bisected> {
        let mut retries = Retries::default();
        loop {
            match ask(&mut *self.plugin, &keyed).await {
                Ok(done) => return Ok(done),
                Err(failure) => retries.pause(failure).await?,
            }
            keyed = self.ready(cells, call).await?.0;
        }
    }

    /// What was done counts: state, timers, rows, rejects.
    fn deliver(&mut self, done: Bisected, keys: &KeySet, from: Batch, out: &mut Outputs) {
        self.tables().keep_batch();
        self.set_timers(&done.processed.timers, keys);
        calling::deliver(done, &self.branches, from, out);
    }

    fn set_timers(&mut self, ops: &TimerOps, keys: &KeySet) {
        for (op, key) in ops.key.iter().enumerate() {
            let name = Name {
                key: Arc::from(keys.bytes.cell(*key as usize)),
                tag: Arc::from(ops.tag.cell(op)),
                in_event_time: ops.in_event_time[op],
            };
            if ops.set[op] { self.timers.set(name, ops.at_ms[op]) } else { self.timers.cancel(&name) }
        }
    }

    /// Fires every timer that is due in a domain, those too that are set on the way.
    async fn fire(&mut self, in_event_time: bool, reached_ms: i64, out: &mut Outputs) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            let due = self.timers.due(in_event_time, reached_ms, MOST_AT_ONCE);
            if due.is_empty() {
                return Ok(());
            }
            let reached_us = if in_event_time { reached_ms.saturating_mul(1000) } else { MIN_US };
            self.fire_some(due, self.watermark_us.max(reached_us), out).await?;
        }
        let words =
            format!("step {}: its timers set themselves again for times that have passed, without end", self.name);
        Err(Error::new(Kind::Step, words))
    }

    /// `told_us`: the watermark that the plugin is told, which has come to these timers; its rows have that of the step before them.
    async fn fire_some(&mut self, due: Vec<(When, Name)>, told_us: i64, out: &mut Outputs) -> Result<()> {
        let cells: Cells = due.iter().map(|(_, name)| &*name.key).collect();
        let fired = Arc::new(record::Timers {
            step: self.name.clone(),
            key: cells.clone(),
            tag: due.iter().map(|(_, name)| &*name.tag).collect(),
            in_event_time: due.iter().map(|(_, name)| name.in_event_time).collect(),
            at_ms: due.iter().map(|(when, _)| when.at_ms).collect(),
            number: due.iter().map(|(when, _)| when.number).collect(),
        });
        let (in_event_time, at_ms) = (fired.in_event_time.clone(), fired.at_ms.clone());
        let due = Due { tag: fired.tag.clone(), in_event_time, at_ms };
        let seed =
            random::bits_for((&fired.step, fired.key.cell(0), fired.tag.cell(0), fired.at_ms[0], fired.number[0]));
        let call = told(&*self.clock, told_us, seed);
        let (keyed, keys) = self.ready(&cells, &call).await?;
        let from = self.timer_batch(&fired, &keyed, call.now_ms)?;
        let kept = keyed.clone();
        let done =
            self.asked(&cells, &call, keyed, async |plugin, keyed| plugin.fire(&call, &due, keyed).await).await?;
        let asked = Asked { call: &call, input: 0, batch: &from, keyed: Some(&kept), due: Some(&due) };
        out.evidence.extend(evidence::take(&asked, &done.rejected));
        self.deliver(done, &keys, from, out);
        Ok(())
    }

    /// Timers as rows, with the fields of their keys.
    fn timer_batch(&self, fired: &Arc<record::Timers>, keyed: &Keyed, now_ms: i64) -> Result<Batch> {
        let rows = arrow::array::UInt32Array::from(keyed.index.clone());
        let fields = arrow::compute::take_record_batch(&keyed.keys.fields, &rows).map_err(|e| internal(&e))?;
        let count = fired.at_ms.len();
        let time = |(at_ms, is_event): (&i64, &bool)| match is_event {
            true => at_ms.saturating_mul(1000),
            // A moment of processing is no event time: what comes of it is as late as the step itself, where event time has begun.
            false if self.watermark_us == MIN_US => now_ms.saturating_mul(1000),
            false => self.watermark_us,
        };
        Ok(Batch {
            origin: Origin::Timers(fired.clone()),
            rows: (0..count as u32).collect(),
            nth: vec![0; count],
            event_us: fired.at_ms.iter().zip(&fired.in_event_time).map(time).collect(),
            watermark_us: vec![self.watermark_us; count],
            fields,
        })
    }

    /// Fires what was just set for an event time that has passed: the watermark may stand still for long.
    async fn fire_late(&mut self, out: &mut Outputs) -> Result<()> {
        match (self.timers.next_ms(true), record::watermark_ms(self.watermark_us)) {
            (Some(at_ms), Some(reached_ms)) if at_ms <= reached_ms => self.fire(true, reached_ms, out).await,
            _ => Ok(()),
        }
    }

    async fn tick_to(&mut self, now_ms: i64, out: &mut Outputs) -> Result<()> {
        self.fire(false, now_ms, out).await?;
        self.fire_late(out).await
    }

    async fn advance_to(&mut self, watermark_us: i64, out: &mut Outputs) -> Result<i64> {
        if let Some(reached_ms) = record::watermark_ms(watermark_us) {
            self.fire(true, reached_ms, out).await?;
        }
        self.watermark_us = self.watermark_us.max(watermark_us);
        Ok(self.watermark_us)
    }
}

fn internal(e: &arrow::error::ArrowError) -> Error {
    Error::new(Kind::Internal, e.to_string())
}

impl Step for Stateful {
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.run(0, input, out))
    }

    fn receive<'a>(&'a mut self, port: usize, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.run(port, input, out))
    }

    fn advance<'a>(&'a mut self, watermark_us: i64, out: &'a mut Outputs) -> LocalPending<'a, Result<i64>> {
        Box::pin(self.advance_to(watermark_us, out))
    }

    fn due_ms(&self) -> Option<i64> {
        self.timers.next_ms(false)
    }

    fn tick<'a>(&'a mut self, now_ms: i64, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        Box::pin(self.tick_to(now_ms, out))
    }

    fn freeze(&mut self, delta: &mut Delta) {
        self.tables().freeze(delta);
        self.timers.freeze(delta);
    }

    fn restore(&mut self, store: &Arc<dyn StateStore>, range: HashRange, watermark_us: Option<i64>) -> Result<()> {
        self.watermark_us = watermark_us.unwrap_or(MIN_US);
        self.tables().restore(store.clone());
        self.timers.restore(&**store, range, watermark_us.and_then(record::watermark_ms))
    }
}

#[cfg(test)]
mod tests;
