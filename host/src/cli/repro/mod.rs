//! `pelton repro`: gives a plugin again what it failed over. 0: it does not fail any more; 1: it fails.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Output, line, runtime};
use crate::{
    error::{Error, Kind, Result},
    job::{
        capsule::{Again, Capsule, Failed, rerun},
        swap::store::digest,
    },
};

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
        Again::Fine(..) => Ok(()),
        Again::Same(_) => Err(Error::new(Kind::Step, "it fails as it did")),
        Again::Other(_) => Err(Error::new(Kind::Step, "it fails in another way than it did")),
    }
}

/// The component of a capsule, where the worker keeps plugins: beside the folder of capsules.
fn kept(capsule: &Path, of: &Capsule) -> Result<PathBuf> {
    let state = capsule.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let name = format!("{}.wasm", of.digest);
    let places = [
        state.join("plugins").join(&of.job).join("plugins").join(&of.digest),
        state.join("plugins").join(&name),
        capsule.with_file_name(&name),
    ];
    let is_it = |path: &&PathBuf| std::fs::read(path).is_ok_and(|bytes| digest(&bytes) == of.digest);
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
    line(format_args!("step {step} of job {job}, generation {generation}, partition {partition}"));
    if let Some(record) = &capsule.record {
        line(format_args!("  record   {} {} {}", record.stream, record.shard, record.sequence));
    }
    if let Some(schema) = capsule.schema() {
        line(format_args!("  schema   {schema}, if it is Avro"));
    }
    if let Some(timer) = &capsule.timer {
        line(format_args!("  timer    {} at {} ms", String::from_utf8_lossy(&timer.tag.0), timer.at_ms));
    }
    line(format_args!("  state    {} values of its key", capsule.state.len()));
    line(format_args!("  then     {}", failure.message));
    match again {
        Again::Same(_) => line("  now      the same"),
        Again::Other(Failed { message, .. }) => line(format_args!("  now      {message}")),
        Again::Fine(rows, refused) => {
            let rows = rows.iter().map(|(output, rows)| format!("{rows} rows to `{output}`"));
            line(format_args!("  now      {}", rows.collect::<Vec<_>>().join(", ")));
            if let Some(refused) = refused {
                line(format_args!("           refused: {refused}"));
            }
        }
    }
}

fn to_json(capsule: &Capsule, again: &Again) -> serde_json::Value {
    let now = match again {
        Again::Same(failed) => json!({ "is": "same", "failure": failed }),
        Again::Other(failed) => json!({ "is": "other", "failure": failed }),
        Again::Fine(rows, refused) => json!({ "is": "fine", "rows": rows, "refused": refused }),
    };
    json!({ "step": capsule.step, "digest": capsule.digest, "then": capsule.failure, "now": now })
}
