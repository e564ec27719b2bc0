//! A store in memory: the one that tests and the simulator crash. What was not written is what a crash loses.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard},
};

use super::{Delta, Flush, Row, StateStore};
use crate::error::Result;

/// Rows in a sorted map, and how to take back what was not synced.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: Mutex<Held>,
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct Held {
    rows: Rows,
    /// what rows were before the writes that no sync has followed, oldest write first
    undo: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl MemoryStore {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }

    /// The machine loses its power: what no sync has followed is gone.
    pub fn lose_power(&self) {
        let mut held = self.held();
        let Held { rows, undo } = &mut *held;
        for (key, before) in undo.drain(..).rev() {
            match before {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
    }
}

impl StateStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.held().rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        Ok(self.held().rows.range::<[u8], _>(range).take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn bytes_between(&self, from: &[u8], to: &[u8]) -> u64 {
        let range = (Bound::Included(from), Bound::Excluded(to));
        self.held().rows.range::<[u8], _>(range).map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn write(&self, deltas: &[Delta], flush: Flush) -> Result<()> {
        let mut held = self.held();
        let Held { rows, undo } = &mut *held;
        for (key, value) in deltas.iter().flat_map(Delta::iter) {
            let before = match value {
                Some(value) => rows.insert(key.to_vec(), value.to_vec()),
                None => rows.remove(key),
            };
            undo.push((key.to_vec(), before));
        }
        if flush == Flush::Now {
            undo.clear();
        }
        Ok(())
    }
}
