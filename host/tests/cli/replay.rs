//! `pelton replay`: what is read, what cannot be compared, and how that is told.

use std::{fs, path::Path, time::Duration};

use pelton::{clock::Clock as _, decode::instant::instant_text};

use super::{bad, good, guest, output, text};
use crate::service::service;

/// A job with the plugin that does what it is told to, and some lines.
fn job(folder: &Path, source: &str, plugin: &str, lines: &str) {
    let job = format!(
        "
pelton: v1
job: replayed
{source}
steps:
  step: {{ from: in, transform: {plugin} }}
sinks:
  out: {{ from: step, file: {{ path: out }} }}
"
    );
    fs::write(folder.join("job.yaml"), job).unwrap();
    fs::write(folder.join("in.jsonl"), lines).unwrap();
    fs::copy(guest("hostile_plugin.wasm"), folder.join("plugin.wasm")).unwrap();
}

const FILE: &str = "sources: { in: { file: { path: in.jsonl }, format: { json: { fields: { text: text } } } } }";
const REPLAY: [&str; 6] = ["replay", "job.yaml", "--step", "step", "--b", "plugin.wasm"];
const LINES: &str = "{\"text\":\"a\"}\n{\"text\":\"x\"}\n{\"text\":\"b\"}\n";

#[test]
fn what_was_not_compared_is_not_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    job(folder, FILE, "{ plugin: plugin.wasm, config: { do: ok } }", LINES);
    assert!(good(folder, &REPLAY).contains("out: 3 the same, 0 added, 0 removed, 0 changed"));
    assert!(good(folder, &[&REPLAY[..], &["--by", "text"]].concat()).contains("out: 3 the same"));
    let said = bad(folder, &[&REPLAY[..], &["--by", "txet"]].concat(), 78);
    assert!(said.contains("no output of A has a field `txet`: --by takes text"), "{said}");

    fs::write(folder.join("none.jsonl"), "").unwrap();
    let said = bad(folder, &[&REPLAY[..], &["--input", "none.jsonl"]].concat(), 78);
    assert!(said.contains("no record was read"), "{said}");
    fs::write(folder.join("other.jsonl"), "{\"txet\":\"a\"}\n{\"txet\":\"b\"}\n").unwrap();
    let said = bad(folder, &[&REPLAY[..], &["--input", "other.jsonl"]].concat(), 78);
    assert!(said.contains("all 2 records were rejected before the step"), "{said}");
}

#[test]
fn a_version_that_cannot_go_on_does_not_differ_and_a_rejected_record_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    job(folder, FILE, "{ plugin: plugin.wasm, on_error: stop, config: { do: trap_on, text: x } }", LINES);
    let said = good(folder, &REPLAY);
    assert!(said.contains("out: 2 the same") && said.contains("rejected: 1 the same"), "{said}");
    job(folder, FILE, "{ plugin: plugin.wasm, config: { do: fail } }", LINES);
    assert!(bad(folder, &REPLAY, 78).contains("A: "));
}

#[test]
fn lines_of_a_file_are_the_fields_of_avro() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let schema = r#"{"type":"record","name":"Note","fields":[{"name":"text","type":"string"}]}"#;
    fs::create_dir_all(folder.join("schemas/notes-value")).unwrap();
    fs::write(folder.join("schemas/notes-value/1.avsc"), schema).unwrap();
    let source = "registry: { folder: { path: schemas } }
sources: { in: { kinesis: { stream: notes, endpoint: \"http://127.0.0.1:9\" }, format: { avro: { subject: notes-value } } } }";
    job(folder, source, "{ plugin: plugin.wasm, config: { do: ok } }", LINES);
    let said = good(folder, &[&REPLAY[..], &["--input", "in.jsonl"]].concat());
    assert!(said.contains("3 records, 3 rows, 0 rejected") && said.contains("out: 3 the same"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_split_after_the_range_ends_and_keeps_no_consumer() {
    let service = service(Duration::from_secs(300), false, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoint = service.settings.endpoint.clone().unwrap();
    let source = format!(
        "sources: {{ in: {{ kinesis: {{ stream: clicks, endpoint: \"{endpoint}\" }}, format: text }}, notes: {{ file: {{ path: in.jsonl }}, format: \
         {{ json: {{ fields: {{ text: text }} }} }} }} }}"
    );
    job(folder.path(), &source, "{ plugin: plugin.wasm, config: { do: ok } }", LINES);
    let named = fs::read_to_string(folder.path().join("job.yaml")).unwrap();
    let named = named.replace(
        "  step: { from: in,",
        "  named: { from: in, select: { text: payload } }\n  step: { from: [named, notes],",
    );
    fs::write(folder.path().join("job.yaml"), named).unwrap();
    service.put(0..10).await;
    // paces: what is put later arrives later
    std::thread::sleep(Duration::from_millis(20));
    let to = instant_text(pelton::clock::SystemClock::new().wall_us());
    service.put(10..20).await;
    service.split("shardId-000000000000", 1 << 100).await;
    service.put(20..30).await;

    let replayed = async |more: Vec<String>| {
        let folder = folder.path().to_owned();
        let run = move || {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            let done = output(&folder, &[&REPLAY[..], &more].concat());
            assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
            text(&done.stdout)
        };
        pelton::task::blocking(run).await
    };
    // the lines of the file came later than the range, and are read whole
    let said = replayed(vec!["--to".into(), to]).await;
    assert!(said.contains("13 records, 13 rows") && said.contains("out: 13 the same"), "{said}");
    let said = replayed(Vec::new()).await;
    assert!(said.contains("33 records, 33 rows") && said.contains("out: 33 the same"), "{said}");
    let summary = service.client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let consumers = service.client.list_stream_consumers().stream_arn(arn).send().await.unwrap().consumers;
    assert_eq!(consumers.unwrap_or_default(), []);
}
