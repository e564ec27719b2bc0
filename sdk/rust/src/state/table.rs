//! Tables of a stateful transformer: a struct whose fields are tables, derived with `#[derive(Tables)]`.
//!
//! The rule: a handle is two numbers, the table and the key of the call, so the struct is made anew for each key and is never a cache. What
//! is read and written goes to the host at once.
//! Left to others: layout of values (`stored`) and sub-keys (`sub_key`).

use super::host;
use super::stored::{self, Stored};
use super::sub_key::{self, SubKey};
use crate::bindings::types;
use std::marker::PhantomData;

/// The tables of a plugin. Derive it: each field is a [`Table`] or a [`Map`]. `#[table(name = "...", prefetch, ttl_ms = N)]`.
pub trait Tables: Sized {
    fn declare() -> Vec<types::Table>;
    /// The tables of one key of the call.
    fn of(key: u32) -> Self;
    /// A value of table `table`, brought up to the present version.
    fn migrate(table: u32, from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// A plugin without tables, which has timers only.
impl Tables for () {
    fn declare() -> Vec<types::Table> {
        Vec::new()
    }
    fn of(_: u32) -> Self {}
    fn migrate(table: u32, _: u32, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
        Err(unknown(table))
    }
}

/// Words for a table that is not there; used by derived code.
pub fn unknown(table: u32) -> String {
    format!("there is no table {table}")
}

/// What is a table; used by derived code.
pub trait Handle: Sized {
    type Value: Stored;
    fn at(table: u32, key: u32) -> Self;
}

/// The manifest's words for a table; used by derived code.
pub fn declare<H: Handle>(name: &str, prefetch: bool, ttl_ms: Option<u64>) -> types::Table {
    types::Table {
        name: name.to_owned(),
        prefetch,
        schema: String::new(),
        schema_version: H::Value::VERSION,
        migrates_from: H::Value::MIGRATES_FROM.to_vec(),
        ttl_ms,
    }
}

/// An older value in its present form; used by derived code.
pub fn migrate<H: Handle>(from: u32, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
    Ok(H::Value::migrate(from, value)?.as_ref().map(stored::bytes))
}

/// What can be put where a `V` is kept: `V` itself, `&V`, and `&str` or `&[u8]` for text and bytes.
pub trait Put<V> {
    fn encode(&self, into: &mut Vec<u8>);
}

impl<V: Stored> Put<V> for V {
    fn encode(&self, into: &mut Vec<u8>) {
        Stored::encode(self, into);
    }
}

impl<V: Stored> Put<V> for &V {
    fn encode(&self, into: &mut Vec<u8>) {
        Stored::encode(*self, into);
    }
}

impl Put<String> for &str {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }
}

impl Put<Vec<u8>> for &[u8] {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }
}

fn encoded<V>(value: &impl Put<V>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    value.encode(&mut bytes);
    bytes
}

/// One value a key.
#[derive(Debug)]
pub struct Table<V> {
    table: u32,
    key: u32,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for Table<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Table<V> {}

impl<V: Stored> Handle for Table<V> {
    type Value = V;
    fn at(table: u32, key: u32) -> Self {
        Self { table, key, value: PhantomData }
    }
}

impl<V: Stored> Table<V> {
    pub fn get(&self) -> Result<Option<V>, String> {
        host::get(self.table, self.key, &[]).map(|bytes| V::decode(&bytes)).transpose()
    }

    pub fn put(&self, value: impl Put<V>) {
        host::put(self.table, self.key, &[], &encoded(&value));
    }

    pub fn delete(&self) {
        host::delete(self.table, self.key, &[]);
    }

    /// Reads, changes and writes; what is not there begins as the default.
    pub fn update<R>(&self, change: impl FnOnce(&mut V) -> R) -> Result<R, String>
    where
        V: Default,
    {
        let mut value = self.get()?.unwrap_or_default();
        let result = change(&mut value);
        self.put(&value);
        Ok(result)
    }

