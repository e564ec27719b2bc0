//! Laws about a single file of Rust, and about folders of them.

use std::collections::BTreeMap;

use super::{
    Report, Violation, rust,
    tree::{File, Tree},
};

/// Lines of a file without its inline tests.
pub const FILE: usize = 600;
/// Lines of an inline test module.
pub const INLINE_TESTS: usize = 150;
/// Lines of a function, its signature included.
pub const FUNCTION: usize = 70;
/// Methods that an implementation must write.
pub const METHODS: usize = 5;
/// Files beside the folder's own one, its tests and generated bindings.
pub const FILES: usize = 12;
/// Folders below `src`.
pub const DEPTH: usize = 2;

/// The laws of one file.
pub fn check(file: &File, report: &mut Report<'_>) {
    header(file, report);
    lengths(file, report);
    functions(file, report);
    words(file, report);
    attributes(file, report);
    names(file, report);
}

fn header(file: &File, report: &mut Report<'_>) {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if !first.starts_with("//! ") || first.len() < 12 {
        report.broken("header", 1, "begin with `//!`: what it is; the rule it keeps; what it leaves to others");
    }
}

fn lengths(file: &File, report: &mut Report<'_>) {
    let lines = file.code.lines().count();
    let tests = file.tests_begin();
    if tests > FILE + 1 {
        report.broken("file-length", FILE + 1, format!("{} lines of code, the most are {FILE}: part it", tests - 1));
    }
    let inline = (lines + 1).saturating_sub(tests);
    if inline > INLINE_TESTS {
        let what = format!("{inline} lines of inline tests, the most are {INLINE_TESTS}: move them to tests.rs");
        report.broken("inline-tests", tests, what);
    }
}

fn functions(file: &File, report: &mut Report<'_>) {
    for (first, last, item) in rust::items(&file.code, "fn") {
        let lines = last - first + 1;
        let name = name_of(item, "fn");
        if lines > FUNCTION {
            let what = format!("`{name}` has {lines} lines, the most are {FUNCTION}: give its parts names");
            report.broken("function-length", first, what);
        }
        let waits = ["wait", "until", "poll"].iter().any(|word| name.starts_with(word));
        if (file.is_test() || first >= file.tests_begin()) && !waits {
            sleeps(file, first, item, report);
        }
    }
    for (first, _, item) in rust::items(&file.code, "trait") {
        let inside = item.find('{').map_or("", |open| &item[open + 1..]);
        let required = required(inside);
        if required > METHODS {
            let what = format!("`{}` asks for {required} methods, the most are {METHODS}", name_of(item, "trait"));
            report.broken("trait-size", first, what);
        }
    }
}

/// A test that sleeps says why time itself is what it needs.
fn sleeps(file: &File, first: usize, item: &str, report: &mut Report<'_>) {
    let lines: Vec<&str> = file.text.lines().collect();
    for (index, _) in item.lines().enumerate().filter(|(_, line)| line.contains("sleep(")) {
        let line = first + index;
        let said = line > 1 && lines.get(line - 2).is_some_and(|before| before.trim_start().starts_with("// paces: "));
        if !said {
            let what = "wait for the condition itself, in a function named `wait_...`; or say `// paces: WHY` above";
            report.broken("wait-for-conditions", line, what);
        }
    }
}

fn name_of<'a>(item: &'a str, word: &str) -> &'a str {
    let rest = item[word.len()..].trim_start();
    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

/// Methods without a body.
fn required(inside: &str) -> usize {
    let (mut count, mut rest) = (0, inside);
    while let Some(at) = rest.find("fn ") {
        let end = rest[at..].find(['{', ';']).map_or(rest.len(), |end| at + end);
        if rest[end..].starts_with('{') {
            rest = &rest[end + rust::block(&rest[end..])..];
        } else {
            count += 1;
            rest = &rest[end..];
        }
    }
    count
}

fn words(file: &File, report: &mut Report<'_>) {
    let whole_file_may = file.text.contains("#![allow(clippy::unwrap_used, reason");
    let tests = if file.is_test() || whole_file_may { 0 } else { file.tests_begin() };
    for (index, line) in file.code.lines().enumerate() {
        let number = index + 1;
        if number < tests && line.contains(".unwrap()") {
            report.broken("no-unwrap", number, "give the error on, or `expect` with the invariant as text");
        }
        for made in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")] {
            if line.contains(made) {
                report.broken("no-leftovers", number, format!("`{made})` is not finished code"));
            }
        }
        for made in ["unbounded_channel", "mpsc::unbounded", concat!("mpsc::channel", "()")] {
            if line.contains(made) {
                report.broken(
                    "bounded-channels",
                    number,
                    "give the queue a bound, so that back-pressure reaches the source",
                );
            }
        }
    }
    for (index, line) in file.text.lines().enumerate() {
        for word in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
            if line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word) {
                report.broken("no-leftovers", index + 1, format!("no `{word}` here: open an issue, or do it"));
            }
        }
    }
}

fn attributes(file: &File, report: &mut Report<'_>) {
    let lines: Vec<&str> = file.code.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let allows = ["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|at| line.contains(at));
        // An attribute may go over several lines; its end is the first line with `]`.
        let end = (index..lines.len()).find(|at| lines[*at].contains(")]")).unwrap_or(index);
        if allows && !lines[index..=end].iter().any(|line| line.contains("reason")) {
            report.broken("reasons", index + 1, "say why, with `reason = \"...\"`");
        }
        let is_unsafe = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        let excused = lines[index.saturating_sub(8)..index].iter().any(|line| line.contains("unsafe_code"));
        if is_unsafe && !excused && !file.text.contains("#![allow(unsafe_code") {
            report.broken("no-unsafe", index + 1, "write it safely, or give one reasoned `#[expect(unsafe_code)]`");
        }
    }
}

fn names(file: &File, report: &mut Report<'_>) {
    const EMPTY: &[&str] = &[
        "util",
        "utils",
        "common",
        "helper",
        "helpers",
        "manager",
        "managers",
        "misc",
        "shared",
        "types_common",
        "prelude",
    ];
    let parts = file.path.trim_end_matches(".rs").split('/');
    for part in parts.filter(|part| EMPTY.contains(part)) {
        report.broken("plain-names", 0, format!("`{part}` says nothing: name the file after what is in it"));
    }
}

/// How many files a folder holds, and how deep folders go.
pub fn folders(tree: &Tree, found: &mut Vec<Violation>) {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    // What a template holds is laid out as the project that is made of it.
    let ours = |file: &&File| file.path.ends_with(".rs") && !file.path.contains("/template/");
    for file in tree.files.iter().filter(ours) {
        let Some((folder, name)) = file.path.rsplit_once('/') else { continue };
        if !["mod.rs", "lib.rs", "main.rs", "tests.rs", "bindings.rs"].contains(&name) {
            *folders.entry(folder).or_default() += 1;
        }
    }
    for (folder, count) in folders {
        let mut report = Report { path: folder, found };
        if count > FILES {
            let what =
                format!("{count} files beside its own, the most are {FILES}: what belongs together goes into a folder");
            report.broken("folder-size", 0, what);
        }
        let depth = folder.split("/src/").nth(1).map_or(0, |below| below.split('/').count());
        if depth > DEPTH {
            report.broken("folder-depth", 0, format!("{depth} folders below `src`, the most are {DEPTH}"));
        }
    }
}
