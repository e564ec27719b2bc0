//! What happens to the stream: records are put all the time, and its shards split and merge.

use std::{sync::Arc, time::Duration};

use pelton_emulator::store::{Entry, Shard};
use serde_json::json;
use tokio::time::sleep;

use super::{
    outside::schemas,
    world::{STREAM, World, lock},
};

/// Keys of records.
const KEYS: u64 = 24;
/// Groups of records, where windows are keyed by them.
const GROUPS: u64 = 5;
/// Event times go astray less than the job allows.
const ASTRAY_MS: u64 = 1_900;
/// So many shards are open at most.
const MOST_SHARDS: usize = 6;
/// Keys of records that only move event time begin so.
pub const FLUSH: &str = "flush";

/// Keys of records that nobody can read begin so.
pub const BAD: &str = "bad";

fn entry(world: &World, id: u32, key: String, group: &str, n: u64, at_ms: u64) -> Entry {
    let data = if world.has_schemas() {
        schemas::record(id, &key, group, n as i64, at_ms as i64)
    } else {
        json!({ "key": key, "group": group, "n": n, "at": at_ms }).to_string().into_bytes()
    };
    Entry { data: data.into(), partition_key: key, explicit_hash_key: None }
}

/// Which schema the next records are written with; new ones are registered just before.
fn schema(world: &World) -> u32 {
    let now = world.elapsed();
    if world.has_schemas() && world.strikes("new_schema") {
        let id = lock(&world.schemas).add(now);
        world.note(format!("schema {id} is registered"));
    }
    lock(&world.schemas).newest(now)
}

/// A record that nobody can read, now and then: its schema was never registered, or is of another kind.
fn bad(world: &World, n: u64) -> Option<Entry> {
    let id = match () {
        () if !world.has_schemas() => return None,
        () if world.strikes("unknown_schema") => schemas::UNKNOWN,
        () if world.strikes("incompatible_schema") => schemas::FOREIGN,
        () => return None,
    };
    Some(entry(world, id, format!("{BAD}{n}"), BAD, n, world.now_ms()))
}

/// Puts records for a while.
pub async fn put(world: Arc<World>, time: Duration) {
    let mut n = 0;
    let end = world.elapsed() + time;
    while world.elapsed() < end {
        let count = 1 + world.dice(|dice| dice.below(8));
        let now = world.now_ms();
        let id = schema(&world);
        let bad = bad(&world, n + 1);
        n += u64::from(bad.is_some());
        let entries = (0..count).map(|_| {
            n += 1;
            let (key, group, astray) = world.dice(|dice| (dice.below(KEYS), dice.below(GROUPS), dice.below(ASTRAY_MS)));
            entry(&world, id, format!("key{key}"), &format!("group{group}"), n, now - astray)
        });
        let entries: Vec<Entry> = bad.into_iter().chain(entries).collect();
        let put = world.kinesis.put_records(now, STREAM, entries);
        world.note(format!("producer puts {count} up to {n}: {}", if put.is_ok() { "done" } else { "refused" }));
        let pause = world.dice(|dice| dice.between(Duration::from_millis(20), Duration::from_millis(250)));
        sleep(pause).await;
    }
}

/// Splits and merges shards for a while.
pub async fn reshard(world: Arc<World>, time: Duration) {
    let end = world.elapsed() + time;
    while world.elapsed() < end {
        sleep(Duration::from_secs(1)).await;
        let open = open(&world);
        if open.len() < MOST_SHARDS && world.strikes("split") {
            let (id, start, end) = open[world.dice(|dice| dice.below(open.len() as u64)) as usize].clone();
            let share = world.dice(|dice| 1 + dice.below(7));
            let middle = start + (end - start) / 8 * u128::from(share);
            let split = world.kinesis.split_shard(world.now_ms(), STREAM, &id, &middle.to_string());
            world.note(format!("{id} splits: {split:?}"));
        } else if open.len() > 1 && world.strikes("merge") {
            let place = world.dice(|dice| dice.below(open.len() as u64 - 1)) as usize;
            let merged = world.kinesis.merge_shards(world.now_ms(), STREAM, &open[place].0, &open[place + 1].0);
            world.note(format!("{} and {} merge: {merged:?}", open[place].0, open[place + 1].0));
        }
    }
}

/// Open shards, in the order of their ranges.
fn open(world: &World) -> Vec<(String, u128, u128)> {
    let listed = world.kinesis.with_stream(STREAM, |stream| {
        let is_open = |shard: &&Shard| shard.closed.is_none();
        let open = stream.shards.iter().filter(is_open);
        Ok(open.map(|shard| (shard.id(), shard.range.start, shard.range.end)).collect())
    });
    let mut open: Vec<(String, u128, u128)> = listed.unwrap_or_default();
    open.sort_by_key(|(_, start, _)| *start);
    open
}

/// Moves event time far ahead in every open shard, so that every window of the load fires.
pub fn flush(world: &World) {
    let (now, ahead) = (world.now_ms(), 1_000_000);
    for (id, start, end) in open(world) {
        let of_shard = |key: &String| {
            let hash = u128::from_be_bytes(pelton::state::key::hash(key.as_bytes()));
            (start..=end).contains(&hash)
        };
        let key = (0..1_000_000).map(|number| format!("{FLUSH}{number}")).find(of_shard);
        let Some(key) = key else {
            world.broken(format!("no key lies in {id}"));
            continue;
        };
        let put = world.kinesis.put_records(now, STREAM, vec![entry(world, schema(world), key, FLUSH, 0, now + ahead)]);
        world.note(format!("flush of {id}: {}", put.is_ok()));
    }
}
