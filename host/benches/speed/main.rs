//! How fast is it? Run by `cargo xtask bench`; what the rows mean is in `docs/benchmarks.md`.
//!
//! The rule: a row that gives wrong results gives no figure. Every measurement runs in a process of its own, several times; the table
//! shows the middle one and the spread. CPU time is what counts: other work on the machine stretches wall time only.
#![allow(clippy::print_stdout, reason = "its output is the point")]

mod ends;
mod expected;
mod input;
mod jobs;
mod measure;
mod parts;
mod rows;
mod stream;

use std::{path::PathBuf, process::ExitCode};

use pelton::error::{Error, Kind, Result};

/// A guest by the name of its file.
fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("PELTON_GUESTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/wasm32-wasip2/plugin"),
        PathBuf::from,
    );
    folder.join(format!("{name}.wasm"))
}

/// Where compiled plugins are kept between measurements.
fn compiled() -> PathBuf {
    std::env::temp_dir().join("pelton-bench-compiled")
}

/// What the command line asks for.
#[derive(Debug, Default)]
struct Arguments {
    json: bool,
    /// rows whose name holds this
    only: Option<String>,
    repeat: Option<usize>,
    /// measure this row once, in this process
    row: Option<String>,
    emulator: bool,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Error::new(Kind::Config, format!("`{word}` needs a value")));
        match word.as_str() {
            "--format" => arguments.json = value()? == "json",
            "--only" => arguments.only = Some(value()?),
            "--repeat" => {
                let text = value()?;
                let bad = |_| Error::new(Kind::Config, format!("`--repeat {text}` is no number"));
                arguments.repeat = Some(text.parse().map_err(bad)?);
            }
            "--row" => arguments.row = Some(value()?),
            "--emulator" => arguments.emulator = true,
            // cargo adds it
            "--bench" => {}
            other => {
                let words = "expected --format text|json, --only PART, --repeat N";
                return Err(Error::new(Kind::Config, format!("`{other}` is not known: {words}")));
            }
        }
    }
    Ok(arguments)
}

fn run() -> Result<()> {
    let arguments = arguments()?;
    if arguments.emulator {
        return stream::serve();
    }
    match &arguments.row {
        Some(row) => rows::measure_one(row),
        None => rows::table(arguments.json, arguments.only.as_deref(), arguments.repeat.unwrap_or(3)),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("bench: {failed}");
            ExitCode::FAILURE
        }
    }
}
