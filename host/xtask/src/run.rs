//! Runs a command, says which, and turns a failure into words; makes folders that need be made once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The project's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("xtask is built inside the project")
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A cargo command in the project's folder.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told this program about itself: build scripts that look at it would run again, and half of everything be compiled anew
    // whenever somebody calls cargo himself in between.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command that shows its own output.
pub fn show(mut command: Command) -> Result<(), String> {
    let words = words(&command);
    // What a command prints on its output may be for a program.
    eprintln!("xtask: {words}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{words}` failed: {status}")),
        Err(e) => Err(format!("`{words}` cannot be started: {e}")),
    }
}

/// Whether a command runs and succeeds, in silence.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// What a command prints.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes a folder unless it was made from the same.
pub fn once(folder: &Path, of: &str, make: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let made = folder.join("made-of");
    if fs::read_to_string(&made).is_ok_and(|text| text == of) {
        return Ok(());
    }
    make()?;
    write(&made, of)
}

/// Takes a folder away, if it is there.
pub fn remove(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
    }
    Ok(())
}

/// Writes a file.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn words(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    command.get_args().fold(name, |words, argument| format!("{words} {}", argument.to_string_lossy()))
}
