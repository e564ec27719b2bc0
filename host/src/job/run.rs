//! Runs a checked job in this process: state directory, job record, its partitions, a clean end.
//!
//! Keeps rule 0: the job record is written before any claim. A second run whose job differs from the record stops with the differences.
//! Left to others: the partitions (`worker`), what is shown meanwhile (`cli`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use tokio::{runtime::Handle, sync::watch};

mod aside;
mod begin;
pub mod place;

use aside::set_aside;

use super::{
    build::{Builder, Given},
    graph::{Graph, Node, OnError, Partitioning},
    live::Live,
    partition::{Settings, capsules::Keeping},
    swap::{
        Deployed, Deployer, Deployment, keep_looking,
        store::{Nothing, PluginStore},
    },
    worker::{Worker, fleet::Fleet},
};
use crate::{
    checkpoint::{
        committer::Committer,
        ledger::{Ledger, Records},
        manifest::{JobRecord, Swapped},
    },
    clock::Clock,
    decode::registry::Registry,
    error::{Error, Kind, Result},
    lease::{LeaseTable, keeper},
    planted,
    plugin::Plugins,
    state::{StateStore, rocksdb::RocksStore},
};

/// How a job is run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// where state is
    pub state_dir: PathBuf,
    /// stop once everything that is there was read
    pub until_caught_up: bool,
    /// run a changed job on the state that is there
    pub accept_change: bool,
    /// move the state and the files of sinks aside and start over
    pub fresh: bool,
    /// go on with a state that is older than what sinks have shown
    pub accept_repeats: bool,
    /// go on where records are not kept any more that were never read
    pub accept_loss: bool,
    /// go on when too many records are rejected
    pub accept_rejects: bool,
    /// go on where lease rows say, also without the state of what came in between
    pub adopt_row: bool,
    /// used where the job names no endpoint
    pub endpoint: Option<String>,
}

/// What a job runs with.
pub struct Surroundings {
    /// the engine
    pub plugins: Arc<Plugins>,
    /// the job's registry
    pub registry: Option<Arc<Registry>>,
    /// the shared runtime
    pub runtime: Handle,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures
    pub live: Arc<Live>,
    /// told once the job runs
    pub running: Option<Box<dyn FnOnce(Running) + Send>>,
}

/// A job that runs, for whoever looks after it.
pub struct Running {
    /// who deploys; gone when the job ends, which waits for whoever holds it
    pub deployer: Weak<Deployer>,
    /// plugins by digest, and the worker's own folder; none where steps run programs of the process
    pub plugins: Option<(PluginStore, PathBuf)>,
}

/// The digest that says how the job is cut.
pub const CUT: &str = "the cut into partitions";
/// The digests that say where the rows of a step lie, by step.
const HASHED: &str = "the field by which rows lie of step";
/// An epoch also ends after so many bytes of input.
const EPOCH_BYTES: u64 = 256 << 20;
/// So many workers of one fleet may run on one machine.
const MOST_WORKERS: usize = 256;

/// Runs until stopped or, in a bounded run, until everything was read. Blocks the calling thread, which becomes the worker's.
pub fn run(graph: &Graph, options: &RunOptions, around: Surroundings, stop: watch::Receiver<bool>) -> Result<()> {
    run_with(graph, options, around, &Given::default(), stop)
}

/// As [`run`], for a job with `memory:` nodes.
pub fn run_with(
    graph: &Graph,
    options: &RunOptions,
    around: Surroundings,
    given: &Given,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    if options.fresh {
        set_aside(graph, &options.state_dir, &*around.clock)?;
    }
    if graph.leases.is_some() && options.until_caught_up {
        let words = "a job with `leases` runs until it is stopped: leave --until-caught-up out, or take `leases` out of the job file";
        return Err(Error::new(Kind::Config, words));
    }
    let (store, folder) = open_state(graph, options)?;
    let worker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, format!("cannot start the worker's executor: {e}")))?;
    worker.block_on(async {
        let (committer, thread) = Committer::start(store.clone())?;
        let (written, figures) = (committer.written(), around.live.clone());
        let ended = match place::reach(graph, options, &around, store, committer, folder).await {
            Ok(place) => work(graph, options, around, given, place, stop).await,
            Err(failed) => Err(failed),
        };
        thread.join().map_err(|_| Error::new(Kind::Internal, "the committer's thread panicked"))?;
        figures.syncs.store(written.syncs.load(Relaxed), Relaxed);
        figures.written.store(written.bytes.load(Relaxed), Relaxed);
        ended
    })
}

/// Lease tables, by the name of their source.
pub type Tables = Vec<(String, Arc<dyn LeaseTable>)>;

/// Where a worker keeps what it does.
pub struct Place {
    /// its own copy of the state
    pub store: Arc<dyn StateStore>,
    /// where manifests become durable
    pub ledger: Arc<dyn Ledger>,
    /// where the job record is
    pub records: Arc<dyn Records>,
    /// lease tables by source, and how leases are kept; none where it is alone
    pub leases: Option<(Tables, keeper::Options)>,
    /// the folder that holds dead letters, where the job names none
    pub letters: PathBuf,
    /// plugins by digest, and the worker's own folder; none where steps run programs of the process
    pub plugins: Option<(PluginStore, PathBuf)>,
}

