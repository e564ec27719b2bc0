//! What an author does all day: a plugin is changed, watched into a running job, compared with what it was, and planned against what runs.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{bad, good, guest, pelton};

/// A project in C, which compiles at once; none where the machine cannot.
fn project(folder: &Path) -> Option<std::path::PathBuf> {
    let there = |program| Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success());
    if !(there("clang") && there("wasm-ld")) {
        eprintln!("left out: clang and wasm-ld are not installed");
        return None;
    }
    good(folder, &["new", "plugin", "sales", "--lang", "c"]);
    let project = folder.join("sales");
    good(&project, &["build"]);
    Some(project)
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// Ends with the test, whatever becomes of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, is: impl Fn() -> bool) {
    for _ in 0..600 {
        if is() {
            return;
        }
        // paces: the watcher
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not come to be");
}

#[test]
fn what_another_version_would_have_made_is_shown_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let Some(project) = project(folder.path()) else { return };
    fs::copy(project.join("sales.wasm"), folder.path().join("old.wasm")).unwrap();
    let replay = ["replay", "job.yaml", "--step", "sales", "--a", "../old.wasm", "--b", "sales.wasm"];
    let same = good(&project, &replay);
    assert!(same.contains("0 added, 0 removed, 0 changed"), "{same}");

    edit(&project.join("plugin.c"), "amount * 100 + 0.5", "amount * 1000 + 0.5");
    edit(&project.join("plugin.c"), "amount < 0)", "amount < 0.6)");
    good(&project, &["build"]);
    let differ = bad(&project, &replay, 1);
    assert!(differ.contains("  ~ ") && differ.contains("cents: "), "{differ}");
    assert!(differ.contains("\nrejected: ") && differ.contains("  + {"), "{differ}");
    let found = bad(&project, &[&replay[..], &["--format", "json", "--by", "ad", "--show", "1"]].concat(), 1);
    let found: serde_json::Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    assert_eq!(found["differ"], true);
    assert_eq!(found["outputs"][0]["output"], "sales");
    assert!(found["outputs"][0]["changed"].as_u64().unwrap() > 0 && found["b"]["records"] == found["a"]["records"]);

    assert!(bad(&project, &[&replay[..], &["--from", "yesterday"]].concat(), 2).contains("write a time as"));
    let other = ["replay", "job.yaml", "--step", "clicks", "--b", "sales.wasm"];
    assert!(bad(&project, &other, 78).contains("`clicks` is no step with a plugin"));
    let missing = [&replay[..6], &["--b", "gone.wasm"]].concat();
    assert!(bad(&project, &missing, 78).contains("cannot read `gone.wasm`"));
}

#[test]
fn a_change_of_the_source_is_built_and_swapped_in_and_what_is_wrong_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let Some(project) = project(folder.path()) else { return };
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
    let running = pelton(&project, &["run", "job.yaml", "--watch"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let _running = Running(running);
    wait_for("the watcher", || said().contains("is watched and built"));
    wait_for("the end of the source's first lines", || {
        let there = pelton(&project, &["plan", "job.yaml"]).output().unwrap();
        String::from_utf8_lossy(&there.stdout).contains("nothing differs")
    });

    edit(&project.join("plugin.c"), "amount * 100", "amount * 1000");
    wait_for("the swap", || said().contains("generation 2 runs: built"));
    edit(&project.join("plugin.c"), "double amount", "doubel amount");
    wait_for("the compiler's words", || said().contains("runs what it did"));
    edit(&project.join("plugin.c"), "doubel amount", "double amount");
    wait_for("the next build", || said().contains("nothing of the plugin has changed"));

    // other fields do not fit while the job runs; a plan says what does
    edit(&project.join("job.yaml"), "least: 0.5", "least: 0.7");
    let plan = good(&project, &["plan", "job.yaml"]);
    assert!(
        plan.contains("generation 2 runs") && plan.contains("restart  kind.transform.config.least: 0.5 -> 0.7"),
        "{plan}"
    );
    assert!(
        bad(&project, &["plan", "job.yaml", "--apply"], 78).contains("nothing is applied: `sales` needs a restart")
    );
}

#[test]
fn a_plan_is_applied_while_the_job_runs() {
    let folder = tempfile::tempdir().unwrap();
    let Some(project) = project(folder.path()) else { return };
    let running = pelton(&project, &["run", "job.yaml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _running = Running(running);
    let plan = |more: &[&str]| pelton(&project, &[&["plan", "job.yaml"], more].concat()).output().unwrap();
    wait_for("the job", || String::from_utf8_lossy(&plan(&[]).stdout).contains("nothing differs"));
    edit(&project.join("plugin.c"), "amount * 100", "amount * 1000");
    good(&project, &["build"]);
    let said = good(&project, &["plan", "job.yaml"]);
    assert!(said.contains("sales  swap     plugin: ") && said.contains("pelton plan --apply"), "{said}");
    assert!(good(&project, &["plan", "job.yaml", "--apply"]).contains("generation 2 runs"));
    assert!(good(&project, &["plan", "job.yaml"]).contains("generation 2 runs\nnothing differs"));
}

#[test]
fn a_build_that_hangs_ends_with_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let (bin, scratch, project) = (folder.path().join("bin"), folder.path().join("tmp"), folder.path().join("sales"));
    for folder in [&bin, &scratch, &project] {
        fs::create_dir(folder).unwrap();
    }
    let clang = bin.join("clang");
    fs::write(&clang, "#!/bin/sh\nsleep 600 &\necho $! > ../pid\nwait\n").unwrap();
    fs::set_permissions(&clang, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::copy(guest("hostile_plugin.wasm"), project.join("sales.wasm")).unwrap();
    fs::write(project.join("plugin.c"), "").unwrap();
    fs::write(project.join("in.jsonl"), "{\"text\":\"a\"}\n").unwrap();
    let job = "
pelton: v1
job: hangs
sources:
  in: { file: { path: in.jsonl }, format: { json: { fields: { text: text } } } }
steps:
  sales: { from: in, transform: { plugin: sales.wasm, config: { do: ok } } }
sinks:
  out: { from: sales, file: { path: out } }
";
    fs::write(project.join("job.yaml"), job).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = pelton(&project, &["run", "job.yaml", "--watch"]);
    command.env("PATH", path).env("TMPDIR", &scratch).stdout(Stdio::null()).stderr(log);
    let running = std::cell::RefCell::new(Running(command.spawn().unwrap()));
    wait_for("the watcher", || said().contains("is watched and built"));
    fs::write(project.join("plugin.c"), "int x;").unwrap();
    let pid = folder.path().join("pid");
    wait_for("the compiler", || fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    assert_eq!(scratch.read_dir().unwrap().count(), 1);
    let id = running.borrow().0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    wait_for("the end of the job", || running.borrow_mut().0.try_wait().unwrap().is_some_and(|ended| ended.success()));
    assert_eq!(scratch.read_dir().unwrap().count(), 0, "{}", said());
    let compiler = fs::read_to_string(pid).unwrap();
    wait_for("the end of the compiler", || {
        let state = fs::read_to_string(format!("/proc/{}/stat", compiler.trim()));
        !state.is_ok_and(|state| !state.contains(") Z "))
    });
}
