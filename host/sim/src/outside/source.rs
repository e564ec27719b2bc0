//! The stream as workers read it: the host's own state machine of a subscription over the emulator's core, without sockets.

use std::{sync::Arc, time::Duration};

use pelton::{
    clock::{self, Clock},
    error::{Error, Kind, Result},
    random,
    record::{CellsBuilder, RawBatch, Records, Sequence, ShardId},
    source::{
        Event, From, Pending, Position, Reader, Shard, Source,
        kinesis::machine::{Failure, Machine, Place, Step, Timing},
        resume,
    },
};
use pelton_emulator::store::{self, ApiError, ErrorKind, Progress, Record, Subscription, id_of};

use super::network::Caller;
use crate::world::{STREAM, World};

/// The stream, as one worker reaches it.
pub struct SimSource {
    /// the worker
    pub caller: Caller,
    /// its clock
    pub clock: Arc<dyn Clock>,
}

impl SimSource {
    fn listed(world: &World) -> Vec<Shard> {
        let listed = world.kinesis.with_stream(STREAM, |stream| Ok(stream.shards.iter().map(shard).collect()));
        listed.unwrap_or_default()
    }
}

fn shard(shard: &store::Shard) -> Shard {
    Shard {
        id: ShardId::new(shard.id()),
        parents: shard.parents.iter().map(|parent| ShardId::new(id_of(*parent))).collect(),
        hash_range: (shard.range.start, shard.range.end),
    }
}

impl Source for SimSource {
    fn stream(&self) -> &str {
        STREAM
    }

    fn now_us(&self) -> Option<i64> {
        Some(self.caller.world.now_ms() as i64 * 1000)
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        Box::pin(self.caller.call("ListShards", "", SimSource::listed))
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        let done = match &from {
            From::After(position) => position.record,
            From::Start(_) => None,
        };
        let reader = SimReader {
            caller: self.caller.clone(),
            clock: self.clock.clone(),
            shard: shard.clone(),
            machine: Machine::new(&from, Timing::default(), random::jitter),
            subscription: None,
            done,
            children: None,
        };
        Box::pin(std::future::ready(Ok(Box::new(reader) as Box<dyn Reader>)))
    }
}

struct SimReader {
    caller: Caller,
    clock: Arc<dyn Clock>,
    shard: ShardId,
    machine: Machine,
    subscription: Option<Subscription>,
    done: Option<(Sequence, u32)>,
    /// the shard has ended, and this is still to be said
    children: Option<Vec<Shard>>,
}

fn failure(error: &ApiError) -> Failure {
    match error.kind {
        ErrorKind::ResourceNotFound => Failure::Gone,
        ErrorKind::ResourceInUse => Failure::InUse,
        ErrorKind::LimitExceeded | ErrorKind::ProvisionedThroughputExceeded => Failure::Throttled,
        ErrorKind::InvalidArgument | ErrorKind::Validation => Failure::Invalid,
        _ => Failure::Broken,
    }
}

impl SimReader {
    async fn event(&mut self) -> Result<Event> {
        loop {
            if let Some(children) = self.children.take() {
                return Ok(Event::Ended { children });
            }
            match self.machine.next(self.clock.elapsed()) {
                Step::Wait(time) => clock::sleep(time).await,
                Step::Call(place) => self.subscribe(place).await,
                Step::Receive => {
                    if let Some(event) = self.receive().await? {
                        return Ok(event);
                    }
                }
                Step::Gone => return Err(Error::new(Kind::Unavailable, format!("shard {} is gone", self.shard))),
                Step::Invalid => {
                    return Err(Error::new(Kind::Unavailable, format!("the position in {} is refused", self.shard)));
                }
            }
        }
    }

