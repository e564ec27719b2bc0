//! `pelton plan`: what it takes to make a running job what its file says now; with `--apply`, what can be done while it runs.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Output, check, line, runtime};
use crate::{
    control::{Job, Swap, client::Worker},
    error::{Error, Kind, Result},
    job::{
        Graph,
        plan::{Change, Way, between},
        swap::store::digest,
    },
};

/// Compare a job file with the job that runs, and say how each change is made.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// swap in the plugin that has changed, if nothing else has
    #[arg(long)]
    apply: bool,
    /// where the running worker keeps its state; the job file's `state: {dir}` without it
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs the command.
pub fn plan(arguments: &Arguments) -> Result<()> {
    let runtime = runtime()?;
    let checked = check::load(&arguments.job, runtime.handle(), arguments.format)?;
    let folder = arguments.state_dir.clone().unwrap_or_else(|| checked.graph.state_dir.clone());
    let folder = super::swap::worker_of(&folder);
    runtime.block_on(async {
        let worker = Worker::find(&folder)?;
        let running = worker.job().await?;
        let mut changes = between(&worker.graph().await?, &running.plugins, &checked.graph.canonical());
        for change in &mut changes {
            ask_fit(&worker, &checked.graph, change).await?;
        }
        match arguments.format {
            Output::Json => line(json!({ "job": running.job, "generation": running.generation, "changes": changes })),
            Output::Text => print(&running, &changes),
        }
        if !arguments.apply || changes.is_empty() {
            return Ok(());
        }
        if let Some(change) = changes.iter().find(|change| change.way != Way::Swap) {
            let words = format!("nothing is applied: `{}` needs a {}, see above", change.node, change.way);
            return Err(Error::new(Kind::Config, words));
        }
        let [change] = changes.as_slice() else {
            let words = "nothing is applied: more than one plugin differs. Use `pelton swap` for one after another, so that each can be taken \
                         back by itself";
            return Err(Error::new(Kind::Config, words));
        };
        let how = Swap { over: Some(running.generation), ..Swap::default() };
        let changed = worker.swap(&change.node, component(&checked.graph, &change.node)?, &how).await?;
        super::swap::follow(&worker, Some(&change.node), &changed, arguments.format).await
    })
}

/// The component that the job file names at a step, as it was when the file was checked.
fn component(graph: &Graph, step: &str) -> Result<Vec<u8>> {
    let node = graph.nodes.iter().find(|node| node.name == step);
    let gone = || Error::new(Kind::Internal, format!("`{step}` has no plugin"));
    let plugin = node.and_then(|node| node.kind.plugin()).ok_or_else(gone)?;
    let failed = |e| Error::new(Kind::Config, format!("cannot read `{}`: {e}", plugin.path.display()));
    let component = std::fs::read(&plugin.path).map_err(failed)?;
    if digest(&component) != plugin.interface.digest {
        let words = format!("`{}` was changed since it was checked: ask again", plugin.path.display());
        return Err(Error::new(Kind::Config, words));
    }
    Ok(component)
}

/// A plugin that does not fit in place of the other needs a restart.
async fn ask_fit(worker: &Worker, graph: &Graph, change: &mut Change) -> Result<()> {
    if change.way != Way::Swap {
        return Ok(());
    }
    let component = component(graph, &change.node)?;
    match worker.swap(&change.node, component, &Swap { check: true, ..Swap::default() }).await {
        Ok(_) => {}
        Err(refused) if refused.kind() == Kind::Config => {
            change.way = Way::Restart;
            change.what.push(refused.to_string());
        }
        Err(failed) => return Err(failed),
    }
    Ok(())
}

/// What a running job does not tell: the worker has it from its own start.
const UNTOLD: &str = "not compared: secrets, connectors' settings, `checkpoint.store`, `leases`, `state`, `allow`, `limits`: they count from the \
                      next start on";

fn print(running: &Job, changes: &[Change]) {
    line(format_args!("{}: generation {} runs", running.job, running.generation));
    if let Some(canary) = &running.canary {
        let (passed, all) = (canary.passed.len(), canary.partitions.len());
        line(format_args!("a canary of step `{}` is under way, {passed} of {all} partitions have passed", canary.step));
    }
    if changes.is_empty() {
        line("nothing differs");
        return line(UNTOLD);
    }
    let widest = changes.iter().map(|change| change.node.chars().count()).max().unwrap_or_default();
    for change in changes {
        let mut words = change.what.iter();
        let first = words.next().map_or("", String::as_str);
        line(format_args!("  {:<widest$}  {:<7}  {first}", change.node, change.way));
        words.for_each(|words| line(format_args!("  {:<widest$}  {:<7}  {words}", "", "")));
    }
    match changes.iter().map(|change| change.way).max() {
        Some(Way::Swap) => line("apply it while the job runs: pelton plan --apply"),
        Some(Way::Restart) => line("stop the job, and run it with --accept-change"),
        Some(Way::Fresh) => line("stop the job, and start over with --fresh, which moves its state aside"),
        None => {}
    }
    line(UNTOLD);
}
