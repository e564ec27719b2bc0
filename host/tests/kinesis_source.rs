//! The Kinesis source against the emulator over real sockets: expiry, split and merge, stalled readers, what is gone.

use std::{collections::BTreeMap, time::Duration};

use pelton::{
    contract,
    error::Kind,
    record::ShardId,
    source::{
        Event, From, Reader, Shard, Source, Start,
        kinesis::{Kinesis, Timing},
    },
};

use crate::service::{Service, next, service, timing};

const TRIM: From = From::Start(Start::TrimHorizon);
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(300);

fn numbers(event: &Event) -> Vec<u64> {
    let Event::Records { batch, .. } = event else { return Vec::new() };
    batch.data.iter().map(|data| std::str::from_utf8(data).unwrap().trim().parse().unwrap()).collect()
}

async fn open(source: &Kinesis, shard: &str, from: From) -> Box<dyn Reader> {
    source.open(&ShardId::new(shard), from).await.unwrap()
}

/// Reads until this many records are there.
async fn take(reader: &mut dyn Reader, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(numbers(&next(reader).await.unwrap()));
    }
    seen
}

/// Reads a shard to its end.
async fn drain(source: &Kinesis, shard: &ShardId) -> (Vec<u64>, Vec<Shard>) {
    let mut reader = source.open(shard, TRIM).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match next(reader.as_mut()).await.unwrap() {
            Event::Ended { children } => return (seen, children),
            event => seen.extend(numbers(&event)),
        }
    }
}

fn id(number: u32) -> String {
    format!("shardId-{number:012}")
}

