//! `pelton repro`: gives a plugin again what it failed over.
//!
//! The rule: 0 says that it does not fail any more, 1 that it fails, 78 that nothing can be said. A capsule may come from anybody: what it
//! holds is shown with its control characters escaped.
//! Left to others: what a capsule is, and running it (`job::capsule`).

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Output, line, runtime};
use crate::{
    error::{Error, Kind, Result},
    job::{
        capsule::{Again, Capsule, Failed, rerun, sound},
        swap::store::digest,
    },
    plugin::clean,
};

/// A larger file is no component.
const LARGEST: u64 = 64 << 20;

/// Give a plugin again what it failed over, from a failure capsule.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the capsule: STATE/capsules/STEP-....json
    capsule: PathBuf,
    /// the component; without it the one that failed, from the plugins that are kept beside the state
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs the command.
pub fn repro(arguments: &Arguments) -> Result<()> {
    let runtime = runtime()?;
    let capsule = Capsule::read(&arguments.capsule)?;
    let path = match &arguments.plugin {
        Some(plugin) => plugin.clone(),
        None => kept(&arguments.capsule, &capsule)?,
    };
    let plugins = super::plugins()?;
    let again = runtime.block_on(async {
        let plugin = plugins.load(&path).await?;
        rerun(&capsule, &plugin).await
    })?;
    match arguments.format {
        Output::Text => print(&capsule, &again),
        Output::Json => line(to_json(&capsule, &again)),
    }
    match again {
        Again::Fine(..) if capsule.state_is_cut => Err(Error::new(
            Kind::Config,
            "it does not fail, and that says nothing: the capsule holds a part of the key's state, as there was too much of it",
        )),
        Again::Fine(..) => Ok(()),
        Again::Same(_) => Err(Error::new(Kind::Step, "it fails as it did")),
        Again::Other(_) => Err(Error::new(Kind::Step, "it fails in another way than it did")),
    }
}

/// The component of a capsule, where the worker keeps plugins: beside the folder of capsules.
fn kept(capsule: &Path, of: &Capsule) -> Result<PathBuf> {
    let failed = |e| Error::new(Kind::Config, format!("`{}`: {e}", capsule.display()));
    let capsule = &capsule.canonicalize().map_err(failed)?;
    let state = capsule.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let name = format!("{}.wasm", of.digest);
    let places = [
        state.join("plugins").join(&of.job).join("plugins").join(&of.digest),
        state.join("plugins").join(&name),
        capsule.with_file_name(&name),
    ];
    let is_it = |path: &&PathBuf| sound::bytes(path, LARGEST).is_ok_and(|bytes| digest(&bytes) == of.digest);
    places.iter().find(is_it).cloned().ok_or_else(|| {
        let words = format!(
            "the component {} is not beside the capsule (looked at {}): name it with --plugin",
            of.digest,
            places.each_ref().map(|path| path.display().to_string()).join(", ")
        );
        Error::new(Kind::Config, words)
    })
}

fn print(capsule: &Capsule, again: &Again) {
    let Capsule { step, job, generation, partition, failure, .. } = capsule;
    show(format!("step {step} of job {job}, generation {generation}, partition {partition}"));
    if let Some(record) = &capsule.record {
        show(format!("  record   {} {} {}", record.stream, record.shard, record.sequence));
    }
    if let Some(schema) = capsule.schema() {
        show(format!("  schema   {schema}, if it is Avro"));
    }
    if let Some(timer) = &capsule.timer {
        show(format!("  timer    {} at {} ms", String::from_utf8_lossy(&timer.tag.0), timer.at_ms));
    }
    if let Some((start_ms, end_ms)) = capsule.window_ms {
        show(format!("  window   {start_ms} to {end_ms} ms"));
    }
    if !capsule.answers.is_empty() {
        show(format!("  answers  {} of services, given again", capsule.answers.len()));
    }
    let more = if capsule.state_is_cut { ", and more that is not in the capsule" } else { "" };
    show(format!("  state    {} values of its key{more}", capsule.state.len()));
    show_lines("  then     ", &failure.message);
    match again {
        Again::Same(_) => show("  now      the same".to_owned()),
        Again::Other(Failed { message, .. }) => show_lines("  now      ", message),
        Again::Fine(rows, refused) => {
            let rows: Vec<_> = rows.iter().map(|(output, rows)| format!("{rows} rows to `{output}`")).collect();
            show(format!("  now      {}", if rows.is_empty() { "folded".to_owned() } else { rows.join(", ") }));
            if let Some(refused) = refused {
                show_lines("           refused: ", refused);
            }
        }
    }
}

/// A line of words that are not ours.
fn show(text: String) {
    line(clean(&text));
}

/// Several lines of words that are not ours.
fn show_lines(before: &str, text: &str) {
    let mut lines = text.lines();
    show(format!("{before}{}", lines.next().unwrap_or_default()));
    lines.for_each(|text| show(text.to_owned()));
}

fn to_json(capsule: &Capsule, again: &Again) -> serde_json::Value {
    let now = match again {
        Again::Same(failed) => json!({ "is": "same", "failure": failed }),
        Again::Other(failed) => json!({ "is": "other", "failure": failed }),
        Again::Fine(rows, refused) => json!({ "is": "fine", "rows": rows, "refused": refused }),
    };
    json!({ "step": capsule.step, "digest": capsule.digest, "then": capsule.failure, "now": now, "state_is_cut": capsule.state_is_cut })
}
