//! `pelton test`: the inline tests of a job file. 0: all passed; 1: some did not; 78: the job file is wrong.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Output;
use crate::{
    error::{Error, Kind, Result},
    job::testing::{self, Outcome, Surroundings},
};

/// Run the inline tests of a job file.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// only tests whose name contains this
    #[arg(default_value = "")]
    name: String,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs the command.
pub fn test(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let checked = super::check::load_for_tests(&arguments.job, runtime.handle(), arguments.format)?;
    let graph = &checked.graph;
    let around =
        Surroundings { plugins: checked.plugins, registry: checked.registry, runtime: runtime.handle().clone() };
    let outcomes = testing::run(graph, &arguments.name, &around)?;
    let path = arguments.job.display();
    if outcomes.is_empty() {
        let names: Vec<&str> = graph.tests.iter().map(|test| test.name.as_str()).collect();
        let message = match names[..] {
            [] => format!(
                "{path} has no `tests:`; a test is a name, an `input:` of records and watermarks, and what to `expect:`"
            ),
            _ => format!("no test of {path} has `{}` in its name; there is: {}", arguments.name, names.join(", ")),
        };
        return Err(Error::new(Kind::Config, message));
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    match arguments.format {
        Output::Json => println!("{}", to_json(&graph.job, &outcomes)),
        Output::Text => outcomes.iter().for_each(|outcome| {
            let line = checked.text.get(..outcome.place).map_or(1, |before| before.matches('\n').count() + 1);
            print(outcome, &format!("{path}:{line}"));
        }),
    }
    match failed {
        0 => Ok(()),
        failed => Err(Error::new(Kind::Step, format!("{failed} of {} tests failed", outcomes.len()))),
    }
}

fn print(outcome: &Outcome, place: &str) {
    if outcome.passed() {
        println!("ok    {}", outcome.name);
        return;
    }
    println!("FAIL  {} ({place})", outcome.name);
    for line in outcome.differences.iter().flat_map(testing::Difference::lines) {
        println!("      {line}");
    }
    if let Some(failed) = &outcome.failed {
        println!("      it could not be run to its end: {failed}");
    }
    if outcome.perhaps_open {
        println!("      a window gives its result when a later record or a `watermark:` has passed its end");
    }
}

fn to_json(job: &str, outcomes: &[Outcome]) -> serde_json::Value {
    let one = |outcome: &Outcome| {
        json!({
            "name": outcome.name,
            "passed": outcome.passed(),
            "failed": outcome.failed.as_ref().map(ToString::to_string),
            "differences": outcome.differences.iter().map(testing::Difference::to_json).collect::<Vec<_>>(),
        })
    };
    json!({ "job": job, "tests": outcomes.iter().map(one).collect::<Vec<_>>() })
}
