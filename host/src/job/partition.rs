//! A partition: some shards, one run of the graph, one commit. The loop of its epochs.
//!
//! Cites the rules of `checkpoint`: a batch is handed out only between epochs' ends, and has flowed through every step before the next
//! event is looked at (rules 1 and 2); positions move only in [`Partition::end_epoch`], with the effects of what they cover (rule 4).
//! Left to others: the order of durable writes (`checkpoint::epoch`), the shards (`intake`), what each record is checked and given before
//! steps see it (`locality`, `timing`), the form of a dead letter (`letters`), the steps (`flow`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;

mod attended;
mod canary;
pub mod capsules;
pub mod figures;
pub mod intake;
pub mod letters;
pub mod locality;
mod parts;
mod swapping;
#[cfg(test)]
mod tests;
pub mod timing;

use attended::attended;
use capsules::Capsules;
use figures::Timing;
use intake::{Intake, LaneId};
pub use parts::{Ending, Holding, Parts, Settings};
use swapping::Change;
use timing::timed;

use super::{
    flow::{Flow, Rejected},
    graph::OnError,
    live::{Live, Phases},
    swap::Swaps,
};
use crate::{
    checkpoint::{
        epoch::{Done, Epochs, Outlet},
        ledger::Ledger,
        manifest::{Floor, JobRecord, Manifest},
        reshard::PARTITION,
    },
    clock::{self, Clock},
    decode::{Decoded, Outcome, avro::INCOMPATIBLE},
    error::{Error, Kind, Result},
    lease::Checkpoint,
    permit::Permit,
    planted,
    record::{Batch, RawBatch, Records},
    sink::Writer,
    source::{Event, Position, Reader, Shard},
    state::{Delta, StateStore, key},
    window::event_time::PartitionClock,
};

/// Too many rejects: this many in an epoch, and this share of its records.
const REJECTS: (u64, f64) = (20, 0.05);

/// Positions that move while nothing comes are made durable this often: after a crash they are found again.
const QUIET: Duration = Duration::from_secs(60);

/// A bounded run waits so long for a schema; another run waits as long as it takes.
const OUTAGE: Duration = Duration::from_secs(60);

/// Counted since the last epoch ended.
#[derive(Debug, Default)]
struct Counted {
    records: u64,
    bytes: u64,
    rejects: u64,
    first: Vec<String>,
    /// something that an epoch has to make durable
    changed: bool,
    /// positions are further, and nothing came on the way
    moved: bool,
}

/// A running partition.
pub struct Partition {
    settings: Settings,
    record: JobRecord,
    flow: Flow,
    store: Arc<dyn StateStore>,
    outlets: Vec<Outlet>,
    dead_letters: Option<usize>,
    intake: Intake,
    epochs: Epochs,
    timing: Timing,
    holding: Holding,
    event_clock: PartitionClock,
    clock: Arc<dyn Clock>,
    live: Arc<Live>,
    counted: Counted,
    epoch_began: Duration,
    floors: Vec<Floor>,
    /// its shard has ended, and these go on
    ended: Option<Vec<Shard>>,
    /// what plugins failed over
    capsules: Capsules,
    /// it tries what is new, and keeps its epoch open
    canary: Option<canary::Trying>,
}

