//! One shard read through SubscribeToShard: the machine's steps carried out, events handed to a bounded queue.
//!
//! The rule: **a subscription is never left unread.** Shards of one client share a connection and its window, so a shard whose
//! queue stays full gives its subscription up and comes back when there is room.
//! Left to others: when to call (`machine`), and what the bytes mean (`decode`).

use std::sync::Arc;

use aws_sdk_kinesis::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::subscribe_to_shard::SubscribeToShardError,
    primitives::{DateTime, event_stream::EventReceiver},
    types::{
        ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
        error::SubscribeToShardEventStreamError,
    },
};
use tokio::sync::mpsc::Sender;
use tracing::{debug, info, warn};

use super::{
    control::{self, Listing},
    events,
    machine::{Failure, Machine, Place, Step, Timing},
    retention::Retention,
    service_clock::ServiceClock,
};
use crate::{
    aws,
    clock::{self, Clock},
    error::{Error, Kind, Result},
    random,
    record::{Sequence, ShardId},
    source::{Event, From, Start},
};

type Subscription = EventReceiver<SubscribeToShardEventStream, SubscribeToShardEventStreamError>;

/// One shard and what is needed to read it.
pub struct FanOut {
    /// shared with few other shards
    pub client: Arc<Client>,
    /// for everything but subscribing
    pub control: Client,
    /// the stream's name
    pub stream: Arc<str>,
    /// the registered consumer
    pub consumer_arn: Arc<str>,
    /// the shard
    pub shard: ShardId,
    /// time
    pub clock: Arc<dyn Clock>,
    /// the time by which records arrive
    pub service_clock: ServiceClock,
    /// what the stream keeps
    pub retention: Retention,
    /// the waits
    pub timing: Timing,
}

/// The reader of the queue is gone, or has been told everything.
struct Over;

/// A shard being read.
struct Running {
    shard: FanOut,
    machine: Machine,
    subscription: Option<Subscription>,
    done: Option<(Sequence, u32)>,
    /// what arrived before this is done or handed over; none where nothing was promised yet
    as_of_us: Option<i64>,
    to: Sender<Result<Event>>,
}

impl FanOut {
    /// Reads until the shard ends, the queue's reader is dropped, or the stream says what cannot be mended.
    pub async fn read(self, from: From, to: Sender<Result<Event>>) {
        let machine = Machine::new(&from, self.timing, random::jitter);
        let (done, as_of_us) = match &from {
            From::After(position) => (position.record, Some(position.as_of_us)),
            From::Start(_) => (None, None),
        };
        let mut running = Running { shard: self, machine, subscription: None, done, as_of_us, to };
        while running.step().await.is_ok() {}
    }

    async fn subscribe(&self, place: &Place) -> std::result::Result<Subscription, SdkError<SubscribeToShardError>> {
        let call = self.client.subscribe_to_shard().consumer_arn(&*self.consumer_arn).shard_id(self.shard.as_str());
        Ok(call.starting_position(starting_position(place)).send().await?.event_stream)
    }

    /// What a "not found" means: the shard was trimmed, or stream or consumer are gone (a failure, not an end). A trimmed shard ends;
    /// where something of it was read before, what was not read of it is lost.
    fn gone(&self, listing: Listing, is_begun: bool) -> Result<Event> {
        let (stream, shard) = (&self.stream, &self.shard);
        match listing {
            Listing::NoStream => Err(Error::new(
                Kind::Unavailable,
                format!("stream `{stream}` is gone: it was deleted while being read"),
            )),
            Listing::Shards(shards) if shards.iter().any(|listed| listed.id == *shard) => {
                let message = format!(
                    "consumer `{}` of stream `{stream}` is gone: it was deregistered; start again to register it",
                    self.consumer_arn
                );
                Err(Error::new(Kind::Unavailable, message))
            }
            Listing::Shards(shards) => {
                if is_begun {
                    self.retention.lost(shard, "read in part, but the stream keeps nothing of it any more")?;
                }
                let children = shards.into_iter().filter(|listed| listed.parents.contains(shard)).collect();
                Ok(Event::Ended { children })
            }
        }
    }
}

