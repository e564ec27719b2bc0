//! The directory of an emulator that outlives its process.
//!
//! `meta.json` (written beside and renamed) holds shapes: streams, shards, consumers, delivery streams. `NAME@CREATED.log`
//! holds a stream's records, `NAME@CREATED.delivered` a delivery stream's, as frames: length of the payload (u32), its
//! CRC-32 (u32), payload. The rule: a frame cut off at the end of a log is what a killed process leaves and is dropped;
//! a bad frame before the end is damage and refused. Writes reach the operating system, not necessarily the disk
//! itself: they survive a killed process, not a power cut. Records past retention stay in the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::store::{Closed, Delivery, HashRange, Millis, Record, Sequence, Shard, State, Stream, restored_consumer};

const VERSION: u32 = 1;
const FRAME_HEAD: usize = 8;
/// Above every record and entry that the store takes.
const MAX_FRAME: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{0} is used by another emulator or registry: stop it or give another directory")]
    InUse(PathBuf),
    #[error("{path} is damaged: {what}; restore it or give another directory")]
    Damaged { path: PathBuf, what: String },
    #[error("{path} was written by version {found}, this emulator knows version {VERSION}")]
    Version { path: PathBuf, found: u32 },
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + use<'a> {
    move |source| DiskError::Io { action, path: path.to_owned(), source }
}

#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    /// Held, not read: the lock ends with the process.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    version: u32,
    streams: Vec<StreamMeta>,
    deliveries: Vec<DeliveryMeta>,
}

#[derive(Serialize, Deserialize)]
struct DeliveryMeta {
    name: String,
    created: Millis,
}

#[derive(Serialize, Deserialize)]
struct StreamMeta {
    name: String,
    created: Millis,
    last_consumer_born: u64,
    /// Names with their times of creation.
    consumers: Vec<(String, u64)>,
    shards: Vec<ShardMeta>,
    #[serde(default)]
    scaled: Vec<Millis>,
}

/// Hash keys and sequence numbers are texts: JSON's numbers are too small.
#[derive(Serialize, Deserialize)]
struct ShardMeta {
    start: String,
    end: String,
    birth: u64,
    opened: Millis,
    parents: Vec<u32>,
    children: Vec<u32>,
    closed: Option<(Millis, String)>,
}

