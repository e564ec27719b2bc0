//! `pelton checkpoint`: what a job would go on from: look at it, verify it, keep copies of it, go back to one, try another job with one.
//!
//! Left to others: what is done (`job::operate`, `checkpoint`), how it looks on a terminal (`page`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Output, check, line};
use crate::{
    checkpoint::{
        look::{Shelf, Summary},
        manifest::Manifest,
        savepoint::{self, Plan, Savepoint},
        verify::verify,
    },
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
    job::operate::{Operator, Shown},
};

mod page;

pub use page::size;

/// Look at what a job would go on from, and keep copies of it.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
    /// how to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Output,
}

/// Where a job is found.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// where workers of this machine keep their state; the job file's `state: {dir}` without it
    #[arg(long, global = true, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
    /// where lease tables are, if the job names no endpoint; AWS_ENDPOINT_URL_KINESIS without it
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The newest manifest of every partition, or the savepoints
    List {
        /// the job file
        job: PathBuf,
        /// the savepoints of the job
        #[arg(long)]
        savepoints: bool,
    },
    /// One manifest, whole
    Show {
        /// the job file
        job: PathBuf,
        /// the partition, if there are several
        partition: Option<String>,
        /// of the manifest; the newest without it
        #[arg(long)]
        number: Option<u64>,
    },
    /// Read everything that the job would go on from, and say what is damaged (exit code 0, or 74)
    Verify {
        /// the job file
        job: PathBuf,
        /// a savepoint instead of the job
        #[arg(long, value_name = "NAME")]
        savepoint: Option<String>,
    },
    /// Copy what the job would go on from, while it runs or stands
    Save {
        /// the job file
        job: PathBuf,
        /// the savepoint's name
        name: String,
    },
    /// Put a savepoint into place of what the job would go on from; the job must stand
    Restore {
        /// the job file
        job: PathBuf,
        /// the savepoint's name
        name: String,
        /// results that were shown since the savepoint come again
        #[arg(long)]
        accept_repeats: bool,
    },
    /// Begin another job with a savepoint
    Clone {
        /// the job file
        job: PathBuf,
        /// the savepoint's name
        name: String,
        /// the new job's file: another name, other sinks
        new_job_file: PathBuf,
    },
    /// Remove a savepoint
    Delete {
        /// the job file
        job: PathBuf,
        /// the savepoint's name
        name: String,
    },
}

