//! The state behind its locks, and schemas ready to be compared.
//!
//! The rules: one call at a time changes the state, and it is on the disk before anybody sees it; whoever reads waits neither for the disk
//! nor for a comparison. Left to others: what a call does (`register`, `delete`, `settings`, `answers`).

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use pelton_schema::{
    AvroSchema,
    types::{SchemaError, Shape},
};

use super::{
    content::{Kind, Reference},
    journal::Journal,
    normal,
    refusal::Refusal,
    state::{Entry, Schema, State},
};
use crate::disk::DiskError;

/// How far references are followed.
const MOST_DEPTH: usize = 64;
/// How many schemas one may need.
const MOST_NEEDED: usize = 1000;
/// How many bytes they may have together.
const MOST_NEEDED_BYTES: usize = 16 << 20;
/// A branch of a union is compared with every branch of another: these are all such pairs of a schema with itself.
const MOST_PAIRS: usize = 4_000_000;
const MOST_TYPES: usize = 50_000;
/// Types that are kept parsed, all schemas together.
const MOST_KEPT: usize = 1_000_000;

/// Why a registry takes nothing any more.
#[derive(Debug)]
enum Writer {
    Memory,
    Disk(Journal),
    Stopped,
}

pub struct Store {
    state: RwLock<State>,
    writer: Mutex<Writer>,
    parsed: Mutex<Parsed>,
}

/// A schema that was parsed, and its normal form where somebody asked.
#[derive(Clone)]
struct Ready {
    avro: Arc<AvroSchema>,
    form: Option<Arc<str>>,
}

#[derive(Default)]
struct Parsed {
    schemas: HashMap<u32, Ready>,
    types: usize,
}

/// The right to change the state.
pub struct Writing<'a> {
    store: &'a Store,
    writer: MutexGuard<'a, Writer>,
}

impl Store {
    pub fn in_memory() -> Self {
        Self::with(State::default(), Writer::Memory)
    }

    pub fn on_disk(dir: &Path) -> Result<Self, DiskError> {
        let (journal, state) = Journal::open(dir)?;
        Ok(Self::with(state, Writer::Disk(journal)))
    }

    fn with(state: State, writer: Writer) -> Self {
        Self { state: RwLock::new(state), writer: Mutex::new(writer), parsed: Mutex::default() }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> Writing<'_> {
        Writing { store: self, writer: self.writer.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Gives the directory free; nothing changes any more.
    pub fn stop(&self) {
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Writer::Stopped;
    }

    /// The texts of everything that references lead to, each once.
    pub fn needed(state: &State, references: &[Reference]) -> Result<Vec<String>, Refusal> {
        let mut needed = Needed { state, seen: HashSet::new(), texts: Vec::new(), bytes: 0 };
        needed.follow(references, 0)?;
        Ok(needed.texts)
    }

    /// A schema of the registry, parsed. None if it is not written in Avro.
    pub fn avro(&self, schema: &Schema) -> Result<Option<Arc<AvroSchema>>, Refusal> {
        if schema.content.kind != Kind::Avro {
            return Ok(None);
        }
        Ok(Some(self.ready(schema, false)?.avro))
    }

    /// Its normal form, which other types than Avro do not have.
    pub fn form(&self, schema: &Schema) -> Result<Option<Arc<str>>, Refusal> {
        if schema.content.kind != Kind::Avro {
            return Ok(None);
        }
        Ok(self.ready(schema, true)?.form)
    }

    fn ready(&self, schema: &Schema, with_form: bool) -> Result<Ready, Refusal> {
        let lock = || self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().schemas.get(&schema.id).cloned();
        if let Some(known) = known.filter(|known| known.form.is_some() || !with_form) {
            return Ok(known);
        }
        let texts = Self::needed(&self.read(), &schema.content.references)?;
        let broken = |what: String| Refusal::store(format!("the stored schema {} does not parse: {what}", schema.id));
        let avro = AvroSchema::parse(&schema.content.text, &texts).map_err(|bad| broken(bad.to_string()))?;
        let form = match with_form {
            true => Some(normal::form(&schema.content.text, &texts).map_err(broken)?.into()),
            false => None,
        };
        let ready = Ready { avro: Arc::new(avro), form };
        let mut parsed = lock();
        if parsed.types > MOST_KEPT {
            *parsed = Parsed::default();
        }
        parsed.types += ready.avro.len();
        if let Some(old) = parsed.schemas.insert(schema.id, ready.clone()) {
            parsed.types -= old.avro.len();
        }
        Ok(ready)
    }
}

/// Parses what somebody sends. Only what is new has to be without a defect.
pub fn parse(text: &str, references: &[String], is_new: bool) -> Result<AvroSchema, Refusal> {
    let schema = match is_new {
        true => AvroSchema::parse_strict(text, references),
        false => AvroSchema::parse(text, references),
    };
    let schema = schema.map_err(Refusal::invalid_schema)?;
    let too_large = |what: String| Refusal::invalid_schema(SchemaError { path: String::new(), what });
    if schema.len() > MOST_TYPES {
        return Err(too_large(format!("the schema has {} types: at most {MOST_TYPES}", schema.len())));
    }
    let branches = |id: usize| match &schema.get(id).shape {
        Shape::Union(branches) => branches.len(),
        _ => 0,
    };
    if (0..schema.len()).map(|id| branches(id).saturating_pow(2)).fold(0, usize::saturating_add) > MOST_PAIRS {
        let what = "its unions have too many branches, at most 2000 in one, or 1000 in each of four";
        return Err(too_large(what.to_owned()));
    }
    Ok(schema)
}

struct Needed<'a> {
    state: &'a State,
    seen: HashSet<u32>,
    texts: Vec<String>,
    bytes: usize,
}

impl Needed<'_> {
    fn follow(&mut self, references: &[Reference], depth: usize) -> Result<(), Refusal> {
        if depth >= MOST_DEPTH && !references.is_empty() {
            return Err(Refusal::invalid_schema(format!("references lead deeper than {MOST_DEPTH}")));
        }
        let state = self.state;
        for Reference { name, subject, version } in references {
            let found = state.subject(subject).and_then(|home| home.versions.get(version));
            let schema = found.and_then(|version| state.schema(version.id)).ok_or_else(|| {
                let what = format!("No schema reference found for subject \"{subject}\" and version {version}");
                Refusal::invalid_schema(format!("{what}, which `{name}` should be"))
            })?;
            if !self.seen.insert(schema.id) {
                continue;
            }
            self.bytes += schema.content.text.len();
            if self.texts.len() >= MOST_NEEDED || self.bytes > MOST_NEEDED_BYTES {
                let what = format!("references lead to more than {MOST_NEEDED} schemas or {MOST_NEEDED_BYTES} bytes");
                return Err(Refusal::invalid_schema(what));
            }
            self.texts.push(schema.content.text.clone());
            self.follow(&schema.content.references, depth + 1)?;
        }
        Ok(())
    }
}

impl Writing<'_> {
    /// Keeps what happened, then makes it so.
    pub fn commit(&mut self, entries: Vec<Entry>) -> Result<(), Refusal> {
        match &mut *self.writer {
            Writer::Memory => {}
            Writer::Disk(journal) => journal.append(&entries).map_err(|e| {
                tracing::error!(%e, "the registry cannot keep what is done");
                Refusal::store(format!("nothing was changed: {e}"))
            })?,
            Writer::Stopped => return Err(Refusal::store("the registry is stopping: nothing was changed")),
        }
        let mut state = self.store.state.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            state.apply(entry).map_err(|what| Refusal::store(format!("an entry cannot be: {what}")))?;
        }
        Ok(())
    }
}
