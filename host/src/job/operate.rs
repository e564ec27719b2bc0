//! What an operator does with the checkpoints of a job: where they are, whether the job runs, what its sinks have shown.
//!
//! The rules: a job that runs is never set back (leases are looked at twice, a lease duration apart; the lock of a state directory is
//! tried); where two jobs would meet in one folder, stream or table, the second is refused before anything is written.
//! Left to others: what a savepoint is, and what putting it into place means (`checkpoint::savepoint`); how it is printed (`cli`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::runtime::Handle;

use super::{
    build::DEAD_LETTERS,
    graph::{Graph, NodeKind, SinkKind, SourceKind, Store},
    run::{CUT, Tables, digests, place},
    worker::{partition_of, takeover::told},
};
use crate::{
    checkpoint::{
        look::Shelf,
        manifest::{JobRecord, Swapped},
        savepoint::{self, Plan, Restored, Savepoint},
    },
    error::{Error, Kind, Result},
    lease::{
        Checkpoint,
        look::{Seen, look},
        steer,
    },
    objects::Objects,
    sink::file,
    state::rocksdb::RocksStore,
};

/// A job, for whoever operates it.
pub struct Operator<'a> {
    /// the checked job
    pub graph: &'a Graph,
    /// where workers of this machine keep their state
    pub state_dir: PathBuf,
    /// used where the job names no endpoint
    pub endpoint: Option<String>,
    /// the shared runtime
    pub runtime: Handle,
}

/// What a sink has shown of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// the sink
    pub sink: String,
    /// the partition
    pub partition: String,
    /// the highest epoch; none where it is not known: such a sink keeps no record
    pub epoch: Option<u64>,
}

