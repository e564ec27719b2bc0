//! The examples of plugins as their READMEs have them: `pelton build`, then the script, which compares what it sees with its `expected` folder.
//!
//! The rule: a language whose tools are not on this machine is left out with words. Left to others: templates (`cli/languages`).

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{copied, ran};
use crate::cli::languages::{environment, is_there, node_modules};

/// An example beside the SDKs, as in the repository.
struct Example {
    /// gone with it
    _root: tempfile::TempDir,
    name: &'static str,
    folder: PathBuf,
}

impl Example {
    fn new(name: &'static str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("examples").join(name);
        fs::create_dir_all(&folder).unwrap();
        symlink(repository().join("sdk"), root.path().join("sdk")).unwrap();
        copied(name, &folder);
        Self { _root: root, name, folder }
    }

    /// The folder of a plugin, without the tools that somebody who tried the example has put there.
    fn plugin(&self, tools: &str) -> PathBuf {
        let project = self.folder.join("plugin");
        let _ = fs::remove_dir_all(project.join(tools));
        project
    }

    fn build(&self, project: &str) {
        build(&self.folder.join(project), &self.folder.join(format!("{project}/{project}.wasm")));
    }

    /// The script ends with the words that the page shows.
    fn holds(&self) {
        let (said, page) = ran(&self.folder);
        let promised = page.split("ends with\n\n```\n").nth(1).and_then(|rest| rest.split("```").next());
        let promised =
            promised.unwrap_or_else(|| panic!("the README of {} does not say how the script ends", self.name));
        assert!(promised.contains(" is as expected\n") && said.ends_with(promised), "{}: {said}", self.name);
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn build(project: &Path, component: &Path) {
    let built = Command::new(env!("CARGO_BIN_EXE_pelton")).arg("build").arg(project).arg("-o").arg(component).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}: {}", project.display(), String::from_utf8_lossy(&built.stderr));
}

#[test]
fn the_example_of_routes_sends_each_order_its_way() {
    let example = Example::new("route-and-filter");
    // A package of the workspace is built where that is.
    let plugin = repository().join("examples/route-and-filter/plugin");
    build(&plugin, &example.folder.join("plugin/plugin.wasm"));
    example.holds();
}

#[test]
fn the_example_of_logs_parses_what_cloudwatch_sends() {
    if is_there("go", &["version"]) {
        let example = Example::new("log-parsing");
        example.build("unpack");
        example.build("parse");
        example.holds();
    }
}

#[test]
fn the_example_of_patterns_finds_those_that_are_there() {
    if let Some(environment) = environment("javascript") {
        let example = Example::new("pattern-detection");
        let project = example.plugin("node_modules");
        node_modules(&environment, &project, &repository().join("sdk/javascript"));
        let tested = Command::new("npm").args(["test", "--silent"]).current_dir(&project).output().unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
        example.build("plugin");
        example.holds();
    }
}

#[test]
fn the_example_of_firehose_keeps_the_contract() {
    if let Some(environment) = environment("python") {
        let example = Example::new("firehose-contract");
        let project = example.plugin(".venv");
        symlink(&environment, project.join(".venv")).unwrap();
        let tested = Command::new(".venv/bin/python3").args(["-m", "unittest"]).current_dir(&project).output().unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        example.build("plugin");
        example.holds();
    }
}

#[test]
fn the_example_of_swaps_has_no_gap_and_no_repeat() {
    if is_there("clang", &["--version"]) && is_there("wasm-ld", &["--version"]) {
        let example = Example::new("hot-swap");
        let mut releases = Command::new("./releases.sh");
        releases.current_dir(&example.folder).env("PELTON_PROGRAM", env!("CARGO_BIN_EXE_pelton"));
        let built = releases.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let (said, page) = ran(&example.folder);
        let promised = "exact: 70000 records of 100 keys, 10 swaps, 3 taken back\n\
                        rows a second and their delay around each swap: swaps.svg\n";
        assert!(page.contains(promised) && said.ends_with(promised), "{said}");
        let picture = fs::read_to_string(example.folder.join("swaps.svg")).unwrap();
        assert_eq!(picture.matches(": stays, ").count(), 10, "{picture}");
        assert_eq!(picture.matches(": back, ").count(), 3, "{picture}");
    }
}
