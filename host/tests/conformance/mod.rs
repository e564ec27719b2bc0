//! The suite of `sdk/conformance`: every case against the plugins of every SDK that there is, with one instance for all calls and with a
//! fresh one for each.
//!
//! The rule: a case knows no language. `PELTON_CONFORMANCE_LANGUAGE` names the folder that holds `WORLD.wasm` of a language; those of Rust
//! are built by `cargo xtask guests`, the others where their tools are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelton::{
    cli::{Output, check},
    job::testing::{self, Surroundings},
    plugin::{Limits, Plugins},
};
use tokio::runtime::Runtime;

const PREFIX: &str = "PELTON_CONFORMANCE_";

/// Worlds of plugins, the longest name first: a case's folder begins with its world.
const WORLDS: [&str; 5] = ["stateful-transformer", "keyed-transformer", "transformer", "aggregator", "enricher"];

/// Languages and the folders of their plugins.
fn languages() -> BTreeMap<String, PathBuf> {
    let named = std::env::vars().filter_map(|(name, folder)| {
        let language = name.strip_prefix(PREFIX)?.to_lowercase();
        Some((language, PathBuf::from(folder)))
    });
    let mut languages: BTreeMap<_, _> = named.collect();
    if let (None, Some(guests)) = (languages.get("rust"), std::env::var_os("PELTON_GUESTS")) {
        languages.insert("rust".into(), PathBuf::from(guests).join("conformance/rust"));
    }
    languages
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/conformance/cases");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> &str {
    case.file_name().unwrap().to_str().unwrap()
}

/// What is wrong with a case.
fn run(case: &Path, plugins: &Path, fresh: bool, runtime: &Runtime) -> Vec<String> {
    let variable = |name: &str| (name == "PELTON_CONFORMANCE").then(|| plugins.display().to_string());
    let loaded = check::load_with(&case.join("job.yaml"), &variable, runtime.handle(), Output::Text);
    let checked = match loaded {
        Ok(checked) => checked,
        Err(error) => return vec![error.to_string()],
    };
    let once = || Arc::new(Plugins::new(None, Limits { calls: 1, ..Limits::default() }).unwrap());
    let plugins = if fresh { once() } else { checked.plugins.clone() };
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

#[test]
fn plugins_of_every_language_give_what_the_suite_expects() {
    let (languages, runtime) = (languages(), Runtime::new().unwrap());
    assert!(languages.contains_key("rust"), "the plugins are missing: run `cargo xtask test`, which builds them");
    let (cases, mut wrong) = (cases(), Vec::new());
    assert!(!cases.is_empty(), "sdk/conformance/cases holds no case");
    for (language, folder) in &languages {
        for case in &cases {
            let world =
                WORLDS.iter().find(|world| name(case).starts_with(*world)).expect("a case begins with its world");
            if !folder.join(format!("{world}.wasm")).is_file() {
                wrong.push(format!("{language}: {} holds no {world}.wasm", folder.display()));
                continue;
            }
            for (fresh, how) in [(false, "one instance"), (true, "an instance a call")] {
                let said = run(case, folder, fresh, &runtime);
                wrong.extend(said.iter().map(|line| format!("{language}, {}, {how}: {line}", name(case))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
