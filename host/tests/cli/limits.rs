//! What the job file says under `limits:`, seen from outside: what is waited for, what ends the job, and the words.
//!
//! Left to others: what a call may take (`plugin/hostile`), neighbours (`neighbours`).

use std::{fs, path::Path, time::Duration};

use pelton::clock::{Clock, SystemClock};

use super::{bad, good, guest};

fn job(folder: &Path, plugin: &str, step: &str, fields: &str) {
    let text = format!(
        "
pelton: v1
job: limited
sources:
  in: {{ file: {{ path: in.jsonl }}, format: {{ json: {{ fields: {fields} }} }} }}
steps:
  step: {step}
sinks:
  out: {{ from: step, file: {{ path: out }} }}
"
    );
    fs::write(folder.join("job.yaml"), text).unwrap();
    fs::copy(guest(plugin), folder.join("plugin.wasm")).unwrap();
}

#[test]
fn a_plugin_that_has_had_its_share_of_the_processor_waits_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |limits: &str| {
        let plugin =
            format!("plugin: plugin.wasm, config: {{ do: loop_on, text: x }}, on_error: drop, limits: {limits}");
        job(folder, "hostile_plugin.wasm", &format!("{{ from: in, transform: {{ {plugin} }} }}"), "{ text: text }");
        let six = "{\"text\":\"x\"}\n".repeat(6);
        fs::write(folder.join("in.jsonl"), format!("{{\"text\":\"a\"}}\n{six}{{\"text\":\"b\"}}\n")).unwrap();
        let clock = SystemClock::new();
        let _ = fs::remove_dir_all(folder.join("out"));
        good(
            folder,
            &["run", "job.yaml", "--until-caught-up", "--accept-rejects", "--state-dir", &limits.len().to_string()],
        );
        let rows: String = fs::read_dir(folder.join("out"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        assert_eq!(rows.lines().count(), 2, "{rows}");
        clock.elapsed()
    };
    run("{ call_time: 50ms }");
    // each of the six takes twice its call's time before it is given up: together half a second at least, at a tenth of a processor
    let shared = run("{ call_time: 50ms, cpu: 10% }");
    assert!(shared >= Duration::from_secs(4), "{shared:?}");
}

#[test]
fn a_step_with_more_state_than_it_may_have_fails_and_says_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fields = "{ key: text, op: text, name: text?, value: int64?, text: text?, at: timestamp }";
    let text = format!(
        "
pelton: v1
job: limited
sources:
  in: {{ file: {{ path: in.jsonl }}, format: {{ json: {{ fields: {fields} }} }}, time: {{ field: at, out_of_order: 0s }} }}
  more: {{ file: {{ path: more.jsonl }}, format: {{ json: {{ fields: {fields} }} }}, time: {{ field: at, out_of_order: 0s }} }}
steps:
  step: {{ from: {{ left: in, right: more }}, key: key, transform: {{ plugin: plugin.wasm, limits: {{ state: 1MiB }} }} }}
sinks:
  out: {{ from: step, file: {{ path: out }} }}
checkpoint: {{ every: 50ms }}
"
    );
    fs::write(folder.join("job.yaml"), text).unwrap();
    fs::copy(guest("conformance/rust/stateful-transformer.wasm"), folder.join("plugin.wasm")).unwrap();
    // more than stays in memory: what is in no file yet is not counted; and what does not compress: hexadecimal digits of a counter that is mixed
    let noise = |key: u64| -> String {
        (0..40_000u64)
            .map(|place| format!("{:016x}", (place + key * 40_000 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect()
    };
    let line = |key: u64| {
        format!("{{\"key\":\"{key}\",\"op\":\"put\",\"text\":\"{}\",\"at\":\"2026-01-01T00:00:00Z\"}}\n", noise(key))
    };
    fs::write(folder.join("in.jsonl"), (0..200).map(line).collect::<String>()).unwrap();
    fs::write(folder.join("more.jsonl"), "{\"key\":\"z\",\"op\":\"get\",\"at\":\"2026-01-01T00:00:00Z\"}\n").unwrap();
    let said = bad(folder, &["run", "job.yaml", "--until-caught-up"], 1);
    assert!(said.contains("step step") && said.contains("1048576"), "{said}");
}

#[test]
fn check_starts_a_plugin_within_the_limits_of_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let check = |limits: &str| {
        let plugin = format!("plugin: plugin.wasm, config: {{ do: allocate_in_init }}, limits: {limits}");
        job(folder, "hostile_plugin.wasm", &format!("{{ from: in, transform: {{ {plugin} }} }}"), "{ text: text }");
        bad(folder, &["check", "job.yaml"], 78)
    };
    fs::write(folder.join("in.jsonl"), "").unwrap();
    assert!(check("{ memory: 16MiB }").contains("the limit is 16777216"));
    assert!(check("{ memory: 128MiB }").contains("the limit is 134217728"));
}
