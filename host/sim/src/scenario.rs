//! What a run is about: which job, how many workers, what they share.

use std::{path::Path, sync::Arc};

use pelton::{
    job::{
        self, PluginInspector, PluginInterface,
        graph::Graph,
        inspect::{Inspector, Subjects},
    },
    plugin::{Bounds, Limits, Plugins},
};

use super::outside::{keyed, schemas};

/// Kinds of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// a partition for each shard, several workers, shards that split and merge
    Shards,
    /// one partition over all shards; one worker runs it, others stand by
    One,
    /// one worker and its own store, without leases
    Alone,
    /// as `shards`, with records in Avro whose schemas a registry has that fails
    Schemas,
    /// as `shards`, with a plugin over keyed state and timers
    Keyed,
    /// as `keyed`, with that plugin swapped again and again, at times for one that fails
    Swap,
}

/// All of them.
pub const ALL: [Scenario; 6] =
    [Scenario::Shards, Scenario::One, Scenario::Alone, Scenario::Schemas, Scenario::Keyed, Scenario::Swap];

/// What records are.
const JSON: &str = "json: { fields: { key: text, group: text, n: int64, at: timestamp } }";
/// The same with a subject of a registry; the reader's schema stands in the job.
const AVRO: &str =
    "avro: { subject: events-value, compatibility: backward, on_incompatible: dead_letter, schema: 'SCHEMA' }";

const JOB: &str = r#"
pelton: v1
job: sim
REGISTRY
sources:
  events:
    memory: {}
    format: { FORMAT }
    PARTITION_KEY
    time: { field: at, out_of_order: 2s, idle: wait }
steps:
  totals:
    from: events
    key: KEY
    window: { tumbling: 5s }
    aggregate: { count: count, total: sum(n), least: min(n), most: max(n) }
sinks:
  windows: { from: totals, memory: {} }
  rows: { from: events, memory: {} }
  sent: { from: events, memory: {} }
checkpoint: { every: 500ms, store: "store" }
"#;

/// A step with state; the file of its plugin only has to be there.
const STEP: &str = "  counts:
    from: events
    key: key
    transform: { plugin: PLUGIN }
";
const COUNTS: &str = "  counts_out: { from: counts, memory: {} }
";

/// Says what the simulator's own plugin is.
struct Native;

impl PluginInspector for Native {
    fn inspect(&self, _: &Path, _: &serde_json::Value, _: &Bounds) -> Result<PluginInterface, String> {
        Ok(keyed::interface())
    }
}

impl Scenario {
    /// The field that windows are keyed by.
    pub fn key(self) -> &'static str {
        match self {
            Self::Shards | Self::Schemas | Self::Keyed | Self::Swap => "key",
            Self::One | Self::Alone => "group",
        }
    }

    /// Whether each shard is a partition.
    pub fn is_by_shard(self) -> bool {
        matches!(self, Self::Shards | Self::Schemas | Self::Keyed | Self::Swap)
    }

    /// Whether it has the step with state.
    pub fn has_counts(self) -> bool {
        matches!(self, Self::Keyed | Self::Swap)
    }

    /// Whether workers share the work.
    pub fn is_fleet(self) -> bool {
        self != Self::Alone
    }

    /// The job, checked.
    pub fn graph(self) -> anyhow::Result<Graph> {
        let partition_key = if self.is_by_shard() { "partition_key: key" } else { "" };
        let format = if self == Self::Schemas { AVRO.replace("SCHEMA", &schemas::text(0)) } else { JSON.to_owned() };
        let registry = if self == Self::Schemas { "registry: { folder: { path: schemas } }" } else { "" };
        let text = JOB.replace("PARTITION_KEY", partition_key).replace("KEY", self.key());
        let text = text.replace("FORMAT", &format).replace("REGISTRY", registry);
        let plugin = tempfile::NamedTempFile::new()?;
        let text = if self.has_counts() {
            let step = STEP.replace("PLUGIN", &plugin.path().display().to_string());
            text.replace("sinks:\n", &format!("{step}sinks:\n{COUNTS}"))
        } else {
            text
        };
        let refuse = |report: job::Report| anyhow::anyhow!("{}", report.render(false));
        let file = job::parse("sim.yaml", Path::new("/"), &text, &|_| None).map_err(refuse)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let plugins = Arc::new(Plugins::new(None, Limits::default())?);
        let lookup = Inspector {
            plugins,
            registry: None,
            runtime: runtime.handle().clone(),
            subjects: Subjects::Left,
            away: false.into(),
        };
        let graph = job::check(&file, &Native, &lookup).map_err(refuse)?;
        Ok(graph)
    }
}
