//! The shards that a partition reads: where each begins, parents before children, and what the next event is.
//!
//! Begins by rules 0 and 6: a shard that the manifest names goes on from its position; one that existed when the job was first
//! started begins where the job says; any other begins at its beginning, after its parents have ended.
//! Left to others: what an event does (`partition`).

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt};

use super::locality::Locality;
use crate::{
    checkpoint::manifest::{JobRecord, Manifest, ShardProgress},
    clock,
    decode::Decoder,
    error::{Error, Kind, Result},
    job::flow,
    planted,
    record::ShardId,
    source::{Event, From, Pending, Reader, Shard, Source, Start},
    window::event_time::{ShardClock, TimeRule},
};

/// A source of the job as a partition reads it.
pub struct Input {
    /// its name in the job
    pub name: String,
    /// where records come from
    pub source: Arc<dyn Source>,
    /// makes columns of them
    pub decoder: Box<dyn Decoder>,
    /// how their time is found
    pub time: TimeRule,
    /// where shards begin that existed at the first start
    pub start: Start,
    /// the nodes that read it
    pub feeds: Vec<flow::Reader>,
    /// what is checked of each record where the job is cut by shards
    pub locality: Locality,
}

/// One shard of one input.
#[derive(Clone, Debug)]
pub struct Lane {
    /// number of the input
    pub input: usize,
    /// how far it is, as the next manifest will say
    pub progress: ShardProgress,
    /// its event time
    pub clock: ShardClock,
    /// a reader is open
    pub open: bool,
    /// nothing is left to read for now
    pub caught_up: bool,
    /// how far it was behind when the last event came, milliseconds
    pub behind_ms: u64,
    /// when the first record arrived that waits for its schema, microseconds since 1970; none where nothing waits
    pub waits_since_us: Option<i64>,
    /// when the last record came, or the first event, microseconds since 1970 by the clock of whoever received it
    pub silent_since_us: Option<i64>,
}

impl Lane {
    /// How far it is behind, milliseconds: what the last event said, or the age of the record that waits for its schema.
    pub fn lag_ms(&self, now_us: i64) -> u64 {
        let waits_us = self.waits_since_us.map_or(0, |since_us| now_us.saturating_sub(since_us));
        self.behind_ms.max(u64::try_from(waits_us / 1_000).unwrap_or(0))
    }
}

type Next = Pin<Box<dyn Future<Output = (LaneId, Box<dyn Reader>, Result<Event>)>>>;

/// An input and a shard of it.
pub type LaneId = (usize, ShardId);

/// Every shard of a partition.
pub struct Intake {
    /// the sources
    pub inputs: Vec<Input>,
    /// by input and shard
    pub lanes: BTreeMap<LaneId, Lane>,
    reading: FuturesUnordered<Next>,
}

impl Intake {
    /// The lanes of these inputs: what the manifest names, and, unless it is one shard's, what the listing adds.
    pub async fn new(inputs: Vec<Input>, manifest: &Manifest, one_shard: bool) -> Result<Self> {
        let mut intake = Self { inputs, lanes: BTreeMap::new(), reading: FuturesUnordered::new() };
        for number in 0..intake.inputs.len() {
            for (shard, progress) in manifest.shards.get(&intake.inputs[number].name).into_iter().flatten() {
                intake.add(number, shard.clone(), progress.clone());
            }
            if !one_shard {
                intake.list(number).await?;
            }
        }
        Ok(intake)
    }

    /// Adds every shard that the source lists.
    async fn list(&mut self, input: usize) -> Result<()> {
        for shard in self.inputs[input].source.shards().await? {
            self.discover(input, shard);
        }
        Ok(())
    }

    /// Children that a shard named at its end. A child of a merge may name a parent that nobody has heard of yet; only what the listing
    /// does not have either counts as gone.
    pub async fn children(&mut self, input: usize, children: Vec<Shard>) -> Result<()> {
        let unknown = |parent: &ShardId| !self.lanes.contains_key(&(input, parent.clone()));
        if children.iter().flat_map(|child| &child.parents).any(unknown) {
            self.list(input).await?;
        }
        children.into_iter().for_each(|child| self.discover(input, child));
        Ok(())
    }

    fn add(&mut self, input: usize, shard: ShardId, progress: ShardProgress) {
        let clock = ShardClock::new(&self.inputs[input].time, progress.max_event_us, progress.floor_us);
        let lane = Lane {
            input,
            progress,
            clock,
            open: false,
            caught_up: false,
            behind_ms: 0,
            waits_since_us: None,
            silent_since_us: None,
        };
        self.lanes.insert((input, shard), lane);
    }

