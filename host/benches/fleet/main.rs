//! What does a fleet cost? Run by `cargo xtask bench fleet`; what the rows mean is in `docs/benchmarks.md`.
//!
//! The rule: what is measured is `pelton` itself, as processes, built with the profile that is shipped. Streams and leases are the emulator's,
//! which runs in this process, so that what it takes is not counted; times come from manifests, CPU and memory from the system.
#![allow(clippy::print_stdout, reason = "its output is the point")]

mod bucket;
mod chronicle;
mod epochs;
mod idle;
mod load;
mod owners;
mod rows;
mod scene;
mod worker;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// What the command line asks for.
#[derive(Debug)]
struct Arguments {
    json: bool,
    /// rows whose name holds this
    only: Option<String>,
    repeat: usize,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments { json: false, only: None, repeat: 3 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--format" => arguments.json = value()? == "json",
            "--only" => arguments.only = Some(value()?),
            "--repeat" => arguments.repeat = value()?.parse().context("`--repeat` needs a number")?,
            // cargo adds it
            "--bench" => {}
            other => bail!("`{other}` is not known: expected --format text|json, --only PART, --repeat N"),
        }
    }
    Ok(arguments)
}

fn run() -> Result<()> {
    let arguments = arguments()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(rows::table(arguments.json, arguments.only.as_deref(), arguments.repeat.max(1)))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("bench: {failed:#}");
            ExitCode::FAILURE
        }
    }
}
