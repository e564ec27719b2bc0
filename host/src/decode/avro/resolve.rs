//! What reads what: a writer's schema and a reader's become one graph of nodes, by the resolution rules of Avro.
//!
//! The rule: everything that can be decided from the two schemas is decided here, once; what only the data can show (the branch
//! of a union, the symbol of an enum) becomes a node that refuses. Left to others: which of it is wanted (`program`).

use std::{collections::HashMap, sync::Arc};

use pelton_schema::{
    default,
    types::{AvroSchema, FieldType, Logical, Names, Shape, Type, TypeId, Unit},
};

/// Place of a node in its graph.
pub type NodeId = usize;

/// How deep the types of a schema may nest.
const MOST_DEPTH: usize = 128;

/// How long a message may be: it is told again with each record that is refused.
const MOST_WORDS: usize = 2048;

/// A message that is not too long.
pub fn clipped(mut text: String) -> String {
    if text.len() > MOST_WORDS {
        text.truncate(text.floor_char_boundary(MOST_WORDS));
        text.push_str("...");
    }
    text
}

/// A simple value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
}

/// What the reader sees in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Decimal { scale: usize },
    Uuid,
    Date,
    Time(i64),
    Timestamp(Unit),
    Duration,
}

/// A part of a record, in the order of the wire; defaults come last.
#[derive(Clone, Debug)]
pub enum Part {
    /// the reader does not know it
    Skip(NodeId),
    /// a field by the reader's name
    Field(Arc<str>, NodeId),
    /// a field that the writer does not know: read from these bytes
    Default(Arc<str>, Arc<[u8]>, NodeId),
}

/// How to read one value of the writer as the reader sees it.
#[derive(Clone, Debug)]
pub enum Node {
    Leaf(Leaf, Gives),
    /// for each symbol of the writer the reader's, or the message why there is none
    Enum(Vec<Result<Arc<str>, u32>>),
    Array(NodeId),
    Map(NodeId),
    /// for each branch of the writer
    Union(Vec<NodeId>),
    Record(Arc<str>, Vec<Part>),
    /// a branch of the reader's union that the schemas alone decide: no bytes of its own
    Link(NodeId),
    /// what the reader cannot take: the message
    Mismatch(u32),
    /// being resolved
    Open,
}

/// Everything that a program needs to know about a pair of schemas.
#[derive(Clone, Debug)]
pub struct Graph {
    /// nodes that name each other by number
    pub nodes: Vec<Node>,
    /// the node of the whole record
    pub root: NodeId,
    /// why a value is refused
    pub messages: Vec<String>,
}

/// Resolves a pair. Without a reader's schema the writer's is both. The error says what cannot be read.
pub fn resolve(writer: &AvroSchema, reader: Option<&AvroSchema>) -> Result<Graph, String> {
    let mut resolver =
        Resolver { sides: [writer, reader.unwrap_or(writer)], nodes: vec![], messages: vec![], known: HashMap::new() };
    let to = usize::from(reader.is_some());
    let root_of_reader = resolver.sides[to].root();
    let root = resolver.pair(0, writer.root(), to, root_of_reader, 0)?;
    Ok(Graph { nodes: resolver.nodes, root, messages: resolver.messages })
}

struct Resolver<'a> {
    /// writer, reader
    sides: [&'a AvroSchema; 2],
    nodes: Vec<Node>,
    messages: Vec<String>,
    known: HashMap<(usize, TypeId, usize, TypeId), NodeId>,
}

