//! What the binary carries of `sdk` and `wit`, so that a plugin can be started and built outside this repository.
//!
//! The rule: a project gets every file of its SDK that a build or a test of the project needs, and nothing else; manifests of the workspace
//! are written with its versions in them, because there is no workspace where they go.
//! Left to others: which files a project has beside its SDK (`mod.rs`).

use rust_embed::Embed;

use super::Files;

/// The SDKs, with the templates of projects.
#[derive(Embed)]
#[folder = "../sdk"]
#[include = "rust/Cargo.toml"]
#[include = "rust/README.md"]
#[include = "rust/src/*"]
#[include = "rust/macros/*"]
#[include = "rust/template/*"]
#[include = "go/*"]
#[exclude = "go/conformance/*"]
#[exclude = "go/pelton_test.go"]
#[include = "c/*"]
#[exclude = "c/conformance/*"]
#[include = "javascript/*"]
#[exclude = "javascript/conformance/*"]
#[exclude = "javascript/tests/*"]
#[exclude = "javascript/.*"]
#[include = "python/*"]
#[exclude = "python/conformance/*"]
#[exclude = "python/tests/*"]
#[exclude = "python/.*"]
#[exclude = "*/target/*"]
#[exclude = "*/node_modules/*"]
#[exclude = "*__pycache__*"]
struct Sdk;

/// The interface.
#[derive(Embed)]
#[folder = "../wit"]
struct Wit;

/// The workspace's manifest: the one version table.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

/// The SDK in this folder of `sdk`, as a project has it: below `sdk` too, and the interface beside it.
pub fn sdk(folder: &str) -> Files {
    let template = format!("{folder}/template/");
    let own = below::<Sdk>(&format!("{folder}/")).into_iter().filter(|(path, _)| !path.starts_with(&template));
    let placed = own.map(|(path, text)| match path.strip_prefix("rust/") {
        // `../../wit` must be the same seen from both places.
        Some(rest) => {
            let text = if path.ends_with("Cargo.toml") { standalone(&text) } else { text };
            (format!("sdk/rust/pelton-sdk/{rest}"), text)
        }
        None => (format!("sdk/{path}"), text),
    });
    placed.chain(wit().into_iter().map(|(name, text)| (format!("sdk/wit/{name}"), text))).collect()
}

/// A folder of templates: paths from it.
pub fn template(folder: &str) -> Files {
    let folder = format!("{folder}/");
    let named = |path: &str| {
        let path = path.strip_prefix(&folder).unwrap_or(path);
        // Tools see a manifest or a list of ignored files wherever it lies, so these have other names here.
        if path == "gitignore" { ".gitignore".to_owned() } else { path.trim_end_matches(".txt").to_owned() }
    };
    below::<Sdk>(&folder).into_iter().map(|(path, text)| (named(&path), text)).collect()
}

/// The files of the interface: name and text.
pub fn wit() -> Files {
    below::<Wit>("")
}

/// Files whose path begins so, in order.
fn below<E: Embed>(beginning: &str) -> Files {
    let paths = E::iter().filter(|path| path.starts_with(beginning));
    let text = |path: &str| {
        let file = E::get(path).expect("a file that is listed is there");
        String::from_utf8(file.data.into_owned()).expect("sources are text")
    };
    let mut files: Files = paths.map(|path| (path.to_string(), text(&path))).collect();
    files.sort();
    files
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

    /// What a project has no use for: tests of the SDKs themselves, and what tools leave behind.
    const APART: [&str; 10] = [
        "rust/tests/",
        "rust/conformance/",
        "/conformance/",
        "go/pelton_test.go",
        "javascript/tests/",
        "javascript/.",
        "python/tests/",
        "/target/",
        "/node_modules/",
        "__pycache__",
    ];

    fn walk(folder: &Path, path: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap().is_dir() {
                true => walk(&entry.path(), &format!("{path}/"), found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn every_file_of_the_sdks_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
        let mut found = Vec::new();
        for language in ["rust", "go", "c", "javascript", "python"] {
            walk(&folder.join(language), &format!("{language}/"), &mut found);
        }
        found.retain(|path| !APART.iter().any(|apart| path.contains(apart)));
        found.sort();
        let carried: Vec<String> = below::<Sdk>("").into_iter().map(|(path, _)| path).collect();
        assert_eq!(carried, found, "a file that is new is seen when cli/new/sdk.rs is compiled again: touch it");
    }

    #[test]
    fn a_manifest_stands_alone() {
        let files = sdk("rust");
        let manifests: Vec<_> = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml")).collect();
        assert_eq!(manifests.len(), 2);
        for (path, text) in manifests {
            assert!(!text.contains("workspace"), "{path}: {text}");
            assert!(text.contains("edition = \"2024\""), "{path}: {text}");
        }
        let sdk = &files.iter().find(|(path, _)| path == "sdk/rust/pelton-sdk/Cargo.toml").unwrap().1;
        assert!(sdk.contains("pelton-sdk-macros = { path = \"macros\" }"), "{sdk}");
        assert!(sdk.contains("serde = { version ="), "{sdk}");
    }
}
