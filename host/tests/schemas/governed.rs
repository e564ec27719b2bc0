//! Jobs and the schemas of their records, with a stream, a registry and the program itself: stopped by a schema, letters of a schema, a
//! registry that is away, results as Avro.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use pelton_emulator::{
    Running,
    registry::{self, RunningRegistry},
};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const JOB: &str = r#"
pelton: v1
job: governed
registry: { confluent: { url: "REGISTRY" } }
sources:
  clicks:
    kinesis: { stream: clicks, endpoint: "KINESIS" }
    format: { avro: { subject: clicks-value, SETTINGS } }
sinks:
  out: { from: clicks, file: { path: out, roll: { every: 10ms } } }
dead_letters: { file: { path: letters, roll: { every: 10ms } } }
checkpoint: { every: 50ms }
"#;
const FIRST: &str =
    r#"{"type":"record","name":"Click","fields":[{"name":"ad","type":"string"},{"name":"n","type":"int"}]}"#;
/// Takes a field that old readers want away: not forward.
const WITHOUT_N: &str = r#"{"type":"record","name":"Click","fields":[{"name":"ad","type":"string"}]}"#;
/// Wants a field that old writers do not have: not backward.
const WITH_MORE: &str = r#"{"type":"record","name":"Click","fields":[{"name":"ad","type":"string"},{"name":"n","type":"int"},{"name":"more","type":"string"}]}"#;
const WITH_DEFAULT: &str = r#"{"type":"record","name":"Click","fields":[{"name":"ad","type":"string"},{"name":"n","type":"int"},{"name":"x","type":"int","default":7}]}"#;

/// A stream with two shards and a registry, and a folder to run in.
struct Place {
    runtime: Runtime,
    emulator: Running,
    registry: Option<RunningRegistry>,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let options = pelton_emulator::Options {
            listen: any,
            streams: vec![("clicks".into(), 2), ("results".into(), 1)],
            ..pelton_emulator::Options::default()
        };
        let emulator = runtime.block_on(pelton_emulator::start(options)).unwrap();
        let mut place = Self { runtime, emulator, registry: None, folder };
        place.registry_starts(any);
        place
    }

    fn registry_starts(&mut self, listen: SocketAddr) {
        let dir = Some(self.folder.path().join("registry"));
        let options = registry::Options { listen, dir, ..registry::Options::default() };
        self.registry = Some(self.runtime.block_on(registry::start_with(options)).unwrap());
    }

    fn registry_ends(&mut self) -> SocketAddr {
        let running = self.registry.take().unwrap();
        let address = running.addr();
        self.runtime.block_on(running.stop());
        address
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        self.registry.as_ref().unwrap().url()
    }

    fn write_job(&self, settings: &str) {
        let text = JOB.replace("REGISTRY", &self.url()).replace("SETTINGS", settings);
        fs::write(self.path("job.yaml"), text.replace("KINESIS", &format!("http://{}", self.emulator.addr()))).unwrap();
    }

    fn pelton(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL_KINESIS", format!("http://{}", self.emulator.addr()));
        if let Some(registry) = &self.registry {
            command.env("PELTON_REGISTRY", registry.url());
        }
        command.output().unwrap()
    }

    /// Puts records of a schema, which is registered whatever the registry thinks of it.
    fn put(&self, schema: &str, keys: std::ops::Range<u32>, record: impl Fn(u32) -> Json) {
        fs::write(self.path("schema.avsc"), schema).unwrap();
        let lines: Vec<String> = keys.map(|key| record(key).to_string()).collect();
        fs::write(self.path("lines.jsonl"), lines.join("\n")).unwrap();
        let put = self.pelton(&["stream", "put", "clicks", "lines.jsonl", "--schema", "schema.avsc", "--key", "ad"]);
        assert!(put.status.success(), "{}", words(&put));
    }

    /// From now on the registry takes everything.
    fn unguarded(&self) {
        let url = format!("{}/config", self.url());
        let set = async {
            reqwest::Client::new().put(url).body(r#"{"compatibility":"NONE"}"#).send().await.unwrap().status()
        };
        assert!(self.runtime.block_on(set).is_success());
    }

    fn run(&self) -> Output {
        self.pelton(&["run", "job.yaml", "--until-caught-up"])
    }

    fn rows(&self) -> usize {
        lines(&self.path("out")).len()
    }

    fn letters(&self) -> Vec<Json> {
        lines(&self.path("letters"))
    }
}

