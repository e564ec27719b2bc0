//! A fleet of real processes: three workers share shards under a load while they are killed, stopped, asked to end and started again, and
//! shards split and merge. What they delivered together must be what a naive computation says.
//!
//! `PELTON_FLEET_KILLS` is the number of blows (20 without it) where the store is a folder that all workers share, `PELTON_S3_KILLS` (6)
//! where it is a bucket; there the server is killed too, and answers are lost. `PELTON_SEED` repeats their plan. Leases lie in the
//! emulator's DynamoDB.

mod outage;
mod stopped;
mod workers;

use std::time::Duration;

use pelton::clock;
use workers::{Fleet, emulator, flush, wait_for_windows};

use crate::{
    chaos::{
        Dice,
        load::{Load, Put, Shape},
        number,
        verdict::{judge_fleet, sorted_lines},
    },
    objects::{
        proxy::{Proxy, Wire},
        server::{BUCKET, Server},
    },
};

/// A store that is a folder beside the job file.
const FOLDER: &str = "store: store";

/// A bucket that is reached over a wire that can break.
struct Bucket {
    server: Server,
    proxy: Proxy,
}

impl Bucket {
    async fn start() -> Option<Self> {
        let server = Server::start().await?;
        let proxy = Proxy::start(server.addr).await;
        Some(Self { server, proxy })
    }

    /// What the job file says of it.
    fn store(&self) -> String {
        format!("store: \"s3://{BUCKET}/fleet\", endpoint: \"{}\"", self.proxy.endpoint())
    }

    /// The server dies for a while, or what it answers is lost for a while.
    async fn hurt(&mut self, dice: &mut Dice) {
        let time = Duration::from_millis(100 + dice.below(2_000));
        if dice.below(2) == 0 {
            println!("  the S3 server is gone for {time:?}");
            self.server.stop();
            // paces: the time for which it is gone
            clock::sleep(time).await;
            self.server.start_again().await;
        } else {
            println!("  answers of S3 are lost for {time:?}");
            self.proxy.set(Wire::NoAnswers);
            // paces: the time in which answers are lost
            clock::sleep(time).await;
            self.proxy.set(Wire::Whole);
        }
    }
}

/// So many blows, in campaigns of twenty at most.
async fn campaigns(mut blows: u64, bucket: &mut Option<Bucket>) {
    let seed = number("PELTON_SEED").unwrap_or_else(pelton::random::bits) | 1;
    println!("PELTON_SEED={seed}");
    let mut dice = Dice(seed);
    while blows > 0 {
        let some = blows.min(20);
        blows -= some;
        campaign(some, &mut dice, bucket).await;
        if let Some(bucket) = bucket {
            bucket.server.empty();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_that_are_killed_and_stopped_lose_and_repeat_nothing() {
    campaigns(number("PELTON_FLEET_KILLS").unwrap_or(20), &mut None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_over_a_bucket_lose_and_repeat_nothing() {
    let Some(bucket) = Bucket::start().await else { return };
    campaigns(number("PELTON_S3_KILLS").unwrap_or(6), &mut Some(bucket)).await;
}

/// One worker is hit.
async fn strike(fleet: &mut Fleet, dice: &mut Dice, how: u64) {
    let worker = dice.below(3) as usize;
    match how {
        0..=3 => fleet.kill(worker),
        4 => fleet.ask(worker).await,
        _ => {
            let time = Duration::from_millis(200 + dice.below(3_500));
            println!("  worker {worker} is stopped for {time:?}");
            fleet.signal(worker, "-STOP");
            // paces: the time for which it is stopped, up to more than three leases
            clock::sleep(time).await;
            fleet.signal(worker, "-CONT");
        }
    }
}

async fn campaign(blows: u64, dice: &mut Dice, bucket: &mut Option<Bucket>) {
    let emulator = emulator(3).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let store = bucket.as_ref().map_or_else(|| FOLDER.to_owned(), Bucket::store);
    let mut fleet = Fleet::new(folder.path(), &endpoint, &store, 3);
    for blow in 0..blows {
        // paces: the time between two blows
        clock::sleep(Duration::from_millis(300 + dice.below(2_500))).await;
        fleet.replace_those_that_gave_up();
        match (dice.below(if bucket.is_some() { 12 } else { 8 }), &mut *bucket) {
            (8.., Some(bucket)) => bucket.hurt(dice).await,
            (how, _) => strike(&mut fleet, dice, how).await,
        }
        if blow == blows / 3 {
            load.split_once().await;
        }
        if blow == 2 * blows / 3 {
            load.merge_once().await;
        }
    }
    let put = load.stop().await;
    fleet.replace_those_that_gave_up();
    flush(&emulator);
    wait_for_windows(&fleet, &put).await;
    fleet.end().await;
    let windows = judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
    println!("  {} records, {windows} windows after {blows} blows: exact", put.len());
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_many_workers_there_are_the_windows_are_the_same() {
    let mut results: Vec<Vec<String>> = Vec::new();
    for workers in [1, 2, 3, 5] {
        let emulator = emulator(6).await;
        let folder = tempfile::tempdir().unwrap();
        let endpoint = format!("http://{}", emulator.addr());
        let put: Vec<Put> = (0..1_500).map(|n| crate::chaos::load::record(n, Shape::PerShard)).collect();
        crate::chaos::load::put_all(&endpoint, &put, Shape::PerShard).await;
        let fleet = Fleet::new(folder.path(), &endpoint, FOLDER, workers);
        flush(&emulator);
        wait_for_windows(&fleet, &put).await;
        fleet.end().await;
        judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
        results.push(sorted_lines(&folder.path().join("out")));
        emulator.stop().await;
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "another number of workers gives other windows");
}
