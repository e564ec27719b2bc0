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
    clock,
    control::{Changed, Job, SOCKET, Swap, client::Worker},
    error::{Error, Kind, Result},
    job,
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
    #[arg(long)]
    check: bool,
    /// for so long the step goes back by itself when it fails
    #[arg(long, default_value = "60s", value_parser = job::duration)]
    trial: Duration,
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

/// Runs `pelton swap`.
pub fn swap(arguments: &Arguments) -> Result<()> {
    let Arguments { job, step, plugin, check, trial, place } = arguments;
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot read `{}`: {e}", plugin.display()));
    let component = std::fs::read(plugin).map_err(failed)?;
    let how = Swap { check: *check, trial_s: Some(trial.as_secs()) };
    place.change(job, async |worker| worker.swap(step, component.clone(), &how).await)
}

/// Runs `pelton rollback`.
pub fn roll_back(arguments: &BackArguments) -> Result<()> {
    arguments.place.change(&arguments.job, async |worker| worker.roll_back().await)
}

impl Place {
    fn change(&self, job: &Path, ask: impl AsyncFn(&Worker) -> Result<Changed>) -> Result<()> {
        let runtime = runtime()?;
        let folder = self.folder(job, &runtime)?;
        runtime.block_on(async {
            let worker = Worker::find(&folder)?;
            let changed = ask(&worker).await?;
            if changed.checked {
                return self.print(&changed, None);
            }
            let mut waited = Duration::ZERO;
            loop {
                let now = worker.job().await?;
                if now.generation > changed.generation {
                    let words = format!(
                        "generation {} was taken back: a step failed in it; generation {} runs what was before. The worker's log says why",
                        changed.generation, now.generation
                    );
                    return Err(Error::new(Kind::Step, words));
                }
                if now.partitions.values().all(|partition| partition.generation >= changed.generation) {
                    return self.print(&changed, Some(&now));
                }
                if waited >= PATIENCE {
                    let late = now.partitions.iter().filter(|(_, partition)| partition.generation < changed.generation);
                    let late: Vec<&str> = late.map(|(name, _)| name.as_str()).collect();
                    let words = format!("generation {} is deployed, but not yet run by {}", changed.generation, late.join(", "));
                    return Err(Error::new(Kind::Unavailable, words));
                }
                clock::sleep(LOOK).await;
                waited += LOOK;
            }
        })
    }

    /// The folder of a worker that runs: the job's own, or that of one of a fleet.
    fn folder(&self, job: &Path, runtime: &Runtime) -> Result<PathBuf> {
        let folder = match &self.state_dir {
            Some(folder) => folder.clone(),
            None => super::check::load(job, runtime.handle(), self.format)?.graph.state_dir,
        };
        let workers = (0..).map(|number| folder.join(format!("worker-{number}"))).take_while(|folder| folder.is_dir());
        let running = workers.into_iter().find(|folder| folder.join(SOCKET).exists());
        Ok(running.unwrap_or(folder))
    }

    fn print(&self, changed: &Changed, now: Option<&Job>) -> Result<()> {
        if self.format == Output::Json {
            let partitions = now.map(|now| &now.partitions);
            line(serde_json::json!({ "changed": changed, "partitions": partitions }));
            return Ok(());
        }
        let Some(now) = now else {
            line(format_args!("it fits: it would run as generation {}", changed.generation));
            return Ok(());
        };
        line(format_args!("generation {} runs", changed.generation));
        for (name, partition) in &now.partitions {
            line(format_args!("  {name}: stood still for {:.1} ms", partition.paused_ms));
        }
        Ok(())
    }
}