async fn expiry_split_and_merge(tls: bool) {
    let service = service(SHORT, tls, 1).await;
    let source = service.source("clicks").await.unwrap();
    let mut reader = open(&source, &id(0), TRIM).await;
    let mut seen = Vec::new();
    for round in 0..6 {
        service.put(round * 20..(round + 1) * 20).await;
        seen.extend(take(reader.as_mut(), 20).await);
        while !matches!(next(reader.as_mut()).await.unwrap(), Event::Progress { behind_ms: 0, .. }) {}
    }
    service.split(&id(0), 1 << 127).await;
    service.put(120..160).await;
    service.merge(&id(1), &id(2)).await;
    service.put(160..180).await;
    service.split(&id(3), 1 << 126).await;
    let children = loop {
        if let Event::Ended { children } = next(reader.as_mut()).await.unwrap() {
            break children;
        }
    };
    assert_eq!(children.iter().map(|child| child.id.to_string()).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!((children[0].hash_range.0, children[1].hash_range.1), (0, u128::MAX));
    for child in &children {
        let (records, after) = drain(&source, &child.id).await;
        seen.extend(records);
        assert_eq!(after[0].parents.len(), 2);
    }
    seen.extend(drain(&source, &ShardId::new(id(3))).await.0);
    let mut by_key: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    seen.iter().for_each(|number| by_key.entry(number % 5).or_default().push(*number));
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    seen.sort_unstable();
    assert_eq!(seen, (0..180).collect::<Vec<_>>(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_across_expiry_split_and_merge() {
    expiry_split_and_merge(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_repeated_across_expiry_split_and_merge_over_tls() {
    expiry_split_and_merge(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_ends_keeps_the_contract_of_sources() {
    let service = service(LONG, false, 1).await;
    service.put(0..7).await;
    service.split(&id(0), 1 << 127).await;
    let source = service.source("clicks").await.unwrap();
    assert_eq!(contract::shard(&source, &ShardId::new(id(0))).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stall_take_nothing_from_the_others() {
    let service = service(LONG, true, 4).await;
    // subscriptions stay unread, so that only connections of their own keep shards apart
    let source = service.source_with("clicks", Timing { stall: LONG, ..timing() }).await.unwrap();
    let mut stalled = Vec::new();
    for shard in 0..3u32 {
        let mut reader = open(&source, &id(shard), TRIM).await;
        next(reader.as_mut()).await.unwrap();
        stalled.push(reader);
    }
    for shard in 0..3u32 {
        service.fill(u128::from(shard) << 126, 0..30, 500_000).await;
    }
    let mut healthy = open(&source, &id(3), TRIM).await;
    service.fill(3 << 126, 0..20, 10).await;
    assert_eq!(take(healthy.as_mut(), 20).await, (0..20).collect::<Vec<_>>());
    for reader in &mut stalled {
        assert_eq!(take(reader.as_mut(), 30).await, (0..30).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_back_after_a_stall_finds_everything() {
    let service = service(LONG, false, 1).await;
    let source = service.source("clicks").await.unwrap();
    let mut reader = open(&source, &id(0), TRIM).await;
    service.put(0..1).await;
    let mut seen = take(reader.as_mut(), 1).await;
    // each put is an event of its own, so that the queue is full and the subscription is dropped
    service.fill(0, 1..200, 50_000).await;
    let mut other = open(&source, &id(0), TRIM).await;
    assert_eq!(take(other.as_mut(), 200).await, (0..200).collect::<Vec<_>>());
    drop(other);
    seen.extend(take(reader.as_mut(), 199).await);
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latest_gives_what_comes_after() {
    let service = service(SHORT, false, 1).await;
    service.put(0..3).await;
    let source = service.source("clicks").await.unwrap();
    let mut reader = open(&source, &id(0), From::Start(Start::Latest)).await;
    assert!(matches!(next(reader.as_mut()).await.unwrap(), Event::Progress { .. }));
    service.put(3..5).await;
    assert_eq!(take(reader.as_mut(), 2).await, [3, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_said_and_does_not_look_like_an_end() {
    let service = service(SHORT, false, 1).await;
    let missing = service.source("nix").await.err().unwrap();
    assert!(missing.kind() == Kind::Config && missing.to_string().contains("`nix` does not exist"), "{missing}");
    let failed = read_until_it_fails(&service, |client| Box::pin(deregister(client))).await;
    assert!(failed.kind() == Kind::Unavailable && failed.to_string().contains("deregistered"), "{failed}");
    let failed = read_until_it_fails(&service, |client| Box::pin(delete(client))).await;
    assert!(failed.kind() == Kind::Unavailable && failed.to_string().contains("stream `clicks` is gone"), "{failed}");
}

async fn read_until_it_fails(
    service: &Service,
    harm: fn(aws_sdk_kinesis::Client) -> pelton::source::Pending<'static, ()>,
) -> pelton::error::Error {
    let source = service.source("clicks").await.unwrap();
    let mut reader = open(&source, &id(0), TRIM).await;
    next(reader.as_mut()).await.unwrap();
    harm(service.client.clone()).await;
    loop {
        match next(reader.as_mut()).await {
            Ok(Event::Ended { .. }) => panic!("looks like an end"),
            Ok(_) => {}
            Err(failed) => return failed,
        }
    }
}

async fn deregister(client: aws_sdk_kinesis::Client) {
    let stream = client.describe_stream_summary().stream_name("clicks").send().await.unwrap();
    let arn = stream.stream_description_summary.unwrap().stream_arn;
    client.deregister_stream_consumer().stream_arn(arn).consumer_name("job").send().await.unwrap();
}

async fn delete(client: aws_sdk_kinesis::Client) {
    client.delete_stream().stream_name("clicks").enforce_consumer_deletion(true).send().await.unwrap();
}

/// Every record once and in order, whatever the service does between.
async fn through(rules: &[&str], tls: bool) {
    let service = service(SHORT, tls, 1).await;
    let waits = Timing { silence: Duration::from_millis(1000), ..timing() };
    let source = service.source_with("clicks", waits).await.unwrap();
    let mut reader = open(&source, &id(0), TRIM).await;
    service.emulator.faults().replace(rules.iter().map(|rule| rule.parse().unwrap()).collect());
    let mut seen = Vec::new();
    for round in 0..30 {
        service.put(round * 5..(round + 1) * 5).await;
        seen.extend(take(reader.as_mut(), 5).await);
    }
    assert_eq!(seen, (0..150).collect::<Vec<_>>(), "{rules:?}, TLS {tls}");
    let fired = service.emulator.faults().fired();
    assert!(fired.iter().all(|fired| *fired > 0), "{rules:?} fired {fired:?} times");
    service.emulator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_between_events_lose_and_repeat_nothing() {
    through(&["SubscribeToShard:reset-event:0.2:seed=1"], false).await;
    through(&["SubscribeToShard:reset-event:0.2:seed=2"], true).await;
    through(&["SubscribeToShard:stall:next=2"], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_call_lose_and_repeat_nothing() {
    for (number, fault) in ["reset", "apply-then-fail", "throttle", "fail", "delay=50"].into_iter().enumerate() {
        // Dropped connections bring the calls.
        let rule = format!("SubscribeToShard:{fault}:next=2");
        through(&["SubscribeToShard:reset-event:next=3", &rule], number % 2 == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_is_read_once() {
    through(&["SubscribeToShard:duplicate-event:0.2:seed=1"], false).await;
}