    async fn subscribe(&mut self, place: Place) {
        let position = match place {
            Place::After(number) => store::Position::After(number),
            Place::Start(pelton::source::Start::TrimHorizon) => store::Position::TrimHorizon,
            Place::Start(pelton::source::Start::Latest) => store::Position::Latest,
            Place::Start(pelton::source::Start::At(at_us)) => store::Position::AtTime((at_us / 1000) as u64),
        };
        let (shard, throttled) = (self.shard.to_string(), self.caller.world.strikes("throttle"));
        let answer = self.caller.call("SubscribeToShard", self.shard.as_str(), move |world| {
            if throttled {
                return Err(ApiError::new(ErrorKind::LimitExceeded, "throttled"));
            }
            world.kinesis.subscribe(world.now_ms(), &world.consumer_arn, &shard, &position)
        });
        let answer = answer.await;
        let now = self.clock.elapsed();
        match answer {
            Ok(Ok(subscription)) => {
                self.machine.opened(now, self.caller.world.now_ms() as i64 * 1000);
                self.subscription = Some(subscription);
            }
            Ok(Err(refused)) => self.machine.failed(now, failure(&refused)),
            Err(_) => self.machine.failed(now, Failure::Broken),
        }
    }

    async fn receive(&mut self) -> Result<Option<Event>> {
        let world = self.caller.world.clone();
        if world.strikes("event_delayed") {
            let wait = world.dice(|dice| dice.between(Duration::from_millis(100), Duration::from_secs(4)));
            clock::sleep(wait).await;
        }
        let now = self.clock.elapsed();
        let Some(subscription) = &mut self.subscription else {
            self.machine.failed(now, Failure::Broken);
            return Ok(None);
        };
        if world.strikes("subscription_broken") {
            world.note(format!("{} subscription to {} breaks", self.caller.name, self.shard));
            self.subscription = None;
            self.machine.failed(now, Failure::Broken);
            return Ok(None);
        }
        match world.kinesis.step(world.now_ms(), subscription) {
            store::Step::Event(event) => return Ok(self.translate(&world, event)),
            store::Step::Wait { until } => {
                let wait = Duration::from_millis(until.saturating_sub(world.now_ms()).max(1));
                tokio::select! {
                    biased;
                    _ = subscription.wake.changed() => {
                        let way = world.dice(|dice| dice.between(Duration::from_millis(1), Duration::from_millis(60)));
                        clock::sleep(way).await;
                    }
                    () = clock::sleep(wait) => {}
                }
            }
            store::Step::Drop => {
                self.subscription = None;
                self.machine.failed(now, Failure::Broken);
            }
            store::Step::End => {
                self.subscription = None;
                self.machine.ended(now);
            }
            store::Step::Fail(failed) => {
                self.subscription = None;
                self.machine.failed(now, failure(&failed));
            }
        }
        Ok(None)
    }

    fn translate(&mut self, world: &World, event: store::Event) -> Option<Event> {
        let behind_ms = event.millis_behind;
        let as_of_us = (world.now_ms().saturating_sub(behind_ms)) as i64 * 1000;
        let continuation = match &event.progress {
            Progress::Continuation(number) => Some(number.to_string()),
            Progress::Children(children) => {
                let child = |child: &store::ChildShard| Shard {
                    id: ShardId::new(&child.id),
                    parents: child.parents.iter().map(ShardId::new).collect(),
                    hash_range: (child.range.start, child.range.end),
                };
                self.children = Some(children.iter().map(child).collect());
                None
            }
        };
        if let Some(continuation) = &continuation {
            self.machine.accepted(continuation);
        }
        let batch = resume::after(&raw(&self.shard, &event.records), self.done);
        self.done = batch.as_ref().and_then(resume::last).or(self.done);
        let position = Position { record: self.done, continuation: continuation.clone(), as_of_us };
        match batch {
            Some(batch) => Some(Event::Records { batch, position, behind_ms: Some(behind_ms) }),
            None => continuation.is_some().then_some(Event::Progress { position, behind_ms }),
        }
    }
}

fn raw(shard: &ShardId, records: &[Arc<Record>]) -> RawBatch {
    let (mut keys, mut data) = (CellsBuilder::default(), CellsBuilder::default());
    for record in records {
        keys.push(record.partition_key.as_bytes());
        data.push(&record.data);
    }
    let sequence = |record: &Arc<Record>| record.sequence.to_string().parse().expect("a sequence number is one");
    RawBatch {
        records: Arc::new(Records {
            stream: STREAM.into(),
            shard: shard.clone(),
            sequence: records.iter().map(sequence).collect(),
            sub_sequence: vec![0; records.len()],
            partition_key: keys.finish(),
            arrival_us: records.iter().map(|record| record.arrival as i64 * 1000).collect(),
        }),
        data: data.finish(),
    }
}

impl Reader for SimReader {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(self.event())
    }
}