    /// A shard that was found in a listing or as a child. Known ones stay as they are.
    pub fn discover(&mut self, input: usize, shard: Shard) {
        if !self.lanes.contains_key(&(input, shard.id.clone())) {
            self.add(input, shard.id, ShardProgress { parents: shard.parents, ..ShardProgress::default() });
        }
    }

    /// Whether every parent that is known has ended.
    fn ready(&self, id: &LaneId) -> bool {
        let lane = &self.lanes[id];
        let ended = |parent: &ShardId| self.lanes.get(&(id.0, parent.clone())).is_none_or(|p| p.progress.ended);
        !lane.open && !lane.progress.ended && lane.progress.parents.iter().all(ended)
    }

    /// Opens every shard whose parents have ended. A child's watermark starts where the slowest of its parents ended.
    /// Gives back what was opened.
    pub async fn open_ready(&mut self, record: &JobRecord) -> Result<Vec<LaneId>> {
        let ready: Vec<LaneId> = self.lanes.keys().filter(|id| self.ready(id)).cloned().collect();
        for id in &ready {
            let parents = &self.lanes[id].progress.parents;
            let floor =
                parents.iter().filter_map(|p| self.lanes.get(&(id.0, p.clone()))).map(|p| p.clock.watermark_us()).min();
            let input = &self.inputs[id.0];
            let recorded = record.start_of(&input.name, &id.1);
            let from = begin(&self.lanes[id].progress, recorded, record.began_us(&input.name));
            let reader = input
                .source
                .open(&id.1, from)
                .await
                .map_err(|e| e.at(format_args!("source {}, {}", input.name, id.1)))?;
            let lane = self.lanes.get_mut(id).expect("it was listed a moment ago");
            lane.open = true;
            if let (Some(floor), None, None) = (floor, lane.progress.floor_us, &lane.progress.position) {
                lane.progress.floor_us = Some(floor);
                lane.clock.floor_us = floor;
            }
            self.read(id.clone(), reader);
        }
        Ok(ready)
    }

    /// Goes on reading after an event was handled.
    pub fn read(&mut self, id: LaneId, mut reader: Box<dyn Reader>) {
        self.reading.push(Box::pin(async move {
            let event = reader.next().await;
            (id, reader, event)
        }));
    }

    /// Gives an event back: it comes again when what it waits for is there. Meanwhile nothing more is read of its shard, and the others go on.
    pub fn hold(
        &mut self,
        id: LaneId,
        reader: Box<dyn Reader>,
        event: Event,
        until: Pending<'static, ()>,
        limit: Option<Duration>,
    ) {
        self.reading.push(Box::pin(async move {
            let came = match limit {
                Some(limit) => clock::timeout(limit, until).await,
                None => {
                    until.await;
                    Some(())
                }
            };
            let message = "the schema registry does not answer, and records cannot be read without their schemas";
            let event = came.map(|()| event).ok_or_else(|| Error::new(Kind::Unavailable, message));
            (id, reader, event)
        }));
    }

    /// The next event of any shard; none where no shard is open.
    pub async fn next(&mut self) -> Option<(LaneId, Box<dyn Reader>, Result<Event>)> {
        self.reading.next().await
    }

    /// How far every shard is, as a manifest says it.
    pub fn progress(&self) -> BTreeMap<String, BTreeMap<ShardId, ShardProgress>> {
        let mut shards: BTreeMap<String, BTreeMap<ShardId, ShardProgress>> = BTreeMap::new();
        for ((input, shard), lane) in &self.lanes {
            let mut progress = lane.progress.clone();
            progress.max_event_us = lane.clock.max_event_us;
            shards.entry(self.inputs[*input].name.clone()).or_default().insert(shard.clone(), progress);
        }
        shards
    }

    /// The largest lag over the shards.
    pub fn behind_ms(&self, now_us: i64) -> u64 {
        self.lanes.values().filter(|lane| lane.open).map(|lane| lane.lag_ms(now_us)).max().unwrap_or(0)
    }

    /// Whether every shard is read to its end or has nothing left for now.
    pub fn caught_up(&self) -> bool {
        self.lanes.values().all(|lane| lane.progress.ended || (lane.open && lane.caught_up))
    }
}

/// Rules 0 and 6: where a shard begins. `latest` is the moment of the first start, whenever a shard is first read.
fn begin(progress: &ShardProgress, recorded: Option<Start>, began_us: i64) -> From {
    match (&progress.position, progress.start.or(recorded)) {
        (Some(position), _) if !planted::is("read-from-the-beginning") => From::After(position.clone()),
        (None, Some(Start::Latest)) => From::Start(Start::At(began_us)),
        (None, Some(start)) => From::Start(start),
        _ => From::Start(Start::TrimHorizon),
    }
}
