//! Objects as files of a folder that all workers of one machine, or of one file system, share.
//!
//! The rule: a file is written aside and synced, then linked to its name, which fails if there is one; then its folder is synced. So a
//! name is there with all its bytes or not at all, one of many who try wins, and a loss of power takes nothing back that was
//! answered. It needs hard links within the folder, as every local file system has them.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{Created, Objects, check_name};
use crate::{
    error::{Error, Kind, Result},
    random,
    source::Pending,
    task,
};

/// Files that are not whole yet lie here: no name of an object begins with a point.
const ASIDE: &str = ".aside";

/// A folder of objects.
#[derive(Clone, Debug)]
pub struct FolderObjects {
    root: PathBuf,
}

impl FolderObjects {
    /// The objects below this folder, which is made if it is missing.
    pub fn open(root: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| {
            let words = format!("the store {} cannot be made: {e}; check its path and permissions", root.display());
            Error::new(Kind::Unavailable, words)
        };
        make(&root.join(ASIDE)).map_err(failed)?;
        let root = fs::canonicalize(root).map_err(failed)?;
        Ok(Self { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn create_now(&self, name: &str, bytes: &[u8]) -> std::io::Result<Created> {
        let aside = self.root.join(ASIDE).join(format!("{}-{:016x}", std::process::id(), random::bits()));
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        make(folder)?;
        let linked = File::create_new(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::hard_link(&aside, &path)
        });
        let _ = fs::remove_file(&aside);
        let created = match linked {
            Ok(()) => Created::Done,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Created::Exists,
            Err(e) => return Err(e),
        };
        // also where another made it: what we answer must survive
        File::open(folder)?.sync_all()?;
        Ok(created)
    }

    fn read_now(&self, name: &str, part: Option<Range<u64>>) -> std::io::Result<Option<Bytes>> {
        let mut file = match File::open(self.path(name)) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = Vec::new();
        match part {
            None => file.read_to_end(&mut bytes)?,
            Some(part) => {
                file.seek(SeekFrom::Start(part.start))?;
                file.take(part.end.saturating_sub(part.start)).read_to_end(&mut bytes)?
            }
        };
        Ok(Some(bytes.into()))
    }

    fn list_now(&self, prefix: &str, after: &str) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        walk(&self.root.join(prefix), prefix, &mut names)?;
        names.retain(|name| name.as_str() > after);
        names.sort_unstable();
        Ok(names)
    }

    async fn off_the_worker<T: Send + 'static>(
        &self,
        what: &str,
        name: &str,
        work: impl FnOnce(&Self, &str) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (own, named) = (self.clone(), name.to_owned());
        task::blocking(move || work(&own, &named)).await.map_err(|e| {
            let words = format!("the store {}: `{name}` cannot be {what}: {e}", self.root.display());
            Error::new(Kind::Unavailable, words)
        })
    }
}

/// Makes a folder so that a loss of power does not take it away with what is in it.
fn make(folder: &Path) -> std::io::Result<()> {
    let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(folder)?;
    for parent in made.into_iter().filter_map(Path::parent) {
        File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()?;
    }
    Ok(())
}

fn walk(folder: &Path, prefix: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(own) = entry.file_name().into_string() else { continue };
        if own.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{prefix}{own}/"), names)?;
        } else {
            names.push(format!("{prefix}{own}"));
        }
    }
    Ok(())
}

impl Objects for FolderObjects {
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>> {
        Box::pin(async move {
            check_name(name)?;
            self.off_the_worker("created", name, move |own, name| own.create_now(name, &bytes)).await
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>> {
        Box::pin(self.off_the_worker("read", name, move |own, name| own.read_now(name, part)))
    }

    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>> {
        let after = after.to_owned();
        Box::pin(self.off_the_worker("listed", prefix, move |own, prefix| own.list_now(prefix, &after)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>> {
        Box::pin(self.off_the_worker("deleted", name, |own, name| match fs::remove_file(own.path(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }))
    }

    fn place(&self) -> String {
        self.root.display().to_string()
    }
}
