//! The suite of `sdk/conformance`: every case against the plugins of every SDK, with one instance for all calls and with a fresh one for
//! each.
//!
//! What no case can have, a stored value of another version, is asked for here.
//!
//! The rule: a case knows no language; a language whose tools are not on this machine is left out with words.
//! Left to others: who makes the plugins (`cargo xtask guests` those of Rust, `cargo xtask sdks` those of JavaScript and Python; those of Go
//! and C are built here), and those of released versions (`frozen`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use pelton::{
    cli::{Output, check},
    job::testing::{self, Surroundings},
    plugin::{Call, Context, KeySet, KeyedPlugin, Limits, Outdated, Plugins},
};
use tokio::runtime::Runtime;

/// Worlds of plugins, the longest name first: a case's folder begins with its world.
pub const WORLDS: [&str; 5] = ["stateful-transformer", "keyed-transformer", "transformer", "aggregator", "enricher"];

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk")
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> =
        fs::read_dir(sdk().join("conformance/cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "sdk/conformance/cases holds no case");
    cases
}

fn name(case: &Path) -> &str {
    case.file_name().unwrap().to_str().unwrap()
}

/// What is wrong with a case.
fn run(case: &Path, plugins: &Path, fresh: Option<&Arc<Plugins>>, runtime: &Runtime) -> Vec<String> {
    let variable = |name: &str| (name == "PELTON_CONFORMANCE").then(|| plugins.display().to_string());
    let loaded = check::load_with(&case.join("job.yaml"), &variable, runtime.handle(), Output::Text);
    let checked = match loaded {
        Ok(checked) => checked,
        Err(error) => return vec![error.to_string()],
    };
    let plugins = fresh.unwrap_or(&checked.plugins).clone();
    let around = Surroundings { plugins, registry: None, runtime: runtime.handle().clone() };
    let outcomes = testing::run(&checked.graph, "", &around).unwrap();
    assert!(!outcomes.is_empty(), "{} has no tests", case.display());
    let said = |outcome: testing::Outcome| {
        let mut lines: Vec<String> = outcome.differences.iter().flat_map(testing::Difference::lines).collect();
        lines.extend(outcome.failed.as_ref().map(ToString::to_string));
        lines.into_iter().map(move |line| format!("{}: {line}", outcome.name)).collect::<Vec<_>>()
    };
    outcomes.into_iter().flat_map(said).collect()
}

/// Runs the cases of these worlds over the plugins in a folder, but for those that the language cannot do.
pub fn passes(plugins: &Path, worlds: &[&str], left_out: &[&str]) {
    let runtime = Runtime::new().unwrap();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins");
    let fresh = Arc::new(Plugins::new(Some(cache), Limits { calls: 1, ..Limits::default() }).unwrap());
    let mut wrong = Vec::new();
    for case in cases().iter().filter(|case| !left_out.contains(&name(case))) {
        let world = WORLDS.iter().find(|world| name(case).starts_with(*world)).expect("a case begins with its world");
        if !worlds.contains(world) {
            continue;
        }
        let file = plugins.join(format!("{world}.wasm"));
        assert!(file.is_file(), "there is no {}", file.display());
        for (fresh, how) in [(None, "one instance"), (Some(&fresh), "an instance a call")] {
            let said = run(case, plugins, fresh, &runtime);
            wrong.extend(said.iter().map(|line| format!("{}, {how}: {line}", name(case))));
        }
    }
    if worlds.contains(&"stateful-transformer") {
        wrong.extend(runtime.block_on(migrates(&fresh, &plugins.join("stateful-transformer.wasm"))).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A text of version 1 becomes one of version 2; where one is refused, the call fails with words.
async fn migrates(plugins: &Plugins, file: &Path) -> Result<(), String> {
    let context =
        Context { config: r#"{"version":2}"#.into(), job: "migrates".into(), step: "kept".into(), generation: 1 };
    let plugin = plugins.load(file).await.map_err(|error| error.to_string())?;
    let mut instance = plugin.stateful(context).await.map_err(|error| error.to_string())?;
    let names: ArrayRef = Arc::new(StringArray::from(vec!["k"]));
    let fields = RecordBatch::try_from_iter([("key", names)]).map_err(|error| error.to_string())?;
    let keys = KeySet { bytes: [&b"k"[..]].into_iter().collect(), fields };
    let call = Call { now_ms: 0, seed: 0, watermark_ms: None };
    let old = |text: &str| Outdated { key: 0, sub_key: Vec::new(), value: text.into() };
    let values = [old("old"), old("bad")];
    let migrated = instance.migrate(&call, (0, 1), &keys, &values[..1]).await;
    if migrated != Ok(vec![Some(b"\x02old".to_vec())]) {
        return Err(format!("{}: migrates to {migrated:?}", file.display()));
    }
    let refused = instance.migrate(&call, (0, 1), &keys, &values).await;
    let words = refused.err().map(|failure| failure.to_string()).unwrap_or_default();
    let expected =
        ["1 of 2 values of version 1 of the table `values`, of 1 keys", "bad is refused", "nothing was changed"];
    match expected.into_iter().find(|part| !words.contains(part)) {
        None => Ok(()),
        Some(part) => Err(format!("{}: the words of a refusal lack `{part}`: {words}", file.display())),
    }
}

/// Builds the plugins of a language that needs nothing but its compiler.
fn built(language: &str, program: &str, arguments: &[&str]) -> Option<tempfile::TempDir> {
    if !Command::new(program).args(arguments).output().is_ok_and(|done| done.status.success()) {
        eprintln!("left out: `{program}` is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for world in WORLDS {
        let project = sdk().join(language).join("conformance").join(world);
        let file = folder.path().join(format!("{world}.wasm"));
        let mut build = Command::new(env!("CARGO_BIN_EXE_pelton"));
        let done = build.arg("build").arg(&project).arg("-o").arg(&file).output().unwrap();
        assert!(done.status.success(), "{}: {}", project.display(), String::from_utf8_lossy(&done.stderr));
    }
    Some(folder)
}

/// The plugins of a language that needs tools from a registry.
fn fetched(language: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PELTON_SDKS")?).join(language).join("plugins");
    let there = folder.is_dir();
    if !there {
        eprintln!("left out: there is no {}", folder.display());
    }
    there.then_some(folder)
}

#[test]
fn the_sdk_of_rust_passes_the_suite() {
    let guests = std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`");
    passes(&Path::new(&guests).join("conformance/rust"), &WORLDS, &[]);
}

#[test]
fn the_sdk_of_go_passes_the_suite() {
    built("go", "go", &["version"]).iter().for_each(|plugins| passes(plugins.path(), &WORLDS, &[]));
}

#[test]
fn the_sdk_of_c_passes_the_suite() {
    built("c", "wasm-ld", &["--version"]).iter().for_each(|plugins| passes(plugins.path(), &WORLDS, &[]));
}

#[test]
fn the_sdk_of_javascript_passes_the_suite() {
    // its engine is handed 64-bit integers as numbers
    fetched("javascript").iter().for_each(|plugins| passes(plugins, &WORLDS, &["transformer-wide"]));
}

#[test]
fn the_sdk_of_python_passes_the_suite() {
    fetched("python").iter().for_each(|plugins| passes(plugins, &WORLDS, &[]));
}
