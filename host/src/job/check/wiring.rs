//! Who reads from whom: names, outputs, cycles.

use std::{collections::BTreeMap, ops::Range};

use super::{Check, typing::Columns};
use crate::job::{
    diagnostic::Diagnostic,
    file::{
        raw,
        read::{At, OneOrMore},
    },
    graph::{Edge, KeyedTransform, Plugin, SinkKind, Source, Window},
};

/// A node on its way into the graph. Without a kind it had mistakes, and still has a name that others may use.
pub struct Draft<'a> {
    pub name: &'a str,
    pub place: Range<usize>,
    pub kind: Option<DraftKind<'a>>,
    pub from: Vec<(&'a str, Range<usize>)>,
    /// what `from` means; shorter than it after a mistake
    pub edges: Vec<Edge>,
}

/// What a node does, with the places that later mistakes may be in.
pub enum DraftKind<'a> {
    Source(Source, Columns),
    Filter(Sql),
    Select(Vec<(String, Sql)>),
    Transform(Plugin, Range<usize>),
    KeyedTransform(KeyedDraft),
    Window(WindowDraft),
    Sink(SinkKind, Option<&'a At<String>>),
}

/// An expression and where its text stands.
pub struct Sql {
    pub text: String,
    pub place: Range<usize>,
}

/// A step with a plugin and state by key.
pub struct KeyedDraft {
    pub transform: KeyedTransform,
    pub key_places: Vec<Range<usize>>,
    /// of the plugin
    pub place: Range<usize>,
}

/// A window step.
pub struct WindowDraft {
    pub window: Window,
    pub key_places: Vec<Range<usize>>,
    /// of the built-in functions in order, or of the plugin
    pub aggregate_places: Vec<Range<usize>>,
    pub late: String,
    /// whether every part of the aggregate could be read
    pub complete: bool,
}

impl<'a> Draft<'a> {
    pub fn new(
        name: &'a str,
        place: Range<usize>,
        kind: Option<DraftKind<'a>>,
        from: Vec<(&'a str, Range<usize>)>,
    ) -> Self {
        Self { name, place, kind, from, edges: Vec::new() }
    }

    /// The number of the plugin's input that this one of `from` goes to.
    pub fn port(&self, from: usize) -> usize {
        match &self.kind {
            Some(DraftKind::KeyedTransform(keyed)) => keyed.transform.ports.get(from).copied().unwrap_or(0),
            _ => 0,
        }
    }

    /// How many inputs are told apart.
    pub fn ports(&self) -> usize {
        match &self.kind {
            Some(DraftKind::KeyedTransform(keyed)) => keyed.transform.plugin.interface.inputs.len(),
            _ => 1,
        }
    }

    /// Names of the outputs; the first can be left out in `from`. None if it is not known.
    pub fn outputs(&self) -> Option<Vec<&str>> {
        Some(match self.kind.as_ref()? {
            DraftKind::Source(..) | DraftKind::Filter(_) | DraftKind::Select(_) => vec![""],
            DraftKind::Transform(plugin, _)
            | DraftKind::KeyedTransform(KeyedDraft { transform: KeyedTransform { plugin, .. }, .. }) => {
                plugin.interface.outputs.iter().map(|output| output.name.as_str()).collect()
            }
            DraftKind::Window(draft) => vec!["", draft.late.as_str()],
            DraftKind::Sink(..) => Vec::new(),
        })
    }
}

/// What a node reads, with places.
pub type Names<'a> = Vec<(&'a str, Range<usize>)>;

impl<'a> Check<'a> {
    /// What a step reads, and where that goes by name.
    pub(super) fn step_from(&self, step: &'a raw::Step, owner: &Range<usize>) -> (Names<'a>, Names<'a>) {
        let Some((from, place)) = self.needed(&step.from, "from", owner) else { return Default::default() };
        let (names, into): (Names<'a>, Names<'a>) = match from {
            raw::StepFrom::One(name) => (vec![(name.as_str(), place.clone())], Vec::new()),
            raw::StepFrom::Many(names) => (
                names.iter().filter_map(|name| Some((name.value.as_deref()?, name.place.clone()))).collect(),
                Vec::new(),
            ),
            raw::StepFrom::Named(inputs) => {
                let named = inputs.0.iter().filter_map(|(input, names)| {
                    let into = (input.value.as_deref()?, input.place.clone());
                    Some(names.value.as_ref()?.0.iter().map(move |name| (name, into.clone())))
                });
                let pairs = named
                    .flatten()
                    .filter_map(|(name, into)| Some(((name.value.as_deref()?, name.place.clone()), into)));
                pairs.unzip()
            }
        };
        if names.is_empty() {
            self.report(Diagnostic::new("E0104", place, "`from` names nothing"));
        }
        (names, into)
    }

