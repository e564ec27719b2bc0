//! The SDKs that build with plain tools, against the suite in `sdk/conformance`; their templates, built and tested as a user would.
//!
//! The rule: every case of the suite is run for every language whose tools are on this machine; what is missing is said.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{good, package, pelton, text};

/// Folder of the SDK, and a program that it builds with.
const LANGUAGES: [(&str, &str, &[&str]); 2] = [("go", "go", &["version"]), ("c", "clang", &["--version"])];

/// What the host runs so far; the suite has cases for these.
const WORLDS: [&str; 4] = ["transformer", "aggregator", "keyed-transformer", "stateful-transformer"];

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output().is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("left out: `{program}` is not installed");
    }
    there
}

fn root() -> PathBuf {
    package().join("..")
}

fn cases() -> Vec<PathBuf> {
    let folder = root().join("sdk/conformance/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn conforms(language: &str) -> Vec<String> {
    let plugins = tempfile::tempdir().unwrap();
    for world in WORLDS {
        let project = root().join("sdk").join(language).join("conformance").join(world);
        let file = plugins.path().join(format!("{world}.wasm"));
        let said = good(&project, &["build", ".", "-o", file.to_str().unwrap()]);
        assert!(said.contains(&format!("world    {world}")), "{said}");
    }
    let fails = |case: &PathBuf| {
        let done = pelton(case, &["test", "job.yaml"]).env("PELTON_CONFORMANCE", plugins.path()).output().unwrap();
        (!done.status.success()).then(|| format!("{}: {}{}", case.display(), text(&done.stdout), text(&done.stderr)))
    };
    cases().iter().filter_map(fails).collect()
}

#[test]
fn the_sdks_of_go_and_c_pass_the_suite() {
    for (language, program, arguments) in LANGUAGES {
        if is_there(program, arguments) {
            let failed = conforms(language);
            assert!(failed.is_empty(), "{language}:\n{}", failed.join("\n"));
        }
    }
}

fn template(folder: &Path, language: &str, kind: &str) {
    let name = format!("my-{kind}");
    good(folder, &["new", "plugin", &name, "--lang", language, "--kind", kind]);
    let project = folder.join(&name);
    let built = good(&project, &["build", "--format", "json"]);
    assert!(built.contains(&format!("\"name\":\"{name}\"")), "{built}");
    let tested = good(&project, &["test", "job.yaml"]);
    assert!(tested.starts_with("ok "), "{tested}");
}

#[test]
fn templates_of_go_and_c_build_and_pass_their_tests() {
    for (language, program, arguments) in LANGUAGES {
        if is_there(program, arguments) {
            let folder = tempfile::tempdir().unwrap();
            for kind in ["transformer", "aggregator", "keyed", "stateful"] {
                template(folder.path(), language, kind);
            }
        }
    }
}

#[test]
fn build_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(super::bad(folder, &["build"], 78).contains("is no plugin project"));
    fs::write(folder.join("plugin.c"), "").unwrap();
    let done = pelton(folder, &["build"]).env("PATH", folder).output().unwrap();
    let said = text(&done.stderr);
    assert!(said.contains("`clang` is not installed") && said.contains("apt-get install clang lld"), "{said}");
    fs::write(folder.join("package.json"), "{}").unwrap();
    assert!(super::bad(folder, &["build"], 78).contains("\"pelton\": { \"world\""));
}