impl Disk {
    pub fn open(dir: &Path) -> Result<(Self, State), DiskError> {
        fs::create_dir_all(dir).map_err(io_error("make", dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(DiskError::InUse(dir.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
        let disk = Self { dir: dir.to_owned(), _lock: lock };
        let state = disk.load()?;
        Ok((disk, state))
    }

    pub fn stream_log(&self, name: &str, created: Millis) -> Result<Log, DiskError> {
        Log::open(self.dir.join(format!("{name}@{created}.log")), |_| Ok(()))
    }

    pub fn delivery_log(&self, name: &str, created: Millis) -> Result<Log, DiskError> {
        Log::open(self.dir.join(format!("{name}@{created}.delivered")), |_| Ok(()))
    }

    /// Writes the shapes of everything.
    pub fn save(&self, state: &State) -> Result<(), DiskError> {
        let meta = Meta {
            version: VERSION,
            streams: state.streams.values().map(stream_meta).collect(),
            deliveries: state
                .deliveries
                .values()
                .map(|d| DeliveryMeta { name: d.name.clone(), created: d.created })
                .collect(),
        };
        let path = self.dir.join("meta.json");
        let beside = self.dir.join("meta.json.new");
        let text = serde_json::to_vec_pretty(&meta).map_err(io::Error::from);
        let written = text.and_then(|text| fs::write(&beside, text)).and_then(|()| fs::rename(&beside, &path));
        written.map_err(io_error("write", &path))
    }

    fn load(&self) -> Result<State, DiskError> {
        let path = self.dir.join("meta.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(e) => return Err(io_error("read", &path)(e)),
        };
        let damaged = |what: String| DiskError::Damaged { path: path.clone(), what };
        let meta: Meta = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if meta.version != VERSION {
            return Err(DiskError::Version { path, found: meta.version });
        }
        let mut state = State::default();
        for meta in meta.streams {
            let mut stream = restore_stream(&meta).map_err(damaged)?;
            let log = self.dir.join(format!("{}@{}.log", meta.name, meta.created));
            stream.log = Some(Log::open(log, |payload| take_record(&mut stream, payload))?);
            state.streams.insert(meta.name, stream);
        }
        for DeliveryMeta { name, created } in meta.deliveries {
            let mut records = Vec::new();
            let path = self.dir.join(format!("{name}@{created}.delivered"));
            let log = Log::open(path, |payload| {
                records.push(Bytes::copy_from_slice(payload));
                Ok(())
            })?;
            let delivery = Delivery { name: name.clone(), created, records, log: Some(log) };
            state.deliveries.insert(name, delivery);
        }
        Ok(state)
    }
}

fn stream_meta(stream: &Stream) -> StreamMeta {
    let shard = |shard: &Shard| ShardMeta {
        start: shard.range.start.to_string(),
        end: shard.range.end.to_string(),
        birth: shard.birth,
        opened: shard.opened,
        parents: shard.parents.clone(),
        children: shard.children.clone(),
        closed: shard.closed.map(|c| (c.at, c.ending.to_string())),
    };
    StreamMeta {
        name: stream.name.clone(),
        created: stream.created,
        last_consumer_born: stream.last_consumer_born,
        consumers: stream.consumers.values().map(|c| (c.name.clone(), c.born)).collect(),
        shards: stream.shards.iter().map(shard).collect(),
        scaled: stream.scaled.clone(),
    }
}

fn restore_stream(meta: &StreamMeta) -> Result<Stream, String> {
    let mut stream = Stream::restored(meta.name.clone(), meta.created);
    let count = meta.shards.len();
    for (index, shard) in meta.shards.iter().enumerate() {
        let key = |text: &str| text.parse::<u128>().map_err(|_| format!("'{text}' is not a hash key"));
        let range = HashRange { start: key(&shard.start)?, end: key(&shard.end)? };
        if let Some(&stranger) = shard.parents.iter().chain(&shard.children).find(|&&i| i as usize >= count) {
            return Err(format!("shard {index} of {} names shard {stranger} of {count}", meta.name));
        }
        let mut restored = Shard::new(index as u32, range, shard.birth, shard.opened, shard.parents.clone());
        if let Some((at, ending)) = &shard.closed {
            let ending = ending.parse().map_err(|_| format!("'{ending}' is not a sequence number"))?;
            restored.restore_end(Closed { at: *at, ending }, shard.children.clone());
        }
        stream.insert_shard(restored);
    }
    stream.last_consumer_born = meta.last_consumer_born;
    stream.scaled.clone_from(&meta.scaled);
    for (name, born) in &meta.consumers {
        let consumer = restored_consumer(&stream, name, *born);
        stream.consumers.insert(name.clone(), consumer);
    }
    Ok(stream)
}

/// The payload of a record's frame: shard (u32), number (24 bytes), arrival (u64), length of the key (u16), key, data.
pub fn record_frame(shard: u32, record: &Record) -> Vec<u8> {
    let key = record.partition_key.as_bytes();
    let mut out = Vec::with_capacity(38 + key.len() + record.data.len());
    out.extend_from_slice(&shard.to_be_bytes());
    out.extend_from_slice(&record.sequence.to_bytes());
    out.extend_from_slice(&record.arrival.to_be_bytes());
    out.extend_from_slice(&(key.len() as u16).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&record.data);
    out
}

fn take_record(stream: &mut Stream, payload: &[u8]) -> Result<(), String> {
    let (shard, record) = parse_record(payload).ok_or("a record is malformed")?;
    let count = stream.shards.len();
    let home = stream.shards.get_mut(shard as usize);
    home.ok_or_else(|| format!("a record names shard {shard} of {count}"))?.push(Arc::new(record));
    Ok(())
}

fn parse_record(payload: &[u8]) -> Option<(u32, Record)> {
    let (shard, rest) = payload.split_first_chunk::<4>()?;
    let (sequence, rest) = rest.split_first_chunk::<24>()?;
    let (arrival, rest) = rest.split_first_chunk::<8>()?;
    let (key_size, rest) = rest.split_first_chunk::<2>()?;
    let (key, data) = rest.split_at_checked(usize::from(u16::from_be_bytes(*key_size)))?;
    let record = Record {
        sequence: Sequence::from_bytes(*sequence),
        arrival: u64::from_be_bytes(*arrival),
        partition_key: String::from_utf8(key.to_vec()).ok()?,
        data: Bytes::copy_from_slice(data),
    };
    Some((u32::from_be_bytes(*shard), record))
}

/// One append-only file of frames.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    /// A failed write could not be undone, so nothing may follow it.
    broken: bool,
}

impl Log {
    /// Hands every good frame to `take`, drops a cut-off tail.
    pub fn open(path: PathBuf, mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<Self, DiskError> {
        let options = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = options.map_err(io_error("open", &path))?;
        let length = file.metadata().map_err(io_error("read", &path))?.len();
        let mut reader = io::BufReader::with_capacity(1 << 20, &file);
        let mut size = 0;
        while size < length {
            match read_frame(&mut reader, length - size).map_err(io_error("read", &path))? {
                Frame::Good(payload) => {
                    let damaged = |what| DiskError::Damaged { path: path.clone(), what };
                    take(&payload).map_err(damaged)?;
                    size += (FRAME_HEAD + payload.len()) as u64;
                }
                Frame::CutOff => break,
                Frame::Bad(what) => {
                    let what = format!("{what} at byte {size} of {length}");
                    return Err(DiskError::Damaged { path, what });
                }
            }
        }
        if size < length {
            tracing::warn!(path = %path.display(), dropped = length - size, "dropped a cut-off frame at the end of a log");
            file.set_len(size).map_err(io_error("cut", &path))?;
        }
        file.seek(SeekFrom::End(0)).map_err(io_error("read", &path))?;
        Ok(Self { path, file, size, broken: false })
    }

    /// All payloads with one write; after an error the log is as it was.
    pub fn append(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> Result<(), DiskError> {
        let failed = |source| DiskError::Io { action: "write", path: self.path.clone(), source };
        if self.broken {
            return Err(failed(io::Error::other("an earlier write failed half-way")));
        }
        let mut out = Vec::new();
        for payload in payloads {
            out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            out.extend_from_slice(&crc32fast::hash(&payload).to_be_bytes());
            out.extend_from_slice(&payload);
        }
        if let Err(error) = self.file.write_all(&out) {
            self.broken = self.file.set_len(self.size).is_err();
            return Err(failed(error));
        }
        self.size += out.len() as u64;
        Ok(())
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Puts these payloads in the place of all others: beside, then renamed. After an error the log is as it was.
    pub fn rewrite(&mut self, payloads: impl Iterator<Item = Vec<u8>>) -> Result<(), DiskError> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let beside = PathBuf::from(name);
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &beside)(e)),
            _ => {}
        }
        let mut new = Self::open(beside, |_| Ok(()))?;
        new.append(payloads)?;
        fs::rename(&new.path, &self.path).map_err(io_error("write", &self.path))?;
        new.path.clone_from(&self.path);
        *self = new;
        Ok(())
    }

    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the log of a deleted stream");
        }
    }
}

enum Frame {
    Good(Vec<u8>),
    CutOff,
    Bad(&'static str),
}

fn read_frame(reader: &mut impl Read, left: u64) -> io::Result<Frame> {
    if left < FRAME_HEAD as u64 {
        return Ok(Frame::CutOff);
    }
    let mut head = [0; FRAME_HEAD];
    reader.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let checksum = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    if length > MAX_FRAME {
        return Ok(Frame::Bad("a frame is too long"));
    }
    if (FRAME_HEAD + length) as u64 > left {
        return Ok(Frame::CutOff);
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    if crc32fast::hash(&payload) == checksum {
        return Ok(Frame::Good(payload));
    }
    let last = (FRAME_HEAD + length) as u64 == left;
    Ok(if last { Frame::CutOff } else { Frame::Bad("a frame's checksum is wrong") })
}
