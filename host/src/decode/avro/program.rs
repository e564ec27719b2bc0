//! A pair of schemas and the wanted fields, as a list of small steps: pass over this, append that to column 3.
//!
//! The rule: a program that compiles gives every wanted column exactly one cell for each record it accepts, and accepts a record
//! only when all of its bytes are used. Left to others: nested values (`walk`), casts (`convert`), bad rows (`columns`).

use std::sync::Arc;

use pelton_schema::types::Unit;

use super::{
    convert::{self, Convert},
    read::{Fault, Input},
    resolve::{Gives, Graph, Leaf, Node, NodeId, Part},
    walk::Walk,
};
use crate::decode::{Kind, Tree, WantedField, columns::Column, suggest::did_you_mean};

/// A record type is passed over in place while the program is shorter than this.
const MOST_STEPS: usize = 4096;
/// And while so few values were looked at for it: those without bytes make a program no longer.
const MOST_SKIPS: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    SkipBoolean,
    SkipInt,
    SkipLong,
    SkipBytes,
    SkipFixed(usize),
    Skip(NodeId),
    Boolean(u32),
    Int32(u32),
    Int64(u32),
    /// milliseconds, kept as microseconds
    Millis(u32),
    Float64(u32),
    Text(u32),
    Put(u32, Leaf, Convert),
    EnumText(u32, NodeId),
    Json(u32, NodeId),
    Null(u32),
    Fail(u32),
    /// reads a branch's number; the targets begin here and are so many
    Switch(u32, u32),
    Jump(u32),
    /// remembers the place in the bytes, or goes back to it
    Save(u32),
    Restore(u32),
    /// reads from a default, or from the record again
    Enter(u32),
    Leave,
}

/// Decodes the records of one pair of schemas.
#[derive(Debug)]
pub struct Program {
    steps: Vec<Step>,
    targets: Vec<u32>,
    defaults: Vec<Arc<[u8]>>,
    slots: usize,
    graph: Graph,
}

impl Program {
    /// Compiles. The error names the field, and what is there instead.
    pub fn compile(graph: Graph, wanted: &[WantedField], tree: &Tree) -> Result<Self, String> {
        let (steps, targets, defaults) = (vec![], vec![], vec![]);
        let mut compiler =
            Compiler { graph: &graph, wanted, steps, targets, defaults, slots: 0, skips_left: MOST_SKIPS };
        compiler.value(graph.root, tree, "")?;
        let Compiler { steps, targets, defaults, slots, .. } = compiler;
        Ok(Self { steps, targets, defaults, slots, graph })
    }

    /// Reads one record and appends its cells. After a fault the columns have a part of them: the caller drops the row.
    /// Plain texts are only checked to be UTF-8 when `is_strict`: else the caller checks whole columns, which is much cheaper.
    pub fn run(&self, body: &[u8], columns: &mut [Column], text: &mut Vec<u8>, is_strict: bool) -> Result<(), Fault> {
        let mut input = Input::new(body);
        let mut outer = input;
        let mut slots = vec![input; self.slots];
        let mut walk = Walk::new(&self.graph.nodes, body.len());
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            at += 1;
            match *step {
                Step::Int64(place) => columns[place as usize].int64(input.long()?),
                Step::Millis(place) => {
                    let micros = input.long()?.checked_mul(1000).ok_or(Fault::OutOfRange(place))?;
                    columns[place as usize].int64(micros);
                }
                Step::Text(place) => {
                    let bytes = if is_strict { input.text()?.as_bytes() } else { input.bytes()? };
                    columns[place as usize].bytes(bytes).map_err(|_| Fault::Full)?;
                }
                Step::Float64(place) => columns[place as usize].float64(input.double()?),
                Step::Int32(place) => columns[place as usize].int32(input.int()?),
                Step::Boolean(place) => columns[place as usize].boolean(input.boolean()?),
                Step::SkipBytes => drop(input.bytes()?),
                Step::SkipLong => drop(input.long()?),
                Step::SkipInt => drop(input.int()?),
                Step::SkipFixed(size) => drop(input.take(size)?),
                Step::SkipBoolean => drop(input.boolean()?),
                Step::Skip(node) => walk.skip(node, &mut input)?,
                Step::Put(place, leaf, convert) => {
                    convert::put(leaf, convert, place, &mut input, &mut columns[place as usize])?;
                }
                Step::EnumText(place, node) => {
                    columns[place as usize].bytes(self.symbol(node, &mut input)?).map_err(|_| Fault::Full)?
                }
                Step::Json(place, node) => {
                    text.clear();
                    walk.json(node, &mut input, text)?;
                    columns[place as usize].bytes(text).map_err(|_| Fault::Full)?;
                }
                Step::Null(place) if !columns[place as usize].null() => return Err(Fault::Missing(place)),
                Step::Null(_) => {}
                Step::Fail(message) => return Err(Fault::Mismatch(message)),
                Step::Switch(first, count) => {
                    let branch = input.index(count as usize, Fault::BadBranch)?;
                    at = self.targets[first as usize + branch] as usize;
                }
                Step::Jump(target) => at = target as usize,
                Step::Save(slot) => slots[slot as usize] = input,
                Step::Restore(slot) => input = slots[slot as usize],
                Step::Enter(default) => {
                    outer = input;
                    input = Input::new(&self.defaults[default as usize]);
                }
                Step::Leave => input = outer,
            }
        }
        if input.left() == 0 { Ok(()) } else { Err(Fault::Trailing) }
    }

    fn symbol(&self, node: NodeId, input: &mut Input<'_>) -> Result<&[u8], Fault> {
        let Node::Enum(symbols) = &self.graph.nodes[node] else { return Err(Fault::BadSymbol) };
        let symbol = &symbols[input.index(symbols.len(), Fault::BadSymbol)?];
        symbol.as_ref().map(|symbol| symbol.as_bytes()).map_err(|message| Fault::Mismatch(*message))
    }

    /// A fault in words.
    pub fn message(&self, fault: Fault, wanted: &[WantedField]) -> String {
        let field = |place: u32| wanted.get(place as usize).map_or("?", |field| &field.path.0);
        match fault {
            Fault::OutOfRange(place) => {
                let kind = wanted.get(place as usize).map_or(String::new(), |field| field.kind.to_string());
                format!("field `{}`: the number does not fit into {kind}", field(place))
            }
            Fault::Missing(place) => format!("field `{}` is null, and a record must have it", field(place)),
            Fault::Mismatch(message) => self.graph.messages.get(message as usize).cloned().unwrap_or_default(),
            other => other.words().to_owned(),
        }
    }
}

