//! Tests of the whole core in virtual time: subscription rules, lineage through readers, files.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::disk::DiskError;

const NOW: Millis = 1_800_000_000_000;
const RULES: Rules = Rules {
    subscription: Duration::from_secs(300),
    takeover_after: Duration::from_secs(5),
    call_interval: Duration::from_secs(1),
    scalings_a_day: Some(10),
};

fn entry(key: &str) -> Entry {
    Entry { data: Bytes::from(format!("data of {key}")), partition_key: key.into(), explicit_hash_key: None }
}

fn store_with_consumer() -> (Store, String) {
    let store = Store::in_memory(RULES);
    store.create_stream(NOW, "s", 1).unwrap();
    let arn = store.register_consumer(NOW, "s", "c").unwrap().arn;
    (store, arn)
}

fn subscribe(store: &Store, now: Millis, arn: &str, position: Position) -> Result<Subscription, ErrorKind> {
    store.subscribe(now, arn, &id_of(0), &position).map_err(|e| e.kind)
}

fn event(step: Step) -> Event {
    match step {
        Step::Event(event) => event,
        other => panic!("no event but {other:?}"),
    }
}

fn continuation(event: &Event) -> Sequence {
    match event.progress {
        Progress::Continuation(number) => number,
        Progress::Children(_) => panic!("the shard is over"),
    }
}

fn keys(event: &Event) -> Vec<&str> {
    event.records.iter().map(|r| r.partition_key.as_str()).collect()
}

#[test]
fn calls_too_soon_are_refused_and_later_ones_take_over() {
    let (store, arn) = store_with_consumer();
    let mut first = subscribe(&store, NOW, &arn, Position::Latest).unwrap();
    let refused = |after| subscribe(&store, NOW + after, &arn, Position::Latest).err();
    assert_eq!(refused(10), Some(ErrorKind::ResourceInUse));
    assert_eq!(refused(500), Some(ErrorKind::LimitExceeded));
    assert_eq!(refused(1009), Some(ErrorKind::LimitExceeded));
    assert_eq!(refused(1010), Some(ErrorKind::ResourceInUse));
    assert_eq!(refused(4999), Some(ErrorKind::ResourceInUse));
    assert_eq!(refused(5000), Some(ErrorKind::LimitExceeded));
    event(store.step(NOW + 5000, &mut first));
    first.wake.mark_unchanged();
    let mut second = subscribe(&store, NOW + 6000, &arn, Position::Latest).unwrap();
    assert!(first.wake.has_changed().unwrap(), "whoever was taken over is woken");
    let Step::Fail(error) = store.step(NOW + 6000, &mut first) else { panic!("not taken over") };
    assert_eq!(error.kind, ErrorKind::ResourceInUse);
    assert_eq!(
        error.message,
        "Another active subscription exists for this consumer: 000000000000:s:shardId-000000000000:c"
    );
    assert_eq!(store.step(NOW + 6000, &mut first), Step::End);
    event(store.step(NOW + 6000, &mut second));
}

