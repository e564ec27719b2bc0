//! Confluent's own client uses the registry in every way that users of Avro do, and uses Apicurio, a registry of others, in the same ways.
//!
//! `PELTON_JUDGES` names the folder of both; `cargo xtask test` makes it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use pelton_emulator::registry::{Options, start, start_with};

fn judges() -> PathBuf {
    let judges = std::env::var_os("PELTON_JUDGES");
    judges.expect("PELTON_JUDGES names a folder with Confluent's client for Python: run cargo xtask test").into()
}

/// What the contract says about a registry: all checks, and lines that say more than ok.
async fn contract(url: &str, arguments: &[&str]) -> (usize, Vec<String>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/confluent/contract.py");
    let mut python = Command::new(judges().join("bin/python3"));
    python.arg(script).arg(url).args(arguments);
    let output = tokio::task::spawn_blocking(move || python.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let other: Vec<String> = said.lines().filter(|line| !line.starts_with("ok ")).map(str::to_owned).collect();
    assert!(output.status.success(), "{other:?}{}", String::from_utf8_lossy(&output.stderr));
    (said.lines().count(), other)
}

#[tokio::test(flavor = "multi_thread")]
async fn confluents_client_finds_the_registry_as_its_own() {
    let registry = start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (count, other) = contract(&registry.url(), &[]).await;
    assert!(count >= 60 && other.is_empty(), "{count}: {other:?}");
    registry.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confluents_client_finds_the_same_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { dir: Some(dir.path().to_owned()), ..Options::default() };
    // A second run finds what the first one left.
    for _ in 0..2 {
        let registry = start_with(options.clone()).await.unwrap();
        let (_, other) = contract(&registry.url(), &[]).await;
        assert!(other.is_empty(), "{other:?}");
        registry.stop().await;
    }
}

/// Apicurio, until it is dropped.
struct Apicurio {
    child: Child,
    url: String,
}

impl Apicurio {
    /// Starts it where it was fetched.
    fn start() -> Option<Self> {
        let folder = judges().join("apicurio");
        if !folder.join("java").exists() || !folder.join("registry/quarkus-run.jar").exists() {
            println!("skipped: Apicurio is not fetched: `cargo xtask test` does it");
            return None;
        }
        let mut command = Command::new("./java");
        command.arg("-Xmx320m").args(["http", "management"].map(|one| format!("-Dquarkus.{one}.host=127.0.0.1")));
        command.args(["http", "management"].map(|one| format!("-Dquarkus.{one}.port=0")));
        command.args(["-jar", "registry/quarkus-run.jar"]).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let said = lines.find_map(|line| line.split_once("Listening on: ").map(|(_, url)| url.to_owned())).unwrap();
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        let url = said.split_whitespace().next().unwrap().trim_end_matches('.');
        Some(Self { child, url: format!("{url}/apis/ccompat/v7") })
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_no_invention_apicurio_keeps_it_too() {
    let Some(apicurio) = tokio::task::spawn_blocking(Apicurio::start).await.unwrap() else { return };
    let (count, other) = contract(&apicurio.url, &["--without", "apicurio"]).await;
    assert!(other.iter().all(|line| line.starts_with("skipped ")) && other.len() * 3 < count, "{other:?}");
}
