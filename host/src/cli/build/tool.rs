//! Running the compilers of others.
//!
//! The rule: a tool that is not there is explained: what it is and the one command that brings it; a tool that fails speaks for itself,
//! and is named.
//! Left to others: which tool, with what arguments.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::refuse;
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

    /// Runs it in a folder to its end.
    pub fn run(&self, command: &mut Command, folder: &Path) -> Result<()> {
        // What it prints is for the user; results of ours alone go to standard output.
        let done = command.current_dir(folder).stdout(io::stderr()).status();
        match done {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(refuse(format!("`{}` failed in `{}`: {status}", shown(command), folder.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(refuse(format!("`{}` is not installed: it is {}; get it with `{}`", self.name, self.is, self.get)))
            }
            Err(e) => Err(refuse(format!("cannot start `{}`: {e}", shown(command)))),
        }
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
