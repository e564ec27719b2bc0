//! `pelton leases`: who runs what, and moving it.
//!
//! The rule: a lease row is a hint that spreads work. Where a partition has a manifest, that is where it goes on, whatever the row says.
//! Left to others: the rows (`lease`), how a lease is handed over (`lease::steer`).

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Output,
    checkpoint::{Place, operate},
    line,
};
use crate::{
    checkpoint::{ledger::remote::newest_in, manifest::Manifest},
    error::{Error, Kind, Result},
    job::{
        operate::Operator,
        worker::{partition_of, takeover::told},
    },
    lease::{
        Checkpoint, LeaseTable,
        look::{Seen, look},
        steer::{self, Moved},
    },
};

mod picture;
mod watch;

/// Look at who runs what, and move it.
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

#[derive(Debug, Subcommand)]
enum What {
    /// Every lease: who runs it, how far it is, whether it is renewed
    List {
        /// the job file
        job: PathBuf,
        /// look twice, with so many seconds between, to see which leases are renewed; 0: look once
        #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
        watch: u64,
    },
    /// Say who takes which lease as it happens, and draw it
    Watch(watch::Watch),
    /// Ask for a lease to be handed over, and wait until it is
    Move {
        /// the job file
        job: PathBuf,
        /// the shard, as the list names it; `job` for a job that is one partition
        shard: String,
        /// the worker that should have it
        #[arg(long, value_name = "WORKER")]
        to: String,
        /// also to a worker that was not seen
        #[arg(long)]
        force: bool,
    },
    /// Set the place of a lease row that nobody renews: where a shard without manifests begins, or what another application that reads the
    /// table goes on from
    Reset {
        /// the job file
        job: PathBuf,
        /// the shard, as the list names it; all without it
        shard: Option<String>,
        /// manifest (what the job's own manifest says), trim_horizon, latest (for this job: where `start:` says), or a sequence number
        #[arg(long, value_parser = parse_place)]
        to: To,
    },
}

/// What a row is set to.
#[derive(Clone, Copy, Debug)]
enum To {
    /// what the newest manifest says
    Manifest,
    /// this, where there is no manifest
    Place(Checkpoint),
}

fn parse_place(text: &str) -> std::result::Result<To, String> {
    match text {
        "manifest" => Ok(To::Manifest),
        "trim_horizon" => Ok(To::Place(Checkpoint::TrimHorizon)),
        "latest" => Ok(To::Place(Checkpoint::Latest)),
        digits => match digits.parse() {
            Ok(sequence) => Ok(To::Place(Checkpoint::At { sequence, sub_sequence: 0 })),
            Err(_) => Err(format!("`{text}` is no place: write manifest, trim_horizon, latest, or a sequence number")),
        },
    }
}

/// Runs the command.
pub fn leases(arguments: &Arguments) -> Result<()> {
    let (place, format) = (&arguments.place, arguments.format);
    match &arguments.what {
        What::List { job, watch } => operate(job, place, format, async |job| list(job, *watch, format).await),
        What::Watch(watch) => operate(&watch.job, place, format, async |job| watch::watch(job, watch, format).await),
        What::Move { job, shard, to, force } => {
            operate(job, place, format, async |job| move_to(job, shard, to, *force, format).await)
        }
        What::Reset { job, shard, to } => {
            operate(job, place, format, async |job| reset(job, shard.as_deref(), *to, format).await)
        }
    }
}

async fn list(job: &Operator<'_>, watch: u64, format: Output) -> Result<()> {
    let tables = job.tables().await?;
    let between = (watch > 0).then(|| Duration::from_secs(watch));
    let looks = tables.iter().map(|(_, table)| look(&**table, between));
    let all = futures::future::try_join_all(looks).await?;
    let rows: Vec<(&str, &Seen)> = tables
        .iter()
        .zip(&all)
        .flat_map(|((source, _), seen)| seen.iter().map(move |seen| (source.as_str(), seen)))
        .collect();
    let mut others = 0;
    for (_, table) in &tables {
        others += table.others().await?;
    }
    if format == Output::Json {
        let leases: Vec<_> = rows.iter().map(|(source, seen)| as_json(source, seen)).collect();
        line(json!({ "job": job.graph.job, "leases": leases, "other_rows": others }));
        return Ok(());
    }
    let width = rows.iter().map(|(_, seen)| seen.lease.key.len()).max().unwrap_or(0).max(5) + 2;
    let owners = rows.iter().filter_map(|(_, seen)| seen.lease.runner()).map(str::len).max().unwrap_or(0).max(7) + 2;
    line(format_args!(
        "{:<width$}{:<owners$}{:>9}{:>8}{:>9}  {:<10}{}",
        "lease", "run by", "counter", "epoch", "switches", "renewed", "checkpoint"
    ));
    for (_, seen) in &rows {
        let lease = &seen.lease;
        let epoch = lease.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        let next = match (&lease.handed_off_by, &lease.owner) {
            (Some(_), Some(next)) => format!(", to be handed to {next}"),
            _ => String::new(),
        };
        line(format_args!(
            "{:<width$}{:<owners$}{:>9}{:>8}{:>9}  {:<10}{}{next}",
            lease.key,
            lease.runner().unwrap_or("nobody"),
            lease.counter,
            epoch,
            lease.owner_switches,
            renewed(seen),
            checkpoint(lease.checkpoint)
        ));
    }
    let workers: BTreeSet<&str> = rows.iter().filter_map(|(_, seen)| seen.lease.runner()).collect();
    line(format_args!("{} leases, {} workers, {others} rows of other kinds", rows.len(), workers.len()));
    Ok(())
}

