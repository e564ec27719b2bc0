//! The figures of a running job: counted by its partitions, read by tables, metrics and `pelton top`. No decision rests on them.
//!
//! Counters are shared; what is true of one partition at a time stands under its name, written once per event or epoch, never per record.
//! `metrics` is their table, `status` their document.

pub mod metrics;
pub mod status;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{record::MIN_US, state::StateStore};

/// Figures of one job.
#[derive(Default)]
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
    restarts: Mutex<BTreeMap<String, Restarts>>,
    leases: Mutex<Leases>,
    state: Mutex<Option<Weak<dyn StateStore>>>,
}

/// What is true of a partition now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// the last durable epoch
    pub epoch: u64,
    /// raised by every claim: which owner in a row this one is
    pub fence: u64,
    /// the deployed version of the job that it runs
    #[serde(default)]
    pub generation: u64,
    /// how long it stood still when it last changed to another generation
    #[serde(default, with = "milliseconds")]
    pub swap_paused: Duration,
    /// what it has seen of a plugin that it tries
    #[serde(default)]
    pub canary: Option<CanaryNow>,
    /// how far event time has come, microseconds since 1970
    #[serde(with = "instant")]
    pub watermark_us: i64,
    /// the largest lag over the shards, milliseconds
    pub behind_ms: u64,
    /// shards being read
    pub open_shards: u64,
    /// promises of sinks that are not known to be committed
    pub uncommitted: u64,
    /// bytes of its state in a remote store; none where there is nothing
    pub state_bytes: Option<u64>,
    /// what its last epoch took
    pub took: Phases,
    /// by source and shard
    pub shards: BTreeMap<String, ShardNow>,
}

impl Default for Now {
    fn default() -> Self {
        Self {
            epoch: 0,
            fence: 0,
            generation: 0,
            swap_paused: Duration::ZERO,
            canary: None,
            watermark_us: MIN_US,
            behind_ms: 0,
            open_shards: 0,
            uncommitted: 0,
            state_bytes: None,
            took: Phases::default(),
            shards: BTreeMap::new(),
        }
    }
}

/// What a partition has seen of a plugin that it tries, and commits nothing of yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryNow {
    /// records given to the step
    pub records: u64,
    /// rows that it made
    pub rows: u64,
    /// records that it rejected
    pub rejected: u64,
    /// what 99 of 100 of its calls do not exceed, microseconds
    pub p99_us: u64,
    /// how long it goes on looking
    pub left_ms: u64,
    /// it has found nothing wrong
    pub passed: bool,
}

/// What is true of a shard now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardNow {
    /// how it is read
    pub mode: String,
    /// `reads`, `waits` (for its parents), `waits_for_schema` or `ended`
    pub state: String,
    /// the last record that is durably done, with its index where it is part of an aggregate
    pub position: Option<String>,
    /// how far it was behind when it was last heard of, milliseconds
    pub behind_ms: u64,
}

/// How long each part of an epoch took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// waiting for the epoch before it
    #[serde(with = "milliseconds")]
    pub wait: Duration,
    /// changed state was put together
    #[serde(with = "milliseconds")]
    pub freeze: Duration,
    /// sinks staged or delivered everything
    #[serde(with = "milliseconds")]
    pub prepare: Duration,
    /// the manifest became durable
    #[serde(with = "milliseconds")]
    pub commit: Duration,
    /// tokens were committed
    #[serde(with = "milliseconds")]
    pub publish: Duration,
}

impl Phases {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, Duration); 5] {
        let Self { wait, freeze, prepare, commit, publish } = *self;
        [("wait", wait), ("freeze", freeze), ("prepare", prepare), ("commit", commit), ("publish", publish)]
    }
}

/// A time that took so long, as milliseconds.
mod milliseconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_micros() as f64 / 1e3)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_micros((f64::deserialize(from)? * 1e3).round() as u64))
    }
}

/// An instant; none before the first.
mod instant {
    use super::{Deserialize, Deserializer, MIN_US, Serialize, Serializer};

    pub fn serialize<S: Serializer>(us: &i64, to: S) -> Result<S::Ok, S::Error> {
        Some(*us).filter(|us| *us != MIN_US).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or(MIN_US))
    }
}

