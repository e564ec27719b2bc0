//! Laws about the repository as a whole: its top level, packages, examples and pages.

use std::path::Path;

use super::{
    LAWS, Report, Violation, source,
    tree::{File, Tree},
};

/// What stands at the top; names that begin with a dot beside these are the machine's.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "docs",
    "examples",
    "host",
    "plugins",
    "rust-toolchain.toml",
    "sdk",
    "wit",
];
/// Where folders of people begin on their machines.
const MACHINES: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
/// Where packages come from: a name of a mirror is of no use to anybody else.
const REGISTRIES: &[&str] = &[
    concat!("index.crat", "es.io"),
    concat!("static.crat", "es.io"),
    concat!("registry.np", "mjs.org"),
    concat!("pypi.", "org"),
    concat!("proxy.gol", "ang.org"),
    concat!("artif", "actory"),
];

/// Laws of any file of text.
pub fn text(file: &File, report: &mut Report<'_>) {
    for (index, line) in file.text.lines().enumerate() {
        if MACHINES.iter().any(|path| names_a_folder(line, path)) {
            report.broken(
                "no-machine-paths",
                index + 1,
                "name it relative to the repository, the job file or a variable",
            );
        }
        if file.name() != "Cargo.lock" && REGISTRIES.iter().any(|host| line.contains(host)) {
            report.broken("one-registry", index + 1, "leave out where packages come from: cargo knows");
        }
    }
    let source = |line: &str| line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index");
    if file.name() == "Cargo.lock"
        && let Some(line) = file.text.lines().position(source)
    {
        report.broken("one-registry", line + 1, "a dependency comes from the public registry");
    }
    if file.path.contains(".cargo/") && (file.text.contains("[source") || file.text.contains("[registr")) {
        report.broken("one-registry", 0, "no other registry in what is checked in");
    }
}

/// Whether an absolute path begins here, not the middle of a relative one or of an address.
fn names_a_folder(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"_-./~}*>".contains(c))
    })
}

/// Laws of the whole.
pub fn check(tree: &Tree, found: &mut Vec<Violation>) {
    top(tree, found);
    for file in tree.files.iter().filter(|file| file.name() == "Cargo.toml") {
        package(file, &mut Report { path: &file.path, found });
    }
    examples(tree, found);
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        links(tree, file, &mut Report { path: &file.path, found });
    }
    for file in tree.files.iter().filter(|file| file.path.starts_with("docs/specs/")) {
        tests_of(tree, file, &mut Report { path: &file.path, found });
    }
    decisions(tree, &mut Report { path: "docs/decisions", found });
    map(tree, found);
    style(tree, &mut Report { path: "docs/STYLE.md", found });
}

fn top(tree: &Tree, found: &mut Vec<Violation>) {
    for name in tree.top.iter().filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str())) {
        let mut report = Report { path: name, found };
        report.broken("top-level", 0, "the top level is full: put it below one of its folders");
    }
    for name in TOP.iter().filter(|name| !tree.top.iter().any(|there| there == **name)) {
        Report { path: name, found }.broken("top-level", 0, "it is missing");
    }
    let licence = tree.file("LICENSE").map_or("", |file| file.text.as_str());
    if !(licence.contains("Apache License") && licence.contains("Version 2.0")) {
        Report { path: "LICENSE", found }.broken("licence", 0, "it is the Apache License, Version 2.0, word for word");
    }
}

fn package(file: &File, report: &mut Report<'_>) {
    let text = &file.text;
    if !text.contains("[package]") {
        return;
    }
    let line = |what: &str| text.lines().any(|line| line.trim() == what);
    if !line("license.workspace = true") {
        report.broken("licence", 0, "say `license.workspace = true`");
    }
    if !text.contains("[lints]\nworkspace = true") {
        report.broken("one-table", 0, "take the lint table: `[lints]`, `workspace = true`");
    }
    let mut table = "";
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            table = line;
        }
        let versioned =
            line.contains("version = \"") || line.split_once('=').is_some_and(|(_, v)| v.trim().starts_with('"'));
        if table.contains("dependencies") && versioned {
            report.broken(
                "one-table",
                index + 1,
                "versions stand in the one table of Cargo.toml: say `NAME.workspace = true`",
            );
        }
    }
}

