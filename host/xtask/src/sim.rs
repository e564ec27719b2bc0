//! The simulator: built with the features of the whole workspace, so that nothing is compiled twice, and run.

use std::process::Command;

use crate::run;

/// Seeds in the tests: of the plain campaign, of those that are run twice, for each planted fault, and of swaps.
const SEEDS: (&str, &str, &str, &str) = ("200", "12", "200", "100");

fn built(name: &str) -> std::path::PathBuf {
    run::target().join("debug").join(name)
}

/// The simulator with planted faults, beside the one without.
pub fn build_planted() -> Result<(), String> {
    run::show(run::cargo(&["build", "--workspace", "--bins", "--features", "pelton-sim/planted"]))?;
    let (from, to) = (built("pelton-sim"), built("pelton-sim-planted"));
    std::fs::copy(&from, &to).map(drop).map_err(|e| format!("cannot copy {}: {e}", from.display()))
}

fn simulate(name: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(built(name));
    command.args(arguments).current_dir(run::root());
    run::show(command)
}

/// What every change must pass.
pub fn in_tests() -> Result<(), String> {
    run::show(run::cargo(&["build", "--workspace", "--bins"]))?;
    simulate("pelton-sim", &["--seeds", SEEDS.0])?;
    simulate("pelton-sim", &["--seeds", SEEDS.1, "--from", "5000", "--twice"])?;
    simulate("pelton-sim", &["--scenario", "swap", "--seeds", SEEDS.3])?;
    simulate("pelton-sim-planted", &["--seeds", SEEDS.2, "--planted"])
}

/// As asked.
pub fn run(rest: &[String]) -> Result<(), String> {
    let is_planted = rest.iter().any(|argument| argument == "--planted");
    if is_planted {
        build_planted()?;
        // the programs that stay are without
        run::show(run::cargo(&["build", "--workspace", "--bins"]))?;
    } else {
        run::show(run::cargo(&["build", "--workspace", "--bins"]))?;
    }
    let commit = run::output("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    let mut arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
    if rest.iter().any(|argument| argument == "--ledger") {
        arguments.extend(["--commit", commit.trim()]);
    }
    simulate(if is_planted { "pelton-sim-planted" } else { "pelton-sim" }, &arguments)
}
