//! From a checked graph to what a partition is made of.
//!
//! Everything that can refuse has refused in `check`; what fails here is the outside (a stream, a registry, a plugin file that changed).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::datatypes::{Field, SchemaRef};
use tokio::runtime::Handle;

pub mod registry;
mod services;

use super::{
    flow::{Action, Flow, Node, Reader},
    graph::{self, Graph, NodeKind},
    interface::PluginField,
    live::Live,
    partition::{intake::Input, locality::Locality},
    swap::{
        Deployed, Deployment, Fit, Steps,
        canary::{self, Breaks},
    },
};
use crate::{
    aws::Settings as AwsSettings,
    checkpoint::{epoch::Outlet, manifest::JobRecord},
    clock::Clock,
    decode::{
        self, Encoding, Format,
        avro::write_head,
        registry::{Found, Registry},
    },
    error::{Error, Kind, Result},
    plugin::{BatchPlugin, Connect, Context, Identity, KeyedPlugin, Manifest, Plugin, Plugins, World},
    sink::{
        Sink,
        avro::Encoder,
        delivery::Form,
        file, firehose, kinesis as kinesis_sink,
        memory::{MemorySink, Shown},
        stdout::StdoutSink,
    },
    source::{Source, Start, file as file_source, kinesis, memory::MemorySource},
    state::codec::KeyCodec,
    transform::{
        LocalPending, Step, component,
        expression::{Expression, Filter, Select},
        relation::Relation,
        stateful::{Port, Stateful},
        wanted::{At, Wanted},
    },
    window::{
        aggregate::{Aggregate, WindowAggregate},
        assign::Tumbling,
        built_in::{self as window_built_in, BuiltIn, Function},
        component as window_component,
        event_time::TimeRule,
    },
};

/// The name of the outlet that takes dead letters.
pub const DEAD_LETTERS: &str = "dead_letters";

/// Makes the sink of a `memory:` node.
pub type MakeSink = Arc<dyn Fn() -> Box<dyn Sink> + Send + Sync>;

/// Makes what runs in place of a plugin with state.
pub type MakePlugin = Arc<dyn Fn() -> Box<dyn KeyedPlugin> + Send + Sync>;

/// What the `memory:` nodes of a job are in this process, by the names of the nodes: for tests, benchmarks and programs that embed a job.
#[derive(Clone, Default)]
pub struct Given {
    /// sources
    pub sources: BTreeMap<String, Arc<dyn Source>>,
    /// sinks
    pub sinks: BTreeMap<String, MakeSink>,
    /// in place of the plugins with state of these steps
    pub plugins: BTreeMap<String, MakePlugin>,
    /// in place of those that are swapped in, by digest
    pub versions: BTreeMap<String, MakePlugin>,
    /// loads and checks those; where there is none, they count as loaded, and as fit
    pub deployed: Option<Arc<dyn Deployed>>,
}

/// What building needs from around it.
pub struct Builder<'a> {
    /// the checked job
    pub graph: &'a Graph,
    /// its `memory:` nodes
    pub given: Option<&'a Given>,
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
    /// the emulator that was started with the job: used where the job names no endpoint
    pub endpoint: Option<String>,
    /// what was shown may be shown again
    pub accept_repeats: bool,
    /// records that are not kept any more are gone on without
    pub accept_loss: bool,
    /// nothing outside is reached: sources are given by hand, and results are kept here
    pub memory: Option<&'a Memory>,
    /// in place of the job's connectors
    pub connect: Option<Arc<dyn Connect>>,
}

/// Where the results of a test go: a destination for each sink of the job.
pub type Memory = BTreeMap<String, Shown>;

/// The parts of a partition that come from the graph.
pub struct Built {
    /// sources
    pub inputs: Vec<Input>,
    /// steps
    pub flow: Flow,
    /// sinks
    pub outlets: Vec<Outlet>,
    /// the outlet that takes dead letters
    pub dead_letters: Option<usize>,
}

