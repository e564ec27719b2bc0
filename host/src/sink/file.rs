//! Results in a folder as files of JSON lines, exactly once.
//!
//! What it owes: a file appears whole, under its final name, once; whatever crashed in between. Rows go to a hidden file below
//! `_pelton/staging`; when the file is full (size) or old (time) it is sealed, and the token of that epoch promises it. A
//! file not yet full is held: its name, its length and its last rows are state of the partition, so files do not follow epochs.
//! Names are deterministic: `JOB.SINK.PARTITION.EPOCH-N.jsonl`, by the epoch in which the file began;
//! sorted by name, the files of a partition are in the order of its results. After repeats were accepted the epochs that
//! come again have names of their own (`againSERIES-EPOCH-N`), because consumers know the others by name; and so they have after a
//! savepoint was restored.
//! Left to others: `folder` does what touches the disk.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    error::{Error, Kind, Result},
    record::{Batch, RowReject},
    sink::{Prepared, Promise, Sink, Token, Writer, json_lines},
    source::Pending,
    task,
};

mod folder;

pub use folder::set_aside;
pub use folder::shown;
use folder::{Begun, Folder, Found, Held, Promised, Staged};

/// Rows are appended to the hidden file when they are more than this.
const BUFFER: usize = 1 << 20;
/// Rows of an epoch's end that are kept in the manifest instead of being synced to the file.
const HELD: usize = 64 << 10;
/// Files of one epoch: more would not fit into a token, so the last one grows instead.
const FILES: usize = 200;

/// When a file is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll {
    /// after this time, measured from its first row
    pub every: Duration,
    /// at this size
    pub size: u64,
}

impl Default for Roll {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), size: 64 << 20 }
    }
}

/// Where and how files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// the sink's name in the job
    pub name: String,
    /// the folder
    pub path: PathBuf,
    /// when a file is full
    pub roll: Roll,
    /// the folder may know of later epochs than the state does: what was shown then may be shown again
    pub accept_repeats: bool,
}

/// The file that is being filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    #[serde(flatten)]
    begun: Begun,
    /// bytes in the hidden file
    length: u64,
    /// wall time of its first row, microseconds since 1970
    since_us: i64,
    /// of the owner that writes it
    #[serde(default)]
    fence: u64,
}

/// A folder of files.
pub struct FileSink {
    options: Options,
    clock: Arc<dyn Clock>,
    recovered: Option<(Writer, Folder)>,
    /// the series, the epoch under way, and the files begun in it
    next: Begun,
    open: Option<Open>,
    /// bytes of the open file that no loss of power takes away
    synced: u64,
    tail: Vec<u8>,
    sealed: Vec<Staged>,
    last: bool,
}

