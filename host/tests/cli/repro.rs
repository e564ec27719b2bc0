//! `pelton repro`: what a plugin failed over in a job that ran is failed over again, with the state that its key had.

use std::{fs, path::Path};

use super::{bad, good, guest, languages::is_there, pelton, text};

/// The one capsule of a job.
fn capsule(folder: &Path, job: &str) -> String {
    let capsules = folder.join(".pelton").join(job).join("capsules");
    let mut files = fs::read_dir(capsules).unwrap().map(|file| file.unwrap().path());
    let one = files.next().unwrap();
    assert!(files.next().is_none(), "there is more than one capsule");
    one.display().to_string()
}

/// A job whose plugin traps over the record `x`.
const TRAPS: &str = "
pelton: v1
job: hostile
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { text: text } } } }
steps:
  step: { from: in, transform: { plugin: plugin.wasm, config: { do: trap_on, text: x } } }
sinks:
  out: { from: step, file: { path: out } }
";

#[test]
fn a_record_that_a_plugin_traps_over_is_kept_and_traps_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("job.yaml"), TRAPS).unwrap();
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

    // from the folder itself, where the capsule's parent has no name
    let whole = Path::new(&capsule);
    let name = whole.file_name().unwrap().to_str().unwrap();
    assert!(bad(whole.parent().unwrap(), &["repro", name], 1).contains("  now      the same"));
}

#[test]
fn a_capsule_of_anybody_names_no_path_and_moves_no_cursor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("job.yaml"), TRAPS).unwrap();
    fs::write(folder.join("in.jsonl"), "{\"text\":\"x\"}\n").unwrap();
    fs::copy(guest("hostile_plugin.wasm"), folder.join("plugin.wasm")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up", "--accept-rejects"]);
    let kept: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(capsule(folder, "hostile")).unwrap()).unwrap();
    let with = |place: &str, value: serde_json::Value| {
        let mut other = kept.clone();
        *other.pointer_mut(place).unwrap() = value;
        fs::write(folder.join("other.json"), other.to_string()).unwrap();
    };
    let run = ["repro", "other.json", "--plugin", "plugin.wasm"];
    with("/digest", "/dev/zero".into());
    assert!(bad(folder, &run, 78).contains("is no digest of a plugin"));
    with("/job", "../..".into());
    assert!(bad(folder, &run, 78).contains("is no name of a job"));
    with("/failure/message", "a\u{1b}[2J\n\u{9b}31mb".into());
    let said = bad(folder, &run, 1);
    assert!(!said.contains(['\u{1b}', '\u{9b}']) && said.contains("  then     a\\u{1b}[2J\n"), "{said}");
    // a body of 2^60 bytes is promised
    with("/row", "/////wgAAAAAAAAA".into());
    assert!(bad(folder, &run, 78).contains("the capsule's row is damaged"));
    with("/config", "{\"do\":\"ok\"}".into());
    assert!(good(folder, &run).contains("1 rows to"));
    let mut other: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("other.json")).unwrap()).unwrap();
    other["state_is_cut"] = true.into();
    fs::write(folder.join("other.json"), other.to_string()).unwrap();
    assert!(bad(folder, &run, 78).contains("a part of the key's state"));
    assert!(bad(folder, &["repro", "/dev/zero"], 78).contains("it is no file"));
}

const AT: &str = "\"at\":\"2026-01-01T00:00:00Z\"";

/// Runs a job that keeps state by key over these lines.
fn run_with_state(folder: &Path, left: &str) {
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
    fs::write(folder.join("job.yaml"), job).unwrap();
    fs::write(folder.join("left.jsonl"), left).unwrap();
    fs::write(folder.join("right.jsonl"), format!("{{\"key\":\"z\",\"op\":\"get\",{AT}}}\n")).unwrap();
    fs::copy(guest("conformance/rust/stateful-transformer.wasm"), folder.join("plugin.wasm")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up"]);
}

#[test]
fn a_capsule_that_lacks_some_of_the_state_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let push = |name: &str| {
        let text = "x".repeat(700 << 10);
        format!("{{\"key\":\"a\",\"op\":\"push\",\"name\":\"{name}\",\"text\":\"{text}\",{AT}}}\n")
    };
    let trap = format!("{{\"key\":\"a\",\"op\":\"trap\",\"text\":\"lost\",{AT}}}\n");
    run_with_state(folder, &(push("one") + &push("two") + &trap));
    let said = bad(folder, &["repro", &capsule(folder, "kept")], 1);
    assert!(said.contains("  state    1 values of its key, and more that is not in the capsule"), "{said}");
}

