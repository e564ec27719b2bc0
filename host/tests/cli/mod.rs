//! The command line from outside: the binary itself, its words and its exit codes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

mod authors_loop;
mod inline_tests;
pub(crate) mod languages;
mod letters;
mod limits;
mod neighbours;
mod new;
mod replay;
mod repro;
mod run;
mod swap;

/// The command, in a folder, with a clean environment for what it prints.
fn pelton(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(arguments).current_dir(folder).env_remove("PELTON_KILL_AT").env("NO_COLOR", "1");
    command
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    pelton(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must succeed; its standard output.
fn good(folder: &Path, arguments: &[&str]) -> String {
    let output = output(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Runs a command that must fail with this code; what it says.
fn bad(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = output(folder, arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

/// A plugin that is built for tests.
fn guest(name: &str) -> PathBuf {
    let guests = std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`");
    PathBuf::from(guests).join(name)
}

/// A file against what it should hold; `UPDATE=1` writes it.
fn same(path: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    (expected != found).then(|| format!("--- {}\n{expected}\n+++ found (UPDATE=1 writes it)\n{found}", path.display()))
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_reference_pages_are_those_of_the_code() {
    let pages = package().join("../docs/reference");
    assert_eq!(same(&pages.join("cli.md"), &pelton::cli::reference()), None);
    assert_eq!(same(&pages.join("metrics.md"), &pelton::job::live::metrics::reference()), None);
    let api = serde_json::to_string_pretty(&pelton::control::openapi::document()).unwrap() + "\n";
    assert_eq!(same(&pages.join("control.openapi.json"), &api), None);
}