/// A source that is reached: shared by the partitions that read its shards.
pub struct Connected {
    /// its name in the job
    pub name: String,
    /// where records come from
    pub source: Arc<dyn Source>,
    /// where shards begin that existed at the first start
    pub start: Start,
}

impl Builder<'_> {
    /// Reaches every source.
    pub async fn sources(&self) -> Result<Vec<Connected>> {
        let mut connected = Vec::new();
        for node in &self.graph.nodes {
            if let NodeKind::Source(source) = &node.kind {
                let reached = self.connect(&node.name, source).await.map_err(|e| e.at(format_args!("`{}`", node.name)));
                let (source, start) = reached?;
                connected.push(Connected { name: node.name.clone(), source, start });
            }
        }
        Ok(connected)
    }

    /// Whether state lies in the hash space of shards.
    pub fn is_keyed(&self) -> bool {
        matches!(&self.graph.partitioning, graph::Partitioning::PerShard { hashed_by, .. } if !hashed_by.is_empty())
    }

    /// Builds every node, as it is deployed, over these sources.
    pub async fn build(&self, deployed: &Deployment, state_dir: &Path, sources: &[Connected]) -> Result<Built> {
        let (mut inputs, mut outlets, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        let places = self.places();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let fail = |e: Error| e.at(format_args!("`{}`", node.name));
            let action = match &node.kind {
                NodeKind::Source(source) => {
                    let feeds = self.readers(index, 0, &places);
                    let gone = || Error::new(Kind::Internal, "it is no source that was reached");
                    let connected = sources.iter().find(|reached| reached.name == node.name).ok_or_else(gone);
                    inputs.push(self.input(connected.map_err(fail)?, source, feeds).await.map_err(fail)?);
                    continue;
                }
                NodeKind::Sink(kind) => {
                    outlets.push(Outlet {
                        name: node.name.clone(),
                        sink: self.sink(&node.name, kind, &node.input_schema).await.map_err(fail)?,
                    });
                    Action::Sink(outlets.len() - 1)
                }
                step => Action::Step(self.step(deployed, node, step).await.map_err(fail)?),
            };
            let outputs = (0..node.outputs.len()).map(|output| self.readers(index, output, &places)).collect();
            let inputs = node.inputs.iter().filter_map(|edge| places[edge.node]).collect();
            let reads = node.inputs.len();
            nodes.push(Node { name: node.name.clone(), action, inputs, reads, outputs });
        }
        let letters = self.graph.dead_letters.clone().unwrap_or_else(|| graph::Files {
            path: state_dir.join("dead-letters"),
            every: std::time::Duration::from_secs(60),
            size: 64 << 20,
        });
        let dead_letters = self.memory.is_none().then_some(outlets.len());
        if dead_letters.is_some() {
            let given = self.given.and_then(|given| given.sinks.get(DEAD_LETTERS));
            let sink = given.map_or_else(|| self.files(DEAD_LETTERS, &letters), |make| make());
            outlets.push(Outlet { name: DEAD_LETTERS.to_owned(), sink });
        }
        Ok(Built { inputs, flow: Flow::new(nodes, self.live.clone()), outlets, dead_letters })
    }

    /// Who reads an output, by places among steps and sinks.
    fn readers(&self, node: usize, output: usize, places: &[Option<usize>]) -> Vec<Reader> {
        let readers = self.graph.readers(graph::Edge { node, output });
        readers.filter_map(|(reader, port)| Some(Reader { place: places[reader]?, port })).collect()
    }

    /// For each node of the graph its place among steps and sinks; none for sources.
    fn places(&self) -> Vec<Option<usize>> {
        let mut next = 0;
        let place = |node: &graph::Node| {
            let step = !matches!(node.kind, NodeKind::Source(_));
            next += usize::from(step);
            step.then(|| next - 1)
        };
        self.graph.nodes.iter().map(place).collect()
    }

    async fn input(&self, connected: &Connected, source: &graph::Source, feeds: Vec<Reader>) -> Result<Input> {
        let wanted = source.wanted_fields();
        let decoder = decode::decoder(&self.format(&source.format)?, &wanted)?;
        let time = match &source.time {
            None => by_arrival(),
            Some(time) => TimeRule {
                column: Some(column_of(&source.wanted, &time.field)?),
                out_of_order_us: micros(time.out_of_order),
                max_ahead_us: micros(time.max_ahead),
                idle: time.idle,
            },
        };
        let column = source.partition_key.as_ref().map(|field| column_of(&source.wanted, field)).transpose()?;
        let Connected { name, source: from, start } = connected;
        Ok(Input {
            name: name.clone(),
            source: from.clone(),
            decoder,
            time,
            start: *start,
            feeds,
            locality: Locality::new(column, None, source.misplaced),
        })
    }

    async fn connect(&self, name: &str, source: &graph::Source) -> Result<(Arc<dyn Source>, Start)> {
        Ok(match &source.from {
            _ if self.memory.is_some() => (Arc::new(MemorySource::new(name, Vec::new())), Start::TrimHorizon),
            graph::SourceKind::Kinesis { stream, start, consumer, aws } => {
                let options = kinesis::Options {
                    stream: stream.clone(),
                    consumer: consumer.clone(),
                    aws: self.aws(aws),
                    timing: kinesis::Timing::default(),
                    accept_loss: self.accept_loss,
                };
                (Arc::new(kinesis::Kinesis::connect(options, self.runtime.clone(), self.clock.clone()).await?), *start)
            }
            graph::SourceKind::File { path, format, key } => {
                let format = match format {
                    graph::FileFormat::JsonLines => file_source::Format::JsonLines,
                    graph::FileFormat::Csv => file_source::Format::Csv,
                };
                let options = file_source::Options { path: path.clone(), format: Some(format), key: key.clone() };
                (Arc::new(file_source::FileSource::new(name, options, self.runtime.clone())?), Start::TrimHorizon)
            }
            graph::SourceKind::Memory { .. } => {
                let given = self.given.and_then(|given| given.sources.get(name).cloned());
                let missing =
                    || Error::new(Kind::Config, "a `memory` source exists in tests only; use `file` or `kinesis`");
                (given.ok_or_else(missing)?, Start::TrimHorizon)
            }
        })
    }

    fn format(&self, format: &graph::Format) -> Result<Format> {
        Ok(Format::from(match format {
            graph::Format::Json => Encoding::Json,
            graph::Format::Raw => Encoding::Raw,
            graph::Format::Text => Encoding::Text,
            graph::Format::Avro(avro) => {
                let Some(schemas) = self.registry.clone() else {
                    return Err(Error::new(Kind::Config, "Avro needs a `registry:` in the job file"));
                };
                Encoding::Avro { schemas, contract: avro.contract() }
            }
        }))
    }

    fn aws(&self, aws: &graph::Aws) -> AwsSettings {
        AwsSettings {
            endpoint: aws.endpoint.clone().or_else(|| self.endpoint.clone()),
            region: aws.region.clone(),
            profile: aws.profile.clone(),
            role: aws.role.clone(),
            ca_pem: None,
        }
    }

    /// What the records of a sink are; Avro as it is registered.
    async fn form(&self, avro: Option<&graph::AvroSink>, rows: &SchemaRef, end: &'static [u8]) -> Result<Form> {
        let Some(avro) = avro else { return Ok(Form::Json(end)) };
        let registry = self
            .registry
            .as_ref()
            .ok_or_else(|| Error::new(Kind::Config, "Avro needs a `registry:` in the job file"))?;
        let refuse = |why: String| Error::new(Kind::Config, format!("subject `{}`: {why}", avro.subject));
        let registered = match registry.register(&avro.subject, &avro.schema, avro.auto_register).await? {
            Found::Schema(registered) => registered,
            Found::Unknown => {
                return Err(refuse("the schema is not registered, and `auto_register` is false".to_owned()));
            }
            Found::Unusable(why) => return Err(refuse(format!("the registry does not take the schema: {why}"))),
        };
        let mut head = Vec::new();
        write_head(registered.id, &mut head);
        let encoder = Encoder::new(&registered.schema, rows, head).map_err(refuse)?;
        Ok(Form::Avro(Box::new(encoder)))
    }

    async fn sink(&self, name: &str, kind: &graph::SinkKind, rows: &SchemaRef) -> Result<Box<dyn Sink>> {
        if let Some(memory) = self.memory {
            return Ok(Box::new(MemorySink::new(name, memory.get(name).cloned().unwrap_or_default())));
        }
        Ok(match kind {
            graph::SinkKind::Stdout => Box::new(StdoutSink::new()),
            graph::SinkKind::Memory => {
                let missing =
                    || Error::new(Kind::Config, "a `memory` sink exists in tests only; use `file` or `stdout`");
                self.given.and_then(|given| given.sinks.get(name)).ok_or_else(missing)?()
            }
            graph::SinkKind::File(files) => self.files(name, files),
            graph::SinkKind::Kinesis { stream, key, aws, avro } => {
                let form = self.form(avro.as_ref(), rows, b"").await?;
                let client = self.aws(aws).load().await?.kinesis_client();
                let (name, stream, key) = (name.to_owned(), stream.clone(), key.clone());
                let options = kinesis_sink::Options { name, stream, key, form };
                Box::new(kinesis_sink::KinesisSink::new(options, client, self.runtime.clone()))
            }
            graph::SinkKind::Firehose { delivery_stream, aws, avro } => {
                let form = self.form(avro.as_ref(), rows, b"\n").await?;
                let client = self.aws(aws).load().await?.firehose_client();
                let (name, delivery_stream) = (name.to_owned(), delivery_stream.clone());
                let options = firehose::Options { name, delivery_stream, form };
                Box::new(firehose::FirehoseSink::new(options, client, self.runtime.clone()))
            }
        })
    }

    fn files(&self, name: &str, files: &graph::Files) -> Box<dyn Sink> {
        let options = file::Options {
            name: name.to_owned(),
            path: files.path.clone(),
            roll: file::Roll { every: files.every, size: files.size },
            accept_repeats: self.accept_repeats,
        };
        Box::new(file::FileSink::new(options, self.clock.clone()))
    }

    async fn step(&self, deployed: &Deployment, node: &graph::Node, kind: &NodeKind) -> Result<Box<dyn Step>> {
        let schema = &node.input_schema;
        let compile = |sql: &str| {
            Expression::compile(sql, schema)
                .map_err(|problem| Error::new(Kind::Config, format!("`{sql}`: {}", problem.message)))
        };
        Ok(match kind {
            NodeKind::Filter { sql } => {
                let filter = Filter::new(compile(sql)?);
                let not_boolean =
                    || Error::new(Kind::Config, format!("`{sql}` is no condition: it must be true or false"));
                Box::new(Relation::Filter(filter.ok_or_else(not_boolean)?))
            }
            NodeKind::Select { columns } => {
                let compiled =
                    columns.iter().map(|(name, sql)| Ok((name.clone(), compile(sql)?))).collect::<Result<_>>()?;
                Box::new(Relation::Select(Select::new(compiled)))
            }
            NodeKind::Transform(plugin) => {
                let loaded = self.plugin(deployed, node, plugin).await?;
                let context = self.context(deployed, node, plugin);
                let instance: Box<dyn BatchPlugin> = match loaded.world() {
                    World::Enricher => {
                        let order = services::order(plugin.order);
                        Box::new(loaded.enricher(context, order, |names| self.services(names)).await?)
                    }
                    _ => Box::new(loaded.transformer(context).await?),
                };
                refuse_unused(instance.manifest(), false)?;
                let wanted = wanted(schema, plugin, 0)?;
                Box::new(component::Component::new(&node.name, instance, wanted, self.clock.clone()))
            }
            NodeKind::KeyedTransform(transform) => Box::new(self.stateful(deployed, node, transform).await?),
            NodeKind::Window(window) => Box::new(self.window(deployed, node, window).await?),
            NodeKind::Source(_) | NodeKind::Sink(_) => {
                return Err(Error::new(Kind::Internal, "a source or sink is no step"));
            }
        })
    }

    /// The plugin that is deployed for a step; where nothing is stored, as in a test, the job file's.
    async fn plugin(&self, deployed: &Deployment, node: &graph::Node, plugin: &graph::Plugin) -> Result<Plugin> {
        let loaded = match deployed.plugin(&node.name) {
            Some(swapped) => swapped.clone(),
            None => self.plugins.load(&plugin.path).await?,
        };
        Ok(loaded.within(&plugin.bounds))
    }

    fn given_plugin(&self, deployed: &Deployment, step: &str) -> Option<&MakePlugin> {
        let given = self.given?;
        let swapped = deployed.record.swapped.plugins.get(step);
        swapped.map_or_else(|| given.plugins.get(step), |digest| given.versions.get(digest))
    }

    async fn stateful(
        &self,
        deployed: &Deployment,
        node: &graph::Node,
        transform: &graph::KeyedTransform,
    ) -> Result<Stateful> {
        let graph::KeyedTransform { key, plugin, input_schemas, .. } = transform;
        let instance: Box<dyn KeyedPlugin> = match self.given_plugin(deployed, &node.name) {
            Some(make) => make(),
            None => {
                let loaded = self.plugin(deployed, node, plugin).await?;
                Box::new(loaded.stateful(self.context(deployed, node, plugin)).await?)
            }
        };
        refuse_unused(instance.manifest(), false)?;
        let port = |(port, schema): (usize, &SchemaRef)| {
            Ok(Port { codec: self.codec(node, schema, key)?, wanted: wanted(schema, plugin, port)? })
        };
        let ports = input_schemas.iter().enumerate().map(port).collect::<Result<Vec<_>>>()?;
        Stateful::new(&node.name, instance, ports, self.clock.clone())
    }

    /// How the keys of a step become bytes, and where in the hash space they lie.
    fn codec(&self, node: &graph::Node, schema: &SchemaRef, key: &[String]) -> Result<KeyCodec> {
        let codec = KeyCodec::new(schema, key)?;
        let field = match &self.graph.partitioning {
            graph::Partitioning::PerShard { hashed_by, .. } => hashed_by.get(&node.name),
            graph::Partitioning::One { .. } => None,
        };
        Ok(field.map_or(codec.clone(), |field| codec.hashed_by(field)))
    }

    async fn window(
        &self,
        deployed: &Deployment,
        node: &graph::Node,
        window: &graph::Window,
    ) -> Result<WindowAggregate> {
        let schema = &node.input_schema;
        let codec = self.codec(node, schema, &window.key)?;
        let aggregate: Box<dyn Aggregate> = match &window.aggregate {
            graph::Aggregate::Plugin(plugin) => {
                let loaded = self.plugin(deployed, node, plugin).await?;
                let instance = loaded.aggregator(self.context(deployed, node, plugin)).await?;
                refuse_unused(instance.manifest(), true)?;
                let wanted = wanted(schema, plugin, 0)?;
                Box::new(window_component::Component::new(instance, codec.clone(), wanted, self.clock.clone())?)
            }
            graph::Aggregate::BuiltIn(columns) => {
                let wanted: Vec<window_built_in::Wanted> = columns.iter().map(built_in).collect();
                Box::new(BuiltIn::new(schema, &wanted)?)
            }
        };
        let windows = Tumbling { length_us: micros(window.tumbling) };
        Ok(WindowAggregate::new(&node.name, codec, windows, micros(window.allowed_lateness), aggregate))
    }

    fn context(&self, deployed: &Deployment, node: &graph::Node, plugin: &graph::Plugin) -> Context {
        Context {
            config: Arc::from(plugin.config.to_string()),
            job: Arc::from(self.graph.job.as_str()),
            step: Arc::from(node.name.as_str()),
            generation: deployed.record.generation,
        }
    }
}

