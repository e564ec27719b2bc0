//! `pelton new`: what it makes builds outside this repository, passes its own tests and runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{bad, good, text};

/// Built files live as long as those of this package, so that the SDK is compiled once.
fn target() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_pelton")).parent().unwrap().parent().unwrap();
    built.join("scaffold")
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).arg("--offline").current_dir(folder).env("CARGO_TARGET_DIR", target());
    let output = command.env_remove("RUSTFLAGS").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
}

fn builds_and_runs(kind: &str, rows: usize) {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("my-{kind}");
    good(folder.path(), &["new", "plugin", &name, "--kind", kind]);
    let folder = folder.path().join(&name);
    cargo(&folder, &["test"]);
    cargo(&folder, &["build", "--release", "--target", "wasm32-wasip2"]);
    std::os::unix::fs::symlink(target(), folder.join("target")).unwrap();
    let tested = good(&folder, &["test", "job.yaml"]);
    assert!(tested.starts_with("ok "), "{tested}");
    let results = good(&folder, &["run", "job.yaml", "--until-caught-up"]);
    assert_eq!(results.lines().count(), rows, "{results}");
    assert!(results.lines().all(|line| line.contains("\"cents\"")), "{results}");
}

#[test]
fn new_plugins_build_and_run_outside_this_repository() {
    builds_and_runs("transformer", 48);
    builds_and_runs("aggregator", 16);
    builds_and_runs("keyed", 60);
    builds_and_runs("stateful", 56);
}

#[test]
fn nothing_is_overwritten_and_bad_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("there")).unwrap();
    for what in ["plugin", "job"] {
        let said = bad(folder, &["new", what, "there"], 78);
        assert!(said.contains("`there` exists already"), "{said}");
        for name in ["", "a b", "../up", "a/b", "é", &"x".repeat(65)] {
            assert!(bad(folder, &["new", what, name], 78).contains("is no name"), "{name}");
        }
    }
    assert!(bad(folder, &["new", "plugin", "9Lives"], 78).contains("such as `lives`"));
    assert!(bad(folder, &["new", "plugin", "struct"], 78).contains("`struct-plugin`"));
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "a refusal leaves nothing behind");
    let made = good(folder, &["new", "plugin", "p", "--format", "json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    assert!(made["files"].as_array().unwrap().iter().any(|file| file == "sdk/wit/world.wit"));
}
