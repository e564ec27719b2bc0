//! The fleet example as its README has it: the script, its last words, and the picture.

use std::{path::Path, process::Command};

#[test]
fn the_fleet_example_is_exact_and_draws_who_held_what() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fleet");
    let folder = tempfile::tempdir().unwrap();
    for file in ["run.sh", "job.yaml"] {
        std::fs::copy(example.join(file), folder.path().join(file)).unwrap();
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_pelton")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let ran = Command::new("./run.sh").current_dir(&folder).env("PATH", path).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
    let page = std::fs::read_to_string(example.join("README.md")).unwrap();
    let promised = "exact: 1200 windows of 12000 clicks\nwho held which shard when: who.svg\n";
    assert!(page.contains(promised) && said.ends_with(promised), "{said}");
    let picture = std::fs::read_to_string(folder.path().join("who.svg")).unwrap();
    for worker in ["one-", "two-", "three-", "four-"] {
        assert!(picture.contains(&format!(">{worker}")), "no worker {worker} in the legend\n{picture}");
    }
    for shard in 0..=10 {
        assert!(picture.contains(&format!("clicks/shardId-{shard:012}")), "no row of shard {shard}\n{picture}");
    }
    assert!(picture.contains(", silent,") && picture.trim_end().ends_with("</svg>"), "{picture}");
}
