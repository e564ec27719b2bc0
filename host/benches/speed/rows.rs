//! The rows of the table: what each measures, its target, and how several measurements become one line.

use std::process::Command;

use pelton::error::{Error, Kind, Result};
use serde_json::{Value, json};

use super::{
    jobs::{self, Aggregate, Job, Ran},
    measure::{Spent, Spread},
    parts,
    stream::Emulator,
};

/// When the row that watches memory looks, in records. RocksDB's write buffer fills meanwhile, up to its 64 MiB.
const WATCHED: [u64; 5] = [1_000_000, 5_000_000, 10_000_000, 40_000_000, 80_000_000];

/// A row: its name, what it is, and the least records per CPU second that are wanted of it.
struct Row {
    name: &'static str,
    what: &'static str,
    wanted: Option<f64>,
    /// once is enough
    once: bool,
}

const ROWS: &[Row] = &[
    row("boundary", "the plugin boundary alone, 4 fields in and out, calls of 500 records", Some(1e9 / 30.0)),
    row("decode-8", "decode alone, 8 of 8 fields", None),
    row("decode-4", "decode alone, 4 of 8 fields", None),
    row("a", "A: decode, WASM filter and project, counted sink", Some(5e6)),
    row("b-built-in", "B: decode, WASM transform, 1 h windows, built-in aggregates", Some(3e6)),
    row("b-plugin", "B: the same with the WASM aggregator", Some(2e6)),
    row("stream", "B with built-in aggregates from the emulator over SubscribeToShard", None),
    Row { once: true, ..row("memory", "resident memory of B with built-in aggregates", None) },
];

const fn row(name: &'static str, what: &'static str, wanted: Option<f64>) -> Row {
    Row { name, what, wanted, once: false }
}

/// Measures a row in this process and prints the figures as JSON.
pub fn measure_one(name: &str) -> Result<()> {
    let figures = match name {
        "boundary" => part(parts::boundary()?),
        "decode-8" => part(parts::decode(8)?),
        "decode-4" => part(parts::decode(4)?),
        "a" => whole(&jobs::repeated(Job::A, None, Vec::new())?),
        "b-built-in" => whole(&jobs::repeated(Job::B(Aggregate::BuiltIn), None, Vec::new())?),
        "b-plugin" => whole(&jobs::repeated(Job::B(Aggregate::Plugin), None, Vec::new())?),
        "stream" => {
            let emulator = Emulator::start()?;
            whole(&jobs::from_stream(Job::B(Aggregate::BuiltIn), &emulator.endpoint)?)
        }
        "memory" => {
            // One record beyond, so that the last figure is taken.
            let last = WATCHED[WATCHED.len() - 1] + 1;
            whole(&jobs::repeated(Job::B(Aggregate::BuiltIn), Some(last), WATCHED.to_vec())?)
        }
        other => return Err(Error::new(Kind::Config, format!("there is no row `{other}`"))),
    };
    println!("{figures}");
    Ok(())
}

fn part((records, Spent { cpu_s, wall_s }): (u64, Spent)) -> Value {
    json!({ "records": records, "cpu_s": cpu_s, "wall_s": wall_s })
}

fn whole(ran: &Ran) -> Value {
    let resident: Vec<Value> =
        ran.resident.iter().map(|(records, kib)| json!({ "records": records, "mib": kib / 1024 })).collect();
    json!({
        "records": ran.records, "cpu_s": ran.spent.cpu_s, "wall_s": ran.spent.wall_s, "epochs": ran.epochs, "syncs": ran.syncs,
        "written_bytes": ran.written, "results": ran.results, "resident": resident,
    })
}

/// Measures the rows whose names hold `only`, each `repeat` times, and prints them.
pub fn table(json: bool, only: Option<&str>, repeat: usize) -> Result<()> {
    if !json {
        println!(
            "{:12} {:>26} {:>26} {:>24} {:>8}  epochs, syncs, MiB written",
            "row", "M records / CPU s", "CPU s / M records", "M records / s wall", "wanted"
        );
    }
    let mut measured = Vec::new();
    for row in ROWS.iter().filter(|row| only.is_none_or(|only| row.name.contains(only))) {
        let times = if row.once { 1 } else { repeat.max(1) };
        let runs = (0..times).map(|_| child(row.name)).collect::<Result<Vec<Value>>>()?;
        if json {
            measured.push(
                json!({ "row": row.name, "what": row.what, "wanted_records_per_cpu_s": row.wanted, "runs": runs }),
            );
        } else {
            println!("{}", line(row, &runs));
        }
    }
    if json {
        println!("{:#}", Value::Array(measured));
    }
    Ok(())
}

fn child(row: &str) -> Result<Value> {
    let failed = |what: String| Error::new(Kind::Internal, format!("row `{row}`: {what}"));
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let output = Command::new(program).args(["--row", row]).output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))
}

fn number(run: &Value, name: &str) -> f64 {
    run[name].as_f64().unwrap_or(0.0)
}

fn line(row: &Row, runs: &[Value]) -> String {
    let spread = |figure: &dyn Fn(&Value) -> f64, digits: usize| {
        let Some(Spread { min, median, max }) = Spread::of(runs.iter().map(figure).collect()) else {
            return String::new();
        };
        format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
    };
    let per_cpu = spread(&|run| number(run, "records") / number(run, "cpu_s") / 1e6, 2);
    let cpu = spread(&|run| number(run, "cpu_s") / number(run, "records") * 1e6, 3);
    let wall = spread(&|run| number(run, "records") / number(run, "wall_s") / 1e6, 2);
    let wanted = row.wanted.map_or_else(String::new, |wanted| format!("{:.1}", wanted / 1e6));
    let durable: Vec<String> = runs
        .iter()
        .filter(|run| run["epochs"].is_u64())
        .map(|run| {
            format!("{}, {}, {:.0}", run["epochs"], run["syncs"], number(run, "written_bytes") / f64::from(1 << 20))
        })
        .collect();
    let mut text = format!("{:12} {per_cpu:>26} {cpu:>26} {wall:>24} {wanted:>8}  {}", row.name, durable.join("; "));
    for resident in runs.iter().flat_map(|run| run["resident"].as_array().into_iter().flatten()) {
        text.push_str(&format!("\n{:12} {} MiB after {} records", "", resident["mib"], resident["records"]));
    }
    text
}
