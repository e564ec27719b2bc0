//! What the file sink does to the disk: hidden files, their final names, and the record of what was committed.
//!
//! The rule: before the first rename of an epoch the record `_pelton/JOB.SINK.PARTITION.json` names that epoch and its files, after
//! all of them were seen. So a hidden file that is missing later, of an epoch that the record names, was renamed: consumers may
//! move files away at any moment. Every step is durable before the next one begins.
//! Every name begins with job, sink and partition, with a dot after each that none of them can hold, so that whoever else writes to the
//! folder is never touched. A hidden name holds the fence of its owner, and what an earlier owner held is copied: one that was stopped and wakes
//! up writes to files of its own, which nobody will ever name. Names of a series are used once: a state older than the folder begins a new series.
//! Left to others: what is written, and when.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Options;
use crate::{
    error::{Error, Kind, Result},
    sink::{SetBack, Writer},
};

const OWN: &str = "_pelton";
const STAGING: &str = "staging";

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    pub name: String,
    pub bytes: u64,
    /// of the owner that wrote it
    #[serde(default)]
    pub fence: u64,
}

/// The file that the state holds, as an earlier owner left it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub begun: Begun,
    /// bytes that the state knows of
    pub length: u64,
    /// of the owner that wrote them
    pub fence: u64,
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
    /// raised when a state older than the folder was accepted
    #[serde(default)]
    series: u32,
    /// the last time that the partition was set back to a savepoint, as far as the folder knows
    #[serde(default)]
    set_back: Option<u64>,
}

/// When a file was begun: what tells its name apart from the others of its sink and partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// see [`Committed`]
    #[serde(default)]
    pub series: u32,
    pub epoch: u64,
    pub number: u32,
}

/// What was found at the start.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// the series that new files belong to
    pub series: u32,
    /// the held file was shown before the state went back: its rows are there
    pub held_is_shown: bool,
}

/// The folder as one partition of one sink of one job sees it.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// job, sink and partition, a dot after each
    prefix: String,
    fence: u64,
}

impl Folder {
    pub fn new(options: &Options, writer: &Writer) -> Self {
        let prefix = format!("{}{}.", sink_prefix(&writer.job, &options.name), plain(&writer.partition));
        Self { path: options.path.clone(), prefix, fence: writer.fence }
    }

    /// The final name of a file. Files of a later series sort after those of an earlier one.
    pub fn name(&self, begun: Begun) -> String {
        let Begun { series, epoch, number } = begun;
        let series = if series == 0 { String::new() } else { format!("again{series}-") };
        format!("{}{series}{epoch:012}-{number:04}.jsonl", self.prefix)
    }

    /// The name while it is hidden.
    pub fn staged_name(&self, begun: Begun) -> String {
        hidden(&self.name(begun), self.fence)
    }

    /// The name of the record.
    pub fn record_name(&self) -> String {
        format!("{}json", self.prefix)
    }

    /// Learns that the partition was set back, once each time: hidden files that were begun since the savepoint go; if any result was shown
    /// since, a new series begins. After a crash on the way it happens again.
    pub fn set_back(&self, back: Option<SetBack>) -> Result<()> {
        let Some(back) = back else { return Ok(()) };
        let (staging, record) = (staging(&self.path), self.path.join(OWN).join(self.record_name()));
        let mut committed = read_record(&record)?;
        if committed.set_back == Some(back.nonce) {
            return Ok(());
        }
        make(&self.path).map_err(|failed| unwritable(&staging, &failed))?;
        let since = back.to.saturating_add(1)..=back.from;
        self.remove_begun(&staging, |epoch| since.contains(&epoch)).map_err(|failed| unwritable(&staging, &failed))?;
        committed.set_back = Some(back.nonce);
        committed.series += u32::from(committed.epoch > back.to);
        write_record(&record, &committed).map_err(|failed| unwritable(&record, &failed))
    }