fn lines(folder: &Path) -> Vec<Json> {
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Json>>()).collect()
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn click(key: u32) -> Json {
    serde_json::json!({ "ad": format!("ad{key}"), "n": key })
}

#[test]
fn a_schema_that_breaks_the_mode_stops_the_job_before_its_first_record() {
    for (mode, schema, reason) in [
        ("backward", WITH_MORE, "breaks the mode `backward`: it cannot read what version 1 wrote"),
        ("forward_all", WITHOUT_N, "the job cannot read it: at `n`"),
        ("full", WITH_MORE, "breaks the mode `full`"),
        ("disabled", WITH_DEFAULT, "the mode `disabled` takes none after version 1"),
    ] {
        let place = Place::new();
        place.put(FIRST, 0..10, click);
        // The reader's schema is that of now: what comes later is judged by it.
        fs::write(place.path("reader.avsc"), FIRST).unwrap();
        place.write_job(&format!("compatibility: {mode}, schema: reader.avsc"));
        assert!(place.run().status.success(), "{}", words(&place.run()));
        place.unguarded();
        place.put(schema, 10..20, |key| serde_json::json!({ "ad": format!("ad{key}"), "n": key, "more": "m", "x": 1 }));
        for _ in 0..2 {
            let stopped = place.run();
            let said = words(&stopped);
            assert_eq!(stopped.status.code().map(|code| code != 0), Some(true), "{mode}: {said}");
            assert!(
                said.contains("clicks-value") && (said.contains(reason) || said.contains("E060")),
                "{mode}: {said}"
            );
            assert_eq!((place.rows(), place.letters().len()), (10, 0), "{mode}");
        }
    }
}

#[test]
fn records_of_a_broken_schema_become_letters_and_the_others_go_on() {
    let place = Place::new();
    place.put(FIRST, 0..30, click);
    fs::write(place.path("reader.avsc"), FIRST).unwrap();
    let settings = "compatibility: forward, schema: reader.avsc, on_incompatible: dead_letter";
    place.write_job(settings);
    assert!(place.run().status.success());
    place.unguarded();
    // More than the share of rejects that would stop a job: they were asked for.
    place.put(WITHOUT_N, 30..60, |key| serde_json::json!({ "ad": format!("ad{key}") }));
    place.put(FIRST, 60..70, click);
    let text = fs::read_to_string(place.path("job.yaml")).unwrap().replace("subject: clicks-value, ", "");
    fs::write(place.path("job.yaml"), text).unwrap();
    let ran = place.pelton(&["run", "job.yaml", "--until-caught-up", "--accept-change"]);
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(place.rows(), 40);
    let letters = place.letters();
    assert_eq!(letters.len(), 30);
    let told = |letter: &Json| {
        letter["code"] == "incompatible_schema" && letter["message"].as_str().unwrap().contains("at `n`")
    };
    assert!(letters.iter().all(told), "{}", letters[0]);
}