impl Partition {
    /// Rules 0 and 6: claims, recovers, and opens the shards. `first` is what it begins with where nothing is known of it.
    pub async fn claim(settings: Settings, record: JobRecord, first: Manifest, parts: Parts) -> Result<Self> {
        parts.holding.permit.check()?;
        let Parts { inputs, mut flow, mut outlets, dead_letters, store, ledger, holding, clock, live } = parts;
        if planted::is("abort-before-claim") {
            abort_unclaimed(&settings, &record, &*ledger, &mut outlets).await?;
        }
        let mut epochs = Epochs::claim(ledger, &settings.name, first, holding.row, settings.adopt_row).await?;
        let manifest = epochs.manifest().clone();
        let writer = Writer {
            job: Arc::from(record.job.as_str()),
            partition: Arc::from(settings.name.as_str()),
            generation: record.generation,
            fence: manifest.fence,
            permit: holding.permit.clone(),
            set_back: manifest.set_back,
        };
        epochs.recover(&writer, &mut outlets).await?;
        epochs.load().await?;
        flow.restore(&store, manifest.range, &manifest.watermarks)?;
        let intake = Intake::new(inputs, &manifest, settings.one_shard).await?;
        let event_clock = PartitionClock::new(manifest.watermarks.get(PARTITION).copied());
        let epoch_began = clock.elapsed();
        let counted = Counted::default();
        let capsules = Capsules::new(settings.capsules.clone());
        let mut partition = Self {
            settings,
            record,
            flow,
            store,
            outlets,
            dead_letters,
            intake,
            epochs,
            timing: Timing { handed_over: epoch_began, ..Timing::default() },
            holding,
            event_clock,
            clock,
            live,
            counted,
            epoch_began,
            floors: manifest.floors,
            ended: None,
            capsules,
            canary: None,
        };
        for (id, lane) in &partition.intake.lanes {
            if !lane.progress.ended {
                partition.event_clock.set(&lane_name(id), lane.clock.watermark_us(), false);
            }
        }
        partition.open_ready().await?;
        // a life before this one may have tried something
        partition.live.update(&partition.settings.name, |now| now.canary = None);
        partition.show_epoch();
        Ok(partition)
    }