    /// Removes what was begun after `epoch`, and cuts the held file (with its known length) to what the state knows of it.
    pub fn recover(&self, epoch: u64, held: Option<Held>, accept_repeats: bool) -> Result<Found> {
        let staging = staging(&self.path);
        make(&self.path).map_err(|failed| unwritable(&staging, &failed))?;
        let record = self.path.join(OWN).join(self.record_name());
        let mut committed = read_record(&record)?;
        if committed.epoch > epoch && !accept_repeats {
            let message = format!(
                "`{}` names epoch {} as committed, but the state ends at epoch {epoch}: it is older or another one; \
                 restore it, write to another folder, move the results aside with --fresh, or go on with --accept-repeats, which \
                 shows results of {} epochs again in new files",
                record.display(),
                committed.epoch,
                committed.epoch - epoch
            );
            return Err(Error::new(Kind::State, message));
        }
        if committed.epoch > epoch {
            committed = Committed { epoch, files: Vec::new(), series: committed.series + 1, ..committed };
            write_record(&record, &committed).map_err(|e| unwritable(&record, &e))?;
        }
        let series = committed.series;
        self.remove_begun(&staging, |begun| begun > epoch).map_err(|failed| unwritable(&staging, &failed))?;
        let Some(Held { begun, length, fence }) = held else { return Ok(Found { series, held_is_shown: false }) };
        let path = staging.join(hidden(&self.name(begun), fence));
        let held_is_shown = begun.series < series && length > 0 && !path.exists();
        if !held_is_shown {
            self.take_over(&path, begun, length)?;
        }
        Ok(Found { series, held_is_shown })
    }

    /// Makes the held file ours, with the bytes that the state knows of. Its earlier owner may still have it open.
    fn take_over(&self, from: &Path, begun: Begun, length: u64) -> Result<()> {
        let staging = staging(&self.path);
        let to = staging.join(self.staged_name(begun));
        if *from == to || length == 0 {
            return cut(from, length);
        }
        let copied = || -> io::Result<u64> {
            let (mut source, mut file) = (File::open(from)?.take(length), File::create(&to)?);
            let copied = io::copy(&mut source, &mut file)?;
            sync_file(&file, &to)?;
            sync_folder(&staging)?;
            Ok(copied)
        };
        match copied() {
            Ok(copied) if copied == length => {}
            Ok(_) => return Err(shorter(from, length)),
            Err(failed) if failed.kind() == io::ErrorKind::NotFound => return Err(gone(from)),
            Err(failed) => return Err(unwritable(&to, &failed)),
        }
        let name = self.name(begun);
        let others = || -> io::Result<()> {
            for entry in staging.read_dir()? {
                let entry = entry?;
                if entry.path() != to && unhidden(&entry.file_name().to_string_lossy()) == Some(name.as_str()) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        others().map_err(|failed| unwritable(&staging, &failed))
    }

    fn remove_begun(&self, staging: &Path, when: impl Fn(u64) -> bool) -> io::Result<()> {
        for entry in staging.read_dir()? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.epoch_of(&name).is_some_and(&when) {
                fs::remove_file(entry.path())?;
            }
        }
        sync_folder(staging)
    }

    /// The epoch in a hidden name; none for the names of others.
    fn epoch_of(&self, name: &str) -> Option<u64> {
        let own = unhidden(name)?.strip_prefix(&self.prefix)?;
        let own = match own.strip_prefix("again") {
            Some(series) => series.split_once('-')?.1,
            None => own,
        };
        own.strip_suffix(".jsonl")?.split_once('-')?.0.parse().ok()
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
                sync_file(&file, &path)?;
                sync_folder(&staging)?;
            }
            Ok(())
        };
        write().map_err(|failed| unwritable(&path, &failed))
    }
}

/// The highest epoch of a partition that a sink of a job has shown in this folder; none where it has shown nothing.
pub fn shown(path: &Path, job: &str, sink: &str, partition: &str) -> Result<Option<u64>> {
    let record = path.join(OWN).join(format!("{}{}.json", sink_prefix(job, sink), plain(partition)));
    Ok(Some(read_record(&record)?.epoch).filter(|epoch| *epoch > 0))
}

