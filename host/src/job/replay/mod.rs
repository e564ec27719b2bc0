//! Replay: two versions of a step's plugin over the same records, and what differs between their results.
//!
//! The rules: nothing outside is written; state, results and dead letters are in memory and begin empty. Both versions see the same records, in
//! one partition layout, by the job's own steps before theirs; results are matched by the ids that sinks give them, or by fields.
//! Left to others: running (`run`), how differences are shown (`cli`).

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Map, Value as Json};
use tokio::{runtime::Handle, sync::watch};

mod compare;
mod range;

pub use compare::{Difference, Differences, Matched, compare};
use range::Until;

use super::{
    build::{DEAD_LETTERS, Given, MakeSink, Wrap},
    graph::{Edge, Graph, Node, NodeKind, SinkKind, SourceKind},
    interface::World,
    live::Live,
    run::{Place, RunOptions, Surroundings, work},
};
use crate::{
    checkpoint::{committer::Committer, ledger::LocalLedger},
    clock::Clock,
    decode::registry::Registry,
    error::{Error, Kind, Result},
    plugin::Plugins,
    sink::{
        Sink,
        memory::{MemorySink, Shown},
    },
    source::{Source, Start},
    state::memory::MemoryStore,
};

/// Where records come from.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// records that arrived at or after this, microseconds since 1970; none: all that are kept
    pub from_us: Option<i64>,
    /// records that arrived before this
    pub to_us: i64,
    /// a file in place of the job's sources
    pub input: Option<PathBuf>,
    /// used where the job names no endpoint
    pub endpoint: Option<String>,
}

/// What both versions run with.
#[derive(Clone)]
pub struct Around {
    /// the engine
    pub plugins: Arc<Plugins>,
    /// the job's registry
    pub registry: Option<Arc<Registry>>,
    /// the shared runtime
    pub runtime: Handle,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures of the version that runs now
    pub live: Arc<Live>,
}

/// A result: its id, and its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// as a sink would have given it
    pub id: String,
    /// its fields
    pub fields: Map<String, Json>,
}

/// What one version made.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// by output of the step, in the order of the graph
    pub outputs: Vec<(String, Vec<Row>)>,
    /// what it rejected
    pub rejected: Vec<Row>,
    /// records that were read
    pub records: u64,
    /// CPU time of the thread that ran it, reading not counted
    pub took: Duration,
}

/// Runs a checked job's step over what is wanted. Blocks.
pub fn play(graph: &Graph, step: &str, wanted: &Wanted, around: Around) -> Result<Played> {
    let graph = cut(graph, step, wanted)?;
    let taps: Vec<(String, Shown)> = graph.nodes.iter().filter_map(tap_of).collect();
    let letters = Shown::default();
    let made = taps.iter().map(|(name, shown)| (name.clone(), shown.clone()));
    let made = made.chain([(DEAD_LETTERS.to_owned(), letters.clone())]);
    let sink = |(name, shown): (String, Shown)| -> (String, MakeSink) {
        let of = name.clone();
        (name, Arc::new(move || Box::new(MemorySink::new(of.clone(), shown.clone())) as Box<dyn Sink>))
    };
    let to_us = wanted.to_us;
    let is_stream = |node: &Node| match &node.kind {
        NodeKind::Source(source) => matches!(source.from, SourceKind::Kinesis { .. }),
        _ => false,
    };
    let wrap = graph.nodes.iter().any(is_stream).then(|| -> Wrap {
        Arc::new(move |source: Arc<dyn Source>| Arc::new(Until::new(source, to_us)) as Arc<dyn Source>)
    });
    let given = Given { sinks: made.map(sink).collect(), wrap, ..Given::default() };
    let live = around.live.clone();
    let began = cpu();
    run(&graph, &given, wanted.endpoint.clone(), around)?;
    let took = cpu().saturating_sub(began);
    let mut outputs = Vec::new();
    for (name, shown) in &taps {
        outputs.push((name.clone(), rows(shown)?));
    }
    let records = live.records.load(std::sync::atomic::Ordering::Relaxed);
    Ok(Played { outputs, rejected: rows(&letters)?, records, took })
}

