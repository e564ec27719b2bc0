//! A worker's part in a fleet: the leases that it holds, and what it may run under them.
//!
//! The rules: what runs under a lease is dropped when the lease is lost, and handed over only after its last commit; a lease row says how
//! far a shard is only after that is durable; rows of children are made before the row of their parent says that it has ended.
//! Left to others: the table (`lease`), when a partition may begin (`worker`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc};

use super::{
    ONE,
    shards::{Id, Shards, State, name},
};
use crate::{
    checkpoint::{manifest::JobRecord, row::Row},
    clock::Clock,
    error::{Error, Result},
    job::{live::LeaseNow, partition::Holding},
    lease::{
        Change, Checkpoint, Expect, Grant, Lease, LeaseTable,
        keeper::{Event, Held, Keeper, Options},
    },
    random,
    record::ShardId,
    source::{Shard, Start},
};

/// How often sources are listed for shards that nobody named.
pub const LISTING: Duration = Duration::from_secs(30);
/// How often a worker looks whether something that waits may begin.
pub const POLL: Duration = Duration::from_secs(1);
/// The lease of a job that is one partition.
const JOB: &str = "job";

/// What the worker must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// this may begin, when its parents are sealed
    Begin(Id),
    /// end the epoch, then give it back
    HandOver(Id),
    /// drop it at once
    Drop(Id),
    /// nothing is kept any more
    Over,
}

/// Under which lease a partition runs, and when it may be tried.
struct Place {
    grant: Grant,
    not_before: Duration,
    attempts: u32,
    /// why it failed the last time
    last: Option<String>,
    /// only a person can mend it
    stuck: Option<String>,
}

/// The leases of one worker.
pub struct Fleet {
    tables: Vec<Table>,
    places: BTreeMap<Id, Place>,
    undone: VecDeque<Undone>,
    has_enough: bool,
}

/// A lease table: one for a source, or for the whole job.
struct Table {
    /// the source, or [`ONE`]
    source: String,
    rows: Arc<dyn LeaseTable>,
    keeper: Keeper,
    events: mpsc::Receiver<Event>,
}

/// What the table has still to be told.
enum Undone {
    Release(Id),
    Ended(Id, Vec<Lease>),
}

impl Fleet {
    /// Joins: a keeper for each table, by the name of its source ([`ONE`] for a job that is one partition).
    pub fn join(
        tables: Vec<(String, Arc<dyn LeaseTable>)>,
        options: &Options,
        clock: &Arc<dyn Clock>,
        runtime: &Handle,
    ) -> Self {
        let keep = |(source, rows): (String, Arc<dyn LeaseTable>)| {
            let (keeper, events) = Keeper::start(Arc::clone(&rows), options.clone(), clock.clone(), runtime);
            Table { source, rows, keeper, events }
        };
        Self {
            tables: tables.into_iter().map(keep).collect(),
            places: BTreeMap::new(),
            undone: VecDeque::new(),
            has_enough: false,
        }
    }