impl Resolver<'_> {
    /// The node that reads type `w` of side `from` as type `r` of side `to`. A pair that is being resolved counts as readable.
    fn pair(&mut self, from: usize, w: TypeId, to: usize, r: TypeId, depth: usize) -> Result<NodeId, String> {
        if let Some(id) = self.known.get(&(from, w, to, r)) {
            return match self.nodes[*id] {
                Node::Mismatch(message) => Err(self.messages[message as usize].clone()),
                _ => Ok(*id),
            };
        }
        if depth > MOST_DEPTH {
            return Err(format!("the schema nests types more than {MOST_DEPTH} deep"));
        }
        let id = self.nodes.len();
        self.nodes.push(Node::Open);
        self.known.insert((from, w, to, r), id);
        let found = self.node(from, w, to, r, depth);
        match found {
            Ok(node) => {
                self.nodes[id] = node;
                Ok(id)
            }
            Err(message) => {
                self.nodes[id] = Node::Mismatch(self.message(message.clone()));
                Err(message)
            }
        }
    }

    fn message(&mut self, text: String) -> u32 {
        self.messages.push(clipped(text));
        (self.messages.len() - 1) as u32
    }

    fn node(&mut self, from: usize, w: TypeId, to: usize, r: TypeId, depth: usize) -> Result<Node, String> {
        let (writer, reader) = (self.sides[from], self.sides[to]);
        let (wt, rt) = (writer.get(w), reader.get(r));
        let deeper = depth + 1;
        match (&wt.shape, &rt.shape) {
            (Shape::Union(branches), _) => self.writer_union(from, branches, to, r, from == to && w == r, deeper),
            (_, Shape::Union(branches)) => self.reader_union(from, w, to, branches, deeper),
            (Shape::Array(item), Shape::Array(other)) => Ok(Node::Array(self.pair(from, *item, to, *other, deeper)?)),
            (Shape::Map(value), Shape::Map(other)) => Ok(Node::Map(self.pair(from, *value, to, *other, deeper)?)),
            (Shape::Record { names, fields }, Shape::Record { names: other, fields: wanted })
                if names.are_read_as(other) =>
            {
                self.record(from, fields, to, wanted, other, deeper)
            }
            (Shape::Enum { names, symbols, .. }, Shape::Enum { names: other, symbols: known, default })
                if names.are_read_as(other) =>
            {
                Ok(self.symbols(symbols, known, default.as_deref(), other))
            }
            _ => leaf(wt, rt)
                .map(|(leaf, gives)| Node::Leaf(leaf, gives))
                .ok_or_else(|| format!("a writer's {} cannot be read as {}", writer.describe(w), reader.describe(r))),
        }
    }

    fn writer_union(
        &mut self,
        from: usize,
        branches: &[TypeId],
        to: usize,
        r: TypeId,
        is_same: bool,
        depth: usize,
    ) -> Result<Node, String> {
        let mut nodes = Vec::with_capacity(branches.len());
        let mut failed = None;
        for branch in branches {
            let target = if is_same { *branch } else { r };
            nodes.push(match self.pair(from, *branch, to, target, depth) {
                Ok(node) => node,
                Err(message) => {
                    let message = failed.insert(message).clone();
                    let node = Node::Mismatch(self.message(message));
                    self.nodes.push(node);
                    self.nodes.len() - 1
                }
            });
        }
        let is_readable = nodes.iter().any(|node| !matches!(self.nodes[*node], Node::Mismatch(_)));
        match failed {
            Some(message) if !is_readable => Err(message),
            _ => Ok(Node::Union(nodes)),
        }
    }

    /// The best branch of the reader: the same type by its full name, then the same shape, then whatever can be promoted.
    fn reader_union(
        &mut self,
        from: usize,
        w: TypeId,
        to: usize,
        branches: &[TypeId],
        depth: usize,
    ) -> Result<Node, String> {
        let (writer, reader) = (self.sides[from], self.sides[to]);
        let wt = writer.get(w);
        let rank = |branch: &TypeId| {
            let rt = reader.get(*branch);
            let same_shape = std::mem::discriminant(&wt.shape) == std::mem::discriminant(&rt.shape);
            match (same_shape, wt.logical == rt.logical) {
                (true, true) => 0,
                (true, false) => 1,
                _ => 2,
            }
        };
        let is_other = |branch: &TypeId| {
            let names = wt.shape.names().zip(reader.get(*branch).shape.names());
            names.is_some_and(|(written, read)| written.full != read.full && !read.aliases.contains(&written.full))
        };
        let mut order = branches.to_vec();
        order.sort_by_key(|branch| (rank(branch) == 2, is_other(branch), rank(branch)));
        for branch in order {
            match self.pair(from, w, to, branch, depth) {
                Ok(node) => return Ok(Node::Link(node)),
                // Another branch would take its bytes for something else: a decimal for a text.
                Err(why) if rank(&branch) < 2 && wt.shape.names().is_none() => return Err(why),
                Err(_) => {}
            }
        }
        let wanted: Vec<String> = branches.iter().map(|branch| reader.describe(*branch)).collect();
        Err(format!("a writer's {} cannot be read as a union of {}", writer.describe(w), wanted.join(" and ")))
    }

    fn record(
        &mut self,
        from: usize,
        fields: &[FieldType],
        to: usize,
        wanted: &[FieldType],
        names: &Names,
        depth: usize,
    ) -> Result<Node, String> {
        let places: HashMap<&str, usize> =
            fields.iter().enumerate().map(|(at, field)| (field.name.as_str(), at)).collect();
        let source = |field: &FieldType| {
            let mut names = std::iter::once(&field.name).chain(&field.aliases);
            names.find_map(|name| places.get(name.as_str()).copied())
        };
        let sources: Vec<Option<usize>> = wanted.iter().map(source).collect();
        let mut targets: HashMap<usize, &FieldType> = HashMap::new();
        for (source, target) in sources.iter().zip(wanted) {
            if let Some(source) = source
                && let Some(other) = targets.insert(*source, target)
            {
                let why = format!("the reader's `{}` takes the same field of the writer", other.name);
                return Err(in_field(&target.name, &names.full, &why));
            }
        }
        let mut parts = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            parts.push(match targets.get(&place) {
                Some(known) => {
                    let node = self.pair(from, field.id, to, known.id, depth);
                    Part::Field(
                        known.name.as_str().into(),
                        node.map_err(|why| in_field(&known.name, &names.full, &why))?,
                    )
                }
                None => Part::Skip(self.pair(from, field.id, from, field.id, depth)?),
            });
        }
        for (field, _) in wanted.iter().zip(&sources).filter(|(_, source)| source.is_none()) {
            let Some(json) = &field.default else {
                let why = "the writer has no such field and the reader's schema gives no default";
                return Err(in_field(&field.name, &names.full, why));
            };
            let mut bytes = Vec::new();
            default::encode(self.sides[to], field.id, json, &mut bytes)
                .map_err(|why| in_field(&field.name, &names.full, &why))?;
            let node = self.pair(to, field.id, to, field.id, depth)?;
            parts.push(Part::Default(field.name.as_str().into(), bytes.into(), node));
        }
        Ok(Node::Record(names.full.as_str().into(), parts))
    }

    fn symbols(&mut self, symbols: &[String], known: &[String], default: Option<&str>, names: &Names) -> Node {
        let mut read = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let seen = if known.contains(symbol) { Some(symbol.as_str()) } else { default };
            read.push(match seen {
                Some(seen) => Ok(Arc::from(seen)),
                None => {
                    Err(self
                        .message(format!("the reader's enum `{}` has no symbol `{symbol}` and no default", names.full)))
                }
            });
        }
        Node::Enum(read)
    }
}