/// Gives the files of an epoch their final names. May be called again, also after consumers have moved files away.
pub fn commit(path: &Path, epoch: u64, promised: &Promised) -> Result<()> {
    let safe = |name: &str| !name.contains(['/', '\\']) && !name.starts_with('.');
    if !safe(&promised.record) || !promised.files.iter().all(|file| safe(&file.name)) {
        return Err(Error::new(Kind::State, format!("a token for `{}` names files outside of it", path.display())));
    }
    let (staging, record) = (staging(path), path.join(OWN).join(&promised.record));
    let before = read_record(&record)?;
    if before.epoch < epoch {
        for file in &promised.files {
            check(path, &staging, file)?;
        }
        let files = promised.files.iter().map(|file| file.name.clone()).collect();
        let committed = Committed { epoch, files, ..before };
        write_record(&record, &committed).map_err(|failed| unwritable(&record, &failed))?;
    }
    for file in &promised.files {
        let (from, to) = (staging.join(hidden(&file.name, file.fence)), path.join(&file.name));
        match fs::rename(&from, &to) {
            Err(failed) if failed.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed.map_err(|failed| unwritable(&to, &failed))?,
        }
    }
    sync_folder(path).and_then(|()| sync_folder(&staging)).map_err(|failed| unwritable(path, &failed))
}

/// A file that is promised is there, hidden or already named, with all its bytes.
fn check(path: &Path, staging: &Path, file: &Staged) -> Result<()> {
    let hidden = staging.join(hidden(&file.name, file.fence));
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
            sync_file(&file, path)?;
        }
        Ok(whole)
    };
    match cut() {
        Ok(true) => Ok(()),
        Ok(false) => Err(shorter(path, length)),
        Err(failed) if failed.kind() == io::ErrorKind::NotFound => Err(gone(path)),
        Err(failed) => Err(unwritable(path, &failed)),
    }
}

fn shorter(path: &Path, length: u64) -> Error {
    let message = format!("staged file `{}` is shorter than the {length} bytes that are known", path.display());
    Error::new(Kind::State, message)
}

fn gone(path: &Path) -> Error {
    let message = format!("staged file is gone: `{}` holds rows that were taken", path.display());
    Error::new(Kind::State, message)
}

fn staging(path: &Path) -> PathBuf {
    path.join(OWN).join(STAGING)
}

/// The name of a file while it is hidden. Owners of jobs that never had another one wrote it without a fence.
fn hidden(name: &str, fence: u64) -> String {
    if fence == 0 { format!(".{name}") } else { format!(".{fence}~{name}") }
}

/// The name that a hidden file will have.
fn unhidden(hidden: &str) -> Option<&str> {
    let name = hidden.strip_prefix('.')?;
    Some(name.split_once('~').map_or(name, |(_, name)| name))
}

/// What every name of a sink of a job begins with.
fn sink_prefix(job: &str, sink: &str) -> String {
    format!("{}.{}.", plain(job), plain(sink))
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
    sync_file(&file, &next)?;
    fs::rename(&next, path)?;
    sync_folder(folder)
}

/// Makes the folder with what is hidden in it. Durable: a file is lost when the folder that names it is.
fn make(path: &Path) -> io::Result<()> {
    let (own, staging) = (path.join(OWN), staging(path));
    let made: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(&staging)?;
    for folder in [staging.as_path(), &own, path] {
        sync_folder(folder)?;
    }
    for parent in made.into_iter().filter_map(Path::parent) {
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Moves every file of this sink of this job, hidden and shown, and its records to a folder of their own below `_pelton`; the
/// records last, so that a crash on the way leaves a folder that is still refused. None where there is nothing.
pub fn set_aside(path: &Path, job: &str, sink: &str, name: &str) -> Result<Option<PathBuf>> {
    let prefix = sink_prefix(job, sink);
    let own = path.join(OWN);
    let aside = own.join(name);
    let mut moved = false;
    for (folder, is_hidden) in [(path, false), (&staging(path), true), (&own, false)] {
        let failed = |e: io::Error| unwritable(folder, &e);
        let entries = match folder.read_dir() {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let own = if is_hidden { unhidden(&text) } else { Some(&*text) };
            if own.is_some_and(|own| own.starts_with(&prefix)) {
                fs::create_dir_all(&aside).map_err(failed)?;
                fs::rename(entry.path(), aside.join(&name)).map_err(failed)?;
                moved = true;
            }
        }
        if moved {
            sync_folder(&aside).and_then(|()| sync_folder(folder)).map_err(failed)?;
        }
    }
    Ok(moved.then_some(aside))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    sync_file(&File::open(path)?, path)
}

fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(test)]
    super::tests::synced(path, file.metadata()?.len());
    let _ = path;
    file.sync_all()
}

fn unwritable(path: &Path, failed: &io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("`{}` cannot be written: {failed}", path.display()))
}
