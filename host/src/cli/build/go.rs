//! Go: the stock compiler makes a core module for WASI preview 1.
//!
//! The rule: nothing but the standard toolchain; the module's exports come from the SDK and name the world.
//! Left to others: the stand-in for what the runtime imports (`adapter`).

use super::{Project, refuse, tool::Tool};
use crate::error::Result;

const GO: Tool = Tool {
    name: "go",
    is: "the toolchain of Go, 1.24 or later",
    get: "apt-get install golang-go, or see https://go.dev/doc/install",
};

/// Builds the main package in the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let core = project.scratch.join("core.wasm");
    let mut command = GO.command();
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&core).arg(".");
    command.env("GOOS", "wasip1").env("GOARCH", "wasm").env("CGO_ENABLED", "0");
    GO.run(&mut command, project)?;
    std::fs::read(&core).map_err(|e| refuse(format!("cannot read `{}`: {e}", core.display())))
}
