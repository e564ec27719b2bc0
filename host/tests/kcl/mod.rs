//! The real Kinesis Client Library and jobs of Pelton take turns over one lease table of the emulator.
//!
//! The rule that both must keep: whoever comes goes on behind the checkpoints of whoever left. So what each of them reads in its turn is
//! known exactly: what was not checkpointed before, each record once.

mod reader;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use pelton::clock::{self, Clock, SystemClock};
use pelton_emulator::{Options, Running, store::Entry};
use serde_json::{Value, json};

use crate::chaos::verdict::sorted_lines;
use reader::{Reader, Retrieval};

const STREAM: &str = "events";
const TABLE: &str = "orders";

/// Without state: it follows its lease rows.
const FILTER: &str = r#"
  kept:
    from: events
    filter: "n > 0"
"#;
/// With state.
const WINDOW: &str = r#"
  kept:
    from: events
    key: k
    window: { tumbling: 5s }
    aggregate: { n: count }
"#;

fn job(step: &str) -> String {
    format!(
        r#"
pelton: v1
job: turns
sources:
  events:
    kinesis: {{ stream: {STREAM} }}
    format: {{ json: {{ fields: {{ n: int64, k: text, at: timestamp }} }} }}
    partition_key: k
    time: {{ field: at, out_of_order: 1s }}
steps:{step}
sinks:
  files:
    from: kept
    file: {{ path: out, roll: {{ every: 200ms, size: 4KiB }} }}
checkpoint: {{ every: 200ms, store: store }}
leases: {{ dynamodb: {{ table: {TABLE} }}, duration: 2s }}
"#
    )
}

/// A stream, a lease table, and the folder of a job that works with both.
struct Scene {
    emulator: Running,
    folder: tempfile::TempDir,
    put: i64,
}

impl Scene {
    async fn new(shards: u32, step: &str) -> Self {
        let options = Options { streams: vec![(STREAM.into(), shards)], ..Options::default() };
        let emulator = pelton_emulator::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("job.yaml"), job(step)).unwrap();
        Self { emulator, folder, put: 0 }
    }

    fn now() -> u64 {
        u64::try_from(SystemClock::new().wall_us() / 1000).unwrap()
    }

    /// Puts so many records with the next numbers, which it returns.
    fn put(&mut self, count: i64, note: &str) -> Vec<i64> {
        let numbers: Vec<i64> = (self.put + 1..=self.put + count).collect();
        self.put += count;
        let entry = |n: &i64| {
            let (key, at) = (format!("k{n}"), 1_700_000_000_000 + n * 100);
            let data = json!({ "n": n, "k": key, "at": at, "note": note }).to_string();
            Entry { data: data.into(), partition_key: key, explicit_hash_key: None }
        };
        self.emulator.store().put_records(Self::now(), STREAM, numbers.iter().map(entry).collect()).unwrap();
        numbers
    }

    /// Splits a shard in its middle.
    fn split(&self, shard: u32) {
        let store = self.emulator.store();
        let range = store.with_stream(STREAM, |stream| Ok(stream.shards[shard as usize].range)).unwrap();
        let middle = range.start + (range.end - range.start) / 2 + 1;
        store.split_shard(Self::now(), STREAM, &id(shard), &middle.to_string()).unwrap();
    }

    fn merge(&self, shard: u32, adjacent: u32) {
        self.emulator.store().merge_shards(Self::now(), STREAM, &id(shard), &id(adjacent)).unwrap();
    }

    fn reader(&self, library: &Path, name: &str, retrieval: Retrieval) -> Reader {
        Reader::start(library, self.folder.path(), name, retrieval, self.emulator.addr())
    }

    fn worker(&self, more: &[&str]) -> Worker {
        Worker::start(self.folder.path(), &format!("http://{}", self.emulator.addr()), more)
    }

    /// The numbers of the records in the job's files, sorted.
    fn shown(&self) -> Vec<i64> {
        let out = self.folder.path().join("out");
        let lines = if out.exists() { sorted_lines(&out) } else { Vec::new() };
        let number = |line: &String| serde_json::from_str::<Value>(line).unwrap()["n"].as_i64().unwrap();
        sorted(lines.iter().map(number))
    }

    async fn until_shown(&self, count: usize, worker: &mut Worker) {
        for _ in 0..1200 {
            if self.shown().len() >= count {
                return;
            }
            worker.still_runs();
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} of {count} records are shown after two minutes\n{}", self.shown().len(), worker.log());
    }

    /// The rows by their kind: those of leases, or those of the other kinds.
    fn rows(&self, leases: bool) -> Vec<Value> {
        let scan = self.emulator.tables().call(0, "Scan", &json!({ "TableName": TABLE })).unwrap();
        let mut rows = scan["Items"].as_array().unwrap().clone();
        rows.retain(|row| (row["entityType"]["S"] == "LEASE") == leases);
        rows.sort_by_key(|row| row["leaseKey"]["S"].to_string());
        rows
    }

    fn checkpoint(&self, shard: u32) -> String {
        let rows = self.rows(true);
        let row = rows.iter().find(|row| row["leaseKey"]["S"] == id(shard)).unwrap();
        row["checkpoint"]["S"].as_str().unwrap().to_owned()
    }
}

