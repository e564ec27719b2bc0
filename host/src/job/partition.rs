//! A partition: some shards, one run of the graph, one commit. The loop of its epochs.
//!
//! Cites the rules of `checkpoint`: a batch is handed out only between epochs' ends, and has flowed through every step before the next
//! event is looked at (rules 1 and 2); positions move only in [`Partition::end_epoch`], with the effects of what they cover (rule 4).
//! Left to others: the order of durable writes (`checkpoint::epoch`), the shards (`intake`), the steps (`flow`).

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    flow::Flow,
    intake::{Input, Intake, LaneId},
    letters,
    live::Live,
    timing::timed,
};
use crate::{
    checkpoint::{
        committer::Committer,
        epoch::{Done, Epochs, Outlet},
        ledger::Ledger,
        manifest::{JobRecord, Manifest},
    },
    clock::{self, Clock},
    error::{Error, Kind, Result},
    record::{Batch, RawBatch},
    sink::Writer,
    source::{Event, Position, Reader, Shard},
    state::{Delta, StateStore},
    window::event_time::PartitionClock,
};

/// How a partition runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// the partition's name
    pub name: String,
    /// an epoch ends after this time
    pub every: Duration,
    /// or after so many bytes of input
    pub bytes: u64,
    /// stop once everything that is there was read
    pub until_caught_up: bool,
    /// go on when too many records are rejected
    pub accept_rejects: bool,
}

/// What a partition is made of.
pub struct Parts {
    /// sources
    pub inputs: Vec<Input>,
    /// steps
    pub flow: Flow,
    /// sinks
    pub outlets: Vec<Outlet>,
    /// the outlet that takes dead letters
    pub dead_letters: Option<usize>,
    /// where state is
    pub store: Arc<dyn StateStore>,
    /// who writes it
    pub committer: Committer,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures
    pub live: Arc<Live>,
}

/// Too many rejects: this many in an epoch, and this share of its records.
const REJECTS: (u64, f64) = (20, 0.05);
/// How often idleness is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Counted since the last epoch ended.
#[derive(Debug, Default)]
struct Counted {
    records: u64,
    bytes: u64,
    rejects: u64,
    first: Vec<String>,
    changed: bool,
}

/// A running partition.
pub struct Partition {
    settings: Settings,
    record: JobRecord,
    flow: Flow,
    outlets: Vec<Outlet>,
    dead_letters: Option<usize>,
    intake: Intake,
    epochs: Epochs,
    event_clock: PartitionClock,
    clock: Arc<dyn Clock>,
    live: Arc<Live>,
    counted: Counted,
    epoch_began: Duration,
}

/// Name under which the partition's own watermark stands among those of steps.
const PARTITION: &str = "";

impl Partition {
    /// Rules 0 and 6: claims, recovers, and opens the shards.
    pub async fn claim(settings: Settings, record: JobRecord, parts: Parts) -> Result<Self> {
        let Parts { inputs, mut flow, mut outlets, dead_letters, store, committer, clock, live } = parts;
        let first = Manifest { generation: record.generation, ..Manifest::default() };
        let mut epochs = Epochs::claim(Ledger::new(store.clone(), &settings.name), committer, first)?;
        let manifest = epochs.manifest().clone();
        let writer = Writer {
            job: Arc::from(record.job.as_str()),
            partition: Arc::from(settings.name.as_str()),
            generation: record.generation,
            fence: manifest.fence,
        };
        epochs.recover(&writer, &mut outlets).await?;
        flow.restore(&*store, &manifest.watermarks)?;
        let intake = Intake::new(inputs, &manifest).await?;
        let event_clock = PartitionClock::new(manifest.watermarks.get(PARTITION).copied());
        live.epoch.store(manifest.epoch, Relaxed);
        let epoch_began = clock.elapsed();
        let counted = Counted::default();
        let mut partition = Self {
            settings,
            record,
            flow,
            outlets,
            dead_letters,
            intake,
            epochs,
            event_clock,
            clock,
            live,
            counted,
            epoch_began,
        };
        for (id, lane) in &partition.intake.lanes {
            if !lane.progress.ended {
                partition.event_clock.set(&lane_name(id), lane.clock.watermark_us(), false);
            }
        }
        partition.open_ready().await?;
        Ok(partition)
    }

