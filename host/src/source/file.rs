//! Records from files: JSON lines and CSV, plain or gzip, one shard a file.
//!
//! What it owes: the promises of [`Source`], with the number of a record's line as its sequence number, so that a file read
//! again gives the same identities. A row of CSV becomes a JSON object of its header's names; see [`rows`] for its types.
//! Files are read in the background, a bounded chunk at a time. Left to others: what a line means (`decode`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Receiver, Sender},
};

use crate::{
    error::{Error, Kind, Result},
    record::{CellsBuilder, RawBatch, Records, Sequence, ShardId},
    source::{Event, From, Pending, Position, Reader, Shard, Source, Start},
    task::{self, Task},
};

pub mod rows;

pub use rows::Format;
use rows::{Row, Rows};

/// Chunks that wait for the reader.
const QUEUE: usize = 2;
/// A chunk is full at this many records or bytes.
const CHUNK_RECORDS: usize = 4_096;
const CHUNK_BYTES: usize = 1 << 20;

/// Which files, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// a file, or a folder whose files are shards
    pub path: PathBuf,
    /// by the name's end where not said
    pub format: Option<Format>,
    /// the field whose text is the partition key; without one the key is empty
    pub key: Option<String>,
}

/// A file or a folder of files.
pub struct FileSource {
    stream: Arc<str>,
    files: Vec<(Shard, PathBuf)>,
    options: Options,
    runtime: Handle,
}

impl FileSource {
    /// Lists the files. The source's name stands for the stream's: a path is another on each machine.
    pub fn new(name: &str, options: Options, runtime: Handle) -> Result<Self> {
        let path = options.path.display();
        let files = list(&options.path).map_err(|failed| {
            Error::new(Kind::Config, format!("`{path}` cannot be read: {failed}; mend `path:` of the source"))
        })?;
        if files.is_empty() {
            return Err(Error::new(Kind::Config, format!("folder `{path}` holds no file: mend `path:` of the source")));
        }
        let files = files.into_iter().map(|(name, path)| {
            (Shard { id: ShardId::new(name), parents: Vec::new(), hash_range: (0, u128::MAX) }, path)
        });
        Ok(Self { stream: name.into(), files: files.collect(), options, runtime })
    }
}

fn list(path: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let named = |path: &Path| path.file_name().map(|name| (name.to_string_lossy().into_owned(), path.to_owned()));
    if !path.metadata()?.is_dir() {
        return Ok(named(path).into_iter().collect());
    }
    let mut files = Vec::new();
    for entry in path.read_dir()? {
        let path = entry?.path();
        if path.metadata()?.is_file() {
            files.extend(named(&path).filter(|(name, _)| !name.starts_with('.')));
        }
    }
    files.sort();
    Ok(files)
}

impl Source for FileSource {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn mode(&self) -> &'static str {
        "file"
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        let shards = self.files.iter().map(|(shard, _)| shard.clone()).collect();
        Box::pin(std::future::ready(Ok(shards)))
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        Box::pin(async move {
            let unknown = || Error::new(Kind::Internal, format!("`{}` has no file `{shard}`", self.stream));
            let (_, path) = self.files.iter().find(|(known, _)| known.id == *shard).ok_or_else(unknown)?;
            let reading = Reading {
                stream: self.stream.clone(),
                shard: shard.clone(),
                path: path.clone(),
                options: self.options.clone(),
                from,
            };
            let (to, events) = mpsc::channel(QUEUE);
            let task = task::spawn(&self.runtime, reading.run(to));
            Ok(Box::new(FileReader { events, shard: shard.clone(), _task: task }) as Box<dyn Reader>)
        })
    }
}

/// One file being read.
struct Reading {
    stream: Arc<str>,
    shard: ShardId,
    path: PathBuf,
    options: Options,
    from: From,
}

impl Reading {
    async fn run(self, to: Sender<Result<Event>>) {
        let reading = Arc::new(self);
        let opened = reading.clone();
        let mut rows = match task::blocking(move || opened.open()).await {
            Ok(rows) => rows,
            Err(failed) => {
                let _ = to.send(Err(failed)).await;
                return;
            }
        };
        loop {
            let here = reading.clone();
            let (returned, chunk) = task::blocking(move || {
                let chunk = here.chunk(&mut rows);
                (rows, chunk)
            })
            .await;
            rows = returned;
            let last = !matches!(chunk, Ok(Event::Records { .. }));
            if to.send(chunk).await.is_err() || last {
                return;
            }
        }
    }

    fn open(&self) -> Result<Rows> {
        if self.from == From::Start(Start::Latest) {
            return Ok(Rows::none());
        }
        Rows::open(&self.path, self.options.format, self.options.key.as_deref()).map_err(|failed| self.named(failed))
    }

    fn named(&self, failed: rows::Failed) -> Error {
        Error::new(Kind::Config, format!("file `{}`: {failed}", self.path.display()))
    }

    fn chunk(&self, rows: &mut Rows) -> Result<Event> {
        let done = match &self.from {
            From::After(position) => position.record.map(|(sequence, _)| sequence),
            From::Start(_) => None,
        };
        let (mut keys, mut data, mut sequence) = (CellsBuilder::default(), CellsBuilder::default(), Vec::new());
        while sequence.len() < CHUNK_RECORDS && data.bytes() < CHUNK_BYTES {
            let Some(Row { line, bytes, key }) = rows.read().map_err(|failed| self.named(failed))? else { break };
            let number = Sequence::from_u64(line);
            if done.is_some_and(|done| number <= done) {
                continue;
            }
            keys.push(key.as_bytes());
            data.push(bytes);
            sequence.push(number);
        }
        let Some(last) = sequence.last() else { return Ok(Event::Ended { children: Vec::new() }) };
        let position = Position { record: Some((*last, 0)), continuation: None, as_of_us: rows.modified_us() };
        let records = Arc::new(Records {
            stream: self.stream.clone(),
            shard: self.shard.clone(),
            sub_sequence: vec![0; sequence.len()],
            arrival_us: vec![rows.modified_us(); sequence.len()],
            sequence,
            partition_key: keys.finish(),
        });
        Ok(Event::Records { batch: RawBatch { records, data: data.finish() }, position, behind_ms: None })
    }
}

/// The reading end of a file's queue; dropping it ends the task.
struct FileReader {
    events: Receiver<Result<Event>>,
    shard: ShardId,
    _task: Task<()>,
}

impl Reader for FileReader {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(async {
            let past_end = || Error::new(Kind::Internal, format!("file `{}` was read past its end", self.shard));
            self.events.recv().await.ok_or_else(past_end)?
        })
    }
}

#[cfg(test)]
mod tests;