impl Fit for Builder<'_> {
    fn fit<'a>(&'a self, from: &'a JobRecord, to: &'a Deployment) -> LocalPending<'a, Result<Steps>> {
        Box::pin(async move {
            let mut steps = Vec::new();
            for name in to.differs(from) {
                let Some(node) = self.graph.nodes.iter().find(|node| node.name == name) else { continue };
                let step = self.step(to, node, &node.kind).await;
                steps.push((name.to_owned(), step.map_err(|e| e.at(format_args!("`{name}`")))?));
            }
            Ok(steps)
        })
    }

    fn breaks(&self, step: &str, assertion: &str) -> Result<Breaks> {
        canary::breaks(self.graph, step, assertion)
    }
}

/// What an output sets beside its event time would be lost on the way to the sinks; so would the event time of a window's result, which is its end's.
fn refuse_unused(manifest: &Manifest, of_windows: bool) -> Result<()> {
    for output in &manifest.outputs {
        let Identity { partition_key, payload, operation, event_time, .. } = output.sets;
        let unused = [
            (partition_key, "the partition key, which no sink uses yet"),
            (payload, "the payload, which no sink uses yet"),
            (operation, "the operation, which no sink uses yet"),
            (event_time && of_windows, "the event time, which of a window's result is the window's end"),
        ];
        if let Some((_, what)) = unused.into_iter().find(|(sets, _)| *sets) {
            let words = format!("the plugin's output `{}` sets {what}: let it set fields only", output.name);
            return Err(Error::new(Kind::Config, words));
        }
    }
    Ok(())
}

