//! What a plugin costs: its step alone, in a job that is made for it, given the same records in batches of several sizes.
//!
//! The rule: what is timed is what a partition does with a batch at that step: columns in, the call, checked columns out, keyed state in
//! memory. Beside it stands the same records through a step that is the host's own. Left to others: decoding, sinks, durability.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value as Json, json};
use tokio::runtime::Handle;

use super::{
    build::{Builder, Built, Memory},
    flow::Reader,
    graph::{Graph, NodeKind},
    live::Live,
    swap::Deployment,
};
use crate::{
    checkpoint::{epoch::Outlet, manifest::JobRecord},
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
    permit::Permit,
    plugin::{Manifest, Plugins, World},
    record::{Batch, Origin, Records, Sequence, ShardId},
    sink::{Writer, memory::Shown},
    state::{HashRange, StateStore, memory::MemoryStore},
};

mod records;

pub use records::Given;

/// Records of a batch.
pub const SIZES: [usize; 5] = [1, 10, 100, 500, 5_000];
/// A window of an aggregator closes after so many records: one comes each millisecond.
const WINDOW: &str = "10s";
const STEP: &str = "measured";
const NATIVE: &str = "native";

/// What one size of batch took.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Took {
    /// records of a batch
    pub batch: usize,
    /// records in all
    pub records: u64,
    /// nanoseconds a record in the plugin's step
    pub plugin_ns: f64,
    /// the same in a step of the host's own, which reads a field of each record
    pub native_ns: f64,
    /// rows that the plugin made
    pub rows: u64,
    /// records that it rejected
    pub rejected: u64,
}

/// The text of a job with one source for each input of the plugin, the plugin's step, and a step of the host's own.
pub fn job(plugin: &str, manifest: &Manifest, world: World, config: &Json) -> Result<String> {
    if world == World::Enricher {
        let words =
            "an enricher waits for its services, which this does not have: measure it in its job, with `pelton top`";
        return Err(Error::new(Kind::Config, words));
    }
    let fields = |input: &crate::plugin::Input| -> Map<String, Json> {
        let all = input.fields.iter().chain(&manifest.key);
        let typed = |field: &crate::plugin::Field| (field.path.to_string(), Json::from(records::type_of(field)));
        let mut fields: Map<String, Json> = all.map(typed).collect();
        fields.entry(records::KEY).or_insert_with(|| "text".into());
        fields
    };
    let sources: Map<String, Json> = manifest
        .inputs
        .iter()
        .map(|input| {
            let format = json!({ "json": { "fields": fields(input) } });
            (source_of(&input.name), json!({ "memory": {}, "format": format }))
        })
        .collect();
    let from = match manifest.inputs.as_slice() {
        [one] => json!(source_of(&one.name)),
        many => {
            many.iter().map(|input| (input.name.clone(), json!(source_of(&input.name)))).collect::<Map<_, _>>().into()
        }
    };
    let first = manifest.inputs.first().map(|input| source_of(&input.name)).unwrap_or_default();
    let key: Vec<String> = match manifest.key.as_slice() {
        [] => vec![records::KEY.to_owned()],
        key => key.iter().map(|field| field.path.to_string()).collect(),
    };
    let runs = json!({ "plugin": plugin, "config": config, "on_error": "drop" });
    let step = match world {
        World::Transformer | World::Enricher => json!({ "from": from, "transform": runs }),
        World::StatefulTransformer | World::KeyedTransformer => json!({ "from": from, "key": key, "transform": runs }),
        World::Aggregator => json!({ "from": from, "key": key, "window": { "tumbling": WINDOW }, "aggregate": runs }),
    };
    let native = json!({ "from": first, "filter": format!("{} IS NOT NULL", records::KEY) });
    let job = json!({
        "pelton": "v1",
        "job": "measured",
        "sources": sources,
        "steps": { STEP: step, NATIVE: native },
        "sinks": { "rows": { "from": STEP, "memory": {} }, "kept": { "from": NATIVE, "memory": {} } },
    });
    Ok(job.to_string())
}

fn source_of(input: &str) -> String {
    format!("in_{input}")
}

/// Runs a checked job of [`job`] over these records, each size for at least this long after a tenth of it to warm up.
pub async fn measure(
    graph: &Graph,
    given: &Given,
    (plugins, runtime): (Arc<Plugins>, Handle),
    time: Duration,
    mut told: impl FnMut(Took),
) -> Result<()> {
    for size in SIZES {
        let plugin = Stage::new(graph, STEP, (plugins.clone(), runtime.clone())).await?.play(given, size, time).await?;
        let native =
            Stage::new(graph, NATIVE, (plugins.clone(), runtime.clone())).await?.play(given, size, time / 4).await?;
        told(Took {
            batch: size,
            records: plugin.records,
            plugin_ns: plugin.each_ns(),
            native_ns: native.each_ns(),
            rows: plugin.rows,
            rejected: plugin.rejected,
        });
    }
    Ok(())
}

/// What was timed.
#[derive(Clone, Copy, Debug, Default)]
struct Timed {
    records: u64,
    rows: u64,
    rejected: u64,
    spent: Duration,
}

impl Timed {
    fn each_ns(&self) -> f64 {
        self.spent.as_nanos() as f64 / (self.records.max(1)) as f64
    }
}

