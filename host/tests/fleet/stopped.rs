//! A worker that is stopped with everything in its hands: a file that is open, a request to Kinesis that is under way, and an epoch that
//! waits for it. Another one takes over; then the first wakes up.
//!
//! The rule: one of the two commits. The one that wakes up sends nothing more: not what it was about to send, and not again what was under
//! way, although its connection broke meanwhile, which the SDK would mend by sending it once more.

use std::{path::Path, time::Duration};

use pelton::{
    checkpoint::ledger::remote::{manifest_in, newest_in, numbers},
    clock,
    objects::folder::FolderObjects,
};

use super::{
    FOLDER,
    workers::{Fleet, emulator, flush, wait_for_windows},
};
use crate::{
    chaos::{
        load::{Load, Shape},
        verdict::judge_fleet,
    },
    objects::proxy::{Proxy, Wire},
};

/// How long the service takes for an answer to the first worker.
const SLOW: Duration = Duration::from_secs(3);
const PARTITION: &str = "events/shardId-000000000000";

/// A hidden file of results that has something in it.
fn has_open_file(folder: &Path) -> bool {
    let staging = folder.join("out/_pelton/staging");
    let files = std::fs::read_dir(staging).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).any(|file| file.is_file() && file.len() > 0)
}

/// Number, fence and epoch of each manifest that is kept.
async fn manifests(folder: &Path) -> Vec<(u64, u64, u64)> {
    let objects = FolderObjects::open(&folder.join("store")).unwrap();
    let mut all = Vec::new();
    for (number, _) in numbers(&objects, "fleet", PARTITION).await.unwrap() {
        if let Some(manifest) = manifest_in(&objects, "fleet", PARTITION, number).await.unwrap() {
            all.push((number, manifest.fence, manifest.epoch));
        }
    }
    all
}

async fn newest(folder: &Path) -> (u64, u64) {
    let objects = FolderObjects::open(&folder.join("store")).unwrap();
    let newest = newest_in(&objects, "fleet", PARTITION).await.unwrap();
    newest.map_or((0, 0), |newest| (newest.fence, newest.epoch))
}

/// Polls for a minute.
async fn until(what: &str, fleet: &Fleet, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..3_000 {
        if holds().await {
            return;
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within a minute\n{}", fleet.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_up_sends_nothing_of_what_it_held() {
    let emulator = emulator(1).await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let endpoint = format!("http://{}", emulator.addr());
    let wire = Proxy::start(emulator.addr()).await;
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder, &wire.endpoint(), FOLDER, 1);
    let slow = format!("PutRecords@results:delay={}", SLOW.as_millis());
    until("the first worker delivers", &fleet, async || wire.puts() > 0).await;
    emulator.faults().replace(vec![slow.parse().unwrap()]);
    let before = wire.puts();
    let in_hand = || wire.puts() > before && wire.since_put() < Some(SLOW / 4) && has_open_file(folder);
    until("a file is open and a request is under way", &fleet, async || in_hand()).await;
    fleet.signal(0, "-STOP");
    let (sent, first) = (wire.puts(), newest(folder).await);
    assert!(wire.since_put() < Some(SLOW / 2), "the request was answered before the worker was stopped");

    emulator.faults().replace(Vec::new());
    fleet.reach(&endpoint);
    let second = fleet.start();
    fleet.workers.push(second);
    until("the second worker commits", &fleet, async || {
        let now = newest(folder).await;
        now.0 > first.0 && now.1 > first.1 + 3
    })
    .await;
    wire.set(Wire::Cut);
    // paces: the connection is closed while the worker cannot see it
    clock::sleep(Duration::from_millis(200)).await;
    wire.set(Wire::Whole);
    fleet.signal(0, "-CONT");
    let woken = newest(folder).await;
    until("the second worker goes on", &fleet, async || newest(folder).await.1 > woken.1 + 10).await;

    assert_eq!(wire.puts(), sent, "the first worker has sent results after its permit had ended\n{}", fleet.log());
    let kept = manifests(folder).await;
    assert!(kept.iter().all(|(_, fence, _)| *fence == woken.0), "two have committed: {kept:?}");
    assert!(kept.is_sorted() && kept.windows(2).all(|pair| pair[0].2 <= pair[1].2), "{kept:?}");
    let put = load.stop().await;
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    fleet.end().await;
    judge_fleet(&folder.join("out"), &endpoint, &put).await;
    emulator.stop().await;
}