/// A silent shard no longer holds the watermark back after this, where the job says nothing about time.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);

/// Arrival times are approximate: within a shard one may be a little earlier than the one before it. Microseconds.
const ARRIVAL: i64 = 1_000_000;

fn by_arrival() -> TimeRule {
    TimeRule { column: None, out_of_order_us: ARRIVAL, max_ahead_us: i64::MAX, idle: Some(IDLE) }
}

/// After that time without a record a shard of the source is idle, microseconds; none: never.
pub fn idle_us(source: &graph::Source) -> Option<i64> {
    source.time.as_ref().map_or(Some(IDLE), |time| time.idle).map(micros)
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn built_in(column: &graph::Column) -> window_built_in::Wanted {
    let function = match column.function {
        graph::Function::Count => Function::Count,
        graph::Function::Sum => Function::Sum,
        graph::Function::Avg => Function::Avg,
        graph::Function::Min => Function::Min,
        graph::Function::Max => Function::Max,
    };
    window_built_in::Wanted { name: column.name.clone(), function, column: column.field.clone() }
}

fn column_of(schema: &SchemaRef, name: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| Error::new(Kind::Config, format!("there is no field `{name}` in what arrives")))
}

/// What a plugin wants of what arrives at one of its inputs.
fn wanted(schema: &SchemaRef, plugin: &graph::Plugin, port: usize) -> Result<Wanted> {
    let wishes = plugin.interface.inputs.get(port).map_or(&[][..], |input| input.wants.as_slice());
    let from = |wish: &PluginField| match schema.index_of(&wish.path) {
        Ok(column) => Ok(At::Column(column)),
        Err(_) if wish.optional => Ok(At::Nowhere(Arc::new(Field::new(&wish.path, wish.kind.data_type(), true)))),
        Err(_) => column_of(schema, &wish.path).map(At::Column),
    };
    Wanted::new(wishes.iter().map(from).collect::<Result<_>>()?, schema)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{contract, window::event_time::ShardClock};

    #[test]
    fn a_record_that_arrived_a_little_before_the_one_in_front_of_it_is_not_late() {
        let (rule, fields) = (by_arrival(), contract::rows(0..2).fields);
        let timed = ShardClock::new(&rule, None, None).observe(&rule, &fields, &[60_000_000, 59_999_000]).unwrap();
        assert!(timed.watermark_us[1] <= timed.event_us[1], "{timed:?}");
    }
}
