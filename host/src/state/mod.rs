//! What is remembered per key, and the rows that make it durable.
//!
//! The rule: **a delta is applied whole or not at all**, in the order of the calls; when a synced `write` has returned, it and everything
//! before it survive a crash of the machine.
//! A store knows nothing of epochs: what a delta holds, and when it is written, is decided by `checkpoint`.
//! Left to others: the hot state itself, which lives in the steps' own maps; the store sees each changed key once per epoch.

use std::collections::BTreeMap;

pub use key::HashRange;

use crate::error::Result;

pub mod block;
pub mod codec;
pub mod key;
pub mod memory;
pub mod rocksdb;

/// Rows by key, and the value each gets; `None` deletes. Sorted, so that a store can write it in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Delta {
    /// The row will have this value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.insert(key, Some(value));
    }

    /// The row will be gone.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.rows.insert(key, None);
    }

    /// Every change in the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// How many rows change.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }

    /// This change and then the other.
    pub fn extend(&mut self, later: Delta) {
        self.rows.extend(later.rows);
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// An ordered map that survives crashes. Shared between the partitions of a worker; writes come from one committer.
pub trait StateStore: Send + Sync {
    /// The value of a row.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// At most `limit` rows with `from <= key < to`, in order. Go on from the last key with a zero byte added.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>>;

    /// Applies all deltas in order as one. After an error the store answers every further call with an error: what is
    /// durable is known only after it was opened again.
    fn write(&self, deltas: &[Delta], flush: Flush) -> Result<()>;

    /// Bytes of what is kept, about, for people who look; none where that is not known.
    fn bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes of the rows with `from <= key < to` on disk, about: what was written just now may not count yet.
    fn bytes_between(&self, _from: &[u8], _to: &[u8]) -> u64 {
        0
    }
}

/// When a write survives a crash of the machine. A crash of the process alone it survives once it has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flush {
    /// with the next write that is synced: the truth is elsewhere
    Later,
    /// when it has returned
    Now,
}

/// Every row below a prefix, in pages, so that a large range is never in memory twice.
pub fn scan_prefix(
    store: &dyn StateStore,
    prefix: &[u8],
    visit: impl FnMut(&[u8], Vec<u8>) -> Result<()>,
) -> Result<()> {
    scan_pages(store, prefix.to_vec(), &key::after_prefix(prefix), visit)
}

/// Every row of a step whose hash lies in the range.
pub fn scan_step(
    store: &dyn StateStore,
    step: &str,
    range: HashRange,
    mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<()>,
) -> Result<()> {
    let (from, end) = key::step_range(step, range);
    scan_pages(store, from, &end, |row, value| match key::hash_of(step, row) {
        Some(hash) if !range.contains(hash) => Ok(()),
        _ => visit(row, value),
    })
}

/// The names of all steps that have rows.
pub fn steps(store: &dyn StateStore) -> Result<Vec<String>> {
    let (mut from, end) = key::all_state();
    let mut steps = Vec::new();
    while let Some((row, _)) = store.scan(&from, &end, 1)?.pop() {
        let Some((step, _)) = key::place(&row) else {
            from = row;
            from.push(0);
            continue;
        };
        from = key::after_prefix(&key::step_prefix(step));
        steps.push(step.to_owned());
    }
    Ok(steps)
}

fn scan_pages(
    store: &dyn StateStore,
    mut from: Vec<u8>,
    end: &[u8],
    mut visit: impl FnMut(&[u8], Vec<u8>) -> Result<()>,
) -> Result<()> {
    const PAGE: usize = 4096;
    loop {
        let rows = store.scan(&from, end, PAGE)?;
        let last = rows.len() < PAGE;
        for (key, value) in rows {
            visit(&key, value)?;
            from = key;
        }
        if last {
            return Ok(());
        }
        from.push(0);
    }
}

#[cfg(test)]
mod tests;
