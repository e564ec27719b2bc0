//! Keyed transformers: records in, records out, with one value a key that the host brings and takes.
//!
//! The rule: a state is decoded when its key is first asked for and encoded once, after the call. One that nobody asked for goes back as it
//! came, and one that is as it was gives the same bytes, which the host does not write.
//! Left to others: several values a key, and tables (`stateful`).

use super::stateful::processed;
use crate::bindings::keyed::exports::pelton::plugin::keyed::KeyedOutput;
use crate::bindings::types::{Batch, BytesColumn, Context, DueTimers, Failure, KeySet, Manifest, Table};
use crate::cell::Bytes;
use crate::config::Config;
use crate::out::{Out, Output};
use crate::rows::{Fields, Row, Rows};
use crate::state::key::{self, Key};
use crate::state::stored::{self, Stored};
use crate::state::timers::{KeyTimers, Ops, Timers};
use crate::transform::manifest;
use crate::value::BytesBuilder;
use std::cell::RefCell;

/// A function from rows to rows with one value a key. Export it with `pelton_sdk::keyed_transformer!(Name);`.
pub trait KeyedTransformer: Sized {
    type Config: Config;
    /// `&str`, `i64`, a tuple, ...: the fields of the step's `key:`.
    type Key<'a>: Key<'a>;
    type Input<'a>: Fields<'a>;
    /// The value of a key; a new key's is the default.
    type State: Stored + Default;
    type Output<'a>: Output;
    const NAME: &'static str;
    const VERSION: &'static str = "0.1.0";
    const DOC: &'static str = "";
    /// A state that was not written for so long is gone.
    const TTL_MS: Option<u64> = None;

    fn new(config: Self::Config) -> Result<Self, String>;

    /// Called for every batch; `keys.of(&row)?` is the key of a row, with its state. What a row that is rejected did to the state stays:
    /// reject before you change it.
    fn process<'a>(
        &mut self,
        rows: Rows<'a, Self::Input<'a>>,
        keys: &mut States<'a, Self::Key<'a>, Self::State>,
        out: &mut Out<Self::Output<'a>>,
    ) -> Result<(), Failure>;

    /// Called with timers that are due; `out` takes a timer as it takes a row.
    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &mut States<'a, Self::Key<'a>, Self::State>,
        out: &mut Out<Self::Output<'a>>,
    ) -> Result<(), Failure> {
        let _ = (timers, keys, out);
        Err("a timer is due, and the plugin has no `fire`".into())
    }
}

/// The keys of one call, with their states.
pub struct States<'a, K: Key<'a>, S> {
    reader: K::Reader,
    /// of each row, or timer
    of_row: &'a [u32],
    given: Bytes<'a>,
    /// those that were asked for
    entries: Vec<Option<Entry<K, S>>>,
    ops: RefCell<Ops>,
}

/// One key and its state.
#[derive(Debug)]
pub struct Entry<K, S> {
    pub key: K,
    /// Change it in place.
    pub state: S,
    is_new: bool,
}

/// One key, its state and its timers, for as long as a row is looked at.
#[derive(Debug)]
pub struct KeyState<'k, K, S> {
    entry: &'k mut Entry<K, S>,
    pub timers: KeyTimers<'k>,
}

impl<K, S> std::ops::Deref for KeyState<'_, K, S> {
    type Target = Entry<K, S>;
    fn deref(&self) -> &Entry<K, S> {
        self.entry
    }
}

impl<K, S> std::ops::DerefMut for KeyState<'_, K, S> {
    fn deref_mut(&mut self) -> &mut Entry<K, S> {
        self.entry
    }
}

impl<K, S: Default> KeyState<'_, K, S> {
    /// Deletes the state: it is the default again, and nothing of it is kept unless it is changed after this.
    pub fn delete(&mut self) {
        self.entry.state = S::default();
        self.entry.is_new = true;
    }
}

