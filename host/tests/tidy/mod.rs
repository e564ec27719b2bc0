//! The laws of `docs/STYLE.md`, checked. Each violation is printed as `file:line: law: what to do`.
//!
//! The rule: a law that is not checked here is not in `docs/STYLE.md`, and a number stands in both or in neither.
//! Reads text alone: no parser, no dependency, so that it runs in a moment and cannot be out of date with a compiler.
//! Left to others: what rustfmt, the compiler's lints and clippy check already.

mod layers;
mod repository;
mod rust;
mod source;
mod tree;

use std::fmt;

/// A broken law.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    law: &'static str,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.law, self.what)
    }
}

/// Collects violations of one file.
struct Report<'a> {
    path: &'a str,
    found: &'a mut Vec<Violation>,
}

impl Report<'_> {
    /// `line` counts from 1; 0 is the file itself.
    fn broken(&mut self, law: &'static str, line: usize, what: impl Into<String>) {
        debug_assert!(LAWS.contains(&law), "{law} is not in the list of laws");
        self.found.push(Violation { path: self.path.to_owned(), line, law, what: what.into() });
    }
}

/// Every law, under the name that `docs/STYLE.md` explains.
const LAWS: &[&str] = &[
    "header",
    "file-length",
    "inline-tests",
    "function-length",
    "trait-size",
    "folder-size",
    "folder-depth",
    "no-unwrap",
    "no-leftovers",
    "bounded-channels",
    "no-unsafe",
    "reasons",
    "plain-names",
    "wait-for-conditions",
    "stages",
    "one-door",
    "no-machine-paths",
    "one-registry",
    "top-level",
    "licence",
    "one-table",
    "explained-examples",
    "live-links",
    "named-tests",
    "numbered-decisions",
    "the-map",
    "the-style",
];

/// What is broken today and known, as path and law. The list only gets shorter: an entry that is mended must leave it.
const KNOWN: &[(&str, &str)] = &[];

#[test]
fn the_laws_of_the_repository_hold() {
    let tree = tree::Tree::read();
    let mut found = Vec::new();
    for file in &tree.files {
        let mut report = Report { path: &file.path, found: &mut found };
        repository::text(file, &mut report);
        if file.path.ends_with(".rs") {
            source::check(file, &mut report);
            layers::check(file, &mut report);
        }
    }
    source::folders(&tree, &mut found);
    repository::check(&tree, &mut found);
    found.sort();
    found.dedup();
    let known = |violation: &Violation| KNOWN.contains(&(violation.path.as_str(), violation.law));
    let mended = KNOWN.iter().find(|(path, law)| !found.iter().any(|v| v.path == *path && v.law == *law));
    if let Some((path, law)) = mended {
        panic!("{path} keeps `{law}` now: take it out of KNOWN in host/tests/tidy/mod.rs");
    }
    let words: Vec<String> = found.iter().filter(|v| !known(v)).map(Violation::to_string).collect();
    assert!(words.is_empty(), "{} laws of docs/STYLE.md are broken:\n{}\n", words.len(), words.join("\n"));
}

/// The laws that this text breaks as a file at this path.
fn broken(path: &str, text: &str) -> Vec<&'static str> {
    let file = tree::File { path: path.to_owned(), text: text.to_owned(), code: rust::blank(text) };
    let mut found = Vec::new();
    let mut report = Report { path: &file.path, found: &mut found };
    repository::text(&file, &mut report);
    source::check(&file, &mut report);
    layers::check(&file, &mut report);
    let mut laws: Vec<&str> = found.iter().map(|violation| violation.law).collect();
    laws.dedup();
    laws
}

#[test]
fn a_law_that_is_broken_is_found() {
    let header = "//! What this file is, in words.\n";
    let long = "fn f() {\n".to_owned() + &"    g();\n".repeat(source::FUNCTION) + "}\n";
    let trait_ =
        "trait T {\n".to_owned() + &"    fn f(&self);\n".repeat(source::METHODS + 1) + "    fn g(&self) { h(); }\n}\n";
    let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"\n".repeat(source::INLINE_TESTS) + "}\n";
    let home = concat!("/ho", "me/somebody/x");
    let cases = [
        ("host/src/error.rs", "fn f() {}\n".to_owned(), "header"),
        ("host/src/error.rs", header.to_owned() + &"\n".repeat(source::FILE), "file-length"),
        ("host/src/error.rs", header.to_owned() + &tests, "inline-tests"),
        ("host/src/error.rs", header.to_owned() + &long, "function-length"),
        ("host/src/error.rs", header.to_owned() + &trait_, "trait-size"),
        ("host/src/error.rs", format!("{header}fn f() {{ a.unwrap(); }}"), "no-unwrap"),
        ("host/src/error.rs", format!("{header}// {}: later", concat!("TO", "DO")), "no-leftovers"),
        (
            "host/src/error.rs",
            format!("{header}fn f() {{ tokio::sync::mpsc::unbounded_channel(); }}"),
            "bounded-channels",
        ),
        ("host/src/error.rs", format!("{header}fn f() {{ unsafe {{ g() }} }}"), "no-unsafe"),
        ("host/src/error.rs", format!("{header}#[allow(dead_code)]\nfn f() {{}}"), "reasons"),
        ("host/src/job/utils.rs", header.to_owned(), "plain-names"),
        ("host/tests/x.rs", format!("{header}fn f() {{ std::thread::sleep(d); }}"), "wait-for-conditions"),
        ("host/src/sink/x.rs", format!("{header}use crate::{{record::Batch, decode::Decoder}};"), "stages"),
        ("host/src/sink/x.rs", format!("{header}use crate::source::kinesis::Kinesis;"), "stages"),
        ("host/src/state/x.rs", format!("{header}use rocksdb::DB;"), "one-door"),
        ("host/src/error.rs", format!("{header}// see {home}"), "no-machine-paths"),
        ("host/src/error.rs", format!("{header}// from {}", concat!("pypi.", "org")), "one-registry"),
    ];
    for (path, text, law) in cases {
        assert_eq!(broken(path, &text), [law], "{path}: {text}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let text = "//! What this file is, in words.\nuse crate::{record::Batch, source::Pending};\n\
        // a string may say it: unwrap()\nfn f() -> &'static str { \"x.unwrap()\" }\n\
        #[cfg(test)]\nmod tests {\n    fn wait_for(c: bool) { std::thread::sleep(d); x.unwrap() }\n    // paces: the load\n    fn f() {\n        // paces: the load\n        sleep(d);\n    }\n}\n";
    assert_eq!(broken("host/src/sink/x.rs", text), [""; 0]);
}
