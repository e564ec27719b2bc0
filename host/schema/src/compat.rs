//! What reads what: whether records that were written with one schema can be read with another.
//!
//! The rule: the verdict is that of the resolution rules of Avro, and equal to that of Avro for Java except where [`Rule::is_avro`]
//! says so. **A pair under comparison counts as readable until something shows that it is not**; what was concluded from it is forgotten
//! when that happens. Every mismatch names its place, both sides, the rule, and the change that would mend it.
//! Left to others: which pairs have to be compared (`mode`).

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Serialize;

use crate::types::{AvroSchema, FieldType, Logical, Names, Shape, TypeId};

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// neither the same type nor one that it may be promoted to
    Type,
    /// records, enums or fixed of different names, and no alias
    Name,
    /// the reader has a field that the writer has not, without a default
    MissingDefault,
    /// two fields of the writer are read as one
    Ambiguous,
    /// the writer's enum has symbols that the reader's has not, and that has no default
    Symbols,
    /// fixed of different sizes
    Size,
    /// a branch of the writer's union, or its only type, is none that the reader's union has
    Branch,
    /// decimals of different scales: Avro's rules for schemas let it pass, and no value could be read
    Scale,
    /// types nest deeper, or are more, than is followed
    Depth,
}

impl Rule {
    /// Whether it is a rule of Avro's for schemas. The other ones are of this processor, which must read the values too.
    pub fn is_avro(self) -> bool {
        !matches!(self, Self::Scale | Self::Depth)
    }

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Name => "name",
            Self::MissingDefault => "missing_default",
            Self::Ambiguous => "ambiguous",
            Self::Symbols => "symbols",
            Self::Size => "size",
            Self::Branch => "branch",
            Self::Scale => "scale",
            Self::Depth => "depth",
        }
    }
}

/// Why a reader cannot read what a writer wrote, at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// in the reader's names: `order.items[].price`, `tags{}`, `payment<card>.number`; empty for the whole
    pub path: String,
    /// what is broken
    pub rule: Rule,
    /// the reader's side
    pub reader: String,
    /// the writer's side
    pub writer: String,
    /// the change that would mend it
    pub mend: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "at `{}`: ", self.path)?;
        }
        let Self { reader, writer, mend, rule, .. } = self;
        match rule {
            Rule::MissingDefault => write!(f, "the reader wants {reader}, and the writer has {writer}")?,
            Rule::Ambiguous => write!(f, "the reader's {reader} is {writer} of the writer")?,
            Rule::Symbols => write!(f, "the reader's {reader} does not know {writer}")?,
            _ => write!(f, "the reader has {reader}, the writer {writer}")?,
        }
        write!(f, " ({}); {mend}", rule.name())
    }
}

/// How deep types are followed.
const MOST_DEPTH: usize = 256;
/// How many pairs of types are compared: unions of thousands of branches make millions.
const MOST_PAIRS: usize = 4_000_000;
/// How many mismatches are told.
const MOST_TOLD: usize = 100;

/// Whether a reader can read everything that a writer writes, by Avro's rules for schemas.
pub fn can_read(reader: &AvroSchema, writer: &AvroSchema) -> bool {
    !mismatches(reader, writer).iter().any(|mismatch| mismatch.rule != Rule::Scale)
}

/// Every place at which a reader cannot read what a writer writes, at most a hundred. None: it can read everything.
pub fn mismatches(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Mismatch> {
    let mut check =
        Check { reader, writer, known: HashMap::new(), trail: Vec::new(), is_trial: false, pairs_left: MOST_PAIRS };
    let mut found = Vec::new();
    check.pair(reader.root(), writer.root(), "", 0, &mut found);
    found
}

/// What is known of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// readable, or being compared
    Readable,
    /// not, whatever else turns out
    Not,
}

struct Check<'a> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    known: HashMap<(TypeId, TypeId), Known>,
    /// pairs that became `Readable`, in order
    trail: Vec<(TypeId, TypeId)>,
    /// only whether there is a mismatch counts
    is_trial: bool,
    pairs_left: usize,
}

