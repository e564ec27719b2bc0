//! `pelton new plugin` and `pelton build` in the languages beside Rust: templates, built and tested as a user would.
//!
//! The rule: a language whose tools are not on this machine is left out with words. Left to others: what SDKs give (`conformance`), Rust (`new`).

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{bad, good, pelton, text};

pub(crate) fn is_there(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output().is_ok_and(|done| done.status.success());
    if !there {
        eprintln!("left out: `{program}` is not installed");
    }
    there
}

/// What `cargo xtask sdks` installed for a language.
pub(crate) fn environment(language: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PELTON_SDKS")?).join(language);
    let there = folder.join("plugins").is_dir();
    if !there {
        eprintln!("left out: there is nothing in {}", folder.display());
    }
    there.then_some(folder)
}

/// Makes a project of each kind, brings it its tools, runs its own tests, builds it and tests the component.
fn templates(language: &str, install: impl Fn(&Path), test: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["transformer", "aggregator", "keyed", "stateful", "enricher"] {
        let name = format!("my-{kind}");
        good(folder.path(), &["new", "plugin", &name, "--lang", language, "--kind", kind]);
        let project = folder.path().join(&name);
        install(&project);
        if let [program, arguments @ ..] = test {
            let done = Command::new(program).args(arguments).current_dir(&project).output().unwrap();
            assert!(done.status.success(), "{language} {kind}: {}{}", text(&done.stdout), text(&done.stderr));
        }
        let built = good(&project, &["build", "--format", "json"]);
        assert!(built.contains(&format!("\"name\":\"{name}\"")), "{built}");
        let tested = good(&project, &["test", "job.yaml"]);
        assert!(tested.starts_with("ok "), "{language} {kind}: {tested}");
    }
}

#[test]
fn templates_of_go_build_and_pass_their_tests() {
    if is_there("go", &["version"]) {
        templates("go", |_| (), &["go", "test", "./..."]);
    }
}

/// Go collects garbage in the middle of what the host does with an instance, too.
#[test]
fn a_plugin_in_go_is_called_thousands_of_times_and_rejects_nothing() {
    if !is_there("go", &["version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "plugin", "sales", "--lang", "go"]);
    let project = folder.path().join("sales");
    good(&project, &["build"]);
    let said = good(&project, &["plugin", "bench", "sales.wasm", "--time", "500ms", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    for batch in said["batches"].as_array().unwrap() {
        assert_eq!(batch["rejected"], 0, "{batch}");
        assert!(batch["rows"].as_u64().unwrap() > 0, "{batch}");
    }
}

#[test]
fn templates_of_c_build_and_pass_their_tests() {
    if is_there("clang", &["--version"]) && is_there("wasm-ld", &["--version"]) {
        templates("c", |_| (), &[]);
    }
}

/// What `npm install` does, from what is installed already and the SDK in a folder.
pub(crate) fn node_modules(environment: &Path, project: &Path, sdk: &Path) {
    let modules = project.join("node_modules");
    fs::create_dir_all(modules.join("@pelton")).unwrap();
    for entry in fs::read_dir(environment.join("node_modules")).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), modules.join(entry.file_name())).unwrap();
    }
    symlink(sdk, modules.join("@pelton/sdk")).unwrap();
}

fn installed(environment: &Path, project: &Path) {
    node_modules(environment, project, &project.join("sdk/javascript"));
}

#[test]
fn templates_of_javascript_build_and_pass_their_tests() {
    if let Some(environment) = environment("javascript") {
        templates("js", |project| installed(&environment, project), &["npm", "test", "--silent"]);
    }
}

#[test]
fn templates_of_typescript_build_and_pass_their_tests() {
    if let Some(environment) = environment("javascript") {
        templates("ts", |project| installed(&environment, project), &["npm", "test", "--silent"]);
    }
}

#[test]
fn templates_of_python_build_and_pass_their_tests() {
    if let Some(environment) = environment("python") {
        let install = |project: &Path| symlink(&environment, project.join(".venv")).unwrap();
        templates("python", install, &[".venv/bin/python3", "-m", "unittest"]);
    }
}

#[test]
fn build_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(bad(folder, &["build"], 78).contains("is no plugin project"));
    fs::write(folder.join("plugin.c"), "").unwrap();
    let done = pelton(folder, &["build"]).env("PATH", folder).output().unwrap();
    let said = text(&done.stderr);
    assert!(said.contains("`clang` is not installed") && said.contains("apt-get install clang lld"), "{said}");
    fs::write(folder.join("package.json"), "{}").unwrap();
    assert!(bad(folder, &["build"], 78).contains("\"pelton\": { \"world\""));
}
