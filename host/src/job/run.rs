//! Runs a checked job in this process: state directory, job record, its partitions, a clean end.
//!
//! Keeps rule 0: the job record is written before any claim. A second run whose job differs from the record stops with the differences.
//! Left to others: the partitions (`worker`), what is shown meanwhile (`cli`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{runtime::Handle, sync::watch};

use super::{
    build::Builder,
    graph::{Graph, NodeKind, Partitioning, SinkKind},
    live::Live,
    partition::Settings,
    worker::Worker,
};
use crate::{
    checkpoint::{
        committer::Committer,
        ledger::{job_record, write_job_record},
        manifest::JobRecord,
    },
    clock::Clock,
    decode::registry::Registry,
    error::{Error, Kind, Result},
    plugin::Plugins,
    state::{StateStore, rocksdb::RocksStore},
};

/// How a job is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// where state is
    pub state_dir: PathBuf,
    /// stop once everything that is there was read
    pub until_caught_up: bool,
    /// run a changed job on the state that is there
    pub accept_change: bool,
    /// move the state aside and start over
    pub fresh: bool,
    /// go on when too many records are rejected
    pub accept_rejects: bool,
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
}

/// The digest that says how the job is cut.
const CUT: &str = "the cut into partitions";
/// An epoch also ends after so many bytes of input.
const EPOCH_BYTES: u64 = 256 << 20;

/// Runs until stopped or, in a bounded run, until everything was read. Blocks the calling thread, which becomes the worker's.
pub fn run(graph: &Graph, options: &RunOptions, around: Surroundings, stop: watch::Receiver<bool>) -> Result<()> {
    if options.fresh {
        set_aside(graph, options, &*around.clock)?;
    }
    let store: Arc<dyn StateStore> = Arc::new(RocksStore::open(&options.state_dir)?);
    let worker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, format!("cannot start the worker's executor: {e}")))?;
    worker.block_on(async {
        let digests = digests(graph);
        let known = job_record(&*store)?;
        let generation = generation(known.as_ref(), &digests, options)?;
        let builder = Builder {
            graph,
            generation,
            plugins: around.plugins,
            registry: around.registry,
            runtime: around.runtime,
            clock: around.clock.clone(),
            live: around.live.clone(),
            endpoint: options.endpoint.clone(),
            accept_repeats: false,
            memory: None,
        };
        let sources = builder.sources().await?;
        let record = match known {
            Some(record) if record.generation == generation => record,
            known => {
                let mut starts = known.as_ref().map(|known| known.starts.clone()).unwrap_or_default();
                for source in &sources {
                    if !starts.contains_key(&source.name) {
                        starts.insert(source.name.clone(), (source.start, source.source.shards().await?));
                    }
                }
                let created_us = known.map_or_else(|| around.clock.wall_us(), |known| known.created_us);
                let record = JobRecord { job: graph.job.clone(), generation, digests, created_us, starts };
                write_job_record(&*store, &record)?;
                record
            }
        };
        let settings = Settings {
            name: String::new(),
            one_shard: false,
            closed: false,
            every: graph.epoch,
            bytes: EPOCH_BYTES,
            until_caught_up: options.until_caught_up,
            accept_rejects: options.accept_rejects,
        };
        let (committer, thread) = Committer::start(store.clone())?;
        let (clock, live, state_dir) = (around.clock, around.live, options.state_dir.clone());
        let worker = Worker { builder, sources, record, settings, state_dir, store, committer, clock, live };
        let ended = worker.run(stop).await;
        drop(worker);
        thread.join().map_err(|_| Error::new(Kind::Internal, "the committer's thread panicked"))?;
        ended
    })
}

/// The generation that runs now: the known one, or a higher one where the job has changed and that is accepted.
fn generation(known: Option<&JobRecord>, digests: &BTreeMap<String, String>, options: &RunOptions) -> Result<u64> {
    let Some(known) = known else { return Ok(1) };
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
    if known.digests == *digests {
        return Ok(known.generation);
    }
    if options.accept_change {
        return Ok(known.generation + 1);
    }
    let names: std::collections::BTreeSet<&String> = known.digests.keys().chain(digests.keys()).collect();
    let changed: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (known.digests.get(name), digests.get(name)) {
            (Some(old), Some(new)) if old == new => None,
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

/// What names the deployed job: its checked file and every plugin.
fn digests(graph: &Graph) -> BTreeMap<String, String> {
    let cut = match graph.partitioning {
        Partitioning::One { .. } => "one partition",
        Partitioning::PerShard { .. } => "one partition per shard",
    };
    let mut digests = BTreeMap::from([("the job file".to_owned(), graph.digest()), (CUT.to_owned(), cut.to_owned())]);
    for node in &graph.nodes {
        let plugin = match &node.kind {
            NodeKind::Transform(plugin) => Some(plugin),
            NodeKind::Window(window) => match &window.aggregate {
                super::graph::Aggregate::Plugin(plugin) => Some(plugin),
                super::graph::Aggregate::BuiltIn(_) => None,
            },
            _ => None,
        };
        if let Some(plugin) = plugin {
            digests.insert(format!("the plugin of step `{}`", node.name), plugin.interface.digest.clone());
        }
    }
    digests
}

/// `--fresh`: the old state and what was made with it are moved, never deleted.
fn set_aside(graph: &Graph, options: &RunOptions, clock: &dyn Clock) -> Result<()> {
    let stamp = clock.wall_us() / 1000;
    let files = graph.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink(SinkKind::File(files)) => Some(&files.path),
        _ => None,
    });
    let outputs: Vec<&PathBuf> =
        files.chain(graph.dead_letters.iter().map(|files| &files.path)).filter(|path| path.exists()).collect();
    outputs.iter().try_for_each(|path| holds_only_results(path))?;
    let state = &options.state_dir;
    if state.exists() {
        RocksStore::check_free(state)?;
        move_aside(state, stamp)?;
    }
    outputs.into_iter().filter(|path| path.exists()).try_for_each(|path| move_aside(path, stamp))
}

fn move_aside(path: &Path, stamp: i64) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".before-{stamp}"));
    let aside = path.with_file_name(name);
    std::fs::rename(path, &aside)
        .map_err(|e| Error::new(Kind::State, format!("cannot move {} to {}: {e}", path.display(), aside.display())))?;
    tracing::info!("what was in {} is in {} now", path.display(), aside.display());
    Ok(())
}

/// A folder that people use for other things too is not moved under their feet.
fn holds_only_results(folder: &Path) -> Result<()> {
    let unread = |e: std::io::Error| Error::new(Kind::State, format!("cannot read {}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        if name != "_pelton" && Path::new(&name).extension().is_none_or(|of| of != "jsonl") {
            let message = format!(
                "a fresh start moves the folder {} aside, but it holds `{}`, which is no result: move that away, or give the sink a \
                 folder of its own",
                folder.display(),
                name.display()
            );
            return Err(Error::new(Kind::State, message));
        }
    }
    Ok(())
}