    /// The values of several keys in one call to the host.
    pub(crate) fn get_many(&self, keys: &[u32]) -> Result<Vec<Option<V>>, String> {
        let decode = |bytes: Option<Vec<u8>>| bytes.map(|bytes| V::decode(&bytes)).transpose();
        host::get_many(self.table, keys).into_iter().map(decode).collect()
    }

    pub(crate) fn put_many(&self, keys: &[u32], values: &[Option<V>]) {
        let values: Vec<_> = values.iter().map(|value| value.as_ref().map(stored::bytes)).collect();
        host::put_many(self.table, keys, &values);
    }
}

/// Many values a key, each below a sub-key, in the order of these.
#[derive(Debug)]
pub struct Map<S, V> {
    table: u32,
    key: u32,
    entry: PhantomData<fn() -> (S, V)>,
}

impl<S, V> Clone for Map<S, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, V> Copy for Map<S, V> {}

impl<S: SubKey, V: Stored> Handle for Map<S, V> {
    type Value = V;
    fn at(table: u32, key: u32) -> Self {
        Self { table, key, entry: PhantomData }
    }
}

/// Entries that are asked for at once where nothing else is said.
const PAGE: u32 = 256;

impl<S: SubKey, V: Stored> Map<S, V> {
    pub fn get(&self, sub_key: &S::Borrowed) -> Result<Option<V>, String> {
        host::get(self.table, self.key, &sub_key::bytes::<S>(sub_key)).map(|bytes| V::decode(&bytes)).transpose()
    }

    pub fn put(&self, sub_key: &S::Borrowed, value: impl Put<V>) {
        host::put(self.table, self.key, &sub_key::bytes::<S>(sub_key), &encoded(&value));
    }

    pub fn delete(&self, sub_key: &S::Borrowed) {
        host::delete(self.table, self.key, &sub_key::bytes::<S>(sub_key));
    }

    /// All entries, in order.
    pub fn iter(&self) -> Scan<S, V> {
        self.scan(None, None, PAGE)
    }

    /// Entries from `start` up to but without `end`, which are asked for in pages of `page`.
    pub fn scan(&self, start: Option<&S::Borrowed>, end: Option<&S::Borrowed>, page: u32) -> Scan<S, V> {
        let bytes = |bound: Option<&S::Borrowed>| bound.map(sub_key::bytes::<S>).unwrap_or_default();
        Scan {
            map: *self,
            // Nothing lies before the empty sub-key, and the host takes an empty bound for none.
            is_over: end.is_some_and(|end| sub_key::bytes::<S>(end).is_empty()),
            start: bytes(start),
            end: bytes(end),
            page: page.max(1),
            held: Vec::new().into_iter(),
        }
    }

    /// Deletes every entry.
    pub fn clear(&self) {
        loop {
            let page = host::scan(self.table, self.key, &[], &[], PAGE);
            page.entries.iter().for_each(|(sub_key, _)| host::delete(self.table, self.key, sub_key));
            if !page.more || page.entries.is_empty() {
                return;
            }
        }
    }
}

/// Entries of a scan, read page by page.
pub struct Scan<S, V> {
    map: Map<S, V>,
    start: Vec<u8>,
    end: Vec<u8>,
    page: u32,
    is_over: bool,
    held: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
}

impl<S: SubKey, V: Stored> Iterator for Scan<S, V> {
    type Item = Result<(S, V), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.held.len() == 0 && !self.is_over {
            let page = host::scan(self.map.table, self.map.key, &self.start, &self.end, self.page);
            self.is_over = !page.more || page.entries.is_empty();
            if let Some((last, _)) = page.entries.last() {
                self.start.clone_from(last);
                self.start.push(0);
            }
            self.held = page.entries.into_iter();
        }
        let (sub_key, value) = self.held.next()?;
        Some(S::read(&sub_key).and_then(|sub_key| Ok((sub_key, V::decode(&value)?))))
    }
}
