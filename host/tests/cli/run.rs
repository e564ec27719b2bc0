//! `pelton run`: against an emulator of its own, ended by signals, with metrics.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use super::{bad, good, output, pelton, text};

fn results(folder: &Path) -> usize {
    let files = fs::read_dir(folder.join("out")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap().lines().count()).sum()
}

const RUN: &[&str] = &["run", "job.yaml", "--emulator", "--data", "clicks=data/clicks.jsonl"];

#[test]
fn a_new_job_passes_its_tests_and_runs_and_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "job", "clicks-per-ad"]);
    let folder = folder.path().join("clicks-per-ad");
    good(&folder, &["check", "job.yaml"]);
    assert!(good(&folder, &["test", "job.yaml"]).starts_with("ok "));
    let bounded: Vec<&str> = RUN.iter().copied().chain(["--until-caught-up"]).collect();
    let first = output(&folder, &bounded);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert!(text(&first.stderr).contains("60 records, "), "{}", text(&first.stderr));
    let rows = results(&folder);
    assert!(rows > 4, "{rows}");
    good(&folder, &[&bounded[..], &["--shards", "3"]].concat());
    assert_eq!(results(&folder), rows, "results do not depend on the number of shards");
    let aside = |name: &str| name.starts_with("before-");
    let own = fs::read_dir(folder.join("out/_pelton")).unwrap();
    let kept = own.filter(|entry| aside(&entry.as_ref().unwrap().file_name().to_string_lossy()));
    assert_eq!(kept.count(), 1, "what an earlier run made is kept");
}

#[test]
fn a_fresh_start_leaves_other_things_in_a_folder_of_results_alone() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "job", "j"]);
    let folder = folder.path().join("j");
    fs::create_dir(folder.join("out")).unwrap();
    fs::write(folder.join("out/notes.txt"), "mine").unwrap();
    for _ in 0..2 {
        good(&folder, &[RUN, &["--until-caught-up"]].concat());
    }
    assert_eq!(fs::read_to_string(folder.join("out/notes.txt")).unwrap(), "mine");
}

/// A running job and the address of its metrics.
struct Running {
    child: Child,
    address: String,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path) -> Running {
    start_with(folder, &["--metrics=127.0.0.1:0"], "metrics: http://")
}

/// Until it has said where it listens.
fn start_with(folder: &Path, more: &[&str], listens: &str) -> Running {
    let arguments = [RUN, more].concat();
    let mut child = pelton(folder, &arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut running = Running { child, address: String::new(), stderr };
    let mut said = String::new();
    while running.address.is_empty() {
        let mut line = String::new();
        assert!(running.stderr.read_line(&mut line).unwrap() > 0, "it ended: {said}");
        if let Some((_, rest)) = line.split_once(listens) {
            running.address = rest.split('/').next().unwrap().to_owned();
        }
        said.push_str(&line);
    }
    running
}

impl Running {
    /// Status and body.
    fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!("GET {path}"), "", "")
    }

    fn ask(&self, what: &str, header: &str, body: &str) -> (String, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            socket,
            "{what} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn wait_for(&mut self, path: &str, part: &str) {
        let mut tries = 0;
        while !{
            let (status, body) = self.get(path);
            (status + &body).contains(part)
        } {
            assert!(self.child.try_wait().unwrap().is_none(), "the job ended");
            tries += 1;
            assert!(tries < 600, "{path} never said {part}: {:?}", self.get(path));
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

#[test]
fn a_signal_ends_the_epoch_and_commits_and_metrics_say_what_happened() {
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        good(folder.path(), &["new", "job", "j"]);
        let folder = folder.path().join("j");
        let job = fs::read_to_string(folder.join("job.yaml")).unwrap().replace("every: 1s", "every: 1h");
        fs::write(folder.join("job.yaml"), job).unwrap();
        let mut running = start(&folder);
        running.wait_for("/readyz", "200 OK");
        assert!(running.get("/livez").0.contains("200"));
        running.wait_for("/metrics", "pelton_records_total{job=\"j\"} 60");
        assert!(running.get("/metrics").1.contains("pelton_epoch{job=\"j\"} 0"), "no epoch has ended yet");
        running.signal(signal);
        let status = running.child.wait().unwrap();
        let mut rest = String::new();
        running.stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(status.code(), Some(0), "{signal}: {rest}");
        assert!(rest.contains("60 records") && rest.contains("epoch 1"), "{signal}: {rest}");
    }
}

#[test]
fn metrics_refuse_other_machines_and_taken_ports_with_words() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "job", "j"]);
    let folder = folder.path().join("j");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("--metrics={}", taken.local_addr().unwrap());
    let said = bad(&folder, &["run", "job.yaml", "--emulator", "--until-caught-up", &at], 78);
    assert!(said.contains("cannot serve metrics on 127.0.0.1"), "{said}");
    let said = bad(&folder, &["run", "job.yaml", "--emulator", "--metrics=0.0.0.0:0"], 78);
    assert!(said.contains("not on this machine"), "{said}");
}

#[test]
fn control_is_had_before_the_job_runs_and_says_in_its_own_form_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["new", "job", "j"]);
    let folder = folder.path().join("j");
    fs::write(folder.join("token"), "0123456789abcdef\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let control = |at: &str| bad(&folder, &[RUN, &["--control", at, "--control-token", "token"]].concat(), 78);
    let said = control(&at);
    assert!(said.contains("cannot serve control on 127.0.0.1"), "{said}");
    assert!(control("0.0.0.0:0").contains("give --control-cert and --control-key"));
    assert!(!folder.join(".pelton/j").exists() && !folder.join("out").exists(), "nothing ran");

    let running = start_with(&folder, &["--control", "127.0.0.1:0", "--control-token", "token"], "control: http://");
    let token = "Authorization: Bearer 0123456789abcdef\r\n";
    let error = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body.trim()).unwrap_or_else(|e| panic!("{e}: {body}"));
        body["error"].as_str().unwrap().to_owned()
    };
    let (status, body) = running.ask("GET /v1/job", "", "");
    assert!(status.contains("401") && error(&body).contains("give the token"), "{status} {body}");
    assert!(running.ask("GET /v1/job", token, "").0.contains("200"));
    let (status, body) = running.ask("POST /v1/rollback?over=soon", token, "");
    assert!(status.contains("400") && !error(&body).is_empty(), "{status} {body}");
    let (status, body) = running.ask("GET /v1/other", token, "");
    assert!(status.contains("404") && error(&body).contains("404"), "{status} {body}");
}

#[tokio::test]
async fn control_beyond_this_machine_is_served_by_tls_and_asks_for_the_token() {
    let kept = tempfile::tempdir().unwrap();
    good(kept.path(), &["new", "job", "j"]);
    let folder = kept.path().join("j");
    fs::write(folder.join("token"), "0123456789abcdef\n").unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["worker.test".to_owned()]).unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    fs::write(folder.join("cert.pem"), &pem).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let control = ["--control", "0.0.0.0:0", "--control-token", "token", "--control-cert", "cert.pem"];
    let said = bad(&folder, &[RUN, &control, &["--control-key", "cert.pem"]].concat(), 78);
    assert!(said.contains("`cert.pem` cannot be used for TLS"), "{said}");

    let running = start_with(&folder, &[&control[..], &["--control-key", "key.pem"]].concat(), "control: https://");
    let port: u16 = running.address.rsplit(':').next().unwrap().parse().unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(pem.as_bytes()).unwrap()])
        .resolve("worker.test", ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let url = format!("https://worker.test:{port}/v1/job");
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let answer = client.get(&url).bearer_auth("0123456789abcdef").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["job"], "j");
}
