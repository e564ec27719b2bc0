//! From drafts to the graph: typing along the wiring, what each source must decode, and how the job is cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::{
    Check,
    typing::{Columns, Reads, Types},
    wiring::{Draft, DraftKind},
};
use crate::job::{
    diagnostic::Diagnostic,
    graph::{Edge, Graph, KeyedTransform, Node, NodeKind, Output, Partitioning, Source, SourceKind},
};

/// What somebody reads of an output.
#[derive(Clone, Debug, Default)]
struct Demand {
    all: bool,
    fields: BTreeMap<String, Option<Field>>,
}

impl<'a> Check<'a> {
    /// The whole check. None if a part is missing, which is reported.
    pub(super) fn graph(&self) -> Option<Graph> {
        let job = self.job_name();
        let (registry, dead_letters, epoch) = (self.registry(), self.dead_letters(), self.epoch());
        let (store, leases, connectors) = (self.store(), self.leases(), self.connectors());
        self.folders();
        let mut drafts = self.drafts();
        self.connect(&mut drafts);
        let order = self.order(&drafts);
        let typed = self.typed_all(&drafts, &order);
        let tests = self.tests(&drafts);
        if !self.mistakes.borrow().is_empty() {
            return None;
        }
        self.prune(&mut drafts, &order, &typed);
        self.govern(&mut drafts, &order, &typed);
        if !self.mistakes.borrow().is_empty() {
            return None;
        }
        let partitioning = partitioning(&drafts, &order);
        let typed = self.typed_all(&drafts, &order);
        self.written(&mut drafts, &order, &typed);
        if !self.mistakes.borrow().is_empty() {
            return None;
        }
        let at: BTreeMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        let nodes: Vec<Option<Node>> = order.iter().map(|index| node(&drafts, *index, &typed, &at)).collect();
        let tests = tests.into_iter().map(|test| test.renumbered(&at)).collect();
        let job = job?;
        let state_dir = self.state_dir(&job);
        let nodes = nodes.into_iter().collect::<Option<_>>()?;
        Some(Graph {
            job,
            folder: self.file.folder.clone(),
            registry,
            connectors,
            nodes,
            epoch,
            state_dir,
            dead_letters,
            store,
            leases,
            on_failure: self.given(&self.file.raw.on_failure).map_or_else(Default::default, |(policy, _)| *policy),
            partitioning,
            tests,
            notes: self.notes.take(),
        })
    }

