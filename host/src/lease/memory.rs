//! Leases in memory, for tests, simulation, and a job of one worker.
//!
//! What it owes: each change is one step. Clones share the rows, as workers share a table.

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::Result,
    lease::{Change, Expect, Lease, LeaseTable, Updated},
    source::Pending,
};

/// A table in memory. Clones share the rows.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<BTreeMap<String, Lease>>>);

impl MemoryLeases {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Lease>> {
        // rows are changed in single steps, so a panic elsewhere leaves them whole
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, key: &str, expect: &Expect, change: &Change) -> Updated {
        match self.rows().get_mut(key) {
            Some(row) if expect.holds(row) => {
                *row = change.applied(row);
                Updated::Done(row.clone())
            }
            row => Updated::Refused(row.cloned()),
        }
    }

    fn remove(&self, key: &str, expect: &Expect) -> Updated {
        let mut rows = self.rows();
        match rows.get(key).cloned() {
            Some(row) if expect.holds(&row) => {
                rows.remove(key);
                Updated::Done(row)
            }
            row => Updated::Refused(row),
        }
    }

    fn add(&self, lease: &Lease) -> bool {
        let mut rows = self.rows();
        let new = !rows.contains_key(&lease.key);
        if new {
            rows.insert(lease.key.clone(), lease.clone());
        }
        new
    }
}

impl LeaseTable for MemoryLeases {
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>> {
        Box::pin(ready(Ok(self.rows().values().cloned().collect())))
    }

    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>> {
        Box::pin(ready(Ok(self.rows().get(key).cloned())))
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>> {
        Box::pin(async { Ok(self.add(lease)) })
    }

    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>> {
        Box::pin(async { Ok(self.change(key, expect, change)) })
    }

    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>> {
        Box::pin(async { Ok(self.remove(key, expect)) })
    }
}
