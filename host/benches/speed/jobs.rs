//! Works A and B as jobs: a job file, checked and run by the code that `pelton run` uses, over the repeated input or over a stream.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

use pelton::{
    clock::SystemClock,
    error::{Error, Kind, Result},
    job::{
        self,
        build::{Given, MakeSink},
        inspect::{Inspector, Subjects},
        live::Live,
        run::{RunOptions, Surroundings, run_with},
    },
    plugin::{Limits, Plugins},
    source::Source,
};
use tokio::{runtime::Runtime, sync::watch};

use super::{
    compiled,
    ends::{Counted, Progress, Repeating, Until},
    expected::{Digest, Work, expected},
    guest, input,
    measure::{Spent, Watch},
};

/// How many durable epochs a measured run holds at least.
const EPOCHS: u64 = 10;

/// Who computes the windows of work B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    BuiltIn,
    Plugin,
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    A,
    B(Aggregate),
}

impl Job {
    fn work(self) -> Work {
        match self {
            Self::A => Work::A,
            Self::B(_) => Work::B,
        }
    }

    /// The job file. `source` is the body of its source beside format and time.
    fn file(self, source: &str) -> String {
        let filter = guest("bench_filter");
        let bound = if self == Self::A { input::BOUND } else { 0.0 };
        let aggregate = match self {
            Self::A => None,
            Self::B(Aggregate::BuiltIn) => {
                Some("{ count: count, mean: avg(value), min: min(value), max: max(value) }".to_owned())
            }
            Self::B(Aggregate::Plugin) => Some(format!(
                "{{ plugin: \"{}\", config: {{ field: value, type: float64 }} }}",
                guest("stats").display()
            )),
        };
        let (window, last) = match aggregate {
            None => (String::new(), "kept"),
            Some(aggregate) => (
                format!(
                    "  hourly:\n    from: kept\n    key: device\n    window: {{ tumbling: 1h }}\n    aggregate: {aggregate}\n"
                ),
                "hourly",
            ),
        };
        format!(
            "pelton: v1\njob: bench\nregistry: {{ confluent: {{ url: \"http://127.0.0.1:1\" }} }}\nsources:\n  readings:\n    {source}\n    \
             format: {{ avro: {{ subject: {subject} }} }}\n    time: {{ field: at, out_of_order: 5s, idle: wait }}\nsteps:\n  kept:\n    \
             from: readings\n    transform: {{ plugin: \"{filter}\", config: {{ at_least: {bound:.1} }} }}\n{window}sinks:\n  counted:\n    \
             from: {last}\n    memory: {{}}\ncheckpoint: {{ every: 1s }}\n",
            subject = input::SUBJECT,
            filter = filter.display(),
        )
    }
}

/// What a run of a job came to.
#[derive(Clone, Debug)]
pub struct Ran {
    pub records: u64,
    pub spent: Spent,
    pub epochs: u64,
    pub syncs: u64,
    pub written: u64,
    pub results: u64,
    /// resident memory in KiB after so many records
    pub resident: Vec<(u64, u64)>,
}

/// Runs a job over the repeated input; without `records`, until it holds enough epochs.
pub fn repeated(job: Job, records: Option<u64>, watched: Vec<u64>) -> Result<Ran> {
    let live = Arc::new(Live::default());
    let batches = input::batches(input::PASS);
    let until = records.map_or_else(|| Until::Epochs(EPOCHS, live.clone(), SystemClock::new()), Until::Records);
    let progress = Arc::new(Progress::default());
    let source = Repeating::new(batches, until, progress.clone(), watched);
    let (spent, digest) = run(job, "memory: { shards: 1 }", Some(Arc::new(source)), &live)?;
    let should = expected(job.work(), progress.passes.load(Relaxed));
    check(digest, should)?;
    let resident = progress.resident.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut ran = ran(&live, spent, digest, resident);
    ran.epochs = ran.epochs.max(progress.epochs.load(Relaxed));
    Ok(ran)
}

/// Runs a job over a stream of the emulator that holds exactly the first pass.
pub fn from_stream(job: Job, endpoint: &str) -> Result<Ran> {
    let live = Arc::new(Live::default());
    let source = format!("kinesis: {{ stream: readings, start: trim_horizon, endpoint: \"{endpoint}\" }}");
    let (spent, digest) = run(job, &source, None, &live)?;
    check(digest, expected(job.work(), 1))?;
    Ok(ran(&live, spent, digest, Vec::new()))
}

fn ran(live: &Live, spent: Spent, digest: Digest, resident: Vec<(u64, u64)>) -> Ran {
    Ran {
        records: live.records.load(Relaxed),
        spent,
        epochs: live.now().epoch,
        syncs: live.syncs.load(Relaxed),
        written: live.written.load(Relaxed),
        results: digest.rows,
        resident,
    }
}

fn check(found: Digest, should: Digest) -> Result<()> {
    if found == should {
        return Ok(());
    }
    Err(Error::new(Kind::Internal, format!("the results are wrong: {found:?}, a plain computation gives {should:?}")))
}

fn run(job: Job, source: &str, repeating: Option<Arc<dyn Source>>, live: &Arc<Live>) -> Result<(Spent, Digest)> {
    let folder = Scratch::new()?;
    let runtime = Runtime::new().map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
    let plugins = Arc::new(Plugins::new(Some(compiled()), Limits::default())?);
    let registry = Some(input::registry()?);
    let refuse = |report: job::Report| Error::new(Kind::Config, report.render(false));
    let file = job::parse("bench.yaml", Path::new("/"), &job.file(source), &|_| None).map_err(refuse)?;
    let inspector = Inspector {
        plugins: plugins.clone(),
        registry: registry.clone(),
        runtime: runtime.handle().clone(),
        subjects: Subjects::Left,
        away: false.into(),
    };
    let graph = job::check(&file, &inspector, &inspector).map_err(refuse)?;
    let digest = Arc::new(Mutex::new(Digest::default()));
    let make: MakeSink = {
        let digest = digest.clone();
        Arc::new(move || Box::new(Counted::new(job.work(), digest.clone())))
    };
    let given = Given {
        sources: repeating.into_iter().map(|source| ("readings".to_owned(), source)).collect(),
        sinks: [("counted".to_owned(), make)].into(),
        ..Given::default()
    };
    let options = RunOptions {
        state_dir: folder.0.join("state"),
        until_caught_up: true,
        accept_change: false,
        fresh: false,
        accept_rejects: false,
        adopt_row: false,
        accept_repeats: false,
        accept_loss: false,
        endpoint: None,
    };
    let around = Surroundings {
        plugins,
        registry,
        runtime: runtime.handle().clone(),
        clock: SystemClock::shared(),
        live: live.clone(),
        running: None,
    };
    let (_stop, stopped) = watch::channel(false);
    let watch = Watch::start();
    run_with(&graph, &options, around, &given, stopped)?;
    let spent = watch.stop();
    let digest = *digest.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((spent, digest))
}

/// A folder that is gone when this is dropped. State goes to real files: a sync is part of what is measured.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("pelton-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|e| Error::new(Kind::Config, format!("cannot make {}: {e}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
