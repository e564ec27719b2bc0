//! Rust: cargo makes a component by itself.
//!
//! The rule: the project's own profile and target folder are used, so that `cargo build` by hand gives the same file.
//! Left to others: encoding, which rustc's linker does.

use std::process::Stdio;

use serde_json::Value;

use super::{Project, refuse, tool::Tool};
use crate::error::Result;

const CARGO: Tool = Tool {
    name: "cargo",
    is: "the build tool of Rust",
    get: "curl --proto '=https' -sSf https://sh.rustup.rs | sh && rustup target add wasm32-wasip2",
};

/// Builds the package in the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let arguments = ["build", "--release", "--target", "wasm32-wasip2"];
    CARGO.run(CARGO.command().args(arguments), &project.folder)?;
    // A second run does nothing but say where the file is.
    let mut asked = CARGO.command();
    asked.args(arguments).args(["--message-format", "json"]).current_dir(&project.folder).stderr(Stdio::null());
    let said = asked.output().map_err(|e| refuse(format!("cannot start `cargo`: {e}")))?;
    let found = String::from_utf8_lossy(&said.stdout).lines().filter_map(component).next_back();
    let file = found.ok_or_else(|| {
        refuse(format!(
            "`cargo build` made no component in `{}`: its manifest needs `crate-type = [\"cdylib\"]` under `[lib]`",
            project.folder.display()
        ))
    })?;
    std::fs::read(&file).map_err(|e| refuse(format!("cannot read `{file}`: {e}")))
}

/// The .wasm file that a message of cargo's names.
fn component(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(str::to_owned)
}
