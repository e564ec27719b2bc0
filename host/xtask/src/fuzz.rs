//! Fuzzing: builds the targets with counters on every edge of Pelton's own code, and gives them to libFuzzer.
//!
//! The rule: the compiler is the one of everybody, and only the packages that are searched are compiled anew: this program stands in for
//! the compiler of the workspace's packages and adds the counters to three of them. Left to others: the targets (`host/fuzz`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use crate::run;

const TARGETS: [&str; 11] = [
    "confluent",
    "glue",
    "glue_zlib",
    "single_object",
    "container",
    "gzip",
    "json",
    "resolved",
    "schema",
    "pair",
    "evolve",
];
/// What gets counters.
const COUNTED: [&str; 3] = ["pelton", "pelton_schema", "pelton_fuzz"];
/// What counters are, to the compiler.
const COUNTERS: [&str; 4] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];
const COMPARES: &str = "-Cllvm-args=-sanitizer-coverage-trace-compares";
const USAGE: &str =
    "fuzz takes a target or `all`, then --seconds N (600), --corpus FOLDER, --input FILE or --keep; the targets are ";
/// The corpus of a target in the repository.
const MOST_FILES: usize = 150;
const MOST_BYTES: u64 = 300 << 10;

/// The compiler with counters, where cargo calls this program in its place.
pub fn compiler() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next().filter(|first| Path::new(first).file_stem().is_some_and(|name| name == "rustc"))?;
    let rest: Vec<_> = arguments.collect();
    let is_counted = rest
        .windows(2)
        .any(|pair| pair[0] == "--crate-name" && pair[1].to_str().is_some_and(|name| COUNTED.contains(&name)));
    let mut command = Command::new(compiler);
    command.args(rest);
    if is_counted {
        command.args(COUNTERS).arg(COMPARES);
    }
    let works = command.status().is_ok_and(|status| status.success());
    Some(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Plan {
    targets: Vec<String>,
    seconds: u64,
    corpus: Option<PathBuf>,
    input: Option<PathBuf>,
    keep: bool,
}

fn plan(rest: &[String]) -> Result<Plan, String> {
    let usage = || format!("{USAGE}{}", TARGETS.join(", "));
    let (name, mut rest) = rest.split_first().ok_or_else(usage)?;
    let targets: Vec<String> =
        TARGETS.iter().filter(|known| *known == name || name == "all").map(ToString::to_string).collect();
    if targets.is_empty() {
        return Err(usage());
    }
    let mut plan = Plan { targets, seconds: 600, corpus: None, input: None, keep: false };
    while let [flag, after @ ..] = rest {
        rest = after;
        if flag == "--keep" {
            plan.keep = true;
            continue;
        }
        let [value, after @ ..] = rest else { return Err(format!("{flag} needs a value; {}", usage())) };
        rest = after;
        match flag.as_str() {
            "--seconds" => plan.seconds = value.parse().map_err(|_| format!("`{value}` is no number of seconds"))?,
            "--corpus" => plan.corpus = Some(PathBuf::from(value)),
            "--input" => plan.input = Some(PathBuf::from(value)),
            _ => return Err(usage()),
        }
    }
    Ok(plan)
}

/// Builds, and searches, or tries one input.
pub fn run(rest: &[String]) -> Result<(), String> {
    let plan = plan(rest)?;
    let program = build()?;
    let mut failed = Vec::new();
    for target in &plan.targets {
        let done = match &plan.input {
            Some(input) => run::show(searcher(&program, target, &[&input.to_string_lossy()])),
            None => search(&program, target, &plan),
        };
        failed.extend(done.err());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nxtask: ")) }
}

/// The features of the whole workspace, so that no dependency is compiled twice.
fn build() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
    // A copy: cargo writes the program itself anew.
    let wrapper = run::target().join("fuzz");
    fs::create_dir_all(&wrapper).map_err(|e| format!("cannot make {}: {e}", wrapper.display()))?;
    let wrapper = wrapper.join("counting-compiler");
    let is_same = fs::read(&wrapper).ok() == fs::read(&own).ok();
    if !is_same {
        fs::copy(&own, &wrapper).map_err(|e| format!("cannot make {}: {e}", wrapper.display()))?;
    }
    let mut build =
        run::cargo(&["build", "--workspace", "--bin", "pelton-fuzz", "--features", "pelton-fuzz/libfuzzer"]);
    build.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
    run::show(build)?;
    Ok(run::target().join("debug/pelton-fuzz"))
}

fn searcher(program: &Path, target: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("PELTON_FUZZ_TARGET", target).args(arguments);
    command
}

fn folder(path: PathBuf) -> Result<PathBuf, String> {
    fs::create_dir_all(&path).map_err(|e| format!("cannot make {}: {e}", path.display()))?;
    Ok(path)
}

/// Searches from the corpus of the repository on; what is found goes to a folder of its own.
fn search(program: &Path, target: &str, plan: &Plan) -> Result<(), String> {
    let kept = folder(run::root().join("host/fuzz/corpus").join(target))?;
    let found = folder(plan.corpus.clone().unwrap_or_else(|| run::target().join("fuzz/corpus")).join(target))?;
    let crashes = folder(run::target().join("fuzz/crashes"))?.join(format!("{target}-"));
    let words = run::root().join("host/fuzz/words.dict");
    let mut command = searcher(
        program,
        target,
        &["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-len_control=20", "-print_final_stats=1"],
    );
    command.arg(format!("-max_total_time={}", plan.seconds)).arg(format!("-dict={}", words.display()));
    command.arg(format!("-artifact_prefix={}", crashes.display())).arg(&found).arg(&kept).stderr(Stdio::piped());
    println!("xtask: {target}: {}", seconds(plan.seconds));
    let output = command.output().map_err(|e| format!("{} cannot be started: {e}", program.display()))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let last = log.lines().rfind(|line| line.contains("cov:")).unwrap_or("no coverage").trim();
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).unwrap_or("?").trim();
    println!("xtask: {target}: {runs} executions, {last}");
    if !output.status.success() {
        let tail: Vec<&str> = log.lines().rev().take(60).collect();
        tail.iter().rev().for_each(|line| eprintln!("{line}"));
        let file =
            log.lines().find_map(|line| line.split_once("Test unit written to ")).map_or("FILE", |(_, file)| file);
        return Err(format!("{target} failed; again: cargo xtask fuzz {target} --input {file}"));
    }
    if plan.keep { keep(program, target, &found, &kept) } else { Ok(()) }
}

