//! What a worker takes that holds many shards in which nothing comes: subscriptions, leases, and hardly an epoch.

use std::time::Duration;

use anyhow::{Context, Result};
use pelton::{clock, job::live::status::Status};
use serde_json::{Value, json};

use super::{
    rows::Figures,
    scene::{LEASE, Scene, Setting, folder_store},
    worker::{Worker, pelton},
};

const SETTLE: Duration = Duration::from_secs(30);
const MEASURE: Duration = Duration::from_secs(60);
/// Until every partition runs.
const BEGUN: Duration = Duration::from_secs(300);

/// What the lease rows have counted: each write of a lease counts one up.
fn writes(scene: &Scene) -> Result<u64> {
    let said = pelton(scene, &["leases", "list", "job.yaml", "--format", "json"]).output()?;
    let said: Value = serde_json::from_slice(&said.stdout)?;
    let rows = said["leases"].as_array().context("there are no leases")?;
    Ok(rows.iter().filter_map(|row| row["counter"].as_u64()).sum())
}

fn epochs(status: &Status) -> u64 {
    status.partitions.values().filter_map(|partition| Some(partition.now.as_ref()?.epoch)).sum()
}

/// One worker, so many shards, nothing comes.
pub async fn idle(shards: u32) -> Result<Figures> {
    let scene = Scene::new(&Setting { shards, every: "10s", store: folder_store(), leases: true }).await?;
    let began = scene.clock.elapsed();
    let worker = Worker::start(&scene, "worker")?;
    let runs = |status: &Status| status.partitions.values().filter(|one| one.now.is_some()).count() == shards as usize;
    worker.wait_for(BEGUN, runs).await?;
    let begun = scene.clock.elapsed() - began;
    // paces: what came with the beginning is over
    clock::sleep(SETTLE).await;
    let (counted, from, done) = (writes(&scene)?, worker.cpu_s()?, epochs(&worker.status().await?));
    // paces: what is measured takes this long
    clock::sleep(MEASURE).await;
    let (cpu_s, resident) = (worker.cpu_s()? - from, worker.memory_mib("VmRSS")?);
    let (epochs, writes) = (epochs(&worker.status().await?) - done, writes(&scene)? - counted);
    let leases = MEASURE.as_secs_f64() / LEASE.as_secs_f64() * f64::from(shards);
    let figures = json!({
        "s until all of them run": begun.as_secs_f64(),
        "MiB resident (wanted: below 300)": resident,
        "% of a core (wanted: below 2)": cpu_s / MEASURE.as_secs_f64() * 100.0,
        "epochs an hour of a shard": epochs as f64 / f64::from(shards) * 3600.0 / MEASURE.as_secs_f64(),
        "writes of a lease in its duration": writes as f64 / leases,
    });
    Ok(figures.as_object().cloned().unwrap_or_default())
}