impl Check<'_> {
    /// Compares a reader's type with a writer's and appends what does not fit. Whether it fits.
    fn pair(&mut self, r: TypeId, w: TypeId, path: &str, depth: usize, found: &mut Vec<Mismatch>) -> bool {
        match self.known.get(&(r, w)) {
            Some(Known::Readable) => return true,
            // Where it counts, the reasons are told again with this path.
            Some(Known::Not) if self.is_trial => return false,
            _ => {}
        }
        if found.len() >= MOST_TOLD {
            return false;
        }
        if depth > MOST_DEPTH || self.pairs_left == 0 {
            let mend = "nest the types less deep, or make the unions smaller".to_owned();
            self.tell(found, path, Rule::Depth, (r, w), mend);
            return false;
        }
        self.pairs_left -= 1;
        let mark = self.trail.len();
        self.known.insert((r, w), Known::Readable);
        self.trail.push((r, w));
        let is_readable = self.types(r, w, path, depth, found);
        if !is_readable {
            // What was concluded while this pair counted as readable may rest on it.
            self.forget(mark);
            self.known.insert((r, w), Known::Not);
        }
        is_readable
    }

    /// Forgets which pairs became readable since then.
    fn forget(&mut self, mark: usize) {
        for pair in self.trail.drain(mark..) {
            if self.known.get(&pair) == Some(&Known::Readable) {
                self.known.remove(&pair);
            }
        }
    }

    fn tell(&self, found: &mut Vec<Mismatch>, path: &str, rule: Rule, (r, w): (TypeId, TypeId), mend: String) {
        self.tell_of(found, path, rule, self.reader.describe(r), self.writer.describe(w), mend);
    }

    fn tell_of(&self, found: &mut Vec<Mismatch>, path: &str, rule: Rule, reader: String, writer: String, mend: String) {
        if found.len() < MOST_TOLD {
            found.push(Mismatch { path: path.to_owned(), rule, reader, writer, mend });
        }
    }

    fn types(&mut self, r: TypeId, w: TypeId, path: &str, depth: usize, found: &mut Vec<Mismatch>) -> bool {
        let (reader, writer) = (self.reader, self.writer);
        let (rt, wt) = (reader.get(r), writer.get(w));
        match (&rt.shape, &wt.shape) {
            (_, Shape::Union(branches)) => self.writer_union(r, branches, path, depth, found),
            (Shape::Union(branches), _) => self.reader_union(r, branches, w, path, depth, found),
            (Shape::Array(item), Shape::Array(other)) => {
                self.pair(*item, *other, &format!("{path}[]"), depth + 1, found)
            }
            (Shape::Map(value), Shape::Map(other)) => {
                self.pair(*value, *other, &format!("{path}{{}}"), depth + 1, found)
            }
            (Shape::Record { names, fields }, Shape::Record { names: other, fields: written }) => {
                self.named((r, w), names, other, path, found) && self.record(fields, written, path, depth, found)
            }
            (Shape::Enum { names, symbols, default }, Shape::Enum { names: other, symbols: written, .. }) => {
                self.named((r, w), names, other, path, found)
                    && (default.is_some() || self.symbols(names, symbols, written, path, found))
            }
            (Shape::Fixed { names, size }, Shape::Fixed { names: other, size: written }) => {
                self.named((r, w), names, other, path, found)
                    && self.sizes((r, w), *size, *written, path, found)
                    && self.scales((r, w), rt.logical, wt.logical, path, found)
            }
            (reads, writes) if promotes(reads, writes) => self.scales((r, w), rt.logical, wt.logical, path, found),
            (reads, writes) => {
                let mend = match (reads, writes) {
                    (Shape::Int, Shape::Long) | (Shape::Float, Shape::Double) => {
                        format!("make the reader's type {}, or a union of both", writes.word())
                    }
                    _ => format!(
                        "let writers keep {}, or write {} to a field of another name",
                        reads.word(),
                        writes.word()
                    ),
                };
                self.tell_of(found, path, Rule::Type, self.shaped(true, r), self.shaped(false, w), mend);
                false
            }
        }
    }

    /// A type with its meaning and how it lies on the wire.
    fn shaped(&self, is_reader: bool, id: TypeId) -> String {
        let schema = if is_reader { self.reader } else { self.writer };
        let (one, said) = (schema.get(id), schema.describe(id));
        if one.logical.is_some() { format!("{said} in {}", one.shape.word()) } else { said }
    }

    /// Each branch of the writer must be readable.
    fn writer_union(
        &mut self,
        r: TypeId,
        branches: &[TypeId],
        path: &str,
        depth: usize,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        let mut is_readable = true;
        for branch in branches {
            let reads_union = matches!(self.reader.get(r).shape, Shape::Union(_));
            let before = found.len();
            is_readable &= self.pair(r, *branch, path, depth + 1, found);
            if found.len() == before + 1
                && found[before].path == path
                && found[before].rule == Rule::Type
                && !reads_union
            {
                found[before].rule = Rule::Branch;
                found[before].writer = format!("a union with the branch {}", self.writer.describe(*branch));
                found[before].mend = format!(
                    "make the reader a union that has {} too, or take that branch out of the writer",
                    self.writer.describe(*branch)
                );
            }
            if self.is_trial && !is_readable {
                return false;
            }
        }
        is_readable
    }

    /// One branch of the reader must read it. If none does, the branch of the same kind says why.
    fn reader_union(
        &mut self,
        r: TypeId,
        branches: &[TypeId],
        w: TypeId,
        path: &str,
        depth: usize,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        // A value goes to the branch of its own type, if there is one.
        let is_own = |branch: &&TypeId| self.reader.get(**branch).shape.word() == self.writer.get(w).shape.word();
        let (own, others): (Vec<&TypeId>, Vec<&TypeId>) = branches.iter().partition(is_own);
        for branch in own.into_iter().chain(others) {
            let mark = self.trail.len();
            if self.tries(*branch, w, depth + 1) {
                if !self.is_trial {
                    // Once more, for what is told of pairs that are readable.
                    self.forget(mark);
                    self.pair(*branch, w, path, depth + 1, found);
                }
                return true;
            }
        }
        let (reader, writer) = (self.reader, self.writer);
        let wt = &writer.get(w).shape;
        let same = |branch: &&TypeId| {
            let rt = &reader.get(**branch).shape;
            let same_name = rt.names().zip(wt.names()).is_none_or(|(read, written)| written.are_read_as(read));
            rt.word() == wt.word() && same_name
        };
        if let Some(branch) = branches.iter().find(same)
            && !self.is_trial
        {
            let before = found.len();
            let inside = match reader.get(*branch).shape.names() {
                Some(names) => format!("{path}<{}>", names.short),
                None => path.to_owned(),
            };
            self.pair(*branch, w, &inside, depth + 1, found);
            if found.len() > before {
                return false;
            }
        }
        let mend = format!("add {} to the reader's union", writer.describe(w));
        self.tell(found, path, Rule::Branch, (r, w), mend);
        false
    }

    /// Whether a pair fits, without telling.
    fn tries(&mut self, r: TypeId, w: TypeId, depth: usize) -> bool {
        let was_trial = std::mem::replace(&mut self.is_trial, true);
        let fits = self.pair(r, w, "", depth, &mut Vec::new());
        self.is_trial = was_trial;
        fits
    }

    fn named(
        &self,
        pair: (TypeId, TypeId),
        names: &Names,
        written: &Names,
        path: &str,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        if written.are_read_as(names) {
            return true;
        }
        let mend = format!("give the reader's `{}` the alias `{}`", names.full, written.full);
        self.tell(found, path, Rule::Name, pair, mend);
        false
    }

    fn sizes(
        &self,
        pair: (TypeId, TypeId),
        size: usize,
        written: usize,
        path: &str,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        if size == written {
            return true;
        }
        let mend = format!("make the reader's size {written}, or add a field of another name");
        let (r, w) = (self.reader.describe(pair.0), self.writer.describe(pair.1));
        self.tell_of(found, path, Rule::Size, format!("{r} of {size} bytes"), format!("{w} of {written} bytes"), mend);
        false
    }

    fn scales(
        &self,
        pair: (TypeId, TypeId),
        reads: Option<Logical>,
        writes: Option<Logical>,
        path: &str,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        if let (Some(Logical::Decimal { scale, .. }), Some(Logical::Decimal { scale: written, .. })) = (reads, writes)
            && scale != written
            && !self.is_trial
        {
            let mend = format!("make the reader's scale {written}, or add a field of another name");
            self.tell(found, path, Rule::Scale, pair, mend);
        }
        // By Avro's rules for schemas the pair is readable: a union's branch is chosen as if it were.
        true
    }

    fn symbols(
        &self,
        names: &Names,
        symbols: &[String],
        written: &[String],
        path: &str,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        let known: HashSet<&String> = symbols.iter().collect();
        let missing: Vec<&str> = written.iter().filter(|symbol| !known.contains(symbol)).map(String::as_str).collect();
        if missing.is_empty() {
            return true;
        }
        let mut list = missing.iter().take(5).map(|symbol| format!("`{symbol}`")).collect::<Vec<_>>().join(", ");
        if missing.len() > 5 {
            list.push_str(&format!(" and {} more", missing.len() - 5));
        }
        let mend = "add them to the reader's enum, or give that a default".to_owned();
        self.tell_of(found, path, Rule::Symbols, format!("enum `{}`", names.full), list, mend);
        false
    }

    fn record(
        &mut self,
        fields: &[FieldType],
        written: &[FieldType],
        path: &str,
        depth: usize,
        found: &mut Vec<Mismatch>,
    ) -> bool {
        let places: HashMap<&str, usize> =
            written.iter().enumerate().map(|(at, field)| (field.name.as_str(), at)).collect();
        let mut is_readable = true;
        for field in fields {
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let names = std::iter::once(&field.name).chain(&field.aliases);
            let mut sources: Vec<usize> = names.filter_map(|name| places.get(name.as_str()).copied()).collect();
            sources.sort_unstable();
            sources.dedup();
            is_readable &= match sources[..] {
                [source] => self.pair(field.id, written[source].id, &path, depth + 1, found),
                [] if field.default.is_some() => true,
                [] => {
                    let mend =
                        format!("give the reader's `{}` a default, or an alias of a field of the writer", field.name);
                    let wants = format!("`{}` ({})", field.name, self.reader.describe(field.id));
                    self.tell_of(found, &path, Rule::MissingDefault, wants, "no such field".to_owned(), mend);
                    false
                }
                [..] => {
                    let list: Vec<String> = sources.iter().map(|at| format!("`{}`", written[*at].name)).collect();
                    let mend = "take the aliases away that name a field of its own".to_owned();
                    self.tell_of(found, &path, Rule::Ambiguous, format!("`{}`", field.name), list.join(" and "), mend);
                    false
                }
            };
            if self.is_trial && !is_readable {
                return false;
            }
        }
        is_readable
    }
}

/// Whether a simple type of the writer can be read as a simple type of the reader.
fn promotes(reader: &Shape, writer: &Shape) -> bool {
    match reader {
        Shape::Null => matches!(writer, Shape::Null),
        Shape::Boolean => matches!(writer, Shape::Boolean),
        Shape::Int => matches!(writer, Shape::Int),
        Shape::Long => matches!(writer, Shape::Int | Shape::Long),
        Shape::Float => matches!(writer, Shape::Int | Shape::Long | Shape::Float),
        Shape::Double => matches!(writer, Shape::Int | Shape::Long | Shape::Float | Shape::Double),
        Shape::Bytes | Shape::String => matches!(writer, Shape::Bytes | Shape::String),
        _ => false,
    }
}
