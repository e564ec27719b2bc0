//! What the Kinesis source makes of answers that the emulator never gives: trimmed shards, calls that fail, a clock of its own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response},
    routing::post,
};
use pelton::{
    aws::Settings,
    clock::SystemClock,
    error::Kind,
    record::{Sequence, ShardId},
    source::{
        Event, From, Position, Source, Start,
        kinesis::{Kinesis, Options},
    },
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::service::{next, timing};

/// A stream whose one shard is not found. What ListShards says comes first from here: none is a failure of the service.
#[derive(Clone, Default)]
struct Script {
    listings: Arc<Mutex<VecDeque<Option<Value>>>>,
    calls: Arc<Mutex<Vec<String>>>,
    /// what every answer says
    date: Option<&'static str>,
}

impl Script {
    fn answer(&self, call: &str) -> (u16, Value) {
        self.calls.lock().unwrap().push(call.to_owned());
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";
        match call {
            "DescribeStreamSummary" => (
                200,
                json!({ "StreamDescriptionSummary": {
                    "StreamName": "clicks", "StreamARN": arn, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24,
                    "StreamCreationTimestamp": 1_700_000_000.0, "EnhancedMonitoring": [], "OpenShardCount": 1,
                } }),
            ),
            "DescribeStreamConsumer" => (
                200,
                json!({ "ConsumerDescription": {
                    "ConsumerName": "job", "ConsumerARN": format!("{arn}/consumer/job:1"), "ConsumerStatus": "ACTIVE",
                    "ConsumerCreationTimestamp": 1_700_000_000.0, "StreamARN": arn,
                } }),
            ),
            "ListShards" => match self.listings.lock().unwrap().pop_front().unwrap_or(Some(json!([]))) {
                Some(shards) => (200, json!({ "Shards": shards })),
                None => (500, json!({ "__type": "InternalFailure" })),
            },
            _ => (400, json!({ "__type": "ResourceNotFoundException", "message": "there is no such shard" })),
        }
    }

    async fn source(&self, accept_loss: bool) -> Kinesis {
        let service = Router::new().route("/", post(answer)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let server = async move { axum::serve(listener, service).await.unwrap() };
        // it ends with the test's runtime
        std::mem::forget(pelton::task::spawn(&Handle::current(), server));
        let aws = Settings { endpoint, ..Settings::default() };
        let options = Options { stream: "clicks".into(), consumer: "job".into(), aws, timing: timing(), accept_loss };
        Kinesis::connect(options, Handle::current(), SystemClock::shared()).await.unwrap()
    }

    fn subscribed(&self) -> bool {
        self.calls.lock().unwrap().iter().any(|call| call == "SubscribeToShard")
    }
}

async fn answer(State(script): State<Script>, headers: HeaderMap) -> Response<Body> {
    let target = headers.get("x-amz-target").unwrap().to_str().unwrap();
    let (status, body) = script.answer(target.rsplit('.').next().unwrap());
    let builder = Response::builder().status(status).header("content-type", "application/x-amz-json-1.1");
    let builder = script.date.into_iter().fold(builder, |builder, date| builder.header("date", date));
    builder.body(Body::from(body.to_string())).unwrap()
}

/// A position up to which everything was done so long ago.
fn done_before(age: Duration) -> From {
    let record = Some((Sequence::from_u64(7), 0));
    let as_of_us = SystemClock::shared().wall_us() - age.as_micros() as i64;
    From::After(Position { record, continuation: None, as_of_us })
}

async fn first(source: &Kinesis, from: From) -> pelton::error::Result<Event> {
    let mut reader = source.open(&ShardId::new("shardId-000000000000"), from).await.unwrap();
    next(reader.as_mut()).await
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_shard_that_is_trimmed_in_the_middle_is_data_loss_unless_that_is_accepted() {
    let script = Script::default();
    let lost = first(&script.source(false).await, done_before(HOUR)).await.unwrap_err();
    assert!(lost.kind() == Kind::DataLoss && lost.to_string().contains("--accept-loss"), "{lost}");
    let ended = Event::Ended { children: Vec::new() };
    assert_eq!(first(&script.source(true).await, done_before(HOUR)).await.unwrap(), ended);
    let unread = first(&script.source(false).await, From::Start(Start::TrimHorizon)).await.unwrap();
    assert_eq!(unread, ended, "nothing was promised of a shard that was never read");
}

#[tokio::test]
async fn a_position_older_than_what_the_stream_keeps_is_data_loss() {
    let script = Script::default();
    let lost = first(&script.source(false).await, done_before(25 * HOUR)).await.unwrap_err();
    assert!(lost.kind() == Kind::DataLoss && lost.to_string().contains("keeps 24 hours"), "{lost}");
    assert!(!script.subscribed(), "the service would have answered with what is left");
    first(&script.source(true).await, done_before(25 * HOUR)).await.unwrap();
    assert!(script.subscribed());
}

#[tokio::test]
async fn a_listing_that_fails_is_asked_for_again() {
    let script = Script::default();
    // more than the SDK tries by itself
    script.listings.lock().unwrap().extend(std::iter::repeat_n(None, 7));
    let ended = first(&script.source(false).await, From::Start(Start::TrimHorizon)).await.unwrap();
    assert_eq!(ended, Event::Ended { children: Vec::new() });
    assert!(script.listings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn time_is_that_of_the_service() {
    let script = Script { date: Some("Tue, 14 Nov 2023 22:13:20 GMT"), ..Script::default() };
    let source = script.source(false).await;
    let now_us = source.now_us().unwrap();
    assert!((1_700_000_000_000_000..1_700_000_600_000_000).contains(&now_us), "{now_us}");
}
