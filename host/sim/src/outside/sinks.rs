//! Destinations that outlive workers: one with tokens, one that takes what is sent, both over a network that fails.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use pelton::{
    error::{Error, Happened, Kind, Result},
    permit::Permit,
    record::{Batch, RowReject},
    sink::{
        Prepared, Promise, Sink, Token, Writer,
        delivery::{CallFailed, Delivery, Entry, Form, Limits, Order, Outcomes, Service},
        id::{Id, Ids},
        json_lines,
    },
    source::Pending,
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::network::Caller;
use crate::world::{World, lock};

/// A result: its id and its row.
pub type Row = (Id, Vec<u8>);

/// Where an epoch of a partition was staged, and by whom.
type Staging = (String, String, u64, u64);

/// What every destination holds.
#[derive(Debug, Default)]
pub struct Shown {
    /// by sink, in the order of the commits
    pub exact: BTreeMap<String, Vec<Row>>,
    /// as it was sent, in the order of arrival
    pub sent: Vec<Value>,
    /// (sink, partition, fence, epoch)
    staged: BTreeMap<Staging, Vec<Row>>,
    /// by sink, partition and epoch: the fence of the owner whose results were shown
    committed: BTreeMap<(String, String, u64), u64>,
}

impl Shown {
    /// Whether this token was committed.
    pub fn is_committed(&self, sink: &str, partition: &str, epoch: u64) -> bool {
        self.committed.contains_key(&(sink.to_owned(), partition.to_owned(), epoch))
    }
}

/// Exactly once.
pub struct ExactSink {
    name: String,
    caller: Caller,
    writer: Option<(Writer, Ids)>,
    open: Vec<Row>,
}

impl ExactSink {
    /// The sink of this name, in one worker.
    pub fn new(name: &str, caller: Caller) -> Self {
        Self { name: name.to_owned(), caller, writer: None, open: Vec::new() }
    }

    fn take(&mut self, batch: &Batch) -> Result<Vec<RowReject>> {
        let Some((_, ids)) = &self.writer else { return Err(Error::new(Kind::Internal, "not recovered")) };
        let (rows, rejects) = json_lines::rows(batch)?;
        let whole = ids.of(batch).into_iter().zip(rows.iter().map(<[u8]>::to_vec)).filter(|(_, row)| !row.is_empty());
        self.open.extend(whole);
        Ok(rejects)
    }

    async fn stage(&mut self, epoch: u64) -> Result<Prepared> {
        let Some((writer, _)) = &self.writer else { return Err(Error::new(Kind::Internal, "not recovered")) };
        if self.open.is_empty() {
            return Ok(Prepared::default());
        }
        let (partition, fence, generation) = (writer.partition.to_string(), writer.fence, writer.generation);
        let rows = std::mem::take(&mut self.open);
        let key: Staging = (self.name.clone(), partition.clone(), fence, epoch);
        let detail = format!("{} {partition} epoch {epoch} by {fence}: {} rows", self.name, rows.len());
        let mut tries = 0;
        loop {
            let (key, rows) = (key.clone(), rows.clone());
            let staged = self.caller.call("stage", &detail, move |world| {
                lock(&world.shown).staged.insert(key, rows);
            });
            match staged.await {
                Ok(()) => break,
                Err(failed) if tries == 3 => return Err(failed),
                Err(_) => tries += 1,
            }
        }
        let staged = json!({ "partition": partition, "fence": fence });
        Ok(Prepared { token: Some(Token { sink: self.name.clone(), epoch, generation, staged }), held: Vec::new() })
    }
}

/// Rows say by which version of the plugin they were made: it must be the one that their generation runs.
fn of_another(world: &World, token: &Token, rows: &[Row]) -> Option<String> {
    let monitor = lock(&world.monitor);
    let runs = monitor.runs(token.generation, "counts").unwrap_or("what was never deployed");
    rows.iter().find_map(|(_, row)| {
        let row: Value = serde_json::from_slice(row).ok()?;
        let by = row["by"].as_str().filter(|by| *by != runs && world.has_monitor())?;
        Some(format!("generation {} runs {runs}, and a row was made by {by}", token.generation))
    })
}

/// Shows what a token promised, and says what is wrong with that.
fn show(world: &World, sink: &str, token: &Token) -> Result<()> {
    let partition = token.staged["partition"].as_str().unwrap_or_default().to_owned();
    let fence = token.staged["fence"].as_u64().unwrap_or(0);
    lock(&world.monitor).committing(world, &partition, fence, token.epoch);
    let mut shown = lock(&world.shown);
    let shown = &mut *shown;
    match shown.committed.get(&(sink.to_owned(), partition.clone(), token.epoch)) {
        Some(by) if *by == fence => return Ok(()),
        Some(by) => {
            world.broken(format!("epoch {} of {partition} was shown by owner {by} and by owner {fence}", token.epoch));
            return Ok(());
        }
        None => {}
    }
    let staged = shown.staged.remove(&(sink.to_owned(), partition.clone(), fence, token.epoch));
    let Some(rows) = staged else {
        world.broken(format!("{sink}: what owner {fence} promised for epoch {} of {partition} is gone", token.epoch));
        return Ok(());
    };
    if let Some(wrong) = of_another(world, token, &rows) {
        world.broken(format!("{sink}: epoch {} of {partition}: {wrong}", token.epoch));
    }
    shown.exact.entry(sink.to_owned()).or_default().extend(rows);
    shown.committed.insert((sink.to_owned(), partition, token.epoch), fence);
    Ok(())
}

