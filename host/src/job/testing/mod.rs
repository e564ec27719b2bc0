//! Runs the inline tests of a job: its real steps and plugins, between sources and sinks in memory, on a clock that a test sets.
//!
//! The rule: a test is a function of its text. Every record is a batch of its own in the one shard of its source; time of arrival
//! is what the test says; event time moves by records and by `watermark:`; nothing closes a window but a watermark.
//! Left to others: what differs (`compare`), how it is shown (`cli`).

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value as Json;
use tokio::runtime::Handle;

use super::{
    build::{Builder, Memory},
    graph::{Edge, Graph, Node, NodeKind, SinkKind, Test},
    live::Live,
    swap::Deployment,
};
use crate::{
    checkpoint::manifest::JobRecord,
    clock::Clock,
    decode::registry::Registry,
    error::{Error, Kind, Result},
    plugin::Plugins,
};

mod answers;
mod compare;
mod scene;

use answers::Answers;
pub use compare::Difference;
use scene::{Ended, Scene};

/// Where a test stands when it says nothing of time: 2000-01-01T00:00:00Z.
const BEGINNING_US: i64 = 946_684_800_000_000;

/// What came of a test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// its name
    pub name: String,
    /// where it stands in the job file, in bytes
    pub place: usize,
    /// what differs from what was expected; empty: passed
    pub differences: Vec<Difference>,
    /// why it could not be run to its end
    pub failed: Option<Error>,
    /// fewer results than expected, and they come from a window: perhaps no watermark closed it
    pub perhaps_open: bool,
}

impl Outcome {
    /// Whether all was as expected.
    pub fn passed(&self) -> bool {
        self.failed.is_none() && self.differences.is_empty()
    }
}

/// What tests run with.
pub struct Surroundings {
    /// the engine
    pub plugins: Arc<Plugins>,
    /// the job's registry
    pub registry: Option<Arc<Registry>>,
    /// the shared runtime
    pub runtime: Handle,
}

/// A clock that stands where the test has put it.
#[derive(Debug)]
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn wall_us(&self) -> i64 {
        self.0.load(Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs the tests whose names contain `only`, in their order. Blocks.
pub fn run(graph: &Graph, only: &str, around: &Surroundings) -> Result<Vec<Outcome>> {
    let worker = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Internal, format!("cannot start the worker's executor: {e}")))?;
    let chosen = graph.tests.iter().filter(|test| test.name.contains(only));
    Ok(chosen.map(|test| worker.block_on(one(graph, test, around))).collect())
}

async fn one(graph: &Graph, test: &Test, around: &Surroundings) -> Outcome {
    let ended = play(graph, test, around).await;
    let (differences, failed) = match ended {
        Ok(ended) => (compare::all(graph, test, &ended), None),
        Err(failed) => (Vec::new(), Some(failed)),
    };
    let perhaps_open = differences.iter().any(|difference| match difference {
        Difference::Missing { of, .. } => graph.find(of).is_some_and(|node| windowed(graph)[node]),
        _ => false,
    });
    Outcome { name: test.name.clone(), place: test.place.start, differences, failed, perhaps_open }
}

/// For each node whether rows come to it from a window, or it is one. Inputs stand before a node.
fn windowed(graph: &Graph) -> Vec<bool> {
    graph.nodes.iter().fold(Vec::new(), |mut known, node| {
        let here = node.kind.has_state() || node.inputs.iter().any(|edge| known[edge.node]);
        known.push(here);
        known
    })
}

async fn play(graph: &Graph, test: &Test, around: &Surroundings) -> Result<Ended> {
    let tapped = tapped(graph, test);
    let sinks = tapped.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Sink(_)));
    let memory: Memory = sinks.map(|node| (node.name.clone(), Default::default())).collect();
    let clock = Arc::new(TestClock(AtomicI64::new(BEGINNING_US)));
    let live = Arc::new(Live::default());
    let answers = Arc::new(Answers::new(&test.answers));
    let builder = Builder {
        graph: &tapped,
        given: None,
        plugins: around.plugins.clone(),
        registry: around.registry.clone(),
        runtime: around.runtime.clone(),
        clock: clock.clone(),
        live: live.clone(),
        endpoint: None,
        accept_repeats: false,
        accept_loss: false,
        memory: Some(&memory),
        connect: Some(answers.clone()),
    };
    let deployed = Deployment::of(JobRecord { generation: 1, ..JobRecord::default() });
    let built = builder.build(&deployed, &graph.state_dir, &builder.sources().await?).await?;
    let mut scene = Scene::new(&tapped, built, clock, live).await?;
    for (number, input) in test.input.iter().enumerate() {
        let played = scene.play(input).await;
        answers.all_given().and(played).map_err(|e| e.at(format_args!("input {}", number + 1)))?;
    }
    scene.end(&memory).await
}

/// The results of a step are seen by a sink of its own.
fn tap_name(node: &str) -> String {
    format!("{node} (tap)")
}

/// The graph with a sink for every step whose results are expected.
fn tapped(graph: &Graph, test: &Test) -> Graph {
    let mut tapped = graph.clone();
    let expected: BTreeSet<usize> = test.expect.iter().map(|(node, _)| *node).collect();
    for index in expected {
        let of = &graph.nodes[index];
        let Some(output) = of.outputs.first() else { continue };
        tapped.nodes.push(Node {
            name: tap_name(&of.name),
            kind: NodeKind::Sink(SinkKind::Memory),
            inputs: vec![Edge { node: index, output: 0 }],
            input_schema: output.schema.clone(),
            outputs: Vec::new(),
        });
    }
    tapped
}

/// A rejected record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// the source or step
    pub step: String,
    /// stable, short
    pub code: String,
    /// in words
    pub message: String,
}

/// A row as a sink would write it.
type Row = serde_json::Map<String, Json>;
