//! A fleet of real processes: three workers share shards under a load while they are killed, stopped, asked to end and started again, and
//! shards split and merge. What they delivered together must be what a naive computation says.
//!
//! `PELTON_FLEET_KILLS` is the number of blows (20 without it), `PELTON_SEED` repeats their plan. State lies in a folder that all workers
//! share, leases in the emulator's DynamoDB.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use pelton::{
    clock::{self, Clock},
    state::key,
};
use pelton_emulator::{
    Options, Running, start,
    store::{Entry, Shard},
};

use crate::chaos::{
    Dice,
    load::{Load, Put, Shape},
    number,
    verdict::{judge_fleet, progress, sorted_lines},
};

const JOB: &str = r#"
pelton: v1
job: fleet
sources:
  events:
    kinesis: { stream: events, start: trim_horizon }
    format: { json: { fields: { ad: text, amount: int64, at: timestamp } } }
    partition_key: ad
    time: { field: at, out_of_order: 2s, idle: wait }
steps:
  kept:
    from: events
    filter: "amount % 5 <> 0"
  per_ad:
    from: kept
    key: ad
    window: { tumbling: 5s }
    aggregate: { n: count, total: sum(amount), least: min(amount), most: max(amount) }
sinks:
  files:
    from: per_ad
    file: { path: out, roll: { every: 1s, size: 4KiB } }
  stream:
    from: per_ad
    kinesis: { stream: results, key: ad }
checkpoint: { every: 200ms, store: store }
leases: { dynamodb: {}, duration: 1s }
"#;

async fn emulator(shards: u32) -> Running {
    let options = Options {
        streams: vec![("events".into(), shards), ("results".into(), 2)],
        subscription: Duration::from_secs(2),
        takeover_after: Duration::from_millis(100),
        call_interval: Duration::from_millis(20),
        ..Options::default()
    };
    start(options).await.unwrap()
}

/// Workers of one job in one folder.
struct Fleet {
    folder: PathBuf,
    endpoint: String,
    workers: Vec<Child>,
}

impl Fleet {
    fn new(folder: &Path, endpoint: &str, workers: usize) -> Self {
        std::fs::write(folder.join("job.yaml"), JOB).unwrap();
        let mut fleet = Self { folder: folder.to_owned(), endpoint: endpoint.to_owned(), workers: Vec::new() };
        for _ in 0..workers {
            let worker = fleet.start();
            fleet.workers.push(worker);
        }
        fleet
    }

    fn start(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        // a long campaign runs a copy that no build replaces
        let program = std::env::var("PELTON_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_pelton").to_owned());
        let mut command = Command::new(program);
        command.args(["run", "job.yaml", "--endpoint", &self.endpoint]);
        command.current_dir(&self.folder).stderr(log).spawn().unwrap()
    }

    fn signal(&self, worker: usize, signal: &str) {
        let id = self.workers[worker].id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// SIGKILL, and another one in its place.
    fn kill(&mut self, worker: usize) {
        self.workers[worker].kill().unwrap();
        self.workers[worker].wait().unwrap();
        self.workers[worker] = self.start();
    }

    /// SIGTERM: it commits, gives its leases back and exits with 0; another one in its place.
    async fn ask(&mut self, worker: usize) {
        self.signal(worker, "-TERM");
        wait_for_end(&mut self.workers[worker], &self.folder).await;
        self.workers[worker] = self.start();
    }

    async fn end(mut self) {
        for worker in 0..self.workers.len() {
            self.signal(worker, "-TERM");
        }
        for worker in &mut self.workers {
            wait_for_end(worker, &self.folder).await;
        }
    }

    fn log(&self) -> String {
        log(&self.folder)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn log(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
}

async fn wait_for_end(worker: &mut Child, folder: &Path) {
    for _ in 0..3000 {
        if let Some(status) = worker.try_wait().unwrap() {
            use std::os::unix::process::ExitStatusExt;
            // Asked before it listens for signals, a process ends by the signal itself.
            assert!(status.success() || status.signal() == Some(15), "asked to end: {status}\n{}", log(folder));
            return;
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    panic!("a worker does not end within 30 s when asked\n{}", log(folder));
}

async fn wait_for_windows(fleet: &Fleet, put: &[Put]) {
    let mut last = (0, 0);
    for _ in 0..900 {
        last = progress(&fleet.folder.join("out"), put);
        if last.0 >= last.1 {
            return;
        }
        clock::sleep(Duration::from_millis(200)).await;
    }
    panic!("{} of {} windows have fired after three minutes\n{}", last.0, last.1, fleet.log());
}

/// Moves event time far ahead in every open shard, so that every window of the load fires.
fn flush(emulator: &Running) {
    let store = emulator.store();
    let now = u64::try_from(clock::SystemClock::new().wall_us() / 1000).unwrap();
    let open = store.with_stream("events", |stream| {
        let open = stream.shards.iter().filter(|shard: &&Shard| shard.closed.is_none());
        Ok(open.map(|shard| shard.range).collect::<Vec<_>>())
    });
    for range in open.unwrap() {
        let lies = |name: &String| range.contains(u128::from_be_bytes(key::hash(name.as_bytes())));
        let ad = (0..).map(|number| format!("flush{number}")).find(lies).unwrap();
        let data = serde_json::json!({ "ad": ad, "amount": 1, "at": 1_700_864_000_000u64 }).to_string();
        let entry = Entry { data: data.into(), partition_key: ad, explicit_hash_key: None };
        store.put_records(now, "events", vec![entry]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_that_are_killed_and_stopped_lose_and_repeat_nothing() {
    let blows = number("PELTON_FLEET_KILLS").unwrap_or(20);
    let seed = number("PELTON_SEED").unwrap_or_else(pelton::random::bits) | 1;
    println!("PELTON_SEED={seed}");
    let mut dice = Dice(seed);
    let mut left = blows;
    while left > 0 {
        let some = left.min(20);
        left -= some;
        campaign(some, &mut dice).await;
    }
}

async fn campaign(blows: u64, dice: &mut Dice) {
    let emulator = emulator(3).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let load = Load::start(&endpoint, Shape::PerShard).await;
    let mut fleet = Fleet::new(folder.path(), &endpoint, 3);
    for blow in 0..blows {
        // paces: the time between two blows
        clock::sleep(Duration::from_millis(300 + dice.below(2_500))).await;
        let worker = dice.below(3) as usize;
        match dice.below(8) {
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
        if blow == blows / 3 {
            load.split_once().await;
        }
        if blow == 2 * blows / 3 {
            load.merge_once().await;
        }
    }
    let put = load.stop().await;
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
        let fleet = Fleet::new(folder.path(), &endpoint, workers);
        flush(&emulator);
        wait_for_windows(&fleet, &put).await;
        fleet.end().await;
        judge_fleet(&folder.path().join("out"), &endpoint, &put).await;
        results.push(sorted_lines(&folder.path().join("out")));
        emulator.stop().await;
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "another number of workers gives other windows");
}
