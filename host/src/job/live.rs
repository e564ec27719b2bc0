//! The figures of a running job: counted by its partitions, read by tables and metrics. No decision rests on them.
//!
//! Counters are shared; what is true of one partition at a time stands under its name, written once per event, never per record.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::record::MIN_US;

/// Figures of one job.
#[derive(Debug, Default)]
pub struct Live {
    /// records taken from sources
    pub records: AtomicU64,
    /// bytes of those
    pub bytes: AtomicU64,
    /// rows given to sinks
    pub results: AtomicU64,
    /// records that became dead letters
    pub rejects: AtomicU64,
    /// records too late for their window
    pub late: AtomicU64,
    /// synced writes of the state; known when the run has ended
    pub syncs: AtomicU64,
    /// bytes of rows in them
    pub written: AtomicU64,
    partitions: Mutex<BTreeMap<String, Now>>,
    restarts: Mutex<BTreeMap<String, (u64, String)>>,
}

/// What is true of a partition now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// the last durable epoch
    pub epoch: u64,
    /// how far event time has come, microseconds since 1970
    pub watermark_us: i64,
    /// the largest lag over the shards, milliseconds
    pub behind_ms: u64,
    /// shards being read
    pub shards: u64,
}

impl Default for Now {
    fn default() -> Self {
        Self { epoch: 0, watermark_us: MIN_US, behind_ms: 0, shards: 0 }
    }
}

impl Live {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Relaxed);
    }

    /// Changes what is true of a partition.
    pub fn update(&self, partition: &str, change: impl FnOnce(&mut Now)) {
        let mut partitions = self.partitions();
        match partitions.get_mut(partition) {
            Some(now) => change(now),
            None => change(partitions.entry(partition.to_owned()).or_default()),
        }
    }

    /// A partition has failed and begins again, or waits.
    pub fn restarted(&self, partition: &str, why: &str) {
        let mut restarts = self.restarts.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = restarts.entry(partition.to_owned()).or_default();
        entry.0 += 1;
        why.clone_into(&mut entry.1);
    }

    /// By partition: how often it began again, and why the last time.
    pub fn restarts(&self) -> BTreeMap<String, (u64, String)> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A partition is sealed: its figures are no longer shown.
    pub fn forget(&self, partition: &str) {
        self.partitions().remove(partition);
    }

    /// Every partition by name.
    pub fn by_partition(&self) -> BTreeMap<String, Now> {
        self.partitions().clone()
    }

    /// Over all partitions: the highest epoch, the lowest watermark, the largest lag, all shards.
    pub fn now(&self) -> Now {
        let over = |all: Option<Now>, now: &Now| {
            let Some(all) = all else { return Some(*now) };
            Some(Now {
                epoch: all.epoch.max(now.epoch),
                watermark_us: all.watermark_us.min(now.watermark_us),
                behind_ms: all.behind_ms.max(now.behind_ms),
                shards: all.shards + now.shards,
            })
        };
        self.partitions().values().fold(None, over).unwrap_or_default()
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<String, Now>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_is_as_far_as_its_slowest_partition() {
        let live = Live::default();
        live.update("a", |now| *now = Now { epoch: 3, watermark_us: 50, behind_ms: 10, shards: 1 });
        live.update("b", |now| *now = Now { epoch: 5, watermark_us: 20, behind_ms: 90, shards: 2 });
        assert_eq!(live.now(), Now { epoch: 5, watermark_us: 20, behind_ms: 90, shards: 3 });
        live.forget("b");
        assert_eq!(live.now().shards, 1);
    }
}
