//! Replay: two versions of a step's plugin over the same records, and what differs between their results.
//!
//! The rules: nothing outside is written; state, results and dead letters are in memory and begin empty. Records are read once (`recording`), and
//! both versions see them in one order, in one partition layout, by the job's own steps before theirs; clock and seeds are the same for both, so
//! a version that is compared with itself is the same. Results are matched by the ids that sinks give them, or by fields.
//! Left to others: running (`run`), how differences are shown (`cli`).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Map, Value as Json};
use tokio::{runtime::Handle, sync::watch};

mod compare;
mod recording;
mod tape;
mod turns;

pub use compare::{Difference, Differences, Matched, compare};
pub use recording::Recording;
use recording::Wish;

use super::{
    build::{self, Builder, DEAD_LETTERS, Given, MakeSink},
    graph::{Edge, FileFormat, Format, Graph, Node, NodeKind, OnError, OnFailure, Output, SinkKind, SourceKind},
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
    random::{self, Repeating},
    sink::{
        Sink,
        memory::{MemorySink, Shown},
    },
    source::Start,
    state::memory::MemoryStore,
};

/// Where records come from.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// records that arrived at or after this, microseconds since 1970; none: all that are kept
    pub from_us: Option<i64>,
    /// records that arrived before this; it is also the processing time of both versions
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
    /// those of them that steps before it, or the decoder, rejected
    pub rejected_before: u64,
    /// CPU time of the thread that ran it, reading not counted
    pub took: Duration,
}

/// Reads what is wanted, unless `stop` comes back first. Blocks.
pub fn record(
    graph: &Graph,
    step: &str,
    wanted: &Wanted,
    around: &Around,
    stop: impl Future<Output = ()>,
) -> Result<Recording> {
    let mut graph = cut(graph, step)?;
    let is_stream = |source: &super::graph::Source| matches!(source.from, SourceKind::Kinesis { .. });
    if wanted.from_us.is_some() && !graph.nodes.iter().filter_map(source_of).any(is_stream) {
        let words = format!("`{step}` reads no stream, and files are read whole: leave --from out");
        return Err(Error::new(Kind::Config, words));
    }
    for node in &mut graph.nodes {
        read_from(node, wanted)?;
    }
    let builder = Builder {
        graph: &graph,
        given: None,
        plugins: around.plugins.clone(),
        registry: around.registry.clone(),
        runtime: around.runtime.clone(),
        clock: around.clock.clone(),
        live: around.live.clone(),
        endpoint: wanted.endpoint.clone(),
        accept_repeats: false,
        accept_loss: false,
        memory: None,
        connect: None,
    };
    around.runtime.block_on(async {
        let sources = builder.sources().await?.into_iter().zip(graph.nodes.iter().filter_map(source_of));
        let wishes: Vec<Wish> = sources
            .map(|(connected, source)| Wish {
                connected,
                // What lies in a file has no time of arrival.
                to_us: if is_stream(source) { wanted.to_us } else { i64::MAX },
                idle_us: build::idle_us(source),
            })
            .collect();
        recording::record(&wishes, &around.live, stop).await
    })
}

fn source_of(node: &Node) -> Option<&super::graph::Source> {
    match &node.kind {
        NodeKind::Source(source) => Some(source),
        _ => None,
    }
}

/// Runs a checked job's step over what was read. Blocks.
pub fn play(graph: &Graph, step: &str, wanted: &Wanted, recording: &Recording, around: Around) -> Result<Played> {
    let mut graph = cut(graph, step)?;
    graph.nodes.iter_mut().for_each(|node| hand_out(node, wanted));
    let taps: Vec<(String, Shown)> = graph.nodes.iter().filter_map(tap_of).collect();
    let letters = Shown::default();
    let made = taps.iter().map(|(name, shown)| (name.clone(), shown.clone()));
    let made = made.chain([(DEAD_LETTERS.to_owned(), letters.clone())]);
    let sink = |(name, shown): (String, Shown)| -> (String, MakeSink) {
        let of = name.clone();
        (name, Arc::new(move || Box::new(MemorySink::new(of.clone(), shown.clone())) as Box<dyn Sink>))
    };
    let given = Given { sinks: made.map(sink).collect(), sources: recording.sources.clone(), ..Given::default() };
    let live = around.live.clone();
    let stands = Standing { at_us: wanted.to_us, of: around.clock };
    recording.tape.took();
    let began = cpu();
    run(&graph, &given, Around { clock: Arc::new(stands), ..around })?;
    let took = cpu().saturating_sub(began).saturating_sub(recording.tape.took());
    let mut outputs = Vec::new();
    for (name, shown) in &taps {
        outputs.push((name.strip_prefix(TAP).unwrap_or(name).to_owned(), rows(shown)?));
    }
    let rejected = rows(&letters)?;
    let before = |letter: &&Row| letter.fields.get("step").and_then(Json::as_str) != Some(step);
    let rejected_before = rejected.iter().filter(before).count() as u64;
    Ok(Played { outputs, rejected, records: live.records.load(Relaxed), rejected_before, took })
}

