//! `pelton repro`: what a plugin failed over in a job that ran is failed over again, with the state that its key had.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{bad, good};

fn guest(name: &str) -> PathBuf {
    let guests = std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`");
    PathBuf::from(guests).join(name)
}

/// The one capsule of a job.
fn capsule(folder: &Path, job: &str) -> String {
    let capsules = folder.join(".pelton").join(job).join("capsules");
    let mut files = fs::read_dir(capsules).unwrap().map(|file| file.unwrap().path());
    let one = files.next().unwrap();
    assert!(files.next().is_none(), "there is more than one capsule");
    one.display().to_string()
}

#[test]
fn a_record_that_a_plugin_traps_over_is_kept_and_traps_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let job = "
pelton: v1
job: hostile
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { text: text } } } }
steps:
  step: { from: in, transform: { plugin: plugin.wasm, config: { do: trap_on, text: x } } }
sinks:
  out: { from: step, file: { path: out } }
";
    fs::write(folder.join("job.yaml"), job).unwrap();
    fs::write(folder.join("in.jsonl"), "{\"text\":\"a\"}\n{\"text\":\"x\"}\n{\"text\":\"b\"}\n").unwrap();
    fs::copy(guest("hostile_plugin.wasm"), folder.join("plugin.wasm")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up"]);
    let capsule = capsule(folder, "hostile");
    let said = bad(folder, &["repro", &capsule], 1);
    assert!(said.contains("told to trap") && said.contains("  now      the same"), "{said}");
    assert!(said.contains("  record   in in.jsonl 2\n"), "{said}");

    // told to do something else it is another plugin: here it does what it is told by the capsule's config, which is no fault of the record
    let text = fs::read_to_string(&capsule).unwrap().replace("trap_on", "ok");
    fs::write(folder.join("other.json"), text).unwrap();
    let plugin = ["repro", "other.json", "--plugin", "plugin.wasm"];
    assert!(good(folder, &plugin).contains("1 rows to"));
    assert!(bad(folder, &["repro", "other.json"], 78).contains("is not beside the capsule"));
    assert!(bad(folder, &["repro", "job.yaml"], 78).contains("is no failure capsule"));
}

#[test]
fn a_capsule_holds_the_state_that_the_plugin_saw() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fields = "{ key: text, op: text, name: text?, value: int64?, text: text?, at: timestamp }";
    let job = format!(
        "
pelton: v1
job: kept
sources:
  lefts:
    file: {{ path: left.jsonl }}
    format: {{ json: {{ fields: {fields} }} }}
    time: {{ field: at, out_of_order: 0s }}
  rights:
    file: {{ path: right.jsonl }}
    format: {{ json: {{ fields: {fields} }} }}
    time: {{ field: at, out_of_order: 0s }}
steps:
  kept:
    from: {{ left: lefts, right: rights }}
    key: key
    transform: {{ plugin: plugin.wasm }}
sinks:
  out: {{ from: kept, file: {{ path: out }} }}
"
    );
    let at = "\"at\":\"2026-01-01T00:00:00Z\"";
    let left = format!(
        "{{\"key\":\"a\",\"op\":\"put\",\"text\":\"before\",{at}}}\n{{\"key\":\"a\",\"op\":\"trap\",\"text\":\"lost\",{at}}}\n"
    );
    fs::write(folder.join("job.yaml"), job).unwrap();
    fs::write(folder.join("left.jsonl"), left).unwrap();
    fs::write(folder.join("right.jsonl"), format!("{{\"key\":\"z\",\"op\":\"get\",{at}}}\n")).unwrap();
    fs::copy(guest("conformance/rust/stateful-transformer.wasm"), folder.join("plugin.wasm")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up"]);
    let capsule = capsule(folder, "kept");
    let said = bad(folder, &["repro", &capsule], 1);
    assert!(said.contains("the record asks for a trap") && said.contains("  now      the same"), "{said}");
    assert!(said.contains("  state    1 values of its key"), "{said}");
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&capsule).unwrap()).unwrap();
    // `before`, in Base64: what the call that trapped wrote is not there
    assert_eq!(found["state"], serde_json::json!([[0, "", "YmVmb3Jl"]]));
}
