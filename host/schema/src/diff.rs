//! What has changed from one version of a schema to the next, for people.
//!
//! The rule: every difference that Avro knows is told once, at its place in the new version (a field that is gone: in the old one), with
//! the directions that it breaks. Left to others: whether a mode lets it pass (`mode`).

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::{
    compat::{Mismatch, Rule, mismatches},
    mode::Direction,
    types::{AvroSchema, FieldType, Shape, TypeId},
};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// where, as in [`Mismatch::path`]
    pub path: String,
    /// in words
    pub what: String,
    /// what does not work any more
    pub breaks: Vec<Direction>,
}

/// How deep changes are looked for.
const MOST_DEPTH: usize = 128;

/// Every change, in the order of the new version's fields.
pub fn changes(old: &AvroSchema, new: &AvroSchema) -> Vec<Change> {
    let mut diff = Diff { old, new, seen: HashSet::new(), found: Vec::new() };
    diff.pair(old.root(), new.root(), ["", ""], 0);
    let mut open = [(Direction::Backward, mismatches(new, old)), (Direction::Forward, mismatches(old, new))];
    open.iter_mut().for_each(|(_, list)| list.retain(|mismatch| mismatch.rule != Rule::Scale));
    let mut explained = HashSet::new();
    let mut told = Vec::new();
    for Found { paths: [was, is], what } in diff.found {
        let mut breaks = Vec::new();
        for ((direction, list), path) in open.iter().zip([&is, &was]) {
            if list.iter().any(|mismatch| mismatch.path == *path) {
                explained.insert((*direction, path.clone()));
                breaks.push(*direction);
            }
        }
        told.push(Change { path: if is.is_empty() { was } else { is }, what, breaks });
    }
    // At places where no change was seen: of types that are named elsewhere.
    for (direction, list) in &open {
        for mismatch in list.iter().filter(|mismatch| !explained.contains(&(*direction, mismatch.path.clone()))) {
            let Mismatch { path, reader, writer, .. } = mismatch;
            told.push(Change {
                path: path.clone(),
                what: format!("{reader} against {writer}"),
                breaks: vec![*direction],
            });
        }
    }
    told
}

struct Found {
    /// in the old version and in the new one; empty where it is not
    paths: [String; 2],
    what: String,
}

struct Diff<'a> {
    old: &'a AvroSchema,
    new: &'a AvroSchema,
    seen: HashSet<(TypeId, TypeId)>,
    found: Vec<Found>,
}

