//! The example of an enricher as its README has it: the script compares what it sees with the folder `expected`.

use std::{fs, path::Path, process::Command};

/// Runs the example in a copy of its folder.
fn ran(folder: &Path) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/inference");
    let copied = Command::new("cp").arg("-R").arg(example.join(".")).arg(folder).status().unwrap();
    assert!(copied.success(), "the example cannot be copied");
    let guests = std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`");
    let mut run = Command::new("./run.sh");
    run.current_dir(folder).env("PELTON_PROGRAM", env!("CARGO_BIN_EXE_pelton")).env("PELTON_GUESTS", guests);
    let ran = run.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

#[test]
fn the_inference_example_gives_the_same_verdicts_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let said = ran(folder.path());
    let page = fs::read_to_string(folder.path().join("README.md")).unwrap();
    let promised = said.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(page.contains(&promised), "{said}");
    for order in ["ordered", "unordered"] {
        let line = said.lines().find(|line| line.starts_with(&format!("{order}: the service saw"))).unwrap_or_default();
        let (_, figures) = line.split_once("requests, ").unwrap_or_else(|| panic!("{said}"));
        let most: u32 = figures.split(' ').next().unwrap_or_default().parse().unwrap();
        assert!((2..=8).contains(&most), "`capacity` is 8: {line}");
        assert!(line.ends_with(", 0 without its token"), "{line}");
    }
    // What the page shows of the job is in the job.
    let job = fs::read_to_string(folder.path().join("job.yaml")).unwrap();
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the page shows it");
    assert!(job.contains(shown), "the page shows other settings than the job has");
}