    fn table(&self, source: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.source == source)
    }

    /// Every row as it is now, by source.
    pub async fn rows(&self) -> Result<Vec<(String, Vec<Lease>)>> {
        let mut all = Vec::new();
        for table in &self.tables {
            all.push((table.source.clone(), table.rows.list().await?));
        }
        Ok(all)
    }

    /// Sets the place of a row that nobody owns, unless somebody writes it meanwhile.
    pub async fn set(&self, id: &Id, row: &Lease, to: Checkpoint) -> Result<()> {
        let Some(table) = self.table(&id.0) else { return Ok(()) };
        let change = Change { counter_up: true, owner: Some(None), checkpoint: Some(to), ..Change::default() };
        table.rows.update(key(id), &Expect::Counter(row.counter), &change).await.map(drop)
    }

    /// Makes the row of a shard that has none, with a place.
    pub async fn make(&self, id: &Id, shard: &Shard, at: Checkpoint, record: &JobRecord) -> Result<()> {
        let Some(table) = self.table(&id.0) else { return Ok(()) };
        table.rows.create(&Lease { checkpoint: at, ..row(&id.0, shard, record) }).await.map(drop)
    }

    /// What of this has no row, as far as is known.
    pub fn unknown(&self, wanted: &[(Id, Option<Shard>)]) -> Vec<Id> {
        let is_known = |id: &Id| self.table(&id.0).is_none_or(|table| table.keeper.knows(key(id)));
        wanted.iter().filter(|(id, _)| !is_known(id)).map(|(id, _)| id.clone()).collect()
    }

    /// Lease rows for everything that is to be run.
    pub async fn ensure(&self, wanted: &[(Id, Option<Shard>)], record: &JobRecord) {
        for table in &self.tables {
            let own = wanted.iter().filter(|((source, _), _)| *source == table.source);
            let of_job = || Lease::new(JOB, Checkpoint::TrimHorizon);
            let rows = own.map(|(id, shard)| shard.as_ref().map_or_else(of_job, |shard| row(&id.0, shard, record)));
            table.keeper.ensure(rows.collect()).await;
        }
    }

    /// Nothing more is taken.
    pub async fn enough(&mut self) {
        if !std::mem::replace(&mut self.has_enough, true) {
            for table in &self.tables {
                table.keeper.enough().await;
            }
        }
    }

    /// Nothing is taken any more.
    pub fn is_leaving(&self) -> bool {
        self.has_enough
    }

    /// What may be tried now. What waits is alive; what runs says so itself, or loses its lease.
    pub fn due(&self, now: Duration, runs: impl Fn(&Id) -> bool) -> Vec<Id> {
        let due = |place: &Place| place.stuck.is_none() && place.not_before <= now && place.grant.permit.holds();
        let waiting = self.places.iter().filter(|(id, _)| !runs(id));
        waiting
            .inspect(|(_, place)| place.grant.permit.pulse())
            .filter(|(_, place)| due(place))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// What a partition runs under.
    pub fn holding(&self, id: &Id) -> Holding {
        let Some(place) = self.places.get(id) else { return Holding::alone() };
        let Grant { lease, permit, progress } = &place.grant;
        Holding { permit: permit.clone(), progress: Some(progress.clone()), row: said(id, lease) }
    }

    /// The next thing to do. Cancel safe.
    pub async fn next(&mut self) -> Told {
        loop {
            while let Some(undone) = self.undone.front() {
                let (Undone::Release(id) | Undone::Ended(id, _)) = undone;
                if let Some(table) = self.table(&id.0) {
                    match undone {
                        Undone::Release(_) => table.keeper.release(key(id)).await,
                        Undone::Ended(_, children) => table.keeper.ended(key(id), children.clone()).await,
                    }
                }
                self.undone.pop_front();
            }
            let events = self.tables.iter_mut().map(|table| Box::pin(table.events.recv()));
            if events.len() == 0 {
                return std::future::pending().await;
            }
            let (event, number, _) = futures::future::select_all(events).await;
            let Some(event) = event else { return Told::Over };
            let source = self.tables[number].source.clone();
            if let Some(told) = self.heard(&source, event) {
                return told;
            }
        }
    }

    fn heard(&mut self, source: &str, event: Event) -> Option<Told> {
        let id = |key: &str| (source.to_owned(), ShardId::new(if source == ONE { "" } else { key }));
        Some(match event {
            Event::Gained(grant) => {
                let id = id(&grant.lease.key);
                tracing::info!(partition = name(&id), "this worker runs it from now on");
                let place = Place { grant, not_before: Duration::ZERO, attempts: 0, last: None, stuck: None };
                self.places.insert(id.clone(), place);
                Told::Begin(id)
            }
            Event::Wanted(key) => Told::HandOver(id(&key)),
            Event::Lost(key) => {
                let id = id(&key);
                tracing::info!(partition = name(&id), "another worker runs it from now on");
                self.places.remove(&id)?;
                Told::Drop(id)
            }
        })
    }

    /// It has committed its last epoch here, or never began.
    pub fn give_back(&mut self, id: &Id) {
        if self.places.remove(id).is_some() {
            self.undone.push_back(Undone::Release(id.clone()));
        }
    }

    /// Its shard is sealed.
    pub fn seal(&mut self, id: &Id, shards: &Shards, record: &JobRecord) {
        if self.places.remove(id).is_none() {
            return;
        }
        let children = match shards.get(id).map(|known| &known.state) {
            Some(State::Sealed(manifest)) => {
                let children = manifest.sealed.iter().flatten();
                children.map(|child| row(&id.0, child, record)).collect()
            }
            _ => Vec::new(),
        };
        self.undone.push_back(Undone::Ended(id.clone(), children));
    }

    /// It failed for want of something outside: again, after a while.
    pub fn again(&mut self, id: &Id, failed: &Error, now: Duration) {
        self.begin_after(id, failed, now, Duration::from_secs(30));
    }

    /// Its step has failed, and the job says that it is tried again: after a while that grows, or when something else is deployed.
    pub fn leave_alone(&mut self, id: &Id, failed: &Error, now: Duration) {
        self.begin_after(id, failed, now, Duration::from_secs(300));
    }

    fn begin_after(&mut self, id: &Id, failed: &Error, now: Duration, longest: Duration) {
        if let Some(place) = self.places.get_mut(id) {
            let wait = random::back_off(place.attempts, Duration::from_millis(500), longest);
            tracing::warn!(partition = name(id), wait_ms = wait.as_millis() as u64, "it begins again: {failed}");
            place.not_before = now + wait;
            place.last = Some(failed.to_string());
            place.attempts = place.attempts.saturating_add(1);
        }
    }

    /// It failed in a way that only a person can mend: it waits with words, under its lease.
    pub fn wait(&mut self, id: &Id, failed: &Error) {
        if let Some(place) = self.places.get_mut(id) {
            tracing::error!(
                partition = name(id),
                "it waits until somebody mends this and starts the worker again, or deploys another plugin: {failed}"
            );
            place.stuck = Some(failed.to_string());
        }
    }

    /// Another version of the job is deployed: what waits for somebody to mend it may be tried with that.
    pub fn unstick(&mut self) {
        self.places
            .values_mut()
            .for_each(|place| (place.stuck, place.not_before, place.attempts) = (None, Duration::ZERO, 0));
    }

    fn held(&self) -> BTreeMap<Id, Held> {
        let of = |table: &Table| {
            let source = table.source.clone();
            table.keeper.held().into_iter().map(move |(key, held)| {
                let shard = if source == ONE { String::new() } else { key };
                ((source.clone(), ShardId::new(shard)), held)
            })
        };
        self.tables.iter().flat_map(of).collect()
    }

    /// What is held and why, by partition, for people who look.
    pub fn shown(&self, now: Duration) -> BTreeMap<String, LeaseNow> {
        let of = |(id, held): (Id, Held)| {
            let place = self.places.get(&id);
            let (state, waits_for) = match place {
                Some(Place { stuck: Some(why), .. }) => ("stuck", Some(why.clone())),
                Some(Place { not_before, last: Some(why), .. }) if *not_before > now => ("waits", Some(why.clone())),
                Some(_) => ("runs", None),
                None => ("waits", Some("the permit of its last owner must end first".to_owned())),
            };
            let held_s = now.saturating_sub(held.since).as_secs();
            (name(&id), LeaseNow { why: held.why.to_owned(), held_s, state: state.to_owned(), waits_for })
        };
        self.held().into_iter().map(of).collect()
    }

    /// Gives everything back, and ends.
    pub async fn leave(mut self) -> Result<()> {
        let left: Vec<Id> = self.places.keys().cloned().collect();
        left.iter().for_each(|id| self.give_back(id));
        for undone in std::mem::take(&mut self.undone) {
            let (Undone::Release(id) | Undone::Ended(id, _)) = &undone;
            let Some(table) = self.table(&id.0) else { continue };
            match &undone {
                Undone::Release(_) => table.keeper.release(key(id)).await,
                Undone::Ended(_, children) => table.keeper.ended(key(id), children.clone()).await,
            }
        }
        for table in &self.tables {
            table.keeper.stop().await;
        }
        Ok(())
    }
}