impl Running {
    async fn step(&mut self) -> std::result::Result<(), Over> {
        match self.machine.next(self.shard.clock.elapsed()) {
            Step::Wait(wait) => tokio::select! {
                () = clock::sleep(wait) => Ok(()),
                () = self.to.closed() => Err(Over),
            },
            Step::Call(place) => self.call(&place).await,
            Step::Receive => self.receive().await,
            Step::Gone => {
                let last = self.shard.gone(self.listing().await?, self.as_of_us.is_some());
                self.finish(last).await
            }
            Step::Invalid => {
                let message = format!(
                    "stream `{}` refuses to read shard `{}`: the position or the consumer is not valid there",
                    self.shard.stream, self.shard.shard
                );
                self.finish(Err(Error::new(Kind::Unavailable, message))).await
            }
        }
    }

    /// The listing of the stream, asked for until it comes: one call that failed ends no job.
    async fn listing(&self) -> std::result::Result<Listing, Over> {
        let Timing { pause, refused_pause, .. } = self.shard.timing;
        for attempt in 0.. {
            match control::list(&self.shard.control, &self.shard.stream).await {
                Ok(listing) => return Ok(listing),
                Err(failed) => self.note(&failed),
            }
            tokio::select! {
                () = clock::sleep(random::back_off(attempt, pause, refused_pause)) => {}
                () = self.to.closed() => return Err(Over),
            }
        }
        Err(Over)
    }

    /// Whether the place that is asked for next is kept; false where it is not and the oldest that is kept is asked for instead.
    async fn is_kept(&mut self) -> Result<bool> {
        let Some(as_of_us) = self.as_of_us else { return Ok(true) };
        let now_us = self.shard.service_clock.wall_us();
        let holds = self.shard.retention.holds(&self.shard.shard, as_of_us, now_us).await?;
        if !holds {
            self.as_of_us = None;
            self.machine.skip_to_horizon();
        }
        Ok(holds)
    }

    async fn call(&mut self, place: &Place) -> std::result::Result<(), Over> {
        match self.is_kept().await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(lost) => return self.finish(Err(lost)).await,
        }
        let answer = tokio::select! {
            answer = clock::timeout(self.shard.timing.silence, self.shard.subscribe(place)) => answer,
            () = self.to.closed() => return Err(Over),
        };
        let now = self.shard.clock.elapsed();
        match answer {
            Some(Ok(subscription)) => {
                debug!(stream = %self.shard.stream, shard = %self.shard.shard, ?place, "subscribed");
                self.subscription = Some(subscription);
                self.machine.opened(now, self.shard.service_clock.wall_us());
            }
            Some(Err(refused)) => {
                match refusal(&refused) {
                    Failure::InUse => self.note_in_use(),
                    _ => self.note(&aws::said(&refused)),
                }
                self.machine.failed(now, refusal(&refused));
            }
            None => {
                self.note(&"no answer to SubscribeToShard");
                self.machine.failed(now, Failure::Broken);
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> std::result::Result<(), Over> {
        let Some(subscription) = &mut self.subscription else {
            self.machine.ended(self.shard.clock.elapsed());
            return Ok(());
        };
        let received = tokio::select! {
            received = clock::timeout(self.shard.timing.silence, subscription.recv()) => received,
            () = self.to.closed() => return Err(Over),
        };
        match received {
            Some(Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event)))) => self.hand_over(event).await,
            Some(Ok(Some(_))) => Ok(()),
            Some(Ok(None)) => {
                self.subscription = None;
                self.machine.ended(self.shard.clock.elapsed());
                Ok(())
            }
            Some(Err(broken)) => {
                self.note(&aws::said(&broken));
                self.close(breakage(&broken));
                Ok(())
            }
            None => {
                self.note(&"the subscription said nothing for too long");
                self.close(Failure::Broken);
                Ok(())
            }
        }
    }

    fn close(&mut self, failure: Failure) {
        self.subscription = None;
        self.machine.failed(self.shard.clock.elapsed(), failure);
    }

    async fn hand_over(&mut self, event: SubscribeToShardEvent) -> std::result::Result<(), Over> {
        let context = events::Context {
            stream: &self.shard.stream,
            shard: &self.shard.shard,
            wall_us: self.shard.service_clock.wall_us(),
            done: self.done,
        };
        let as_of_us = events::as_of_us(context.wall_us, event.millis_behind_latest);
        let ended = event.continuation_sequence_number.is_empty();
        let continuation = event.continuation_sequence_number.clone();
        let children = events::children(event.child_shards.as_deref().unwrap_or_default());
        match events::translate(event, &context) {
            Ok(Some((event, done))) => {
                self.push(event).await?;
                self.done = done;
            }
            Ok(None) => {}
            Err(failed) => return self.finish(Err(failed)).await,
        }
        if ended {
            let end = children.map(|children| Event::Ended { children });
            return self.finish(end).await;
        }
        self.machine.accepted(&continuation);
        self.as_of_us = Some(as_of_us);
        Ok(())
    }

    /// Waits for room. When that takes long the subscription is given up; the event in hand is still delivered.
    async fn push(&mut self, event: Event) -> std::result::Result<(), Over> {
        let permit = match clock::timeout(self.shard.timing.stall, self.to.reserve()).await {
            Some(permit) => permit,
            None => {
                debug!(stream = %self.shard.stream, shard = %self.shard.shard, "queue full: subscription dropped");
                self.subscription = None;
                self.machine.dropped(self.shard.clock.elapsed());
                self.to.reserve().await
            }
        };
        permit.map_err(|_| Over)?.send(Ok(event));
        Ok(())
    }

    async fn finish(&mut self, last: Result<Event>) -> std::result::Result<(), Over> {
        self.subscription = None;
        // a reader that is gone needs no last word
        let _ = self.to.send(last).await;
        Err(Over)
    }

    /// The rule of the service that a second run meets soon after a first one.
    fn note_in_use(&self) {
        info!(
            "stream {}, {}: an earlier reader's subscription still stands; waiting up to {} s for the service to let this one in",
            self.shard.stream,
            self.shard.shard,
            (self.shard.timing.after_success + self.shard.timing.pause).as_secs_f32().ceil()
        );
    }

    fn note(&self, why: &dyn std::fmt::Display) {
        warn!(stream = %self.shard.stream, shard = %self.shard.shard, "subscription failed, trying again: {why}");
    }
}

