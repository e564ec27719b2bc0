//! Records that were read once, kept in a file without a name, and the source that hands them out again.
//!
//! The rules: what is handed out is what was read, batch by batch; shards take [`Turns`], so that two versions see one order. The file is gone
//! with the process, however that ends, and only its owner could open it.
//! Left to others: what is read (`recording`).

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    cpu,
    turns::{Turn, Turns},
};
use crate::{
    clock,
    error::{Error, Kind, Result},
    random,
    record::{Cells, RawBatch, Records, Sequence, ShardId},
    source::{Event, From, Pending, Position, Reader, Shard, Source, resume},
};

/// Where batches are kept, one after the other.
#[derive(Debug)]
pub struct Tape {
    file: File,
    length: AtomicU64,
    /// CPU time that handing out has taken, nanoseconds
    took: AtomicU64,
}

/// A batch on the tape.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    at: u64,
    bytes: usize,
    records: usize,
    first_us: i64,
    last_us: i64,
}

impl Tape {
    /// An empty one in the folder for temporary files.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("pelton-replay-{:016x}", random::bits()));
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = made.and_then(|file| std::fs::remove_file(&path).map(|()| file)).map_err(failed)?;
        Ok(Self { file, length: AtomicU64::new(0), took: AtomicU64::new(0) })
    }

    /// Keeps a batch that has records.
    pub fn keep(&self, batch: &RawBatch) -> Result<Kept> {
        let bytes = written(batch);
        let at = self.length.fetch_add(bytes.len() as u64, Relaxed);
        self.file.write_all_at(&bytes, at).map_err(failed)?;
        let arrival = |at: Option<&i64>| at.copied().unwrap_or(i64::MIN);
        let (first_us, last_us) = (batch.records.arrival_us.first(), batch.records.arrival_us.last());
        let (first_us, last_us) = (arrival(first_us), arrival(last_us));
        Ok(Kept { at, bytes: bytes.len(), records: batch.len(), first_us, last_us })
    }

    fn give(&self, kept: &Kept, stream: &Arc<str>, shard: &ShardId) -> Result<RawBatch> {
        let began = cpu();
        let mut bytes = vec![0; kept.bytes];
        self.file.read_exact_at(&mut bytes, kept.at).map_err(failed)?;
        let batch = read(&bytes, kept.records, stream, shard);
        let took = cpu().saturating_sub(began).as_nanos();
        self.took.fetch_add(u64::try_from(took).unwrap_or(u64::MAX), Relaxed);
        batch.ok_or_else(|| Error::new(Kind::Internal, "what a replay has kept of its records is damaged"))
    }

    /// The CPU time that handing out has taken since this was last asked.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.took.swap(0, Relaxed))
    }
}

fn failed(e: std::io::Error) -> Error {
    let folder = std::env::temp_dir();
    let words = format!("the records of a replay cannot be kept in {}: {e}; set TMPDIR to another", folder.display());
    Error::new(Kind::State, words)
}

fn written(batch: &RawBatch) -> Vec<u8> {
    let records = &batch.records;
    let mut to = Vec::with_capacity(batch.data.data().len() + records.partition_key.data().len() + batch.len() * 48);
    records.sequence.iter().for_each(|sequence| to.extend(sequence.to_bytes()));
    records.sub_sequence.iter().for_each(|number| to.extend(number.to_le_bytes()));
    records.arrival_us.iter().for_each(|at| to.extend(at.to_le_bytes()));
    for cells in [&records.partition_key, &batch.data] {
        cells.offsets().iter().for_each(|offset| to.extend(offset.to_le_bytes()));
        to.extend_from_slice(cells.data());
    }
    to
}

/// The batch that was written; none where these are not its bytes.
fn read(mut from: &[u8], records: usize, stream: &Arc<str>, shard: &ShardId) -> Option<RawBatch> {
    let from = &mut from;
    let sequence = column(from, records, Sequence::from_bytes)?;
    let sub_sequence = column(from, records, u32::from_le_bytes)?;
    let arrival_us = column(from, records, i64::from_le_bytes)?;
    let mut cells = || -> Option<Cells> {
        let offsets = column(from, records + 1, u32::from_le_bytes)?;
        let data = from.split_off(..*offsets.last()? as usize)?;
        Cells::new(data.to_vec().into(), offsets).ok()
    };
    let (partition_key, data) = (cells()?, cells()?);
    let (stream, shard) = (stream.clone(), shard.clone());
    let records = Records { stream, shard, sequence, sub_sequence, partition_key, arrival_us };
    Some(RawBatch { records: Arc::new(records), data })
}

fn column<const N: usize, T>(from: &mut &[u8], count: usize, one: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let bytes = from.split_off(..count.checked_mul(N)?)?;
    bytes.chunks_exact(N).map(|chunk| Some(one(chunk.try_into().ok()?))).collect()
}

/// A shard that was read.
#[derive(Clone, Debug)]
pub struct Lane {
    /// as it was listed
    pub shard: Shard,
    /// its records
    pub kept: Vec<Kept>,
    /// it was read to its own end
    pub ended: bool,
}

/// A source that was read.
pub struct Recorded {
    /// the stream's name
    pub stream: Arc<str>,
    /// which of the job's sources it is
    pub place: usize,
    /// after that time without a record a shard is idle, microseconds
    pub idle_us: Option<i64>,
    /// what was read of its shards
    pub lanes: Vec<Lane>,
    /// where it is kept
    pub tape: Arc<Tape>,
    /// in which order it is handed out
    pub turns: Arc<Turns>,
}

