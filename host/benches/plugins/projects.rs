//! Plugins of the benchmark, made as a user makes them: a project of the template, a source of `sources/` in place of the template's,
//! `pelton build`.
//!
//! The rule: a language whose tools are not here is left out with words.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use pelton::clock::{Clock, SystemClock};

/// A plugin of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Project {
    /// in the table
    pub name: &'static str,
    language: &'static str,
    kind: &'static str,
    /// where the template has its source
    file: &'static str,
    source: &'static str,
}

const fn filter(name: &'static str, language: &'static str, file: &'static str, source: &'static str) -> Project {
    Project { name, language, kind: "transformer", file, source }
}

/// The filter over two fields, in every language.
pub const FILTERS: [Project; 7] = [
    filter("Rust", "rust", "src/lib.rs", include_str!("sources/filter.rs")),
    filter("C", "c", "plugin.c", include_str!("sources/filter.c")),
    filter("Go", "go", "main.go", include_str!("sources/filter.go")),
    filter("JavaScript, rows", "js", "src/plugin.js", include_str!("sources/filter.js")),
    filter("JavaScript, columns", "js", "src/plugin.js", include_str!("sources/filter_columns.js")),
    filter("Python, rows", "python", "app.py", include_str!("sources/filter.py")),
    filter("Python, columns", "python", "app.py", include_str!("sources/filter_columns.py")),
];

/// Two releases of a plugin that keeps 1,000 bytes a key, each with a schema of its own.
pub const KEPT: [Project; 2] = [
    Project {
        name: "kept-1",
        language: "c",
        kind: "stateful",
        file: "plugin.c",
        source: concat!("#define RELEASE 1\n", include_str!("sources/kept.c")),
    },
    Project {
        name: "kept-2",
        language: "c",
        kind: "stateful",
        file: "plugin.c",
        source: concat!("#define RELEASE 2\n", include_str!("sources/kept.c")),
    },
];

impl Project {
    /// Makes and builds it in this folder. The component, and how long `pelton build` took; none where its tools are missing.
    pub fn build(&self, folder: &Path) -> Result<Option<(PathBuf, Duration)>> {
        let word: String = self.name.to_lowercase().chars().filter(|letter| letter.is_ascii_alphanumeric()).collect();
        // a module of Go cannot be called `go`
        let name = format!("bench-{word}");
        if let Some(missing) = self.missing() {
            eprintln!("left out: {}: {missing}", self.name);
            return Ok(None);
        }
        pelton(folder, &["new", "plugin", &name, "--lang", self.language, "--kind", self.kind])?;
        let project = folder.join(&name);
        fs::write(project.join(self.file), self.source)?;
        self.bring_tools(&project)?;
        let clock = SystemClock::new();
        pelton(&project, &["build"])?;
        Ok(Some((component(&project)?, clock.elapsed())))
    }

    fn missing(&self) -> Option<String> {
        let programs: &[&str] = match self.language {
            "c" => &["clang", "wasm-ld"],
            "go" => &["go"],
            "js" | "python" => {
                return environment(self.language)
                    .is_none()
                    .then(|| "`cargo xtask sdks` has not made its tools".to_owned());
            }
            _ => &[],
        };
        let is_missing = |program: &&&str| Command::new(program).arg("version").output().is_err();
        programs.iter().find(is_missing).map(|program| format!("`{program}` is not installed"))
    }

    /// What `npm install` and `pip install` do, from what is installed already.
    fn bring_tools(&self, project: &Path) -> Result<()> {
        let Some(environment) = environment(self.language) else { return Ok(()) };
        if self.language == "python" {
            return Ok(symlink(environment, project.join(".venv"))?);
        }
        let modules = project.join("node_modules");
        fs::create_dir_all(modules.join("@pelton"))?;
        for entry in fs::read_dir(environment.join("node_modules"))? {
            let entry = entry?;
            symlink(entry.path(), modules.join(entry.file_name()))?;
        }
        Ok(symlink(project.join("sdk/javascript"), modules.join("@pelton/sdk"))?)
    }
}

fn environment(language: &str) -> Option<PathBuf> {
    let name = match language {
        "js" => "javascript",
        "python" => "python",
        _ => return None,
    };
    let folder = PathBuf::from(std::env::var_os("PELTON_SDKS")?).join(name);
    folder.is_dir().then_some(folder)
}

/// What `pelton build` has made.
fn component(project: &Path) -> Result<PathBuf> {
    let mut made = fs::read_dir(project)?.filter_map(|entry| Some(entry.ok()?.path()));
    let found = made.find(|path| path.extension().is_some_and(|is| is == "wasm"));
    found.with_context(|| format!("`pelton build` has left no component in {}", project.display()))
}

/// Runs `pelton` to its end and gives back what it printed.
pub fn pelton(folder: &Path, arguments: &[&str]) -> Result<String> {
    let done = Command::new(env!("CARGO_BIN_EXE_pelton")).args(arguments).current_dir(folder).output()?;
    if !done.status.success() {
        bail!(
            "pelton {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
