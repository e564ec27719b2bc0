//! The source of the SDK, carried in the binary, so that a new plugin builds outside this repository.
//!
//! The rule: every file of `sdk/rust` and `wit` that a build needs is in [`FILES`], of `sdk/go` in [`GO`], of `sdk/c` in [`C`] (tests compare), and manifests are written with the
//! versions of this workspace in them, because there is no workspace where they go. Left to others: the project around it.

/// The workspace's manifest: the one version table.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// Where the SDK's sources and the interface stand in the repository, and where in a project: `../../wit` must be the same seen from both.
pub const PLACES: [(&str, &str); 2] = [("sdk/rust", "sdk/rust/pelton-sdk"), ("wit", "sdk/wit")];

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../", $path)))),*]
    };
}

/// Path in the repository, and text.
pub const FILES: &[(&str, &str)] = files![
    "sdk/rust/Cargo.toml",
    "sdk/rust/README.md",
    "sdk/rust/macros/Cargo.toml",
    "sdk/rust/macros/src/accumulator.rs",
    "sdk/rust/macros/src/attribute.rs",
    "sdk/rust/macros/src/config.rs",
    "sdk/rust/macros/src/fields.rs",
    "sdk/rust/macros/src/inputs.rs",
    "sdk/rust/macros/src/lib.rs",
    "sdk/rust/macros/src/output.rs",
    "sdk/rust/macros/src/stored.rs",
    "sdk/rust/macros/src/tables.rs",
    "sdk/rust/src/accumulator.rs",
    "sdk/rust/src/aggregate.rs",
    "sdk/rust/src/batch.rs",
    "sdk/rust/src/bindings.rs",
    "sdk/rust/src/cell.rs",
    "sdk/rust/src/config.rs",
    "sdk/rust/src/export.rs",
    "sdk/rust/src/lib.rs",
    "sdk/rust/src/log.rs",
    "sdk/rust/src/metrics.rs",
    "sdk/rust/src/out.rs",
    "sdk/rust/src/rows.rs",
    "sdk/rust/src/state/host.rs",
    "sdk/rust/src/state/key.rs",
    "sdk/rust/src/state/mod.rs",
    "sdk/rust/src/state/stored.rs",
    "sdk/rust/src/state/sub_key.rs",
    "sdk/rust/src/state/table.rs",
    "sdk/rust/src/state/timers.rs",
    "sdk/rust/src/testing/batch.rs",
    "sdk/rust/src/testing/cases.rs",
    "sdk/rust/src/testing/enrich.rs",
    "sdk/rust/src/testing/keyed.rs",
    "sdk/rust/src/testing/memory.rs",
    "sdk/rust/src/testing/mod.rs",
    "sdk/rust/src/testing/results.rs",
    "sdk/rust/src/transform.rs",
    "sdk/rust/src/value.rs",
    "sdk/rust/src/worlds/enrich.rs",
    "sdk/rust/src/worlds/keyed.rs",
    "sdk/rust/src/worlds/mod.rs",
    "sdk/rust/src/worlds/stateful.rs",
    "wit/aggregate.wit",
    "wit/enrich.wit",
    "wit/keyed.wit",
    "wit/lifecycle.wit",
    "wit/log.wit",
    "wit/metrics.wit",
    "wit/migrate-state.wit",
    "wit/on-timers.wit",
    "wit/state.wit",
    "wit/transform.wit",
    "wit/types.wit",
    "wit/world.wit",
];

/// The SDK of Go, in the same form; it stands at the same place in a project.
pub const GO: &[(&str, &str)] = files![
    "sdk/go/README.md",
    "sdk/go/aggregator/aggregator.go",
    "sdk/go/aggregator/native.go",
    "sdk/go/aggregator/wasm.go",
    "sdk/go/binding.go",
    "sdk/go/cells.go",
    "sdk/go/codec.go",
    "sdk/go/column.go",
    "sdk/go/enricher/enricher.go",
    "sdk/go/enricher/native.go",
    "sdk/go/enricher/wasm.go",
    "sdk/go/go.mod",
    "sdk/go/internal/host/host_native.go",
    "sdk/go/internal/host/host_wasm.go",
    "sdk/go/internal/migrate/doc.go",
    "sdk/go/internal/migrate/migrate_wasm.go",
    "sdk/go/internal/store/store_native.go",
    "sdk/go/internal/store/store_wasm.go",
    "sdk/go/internal/wire/layout.go",
    "sdk/go/internal/wire/lifecycle_wasm.go",
    "sdk/go/internal/wire/lift_wasm.go",
    "sdk/go/internal/wire/lower_wasm.go",
    "sdk/go/internal/wire/memory_wasm.go",
    "sdk/go/jsonschema.go",
    "sdk/go/keyed/keyed.go",
    "sdk/go/keyed/native.go",
    "sdk/go/keyed/wasm.go",
    "sdk/go/log.go",
    "sdk/go/manifest.go",
    "sdk/go/output.go",
    "sdk/go/pelton.go",
    "sdk/go/peltontest/peltontest.go",
    "sdk/go/plan.go",
    "sdk/go/rows.go",
    "sdk/go/stateful/native.go",
    "sdk/go/stateful/stateful.go",
    "sdk/go/stateful/table.go",
    "sdk/go/stateful/wasm.go",
    "sdk/go/transformer/native.go",
    "sdk/go/transformer/transformer.go",
    "sdk/go/transformer/wasm.go",
    "sdk/go/value.go",
];

