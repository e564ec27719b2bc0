//! The command line: what users type, one file a command.
//!
//! Prints results to standard output and everything else to standard error; exit codes follow sysexits. Nothing here decides anything
//! about records: commands call the library.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::OnceLock};

use clap::{Parser, Subcommand};

use crate::{
    error::Result,
    plugin::{self as plugin_boundary, Compiler, Limits, Plugins},
};

pub mod avro;
pub mod build;
pub mod check;
pub mod checkpoint;
pub mod dead_letters;
pub mod demo;
pub mod emulator;
pub mod explain;
pub mod kinesis;
pub mod leases;
pub mod new;
pub mod plan;
pub mod plugin;
mod reference;
pub mod replay;
pub mod repro;
pub mod run;
pub mod schema;
pub mod swap;
pub mod test;
mod top;

/// A stream processor for Amazon Kinesis that runs WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "pelton", version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job
    Run(run::Arguments),
    /// Find every mistake of a job file (exit code 0, or 78)
    Check(check::Arguments),
    /// Say how a job runs, and what it costs to run it
    Explain(explain::Arguments),
    /// Look at what a job would go on from, and keep copies of it
    Checkpoint(checkpoint::Arguments),
    /// Look at records that could not be processed
    DeadLetters(dead_letters::Arguments),
    /// Look at who runs what, and move it
    Leases(leases::Arguments),
    /// Build a plugin: a project in any language, or a core module, becomes a component
    Build(build::Arguments),
    /// Start a plugin or a job in a new folder
    New(new::Arguments),
    /// Look at a plugin before it is deployed
    Plugin(plugin::Arguments),
    /// Look at running workers: who holds what, how far it is, what an epoch takes
    Top(top::Arguments),
    /// Compare a job file with the job that runs, and say how each change is made
    Plan(plan::Arguments),
    /// Replace the plugin of a step while the job runs
    Swap(swap::Arguments),
    /// Go back to the plugins that ran before the last swap
    Rollback(swap::BackArguments),
    /// Run two versions of a step's plugin over the same records, and show what differs (exit code 0, 1, or 78)
    Replay(replay::Arguments),
    /// Give a plugin again what it failed over, from a failure capsule (exit code 0, 1, or 78)
    Repro(repro::Arguments),
    /// Run the inline tests of a job file (exit code 0, 1, or 78)
    Test(test::Arguments),
    /// Run the flights example on an emulator of its own, and draw a chart
    Demo(demo::Arguments),
    /// Serve Kinesis, Firehose, DynamoDB (what leases need) and a schema registry on this machine
    Emulator(emulator::Arguments),
    /// Serve a Confluent-compatible schema registry on this machine
    Registry(emulator::RegistryArguments),
    /// Compare schemas, make the next version, and say what it does to jobs
    Schema(schema::Arguments),
    /// Make, fill, read and reshard streams
    Stream(kinesis::Arguments),
    /// Compile what comes on standard input, for a worker that has started this
    #[command(name = plugin_boundary::COMMAND, hide = true)]
    CompilePlugin,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// for people
    #[default]
    Text,
    /// for machines
    Json,
}

/// Runs what was typed.
pub fn main() -> ExitCode {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("PELTON_LOG").unwrap_or_else(|_| "warn,pelton=info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| run::table::Stderr)
        .with_target(false)
        .init();
    COMPILER.get_or_init(Compiler::this_program);
    let done = match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Checkpoint(arguments) => checkpoint::checkpoint(&arguments),
        Command::DeadLetters(arguments) => dead_letters::dead_letters(&arguments),
        Command::Build(arguments) => build::build(&arguments),
        Command::Leases(arguments) => leases::leases(&arguments),
        Command::New(arguments) => new::new(&arguments),
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Plugin(arguments) => plugin::plugin(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Swap(arguments) => swap::swap(&arguments),
        Command::Rollback(arguments) => swap::roll_back(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Repro(arguments) => repro::repro(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Emulator(arguments) => emulator::serve(&arguments),
        Command::Registry(arguments) => emulator::serve_registry(&arguments),
        Command::Schema(arguments) => schema::schema(&arguments),
        Command::Stream(arguments) => kinesis::stream(&arguments),
        Command::CompilePlugin => plugin_boundary::compile_for_parent(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("pelton: {failed}");
            ExitCode::from(failed.kind().exit_code())
        }
    }
}

/// `docs/reference/cli.md`.
pub use reference::reference;

/// Prints a line of results. Whoever reads them may stop reading, as `head` does: that ends the command, and is no failure.
pub(crate) fn line(text: impl std::fmt::Display) {
    use std::io::Write;
    if let Err(e) = writeln!(std::io::stdout().lock(), "{text}") {
        if e.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("pelton: cannot write to standard output: {e}");
        }
        std::process::exit(i32::from(e.kind() != std::io::ErrorKind::BrokenPipe));
    }
}

/// The shared runtime of a command.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    built.map_err(|e| crate::error::Error::new(crate::error::Kind::Internal, format!("cannot start threads: {e}")))
}

/// Who compiles plugins: a child where [`main`] is what this program runs. Other programs, such as tests, cannot be started again as one.
static COMPILER: OnceLock<Compiler> = OnceLock::new();

/// The engine of a command, which keeps what it has compiled.
pub(crate) fn plugins() -> Result<Plugins> {
    Ok(Plugins::new(plugin_cache(), Limits::default())?.compiled_by(compiler()))
}

fn compiler() -> Compiler {
    COMPILER.get().cloned().unwrap_or_default()
}

/// Where compiled plugins are kept: below the user's cache folder.
fn plugin_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or_else(home).map(|folder| folder.join("pelton/plugins"))
}
