//! Whether what sinks have shown is what the log of the stream says.

use std::collections::{BTreeMap, BTreeSet};

use pelton::{decode::instant::instant_text, job::build::DEAD_LETTERS};
use serde_json::Value;

use super::{
    load::{BAD, FLUSH},
    outside::schemas,
    scenario::Scenario,
    world::{STREAM, World, lock},
};

/// Key and start of a window.
type Window = (String, String);
/// Count, total, least, most.
type Content = (i64, i64, i64, i64);

const WINDOW_MS: i64 = 5_000;

/// A record of the log.
struct Logged {
    key: String,
    group: String,
    n: i64,
    at_ms: i64,
}

fn log(world: &World) -> Vec<Logged> {
    let mut all = Vec::new();
    let shards = world.kinesis.with_stream(STREAM, |stream| {
        Ok(stream.shards.iter().map(pelton_emulator::store::Shard::id).collect::<Vec<_>>())
    });
    for shard in shards.unwrap_or_default() {
        let now = world.now_ms();
        let from = pelton_emulator::store::Position::TrimHorizon;
        let mut iterator = world.kinesis.shard_iterator(now, STREAM, &shard, &from).ok();
        while let Some(next) = iterator.take() {
            let Ok(found) = world.kinesis.get_records(now, &next, None) else { break };
            for record in &found.batch.records {
                if world.has_schemas() {
                    let (key, group, n, at_ms) = schemas::read(&record.data);
                    all.push(Logged { key, group, n, at_ms });
                    continue;
                }
                let row: Value = serde_json::from_slice(&record.data).unwrap_or(Value::Null);
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                let number = |name: &str| row[name].as_i64().unwrap_or_default();
                all.push(Logged { key: text("key"), group: text("group"), n: number("n"), at_ms: number("at") });
            }
            if !found.batch.caught_up {
                iterator = found.iterator;
            }
        }
    }
    all
}

/// Windows as a computation over the whole log gives them.
fn windows(log: &[Logged], scenario: Scenario) -> BTreeMap<Window, Content> {
    let mut windows: BTreeMap<Window, Content> = BTreeMap::new();
    for record in log.iter().filter(|record| !record.key.starts_with(FLUSH) && !record.key.starts_with(BAD)) {
        let key = if scenario.is_by_shard() { &record.key } else { &record.group };
        let start = instant_text(record.at_ms / WINDOW_MS * WINDOW_MS * 1000);
        let content = windows.entry((key.clone(), start)).or_insert((0, 0, i64::MAX, i64::MIN));
        *content = (content.0 + 1, content.1 + record.n, content.2.min(record.n), content.3.max(record.n));
    }
    windows
}

/// The last firing of every window that was shown; firings that are there twice.
fn fired(world: &World, scenario: Scenario) -> (BTreeMap<Window, Content>, Vec<String>) {
    let mut firings: BTreeMap<(Window, i64), Content> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (_, row) in lock(&world.shown).exact.get("windows").into_iter().flatten() {
        let row: Value = serde_json::from_slice(row).unwrap_or(Value::Null);
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| row[name].as_i64().unwrap_or_default();
        let key = text(scenario.key());
        if key.starts_with(FLUSH) {
            continue;
        }
        let window = (key, text("window_start"));
        let content = (number("count"), number("total"), number("least"), number("most"));
        if firings.insert((window.clone(), number("firing_number")), content).is_some() {
            wrong.push(format!("firing {} of window {window:?} is there twice", number("firing_number")));
        }
    }
    (firings.into_iter().map(|((window, _), content)| (window, content)).collect(), wrong)
}

/// Whether everything that is to come has come.
pub fn is_complete(world: &World, scenario: Scenario) -> bool {
    let log = log(world);
    let shown = lock(&world.shown);
    let (rows, sent) = (shown.exact.get("rows").map_or(0, Vec::len), shown.sent.len());
    let letters = shown.exact.get(DEAD_LETTERS).map_or(0, Vec::len);
    drop(shown);
    let bad = log.iter().filter(|record| record.key.starts_with(BAD)).count();
    let counted = counts(world).values().map(|count| count.rows.len()).sum::<usize>();
    let has_counted = !scenario.has_counts() || counted + bad >= log.len();
    rows + bad >= log.len() && sent + bad >= log.len() && letters >= bad && has_counted && {
        let fired = fired(world, scenario).0;
        windows(&log, scenario).keys().all(|window| fired.contains_key(window))
    }
}

/// Everything that is wrong.
pub fn judge(world: &World, scenario: Scenario) -> Vec<String> {
    let log = log(world);
    let (fired, mut wrong) = fired(world, scenario);
    letters(world, &log, &mut wrong);
    questions(world, &mut wrong);
    let (_, log): (Vec<Logged>, Vec<Logged>) = log.into_iter().partition(|record| record.key.starts_with(BAD));
    let expected = windows(&log, scenario);
    for (window, content) in &expected {
        match fired.get(window) {
            Some(shown) if shown == content => {}
            shown => wrong.push(format!("window {window:?} holds {content:?} in the log, shown was {shown:?}")),
        }
    }
    let unexpected = fired.keys().filter(|window| !expected.contains_key(*window));
    wrong.extend(unexpected.map(|window| format!("window {window:?} is not in the log")));
    if scenario.has_counts() {
        counted(world, &log, &mut wrong);
    }
    rows(world, &log, &mut wrong);
    sent(world, &log, &mut wrong);
    wrong
}

