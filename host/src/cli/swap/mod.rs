//! `pelton swap` and `pelton rollback`: plugins change while the job runs.
//!
//! The rule: the command ends when every partition of the worker runs what was asked for, or says which do not.
//! Left to others: what a swap is (`job::swap`), the running worker (`control`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::runtime::Runtime;

use super::{Output, line, runtime};
use crate::{
    checkpoint::manifest::{Canary, Guards},
    clock,
    control::{Changed, Job, SOCKET, Swap, client::Worker},
    error::{Error, Kind, Result},
    job::{
        self,
        live::CanaryNow,
        swap::canary::{Guard, Wanted},
    },
    plugin::Capability,
    state::rocksdb::RocksStore,
};

/// Replace the plugin of a step while the job runs.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// the step whose plugin is replaced
    step: String,
    /// the new component
    plugin: PathBuf,
    /// say whether it fits, and change nothing
    #[arg(long, conflicts_with_all = ["canary", "trial"])]
    check: bool,
    /// let it use what the plugin before it does not, more than once: log, metrics, state or connector:NAME
    #[arg(long, value_name = "CAPABILITY")]
    allow: Vec<Capability>,
    /// for so long the step goes back by itself when it fails
    #[arg(long, default_value = "60s", value_parser = job::duration)]
    trial: Duration,
    /// so many of the partitions try it first, and commit nothing before all of them have passed: 10%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    canary: Option<u32>,
    /// how long they look
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = job::duration, requires = "canary")]
    look: Duration,
    /// what must hold, more than once: rejects=1%, p99=20ms, output=50%..200% or assert=CONDITION
    #[arg(long, value_name = "GUARD", requires = "canary")]
    guard: Vec<Guard>,
    #[command(flatten)]
    place: Place,
}

/// Go back to the plugins that ran before the last swap.
#[derive(Debug, Args)]
pub struct BackArguments {
    /// the job file
    job: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// where the running worker keeps its state; the job file's `state: {dir}` without it
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// How long partitions may take to change: an epoch that is under way has to end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Every how many looks the progress of a canary is shown.
const PROGRESS: u32 = 100;

/// Runs `pelton swap`.
pub fn swap(arguments: &Arguments) -> Result<()> {
    let Arguments { job, step, plugin, check, allow, trial, canary, look, guard, place } = arguments;
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot read `{}`: {e}", plugin.display()));
    let component = std::fs::read(plugin).map_err(failed)?;
    let wanted = canary.map(|percent| {
        let mut guards = Guards::default();
        guards.extend(guard.iter().cloned());
        Wanted { percent, for_ms: u64::try_from(look.as_millis()).unwrap_or(u64::MAX), guards }
    });
    let canary = wanted.map(|wanted| serde_json::to_string(&wanted).expect("it has text keys"));
    let allow = allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let trial_s = Some(trial.as_secs() + u64::from(trial.subsec_nanos() > 0));
    let how = Swap { check: *check, trial_s, canary, over: None, allow: Some(allow) };
    place.change(job, Some(step), async |worker, over| {
        worker.swap(step, component.clone(), &Swap { over: Some(over), ..how.clone() }).await
    })
}

/// Runs `pelton rollback`.
pub fn roll_back(arguments: &BackArguments) -> Result<()> {
    arguments.place.change(&arguments.job, None, async |worker, over| worker.roll_back(over).await)
}

/// The folder of a worker that runs over this state folder: that itself, or that of one of a fleet.
pub(super) fn worker_of(folder: &Path) -> PathBuf {
    let workers = (0..).map(|number| folder.join(format!("worker-{number}"))).take_while(|folder| folder.is_dir());
    // a worker that was killed leaves its socket, and not its lock
    let runs = |folder: &PathBuf| folder.join(SOCKET).exists() && RocksStore::check_free(folder).is_err();
    let running = workers.into_iter().find(runs);
    running.unwrap_or_else(|| folder.to_owned())
}

/// A share of the partitions.
fn share(text: &str) -> std::result::Result<u32, String> {
    let number = text.trim_end_matches('%').trim().parse::<u32>().ok();
    number.filter(|share| (1..=100).contains(share)).ok_or_else(|| "write a share between 1% and 100%".to_owned())
}

impl Place {
    fn change(&self, job: &Path, step: Option<&str>, ask: impl AsyncFn(&Worker, u64) -> Result<Changed>) -> Result<()> {
        let runtime = runtime()?;
        let folder = self.folder(job, &runtime)?;
        runtime.block_on(async {
            let worker = Worker::find(&folder)?;
            let seen = worker.job().await?.generation;
            let changed = ask(&worker, seen).await?;
            if changed.checked {
                return print(&changed, None, self.format);
            }
            follow(&worker, step, &changed, self.format).await
        })
    }