/// How often a partition began again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// since the process began
    pub count: u64,
    /// why, the last time
    pub why: String,
}

/// What a worker of a fleet holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// what the worker is called in the lease table; empty where there is none
    pub worker: String,
    /// by partition
    pub held: BTreeMap<String, LeaseNow>,
}

/// A lease that is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseNow {
    /// why it was taken
    pub why: String,
    /// for how long it was held when it was last looked at, seconds
    pub held_s: u64,
    /// `runs`, `waits` (begins by itself), `stuck` (until somebody mends it)
    pub state: String,
    /// what it waits for
    pub waits_for: Option<String>,
}

/// Over all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overall {
    /// the highest epoch
    pub epoch: u64,
    /// the lowest watermark
    pub watermark_us: i64,
    /// the largest lag
    pub behind_ms: u64,
    /// all shards being read
    pub shards: u64,
}

impl Live {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Relaxed);
    }

    /// Changes what is true of a partition.
    pub fn update(&self, partition: &str, change: impl FnOnce(&mut Now)) {
        let mut partitions = lock(&self.partitions);
        match partitions.get_mut(partition) {
            Some(now) => change(now),
            None => change(partitions.entry(partition.to_owned()).or_default()),
        }
    }

    /// A partition has failed and begins again, or waits.
    pub fn restarted(&self, partition: &str, why: &str) {
        let mut restarts = lock(&self.restarts);
        let entry = restarts.entry(partition.to_owned()).or_default();
        entry.count += 1;
        why.clone_into(&mut entry.why);
    }

    /// By partition: how often it began again, and why the last time.
    pub fn restarts(&self) -> BTreeMap<String, Restarts> {
        lock(&self.restarts).clone()
    }

    /// What the worker holds now.
    pub fn hold(&self, held: BTreeMap<String, LeaseNow>) {
        lock(&self.leases).held = held;
    }

    /// What the worker is called.
    pub fn call(&self, worker: &str) {
        worker.clone_into(&mut lock(&self.leases).worker);
    }

    /// What the worker is called, and holds.
    pub fn leases(&self) -> Leases {
        lock(&self.leases).clone()
    }

    /// Where the worker keeps its copy of the state.
    pub fn keep_in(&self, store: &Arc<dyn StateStore>) {
        *lock(&self.state) = Some(Arc::downgrade(store));
    }

    /// Bytes of that, about; none where it is not known.
    pub fn state_bytes(&self) -> Option<u64> {
        lock(&self.state).as_ref()?.upgrade()?.bytes()
    }

    /// A partition is sealed or runs elsewhere: its figures are no longer shown.
    pub fn forget(&self, partition: &str) {
        lock(&self.partitions).remove(partition);
    }

    /// Every partition by name.
    pub fn by_partition(&self) -> BTreeMap<String, Now> {
        lock(&self.partitions).clone()
    }

    /// Over all partitions.
    pub fn now(&self) -> Overall {
        let none = Overall { epoch: 0, watermark_us: MIN_US, behind_ms: 0, shards: 0 };
        let over = |all: Option<Overall>, now: &Now| {
            let all = all.unwrap_or(Overall { watermark_us: now.watermark_us, ..none });
            Some(Overall {
                epoch: all.epoch.max(now.epoch),
                watermark_us: all.watermark_us.min(now.watermark_us),
                behind_ms: all.behind_ms.max(now.behind_ms),
                shards: all.shards + now.open_shards,
            })
        };
        lock(&self.partitions).values().fold(None, over).unwrap_or(none)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("now", &self.now()).finish_non_exhaustive()
    }
}

fn lock<T>(cell: &Mutex<T>) -> MutexGuard<'_, T> {
    cell.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_is_as_far_as_its_slowest_partition() {
        let live = Live::default();
        let set = |epoch, watermark_us, behind_ms, open_shards| {
            move |now: &mut Now| *now = Now { epoch, watermark_us, behind_ms, open_shards, ..Now::default() }
        };
        live.update("a", set(3, 50, 10, 1));
        live.update("b", set(5, 20, 90, 2));
        assert_eq!(live.now(), Overall { epoch: 5, watermark_us: 20, behind_ms: 90, shards: 3 });
        live.forget("b");
        assert_eq!(live.now().shards, 1);
    }
}
