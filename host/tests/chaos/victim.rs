//! The job in a process of its own: started, killed, asked to end, and finally let finish.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::Arc,
    time::Duration,
};

use pelton::{
    checkpoint::ledger::local,
    clock,
    state::{StateStore, rocksdb::RocksStore},
};

use super::load::Shape;

const JOB: &str = r#"
pelton: v1
job: JOB
sources:
  events:
    kinesis: { stream: events, start: trim_horizon, consumer: JOB }
    format: { json: { fields: { ad: text, amount: int64, at: timestamp } } }
    time: { field: at, out_of_order: 2s, idle: wait }
PARTITION_KEYsteps:
  kept:
    from: events
    filter: "amount % 5 <> 0"
  per_ad:
    from: kept
    key: ad
    window: { tumbling: 5s, allowed_lateness: LATENESS }
    aggregate: { n: count, total: sum(amount), least: min(amount), most: max(amount) }
sinks:
  files:
    from: per_ad
    file: { path: JOB, roll: { every: 1s, size: 512B } }
  stream:
    from: per_ad
    kinesis: { stream: RESULTS, key: ad }
checkpoint: { every: 100ms }
"#;

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// by itself, at the named point
    AtPoint,
    /// by SIGKILL from outside
    Killed,
    /// with exit code 0, as it was asked
    Ended,
}

/// A job in a folder.
pub struct Victim {
    folder: PathBuf,
    endpoint: String,
}

impl Victim {
    /// Writes the job, and its twin that is never interrupted.
    pub fn new(folder: &Path, endpoint: &str, shape: Shape) -> Self {
        let lateness = if shape == Shape::Late { "4s" } else { "0s" };
        let key = if shape == Shape::PerShard { "    partition_key: ad\n" } else { "" };
        for (name, results) in [("job", "results"), ("whole", "whole")] {
            let text = JOB
                .replace("JOB", name)
                .replace("RESULTS", results)
                .replace("LATENESS", lateness)
                .replace("PARTITION_KEY", key);
            std::fs::write(folder.join(format!("{name}.yaml")), text).unwrap();
        }
        Self { folder: folder.to_owned(), endpoint: endpoint.to_owned() }
    }

    fn start(&self, job: &str, more: &[&str], kill: Option<String>) -> Child {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.args(["run", job, "--endpoint", &self.endpoint, "--state-dir"]);
        command.arg(job.replace(".yaml", ".state")).args(more).current_dir(&self.folder).stderr(log);
        command.env_remove("PELTON_KILL_AT").envs(kill.map(|kill| ("PELTON_KILL_AT", kill)));
        command.spawn().unwrap()
    }

    /// What the process said last, for a failed test.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    async fn within(&self, child: &mut Child, limit: Duration) -> Option<ExitStatus> {
        let exited = async {
            loop {
                if let Some(status) = child.try_wait().unwrap() {
                    return status;
                }
                // paces: the look at the process
                clock::sleep(Duration::from_millis(5)).await;
            }
        };
        clock::timeout(limit, exited).await
    }

    /// Lives until it passes the point, or until patience ends.
    pub async fn killed_at(&self, point: &str, hit: u64, patience: Duration) -> Ending {
        let mut child = self.start("job.yaml", &[], Some(format!("{point}:{hit}")));
        match self.within(&mut child, patience).await {
            Some(status) => {
                assert_eq!(status.signal(), Some(9), "it ended by itself: {status}\n{}", self.log());
                Ending::AtPoint
            }
            None => {
                println!("  {point}:{hit} was not passed:\n{}", self.log());
                kill(child)
            }
        }
    }

    /// Lives so long.
    pub async fn killed_after(&self, time: Duration) -> Ending {
        let mut child = self.start("job.yaml", &[], None);
        let status = self.within(&mut child, time).await;
        assert!(status.is_none(), "it ended by itself: {status:?}\n{}", self.log());
        kill(child)
    }

    /// Lives so long, and is then asked to end.
    pub async fn asked_after(&self, time: Duration) -> Ending {
        let mut child = self.start("job.yaml", &[], None);
        let status = self.within(&mut child, time).await;
        assert!(status.is_none(), "it ended by itself: {status:?}\n{}", self.log());
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let status = self.within(&mut child, Duration::from_secs(30)).await.expect("it ends within 30 s when asked");
        // Asked before it listens for signals, a process ends by the signal itself; nothing is claimed then.
        assert!(status.success() || status.signal() == Some(15), "asked to end: {status}\n{}", self.log());
        Ending::Ended
    }

    /// Reads to the end and closes all windows.
    pub async fn finish(&self, job: &str) {
        let mut child = self.start(job, &["--until-caught-up"], None);
        let status = self.within(&mut child, Duration::from_secs(120)).await;
        let status = status.unwrap_or_else(|| panic!("{job} does not end within two minutes\n{}", self.log()));
        assert!(status.success(), "{job}: {status}\n{}", self.log());
    }

    /// Epochs that the partitions of the killed job committed.
    pub fn epochs(&self) -> u64 {
        let store: Arc<dyn StateStore> = Arc::new(RocksStore::open(&self.folder.join("job.state")).unwrap());
        let epoch = |name: &String| local::newest(&*store, name).unwrap().map_or(0, |manifest| manifest.epoch);
        local::partitions(&*store).unwrap().iter().map(epoch).sum()
    }
}

fn kill(mut child: Child) -> Ending {
    child.kill().unwrap();
    child.wait().unwrap();
    Ending::Killed
}