fn starting_position(place: &Place) -> StartingPosition {
    let builder = StartingPosition::builder();
    let builder = match place {
        Place::Start(Start::TrimHorizon) => builder.r#type(ShardIteratorType::TrimHorizon),
        Place::Start(Start::Latest) => builder.r#type(ShardIteratorType::Latest),
        Place::Start(Start::At(at_us)) => {
            let (seconds, rest) = (at_us.div_euclid(1_000_000), at_us.rem_euclid(1_000_000));
            let nanos = u32::try_from(rest * 1_000).expect("below a second");
            let time = DateTime::from_secs_and_nanos(seconds, nanos);
            builder.r#type(ShardIteratorType::AtTimestamp).timestamp(time)
        }
        Place::After(sequence) => builder.r#type(ShardIteratorType::AfterSequenceNumber).sequence_number(sequence),
    };
    builder.build().expect("the type is set")
}

fn refusal(refused: &SdkError<SubscribeToShardError>) -> Failure {
    use SubscribeToShardError as E;
    match refused.as_service_error() {
        Some(E::ResourceNotFoundException(_)) => Failure::Gone,
        Some(E::ResourceInUseException(_)) => Failure::InUse,
        Some(E::LimitExceededException(_) | E::KmsThrottlingException(_)) => Failure::Throttled,
        Some(E::InvalidArgumentException(_)) => Failure::Invalid,
        Some(E::AccessDeniedException(_) | E::KmsAccessDeniedException(_) | E::KmsDisabledException(_)) => {
            Failure::Denied
        }
        Some(E::KmsInvalidStateException(_) | E::KmsNotFoundException(_) | E::KmsOptInRequired(_)) => Failure::Denied,
        Some(other) => match other.code() {
            Some("AccessDenied" | "UnrecognizedClientException" | "InvalidSignatureException") => Failure::Denied,
            Some("ValidationException") => Failure::Invalid,
            _ => Failure::Broken,
        },
        None => Failure::Broken,
    }
}

fn breakage<R>(broken: &SdkError<SubscribeToShardEventStreamError, R>) -> Failure {
    use SubscribeToShardEventStreamError as E;
    match broken.as_service_error() {
        Some(E::ResourceNotFoundException(_)) => Failure::Gone,
        Some(E::ResourceInUseException(_)) => Failure::InUse,
        Some(E::KmsThrottlingException(_)) => Failure::Throttled,
        Some(E::KmsAccessDeniedException(_) | E::KmsDisabledException(_)) => Failure::Denied,
        Some(E::KmsInvalidStateException(_) | E::KmsNotFoundException(_) | E::KmsOptInRequired(_)) => Failure::Denied,
        _ => Failure::Broken,
    }
}
