//! How long a partition stands still when its plugin is swapped under load: `pelton` as a process that reads from an emulator in this one.
//!
//! The rule: a measurement counts only if every record came out once and, where there is state, the counts of every key have neither gap
//! nor repeat. How long it stood still is what the worker says: from the end of its epoch until the new plugin may see a record.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use pelton::{
    clock::{self, Clock, SystemClock},
    task,
};
use pelton_emulator::{
    Options,
    store::{Entry, Store},
};
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;

use super::{
    crowd,
    measure::Spread,
    projects::{FILTERS, KEPT, pelton},
};

const STREAM: &str = "events";
/// Records of a call of the load, and the time until the next: 2,000 records a second.
const CALL: (u64, Duration) = (100, Duration::from_millis(50));
/// Keys of the state of 100 MiB: each has 1,008 bytes.
const KEYS: u64 = 104_000;
/// What is waited for comes within this time.
const PATIENCE: Duration = Duration::from_secs(300);

/// One kind of swap.
struct Kind {
    name: &'static str,
    shards: u32,
    step: &'static str,
    keys: u64,
    /// records a key before the first swap
    fill: bool,
}

const STATELESS: Kind = Kind {
    name: "transformer",
    shards: 2,
    step: "{ from: events, transform: { plugin: 0.wasm, config: { at_least: 0 }, on_error: stop } }",
    keys: 10_000,
    fill: false,
};
const KEYED: Kind = Kind {
    name: "100 MiB, changed schema",
    shards: 1,
    step: "{ from: events, key: id, transform: { plugin: 0.wasm, on_error: stop } }",
    keys: KEYS,
    fill: true,
};

/// Measures both kinds.
pub async fn table(folder: &Path, swaps: usize, is_json: bool) -> Result<()> {
    if !is_json {
        println!("\nswaps under load: ms that a partition stood still\n");
        println!(
            "{:<26} {:>6} {:>10} {:>8} {:>8} {:>8} {:>10}",
            "", "swaps", "partitions", "middle", "p99", "most", "records"
        );
    }
    let place = folder.join("swaps");
    fs::create_dir_all(&place)?;
    let built = FILTERS[1].build(&place)?;
    let (filter, _) = built.with_context(|| format!("{} cannot be built here", FILTERS[1].name))?;
    // a swap for the same component is none
    let filters = [0, 1].map(|number| crowd::other(&filter, &place, number));
    let [Ok(one), Ok(two)] = filters else { bail!("the filter cannot be copied") };
    measure(&place.join("stateless"), &STATELESS, [one, two], swaps, is_json).await?;
    let kept = KEPT.map(|project| project.build(&place));
    let [Ok(Some((one, _))), Ok(Some((two, _)))] = kept else { return Ok(()) };
    measure(&place.join("keyed"), &KEYED, [one, two], swaps, is_json).await
}

/// Killed when this is dropped.
struct Job(Child);

impl Drop for Job {
    fn drop(&mut self) {
        // one that has ended needs no signal
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(folder: &Path, kind: &Kind, plugins: [PathBuf; 2], swaps: usize, is_json: bool) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (number, plugin) in plugins.iter().enumerate() {
        fs::copy(plugin, folder.join(format!("{number}.wasm")))?;
    }
    fs::write(folder.join("job.yaml"), text(kind))?;
    let options = Options { streams: vec![(STREAM.to_owned(), kind.shards)], ..Options::default() };
    let emulator = pelton_emulator::start(options).await?;
    let endpoint = format!("http://{}", emulator.addr());
    let log = File::create(folder.join("log"))?;
    let run = ["run", "job.yaml", "--endpoint", &endpoint];
    let mut job = Job(Command::new(env!("CARGO_BIN_EXE_pelton")).args(run).current_dir(folder).stderr(log).spawn()?);

    let load = Load::start(emulator.store(), kind)?;
    let filled = if kind.fill { kind.keys } else { 1 };
    shown(folder, filled).await?;
    let mut stood = Vec::new();
    for swap in 1..=swaps {
        let to = format!("{}.wasm", swap % 2);
        let done = pelton(folder, &["swap", "job.yaml", "step", &to, "--format", "json"])?;
        let said: Json = serde_json::from_str(&done)?;
        let partitions = said["partitions"].as_object().context("`pelton swap` names no partitions")?;
        stood.extend(partitions.values().filter_map(|partition| partition["paused_ms"].as_f64()));
        // paces: some epochs of the new release, as long as the load is behind
        clock::sleep(Duration::from_millis(300)).await;
    }
    let put = load.stop().await?;
    shown(folder, put).await?;
    end(&mut job).await?;
    exact(&rows(folder)?, put, kind.fill)?;
    let partitions = stood.len() / swaps;
    show(kind.name, (swaps, partitions, put), stood, is_json)
}

fn text(kind: &Kind) -> String {
    format!(
        "pelton: v1\njob: swaps\nsources:\n  events:\n    kinesis: {{ stream: {STREAM}, start: trim_horizon }}\n    format: {{ json: {{ \
         fields: {{ id: text, n: int64, device: text, value: float64 }} }} }}\n    partition_key: id\nsteps:\n  step: {}\nsinks:\n  out: {{ \
         from: step, file: {{ path: out, roll: {{ every: 1s }} }} }}\ncheckpoint: {{ every: 200ms }}\n",
        kind.step
    )
}

/// A steady load, until it is stopped.
struct Load {
    is_over: Arc<AtomicBool>,
    put: Arc<AtomicU64>,
    putting: task::Task<Result<()>>,
}

impl Load {
    /// What fills the state comes at once, the rest as fast as the load is.
    fn start(store: Arc<Store>, kind: &Kind) -> Result<Self> {
        let (is_over, put) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let clock = SystemClock::shared();
        let (over, count, keys, fill) =
            (is_over.clone(), put.clone(), kind.keys, if kind.fill { kind.keys } else { 0 });
        let putting = task::spawn(&Handle::current(), async move {
            while !over.load(Ordering::Relaxed) {
                let from = count.load(Ordering::Relaxed);
                let entries = (from..from + CALL.0).map(|number| record(number, keys)).collect();
                let now = u64::try_from(clock.wall_us() / 1_000)?;
                store.put_records(now, STREAM, entries).map_err(|refused| anyhow!("{refused:?}"))?;
                count.fetch_add(CALL.0, Ordering::Relaxed);
                if from >= fill {
                    // paces: the load
                    clock::sleep(CALL.1).await;
                }
            }
            Ok(())
        });
        Ok(Self { is_over, put, putting })
    }