impl Operator<'_> {
    /// The job's store.
    pub async fn objects(&self) -> Result<Arc<dyn Objects>> {
        let Some(store) = &self.graph.store else {
            let words = format!(
                "the job `{}` keeps its state in {} alone: savepoints need `checkpoint: {{ store: ... }}`, a bucket or a folder; a local \
                 state is copied with `cp -r` while the job stands",
                self.graph.job,
                self.state_dir.display()
            );
            return Err(Error::new(Kind::Config, words));
        };
        if let Store::Folder(folder) = store
            && !folder.exists()
        {
            let words = format!(
                "the store {} is not there: the job has never run with it, or it was lost; restore it from a copy",
                folder.display()
            );
            return Err(Error::new(Kind::State, words));
        }
        place::objects(store, &self.runtime).await
    }

    /// Where manifests lie, to look at them.
    pub async fn shelf(&self) -> Result<Shelf> {
        if self.graph.store.is_some() {
            return Ok(Shelf::Objects { objects: self.objects().await?, job: self.graph.job.clone() });
        }
        let store = Arc::new(RocksStore::look(&self.state_dir)?);
        Ok(Shelf::Own { store, place: self.state_dir.display().to_string() })
    }

    /// The lease tables, by source; none are made.
    pub async fn tables(&self) -> Result<Tables> {
        let Some(leases) = &self.graph.leases else {
            let words = format!("the job `{}` has no `leases`: one worker runs all of it", self.graph.job);
            return Err(Error::new(Kind::Config, words));
        };
        place::tables(self.graph, leases, self.endpoint.as_deref(), false).await
    }

    /// Refuses a job that runs. Gives back, by partition, the highest epoch that lease rows know, and the tables.
    async fn at_rest(&self) -> Result<(BTreeMap<String, u64>, Tables)> {
        let Some(leases) = &self.graph.leases else {
            if RocksStore::is_state(&self.state_dir) {
                RocksStore::check_free(&self.state_dir).map_err(|e| e.at("the job runs"))?;
            }
            return Ok((BTreeMap::new(), Tables::new()));
        };
        let tables = self.tables().await?;
        let looks = tables.iter().map(|(_, table)| look(&**table, Some(leases.duration)));
        let all: Vec<Vec<Seen>> = futures::future::try_join_all(looks).await?;
        let mut known = BTreeMap::new();
        for ((source, _), seen) in tables.iter().zip(&all) {
            if let Some(live) = seen.iter().find(|seen| seen.is_live()) {
                let words = format!(
                    "the job runs: worker {} renews the lease `{}`; stop every worker first",
                    live.lease.runner().unwrap_or_default(),
                    live.lease.key
                );
                return Err(Error::new(Kind::State, words));
            }
            let epochs =
                seen.iter().filter_map(|seen| Some((partition_of(source, &seen.lease.key), seen.lease.epoch?)));
            known.extend(epochs);
        }
        Ok((known, tables))
    }

    /// Every sink that keeps a record of what it has shown, and those that keep none.
    pub fn shown(&self, partitions: &[String]) -> Result<Vec<Shown>> {
        let mut all = Vec::new();
        let letters = self.graph.dead_letters.as_ref().map(|files| files.path.clone());
        let letters = letters.unwrap_or_else(|| self.state_dir.join("dead-letters"));
        let mut of = |sink: &str, path: Option<&Path>| -> Result<()> {
            for partition in partitions {
                let epoch = match path {
                    None => None,
                    Some(path) => match file::shown(path, &self.graph.job, sink, partition)? {
                        None => continue,
                        epoch => epoch,
                    },
                };
                all.push(Shown { sink: sink.to_owned(), partition: partition.clone(), epoch });
            }
            Ok(())
        };
        for node in &self.graph.nodes {
            match &node.kind {
                NodeKind::Sink(SinkKind::File(files)) => of(&node.name, Some(&files.path))?,
                NodeKind::Sink(_) => of(&node.name, None)?,
                _ => {}
            }
        }
        of(DEAD_LETTERS, Some(&letters))?;
        Ok(all)
    }

    /// What a restore would do, and what sinks have shown. The job must not run.
    pub async fn plan(&self, name: &str) -> Result<(Plan, Vec<Shown>, Resting)> {
        let objects = self.objects().await?;
        savepoint::find(&*objects, &self.graph.job, name).await?;
        let (mut known, tables) = self.at_rest().await?;
        let planned = savepoint::plan(&*objects, &self.graph.job, name, &known).await?;
        let partitions: Vec<String> = planned.partitions.keys().cloned().collect();
        let shown = self.shown(&partitions)?;
        for Shown { partition, epoch, .. } in &shown {
            let reached = known.entry(partition.clone()).or_default();
            *reached = (*reached).max(epoch.unwrap_or(0));
        }
        let planned = savepoint::plan(&*objects, &self.graph.job, name, &known).await?;
        Ok((planned, shown, Resting { objects, tables }))
    }

    /// Does what was planned. Lease rows say then what the manifests say: nobody takes them for the work of another application.
    pub async fn restore(&self, plan: &Plan, resting: &Resting) -> Result<Restored> {
        let done = savepoint::restore(&*resting.objects, &self.graph.job, plan).await?;
        for (source, table) in &resting.tables {
            for row in table.list().await? {
                let partition = partition_of(source, &row.key);
                let to = match done.set_back.get(&partition) {
                    Some(manifest) => told(manifest),
                    None if done.set_aside.contains(&partition) => Checkpoint::TrimHorizon,
                    None => continue,
                };
                steer::set(&**table, &row, to).await?;
            }
        }
        savepoint::finish(&*resting.objects, &self.graph.job).await?;
        Ok(done)
    }

    /// Begins another job with a savepoint of this one.
    pub async fn branch(&self, name: &str, other: &Operator<'_>) -> Result<Savepoint> {
        let objects = self.objects().await?;
        self.refuse_meeting(other)?;
        let record = savepoint::record(&*objects, &savepoint::find(&*objects, &self.graph.job, name).await?).await?;
        let digests = digests(other.graph);
        if let (Some(was), Some(is)) = (record.digests.get(CUT), digests.get(CUT))
            && was != is
        {
            let words = format!(
                "the savepoint was made by a job that runs as {was}, and `{}` would run as {is}: its rows lie elsewhere",
                other.graph.job
            );
            return Err(Error::new(Kind::Config, words));
        }
        let Some(store) = &other.graph.store else {
            let words =
                format!("the job `{}` needs `checkpoint: {{ store: ... }}`, where the copy goes", other.graph.job);
            return Err(Error::new(Kind::Config, words));
        };
        let to = place::objects(store, &self.runtime).await?;
        let new = JobRecord { job: other.graph.job.clone(), digests, swapped: Swapped::default(), ..record };
        savepoint::branch(&*objects, &self.graph.job, name, &*to, &new).await
    }

    /// Two jobs that would write to one place, or read in each other's name.
    fn refuse_meeting(&self, other: &Operator<'_>) -> Result<()> {
        let (first, second) = (self.graph, other.graph);
        let refuse =
            |what: String| Err(Error::new(Kind::Config, format!("both jobs {what}: let the new one have its own")));
        if first.job == second.job {
            return refuse(format!("are named `{}`", first.job));
        }
        if self.state_dir == other.state_dir {
            return refuse(format!("keep their state in {}", self.state_dir.display()));
        }
        let table = |graph: &Graph| {
            graph.leases.as_ref().map(|leases| leases.table.clone().unwrap_or_else(|| graph.job.clone()))
        };
        if let (Some(table), true) = (table(first), table(first) == table(second)) {
            return refuse(format!("have the lease table `{table}`"));
        }
        for ((name, place), (_, other)) in pairs(destinations(first), destinations(second)) {
            if place == other {
                return refuse(format!("write to {place} (`{name}`)"));
            }
        }
        self.refuse_other_sources(second)
    }

    /// Positions belong to a stream.
    fn refuse_other_sources(&self, second: &Graph) -> Result<()> {
        let (mine, others) = (sources(self.graph), sources(second));
        for (name, (stream, consumer)) in &mine {
            let words = match others.get(name) {
                None => format!("has no source `{name}`: the savepoint holds its positions"),
                Some((other, _)) if other != stream => {
                    format!("reads {other} as `{name}`, and the savepoint holds positions of {stream}")
                }
                Some((_, other)) if consumer.is_some() && other == consumer => {
                    format!("reads {stream} as the same consumer: name another one in `consumer:`")
                }
                Some(_) => continue,
            };
            return Err(Error::new(Kind::Config, format!("the job `{}` {words}", second.job)));
        }
        match others.keys().find(|name| !mine.contains_key(*name)) {
            None => Ok(()),
            Some(new) => {
                let words =
                    format!("the job `{}` has the source `{new}`, which the savepoint knows nothing of", second.job);
                Err(Error::new(Kind::Config, words))
            }
        }
    }
}

