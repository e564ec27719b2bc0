//! Where a measurement takes place: an emulator with a stream, and a folder with a job file, the store and what workers keep.
//!
//! Folders lie on a disk, as a sync is part of what is measured. Left to others: what comes in (`load`), who runs it (`worker`).

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow};
use pelton::clock::{Clock, SystemClock};
use pelton_emulator::{
    Options, Running,
    store::{Entry, Store},
};
use tempfile::TempDir;

/// The stream, and the source of the job.
pub const STREAM: &str = "events";
/// The job.
pub const JOB: &str = "fleet";
/// Leases last so long, as they do where a job file says nothing.
pub const LEASE: Duration = Duration::from_secs(10);

const FILE: &str = r#"
pelton: v1
job: fleet
sources:
  events:
    kinesis: { stream: events, start: trim_horizon }
    format: { json: { fields: { id: text, text: text, amount: int64, at: timestamp } } }
    partition_key: id
    time: { field: at, idle: wait }
steps:
  kept:
    from: events
    key: [id, text]
    window: { tumbling: 24h }
    aggregate: { n: count, total: sum(amount) }
sinks:
  files:
    from: kept
    file: { path: out }
checkpoint: { CHECKPOINT }
"#;

/// What a job file says beside the job.
#[derive(Clone, Debug)]
pub struct Setting {
    pub shards: u32,
    /// of an epoch
    pub every: &'static str,
    /// as the job file says it; none: the worker's own state alone
    pub store: Option<String>,
    /// with a lease table
    pub leases: bool,
}

/// Ends with this value.
pub struct Scene {
    pub emulator: Running,
    pub folder: TempDir,
    pub clock: Arc<dyn Clock>,
}

/// A store that is a folder of the scene.
pub fn folder_store() -> Option<String> {
    Some("store: store".to_owned())
}

impl Scene {
    pub async fn new(setting: &Setting) -> Result<Self> {
        let options = Options { streams: vec![(STREAM.to_owned(), setting.shards)], ..Options::default() };
        let emulator = pelton_emulator::start(options).await?;
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let mut checkpoint = format!("every: {}", setting.every);
        if let Some(store) = &setting.store {
            checkpoint.push_str(&format!(", {store}"));
        }
        let mut file = FILE.replace("CHECKPOINT", &checkpoint);
        if setting.leases {
            file.push_str(&format!("leases: {{ dynamodb: {{}}, duration: {}s }}\n", LEASE.as_secs()));
        }
        std::fs::write(folder.path().join("job.yaml"), file)?;
        Ok(Self { emulator, folder, clock: SystemClock::shared() })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.emulator.addr())
    }

    /// Puts records at once, without a socket between.
    pub fn put(&self, entries: Vec<Entry>) -> Result<()> {
        put(&self.emulator.store(), &*self.clock, entries)
    }
}

/// Puts records into the stream.
pub fn put(store: &Store, clock: &dyn Clock, entries: Vec<Entry>) -> Result<()> {
    let now = u64::try_from(clock.wall_us() / 1_000).context("the clock stands before 1970")?;
    store.put_records(now, STREAM, entries).map(drop).map_err(|refused| anyhow!("{refused:?}"))
}