    /// How many records were put.
    async fn stop(self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.putting.join().await?;
        Ok(self.put.load(Ordering::Relaxed))
    }
}

/// The keys come in turn, so that the count of a key is known from the number.
fn record(number: u64, keys: u64) -> Entry {
    let id = format!("key-{:06}", number % keys);
    let data = json!({ "id": id, "n": number, "device": number.to_string(), "value": number as f64 }).to_string();
    Entry { data: data.into(), partition_key: id, explicit_hash_key: None }
}

/// Waits until so many rows are shown.
async fn shown(folder: &Path, count: u64) -> Result<()> {
    let clock = SystemClock::new();
    let mut found = 0;
    while clock.elapsed() < PATIENCE {
        found = rows(folder)?.lines().count() as u64;
        if found >= count {
            return Ok(());
        }
        // paces: the look at the files
        clock::sleep(Duration::from_millis(200)).await;
    }
    let log = fs::read_to_string(folder.join("log"))?;
    bail!(
        "{found} of {count} rows came within {PATIENCE:?}; the last words: {}",
        log.lines().last().unwrap_or_default()
    )
}

/// Every row that is shown.
fn rows(folder: &Path) -> Result<String> {
    let (mut rows, mut folders) = (String::new(), vec![folder.join("out")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match path.is_dir() {
                true if !name.starts_with('_') => folders.push(path),
                false if name.ends_with(".jsonl") => rows.push_str(&fs::read_to_string(&path)?),
                _ => {}
            }
        }
    }
    Ok(rows)
}

/// Ends it as a user does.
async fn end(job: &mut Job) -> Result<()> {
    let pid = rustix::process::Pid::from_child(&job.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    for _ in 0..600 {
        if let Some(status) = job.0.try_wait()? {
            ensure!(status.success(), "the job ended with {status}");
            return Ok(());
        }
        // paces: the look at the process
        clock::sleep(Duration::from_millis(50)).await;
    }
    bail!("the job does not end")
}

/// Every record came out once; and where they are counted, the counts of a key are 1, 2, 3 and so on.
fn exact(rows: &str, put: u64, is_counted: bool) -> Result<()> {
    let mut counts: BTreeMap<String, HashSet<u64>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for line in rows.lines() {
        let row: Json = serde_json::from_str(line)?;
        let number =
            if is_counted { row["n"].as_u64() } else { row["device"].as_str().and_then(|device| device.parse().ok()) };
        let number = number.with_context(|| format!("this row has no number: {line}"))?;
        ensure!(seen.insert(number), "record {number} came out twice");
        if is_counted {
            let id = row["id"].as_str().unwrap_or_default().to_owned();
            let count = row["count"].as_u64().unwrap_or_default();
            ensure!(counts.entry(id).or_default().insert(count), "two records have one count: {line}");
        }
    }
    ensure!(seen.len() as u64 == put, "{} of {put} records came out", seen.len());
    let has_gap = |counts: &HashSet<u64>| !(1..=counts.len() as u64).all(|count| counts.contains(&count));
    ensure!(!counts.values().any(has_gap), "the counts of a key have a gap");
    Ok(())
}

fn show(name: &str, (swaps, partitions, put): (usize, usize, u64), mut stood: Vec<f64>, is_json: bool) -> Result<()> {
    stood.sort_by(f64::total_cmp);
    let p99 = stood[(stood.len() * 99).div_ceil(100).saturating_sub(1)];
    let spread = Spread::of(stood).context("no swap was measured")?;
    match is_json {
        true => println!(
            "{}",
            json!({ "row": "swaps", "name": name, "swaps": swaps, "partitions": partitions, "records": put, "median_ms": spread.median, "p99_ms": p99, "max_ms": spread.max })
        ),
        false => println!(
            "{name:<26} {swaps:>6} {partitions:>10} {:>8.1} {p99:>8.1} {:>8.1} {put:>10}",
            spread.median, spread.max
        ),
    }
    Ok(())
}