#[test]
fn a_capsule_holds_the_state_that_the_plugin_saw() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let left = format!(
        "{{\"key\":\"a\",\"op\":\"put\",\"text\":\"before\",{AT}}}\n{{\"key\":\"a\",\"op\":\"trap\",\"text\":\"lost\",{AT}}}\n"
    );
    run_with_state(folder, &left);
    let capsule = capsule(folder, "kept");
    let said = bad(folder, &["repro", &capsule], 1);
    assert!(said.contains("the record asks for a trap") && said.contains("  now      the same"), "{said}");
    assert!(said.contains("  state    1 values of its key"), "{said}");
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&capsule).unwrap()).unwrap();
    // `before`, in Base64: what the call that trapped wrote is not there
    assert_eq!(found["state"], serde_json::json!([[0, "", "YmVmb3Jl"]]));
    assert_eq!(found["state_is_cut"], false);

    let mut other = found;
    other["input"] = 7.into();
    fs::write(folder.join("other.json"), other.to_string()).unwrap();
    let said = bad(folder, &["repro", "other.json", "--plugin", "plugin.wasm"], 78);
    assert!(said.contains("the record came by input 7, and the plugin has 2"), "{said}");
}

#[test]
fn a_capsule_of_an_aggregator_holds_the_accumulator_of_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let job = "
pelton: v1
job: summed
sources:
  in:
    file: { path: in.jsonl }
    format: { json: { fields: { key: text, op: text, amount: float64?, name: text?, at: timestamp } } }
    time: { field: at, out_of_order: 0s }
steps:
  summed: { from: in, key: key, window: { tumbling: 1m }, aggregate: { plugin: plugin.wasm } }
sinks:
  out: { from: summed, file: { path: out } }
";
    fs::write(folder.join("job.yaml"), job).unwrap();
    let line = |op: &str| format!("{{\"key\":\"a\",\"op\":\"{op}\",\"amount\":2.5,\"name\":\"n\",{AT}}}\n");
    fs::write(folder.join("in.jsonl"), line("add") + &line("trap") + &line("add")).unwrap();
    fs::copy(guest("conformance/rust/aggregator.wasm"), folder.join("plugin.wasm")).unwrap();
    good(folder, &["run", "job.yaml", "--until-caught-up"]);
    let capsule = capsule(folder, "summed");
    let said = bad(folder, &["repro", &capsule], 1);
    assert!(said.contains("the record asks for a trap") && said.contains("  now      the same"), "{said}");
    assert!(said.contains("  window   1767225600000 to 1767225660000 ms"), "{said}");
    let found: serde_json::Value = serde_json::from_str(&fs::read_to_string(&capsule).unwrap()).unwrap();
    // the record before it is in the accumulator
    assert!(found["state"][0][2].as_str().unwrap().len() > 8, "{found}");

    let mut other = found;
    other["tables"] = serde_json::json!([["totals", 7]]);
    fs::write(folder.join("other.json"), other.to_string()).unwrap();
    let said = bad(folder, &["repro", "other.json", "--plugin", "plugin.wasm"], 78);
    assert!(said.contains("`totals` version 7"), "{said}");
}

/// Answers every request of HTTP with this body, until the process ends.
fn answering(body: &'static str) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (mut read, mut part) = (Vec::new(), [0; 1024]);
            while !read.ends_with(b"\r\n\r\n") {
                match std::io::Read::read(&mut connection, &mut part).unwrap_or(0) {
                    0 => break,
                    some => read.extend_from_slice(&part[..some]),
                }
            }
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            let _ = std::io::Write::write_all(&mut connection, answer.as_bytes());
        }
    });
    at
}

#[test]
fn a_capsule_of_an_enricher_answers_as_it_was_answered_and_asks_nobody() {
    if !is_there("clang", &["--version"]) || !is_there("wasm-ld", &["--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "plugin", "known", "--lang", "c", "--kind", "enricher"]);
    let folder = &folder.path().join("known");
    let source = fs::read_to_string(folder.join("plugin.c")).unwrap();
    let traps = source.replace(
        "        pelton_emit(",
        "        if (pelton_is(response->answer.body, \"poison\")) pelton_trap(\"the answer is poison\");\n        pelton_emit(",
    );
    assert_ne!(source, traps);
    fs::write(folder.join("plugin.c"), traps).unwrap();
    good(folder, &["build"]);
    fs::write(folder.join("data/clicks.jsonl"), format!("{{\"ad\":\"x\",\"amount\":1,{AT}}}\n")).unwrap();
    let service = format!("http://{}", answering("poison"));
    let run = pelton(folder, &["run", "job.yaml", "--until-caught-up", "--accept-rejects"])
        .env("SERVICE_URL", &service)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    let capsule = capsule(folder, "known");
    let said = bad(folder, &["repro", &capsule], 1);
    assert!(said.contains("the answer is poison") && said.contains("  now      the same"), "{said}");
    assert!(said.contains("  answers  1 of services, given again"), "{said}");
    // the plugin as it was does not mind, and what it asks for is in the capsule
    fs::write(folder.join("plugin.c"), source).unwrap();
    good(folder, &["build"]);
    let said = good(folder, &["repro", &capsule, "--plugin", "known.wasm"]);
    assert!(said.contains("1 rows to `out`"), "{said}");
}
