//! An emulator on a free port, and what tests ask of it through the SDK.

use std::{ops::Range, time::Duration};

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use pelton::{
    aws::{Aws, Settings},
    clock::SystemClock,
    error::Result,
    source::{
        Event, Reader,
        kinesis::{Kinesis, Options, Timing},
    },
};
use pelton_emulator::Running;
use tokio::runtime::Handle;

/// An emulator, and a client of it.
pub struct Service {
    pub emulator: Running,
    pub settings: Settings,
    pub aws: Aws,
    pub client: Client,
}

/// Subscriptions that end after this time; the service's other rules shortened likewise.
pub async fn service(subscription: Duration, tls: bool, shards: u32) -> Service {
    let options = pelton_emulator::Options {
        subscription,
        tls_listen: tls.then(|| ([127, 0, 0, 1], 0).into()),
        streams: vec![("clicks".into(), shards)],
        takeover_after: Duration::from_millis(100),
        call_interval: Duration::from_millis(20),
        ..Default::default()
    };
    let emulator = pelton_emulator::start(options).await.unwrap();
    let endpoint = match emulator.tls_addr() {
        Some(address) => format!("https://{address}"),
        None => format!("http://{}", emulator.addr()),
    };
    let ca_pem = emulator.certificate_pem().map(str::to_owned);
    let settings = Settings { endpoint: Some(endpoint), ca_pem, ..Settings::default() };
    let aws = settings.clone().load().await.unwrap();
    let client = aws.kinesis_client();
    Service { emulator, settings, aws, client }
}

/// The waits that go with the emulator's shortened rules.
pub fn timing() -> Timing {
    Timing {
        between_calls: Duration::from_millis(40),
        after_success: Duration::from_millis(150),
        pause: Duration::from_millis(50),
        stall: Duration::from_millis(300),
        ..Timing::default()
    }
}

impl Service {
    pub async fn source(&self, stream: &str) -> Result<Kinesis> {
        self.source_with(stream, timing()).await
    }

    pub async fn source_with(&self, stream: &str, timing: Timing) -> Result<Kinesis> {
        let (stream, consumer) = (stream.to_owned(), "job".to_owned());
        let options = Options { stream, consumer, aws: self.settings.clone(), timing, accept_loss: false };
        Kinesis::connect(options, Handle::current(), SystemClock::shared()).await
    }

    /// Puts each number as a record whose key is the number modulo 5.
    pub async fn put(&self, numbers: Range<u64>) {
        for number in numbers {
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(number.to_string()));
            self.put_one(entry.partition_key((number % 5).to_string()).build().unwrap()).await;
        }
    }

    /// Puts each number as a record of `size` bytes where this hash key is.
    pub async fn fill(&self, hash_key: u128, numbers: Range<u64>, size: usize) {
        for number in numbers {
            let mut data = number.to_string().into_bytes();
            data.resize(size, b' ');
            let entry = PutRecordsRequestEntry::builder().data(Blob::new(data)).partition_key("k");
            self.put_one(entry.explicit_hash_key(hash_key.to_string()).build().unwrap()).await;
        }
    }

    async fn put_one(&self, entry: PutRecordsRequestEntry) {
        let answer = self.client.put_records().stream_name("clicks").records(entry).send().await.unwrap();
        assert_eq!(answer.failed_record_count(), Some(0));
    }

    pub async fn split(&self, shard: &str, at: u128) {
        let call = self.client.split_shard().stream_name("clicks").shard_to_split(shard);
        call.new_starting_hash_key(at.to_string()).send().await.unwrap();
        self.active().await;
    }

    pub async fn merge(&self, shard: &str, with: &str) {
        let call = self.client.merge_shards().stream_name("clicks").shard_to_merge(shard);
        call.adjacent_shard_to_merge(with).send().await.unwrap();
        self.active().await;
    }

    async fn active(&self) {
        let described = self.client.describe_stream_summary().stream_name("clicks");
        loop {
            let answer = described.clone().send().await.unwrap().stream_description_summary.unwrap();
            if answer.stream_status == aws_sdk_kinesis::types::StreamStatus::Active {
                return;
            }
        }
    }
}

/// The next event, or a failed test when there is none for a minute.
pub async fn next(reader: &mut dyn Reader) -> Result<Event> {
    pelton::clock::timeout(Duration::from_secs(60), reader.next()).await.expect("an event within a minute")
}
