//! The examples as their READMEs have them, each in a copy of its folder.
//!
//! The rule: an example says itself what is expected of it, and its script compares; a test only runs it, and holds the README to what was said.

use std::{path::Path, process::Command};

mod fleet;
mod flights;
mod inference;
mod plugins;
mod schemas;

/// Copies an example to a folder that is there.
fn copied(name: &str, folder: &Path) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let copied = Command::new("cp").arg("-R").arg(example.join(".")).arg(folder).status().unwrap();
    assert!(copied.success(), "{name} cannot be copied");
}

/// What the script of an example in this folder said, and its README.
fn ran(folder: &Path) -> (String, String) {
    let ran = Command::new("./run.sh").current_dir(folder).env("PELTON_PROGRAM", env!("CARGO_BIN_EXE_pelton")).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    (said, std::fs::read_to_string(folder.join("README.md")).unwrap())
}