struct Compiler<'a> {
    graph: &'a Graph,
    wanted: &'a [WantedField],
    steps: Vec<Step>,
    targets: Vec<u32>,
    defaults: Vec<Arc<[u8]>>,
    slots: usize,
    skips_left: usize,
}

impl Compiler<'_> {
    /// Everything that is wanted of a value: of itself and of what is inside. Read as often as there are readers.
    fn value(&mut self, node: NodeId, tree: &Tree, path: &str) -> Result<(), String> {
        let readers = tree.columns.len() + usize::from(!tree.children.is_empty());
        if readers == 0 {
            // Without wanted fields the record must still be whole, so it is passed over.
            self.skip(node, 0);
            return Ok(());
        }
        let slot = self.slots as u32;
        if readers > 1 {
            self.slots += 1;
            self.steps.push(Step::Save(slot));
        }
        for (place, column) in tree.columns.iter().enumerate() {
            if place > 0 {
                self.steps.push(Step::Restore(slot));
            }
            self.column(node, *column, path)?;
        }
        if !tree.children.is_empty() {
            if readers > 1 {
                self.steps.push(Step::Restore(slot));
            }
            self.children(node, tree, path)?;
        }
        Ok(())
    }

    /// One value into one column.
    fn column(&mut self, node: NodeId, column: usize, path: &str) -> Result<(), String> {
        let (graph, kind, place) = (self.graph, self.wanted[column].kind, column as u32);
        let step = match &graph.nodes[node] {
            Node::Link(inner) => return self.column(*inner, column, path),
            Node::Union(branches) => return self.switch(branches, |this, branch| this.column(branch, column, path)),
            Node::Mismatch(message) => Step::Fail(*message),
            Node::Leaf(_, Gives::Null) => Step::Null(place),
            _ if kind == Kind::Json => Step::Json(place, node),
            Node::Leaf(leaf, gives) => match convert::choose(*gives, kind) {
                Some(convert) => fast(place, *leaf, convert),
                None => {
                    return Err(format!("field `{path}` is {}, which cannot be read as {kind}", describe(graph, node)));
                }
            },
            Node::Enum(_) if kind == Kind::Text => Step::EnumText(place, node),
            _ => {
                return Err(format!(
                    "field `{path}` is {}, which cannot be read as {kind}; ask for json",
                    describe(graph, node)
                ));
            }
        };
        self.steps.push(step);
        Ok(())
    }

    /// What is wanted of the fields of a record.
    fn children(&mut self, node: NodeId, tree: &Tree, path: &str) -> Result<(), String> {
        let graph = self.graph;
        match &graph.nodes[node] {
            Node::Link(inner) => self.children(*inner, tree, path),
            Node::Union(branches) => self.switch(branches, |this, branch| this.children(branch, tree, path)),
            Node::Mismatch(message) => {
                self.steps.push(Step::Fail(*message));
                Ok(())
            }
            Node::Leaf(_, Gives::Null) => {
                // The value itself has its cells already.
                tree.children.iter().for_each(|(_, child)| self.nulls(child));
                Ok(())
            }
            Node::Record(name, parts) => self.record(name, parts, tree, path),
            _ => {
                let inside = tree.children.first().map_or("", |(name, _)| name);
                let there = describe(graph, node);
                Err(format!("field `{}` does not exist: `{path}` is {there}, not a record", join(path, inside)))
            }
        }
    }

    fn record(&mut self, record: &str, parts: &[Part], tree: &Tree, path: &str) -> Result<(), String> {
        let child = |name: &str| tree.children.iter().find(|(wanted, _)| **wanted == *name).map(|(_, child)| child);
        for part in parts {
            match part {
                Part::Skip(node) => self.skip(*node, 0),
                Part::Field(name, node) => match child(name) {
                    Some(child) => self.value(*node, child, &join(path, name))?,
                    None => self.skip(*node, 0),
                },
                Part::Default(name, bytes, node) => {
                    if let Some(child) = child(name) {
                        self.steps.push(Step::Enter(self.defaults.len() as u32));
                        self.defaults.push(Arc::clone(bytes));
                        self.value(*node, child, &join(path, name))?;
                        self.steps.push(Step::Leave);
                    }
                }
            }
        }
        let names: Vec<&str> = parts.iter().filter_map(Part::name).collect();
        for (name, child) in tree.children.iter().filter(|(name, _)| !names.contains(&&**name)) {
            if child.all_columns().iter().any(|column| !self.wanted[*column].optional) {
                let near = did_you_mean(name, names.iter().copied());
                return Err(format!(
                    "field `{}` does not exist: record `{record}` has no `{name}`{near}",
                    join(path, name)
                ));
            }
            self.nulls(child);
        }
        Ok(())
    }

    fn nulls(&mut self, tree: &Tree) {
        self.steps.extend(tree.all_columns().into_iter().map(|column| Step::Null(column as u32)));
    }

    /// One piece of program for each branch of a union, and the jumps between them.
    fn switch(
        &mut self,
        branches: &[NodeId],
        mut compile: impl FnMut(&mut Self, NodeId) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.steps.len() > MOST_STEPS * 64 {
            return Err(
                "the unions on the way to the wanted fields have too many combinations; ask for json".to_owned()
            );
        }
        let first = self.targets.len();
        self.targets.resize(first + branches.len(), 0);
        self.steps.push(Step::Switch(first as u32, branches.len() as u32));
        let mut ends = Vec::with_capacity(branches.len());
        for (place, branch) in branches.iter().enumerate() {
            self.targets[first + place] = self.steps.len() as u32;
            compile(self, *branch)?;
            ends.push(self.steps.len());
            self.steps.push(Step::Jump(0));
        }
        for end in ends {
            self.steps[end] = Step::Jump(self.steps.len() as u32);
        }
        Ok(())
    }

    /// Passes over a value, in place where that is short.
    fn skip(&mut self, node: NodeId, depth: usize) {
        let graph = self.graph;
        self.skips_left = self.skips_left.saturating_sub(1);
        let step = match &graph.nodes[node] {
            Node::Leaf(Leaf::Null, _) => return,
            Node::Leaf(Leaf::Boolean, _) => Step::SkipBoolean,
            Node::Leaf(Leaf::Int, _) => Step::SkipInt,
            Node::Leaf(Leaf::Long, _) => Step::SkipLong,
            Node::Leaf(Leaf::Float, _) => Step::SkipFixed(4),
            Node::Leaf(Leaf::Double, _) => Step::SkipFixed(8),
            Node::Leaf(Leaf::Fixed(size), _) => Step::SkipFixed(*size),
            Node::Leaf(Leaf::Bytes | Leaf::String, _) => Step::SkipBytes,
            Node::Record(_, parts) if depth < 8 && self.steps.len() < MOST_STEPS && self.skips_left > 0 => {
                let read = parts.iter().filter_map(|part| match part {
                    Part::Skip(node) | Part::Field(_, node) => Some(*node),
                    Part::Default(..) => None,
                });
                read.for_each(|node| self.skip(node, depth + 1));
                return;
            }
            _ => Step::Skip(node),
        };
        self.steps.push(step);
    }
}

