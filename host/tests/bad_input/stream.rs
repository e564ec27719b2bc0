//! Records that cannot be what they claim to be, each between good neighbours of one batch: they become dead letters with words, the
//! neighbours become rows, and nothing is lost.
//!
//! A line of `records.jsonl` is one record: `{"v1": {...}}` and `{"v2": {...}}` are Avro of two schema versions, with `cut` (bytes taken from
//! the end), `more` (hex put behind) or `id` (another schema id); `{"hex": "..."}`, `{"text": "..."}` and `{"zeros": n}` are bytes as they are.

use std::{
    path::Path,
    process::{Command, Output},
};

use apache_avro::{Schema, types::Value as Avro, writer::datum::GenericDatumWriter};
use aws_sdk_kinesis::{primitives::Blob, types::PutRecordsRequestEntry};
use pelton::aws::Settings;
use pelton_emulator::{Options, Running, registry, start};
use serde_json::{Value, json};

use super::{cases, expect};

const V1: &str =
    r#"{"type":"record","name":"Order","fields":[{"name":"n","type":"long"},{"name":"name","type":"string"}]}"#;
const V2: &str = r#"{"type":"record","name":"Order","fields":[{"name":"n","type":"long"},{"name":"name","type":"string"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

const JOB: &str = r#"
pelton: v1
job: bad
registry: { confluent: { url: "${env:REGISTRY}" } }
sources:
  orders:
    kinesis: { stream: "${env:STREAM}", start: trim_horizon }
    format: { avro: { subject: orders-value } }
steps:
  all: { from: orders, select: { n: n, name: name, note: note } }
sinks:
  out: { from: all, file: { path: out } }
"#;

struct Case {
    schema: Schema,
    id: u32,
}

impl Case {
    fn body(&self, fields: &Value) -> Vec<u8> {
        let value = Avro::try_from(fields.clone()).unwrap().resolve(&self.schema).unwrap();
        GenericDatumWriter::builder(&self.schema).build().unwrap().write_value_to_vec(value).unwrap()
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn bytes(record: &Value, versions: &[Case; 2]) -> Vec<u8> {
    for (name, version) in ["v1", "v2"].into_iter().zip(versions) {
        let Some(fields) = record.get(name) else { continue };
        let id = record["id"].as_u64().map_or(version.id, |id| u32::try_from(id).unwrap());
        let mut bytes = vec![0];
        bytes.extend_from_slice(&id.to_be_bytes());
        bytes.extend(version.body(fields));
        bytes.truncate(bytes.len() - usize::try_from(record["cut"].as_u64().unwrap_or(0)).unwrap());
        bytes.extend(hex(record["more"].as_str().unwrap_or("")));
        return bytes;
    }
    match (record["hex"].as_str(), record["text"].as_str(), record["zeros"].as_u64()) {
        (Some(text), ..) => hex(text),
        (_, Some(text), _) => text.as_bytes().to_vec(),
        (.., Some(count)) => vec![0; usize::try_from(count).unwrap()],
        _ => panic!("{record} is no record"),
    }
}

/// Registers a schema as any client would, over HTTP.
async fn register(registry: &str, text: &str) -> Case {
    let settings = schema_registry_converter::async_impl::schema_registry::SrSettings::new(registry.to_owned());
    let supplied = schema_registry_converter::schema_registry_common::SuppliedSchema::new(
        None,
        schema_registry_converter::schema_registry_common::SchemaType::Avro,
        text.to_owned(),
    );
    let posted =
        schema_registry_converter::async_impl::schema_registry::post_schema(&settings, "orders-value".into(), supplied);
    Case { schema: Schema::parse_str(text).unwrap(), id: posted.await.unwrap().id }
}

async fn put(emulator: &Running, stream: &str, records: Vec<Vec<u8>>) {
    let endpoint = format!("http://{}", emulator.addr());
    let aws = Settings { endpoint: Some(endpoint), ..Settings::default() }.load().await.unwrap();
    let client = aws.kinesis_client();
    let entry = |data| PutRecordsRequestEntry::builder().data(Blob::new(data)).partition_key("k").build().unwrap();
    let entries = records.into_iter().map(entry).collect();
    let answer = client.put_records().stream_name(stream).set_records(Some(entries)).send().await.unwrap();
    assert_eq!(answer.failed_record_count(), Some(0));
}

fn run(folder: &Path, endpoint: &str, registry: &str, stream: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["run", "job.yaml", "--until-caught-up", "--accept-rejects", "--state-dir", "state"]);
    command.args(["--endpoint", endpoint]).env("REGISTRY", registry).env("STREAM", stream);
    command.current_dir(folder).output().unwrap()
}

fn lines(folder: &Path) -> Vec<Value> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "jsonl"));
    files.sort();
    let text = |file: &std::path::PathBuf| std::fs::read_to_string(file).unwrap();
    files
        .iter()
        .flat_map(|file| text(file).lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_become_letters_and_their_neighbours_rows() {
    let registry = registry::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}", registry.addr());
    let versions = [register(&url, V1).await, register(&url, V2).await];
    let cases = cases("stream");
    let names: Vec<String> = cases.iter().map(|case| case.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let streams = names.iter().map(|name| (name.clone(), 1)).collect();
    let emulator = start(Options { streams, ..Options::default() }).await.unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    for (case, name) in cases.iter().zip(&names) {
        let text = std::fs::read_to_string(case.join("records.jsonl")).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        put(&emulator, name, records.iter().map(|record| bytes(record, &versions)).collect()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("job.yaml"), JOB).unwrap();
        let output = run(folder.path(), &endpoint, &url, name);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let rows = lines(&folder.path().join("out"));
        let letters = lines(&folder.path().join("state/dead-letters"));
        assert_eq!(rows.len() + letters.len(), records.len(), "{name}: a record is lost, or there twice");
        let mut found = String::from("rows:\n");
        rows.iter().for_each(|row| found += &format!("{row}\n"));
        found += "dead letters:\n";
        for letter in &letters {
            found += &format!("{}: {}\n", letter["code"].as_str().unwrap(), letter["message"].as_str().unwrap());
        }
        expect(case, &found);
    }
    emulator.stop().await;
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_is_named_and_nothing_is_lost() {
    let registry = registry::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}", registry.addr());
    let versions = [register(&url, V1).await, register(&url, V2).await];
    let streams = vec![("orders".to_owned(), 1)];
    let emulator = start(Options { streams, ..Options::default() }).await.unwrap();
    let endpoint = format!("http://{}", emulator.addr());
    let record = json!({ "v2": { "n": 1, "name": "a", "note": null } });
    put(&emulator, "orders", vec![bytes(&record, &versions)]).await;
    let address = registry.addr();
    registry.stop().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("job.yaml"), JOB).unwrap();
    let output = run(folder.path(), &endpoint, &url, "orders");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(&url), "{said}");
    let registry = registry::start(address).await.unwrap();
    register(&url, V1).await;
    register(&url, V2).await;
    let output = run(folder.path(), &endpoint, &url, "orders");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines(&folder.path().join("out")), [json!({ "n": 1, "name": "a", "note": null })]);
    emulator.stop().await;
    registry.stop().await;
}