/// Runs a command on a job.
pub fn operate<T>(
    file: &Path,
    place: &Place,
    format: Output,
    work: impl AsyncFnOnce(&Operator<'_>) -> Result<T>,
) -> Result<T> {
    let runtime = super::runtime()?;
    let checked = check::load(file, runtime.handle(), format)?;
    let operator = Operator {
        graph: &checked.graph,
        state_dir: place.state_dir.clone().unwrap_or_else(|| checked.graph.state_dir.clone()),
        endpoint: place.endpoint.clone().or_else(super::run::named),
        runtime: runtime.handle().clone(),
    };
    runtime.block_on(work(&operator))
}

/// Runs the command.
pub fn checkpoint(arguments: &Arguments) -> Result<()> {
    let format = arguments.format;
    let place = &arguments.place;
    match &arguments.what {
        What::List { job, savepoints: false } => operate(job, place, format, async |job| list(job, format).await),
        What::List { job, savepoints: true } => operate(job, place, format, async |job| savepoints(job, format).await),
        What::Show { job, partition, number } => {
            operate(job, place, format, async |job| show(job, partition.as_deref(), *number, format).await)
        }
        What::Verify { job, savepoint } => {
            operate(job, place, format, async |job| verify_all(job, savepoint.as_deref(), format).await)
        }
        What::Save { job, name } => operate(job, place, format, async |job| save(job, name, format).await),
        What::Restore { job, name, accept_repeats } => {
            operate(job, place, format, async |job| restore(job, name, *accept_repeats, format).await)
        }
        What::Clone { job, name, new_job_file } => clone(job, name, new_job_file, place, format),
        What::Delete { job, name } => operate(job, place, format, async |job| delete(job, name, format).await),
    }
}

async fn list(job: &Operator<'_>, format: Output) -> Result<()> {
    let shelf = job.shelf().await?;
    let (mut all, mut damaged) = (Vec::new(), None);
    for partition in shelf.partitions().await? {
        match shelf.newest(&partition).await {
            Ok(newest) => all.extend(newest.map(|newest| Summary::new(&partition, &newest))),
            Err(failed) => damaged = Some(failed.at(format_args!("partition {partition}"))),
        }
    }
    let now_us = SystemClock::new().wall_us();
    match format {
        Output::Json => {
            let total = |of: fn(&Summary) -> u64| all.iter().map(of).sum::<u64>();
            line(json!({
                "job": job.graph.job, "place": shelf.place(), "now_us": now_us, "partitions": all,
                "totals": {
                    "partitions": all.len(), "tokens": total(|s| s.tokens as u64), "held": total(|s| s.held as u64),
                    "blocks": total(|s| s.blocks as u64), "bytes": total(|s| s.bytes), "rows": total(|s| s.rows),
                },
            }));
        }
        Output::Text if all.is_empty() && damaged.is_some() => {}
        Output::Text if all.is_empty() => {
            line(format_args!("{}: no partition has begun in {}", job.graph.job, shelf.place()))
        }
        Output::Text => page::list(&all, &shelf, now_us),
    }
    damaged.map_or(Ok(()), Err)
}

async fn savepoints(job: &Operator<'_>, format: Output) -> Result<()> {
    let objects = job.objects().await?;
    let all = savepoint::list(&*objects, &job.graph.job).await?;
    match format {
        Output::Json => line(json!({ "job": job.graph.job, "place": objects.place(), "savepoints": all })),
        Output::Text if all.is_empty() => line(format_args!("{}: no savepoint in {}", job.graph.job, objects.place())),
        Output::Text => page::savepoints(&all, SystemClock::new().wall_us()),
    }
    Ok(())
}

async fn show(job: &Operator<'_>, partition: Option<&str>, number: Option<u64>, format: Output) -> Result<()> {
    let shelf = job.shelf().await?;
    let partition = the_one(&shelf, partition).await?;
    let found = match number {
        Some(number) => shelf.manifest(&partition, number).await?,
        None => shelf.newest(&partition).await?,
    };
    let Some(manifest) = found else {
        let kept: Vec<String> = shelf.numbers(&partition).await?.iter().map(u64::to_string).collect();
        let words = format!(
            "{} does not keep that manifest of partition {partition}; it keeps {}",
            shelf.place(),
            kept.join(", ")
        );
        return Err(Error::new(Kind::Config, words));
    };
    match format {
        Output::Json => line(as_it_is(&manifest)?),
        Output::Text => page::manifest(&partition, &manifest),
    }
    Ok(())
}

/// The partition that is asked for, or the only one.
async fn the_one(shelf: &Shelf, asked: Option<&str>) -> Result<String> {
    let all = shelf.partitions().await?;
    let words = match asked {
        Some(asked) if all.iter().any(|name| name == asked) => return Ok(asked.to_owned()),
        Some(asked) => format!("there is no partition `{asked}` in {}", shelf.place()),
        None if all.len() == 1 => return Ok(all[0].clone()),
        None => format!("there are {} partitions in {}: name one", all.len(), shelf.place()),
    };
    let names = if all.is_empty() { "none has begun".to_owned() } else { all.join(", ") };
    Err(Error::new(Kind::Config, format!("{words} ({names})")))
}

fn as_it_is(manifest: &Manifest) -> Result<String> {
    serde_json::to_string(manifest).map_err(|e| Error::new(Kind::Internal, format!("a manifest is no JSON: {e}")))
}

async fn verify_all(job: &Operator<'_>, savepoint: Option<&str>, format: Output) -> Result<()> {
    let shelf = match savepoint {
        None => job.shelf().await?,
        Some(name) => {
            let objects = job.objects().await?;
            savepoint::find(&*objects, &job.graph.job, name).await?;
            Shelf::Objects { objects, job: savepoint::place(&job.graph.job, name) }
        }
    };
    let found = verify(&shelf).await?;
    match format {
        Output::Json => line(json!({ "job": job.graph.job, "place": shelf.place(), "found": found })),
        Output::Text => page::verified(&found, &shelf),
    }
    if found.damaged.is_empty() {
        return Ok(());
    }
    let advice =
        if savepoint.is_some() { "use another savepoint" } else { "restore it from a copy, or go back to a savepoint" };
    Err(Error::new(
        Kind::State,
        format!(
            "{} damaged in {}: {advice}",
            page::count(found.damaged.len(), "object is", "objects are"),
            shelf.place()
        ),
    ))
}

async fn save(job: &Operator<'_>, name: &str, format: Output) -> Result<()> {
    let objects = job.objects().await?;
    let made = savepoint::save(&*objects, &job.graph.job, name, SystemClock::new().wall_us()).await?;
    match format {
        Output::Json => line(json!(made)),
        Output::Text => page::savepoint("saved", &made),
    }
    Ok(())
}

async fn restore(job: &Operator<'_>, name: &str, accept_repeats: bool, format: Output) -> Result<()> {
    let (plan, shown, resting) = job.plan(name).await?;
    let repeats = plan.partitions.values().any(|planned| planned.repeats() > 0);
    if format == Output::Text {
        page::plan(&plan, &shown);
    }
    if repeats && !accept_repeats {
        let words = format!(
            "results that were shown since savepoint `{name}` would come again: accept that with --accept-repeats; nothing was changed"
        );
        return Err(Error::new(Kind::State, words));
    }
    let done = job.restore(&plan, &resting).await?;
    let set_back: BTreeMap<&String, u64> =
        done.set_back.iter().map(|(name, manifest)| (name, manifest.epoch)).collect();
    match format {
        Output::Json => line(json!({
            "savepoint": plan.savepoint, "set_back": set_back, "set_aside": done.set_aside, "opened": done.opened,
            "another_version": plan.is_another_version, "shown": shown_json(&shown),
        })),
        Output::Text => page::restored(&plan, &done),
    }
    Ok(())
}

fn shown_json(shown: &[Shown]) -> serde_json::Value {
    let one = |shown: &Shown| json!({ "sink": shown.sink, "partition": shown.partition, "epoch": shown.epoch });
    shown.iter().map(one).collect()
}

fn clone(job: &Path, name: &str, new: &Path, place: &Place, format: Output) -> Result<()> {
    let runtime = super::runtime()?;
    let checked = check::load(new, runtime.handle(), format)?;
    let made: Savepoint = operate(job, place, format, async |first| {
        let second = Operator {
            graph: &checked.graph,
            state_dir: checked.graph.state_dir.clone(),
            endpoint: first.endpoint.clone(),
            runtime: first.runtime.clone(),
        };
        first.branch(name, &second).await
    })?;
    match format {
        Output::Json => line(json!(made)),
        Output::Text => line(format_args!(
            "{} begins with savepoint `{name}` of {}; it shows what comes after it",
            new.display(),
            made.job
        )),
    }
    Ok(())
}

async fn delete(job: &Operator<'_>, name: &str, format: Output) -> Result<()> {
    let objects = job.objects().await?;
    let count = savepoint::delete(&*objects, &job.graph.job, name).await?;
    match format {
        Output::Json => line(json!({ "deleted": name, "objects": count })),
        Output::Text => {
            line(format_args!("savepoint `{name}` is deleted: {}", page::count(count, "object", "objects")))
        }
    }
    Ok(())
}

/// What a plan says beside the savepoint: which partitions are set back, and which begin anew.
fn epochs(plan: &Plan) -> impl Iterator<Item = (&String, u64, Option<u64>)> {
    plan.partitions.iter().map(|(partition, planned)| (partition, planned.from, planned.to))
}
