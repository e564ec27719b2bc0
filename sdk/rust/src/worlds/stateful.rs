//! Stateful transformers: records in, records out, over tables by key and timers.
//!
//! The rule: a table is read and written while the call runs, and counts when it returns ok, records that were rejected in it included: of
//! those only the rows are taken back. A call that fails leaves nothing, and is repeated in parts.
//! Left to others: tables (`state::table`), timers (`state::timers`).

use crate::bindings::migrate_types::Migrated;
use crate::bindings::types::{
    Batch, BytesColumn, Context, DueTimers, Failure, KeySet, Manifest, OptionalBytes, Processed, RecordError,
};
use crate::cell::Bytes;
use crate::config::Config;
use crate::out::{self, Out, Output};
use crate::rows::{Fields, Row, Rows};
use crate::state::key::{self, Key};
use crate::state::stored::Stored;
use crate::state::table::{Table, Tables};
use crate::state::timers::{KeyTimers, Ops, Timers};
use crate::transform::manifest;
use crate::value::BytesBuilder;
use std::cell::RefCell;
use std::ops::Deref;

/// A function from rows to rows that remembers, by key. Export it with `pelton_sdk::stateful_transformer!(Name);`.
pub trait StatefulTransformer: Sized {
    type Config: Config;
    /// `&str`, `i64`, a tuple, ...: the fields of the step's `key:`.
    type Key<'a>: Key<'a>;
    /// A struct that derives `Fields`; for several inputs an enum that does.
    type Input<'a>: Fields<'a>;
    /// A struct that derives `Tables`; `()` for none.
    type Tables: Tables;
    type Output<'a>: Output;
    const NAME: &'static str;
    const VERSION: &'static str = "0.1.0";
    const DOC: &'static str = "";

    fn new(config: Self::Config) -> Result<Self, String>;

    /// Called for every batch; `keys.of(&row)` has the tables and timers of a row's key.
    fn process<'a>(
        &mut self,
        rows: Rows<'a, Self::Input<'a>>,
        keys: &Keys<'a, Self::Key<'a>, Self::Tables>,
        out: &mut Out<Self::Output<'a>>,
    ) -> Result<(), Failure>;

    /// Called with timers that are due; `out` takes a timer as it takes a row.
    fn fire<'a>(
        &mut self,
        timers: Timers<'a>,
        keys: &Keys<'a, Self::Key<'a>, Self::Tables>,
        out: &mut Out<Self::Output<'a>>,
    ) -> Result<(), Failure> {
        let _ = (timers, keys, out);
        Err("a timer is due, and the plugin has no `fire`".into())
    }
}

/// The keys of one call.
pub struct Keys<'a, K: Key<'a>, T> {
    reader: K::Reader,
    /// of each row, or timer
    of_row: &'a [u32],
    count: u32,
    ops: RefCell<Ops>,
    tables: std::marker::PhantomData<fn() -> T>,
}

/// One key: its value, its timers, and its tables, which stand on it as fields.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'k, K, T> {
    pub key: K,
    pub timers: KeyTimers<'k>,
    tables: T,
}

impl<K, T> Deref for Keyed<'_, K, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.tables
    }
}

