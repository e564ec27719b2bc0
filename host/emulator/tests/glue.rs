//! Glue's own clients use the emulator: boto3 every call, and AWS's serializer for Java as producers and consumers do.
//!
//! `PELTON_JUDGES` names the folder of both; `cargo xtask test` makes it.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use pelton_emulator::{Options, faults::Rule, start};
use serde_json::{Value as Json, json};

fn judges() -> PathBuf {
    let judges = std::env::var_os("PELTON_JUDGES");
    judges.expect("PELTON_JUDGES names a folder with boto3 and AWS's serializer: run cargo xtask test").into()
}

async fn boto3(url: String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/boto3_glue.py");
    let mut python = Command::new(judges().join("bin/python3"));
    python.arg(script).arg(url);
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), "20 calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_uses_every_call_of_glue() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: Some(dir.path().to_owned()), ..Options::default() };
    // A second emulator finds what the first one left.
    for _ in 0..2 {
        let emulator = start(options.clone()).await.unwrap();
        boto3(format!("http://{}", emulator.addr())).await;
        emulator.stop().await;
    }
}

/// AWS's library, until it is dropped.
struct Serializer {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    endpoint: String,
}

impl Serializer {
    fn start(endpoint: String) -> Self {
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-cp", "classes:jars/*", "Glue"]).current_dir(judges().join("glue"));
        let mut child =
            java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("java runs");
        let (requests, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, requests, answers, endpoint }
    }

    fn ask(&mut self, mut request: Json) -> Json {
        request["endpoint"] = self.endpoint.as_str().into();
        writeln!(self.requests, "{request}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{request}: {line}: {e}"))
    }

    fn write(&mut self, schema: &Json, record: &Json, more: &Json) -> Json {
        let mut request = json!({
            "do": "write", "registry": "default-registry", "schema_name": "orders", "schema": schema.to_string(),
            "record": record, "auto_register": true,
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask(request)
    }

    fn read(&mut self, bytes: &Json) -> Json {
        self.ask(json!({ "do": "read", "bytes": bytes }))
    }
}

impl Drop for Serializer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn order(more: &Json) -> Json {
    let mut fields = vec![json!({ "name": "id", "type": "int" })];
    fields.extend(more.as_array().unwrap().iter().cloned());
    json!({ "type": "record", "name": "Order", "fields": fields })
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_serializer_for_java_writes_reads_and_is_refused() {
    // What it has registered is compared later.
    let faults = vec!["RegisterSchemaVersion@orders:pending:next=1".parse::<Rule>().unwrap()];
    let emulator = start(Options { faults, ..Options::default() }).await.unwrap();
    let (endpoint, glue) = (format!("http://{}", emulator.addr()), emulator.glue());
    tokio::task::spawn_blocking(move || {
        let mut aws = Serializer::start(endpoint);
        let first = order(&json!([]));
        let second = order(&json!([{ "name": "note", "type": "string", "default": "" }]));
        let without = aws.write(&first, &json!({ "id": 1 }), &json!({ "auto_register": false }));
        assert!(without["error"].as_str().unwrap().contains("Auto registration"), "{without}");
        let mut bytes = Vec::new();
        for (schema, record) in [(&first, json!({ "id": 1 })), (&second, json!({ "id": 2, "note": "soon" }))] {
            for (compression, tag) in [("NONE", 0), ("ZLIB", 5)] {
                let written =
                    aws.write(schema, &record, &json!({ "compression": compression, "compatibility": "BACKWARD" }));
                let frame = STANDARD.decode(written["bytes"].as_str().unwrap_or_else(|| panic!("{written}"))).unwrap();
                assert_eq!(frame[..2], [3, tag]);
                let read = aws.read(&written["bytes"]);
                assert_eq!((&read["record"], &read["schema"]), (&record, &json!(schema.to_string())), "{read}");
                bytes.push(frame);
            }
        }
        assert!(bytes[0][2..18] == bytes[1][2..18] && bytes[0][2..18] != bytes[2][2..18], "an id for each version");
        let bad = order(&json!([{ "name": "price", "type": "int" }]));
        let refused = aws.write(&bad, &json!({ "id": 3, "price": 4 }), &json!({}));
        let words = refused["error"].as_str().unwrap();
        assert!(words.contains("FAILURE"), "{words}");
        let schema = json!({ "RegistryName": "default-registry", "SchemaName": "orders" });
        let call = |operation, body| glue.call(0, operation, &body).unwrap();
        let listed = call("ListSchemaVersions", json!({ "SchemaId": schema }));
        let listed = listed["Schemas"].as_array().unwrap().iter().map(|one| one["Status"].as_str().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), ["AVAILABLE", "AVAILABLE", "FAILURE"]);
        let metadata = call(
            "QuerySchemaVersionMetadata",
            json!({ "SchemaId": schema, "SchemaVersionNumber": { "VersionNumber": 1 } }),
        );
        assert_eq!(metadata["MetadataInfoMap"]["x-amz-meta-transport"]["MetadataValue"], "judge");
    })
    .await
    .unwrap();
    assert_eq!(emulator.faults().fired(), [1]);
    emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_glue_come_with_its_names() {
    let emulator = start(Options::default()).await.unwrap();
    let schema = json!({ "SchemaName": "orders", "DataFormat": "AVRO", "SchemaDefinition": "\"int\"" });
    let made = emulator.glue().call(0, "CreateSchema", &schema).unwrap();
    let rules = [
        ("throttle", 400, "ThrottlingException"),
        ("fail", 500, "InternalServiceException"),
        ("access-denied", 400, "AccessDeniedException"),
        ("expired-credentials", 400, "ExpiredTokenException"),
    ];
    for (fault, status, name) in rules {
        // The call names the version alone.
        emulator.faults().replace(vec![format!("GetSchemaVersion@orders:{fault}:next=1").parse().unwrap()]);
        let body = json!({ "SchemaVersionId": made["SchemaVersionId"] }).to_string();
        let request = || {
            let kind = "application/x-amz-json-1.1";
            crate::client::post(emulator.addr(), kind, "AWSGlue.GetSchemaVersion", body.clone())
        };
        let response = crate::client::send(emulator.addr(), false, request()).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
            (status, &name.parse().unwrap())
        );
        let said: Json = serde_json::from_str(&crate::client::text(response).await).unwrap();
        assert!(said["__type"] == name && said["Message"].is_string(), "{said}");
        let response = crate::client::send(emulator.addr(), true, request()).await;
        assert_eq!(response.status(), 200);
    }
    emulator.stop().await;
}
