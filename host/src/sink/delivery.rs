//! Results on their way to a service that takes many at once and may refuse some of them.
//!
//! The rules: one request is under way per sink; what was refused is sent again, alone and first; **an entry is never overtaken
//! by a later one of its key**, so a request holds one entry a key, because the service may take the second and refuse the
//! first. Memory is bounded: a sink that waits makes its writer wait.
//! Each entry is the row as a JSON object with a last member `_pelton`: `{"id": ..., "generation": ..., "fence": ...}`, or as an Avro record
//! with a field of that name. The id is the same each time, the highest generation and fence win. Left to others: the calls themselves
//! (`kinesis`, `firehose`).

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Handle;
use tracing::warn;

use crate::{
    clock,
    error::{Error, Happened, Kind, Result},
    permit::Permit,
    random,
    record::{Batch, RowReject},
    sink::{
        Writer,
        avro::{Encoder, Identity},
        id::{Id, Ids},
        json_lines,
    },
    source::Pending,
    task,
};

pub mod aws;

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// for messages; it stands in the data too
    pub id: Id,
    /// decides the order, and the shard where there are shards
    pub key: String,
    /// what is sent
    pub data: Vec<u8>,
}

/// Entries with their rows in the batch.
type RowEntries = Vec<(u32, Entry)>;

impl Entry {
    fn size(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

/// What one request may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// entries
    pub entries: usize,
    /// bytes of all entries, keys included
    pub bytes: usize,
    /// bytes of one entry
    pub entry: usize,
}

/// Whether the order of one key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// one entry a key in a request
    PerKey,
    /// the service keeps none
    None,
}

/// How often and how fast an entry is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// sendings of one entry before the sink fails
    pub attempts: u32,
    /// bound of the first wait
    pub base: Duration,
    /// bound of any wait
    pub most: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 40, base: Duration::from_millis(100), most: Duration::from_secs(5) }
    }
}

/// Why a whole request failed.
#[derive(Debug)]
pub struct CallFailed {
    /// in words
    pub why: String,
    /// sending it again cannot help
    pub is_final: bool,
    /// whether entries may be there nevertheless
    pub happened: Happened,
}

/// For each entry of a request: nothing when it was taken, else why not.
pub type Outcomes = std::result::Result<Vec<Option<String>>, CallFailed>;