    /// Runs until it is told to stop, or until everything was read in a bounded run. Everything is committed and published when
    /// this returns without an error; after an error the last commit is what counts.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        loop {
            if *stop.borrow() {
                return self.finish(false).await;
            }
            if self.settings.until_caught_up && self.intake.caught_up() {
                return self.finish(true).await;
            }
            let left = self.settings.every.saturating_sub(self.clock.elapsed().saturating_sub(self.epoch_began));
            tokio::select! {
                biased;
                changed = stop.changed() => if changed.is_err() { return self.finish(false).await },
                durable = self.epochs.durable(), if self.epochs.is_pending() => {
                    durable?;
                    self.epochs.settle(&mut self.outlets).await?;
                    self.live.epoch.store(self.epochs.manifest().epoch, Relaxed);
                }
                () = clock::sleep(left.min(TICK)) => self.tick().await?,
                Some((id, reader, event)) = self.intake.next() => {
                    self.handle(id, reader, event?).await?;
                    if self.counted.bytes >= self.settings.bytes {
                        self.end_epoch().await?;
                    }
                }
            }
            if self.clock.elapsed().saturating_sub(self.epoch_began) >= self.settings.every {
                self.end_epoch().await?;
            }
        }
    }

    async fn handle(&mut self, id: LaneId, reader: Box<dyn Reader>, event: Event) -> Result<()> {
        match event {
            Event::Records { batch, position, behind_ms } => {
                self.records(&id, batch).await?;
                self.note(&id, position, behind_ms);
                self.lane(&id).last_record = self.clock.elapsed();
                self.moved(&id, false).await?;
                self.intake.read(id, reader);
            }
            Event::Progress { position, behind_ms } => {
                self.note(&id, position, Some(behind_ms));
                self.intake.read(id, reader);
            }
            Event::Ended { children } => self.ended(&id, children).await?,
        }
        Ok(())
    }

    fn lane(&mut self, id: &LaneId) -> &mut super::intake::Lane {
        self.intake.lanes.get_mut(id).expect("an event comes from a lane that is open")
    }

    fn note(&mut self, id: &LaneId, position: Position, behind_ms: Option<u64>) {
        self.live.behind_ms.store(behind_ms.unwrap_or(0), Relaxed);
        let lane = self.lane(id);
        lane.progress.position = Some(position);
        lane.caught_up = behind_ms == Some(0);
        self.counted.changed = true;
    }

    /// Decodes a batch, gives every row its time, and sends it down the graph.
    async fn records(&mut self, id: &LaneId, raw: RawBatch) -> Result<()> {
        Live::add(&self.live.records, raw.len() as u64);
        Live::add(&self.live.bytes, raw.data.data().len() as u64);
        self.counted.records += raw.len() as u64;
        self.counted.bytes += raw.data.data().len() as u64;
        let input = &mut self.intake.inputs[id.0];
        let name = input.name.clone();
        let decoded = input.decoder.decode(&raw).await.map_err(|e| e.at(format_args!("source {name}")))?;
        let rule = self.intake.inputs[id.0].time.clone();
        let (batch, rejects) = timed(&mut self.lane(id).clock, &rule, &raw, decoded)?;
        if !rejects.is_empty() {
            let letters = letters::of_rejects(&name, &raw, &rejects, self.record.generation);
            self.reject(letters, rejects.iter().map(|r| format!("{name}: {}: {}", r.code, r.message))).await?;
        }
        let feeds = self.intake.inputs[id.0].feeds.clone();
        self.flow.push(batch, &feeds, &mut self.outlets).await?;
        self.take_rejected(Some(&raw)).await
    }

    /// Letters for what steps rejected since the last time.
    async fn take_rejected(&mut self, raw: Option<&RawBatch>) -> Result<()> {
        for rejected in std::mem::take(&mut self.flow.rejected) {
            let letters = letters::of_rejected(&rejected, raw, self.record.generation);
            let words = rejected.rows.iter().map(|r| format!("{}: {}: {}", rejected.step, r.code, r.message));
            self.reject(letters, words).await?;
        }
        Ok(())
    }

    async fn reject(&mut self, letters: Batch, words: impl Iterator<Item = String>) -> Result<()> {
        Live::add(&self.live.rejects, letters.len() as u64);
        self.counted.rejects += letters.len() as u64;
        let room = 3usize.saturating_sub(self.counted.first.len());
        self.counted.first.extend(words.take(room));
        let Some(outlet) = self.dead_letters else { return Ok(()) };
        self.outlets[outlet].sink.write(&letters).await.map_err(|e| e.at("dead letters"))
    }

    /// A shard's watermark or idleness changed: the partition's watermark may fire windows.
    async fn moved(&mut self, id: &LaneId, idle: bool) -> Result<()> {
        let watermark = self.intake.lanes[id].clock.watermark_us();
        self.event_clock.set(&lane_name(id), watermark, idle);
        self.advance().await
    }

    async fn advance(&mut self) -> Result<()> {
        let watermark = self.event_clock.watermark_us();
        self.live.watermark_us.store(watermark, Relaxed);
        self.flow.advance(watermark, &mut self.outlets).await?;
        self.take_rejected(None).await
    }

    /// A shard is read to its end. Its children begin when all their parents have ended; that and the end are one commit.
    async fn ended(&mut self, id: &LaneId, children: Vec<Shard>) -> Result<()> {
        let lane = self.lane(id);
        lane.progress.ended = true;
        lane.open = false;
        self.counted.changed = true;
        let childless = children.is_empty();
        for child in children {
            self.intake.discover(id.0, child);
        }
        self.open_ready().await?;
        if childless {
            self.event_clock.set(&lane_name(id), self.intake.lanes[id].clock.watermark_us(), true);
        }
        self.advance().await
    }

    /// Opens shards whose parents have ended; their clocks take the place of their parents'.
    async fn open_ready(&mut self) -> Result<()> {
        let elapsed = self.clock.elapsed();
        for id in self.intake.open_ready(&self.record, elapsed).await? {
            let lane = &self.intake.lanes[&id];
            self.event_clock.set(&lane_name(&id), lane.clock.watermark_us(), false);
            let ended: Vec<LaneId> = lane.progress.parents.iter().map(|parent| (id.0, parent.clone())).collect();
            for parent in ended {
                let waits =
                    |l: &super::intake::Lane| !l.open && !l.progress.ended && l.progress.parents.contains(&parent.1);
                if !self.intake.lanes.values().any(|lane| lane.input == id.0 && waits(lane)) {
                    self.event_clock.remove(&lane_name(&parent));
                }
            }
        }
        self.live.shards.store(self.intake.lanes.values().filter(|lane| lane.open).count() as u64, Relaxed);
        Ok(())
    }

    /// Looks for shards that have gone idle.
    async fn tick(&mut self) -> Result<()> {
        let now = self.clock.elapsed();
        let idle: Vec<LaneId> = self
            .intake
            .lanes
            .iter()
            .filter(|(id, lane)| {
                let limit = self.intake.inputs[id.0].time.idle;
                lane.open && lane.caught_up && limit.is_some_and(|limit| now.saturating_sub(lane.last_record) >= limit)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in idle {
            self.moved(&id, true).await?;
        }
        Ok(())
    }

    /// Rules 1 to 4. Nothing is under way when this is called: a batch is handled to its end before the loop goes on.
    async fn end_epoch(&mut self) -> Result<()> {
        self.epoch_began = self.clock.elapsed();
        self.refuse_too_many_rejects()?;
        let counted = std::mem::take(&mut self.counted);
        if !counted.changed && self.epochs.manifest().held.is_empty() && self.epochs.unpublished().is_empty() {
            return Ok(());
        }
        let mut delta = Delta::default();
        self.flow.freeze(&mut delta);
        let mut watermarks: std::collections::BTreeMap<String, i64> = self.flow.watermarks().collect();
        watermarks.insert(PARTITION.to_owned(), self.event_clock.watermark_us());
        let done = Done { delta, shards: self.intake.progress(), watermarks };
        self.epochs.end(done, &mut self.outlets).await
    }

    /// Too many rejects in one epoch: the step has failed, not the records; the epoch is thrown away.
    fn refuse_too_many_rejects(&self) -> Result<()> {
        let Counted { records, rejects, first, .. } = &self.counted;
        if self.settings.accept_rejects || *rejects <= REJECTS.0 || (*rejects as f64) <= REJECTS.1 * *records as f64 {
            return Ok(());
        }
        Err(Error::new(
            Kind::Step,
            format!(
                "{rejects} of {records} records of an epoch were rejected, so the step has failed, not the records; nothing of that epoch was \
                 delivered. The first: {}. Mend it and run again, or go on with --accept-rejects",
                first.join("; ")
            ),
        ))
    }

    /// The last epoch: in a bounded run open windows are closed by an extra firing.
    async fn finish(mut self, close: bool) -> Result<()> {
        if close {
            self.flow.close(&mut self.outlets).await?;
            self.take_rejected(None).await?;
            self.outlets.iter_mut().for_each(|outlet| outlet.sink.close());
        }
        self.counted.changed = true;
        self.end_epoch().await?;
        self.epochs.close(&mut self.outlets).await?;
        self.live.epoch.store(self.epochs.manifest().epoch, Relaxed);
        Ok(())
    }
}

/// Shards of two sources may have one name.
fn lane_name(id: &LaneId) -> crate::record::ShardId {
    crate::record::ShardId::new(format!("{}/{}", id.0, id.1))
}