impl Source for Recorded {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn mode(&self) -> &'static str {
        "recorded"
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        let shards = self.lanes.iter().map(|lane| lane.shard.clone()).collect();
        Box::pin(std::future::ready(Ok(shards)))
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        let unknown = || Error::new(Kind::Internal, format!("nothing was read of shard `{shard}`"));
        let opened = self.lanes.iter().find(|lane| lane.shard.id == *shard).ok_or_else(unknown).map(|lane| {
            let children = self.lanes.iter().filter(|other| other.shard.parents.contains(shard));
            let mut playing = Playing {
                stream: self.stream.clone(),
                place: self.place,
                idle_us: self.idle_us,
                children: children.map(|child| child.shard.clone()).collect(),
                lane: lane.clone(),
                next: 0,
                last: None,
                quiet: 0,
                from,
                tape: self.tape.clone(),
                turn: Turn::new(self.turns.clone()),
            };
            playing.expect();
            Box::new(playing) as Box<dyn Reader>
        });
        Box::pin(std::future::ready(opened))
    }
}

struct Playing {
    stream: Arc<str>,
    place: usize,
    idle_us: Option<i64>,
    children: Vec<Shard>,
    lane: Lane,
    next: usize,
    /// up to where it was handed out
    last: Option<(Sequence, u32)>,
    /// how often it was said that nothing comes any more
    quiet: u32,
    from: From,
    tape: Arc<Tape>,
    turn: Turn,
}

impl Playing {
    /// When the last record arrived.
    fn last_us(&self) -> Option<i64> {
        self.lane.kept[..self.next].last().map(|kept| kept.last_us)
    }

    /// When the next event is due; none once everything was said.
    fn due_us(&self) -> Option<i64> {
        let last_us = self.last_us();
        match self.lane.kept.get(self.next) {
            Some(kept) => Some(kept.first_us.max(last_us.unwrap_or(i64::MIN))),
            None if self.lane.ended => Some(last_us.unwrap_or(i64::MIN)),
            // A shard of which nothing was read is told twice: that it is silent, and then, that it was long enough.
            None if self.quiet > u32::from(last_us.is_none()) => None,
            None => Some(last_us.map_or(i64::MIN, |last_us| last_us.saturating_add(self.idle_us.unwrap_or(0)))),
        }
    }

    fn expect(&mut self) {
        let due = self.due_us().map(|due_us| (due_us, self.place, self.lane.shard.id.clone()));
        self.turn.expect(due);
    }

    fn event(&mut self) -> Result<Event> {
        let done = match &self.from {
            From::After(position) => position.record,
            From::Start(_) => None,
        };
        while let Some(kept) = self.lane.kept.get(self.next) {
            let batch = self.tape.give(kept, &self.stream, &self.lane.shard.id)?;
            self.next += 1;
            let behind_ms = (self.next == self.lane.kept.len() && !self.lane.ended).then_some(0);
            if let Some(batch) = resume::after(&batch, done) {
                self.last = resume::last(&batch);
                let position = Position { record: self.last, continuation: None, as_of_us: kept.last_us };
                return Ok(Event::Records { batch, position, behind_ms });
            }
        }
        if self.lane.ended {
            return Ok(Event::Ended { children: std::mem::take(&mut self.children) });
        }
        self.quiet = self.quiet.saturating_add(1);
        let silent_us = if self.quiet > u32::from(self.last_us().is_none()) { self.idle_us.unwrap_or(0) } else { 0 };
        let as_of_us = self.last_us().unwrap_or(0).saturating_add(silent_us);
        Ok(Event::Progress { position: Position { record: self.last, continuation: None, as_of_us }, behind_ms: 0 })
    }
}

impl Reader for Playing {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(async move {
            self.expect();
            if self.due_us().is_none() {
                // The worker asks again at once: it is told so now and then.
                clock::sleep(Duration::from_millis(100)).await;
            }
            self.turn.come().await;
            self.event()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn batch(arrivals: &[i64]) -> RawBatch {
        let data: Vec<String> = arrivals.iter().map(i64::to_string).collect();
        let data: Cells = data.iter().map(String::as_bytes).collect();
        let records = Records {
            stream: "s".into(),
            shard: ShardId::new("a"),
            sequence: arrivals.iter().map(|at| Sequence::from_u64(*at as u64)).collect(),
            sub_sequence: (0..arrivals.len() as u32).collect(),
            partition_key: data.clone(),
            arrival_us: arrivals.to_vec(),
        };
        RawBatch { records: Arc::new(records), data }
    }

    #[test]
    fn what_is_kept_is_given_back() {
        let tape = Tape::new().unwrap();
        let batches = [batch(&[1, 2, 3]), batch(&[4])];
        let kept = batches.each_ref().map(|batch| tape.keep(batch).unwrap());
        for (kept, batch) in kept.iter().zip(&batches).rev() {
            assert_eq!(tape.give(kept, &"s".into(), &ShardId::new("a")).unwrap(), *batch);
        }
        let bytes = written(&batches[0]);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut], 3, &"s".into(), &ShardId::new("a")).is_none(), "{cut}");
        }
    }
}
