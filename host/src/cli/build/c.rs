//! C: clang makes a freestanding core module; no libc is needed.
//!
//! The rule: every `.c` file of the folder is compiled with the SDK's runtime; the SDK is the one beside the project (`sdk/c` there or above),
//! or else the one that this binary carries.
//! Left to others: the component's type, which is embedded by the exports (`encode`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Project, refuse,
    tool::{Tool, find_up},
};
use crate::{cli::new::sdk, error::Result};

const CLANG: Tool = Tool {
    name: "clang",
    is: "a C compiler that can make WebAssembly; it needs wasm-ld too",
    get: "apt-get install clang lld",
};

/// `-fno-builtin` keeps clang from turning the loop in `memcpy` into a call of `memcpy`; `--gc-sections` drops what is not used.
const FLAGS: &[&str] = &[
    "--target=wasm32-unknown-unknown",
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-mbulk-memory",
    "-ffreestanding",
    "-fno-builtin",
    "-ffunction-sections",
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--gc-sections",
    "-Wl,-z,stack-size=65536",
];

/// Builds all C files of the folder.
pub fn compile(project: &Project) -> Result<Vec<u8>> {
    let sdk = sdk_folder(project)?;
    let core = project.scratch.join("core.wasm");
    let mut command = CLANG.command();
    command.args(FLAGS).arg("-I").arg(&sdk).args(sources(&project.folder)?);
    command.args(sources(&sdk)?.iter().map(|name| sdk.join(name))).arg("-o").arg(&core);
    CLANG.run(&mut command, project)?;
    fs::read(&core).map_err(|e| refuse(format!("cannot read `{}`: {e}", core.display())))
}

fn sources(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|e| refuse(format!("cannot read `{}`: {e}", folder.display())))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut sources: Vec<String> = names.filter(|name| name.ends_with(".c")).collect();
    sources.sort();
    Ok(sources)
}

fn sdk_folder(project: &Project) -> Result<PathBuf> {
    if let Some(runtime) = find_up(&project.folder, &["sdk/c"], "rt.c") {
        return Ok(runtime.parent().map(Path::to_owned).unwrap_or_default());
    }
    let folder = &project.scratch;
    let failed = |e| refuse(format!("cannot write the SDK to `{}`: {e}", folder.display()));
    for (path, text) in sdk::sdk("c") {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder)).and_then(|()| fs::write(&path, text)).map_err(failed)?;
    }
    Ok(folder.join("sdk/c"))
}