/// What was found of a job that does not run.
pub struct Resting {
    objects: Arc<dyn Objects>,
    tables: Tables,
}

fn pairs<A: Clone, B: Clone>(first: Vec<A>, second: Vec<B>) -> impl Iterator<Item = (A, B)> {
    first.into_iter().flat_map(move |a| second.clone().into_iter().map(move |b| (a.clone(), b)))
}

/// Where sinks write: name and place.
fn destinations(graph: &Graph) -> Vec<(String, String)> {
    let of = |node: &super::graph::Node| {
        let place = match &node.kind {
            NodeKind::Sink(SinkKind::File(files)) => format!("the folder {}", files.path.display()),
            NodeKind::Sink(SinkKind::Kinesis { stream, .. }) => format!("the stream {stream}"),
            NodeKind::Sink(SinkKind::Firehose { delivery_stream, .. }) => {
                format!("the delivery stream {delivery_stream}")
            }
            _ => return None,
        };
        Some((node.name.clone(), place))
    };
    let letters = graph
        .dead_letters
        .iter()
        .map(|files| (DEAD_LETTERS.to_owned(), format!("the folder {}", files.path.display())));
    graph.nodes.iter().filter_map(of).chain(letters).collect()
}

/// By source: what is read, and the consumer in whose name.
fn sources(graph: &Graph) -> BTreeMap<String, (String, Option<String>)> {
    let of = |node: &super::graph::Node| {
        let NodeKind::Source(source) = &node.kind else { return None };
        let read = match &source.from {
            SourceKind::Kinesis { stream, consumer, .. } => (format!("the stream {stream}"), Some(consumer.clone())),
            SourceKind::File { path, .. } => (format!("the file {}", path.display()), None),
            SourceKind::Memory { .. } => ("what is given".to_owned(), None),
        };
        Some((node.name.clone(), read))
    };
    graph.nodes.iter().filter_map(of).collect()
}