fn renewed(seen: &Seen) -> &'static str {
    match seen.is_renewed {
        None => "?",
        Some(true) => "yes",
        Some(false) => "no",
    }
}

fn checkpoint(checkpoint: Checkpoint) -> String {
    match checkpoint {
        Checkpoint::AtTimestamp => "at a time".to_owned(),
        Checkpoint::TrimHorizon => "trim_horizon".to_owned(),
        Checkpoint::Latest => "latest".to_owned(),
        Checkpoint::At { sequence, sub_sequence: 0 } => sequence.to_string(),
        Checkpoint::At { sequence, sub_sequence } => format!("{sequence} sub {sub_sequence}"),
        Checkpoint::ShardEnd => "the end".to_owned(),
    }
}

fn as_json(source: &str, seen: &Seen) -> serde_json::Value {
    let lease = &seen.lease;
    json!({
        "lease": lease.key, "partition": partition_of(source, &lease.key), "owner": lease.owner,
        "handed_off_by": lease.handed_off_by, "run_by": lease.runner(), "counter": lease.counter,
        "checkpoint": checkpoint(lease.checkpoint), "epoch": lease.epoch, "owner_switches": lease.owner_switches,
        "parents": lease.parents, "children": lease.children, "renewed": seen.is_renewed,
    })
}

/// The tables and keys that a shard's name means: `SHARD`, or `SOURCE/SHARD`.
async fn find(job: &Operator<'_>, shard: Option<&str>) -> Result<Vec<(String, Arc<dyn LeaseTable>, String)>> {
    let mut found = Vec::new();
    for (source, table) in job.tables().await? {
        for row in table.list().await? {
            if shard.is_none_or(|shard| shard == row.key || shard == partition_of(&source, &row.key)) {
                found.push((source.clone(), table.clone(), row.key));
            }
        }
    }
    match (found.len(), shard) {
        (0, Some(shard)) => {
            let words = format!("the job `{}` has no lease `{shard}`: `pelton leases list` names them", job.graph.job);
            Err(Error::new(Kind::Config, words))
        }
        (2.., Some(shard)) => {
            Err(Error::new(Kind::Config, format!("several sources have a lease `{shard}`: write SOURCE/{shard}")))
        }
        _ => Ok(found),
    }
}

async fn move_to(job: &Operator<'_>, shard: &str, to: &str, force: bool, format: Output) -> Result<()> {
    let duration = job.graph.leases.as_ref().map_or(Duration::from_secs(10), |leases| leases.duration);
    let mut known = BTreeSet::new();
    for (_, table) in job.tables().await? {
        for row in table.list().await? {
            known.extend(row.owner.into_iter().chain(row.handed_off_by));
        }
    }
    if force {
        known.insert(to.to_owned());
    }
    let Some((_, table, key)) = find(job, Some(shard)).await?.pop() else { return Ok(()) };
    let moved = steer::move_to(&*table, &key, to, &known, duration).await?;
    let by = match &moved {
        Moved::Already => None,
        Moved::Done(by) => by.as_deref(),
    };
    match format {
        Output::Json => {
            line(json!({ "lease": key, "owner": to, "handed_off_by": by, "moved": moved != Moved::Already }))
        }
        Output::Text if moved == Moved::Already => line(format_args!("{key} is run by {to} already")),
        Output::Text => line(format_args!("{key} is run by {to} now; {} handed it off", by.unwrap_or("nobody"))),
    }
    Ok(())
}

async fn reset(job: &Operator<'_>, shard: Option<&str>, to: To, format: Output) -> Result<()> {
    let duration = job.graph.leases.as_ref().map_or(Duration::from_secs(10), |leases| leases.duration);
    let found = find(job, shard).await?;
    let objects = job.objects().await?;
    let mut places = Vec::new();
    for (source, _, key) in &found {
        let partition = partition_of(source, key);
        let newest = newest_in(&*objects, &job.graph.job, &partition).await?;
        places.push(place_for(&partition, newest.as_ref(), to)?);
    }
    for ((_, table, key), to) in found.iter().zip(places) {
        steer::reset(&**table, key, to, duration).await?;
        match format {
            Output::Json => line(json!({ "lease": key, "checkpoint": checkpoint(to) })),
            Output::Text => line(format_args!("{key} is set to {}", checkpoint(to))),
        }
    }
    Ok(())
}

/// What the row of a partition is set to.
fn place_for(partition: &str, newest: Option<&Manifest>, to: To) -> Result<Checkpoint> {
    let refused = |words: String| Err(Error::new(Kind::State, words));
    match (newest, to) {
        (Some(manifest), To::Manifest) => Ok(told(manifest)),
        (None, To::Place(place)) => Ok(place),
        (None, To::Manifest) => refused(format!(
            "partition {partition} has no manifest: say where with --to trim_horizon or a sequence number"
        )),
        (Some(manifest), To::Place(_)) => refused(format!(
            "partition {partition} goes on from its manifest (epoch {}), whatever its lease row says: put a savepoint into place with \
             `pelton checkpoint restore`, or start a job of another name; a row with a manifest is set with --to manifest alone",
            manifest.epoch
        )),
    }
}
