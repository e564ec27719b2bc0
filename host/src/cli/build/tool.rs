//! Running the compilers of others.
//!
//! The rule: a tool that is not there is explained: what it is and the one command that brings it; a tool that fails speaks for itself,
//! and is named; one that is on a [`Leash`] ends, with everything that it started, when whoever wanted it wants it no longer.
//! Left to others: which tool, with what arguments.

use std::{
    ffi::OsStr,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Project, refuse};
use crate::error::Result;

/// A tool: its name, what it is, and how it is had.
pub struct Tool {
    pub name: &'static str,
    pub is: &'static str,
    pub get: &'static str,
}

impl Tool {
    /// The tool as the search path finds it.
    pub fn command(&self) -> Command {
        Command::new(self.name)
    }

    /// The tool as the project has it below one of these folders, or else as the search path finds it.
    pub fn command_below(&self, project: &Path, folders: &[&str]) -> Command {
        match find_up(project, folders, self.name) {
            Some(path) => Command::new(path),
            None => self.command(),
        }
    }

    /// Runs it in the project's folder to its end.
    pub fn run(&self, command: &mut Command, project: &Project) -> Result<()> {
        // What it prints is for the user; results of ours alone go to standard output.
        self.finish(command.stdout(io::stderr()), project).map(drop)
    }

    /// Runs it in the project's folder to its end: what it has written to its standard output.
    pub fn said(&self, command: &mut Command, project: &Project) -> Result<Vec<u8>> {
        self.finish(command.stdout(Stdio::piped()), project)
    }

    fn finish(&self, command: &mut Command, project: &Project) -> Result<Vec<u8>> {
        let folder = project.folder.display();
        let done = start(command.current_dir(&project.folder), project.leash.as_ref()).and_then(|child| {
            let done = child.wait_with_output();
            project.leash.iter().for_each(Leash::let_go);
            done
        });
        match done {
            Ok(done) if done.status.success() => Ok(done.stdout),
            Ok(done) => Err(refuse(format!("`{}` failed in `{folder}`: {}", shown(command), done.status))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(refuse(format!("`{}` is not installed: it is {}; get it with `{}`", self.name, self.is, self.get)))
            }
            Err(e) => Err(refuse(format!("cannot start `{}`: {e}", shown(command)))),
        }
    }
}

fn start(command: &mut Command, leash: Option<&Leash>) -> io::Result<Child> {
    let Some(leash) = leash else { return command.spawn() };
    let mut held = leash.held();
    if held.ended {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the job ends"));
    }
    let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
    held.group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    Ok(child)
}

/// What the tools of builds are held by, one at a time, so that none outlives whoever wanted it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Leash(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// the tool that runs, and what it started
    group: Option<Pid>,
    ended: bool,
}

impl Leash {
    /// Ends the tool that runs.
    pub fn pull(&self) {
        if let Some(group) = self.held().group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Ends the tool that runs, and lets none begin after it.
    pub fn end(&self) {
        self.held().ended = true;
        self.pull();
    }

    fn let_go(&self) {
        self.held().group = None;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(command: &Command) -> String {
    let words: Vec<_> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    words.join(" ")
}

/// The file in one of the folders below the project or below what holds it.
pub fn find_up(project: &Path, folders: &[&str], file: &str) -> Option<PathBuf> {
    let whole = std::fs::canonicalize(project).ok()?;
    let below = |folder: &Path| folders.iter().map(|name| folder.join(name).join(file)).find(|path| path.is_file());
    whole.ancestors().find_map(below)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    fn wait_until(is: impl Fn() -> bool) {
        for _ in 0..6000 {
            if is() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_tool_on_a_leash_ends_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let leash = Leash::default();
        let project = Project {
            folder: folder.path().to_owned(),
            scratch: folder.path().to_owned(),
            world: None,
            component: None,
            leash: Some(leash.clone()),
        };
        let shell = Tool { name: "sh", is: "", get: "" };
        let hangs = || shell.run(shell.command().args(["-c", "sleep 600 & echo $! > pid; wait"]), &project);
        let said = std::thread::scope(|scope| {
            let waiting = scope.spawn(hangs);
            wait_until(|| folder.path().join("pid").metadata().is_ok_and(|about| about.len() > 0));
            leash.pull();
            waiting.join().unwrap().unwrap_err().to_string()
        });
        assert!(said.contains("signal: 9"), "{said}");
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let alive = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            state.is_ok_and(|state| !state.contains(") Z "))
        };
        wait_until(|| !alive());
        assert!(!alive());
        leash.end();
        assert!(hangs().unwrap_err().to_string().contains("the job ends"));
    }
}
