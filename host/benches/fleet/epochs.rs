//! What an epoch costs: the same small load over some partitions, with epochs of a second in several places and with almost none.
//!
//! The rule: what is said of an epoch is the difference to a worker that reads the same and hardly ever commits.

use std::time::Duration;

use anyhow::Result;
use pelton::{clock, job::live::status::Status};
use serde_json::json;

use super::{
    bucket::{Bucket, Requests},
    load,
    rows::Figures,
    scene::{Scene, Setting, folder_store},
    worker::Worker,
};

/// Records a second over all shards: two for each shard of a hundred.
const LOAD: usize = 200;
/// Keys over all shards.
const KEYS: usize = 1_000;
/// The worker runs so long before it is measured: long enough that blocks are merged.
const SETTLE: Duration = Duration::from_secs(20);
const MEASURE: Duration = Duration::from_secs(40);
/// Until every partition runs.
const BEGUN: Duration = Duration::from_secs(120);

/// What a worker took while it was measured.
#[derive(Debug)]
struct Took {
    cpu_s: f64,
    /// of all partitions
    epochs: f64,
    requests: Option<Requests>,
}

fn epochs(status: &Status) -> u64 {
    status.partitions.values().filter_map(|partition| Some(partition.now.as_ref()?.epoch)).sum()
}

async fn measure(shards: u32, every: &'static str, store: Option<String>, bucket: Option<&Bucket>) -> Result<Took> {
    let scene = Scene::new(&Setting { shards, every, store, leases: false }).await?;
    let worker = Worker::start(&scene, "worker")?;
    let runs = |status: &Status| status.partitions.values().filter(|one| one.now.is_some()).count() == shards as usize;
    worker.wait_for(BEGUN, runs).await?;
    let _load = load::steady(&scene, load::keys(&scene, KEYS / shards as usize)?, LOAD);
    // paces: epochs and merges are in their rhythm
    clock::sleep(SETTLE).await;
    let before = (worker.cpu_s()?, epochs(&worker.status().await?), bucket.map(Bucket::requests).transpose()?);
    // paces: what is measured takes this long
    clock::sleep(MEASURE).await;
    let after = (worker.cpu_s()?, epochs(&worker.status().await?), bucket.map(Bucket::requests).transpose()?);
    Ok(Took {
        cpu_s: after.0 - before.0,
        epochs: (after.1 - before.1) as f64,
        requests: after.2.zip(before.2).map(|(after, before)| after.since(&before)),
    })
}

/// Epochs of so many partitions, each with a shard of its own, where state is the worker's alone, in a folder, and in a bucket.
pub async fn cost(shards: u32) -> Result<Figures> {
    let mut figures = Figures::new();
    let base = measure(shards, "10m", None, None).await?.cpu_s;
    figures.insert("no epochs: % of a core".to_owned(), json!(base / MEASURE.as_secs_f64() * 100.0));
    let bucket = Bucket::start().await?;
    let mut places = vec![("own state", None), ("folder", folder_store())];
    places.extend(bucket.iter().map(|bucket| ("bucket", Some(bucket.store()))));
    for (place, store) in places {
        let took = measure(shards, "1s", store, bucket.as_ref().filter(|_| place == "bucket")).await?;
        let mut figure = |what: &str, value: f64| figures.insert(format!("{place}: {what}"), json!(value));
        figure("% of a core", took.cpu_s / MEASURE.as_secs_f64() * 100.0);
        figure("epochs a second, all partitions", took.epochs / MEASURE.as_secs_f64());
        figure("CPU ms an epoch of a partition", (took.cpu_s - base) / took.epochs * 1e3);
        let Some(requests) = took.requests else { continue };
        figure("bytes an epoch of a partition", requests.bytes as f64 / took.epochs);
        for (kind, number) in &requests.kinds {
            figure(&format!("{kind} an epoch of a partition"), *number as f64 / took.epochs);
        }
        let all: u64 = requests.kinds.values().sum();
        figure("requests an hour, all partitions", all as f64 / MEASURE.as_secs_f64() * 3600.0);
    }
    Ok(figures)
}