impl Place {
    /// Rule 1 of `swap`: what the job file names is stored before a record says that it runs.
    async fn keep_plugins(&self) -> Result<()> {
        match &self.plugins {
            Some((plugins, _)) => plugins.keep_files().await,
            None => Ok(()),
        }
    }
}

/// One worker, from the job record to its end, on the executor of the caller.
pub async fn work(
    graph: &Graph,
    options: &RunOptions,
    around: Surroundings,
    given: &Given,
    place: Place,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let digests = digests(graph);
    let known = begin::known(&place, options.accept_repeats).await?;
    let generation = generation(known.as_ref(), &graph.job, &digests, options)?;
    let runtime = around.runtime.clone();
    let builder = Builder {
        graph,
        given: Some(given),
        plugins: around.plugins.clone(),
        registry: around.registry,
        runtime: around.runtime,
        clock: around.clock.clone(),
        live: around.live.clone(),
        endpoint: options.endpoint.clone(),
        accept_repeats: options.accept_repeats,
        accept_loss: options.accept_loss,
        memory: None,
        connect: None,
    };
    let sources = builder.sources().await?;
    place.keep_plugins().await?;
    let is_new = known.as_ref().is_none_or(|known| known.generation != generation);
    let mut record = begin::record(&graph.job, known, generation, digests, &sources, &*around.clock).await?;
    if is_new {
        let ours = record.digests.clone();
        record = place.records.deploy(&record).await?;
        if record.digests != ours {
            let words = format!(
                "another worker has deployed another version of the job `{}` as generation {generation}",
                graph.job
            );
            return Err(Error::new(Kind::State, words));
        }
    }
    let settings = settings(graph, options, &place);
    let Place { store, ledger, records, leases, letters, plugins } = place;
    let (clock, live) = (around.clock, around.live);
    live.keep_in(&store);
    let outside = (records, ledger.clone());
    let deployed: Arc<dyn Deployed> = match &plugins {
        Some((store, _)) => Arc::new(store.clone()),
        None => given.deployed.clone().unwrap_or_else(|| Arc::new(Nothing)),
    };
    let deployer = deployer(record, outside, deployed, clock.clone()).await?;
    if let Some(running) = around.running {
        running(Running { deployer: Arc::downgrade(&deployer), plugins });
    }
    let _looking = keep_looking(&deployer, &runtime);
    let worker = Worker { builder, sources, deployer, settings, letters, store, ledger, clock, live };
    match leases {
        None => worker.run(stop).await,
        Some((tables, keep)) => {
            worker.live.call(&keep.worker);
            let fleet = Fleet::join(tables, &keep, &worker.clock, &runtime);
            worker.run_in(fleet, stop).await
        }
    }
}

