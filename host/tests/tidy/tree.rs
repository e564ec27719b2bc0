//! The files of the repository as text, without what git ignores.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::rust;

/// Folders that are nobody's source.
const SKIPPED: &[&str] = &[".git", "target", ".cache", ".pelton", "node_modules", ".venv", "__pycache__"];
/// What holds text that people wrote.
const TEXT: &[&str] =
    &["rs", "toml", "md", "wit", "yaml", "yml", "sh", "py", "json", "avsc", "txt", "html", "js", "css", "lock"];
/// Larger files are data.
const MOST: u64 = 1 << 20;

/// A file.
pub struct File {
    /// below the repository, with `/`
    pub path: String,
    /// as it is
    pub text: String,
    /// Rust without comments and literals, of the same shape; empty for other files
    pub code: String,
}

/// The repository.
pub struct Tree {
    /// its folder
    pub root: PathBuf,
    /// names in that folder
    pub top: Vec<String>,
    /// every file of text, sorted
    pub files: Vec<File>,
    /// every other file too
    pub paths: Vec<String>,
}

impl Tree {
    /// Reads everything.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
        let mut paths = Vec::new();
        walk(&root, &root, &mut paths);
        paths.sort();
        let mut top: Vec<String> =
            fs::read_dir(&root).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        top.retain(|name| !SKIPPED.contains(&name.as_str()));
        top.sort();
        let files = paths.iter().filter_map(|path| read(&root, path)).collect();
        Self { root, top, files, paths }
    }

    /// The file at this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, paths);
        } else {
            paths.push(path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"));
        }
    }
}

fn read(root: &Path, path: &str) -> Option<File> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let known = match name.rsplit_once('.') {
        Some((_, end)) => TEXT.contains(&end),
        None => true,
    };
    let full = root.join(path);
    if !known || fs::metadata(&full).ok()?.len() > MOST {
        return None;
    }
    let text = fs::read_to_string(full).ok()?;
    let code = if path.ends_with(".rs") { rust::blank(&text) } else { String::new() };
    Some(File { path: path.to_owned(), text, code })
}

impl File {
    /// The file's name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether all of it is test code.
    pub fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.split('/').any(|part| part == "tests" || part == "benches")
    }

    /// The line (from 1) at which the inline test module begins; one past the end where there is none.
    pub fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.code.lines().collect();
        let inline = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim() == "mod tests {";
        lines.windows(2).position(inline).map_or(lines.len() + 1, |place| place + 1)
    }
}
