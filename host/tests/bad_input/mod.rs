//! Bad input as folders of cases: records of a stream, plugins (of an SDK and of none), and state directories. What must be said stands in
//! `expected.txt` of each; `UPDATE=1` writes it anew.

mod component;
mod plugin;
mod state;
mod stream;

use std::path::{Path, PathBuf};

/// The cases of a kind, in order.
fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(kind);
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|case| case.unwrap().path()).collect();
    cases.retain(|case| case.is_dir());
    cases.sort();
    assert!(!cases.is_empty(), "no cases of {kind}");
    cases
}

/// Compares with the case's expectation, or writes it.
fn expect(case: &Path, found: &str) {
    let file = case.join("expected.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(expected, found, "{} (UPDATE=1 writes what was found)", file.display());
}
