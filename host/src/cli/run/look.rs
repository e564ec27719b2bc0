//! What a source tree is like at a moment, in a number.
//!
//! The rule: files are looked at, not events of the system: that works in containers and on network folders too, where there are none. A file
//! that is added, written, moved or removed changes the number; what builds make does not.
//! Left to others: what is done about a change.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

/// Folders that hold what builds make.
const MADE: [&str; 6] = ["target", "node_modules", ".venv", "dist", "build", "__pycache__"];
/// More files than that are no plugin's source.
const MOST_FILES: usize = 10_000;

/// Names, times and lengths of all files, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look(u64);

impl Look {
    /// A file, or a project's folder. Of a project, components are no source: they are what is made of it.
    pub fn at(place: &Path) -> Self {
        let mut look = Self::default();
        match place.is_dir() {
            true => look.folder(place, &mut { MOST_FILES }),
            false => look.file(place),
        }
        look
    }

    fn file(&mut self, file: &Path) {
        let Ok(about) = std::fs::metadata(file) else { return };
        let mut hasher = DefaultHasher::new();
        (file, about.modified().ok(), about.len()).hash(&mut hasher);
        self.0 = self.0.wrapping_add(hasher.finish());
    }

    fn folder(&mut self, folder: &Path, left: &mut usize) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            match () {
                () if MADE.contains(&&*name) || name.starts_with('.') || name.ends_with(".wasm") => {}
                () if kind.is_dir() => self.folder(&path, left),
                () => self.file(&path),
            }
        }
    }
}
