//! The partitions of a worker: one for the whole job, or one for each shard, parents before children.
//!
//! The rules: a partition is claimed only here; the partition of a shard is claimed only after the seals of all its parents that were ever
//! read; when one partition fails, all stop where they are, and the last commits are what counts.
//! Left to others: the life of a partition (`partition`), what a child begins with (`checkpoint::reshard`).

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;

use super::{
    build::{Builder, Built, Connected},
    graph::Partitioning,
    live::Live,
    partition::{Ending, Partition, Parts, Settings},
};
use crate::{
    checkpoint::{
        committer::Committer,
        ledger::{Ledger, partitions},
        manifest::{JobRecord, Manifest},
        reshard,
    },
    clock::Clock,
    error::Result,
    record::ShardId,
    source::Shard,
    state::{HashRange, StateStore},
};

/// The name of the partition of a job that is one partition.
pub const ONE: &str = "all";

/// What the partitions of a worker share.
pub struct Worker<'a> {
    /// makes their parts
    pub builder: Builder<'a>,
    /// the job's sources
    pub sources: Vec<Connected>,
    /// what was deployed
    pub record: JobRecord,
    /// how they run; each gets a name of its own
    pub settings: Settings,
    /// folder of the state
    pub state_dir: std::path::PathBuf,
    /// where state is
    pub store: Arc<dyn StateStore>,
    /// who writes it
    pub committer: Committer,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures
    pub live: Arc<Live>,
}

/// A shard of a source, by the source's name.
type Id = (String, ShardId);

/// A shard as the worker knows it.
struct Known {
    shard: Shard,
    state: State,
}

enum State {
    /// its parents are not sealed yet
    Waits,
    /// it runs, or it did and has nothing more to do
    Begun,
    /// this was its last manifest
    Sealed(Box<Manifest>),
}

type Running<'a> = Pin<Box<dyn Future<Output = (Id, Result<Ending>)> + 'a>>;

