//! A Kinesis stream read with enhanced fan-out.
//!
//! What it owes: the promises of [`Source`] over SubscribeToShard. Each open shard is a task on the shared runtime with a
//! bounded queue to its reader; few shards share a client, because a client's shards share one connection.
//! Left to others: which shards to open and in which order (`job`), and what is durable (`checkpoint`).

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Receiver},
};

use crate::{
    aws::{Aws, Settings},
    clock::Clock,
    error::{Error, Kind, Result},
    record::{Sequence, ShardId},
    source::{Event, From, Pending, Reader, Shard, Source},
    task::{self, Task},
};

mod aggregate;
mod control;
mod events;
mod fan_out;
pub mod machine;
mod retention;
mod service_clock;

pub use machine::Timing;
use retention::Retention;
use service_clock::ServiceClock;

/// Shards that share a client: two that are not read for a while leave room for a third in the connection's window.
const SHARDS_PER_CLIENT: usize = 2;
/// Events that wait for the reader; each holds at most what the service sends at once, about 2 MB.
const QUEUE: usize = 4;

/// Which stream, and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// the stream's name
    pub stream: String,
    /// the registered consumer's name, shared by all workers of a job
    pub consumer: String,
    /// account, region and endpoint
    pub aws: Settings,
    /// the waits of a subscription
    pub timing: Timing,
    /// go on where records are not kept any more that were never read
    pub accept_loss: bool,
}

/// A stream with its consumer registered.
pub struct Kinesis {
    stream: Arc<str>,
    consumer_arn: Arc<str>,
    created_us: i64,
    retention: Retention,
    aws: Aws,
    control: Client,
    clients: Mutex<Vec<Arc<Client>>>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
    service_clock: ServiceClock,
    timing: Timing,
}

impl Kinesis {
    /// Finds the stream and registers the consumer, waiting until it may read.
    pub async fn connect(options: Options, runtime: Handle, clock: Arc<dyn Clock>) -> Result<Self> {
        let Options { stream, consumer, aws, timing, accept_loss } = options;
        let service_clock = ServiceClock::new(clock.clone());
        let (name, seer) = (stream.clone(), service_clock.clone());
        let asked = task::spawn(&runtime, async move {
            let aws = aws.load().await?;
            let control = aws.kinesis_client_seen_by(seer);
            let summary = control::summary(&control, &name).await?;
            let consumer_arn = control::consumer(&control, &summary.arn, &consumer).await?;
            Ok::<_, Error>((aws, control, summary, consumer_arn))
        });
        let (aws, control, summary, consumer_arn) = asked.join().await?;
        let stream: Arc<str> = stream.into();
        let retention = Retention::new(control.clone(), stream.clone(), summary.keeps_us, accept_loss);
        Ok(Self {
            stream,
            consumer_arn: consumer_arn.into(),
            created_us: summary.created_us,
            retention,
            aws,
            control,
            clients: Mutex::default(),
            runtime,
            clock,
            service_clock,
            timing,
        })
    }

    /// A client that is used by few other shards.
    fn client(&self) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| Arc::strong_count(client) > 1);
        if let Some(client) = clients.iter().find(|client| Arc::strong_count(client) <= SHARDS_PER_CLIENT) {
            return client.clone();
        }
        let client = Arc::new(self.aws.kinesis_client_seen_by(self.service_clock.clone()));
        clients.push(client.clone());
        client
    }
}

impl Source for Kinesis {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn mode(&self) -> &'static str {
        "fan_out"
    }

    fn created_us(&self) -> Option<i64> {
        Some(self.created_us)
    }

    fn now_us(&self) -> Option<i64> {
        Some(self.service_clock.wall_us())
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        Box::pin(async {
            let (client, stream) = (self.control.clone(), self.stream.clone());
            let listed = task::spawn(&self.runtime, async move { control::list(&client, &stream).await });
            match listed.join().await? {
                control::Listing::Shards(shards) => Ok(shards),
                control::Listing::NoStream => Err(control::no_stream(&self.stream)),
            }
        })
    }

    fn end<'a>(&'a self, shard: &'a ShardId) -> Pending<'a, Result<Option<Sequence>>> {
        Box::pin(async {
            let (client, stream, shard) = (self.control.clone(), self.stream.clone(), shard.clone());
            task::spawn(&self.runtime, async move { control::end(&client, &stream, &shard).await }).join().await
        })
    }

    fn leave(&self) -> Pending<'_, Result<()>> {
        Box::pin(async {
            let (client, consumer) = (self.control.clone(), self.consumer_arn.clone());
            task::spawn(&self.runtime, async move { control::deregister(&client, &consumer).await }).join().await
        })
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        Box::pin(async move {
            let fan_out = fan_out::FanOut {
                client: self.client(),
                control: self.control.clone(),
                stream: self.stream.clone(),
                consumer_arn: self.consumer_arn.clone(),
                shard: shard.clone(),
                clock: self.clock.clone(),
                service_clock: self.service_clock.clone(),
                retention: self.retention.clone(),
                timing: self.timing,
            };
            let (to, events) = mpsc::channel(QUEUE);
            let task = task::spawn(&self.runtime, fan_out.read(from, to));
            Ok(Box::new(ShardReader { events, shard: shard.clone(), _task: task }) as Box<dyn Reader>)
        })
    }
}

/// The reading end of a shard's queue; dropping it ends the task.
struct ShardReader {
    events: Receiver<Result<Event>>,
    shard: ShardId,
    _task: Task<()>,
}

impl Reader for ShardReader {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(async {
            let past_end = || Error::new(Kind::Internal, format!("shard `{}` was read past its end", self.shard));
            self.events.recv().await.ok_or_else(past_end)?
        })
    }
}
