//! The SDKs of JavaScript and Python, as far as they need tools that a machine has not: an environment for each, in the target folder's `sdks`,
//! with the plugins of the conformance suite that it built.
//!
//! The rule: tools come from the language's own registry at the versions that the SDK names; a language whose interpreter a machine lacks is
//! left out with words. An SDK is tested by its own tests, and built, when something of it changed.
//! Left to others: Rust (`steps`), Go and C, which `pelton build` builds by itself (the host's tests).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{self, once, remove};

/// What makes a component of Python.
const COMPONENTIZE_PY: &str = "componentize-py==0.25.1";

/// The folder with an environment for each: `javascript/node_modules`, `python/bin`, and `plugins` in both.
pub fn build() -> Result<PathBuf, String> {
    let folder = run::target().join("sdks");
    const NEW: &str = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    if is_there("node", &["-e", NEW], "JavaScript") && is_there("npm", &["--version"], "JavaScript") {
        javascript(&folder.join("javascript"))?;
    }
    if is_there("python3", &["-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"], "Python") {
        python(&folder.join("python"))?;
    }
    Ok(folder)
}

fn is_there(program: &str, arguments: &[&str], language: &str) -> bool {
    let works = run::works(program, arguments);
    if !works {
        println!("xtask: `{program}` is missing here or too old: the SDK of {language} is left out");
    }
    works
}

/// The SDK stands in the environment, because its modules look for each other upwards.
fn javascript(folder: &Path) -> Result<(), String> {
    let sources = sources("javascript")?;
    once(folder, &stamp(&sources), || {
        for part in ["src", "tests", "template", "types", "testing", "bin", "conformance", "plugins"] {
            remove(&folder.join(part))?;
        }
        copy(&sources, "javascript", folder)?;
        show("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error"], folder)?;
        show("npm", &["test", "--silent"], folder)?;
        let wit = run::root().join("wit").display().to_string();
        show("npm", &["run", "--silent", "conformance", "--", "plugins", "--wit", &wit], folder)
    })
}

fn python(folder: &Path) -> Result<(), String> {
    let sources = sources("python")?;
    once(folder, &format!("{COMPONENTIZE_PY}{}", stamp(&sources)), || {
        show("python3", &["-m", "venv", &folder.display().to_string()], &run::root())?;
        let python = folder.join("bin/python3").display().to_string();
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", COMPONENTIZE_PY];
        show(&python, &install, folder)?;
        let sdk = run::root().join("sdk/python");
        show(&python, &["-B", "-m", "unittest", "discover", "-s", "tests"], &sdk)?;
        let plugins = folder.join("plugins").display().to_string();
        show(&python, &["-B", "-m", "pelton_sdk", "conformance", &plugins], &sdk)
    })
}

fn show(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    run::show(command)
}

/// A file of the repository, and what is in it.
type Source = (PathBuf, Vec<u8>);

/// The files of an SDK and of the interface.
fn sources(language: &str) -> Result<Vec<Source>, String> {
    let mut found = Vec::new();
    for folder in ["wit".to_owned(), format!("sdk/{language}")] {
        walk(&run::root().join(folder), &mut found).map_err(|e| format!("cannot read the SDK of {language}: {e}"))?;
    }
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<Source>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match path.is_dir() {
            true if ["node_modules", "__pycache__", ".venv"].contains(&&*name) || name.starts_with(".templates") => {}
            true => walk(&path, found)?,
            false => found.push((path.clone(), fs::read(&path)?)),
        }
    }
    Ok(())
}

/// A text that is another when a file is.
fn stamp(sources: &[Source]) -> String {
    let line = |(path, text): &Source| format!("{} {:016x}\n", path.display(), hash(text));
    sources.iter().map(line).collect()
}

/// FNV-1a, of 64 bits.
fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn copy(sources: &[Source], language: &str, folder: &Path) -> Result<(), String> {
    let root = run::root().join("sdk").join(language);
    for (path, text) in sources {
        let Ok(path) = path.strip_prefix(&root) else { continue };
        let to = folder.join(path);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|e| format!("cannot make {}: {e}", parent.display()))?;
        fs::write(&to, text).map_err(|e| format!("cannot write {}: {e}", to.display()))?;
    }
    Ok(())
}
