//! Rust: cargo makes a component by itself.
//!
//! The rule: the project's own profile and target folder are used, so that `cargo build` by hand gives the same file. A folder that makes
//! several components is none of them.
//! Left to others: encoding, which rustc's linker does.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Project, refuse, tool::Tool};
use crate::error::Result;

const CARGO: Tool = Tool {
    name: "cargo",
    is: "the build tool of Rust",
    get: "curl --proto '=https' -sSf https://sh.rustup.rs | sh && rustup target add wasm32-wasip2",
};

/// Where cargo puts a component, below the folder that it was started in.
const MADE: &str = "target/wasm32-wasip2/release";

/// Whether a component is one that cargo makes in this folder.
pub fn makes(folder: &Path, component: &Path) -> bool {
    component.parent().is_some_and(|made| made == folder.join(MADE))
}

/// Builds the package in the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let mut command = CARGO.command();
    command.args(["build", "--release", "--target", "wasm32-wasip2", "--message-format", "json-render-diagnostics"]);
    let said = CARGO.said(&mut command, project)?;
    let made = String::from_utf8_lossy(&said).lines().filter_map(component).collect();
    let file = one(made, project.component.as_deref())
        .map_err(|what| refuse(format!("`cargo build` made {what} in `{}`", project.folder.display())))?;
    std::fs::read(&file).map_err(|e| refuse(format!("cannot read `{}`: {e}", file.display())))
}

/// The component that is wanted, of those that were made; why there is none.
fn one(mut made: Vec<PathBuf>, wanted: Option<&Path>) -> std::result::Result<PathBuf, String> {
    made.sort();
    made.dedup();
    if let Some(wanted) = wanted.filter(|wanted| made.iter().any(|file| file == wanted)) {
        return Ok(wanted.to_owned());
    }
    match made.as_slice() {
        [] => Err("no component, as its manifest has no `crate-type = [\"cdylib\"]` under `[lib]`,".to_owned()),
        [file] => Ok(file.clone()),
        [first, .., last] => Err(format!(
            "{} components, such as {} and {}: build the folder of one package",
            made.len(),
            first.display(),
            last.display()
        )),
    }
}

/// The .wasm file that a message of cargo's names.
fn component(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_components_the_wanted_one_is_taken_and_none_where_it_is_not_there() {
        let made = || vec![PathBuf::from("/w/b.wasm"), PathBuf::from("/w/a.wasm"), PathBuf::from("/w/a.wasm")];
        assert_eq!(one(made(), Some(Path::new("/w/a.wasm"))), Ok("/w/a.wasm".into()));
        assert!(one(made(), Some(Path::new("/w/c.wasm"))).is_err_and(|what| what.contains("2 components")));
        assert!(one(made(), None).is_err() && one(Vec::new(), None).is_err());
        assert_eq!(one(vec!["/w/a.wasm".into()], Some(Path::new("/w/c.wasm"))), Ok("/w/a.wasm".into()));
    }
}
