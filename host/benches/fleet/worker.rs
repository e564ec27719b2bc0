//! One worker as a process, and what the system and the worker itself say of it.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use pelton::{clock, job::live::status::Status};

use super::scene::Scene;

/// Ticks of CPU time in a second, on every Linux that matters.
const TICKS: f64 = 100.0;
/// What a worker says soon, it says within this time.
const SOON: Duration = Duration::from_secs(60);

/// Killed when this is dropped.
pub struct Worker {
    process: Child,
    log: PathBuf,
    state: PathBuf,
}

/// `pelton` with these arguments, in the folder of the scene.
pub fn pelton(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(arguments).args(["--endpoint", &scene.endpoint()]).current_dir(scene.path());
    command
}

impl Worker {
    /// Starts one whose copy of the state lies in a folder of this name; another one that died may have left it.
    pub fn start(scene: &Scene, name: &str) -> Result<Self> {
        let (log, state) = (scene.path().join(format!("{name}.log")), scene.path().join(name));
        let mut command = pelton(scene, &["run", "job.yaml", "--metrics=127.0.0.1:0", "--state-dir", name]);
        let process = command.stdout(File::create(scene.path().join("stdout"))?).stderr(File::create(&log)?).spawn()?;
        Ok(Self { process, log, state })
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGKILL, and nothing of its copy of the state stays.
    pub fn remove(mut self) -> Result<()> {
        self.kill()?;
        fs::remove_dir_all(&self.state).context("the worker's copy of the state cannot be removed")
    }

    /// The word of its log that follows these.
    pub async fn wait_for_word(&self, before: &str) -> Result<String> {
        for _ in 0..SOON.as_millis() / 20 {
            let log = fs::read_to_string(&self.log)?;
            if let Some((_, rest)) = log.split_once(before)
                && let Some((word, _)) = rest.split_once(char::is_whitespace)
            {
                return Ok(word.to_owned());
            }
            clock::sleep(Duration::from_millis(20)).await;
        }
        bail!("the worker does not say `{before}`:\n{}", self.last_words())
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    pub async fn status(&self) -> Result<Status> {
        let address = self.wait_for_word("metrics: ").await?.replace("/metrics", "/status");
        let answer = reqwest::get(&address).await.with_context(|| self.last_words())?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    /// Waits until this is so.
    pub async fn wait_for(&self, within: Duration, is: impl Fn(&Status) -> bool) -> Result<Status> {
        for _ in 0..within.as_millis() / 100 {
            let status = self.status().await?;
            if is(&status) {
                return Ok(status);
            }
            clock::sleep(Duration::from_millis(100)).await;
        }
        bail!("what is waited for does not come within {within:?}:\n{}", self.last_words())
    }

    /// CPU time of all its threads so far, seconds.
    pub fn cpu_s(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // the name in parentheses may hold anything; user and system time are the 14th and 15th field
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).with_context(|| format!("no CPU time in `{stat}`"))?;
        Ok((user + system) / TICKS)
    }

    /// A line of its status in the system, which says kB, in MiB: `VmRSS` is resident, `VmHWM` was at most.
    pub fn memory_mib(&self, what: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        Ok(kib.with_context(|| format!("no {what} in `{status}`"))? / 1024.0)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.kill();
    }
}