    fn drafts(&self) -> Vec<Draft<'a>> {
        let raw = &self.file.raw;
        let top = 0..0;
        let mut drafts = Vec::new();
        if let Some((sources, place)) = self.needed(&raw.sources, "sources", &top) {
            self.some(&sources.0, "sources", place);
            drafts.extend(self.sources(sources));
        }
        if let Some((steps, _)) = self.given(&raw.steps) {
            drafts.extend(self.steps(steps));
        }
        if let Some((sinks, place)) = self.needed(&raw.sinks, "sinks", &top) {
            self.some(&sinks.0, "sinks", place);
            drafts.extend(self.sinks(sinks));
        }
        drafts
    }

    fn some<T>(&self, named: &[T], key: &str, place: std::ops::Range<usize>) {
        if named.is_empty() {
            self.report(Diagnostic::new("E0005", place, format!("`{key}` is empty: a job needs at least one")));
        }
    }

    /// Types every node, inputs first. Nodes in a cycle have no types.
    fn typed_all(&self, drafts: &[Draft<'a>], order: &[usize]) -> Types {
        let mut typed = Types::new();
        for index in order {
            let inputs: Vec<Columns> =
                (0..drafts[*index].ports()).map(|port| self.input(drafts, *index, port, &typed)).collect();
            let result = self.typed(&drafts[*index], &inputs);
            typed.insert(*index, (inputs, result));
        }
        typed
    }

    /// The columns that arrive by an input of a plugin (all that arrive, where there is but one): those of the one edge, or the same of all.
    fn input(&self, drafts: &[Draft<'a>], index: usize, port: usize, typed: &Types) -> Columns {
        let draft = &drafts[index];
        if draft.edges.is_empty() || draft.edges.len() < draft.from.len() {
            return Columns::Broken;
        }
        let edges = draft.edges.iter().zip(&draft.from).enumerate().filter(|(at, _)| draft.port(*at) == port);
        let mut arriving = edges.map(|(_, (edge, from))| {
            let columns = typed.get(&edge.node).and_then(|(_, typed)| typed.outputs.get(edge.output));
            (columns.cloned().unwrap_or(Columns::Broken), from)
        });
        let Some((first, (first_name, _))) = arriving.next() else { return Columns::Broken };
        for (other, (from, place)) in arriving {
            let same = match (&first, &other) {
                (Columns::Broken, _) | (_, Columns::Broken) => return Columns::Broken,
                (Columns::Known(first), Columns::Known(other)) => first == other,
                (Columns::Open, Columns::Open) => true,
                _ => false,
            };
            if !same {
                let message =
                    format!("`{}` reads `{first_name}` and `{from}`, which have different fields", draft.name);
                let mistake = Diagnostic::new("E0408", place.clone(), message);
                self.report(mistake.help("bring them to the same fields in the same order with `select:` steps"));
                return Columns::Broken;
            }
        }
        first
    }

    /// Cuts every source down to the fields that somebody reads.
    fn prune(&self, drafts: &mut [Draft<'a>], order: &[usize], typed: &Types) {
        let mut demands: BTreeMap<(usize, usize), Demand> = BTreeMap::new();
        for index in order.iter().rev() {
            for (at, edge) in drafts[*index].edges.iter().enumerate() {
                let Some(reads) = typed[index].1.reads(drafts[*index].port(at)) else { continue };
                let passed: Vec<Demand> =
                    reads.passes.iter().filter_map(|output| demands.get(&(*index, *output)).cloned()).collect();
                demands.entry((edge.node, edge.output)).or_default().add(reads, &passed);
            }
        }
        for index in order {
            if let Some(DraftKind::Source(source, columns)) = &mut drafts[*index].kind {
                let demand = demands.remove(&(*index, 0)).unwrap_or_default();
                source.wanted = demand.of(source, columns);
                *columns = Columns::Known(source.wanted.clone());
            }
        }
    }
}

impl Demand {
    fn add(&mut self, reads: &Reads, passed: &[Demand]) {
        self.all |= reads.all;
        self.fields.extend(reads.fields.iter().cloned());
        for demand in passed {
            self.all |= demand.all;
            self.fields.extend(demand.fields.clone());
        }
    }

    /// The columns of a source that are decoded, in the source's order.
    fn of(&self, source: &Source, columns: &Columns) -> SchemaRef {
        let own = source.time.iter().map(|time| &time.field).chain(&source.partition_key);
        let wanted: BTreeSet<&String> = self.fields.keys().chain(own).collect();
        match columns {
            Columns::Known(schema) if self.all => schema.clone(),
            Columns::Known(schema) => {
                let fields = schema.fields().iter().filter(|field| wanted.contains(field.name())).cloned();
                Arc::new(Schema::new(fields.collect::<Vec<FieldRef>>()))
            }
            _ => Arc::new(Schema::new(self.fields.values().flatten().cloned().collect::<Vec<Field>>())),
        }
    }
}

fn node(drafts: &[Draft<'_>], index: usize, typed: &Types, at: &BTreeMap<usize, usize>) -> Option<Node> {
    let draft = &drafts[index];
    let schema = |columns: &Columns| match columns {
        Columns::Known(schema) => schema.clone(),
        _ => Arc::new(Schema::empty()),
    };
    let (arriving, result) = typed.get(&index)?;
    let input = arriving.first().unwrap_or(&Columns::Broken);
    let kind = match draft.kind.as_ref()? {
        DraftKind::Source(source, _) => NodeKind::Source(source.clone()),
        DraftKind::Filter(sql) => NodeKind::Filter { sql: sql.text.clone() },
        DraftKind::Select(columns) => {
            NodeKind::Select { columns: columns.iter().map(|(name, sql)| (name.clone(), sql.text.clone())).collect() }
        }
        DraftKind::Transform(plugin, _) => NodeKind::Transform(plugin.clone()),
        DraftKind::KeyedTransform(draft) => {
            let input_schemas = arriving.iter().map(schema).collect();
            NodeKind::KeyedTransform(KeyedTransform { input_schemas, ..draft.transform.clone() })
        }
        DraftKind::Window(draft) => NodeKind::Window(draft.window.clone()),
        DraftKind::Sink(sink, _) => NodeKind::Sink(sink.clone()),
    };
    let names = draft.outputs()?;
    let outputs = names
        .into_iter()
        .zip(&result.outputs)
        .map(|(name, columns)| Output { name: name.to_owned(), schema: schema(columns) });
    let inputs = draft.edges.iter().map(|edge| Some(Edge { node: *at.get(&edge.node)?, output: edge.output }));
    let (inputs, outputs) = (inputs.collect::<Option<_>>()?, outputs.collect());
    Some(Node { name: draft.name.to_owned(), kind, inputs, input_schema: schema(input), outputs })
}

/// A step with state is shard-local if its key holds the partition key of its one source, unchanged since the source, and the shards of
/// that source hold ranges of keys.
fn partitioning(drafts: &[Draft<'_>], order: &[usize]) -> Partitioning {
    let mut carried: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let mut sources: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut hashed_by: BTreeMap<String, String> = BTreeMap::new();
    let one = |reason: String| Partitioning::One { reason };
    for index in order {
        let draft = &drafts[*index];
        let arriving = arriving(draft, &carried);
        let reached =
            draft.edges.iter().flat_map(|edge| sources.get(&edge.node).into_iter().flatten().copied()).collect();
        sources.insert(*index, reached);
        match &draft.kind {
            Some(DraftKind::Source(source, _)) => {
                if matches!(source.from, SourceKind::File { .. }) {
                    return one(format!("the source `{}` is a file, which has no shards", draft.name));
                }
                sources.insert(*index, BTreeSet::from([*index]));
                carried.insert((*index, 0), source.partition_key.iter().cloned().collect());
            }
            Some(DraftKind::Filter(_)) => {
                carried.insert((*index, 0), arriving);
            }
            Some(DraftKind::Select(columns)) => {
                let plain = |text: &str| text.trim().replace('"', "");
                let kept = columns.iter().filter(|(_, sql)| arriving.contains(&plain(&sql.text)));
                carried.insert((*index, 0), kept.map(|(name, _)| name.clone()).collect());
            }
            Some(DraftKind::Window(window)) => {
                let local = match local(draft, &window.window.key, &arriving, &sources[index]) {
                    Ok(local) => local,
                    Err(reason) => return Partitioning::One { reason },
                };
                hashed_by.insert(draft.name.to_owned(), local[0].clone());
                carried.insert((*index, 0), local);
                carried.insert((*index, 1), arriving);
            }
            Some(DraftKind::KeyedTransform(keyed)) => {
                match local(draft, &keyed.transform.key, &arriving, &sources[index]) {
                    Ok(local) => hashed_by.insert(draft.name.to_owned(), local[0].clone()),
                    Err(reason) => return Partitioning::One { reason },
                };
            }
            _ => {}
        }
    }
    let reason = if hashed_by.is_empty() {
        "no step has state".to_owned()
    } else {
        "the key of every step with state holds the partition key of its source".to_owned()
    };
    Partitioning::PerShard { reason, hashed_by }
}

/// The fields of a step's key that hold the partition key of its one source, at least one; or why there is none.
fn local(
    draft: &Draft<'_>,
    key: &[String],
    arriving: &[String],
    sources: &BTreeSet<usize>,
) -> Result<Vec<String>, String> {
    let local: Vec<String> = key.iter().filter(|key| arriving.contains(key)).cloned().collect();
    if local.is_empty() {
        let key = key.join(", ");
        let why =
            "which is not known to be the partition key of its source: records of one key may lie in several shards";
        return Err(format!("the step `{}` is keyed by {key}, {why}", draft.name));
    }
    if sources.len() > 1 {
        let why = "their shards do not hold the same keys";
        return Err(format!("the step `{}` reads several sources: {why}", draft.name));
    }
    Ok(local)
}

/// The fields that hold the partition key on every input.
fn arriving(draft: &Draft<'_>, carried: &BTreeMap<(usize, usize), Vec<String>>) -> Vec<String> {
    let mut inputs = draft.edges.iter().map(|edge| carried.get(&(edge.node, edge.output)).cloned().unwrap_or_default());
    let first = inputs.next().unwrap_or_default();
    let rest: Vec<Vec<String>> = inputs.collect();
    first.into_iter().filter(|field| rest.iter().all(|other| other.contains(field))).collect()
}