    /// The folder of a worker that runs: the job's own, or that of one of a fleet.
    fn folder(&self, job: &Path, runtime: &Runtime) -> Result<PathBuf> {
        let folder = match &self.state_dir {
            Some(folder) => folder.clone(),
            None => super::check::load(job, runtime.handle(), self.format)?.graph.state_dir,
        };
        Ok(worker_of(&folder))
    }
}

/// Waits until every partition of the worker runs what was asked for.
pub(super) async fn follow(worker: &Worker, step: Option<&str>, changed: &Changed, format: Output) -> Result<()> {
    let (mut waited, mut looks) = (Duration::ZERO, 0u32);
    loop {
        let now = worker.job().await?;
        // while it is tried, the others run what was before
        let is_tried = now.canary.as_ref().is_some_and(|canary| canary.base < changed.generation);
        let runs = step.map(|step| now.plugins.get(step) == changed.digest.as_ref());
        if now.generation > changed.generation && runs != Some(true) && !is_tried {
            let words = format!(
                "generation {} was taken back: a step failed in it, or somebody went back; generation {} runs what was before. The \
                 worker's log says why",
                changed.generation, now.generation
            );
            return Err(Error::new(Kind::Step, words));
        }
        if let Some(canary) = &now.canary {
            if looks.is_multiple_of(PROGRESS) && format == Output::Text {
                tried(canary, &now);
            }
            looks += 1;
            clock::sleep(LOOK).await;
            continue;
        }
        if now.partitions.values().all(|partition| partition.generation >= now.generation) {
            return print(changed, Some(&now), format);
        }
        if waited >= PATIENCE {
            let late = now.partitions.iter().filter(|(_, partition)| partition.generation < now.generation);
            let late: Vec<&str> = late.map(|(name, _)| name.as_str()).collect();
            let words = format!("generation {} is deployed, but not yet run by {}", now.generation, late.join(", "));
            return Err(Error::new(Kind::Unavailable, words));
        }
        clock::sleep(LOOK).await;
        waited += LOOK;
    }
}

fn print(changed: &Changed, now: Option<&Job>, format: Output) -> Result<()> {
    if format == Output::Json {
        let partitions = now.map(|now| &now.partitions);
        line(serde_json::json!({ "changed": changed, "partitions": partitions }));
        return Ok(());
    }
    match now {
        None => line(format_args!("it fits: it would run as generation {}", changed.generation)),
        Some(now) => {
            line(format_args!("generation {} runs", now.generation));
            for (name, partition) in &now.partitions {
                line(format_args!("  {name}: stood still for {:.1} ms", partition.paused_ms));
            }
        }
    }
    if changed.one_way {
        let when = if changed.checked { "it could not be" } else { "it is not" };
        line(format_args!(
            "what ran before cannot read what this plugin stores: {when} taken back once an epoch of it is durable; --canary tries it first"
        ));
    }
    Ok(())
}

/// How far a canary is, for people.
fn tried(canary: &Canary, now: &Job) {
    let (passed, all) = (canary.passed.len(), canary.partitions.len());
    let quiet = match canary.quiet.difference(&canary.passed).count() {
        0 => String::new(),
        quiet => format!(", {quiet} have seen no record"),
    };
    eprintln!("canary of generation {}: {passed} of {all} partitions have passed{quiet}", canary.base + 1);
    for (name, seen) in now.partitions.iter().filter_map(|(name, now)| Some((name, now.canary.as_ref()?))) {
        let state = if seen.passed { "passed".to_owned() } else { format!("{} s left", seen.left_ms.div_ceil(1000)) };
        let CanaryNow { records, rows, rejected, p99_us, .. } = seen;
        let p99_ms = *p99_us as f64 / 1e3;
        eprintln!(
            "  {name}: {records} records, {rows} rows, {rejected} rejected, p99 of a call {p99_ms:.1} ms, {state}"
        );
    }
}