    pub(super) fn from(
        &self,
        from: &'a Option<At<OneOrMore<String>>>,
        owner: &Range<usize>,
    ) -> Vec<(&'a str, Range<usize>)> {
        let Some((names, place)) = self.needed(from, "from", owner) else { return Vec::new() };
        if names.0.is_empty() {
            self.report(Diagnostic::new("E0104", place, "`from` names nothing"));
        }
        names.0.iter().filter_map(|name| Some((name.value.as_deref()?, name.place.clone()))).collect()
    }

    /// One name, one node: the second is reported.
    pub(super) fn names<'d>(&self, drafts: &'d [Draft<'a>]) -> BTreeMap<&'d str, usize> {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, draft) in drafts.iter().enumerate() {
            if let Some(first) = names.get(draft.name) {
                let message = format!("two nodes are named `{}`", draft.name);
                let twice = Diagnostic::new("E0204", draft.place.clone(), message).label("again");
                self.report(
                    twice
                        .related(drafts[*first].place.clone(), "first here")
                        .help("sources, steps and sinks share their names"),
                );
                continue;
            }
            names.insert(draft.name, index);
        }
        names
    }

    /// Turns every `from` into edges.
    pub(super) fn connect(&self, drafts: &mut [Draft<'a>]) {
        let names: BTreeMap<String, usize> =
            self.names(drafts).into_iter().map(|(name, index)| (name.to_owned(), index)).collect();
        for index in 0..drafts.len() {
            let mut edges = Vec::new();
            for (from, place) in &drafts[index].from {
                if let Some(edge) = self.edge(from, place, drafts, &names) {
                    let port = drafts[index].port(edges.len());
                    if edges.iter().enumerate().any(|(at, known)| *known == edge && drafts[index].port(at) == port) {
                        self.report(Diagnostic::new("E0205", place.clone(), format!("`{from}` is named twice")));
                    }
                    edges.push(edge);
                }
            }
            drafts[index].edges = edges;
        }
    }

    fn edge(
        &self,
        from: &str,
        place: &Range<usize>,
        drafts: &[Draft<'a>],
        names: &BTreeMap<String, usize>,
    ) -> Option<Edge> {
        let (name, output) = from.split_once('.').map_or((from, None), |(name, output)| (name, Some(output)));
        let readable = || {
            names
                .iter()
                .filter(|(_, index)| !matches!(drafts[**index].kind, Some(DraftKind::Sink(..))))
                .map(|(name, _)| name.as_str())
        };
        let Some(node) = names.get(name).copied() else {
            let message = format!("there is no source or step `{name}`");
            self.report(Diagnostic::new("E0201", place.clone(), message).label("unknown").suggest(name, readable()));
            return None;
        };
        let outputs = drafts[node].outputs()?;
        if outputs.is_empty() {
            let message = format!("`{name}` is a sink, and nothing comes out of it");
            self.report(Diagnostic::new("E0202", place.clone(), message).suggest("", readable()));
            return None;
        }
        let Some(output) = output else { return Some(Edge { node, output: 0 }) };
        let found = outputs.iter().position(|known| *known == output && !known.is_empty());
        if found.is_none() {
            let message = format!("`{name}` has no output `{output}`");
            let mistake = Diagnostic::new("E0202", place.clone(), message).label("unknown output");
            let named = outputs.iter().copied().filter(|known| !known.is_empty());
            self.report(if outputs == [""] {
                mistake.help(format!("it has one output: write `from: {name}`"))
            } else {
                mistake.suggest(output, named)
            });
        }
        found.map(|output| Edge { node, output })
    }

    /// The nodes in an order in which inputs come first; what stands in a cycle is left out and reported once.
    pub(super) fn order(&self, drafts: &[Draft<'a>]) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::new();
        let mut placed = vec![false; drafts.len()];
        loop {
            let ready: Vec<usize> = (0..drafts.len())
                .filter(|index| !placed[*index] && drafts[*index].edges.iter().all(|edge| placed[edge.node]))
                .collect();
            if ready.is_empty() {
                break;
            }
            for index in ready {
                placed[index] = true;
                order.push(index);
            }
        }
        if let Some(first) = (0..drafts.len()).find(|index| !placed[*index]) {
            self.report_cycle(drafts, &placed, first);
        }
        order
    }

    fn report_cycle(&self, drafts: &[Draft<'a>], placed: &[bool], first: usize) {
        let mut path = vec![first];
        while let Some(next) =
            path.last().and_then(|last| drafts[*last].edges.iter().map(|edge| edge.node).find(|node| !placed[*node]))
        {
            if let Some(start) = path.iter().position(|node| *node == next) {
                path.drain(..start);
                path.push(next);
                break;
            }
            path.push(next);
        }
        path.reverse();
        let names: Vec<&str> = path.iter().map(|node| drafts[*node].name).collect();
        let place = drafts[path[0]].from.first().map_or(drafts[path[0]].place.clone(), |(_, place)| place.clone());
        let message = format!("these steps read from each other in a circle: {}", names.join(" -> "));
        self.report(Diagnostic::new("E0203", place, message).help("records can only go from sources to sinks"));
    }
}