/// A service that takes many entries at once.
pub trait Service: Send + Sync + 'static {
    /// One request, on the shared runtime. Whatever it sends to the service, an own attempt again too, it sends only while the permit holds.
    fn send(&self, entries: Vec<Arc<Entry>>, permit: Permit) -> Pending<'static, Outcomes>;
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Form {
    /// a JSON object, with these bytes behind it
    Json(&'static [u8]),
    /// an Avro record
    Avro(Box<Encoder>),
}

/// A sink's queue to a service.
pub struct Delivery {
    name: String,
    service: Arc<dyn Service>,
    runtime: Handle,
    limits: Limits,
    order: Order,
    form: Form,
    retry: Retry,
    identity: Option<(Writer, Ids)>,
    queue: VecDeque<(Arc<Entry>, u32)>,
    bytes: usize,
}

impl Delivery {
    /// Nothing is sent before [`Delivery::recover`].
    pub fn new(
        name: String,
        service: Arc<dyn Service>,
        runtime: Handle,
        limits: Limits,
        order: Order,
        form: Form,
    ) -> Self {
        let (retry, identity, queue) = (Retry::default(), None, VecDeque::new());
        Self { name, service, runtime, limits, order, form, retry, identity, queue, bytes: 0 }
    }

    /// Other waits between attempts.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// What is taken from now on is of this generation.
    pub fn go_on(&mut self, generation: u64) {
        if let Some((writer, _)) = &mut self.identity {
            writer.generation = generation;
        }
    }

    /// Forgets what was not delivered and writes as this owner.
    pub fn recover(&mut self, writer: Writer) {
        self.queue.clear();
        self.bytes = 0;
        let ids = Ids::new(&writer.job, &self.name);
        self.identity = Some((writer, ids));
    }

    /// Takes rows and waits while more than a request's worth is not delivered. Gives back what no request can hold.
    pub async fn write(&mut self, batch: &Batch, key: Option<&str>) -> Result<Vec<RowReject>> {
        let place = |failed: Error| failed.at(format!("sink `{}`", self.name));
        let (entries, mut rejects) = self.entries(batch, key).map_err(place)?;
        for (row, entry) in entries {
            if let Some(message) = self.too_large(&entry) {
                rejects.push(RowReject { row, code: "result_too_large".to_owned(), message });
                continue;
            }
            self.push(entry);
            self.drain(self.limits.bytes, self.limits.entries).await?;
        }
        Ok(rejects)
    }

    /// The entry of each row, and the rows that have none.
    fn entries(&self, batch: &Batch, key: Option<&str>) -> Result<(RowEntries, Vec<RowReject>)> {
        let unready = || Error::new(Kind::Internal, "it is written to before it has recovered");
        let (writer, ids) = self.identity.as_ref().ok_or_else(unready)?;
        let mut keys = key.map(|field| json_lines::texts(batch, field)).transpose()?;
        let who =
            ids.of(batch).into_iter().map(|id| Identity { id, generation: writer.generation, fence: writer.fence });
        let mut entry = |row: u32, who: Identity, data: Vec<u8>| {
            let key = keys.as_mut().and_then(|keys| keys[row as usize].take()).filter(|key| !key.is_empty());
            (row, Entry { id: who.id, key: key.unwrap_or_else(|| who.id.to_string()), data })
        };
        let mut entries = Vec::with_capacity(batch.len());
        let mut rejects = Vec::new();
        match &self.form {
            Form::Json(end) => {
                let (rows, refused) = json_lines::rows(batch)?;
                rejects = refused;
                for (row, who) in (0u32..).zip(who).filter(|(row, _)| !rows.cell(*row as usize).is_empty()) {
                    let object = rows.cell(row as usize);
                    let mut data = json_lines::with_identity(object, who.id, who.generation, who.fence);
                    data.extend_from_slice(end);
                    entries.push(entry(row, who, data));
                }
            }
            Form::Avro(encoder) => {
                let bad = |e| Error::new(Kind::Internal, format!("rows cannot be written as Avro: {e}"));
                let rows = Encoder::plain(&batch.fields).map_err(bad)?;
                for (row, who) in (0u32..).zip(who) {
                    match encoder.encode(&rows, row as usize, who) {
                        Ok(data) => entries.push(entry(row, who, data)),
                        Err(message) => rejects.push(RowReject { row, code: "not_in_schema".to_owned(), message }),
                    }
                }
            }
        }
        Ok((entries, rejects))
    }

    /// Returns when everything is delivered.
    pub async fn flush(&mut self) -> Result<()> {
        self.drain(0, 0).await
    }

    fn too_large(&self, entry: &Entry) -> Option<String> {
        let (size, most) = (entry.size(), self.limits.entry);
        (size > most).then(|| {
            let what = "with its key, more than the service takes";
            format!("result {} has {size} bytes {what} ({most}); make it smaller", entry.id)
        })
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.size();
        self.queue.push_back((Arc::new(entry), 0));
    }

    async fn drain(&mut self, bytes: usize, entries: usize) -> Result<()> {
        while !self.queue.is_empty() && (self.bytes > bytes || self.queue.len() > entries) {
            self.request().await?;
        }
        Ok(())
    }

    /// The places in the queue that go into the next request, in order.
    fn chosen(&self) -> Vec<usize> {
        let mut keys = HashSet::new();
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for (place, (entry, _)) in self.queue.iter().enumerate() {
            if self.order == Order::PerKey && !keys.insert(entry.key.as_str()) {
                continue;
            }
            bytes += entry.size();
            if chosen.len() == self.limits.entries || (bytes > self.limits.bytes && !chosen.is_empty()) {
                break;
            }
            chosen.push(place);
        }
        chosen
    }

    async fn request(&mut self) -> Result<()> {
        let permit = self.identity.as_ref().map_or_else(Permit::unlimited, |(writer, _)| writer.permit.clone());
        permit.check().map_err(|e| e.at(format_args!("sink `{}`", self.name)))?;
        let chosen = self.chosen();
        let entries = chosen.iter().map(|place| self.queue[*place].0.clone()).collect();
        let service = self.service.clone();
        let sent = task::spawn(&self.runtime, async move { service.send(entries, permit).await });
        match sent.join().await {
            Ok(outcomes) if outcomes.len() == chosen.len() => self.settle(&chosen, outcomes).await,
            Ok(outcomes) => {
                let message = format!("sink `{}`: {} outcomes for {} entries", self.name, outcomes.len(), chosen.len());
                Err(Error::new(Kind::Internal, message))
            }
            Err(failed) if failed.is_final => Err(self.given_up(&failed.why, failed.happened)),
            Err(failed) => {
                let refused = vec![Some(failed.why); chosen.len()];
                self.settle(&chosen, refused).await
            }
        }
    }

    /// What was taken leaves the queue; the rest keeps its place and waits a while.
    async fn settle(&mut self, chosen: &[usize], outcomes: Vec<Option<String>>) -> Result<()> {
        let mut worst: Option<(u32, String)> = None;
        for (place, outcome) in chosen.iter().zip(outcomes).rev() {
            match outcome {
                None => {
                    let taken = self.queue.remove(*place).expect("a chosen place is in the queue");
                    self.bytes -= taken.0.size();
                }
                Some(why) => {
                    let attempts = &mut self.queue[*place].1;
                    *attempts += 1;
                    if worst.as_ref().is_none_or(|(most, _)| *attempts > *most) {
                        worst = Some((*attempts, why));
                    }
                }
            }
        }
        let Some((attempts, why)) = worst else { return Ok(()) };
        if attempts >= self.retry.attempts {
            return Err(self.given_up(&format!("{attempts} attempts, the last: {why}"), Happened::Perhaps));
        }
        if attempts.is_power_of_two() {
            warn!(sink = %self.name, attempts, "entries were refused, sending them again: {why}");
        }
        clock::sleep(random::back_off(attempts - 1, self.retry.base, self.retry.most)).await;
        Ok(())
    }

    fn given_up(&self, why: &str, happened: Happened) -> Error {
        let happened = match happened {
            Happened::No => "nothing of the last request was written",
            Happened::Perhaps => "the last request may have been written",
        };
        Error::new(Kind::Unavailable, format!("sink `{}` cannot deliver: {why}; {happened}", self.name))
    }
}

#[cfg(test)]
mod tests;