impl Part {
    /// The name that the reader knows it by.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Skip(_) => None,
            Self::Field(name, _) | Self::Default(name, ..) => Some(name),
        }
    }
}

/// The step of its own that the most common values have.
fn fast(place: u32, leaf: Leaf, convert: Convert) -> Step {
    match (leaf, convert) {
        (_, Convert::Boolean) => Step::Boolean(place),
        (_, Convert::Int32) => Step::Int32(place),
        (Leaf::Long, Convert::Int64(1) | Convert::Timestamp(Unit::Micros)) => Step::Int64(place),
        (Leaf::Long, Convert::Timestamp(Unit::Millis)) => Step::Millis(place),
        (Leaf::Double, Convert::Float64 { .. }) => Step::Float64(place),
        (Leaf::String, Convert::Text | Convert::UuidText) => Step::Text(place),
        _ => Step::Put(place, leaf, convert),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn describe(graph: &Graph, node: NodeId) -> String {
    match &graph.nodes[node] {
        Node::Leaf(_, gives) => match gives {
            Gives::Decimal { scale } => format!("a decimal of scale {scale}"),
            Gives::Time(_) => "a time of day".to_owned(),
            Gives::Timestamp(_) => "a timestamp".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        },
        Node::Enum(_) => "an enum".to_owned(),
        Node::Array(_) => "an array".to_owned(),
        Node::Map(_) => "a map".to_owned(),
        Node::Record(name, _) => format!("record `{name}`"),
        Node::Union(_) | Node::Link(_) | Node::Mismatch(_) | Node::Open => "a union".to_owned(),
    }
}