fn examples(tree: &Tree, found: &mut Vec<Violation>) {
    for area in ["examples", "plugins"] {
        let mut names: Vec<&str> = tree
            .paths
            .iter()
            .filter_map(|path| path.strip_prefix(area)?.strip_prefix('/')?.split_once('/'))
            .map(|(name, _)| name)
            .collect();
        names.dedup();
        for name in names {
            let folder = format!("{area}/{name}");
            let explained = |file: &&File| {
                (file.path == "README.md" || file.path.starts_with("docs/guide/")) && file.text.contains(&folder)
            };
            let own = tree.file(&format!("{folder}/README.md")).is_some();
            if !own && !tree.files.iter().any(|file| explained(&file)) {
                let mut report = Report { path: &folder, found };
                report.broken("explained-examples", 0, "give it a README.md, or explain it on a page of docs/guide");
            }
        }
    }
}

/// Links to files of the repository lead somewhere.
fn links(tree: &Tree, file: &File, report: &mut Report<'_>) {
    let folder = tree.root.join(Path::new(&file.path).parent().unwrap_or(Path::new("")));
    for (index, line) in file.text.lines().enumerate() {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                report.broken("live-links", index + 1, format!("`{target}` is not there"));
            }
        }
    }
}

/// The last cell of a row of a spec names tests; each of them is there.
fn tests_of(tree: &Tree, spec: &File, report: &mut Report<'_>) {
    for (index, line) in spec.text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let cell = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names = cell.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 1);
        for name in names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
            let declared = format!("fn {name}(");
            if !tree.files.iter().any(|file| file.code.contains(&declared)) {
                report.broken("named-tests", index + 1, format!("there is no test `{name}`"));
            }
        }
    }
}

fn decisions(tree: &Tree, report: &mut Report<'_>) {
    let names: Vec<&str> = tree.paths.iter().filter_map(|path| path.strip_prefix("docs/decisions/")).collect();
    for (index, name) in names.iter().enumerate() {
        if !name.starts_with(&format!("{:04}-", index + 1)) || !name.ends_with(".md") {
            report.broken(
                "numbered-decisions",
                0,
                format!("`{name}` stands at place {}: numbers have no gaps", index + 1),
            );
        }
    }
}

/// Every module of the host is on the map and in the header of `lib.rs`.
fn map(tree: &Tree, found: &mut Vec<Violation>) {
    let Some(library) = tree.file("host/src/lib.rs") else { return };
    let header: String = library.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let map = tree.file("docs/ARCHITECTURE.md").map_or("", |file| file.text.as_str());
    for module in library.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let is_folder = tree.paths.iter().any(|path| path.starts_with(&format!("host/src/{module}/mod.rs")));
        let said = |text: &str| text.contains(&format!("`{module}`")) || text.contains(&format!("host/src/{module}"));
        if is_folder && !said(&header) {
            let mut report = Report { path: "host/src/lib.rs", found };
            report.broken("the-map", 1, format!("its header does not name `{module}`"));
        }
        if !said(map) && !map.contains(&format!("`{module}.rs`")) {
            let mut report = Report { path: "docs/ARCHITECTURE.md", found };
            report.broken("the-map", 0, format!("it does not name `{module}`"));
        }
    }
}

/// The page and these checks name the same laws and the same numbers.
fn style(tree: &Tree, report: &mut Report<'_>) {
    let page = tree.file("docs/STYLE.md").map_or("", |file| file.text.as_str());
    for law in LAWS.iter().filter(|law| !page.contains(&format!("`{law}`"))) {
        report.broken("the-style", 0, format!("it does not explain `{law}`"));
    }
    let numbers = [
        ("file-length", source::FILE),
        ("inline-tests", source::INLINE_TESTS),
        ("function-length", source::FUNCTION),
        ("trait-size", source::METHODS),
        ("folder-size", source::FILES),
        ("folder-depth", source::DEPTH),
    ];
    for (law, number) in numbers {
        let row = page.lines().find(|line| line.contains(&format!("`{law}`"))).unwrap_or_default();
        if !row.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == number.to_string()) {
            report.broken("the-style", 0, format!("the row of `{law}` does not say {number}"));
        }
    }
}
