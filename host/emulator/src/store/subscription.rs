//! SubscribeToShard as a state machine that is asked, never one that waits.
//!
//! The rules, per consumer and shard:
//! 1. A call within `takeover_after` of a successful one is refused with ResourceInUse, whether or not that subscription
//!    still runs.
//! 2. Otherwise a call within `call_interval` of the last call that was not itself refused for this reason is refused
//!    with LimitExceeded. (Rule 1 first: a second call at once gets ResourceInUse, a third LimitExceeded.)
//! 3. A call that passes takes over; the older subscription fails with ResourceInUse in its stream.
//! 4. An event has a continuation or children, never both: children come once, with the last records of a closed shard.
//! 5. A subscription ends by itself after the set time.
//!
//! Time comes in as an argument, so a simulator can drive this; waiting and framing are `api/subscribe.rs`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::error::{ApiError, ErrorKind, in_use, limit, not_found};
use super::position::Position;
use super::shard::{Record, Shard};
use super::stream::Stream;
use super::{Millis, Sequence};

/// An idle subscription gets an empty event this often.
pub const IDLE_EVENT_EVERY: Duration = Duration::from_secs(5);
/// The least data that one event is filled up to.
pub const EVENT_BYTES: usize = 1024 * 1024;
pub const EVENT_RECORDS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub subscription: Duration,
    pub takeover_after: Duration,
    pub call_interval: Duration,
    /// How often a stream may be scaled by count in 24 hours; None is without limit.
    pub scalings_a_day: Option<u32>,
}

/// What a consumer remembers about one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    last_call: Option<Millis>,
    last_success: Option<Millis>,
    active: Option<u64>,
}

/// A reader's end of a subscription.
#[derive(Debug)]
pub struct Subscription {
    pub(super) stream: String,
    /// Tells a stream from a later one of the same name.
    stream_created: Millis,
    consumer: String,
    consumer_arn: String,
    shard: u32,
    id: u64,
    next: Sequence,
    continuation: Sequence,
    expires: Millis,
    last_event: Option<Millis>,
    finished: bool,
    /// An event to give once more.
    repeated: Option<Event>,
    stalled: bool,
    /// Changes when there may be something new to ask for.
    pub wake: watch::Receiver<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildShard {
    pub id: String,
    pub parents: Vec<String>,
    pub range: super::HashRange,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Continuation(Sequence),
    /// The shard is over.
    Children(Vec<ChildShard>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub records: Vec<Arc<Record>>,
    pub progress: Progress,
    pub millis_behind: u64,
}

/// What to do next with a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Event(Event),
    /// Ask again at this time, or when `wake` changes.
    Wait {
        until: Millis,
    },
    End,
    Fail(ApiError),
    /// The connection drops: a fault was asked for.
    Drop,
}

/// Admits a call or refuses it; `id` must not have been used before.
pub fn open(
    stream: &mut Stream,
    rules: &Rules,
    now: Millis,
    id: u64,
    consumer: &str,
    shard_id: &str,
    position: &Position,
) -> Result<Subscription, ApiError> {
    let shard = stream.shard(shard_id)?;
    let next = position.resolve(shard, now, &stream.name)?;
    let (index, wake) = (shard.index, shard.watch());
    let continuation = shard.starting();
    let (stream_name, stream_created) = (stream.name.clone(), stream.created);
    let missing = || not_found(format!("Consumer {consumer} is not found for account 000000000000."));
    let owner = stream.consumers.get_mut(consumer).ok_or_else(missing)?;
    let slot = owner.slots.entry(index).or_default();
    slot.admit(rules, now, || format!("000000000000:{stream_name}:{shard_id}:{consumer}"))?;
    slot.active = Some(id);
    let subscription = Subscription {
        stream: stream_name,
        stream_created,
        consumer: consumer.to_owned(),
        consumer_arn: owner.arn.clone(),
        shard: index,
        id,
        next,
        continuation,
        expires: now.saturating_add(rules.subscription.as_millis() as u64),
        last_event: None,
        finished: false,
        repeated: None,
        stalled: false,
        wake,
    };
    stream.shards[index as usize].wake();
    Ok(subscription)
}

impl Slot {
    fn admit(&mut self, rules: &Rules, now: Millis, who: impl Fn() -> String) -> Result<(), ApiError> {
        let within = |then: Option<Millis>, span: Duration| {
            then.is_some_and(|then| u128::from(now.saturating_sub(then)) < span.as_millis())
        };
        let second_of_a_kind = self.last_call != self.last_success;
        let too_often = within(self.last_call, rules.call_interval);
        let in_use_still = within(self.last_success, rules.takeover_after);
        if too_often && (second_of_a_kind || !in_use_still) {
            return Err(limit(format!(
                "Rate exceeded for consumer and shard {}: call SubscribeToShard at most once per {} ms",
                who(),
                rules.call_interval.as_millis()
            )));
        }
        self.last_call = Some(now);
        if in_use_still {
            return Err(in_use(taken(&who())));
        }
        self.last_success = Some(now);
        Ok(())
    }
}

fn taken(who: &str) -> String {
    format!("Another active subscription exists for this consumer: {who}")
}

/// How long a stalled subscription waits before it is asked in vain again.
const STALLED: Duration = Duration::from_secs(600);

impl Subscription {
    pub fn shard_id(&self) -> String {
        super::shard::id_of(self.shard)
    }

