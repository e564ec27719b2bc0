//! The service without a wire: streams, shards, records, consumers, subscriptions, delivery streams.
//!
//! The rules: everything is synchronous and takes the time as an argument, so tests and the simulator drive it in
//! virtual time; one lock orders all changes, so what a call answered is what the next call sees; with a directory, a
//! record is in its log before it is readable and before the call returns.
//! It knows no JSON and no HTTP (`api/`, `http.rs`) and no files (`disk.rs`).

mod consumer;
mod delivery;
mod error;
mod hash;
mod position;
mod records;
mod reshard;
mod sequence;
mod shard;
mod stream;
mod subscription;

#[cfg(test)]
mod tests;

pub use consumer::{Consumer, ConsumerRef, MAX_CONSUMERS, restored as restored_consumer};
pub use delivery::{Delivery, MAX_BATCH as MAX_DELIVERY_BATCH};
pub use error::{ApiError, ErrorKind, in_use, invalid, limit, not_found};
pub use hash::HashRange;
pub use position::{Iterator, Position, millis};
pub use records::{Entry, Found, Put};
pub use sequence::Sequence;
pub use shard::{Batch, Closed, Record, Shard, id_of, index_of};
pub use stream::{RETENTION_MILLIS, Stream, name_in_arn};
pub use subscription::{ChildShard, Event, IDLE_EVENT_EVERY, Progress, Rules, Step, Subscription};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskError};
use crate::faults::{Call, Fault, Faults, Service, Stage};

/// Milliseconds since 1970.
pub type Millis = u64;

/// All records together; beyond it, puts are refused, so that a forgotten producer cannot eat the machine.
pub const MAX_HELD_BYTES: usize = 8 << 30;
/// The service's own limit is a matter of the account; this one only bounds memory.
const MAX_STREAMS: usize = 1000;

#[derive(Debug)]
pub struct Store {
    rules: Rules,
    state: Mutex<State>,
    disk: Option<Disk>,
    faults: Arc<Faults>,
}

/// What the lock guards.
#[derive(Debug, Default)]
pub struct State {
    pub streams: BTreeMap<String, Stream>,
    pub deliveries: BTreeMap<String, Delivery>,
    held: usize,
    last_subscription: u64,
}

impl State {
    pub fn stream(&self, name: &str) -> Result<&Stream, ApiError> {
        self.streams.get(name).ok_or_else(|| no_stream(name))
    }

    fn stream_mut(&mut self, name: &str) -> Result<&mut Stream, ApiError> {
        self.streams.get_mut(name).ok_or_else(|| no_stream(name))
    }

    /// Counts what restored logs brought.
    pub fn recount(&mut self) {
        let shards = self.streams.values().flat_map(|s| &s.shards);
        let delivered = self.deliveries.values().map(Delivery::held);
        self.held = shards.map(Shard::held).sum::<usize>() + delivered.sum::<usize>();
    }
}

fn no_stream(name: &str) -> ApiError {
    not_found(format!("Stream {name} under account 000000000000 not found."))
}

impl Store {
    pub fn in_memory(rules: Rules) -> Self {
        Self { rules, state: Mutex::default(), disk: None, faults: Arc::default() }
    }

    /// Reads what an earlier store left in `dir`; makes the directory if it is missing.
    pub fn on_disk(dir: &Path, rules: Rules, now: Millis) -> Result<Self, DiskError> {
        let (disk, mut state) = Disk::open(dir)?;
        for stream in state.streams.values_mut() {
            stream.trim(now);
        }
        state.recount();
        Ok(Self { rules, state: Mutex::new(state), disk: Some(disk), faults: Arc::default() })
    }

    /// What goes wrong with calls, and with events of subscriptions.
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is a defect elsewhere; the state itself is changed in single steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at one stream.
    pub fn with_stream<T>(&self, name: &str, look: impl FnOnce(&Stream) -> Result<T, ApiError>) -> Result<T, ApiError> {
        look(self.lock().stream(name)?)
    }

    /// Changes one stream's shape, then makes the change durable.
    fn reshape<T>(&self, name: &str, change: impl FnOnce(&mut Stream) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut state = self.lock();
        let out = change(state.stream_mut(name)?)?;
        self.save(&state)?;
        Ok(out)
    }

    fn save(&self, state: &State) -> Result<(), ApiError> {
        match &self.disk {
            Some(disk) => disk.save(state).map_err(disk_failed),
            None => Ok(()),
        }
    }

    pub fn create_stream(&self, now: Millis, name: &str, shards: u32) -> Result<(), ApiError> {
        let mut state = self.lock();
        if state.streams.contains_key(name) {
            return Err(in_use(format!("Stream {name} under account 000000000000 already exists.")));
        }
        if state.streams.len() >= MAX_STREAMS {
            return Err(limit(format!("the emulator holds {MAX_STREAMS} streams, its limit: delete one")));
        }
        let mut stream = Stream::new(now, name, shards)?;
        if let Some(disk) = &self.disk {
            stream.log = Some(disk.stream_log(name, now).map_err(disk_failed)?);
        }
        state.streams.insert(name.to_owned(), stream);
        self.save(&state)
    }