/// A clock whose wall stands still, so that processing time is the same for both versions.
#[derive(Debug)]
struct Standing {
    at_us: i64,
    of: Arc<dyn Clock>,
}

impl Clock for Standing {
    fn wall_us(&self) -> i64 {
        self.at_us
    }

    fn elapsed(&self) -> Duration {
        self.of.elapsed()
    }
}

/// How rows of each output are matched: by these fields where both versions have them all, else by ids. A field that no output has is a mistake.
pub fn matched(graphs: [&Graph; 2], step: &str, fields: &[String]) -> Result<BTreeMap<String, Matched>> {
    let outputs = graphs.map(|graph| {
        let node = graph.nodes.iter().find(|node| node.name == step);
        node.map_or(&[][..], |node| node.outputs.as_slice())
    });
    for (what, outputs) in ["A", "B"].into_iter().zip(outputs) {
        let known = |field: &&String| outputs.iter().any(|output| output.schema.index_of(field).is_ok());
        if let Some(unknown) = fields.iter().find(|field| !known(field)) {
            let named = |output: &Output| output.schema.fields().iter().map(|field| field.name().clone()).collect();
            let named: Vec<Vec<String>> = outputs.iter().map(named).collect();
            let words =
                format!("no output of {what} has a field `{unknown}`: --by takes {}", named.concat().join(", "));
            return Err(Error::new(Kind::Config, words));
        }
    }
    let has_all = |output: &Output| !fields.is_empty() && fields.iter().all(|f| output.schema.index_of(f).is_ok());
    let both = |output: &&Output| outputs.iter().all(|all| all.iter().any(|it| it.name == output.name && has_all(it)));
    let by = outputs[0].iter().filter(both).map(|output| (shown_name(&output.name), Matched::By(fields.to_vec())));
    Ok(by.collect())
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
fn run(graph: &Graph, given: &Given, around: Around) -> Result<()> {
    let _repeating = Repeating::begin();
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
        let options = RunOptions { until_caught_up: true, accept_rejects: true, ..RunOptions::default() };
        let around = Surroundings { plugins, registry, runtime, clock, live, running: None };
        let (_going_on, stop) = watch::channel(false);
        let ended = work(graph, &options, around, given, place, stop).await;
        writing.join().await;
        ended
    })
}

/// What the names of taps begin with: no node of a job, and no dead letters, are called so.
const TAP: &str = "tap:";

/// What an output is called for people.
fn shown_name(output: &str) -> String {
    if output.is_empty() { "out".to_owned() } else { output.to_owned() }
}

fn tap_of(node: &Node) -> Option<(String, Shown)> {
    matches!(node.kind, NodeKind::Sink(_)).then(|| (node.name.clone(), Shown::default()))
}

/// The step, all that comes before it, and a tap for each of its outputs.
fn cut(graph: &Graph, step: &str) -> Result<Graph> {
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
    let mut cut = Graph {
        nodes: Vec::new(),
        leases: None,
        store: None,
        on_failure: OnFailure::Stop,
        tests: Vec::new(),
        ..graph.clone()
    };
    for (place, node) in graph.nodes.iter().enumerate().filter(|(place, _)| kept[*place]) {
        places[place] = cut.nodes.len();
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|edge| edge.node = places[edge.node]);
        refuse_asking(&node)?;
        // Whatever becomes of it in the job, a record that is rejected is compared.
        if let Some(plugin) = node.kind.plugin_mut() {
            plugin.on_error = OnError::DeadLetter;
        }
        cut.nodes.push(node);
    }
    for (number, output) in graph.nodes[at].outputs.iter().enumerate() {
        cut.nodes.push(Node {
            name: format!("{TAP}{}", shown_name(&output.name)),
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
                Some("csv") => FileFormat::Csv,
                _ => FileFormat::JsonLines,
            };
            if format == FileFormat::Csv && matches!(source.format, Format::Raw | Format::Text) {
                let words = format!(
                    "source `{}` has no fields, and `{}` is CSV: give a file with one record a line",
                    node.name,
                    path.display()
                );
                return Err(Error::new(Kind::Config, words));
            }
            *from = SourceKind::File { path: path.clone(), format, key: source.partition_key.clone() };
        }
        (None, SourceKind::Kinesis { start, consumer, .. }) => {
            *start = wanted.from_us.map_or(Start::TrimHorizon, Start::At);
            consumer.push_str(&format!("-replay-{:08x}", random::bits() as u32));
        }
        (None, _) => {}
    }
    Ok(())
}

/// A source hands out what was read of it. The lines of a file are the fields of an Avro record as JSON.
fn hand_out(node: &mut Node, wanted: &Wanted) {
    let NodeKind::Source(source) = &mut node.kind else { return };
    source.from = SourceKind::Memory { shards: 1 };
    if wanted.input.is_some() && matches!(source.format, Format::Avro(_)) {
        source.format = Format::Json;
    }
}
