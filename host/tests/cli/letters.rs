//! `pelton dead-letters`: what a run could not process is listed and shown.

use std::{fs, path::Path};

use super::{bad, good};

const JOB: &str = r#"
pelton: v1
job: letters
sources:
  clicks:
    file: { path: clicks.jsonl, key: ad }
    format: { json: { fields: { ad: text, amount: int64 } } }
sinks:
  out: { from: clicks, file: { path: out } }
"#;

fn ran(folder: &Path) {
    fs::write(folder.join("job.yaml"), JOB).unwrap();
    let good_line = |n: i32| format!(r#"{{"ad":"a{n}","amount":{n}}}"#);
    let lines = [good_line(1), r#"{"ad":"b","amount":"much"}"#.to_owned(), good_line(2), r#"{"ad":"c"}"#.to_owned()];
    fs::write(folder.join("clicks.jsonl"), lines.join("\n")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up"]);
}

#[test]
fn letters_are_listed_filtered_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("job.yaml"), JOB).unwrap();
    fs::write(folder.join("clicks.jsonl"), "").unwrap();
    assert!(good(folder, &["dead-letters", "list", "job.yaml"]).starts_with("no dead letters in"));
    ran(folder);
    let list = good(folder, &["dead-letters", "list", "job.yaml"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    let json = good(folder, &["dead-letters", "list", "job.yaml", "--format", "json"]);
    let letters: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["payload"]["text"], r#"{"ad":"b","amount":"much"}"#);
    let name = letters[0]["letter"].as_str().unwrap();
    assert!(list.contains(name), "{list}");
    let page = good(folder, &["dead-letters", "show", "job.yaml", &name[..6]]);
    for part in ["step          clicks", "26 bytes", r#"{"ad":"b","amount":"much"}"#, "7b 22 61 64 22", "sequence"] {
        assert!(page.contains(part), "`{part}` is not in\n{page}");
    }
    let code = letters[1]["code"].as_str().unwrap();
    let one = good(folder, &["dead-letters", "list", "job.yaml", "--reason", "much", "--step", "clicks"]);
    assert!(one.lines().count() <= 2, "{one}");
    let none = good(folder, &["dead-letters", "list", "job.yaml", "--step", "nobody", "--reason", code]);
    assert!(none.starts_with("no dead letters"), "{none}");
    let newest = good(folder, &["dead-letters", "list", "job.yaml", "--limit", "1"]);
    assert!(newest.contains("the newest 1 of 2"), "{newest}");
    let beside = good(folder, &["dead-letters", "list", ".pelton/letters/dead-letters"]);
    assert_eq!(beside, list);
    assert!(bad(folder, &["dead-letters", "show", "job.yaml", "zz"], 78).contains("no dead letter"));
}
