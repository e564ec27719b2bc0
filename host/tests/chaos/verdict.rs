//! Whether the results are right: files against the uninterrupted job and a naive computation, the stream by ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use pelton::aws::Settings;
use serde_json::Value;

use super::load::{Put, Shape};

/// Key and start of the window.
type Window = (String, String);
/// Count, total, least, most.
type Content = (i64, i64, i64, i64);

const WINDOW_MS: i64 = 5_000;

/// Panics where something is lost, repeated or wrong. Gives back how many windows there are.
pub async fn judge(folder: &Path, endpoint: &str, put: &[Put], shape: Shape) -> usize {
    let (job, whole) = (lines(&folder.join("job")), lines(&folder.join("whole")));
    let last = last_firings(&job);
    if shape != Shape::Late {
        same_lines(&job, &whole);
        assert_eq!(last, naive(put), "the windows differ from a naive computation");
    } else {
        assert_eq!(last, last_firings(&whole), "the last firings differ from those of the uninterrupted job");
    }
    let streamed = stream(endpoint, "results").await;
    by_id(&streamed, &job);
    last.len()
}

/// The same for a fleet whose windows were all fired. Gives back how many windows there are.
pub async fn judge_fleet(folder: &Path, endpoint: &str, put: &[Put]) -> usize {
    let job = lines(folder);
    let last = last_firings(&job);
    let expected = naive(put);
    let lost: Vec<_> = expected.keys().filter(|window| !last.contains_key(*window)).take(5).collect();
    assert!(lost.is_empty(), "windows that never fired: {lost:#?}");
    assert_eq!(last, expected, "the windows differ from a naive computation");
    let streamed = stream(endpoint, "results").await;
    by_id(&streamed, &job);
    let mut fences: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &streamed {
        let (id, fence) = (row["_pelton"]["id"].as_str().unwrap(), row["_pelton"]["fence"].as_i64().unwrap());
        let before = fences.insert(id, fence).unwrap_or(0);
        assert!(before <= fence, "{row} was sent by owner {fence} after owner {before} had sent it");
    }
    last.len()
}

/// How many windows the files hold, and how many there are to be.
pub fn progress(folder: &Path, put: &[Put]) -> (usize, usize) {
    let fired = if folder.exists() { last_firings(&lines(folder)).len() } else { 0 };
    (fired, naive(put).len())
}

/// Every line of the files, sorted.
pub fn sorted_lines(folder: &Path) -> Vec<String> {
    let mut lines = lines(folder);
    lines.sort_unstable();
    lines
}

fn lines(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let text = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    files.iter().flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Sorted, both runs have the same lines, each as often.
fn same_lines(job: &[String], whole: &[String]) {
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    let (job, whole) = (sorted(job), sorted(whole));
    if job != whole {
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (job.iter().collect(), whole.iter().collect());
        let lost: Vec<_> = b.difference(&a).take(5).collect();
        let wrong: Vec<_> = a.difference(&b).take(5).collect();
        panic!("{} lines, uninterrupted {}; missing: {lost:#?}; not expected: {wrong:#?}", job.len(), whole.len());
    }
}

fn parsed(line: &str) -> (Window, i64, Content) {
    let row: Value = serde_json::from_str(line).unwrap();
    let number = |name: &str| row[name].as_i64().unwrap();
    let window = (row["ad"].as_str().unwrap().to_owned(), row["window_start"].as_str().unwrap().to_owned());
    (window, number("firing_number"), (number("n"), number("total"), number("least"), number("most")))
}

/// The last firing of each window; no firing may be there twice.
fn last_firings(lines: &[String]) -> BTreeMap<Window, Content> {
    let mut firings: BTreeMap<(Window, i64), Content> = BTreeMap::new();
    for line in lines {
        let (window, number, content) = parsed(line);
        let twice = firings.insert((window.clone(), number), content);
        assert!(twice.is_none(), "firing {number} of {window:?} is there twice");
    }
    firings.into_iter().map(|((window, _), content)| (window, content)).collect()
}

fn naive(put: &[Put]) -> BTreeMap<Window, Content> {
    let mut windows: BTreeMap<Window, Content> = BTreeMap::new();
    for put in put.iter().filter(|put| put.amount % 5 != 0) {
        let start = pelton::decode::instant::instant_text(put.at_ms / WINDOW_MS * WINDOW_MS * 1000);
        let content = windows.entry((put.ad.clone(), start)).or_insert((0, 0, i64::MAX, i64::MIN));
        *content = (content.0 + 1, content.1 + put.amount, content.2.min(put.amount), content.3.max(put.amount));
    }
    windows
}

/// Every firing of the files is in the stream under one id, and the last record of an id has its content.
fn by_id(streamed: &[Value], files: &[String]) {
    let mut ids: BTreeMap<(Window, i64), (String, Content)> = BTreeMap::new();
    for row in streamed {
        let (window, number, content) = parsed(&row.to_string());
        let id = row["_pelton"]["id"].as_str().unwrap().to_owned();
        let first = ids.entry((window.clone(), number)).or_insert_with(|| (id.clone(), content));
        assert_eq!(first.0, id, "firing {number} of {window:?} has two ids");
        first.1 = content;
    }
    let distinct: BTreeSet<&String> = ids.values().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), ids.len(), "two firings share an id");
    for line in files {
        let (window, number, content) = parsed(line);
        let sent = ids.get(&(window.clone(), number));
        let sent = sent.unwrap_or_else(|| panic!("firing {number} of {window:?} is not in the stream"));
        assert_eq!(sent.1, content, "the last value of firing {number} of {window:?} in the stream");
    }
}

async fn stream(endpoint: &str, name: &str) -> Vec<Value> {
    let aws = Settings { endpoint: Some(endpoint.to_owned()), ..Settings::default() }.load().await.unwrap();
    let client = aws.kinesis_client();
    let shards = client.list_shards().stream_name(name).send().await.unwrap();
    let mut rows = Vec::new();
    for shard in shards.shards() {
        rows.extend(shard_rows(&client, name, shard.shard_id()).await);
    }
    rows
}

async fn shard_rows(client: &Client, name: &str, shard: &str) -> Vec<Value> {
    let call = client.get_shard_iterator().stream_name(name).shard_id(shard);
    let first = call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let (mut rows, mut next) = (Vec::new(), first.shard_iterator);
    while let Some(iterator) = next.take() {
        let answer = client.get_records().shard_iterator(iterator).send().await.unwrap();
        rows.extend(answer.records().iter().map(|r| serde_json::from_slice::<Value>(r.data().as_ref()).unwrap()));
        if answer.millis_behind_latest() != Some(0) || !answer.records().is_empty() {
            next = answer.next_shard_iterator;
        }
    }
    rows
}
