//! `pelton run`: a job until it is stopped or, bounded, until everything was read. Figures go to standard error.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use clap::Args;
use tokio::sync::watch;

use super::Output;
use crate::{
    clock::{self, SystemClock},
    error::Result,
    job::{live::Live, run as job_run},
    task,
};

/// Run a job.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// stop once everything that is there was read, and close open windows
    #[arg(long)]
    until_caught_up: bool,
    /// where state is kept; the job file's `state: {dir}` without it
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// run a changed job on the state that is there
    #[arg(long)]
    accept_change: bool,
    /// move the state and the files of sinks aside and start over
    #[arg(long)]
    fresh: bool,
    /// go on with a state that is older than what file sinks have shown; what came since comes again, in files of new names
    #[arg(long)]
    accept_repeats: bool,
    /// go on where the stream does not keep records any more that were never read
    #[arg(long)]
    accept_loss: bool,
    /// go on when too many records are rejected
    #[arg(long)]
    accept_rejects: bool,
    /// Kinesis and Firehose for every node without an `endpoint:` of its own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// how mistakes of the job file are printed
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let checked = super::check::load(&arguments.job, runtime.handle(), arguments.format)?;
    let options = job_run::RunOptions {
        state_dir: arguments.state_dir.clone().unwrap_or_else(|| checked.graph.state_dir.clone()),
        until_caught_up: arguments.until_caught_up,
        accept_change: arguments.accept_change,
        fresh: arguments.fresh,
        accept_repeats: arguments.accept_repeats,
        accept_loss: arguments.accept_loss,
        accept_rejects: arguments.accept_rejects,
        endpoint: arguments.endpoint.clone(),
    };
    let live = Arc::new(Live::default());
    let (stop, stopped) = watch::channel(false);
    let _signals = task::spawn(runtime.handle(), async move {
        ended().await;
        let _ = stop.send(true);
        std::future::pending::<()>().await;
    });
    let _figures = task::spawn(runtime.handle(), figures(live.clone()));
    let around = job_run::Surroundings {
        plugins: checked.plugins,
        registry: checked.registry,
        runtime: runtime.handle().clone(),
        clock: SystemClock::shared(),
        live: live.clone(),
    };
    job_run::run(&checked.graph, &options, around, stopped)?;
    eprintln!("{}done: {}", clear(), line(&live, None));
    Ok(())
}

/// SIGTERM or Ctrl-C: the epoch ends, is committed, and the process exits with 0.
async fn ended() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

fn clear() -> &'static str {
    if std::io::stderr().is_terminal() { "\r\x1b[2K" } else { "" }
}

/// A line each second on a terminal, each ten seconds elsewhere.
async fn figures(live: Arc<Live>) {
    let terminal = std::io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    let mut before = 0;
    loop {
        clock::sleep(every).await;
        let records = live.records.load(Relaxed);
        let rate = (records - before) / every.as_secs();
        before = records;
        let text = line(&live, Some(rate));
        let mut stderr = std::io::stderr().lock();
        let _ = if terminal { write!(stderr, "\r\x1b[2K{text}") } else { writeln!(stderr, "{text}") };
        let _ = stderr.flush();
    }
}

/// The figures in one line.
pub(crate) fn line(live: &Live, rate: Option<u64>) -> String {
    let now = live.now();
    let rate = rate.map_or(String::new(), |rate| format!("{rate} records/s, "));
    format!(
        "{rate}{} records, {} results, {} rejects, {} late, epoch {}, {} shards, {} ms behind",
        live.records.load(Relaxed),
        live.results.load(Relaxed),
        live.rejects.load(Relaxed),
        live.late.load(Relaxed),
        now.epoch,
        now.shards,
        now.behind_ms,
    )
}
