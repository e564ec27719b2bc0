//! What a replay reads: the records of a range, read once, before either version runs.
//!
//! The rules: a shard is read until the end of the range, until its own end, or, where it has none, until nothing is left; its children are read
//! once all their parents were read to their ends. What was made at a source to read it is taken back, however the reading ends.
//! Left to others: how records are kept and handed out (`tape`, `turns`).

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use futures::stream::{FuturesUnordered, StreamExt};

use super::{
    tape::{Lane, Recorded, Tape},
    turns::Turns,
};
use crate::{
    error::{Error, Kind, Result},
    job::{build::Connected, live::Live},
    record::ShardId,
    source::{Event, From, Reader, Shard, Source, Start},
};

/// A source of the job, and how it is read.
pub struct Wish {
    /// the source
    pub connected: Connected,
    /// what arrived then or later is left out, microseconds since 1970
    pub to_us: i64,
    /// after that time without a record a shard is idle, microseconds
    pub idle_us: Option<i64>,
}

/// What was read.
#[derive(Clone)]
pub struct Recording {
    /// in place of the job's sources, by their names
    pub sources: BTreeMap<String, Arc<dyn Source>>,
    /// where their records are
    pub tape: Arc<Tape>,
}

/// Reads what is wanted, unless `stop` comes back first.
pub async fn record(wishes: &[Wish], live: &Live, stop: impl Future<Output = ()>) -> Result<Recording> {
    let (tape, turns) = (Arc::new(Tape::new()?), Arc::<Turns>::default());
    let stopped = || Error::new(Kind::Unavailable, "stopped before everything was read; nothing was compared");
    let read = tokio::select! {
        read = read_all(wishes, live, &tape, &turns) => read,
        () = stop => Err(stopped()),
    };
    for Wish { connected, .. } in wishes {
        if let Err(failed) = connected.source.leave().await {
            tracing::warn!("source {}: {failed}", connected.name);
        }
    }
    Ok(Recording { sources: read?, tape })
}

async fn read_all(
    wishes: &[Wish],
    live: &Live,
    tape: &Arc<Tape>,
    turns: &Arc<Turns>,
) -> Result<BTreeMap<String, Arc<dyn Source>>> {
    let mut sources = BTreeMap::new();
    for (place, Wish { connected, to_us, idle_us }) in wishes.iter().enumerate() {
        let Connected { name, source, start } = connected;
        let reading = Reading {
            source: &**source,
            to_us: *to_us,
            tape,
            live,
            lanes: BTreeMap::new(),
            readers: FuturesUnordered::new(),
        };
        let recorded = Recorded {
            stream: source.stream().into(),
            place,
            idle_us: *idle_us,
            lanes: reading.run(*start).await.map_err(|e| e.at(format_args!("source {name}")))?,
            tape: tape.clone(),
            turns: turns.clone(),
        };
        sources.insert(name.clone(), Arc::new(recorded) as Arc<dyn Source>);
    }
    Ok(sources)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// not all of its parents are read to their ends
    Waits,
    Reads,
    /// read as far as is wanted
    Over,
    Ended,
}

struct Known {
    lane: Lane,
    start: Start,
    state: State,
}

type Next = Pin<Box<dyn Future<Output = (ShardId, Box<dyn Reader>, Result<Event>)>>>;

/// One source being read.
struct Reading<'a> {
    source: &'a dyn Source,
    to_us: i64,
    tape: &'a Tape,
    live: &'a Live,
    lanes: BTreeMap<ShardId, Known>,
    readers: FuturesUnordered<Next>,
}