impl<'a, K: Key<'a>, S: Stored + Default> States<'a, K, S> {
    fn open(keys: &'a KeySet, of_row: &'a [u32], rows: usize, states: &'a BytesColumn) -> Result<Self, String> {
        let count = key::count(keys);
        if of_row.len() != rows || of_row.iter().any(|key| *key as usize >= count) {
            return Err(format!("{rows} rows were sent with {} keys of {count}", of_row.len()));
        }
        let given = Bytes::open(states, count).ok_or_else(|| format!("{count} keys were sent without their states"))?;
        let entries = (0..count).map(|_| None).collect();
        Ok(Self { reader: K::open(keys)?, of_row, given, entries, ops: RefCell::default() })
    }

    /// The key of a row, or of a timer. Fails when its state cannot be read.
    pub fn of<F>(&mut self, row: &Row<F>) -> Result<KeyState<'_, K, S>, String> {
        self.at(self.of_row[row.index() as usize])
    }

    fn at(&mut self, key: u32) -> Result<KeyState<'_, K, S>, String> {
        let index = key as usize;
        let entry = &mut self.entries[index];
        let entry = match entry {
            Some(entry) => entry,
            None => {
                let bytes = self.given.get(index);
                let state = if bytes.is_empty() { S::default() } else { S::decode(bytes)? };
                entry.insert(Entry { key: K::read(&self.reader, index), state, is_new: bytes.is_empty() })
            }
        };
        Ok(KeyState { entry, timers: KeyTimers { ops: &self.ops, key } })
    }

    /// What goes back: of a key that is new, or was deleted, only what differs from the default.
    fn finish(self) -> (BytesColumn, RefCell<Ops>) {
        let (mut states, mut cell, empty) = (BytesBuilder::default(), Vec::new(), stored::bytes(&S::default()));
        for (index, entry) in self.entries.iter().enumerate() {
            match entry {
                None => states.push(self.given.get(index)),
                Some(entry) => {
                    cell.clear();
                    entry.state.encode(&mut cell);
                    states.push(if entry.is_new && cell == empty { b"" } else { &cell });
                }
            }
        }
        (states.finish(), self.ops)
    }
}

/// A `KeyedTransformer` as the export wants it.
pub struct TypedKeyed<T>(pub T);

/// What the export and the test helper run.
pub trait RunsKeyed: Sized {
    type Config: Config;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn run(&mut self, batch: &Batch, states: &BytesColumn) -> Result<KeyedOutput, Failure>;
    fn fire(&mut self, due: &DueTimers, states: &BytesColumn) -> Result<KeyedOutput, Failure>;
    fn migrate(&self, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

impl<T: KeyedTransformer> RunsKeyed for TypedKeyed<T> {
    type Config = T::Config;
    fn describe(_: &T::Config) -> Result<Manifest, String> {
        let mut manifest = manifest::<T::Config>(T::NAME, T::VERSION, T::DOC);
        manifest.inputs = <T::Input<'static>>::inputs();
        manifest.outputs = <T::Output<'static>>::declare("out");
        manifest.key = <T::Key<'static>>::declare();
        manifest.tables = vec![Table { ttl_ms: T::TTL_MS, ..table::<T::State>() }];
        Ok(manifest)
    }
    fn start(config: T::Config, _: &Context) -> Result<Self, String> {
        T::new(config).map(Self)
    }
    fn run(&mut self, batch: &Batch, states: &BytesColumn) -> Result<KeyedOutput, Failure> {
        let mut keys = States::open(&batch.keys, &batch.key_index, batch.count as usize, states)?;
        let mut out = Out::with_capacity(batch.count as usize);
        self.0.process(Rows::open(batch)?, &mut keys, &mut out)?;
        Ok(keyed_output(out, keys.finish()))
    }
    fn fire(&mut self, due: &DueTimers, states: &BytesColumn) -> Result<KeyedOutput, Failure> {
        let mut keys = States::open(&due.keys, &due.key, due.at_ms.len(), states)?;
        let mut out = Out::with_capacity(due.at_ms.len());
        self.0.fire(Timers::open(due)?, &mut keys, &mut out)?;
        Ok(keyed_output(out, keys.finish()))
    }
    fn migrate(&self, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Ok(T::State::migrate(from, value)?.as_ref().map(stored::bytes))
    }
}

fn keyed_output<O: Output>(out: Out<O>, (states, ops): (BytesColumn, RefCell<Ops>)) -> KeyedOutput {
    KeyedOutput { processed: processed(out, ops), states }
}

/// The one table of a keyed transformer.
fn table<S: Stored>() -> Table {
    Table {
        name: "state".to_owned(),
        prefetch: true,
        schema: String::new(),
        schema_version: S::VERSION,
        migrates_from: S::MIGRATES_FROM.to_vec(),
        ttl_ms: None,
    }
}