impl Diff<'_> {
    fn tell(&mut self, paths: [&str; 2], what: String) {
        self.found.push(Found { paths: paths.map(str::to_owned), what });
    }

    fn pair(&mut self, was: TypeId, is: TypeId, paths: [&str; 2], depth: usize) {
        if depth > MOST_DEPTH || !self.seen.insert((was, is)) {
            return;
        }
        let (old, new) = (self.old, self.new);
        match (&old.get(was).shape, &new.get(is).shape) {
            (Shape::Array(was), Shape::Array(is)) => {
                self.pair(*was, *is, paths.map(|path| format!("{path}[]")).each_ref().map(String::as_str), depth + 1)
            }
            (Shape::Map(was), Shape::Map(is)) => {
                self.pair(*was, *is, paths.map(|path| format!("{path}{{}}")).each_ref().map(String::as_str), depth + 1)
            }
            (Shape::Union(before), Shape::Union(after)) => self.branches(before, after, paths, depth),
            (Shape::Record { fields: before, .. }, Shape::Record { fields: after, .. }) => {
                self.names(was, is, paths);
                self.fields(before, after, paths, depth);
            }
            (
                Shape::Enum { symbols: before, default: was_default, .. },
                Shape::Enum { symbols: after, default, .. },
            ) => {
                self.names(was, is, paths);
                self.list(paths, "symbol", before, after);
                if was_default != default {
                    let of = |default: &Option<String>| default.clone().unwrap_or_else(|| "none".to_owned());
                    self.tell(paths, format!("default of the enum: {} → {}", of(was_default), of(default)));
                }
            }
            (Shape::Fixed { size: before, .. }, Shape::Fixed { size: after, .. }) => {
                self.names(was, is, paths);
                if before != after {
                    self.tell(paths, format!("size: {before} → {after} bytes"));
                }
                self.meaning(was, is, paths);
            }
            _ => self.meaning(was, is, paths),
        }
    }

    fn meaning(&mut self, was: TypeId, is: TypeId, paths: [&str; 2]) {
        let (before, after) = (self.old.describe(was), self.new.describe(is));
        if before != after {
            self.tell(paths, format!("type: {before} → {after}"));
        }
    }

    fn names(&mut self, was: TypeId, is: TypeId, paths: [&str; 2]) {
        let (Some(before), Some(after)) = (self.old.get(was).shape.names(), self.new.get(is).shape.names()) else {
            return;
        };
        if before.full != after.full {
            self.tell(paths, format!("name: `{}` → `{}`", before.full, after.full));
        }
        self.list(paths, "alias", &before.aliases, &after.aliases);
    }

    fn list(&mut self, paths: [&str; 2], what: &str, before: &[String], after: &[String]) {
        let only = |list: &[String], other: &[String]| -> Vec<String> {
            let known: HashSet<&String> = other.iter().collect();
            list.iter().filter(|one| !known.contains(one)).map(|one| format!("`{one}`")).collect()
        };
        let (gone, come) = (only(before, after), only(after, before));
        if !come.is_empty() {
            self.tell(paths, format!("{what} added: {}", come.join(", ")));
        }
        if !gone.is_empty() {
            self.tell(paths, format!("{what} removed: {}", gone.join(", ")));
        }
        if gone.is_empty() && come.is_empty() && before != after {
            self.tell(paths, format!("{what} order changed"));
        }
    }

    /// Branches of one word, and for named types of one name, are the same branch; the namespace counts where both names have a
    /// branch of their own.
    fn branches(&mut self, before: &[TypeId], after: &[TypeId], paths: [&str; 2], depth: usize) {
        let (olds, news) = (Branches::of(self.old, before), Branches::of(self.new, after));
        for id in after {
            match olds.partner(&news, *id) {
                Some(was) => {
                    let inside = |path: &str, schema: &AvroSchema, id: TypeId| match schema.get(id).shape.names() {
                        Some(names) => format!("{path}<{}>", names.short),
                        None => path.to_owned(),
                    };
                    let [was_path, is_path] = [inside(paths[0], self.old, was), inside(paths[1], self.new, *id)];
                    self.pair(was, *id, [&was_path, &is_path], depth + 1);
                }
                None => self.tell(paths, format!("branch added: {}", self.new.describe(*id))),
            }
        }
        for id in before.iter().filter(|id| news.partner(&olds, **id).is_none()) {
            self.tell(paths, format!("branch removed: {}", self.old.describe(*id)));
        }
    }

    fn fields(&mut self, before: &[FieldType], after: &[FieldType], paths: [&str; 2], depth: usize) {
        let olds: HashMap<&str, &FieldType> = before.iter().map(|field| (field.name.as_str(), field)).collect();
        let mut used = HashSet::new();
        let join = |path: &str, name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for field in after {
            let is = join(paths[1], &field.name);
            let source = std::iter::once(&field.name).chain(&field.aliases).find_map(|name| olds.get(name.as_str()));
            let Some(source) = source else {
                let default =
                    field.default.as_ref().map_or("no default".to_owned(), |default| format!("default {default}"));
                self.tell(["", &is], format!("field added: {}, {default}", self.new.describe(field.id)));
                continue;
            };
            used.insert(source.name.as_str());
            let was = join(paths[0], &source.name);
            if source.name != field.name {
                self.tell([&was, &is], format!("field renamed: `{}` → `{}`", source.name, field.name));
            }
            if source.default != field.default {
                let of = |field: &FieldType| field.default.as_ref().map_or("none".to_owned(), ToString::to_string);
                self.tell([&was, &is], format!("default: {} → {}", of(source), of(field)));
            }
            self.pair(source.id, field.id, [&was, &is], depth + 1);
        }
        for field in before.iter().filter(|field| !used.contains(field.name.as_str())) {
            let was = join(paths[0], &field.name);
            self.tell([&was, ""], format!("field removed: {}", self.old.describe(field.id)));
        }
    }
}

/// The branches of one side's union by their names.
struct Branches<'a> {
    schema: &'a AvroSchema,
    full: HashMap<&'a str, TypeId>,
    short: HashMap<&'a str, TypeId>,
}

impl<'a> Branches<'a> {
    fn of(schema: &'a AvroSchema, branches: &[TypeId]) -> Self {
        let names = |id: &TypeId| Self::names(schema, *id);
        let full = branches.iter().map(|id| (names(id).0, *id)).collect();
        let short = branches.iter().map(|id| (names(id).1, *id)).collect();
        Self { schema, full, short }
    }

    /// With namespace and without; the word of a type without a name.
    fn names(schema: &'a AvroSchema, id: TypeId) -> (&'a str, &'a str) {
        let shape = &schema.get(id).shape;
        shape.names().map_or((shape.word(), shape.word()), |names| (names.full.as_str(), names.short.as_str()))
    }

    /// The branch here that is the one there.
    fn partner(&self, there: &Branches<'_>, id: TypeId) -> Option<TypeId> {
        let (full, short) = Branches::names(there.schema, id);
        let by_short = || {
            let other = *self.short.get(short)?;
            // That one has a partner of its own.
            let is_taken = there.full.contains_key(Self::names(self.schema, other).0);
            (!is_taken).then_some(other)
        };
        self.full.get(full).copied().or_else(by_short)
    }
}