fn seconds(seconds: u64) -> String {
    format!("{:?}", Duration::from_secs(seconds))
}

/// The smallest inputs of everything that was found that reach what all of them reach, as far as there is room for them.
fn keep(program: &Path, target: &str, found: &Path, kept: &Path) -> Result<(), String> {
    let merged = run::target().join("fuzz/merged").join(target);
    let _ = fs::remove_dir_all(&merged);
    let merged = folder(merged)?;
    let mut merge = searcher(program, target, &["-merge=1", "-timeout=10", "-max_len=4096"]);
    merge.arg(&merged).arg(found).arg(kept).stderr(Stdio::null());
    run::show(merge)?;
    let failed = |e: std::io::Error| format!("the corpus of {target}: {e}");
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&merged).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        files.push((entry.metadata().map_err(failed)?.len(), entry.path()));
    }
    files.sort();
    // Evenly over the sizes: the large ones reach what the small ones do not.
    let step = files.len().div_ceil(MOST_FILES).max(1);
    let mut bytes = 0;
    fs::remove_dir_all(kept).map_err(failed)?;
    let kept = folder(kept.to_owned())?;
    for (size, path) in files.iter().rev().step_by(step) {
        bytes += size;
        if bytes <= MOST_BYTES {
            fs::copy(path, kept.join(path.file_name().unwrap_or_default())).map_err(failed)?;
        }
    }
    Ok(())
}
