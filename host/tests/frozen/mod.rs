//! Guests of released versions of the interface, built once when the version was released, against the suite of `sdk/conformance`.
//!
//! The rule: what ran on the host of its day runs on this one, and gives the same; nothing here is ever built again (`SHA256SUMS`).
//! Left to others: the suite (`conformance`), guests of versions to come (`cases/component/version_next` and its like).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::conformance::{WORLDS, passes};

/// Of each released version the languages it has guests of; each has a test below.
const RELEASED: [(&str, &[&str]); 1] = [("0.1.0", &["c", "go", "javascript", "python", "rust"])];

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen").join(version)
}

/// `LANGUAGE/WORLD.wasm.gz` of each guest of a version, and its hash.
fn listed(version: &str) -> BTreeMap<String, String> {
    let sums = fs::read_to_string(folder(version).join("SHA256SUMS")).unwrap();
    let of = |line: &str| line.split_once("  ").map(|(hash, file)| (file.to_owned(), hash.to_owned()));
    sums.lines().map(|line| of(line).expect("a hash, two spaces, a file")).collect()
}

/// A guest as it was released.
fn unpacked(version: &str, file: &str, hash: &str) -> Vec<u8> {
    let packed = fs::read(folder(version).join(file)).unwrap();
    let is: String = Sha256::digest(&packed).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(is, hash, "{version}/{file} is not what was released: restore it, it is never built again");
    let mut wasm = Vec::new();
    GzDecoder::new(&packed[..]).read_to_end(&mut wasm).unwrap();
    wasm
}

/// Runs the cases of each world that a language has a guest for, but for those that ask for what came later.
fn run(version: &str, language: &str, later: &[&str]) {
    let plugins = tempfile::tempdir().unwrap();
    let listed = listed(version);
    let mut worlds = Vec::new();
    for world in WORLDS {
        let file = format!("{language}/{world}.wasm.gz");
        if let Some(hash) = listed.get(&file) {
            fs::write(plugins.path().join(format!("{world}.wasm")), unpacked(version, &file, hash)).unwrap();
            worlds.push(world);
        }
    }
    assert!(!worlds.is_empty(), "{version} has no guest in {language}");
    passes(plugins.path(), &worlds, later);
}

#[test]
fn what_is_frozen_is_what_was_released() {
    for (version, languages) in RELEASED {
        let mut there = BTreeSet::new();
        for language in languages {
            let entries = fs::read_dir(folder(version).join(language)).unwrap();
            there.extend(entries.map(|entry| format!("{language}/{}", entry.unwrap().file_name().display())));
        }
        let listed = listed(version);
        assert_eq!(there, listed.keys().cloned().collect(), "{version}: the files and its SHA256SUMS are not the same");
        listed.iter().for_each(|(file, hash)| assert!(!unpacked(version, file, hash).is_empty()));
    }
}

#[test]
fn guests_of_0_1_0_in_rust_run() {
    run("0.1.0", "rust", &[]);
}

#[test]
fn guests_of_0_1_0_in_c_run() {
    run("0.1.0", "c", &[]);
}

#[test]
fn guests_of_0_1_0_in_go_run() {
    run("0.1.0", "go", &[]);
}

#[test]
fn guests_of_0_1_0_in_javascript_run() {
    run("0.1.0", "javascript", &[]);
}

#[test]
fn guests_of_0_1_0_in_python_run() {
    run("0.1.0", "python", &[]);
}

/// As an SDK of a later patch would build one that calls nothing new.
#[test]
fn a_guest_of_a_later_patch_runs() {
    let file = "c/transformer.wasm.gz";
    let mut wasm = unpacked("0.1.0", file, &listed("0.1.0")[file]);
    let is = |(at, name): (usize, &[u8])| (name == b"@0.1.0").then_some(at);
    let versions: Vec<usize> = wasm.windows(6).enumerate().filter_map(is).collect();
    assert!(!versions.is_empty(), "{file} names no version");
    versions.into_iter().for_each(|at| wasm[at + 5] = b'9');
    let plugins = tempfile::tempdir().unwrap();
    fs::write(plugins.path().join("transformer.wasm"), wasm).unwrap();
    passes(plugins.path(), &["transformer"], &[]);
}
