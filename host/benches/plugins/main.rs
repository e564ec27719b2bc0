//! What do plugins cost, and how long does a swap take? Run by `cargo xtask bench plugins`; what the rows mean is in `docs/benchmarks.md`.
//!
//! The rule: plugins are made as a user makes them, with `pelton new plugin` and `pelton build`, and every result is checked; wrong results
//! give no figure.
#![allow(clippy::print_stdout, reason = "its output is the point")]

mod boundary;
mod crowd;
mod languages;
mod list;
#[path = "../speed/measure.rs"]
#[allow(dead_code, reason = "wall times are for the other tables")]
mod measure;
mod projects;
mod swaps;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};

/// What the command line asks for.
#[derive(Debug)]
struct Arguments {
    json: bool,
    /// `languages`, `crowd` or `swaps`, or a part of one of these words
    only: Option<String>,
    /// times that a figure is measured
    repeat: usize,
    /// swaps of each kind
    swaps: usize,
    /// so many plugins of this folder, in this process
    crowd: Option<(PathBuf, usize)>,
}

fn arguments() -> Result<Arguments> {
    let mut arguments = Arguments { json: false, only: None, repeat: 5, swaps: 100, crowd: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--format" => arguments.json = value()? == "json",
            "--only" => arguments.only = Some(value()?),
            "--repeat" => arguments.repeat = value()?.parse().context("`--repeat` needs a number")?,
            "--swaps" => arguments.swaps = value()?.parse().context("`--swaps` needs a number")?,
            "--crowd" => {
                arguments.crowd = Some((value()?.into(), value()?.parse().context("`--crowd` needs a number")?))
            }
            // cargo adds it
            "--bench" => {}
            other => bail!("`{other}` is not known: expected --format text|json, --only PART, --repeat N, --swaps N"),
        }
    }
    Ok(arguments)
}

fn run() -> Result<()> {
    let arguments = arguments()?;
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some((folder, count)) = &arguments.crowd {
        return runtime.block_on(crowd::hold(folder, *count));
    }
    let wanted = |row: &str| arguments.only.as_deref().is_none_or(|only| row.contains(only));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    if wanted("languages") {
        runtime.block_on(languages::table(folder.path(), arguments.repeat.max(1), arguments.json))?;
    }
    if wanted("crowd") {
        runtime.block_on(crowd::table(folder.path(), arguments.json))?;
    }
    if wanted("swaps") {
        runtime.block_on(swaps::table(folder.path(), arguments.swaps.max(1), arguments.json))?;
    }
    Ok(())
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
