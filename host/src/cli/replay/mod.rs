//! `pelton replay`: what another version of a plugin would have made of records that were.
//!
//! The rule: 0 says that the two made the same of at least one record, 1 that something differs, 78 that they could not be compared.
//! Left to others: reading, running, comparing (`job::replay`).

use std::{
    path::PathBuf,
    process::exit,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use clap::Args;
use serde_json::{Value as Json, json};
use tokio::{runtime::Handle, sync::watch};

use super::{Output, check, line, run::ended, runtime};
use crate::{
    clock::{self, SystemClock},
    decode::instant::parse_instant,
    error::{Error, Kind, Result},
    job::{
        Graph,
        live::Live,
        replay::{self, Around, Difference, Differences, Played, Recording, Wanted, compare, matched, play},
    },
    task::{self, Task},
};

/// Run two versions of a step's plugin over the same records, and show what differs.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// the step
    #[arg(long)]
    step: String,
    /// the old component; what the job file names without it
    #[arg(long)]
    a: Option<PathBuf>,
    /// the new component
    #[arg(long)]
    b: PathBuf,
    /// a file of records (JSON lines, CSV) in place of the job's sources
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to"])]
    input: Option<PathBuf>,
    /// records that arrived at this time or later: 2026-01-31T12:00:00Z; all that are kept without it
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<i64>,
    /// records that arrived before this time; now without it
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<i64>,
    /// match results by this field, more than once for several; by their ids without it
    #[arg(long, value_name = "FIELD")]
    by: Vec<String>,
    /// show so many differences of each output
    #[arg(long, default_value_t = 10)]
    show: usize,
    /// use this endpoint where the job names none
    #[arg(long)]
    endpoint: Option<String>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

fn time(text: &str) -> std::result::Result<i64, String> {
    parse_instant(text).ok_or_else(|| "write a time as 2026-01-31T12:00:00Z".to_owned())
}

/// What a version is called, and what it made.
struct Side {
    name: String,
    digest: String,
    played: Played,
}

/// A version, checked.
struct Version {
    what: &'static str,
    graph: Graph,
    around: Around,
}

/// Runs the command.
pub fn replay(arguments: &Arguments) -> Result<()> {
    let runtime = runtime()?;
    let clock = SystemClock::shared();
    let (stop, stopped) = watch::channel(false);
    let _signals = task::spawn(runtime.handle(), async move {
        ended().await;
        // Whoever reads takes back what was made at the stream; where nobody reads any more, nothing is left to do.
        if stop.send(true).is_ok() {
            ended().await;
        }
        exit(130)
    });
    let wanted = Wanted {
        from_us: arguments.from,
        to_us: arguments.to.unwrap_or_else(|| clock.wall_us()),
        input: arguments.input.clone(),
        endpoint: arguments.endpoint.clone(),
    };
    if let Some(input) = &wanted.input
        && !input.is_file()
    {
        return Err(Error::new(Kind::Config, format!("there is no file `{}`", input.display())));
    }
    let [a, b] = [("A", arguments.a.as_ref()), ("B", Some(&arguments.b))].map(|(what, plugin)| -> Result<Version> {
        let checked = match plugin {
            Some(plugin) => check::load_with_plugin(&arguments.job, &arguments.step, plugin, runtime.handle())?,
            None => check::load(&arguments.job, runtime.handle(), Output::Text)?,
        };
        let around = Around {
            plugins: checked.plugins,
            registry: checked.registry,
            runtime: runtime.handle().clone(),
            clock: clock.clone(),
            live: Arc::new(Live::default()),
        };
        Ok(Version { what, graph: checked.graph, around })
    });
    let (a, b) = (a?, b?);
    let recording = record(&a, arguments, &wanted, stopped)?;
    let by = matched([&a.graph, &b.graph], &arguments.step, &arguments.by)?;
    let [a, b] = [a, b].map(|version| side(version, arguments, &wanted, &recording));
    let sides = [a?, b?];
    let found = compare(&sides[0].played, &sides[1].played, &by, arguments.show);
    match arguments.format {
        Output::Text => print(&sides, &found),
        Output::Json => line(to_json(&sides, &found)),
    }
    verdict(&sides, &found)
}

/// Reads what both versions run over, unless it is stopped.
fn record(
    version: &Version,
    arguments: &Arguments,
    wanted: &Wanted,
    mut stopped: watch::Receiver<bool>,
) -> Result<Recording> {
    let around = Around { live: Arc::new(Live::default()), ..version.around.clone() };
    let _progress = progress(&around.runtime, "reading", around.live.clone());
    let stop = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    replay::record(&version.graph, &arguments.step, wanted, &around, stop)
}

fn side(version: Version, arguments: &Arguments, wanted: &Wanted, recording: &Recording) -> Result<Side> {
    let Version { what, graph, around } = version;
    let _progress = progress(&around.runtime.clone(), what, around.live.clone());
    // A version that cannot run does not differ: it does not fit.
    let unfit = |e: Error| Error::new(if e.kind() == Kind::Step { Kind::Config } else { e.kind() }, e.to_string());
    let played = play(&graph, &arguments.step, wanted, recording, around).map_err(|e| unfit(e.at(what)))?;
    let node = graph.nodes.iter().find(|node| node.name == arguments.step);
    let plugin = node.and_then(|node| node.kind.plugin());
    let of = |get: fn(&crate::job::graph::Plugin) -> String| plugin.map(get).unwrap_or_default();
    Ok(Side {
        name: of(|plugin| format!("{} {}", plugin.interface.name, plugin.interface.version)),
        digest: of(|plugin| plugin.interface.digest.clone()),
        played,
    })
}

/// Whether the two are the same, if that can be said.
fn verdict(sides: &[Side; 2], found: &[Differences]) -> Result<()> {
    let [a, b] = sides.each_ref().map(|side| &side.played);
    let refuse = |words: String| Err(Error::new(Kind::Config, words));
    if a.records != b.records {
        return refuse(format!("A was given {} records and B {}: nothing can be said", a.records, b.records));
    }
    if a.records == 0 {
        return refuse("no record was read, so nothing was compared: mend --from, --to or --input".to_owned());
    }
    if found.iter().any(Differences::any) {
        return Err(Error::new(Kind::Step, "the two versions differ: see above"));
    }
    let rows: usize = a.outputs.iter().map(|(_, rows)| rows.len()).sum();
    if rows == 0 && a.rejected_before >= a.records && a.rejected.len() as u64 == a.rejected_before {
        let first = a.rejected.first().and_then(|letter| letter.fields.get("message")).and_then(Json::as_str);
        let words = format!(
            "all {} records were rejected before the step, so nothing was compared: {}",
            a.records,
            first.unwrap_or_default()
        );
        return refuse(words);
    }
    Ok(())
}

/// Shows how many records were read, until dropped.
fn progress(runtime: &Handle, what: &'static str, live: Arc<Live>) -> Task<()> {
    task::spawn(runtime, async move {
        loop {
            clock::sleep(Duration::from_secs(5)).await;
            eprintln!("{what}: {} records", live.records.load(Relaxed));
        }
    })
}

fn print(sides: &[Side], found: &[Differences]) {
    for (what, side) in ["A", "B"].into_iter().zip(sides) {
        let Played { outputs, rejected, records, .. } = &side.played;
        let rows: usize = outputs.iter().map(|(_, rows)| rows.len()).sum();
        let digest = side.digest.get(..12).unwrap_or(&side.digest);
        line(format_args!(
            "{what}  {} ({digest}): {records} records, {rows} rows, {} rejected, {:.2} us of CPU a record",
            side.name,
            rejected.len(),
            cost(&side.played)
        ));
    }
    for found in found {
        let Differences { output, same, added, removed, changed, first } = found;
        line(format_args!("\n{output}: {same} the same, {added} added, {removed} removed, {changed} changed"));
        for difference in first {
            match difference {
                Difference::Added(row) => line(format_args!("  + {}", Json::Object(row.clone()))),
                Difference::Removed(row) => line(format_args!("  - {}", Json::Object(row.clone()))),
                Difference::Changed(key, fields) => {
                    let fields = fields.iter().map(|(name, a, b)| format!("{name}: {a} -> {b}"));
                    line(format_args!("  ~ {key}  {}", fields.collect::<Vec<_>>().join(", ")));
                }
            }
        }
        let more = (added + removed + changed).saturating_sub(first.len() as u64);
        if more > 0 {
            line(format_args!("  ... and {more} more (--show)"));
        }
    }
}

fn cost(played: &Played) -> f64 {
    played.took.as_secs_f64() * 1e6 / played.records.max(1) as f64
}

fn to_json(sides: &[Side], found: &[Differences]) -> Json {
    let side = |side: &Side| {
        let rows: usize = side.played.outputs.iter().map(|(_, rows)| rows.len()).sum();
        json!({
            "plugin": side.name,
            "digest": side.digest,
            "records": side.played.records,
            "rows": rows,
            "rejected": side.played.rejected.len(),
            "cpu_us_per_record": cost(&side.played),
        })
    };
    let difference = |difference: &Difference| match difference {
        Difference::Added(row) => json!({ "added": row }),
        Difference::Removed(row) => json!({ "removed": row }),
        Difference::Changed(key, fields) => {
            let fields: serde_json::Map<String, Json> =
                fields.iter().map(|(name, a, b)| (name.clone(), json!({ "a": a, "b": b }))).collect();
            json!({ "changed": key, "fields": fields })
        }
    };
    let output = |found: &Differences| {
        json!({
            "output": found.output,
            "same": found.same,
            "added": found.added,
            "removed": found.removed,
            "changed": found.changed,
            "first": found.first.iter().map(difference).collect::<Vec<_>>(),
        })
    };
    json!({
        "a": side(&sides[0]),
        "b": side(&sides[1]),
        "outputs": found.iter().map(output).collect::<Vec<_>>(),
        "differ": found.iter().any(Differences::any),
    })
}