impl Reading<'_> {
    async fn run(mut self, start: Start) -> Result<Vec<Lane>> {
        self.list(start).await?;
        loop {
            self.open().await?;
            let Some((id, reader, event)) = self.readers.next().await else { break };
            self.take(id, reader, event?).await?;
        }
        // Whoever still waits is a child of a shard that goes on past the range.
        let read = self.lanes.into_values().filter(|known| known.state != State::Waits);
        Ok(read.map(|known| Lane { ended: known.state == State::Ended, ..known.lane }).collect())
    }

    /// Shards that are listed and not known yet begin there.
    async fn list(&mut self, start: Start) -> Result<()> {
        self.source.shards().await?.into_iter().for_each(|shard| self.add(shard, start));
        Ok(())
    }

    fn add(&mut self, shard: Shard, start: Start) {
        let new =
            |shard: Shard| Known { lane: Lane { shard, kept: Vec::new(), ended: false }, start, state: State::Waits };
        self.lanes.entry(shard.id.clone()).or_insert_with(|| new(shard));
    }

    async fn open(&mut self) -> Result<()> {
        let ended = |parent: &ShardId| self.lanes.get(parent).is_none_or(|known| known.state == State::Ended);
        let ready = |known: &&Known| known.state == State::Waits && known.lane.shard.parents.iter().all(ended);
        let ready: Vec<_> = self.lanes.values().filter(ready).map(|known| known.lane.shard.id.clone()).collect();
        for id in ready {
            let Some(known) = self.lanes.get_mut(&id) else { continue };
            known.state = State::Reads;
            let reader = self.source.open(&id, From::Start(known.start)).await?;
            self.read(id, reader);
        }
        Ok(())
    }

    fn read(&self, id: ShardId, mut reader: Box<dyn Reader>) {
        self.readers.push(Box::pin(async move {
            let event = reader.next().await;
            (id, reader, event)
        }));
    }

    async fn take(&mut self, id: ShardId, reader: Box<dyn Reader>, event: Event) -> Result<()> {
        let is_parent = self.lanes.values().any(|known| known.lane.shard.parents.contains(&id));
        let Some(known) = self.lanes.get_mut(&id) else { return Ok(()) };
        let over = match event {
            Event::Records { batch, behind_ms, .. } => {
                let cut = batch.records.arrival_us.iter().position(|at_us| *at_us >= self.to_us);
                let wanted = cut.map_or_else(|| batch.clone(), |rows| batch.first(rows));
                if !wanted.is_empty() {
                    Live::add(&self.live.records, wanted.len() as u64);
                    known.lane.kept.push(self.tape.keep(&wanted)?);
                }
                cut.is_some() || (behind_ms == Some(0) && !is_parent)
            }
            Event::Progress { behind_ms, .. } => behind_ms == 0 && !is_parent,
            Event::Ended { children } => {
                known.state = State::Ended;
                if !children.is_empty() {
                    // A child of a merge may name a parent that nobody has heard of yet.
                    self.list(Start::TrimHorizon).await?;
                    children.into_iter().for_each(|child| self.add(child, Start::TrimHorizon));
                }
                return Ok(());
            }
        };
        match over {
            true => known.state = State::Over,
            false => self.read(id, reader),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::future::pending;

    use super::*;
    use crate::{
        record::{Cells, RawBatch, Records, Sequence},
        source::memory::MemorySource,
    };

    fn batch(shard: &str, arrivals: &[i64]) -> RawBatch {
        let data: Cells = arrivals.iter().map(|_| &b"{}"[..]).collect();
        let records = Records {
            stream: "s".into(),
            shard: ShardId::new(shard),
            sequence: arrivals.iter().map(|at| Sequence::from_u64(*at as u64)).collect(),
            sub_sequence: vec![0; arrivals.len()],
            partition_key: data.clone(),
            arrival_us: arrivals.to_vec(),
        };
        RawBatch { records: Arc::new(records), data }
    }

    fn shard(id: &str, parents: &[&str]) -> Shard {
        let parents = parents.iter().map(ShardId::new).collect();
        Shard { id: ShardId::new(id), parents, hash_range: (0, u128::MAX) }
    }

    /// `a` was split into `b` and `c`; `d` goes on.
    async fn read(to_us: i64) -> Recording {
        let source = MemorySource::new(
            "s",
            vec![
                (shard("a", &[]), vec![batch("a", &[1, 3]), batch("a", &[5, 7])]),
                (shard("b", &["a"]), vec![batch("b", &[8, 20])]),
                (shard("c", &["a"]), vec![]),
                (shard("d", &[]), vec![batch("d", &[2, 4, 6])]),
            ],
        );
        let connected = Connected { name: "in".into(), source: Arc::new(source), start: Start::TrimHorizon };
        record(&[Wish { connected, to_us, idle_us: None }], &Live::default(), pending()).await.unwrap()
    }

    async fn played(recording: &Recording, shards: &[&str]) -> Vec<i64> {
        let source = &recording.sources["in"];
        let mut readers = FuturesUnordered::new();
        let next = |mut reader: Box<dyn Reader>| async move { (reader.next().await.unwrap(), reader) };
        for shard in shards {
            readers.push(next(source.open(&ShardId::new(shard), From::Start(Start::TrimHorizon)).await.unwrap()));
        }
        let mut arrivals = Vec::new();
        while let Some((event, reader)) = readers.next().await {
            match event {
                Event::Records { batch, .. } => arrivals.extend(&batch.records.arrival_us),
                Event::Progress { .. } | Event::Ended { .. } => continue,
            }
            readers.push(next(reader));
        }
        arrivals
    }

    #[tokio::test]
    async fn children_of_a_shard_that_goes_on_past_the_range_are_not_there() {
        let recording = read(6).await;
        let listed = recording.sources["in"].shards().await.unwrap();
        assert_eq!(listed, [shard("a", &[]), shard("d", &[])]);
        assert_eq!(played(&recording, &["a", "d"]).await, [1, 3, 2, 4, 5]);
        assert_eq!(played(&recording, &["d", "a"]).await, [1, 3, 2, 4, 5], "whoever asks first");
    }

    #[tokio::test]
    async fn a_shard_that_ended_in_the_range_is_followed_by_its_children() {
        let recording = read(9).await;
        assert_eq!(recording.sources["in"].shards().await.unwrap().len(), 4);
        let mut reader =
            recording.sources["in"].open(&ShardId::new("a"), From::Start(Start::TrimHorizon)).await.unwrap();
        let mut last = reader.next().await.unwrap();
        while let Event::Records { .. } = last {
            last = reader.next().await.unwrap();
        }
        assert_eq!(last, Event::Ended { children: vec![shard("b", &["a"]), shard("c", &["a"])] });
        drop(reader);
        assert_eq!(played(&recording, &["b"]).await, [8]);
    }
}
