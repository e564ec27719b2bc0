//! JavaScript and TypeScript: `componentize-qjs` puts the program beside an interpreter.
//!
//! The rule: the tools are those of the project (`node_modules`); the project says its world in `package.json`, under
//! `"pelton": { "world": ... }`; where the project has esbuild, its modules are bundled and types dropped first.
//! Left to others: what the SDK makes of the interface.

use std::path::Path;

use serde_json::Value;

use super::{Project, interface, refuse, tool::Tool};
use crate::error::Result;

const QJS: Tool = Tool {
    name: "componentize-qjs",
    is: "a tool that puts JavaScript and an interpreter into one component",
    get: "npm install --save-dev componentize-qjs",
};
const ESBUILD: Tool = Tool {
    name: "esbuild",
    is: "a bundler, which joins the modules of a program and drops types",
    get: "npm install --save-dev esbuild",
};

/// Where npm puts programs.
const PROGRAMS: &[&str] = &["node_modules/.bin"];

/// The files that a program may begin with, where `package.json` has no `main`.
const BEGINNINGS: &[&str] =
    &["app.js", "app.ts", "plugin.js", "plugin.ts", "index.js", "index.ts", "src/app.ts", "src/index.ts"];

/// Builds the package in the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let manifest = manifest(&project.folder)?;
    let world = match (project.world, manifest.pointer("/pelton/world").and_then(Value::as_str)) {
        (Some(world), _) => world,
        (None, Some(name)) => name.parse().map_err(|what| refuse(format!("package.json: pelton.world: {what}")))?,
        (None, None) => {
            return Err(refuse(
                "package.json does not say what the plugin is made for: write `\"pelton\": { \"world\": \"transformer\" }` into it, or give --world".into(),
            ));
        }
    };
    let mut program = beginning(&project.folder, &manifest)?;
    let bundler = super::tool::find_up(&project.folder, PROGRAMS, ESBUILD.name);
    if bundler.is_some() || program.ends_with(".ts") {
        let bundle = project.scratch.join("bundle.js");
        let mut command = ESBUILD.command_below(&project.folder, PROGRAMS);
        command.arg(&program).args(["--bundle", "--format=esm", "--target=es2023", "--log-level=warning"]);
        command.args(["--external:pelton:*"]).arg(format!("--outfile={}", bundle.display()));
        ESBUILD.run(&mut command, project)?;
        program = bundle.display().to_string();
    }
    let (wit, made) = (project.scratch.join("wit"), project.scratch.join("made.wasm"));
    interface::write(&wit)?;
    let mut command = QJS.command_below(&project.folder, PROGRAMS);
    command
        .arg("--wit")
        .arg(&wit)
        .args(["--js", &program, "-n", world.name(), "--sync", "--stub-wasi", "-o"])
        .arg(&made);
    QJS.run(&mut command, project)?;
    std::fs::read(&made).map_err(|e| refuse(format!("cannot read `{}`: {e}", made.display())))
}

fn manifest(folder: &Path) -> Result<Value> {
    let path = folder.join("package.json");
    let failed = |what: String| refuse(format!("`{}`: {what}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| failed(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| failed(e.to_string()))
}

fn beginning(folder: &Path, manifest: &Value) -> Result<String> {
    if let Some(main) = manifest.get("main").and_then(Value::as_str) {
        return Ok(main.to_owned());
    }
    let found = BEGINNINGS.iter().find(|name| folder.join(name).is_file());
    let missing = || refuse(format!("package.json has no `main`, and there is none of {}", BEGINNINGS.join(", ")));
    found.map(|name| (*name).to_owned()).ok_or_else(missing)
}
