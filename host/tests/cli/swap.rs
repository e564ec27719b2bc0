//! `pelton swap` and `pelton rollback`, against a job that runs: nothing is lost or repeated, and what was deployed runs after a restart.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use pelton::checkpoint::kill::SWAP_POINTS;

use super::{bad, good, output, pelton};
use crate::service::{Service, service};

const JOB: &str = "
pelton: v1
job: swapped
sources:
  clicks:
    kinesis: { stream: clicks, start: trim_horizon }
    format: { json: { fields: { op: text, name: text } } }
steps:
  copy:
    from: clicks
    transform: { plugin: plugin.wasm }
sinks:
  out: { from: copy, file: { path: out, roll: { every: 100ms } } }
checkpoint: { every: 200ms }
";

fn guests() -> PathBuf {
    PathBuf::from(std::env::var_os("PELTON_GUESTS").expect("the plugins are built by `cargo xtask test`"))
}

/// The same component with a note in it: another digest, the same behaviour.
fn noted(component: &[u8], note: &str) -> Vec<u8> {
    let mut noted = component.to_vec();
    let length = u8::try_from(note.len()).unwrap();
    noted.extend([0, length + 1, length]);
    noted.extend(note.bytes());
    noted
}

/// A folder with the job, its plugin, and two others that do the same.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugin = fs::read(guests().join("conformance/rust/transformer.wasm")).unwrap();
    fs::write(folder.path().join("job.yaml"), JOB).unwrap();
    fs::write(folder.path().join("plugin.wasm"), &plugin).unwrap();
    fs::write(folder.path().join("second.wasm"), noted(&plugin, "second")).unwrap();
    fs::write(folder.path().join("third.wasm"), noted(&plugin, "third")).unwrap();
    folder
}

/// A running job.
pub(super) struct Running(Child);

impl Running {
    fn start(folder: &Path, endpoint: &str) -> Self {
        Self::start_with(folder, &["run", "job.yaml", "--endpoint", endpoint])
    }