fn rows(shown: &Shown) -> Result<Vec<Row>> {
    let row = |(id, bytes): (crate::sink::id::Id, Vec<u8>)| {
        let fields = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(Kind::Internal, format!("a result is no JSON object: {e}")))?;
        Ok(Row { id: id.to_string(), fields })
    };
    shown.rows().into_iter().map(row).collect()
}

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// One worker on this thread, whose state is in memory.
fn run(graph: &Graph, given: &Given, endpoint: Option<String>, around: Around) -> Result<()> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, format!("cannot start the worker's executor: {e}")))?;
    let Around { plugins, registry, runtime, clock, live } = around;
    executor.block_on(async {
        let store = Arc::new(MemoryStore::default());
        let (committer, writing) = Committer::beside(store.clone(), &runtime);
        let ledger = LocalLedger::new(store.clone(), committer.clone());
        let place = Place {
            store,
            ledger: Arc::new(ledger.clone()),
            records: Arc::new(ledger),
            leases: None,
            letters: PathBuf::from(DEAD_LETTERS),
            plugins: None,
        };
        drop(committer);
        let options = RunOptions { until_caught_up: true, accept_rejects: true, endpoint, ..RunOptions::default() };
        let around = Surroundings { plugins, registry, runtime, clock, live, running: None };
        let (_going_on, stop) = watch::channel(false);
        let ended = work(graph, &options, around, given, place, stop).await;
        writing.join().await;
        ended
    })
}

/// What a tap of this output is called.
fn tap_name(output: &str) -> String {
    if output.is_empty() { "out".to_owned() } else { output.to_owned() }
}

fn tap_of(node: &Node) -> Option<(String, Shown)> {
    matches!(node.kind, NodeKind::Sink(_)).then(|| (node.name.clone(), Shown::default()))
}

/// The step, all that comes before it, and a tap for each of its outputs.
fn cut(graph: &Graph, step: &str, wanted: &Wanted) -> Result<Graph> {
    let with_plugin = |node: &&Node| node.kind.plugin().is_some();
    let at = graph.nodes.iter().position(|node| node.name == step && with_plugin(&node)).ok_or_else(|| {
        let steps: Vec<&str> = graph.nodes.iter().filter(with_plugin).map(|node| node.name.as_str()).collect();
        let has = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
        Error::new(Kind::Config, format!("`{step}` is no step with a plugin: of those the job has {has}"))
    })?;
    let mut kept = vec![false; graph.nodes.len()];
    kept[at] = true;
    for place in (0..=at).rev() {
        if kept[place] {
            graph.nodes[place].inputs.iter().for_each(|edge| kept[edge.node] = true);
        }
    }
    let mut places = vec![0; graph.nodes.len()];
    let mut cut = Graph { nodes: Vec::new(), leases: None, store: None, tests: Vec::new(), ..graph.clone() };
    for (place, node) in graph.nodes.iter().enumerate().filter(|(place, _)| kept[*place]) {
        places[place] = cut.nodes.len();
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|edge| edge.node = places[edge.node]);
        read_from(&mut node, wanted)?;
        refuse_asking(&node)?;
        cut.nodes.push(node);
    }
    for (number, output) in graph.nodes[at].outputs.iter().enumerate() {
        cut.nodes.push(Node {
            name: tap_name(&output.name),
            kind: NodeKind::Sink(SinkKind::Memory),
            inputs: vec![Edge { node: places[at], output: number }],
            input_schema: output.schema.clone(),
            outputs: Vec::new(),
        });
    }
    Ok(cut)
}

/// What asks services would ask them again, twice, and with nothing to take it back.
fn refuse_asking(node: &Node) -> Result<()> {
    match node.kind.plugin() {
        Some(plugin) if plugin.interface.world == World::Enricher => {
            let words = format!(
                "`{}` asks services, and a replay would ask them again for every record: compare versions with `pelton test`, whose \
                 `answers:` stand for services",
                node.name
            );
            Err(Error::new(Kind::Config, words))
        }
        _ => Ok(()),
    }
}

/// Where a source reads instead. A replay reads as a consumer of its own: the job's may be in use.
fn read_from(node: &mut Node, wanted: &Wanted) -> Result<()> {
    let NodeKind::Source(source) = &mut node.kind else { return Ok(()) };
    match (&wanted.input, &mut source.from) {
        (Some(path), from) => {
            let format = match path.extension().and_then(std::ffi::OsStr::to_str) {
                Some("csv") => super::graph::FileFormat::Csv,
                _ => super::graph::FileFormat::JsonLines,
            };
            *from = SourceKind::File { path: path.clone(), format, key: source.partition_key.clone() };
        }
        (None, SourceKind::Kinesis { start, consumer, .. }) => {
            *start = wanted.from_us.map_or(Start::TrimHorizon, Start::At);
            consumer.push_str("-replay");
        }
        (None, SourceKind::File { .. }) if wanted.from_us.is_some() => {
            let words = format!("source `{}` is a file, which is read whole: leave --from out", node.name);
            return Err(Error::new(Kind::Config, words));
        }
        (None, _) => {}
    }
    Ok(())
}