    /// Says nothing from now on, and does not end.
    pub(super) fn stall(&mut self, now: Millis) -> Step {
        self.stalled = true;
        Step::Wait { until: now.saturating_add(STALLED.as_millis() as u64) }
    }

    pub(super) fn repeat(&mut self, event: Event) {
        self.repeated = Some(event);
    }

    /// What a fault has left for this step.
    pub(super) fn spoilt(&mut self, now: Millis) -> Option<Step> {
        if self.stalled {
            return Some(self.stall(now));
        }
        self.repeated.take().map(Step::Event)
    }

    /// The one question; the store asks it under its lock. `stream` is None when it is gone.
    pub(super) fn step(&mut self, stream: Option<&mut Stream>, now: Millis) -> Step {
        if self.finished {
            return Step::End;
        }
        let step = self.advance(stream, now);
        match &step {
            Step::Event(event) => {
                self.last_event = Some(now);
                self.finished = matches!(event.progress, Progress::Children(_));
            }
            Step::Wait { .. } => {}
            Step::End | Step::Fail(_) | Step::Drop => self.finished = true,
        }
        step
    }

    fn advance(&mut self, stream: Option<&mut Stream>, now: Millis) -> Step {
        let same = stream.filter(|s| s.created == self.stream_created);
        let Some(stream) = same else {
            let message = format!("Stream {} under account 000000000000 not found.", self.stream);
            return Step::Fail(not_found(message));
        };
        let consumer = stream.consumers.get(&self.consumer);
        let Some(consumer) = consumer.filter(|c| c.arn == self.consumer_arn) else {
            let message = format!("Consumer {} is not found for account 000000000000.", self.consumer);
            return Step::Fail(not_found(message));
        };
        let Some(shard) = stream.shards.get(self.shard as usize) else {
            let message = format!("shard {} of {} is gone", self.shard, self.stream);
            return Step::Fail(ApiError::new(ErrorKind::InternalFailure, message));
        };
        let active = consumer.slots.get(&self.shard).and_then(|slot| slot.active);
        if active != Some(self.id) {
            let who = format!("000000000000:{}:{}:{}", self.stream, shard.id(), self.consumer);
            return Step::Fail(in_use(taken(&who)));
        }
        if now >= self.expires {
            return Step::End;
        }
        self.read(stream, shard, now)
    }

    fn read(&mut self, stream: &Stream, shard: &Shard, now: Millis) -> Step {
        let batch = shard.read(now, self.next, EVENT_RECORDS, EVENT_BYTES);
        let at_end = batch.caught_up && shard.closed.is_some();
        let idle_due = self.last_event.map_or(now, |last| last + IDLE_EVENT_EVERY.as_millis() as u64);
        if batch.records.is_empty() && !at_end && now < idle_due {
            return Step::Wait { until: idle_due.min(self.expires) };
        }
        self.next = batch.next;
        let progress = if at_end {
            Progress::Children(children_of(stream, shard))
        } else {
            let reached = match batch.records.last() {
                Some(last) if !batch.caught_up => last.sequence,
                _ => shard.continuation(now),
            };
            self.continuation = self.continuation.max(reached);
            Progress::Continuation(self.continuation)
        };
        Step::Event(Event { records: batch.records, progress, millis_behind: batch.millis_behind })
    }
}

pub fn children_of(stream: &Stream, shard: &Shard) -> Vec<ChildShard> {
    let child = |&index: &u32| {
        let child = stream.shards.get(index as usize)?;
        Some(ChildShard {
            id: child.id(),
            parents: child.parents.iter().map(|&p| super::shard::id_of(p)).collect(),
            range: child.range,
        })
    };
    shard.children.iter().filter_map(child).collect()
}