/// The SDK of C, likewise.
pub const C: &[(&str, &str)] = files![
    "sdk/c/README.md",
    "sdk/c/out.c",
    "sdk/c/pelton/aggregator.h",
    "sdk/c/pelton/enricher.h",
    "sdk/c/pelton/keyed.h",
    "sdk/c/pelton/migrate.h",
    "sdk/c/pelton/pelton.h",
    "sdk/c/pelton/stateful.h",
    "sdk/c/pelton/transformer.h",
    "sdk/c/rt.c",
];

/// The SDK of Go as a project has it.
pub fn go() -> impl Iterator<Item = (String, String)> {
    GO.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
}

/// The SDK of C as a project has it.
pub fn c() -> impl Iterator<Item = (String, String)> {
    C.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
}

/// Path in a project, and text.
pub fn files() -> impl Iterator<Item = (String, String)> {
    FILES.iter().map(|(path, text)| {
        let place = |(from, to): &(&str, &str)| Some(format!("{to}{}", path.strip_prefix(from)?));
        let path = PLACES.iter().find_map(place).expect("every file stands in one of the places");
        let text = if path.ends_with("Cargo.toml") { standalone(text) } else { (*text).to_owned() };
        (path, text)
    })
}

/// A manifest of the workspace as it must be outside of it.
fn standalone(manifest: &str) -> String {
    let mut section = "";
    let mut text = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        if section == "[lints]" {
            continue;
        }
        match line.strip_suffix(".workspace = true") {
            None => text.push_str(line),
            Some(name) => {
                let table = if section == "[package]" { "[workspace.package]" } else { "[workspace.dependencies]" };
                let value = inherited(table, name).expect("what a package of the workspace inherits is in its tables");
                text.push_str(&format!("{name} = {}", value.replace("\"sdk/rust/", "\"")));
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What a table of the workspace says of a name.
fn inherited(table: &str, name: &str) -> Option<&'static str> {
    let rows = WORKSPACE.lines().skip_while(|line| *line != table).skip(1).take_while(|line| !line.starts_with('['));
    rows.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::path::Path;

    use super::*;

    fn walk(root: &Path, path: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(root.join(path)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}/{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap().is_dir() {
                true => walk(root, &path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn every_file_of_the_sdk_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = Vec::new();
        PLACES.iter().for_each(|(from, _)| walk(&root, from, &mut found));
        let apart = ["sdk/rust/tests/", "sdk/rust/conformance/"];
        found.retain(|path| !apart.iter().any(|apart| path.starts_with(apart)) && !path.contains("/target/"));
        found.sort();
        let carried: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!(carried, found, "add the file to FILES in cli/new/sdk.rs");
    }

    #[test]
    fn every_file_of_the_other_sdks_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (folder, carried) in [("sdk/go", GO), ("sdk/c", C)] {
            let mut found = Vec::new();
            walk(&root, folder, &mut found);
            found.retain(|path| {
                !["/conformance/", "/template/", "/testdata/", "_test.go"].iter().any(|part| path.contains(part))
            });
            found.sort();
            let carried: Vec<&str> = carried.iter().map(|(path, _)| *path).collect();
            assert_eq!(carried, found, "add the file to the list of {folder} in cli/new/sdk.rs");
        }
    }

    #[test]
    fn a_manifest_stands_alone() {
        let manifests: Vec<_> = files().filter(|(path, _)| path.ends_with("Cargo.toml")).collect();
        assert_eq!(manifests.len(), 2);
        for (path, text) in manifests {
            assert!(!text.contains("workspace"), "{path}: {text}");
            assert!(text.contains("edition = \"2024\""), "{path}: {text}");
        }
        let sdk = files().find(|(path, _)| path == "sdk/rust/pelton-sdk/Cargo.toml").unwrap().1;
        assert!(sdk.contains("pelton-sdk-macros = { path = \"macros\" }"), "{sdk}");
        assert!(sdk.contains("serde = { version ="), "{sdk}");
    }
}
