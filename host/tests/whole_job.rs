//! A whole job in a process of its own: results against a naive computation, killed at every named point of the commit protocol.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Output},
};

use pelton::checkpoint::kill::POINTS;
use serde_json::{Value, json};

const RECORDS: i64 = 20_000;
const MINUTE_MS: i64 = 60_000;

const JOB: &str = r#"
pelton: v1
job: whole
sources:
  clicks:
    file: { path: clicks.jsonl, format: json_lines }
    format: { json: { fields: { ad: text, amount: int64, at: timestamp } } }
    time: { field: at, out_of_order: 5s, idle: wait }
steps:
  kept:
    from: clicks
    filter: "amount % 5 <> 0"
  per_ad:
    from: kept
    key: ad
    window: { tumbling: 1m }
    aggregate: { clicks: count, total: sum(amount), least: min(amount) }
sinks:
  results:
    from: per_ad
    file: { path: out, roll: { every: 1s, size: 1KiB } }
checkpoint: { every: 10ms }
"#;

fn at_ms(record: i64) -> i64 {
    1_700_000_000_000 + record * 250 - (record % 7) * 500
}

fn write_job(folder: &Path) {
    let lines: Vec<String> = (0..RECORDS)
        .map(|n| json!({ "ad": format!("ad{}", n % 13), "amount": n, "at": at_ms(n) }).to_string())
        .collect();
    std::fs::write(folder.join("clicks.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.join("job.yaml"), JOB).unwrap();
}

fn run(folder: &Path, kill: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["run", "job.yaml", "--until-caught-up"]).current_dir(folder).env_remove("PELTON_KILL_AT");
    if let Some(kill) = kill {
        command.env("PELTON_KILL_AT", kill);
    }
    command.output().unwrap()
}

/// Key and start of the window.
type Window = (String, i64);
/// Clicks, total, least.
type Row = (i64, i64, i64);

/// Key and window to what the job must have computed; no record is late, since disorder is below the bound.
fn expected() -> BTreeMap<Window, Row> {
    let mut windows = BTreeMap::new();
    for n in (0..RECORDS).filter(|n| n % 5 != 0) {
        let start = at_ms(n) / MINUTE_MS * MINUTE_MS;
        let entry = windows.entry((format!("ad{}", n % 13), start)).or_insert((0, 0, i64::MAX));
        *entry = (entry.0 + 1, entry.1 + n, entry.2.min(n));
    }
    windows
}

fn results(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder.join("out")).unwrap().map(|file| file.unwrap().path());
    let texts = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

/// The last firing of each window; no firing of a window may be there twice.
fn last_firings(folder: &Path) -> BTreeMap<Window, Row> {
    let mut last: BTreeMap<Window, (i64, Row)> = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for row in results(folder) {
        let start = row["window_start"].as_str().unwrap();
        let start = pelton::job::timestamp_us(start).unwrap() / 1000;
        let key = (row["ad"].as_str().unwrap().to_owned(), start);
        let number = row["firing_number"].as_i64().unwrap();
        assert!(seen.insert((key.clone(), number)), "firing {number} of {key:?} is there twice");
        let value = (row["clicks"].as_i64().unwrap(), row["total"].as_i64().unwrap(), row["least"].as_i64().unwrap());
        let entry = last.entry(key).or_insert((number, value));
        if number >= entry.0 {
            *entry = (number, value);
        }
    }
    last.into_iter().map(|(key, (_, value))| (key, value)).collect()
}

#[test]
fn windows_equal_a_naive_computation_and_a_second_run_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_job(folder.path());
    let first = run(folder.path(), None);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(last_firings(folder.path()), expected());
    let rows = results(folder.path()).len();
    let second = run(folder.path(), None);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(results(folder.path()).len(), rows);
}

#[test]
fn killed_at_every_point_of_the_protocol_nothing_is_lost_or_repeated() {
    let mut fired = 0;
    for point in POINTS {
        for hit in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            write_job(folder.path());
            let killed = run(folder.path(), Some(&format!("{point}:{hit}")));
            fired += usize::from(killed.status.signal() == Some(9));
            let again = run(folder.path(), Some(&format!("{point}:1")));
            fired += usize::from(again.status.signal() == Some(9));
            let last = run(folder.path(), None);
            assert!(last.status.success(), "{point}: {}", String::from_utf8_lossy(&last.stderr));
            assert_eq!(last_firings(folder.path()), expected(), "killed at {point}, hit {hit}");
        }
    }
    assert!(fired >= POINTS.len(), "only {fired} kills fired at {} points", POINTS.len());
}
