//! Compiled plugins on disk, by digest of the component and by what compiled it.
//!
//! The rule: **only code that this process's user compiled is ever loaded**, because loading it runs it. So the folder is ours
//! alone (mode 0700, our user), files appear by rename after they are whole, and a user's `.cwasm` never gets here (`package` refuses it).
//! Left to others: what a digest names (`package`).

use std::{
    fs::{DirBuilder, File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use wasmtime::component::Component;

use crate::error::{Error, Kind, Result};

/// The folder of compiled plugins.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Opens `parent/plugins`, and refuses a folder that somebody else could write to.
    pub(super) fn open(parent: &Path) -> Result<Self> {
        let folder = parent.join("plugins");
        let failed = |error: std::io::Error| {
            Error::new(Kind::Config, format!("cannot use the plugin cache `{}`: {error}", folder.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let found = std::fs::symlink_metadata(&folder).map_err(failed)?;
        if !private(&found) {
            let mode = found.mode() & 0o777;
            let text = format!(
                "the plugin cache `{}` is not a folder of this user alone (mode {mode:o}): remove it or run `chmod 700` on it",
                folder.display()
            );
            return Err(Error::new(Kind::Config, text));
        }
        Ok(Self { folder })
    }

    /// The compiled form of the component with this digest, if it is here and fits this engine.
    pub(super) fn read(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(engine, digest);
        if !std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && owned(&found)) {
            return None;
        }
        match load(engine, &path) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = format!("{error:#}"), "compiled plugin is not usable; compiling again");
                None
            }
        }
    }

    /// Keeps the compiled form. A cache that cannot be written costs time at the next start, so it is only worth a warning.
    pub(super) fn write(&self, engine: &wasmtime::Engine, digest: &str, component: &Component) {
        let path = self.path(engine, digest);
        if let Err(error) = self.store(&path, component) {
            tracing::warn!(path = %path.display(), error, "cannot keep the compiled plugin");
        }
    }

    fn store(&self, path: &Path, component: &Component) -> std::result::Result<(), String> {
        let code = component.serialize().map_err(|error| format!("{error:#}"))?;
        let partial = self.folder.join(format!(".{}-{:016x}", std::process::id(), crate::random::bits()));
        let written = write_whole(&partial, &code).and_then(|()| std::fs::rename(&partial, path));
        if written.is_err() {
            // the partial file may not exist; what matters is the first error
            let _ = std::fs::remove_file(&partial);
        }
        written.map_err(|error| error.to_string())
    }

    fn path(&self, engine: &wasmtime::Engine, digest: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        self.folder.join(format!("{digest}-{:016x}.cwasm", hasher.finish()))
    }
}

fn write_whole(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(code)?;
    file.sync_all()
}

fn owned(found: &Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw()
}

fn private(found: &Metadata) -> bool {
    found.is_dir() && owned(found) && found.mode() & 0o077 == 0
}

#[expect(
    unsafe_code,
    reason = "the file was written by this user through this module, in a folder nobody else may write to"
)]
fn load(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `open` made sure that only our user can write to the folder, and files get here whole, by rename.
    unsafe { Component::deserialize_file(engine, path) }
}

#[expect(unsafe_code, reason = "the bytes were made by this same program, in a child of this process")]
pub(super) fn revive(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `compiler` read them from a child that it has started as this program, and nobody else writes to that pipe.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_that_others_may_read_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        Cache::open(parent.path()).unwrap();
        std::fs::set_permissions(parent.path().join("plugins"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let refused = Cache::open(parent.path()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Config);
        assert!(refused.to_string().contains("mode 755"), "{refused}");
    }

    #[test]
    fn what_is_no_compiled_plugin_is_not_loaded() {
        let parent = tempfile::tempdir().unwrap();
        let engine = super::super::engine::Engine::new().unwrap();
        let cache = Cache::open(parent.path()).unwrap();
        std::fs::write(cache.path(&engine.inner, "0f"), b"not code").unwrap();
        assert!(cache.read(&engine.inner, "0f").is_none());
        assert!(cache.read(&engine.inner, "1f").is_none());
    }
}
