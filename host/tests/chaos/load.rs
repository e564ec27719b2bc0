//! A paced load: records put into the emulator over sockets while the job lives and dies, and a memory of what was put.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use pelton::{
    aws::Settings,
    clock,
    task::{self, Task},
};
use serde_json::json;
use tokio::runtime::Handle;

/// Which job is killed, under which load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// one partition; event times go astray within the job's bound, so nothing is late
    One,
    /// one partition; some records come after their window, some after its allowed lateness
    Late,
    /// a partition for each shard, sealed and claimed as shards split and merge; nothing is late
    PerShard,
}

/// What was put.
#[derive(Clone, Debug)]
pub struct Put {
    pub ad: String,
    pub amount: i64,
    pub at_ms: i64,
}

/// A load that runs until it is stopped.
pub struct Load {
    client: Client,
    stop: Arc<AtomicBool>,
    putting: Task<Vec<Put>>,
    split: Mutex<bool>,
    merged: Mutex<bool>,
}

pub const START_MS: i64 = 1_700_000_000_000;
/// Event time between two records: the stream lives about 30 times as fast as the clock.
const STEP_MS: i64 = 80;
/// Records of one call, and the pause after it: about 400 records a second.
const CALL: (i64, Duration) = (8, Duration::from_millis(20));

/// The nth record.
pub fn record(n: i64, shape: Shape) -> Put {
    let back = match shape {
        Shape::One | Shape::PerShard => (n * 7919) % 1_900,
        Shape::Late if n % 11 == 0 => 3_000 + (n * 7919) % 9_000,
        Shape::Late => (n * 7919) % 1_900,
    };
    Put {
        ad: format!("ad{}", (n * 31) % if shape == Shape::PerShard { 60 } else { 7 }),
        amount: n,
        at_ms: START_MS + n * STEP_MS - back,
    }
}

impl Load {
    /// Starts to put.
    pub async fn start(endpoint: &str, shape: Shape) -> Self {
        let aws = Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() }.load().await.unwrap();
        let (client, stop) = (aws.kinesis_client(), Arc::new(AtomicBool::new(false)));
        let (putter, stopped) = (client.clone(), stop.clone());
        let putting = task::spawn(&Handle::current(), async move {
            let mut all: Vec<Put> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let from = all.len() as i64;
                let some: Vec<Put> = (from..from + CALL.0).map(|n| record(n, shape)).collect();
                put(&putter, &some, shape).await;
                all.extend(some);
                // paces: the load, so that a run is long enough for its kills
                clock::sleep(CALL.1).await;
            }
            all
        });
        Self { client, stop, putting, split: Mutex::default(), merged: Mutex::default() }
    }

    /// The middle shard splits, the first time this is called; whether it did.
    pub async fn split_once(&self) -> bool {
        let first = !std::mem::replace(&mut *self.split.lock().unwrap(), true);
        if first {
            let call = self.client.split_shard().stream_name("events").shard_to_split("shardId-000000000001");
            call.new_starting_hash_key((u128::MAX / 2).to_string()).send().await.unwrap();
            println!("  split");
        }
        first
    }

    /// Its children merge again, the first time this is called; whether they did.
    pub async fn merge_once(&self) -> bool {
        let first = !std::mem::replace(&mut *self.merged.lock().unwrap(), true);
        if first {
            let call = self.client.merge_shards().stream_name("events").shard_to_merge("shardId-000000000003");
            call.adjacent_shard_to_merge("shardId-000000000004").send().await.unwrap();
            println!("  merge");
        }
        first
    }

    /// Ends the load; everything that was put, in order.
    pub async fn stop(self) -> Vec<Put> {
        self.stop.store(true, Ordering::Relaxed);
        self.putting.join().await
    }
}

/// Puts all of them.
pub async fn put_all(endpoint: &str, records: &[Put], shape: Shape) {
    let aws = Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() }.load().await.unwrap();
    let client = aws.kinesis_client();
    for some in records.chunks(200) {
        put(&client, some, shape).await;
    }
}

/// One call. Where one partition reads all shards, partition keys are many, so that no shard stays empty: with `idle: wait` an empty one
/// would hold every window back.
async fn put(client: &Client, records: &[Put], shape: Shape) {
    let entry = |put: &Put| {
        let data = json!({ "ad": put.ad, "amount": put.amount, "at": put.at_ms }).to_string();
        PutRecordsRequestEntry::builder()
            .data(Blob::new(data))
            .partition_key(if shape == Shape::PerShard { put.ad.clone() } else { put.amount.to_string() })
            .build()
            .unwrap()
    };
    let entries: Vec<_> = records.iter().map(entry).collect();
    let answer = client.put_records().stream_name("events").set_records(Some(entries)).send().await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0), "the emulator refused records");
}
