//! Rows in memory, for tests and the simulator. Clones share them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Change, Expect, Lease, LeaseTable, Updated};
use crate::{error::Result, source::Pending};

/// A table that ends with the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases(Arc<Mutex<BTreeMap<String, Lease>>>);

impl MemoryLeases {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create_now(&self, lease: &Lease) -> bool {
        let mut rows = self.rows();
        let is_new = !rows.contains_key(&lease.key);
        if is_new {
            rows.insert(lease.key.clone(), lease.clone());
        }
        is_new
    }

    fn update_now(&self, key: &str, expect: &Expect, change: &Change) -> Updated {
        match self.rows().get_mut(key) {
            Some(row) if row.is(expect) => {
                *row = row.after(change);
                Updated::Done(row.clone())
            }
            other => Updated::Refused(other.cloned()),
        }
    }

    fn delete_now(&self, key: &str, expect: &Expect) -> Updated {
        let mut rows = self.rows();
        match rows.get(key) {
            Some(row) if row.is(expect) => {
                let row = row.clone();
                rows.remove(key);
                Updated::Done(row)
            }
            other => Updated::Refused(other.cloned()),
        }
    }
}

impl LeaseTable for MemoryLeases {
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>> {
        let rows = self.rows().values().cloned().collect();
        Box::pin(std::future::ready(Ok(rows)))
    }

    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>> {
        let row = self.rows().get(key).cloned();
        Box::pin(std::future::ready(Ok(row)))
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>> {
        let is_new = self.create_now(lease);
        Box::pin(std::future::ready(Ok(is_new)))
    }

    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>> {
        let updated = self.update_now(key, expect, change);
        Box::pin(std::future::ready(Ok(updated)))
    }

    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>> {
        let deleted = self.delete_now(key, expect);
        Box::pin(std::future::ready(Ok(deleted)))
    }
}
