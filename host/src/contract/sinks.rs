//! What every sink promises, tried with a crash between any two acts of the commit protocol.
//!
//! A small model of the partition drives the sink: it writes, prepares, remembers tokens and held rows as a manifest does,
//! commits, and at the chosen act forgets the sink and recovers a new one from what it remembers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use arrow::{
    array::{Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use serde_json::Value;

use super::Broken;
use crate::{
    error::{Error, Result},
    record::{Batch, Cells, Origin, Records, Sequence, ShardId},
    sink::{Promise, Sink, Token, Writer},
    source::Pending,
};

/// How a suite gets at an implementation.
pub trait SinkRig: Send {
    /// An empty destination.
    fn reset(&mut self) -> Pending<'_, Result<()>>;

    /// A sink as a new process makes it, before `recover`. The one before it may be lost without a word.
    fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>>;

    /// Every row that a consumer can see, in the order in which it sees them for each key.
    fn shown(&mut self) -> Pending<'_, Result<Vec<Value>>>;
}

/// Epochs of a run.
const EPOCHS: u64 = 5;
/// Batches of an epoch, and rows of a batch.
const BATCHES: u64 = 2;
const ROWS: u64 = 6;

/// When the process is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Write,
    Prepare,
    Manifest,
    Commit,
    Forget,
}

const ACTS: [Act; 5] = [Act::Write, Act::Prepare, Act::Manifest, Act::Commit, Act::Forget];

/// A crash after this act of this epoch.
type Crash = Option<(u64, Act)>;

/// What is durable beside the sink.
#[derive(Default)]
struct Manifest {
    epoch: u64,
    tokens: Vec<Token>,
    held: Vec<u8>,
}

/// One run over the rig.
struct Run<'a> {
    rig: &'a mut dyn SinkRig,
    manifest: Manifest,
    crash: Crash,
    /// epochs whose tokens wait for the next epoch's manifest
    lag: usize,
    fence: u64,
}

/// Tries every promise, alone and with a crash after each act of each epoch, at once and with commits one epoch behind.
pub async fn sink(rig: &mut dyn SinkRig) -> std::result::Result<(), Broken> {
    for lag in [0, 1] {
        for crash in std::iter::once(None).chain((1..=EPOCHS).flat_map(|epoch| ACTS.map(|act| Some((epoch, act))))) {
            let place = |broken: String| format!("crash {crash:?}, commits {lag} epochs behind: {broken}");
            let failed = |failed: Error| place(failed.to_string());
            rig.reset().await.map_err(failed)?;
            let mut run = Run { rig, manifest: Manifest::default(), crash, lag, fence: 0 };
            let promise = run.run_to_end().await.map_err(place)?;
            let shown = rig.shown().await.map_err(failed)?;
            judge(promise, crash.is_some(), &shown).map_err(place)?;
        }
    }
    Ok(())
}

/// After this epoch another generation goes on.
const SWAPPED: u64 = 2;

/// The generation of an epoch.
fn generation(epoch: u64) -> u64 {
    1 + u64::from(epoch > SWAPPED)
}

