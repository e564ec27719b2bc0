//! The manifests of a partition and the job record, as rows of the job's store.
//!
//! Keeps rule 0 (job record before claim, claim before anything else) and the numbering of rule 4. Old manifests are kept for a
//! while, for people who look.

use std::sync::Arc;

use super::{
    kill,
    manifest::{self, JobRecord, Manifest},
};
use crate::{
    error::{Error, Kind, Result},
    random,
    state::{Delta, StateStore, key, scan_prefix},
};

const MANIFEST: &str = "manifest";
const JOB: &str = "job";
/// So many older manifests are kept.
const KEPT: u64 = 8;

/// Reads and claims; commits are rows that it makes and the committer writes.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn StateStore>,
    partition: Arc<str>,
}

impl Ledger {
    /// The ledger of one partition.
    pub fn new(store: Arc<dyn StateStore>, partition: impl AsRef<str>) -> Self {
        Self { store, partition: Arc::from(partition.as_ref()) }
    }

    /// The newest manifest, the truth.
    pub fn newest(&self) -> Result<Option<Manifest>> {
        let mut newest = None;
        scan_prefix(&*self.store, &key::meta_prefix(&self.partition, MANIFEST), |row, value| {
            newest = key::meta_number(row).map(|number| (number, value));
            Ok(())
        })?;
        newest
            .map(|(number, bytes)| {
                manifest::decode(&format!("manifest {number} of partition {}", self.partition), &bytes)
            })
            .transpose()
    }

    /// The partition's name.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// Rule 0: the next manifest with the same content, the next fence, and the generation of `first`, which is also what an unknown
    /// partition begins with. A sealed partition cannot be claimed.
    pub fn claim(&self, first: Manifest) -> Result<Manifest> {
        let generation = first.generation;
        let mut claim = self.newest()?.unwrap_or(first);
        if claim.sealed.is_some() {
            let words = format!("partition {} is sealed: its shard was read to the end", self.partition);
            return Err(Error::new(Kind::Internal, words));
        }
        claim.generation = generation;
        claim.number += 1;
        claim.fence += 1;
        claim.nonce = random::bits();
        kill::point("before-claim");
        self.store.write(&[self.row(&claim)])?;
        kill::point("after-claim");
        Ok(claim)
    }

    /// The change that makes this manifest the newest.
    pub fn row(&self, manifest: &Manifest) -> Delta {
        let mut delta = Delta::default();
        delta.put(key::meta(&self.partition, MANIFEST, manifest.number), manifest::encode(manifest));
        if let Some(old) = manifest.number.checked_sub(KEPT) {
            delta.delete(key::meta(&self.partition, MANIFEST, old));
        }
        delta
    }
}

/// Every partition of a store, with its newest manifest.
pub fn partitions(store: &Arc<dyn StateStore>) -> Result<Vec<(String, Manifest)>> {
    let mut names = std::collections::BTreeSet::new();
    scan_prefix(&**store, &key::all_meta(), |row, _| {
        if let Some((partition, MANIFEST)) = key::meta_parts(row) {
            names.insert(partition.to_owned());
        }
        Ok(())
    })?;
    let newest = |name: String| Ok(Ledger::new(store.clone(), &name).newest()?.map(|manifest| (name, manifest)));
    names.into_iter().filter_map(|name| newest(name).transpose()).collect()
}

/// The newest job record of a store.
pub fn job_record(store: &dyn StateStore) -> Result<Option<JobRecord>> {
    let mut newest = None;
    scan_prefix(store, &key::meta_prefix("", JOB), |_, value| {
        newest = Some(value);
        Ok(())
    })?;
    newest.map(|bytes| manifest::decode("the job record", &bytes)).transpose()
}

/// Rule 0: written before any claim of its generation.
pub fn write_job_record(store: &dyn StateStore, record: &JobRecord) -> Result<()> {
    let mut delta = Delta::default();
    delta.put(key::meta("", JOB, record.generation), manifest::encode(record));
    kill::point("before-job-record");
    store.write(&[delta])?;
    kill::point("after-job-record");
    Ok(())
}