/// Who deploys from now on, with everything loaded that this record says.
async fn deployer(
    record: JobRecord,
    outside: (Arc<dyn Records>, Arc<dyn Ledger>),
    plugins: Arc<dyn Deployed>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Deployer>> {
    let known = Deployment::of(record.clone());
    let mut deployment = plugins.load(&record, &known).await?;
    if planted::is("swap-forgotten") {
        deployment.record.swapped = Swapped::default();
    }
    Ok(Arc::new(Deployer::new(outside, plugins, clock, deployment)))
}

/// The worker's own copy of the state, and its folder. The workers of a fleet that share a machine have a folder each,
/// the first that is free.
fn open_state(graph: &Graph, options: &RunOptions) -> Result<(Arc<dyn StateStore>, PathBuf)> {
    if graph.leases.is_none() {
        return Ok((Arc::new(RocksStore::open(&options.state_dir)?), options.state_dir.clone()));
    }
    let mut last = None;
    for number in 0..MOST_WORKERS {
        let folder = options.state_dir.join(format!("worker-{number}"));
        match RocksStore::open(&folder) {
            Ok(store) => {
                tracing::info!("this worker keeps its copy of the state in {}", folder.display());
                return Ok((Arc::new(store), folder));
            }
            Err(_) if RocksStore::check_free(&folder).is_err() => {}
            Err(failed) => return Err(failed),
        }
        last = Some(folder);
    }
    let words = format!("{MOST_WORKERS} workers share {} already, up to {:?}", options.state_dir.display(), last);
    Err(Error::new(Kind::State, words))
}

/// The generation that runs now: the known one, or a higher one where the job has changed and that is accepted.
/// The state of another job is never gone on with: its results have ids and names of that job.
fn generation(
    known: Option<&JobRecord>,
    job: &str,
    digests: &BTreeMap<String, String>,
    options: &RunOptions,
) -> Result<u64> {
    let Some(known) = known else { return Ok(1) };
    if known.job != job {
        let message = format!(
            "the state in {} belongs to the job `{}`, not to `{job}`: choose another with --state-dir or `state:`, or start over with \
             --fresh, which moves it aside",
            options.state_dir.display(),
            known.job
        );
        return Err(Error::new(Kind::State, message));
    }
    if let (Some(was), Some(is)) = (known.digests.get(CUT), digests.get(CUT))
        && was != is
    {
        return Err(Error::new(
            Kind::State,
            format!(
                "the state in {} was made by a job that ran as {was}, and it would run as {is} now: its rows lie elsewhere; start over with \
                 --fresh, which moves the old state aside",
                options.state_dir.display()
            ),
        ));
    }
    let moved = known
        .digests
        .iter()
        .find(|(name, was)| name.starts_with(HASHED) && digests.get(*name).is_some_and(|is| is != *was));
    if let Some((name, was)) = moved {
        let is = digests.get(name).map_or("", String::as_str);
        let words = format!(
            "the state in {} lies elsewhere than this job would look for it: {name} was {was}, and is {is}; start over with --fresh, which \
             moves the old state aside",
            options.state_dir.display()
        );
        return Err(Error::new(Kind::State, words));
    }
    if digests.iter().all(|(name, digest)| known.runs(name, digest)) && known.digests.len() == digests.len() {
        return Ok(known.generation);
    }
    if options.accept_change {
        return Ok(known.generation + 1);
    }
    let names: std::collections::BTreeSet<&String> = known.digests.keys().chain(digests.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (known.digests.get(name), digests.get(name)) {
            (Some(_), Some(new)) if known.runs(name, new) => None,
            (Some(_), Some(_)) => Some(format!("{name} has changed")),
            (Some(_), None) => Some(format!("{name} is gone")),
            (None, _) => Some(format!("{name} is new")),
        })
        .collect();
    Err(Error::new(
        Kind::State,
        format!(
            "the state in {} was made by another version of this job: {}; go on with --accept-change if its state still fits, or start over \
             with --fresh, which moves the old state aside",
            options.state_dir.display(),
            changed.join(", ")
        ),
    ))
}

/// How the partitions of this job run.
fn settings(graph: &Graph, options: &RunOptions, place: &Place) -> Settings {
    Settings {
        name: String::new(),
        one_shard: false,
        closed: false,
        every: graph.epoch,
        bytes: EPOCH_BYTES,
        until_caught_up: options.until_caught_up,
        accept_rejects: options.accept_rejects,
        adopt_row: options.adopt_row || graph.is_stateless(),
        on_error: on_error(graph),
        most_state: most_state(graph),
        capsules: place.plugins.as_ref().map(|(_, folder)| keeping(graph, folder)),
    }
}

/// Where it is kept what plugins fail over.
fn keeping(graph: &Graph, folder: &Path) -> Keeping {
    let config = |node: &Node| Some((node.name.clone(), node.kind.plugin()?.config.to_string()));
    let configs = graph.nodes.iter().filter_map(config).collect();
    Keeping { folder: folder.join("capsules"), configs: Arc::new(configs) }
}

/// What plugins' steps do with a record that they reject.
fn on_error(graph: &Graph) -> BTreeMap<String, OnError> {
    let policy = |node: &Node| Some((node.name.clone(), node.kind.plugin()?.on_error));
    graph.nodes.iter().filter_map(policy).collect()
}

/// How much plugins' steps may keep.
fn most_state(graph: &Graph) -> BTreeMap<String, u64> {
    let most = |node: &Node| Some((node.name.clone(), node.kind.plugin()?.bounds.state?));
    graph.nodes.iter().filter_map(most).collect()
}

/// What names the deployed job: its checked file and every plugin.
pub fn digests(graph: &Graph) -> BTreeMap<String, String> {
    let cut = match graph.partitioning {
        Partitioning::One { .. } => "one partition",
        Partitioning::PerShard { .. } => "one partition per shard",
    };
    let mut digests = BTreeMap::from([("the job file".to_owned(), graph.digest()), (CUT.to_owned(), cut.to_owned())]);
    if let Partitioning::PerShard { hashed_by, .. } = &graph.partitioning {
        let places = hashed_by.iter().map(|(step, field)| (format!("{HASHED} `{step}`"), field.clone()));
        digests.extend(places);
    }
    for node in &graph.nodes {
        if let Some(plugin) = node.kind.plugin() {
            digests.insert(JobRecord::plugin_of(&node.name), plugin.interface.digest.clone());
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_state_of_another_job_is_refused_even_where_a_change_is_accepted() {
        let known = JobRecord { job: "orders".into(), generation: 3, ..JobRecord::default() };
        let options = RunOptions { accept_change: true, ..RunOptions::default() };
        let changed = BTreeMap::from([("the job file".to_owned(), "d2".to_owned())]);
        assert_eq!(generation(Some(&known), "orders", &changed, &options).unwrap(), 4);
        let refused = generation(Some(&known), "clicks", &changed, &options).unwrap_err();
        assert!(refused.to_string().contains("belongs to the job `orders`, not to `clicks`"), "{refused}");
    }
}