/// The flow of one of the two steps.
struct Stage<'a> {
    graph: &'a Graph,
    built: Built,
    feeds: Vec<(String, Vec<Reader>)>,
    clock: Arc<dyn Clock>,
    sequence: u64,
}

impl<'a> Stage<'a> {
    async fn new(graph: &'a Graph, step: &str, (plugins, runtime): (Arc<Plugins>, Handle)) -> Result<Self> {
        let (live, clock) = (Arc::<Live>::default(), SystemClock::shared());
        let sinks = graph.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Sink(_)));
        let memory: Memory = sinks.map(|node| (node.name.clone(), Shown::default())).collect();
        let builder = Builder {
            graph,
            given: None,
            plugins,
            registry: None,
            runtime,
            clock: clock.clone(),
            live,
            endpoint: None,
            accept_repeats: false,
            accept_loss: false,
            memory: Some(&memory),
            connect: None,
        };
        let sources = builder.sources().await?;
        let mut built = builder.build(&Deployment::of(JobRecord::default()), ".".as_ref(), &sources).await?;
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        built.flow.restore(&store, HashRange::ALL, &BTreeMap::new())?;
        recover(&mut built.outlets).await?;
        let only = built.flow.place(step);
        let feeds = built
            .inputs
            .iter()
            .map(|input| {
                let feeds = input.feeds.iter().copied().filter(|feed| Some(feed.place) == only).collect();
                (input.name.clone(), feeds)
            })
            .filter(|(_, feeds): &(_, Vec<Reader>)| !feeds.is_empty())
            .collect();
        Ok(Self { graph, built, feeds, clock, sequence: 0 })
    }

    async fn play(mut self, given: &Given, size: usize, time: Duration) -> Result<Timed> {
        let mut batches = Vec::new();
        for (name, _) in &self.feeds {
            let NodeKind::Source(source) = &self.graph.nodes[self.graph.find(name).unwrap_or(0)].kind else { continue };
            batches.push(given.batches(&source.wanted, size)?);
        }
        self.pass(&batches, time / 10).await?;
        self.pass(&batches, time).await
    }

    async fn pass(&mut self, batches: &[Vec<RecordBatch>], time: Duration) -> Result<Timed> {
        let mut timed = Timed::default();
        for round in 0.. {
            for (input, batches) in batches.iter().enumerate() {
                let fields = &batches[round % batches.len()];
                let batch = self.batch(fields.clone());
                let (name, feeds) = self.feeds[input].clone();
                let rows = self.live_rows();
                let began = self.clock.elapsed();
                self.built.flow.push(&name, batch, &feeds, &mut self.built.outlets).await?;
                let reached = i64::try_from(self.sequence).unwrap_or(i64::MAX).saturating_mul(1_000);
                self.built.flow.advance(reached, &mut self.built.outlets).await?;
                timed.spent += self.clock.elapsed() - began;
                timed.records += fields.num_rows() as u64;
                timed.rows += self.live_rows() - rows;
                let rejected = std::mem::take(&mut self.built.flow.rejected);
                timed.rejected += rejected.iter().map(|rejected| rejected.rows.len() as u64).sum::<u64>();
                self.built.flow.evidence.clear();
            }
            self.forget().await?;
            if timed.spent >= time {
                break;
            }
        }
        Ok(timed)
    }

    fn live_rows(&self) -> u64 {
        self.built.flow.seen(STEP).rows + self.built.flow.seen(NATIVE).rows
    }

    /// What was shown is not kept.
    async fn forget(&mut self) -> Result<()> {
        for outlet in &mut self.built.outlets {
            outlet.sink = Box::new(crate::sink::memory::MemorySink::new(&outlet.name, Shown::default()));
        }
        recover(&mut self.built.outlets).await
    }

    /// The next records, one each millisecond.
    fn batch(&mut self, fields: RecordBatch) -> Batch {
        let rows = fields.num_rows();
        let numbers = self.sequence..self.sequence + rows as u64;
        self.sequence = numbers.end;
        let at = |number: u64| i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1_000);
        let records = Records {
            stream: "measured".into(),
            shard: ShardId::new("0"),
            sequence: numbers.clone().map(Sequence::from_u64).collect(),
            sub_sequence: vec![0; rows],
            partition_key: numbers
                .clone()
                .map(|number| records::key(number).into_bytes())
                .collect::<Vec<_>>()
                .iter()
                .map(Vec::as_slice)
                .collect(),
            arrival_us: numbers.clone().map(at).collect(),
        };
        let first = at(numbers.start);
        Batch {
            origin: Origin::Records(Arc::new(records)),
            rows: (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect(),
            nth: vec![0; rows],
            event_us: numbers.map(at).collect(),
            watermark_us: vec![first; rows],
            fields,
        }
    }
}

async fn recover(outlets: &mut [Outlet]) -> Result<()> {
    let writer = Writer {
        job: "measured".into(),
        partition: "measured".into(),
        generation: 1,
        fence: 1,
        permit: Permit::unlimited(),
        set_back: None,
    };
    for outlet in outlets {
        outlet.sink.recover(writer.clone(), 0, &[]).await?;
    }
    Ok(())
}