fn id(shard: u32) -> String {
    format!("shardId-{shard:012}")
}

fn sorted(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let mut numbers: Vec<i64> = numbers.into_iter().collect();
    numbers.sort_unstable();
    numbers
}

/// `pelton run` of the scene's job. Ends with this value.
struct Worker {
    process: Child,
    log: PathBuf,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Worker {
    fn start(folder: &Path, endpoint: &str, more: &[&str]) -> Self {
        let log = folder.join("job.log");
        let err = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.args(["run", "job.yaml", "--endpoint", endpoint]).args(more);
        Self { process: command.current_dir(folder).stderr(err).spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn still_runs(&mut self) {
        assert!(self.process.try_wait().unwrap().is_none(), "the job has ended\n{}", self.log());
    }

    async fn until_it_says(&mut self, words: &str) {
        for _ in 0..600 {
            if self.log().contains(words) {
                return;
            }
            self.still_runs();
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("it does not say `{words}` within a minute\n{}", self.log());
    }

    /// Asks it to end; what it has said.
    async fn stop(mut self) -> String {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.until_it_has_ended().await;
        self.log()
    }

    async fn until_it_has_ended(&mut self) {
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "asked to end: {status}\n{}", self.log());
                return;
            }
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("it does not end within a minute when asked\n{}", self.log());
    }
}

const FOLLOWS: &str = "it goes on behind record";

#[tokio::test(flavor = "multi_thread")]
async fn a_kinesis_client_library_and_a_job_take_turns_and_none_of_them_loses_or_repeats() {
    let Some(library) = reader::library() else { return };
    let mut scene = Scene::new(2, FILTER).await;

    // The library makes the table, and sees a shard end.
    let mut turn = scene.put(40, "");
    let mut reader = scene.reader(&library, "first", Retrieval::FanOut);
    reader.until_read(40).await;
    scene.split(0);
    turn.extend(scene.put(20, ""));
    reader.until_read(60).await;
    reader.until_ended(&id(0)).await;
    let unsaid = scene.put(20, "unsaid");
    reader.until_read(80).await;
    assert_eq!(sorted(reader.stop().await), [&turn[..], &unsaid].concat());
    assert_eq!(scene.checkpoint(0), "SHARD_END");
    let others = scene.rows(false);
    assert!(others.len() >= 2, "{others:?}");

    // The job begins behind the checkpoints, and merges what was split.
    let mut shown = unsaid;
    shown.extend(scene.put(20, ""));
    let mut worker = scene.worker(&[]);
    scene.until_shown(shown.len(), &mut worker).await;
    scene.merge(2, 3);
    shown.extend(scene.put(20, ""));
    scene.until_shown(shown.len(), &mut worker).await;
    let log = worker.stop().await;
    assert_eq!(log.matches(FOLLOWS).count(), 3, "{log}");
    assert_eq!(scene.shown(), shown, "{log}");
    assert_eq!(scene.rows(false), others);
    let held = |row: &Value| row["checkpoint"]["S"] != "SHARD_END" && row.get("leaseOwner").is_some();
    assert!(!scene.rows(true).iter().any(held), "{:?}", scene.rows(true));

    // The library goes on where the job stopped, and ends a shard of which the job has manifests.
    let mut turn = scene.put(20, "");
    let mut reader = scene.reader(&library, "second", Retrieval::Polling);
    reader.until_read(20).await;
    scene.split(1);
    turn.extend(scene.put(20, ""));
    reader.until_read(40).await;
    reader.until_ended(&id(1)).await;
    assert_eq!(sorted(reader.stop().await), turn);

    // The rows are further than the job's manifests.
    shown.extend(scene.put(20, ""));
    let mut worker = scene.worker(&[]);
    scene.until_shown(shown.len(), &mut worker).await;
    let log = worker.stop().await;
    assert_eq!(scene.shown(), shown, "{log}");
    scene.emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_state_goes_on_behind_what_a_kinesis_client_library_read_only_when_told() {
    let Some(library) = reader::library() else { return };
    let mut scene = Scene::new(1, WINDOW).await;
    scene.put(20, "");
    let mut worker = scene.worker(&[]);
    worker.until_it_says("this worker runs it from now on").await;
    until_committed(&scene, &mut worker).await;
    worker.stop().await;

    let turn = scene.put(10, "");
    let mut reader = scene.reader(&library, "first", Retrieval::FanOut);
    reader.until_read(10).await;
    assert_eq!(sorted(reader.stop().await), turn);

    let before = scene.checkpoint(0);
    let mut worker = scene.worker(&[]);
    worker.until_it_says("go on behind it all the same with --adopt-row").await;
    worker.stop().await;
    assert_eq!(scene.checkpoint(0), before);
    let mut worker = scene.worker(&["--adopt-row"]);
    worker.until_it_says(FOLLOWS).await;
    worker.stop().await;
    scene.emulator.stop().await;
}

/// Until the job's row says that something is done.
async fn until_committed(scene: &Scene, worker: &mut Worker) {
    for _ in 0..600 {
        if scene.checkpoint(0).starts_with('4') {
            return;
        }
        worker.still_runs();
        clock::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing is committed within a minute\n{}", worker.log());
}