    pub(super) fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        Self(pelton(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    pub(super) fn of(child: Child) -> Self {
        Self(child)
    }

    pub(super) fn end(mut self) {
        let id = i32::try_from(self.0.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn put(service: &Service, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let record = format!(r#"{{"op":"copy","name":"{number}"}}"#);
        let put = service.client.put_record().stream_name("clicks").partition_key(number.to_string());
        put.data(record.into_bytes().into()).send().await.unwrap();
    }
}

fn names(folder: &Path) -> Vec<u32> {
    let Ok(files) = fs::read_dir(folder.join("out")) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let texts: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let name = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["name"].as_str().unwrap().parse().unwrap()
    };
    let mut names: Vec<u32> = texts.lines().map(name).collect();
    names.sort_unstable();
    names
}

pub(super) async fn wait_for(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        pelton::clock::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not come to be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_swapped_while_records_come_and_stays_after_a_restart() {
    let service = service(Duration::from_secs(300), false, 2).await;
    let endpoint = format!("http://{}", service.emulator.addr());
    let kept = prepared();
    let folder = kept.path();
    let socket = folder.join(".pelton/swapped/control.sock");
    assert!(bad(folder, &["swap", "job.yaml", "copy", "second.wasm"], 69).contains("no job runs"));

    let running = Running::start(folder, &endpoint);
    put(&service, 0..100).await;
    wait_for("the socket", || socket.exists()).await;
    wait_for("the first rows", || !names(folder).is_empty()).await;
    let checked = good(folder, &["swap", "job.yaml", "copy", "second.wasm", "--check"]);
    assert!(checked.contains("it fits: it would run as generation 2"), "{checked}");
    let said = good(folder, &["swap", "job.yaml", "copy", "second.wasm"]);
    assert!(said.contains("generation 2 runs") && said.contains("stood still for"), "{said}");
    // asked for again, as a pipeline does that was cut off: the way back still leads to what was before
    assert!(good(folder, &["swap", "job.yaml", "copy", "second.wasm"]).contains("generation 2 runs"));
    put(&service, 100..200).await;
    // the file of the job may be written over: what runs is kept by its digest
    fs::copy(folder.join("third.wasm"), folder.join("plugin.wasm")).unwrap();
    assert!(good(folder, &["swap", "job.yaml", "copy", "plugin.wasm"]).contains("generation 3 runs"));
    put(&service, 200..300).await;
    assert!(good(folder, &["rollback", "job.yaml"]).contains("generation 4 runs"));
    assert!(bad(folder, &["rollback", "job.yaml"], 78).contains("nothing to go back to"));

    let aggregator = guests().join("conformance/rust/aggregator.wasm");
    let refused = bad(folder, &["swap", "job.yaml", "copy", aggregator.to_str().unwrap()], 78);
    assert!(refused.contains("is of the world aggregator, and what runs is of transformer"), "{refused}");
    let refused = bad(folder, &["swap", "job.yaml", "clicks", "second.wasm"], 78);
    assert!(refused.contains("`clicks` is no step with a plugin: the job has the steps copy"), "{refused}");
    fs::write(folder.join("text.wasm"), "no component").unwrap();
    let refused = bad(folder, &["swap", "job.yaml", "copy", "text.wasm"], 78);
    assert!(refused.contains("is not WebAssembly"), "{refused}");
    wait_for("every row", || names(folder).len() >= 300).await;
    running.end();
    assert_eq!(names(folder), (0..300).collect::<Vec<_>>());

    // what was deployed runs on, whether the file is what it was or what was swapped in meanwhile
    fs::copy(guests().join("conformance/rust/transformer.wasm"), folder.join("plugin.wasm")).unwrap();
    let running = Running::start(folder, &endpoint);
    put(&service, 300..310).await;
    wait_for("the rows after the restart", || names(folder).len() >= 310).await;
    let said = good(folder, &["swap", "job.yaml", "copy", "third.wasm", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["changed"]["generation"], 5);
    running.end();
    assert_eq!(names(folder), (0..310).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_runs_what_ran_and_not_what_lies_in_its_file_now() {
    let service = service(Duration::from_secs(300), false, 1).await;
    let endpoint = format!("http://{}", service.emulator.addr());
    let kept = prepared();
    let folder = kept.path();
    let state = ["--state-dir", ".pelton/swapped"];
    let running = Running::start(folder, &endpoint);
    put(&service, 0..10).await;
    wait_for("the first rows", || names(folder).len() >= 10).await;
    // a build has written over the file of the job, with what could not run
    fs::write(folder.join("plugin.wasm"), "half of a component").unwrap();
    let swap = ["swap", "job.yaml", "copy", "second.wasm"];
    assert!(good(folder, &[&swap[..], &state[..]].concat()).contains("generation 2 runs"));
    put(&service, 10..20).await;
    wait_for("the rows of the second", || names(folder).len() >= 20).await;
    assert!(good(folder, &[&["rollback", "job.yaml"][..], &state[..]].concat()).contains("generation 3 runs"));
    put(&service, 20..30).await;
    wait_for("the rows of what was before", || names(folder).len() >= 30).await;
    running.end();
    assert_eq!(names(folder), (0..30).collect::<Vec<_>>());

    // another setting is accepted, and what was swapped in stays
    fs::copy(guests().join("conformance/rust/transformer.wasm"), folder.join("plugin.wasm")).unwrap();
    let running = Running::start(folder, &endpoint);
    wait_for("the socket", || folder.join(".pelton/swapped/control.sock").exists()).await;
    assert!(good(folder, &swap).contains("generation 4 runs"));
    running.end();
    fs::write(folder.join("job.yaml"), JOB.replace("every: 200ms", "every: 300ms")).unwrap();
    let mut command = pelton(folder, &["run", "job.yaml", "--endpoint", &endpoint, "--accept-change"]);
    let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    put(&service, 30..40).await;
    wait_for("the rows after the change", || names(folder).len() >= 40).await;
    let said = good(folder, &[&swap[..], &["--format", "json"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["changed"]["generation"], 5, "it runs already: {said}");
    running.end();
    assert_eq!(names(folder), (0..40).collect::<Vec<_>>());
}

/// Runs a command while a record comes every few milliseconds, from this number on. What it said, and the number after the last.
async fn during<T: Send + 'static>(
    service: &Service,
    mut number: u32,
    command: impl FnOnce() -> T + Send + 'static,
) -> (T, u32) {
    let command = pelton::task::blocking(command);
    let mut command = std::pin::pin!(command);
    loop {
        tokio::select! {
            done = &mut command => return (done, number),
            // paces: the stream
            () = pelton::clock::sleep(Duration::from_millis(20)) => {
                put(service, number..number + 1).await;
                number += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_commits_nothing_before_its_verdict_and_is_taken_back_by_its_guards() {
    let service = service(Duration::from_secs(300), false, 2).await;
    let endpoint = format!("http://{}", service.emulator.addr());
    let kept = prepared();
    let folder = kept.path().to_owned();
    let running = Running::start(&folder, &endpoint);
    put(&service, 0..20).await;
    wait_for("the first rows", || !names(&folder).is_empty()).await;

    let swap = ["swap", "job.yaml", "copy", "second.wasm", "--canary"];
    let less = bad(&folder, &[&swap[..], &["10%"]].concat(), 78);
    assert!(less.contains("10% of 2 partitions is less than one: a canary needs at least 50% here"), "{less}");
    let guard = bad(&folder, &[&swap[..], &["50%", "--guard", "assert=size > 1"]].concat(), 78);
    assert!(guard.contains("the guard assert=size > 1") && guard.contains("size"), "{guard}");
    let guard = bad(&folder, &[&swap[..], &["50%", "--guard", "speed=1"]].concat(), 2);
    assert!(guard.contains("a guard is rejects=1%"), "{guard}");

    let at = folder.clone();
    let tried = move || {
        let guards =
            ["50%", "--for", "1s", "--guard", "rejects=1%", "--guard", "p99=5s", "--guard", "output=50%..200%"];
        good(&at, &[&["swap", "job.yaml", "copy", "second.wasm", "--canary"], &guards[..]].concat())
    };
    let (said, number) = during(&service, 20, tried).await;
    assert!(said.contains("generation 3 runs"), "{said}");

    // every partition makes rows that the guard forbids; none of what the canary made of them is ever seen
    let at = folder.clone();
    let tried = move || {
        let guards = ["100%", "--for", "30s", "--guard", "assert=name NOT LIKE '%7'"];
        bad(&at, &[&["swap", "job.yaml", "copy", "third.wasm", "--canary"], &guards[..]].concat(), 1)
    };
    let (said, number) = during(&service, number, tried).await;
    assert!(
        said.contains("generation 4 was taken back") && said.contains("generation 5 runs what was before"),
        "{said}"
    );
    wait_for("every row", || names(&folder).len() >= number as usize).await;
    running.end();
    assert_eq!(names(&folder), (0..number).collect::<Vec<_>>());
}

/// So many in CI; `cargo xtask chaos --swap-kills N` does more.
fn kills() -> usize {
    std::env::var("PELTON_SWAP_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

/// Swaps in a component that nobody has compiled, and kills the worker a little after it has begun to. Whether it was in time.
fn kill_while_it_compiles(folder: &Path, worker: u32, round: usize) -> bool {
    let plugin = fs::read(folder.join("plugin.wasm")).unwrap();
    fs::write(folder.join("fresh.wasm"), noted(&plugin, &format!("round {round}"))).unwrap();
    let mut swap = pelton(folder, &["swap", "job.yaml", "copy", "fresh.wasm"]);
    let mut swap = swap.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while swap.try_wait().unwrap().is_none() {
        if has_a_child(worker) {
            // paces: another place of the compilation each time
            std::thread::sleep(Duration::from_millis(round as u64 % 7 * 6));
            let was_in_time = has_a_child(worker);
            let worker = rustix::process::Pid::from_raw(i32::try_from(worker).unwrap()).unwrap();
            rustix::process::kill_process(worker, rustix::process::Signal::KILL).unwrap();
            swap.wait().unwrap();
            return was_in_time;
        }
        // paces: looking
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Whether a process has a child: in a worker, what compiles.
fn has_a_child(parent: u32) -> bool {
    let parent = parent.to_string();
    let stat = |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.ok()?.path().join("stat")).ok();
    let is_child = |stat: String| {
        let after_name = stat.rsplit(')').next().unwrap_or_default().to_owned();
        let mut fields = after_name.split_whitespace();
        fields.next() != Some("Z") && fields.next() == Some(&parent)
    };
    fs::read_dir("/proc").unwrap().filter_map(stat).any(is_child)
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos_of_swaps_kills_at_every_place_lose_and_repeat_nothing() {
    let service = service(Duration::from_secs(36_000), false, 2).await;
    let endpoint = format!("http://{}", service.emulator.addr());
    let kept = prepared();
    let folder = kept.path().to_owned();
    let socket = folder.join(".pelton/swapped/control.sock");
    let (mut number, mut compiling) = (0, 0);
    for round in 0..kills() {
        let mut command = pelton(&folder, &["run", "job.yaml", "--endpoint", &endpoint]);
        // the last is no place of the host's: while a child of it compiles
        let place = SWAP_POINTS.get(round % (SWAP_POINTS.len() + 1));
        if let Some(place) = place {
            command.env("PELTON_KILL_AT", format!("{place}:{}", 1 + round / SWAP_POINTS.len() % 3));
        }
        let said = folder.join("said");
        let mut running =
            Running(command.stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap()).spawn().unwrap());
        let mut turn = 0;
        loop {
            if let Some(status) = running.0.try_wait().unwrap() {
                let said = fs::read_to_string(&said).unwrap();
                assert_eq!(status.signal(), Some(9), "round {round}, {place:?}: it ended with {status}: {said}");
                break;
            }
            turn += 1;
            assert!(turn < 1000, "round {round}: it did not die at {place:?}");
            let (at, worker) = (folder.clone(), running.0.id());
            if place.is_none() {
                wait_for("the socket, or its end", || control_answers(&socket) || !runs(worker)).await;
                let kill = move || kill_while_it_compiles(&at, worker, 1000 * round + turn);
                let was_in_time;
                (was_in_time, number) = during(&service, number, kill).await;
                compiling += usize::from(was_in_time);
                continue;
            }
            let (second, canary) = ((round + turn) % 2 == 0, turn % 3 == 2);
            // what the command is told depends on when the worker dies
            let swap = move || {
                let plugin = if second { "second.wasm" } else { "third.wasm" };
                let mut arguments = vec!["swap", "job.yaml", "copy", plugin];
                arguments.extend(["--canary", "50%", "--for", "200ms"].into_iter().filter(|_| canary));
                output(&at, &arguments);
            };
            ((), number) = during(&service, number, swap).await;
        }
    }
    let running = Running::start(&folder, &endpoint);
    wait_for("every row", || names(&folder).len() >= number as usize).await;
    running.end();
    assert_eq!(names(&folder), (0..number).collect::<Vec<_>>());
    assert!(compiling > 0 || kills() < 50, "no worker died while it compiled");
    println!("{} kills at the places of swaps, {compiling} of them while compiling, {number} records: exact", kills());
}

/// Whether a process has not ended.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
}

/// Whether somebody listens there: the socket of a worker that was killed is still a file.
fn control_answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}