fn in_field(field: &str, record: &str, why: &str) -> String {
    // Told of every level around, and with each record that is refused.
    if why.len() > MOST_WORDS / 2 {
        return why.to_owned();
    }
    format!("field `{field}` of record `{record}`: {why}")
}

/// How a simple value of the writer is seen by the reader.
fn leaf(writer: &Type, reader: &Type) -> Option<(Leaf, Gives)> {
    let leaf = match &writer.shape {
        Shape::Null => Leaf::Null,
        Shape::Boolean => Leaf::Boolean,
        Shape::Int => Leaf::Int,
        Shape::Long => Leaf::Long,
        Shape::Float => Leaf::Float,
        Shape::Double => Leaf::Double,
        Shape::Bytes => Leaf::Bytes,
        Shape::String => Leaf::String,
        Shape::Fixed { size, .. } => Leaf::Fixed(*size),
        _ => return None,
    };
    let plain = match (leaf, &reader.shape) {
        (Leaf::Null, Shape::Null) => Gives::Null,
        (Leaf::Boolean, Shape::Boolean) => Gives::Boolean,
        (Leaf::Int, Shape::Int) => Gives::Int,
        (Leaf::Int | Leaf::Long, Shape::Long) => Gives::Long,
        (Leaf::Int | Leaf::Long | Leaf::Float, Shape::Float) => Gives::Float,
        (Leaf::Int | Leaf::Long | Leaf::Float | Leaf::Double, Shape::Double) => Gives::Double,
        (Leaf::Bytes | Leaf::String, Shape::Bytes) => Gives::Bytes,
        (Leaf::Bytes | Leaf::String, Shape::String) => Gives::Text,
        (Leaf::Fixed(size), Shape::Fixed { names, size: other }) => match &writer.shape {
            Shape::Fixed { names: written, .. } if size == *other && written.are_read_as(names) => Gives::Bytes,
            _ => return None,
        },
        _ => return None,
    };
    Some((leaf, meaning(plain, writer.logical, reader.logical)?))
}

/// The reader decides what a value means; of two units of time the writer's is the true one.
fn meaning(plain: Gives, writer: Option<Logical>, reader: Option<Logical>) -> Option<Gives> {
    Some(match (reader, writer) {
        (None, _) => plain,
        (Some(Logical::Decimal { scale, .. }), Some(Logical::Decimal { scale: written, .. })) if scale != written => {
            return None;
        }
        (Some(Logical::Decimal { scale, .. }), _) => Gives::Decimal { scale },
        (Some(Logical::Timestamp(_)), Some(Logical::Timestamp(unit))) => Gives::Timestamp(unit),
        (Some(Logical::Timestamp(unit)), _) => Gives::Timestamp(unit),
        (Some(Logical::Time(_)), Some(Logical::Time(step))) => Gives::Time(step),
        (Some(Logical::Time(step)), _) => Gives::Time(step),
        // As text it is what it says, however the writer has it.
        (Some(Logical::Uuid), _) if plain == Gives::Text => Gives::Text,
        (Some(Logical::Uuid), _) => Gives::Uuid,
        (Some(Logical::Date), _) => Gives::Date,
        (Some(Logical::Duration), _) => Gives::Duration,
    })
}
