//! What the file sink does to the disk: hidden files, their final names, and the record of what was committed.
//!
//! The rule: before the first rename of an epoch the record `_pelton/JOB-PARTITION.json` names that epoch and its files, after
//! all of them were seen. So a hidden file that is missing later, of an epoch that the record names, was renamed: consumers may
//! move files away at any moment. Every step is durable before the next one begins.
//! Left to others: what is written, and when.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Options;
use crate::{
    error::{Error, Kind, Result},
    sink::Writer,
};

const OWN: &str = "_pelton";
const STAGING: &str = "staging";

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    pub name: String,
    pub bytes: u64,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promised {
    /// the name of the record of job and partition
    pub record: String,
    pub files: Vec<Staged>,
}

/// The highest epoch whose files have, or are about to have, their final names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Committed {
    epoch: u64,
    files: Vec<String>,
}

/// The folder as one partition of one job sees it.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    job: String,
    partition: String,
}

impl Folder {
    pub fn new(options: &Options, writer: &Writer) -> Self {
        Self { path: options.path.clone(), job: plain(&writer.job), partition: plain(&writer.partition) }
    }

    /// The final name of a file.
    pub fn name(&self, epoch: u64, number: u32) -> String {
        format!("{}-{epoch:012}-{number:04}.jsonl", self.partition)
    }

    /// The name while it is hidden.
    pub fn staged_name(&self, epoch: u64, number: u32) -> String {
        hidden(&self.name(epoch, number))
    }

    /// The name of the record.
    pub fn record_name(&self) -> String {
        format!("{}-{}.json", self.job, self.partition)
    }

    /// Removes what was begun after `epoch`, and cuts the held file to what the state knows of it.
    pub fn recover(&self, epoch: u64, held: Option<(String, u64)>, accept_repeats: bool) -> Result<()> {
        let staging = staging(&self.path);
        fs::create_dir_all(&staging).map_err(|failed| unwritable(&staging, &failed))?;
        let record = self.path.join(OWN).join(self.record_name());
        let committed = read_record(&record)?;
        if committed.epoch > epoch && !accept_repeats {
            let message = format!(
                "`{}` names epoch {} as committed, but the state ends at epoch {epoch}: it is older or another one; \
                 restore it, write to another folder, or accept repeats",
                record.display(),
                committed.epoch
            );
            return Err(Error::new(Kind::State, message));
        }
        if committed.epoch > epoch {
            write_record(&record, &Committed { epoch, files: Vec::new() }).map_err(|e| unwritable(&record, &e))?;
        }
        self.abort(&staging, epoch).map_err(|failed| unwritable(&staging, &failed))?;
        match held {
            Some((name, length)) => cut(&staging.join(name), length),
            None => Ok(()),
        }
    }

    fn abort(&self, staging: &Path, epoch: u64) -> io::Result<()> {
        let prefix = format!(".{}-", self.partition);
        for entry in staging.read_dir()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let begun = name.strip_prefix(&prefix).and_then(|rest| rest.get(..12)?.parse::<u64>().ok());
            if begun.is_some_and(|begun| begun > epoch) {
                fs::remove_file(entry.path())?;
            }
        }
        sync_folder(staging)
    }

    /// Writes at this place of a hidden file, which is made if it is not there.
    pub fn append(&self, name: &str, at: u64, bytes: &[u8], sync: bool) -> Result<()> {
        let staging = staging(&self.path);
        let path = staging.join(name);
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)?;
            if sync {
                file.sync_all()?;
                sync_folder(&staging)?;
            }
            Ok(())
        };
        write().map_err(|failed| unwritable(&path, &failed))
    }
}

/// Gives the files of an epoch their final names. May be called again, also after consumers have moved files away.
pub fn commit(path: &Path, epoch: u64, promised: &Promised) -> Result<()> {
    let safe = |name: &str| !name.contains(['/', '\\']) && !name.starts_with('.');
    if !safe(&promised.record) || !promised.files.iter().all(|file| safe(&file.name)) {
        return Err(Error::new(Kind::State, format!("a token for `{}` names files outside of it", path.display())));
    }
    let (staging, record) = (staging(path), path.join(OWN).join(&promised.record));
    if read_record(&record)?.epoch < epoch {
        for file in &promised.files {
            check(path, &staging, file)?;
        }
        let files = promised.files.iter().map(|file| file.name.clone()).collect();
        write_record(&record, &Committed { epoch, files }).map_err(|failed| unwritable(&record, &failed))?;
    }
    for file in &promised.files {
        let (from, to) = (staging.join(hidden(&file.name)), path.join(&file.name));
        match fs::rename(&from, &to) {
            Err(failed) if failed.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|failed| unwritable(&to, &failed))?,
        }
    }
    sync_folder(path).and_then(|()| sync_folder(&staging)).map_err(|failed| unwritable(path, &failed))
}

/// A file that is promised is there, hidden or already named, with all its bytes.
fn check(path: &Path, staging: &Path, file: &Staged) -> Result<()> {
    let hidden = staging.join(hidden(&file.name));
    let length = |path: &Path| path.metadata().ok().map(|about| about.len());
    match length(&hidden).or_else(|| length(&path.join(&file.name))) {
        Some(length) if length == file.bytes => Ok(()),
        Some(length) => {
            let message = format!("staged file `{}` has {length} bytes, not {}", hidden.display(), file.bytes);
            Err(Error::new(Kind::State, format!("{message}: somebody has changed it")))
        }
        None => {
            let message = format!("staged file is gone: `{}` was promised and is not there", hidden.display());
            Err(Error::new(Kind::State, message))
        }
    }
}

fn cut(path: &Path, length: u64) -> Result<()> {
    if length == 0 {
        return match fs::remove_file(path) {
            Err(failed) if failed.kind() != io::ErrorKind::NotFound => Err(unwritable(path, &failed)),
            _ => Ok(()),
        };
    }
    let cut = || -> io::Result<bool> {
        let file = OpenOptions::new().write(true).open(path)?;
        let whole = file.metadata()?.len() >= length;
        if whole {
            file.set_len(length)?;
            file.sync_all()?;
        }
        Ok(whole)
    };
    match cut() {
        Ok(true) => Ok(()),
        Ok(false) => {
            let message = format!("staged file `{}` is shorter than the {length} bytes that are known", path.display());
            Err(Error::new(Kind::State, message))
        }
        Err(failed) if failed.kind() == io::ErrorKind::NotFound => {
            let message = format!("staged file is gone: `{}` holds rows that were taken", path.display());
            Err(Error::new(Kind::State, message))
        }
        Err(failed) => Err(unwritable(path, &failed)),
    }
}

fn staging(path: &Path) -> PathBuf {
    path.join(OWN).join(STAGING)
}

fn hidden(name: &str) -> String {
    format!(".{name}")
}

/// A name that is one part of a path: everything but letters, digits, `_` and `-` as `%` and two hexadecimal digits.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => plain.push(char::from(byte)),
            other => plain.push_str(&format!("%{other:02X}")),
        }
    }
    plain
}

fn read_record(path: &Path) -> Result<Committed> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|bad| Error::new(Kind::State, format!("`{}` is damaged: {bad}", path.display()))),
        Err(failed) if failed.kind() == io::ErrorKind::NotFound => Ok(Committed::default()),
        Err(failed) => Err(Error::new(Kind::State, format!("`{}` cannot be read: {failed}", path.display()))),
    }
}

fn write_record(path: &Path, committed: &Committed) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(committed)?)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    sync_folder(folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn unwritable(path: &Path, failed: &io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("`{}` cannot be written: {failed}", path.display()))
}