    /// Runs until it is told to stop, or until everything was read in a bounded run. Everything is committed and published when
    /// this returns without an error; after an error the last commit is what counts.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, mut swaps: Swaps<'_>) -> Result<Ending> {
        self.begin_canary(&swaps)?;
        loop {
            self.holding.permit.check()?;
            self.holding.permit.pulse();
            if self.canary.is_none()
                && let Some(children) = self.ended.take()
            {
                return self.seal(children, &swaps).await;
            }
            if *stop.borrow() {
                return self.finish(false, &swaps).await;
            }
            let nothing_comes = self.settings.until_caught_up && !self.settings.closed && self.intake.caught_up();
            if nothing_comes && self.canary.is_none() {
                return self.finish(true, &swaps).await;
            }
            let left = self.settings.every.saturating_sub(self.clock.elapsed().saturating_sub(self.epoch_began));
            let left = left.min(self.until_tick());
            tokio::select! {
                biased;
                changed = stop.changed() => if changed.is_err() { return self.finish(false, &swaps).await },
                durable = self.epochs.durable(), if self.epochs.is_pending() => {
                    durable?;
                    self.publish().await?;
                }
                Ok(()) = swaps.deployed.changed() => {
                    if self.swap(&mut swaps).await? == Change::TakenBack {
                        return self.take_back().await;
                    }
                }
                () = clock::sleep(left) => {
                    let permit = self.holding.permit.clone();
                    if attended(self.tick(), &permit, &mut stop).await.transpose()?.is_none() {
                        return Ok(self.given_up());
                    }
                }
                Some((id, reader, event)) = self.intake.next(), if !self.is_full() => {
                    let (permit, event) = (self.holding.permit.clone(), event?);
                    if attended(self.handle(id, reader, event), &permit, &mut stop).await.transpose()?.is_none() {
                        return Ok(self.given_up());
                    }
                }
            }
            if self.is_due() && self.end_or_judge(&swaps).await? == Change::TakenBack {
                return self.take_back().await;
            }
        }
    }

    /// Whether the epoch has seen enough, or lasted long enough.
    fn is_due(&self) -> bool {
        let is_over = self.clock.elapsed().saturating_sub(self.epoch_began) >= self.settings.every;
        is_over || self.counted.bytes >= self.most_bytes() || self.breaks_assertion()
    }

    async fn handle(&mut self, id: LaneId, reader: Box<dyn Reader>, event: Event) -> Result<()> {
        match event {
            Event::Records { batch, position, behind_ms } => {
                let input = &mut self.intake.inputs[id.0];
                let decoded =
                    match input.decoder.decode(&batch).map_err(|e| e.at(format_args!("source {}", input.name)))? {
                        Outcome::Done(decoded) => decoded,
                        Outcome::Waits(waiting) => {
                            // Rule 1 is kept: nothing of the batch was handed out, and its shard stands until it can be.
                            let limit = self.settings.until_caught_up.then_some(OUTAGE);
                            let lane = self.lane(&id);
                            lane.caught_up = false;
                            lane.waits_since_us = batch.records.arrival_us.first().copied();
                            self.intake.hold(id, reader, Event::Records { batch, position, behind_ms }, waiting, limit);
                            return Ok(());
                        }
                    };
                if planted::is("position-first") {
                    self.note(&id, position.clone(), behind_ms);
                    self.end_epoch().await?;
                }
                self.records(&id, batch, decoded).await?;
                self.lane(&id).silent_since_us = Some(position.as_of_us);
                self.note(&id, position, behind_ms);
                self.moved(&id, false).await?;
                self.intake.read(id, reader);
            }
            Event::Progress { position, behind_ms } => {
                let idle = self.idle(&id, position.as_of_us, behind_ms);
                self.note(&id, position, Some(behind_ms));
                if idle {
                    self.moved(&id, true).await?;
                }
                self.intake.read(id, reader);
            }
            Event::Ended { children } => self.ended(&id, children).await?,
        }
        Ok(())
    }

    /// A shard is idle when the source itself says that nothing is left, and has said nothing else for the time of the rule. Silence of
    /// the source, or of ours, proves nothing: records may be on their way.
    fn idle(&mut self, id: &LaneId, as_of_us: i64, behind_ms: u64) -> bool {
        let limit = self.intake.inputs[id.0].time.idle;
        let since = *self.lane(id).silent_since_us.get_or_insert(as_of_us);
        let silent = Duration::from_micros(u64::try_from(as_of_us.saturating_sub(since)).unwrap_or(0));
        behind_ms == 0 && limit.is_some_and(|limit| silent >= limit)
    }

    /// Rule 5: what is durable and published goes to the lease row.
    fn tell(&self) {
        let Some(progress) = &self.holding.progress else { return };
        if self.epochs.is_pending() || !self.epochs.unpublished().is_empty() {
            return;
        }
        let manifest = self.epochs.manifest();
        let shard = manifest.shards.values().flat_map(BTreeMap::values).next().filter(|_| self.settings.one_shard);
        let done = shard.and_then(|shard| shard.position.as_ref()?.record).map(Checkpoint::from);
        progress.tell(done, manifest.epoch);
    }

    fn lane(&mut self, id: &LaneId) -> &mut intake::Lane {
        self.intake.lanes.get_mut(id).expect("an event comes from a lane that is open")
    }

    fn note(&mut self, id: &LaneId, position: Position, behind_ms: Option<u64>) {
        let lane = self.lane(id);
        lane.progress.position = Some(position);
        lane.caught_up = behind_ms == Some(0);
        lane.behind_ms = behind_ms.unwrap_or(0);
        lane.waits_since_us = None;
        self.counted.moved = true;
        self.show();
    }

    /// Gives every row of a decoded batch its time, and sends it down the graph.
    async fn records(&mut self, id: &LaneId, raw: RawBatch, decoded: Decoded) -> Result<()> {
        Live::add(&self.live.records, raw.len() as u64);
        Live::add(&self.live.bytes, raw.data.data().len() as u64);
        self.counted.changed = true;
        self.counted.records += raw.len() as u64;
        self.counted.bytes += raw.data.data().len() as u64;
        let input = &mut self.intake.inputs[id.0];
        let name = input.name.clone();
        let decoded = input.locality.check(&raw, decoded).map_err(|e| e.at(format_args!("source {name}")))?;
        let lane = self.intake.lanes.get_mut(id).expect("an event comes from a lane that is open");
        let reached = lane.clock.watermark_us();
        let (mut batch, rejects) = timed(&mut lane.clock, &input.time, &raw, decoded)?;
        raise(&mut batch, &raw.records, &self.floors, reached);
        if !rejects.is_empty() {
            let letters = letters::of_rejects(&name, &raw, &rejects, self.record.generation);
            self.reject(letters, rejects.iter().map(|r| format!("{name}: {}: {}", r.code, r.message))).await?;
            // What the job says of schemas that break their contract is no failure of decoding.
            self.counted.rejects -= rejects.iter().filter(|reject| reject.code == INCOMPATIBLE).count() as u64;
        }
        let feeds = self.intake.inputs[id.0].feeds.clone();
        self.flow.push(&name, batch, &feeds, &mut self.outlets).await?;
        self.take_rejected(Some(&raw)).await
    }

    /// Letters for what steps rejected since the last time.
    async fn take_rejected(&mut self, raw: Option<&RawBatch>) -> Result<()> {
        for (step, evidence) in std::mem::take(&mut self.flow.evidence) {
            self.capsules.keep(&self.record, (&self.settings.name, &step), &evidence, raw).await;
        }
        for rejected in std::mem::take(&mut self.flow.rejected) {
            match self.settings.on_error.get(&rejected.step).copied().unwrap_or_default() {
                OnError::DeadLetter => {}
                OnError::Stop => return Err(stopped(&rejected)),
                OnError::Drop => {
                    Live::add(&self.live.rejects, rejected.rows.len() as u64);
                    continue;
                }
            }
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
        let refused = self.outlets[outlet].sink.write(&letters).await.map_err(|e| e.at("dead letters"))?;
        match refused.first() {
            Some(row) => Err(Error::new(Kind::Step, format!("a dead letter cannot be kept: {}", row.message))),
            None => Ok(()),
        }
    }

    /// How long until a step has something to do by the clock.
    fn until_tick(&self) -> Duration {
        let left_ms = self.flow.due_ms().map(|due_ms| due_ms.saturating_sub(self.clock.wall_us() / 1000));
        left_ms.map_or(Duration::MAX, |left_ms| Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)))
    }

    async fn tick(&mut self) -> Result<()> {
        if !self.until_tick().is_zero() {
            return Ok(());
        }
        self.counted.changed = true;
        self.flow.tick(self.clock.wall_us() / 1000, &mut self.outlets).await?;
        self.take_rejected(None).await
    }

    /// A shard's watermark or idleness changed: the partition's watermark may fire windows.
    async fn moved(&mut self, id: &LaneId, idle: bool) -> Result<()> {
        let (watermark, before) = (self.intake.lanes[id].clock.watermark_us(), self.event_clock.watermark_us());
        self.event_clock.set(&lane_name(id), watermark, idle);
        self.counted.changed |= self.event_clock.watermark_us() > before;
        self.advance().await
    }

    async fn advance(&mut self) -> Result<()> {
        let watermark = self.event_clock.watermark_us();
        self.live.update(&self.settings.name, |now| now.watermark_us = watermark);
        self.flow.advance(watermark, &mut self.outlets).await?;
        self.take_rejected(None).await
    }

    /// A shard is read to its end. Its children begin when all their parents have ended; that and the end are one commit.
    async fn ended(&mut self, id: &LaneId, children: Vec<Shard>) -> Result<()> {
        self.counted.changed = true;
        self.lane(id).open = false;
        if self.settings.one_shard {
            // Only the seal says that the shard has ended: after a crash before it, the next owner is told of the end again.
            self.ended = Some(children);
            return Ok(());
        }
        self.lane(id).progress.ended = true;
        let childless = children.is_empty();
        self.intake.children(id.0, children).await?;
        self.open_ready().await?;
        if childless {
            self.event_clock.set(&lane_name(id), self.intake.lanes[id].clock.watermark_us(), true);
        }
        self.advance().await
    }

    /// Opens shards whose parents have ended; their clocks take the place of their parents'.
    async fn open_ready(&mut self) -> Result<()> {
        for id in self.intake.open_ready(&self.record).await? {
            let lane = &self.intake.lanes[&id];
            self.event_clock.set(&lane_name(&id), lane.clock.watermark_us(), false);
            let ended: Vec<LaneId> = lane.progress.parents.iter().map(|parent| (id.0, parent.clone())).collect();
            for parent in ended {
                let waits = |l: &intake::Lane| !l.open && !l.progress.ended && l.progress.parents.contains(&parent.1);
                if !self.intake.lanes.values().any(|lane| lane.input == id.0 && waits(lane)) {
                    self.event_clock.remove(&lane_name(&parent));
                }
            }
        }
        let open = self.intake.lanes.values().filter(|lane| lane.open).count() as u64;
        self.live.update(&self.settings.name, |now| now.open_shards = open);
        Ok(())
    }

    /// Rule 5, once the epoch that was handed over is durable.
    async fn publish(&mut self) -> Result<()> {
        let durable = self.clock.elapsed();
        self.timing.took.commit = durable.saturating_sub(self.timing.handed_over);
        self.epochs.settle(&mut self.outlets).await?;
        self.timing.took.publish = self.clock.elapsed().saturating_sub(durable);
        self.show_epoch();
        Ok(())
    }

    /// Rules 1 to 4. Nothing is under way when this is called: a batch is handled to its end before the loop goes on.
    async fn end_epoch(&mut self) -> Result<()> {
        let began = self.clock.elapsed();
        self.epoch_began = began;
        self.refuse_too_many_rejects()?;
        self.refuse_too_much_state()?;
        if !self.is_worth_an_epoch() {
            self.show_epoch();
            return Ok(());
        }
        self.counted = Counted::default();
        if self.epochs.is_pending() {
            self.epochs.durable().await?;
            self.publish().await?;
        }
        let settled = self.clock.elapsed();
        let mut delta = Delta::default();
        self.flow.freeze(&mut delta);
        let frozen = self.clock.elapsed();
        if planted::is("state-forgotten") && self.epochs.manifest().epoch % 4 == 3 {
            delta = Delta::default();
        }
        let mut watermarks: std::collections::BTreeMap<String, i64> = self.flow.watermarks().collect();
        watermarks.insert(PARTITION.to_owned(), self.event_clock.watermark_us());
        let done = Done { delta, shards: self.intake.progress(), watermarks };
        self.epochs.end(done, &mut self.outlets).await?;
        let handed_over = self.clock.elapsed();
        let (wait, freeze, prepare) = (settled - began, frozen - settled, handed_over - frozen);
        self.timing = Timing { took: Phases { wait, freeze, prepare, ..Phases::default() }, handed_over };
        Ok(())
    }

    fn is_worth_an_epoch(&self) -> bool {
        let sinks_wait = !self.epochs.manifest().held.is_empty() || !self.epochs.unpublished().is_empty();
        let since = self.clock.elapsed().saturating_sub(self.timing.handed_over);
        self.counted.changed || sinks_wait || (self.counted.moved && since >= QUIET)
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

    /// A step that keeps more than it may has failed: what it keeps is there, and nothing more is added to it.
    fn refuse_too_much_state(&self) -> Result<()> {
        for (step, most) in &self.settings.most_state {
            let (from, to) = key::step_range(step, self.epochs.manifest().range);
            let bytes = self.store.bytes_between(&from, &to);
            if bytes > *most {
                let words = format!(
                    "step {step} keeps about {bytes} bytes of state in partition {}, its limit is {most}: raise `limits: {{ state }}`, give \
                     its tables a `ttl`, or let it delete what it does not need",
                    self.settings.name
                );
                return Err(Error::new(Kind::Step, words));
            }
        }
        Ok(())
    }

    /// The last epoch: in a bounded run open windows are closed by an extra firing.
    async fn finish(mut self, close: bool, swaps: &Swaps<'_>) -> Result<Ending> {
        if self.canary.is_some() {
            tracing::info!(partition = self.settings.name, "it stops while it tries what is new: that begins again");
            return Ok(Ending::Finished);
        }
        if close {
            self.flow.close(&mut self.outlets).await?;
            self.take_rejected(None).await?;
        }
        // Whoever stops a job looks at its results next: nothing stays behind in a file that is still open.
        self.outlets.iter_mut().for_each(|outlet| outlet.sink.close());
        self.counted.changed = true;
        if !self.settles(swaps).await? {
            let ending = self.take_back().await?;
            // whoever was told to stop is not asked again
            return Ok(if close { ending } else { Ending::Finished });
        }
        self.end_epoch().await?;
        self.epochs.close(&mut self.outlets).await?;
        self.show_epoch();
        Ok(Ending::Finished)
    }

    /// The shard is read to its end: open windows stay as state for its children, sinks hold nothing back, and the last manifest is sealed.
    async fn seal(mut self, children: Vec<Shard>, swaps: &Swaps<'_>) -> Result<Ending> {
        self.outlets.iter_mut().for_each(|outlet| outlet.sink.close());
        if !self.settles(swaps).await? {
            return self.take_back().await;
        }
        self.end_epoch().await?;
        self.epochs.seal(children, &mut self.outlets).await?;
        self.tell();
        self.live.forget(&self.settings.name);
        Ok(Ending::Sealed)
    }
}