fn key(id: &Id) -> &str {
    if id.0 == ONE { JOB } else { id.1.as_str() }
}

/// The row of a shard that is not begun: it says where whoever begins it begins.
fn row(source: &str, shard: &Shard, record: &JobRecord) -> Lease {
    let start = match record.start_of(source, &shard.id) {
        None | Some(Start::TrimHorizon) => Checkpoint::TrimHorizon,
        Some(Start::Latest) => Checkpoint::Latest,
        Some(Start::At(_)) => Checkpoint::AtTimestamp,
    };
    Lease {
        parents: shard.parents.iter().map(ToString::to_string).collect(),
        hash_range: Some(shard.hash_range),
        ..Lease::new(shard.id.to_string(), start)
    }
}

/// What a row says to the partition of its shard. The other beginnings are those of the job record.
fn said(id: &Id, lease: &Lease) -> Row {
    let all = Row { epoch: lease.epoch, ..Row::default() };
    match lease.checkpoint {
        _ if id.0 == ONE => all,
        Checkpoint::At { sequence, sub_sequence } => {
            Row { done: Some((sequence, u32::try_from(sub_sequence).unwrap_or(u32::MAX))), ..all }
        }
        Checkpoint::TrimHorizon => Row { start: Some(Start::TrimHorizon), ..all },
        Checkpoint::AtTimestamp | Checkpoint::Latest | Checkpoint::ShardEnd => all,
    }
}