impl Worker<'_> {
    /// Runs until stopped or, in a bounded run, until everything was read.
    pub async fn run(&self, stop: watch::Receiver<bool>) -> Result<()> {
        match &self.builder.graph.partitioning {
            Partitioning::One { .. } => {
                let built = self.builder.build(&self.state_dir, &self.sources).await?;
                let first = Manifest { generation: self.record.generation, ..Manifest::default() };
                self.live(Settings { name: ONE.to_owned(), ..self.settings.clone() }, first, built, stop)
                    .await
                    .map(drop)
            }
            Partitioning::PerShard { .. } => self.per_shard(stop).await,
        }
    }

    /// The whole life of one partition.
    async fn live(
        &self,
        settings: Settings,
        first: Manifest,
        built: Built,
        stop: watch::Receiver<bool>,
    ) -> Result<Ending> {
        let Built { inputs, flow, outlets, dead_letters } = built;
        let (store, committer) = (self.store.clone(), self.committer.clone());
        let (clock, live) = (self.clock.clone(), self.live.clone());
        let parts = Parts { inputs, flow, outlets, dead_letters, store, committer, clock, live };
        Partition::claim(settings, self.record.clone(), first, parts).await?.run(stop).await
    }

    async fn per_shard(&self, stop: watch::Receiver<bool>) -> Result<()> {
        let mut shards = self.known().await?;
        let mut running: FuturesUnordered<Running<'_>> = FuturesUnordered::new();
        loop {
            for id in ready(&shards) {
                if !*stop.borrow() {
                    running.push(self.begin(&id, &shards, stop.clone()).await?);
                }
                shards.entry(id).and_modify(|known| known.state = State::Begun);
            }
            let Some((id, ending)) = running.next().await else { return Ok(()) };
            if ending.map_err(|e| e.at(format_args!("partition {}", name(&id))))? == Ending::Sealed {
                self.sealed(&id, &mut shards).await?;
            }
        }
    }

    /// Every shard: what manifests name, what sealed ones name as children, and what the sources list.
    async fn known(&self) -> Result<BTreeMap<Id, Known>> {
        let mut shards = BTreeMap::new();
        for (_, manifest) in partitions(&self.store)? {
            for (source, progress) in &manifest.shards {
                for (shard, progress) in progress {
                    let HashRange { from, to } = manifest.range;
                    let shard = Shard { id: shard.clone(), parents: progress.parents.clone(), hash_range: (from, to) };
                    let sealed = manifest.sealed.is_some();
                    let state = if sealed { State::Sealed(Box::new(manifest.clone())) } else { State::Waits };
                    shards.insert((source.clone(), shard.id.clone()), Known { shard, state });
                }
                manifest.sealed.iter().flatten().for_each(|child| discover(&mut shards, source, child.clone()));
            }
        }
        for source in &self.sources {
            for shard in source.source.shards().await? {
                discover(&mut shards, &source.name, shard);
            }
        }
        Ok(shards)
    }

    /// A shard was sealed: its children are known from now on, and so are their other parents.
    async fn sealed(&self, id: &Id, shards: &mut BTreeMap<Id, Known>) -> Result<()> {
        let Some(manifest) = Ledger::new(self.store.clone(), name(id)).newest()? else { return Ok(()) };
        let children = manifest.sealed.clone().unwrap_or_default();
        let unheard = |parent: &ShardId| !shards.contains_key(&(id.0.clone(), parent.clone()));
        let list = children.iter().flat_map(|child| &child.parents).any(unheard);
        if let (true, Some(source)) = (list, self.sources.iter().find(|source| source.name == id.0)) {
            for shard in source.source.shards().await? {
                discover(shards, &id.0, shard);
            }
        }
        children.into_iter().for_each(|child| discover(shards, &id.0, child));
        shards.entry(id.clone()).and_modify(|known| known.state = State::Sealed(Box::new(manifest)));
        Ok(())
    }

    /// The life of a shard's partition, as a future that runs beside the others.
    async fn begin<'s>(
        &'s self,
        id: &Id,
        shards: &BTreeMap<Id, Known>,
        stop: watch::Receiver<bool>,
    ) -> Result<Running<'s>> {
        let shard = &shards[id].shard;
        let parent = |parent: &ShardId| match &shards.get(&(id.0.clone(), parent.clone()))?.state {
            State::Sealed(manifest) => Some((**manifest).clone()),
            State::Waits | State::Begun => None,
        };
        let parents: Vec<Manifest> = shard.parents.iter().filter_map(parent).collect();
        let first = reshard::begin(self.record.generation, &id.0, shard, &parents);
        let mut built = self.builder.build(&self.state_dir, &self.sources).await?;
        built.inputs.retain(|input| input.name == id.0);
        for input in &mut built.inputs {
            input.locality.range = self.builder.is_keyed().then_some(first.range);
        }
        let closed = shards.iter().any(|((source, _), other)| *source == id.0 && other.shard.parents.contains(&id.1));
        let settings = Settings { name: name(id), one_shard: true, closed, ..self.settings.clone() };
        let id = id.clone();
        Ok(Box::pin(async move { (id, self.live(settings, first, built, stop).await) }))
    }
}

fn discover(shards: &mut BTreeMap<Id, Known>, source: &str, shard: Shard) {
    let id = (source.to_owned(), shard.id.clone());
    shards.entry(id).or_insert(Known { shard, state: State::Waits });
}

/// Shards that wait for nobody: a parent that nobody knows is gone, and was never read.
fn ready(shards: &BTreeMap<Id, Known>) -> Vec<Id> {
    let done = |source: &str, parent: &ShardId| {
        shards.get(&(source.to_owned(), parent.clone())).is_none_or(|parent| matches!(parent.state, State::Sealed(_)))
    };
    let waits = |known: &Known| matches!(known.state, State::Waits);
    shards
        .iter()
        .filter(|((source, _), known)| waits(known) && known.shard.parents.iter().all(|parent| done(source, parent)))
        .map(|(id, _)| id.clone())
        .collect()
}

/// The name of a shard's partition.
fn name((source, shard): &Id) -> String {
    format!("{source}/{shard}")
}