impl<'a, K: Key<'a>, T: Tables> Keys<'a, K, T> {
    fn open(keys: &'a KeySet, of_row: &'a [u32], rows: usize) -> Result<Self, String> {
        let count = key::count(keys) as u32;
        if of_row.len() != rows || of_row.iter().any(|key| *key >= count) {
            return Err(format!("{rows} rows were sent with {} keys of {count}", of_row.len()));
        }
        let (ops, tables) = (RefCell::default(), std::marker::PhantomData);
        Ok(Self { reader: K::open(keys)?, of_row, count, ops, tables })
    }

    /// The key of a row, or of a timer.
    pub fn of<F>(&self, row: &Row<F>) -> Keyed<'_, K, T> {
        self.at(self.of_row[row.index() as usize])
    }

    /// Every key of the call, once.
    pub fn iter(&self) -> impl Iterator<Item = Keyed<'_, K, T>> {
        (0..self.count).map(|key| self.at(key))
    }

    /// How many keys the call has.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    fn at(&self, key: u32) -> Keyed<'_, K, T> {
        let timers = KeyTimers { ops: &self.ops, key };
        Keyed { key: K::read(&self.reader, key as usize), timers, tables: T::of(key) }
    }

    /// The values of one table for every key, in the order of `iter`, in one call to the host: `keys.get_many(|tables| tables.last)`.
    pub fn get_many<V: Stored>(&self, table: impl FnOnce(T) -> Table<V>) -> Result<Vec<Option<V>>, String> {
        table(T::of(0)).get_many(&(0..self.count).collect::<Vec<_>>())
    }

    /// Sets the values of one table for every key, in the order of `iter`; what is not there is deleted.
    pub fn put_many<V: Stored>(&self, table: impl FnOnce(T) -> Table<V>, values: &[Option<V>]) -> Result<(), String> {
        if values.len() != self.count() {
            return Err(format!("{} values are put for {} keys", values.len(), self.count));
        }
        table(T::of(0)).put_many(&(0..self.count).collect::<Vec<_>>(), values);
        Ok(())
    }
}

/// A `StatefulTransformer` as the export wants it.
pub struct TypedStateful<T>(pub T);

/// What the export and the test helper run.
pub trait RunsStateful: Sized {
    type Config: Config;
    fn describe(config: &Self::Config) -> Result<Manifest, String>;
    fn start(config: Self::Config, context: &Context) -> Result<Self, String>;
    fn run(&mut self, batch: &Batch) -> Result<Processed, Failure>;
    fn fire(&mut self, due: &DueTimers) -> Result<Processed, Failure>;
    fn migrate(&self, table: u32, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

impl<T: StatefulTransformer> RunsStateful for TypedStateful<T> {
    type Config = T::Config;
    fn describe(_: &T::Config) -> Result<Manifest, String> {
        let mut manifest = manifest::<T::Config>(T::NAME, T::VERSION, T::DOC);
        manifest.inputs = <T::Input<'static>>::inputs();
        manifest.outputs = <T::Output<'static>>::declare("out");
        manifest.key = <T::Key<'static>>::declare();
        manifest.tables = T::Tables::declare();
        Ok(manifest)
    }
    fn start(config: T::Config, _: &Context) -> Result<Self, String> {
        T::new(config).map(Self)
    }
    fn run(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        let keys = Keys::open(&batch.keys, &batch.key_index, batch.count as usize)?;
        let mut out = Out::with_capacity(batch.count as usize);
        self.0.process(Rows::open(batch)?, &keys, &mut out)?;
        Ok(processed(out, keys.ops))
    }
    fn fire(&mut self, due: &DueTimers) -> Result<Processed, Failure> {
        let keys = Keys::open(&due.keys, &due.key, due.at_ms.len())?;
        let mut out = Out::with_capacity(due.at_ms.len());
        self.0.fire(Timers::open(due)?, &keys, &mut out)?;
        Ok(processed(out, keys.ops))
    }
    fn migrate(&self, table: u32, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        T::Tables::migrate(table, from, value)
    }
}

/// What a call made, with its timers.
pub(crate) fn processed<O: Output>(out: Out<O>, ops: RefCell<Ops>) -> Processed {
    let (emitted, errors) = out.finish();
    Processed { timers: ops.into_inner().finish(), ..out::processed(emitted, errors) }
}

/// `migrate-state.migrate` of the interface: each value by `one`, which may refuse it.
pub fn migrate(
    values: &BytesColumn,
    one: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, String>,
) -> Result<Migrated, String> {
    let count = crate::cell::cells(values);
    let given = Bytes::open(values, count).ok_or("the values are not a column")?;
    let (mut cells, mut present, mut errors) = (BytesBuilder::default(), Vec::with_capacity(count), Vec::new());
    for index in 0..count {
        let value = one(given.get(index)).unwrap_or_else(|message| {
            errors.push(RecordError { index: index as u32, code: "not_migrated".to_owned(), message });
            None
        });
        present.push(value.is_some().into());
        cells.push(value.as_deref().unwrap_or_default());
    }
    Ok(Migrated { values: OptionalBytes { cells: cells.finish(), present }, errors })
}
