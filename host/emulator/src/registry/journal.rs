//! The file of a registry that outlives its process: what was done, one line of JSON each, in order.
//!
//! A line is `{"crc":"1a2b3c4d","did":[...]}`, the CRC-32 being of the text behind `did`. The rules: **a line is on the disk before its
//! call is answered**; a line without an end is what a killed process leaves, and is dropped with a warning; any other damage is refused
//! with the file and the line, because what follows rests on it. A file that is mostly past is rewritten at the start: beside, then renamed.
//! Left to others: what entries mean (`state`).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use super::state::{Entry, FORMAT, State};
use crate::disk::DiskError;

const NAME: &str = "registry.log";
const HEAD: &str = r#"{"crc":""#;
const MIDDLE: &str = r#"","did":"#;
/// A file below this is left as it is.
const SMALL: u64 = 1 << 20;

#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
    /// Why nothing may follow what is there.
    broken: Option<String>,
    /// Held, not read: the lock ends with the process.
    _lock: File,
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + use<'a> {
    move |source| DiskError::Io { action, path: path.to_owned(), source }
}

/// The line of what one call did.
fn line(entries: &[Entry]) -> Result<Vec<u8>, String> {
    let did = serde_json::to_string(entries).map_err(|bad| format!("cannot write an entry as JSON: {bad}"))?;
    Ok(format!("{HEAD}{:08x}{MIDDLE}{did}}}\n", crc32fast::hash(did.as_bytes())).into_bytes())
}

/// What a line without its end says.
fn parse(line: &[u8]) -> Result<Vec<Entry>, String> {
    let no_form = || "it has not the form of a line".to_owned();
    let line = std::str::from_utf8(line).map_err(|_| no_form())?;
    let rest = line.strip_prefix(HEAD).ok_or_else(no_form)?;
    let (sum, rest) = rest.split_at_checked(8).ok_or_else(no_form)?;
    let did = rest.strip_prefix(MIDDLE).and_then(|rest| rest.strip_suffix('}')).ok_or_else(no_form)?;
    if sum != format!("{:08x}", crc32fast::hash(did.as_bytes())) {
        return Err("its checksum is wrong".to_owned());
    }
    serde_json::from_str(did).map_err(|bad| bad.to_string())
}

/// Everything that the whole lines of a file did; how many bytes they have.
fn replay(path: &Path, file: &File) -> Result<(State, u64), DiskError> {
    let damaged = |number: usize, what: &str| DiskError::Damaged {
        path: path.to_owned(),
        what: format!("line {number}: {what}"),
    };
    let (mut state, mut size) = (State::default(), 0);
    let mut reader = BufReader::with_capacity(1 << 16, file);
    for number in 1.. {
        let mut bytes = Vec::new();
        reader.read_until(b'\n', &mut bytes).map_err(failed("read", path))?;
        let Some((b'\n', whole)) = bytes.split_last() else { break };
        let entries = parse(whole).map_err(|what| damaged(number, &what))?;
        for entry in entries {
            state.apply(entry).map_err(|what| damaged(number, &what))?;
        }
        size += bytes.len() as u64;
    }
    Ok((state, size))
}