/// The fault of this name: what is staged is aborted by somebody who has not claimed.
async fn abort_unclaimed(
    settings: &Settings,
    record: &JobRecord,
    ledger: &dyn Ledger,
    outlets: &mut [Outlet],
) -> Result<()> {
    let Some(newest) = ledger.newest(&settings.name).await? else { return Ok(()) };
    let (job, partition) = (Arc::from(record.job.as_str()), Arc::from(settings.name.as_str()));
    let fence = newest.fence + 1;
    let writer =
        Writer { job, partition, generation: record.generation, fence, permit: Permit::unlimited(), set_back: None };
    for outlet in outlets {
        outlet.sink.recover(writer.clone(), newest.epoch, &[]).await?;
    }
    Ok(())
}

/// A step that says `on_error: stop` has rejected a record.
fn stopped(rejected: &Rejected) -> Error {
    let why = rejected.rows.first().map_or_else(String::new, |row| format!("{}: {}", row.code, row.message));
    let words = format!(
        "step {} has rejected a record, and its `on_error` is `stop`; nothing of this epoch was delivered: {why}",
        rejected.step
    );
    Error::new(Kind::Step, words)
}

/// A row whose key was inherited is late against the watermark that its range had reached, where that is further than its shard's.
fn raise(batch: &mut Batch, records: &Records, floors: &[Floor], reached_us: i64) {
    let above: Vec<&Floor> = floors.iter().filter(|floor| floor.watermark_us > reached_us).collect();
    if above.is_empty() {
        return;
    }
    for (row, watermark) in batch.rows.iter().zip(&mut batch.watermark_us) {
        let hash = key::hash(records.partition_key.cell(*row as usize));
        let floor = above.iter().filter(|floor| floor.range.contains(hash)).map(|floor| floor.watermark_us).max();
        *watermark = floor.map_or(*watermark, |floor| floor.max(*watermark));
    }
}

/// Shards of two sources may have one name.
fn lane_name(id: &LaneId) -> crate::record::ShardId {
    crate::record::ShardId::new(format!("{}/{}", id.0, id.1))
}