#[test]
fn a_subscription_idles_and_expires() {
    let (store, arn) = store_with_consumer();
    let mut subscription = subscribe(&store, NOW, &arn, Position::TrimHorizon).unwrap();
    let mut newest = continuation(&event(store.step(NOW, &mut subscription)));
    for second in 1..300u64 {
        let now = NOW + second * 1000;
        match store.step(now, &mut subscription) {
            Step::Event(event) => {
                assert_eq!(second % 5, 0, "an idle event every five seconds");
                let next = continuation(&event);
                assert!(next > newest && event.records.is_empty());
                newest = next;
            }
            Step::Wait { until } => assert_eq!(until, NOW + second.div_ceil(5) * 5000),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.step(NOW + 300_000, &mut subscription), Step::End);
}

#[test]
fn any_continuation_is_a_place_to_go_on() {
    let (store, arn) = store_with_consumer();
    let mut subscription = subscribe(&store, NOW, &arn, Position::Latest).unwrap();
    let mut places = vec![continuation(&event(store.step(NOW, &mut subscription)))];
    for i in 0..5u64 {
        let now = NOW + i;
        store.put_records(now, "s", vec![entry(&format!("k{i}"))]).unwrap();
        places.push(continuation(&event(store.step(now, &mut subscription))));
    }
    for (i, place) in places.iter().enumerate() {
        for (turn, position) in
            [Position::After(place.to_string()), Position::At(place.to_string())].into_iter().enumerate()
        {
            let now = NOW + 10_000 * (1 + 2 * i + turn) as u64;
            let mut again = subscribe(&store, now, &arn, position).unwrap();
            assert_eq!(keys(&event(store.step(now, &mut again))).len(), 5 - i, "after {i}");
        }
    }
}

#[test]
fn a_closed_shard_ends_with_its_children() {
    let (store, arn) = store_with_consumer();
    let mut subscription = subscribe(&store, NOW, &arn, Position::TrimHorizon).unwrap();
    store.put_records(NOW, "s", vec![entry("a"), entry("b")]).unwrap();
    store.split_shard(NOW, "s", &id_of(0), "1000").unwrap();
    let last = event(store.step(NOW, &mut subscription));
    assert_eq!(keys(&last), ["a", "b"]);
    let Progress::Children(children) = last.progress else { panic!("no children") };
    assert_eq!(children.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [id_of(1), id_of(2)]);
    assert_eq!(children[1].range.start, 1000);
    assert_eq!(store.step(NOW, &mut subscription), Step::End);
    // A reader that comes later, and after the last record, sees the end as well.
    let mut late = subscribe(&store, NOW + 9000, &arn, Position::Latest).unwrap();
    assert!(matches!(event(store.step(NOW + 9000, &mut late)).progress, Progress::Children(c) if c.len() == 2));
}

#[test]
fn deleting_ends_subscriptions_and_iterators() {
    let (store, arn) = store_with_consumer();
    let iterator = store.shard_iterator(NOW, "s", &id_of(0), &Position::TrimHorizon).unwrap();
    let mut subscription = subscribe(&store, NOW, &arn, Position::Latest).unwrap();
    assert_eq!(store.delete_stream("s", false).unwrap_err().kind, ErrorKind::ResourceInUse);
    store.delete_stream("s", true).unwrap();
    store.create_stream(NOW + 1, "s", 1).unwrap();
    let Step::Fail(error) = store.step(NOW, &mut subscription) else { panic!("lives on") };
    assert_eq!(error.kind, ErrorKind::ResourceNotFound);
    assert_eq!(store.get_records(NOW, &iterator, None).unwrap_err().kind, ErrorKind::InvalidArgument);
}

#[test]
fn iterators_expire() {
    let (store, _) = store_with_consumer();
    let iterator = store.shard_iterator(NOW, "s", &id_of(0), &Position::TrimHorizon).unwrap();
    assert!(store.get_records(NOW + 300_000, &iterator, None).is_ok());
    let late = store.get_records(NOW + 300_001, &iterator, None);
    assert_eq!(late.unwrap_err().kind, ErrorKind::ExpiredIterator);
}

/// What all shards of "s" hold, by shard.
fn contents(store: &Store) -> Vec<(String, Vec<String>)> {
    let read = |stream: &Stream| {
        let of = |shard: &Shard| {
            let batch = shard.read(NOW, shard.starting(), 1000, 1 << 20);
            let text = |r: &std::sync::Arc<Record>| format!("{} {} {:?}", r.sequence, r.partition_key, r.data);
            (
                format!("{} {:?} {:?}", shard.id(), shard.closed, shard.children),
                batch.records.iter().map(text).collect(),
            )
        };
        Ok(stream.shards.iter().map(of).collect())
    };
    store.with_stream("s", read).unwrap()
}

fn filled(dir: &std::path::Path) -> (Vec<(String, Vec<String>)>, PathBuf) {
    let store = Store::on_disk(dir, RULES, NOW).unwrap();
    store.create_stream(NOW, "s", 2).unwrap();
    store.register_consumer(NOW, "s", "c").unwrap();
    store.put_records(NOW, "s", (0..20).map(|i| entry(&format!("k{i}"))).collect()).unwrap();
    store.split_shard(NOW, "s", &id_of(0), "77").unwrap();
    store.put_records(NOW, "s", (0..20).map(|i| entry(&format!("k{i}"))).collect()).unwrap();
    store.create_delivery(NOW, "d").unwrap();
    store.deliver("d", vec![Bytes::from_static(b"x"), Bytes::new()]).unwrap();
    (contents(&store), dir.join(format!("s@{NOW}.log")))
}

#[test]
fn a_directory_gives_back_what_was_put() {
    let dir = tempfile::tempdir().unwrap();
    let (before, _) = filled(dir.path());
    let store = Store::on_disk(dir.path(), RULES, NOW).unwrap();
    assert_eq!(contents(&store), before);
    assert_eq!(store.delivered("d"), [b"x".to_vec(), Vec::new()]);
    let name = ConsumerRef::Name { stream: "s", consumer: "c" };
    assert!(store.consumer(&name).is_ok());
    let newest = before.iter().flat_map(|(_, r)| r).max().unwrap().clone();
    let put = store.put_records(NOW, "s", vec![entry("k0")]).unwrap()[0];
    assert!(before[put.shard as usize].1.iter().all(|r| *r < put.sequence.to_string()), "{newest}");
    let second = Store::on_disk(dir.path(), RULES, NOW);
    assert!(matches!(second, Err(DiskError::InUse(_))), "one emulator per directory");
    drop(store);
    store_forgets_the_deleted(dir.path());
}

fn store_forgets_the_deleted(dir: &std::path::Path) {
    let store = Store::on_disk(dir, RULES, NOW).unwrap();
    store.delete_stream("s", true).unwrap();
    drop(store);
    let store = Store::on_disk(dir, RULES, NOW).unwrap();
    assert!(store.stream_names(None, 10).0.is_empty());
    assert!(!dir.join(format!("s@{NOW}.log")).exists());
}

#[test]
fn every_torn_tail_is_dropped_and_writing_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (before, log) = filled(dir.path());
    let whole = fs::read(&log).unwrap();
    let all: usize = before.iter().map(|(_, r)| r.len()).sum();
    for cut in 1..80 {
        fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        let store = Store::on_disk(dir.path(), RULES, NOW).unwrap();
        let left: usize = contents(&store).iter().map(|(_, r)| r.len()).sum();
        assert!(left < all && left >= all - 2, "{cut}: {left}");
        store.put_records(NOW, "s", vec![entry("more")]).unwrap();
        drop(store);
        let store = Store::on_disk(dir.path(), RULES, NOW).unwrap();
        assert_eq!(contents(&store).iter().map(|(_, r)| r.len()).sum::<usize>(), left + 1);
    }
}

#[test]
fn damage_before_the_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_, log) = filled(dir.path());
    let whole = fs::read(&log).unwrap();
    let mut bad = whole.clone();
    bad[20] ^= 1;
    fs::write(&log, &bad).unwrap();
    assert!(matches!(Store::on_disk(dir.path(), RULES, NOW), Err(DiskError::Damaged { .. })));
    fs::write(&log, &whole).unwrap();
    OpenOptions::new().append(true).open(&log).unwrap().write_all(&[0xff; 100]).unwrap();
    assert!(matches!(Store::on_disk(dir.path(), RULES, NOW), Err(DiskError::Damaged { .. })));
    fs::write(&log, &whole).unwrap();
    let meta = dir.path().join("meta.json");
    let text = fs::read_to_string(&meta).unwrap().replace("\"version\": 1", "\"version\": 9");
    fs::write(&meta, text).unwrap();
    assert!(matches!(Store::on_disk(dir.path(), RULES, NOW), Err(DiskError::Version { found: 9, .. })));
}
