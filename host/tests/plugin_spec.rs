//! The spec of plugins against the interface in `wit/`, and the bounds of plugins against the host.
//!
//! The rule: the spec's list of the interface has every name that `wit/` declares and no other; a bound is the same number in the host, the spec and the guide.
//! Left to others: what the rules of the spec say (the tests that it names).

use std::{collections::BTreeSet, fs, path::Path};

use pelton::plugin::Limits;

const SPEC: &str = "docs/specs/plugin.md";
const GUIDE: &str = "docs/guide/15-limits.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Interfaces, worlds, types and functions of a WIT file.
fn declared(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let mut words = line.split([' ', ':', '=', '{', ';']).filter(|word| !word.is_empty());
        let (Some(first), second) = (words.next(), words.next()) else { continue };
        if ["interface", "world", "record", "variant", "enum", "flags", "type"].contains(&first) {
            names.extend(second.map(str::to_owned));
        } else if line.contains(": func(") {
            names.insert(first.to_owned());
        }
    }
    names
}

/// What stands between back-ticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The part of a page below a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(heading).unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn the_spec_lists_the_interface() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let declared: BTreeSet<String> = files.flat_map(|text| declared(&text)).collect();
    assert!(declared.len() > 60, "only {} names were found in wit/: {declared:?}", declared.len());
    let spec = read(SPEC);
    let mut listed = quoted(section(&spec, "## The interface\n"));
    listed.remove("wit/");
    let missing: Vec<_> = declared.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&declared).collect();
    assert!(missing.is_empty() && invented.is_empty(), "{SPEC} lacks {missing:?}; wit/ lacks {invented:?}");
}

fn mib(bytes: usize) -> String {
    format!("{} MiB", bytes >> 20)
}

fn thousands(number: u64) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", thousands(number / 1000), number % 1000) }
}

/// Each bound: its row in the spec, its row in the guide, its number.
fn bounds() -> Vec<(&'static str, &'static str, String)> {
    let limits = Limits::default();
    let milliseconds = |time: std::time::Duration| format!("{} ms", time.as_millis());
    let search = format!("{} calls and {} s", limits.bisect_calls, limits.bisect_time.as_secs());
    vec![
        ("a component", "the component", mib(limits.component as usize)),
        ("linear memory of an instance", "memory", mib(limits.memory)),
        ("linear memory of an instance", "an instance", mib(limits.memory_watermark)),
        ("calls of an instance", "an instance", thousands(limits.calls.into())),
        ("CPU time of a call", "CPU time", milliseconds(limits.call_time)),
        ("bytes returned by a call", "bytes handed to the host", mib(limits.output)),
        ("rows returned", "rows", format!("{} for each record", thousands(limits.rows_per_row as u64))),
        ("log lines", "log lines", format!("{} a second", limits.log_lines)),
        ("search for bad records", "", search),
    ]
}

#[test]
fn bounds_are_the_same_in_the_host_the_spec_and_the_guide() {
    let (spec, guide) = (read(SPEC), read(GUIDE));
    let has = |page: &str, row: &str, number: &str| {
        page.lines().any(|line| line.starts_with(&format!("| {row}")) && line.contains(number))
    };
    let limits = section(&spec, "## Limits\n");
    for (in_spec, in_guide, number) in bounds() {
        assert!(has(limits, in_spec, &number), "{SPEC}: `{in_spec}` is not {number}");
        let told = if in_guide.is_empty() { guide.contains(&number) } else { has(&guide, in_guide, &number) };
        assert!(told, "{GUIDE}: `{in_guide}` is not {number}");
    }
}