impl Journal {
    /// Takes the directory, and reads what was done.
    pub fn open(dir: &Path) -> Result<(Self, State), DiskError> {
        fs::create_dir_all(dir).map_err(failed("make", dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DiskError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        let path = dir.join(NAME);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = file.map_err(failed("open", &path))?;
        let length = file.metadata().map_err(failed("read", &path))?.len();
        let (state, size) = replay(&path, &file)?;
        if size < length {
            tracing::warn!(path = %path.display(), dropped = length - size, "dropped a line without an end");
            file.set_len(size).map_err(failed("cut", &path))?;
        }
        let mut journal = Self { path, file, size, broken: None, _lock: lock };
        if size == 0 {
            journal.append(&[Entry::Format(FORMAT)])?;
            journal.sync_folder()?;
        } else if size > SMALL {
            journal.compact(&state)?;
        }
        Ok((journal, state))
    }

    fn error(&self, source: io::Error) -> DiskError {
        failed("write", &self.path)(source)
    }

    /// One line, on the disk when this returns. After an error the file is as it was, or takes nothing any more.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), DiskError> {
        if let Some(why) = &self.broken {
            let what = format!("an earlier write failed ({why}); start the registry again");
            return Err(self.error(io::Error::other(what)));
        }
        let line = line(entries).map_err(|what| self.error(io::Error::other(what)))?;
        let written = self.file.write_all(&line);
        let synced = written.and_then(|()| self.file.sync_data().inspect_err(|e| self.broken = Some(e.to_string())));
        if let Err(error) = synced {
            if let Err(e) = self.file.set_len(self.size) {
                self.broken = Some(e.to_string());
            }
            return Err(self.error(error));
        }
        self.size += line.len() as u64;
        Ok(())
    }

    /// Writes what the state holds in the place of all that happened, where that is worth it.
    fn compact(&mut self, state: &State) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        for entry in state.snapshot() {
            bytes.extend(line(&[entry]).map_err(|what| self.error(io::Error::other(what)))?);
            if bytes.len() as u64 * 2 > self.size {
                return Ok(());
            }
        }
        let beside = self.path.with_extension("log.new");
        let write = |bytes: &[u8]| {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            OpenOptions::new().read(true).append(true).open(&self.path)
        };
        self.file = write(&bytes).map_err(failed("write", &beside))?;
        tracing::info!(path = %self.path.display(), from = self.size, to = bytes.len(), "rewrote the log of the registry");
        self.size = bytes.len() as u64;
        self.sync_folder()
    }

    /// So that the file's name is on the disk too.
    fn sync_folder(&self) -> Result<(), DiskError> {
        let Some(dir) = self.path.parent() else { return Ok(()) };
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("write", dir))
    }
}

#[cfg(test)]
mod tests {
    use pelton_schema::{random, sample::Dice};
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::registry::{
        request::{Call, Query},
        store::Store,
    };

    /// Calls of every kind that change something; most of them are done, some refused.
    fn call(store: &Store, dice: &mut Dice) {
        let subject = format!("s{}", dice.below(4));
        let version = 1 + dice.below(4);
        let schema = json!({ "schema": random::schema(&mut Dice(dice.bits() % 12)).to_string() });
        let (method, path, body): (&str, String, Json) = match dice.below(12) {
            0..=3 => ("POST", format!("/subjects/{subject}/versions"), schema),
            4 => {
                let to = json!([{ "name": "n", "subject": "s0", "version": -1 }]);
                let schema =
                    json!({ "schema": format!("{{\"title\":{version}}}"), "schemaType": "JSON", "references": to });
                ("POST", format!("/subjects/{subject}/versions"), schema)
            }
            5 => ("DELETE", format!("/subjects/{subject}"), json!(null)),
            6 => ("DELETE", format!("/subjects/{subject}?permanent=true"), json!(null)),
            7 => ("DELETE", format!("/subjects/{subject}/versions/{version}"), json!(null)),
            8 => ("DELETE", format!("/subjects/{subject}/versions/{version}?permanent=true"), json!(null)),
            9 => ("PUT", format!("/config/{subject}"), json!({ "compatibility": "NONE", "normalize": true })),
            10 => ("PUT", format!("/mode/{subject}"), json!({ "mode": "READWRITE" })),
            _ => ("PUT", format!("/_pelton/subjects/{subject}/versions/{version}/labels"), json!({ "a": "b" })),
        };
        let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
        let (call, query) = (Call::parse(method, path).unwrap(), Query::parse(query).unwrap());
        if let Err(refusal) = store.call(&call, &query, body.to_string().as_bytes()) {
            assert_ne!(refusal.code, 50001, "{refusal}");
        }
    }

    fn opened(dir: &Path) -> Result<(Journal, State), DiskError> {
        Journal::open(dir)
    }

    /// Calls in a directory; states after each, by how long the file was.
    fn history(dir: &Path, seed: u64, calls: usize) -> Vec<(u64, State)> {
        let mut dice = Dice(seed);
        let mut states = Vec::new();
        for _ in 0..calls {
            let store = Store::on_disk(dir).unwrap();
            call(&store, &mut dice);
            drop(store);
            let (journal, state) = opened(dir).unwrap();
            states.push((journal.size, state));
        }
        states
    }

