//! The examples about schemas as their READMEs have them: each script compares what it sees with its `expected` folder.

use std::{path::Path, process::Command};

fn ran(name: &str) -> (String, String) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-R").arg(example.join(".")).arg(folder.path()).status().unwrap();
    assert!(copied.success(), "{name} cannot be copied");
    let ran =
        Command::new("./run.sh").current_dir(&folder).env("PELTON_PROGRAM", env!("CARGO_BIN_EXE_pelton")).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    (said, std::fs::read_to_string(example.join("README.md")).unwrap())
}

#[test]
fn the_schema_evolution_example_says_what_is_expected_of_every_mode() {
    let (said, page) = ran("schema-evolution");
    let promised = "out/confluent.txt is as expected\nout/glue.txt is as expected\nout/schema.txt is as expected\n";
    assert!(page.contains(promised) && said.ends_with(promised), "{said}");
    // Every line of a table that the page shows was printed.
    let shown = page.lines().filter(|line| line.contains("  reads  ") || line.contains("  taken  "));
    assert!(shown.clone().count() > 8);
    for line in shown {
        assert!(said.contains(line), "the README shows `{line}`, which is not printed\n{said}");
    }
}

#[test]
fn the_secondary_registry_example_loses_nothing() {
    let (said, page) = ran("secondary-registry");
    let exact = "exact: 700 clicks, each once, in order\n";
    assert!(page.contains(exact) && said.contains(exact), "{said}");
    let alone = said.lines().last().unwrap_or_default();
    assert!(alone.starts_with("with Glue alone: exit code 1, ") && page.contains(alone), "{said}");
}
