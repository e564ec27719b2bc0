//! The savepoint example as its README has it, command by command, against an emulator; and restores that are refused.
//!
//! The rule: what the page says is what is run, and what comes out is compared row by row.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// An emulator that ends with the test.
struct Emulator {
    child: Child,
    address: String,
    /// what it says, read as long as it lives
    _says: Box<dyn Iterator<Item = String>>,
}

impl Emulator {
    fn start(streams: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.args(["emulator", "--listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0"]);
        streams.iter().for_each(|stream| {
            command.args(["--stream", stream]);
        });
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.next().unwrap();
        let address = line.split_whitespace().last().unwrap().to_owned();
        assert!(address.starts_with("http://127"), "{line}");
        lines.find(|line| line.starts_with("stream ")).unwrap();
        Self { child, address, _says: Box::new(lines) }
    }

    fn command(&self, folder: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
        command.args(words).current_dir(folder).env("AWS_ENDPOINT_URL_KINESIS", &self.address);
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &self.address);
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x").env("AWS_REGION", "us-east-1");
        command
    }

    fn pelton(&self, folder: &Path, words: &[&str]) -> Output {
        self.command(folder, words).output().unwrap()
    }

    fn good(&self, folder: &Path, words: &[&str]) -> String {
        let output = self.pelton(folder, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn bad(&self, folder: &Path, words: &[&str], code: i32) -> String {
        let output = self.pelton(folder, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        said(&output)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/savepoint")
}

fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    for file in ["job.yaml", "clone.yaml", "data/morning.jsonl", "data/afternoon.jsonl"] {
        std::fs::copy(example().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// The command lines of the page, in order, and what stands behind them.
fn commands() -> Vec<(Vec<String>, String)> {
    let page = std::fs::read_to_string(example().join("README.md")).unwrap();
    let (mut inside, mut found) = (false, Vec::new());
    for text in page.lines() {
        if text.starts_with("```") {
            inside = text == "```sh";
        } else if let (true, Some(text)) = (inside, text.strip_prefix("pelton ")) {
            let (words, note) = text.split_once('#').unwrap_or((text, ""));
            found.push((words.split_whitespace().map(str::to_owned).collect(), note.trim().to_owned()));
        }
    }
    found
}

/// Every file of results by name, without what hides.
fn files(folder: &Path) -> Vec<(String, Vec<String>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut all: Vec<(String, Vec<String>)> = entries
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), text.lines().map(str::to_owned).collect())
        })
        .collect();
    all.sort();
    all
}

fn rows(folder: &Path) -> String {
    files(folder).into_iter().flat_map(|(_, rows)| rows).map(|row| row + "\n").collect()
}

fn same(file: &str, found: &str) {
    let path = example().join("expected").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), found, "{}", path.display());
}

#[test]
fn the_savepoint_example_does_what_its_page_says() {
    let (folder, emulator) = (copy(), Emulator::start(&["tills:1"]));
    let folder = folder.path();
    let mut count = 0;
    for (words, note) in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["emulator", ..] => continue,
            _ if note.starts_with("refused") => {
                let said = emulator.bad(folder, &words, 74);
                assert!(
                    said.contains("sink results has shown partition all") && said.contains("--accept-repeats"),
                    "{said}"
                );
            }
            _ => {
                let said = emulator.good(folder, &words);
                assert!(words[1] != "verify" || said.contains("everything is whole"), "{said}");
            }
        }
        count += 1;
    }
    assert_eq!(count, 14, "the page has other commands");
    same("out.jsonl", &rows(&folder.join("out")));
    same("out-best.jsonl", &rows(&folder.join("out-best")));
    let all = files(&folder.join("out"));
    let again: Vec<_> = all.iter().filter(|(name, _)| name.contains(".again1-")).collect();
    assert_eq!((all.len(), again.len()), (3, 1), "{all:?}");
    assert_eq!(again[0].1, all[1].1, "the same rows again");
    assert!(emulator.good(folder, &["checkpoint", "list", "job.yaml", "--savepoints"]).contains("no savepoint"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let (folder, emulator) = (copy(), Emulator::start(&["tills:1"]));
    let folder = folder.path();
    let said = emulator.bad(folder, &["checkpoint", "list", "job.yaml"], 74);
    assert!(said.contains("is not there: the job has never run with it"), "{said}");
    emulator.good(folder, &["stream", "put", "tills", "data/morning.jsonl"]);
    emulator.good(folder, &["run", "job.yaml", "--until-caught-up"]);
    emulator.good(folder, &["checkpoint", "save", "job.yaml", "noon"]);
    let said = emulator.bad(folder, &["checkpoint", "save", "job.yaml", "noon"], 78);
    assert!(said.contains("has a savepoint `noon`"), "{said}");
    let said = emulator.bad(folder, &["checkpoint", "restore", "job.yaml", "night"], 78);
    assert!(said.contains("there are noon"), "{said}");
    let said = emulator.bad(folder, &["checkpoint", "show", "job.yaml", "--number", "99"], 78);
    assert!(said.contains("it keeps 1, 2"), "{said}");
    let said = emulator.bad(folder, &["leases", "list", "job.yaml"], 78);
    assert!(said.contains("has no `leases`"), "{said}");
    // a clone that would meet the first job
    let clone = std::fs::read_to_string(folder.join("clone.yaml")).unwrap();
    for (from, to, words) in [
        ("out-best", "out", "both jobs write to the folder"),
        ("job: best-sales", "job: sales", "both jobs are named"),
        ("stream: tills", "stream: others", "reads the stream others as `tills`"),
    ] {
        std::fs::write(folder.join("other.yaml"), clone.replace(from, to)).unwrap();
        let said = emulator.bad(folder, &["checkpoint", "clone", "job.yaml", "noon", "other.yaml"], 78);
        assert!(said.contains(words), "{said}");
    }
    let store = folder.join("store/sales/state/all");
    let block = std::fs::read_dir(store).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&block).unwrap();
    let said = emulator.bad(folder, &["checkpoint", "verify", "job.yaml"], 74);
    assert!(said.contains(&*block.file_name().unwrap().to_string_lossy()) && said.contains("names it"), "{said}");
    emulator.good(folder, &["checkpoint", "verify", "job.yaml", "--savepoint", "noon"]);
    // nothing was shown since, so nothing has to be accepted
    emulator.good(folder, &["checkpoint", "restore", "job.yaml", "noon"]);
    assert!(emulator.good(folder, &["checkpoint", "verify", "job.yaml"]).contains("everything is whole"));
    emulator.good(folder, &["run", "job.yaml", "--until-caught-up"]);
}

