//! The figures of one worker as one document: what `/status` answers and `pelton top` reads.
//!
//! The rule: it says for every partition of the worker what it is doing, how far it is, and why; what is not known is absent, not zero.
//! Left to others: who counts (`live`), who asks (`cli::top`).

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use serde::{Deserialize, Serialize};

use super::{LeaseNow, Live, Now, Restarts};

/// A worker and everything that it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// the job
    pub job: String,
    /// what the worker is called in the lease table; empty where it runs the job alone
    pub worker: String,
    /// for how long the process runs, seconds
    pub up_s: u64,
    /// records taken from sources
    pub records: u64,
    /// bytes of those
    pub bytes: u64,
    /// rows given to sinks
    pub results: u64,
    /// records that became dead letters
    pub rejects: u64,
    /// records too late for their window
    pub late: u64,
    /// bytes of the worker's copy of the state, about
    pub state_bytes: Option<u64>,
    /// by name
    pub partitions: BTreeMap<String, Partition>,
}

/// A partition that the worker runs, or holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partition {
    /// under which lease, in a fleet
    pub lease: Option<LeaseNow>,
    /// how far it is, once it has been claimed
    pub now: Option<Now>,
    /// how often it began again, and why
    pub restarts: Restarts,
}

impl Partition {
    /// What it is doing, in a word.
    pub fn state(&self) -> &str {
        match (&self.lease, &self.now) {
            (Some(lease), _) if lease.state != "runs" => &lease.state,
            (_, Some(_)) => "runs",
            (_, None) => "begins",
        }
    }

    /// What keeps it from running.
    pub fn waits_for(&self) -> Option<&str> {
        self.lease.as_ref()?.waits_for.as_deref()
    }
}

impl Status {
    /// As it is now.
    pub fn of(job: &str, live: &Live, up: Duration) -> Self {
        let leases = live.leases();
        let mut partitions: BTreeMap<String, Partition> = BTreeMap::new();
        for (name, lease) in leases.held {
            partitions.entry(name).or_default().lease = Some(lease);
        }
        for (name, now) in live.by_partition() {
            partitions.entry(name).or_default().now = Some(now);
        }
        for (name, restarts) in live.restarts() {
            if let Some(partition) = partitions.get_mut(&name) {
                partition.restarts = restarts;
            }
        }
        Self {
            job: job.to_owned(),
            worker: leases.worker,
            up_s: up.as_secs(),
            records: live.records.load(Relaxed),
            bytes: live.bytes.load(Relaxed),
            results: live.results.load(Relaxed),
            rejects: live.rejects.load(Relaxed),
            late: live.late.load(Relaxed),
            state_bytes: live.state_bytes(),
            partitions,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::job::live::{Phases, ShardNow};

    #[test]
    fn the_document_says_what_each_partition_does_and_reads_back() {
        let live = Live::default();
        live.call("w-1");
        let shard =
            ShardNow { mode: "fan_out".into(), state: "reads".into(), position: Some("7".into()), behind_ms: 9 };
        let took = Phases { commit: Duration::from_micros(1_500), ..Phases::default() };
        live.update("in/a", |now| {
            *now = Now { epoch: 3, took, shards: BTreeMap::from([("in/a".into(), shard)]), ..Now::default() };
        });
        let stuck = LeaseNow { state: "stuck".into(), waits_for: Some("disk".into()), ..LeaseNow::default() };
        live.hold(BTreeMap::from([("in/b".to_owned(), stuck)]));
        live.restarted("in/b", "disk");
        live.restarted("in/gone", "elsewhere");
        let status = Status::of("j", &live, Duration::from_secs(61));
        let told: Vec<_> = status.partitions.iter().map(|(name, one)| (name.as_str(), one.state())).collect();
        assert_eq!(told, [("in/a", "runs"), ("in/b", "stuck")]);
        assert_eq!(
            (status.partitions["in/b"].waits_for(), status.partitions["in/b"].restarts.count),
            (Some("disk"), 1)
        );
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.contains("\"watermark_us\":null") && text.contains("\"commit\":1.5"), "{text}");
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
