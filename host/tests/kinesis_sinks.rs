//! The Kinesis and Firehose sinks against the emulator over real sockets, by the contract of sinks.

use std::time::Duration;

use pelton::{
    contract::{self, SinkRig},
    error::{Kind, Result},
    sink::{
        Sink, Writer,
        delivery::Form,
        firehose::{self, FirehoseSink},
        kinesis::{KinesisSink, Options},
    },
    source::{Event, From, Pending, Source, Start},
};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::service::{Service, next, service};

struct Streams {
    service: Service,
    number: u32,
}

impl Streams {
    fn name(&self) -> String {
        format!("results-{}", self.number)
    }

    fn sink(&self, stream: String) -> KinesisSink {
        let options = Options { name: "out".into(), stream, key: Some("key".into()), form: Form::Json(b"") };
        KinesisSink::new(options, self.service.aws.kinesis_client(), Handle::current())
    }

    async fn read(&self) -> Result<Vec<Value>> {
        let source = self.service.source(&self.name()).await?;
        let mut rows = Vec::new();
        for shard in source.shards().await? {
            let mut reader = source.open(&shard.id, From::Start(Start::TrimHorizon)).await?;
            while let Event::Records { batch, behind_ms, .. } = next(reader.as_mut()).await? {
                rows.extend(batch.data.iter().map(|data| serde_json::from_slice::<Value>(data).unwrap()));
                if behind_ms == Some(0) {
                    break;
                }
            }
        }
        Ok(rows)
    }
}

impl SinkRig for Streams {
    fn reset(&mut self) -> Pending<'_, Result<()>> {
        Box::pin(async {
            let old = self.service.client.delete_stream().stream_name(self.name()).enforce_consumer_deletion(true);
            // there is none before the first run
            let _ = old.send().await;
            self.number += 1;
            self.service.emulator.store().create_stream(0, &self.name(), 2).unwrap();
            Ok(())
        })
    }

    fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
        let sink = Box::new(self.sink(self.name())) as Box<dyn Sink>;
        Box::pin(std::future::ready(Ok(sink)))
    }

    fn shown(&mut self) -> Pending<'_, Result<Vec<Value>>> {
        Box::pin(self.read())
    }
}

struct Deliveries {
    service: Service,
    number: u32,
}

impl Deliveries {
    fn name(&self) -> String {
        format!("results-{}", self.number)
    }
}

impl SinkRig for Deliveries {
    fn reset(&mut self) -> Pending<'_, Result<()>> {
        self.number += 1;
        self.service.emulator.store().create_delivery(0, &self.name()).unwrap();
        Box::pin(std::future::ready(Ok(())))
    }

    fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
        let options = firehose::Options { name: "out".into(), delivery_stream: self.name(), form: Form::Json(b"\n") };
        let sink = FirehoseSink::new(options, self.service.aws.firehose_client(), Handle::current());
        Box::pin(std::future::ready(Ok(Box::new(sink) as Box<dyn Sink>)))
    }

    fn shown(&mut self) -> Pending<'_, Result<Vec<Value>>> {
        let text = self.service.emulator.store().delivered(&self.name()).concat();
        let rows = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let rows = rows.map(|line| serde_json::from_slice(line).unwrap()).collect();
        Box::pin(std::future::ready(Ok(rows)))
    }
}

async fn emulator() -> Service {
    service(Duration::from_secs(300), false, 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinesis_keeps_the_contract_of_sinks() {
    let mut rig = Streams { service: emulator().await, number: 0 };
    assert_eq!(contract::sink(&mut rig).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firehose_keeps_the_contract_of_sinks() {
    let mut rig = Deliveries { service: emulator().await, number: 0 };
    assert_eq!(contract::sink(&mut rig).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_results_cross_the_limits_of_a_request() {
    let mut rig = Streams { service: emulator().await, number: 0 };
    rig.reset().await.unwrap();
    let options = Options { name: "out".into(), stream: rig.name(), key: None, form: Form::Json(b"") };
    let mut sink = KinesisSink::new(options, rig.service.aws.kinesis_client(), Handle::current());
    sink.recover(writer(), 0, b"").await.unwrap();
    sink.write(&contract::rows(0..1_600)).await.unwrap();
    sink.prepare(1).await.unwrap();
    let mut numbers: Vec<u64> = rig.read().await.unwrap().iter().map(|row| row["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1_600).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_does_not_exist_is_said_at_once() {
    let rig = Streams { service: emulator().await, number: 0 };
    let mut sink = rig.sink("nix".into());
    sink.recover(writer(), 0, b"").await.unwrap();
    sink.write(&contract::rows(0..1)).await.unwrap();
    let failed = sink.prepare(1).await.unwrap_err();
    assert_eq!(failed.kind(), Kind::Unavailable);
    assert!(failed.to_string().contains("nothing of the last request was written"), "{failed}");
}

fn writer() -> Writer {
    Writer {
        job: "job".into(),
        partition: "p".into(),
        generation: 1,
        fence: 1,
        permit: pelton::permit::Permit::unlimited(),
        set_back: None,
    }
}
