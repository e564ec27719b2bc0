//! Another owner of a partition whose state is large: one that is asked for, and one that comes after a death.
//!
//! Times end with the first epoch of the new owner: only then it is known to have read, computed and committed.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use pelton::{
    checkpoint::manifest::{BlockRef, Manifest},
    clock,
    task::Task,
};
use serde_json::json;

use super::{
    chronicle::{Chronicle, Seen},
    load,
    rows::Figures,
    scene::{Scene, Setting, folder_store},
    worker::{Worker, pelton},
};

const SHARD: &str = "shardId-000000000000";
const PARTITION: &str = "events/shardId-000000000000";
/// The largest state is there, or with another owner, within this time.
const PATIENCE: Duration = Duration::from_secs(900);
/// A worker that has started looks at the lease table by then.
const JOINED: Duration = Duration::from_secs(5);
/// Blocks of the state are merged by then.
const MERGED: Duration = Duration::from_secs(20);
/// Records a second that come in meanwhile, so that there are epochs.
const STEADY: usize = 10;

const MIB: f64 = (1 << 20) as f64;

fn blocks_mib(manifest: &Manifest) -> f64 {
    manifest.state.iter().map(|block| block.bytes).sum::<u64>() as f64 / MIB
}

/// A partition with its state, run by one worker.
struct Owned {
    scene: Scene,
    chronicle: Chronicle,
    worker: Worker,
    _load: Task<()>,
}

impl Owned {
    async fn new(mib: u64) -> Result<Self> {
        let scene = Scene::new(&Setting { shards: 1, every: "1s", store: folder_store(), leases: true }).await?;
        let rows = load::fill(&scene, mib)?;
        let worker = Worker::start(&scene, "first")?;
        let chronicle = Chronicle::begin(&scene.path().join("store"), PARTITION, scene.clock.clone())?;
        let load = load::steady(&scene, vec!["steady".to_owned()], STEADY);
        // each row comes once, and the steady load comes after them all
        let settled = |manifest: &Manifest| {
            let (whole, changes): (Vec<&BlockRef>, Vec<&BlockRef>) = manifest.state.iter().partition(|b| b.is_whole);
            let bytes = |blocks: &[&BlockRef]| blocks.iter().map(|block| block.bytes).sum::<u64>();
            manifest.state.iter().map(|block| block.rows).sum::<u64>() > rows && bytes(&changes) < bytes(&whole)
        };
        chronicle.wait_for(PATIENCE, settled).await.with_context(|| worker.last_words())?;
        // paces: merges that are under way come to their end
        clock::sleep(MERGED).await;
        let (_, manifest) = chronicle.last(|_| true).context("there is no manifest")?;
        eprintln!("bench: {mib} MiB of rows are {:.0} MiB of blocks", blocks_mib(&manifest));
        Ok(Self { scene, chronicle, worker, _load: load })
    }

    /// The newest manifest.
    fn newest(&self) -> Result<Manifest> {
        Ok(self.chronicle.last(|_| true).context("there is no manifest")?.1)
    }

    /// The claim that follows this fence, and the first epoch under it.
    async fn wait_for_owner(&self, after: u64) -> Result<(Seen, Seen)> {
        let claim = self.chronicle.wait_for(PATIENCE, |manifest| manifest.fence > after).await?;
        let own = |manifest: &Manifest| manifest.fence == claim.1.fence && manifest.epoch > claim.1.epoch;
        let first = self.chronicle.wait_for(PATIENCE, own).await?;
        Ok((claim, first))
    }
}

/// Moves the partition to a worker that has nothing of it, so often.
pub async fn hand_over(mib: u64, repeat: usize) -> Result<Vec<Figures>> {
    let mut owned = Owned::new(mib).await?;
    let mut all = Vec::new();
    for number in 0..repeat {
        let next = Worker::start(&owned.scene, &format!("next-{number}"))?;
        let name = next.wait_for_word("this worker is called ").await?;
        // paces: the new worker is one of the fleet before it is asked for
        clock::sleep(JOINED).await;
        let fence = owned.newest()?.fence;
        let (asked, cpu) = (owned.scene.clock.elapsed(), next.cpu_s()?);
        let mut command = pelton(&owned.scene, &["leases", "move", "job.yaml", SHARD, "--to", &name, "--force"]);
        let mut command = command.stdout(Stdio::null()).spawn()?;
        let (claim, first) = owned.wait_for_owner(fence).await.with_context(|| next.last_words())?;
        let cpu = next.cpu_s()? - cpu;
        ensure!(command.wait()?.success(), "the lease was not moved");
        let last = owned.chronicle.last(|manifest| manifest.fence == fence).context("nobody owned it before")?;
        let figures = json!({
            "s from the request to the first epoch": (first.0 - asked).as_secs_f64(),
            "s of these until the last epoch of the owner before": last.0.saturating_sub(asked).as_secs_f64(),
            "s of these in which nobody runs it": (first.0 - last.0).as_secs_f64(),
            "s of these from the claim on": (first.0 - claim.0).as_secs_f64(),
            "MiB of blocks loaded": blocks_mib(&claim.1),
            "CPU s of the new owner": cpu,
            "MiB resident in the new owner, at most": next.memory_mib("VmHWM")?,
        });
        all.extend(figures.as_object().cloned());
        std::mem::replace(&mut owned.worker, next).remove()?;
    }
    Ok(all)
}

/// Kills the only worker and starts it again, with its own copy of the state and without, so often.
pub async fn recovery(mib: u64, repeat: usize) -> Result<Vec<Figures>> {
    let mut owned = Owned::new(mib).await?;
    let mut all = Vec::new();
    for _ in 0..repeat {
        let mut figures = Figures::new();
        for with in ["own folder", "empty folder"] {
            owned.worker.kill()?;
            if with == "empty folder" {
                std::fs::remove_dir_all(owned.scene.path().join("first"))?;
            }
            let (fence, began) = (owned.newest()?.fence, owned.scene.clock.elapsed());
            owned.worker = Worker::start(&owned.scene, "first")?;
            let (claim, first) = owned.wait_for_owner(fence).await.with_context(|| owned.worker.last_words())?;
            let figure = |what: &str| format!("{with}: {what}");
            figures.insert(figure("s from the start to the first epoch"), json!((first.0 - began).as_secs_f64()));
            figures.insert(figure("s of these from the claim on"), json!((first.0 - claim.0).as_secs_f64()));
            figures.insert(figure("CPU s"), json!(owned.worker.cpu_s()?));
            figures.insert(figure("MiB resident, at most"), json!(owned.worker.memory_mib("VmHWM")?));
            // paces: the worker runs for a while as workers do, and its store comes to rest
            clock::sleep(JOINED).await;
        }
        all.push(figures);
    }
    Ok(all)
}
