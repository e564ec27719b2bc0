//! The examples about schemas as their READMEs have them: each script compares what it sees with its `expected` folder.

use super::{copied, ran};

fn copied_and_ran(name: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    copied(name, folder.path());
    ran(folder.path())
}

#[test]
fn the_schema_evolution_example_says_what_is_expected_of_every_mode() {
    let (said, page) = copied_and_ran("schema-evolution");
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
    let (said, page) = copied_and_ran("secondary-registry");
    let exact = "exact: 700 clicks, each once, in order\n";
    assert!(page.contains(exact) && said.contains(exact), "{said}");
    let alone = said.lines().last().unwrap_or_default();
    assert!(alone.starts_with("with Glue alone: exit code 1, ") && page.contains(alone), "{said}");
}
