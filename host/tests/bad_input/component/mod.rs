//! Plugins that no SDK would make, written as text or made by a seed: whatever they are, the process lives, ends soon, holds little, and says
//! what was wrong in words.
//!
//! A case has `core.wat` (parts of a core module, see `core`), `plugin.wat` (a whole component), `made` (see `made`), or a file that its
//! `seed` made (`host/fuzz/src/smith.rs`). It is inspected, and where that goes well, run: by the job of its world, with four records,
//! or as many as `records` says.

mod core;
mod made;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pelton::clock::{Clock, SystemClock};

use super::{cases, expect};

/// Private memory of the process in KiB, whatever the plugin does: the compiler's, and what guests may hold.
const MOST_MEMORY: u32 = 1 << 20;

/// CPU seconds of the process.
const MOST_CPU: u32 = 60;

const HEAD: &str = r#"
pelton: v1
job: hostile
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { id: text, text: text, at: timestamp } } }, time: { field: at } }
"#;

/// The steps for a plugin of a world.
fn job(world: &str) -> String {
    let step = match world {
        "transformer" => "transform: { plugin: plugin.wasm }",
        "aggregator" => "key: id, window: { tumbling: 1m }, aggregate: { plugin: plugin.wasm }",
        _ => "key: id, transform: { plugin: plugin.wasm }",
    };
    format!("{HEAD}steps:\n  step: {{ from: in, {step} }}\nsinks:\n  out: {{ from: step, file: {{ path: out }} }}\n")
}

fn records(count: usize) -> String {
    let texts = ["a", "b", "a", "d"].iter().enumerate().take(count);
    texts
        .map(|(n, text)| format!("{{\"id\":\"{text}\",\"text\":\"{text}\",\"at\":\"2026-01-01T00:0{n}:00Z\"}}\n"))
        .collect()
}

/// One command and what it gave.
struct Ran {
    code: i32,
    said: String,
}

/// Runs the program within bounds; one that does not keep them is ended, and its case fails.
fn pelton(folder: &Path, arguments: &[&str]) -> Ran {
    let bounds = format!("ulimit -d {MOST_MEMORY}; ulimit -t {MOST_CPU}; exec \"$0\" \"$@\"");
    let said = folder.join("said");
    let out = File::create(&said).unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(bounds).arg(env!("CARGO_BIN_EXE_pelton")).args(arguments);
    command.current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache")).env("PELTON_LOG", "error");
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let status = wait_for(&mut command, arguments);
    Ran { code: status.code().unwrap_or(-1), said: String::from_utf8_lossy(&std::fs::read(said).unwrap()).into_owned() }
}

