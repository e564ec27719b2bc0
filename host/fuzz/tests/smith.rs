//! Random plugins that are kept as cases are what their seeds make.
//!
//! `UPDATE=1` writes them anew, as after a new version of `wasm-smith`. Left to others: what is said about them (`host/tests/bad_input/component`).

use std::{fs, path::Path};

use pelton_fuzz::smith;

#[test]
fn kept_plugins_are_what_their_seeds_make() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/component");
    let mut found = 0;
    for case in fs::read_dir(folder).unwrap().map(|case| case.unwrap().path()) {
        let Ok(line) = fs::read_to_string(case.join("seed")) else { continue };
        let (what, seed) = line.trim().split_once(' ').unwrap();
        let seed = seed.parse().unwrap();
        let (file, bytes) = match what {
            "module" => ("core.wasm", smith::module(seed)),
            "component" => ("plugin.wasm", smith::component(seed)),
            other => panic!("`{other}` of {} is nothing that is made by a seed", case.display()),
        };
        let bytes = bytes.unwrap();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(case.join(file), &bytes).unwrap();
        }
        let kept = fs::read(case.join(file)).unwrap();
        assert!(kept == bytes, "{}: {file} is not what its seed makes (UPDATE=1 writes it anew)", case.display());
        found += 1;
    }
    assert!(found >= 8, "there are {found} cases with a seed");
}
