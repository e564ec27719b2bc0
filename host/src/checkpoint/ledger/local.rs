//! Manifests and job records as rows of the worker's own store, written in one synced batch with the state.

use std::{collections::BTreeSet, sync::Arc};

use super::{Durable, KEPT, Ledger, Records};
use crate::{
    checkpoint::{
        committer::{Committer, gone},
        kill,
        manifest::{self, JobRecord, Manifest},
    },
    error::Result,
    planted,
    source::Pending,
    state::{Delta, Flush, StateStore, key, scan_prefix},
};

const MANIFEST: &str = "manifest";
const JOB: &str = "job";

/// Reads the store; writes go through the committer.
#[derive(Clone)]
pub struct LocalLedger {
    store: Arc<dyn StateStore>,
    committer: Committer,
}

impl LocalLedger {
    /// The ledger of a job in this store.
    pub fn new(store: Arc<dyn StateStore>, committer: Committer) -> Self {
        Self { store, committer }
    }
}

/// The newest manifest of a partition in a store.
pub fn newest(store: &dyn StateStore, partition: &str) -> Result<Option<Manifest>> {
    let mut newest = None;
    scan_prefix(store, &key::meta_prefix(partition, MANIFEST), |row, value| {
        newest = key::meta_number(row).map(|number| (number, value));
        Ok(())
    })?;
    newest
        .map(|(number, bytes)| manifest::decode(&format!("manifest {number} of partition {partition}"), &bytes))
        .transpose()
}

/// The manifests of a partition that a store keeps, oldest first: numbers.
pub fn numbers(store: &dyn StateStore, partition: &str) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    scan_prefix(store, &key::meta_prefix(partition, MANIFEST), |row, _| {
        numbers.extend(key::meta_number(row));
        Ok(())
    })?;
    Ok(numbers)
}

/// One manifest of a partition in a store.
pub fn manifest_of(store: &dyn StateStore, partition: &str, number: u64) -> Result<Option<Manifest>> {
    let bytes = store.get(&key::meta(partition, MANIFEST, number))?;
    bytes.map(|bytes| manifest::decode(&format!("manifest {number} of partition {partition}"), &bytes)).transpose()
}

/// The names of all partitions that have manifests in a store.
pub fn partitions(store: &dyn StateStore) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    scan_prefix(store, &key::all_meta(), |row, _| {
        if let Some((partition, MANIFEST)) = key::meta_parts(row) {
            names.insert(partition.to_owned());
        }
        Ok(())
    })?;
    Ok(names.into_iter().collect())
}

/// The newest job record in a store.
pub fn job_record(store: &dyn StateStore) -> Result<Option<JobRecord>> {
    let mut newest = None;
    scan_prefix(store, &key::meta_prefix("", JOB), |_, value| {
        newest = Some(value);
        Ok(())
    })?;
    newest.map(|bytes| manifest::decode("the job record", &bytes)).transpose()
}

fn row(partition: &str, manifest: &Manifest, mut delta: Delta) -> Delta {
    delta.put(key::meta(partition, MANIFEST, manifest.number), manifest::encode(manifest));
    if let Some(old) = manifest.number.checked_sub(KEPT) {
        delta.delete(key::meta(partition, MANIFEST, old));
    }
    delta
}

impl Ledger for LocalLedger {
    fn newest<'a>(&'a self, partition: &'a str) -> Pending<'a, Result<Option<Manifest>>> {
        Box::pin(std::future::ready(newest(&*self.store, partition)))
    }

    fn partitions(&self) -> Pending<'_, Result<Vec<String>>> {
        Box::pin(std::future::ready(partitions(&*self.store)))
    }

    fn commit<'a>(
        &'a self,
        partition: &'a str,
        manifest: &'a mut Manifest,
        delta: Delta,
    ) -> Pending<'a, Result<Durable>> {
        let delta = row(partition, manifest, delta);
        Box::pin(async move {
            let flush = if planted::is("sync-skipped") { Flush::Later } else { Flush::Now };
            let written = self.committer.write(delta, flush).await?;
            Ok(Box::pin(async move { written.await.unwrap_or_else(|_| Err(gone())) }) as Durable)
        })
    }

    /// The state lies where it was made.
    fn load<'a>(&'a self, _: &'a str, _: &'a Manifest) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Records for LocalLedger {
    fn record(&self) -> Pending<'_, Result<Option<JobRecord>>> {
        Box::pin(std::future::ready(job_record(&*self.store)))
    }

    fn deploy<'a>(&'a self, record: &'a JobRecord) -> Pending<'a, Result<JobRecord>> {
        Box::pin(async move {
            let mut delta = Delta::default();
            delta.put(key::meta("", JOB, record.generation), manifest::encode(record));
            kill::point("before-job-record");
            self.committer.write(delta, Flush::Now).await?.await.unwrap_or_else(|_| Err(gone()))?;
            kill::point("after-job-record");
            Ok(record.clone())
        })
    }
}