impl Sink for ExactSink {
    fn promise(&self) -> Promise {
        Promise::ExactlyOnce
    }

    fn recover(&mut self, writer: Writer, epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        self.open.clear();
        let ids = Ids::new(&writer.job, &self.name);
        let (partition, fence) = (writer.partition.to_string(), writer.fence);
        self.writer = Some((writer, ids));
        let sink = self.name.clone();
        Box::pin(async move {
            let detail = format!("{sink} {partition} beyond {epoch} by {fence}");
            let abort = move |world: &World| {
                lock(&world.monitor).aborting(world, &partition, fence);
                // what a later owner has staged is not ours to abort
                let beyond = |(name, of, by, staged): &Staging| {
                    *name == sink && *of == partition && *staged > epoch && *by < fence
                };
                lock(&world.shown).staged.retain(|key, _| !beyond(key));
            };
            self.caller.call("abort", &detail, abort).await
        })
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        let taken = self.take(batch);
        Box::pin(std::future::ready(taken))
    }

    fn prepare(&mut self, epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(self.stage(epoch))
    }

    fn go_on(&mut self, generation: u64) {
        if let Some((writer, _)) = &mut self.writer {
            writer.generation = generation;
        }
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        let (sink, whole) = (self.name.clone(), token.clone());
        Box::pin(async move {
            let detail =
                format!("{sink} {} epoch {} by {}", whole.staged["partition"], whole.epoch, whole.staged["fence"]);
            self.caller.call("commit", &detail, move |world| show(world, &sink, &whole)).await?
        })
    }
}

/// At least once: the host's own delivery over a service that refuses entries.
pub struct SentSink {
    delivery: Delivery,
    writer: Arc<Mutex<Option<Writer>>>,
}

struct Receiving {
    caller: Caller,
    writer: Arc<Mutex<Option<Writer>>>,
}

impl SentSink {
    /// The sink of this name, in one worker.
    pub fn new(name: &str, caller: Caller, runtime: Handle) -> Self {
        let writer = Arc::new(Mutex::new(None));
        let service = Arc::new(Receiving { caller, writer: writer.clone() });
        let limits = Limits { entries: 20, bytes: 1 << 20, entry: 1 << 16 };
        Self {
            delivery: Delivery::new(name.to_owned(), service, runtime, limits, Order::PerKey, Form::Json(b"")),
            writer,
        }
    }
}

impl Service for Receiving {
    fn send(&self, entries: Vec<Arc<Entry>>, _: Permit) -> Pending<'static, Outcomes> {
        let (caller, writer) = (self.caller.clone(), lock(&self.writer).clone());
        Box::pin(async move {
            if let Some(writer) = &writer
                && !caller.life.is_dead()
            {
                lock(&caller.world.monitor).sending(&caller.world, &writer.partition, writer.fence);
            }
            let detail = format!("{} entries", entries.len());
            let sent = caller.call("PutRecords", &detail, move |world| {
                let mut outcomes = Vec::with_capacity(entries.len());
                for entry in entries {
                    let is_refused = world.strikes("partial_put");
                    if !is_refused {
                        lock(&world.shown).sent.push(serde_json::from_slice(&entry.data).unwrap_or(Value::Null));
                    }
                    outcomes.push(is_refused.then(|| "throttled".to_owned()));
                }
                outcomes
            });
            let lost =
                |failed: Error| CallFailed { why: failed.to_string(), is_final: false, happened: Happened::Perhaps };
            sent.await.map_err(lost)
        })
    }
}

impl Sink for SentSink {
    fn promise(&self) -> Promise {
        Promise::AtLeastOnce
    }

    fn recover(&mut self, writer: Writer, _: u64, _: &[u8]) -> Pending<'_, Result<()>> {
        *lock(&self.writer) = Some(writer.clone());
        self.delivery.recover(writer);
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.delivery.write(batch, Some("key")))
    }

    fn prepare(&mut self, _: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(async move {
            self.delivery.flush().await?;
            Ok(Prepared::default())
        })
    }

    fn go_on(&mut self, generation: u64) {
        self.delivery.go_on(generation);
        if let Some(writer) = &mut *lock(&self.writer) {
            writer.generation = generation;
        }
    }

    fn commit<'a>(&'a mut self, _: &'a Token) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