impl Run<'_> {
    async fn run_to_end(&mut self) -> std::result::Result<Promise, Broken> {
        loop {
            let mut sink = self.recover().await.map_err(|failed| failed.to_string())?;
            let promise = sink.promise();
            if self.epochs(sink.as_mut()).await? {
                return Ok(promise);
            }
        }
    }

    async fn recover(&mut self) -> Result<Box<dyn Sink>> {
        self.fence += 1;
        let writer = Writer {
            job: "job".into(),
            partition: "p/0".into(),
            generation: generation(self.manifest.epoch + 1),
            fence: self.fence,
            permit: crate::permit::Permit::unlimited(),
            set_back: None,
        };
        let mut sink = self.rig.open().await?;
        for token in &self.manifest.tokens {
            sink.commit(token).await?;
        }
        sink.recover(writer, self.manifest.epoch, &self.manifest.held).await?;
        self.manifest.tokens.clear();
        Ok(sink)
    }

    /// False when the process was lost on the way.
    async fn epochs(&mut self, sink: &mut dyn Sink) -> std::result::Result<bool, Broken> {
        for epoch in self.manifest.epoch + 1..=EPOCHS {
            if !self.epoch(sink, epoch).await? {
                return Ok(false);
            }
        }
        for token in std::mem::take(&mut self.manifest.tokens) {
            sink.commit(&token).await.map_err(|failed| failed.to_string())?;
        }
        Ok(true)
    }

    async fn epoch(&mut self, sink: &mut dyn Sink, epoch: u64) -> std::result::Result<bool, Broken> {
        let failed = |failed: Error| failed.to_string();
        for number in 0..BATCHES {
            let first = ((epoch - 1) * BATCHES + number) * ROWS;
            if let Some(refused) = sink.write(&rows(first..first + ROWS)).await.map_err(failed)?.first() {
                return Err(format!("row {} is refused: {}", refused.row, refused.message));
            }
            if number == 0 && self.lost(epoch, Act::Write) {
                return Ok(false);
            }
        }
        if epoch == EPOCHS || epoch == SWAPPED {
            sink.close();
        }
        let prepared = sink.prepare(epoch).await.map_err(failed)?;
        if let Some(token) = prepared.token.as_ref().filter(|token| token.generation != generation(epoch)) {
            return Err(format!("the token of epoch {epoch} is of generation {}", token.generation));
        }
        if prepared.token.is_some() || sink.promise() == Promise::ExactlyOnce {
            self.hidden(epoch).await?;
        }
        if self.lost(epoch, Act::Prepare) {
            return Ok(false);
        }
        if epoch == EPOCHS && !prepared.held.is_empty() && sink.promise() != Promise::ExactlyOnce {
            return Err("a sink without tokens holds rows back at the end".to_owned());
        }
        if epoch == SWAPPED {
            if !prepared.held.is_empty() {
                return Err("rows are held back over a change of the generation".to_owned());
            }
            sink.go_on(generation(epoch + 1));
        }
        self.manifest.epoch = epoch;
        self.manifest.held = prepared.held;
        self.manifest.tokens.extend(prepared.token);
        if self.lost(epoch, Act::Manifest) {
            return Ok(false);
        }
        self.publish(sink, epoch).await
    }

    async fn publish(&mut self, sink: &mut dyn Sink, epoch: u64) -> std::result::Result<bool, Broken> {
        let ready = self.manifest.tokens.len().saturating_sub(self.lag);
        for token in &self.manifest.tokens[..ready] {
            for _ in 0..2 {
                sink.commit(token).await.map_err(|failed| failed.to_string())?;
            }
        }
        if self.lost(epoch, Act::Commit) {
            return Ok(false);
        }
        self.manifest.tokens.drain(..ready);
        Ok(!self.lost(epoch, Act::Forget))
    }

    /// Nothing of an epoch is shown before its token is committed.
    async fn hidden(&mut self, epoch: u64) -> std::result::Result<(), Broken> {
        let first = (epoch - 1) * BATCHES * ROWS;
        let shown = self.rig.shown().await.map_err(|failed| failed.to_string())?;
        match shown.iter().filter_map(number).find(|number| *number >= first) {
            Some(early) => Err(format!("row {early} is shown before its token is committed")),
            None => Ok(()),
        }
    }

    fn lost(&mut self, epoch: u64, act: Act) -> bool {
        let now = self.crash == Some((epoch, act));
        if now {
            self.crash = None;
        }
        now
    }
}

fn number(row: &Value) -> Option<u64> {
    row.get("n")?.as_u64()
}

fn judge(promise: Promise, crashed: bool, shown: &[Value]) -> std::result::Result<(), Broken> {
    let mut ids: BTreeMap<u64, &Value> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for row in shown {
        let number = number(row).ok_or_else(|| format!("a row has lost its field `n`: {row}"))?;
        if let Some(id) = row.pointer("/_pelton/id")
            && *ids.entry(number).or_insert(id) != id
        {
            return Err(format!("row {number} has two ids"));
        }
        if !seen.insert(number) {
            if promise == Promise::ExactlyOnce || !crashed {
                return Err(format!("row {number} is there twice"));
            }
            continue;
        }
        let before = last.insert(row["key"].to_string(), number);
        if before.is_some_and(|before| before > number) {
            return Err(format!("row {number} comes after {before:?} of the same key"));
        }
    }
    let expected = EPOCHS * BATCHES * ROWS;
    match (0..expected).find(|number| !seen.contains(number)) {
        // best effort may lose what was on its way
        Some(missing) if promise != Promise::BestEffort || !crashed => Err(format!("row {missing} is missing")),
        _ if seen.len() as u64 > expected => Err("there are rows that nobody wrote".to_owned()),
        _ => Ok(()),
    }
}

/// Rows with the fields `key` (three keys in turn) and `n` (the row's number), from a shard whose sequence numbers they are.
pub fn rows(numbers: Range<u64>) -> Batch {
    let count = u32::try_from(numbers.end - numbers.start).unwrap_or(u32::MAX);
    let keys: Vec<String> = numbers.clone().map(|number| format!("k{}", number % 3)).collect();
    let values: Int64Array = numbers.clone().map(|number| i64::try_from(number).unwrap_or(i64::MAX)).collect();
    let schema = Schema::new(vec![Field::new("key", DataType::Utf8, false), Field::new("n", DataType::Int64, false)]);
    let texts = StringArray::from_iter_values(&keys);
    let fields = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), Arc::new(values)]);
    let origin = Records {
        stream: "stream".into(),
        shard: ShardId::new("0"),
        sequence: numbers.map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; count as usize],
        partition_key: keys.iter().map(String::as_bytes).collect::<Cells>(),
        arrival_us: vec![0; count as usize],
    };
    Batch {
        origin: Origin::Records(Arc::new(origin)),
        rows: (0..count).collect(),
        nth: vec![0; count as usize],
        event_us: vec![0; count as usize],
        watermark_us: vec![0; count as usize],
        fields: fields.expect("columns of one length"),
    }
}
