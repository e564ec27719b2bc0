//! A store in RocksDB: one database per worker and job, one owner at a time.
//!
//! The rule: every write is one batch. A failed write closes the database for good: what is on disk is known only after it
//! was opened again. A directory is held by a lock file, so a second process is refused with words instead of corrupting it.

use std::{
    fs::{self, File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rocksdb::{DB, DBRecoveryMode, Direction, IteratorMode, Options, Range, ReadOptions, WriteBatch, WriteOptions};

use super::{Delta, Flush, Row, StateStore};
use crate::error::{Error, Kind, Result};

/// Version of what is on disk. A newer one is refused.
const FORMAT: u32 = 1;

/// Rows in a RocksDB database.
pub struct RocksStore {
    db: DB,
    folder: PathBuf,
    /// why it is closed
    failed: OnceLock<String>,
    /// held until the store is dropped; none where it is only looked at
    _lock: Option<File>,
}

impl RocksStore {
    /// Opens the database in `folder`, making it if there is none. `Kind::State` if another process holds it, if a newer version
    /// wrote it, or if it is damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let state = |what: String| Error::new(Kind::State, what);
        make(folder).map_err(|e| {
            state(format!("cannot make the state directory {}: {e}; check its permissions", folder.display()))
        })?;
        let lock = lock(folder)?;
        check_format(folder)?;
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        options.set_keep_log_file_num(4);
        options.set_write_buffer_size(64 << 20);
        options.set_paranoid_checks(true);
        let db = DB::open(&options, folder.join("db")).map_err(|e| unopened(folder, &e))?;
        Ok(Self { db, folder: folder.to_owned(), failed: OnceLock::new(), _lock: Some(lock) })
    }

    /// Opens the database to look at it as it is now; another process may hold it and go on. Every write fails.
    pub fn look(folder: &Path) -> Result<Self> {
        if !folder.join("db").exists() {
            let words = format!("there is no state in {}: the job has not run with it yet", folder.display());
            return Err(Error::new(Kind::State, words));
        }
        check_format(folder)?;
        let mut options = Options::default();
        options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
        options.set_paranoid_checks(true);
        let db = DB::open_for_read_only(&options, folder.join("db"), false).map_err(|e| unopened(folder, &e))?;
        Ok(Self { db, folder: folder.to_owned(), failed: OnceLock::new(), _lock: None })
    }

    /// Fails with words if another process holds the state in `folder`.
    pub fn check_free(folder: &Path) -> Result<()> {
        lock(folder).map(drop)
    }

    /// Whether this folder holds a state, perhaps a damaged one.
    pub fn is_state(folder: &Path) -> bool {
        folder.join("FORMAT").exists() || folder.join("db").exists() || folder.join("LOCK.pelton").exists()
    }

    fn usable(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(why) => Err(self.error(format_args!("was closed after a failed write: {why}"))),
        }
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::new(Kind::State, format!("the state in {} {what}", self.folder.display()))
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn unopened(folder: &Path, failed: &rocksdb::Error) -> Error {
    let words = format!(
        "the state in {} cannot be opened: {failed}; restore it from a copy, or start over with --fresh, which moves it aside",
        folder.display()
    );
    Error::new(Kind::State, words)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("LOCK.pelton");
    let state = |what: String| Error::new(Kind::State, what);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| state(format!("cannot open the lock {}: {e}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(state(format!(
            "the state directory {} is held by another process; stop it, or choose another with --state-dir",
            folder.display()
        ))),
        Err(TryLockError::Error(e)) => Err(state(format!("cannot lock {}: {e}", path.display()))),
    }
}

fn check_format(folder: &Path) -> Result<()> {
    let path = folder.join("FORMAT");
    let state = |what: String| Error::new(Kind::State, what);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) => Err(state(format!(
                "the state in {} has format {found}, this version of pelton knows {FORMAT}; use the version that wrote it",
                folder.display()
            ))),
            // written in place by an earlier version and lost with the power: nothing was written after it
            Err(_) if text.is_empty() && !folder.join("db").exists() => write_format(&path),
            Err(_) => Err(state(format!("the file {} is damaged: `{}` is no number", path.display(), text.trim()))),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if folder.join("db").exists() {
                return Err(state(format!(
                    "the state directory {} lost its FORMAT file; restore it",
                    folder.display()
                )));
            }
            write_format(&path)
        }
        Err(e) => Err(state(format!("cannot read {}: {e}", path.display()))),
    }
}

fn write_format(path: &Path) -> Result<()> {
    write_whole(path, &format!("{FORMAT}\n"))
        .map_err(|e| Error::new(Kind::State, format!("cannot write {}: {e}", path.display())))
}

/// Makes the folder so that a loss of power does not take it away with what is in it.
fn make(folder: &Path) -> std::io::Result<()> {
    let made: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(folder)?;
    for parent in made.into_iter().filter_map(Path::parent) {
        File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?.sync_all()?;
    }
    Ok(())
}

/// The file is there with all its bytes or not at all, also after a loss of power.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

impl StateStore for RocksStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.usable()?;
        self.db.get(key).map_err(|e| self.error(format_args!("cannot be read: {e}")))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Row>> {
        self.usable()?;
        if from >= to {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to.to_vec());
        let rows = self.db.iterator_opt(IteratorMode::From(from, Direction::Forward), options);
        rows.take(limit)
            .map(|row| row.map(|(k, v)| (k.into_vec(), v.into_vec())))
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| self.error(format_args!("cannot be read: {e}")))
    }

    fn bytes_between(&self, from: &[u8], to: &[u8]) -> u64 {
        self.db.get_approximate_sizes(&[Range::new(from, to)]).into_iter().sum()
    }

    fn write(&self, deltas: &[Delta], flush: Flush) -> Result<()> {
        self.usable()?;
        let mut batch = WriteBatch::default();
        for (key, value) in deltas.iter().flat_map(Delta::iter) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(flush == Flush::Now);
        self.db.write_opt(batch, &options).map_err(|e| {
            // the first failure is the cause of all others
            let _ = self.failed.set(e.to_string());
            self.error(format_args!("cannot be written: {e}; the job goes back to the last commit"))
        })
    }

    fn bytes(&self) -> Option<u64> {
        let figure = |name: &str| self.db.property_int_value(name).ok().flatten();
        Some(figure("rocksdb.total-sst-files-size")? + figure("rocksdb.cur-size-all-mem-tables")?)
    }
}