    /// Refused while the stream has consumers, unless `enforce` is set.
    pub fn delete_stream(&self, name: &str, enforce: bool) -> Result<(), ApiError> {
        let mut state = self.lock();
        let consumers = state.stream(name)?.consumers.len();
        if consumers > 0 && !enforce {
            return Err(in_use(format!(
                "Stream {name} has {consumers} registered consumers: deregister them or set EnforceConsumerDeletion"
            )));
        }
        let gone = state.streams.remove(name);
        self.save(&state)?;
        if let Some(stream) = gone {
            state.held -= stream.shards.iter().map(Shard::held).sum::<usize>().min(state.held);
            if let Some(log) = stream.log {
                log.remove();
            }
        }
        Ok(())
    }

    /// Names after `start`, in order, and whether there are more.
    pub fn stream_names(&self, start: Option<&str>, most: usize) -> (Vec<String>, bool) {
        let state = self.lock();
        let after = |name: &&String| start.is_none_or(|s| name.as_str() > s);
        let mut names: Vec<_> = state.streams.keys().filter(after).take(most.saturating_add(1)).cloned().collect();
        let more = names.len() > most;
        names.truncate(most);
        (names, more)
    }

    pub fn split_shard(&self, now: Millis, stream: &str, shard: &str, key: &str) -> Result<(), ApiError> {
        self.reshape(stream, |s| reshard::split(s, now, shard, key))
    }

    pub fn merge_shards(&self, now: Millis, stream: &str, shard: &str, adjacent: &str) -> Result<(), ApiError> {
        self.reshape(stream, |s| reshard::merge(s, now, shard, adjacent))
    }

    /// Scales to even ranges; returns how many shards were open before.
    pub fn update_shard_count(&self, now: Millis, stream: &str, target: u32) -> Result<usize, ApiError> {
        let most = self.rules.scalings_a_day;
        self.reshape(stream, |s| {
            let before = s.open_count();
            reshard::scale(s, now, target, most)?;
            Ok(before)
        })
    }

    pub fn register_consumer(&self, now: Millis, stream: &str, name: &str) -> Result<Consumer, ApiError> {
        self.reshape(stream, |s| consumer::register(s, now, name))
    }

    pub fn deregister_consumer(&self, reference: &ConsumerRef<'_>) -> Result<(), ApiError> {
        self.reshape(stream_of(reference)?, |s| consumer::deregister(s, reference))
    }

    pub fn consumer(&self, reference: &ConsumerRef<'_>) -> Result<Consumer, ApiError> {
        self.with_stream(stream_of(reference)?, |s| consumer::find(s, reference).cloned())
    }

    /// A subscription for the consumer with this ARN; ask it with `step`.
    pub fn subscribe(
        &self,
        now: Millis,
        consumer_arn: &str,
        shard: &str,
        position: &Position,
    ) -> Result<Subscription, ApiError> {
        let mut state = self.lock();
        state.last_subscription += 1;
        let id = state.last_subscription;
        let stream = state.stream_mut(name_in_arn(consumer_arn)?)?;
        let consumer = consumer::find(stream, &ConsumerRef::Arn(consumer_arn))?.name.clone();
        subscription::open(stream, &self.rules, now, id, &consumer, shard, position)
    }

    pub fn step(&self, now: Millis, subscription: &mut Subscription) -> Step {
        if let Some(step) = subscription.spoilt(now) {
            return step;
        }
        let mut state = self.lock();
        let name = subscription.stream.clone();
        let step = subscription.step(state.streams.get_mut(&name), now);
        drop(state);
        match step {
            Step::Event(event) => self.spoil(now, subscription, event),
            other => other,
        }
    }

    /// An event, or what a fault makes of it.
    fn spoil(&self, now: Millis, subscription: &mut Subscription, event: Event) -> Step {
        let shard = subscription.shard_id();
        let call = Call {
            service: Service::Kinesis,
            operation: "SubscribeToShard",
            stream: Some(&subscription.stream),
            shard: Some(&shard),
            at_sequence: false,
            conditional: false,
        };
        let mut fired = self.faults.draw(Stage::Event, &call).into_iter().map(|f| f.fault).peekable();
        match fired.peek() {
            None => Step::Event(event),
            Some(Fault::Stall) => subscription.stall(now),
            Some(Fault::ResetEvent) => Step::Drop,
            Some(_) => {
                subscription.repeat(event.clone());
                Step::Event(event)
            }
        }
    }
}

fn stream_of<'a>(reference: &ConsumerRef<'a>) -> Result<&'a str, ApiError> {
    match reference {
        ConsumerRef::Arn(arn) => name_in_arn(arn),
        ConsumerRef::Name { stream, .. } => Ok(stream),
    }
}

fn disk_failed(error: DiskError) -> ApiError {
    ApiError::new(ErrorKind::InternalFailure, error.to_string())
}
