//! What a job asks of AWS by itself, in requests an hour, and what that costs at list price.
//!
//! The rule: every figure is made of what the code does: an epoch with records makes a block (where there is state) and a manifest and lists once;
//! merging reads and writes each block about once more per [`MERGED`] epochs; a partition in which nothing comes has one epoch a minute; a
//! lease is renewed three times in its duration and each worker reads the table about every three quarters of it. `docs/benchmarks.md`
//! compares with what was counted. Left out: the stream itself, what sinks write, storage, and traffic between zones.

use std::time::Duration;

use serde::Serialize;

use super::graph::{Graph, NodeKind, Partitioning, SourceKind, Store};

/// List prices of us-east-1 in US dollars, as of November 2026.
const PUT: f64 = 0.005 / 1e3;
const GET: f64 = 0.0004 / 1e3;
const WRITE: f64 = 0.625 / 1e6;
const READ: f64 = 0.125 / 1e6;
const CONSUMER_SHARD_HOUR: f64 = 0.015;
const FAN_OUT_GB: f64 = 0.013;

/// A chain of blocks is merged about once in so many epochs.
const MERGED: f64 = 7.0;
/// Requests to read a block while it is merged.
const READS: f64 = 1.25;
/// Bytes of a lease row, about; a read unit is of 4 KiB.
const ROW: f64 = 600.0;
/// Epochs an hour of a partition in which nothing comes.
const QUIET: f64 = 60.0;
const HOURS: f64 = 730.0;

/// What is assumed of the world.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct World {
    /// shards of all sources
    pub shards: u32,
    /// shards in which something comes
    pub busy: u32,
    /// workers
    pub workers: u32,
    /// MB a second that come in over all shards
    pub mb_per_s: f64,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// what is asked, of which service
    pub what: &'static str,
    /// how many units an hour
    pub per_hour: f64,
    /// US dollars for a month of 730 hours
    pub month_usd: f64,
    /// what it follows from
    pub because: String,
}

/// Everything that the job asks for, the dearest first.
pub fn costs(graph: &Graph, world: World) -> Vec<Cost> {
    let mut all = Vec::new();
    let mut add = |what, per_hour: f64, price: f64, because: String| {
        all.push(Cost { what, per_hour, month_usd: per_hour * price * HOURS, because });
    };
    let (busy, quiet) = match graph.partitioning {
        Partitioning::PerShard { .. } => (world.busy, world.shards - world.busy),
        Partitioning::One { .. } => (u32::from(world.busy > 0), u32::from(world.busy == 0)),
    };
    if let Some(Store::S3 { .. }) = &graph.store {
        let epochs = f64::from(busy) * per_hour(graph.epoch) + f64::from(quiet) * QUIET;
        let (blocks, merges) = if graph.is_stateless() { (0.0, 0.0) } else { (1.0, 1.0 / MERGED) };
        let because = format!("{busy} busy partitions with an epoch every {:?}, {quiet} quiet ones", graph.epoch);
        add("S3: objects made, and lists", epochs * (2.0 + blocks + merges), PUT, because);
        let because = "blocks of state that are merged are read".to_owned();
        add("S3: reads", epochs * blocks * READS, GET, because);
    }
    if let Some(leases) = &graph.leases {
        let rows = f64::from(busy + quiet);
        let looks = per_hour(leases.duration) / 0.75 * f64::from(world.workers);
        let because = format!("{rows} leases of {:?}, renewed three times in that time", leases.duration);
        add("DynamoDB: write units", rows * 3.0 * per_hour(leases.duration), WRITE, because);
        let because = format!("{} workers look at the table", world.workers);
        add("DynamoDB: read units", looks * (rows * ROW / 4096.0).ceil(), READ, because);
    }
    let is_kinesis = |node: &&super::graph::Node| match &node.kind {
        NodeKind::Source(source) => matches!(source.from, SourceKind::Kinesis { .. }),
        _ => false,
    };
    if graph.nodes.iter().any(|node| is_kinesis(&node)) {
        let because = format!("a consumer of its own on {} shards", world.shards);
        add("Kinesis: consumer-shard hours", f64::from(world.shards), CONSUMER_SHARD_HOUR, because);
        let because = format!("{} MB a second through enhanced fan-out", world.mb_per_s);
        add("Kinesis: GB by fan-out", world.mb_per_s * 3.6, FAN_OUT_GB, because);
    }
    all.retain(|cost| cost.per_hour > 0.0);
    all.sort_by(|a, b| b.month_usd.total_cmp(&a.month_usd));
    all
}

fn per_hour(time: Duration) -> f64 {
    3600.0 / time.as_secs_f64()
}