#[test]
fn without_a_mode_each_record_is_read_as_far_as_it_can_be() {
    let place = Place::new();
    place.put(FIRST, 0..20, click);
    place.unguarded();
    place.put(WITHOUT_N, 20..21, |key| serde_json::json!({ "ad": format!("ad{key}") }));
    place.put(WITH_DEFAULT, 21..41, |key| serde_json::json!({ "ad": format!("ad{key}"), "n": key, "x": 1 }));
    place.write_job("compatibility: none");
    let ran = place.run();
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!((place.rows(), place.letters().len()), (40, 1), "{}", words(&ran));
    assert_eq!(place.letters()[0]["code"], "schema_mismatch");
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        #[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
        let now = Instant::now();
        assert!(now < end, "not in a minute: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn while_the_registry_is_away_known_schemas_go_on_and_others_wait() {
    let mut place = Place::new();
    place.put(FIRST, 0..20, click);
    place.write_job("compatibility: backward");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(["run", "job.yaml"]).current_dir(place.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _worker = Worker(command.spawn().unwrap());
    wait_for("the first records", || place.rows() == 20);
    // Registered, and never seen by the job: all of them in one shard, as they have one key.
    let encoded = {
        fs::write(place.path("schema.avsc"), WITH_DEFAULT).unwrap();
        let registered = place.pelton(&["schema", "register", "clicks-value", "schema.avsc", "--format", "json"]);
        let said: Json = serde_json::from_slice(&registered.stdout).unwrap();
        said["id"].as_str().unwrap().parse::<u32>().unwrap()
    };
    let address = place.registry_ends();
    let frame = |id: u32, ad: &str, rest: &[u8]| {
        let mut record = vec![0];
        record.extend_from_slice(&id.to_be_bytes());
        record.push((ad.len() * 2) as u8);
        record.extend_from_slice(ad.as_bytes());
        record.extend_from_slice(rest);
        record
    };
    let put = |key: &str, data: Vec<u8>| {
        let entry =
            pelton_emulator::store::Entry { data: data.into(), partition_key: key.into(), explicit_hash_key: None };
        let wall = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        place.emulator.store().put_records(wall, "clicks", vec![entry]).unwrap();
    };
    for _ in 0..5 {
        put("held", frame(encoded, "held", &[2, 4]));
    }
    let keys: Vec<String> = (0..40).map(|n| format!("key{n}")).collect();
    keys.iter().for_each(|key| put(key, frame(1, key, &[2])));
    let side = |key: &str| md5_high(key);
    let held = side("held");
    let free = keys.iter().filter(|key| side(key) != held).count();
    wait_for("records of the other shard", || place.rows() >= 20 + free);
    assert_eq!(place.rows(), 20 + free, "the shard of the unknown schema stands");
    assert!(place.letters().is_empty());
    place.registry_starts(address);
    wait_for("everything", || place.rows() == 20 + 5 + keys.len());
    assert!(place.letters().is_empty());
}

/// Whether a key lies in the upper half of the hash space, which is the second shard.
fn md5_high(key: &str) -> bool {
    pelton::state::key::hash(key.as_bytes())[0] >= 0x80
}

#[test]
fn results_are_written_as_avro_and_read_by_the_next_job() {
    let place = Place::new();
    place.put(FIRST, 0..20, click);
    place.write_job("compatibility: backward");
    let source = fs::read_to_string(place.path("job.yaml")).unwrap();
    let kinesis = format!("http://{}", place.emulator.addr());
    let write = |settings: &str, select: &str| {
        let steps = format!("steps:\n  made: {{ from: clicks, select: {{ {select} }} }}\nsinks:");
        let sink = format!(
            "  sent:\n    from: made\n    kinesis: {{ stream: results, endpoint: \"{kinesis}\" }}\n    format: {{ avro: {{ {settings} }} }}\ndead_letters:"
        );
        let text =
            source.replace("sinks:", &steps).replace("dead_letters:", &sink).replace("job: governed", "job: writer");
        fs::write(place.path("writer.yaml"), text).unwrap();
    };
    write("auto_register: false", "ad: ad, twice: n * 2");
    let refused = place.pelton(&["check", "writer.yaml"]);
    assert!(refused.status.code() == Some(78) && words(&refused).contains("E0604"), "{}", words(&refused));
    write("auto_register: true", "ad: ad, twice: n * 2");
    let ran = place.pelton(&["run", "writer.yaml", "--until-caught-up"]);
    assert!(ran.status.success(), "{}", words(&ran));
    let reader = source
        .replace("stream: clicks", "stream: results")
        .replace("clicks-value", "results-value")
        .replace("governed", "reader");
    fs::write(
        place.path("reader.yaml"),
        reader.replace("path: out", "path: read").replace("path: letters", "path: read-letters"),
    )
    .unwrap();
    let ran = place.pelton(&["run", "reader.yaml", "--until-caught-up"]);
    assert!(ran.status.success(), "{}", words(&ran));
    let read = lines(&place.path("read"));
    assert_eq!(read.len(), 20);
    let mut twice: Vec<i64> = read.iter().map(|row| row["twice"].as_i64().unwrap()).collect();
    twice.sort_unstable();
    assert_eq!(twice, (0..20).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(read[0]["_pelton.fence"], 1, "{}", read[0]);
    // A field of another type under the same name would break who reads the subject.
    write("auto_register: true", "ad: ad, twice: \"cast(n as varchar)\"");
    let refused = place.pelton(&["check", "writer.yaml"]);
    assert!(refused.status.code() == Some(78) && words(&refused).contains("E0606"), "{}", words(&refused));
}
