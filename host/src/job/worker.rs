//! The partitions of a worker: one for the whole job, or one for each shard, parents before children; all of them, or those that the
//! worker holds a lease for.
//!
//! The rules: a partition is claimed only here; two lives of one partition never overlap in a worker. Alone, when one partition fails, all
//! stop where they are, and the last commits are what counts; where the job says so, one whose step has failed is tried again instead. In a fleet a partition that fails for want of something outside begins
//! again after a while, and one that nobody but a person can mend waits with words; the others go on. A worker that cannot write its own
//! store gives everything back and ends: others can go on where it cannot.
//! Left to others: the life of a partition (`partition`), what may begin (`shards`), leases (`fleet`), what a child begins with
//! (`checkpoint::reshard`).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures::{
    future::{AbortHandle, abortable},
    stream::{FuturesUnordered, StreamExt},
};
use tokio::sync::watch;

mod failing;
pub mod fleet;
pub mod shards;
pub mod takeover;

use failing::Failing;
use fleet::Fleet;
use shards::{Id, Shards, name};

use super::{
    build::{Builder, Built, Connected},
    graph::{OnFailure, Partitioning},
    live::Live,
    partition::{Ending, Holding, Partition, Parts, Settings},
    swap::{Deployer, Swaps},
};
use crate::{
    checkpoint::{
        ledger::{Ledger, newest_of_all},
        manifest::Manifest,
        reshard,
        row::Row,
    },
    clock::{self, Clock},
    error::{Error, Kind, Result},
    record::ShardId,
    state::StateStore,
};

/// The name of the partition of a job that is one partition.
pub const ONE: &str = "all";

/// The name of the partition that a row of a lease table is for, by the table's source.
pub fn partition_of(source: &str, key: &str) -> String {
    if source == ONE { ONE.to_owned() } else { name(&(source.to_owned(), ShardId::new(key))) }
}

/// What the partitions of a worker share.
pub struct Worker<'a> {
    /// makes their parts
    pub builder: Builder<'a>,
    /// the job's sources
    pub sources: Vec<Connected>,
    /// what is deployed
    pub deployer: Arc<Deployer>,
    /// how they run; each gets a name of its own
    pub settings: Settings,
    /// the folder that holds dead letters
    pub letters: std::path::PathBuf,
    /// where state is
    pub store: Arc<dyn StateStore>,
    /// where it becomes durable
    pub ledger: Arc<dyn Ledger>,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures
    pub live: Arc<Live>,
}

/// A partition that is under way in this worker.
struct Active {
    stop: watch::Sender<bool>,
    abort: AbortHandle,
}

/// What a partition under way is told, and what it tells.
struct Told {
    stopped: watch::Receiver<bool>,
    /// the generation that it runs
    runs: Arc<AtomicU64>,
}

/// What became of a partition; none where it was dropped.
type Fate = Option<std::result::Result<Ending, Failed>>;
type Ended = (Id, Fate);

/// Why a partition has failed, and whether something else is deployed for it because of that.
struct Failed {
    why: Error,
    taken_back: Result<bool>,
}
type Running<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Ended> + 'a>>>;

/// Everything that is under way.
#[derive(Default)]
struct Under<'a> {
    running: Running<'a>,
    active: BTreeMap<Id, Active>,
}

impl<'a> Under<'a> {
    /// Begins a life. Whoever deploys is asked about a failure in here, beside the other lives: they may hold what it waits for.
    fn begin<L: Future<Output = Result<Ending>> + 'a>(
        &mut self,
        (id, partition): (Id, String),
        deployer: &'a Deployer,
        life: impl FnOnce(Told) -> L,
    ) {
        let (stop, stopped) = watch::channel(false);
        let runs = Arc::<AtomicU64>::default();
        let (life, abort) = abortable(life(Told { stopped, runs: runs.clone() }));
        self.active.insert(id.clone(), Active { stop, abort });
        self.running.push(Box::pin(async move {
            let fate = match life.await.ok() {
                Some(Err(why)) => {
                    let taken_back = deployer.failed((&partition, runs.load(Relaxed)), &why).await;
                    Some(Err(Failed { why, taken_back }))
                }
                Some(Ok(ending)) => Some(Ok(ending)),
                None => None,
            };
            (id, fate)
        }));
    }

    async fn ended(&mut self) -> Ended {
        match self.running.next().await {
            None => std::future::pending().await,
            Some(ended) => {
                self.active.remove(&ended.0);
                ended
            }
        }
    }

    fn stop_all(&self) {
        self.active.values().for_each(|active| {
            active.stop.send_replace(true);
        });
    }
}

