//! Manifests and job records for people who look, wherever they lie. Nothing is changed, and nobody who runs is disturbed.
//!
//! The rule: what is said of a partition is said of one manifest, as it was when it was read.
//! Left to others: how it is printed (`cli`), whether it is whole (`verify`).

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    ledger::{
        local,
        remote::{manifest_in, newest_in, numbers, partitions_in, record_in},
    },
    manifest::{JobRecord, Manifest},
};
use crate::{error::Result, objects::Objects, state::StateStore};

/// Where a job's manifests lie.
#[derive(Clone)]
pub enum Shelf {
    /// in a store that every worker reaches, below this name: that of the job, or of a savepoint
    Objects {
        /// the store
        objects: Arc<dyn Objects>,
        /// the job
        job: String,
    },
    /// in a worker's own store
    Own {
        /// the store
        store: Arc<dyn StateStore>,
        /// where it is, for messages
        place: String,
    },
}

impl Shelf {
    /// The names of all partitions.
    pub async fn partitions(&self) -> Result<Vec<String>> {
        match self {
            Self::Objects { objects, job } => partitions_in(&**objects, job).await,
            Self::Own { store, .. } => local::partitions(&**store),
        }
    }

    /// The numbers of the manifests of a partition that are kept, oldest first.
    pub async fn numbers(&self, partition: &str) -> Result<Vec<u64>> {
        match self {
            Self::Objects { objects, job } => {
                Ok(numbers(&**objects, job, partition).await?.into_iter().map(|(number, _)| number).collect())
            }
            Self::Own { store, .. } => local::numbers(&**store, partition),
        }
    }

    /// The newest manifest of a partition.
    pub async fn newest(&self, partition: &str) -> Result<Option<Manifest>> {
        match self {
            Self::Objects { objects, job } => newest_in(&**objects, job, partition).await,
            Self::Own { store, .. } => local::newest(&**store, partition),
        }
    }

    /// One manifest of a partition.
    pub async fn manifest(&self, partition: &str, number: u64) -> Result<Option<Manifest>> {
        match self {
            Self::Objects { objects, job } => manifest_in(&**objects, job, partition, number).await,
            Self::Own { store, .. } => local::manifest_of(&**store, partition, number),
        }
    }

    /// The newest job record.
    pub async fn record(&self) -> Result<Option<JobRecord>> {
        match self {
            Self::Objects { objects, job } => record_in(&**objects, job).await,
            Self::Own { store, .. } => local::job_record(&**store),
        }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        match self {
            Self::Objects { objects, job } => format!("{}/{job}", objects.place().trim_end_matches('/')),
            Self::Own { place, .. } => place.clone(),
        }
    }
}

/// What a manifest says of its partition, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// the partition
    pub partition: String,
    /// of the manifest
    pub number: u64,
    /// the last that is durable
    pub epoch: u64,
    /// of its owner
    pub fence: u64,
    /// of the job
    pub generation: u64,
    /// nothing may follow
    pub sealed: bool,
    /// rule 7: it waits to begin anew
    pub begins_anew: bool,
    /// how often it was set back to a savepoint
    pub set_back: u64,
    /// by source, then by shard
    pub shards: BTreeMap<String, BTreeMap<String, Reached>>,
    /// promises of sinks that are not known to be committed
    pub tokens: usize,
    /// bytes that sinks hold back
    pub held: usize,
    /// blocks of state; 0 where state lies in the worker's own store
    pub blocks: usize,
    /// bytes of these blocks
    pub bytes: u64,
    /// changes in them
    pub rows: u64,
    /// up to when records that arrived are done, microseconds since 1970; none where nothing was read
    pub as_of_us: Option<i64>,
}

/// How far a shard is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// the last record that is done: sequence number, and the user record in it
    pub sequence: Option<String>,
    /// the user record in it
    pub sub_sequence: Option<u32>,
    /// read to its end
    pub ended: bool,
}

impl Summary {
    /// Of this manifest.
    pub fn new(partition: &str, manifest: &Manifest) -> Self {
        let positions = manifest.shards.values().flat_map(BTreeMap::values).filter_map(|shard| shard.position.as_ref());
        let of_source = |shards: &BTreeMap<_, super::manifest::ShardProgress>| {
            let reached = |progress: &super::manifest::ShardProgress| {
                let record = progress.position.as_ref().and_then(|position| position.record);
                Reached {
                    sequence: record.map(|(sequence, _)| sequence.to_string()),
                    sub_sequence: record.map(|(_, sub)| sub),
                    ended: progress.ended,
                }
            };
            shards
                .iter()
                .map(|(shard, progress): (&crate::record::ShardId, _)| (shard.to_string(), reached(progress)))
                .collect()
        };
        Self {
            partition: partition.to_owned(),
            number: manifest.number,
            epoch: manifest.epoch,
            fence: manifest.fence,
            generation: manifest.generation,
            sealed: manifest.sealed.is_some(),
            begins_anew: manifest.begins_anew,
            set_back: manifest.set_back.map_or(0, |back| back.times),
            shards: manifest.shards.iter().map(|(source, shards)| (source.clone(), of_source(shards))).collect(),
            tokens: manifest.tokens.len(),
            held: manifest.held.values().map(Vec::len).sum(),
            blocks: manifest.state.len(),
            bytes: manifest.state.iter().map(|block| block.bytes).sum(),
            rows: manifest.state.iter().map(|block| block.rows).sum(),
            as_of_us: positions.map(|position| position.as_of_us).max(),
        }
    }
}
