//! Test cases as folders: `cases/NAME/` with `config.json` (or none), `input.jsonl`, and `expected.jsonl` or `error.txt`.
//!
//! All folders are run before the first difference is reported, so that one run shows everything that is wrong.

use super::Lines;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Runs every case below `folder` (usually `concat!(env!("CARGO_MANIFEST_DIR"), "/cases")`) and fails with what differs.
///
/// # Panics
/// When a case differs or a file cannot be read: it is the assertion of a test.
pub fn check(folder: &str, run: impl Fn(&str, &str) -> Lines) {
    let mut differences = String::new();
    let mut count = 0;
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}")).flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries.iter().filter(|entry| entry.path().is_dir()) {
        count += 1;
        if let Err(difference) = case(&entry.path(), &run) {
            let _ = writeln!(differences, "case {}:\n{difference}", entry.file_name().to_string_lossy());
        }
    }
    assert!(count > 0, "{folder} holds no case; add a folder with input.jsonl and expected.jsonl");
    assert!(differences.is_empty(), "{differences}");
}

fn case(folder: &Path, run: &impl Fn(&str, &str) -> Lines) -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).map_err(|error| format!("  {name}: {error}"));
    let config = read("config.json").unwrap_or_default();
    let found = run(&config, &read("input.jsonl")?);
    match (found, read("error.txt")) {
        (Err(error), Ok(expected)) if error.contains(expected.trim()) => Ok(()),
        (Err(error), _) => Err(format!("  failed: {error}")),
        (Ok(_), Ok(expected)) => Err(format!("  was expected to fail with: {}", expected.trim())),
        (Ok(found), Err(_)) => compare(&read("expected.jsonl")?, &found),
    }
}

/// Lines are compared as JSON, so that spaces and the order of members do not matter.
fn compare(expected: &str, found: &[String]) -> Result<(), String> {
    let expected: Vec<&str> = expected.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut difference = String::new();
    for index in 0..expected.len().max(found.len()) {
        let (wanted, got) = (expected.get(index).copied(), found.get(index).map(String::as_str));
        if parsed(wanted) != parsed(got) || wanted.is_some() != got.is_some() {
            let _ = writeln!(
                difference,
                "  line {}\n  - {}\n  + {}",
                index + 1,
                wanted.unwrap_or("(none)"),
                got.unwrap_or("(none)")
            );
        }
    }
    if difference.is_empty() { Ok(()) } else { Err(difference) }
}

fn parsed(line: Option<&str>) -> Option<serde_json::Value> {
    serde_json::from_str(line?).ok()
}