    #[test]
    fn what_was_done_is_there_again_also_as_a_snapshot() {
        for seed in 0..30 {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::on_disk(dir.path()).unwrap();
            let mut dice = Dice(seed);
            (0..80).for_each(|_| call(&store, &mut dice));
            store.stop();
            let (_, state) = opened(dir.path()).unwrap();
            assert_eq!(*store.read(), state, "seed {seed}");
            let mut other = State::default();
            for entry in state.snapshot() {
                let text = serde_json::to_string(&entry).unwrap();
                other.apply(serde_json::from_str(&text).unwrap()).unwrap();
            }
            assert_eq!(other, state, "seed {seed}");
        }
    }

    #[test]
    fn every_beginning_of_the_file_is_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let states = history(dir.path(), 5, 25);
        let whole = fs::read(dir.path().join(NAME)).unwrap();
        assert!(states.len() > 10 && states.iter().any(|(_, state)| state.version_count() > 3));
        for length in 0..=whole.len() {
            let killed = tempfile::tempdir().unwrap();
            fs::write(killed.path().join(NAME), &whole[..length]).unwrap();
            let (_, state) = opened(killed.path()).unwrap_or_else(|e| panic!("{length}: {e}"));
            let expected = states.iter().rev().find(|(size, _)| *size <= length as u64).map(|(_, state)| state);
            assert_eq!(&state, expected.unwrap_or(&State::default()), "{length} of {}", whole.len());
            // It goes on from there.
            let (mut journal, _) = opened(killed.path()).unwrap();
            journal.append(&[Entry::Mode { subject: None, mode: None }]).unwrap();
            drop(journal);
            opened(killed.path()).unwrap();
        }
    }

    #[test]
    fn damage_before_the_end_is_refused_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        history(dir.path(), 6, 12);
        let path = dir.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() - 1 {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 + (place % 255) as u8;
            fs::write(&path, &damaged).unwrap();
            let said = opened(dir.path()).map(drop).unwrap_err().to_string();
            let line = whole[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
            assert!(said.contains(&format!("{NAME} is damaged: line {line}: ")), "{place}: {said}");
            assert_eq!(fs::read(&path).unwrap(), damaged, "nothing is lost by looking");
        }
        // Lines that cannot follow each other are damage too.
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        let without = lines.filter(|line| !String::from_utf8_lossy(line).contains("\"schema\""));
        let hidden = line(&[Entry::Hide { subject: "s9".into(), versions: vec![1] }]).unwrap();
        fs::write(&path, [without.collect::<Vec<_>>().concat(), hidden].concat()).unwrap();
        assert!(opened(dir.path()).map(drop).unwrap_err().to_string().contains("which is not there"));
    }

    #[test]
    fn a_directory_has_one_registry_and_a_file_that_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, state) = opened(dir.path()).unwrap();
        assert!(matches!(opened(dir.path()), Err(DiskError::InUse(_))));
        let entry = |number: usize| Entry::Mode { subject: Some("x".repeat(1000 + number % 2)), mode: None };
        while journal.size <= SMALL {
            (0..50).for_each(|number| journal.append(&[entry(number), entry(number + 1)]).unwrap());
        }
        journal.append(&[Entry::Mode { subject: None, mode: Some(super::super::state::Access::ReadOnly) }]).unwrap();
        drop((journal, state));
        let (mut journal, state) = opened(dir.path()).unwrap();
        assert!(journal.size < 1000, "{}", journal.size);
        journal.append(&[Entry::Mode { subject: None, mode: None }]).unwrap();
        drop(journal);
        let (_, after) = opened(dir.path()).unwrap();
        assert!(state.mode(None).is_some() && after.mode(None).is_none());
    }

    #[test]
    fn what_cannot_be_written_is_said_and_nothing_follows_it() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = opened(dir.path()).unwrap();
        journal.file = File::open(&journal.path).unwrap();
        for words in ["cannot write", "an earlier write failed"] {
            let said = journal.append(&[Entry::Mode { subject: None, mode: None }]).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains(NAME), "{said}");
        }
    }
}