#[test]
fn a_local_state_can_be_looked_at_and_not_saved() {
    let (folder, emulator) = (copy(), Emulator::start(&["tills:1"]));
    let folder = folder.path();
    let job = std::fs::read_to_string(folder.join("job.yaml")).unwrap().replace(", store: store", "");
    std::fs::write(folder.join("job.yaml"), job).unwrap();
    let said = emulator.bad(folder, &["checkpoint", "list", "job.yaml"], 74);
    assert!(said.contains("there is no state in"), "{said}");
    emulator.good(folder, &["stream", "put", "tills", "data/morning.jsonl"]);
    emulator.good(folder, &["run", "job.yaml", "--until-caught-up"]);
    let listed: serde_json::Value =
        serde_json::from_str(&emulator.good(folder, &["checkpoint", "list", "job.yaml", "--format", "json"])).unwrap();
    assert_eq!(
        (listed["partitions"][0]["partition"].as_str(), &listed["totals"]["partitions"]),
        (Some("all"), &1.into())
    );
    assert!(emulator.good(folder, &["checkpoint", "show", "job.yaml"]).contains("watermark"));
    assert!(emulator.good(folder, &["checkpoint", "verify", "job.yaml"]).contains("everything is whole"));
    let said = emulator.bad(folder, &["checkpoint", "save", "job.yaml", "noon"], 78);
    assert!(said.contains("savepoints need `checkpoint: { store: ... }`"), "{said}");
}

/// A worker of a fleet, and what it says.
struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    fn start(emulator: &Emulator, folder: &Path, name: &str) -> Self {
        let log = folder.join(name);
        let mut command = emulator.command(folder, &["run", "job.yaml"]);
        let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Self { child, log }
    }

    /// The rest of the line that has these words.
    fn until_said(&mut self, words: &str) -> String {
        for _ in 0..600 {
            let log = std::fs::read_to_string(&self.log).unwrap();
            if let Some((_, rest)) = log.split_once(words)
                && let Some((rest, _)) = rest.split_once('\n')
            {
                return rest.trim().to_owned();
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {log}");
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        panic!("never said {words}: {}", std::fs::read_to_string(&self.log).unwrap());
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_lease_moves_between_workers_and_a_job_that_runs_is_not_set_back() {
    let (folder, emulator) = (copy(), Emulator::start(&["tills:1"]));
    let folder = folder.path();
    let job = std::fs::read_to_string(folder.join("job.yaml")).unwrap();
    let leases =
        format!("leases: {{ duration: 1s, dynamodb: {{ endpoint: \"{}\", region: us-east-1 }} }}\n", emulator.address);
    std::fs::write(folder.join("job.yaml"), job + &leases).unwrap();
    emulator.good(folder, &["stream", "put", "tills", "data/morning.jsonl"]);
    let mut first = Worker::start(&emulator, folder, "first.log");
    let one = first.until_said("this worker is called ");
    first.until_said("this worker runs it from now on");
    let mut second = Worker::start(&emulator, folder, "second.log");
    let two = second.until_said("this worker is called ");
    let list = || {
        let said = emulator.good(folder, &["leases", "list", "job.yaml", "--watch", "1", "--format", "json"]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["leases"][0].clone()
    };
    let row = list();
    assert_eq!(
        (row["lease"].as_str(), row["run_by"].as_str(), &row["renewed"]),
        (Some("job"), Some(&*one), &true.into())
    );
    let said = emulator.bad(folder, &["leases", "move", "job.yaml", "job", "--to", &two], 78);
    assert!(said.contains("was seen") && said.contains("--force"), "{said}");
    let said = emulator.good(folder, &["leases", "move", "job.yaml", "job", "--to", &two, "--force"]);
    assert_eq!(said, format!("job is run by {two} now; {one} handed it off\n"));
    assert_eq!(list()["run_by"].as_str(), Some(&*two));
    second.until_said("this worker runs it from now on");
    emulator.good(folder, &["checkpoint", "save", "job.yaml", "noon"]);
    let said = emulator.bad(folder, &["checkpoint", "restore", "job.yaml", "noon", "--accept-repeats"], 74);
    assert!(said.contains(&format!("the job runs: worker {two} renews the lease `job`")), "{said}");
    let said = emulator.bad(folder, &["leases", "reset", "job.yaml", "--to", "latest"], 74);
    assert!(said.contains("goes on from its manifest"), "{said}");
    first.stop();
    second.stop();
    emulator.good(folder, &["checkpoint", "restore", "job.yaml", "noon", "--accept-repeats"]);
    let mut third = Worker::start(&emulator, folder, "third.log");
    third.until_said("this worker runs it from now on");
    third.stop();
    assert!(emulator.good(folder, &["checkpoint", "verify", "job.yaml"]).contains("everything is whole"));
}
