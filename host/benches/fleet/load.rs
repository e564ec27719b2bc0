//! What comes in: once, so much that the state has a size; or steadily, a little of everything.
//!
//! The rule: event time stays within one window, so that what came is state and nothing else.

use std::time::Duration;

use anyhow::{Result, anyhow};
use pelton::{
    clock::{self, Clock, SystemClock},
    state::key,
    task::{self, Task},
};
use pelton_emulator::store::Entry;
use serde_json::json;
use tokio::runtime::Handle;

use super::scene::{STREAM, Scene, put};

const START_MS: i64 = 1_700_000_000_000;
/// Of a row of state: its text, and all of it.
const TEXT: usize = 960;
const ROW: u64 = 1024;
/// Records of one call.
const CALL: u64 = 500;
/// Time between two calls of a steady load.
const STEP: Duration = Duration::from_millis(100);

fn record(id: &str, text: &str) -> Entry {
    let data = json!({ "id": id, "text": text, "amount": 1, "at": START_MS }).to_string();
    Entry { data: data.into(), partition_key: id.to_owned(), explicit_hash_key: None }
}

/// Letters and digits that no compression knows, the same in every run: six bits each.
fn text(number: u64) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(TEXT + 10);
    while text.len() < TEXT {
        bits ^= bits >> 12;
        bits ^= bits << 25;
        bits ^= bits >> 27;
        let mut left = bits.wrapping_mul(0x2545_f491_4f6c_dd1d);
        for _ in 0..10 {
            text.push(char::from(SIGNS[(left >> 58) as usize]));
            left <<= 6;
        }
    }
    text.truncate(TEXT);
    text
}

/// Puts what makes so many MiB of rows in a window that stays open: a row of 1 KiB for each record. Gives back how many they are.
pub fn fill(scene: &Scene, mib: u64) -> Result<u64> {
    let rows = (mib << 20) / ROW;
    for from in (0..rows).step_by(CALL as usize) {
        let some = from..rows.min(from + CALL);
        scene.put(some.map(|number| record(&format!("row-{number}"), &text(number))).collect())?;
    }
    Ok(rows)
}

/// Keys of a steady load, one shard after the other, so many of each.
pub fn keys(scene: &Scene, each: usize) -> Result<Vec<String>> {
    let ranges = scene
        .emulator
        .store()
        .with_stream(STREAM, |stream| Ok(stream.shards.iter().map(|shard| shard.range).collect::<Vec<_>>()));
    let ranges = ranges.map_err(|refused| anyhow!("{refused:?}"))?;
    let mut found: Vec<Vec<String>> = vec![Vec::new(); ranges.len()];
    for name in (0..).map(|number| format!("steady-{number}")) {
        let hash = u128::from_be_bytes(key::hash(name.as_bytes()));
        let shard = ranges.iter().position(|range| range.contains(hash));
        if let Some(keys) = shard.map(|shard| &mut found[shard]).filter(|keys| keys.len() < each) {
            keys.push(name);
        }
        if found.iter().all(|keys| keys.len() == each) {
            break;
        }
    }
    Ok((0..each).flat_map(|place| found.iter().map(move |keys| keys[place].clone())).collect())
}

/// Puts so many records a second, of these keys in turn, until it is dropped.
pub fn steady(scene: &Scene, keys: Vec<String>, per_second: usize) -> Task<()> {
    let (store, clock) = (scene.emulator.store(), SystemClock::new());
    let began = clock.elapsed();
    task::spawn(&Handle::current(), async move {
        let mut all = keys.iter().cycle();
        for step in 1.. {
            let some = all.by_ref().take(per_second * STEP.as_millis() as usize / 1_000);
            if let Err(failed) = put(&store, &clock, some.map(|key| record(key, "")).collect()) {
                eprintln!("bench: {failed}");
            }
            // paces: the load is steady, however long a call took
            clock::sleep((began + STEP * step).saturating_sub(clock.elapsed())).await;
        }
    })
}
