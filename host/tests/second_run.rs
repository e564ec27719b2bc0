//! A second run that is no continuation: `--fresh`, and a state that was lost while the results were not.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};

const JOB: &str = r#"
pelton: v1
job: again
sources:
  clicks:
    file: { path: clicks.jsonl, format: json_lines }
    format: { json: { fields: { n: int64 } } }
sinks:
  results: { from: clicks, file: { path: out } }
state: { dir: state.v1 }
dead_letters:
  file: { path: letters }
"#;
const RECORDS: usize = 100;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (0..RECORDS).map(|n| format!("{{\"n\":{n}}}")).collect();
    lines.push("no json".to_owned());
    std::fs::write(folder.path().join("clicks.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.path().join("job.yaml"), JOB).unwrap();
    folder
}

fn run(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["run", "job.yaml", "--until-caught-up"]).args(more).current_dir(folder).output().unwrap()
}

fn succeeds(folder: &Path, more: &[&str]) {
    let ran = run(folder, more);
    assert!(ran.status.success(), "{more:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Lines by name of the file.
fn files(folder: &Path) -> BTreeMap<String, usize> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), lines(&path))).collect()
}

#[test]
fn a_fresh_run_moves_state_results_and_letters_aside() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    succeeds(folder.path(), &[]);
    let first = (files(&at("out")), files(&at("letters")));
    assert_eq!(first.0.values().sum::<usize>(), RECORDS);
    std::fs::write(at("out/somebody-elses.txt"), "x").unwrap();
    succeeds(folder.path(), &["--fresh"]);
    std::fs::remove_file(at("out/somebody-elses.txt")).unwrap();
    assert_eq!((files(&at("out")), files(&at("letters"))), first, "the same again, once");
    for sink in ["out", "letters"] {
        let own = std::fs::read_dir(at(sink).join("_pelton")).unwrap().map(|entry| entry.unwrap().path());
        let aside = own.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("before-"));
        assert_eq!(aside.count(), 1, "{sink}");
    }
    let before = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("state.v1.before-");
    assert!(std::fs::read_dir(folder.path()).unwrap().any(|entry| before(&entry.unwrap().path())));
}

#[test]
fn after_a_state_was_lost_repeats_have_names_of_their_own() {
    let folder = folder();
    let out = folder.path().join("out");
    succeeds(folder.path(), &[]);
    let first = files(&out);
    std::fs::remove_dir_all(folder.path().join("state.v1")).unwrap();
    let refused = run(folder.path(), &[]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(74) && words.contains("--accept-repeats"), "{words}");
    succeeds(folder.path(), &["--accept-repeats"]);
    let both = files(&out);
    assert!(first.iter().all(|file| both.get(file.0) == Some(file.1)), "{both:?}");
    assert_eq!(both.values().sum::<usize>(), 2 * RECORDS, "{both:?}");
    succeeds(folder.path(), &[]);
    assert_eq!(files(&out), both);
}
