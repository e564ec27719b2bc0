//! The figures of a running job: counted by the partition, read by tables and metrics. Relaxed atomics; no decision rests on them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counters and gauges of one job.
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
    /// the last durable epoch
    pub epoch: AtomicU64,
    /// the partition's watermark, microseconds since 1970
    pub watermark_us: AtomicI64,
    /// the largest lag over the shards, milliseconds
    pub behind_ms: AtomicU64,
    /// shards being read
    pub shards: AtomicU64,
    /// synced writes of the state; known when the run has ended
    pub syncs: AtomicU64,
    /// bytes of rows in them
    pub written: AtomicU64,
}

impl Live {
    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Relaxed);
    }
}
