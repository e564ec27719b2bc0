//! `pelton check`: every mistake of a job file at once, and what the job is.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use tokio::runtime::Handle;

use super::Output;
use crate::{
    clock::SystemClock,
    decode::registry::Registry,
    error::{Error, Kind, Result},
    job::{
        self, Graph, Report, UNKNOWN_SUBJECT,
        build::registry::connect,
        graph::{Partitioning, RegistryKind},
        inspect::{Inspector, Subjects},
    },
    plugin::Plugins,
};

/// Find every mistake of a job file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// A checked job and what it was checked with.
pub struct Checked {
    /// the job file
    pub text: Arc<str>,
    /// the job
    pub graph: Graph,
    /// the engine, with the plugins compiled
    pub plugins: Arc<Plugins>,
    /// the job's registry
    pub registry: Option<Arc<Registry>>,
}

/// Loads and checks a job file with the variables of this process; the mistakes are printed as they should be seen.
pub fn load(path: &Path, runtime: &Handle, format: Output) -> Result<Checked> {
    load_with(path, &|name| std::env::var(name).ok(), runtime, format)
}

/// The same with other variables for `${env:...}`.
pub fn load_with(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    runtime: &Handle,
    format: Output,
) -> Result<Checked> {
    load_from(path, variable, runtime, format, None, Subjects::asked())
}

/// The same for inline tests, which need no registry where the job gives its schemas.
pub fn load_for_tests(path: &Path, runtime: &Handle, format: Output) -> Result<Checked> {
    load_from(path, &|name| std::env::var(name).ok(), runtime, format, None, Subjects::Left)
}

/// The same with another registry than the job names, where it names one.
pub fn load_from(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    runtime: &Handle,
    format: Output,
    registry: Option<&str>,
    subjects: Subjects,
) -> Result<Checked> {
    let file = job::load(path, variable).map_err(|report| refused(path, &report, format))?;
    check_file(path, file, runtime, format, registry, subjects)
}

/// The same with another plugin at a step than the job file names.
pub fn load_with_plugin(path: &Path, step: &str, plugin: &Path, runtime: &Handle) -> Result<Checked> {
    let failed = |e: std::io::Error| Error::new(Kind::Config, format!("cannot read `{}`: {e}", plugin.display()));
    let whole = plugin.canonicalize().map_err(failed)?;
    let mut file =
        job::load(path, &|name| std::env::var(name).ok()).map_err(|report| refused(path, &report, Output::Text))?;
    if !file.put_plugin(step, &whole) {
        return Err(Error::new(Kind::Config, format!("`{step}` is no step with a plugin in {}", path.display())));
    }
    check_file(path, file, runtime, Output::Text, None, Subjects::asked())
}

fn tell(report: &Report, format: Output) {
    match format {
        Output::Text => eprintln!("{}", report.render(std::io::stderr().is_terminal())),
        Output::Json => println!("{}", report.to_json()),
    }
}

fn refused(path: &Path, report: &Report, format: Output) -> Error {
    tell(report, format);
    Error::new(Kind::Config, format!("{} cannot run: mend what is said above", path.display()))
}

fn check_file(
    path: &Path,
    file: job::File,
    runtime: &Handle,
    format: Output,
    registry: Option<&str>,
    subjects: Subjects,
) -> Result<Checked> {
    let plugins = Arc::new(super::plugins()?);
    let registry = match job::registry(&file) {
        None => None,
        Some(mut named) => {
            if let (Some(other), RegistryKind::Confluent { urls, .. }) = (registry, &mut named.kind) {
                *urls = vec![other.to_owned()];
            }
            Some(runtime.block_on(connect(&named, SystemClock::shared()))?)
        }
    };
    let (clients, handle) = (registry.clone(), runtime.clone());
    let inspector =
        Inspector { plugins: plugins.clone(), registry: clients, runtime: handle, subjects, away: false.into() };
    let graph = job::check(&file, &inspector, &inspector).map_err(|report| {
        let is_missing_alone = report.diagnostics.iter().all(|mistake| mistake.code == UNKNOWN_SUBJECT);
        if !(is_missing_alone && inspector.was_away()) {
            return refused(path, &report, format);
        }
        tell(&report, format);
        let message = "cannot be checked while the registry does not answer; with `schema:` it can be, and can start";
        Error::new(Kind::Unavailable, format!("{} {message}", path.display()))
    })?;
    Ok(Checked { text: file.text.clone(), graph, plugins, registry })
}

/// Runs the command.
pub fn check(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let checked = load(&arguments.job, runtime.handle(), arguments.format)?;
    let graph = &checked.graph;
    match arguments.format {
        Output::Json => println!("{}", graph.canonical()),
        Output::Text => {
            println!("{}: {} is good, {} nodes", arguments.job.display(), graph.job, graph.nodes.len());
            match &graph.partitioning {
                Partitioning::PerShard { reason, .. } => println!("it is one partition per shard: {reason}"),
                Partitioning::One { reason } => println!("it is one partition: {reason}"),
            }
            graph.notes.iter().for_each(|note| println!("note: {note}"));
        }
    }
    Ok(())
}
