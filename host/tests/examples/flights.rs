//! The demo on real data: every window against a program that reads the CSV alone, and what a smaller bound would lose.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/flights")
}

/// A copy of the example with its plugins, so that tests do not meet in one folder.
fn copy(to: &Path) {
    std::fs::create_dir_all(to.join("data")).unwrap();
    std::fs::create_dir_all(to.join("plugins")).unwrap();
    for file in ["job.yaml", "flight.avsc", "check.py", "data/flights-2013-01.csv.gz"] {
        std::fs::copy(example().join(file), to.join(file)).unwrap();
    }
    let guests = PathBuf::from(
        std::env::var_os("PELTON_GUESTS").expect("PELTON_GUESTS names the built plugins: run cargo xtask test"),
    );
    for plugin in ["flights_plugin.wasm", "stats.wasm"] {
        std::fs::copy(guests.join(plugin), to.join("plugins").join(plugin)).unwrap();
    }
}

fn demo(folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pelton")).args(["demo", "--dir"]).arg(folder).output().unwrap();
    text(output)
}

fn text(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

fn check(folder: &Path) -> Output {
    let check = folder.join("check.py");
    Command::new("python3")
        .arg(check)
        .arg(folder.join("data/flights-2013-01.csv.gz"))
        .arg(folder.join("out"))
        .output()
        .unwrap()
}

#[test]
fn the_demo_agrees_with_the_csv_and_can_be_run_again() {
    let folder = tempfile::tempdir().unwrap();
    copy(folder.path());
    for _ in 0..2 {
        let shown = demo(folder.path());
        assert!(shown.contains("27004 departures as Avro"), "{shown}");
        assert!(shown.contains("0 rejects, 0 late"), "{shown}");
        assert!(shown.contains("9460 windows"), "{shown}");
        assert_eq!(text(check(folder.path())), "9460 windows of 26483 departures agree with the CSV\n");
    }
}

#[test]
fn a_bound_of_six_hours_loses_six_flights() {
    let folder = tempfile::tempdir().unwrap();
    copy(folder.path());
    let job = folder.path().join("job.yaml");
    let text = std::fs::read_to_string(&job).unwrap();
    std::fs::write(&job, text.replace("out_of_order: 22h", "out_of_order: 6h")).unwrap();
    let shown = demo(folder.path());
    assert!(shown.contains("0 rejects, 6 late"), "{shown}");
    assert!(!check(folder.path()).status.success(), "the oracle must see that six flights are missing");
}
