//! `pelton test`: `cases/test/NAME/{job.yaml, expected.txt}`, where the second is all that the command prints, and its exit code.

use std::fs;

use super::{good, output, package, same, text};

#[test]
fn each_case_prints_what_is_expected() {
    let cases = package().join("tests/cases/test");
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 4);
    let answer = |folder: &std::path::PathBuf| {
        let output = output(folder, &["test", "job.yaml"]);
        let found = format!(
            "{}{}exit code {}\n",
            text(&output.stdout),
            text(&output.stderr),
            output.status.code().unwrap_or(-1)
        );
        same(&folder.join("expected.txt"), &found)
    };
    let wrong: Vec<String> = folders.iter().filter_map(answer).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn results_are_json_on_request_and_tests_are_chosen_by_name() {
    let folder = package().join("tests/cases/test/differs");
    let chosen = good(&folder, &["test", "job.yaml", "this one", "--format", "json"]);
    let chosen: serde_json::Value = serde_json::from_str(&chosen).unwrap();
    assert_eq!(chosen["tests"].as_array().unwrap().len(), 1);
    assert_eq!(chosen["tests"][0]["passed"], true);
    let all = output(&folder, &["test", "job.yaml", "--format", "json"]);
    assert_eq!(all.status.code(), Some(1));
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).unwrap();
    let differences = all["tests"][1]["differences"].as_array().unwrap();
    assert_eq!(differences[0]["difference"], "row");
    assert_eq!(differences[0]["fields"], serde_json::json!(["cents", "none"]));
    assert!(all["tests"][4]["failed"].as_str().unwrap().contains("payload"));
}
