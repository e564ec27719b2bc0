//! The two ends of a measured job: a source that repeats the input, and a sink that counts and digests.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use pelton::{
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
    job::live::Live,
    record::{Batch, RowReject, Sequence, ShardId},
    sink::{Prepared, Promise, Sink, Token, Writer},
    source::{Event, From, Pending, Position, Reader, Shard, Source},
};

use super::{
    expected::{Digest, Work, observe},
    input::{PASS_MS, Shifting},
    measure::resident_kib,
};

/// When the source ends. It ends with a whole pass.
#[derive(Clone, Debug)]
pub enum Until {
    /// so many epochs are durable, and so many would be if they ended by time alone
    Epochs(u64, Arc<Live>, SystemClock),
    /// so many records were given
    Records(u64),
}

impl Until {
    fn reached(&self, given: u64) -> bool {
        match self {
            Self::Epochs(epochs, live, clock) => live.now().epoch >= *epochs && clock.elapsed().as_secs() >= *epochs,
            Self::Records(records) => given >= *records,
        }
    }

    /// The last durable epoch, where it is watched: the figures of a shard's partition are gone when the shard has ended.
    fn epochs(&self) -> u64 {
        match self {
            Self::Epochs(_, live, _) => live.now().epoch,
            Self::Records(_) => 0,
        }
    }
}

/// How far the source is, for whoever started it.
#[derive(Debug, Default)]
pub struct Progress {
    pub records: AtomicU64,
    pub passes: AtomicU64,
    /// durable when the source ended
    pub epochs: AtomicU64,
    /// resident memory in KiB at the first batch after so many records
    pub resident: Mutex<Vec<(u64, u64)>>,
}

/// The input as a stream of one shard, once.
pub struct Repeating {
    batches: Mutex<Vec<Shifting>>,
    until: Until,
    progress: Arc<Progress>,
    watched: Vec<u64>,
}

impl Repeating {
    /// `watched`: numbers of records after which resident memory is noted, rising.
    pub fn new(batches: Vec<Shifting>, until: Until, progress: Arc<Progress>, watched: Vec<u64>) -> Self {
        Self { batches: Mutex::new(batches), until, progress, watched }
    }
}

impl Source for Repeating {
    fn stream(&self) -> &str {
        "readings"
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        let shard = Shard { id: ShardId::new("shard-0"), parents: Vec::new(), hash_range: (0, u128::MAX) };
        Box::pin(std::future::ready(Ok(vec![shard])))
    }

    fn open<'a>(&'a self, _: &'a ShardId, _: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        let batches = std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner));
        let reader = Repeater {
            batches,
            until: self.until.clone(),
            progress: self.progress.clone(),
            watched: self.watched.clone(),
            next: 0,
        };
        Box::pin(std::future::ready(Ok(Box::new(reader) as Box<dyn Reader>)))
    }
}

struct Repeater {
    batches: Vec<Shifting>,
    until: Until,
    progress: Arc<Progress>,
    watched: Vec<u64>,
    next: usize,
}

impl Repeater {
    fn event(&mut self) -> Result<Event> {
        let given = self.progress.records.load(Relaxed);
        if self.watched.first().is_some_and(|records| given >= *records) {
            let mut resident = self.progress.resident.lock().unwrap_or_else(PoisonError::into_inner);
            resident.push((self.watched.remove(0), resident_kib().unwrap_or(0)));
        }
        if self.next == self.batches.len() {
            self.next = 0;
            self.progress.passes.fetch_add(1, Relaxed);
            if self.until.reached(given) {
                self.progress.epochs.store(self.until.epochs(), Relaxed);
                return Ok(Event::Ended { children: Vec::new() });
            }
        }
        let shift_ms = self.progress.passes.load(Relaxed) as i64 * PASS_MS;
        let empty = || Error::new(Kind::Internal, "the input is empty or was opened twice");
        let batch = self.batches.get_mut(self.next).ok_or_else(empty)?;
        let raw = batch.raw(shift_ms, given + 1);
        let last = given + batch.len() as u64;
        self.next += 1;
        self.progress.records.store(last, Relaxed);
        let position = Position { record: Some((Sequence::from_u64(last), 0)), continuation: None, as_of_us: 0 };
        Ok(Event::Records { batch: raw, position, behind_ms: None })
    }
}

impl Reader for Repeater {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(std::future::ready(self.event()))
    }
}

/// Counts and digests what it is given.
pub struct Counted {
    work: Work,
    digest: Arc<Mutex<Digest>>,
}

impl Counted {
    pub fn new(work: Work, digest: Arc<Mutex<Digest>>) -> Self {
        Self { work, digest }
    }
}

impl Sink for Counted {
    fn promise(&self) -> Promise {
        Promise::BestEffort
    }

    fn recover(&mut self, _: Writer, _: u64, _: &[u8]) -> Pending<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        let mut digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = observe(self.work, &batch.fields, &mut digest);
        Box::pin(std::future::ready(observed.map(|()| Vec::new())))
    }

    fn prepare(&mut self, _: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(std::future::ready(Ok(Prepared::default())))
    }

    fn commit<'a>(&'a mut self, _: &'a Token) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