impl Worker<'_> {
    /// Runs alone until stopped or, in a bounded run, until everything was read.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) -> Result<()> {
        let mut shards = self.known().await?;
        let mut under = Under::default();
        let mut begun = BTreeSet::new();
        let mut stopping = false;
        let (mut deployed, mut failing) = (self.deployer.watch(), Failing::default());
        loop {
            let now = self.clock.elapsed();
            stopping |= *stop.borrow();
            for id in self.open(&shards) {
                let may_begin = !stopping && shards.open_parents(&id).is_empty() && failing.may_begin(&id, now);
                if may_begin && begun.insert(id.clone()) {
                    let named = (id.clone(), self.partition(&id));
                    under.begin(named, &self.deployer, |told| self.life(id, &shards, Holding::alone(), told));
                }
            }
            let wait = failing.wait(now).filter(|_| !stopping);
            if under.active.is_empty() && wait.is_none() {
                return Ok(());
            }
            tokio::select! {
                biased;
                // whoever could stop it is gone: the same, once
                changed = stop.changed(), if !stopping => {
                    stopping = changed.is_err() || *stop.borrow();
                    if stopping {
                        under.stop_all();
                    }
                }
                // one that has read everything may be asked to try something: it says that there is nothing to see
                Ok(()) = deployed.changed() => {
                    begun.retain(|id| under.active.contains_key(id) || !self.is_asked(id));
                    failing.forget();
                }
                () = clock::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                (id, fate) = under.ended() => {
                    match fate {
                        Some(Ok(Ending::Sealed)) => drop(self.sealed(&id, &mut shards).await?),
                        Some(Ok(Ending::TakenBack)) => drop(begun.remove(&id)),
                        Some(Err(Failed { why: failed, taken_back })) => match taken_back {
                            Ok(true) => drop(begun.remove(&id)),
                            Ok(false) if self.is_tried_again(&failed) => {
                                begun.remove(&id);
                                let wait = failing.failed(&id, self.clock.elapsed());
                                self.left_alone(&id, &failed, wait);
                            }
                            Ok(false) => return Err(self.place(failed, &id)),
                            Err(not_back) => {
                                tracing::error!("what runs is on trial, and cannot be taken back: {not_back}");
                                return Err(self.place(failed, &id));
                            }
                        },
                        Some(Ok(Ending::Finished)) | None => {}
                    }
                }
            }
        }
    }

    /// Whether a partition that has failed like this begins again by itself.
    fn is_tried_again(&self, failed: &Error) -> bool {
        failed.kind() == Kind::Step && self.builder.graph.on_failure == OnFailure::BackOff
    }

    fn left_alone(&self, id: &Id, failed: &Error, wait: std::time::Duration) {
        let partition = self.partition(id);
        tracing::error!(partition, wait_s = wait.as_secs_f64(), "its step has failed, it begins again: {failed}");
        self.live.restarted(&partition, &failed.to_string());
    }

    /// Whether a canary waits for this partition.
    fn is_asked(&self, id: &Id) -> bool {
        let (now, name) = (self.deployer.now(), self.partition(id));
        now.record.canary_of(&name).is_some_and(|canary| !canary.passed.contains(&name))
    }

    /// The name of a partition.
    fn partition(&self, id: &Id) -> String {
        match self.builder.graph.partitioning {
            Partitioning::One { .. } => ONE.to_owned(),
            Partitioning::PerShard { .. } => name(id),
        }
    }

    fn place(&self, error: Error, id: &Id) -> Error {
        match self.builder.graph.partitioning {
            Partitioning::One { .. } => error,
            Partitioning::PerShard { .. } => error.at(format_args!("partition {}", name(id))),
        }
    }

    /// Runs what the fleet gives it until stopped; then everything is committed and given back.
    pub async fn run_in(&self, mut fleet: Fleet, mut stop: watch::Receiver<bool>) -> Result<()> {
        let mut shards = self.known().await?;
        self.take_over(&fleet, &mut shards).await?;
        let mut under = Under::default();
        fleet.ensure(&self.rows(&shards), &self.deployer.now().record).await;
        let mut next_listing = self.clock.elapsed() + fleet::LISTING;
        let mut deployed = self.deployer.watch();
        loop {
            let stopping = *stop.borrow() || stop.has_changed().is_err();
            if stopping {
                under.stop_all();
                fleet.enough().await;
                if under.active.is_empty() {
                    return fleet.leave().await;
                }
            }
            let due = fleet.due(self.clock.elapsed(), |id| under.active.contains_key(id));
            for id in if stopping { Vec::new() } else { due } {
                if self.may_begin(&id, &mut shards).await {
                    let mut holding = fleet.holding(&id);
                    // somebody has looked, and goes on from what is there, whatever this job's own rows know
                    if self.builder.accept_repeats && holding.row.epoch.is_some() {
                        holding.row = Row::default();
                    }
                    let named = (id.clone(), self.partition(&id));
                    under.begin(named, &self.deployer, |told| self.life(id.clone(), &shards, holding, told));
                }
            }
            self.live.hold(fleet.shown(self.clock.elapsed()));
            tokio::select! {
                biased;
                changed = stop.changed(), if !stopping => if changed.is_err() { under.stop_all() },
                event = fleet.next() => self.told(event, &mut fleet, &mut under),
                (id, fate) = under.ended() => {
                    if let Err(failed) = self.ended(&id, fate, &mut fleet, &mut shards).await {
                        drop(under);
                        fleet.leave().await?;
                        return Err(failed);
                    }
                }
                Ok(()) = deployed.changed() => fleet.unstick(),
                () = clock::sleep(fleet::POLL) => {}
            }
            if self.clock.elapsed() >= next_listing && !stopping {
                next_listing = self.clock.elapsed() + fleet::LISTING;
                self.list(&mut shards).await;
                let new = self.unsealed(fleet.unknown(&self.rows(&shards)), &mut shards).await;
                fleet.ensure(&new, &self.deployer.now().record).await;
            }
        }
    }

    /// What the keeper of the leases says.
    fn told(&self, event: fleet::Told, fleet: &mut Fleet, under: &mut Under<'_>) {
        match event {
            fleet::Told::Begin(_) => {}
            fleet::Told::HandOver(id) => match under.active.get(&id) {
                Some(active) => {
                    active.stop.send_replace(true);
                }
                None => fleet.give_back(&id),
            },
            fleet::Told::Drop(id) => {
                if let Some(active) = under.active.get(&id) {
                    active.abort.abort();
                }
                self.live.forget(&name(&id));
            }
            fleet::Told::Over => under.stop_all(),
        }
    }

    /// A partition of a fleet has ended. It is an error if nothing can run in this worker any more.
    async fn ended(&self, id: &Id, fate: Fate, fleet: &mut Fleet, shards: &mut Shards) -> Result<()> {
        match fate {
            // taken back: its place is kept, and it begins again there
            None | Some(Ok(Ending::TakenBack)) => {}
            Some(Ok(Ending::Finished)) => {
                // the last figures of a worker that leaves are shown to the end
                if !fleet.is_leaving() {
                    self.live.forget(&name(id));
                }
                fleet.give_back(id);
            }
            Some(Ok(Ending::Sealed)) => match self.sealed(id, shards).await {
                Ok(_) => fleet.seal(id, shards, &self.deployer.now().record),
                Err(failed) => fleet.again(id, &failed, self.clock.elapsed()),
            },
            Some(Err(Failed { why, taken_back })) => {
                let failed = self.place(why, id);
                self.live.restarted(&name(id), &failed.to_string());
                // closed for good after a write that failed: what is on its disk is known when it is opened again
                if self.store.get(&[]).is_err() {
                    return Err(failed);
                }
                match failed.kind() {
                    // whoever sealed it may have lost its lease before the row said so
                    Kind::Fenced if self.sealed(id, shards).await.is_ok_and(|sealed| sealed) => {
                        fleet.seal(id, shards, &self.deployer.now().record);
                    }
                    Kind::Unavailable | Kind::Fenced => fleet.again(id, &failed, self.clock.elapsed()),
                    _ => match taken_back {
                        Ok(false) if self.is_tried_again(&failed) => {
                            fleet.leave_alone(id, &failed, self.clock.elapsed())
                        }
                        Ok(false) => fleet.wait(id, &failed),
                        Ok(true) => fleet.again(id, &failed, self.clock.elapsed()),
                        // whether it is taken back is not known yet: it fails again, and is asked for again
                        Err(away) if matches!(away.kind(), Kind::Unavailable | Kind::Fenced) => {
                            fleet.again(id, &away, self.clock.elapsed());
                        }
                        Err(not_back) => fleet.wait(id, &not_back.at(format_args!("{failed}; it is not taken back"))),
                    },
                }
            }
        }
        Ok(())
    }

    /// Whether the parents of a shard are sealed, asking for those that were not when they were last looked at.
    async fn may_begin(&self, id: &Id, shards: &mut Shards) -> bool {
        if shards.get(id).is_none() && id.0 != ONE {
            self.list(shards).await;
        }
        for parent in shards.open_parents(id) {
            match self.ledger.newest(&name(&parent)).await {
                Ok(Some(manifest)) => shards.learn(&manifest),
                Ok(None) => {}
                Err(failed) => tracing::warn!("{failed}"),
            }
        }
        (id.0 == ONE || shards.get(id).is_some()) && shards.open_parents(id).is_empty()
    }

    /// What needs a row of those that have none. The row of a shard that was sealed elsewhere may have been removed: it is not made again.
    async fn unsealed(&self, unknown: Vec<Id>, shards: &mut Shards) -> Vec<(Id, Option<crate::source::Shard>)> {
        for id in &unknown {
            match self.ledger.newest(&name(id)).await {
                Ok(Some(manifest)) if manifest.sealed.is_some() => shards.learn(&manifest),
                Ok(_) => {}
                Err(failed) => tracing::warn!("{failed}"),
            }
        }
        self.rows(shards).into_iter().filter(|(id, _)| unknown.contains(id)).collect()
    }

    async fn list(&self, shards: &mut Shards) {
        for source in &self.sources {
            match source.source.shards().await {
                Ok(listed) => listed.into_iter().for_each(|shard| shards.discover(&source.name, shard)),
                Err(failed) => tracing::warn!(source = source.name, "its shards cannot be listed: {failed}"),
            }
        }
    }

    /// What must have a lease row.
    fn rows(&self, shards: &Shards) -> Vec<(Id, Option<crate::source::Shard>)> {
        match self.builder.graph.partitioning {
            Partitioning::One { .. } => vec![((ONE.to_owned(), ShardId::new("")), None)],
            Partitioning::PerShard { .. } => {
                shards.open().map(|(id, shard)| (id.clone(), Some(shard.clone()))).collect()
            }
        }
    }

    fn open(&self, shards: &Shards) -> Vec<Id> {
        self.rows(shards).into_iter().map(|(id, _)| id).collect()
    }

    /// Every shard: what manifests name, what sealed ones name as children, and what the sources list.
    async fn known(&self) -> Result<Shards> {
        let mut shards = Shards::default();
        if let Partitioning::PerShard { .. } = self.builder.graph.partitioning {
            for (_, manifest) in newest_of_all(&*self.ledger).await? {
                shards.learn(&manifest);
            }
            for source in &self.sources {
                source.source.shards().await?.into_iter().for_each(|shard| shards.discover(&source.name, shard));
            }
        }
        Ok(shards)
    }

    /// Whether a shard was sealed: its children are known from now on, and so are their other parents.
    async fn sealed(&self, id: &Id, shards: &mut Shards) -> Result<bool> {
        let Some(manifest) = self.ledger.newest(&name(id)).await? else { return Ok(false) };
        let children = manifest.sealed.clone().unwrap_or_default();
        let source = self.sources.iter().find(|source| source.name == id.0);
        if let (true, Some(source)) = (shards.names_unknown(&id.0, &children), source) {
            source.source.shards().await?.into_iter().for_each(|shard| shards.discover(&id.0, shard));
        }
        shards.learn(&manifest);
        Ok(manifest.sealed.is_some())
    }

    /// The whole life of one partition, which stops when it is told to.
    fn life<'s>(
        &'s self,
        id: Id,
        shards: &Shards,
        holding: Holding,
        told: Told,
    ) -> impl Future<Output = Result<Ending>> + use<'s> {
        let mut deployed = self.deployer.watch();
        let now = deployed.borrow_and_update().seen_by(&self.partition(&id));
        let generation = now.record.generation;
        let Told { stopped: stop, runs } = told;
        runs.store(generation, Relaxed);
        let parents = shards.sealed_parents(&id);
        // its state may be of what this worker has not heard of yet
        let ahead = parents.iter().map(|parent| parent.generation).max().filter(|ran| *ran > generation);
        let (settings, first) = match &self.builder.graph.partitioning {
            Partitioning::One { .. } => {
                let first = Manifest { generation, ..Manifest::default() };
                (Settings { name: ONE.to_owned(), ..self.settings.clone() }, first)
            }
            Partitioning::PerShard { .. } => {
                let settings = Settings {
                    name: name(&id),
                    one_shard: true,
                    closed: shards.is_closed(&id),
                    ..self.settings.clone()
                };
                let shard = shards.get(&id).map(|known| known.shard.clone());
                let first = shard.map(|shard| reshard::begin(generation, &id.0, &shard, &parents));
                (settings, first.unwrap_or_default())
            }
        };
        async move {
            if let Some(ran) = ahead {
                let name = &settings.name;
                let words = format!(
                    "a parent of partition {name} ran generation {ran} of the job, this worker knows {generation}"
                );
                return Err(Error::new(Kind::Fenced, words));
            }
            let Built { mut inputs, flow, outlets, dead_letters } =
                self.builder.build(&now, &self.letters, &self.sources).await?;
            if settings.one_shard {
                inputs.retain(|input| input.name == id.0);
                for input in &mut inputs {
                    input.locality.range = self.builder.is_keyed().then_some(first.range);
                }
            }
            let (store, ledger) = (self.store.clone(), self.ledger.clone());
            let (clock, live) = (self.clock.clone(), self.live.clone());
            let parts = Parts { inputs, flow, outlets, dead_letters, store, ledger, holding, clock, live };
            let partition = Partition::claim(settings, now.record.clone(), first, parts).await?;
            partition.run(stop, Swaps { deployed, fit: &self.builder, deployer: Some(&self.deployer), runs }).await
        }
    }
}