impl FileSink {
    /// A sink that writes after [`Sink::recover`].
    pub fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        let (open, tail, sealed) = (None, Vec::new(), Vec::new());
        let next = Begun { series: 0, epoch: 1, number: 0 };
        Self { options, clock, recovered: None, next, open, synced: 0, tail, sealed, last: false }
    }

    fn recovered(&self) -> Result<&(Writer, Folder)> {
        let message = || format!("sink `{}` is used before it has recovered", self.options.name);
        self.recovered.as_ref().ok_or_else(|| Error::new(Kind::Internal, message()))
    }

    async fn start(&mut self, writer: Writer, epoch: u64, held: &[u8]) -> Result<()> {
        let folder = Folder::new(&self.options, &writer);
        let (mut open, mut tail) = read_held(held).ok_or_else(|| {
            Error::new(Kind::State, format!("sink `{}`: what the state holds of it is damaged", self.options.name))
        })?;
        let (there, kept) = (folder.clone(), open.as_ref().map(held_file));
        let (accept, back) = (self.options.accept_repeats, writer.set_back);
        let recover = move || {
            there.set_back(back)?;
            there.recover(epoch, kept, accept)
        };
        let Found { series, held_is_shown } = task::blocking(recover).await?;
        if held_is_shown {
            tracing::warn!(
                sink = self.options.name,
                "rows that the state holds back were shown already: they are not repeated"
            );
            (open, tail) = (None, Vec::new());
        }
        // nothing of it is on disk: its old name may have been used since
        if let Some(open) = open.as_mut().filter(|open| open.length == 0) {
            open.begun.series = series;
        }
        if let Some(open) = &mut open {
            open.fence = writer.fence;
        }
        self.recovered = Some((writer, folder));
        self.sealed.clear();
        self.next = Begun { series, epoch: epoch + 1, number: 0 };
        self.synced = open.as_ref().map_or(0, |open| open.length);
        (self.open, self.tail) = (open, tail);
        Ok(())
    }

    async fn take(&mut self, batch: &Batch) -> Result<Vec<RowReject>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (lines, rejects) = json_lines::lines(&batch.fields)?;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.begin();
            self.tail.extend_from_slice(line);
            if self.is_full() && self.sealed.len() < FILES {
                self.seal().await?;
            } else if self.tail.len() >= BUFFER {
                self.append(false).await?;
            }
        }
        Ok(rejects)
    }

    fn begin(&mut self) {
        if self.open.is_none() {
            let since_us = self.clock.wall_us();
            let fence = self.recovered.as_ref().map_or(0, |(writer, _)| writer.fence);
            self.open = Some(Open { begun: self.next, length: 0, since_us, fence });
            self.next.number += 1;
            self.synced = 0;
        }
    }

    fn is_full(&self) -> bool {
        let length = self.open.as_ref().map_or(0, |open| open.length) + self.tail.len() as u64;
        length >= self.options.roll.size
    }

    fn is_old(&self) -> bool {
        let every = i64::try_from(self.options.roll.every.as_micros()).unwrap_or(i64::MAX);
        self.open.as_ref().is_some_and(|open| self.clock.wall_us().saturating_sub(open.since_us) >= every)
    }

    /// Moves the tail into the hidden file.
    async fn append(&mut self, sync: bool) -> Result<()> {
        let folder = self.recovered()?.1.clone();
        let Some(open) = &mut self.open else { return Ok(()) };
        let (name, at, tail) = (folder.staged_name(open.begun), open.length, std::mem::take(&mut self.tail));
        open.length += tail.len() as u64;
        let length = open.length;
        task::blocking(move || folder.append(&name, at, &tail, sync)).await?;
        if sync {
            self.synced = length;
        }
        Ok(())
    }

    /// The open file is whole: durable, and promised by the next token.
    async fn seal(&mut self) -> Result<()> {
        self.append(true).await?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let folder = &self.recovered()?.1;
        let staged = Staged { name: folder.name(open.begun), bytes: open.length, fence: open.fence };
        self.sealed.push(staged);
        Ok(())
    }

    async fn stage(&mut self, epoch: u64) -> Result<Prepared> {
        if self.open.is_some() && (self.last || self.is_old() || self.is_full()) {
            self.seal().await?;
        } else if self.tail.len() > HELD || self.open.as_ref().is_some_and(|open| open.length > self.synced) {
            // what the manifest says of the file must be as durable as the manifest
            self.append(true).await?;
        }
        let files = std::mem::take(&mut self.sealed);
        let (writer, folder) = self.recovered()?;
        let promised = Promised { record: folder.record_name(), files };
        let staged = serde_json::to_value(&promised).expect("names and numbers become JSON");
        let (sink, generation) = (self.options.name.clone(), writer.generation);
        let token = (!promised.files.is_empty()).then_some(Token { sink, epoch, generation, staged });
        self.next = Begun { epoch: epoch + 1, number: 0, ..self.next };
        Ok(Prepared { token, held: self.held() })
    }

    /// A line of JSON about the open file, then its rows that are not in it yet.
    fn held(&self) -> Vec<u8> {
        let Some(open) = &self.open else { return Vec::new() };
        let mut held = serde_json::to_vec(open).expect("numbers become JSON");
        held.push(b'\n');
        held.extend_from_slice(&self.tail);
        held
    }

    async fn show(&self, token: &Token) -> Result<()> {
        let damaged =
            |bad| Error::new(Kind::State, format!("sink `{}`: its token is damaged: {bad}", self.options.name));
        let promised: Promised = serde_json::from_value(token.staged.clone()).map_err(damaged)?;
        let (path, epoch) = (self.options.path.clone(), token.epoch);
        task::blocking(move || folder::commit(&path, epoch, &promised)).await
    }
}

fn held_file(open: &Open) -> Held {
    Held { begun: open.begun, length: open.length, fence: open.fence }
}

fn read_held(held: &[u8]) -> Option<(Option<Open>, Vec<u8>)> {
    if held.is_empty() {
        return Some((None, Vec::new()));
    }
    let end = held.iter().position(|byte| *byte == b'\n')?;
    let open = serde_json::from_slice(&held[..end]).ok()?;
    Some((Some(open), held[end + 1..].to_vec()))
}

impl Sink for FileSink {
    fn promise(&self) -> Promise {
        Promise::ExactlyOnce
    }

    fn recover(&mut self, writer: Writer, epoch: u64, held: &[u8]) -> Pending<'_, Result<()>> {
        let held = held.to_vec();
        Box::pin(async move { self.start(writer, epoch, &held).await })
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(self.take(batch))
    }

    fn prepare(&mut self, epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(self.stage(epoch))
    }

    fn close(&mut self) {
        self.last = true;
    }

    fn go_on(&mut self, generation: u64) {
        self.last = false;
        if let Some((writer, _)) = &mut self.recovered {
            writer.generation = generation;
        }
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            // an owner that was stopped for long must not take the folder's record back
            if let Some((writer, _)) = &self.recovered {
                writer.permit.check()?;
            }
            self.show(token).await
        })
    }
}

#[cfg(test)]
mod tests;
