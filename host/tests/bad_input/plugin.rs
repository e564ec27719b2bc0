//! Plugins that break their promises, in a whole job: what is said, which records become dead letters, and that their neighbours get
//! through. `config.json` of a case tells the hostile guest what to do.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{cases, expect};

const JOB: &str = r#"
pelton: v1
job: hostile
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { text: text } } } }
steps:
  step: { from: in, transform: { plugin: PLUGIN, config: CONFIGMORE } }
sinks:
  out: { from: step, file: { path: out } }
"#;

fn guest() -> PathBuf {
    let guests = std::env::var_os("PELTON_GUESTS").expect("PELTON_GUESTS names the built guests: run cargo xtask test");
    PathBuf::from(guests).join("hostile_plugin.wasm")
}

fn lines(folder: &Path) -> Vec<Value> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "jsonl"));
    let texts: Vec<String> = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    texts.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first line of what was said, without what differs from run to run.
fn first_line(text: &str, folder: &Path) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.replace(&guest().display().to_string(), "PLUGIN").replace(&folder.display().to_string(), "HERE");
    let line = match (line.split_once("took "), line.split_once(" of CPU time")) {
        (Some((before, _)), Some((_, after))) => format!("{before}took TIME of CPU time{after}"),
        _ => line,
    };
    if line.chars().count() <= 300 { line } else { line.chars().take(300).chain("...".chars()).collect() }
}

#[test]
fn a_plugin_that_breaks_its_promises_harms_nobody_else() {
    for case in cases("plugin") {
        let folder = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(case.join("config.json")).unwrap();
        // how the step treats a record that it rejects, where the case says so
        let on_error = std::fs::read_to_string(case.join("on_error")).ok();
        let more = on_error.as_ref().map_or_else(String::new, |policy| format!(", on_error: {}", policy.trim()));
        let job = JOB.replace("PLUGIN", &guest().display().to_string()).replace("CONFIG", config.trim());
        let job = job.replace("MORE", &more);
        std::fs::write(folder.path().join("job.yaml"), job).unwrap();
        let records: String = ["a", "b", "x", "d"].iter().map(|text| format!("{{\"text\":\"{text}\"}}\n")).collect();
        std::fs::write(folder.path().join("in.jsonl"), records).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.args(["run", "job.yaml", "--until-caught-up", "--state-dir", "state"]);
        let output = command.current_dir(folder.path()).env("PELTON_LOG", "error").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked at host/src"), "{}: {said}", case.display());
        let (rows, letters) = (lines(&folder.path().join("out")), lines(&folder.path().join("state/dead-letters")));
        let mut found = format!("exit code {}\n", output.status.code().unwrap_or(-1));
        if output.status.success() {
            assert!(
                on_error.is_some() || rows.len() + letters.len() >= 4,
                "{}: a record is lost: {said}",
                case.display()
            );
        } else {
            let words = said.lines().find(|line| line.starts_with("pelton:") || line.starts_with("error"));
            found += &format!("{}\n", first_line(words.unwrap_or(&said), folder.path()));
        }
        found += "rows:\n";
        rows.iter().for_each(|row| found += &format!("{row}\n"));
        found += "dead letters:\n";
        for letter in &letters {
            let message = first_line(letter["message"].as_str().unwrap(), folder.path());
            found += &format!("{}: {message}\n", letter["code"].as_str().unwrap());
        }
        expect(&case, &found);
    }
}