fn wait_for(command: &mut Command, what: &[&str]) -> ExitStatus {
    let mut child = command.spawn().unwrap();
    let clock = SystemClock::new();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if clock.elapsed() > Duration::from_secs(300) {
            child.kill().unwrap();
            panic!("{what:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes the plugin of a case at `plugin.wasm`, and says its world; words where it does not even become a component.
fn prepare(case: &Path, folder: &Path) -> Result<String, Ran> {
    let path = folder.join("plugin.wasm");
    let text = |name: &str| std::fs::read_to_string(case.join(name)).ok();
    let mut world = "transformer".to_owned();
    if let Ok(module) = std::fs::read(case.join("core.wasm")) {
        return build(folder, module).map(|()| world);
    }
    if let Ok(component) = std::fs::read(case.join("plugin.wasm")) {
        std::fs::write(path, component).unwrap();
        return Ok(world);
    }
    let made = match (text("core.wat"), text("plugin.wat"), text("made")) {
        (Some(parts), ..) => {
            core::world(&parts).clone_into(&mut world);
            made::Made::Core(parts)
        }
        (_, Some(component), _) => made::Made::Component(wat::parse_str(component).unwrap()),
        (_, _, Some(line)) => made::make(&line, &path),
        _ => panic!("{} has no plugin", case.display()),
    };
    match made {
        made::Made::Component(bytes) => std::fs::write(&path, bytes).unwrap(),
        made::Made::Core(parts) => {
            let module = core::module(&parts);
            let module = wat::parse_str(&module).unwrap_or_else(|bad| panic!("{}: {bad}", case.display()));
            build(folder, module)?;
        }
        made::Made::Nothing => {}
    }
    Ok(world)
}

/// A core module becomes a component.
fn build(folder: &Path, module: Vec<u8>) -> Result<(), Ran> {
    std::fs::write(folder.join("core.wasm"), module).unwrap();
    let built = pelton(folder, &["build", "core.wasm", "-o", "plugin.wasm", "--unchecked"]);
    if built.code == 0 { Ok(()) } else { Err(built) }
}

/// What was said that matters: errors, without what differs from run to run, and not too much of it.
fn words(ran: &Ran, folder: &Path) -> String {
    let here = folder.display().to_string();
    let mut found = String::new();
    for line in ran.said.lines().filter(|line| line.starts_with("pelton:") || line.starts_with("error")).take(3) {
        let line = without_time(&line.replace(&here, "HERE"));
        found.extend(line.chars().take(400));
        found += if line.chars().count() > 400 { "...\n" } else { "\n" };
    }
    found
}

fn without_time(line: &str) -> String {
    match (line.split_once("took "), line.split_once(" of CPU time")) {
        (Some((before, _)), Some((_, after))) => format!("{before}took TIME of CPU time{after}"),
        _ => line.to_owned(),
    }
}

/// Lines of the JSON files in a folder.
fn lines(folder: PathBuf) -> Vec<String> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "jsonl"));
    let mut lines: Vec<String> = files
        .flat_map(|file| std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines
}

/// Code and message of each dead letter, each once with how many there are.
fn dead_letters(folder: &Path) -> String {
    let mut letters: Vec<String> = lines(folder.join("state/dead-letters"))
        .iter()
        .map(|line| {
            let letter: serde_json::Value = serde_json::from_str(line).unwrap();
            let message = letter["message"].as_str().unwrap().lines().next().unwrap_or_default().to_owned();
            let short: String = message.chars().take(400).collect();
            format!("{}: {}", letter["code"].as_str().unwrap(), without_time(&short))
        })
        .collect();
    letters.sort();
    letters.chunk_by(|a, b| a == b).map(|same| format!("{} dead: {}\n", same.len(), same[0])).collect()
}

/// What a case gives: of `inspect`, and of a run.
fn found(case: &Path, folder: &Path) -> String {
    let world = match prepare(case, folder) {
        Ok(world) => world,
        Err(built) => {
            let built = checked(case, built);
            return format!("build: exit code {}\n{}", built.code, words(&built, folder));
        }
    };
    let inspected = checked(case, pelton(folder, &["plugin", "inspect", "plugin.wasm"]));
    let mut found = format!("inspect: exit code {}\n{}", inspected.code, words(&inspected, folder));
    if inspected.code != 0 {
        return found;
    }
    std::fs::write(folder.join("job.yaml"), job(&world)).unwrap();
    // what runs until its time is over does so for each record
    let count = std::fs::read_to_string(case.join("records")).map_or(4, |count| count.trim().parse().unwrap());
    std::fs::write(folder.join("in.jsonl"), records(count)).unwrap();
    let ran = checked(case, pelton(folder, &["run", "job.yaml", "--until-caught-up", "--state-dir", "state"]));
    found += &format!("run: exit code {}\n{}", ran.code, words(&ran, folder));
    lines(folder.join("out")).iter().take(10).for_each(|line| found += &format!("row: {line}\n"));
    found + &dead_letters(folder)
}

/// The process ended by itself, without a panic, and sent nothing to the terminal that steers it.
fn checked(case: &Path, ran: Ran) -> Ran {
    let Ran { code, said } = &ran;
    assert!([0, 1, 78].contains(code), "{}: exit code {code}: {said}", case.display());
    assert!(!said.contains("panicked at host"), "{}: {said}", case.display());
    let steers = |letter: char| letter.is_control() && letter != '\n';
    assert!(!said.contains(steers), "{}: {said:?}", case.display());
    assert!(said.len() < 4 << 20, "{}: {} bytes were said", case.display(), said.len());
    ran
}

#[test]
fn a_component_of_any_kind_is_contained() {
    let cases = cases("component");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    // Two at a time: the largest take most of a minute, and each has its own memory.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = case.file_name().unwrap().display().to_string();
                    let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir().unwrap();
                    if std::panic::catch_unwind(|| expect(case, &found(case, folder.path()))).is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "of {} plugins these do what they should not, see above: {failed:?}", cases.len());
}
