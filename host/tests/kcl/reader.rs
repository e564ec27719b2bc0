//! An application of the real Kinesis Client Library as a process: `host/emulator/tests/judges/kcl/Reader.java`.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pelton::clock;
use serde_json::Value;

/// How it reads shards.
#[derive(Clone, Copy, Debug)]
pub enum Retrieval {
    FanOut,
    Polling,
}

/// Ends with this value.
pub struct Reader {
    process: Child,
    said: PathBuf,
    log: PathBuf,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder with the library; none, with words, where nobody has fetched the judges.
pub fn library() -> Option<PathBuf> {
    let Some(judges) = std::env::var_os("PELTON_JUDGES") else {
        eprintln!(
            "skipped: PELTON_JUDGES names no folder with the Kinesis Client Library; `cargo xtask test` makes it"
        );
        return None;
    };
    let folder = PathBuf::from(judges).join("kcl");
    assert!(folder.join("classes").is_dir(), "{} has no classes: run cargo xtask test", folder.display());
    Some(folder)
}

impl Reader {
    /// Reads the stream under the leases of the table; both are the emulator's. What it says stands in `folder` as `name`.
    pub fn start(library: &Path, folder: &Path, name: &str, retrieval: Retrieval, emulator: SocketAddr) -> Self {
        let (said, log) = (folder.join(name), folder.join(format!("{name}.log")));
        let address = format!("http://{emulator}");
        let retrieval = match retrieval {
            Retrieval::FanOut => "fan-out",
            Retrieval::Polling => "polling",
        };
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-cp", "classes:jars/*", "Reader", super::STREAM, super::TABLE, "kcl", retrieval])
            .args([&address, &address])
            .current_dir(library)
            .stdin(Stdio::piped())
            .stdout(File::create(&said).unwrap())
            .stderr(File::create(&log).unwrap());
        Self { process: java.spawn().expect("java starts: run cargo xtask doctor"), said, log }
    }

    fn said(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(&self.said).unwrap();
        // the last line may not be whole yet
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| line.splitn(5, ' ').map(str::to_owned).collect()).collect()
    }

    /// The numbers of the records that it was given, in any order.
    pub fn read(&self) -> Vec<i64> {
        let said = self.said();
        let records = said.iter().filter(|words| words[0] == "record");
        records.map(|words| serde_json::from_str::<Value>(&words[4]).unwrap()["n"].as_i64().unwrap()).collect()
    }

    /// Whether it has read so many and has checkpointed each shard that was not told to be silent.
    fn has_checkpointed(&self, records: usize) -> bool {
        let said = self.said();
        let silent =
            |shard: &str| said.iter().any(|words| words[1] == shard && words.last().unwrap().contains("unsaid"));
        let is_done = |words: &[String]| {
            let of_shard =
                said.iter().rev().find(|other| other[1] == words[1] && ["record", "done"].contains(&&*other[0]));
            of_shard.is_some_and(|last| last[0] == "done") || silent(&words[1])
        };
        let mut all = said.iter().filter(|words| words[0] == "record");
        all.clone().count() >= records && all.all(|words| is_done(words))
    }

    /// Until it has read so many records and checkpointed them.
    pub async fn until_read(&mut self, records: usize) {
        for _ in 0..1800 {
            if self.has_checkpointed(records) {
                return;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the reader has ended\n{}", self.last_words());
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} records of {records} after three minutes\n{}", self.read().len(), self.last_words());
    }

    /// Until it has read a shard to its end.
    pub async fn until_ended(&self, shard: &str) {
        for _ in 0..1200 {
            if self.said().iter().any(|words| words[..3] == ["done", shard, "SHARD_END"]) {
                return;
            }
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("{shard} has not ended after two minutes\n{}", self.last_words());
    }

    /// Stops it gracefully; the numbers of the records that it was given.
    pub async fn stop(mut self) -> Vec<i64> {
        drop(self.process.stdin.take());
        self.until_it_has_ended().await;
        assert_eq!(self.said().last().unwrap()[0], "stopped", "{}", self.last_words());
        self.read()
    }

    async fn until_it_has_ended(&mut self) {
        for _ in 0..1200 {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{status}\n{}", self.last_words());
                return;
            }
            clock::sleep(Duration::from_millis(100)).await;
        }
        panic!("the reader does not stop within two minutes\n{}", self.last_words());
    }

    fn last_words(&self) -> String {
        let tail = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!("{}\n{}", tail(&self.said), tail(&self.log))
    }
}