/// Exactly the records that nobody can read are dead letters, each once.
fn letters(world: &World, log: &[Logged], wrong: &mut Vec<String>) {
    let shown = lock(&world.shown);
    let mut keys: BTreeMap<String, u64> = BTreeMap::new();
    for (_, letter) in shown.exact.get(DEAD_LETTERS).into_iter().flatten() {
        let letter: Value = serde_json::from_slice(letter).unwrap_or(Value::Null);
        let key = letter["partition_key"].as_str().unwrap_or_default().to_owned();
        if !key.starts_with(BAD) {
            wrong.push(format!("a good record is a dead letter: {letter}"));
        }
        *keys.entry(key).or_default() += 1;
    }
    for record in log.iter().filter(|record| record.key.starts_with(BAD)) {
        if keys.get(&record.key) != Some(&1) {
            wrong.push(format!("{} is a dead letter {:?} times", record.key, keys.get(&record.key)));
        }
    }
}

/// The registry is asked at a bounded rate: a few times for each schema and start of a worker, and while it does not answer, now and then.
fn questions(world: &World, wrong: &mut Vec<String>) {
    let schemas = lock(&world.schemas);
    let most =
        schemas.starts * (40 + 12 * schemas.len() as u64) + 4 * world.elapsed().as_secs() * schemas.starts.min(8);
    if schemas.questions > most {
        wrong.push(format!("the registry was asked {} times, at most {most} were expected", schemas.questions));
    }
}

/// What the plugin with state has said of a key.
#[derive(Default)]
struct Counted {
    /// count and total, in the order shown
    rows: Vec<(i64, i64)>,
    /// the counts at which it had been quiet
    quiet: BTreeSet<i64>,
}

fn counts(world: &World) -> BTreeMap<String, Counted> {
    let mut counts: BTreeMap<String, Counted> = BTreeMap::new();
    for (_, row) in lock(&world.shown).exact.get("counts_out").into_iter().flatten() {
        let row: Value = serde_json::from_slice(row).unwrap_or(Value::Null);
        let of = counts.entry(row["key"].as_str().unwrap_or_default().to_owned()).or_default();
        let (count, total) = (row["count"].as_i64().unwrap_or_default(), row["total"].as_i64().unwrap_or_default());
        match row["what"].as_str() {
            Some("row") => of.rows.push((count, total)),
            _ => {
                of.quiet.insert(count);
            }
        }
    }
    counts
}

/// State is what the records before have made of it, each once and in order; and the last timer of each key has fired.
fn counted(world: &World, log: &[Logged], wrong: &mut Vec<String>) {
    let counts = counts(world);
    let mut expected: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for record in log {
        expected.entry(&record.key).or_default().push(record.n);
    }
    for (key, mut numbers) in expected {
        // Records of a key lie in the order of their numbers, whichever shards they came by.
        numbers.sort_unstable();
        let of = counts.get(key);
        let shown = of.map_or(&[][..], |of| of.rows.as_slice());
        let mut total = 0;
        let right: Vec<(i64, i64)> = (1..)
            .zip(&numbers)
            .map(|(count, n)| {
                total += n;
                (count, total)
            })
            .collect();
        if shown != right {
            let first = (0..).find(|at| shown.get(*at) != right.get(*at)).unwrap_or_default();
            let (is, be) = (shown.get(first), right.get(first));
            wrong.push(format!("state of {key}: its record {first} was counted as {is:?}, which should be {be:?}"));
        }
        let last = numbers.len() as i64;
        if !key.starts_with(FLUSH) && of.is_none_or(|of| !of.quiet.contains(&last)) {
            wrong.push(format!("the last timer of {key} never fired"));
        }
    }
}

/// Rows come once, and those of a key in the order of the log.
fn rows(world: &World, log: &[Logged], wrong: &mut Vec<String>) {
    let shown = lock(&world.shown);
    let rows = shown.exact.get("rows").map_or(&[][..], Vec::as_slice);
    let mut ids = BTreeSet::new();
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for (id, row) in rows {
        let row: Value = serde_json::from_slice(row).unwrap_or(Value::Null);
        let (key, n) = (row["key"].as_str().unwrap_or_default().to_owned(), row["n"].as_i64().unwrap_or_default());
        if !ids.insert(*id) {
            wrong.push(format!("record {n} of {key} is there twice"));
        }
        *counts.entry(n).or_default() += 1;
        if key.starts_with(FLUSH) {
            continue;
        }
        let before = last.insert(key.clone(), n);
        if before.is_some_and(|before| before > n) {
            wrong.push(format!("record {n} of {key} comes after record {before:?}"));
        }
    }
    let lost = log.iter().filter(|record| !counts.contains_key(&record.n));
    wrong.extend(lost.map(|record| format!("record {} of {} is lost", record.n, record.key)));
}

/// What is sent at least once is there, with one id for each record, and the last of an id by the highest fence.
fn sent(world: &World, log: &[Logged], wrong: &mut Vec<String>) {
    let shown = lock(&world.shown);
    let mut ids: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for row in shown.sent.iter().filter(|row| !row["key"].as_str().unwrap_or_default().starts_with(FLUSH)) {
        let id = row["_pelton"]["id"].as_str().unwrap_or_default().to_owned();
        ids.entry(row["n"].as_i64().unwrap_or_default()).or_default().insert(id);
    }
    for record in log.iter().filter(|record| !record.key.starts_with(FLUSH)) {
        match ids.get(&record.n) {
            Some(ids) if ids.len() == 1 => {}
            Some(ids) => wrong.push(format!("record {} was sent under {} ids", record.n, ids.len())),
            None => wrong.push(format!("record {} was never sent", record.n)),
        }
    }
}
