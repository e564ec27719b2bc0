//! Python: `componentize-py` puts the program beside CPython.
//!
//! The rule: the tool is the project's (`.venv`) or that of the search path; the project says its world in `pyproject.toml`, under
//! `[tool.pelton]`, as `world = "transformer"`.
//! Left to others: what the SDK makes of the interface.

use std::path::Path;

use super::{
    Project,
    interface::{self, World},
    refuse,
    tool::Tool,
};
use crate::error::Result;

const TOOL: Tool = Tool {
    name: "componentize-py",
    is: "a tool that puts Python and its interpreter into one component",
    get: "pip install componentize-py==0.25.1",
};

/// Builds the module `app` in the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let world = match (project.world, stated(&project.folder)?) {
        (Some(world), _) | (None, Some(world)) => world,
        (None, None) => {
            return Err(refuse(
                "pyproject.toml does not say what the plugin is made for: write `world = \"transformer\"` under `[tool.pelton]`, or give --world".into(),
            ));
        }
    };
    let (wit, made) = (project.scratch.join("wit"), project.scratch.join("made.wasm"));
    interface::write(&wit)?;
    let mut command = TOOL.command_below(&project.folder, &[".venv/bin"]);
    command.arg("-d").arg(&wit).args(["-w", world.name(), "componentize", "--stub-wasi"]);
    // The SDK, where the project carries it.
    if project.folder.join("sdk/python").is_dir() {
        command.args(["-p", ".", "-p", "sdk/python"]);
    }
    TOOL.run(command.args(["app", "-o"]).arg(&made), project)?;
    std::fs::read(&made).map_err(|e| refuse(format!("cannot read `{}`: {e}", made.display())))
}

/// `world` of the table `tool.pelton`: one line of TOML, for which no parser is needed.
pub(super) fn stated(folder: &Path) -> Result<Option<World>> {
    let Ok(text) = std::fs::read_to_string(folder.join("pyproject.toml")) else { return Ok(None) };
    let table = text.lines().map(str::trim).skip_while(|line| *line != "[tool.pelton]").skip(1);
    let mut rows = table.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='));
    let Some((_, value)) = rows.find(|(key, _)| key.trim() == "world") else { return Ok(None) };
    let name = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    name.parse().map(Some).map_err(|what| refuse(format!("pyproject.toml: tool.pelton.world: {what}")))
}
