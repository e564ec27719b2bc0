//! `pelton run`: a job until it is stopped or, bounded, until everything was read. Figures go to standard error.
//!
//! Left to others: what runs (`job::run`), the figures (`table`, `metrics`), the emulator of one run (`local`).

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::exit,
    sync::{Arc, Mutex, PoisonError},
};

use clap::Args;
use local::Local;
use tokio::runtime::Handle;

use super::{Output, build::Leash, check};
use crate::{
    clock::SystemClock,
    control::{
        self,
        network::{Port, Token},
        tls::Tls,
    },
    error::Result,
    job::{Graph, inspect::Subjects, live::Live, run as job_run},
    task,
};

mod local;
mod look;
mod metrics;
pub mod table;
mod watch;

pub use table::line;

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
    /// go on where a lease row says that another application has read to, although the state lacks what it read
    #[arg(long)]
    adopt_row: bool,
    /// Kinesis and Firehose for every node without an `endpoint:` of its own; AWS_ENDPOINT_URL_KINESIS without it
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// run against a Kinesis, a Firehose and a schema registry of its own, with the streams of the job; always fresh
    #[arg(long, conflicts_with = "endpoint")]
    emulator: bool,
    /// with --emulator: put the lines of a file into a stream before the job starts
    #[arg(long, value_name = "STREAM=FILE", value_parser = local::parse_data, requires = "emulator")]
    data: Vec<local::Data>,
    /// with --emulator: shards of each stream
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "emulator")]
    shards: u32,
    /// serve /metrics, /status (for `pelton top`), /livez and /readyz here, on this machine only; without ADDR: 127.0.0.1:9464
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:9464", require_equals = true)]
    metrics: Option<SocketAddr>,
    /// serve the control API here too, beyond this machine only with a certificate; it is on a socket in the state folder in any case
    #[arg(long, value_name = "ADDR", requires = "control_token")]
    control: Option<SocketAddr>,
    /// a file with the token that whoever asks there must give
    #[arg(long, value_name = "FILE", requires = "control")]
    control_token: Option<PathBuf>,
    /// the certificate, with those that it is signed by, in PEM: control is served by TLS
    #[arg(long, value_name = "FILE", requires_all = ["control", "control_key"])]
    control_cert: Option<PathBuf>,
    /// its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "control_cert")]
    control_key: Option<PathBuf>,
    /// build, check and swap in plugins whenever their source or component changes
    #[arg(long, conflicts_with = "until_caught_up")]
    watch: bool,
    /// how figures and mistakes of the job file are printed
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// What every tool of AWS takes as the address of Kinesis.
pub(super) fn named() -> Option<String> {
    std::env::var("AWS_ENDPOINT_URL_KINESIS").ok().filter(|url| !url.is_empty())
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let local = arguments.emulator.then(|| runtime.block_on(Local::start())).transpose()?;
    let registry = local.as_ref().map(Local::registry);
    let variable = |name: &str| std::env::var(name).ok();
    let (handle, registry) = (runtime.handle(), registry.as_deref());
    let mut checked =
        check::load_from(&arguments.job, &variable, handle, arguments.format, registry, Subjects::asked())?;
    checked.graph.notes.iter().for_each(|note| tracing::warn!("{note}"));
    if let Some(local) = &local {
        local::bring_home(&mut checked.graph);
        local.prepare(&checked.graph, arguments.shards, &arguments.data)?;
        tracing::info!("kinesis and firehose: {}, schema registry: {}", local.endpoint(), local.registry());
    }
    let options = job_run::RunOptions {
        state_dir: arguments.state_dir.clone().unwrap_or_else(|| checked.graph.state_dir.clone()),
        until_caught_up: arguments.until_caught_up,
        accept_change: arguments.accept_change,
        fresh: arguments.fresh || arguments.emulator,
        accept_repeats: arguments.accept_repeats,
        accept_loss: arguments.accept_loss,
        accept_rejects: arguments.accept_rejects,
        adopt_row: arguments.adopt_row,
        endpoint: local.as_ref().map(Local::endpoint).or_else(|| arguments.endpoint.clone()).or_else(named),
    };
    let live = Arc::new(Live::default());
    let serve = |at| metrics::serve(runtime.handle(), at, &checked.graph.job, live.clone());
    let serving = arguments.metrics.map(serve).transpose()?;
    if let Some(serving) = &serving {
        tracing::info!("metrics: http://{}/metrics", serving.at);
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let builds = Leash::default();
    let held = builds.clone();
    let _signals = task::spawn(runtime.handle(), async move {
        ended().await;
        held.end();
        tracing::info!("the epoch ends and is committed; another signal ends the process at once");
        let _ = stop.send(true);
        ended().await;
        exit(130)
    });
    let figures = task::spawn(runtime.handle(), table::show(live.clone(), arguments.format));
    let control = Arc::new(Mutex::new(None));
    let around = job_run::Surroundings {
        plugins: checked.plugins,
        registry: checked.registry,
        runtime: runtime.handle().clone(),
        clock: SystemClock::shared(),
        live: live.clone(),
        running: Some(serve_control(runtime.handle(), &checked.graph, &live, arguments, &control, &builds)?),
    };
    let ran = job_run::run(&checked.graph, &options, around, stopped);
    builds.end();
    drop((figures, control));
    table::close(&live, arguments.format, ran.is_ok());
    ran
}

/// What is served while the job runs, and who watches its plugins.
struct Served {
    _socket: control::Serving,
    _tasks: Vec<task::Task<()>>,
}

/// Serves control once the job runs, into this slot.
fn serve_control(
    runtime: &Handle,
    graph: &Graph,
    live: &Arc<Live>,
    arguments: &Arguments,
    slot: &Arc<Mutex<Option<Served>>>,
    builds: &Leash,
) -> Result<Box<dyn FnOnce(job_run::Running) + Send>> {
    let token = arguments.control_token.as_deref().map(Token::read).transpose()?;
    let files = arguments.control_cert.as_deref().zip(arguments.control_key.as_deref());
    let tls = files.map(|(certificate, key)| Tls::read(certificate, key)).transpose()?;
    let port = arguments.control.map(|at| Port::bind(at, tls)).transpose()?;
    let (port, watched, builds) = (port.zip(token), arguments.watch, builds.clone());
    let (runtime, graph, live, slot) = (runtime.clone(), Arc::new(graph.clone()), live.clone(), slot.clone());
    Ok(Box::new(move |running| {
        let job_run::Running { deployer, plugins } = running;
        let Some((plugins, folder)) = plugins else { return };
        let controlled = Arc::new(control::Controlled { graph: graph.clone(), deployer, store: plugins, live });
        let socket = match control::serve(&runtime, &folder, controlled.clone()) {
            Ok(socket) => socket,
            Err(failed) => return tracing::warn!("{failed}; the job runs on, and cannot be swapped"),
        };
        let mut tasks: Vec<_> = watched.then(|| watch::watch(&runtime, &graph, folder, builds)).into_iter().collect();
        if let Some((port, token)) = port {
            match port.serve(&runtime, token, controlled) {
                Ok((at, served)) => {
                    tracing::info!("control: {at}/v1/job");
                    tasks.push(served);
                }
                Err(failed) => tracing::warn!("{failed}; the job runs on"),
            }
        }
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Served { _socket: socket, _tasks: tasks });
    }))
}

/// SIGTERM or Ctrl-C: the epoch ends, is committed, and the process exits with 0.
pub(super) async fn ended() {
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
