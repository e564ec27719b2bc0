//! Workers of one job as processes in one folder: started, hurt, asked to end; and the streams that they read and fill.
//!
//! Left to others: where the store is, what becomes of it, and in which order things happen.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use pelton::{
    clock::{self, Clock},
    error::Kind,
    state::key,
};
use pelton_emulator::{
    Options, Running, start,
    store::{Entry, Shard},
};

use crate::chaos::{load::Put, verdict::progress};

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
checkpoint: { every: 200ms, STORE }
leases: { dynamodb: {}, duration: 1s }
"#;

/// With the streams of the job.
pub async fn emulator(shards: u32) -> Running {
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
pub struct Fleet {
    folder: PathBuf,
    endpoint: String,
    pub workers: Vec<Child>,
}

impl Fleet {
    /// `store` is what the job file says of it.
    pub fn new(folder: &Path, endpoint: &str, store: &str, workers: usize) -> Self {
        std::fs::write(folder.join("job.yaml"), JOB.replace("STORE", store)).unwrap();
        let mut fleet = Self { folder: folder.to_owned(), endpoint: endpoint.to_owned(), workers: Vec::new() };
        for _ in 0..workers {
            let worker = fleet.start();
            fleet.workers.push(worker);
        }
        fleet
    }

    pub fn start(&self) -> Child {
        self.start_with(&[])
    }

    /// Starts one with more arguments.
    pub fn start_with(&self, more: &[&str]) -> Child {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        // a long campaign runs a copy that no build replaces
        let program = std::env::var("PELTON_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_pelton").to_owned());
        let mut command = Command::new(program);
        command.args(["run", "job.yaml", "--endpoint", &self.endpoint]).args(more);
        command.current_dir(&self.folder).stderr(log).spawn().unwrap()
    }

    pub fn signal(&self, worker: usize, signal: &str) {
        let id = self.workers[worker].id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Workers that are started from now on find the streams here.
    pub fn reach(&mut self, endpoint: &str) {
        endpoint.clone_into(&mut self.endpoint);
    }

    /// SIGKILL, and another one in its place.
    pub fn kill(&mut self, worker: usize) {
        self.workers[worker].kill().unwrap();
        self.workers[worker].wait().unwrap();
        self.workers[worker] = self.start();
    }

    /// SIGTERM: it commits, gives its leases back and exits with 0; another one in its place.
    pub async fn ask(&mut self, worker: usize) {
        self.signal(worker, "-TERM");
        wait_for_end(&mut self.workers[worker], &self.folder).await;
        self.workers[worker] = self.start();
    }

    /// A worker that could not reach its store when it was started has said so and ended: another one in its place.
    pub fn replace_those_that_gave_up(&mut self) {
        for worker in 0..self.workers.len() {
            if let Some(status) = self.workers[worker].try_wait().unwrap() {
                let away = i32::from(Kind::Unavailable.exit_code());
                assert_eq!(status.code(), Some(away), "a worker ended by itself\n{}", self.log());
                self.workers[worker] = self.start();
            }
        }
    }

    pub async fn end(mut self) {
        for worker in 0..self.workers.len() {
            self.signal(worker, "-TERM");
        }
        for worker in &mut self.workers {
            wait_for_end(worker, &self.folder).await;
        }
    }

    /// The last words of the workers.
    pub fn log(&self) -> String {
        log(&self.folder)
    }

    /// All that workers have said in this folder.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
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

/// The last words of the workers of a folder, without their figures.
pub fn log(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    let words = log.lines().filter(|line| !line.contains(" records/s, "));
    words.rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
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

pub async fn wait_for_windows(fleet: &Fleet, put: &[Put]) {
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
pub fn flush(emulator: &Running) {
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
