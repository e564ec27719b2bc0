//! Runs a plugin over rows written as JSON, natively, in an ordinary `cargo test`.
//!
//! A row is a JSON object whose members are the wanted fields, a line a row. Beside them `_partition_key`, `_event_time` and
//! `_arrival_time` (microseconds) say what a record carries, and `_key` names the group that an aggregator folds it into. Every run is
//! made several ways (one batch, one call a record, a fresh instance a call; for aggregators also in two halves that are combined), and
//! they must agree: that is what the host may do too. `cases` runs the folders of a plugin. Worlds with state and requests stand in `keyed`
//! and `enrich`.

mod batch;
mod cases;
mod enrich;
mod keyed;
pub(crate) mod memory;
mod results;

use crate::aggregate::{self, Aggregator, ColumnAggregator, ColumnarAggregator, RunsAggregate, TypedAggregator};
use crate::bindings::aggregate_types::{Closing, Firing, FoldInput, Windows};
use crate::bindings::types::{Batch, BytesColumn, Context, Failure, KeySet, Manifest, Processed};
use crate::config;
use crate::out::absent;
use crate::transform::{ColumnTransformer, Columnar, Runs, Transformer, Typed};
use crate::value::BytesBuilder;
use serde_json::Value;

pub use cases::check;
pub use enrich::enricher;
pub use keyed::{keyed, stateful};

/// Result lines, or why there are none.
pub type Lines = Result<Vec<String>, String>;

/// Runs a `Transformer` over JSON lines; rejects are lines `{"_reject": {"index", "code", "message"}}`.
pub fn transformer<T: Transformer>(config: &str, rows: &str) -> Lines {
    run_transformer::<Typed<T>>(config, rows)
}

/// Runs a `ColumnTransformer` over JSON lines.
pub fn column_transformer<T: ColumnTransformer>(config: &str, rows: &str) -> Lines {
    run_transformer::<Columnar<T>>(config, rows)
}

/// Runs an `Aggregator` over JSON lines, one window a `_key`.
pub fn aggregator<T: Aggregator>(config: &str, rows: &str) -> Lines {
    run_aggregator::<TypedAggregator<T>>(config, rows)
}

/// Runs a `ColumnAggregator` over JSON lines, one window a `_key`.
pub fn column_aggregator<T: ColumnAggregator>(config: &str, rows: &str) -> Lines {
    run_aggregator::<ColumnarAggregator<T>>(config, rows)
}

/// The manifest of a `Transformer` for a config.
pub fn describe<T: Transformer>(config: &str) -> Result<Manifest, String> {
    crate::export::describe::<Typed<T>>(config)
}

fn run_transformer<P: Runs>(config: &str, text: &str) -> Lines {
    let manifest = P::describe(&config::parse(config)?)?;
    let input = manifest.inputs.first().ok_or("the manifest has no input")?;
    let rows = batch::parse(text)?;
    let start = || P::start(config::parse(config)?, &context(config));
    let mut whole = start()?;
    let together = results::lines(&manifest, &call(&mut whole, &batch::build(input, &rows, 0)?)?, 0)?;
    let (mut reused, mut fresh) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let one = batch::build(input, std::slice::from_ref(row), index)?;
        reused.extend(results::lines(&manifest, &call(&mut whole, &one)?, index)?);
        fresh.extend(results::lines(&manifest, &call(&mut start()?, &one)?, index)?);
    }
    agree("one instance, a call for each record", &together, &reused)?;
    agree("a fresh instance for each record", &together, &fresh)?;
    Ok(together)
}

fn call<P: Runs>(plugin: &mut P, batch: &Batch) -> Result<Processed, String> {
    plugin.run(batch).map_err(failed)
}

fn failed(failure: Failure) -> String {
    match failure {
        Failure::Retry(message) => format!("the batch failed, to be tried again: {message}"),
        Failure::Fatal(message) => format!("the batch failed: {message}"),
    }
}

fn agree(how: &str, expected: &[String], found: &[String]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "results depend on how records are cut into calls: {how} gives {found:#?}, one batch gives {expected:#?}"
    ))
}

fn context(config: &str) -> Context {
    let name = || "test".to_owned();
    Context { config: config.to_owned(), job: name(), step: name(), generation: 0, annotations: Vec::new() }
}

/// The groups of a run: distinct `_key`s in order of first appearance, and the group of each row.
fn groups(rows: &[Value]) -> (Vec<Value>, Vec<u32>) {
    let mut keys: Vec<Value> = Vec::new();
    let mut group = |row: &Value| {
        let key = row.get("_key").cloned().unwrap_or(Value::Null);
        let known = keys.iter().position(|other| *other == key);
        let index = known.unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        });
        index as u32
    };
    let of_row = rows.iter().map(&mut group).collect();
    (keys, of_row)
}

fn run_aggregator<P: RunsAggregate>(config: &str, text: &str) -> Lines {
    let manifest = P::describe(&config::parse(config)?)?;
    let input = manifest.inputs.first().ok_or("the manifest has no input")?;
    let rows = batch::parse(text)?;
    let (keys, groups) = groups(&rows);
    let plugin = P::start(config::parse(config)?, &context(config))?;
    let mut rejected = Vec::new();
    // Folds the rows `from..to` in calls of `size`.
    let mut fold = |from: usize, to: usize, size: usize| -> Result<BytesColumn, String> {
        let mut accumulators = empty(keys.len());
        rejected.clear();
        for first in (from..to).step_by(size.max(1)) {
            let last = (first + size).min(to);
            let records = batch::build(input, &rows[first..last], first)?;
            let row = (0..(last - first) as u32).collect();
            let input = FoldInput {
                records,
                groups: windows(keys.len()),
                row,
                group: groups[first..last].to_vec(),
                accumulators,
            };
            let folded = aggregate::fold(&plugin, &input).map_err(failed)?;
            accumulators = folded.accumulators;
            rejected.extend(results::rejects(&folded.errors, first));
        }
        Ok(accumulators)
    };
    let count = rows.len();
    let one_by_one = fold(0, count, 1)?;
    let halves = [fold(0, count / 2, count)?, fold(count / 2, count, count)?];
    let together = fold(0, count, count)?;
    let mut lines = finish(&plugin, &manifest, &keys, together)?;
    agree("a call for each record", &lines, &finish(&plugin, &manifest, &keys, one_by_one)?)?;
    let combined = aggregate::combine(&plugin, &paired(&halves), &pairs(keys.len())).map_err(failed)?;
    agree("two halves, combined", &lines, &finish(&plugin, &manifest, &keys, combined)?)?;
    lines.extend(rejected);
    Ok(lines)
}

fn finish<P: RunsAggregate>(plugin: &P, manifest: &Manifest, keys: &[Value], accumulators: BytesColumn) -> Lines {
    let count = keys.len();
    let (firing, firing_number) = (vec![Firing::OnTime; count], vec![0; count]);
    let closing =
        Closing { groups: windows(count), firing, firing_number, accumulators, now_ms: 0, seed: 0, watermark_ms: None };
    results::keyed(manifest, &aggregate::finish(plugin, &closing).map_err(failed)?, keys)
}

fn windows(count: usize) -> Windows {
    let keys = KeySet { bytes: absent(), fields: Vec::new() };
    Windows { keys, key: (0..count as u32).collect(), start_ms: vec![0; count], end_ms: vec![3_600_000; count] }
}

fn empty(count: usize) -> BytesColumn {
    BytesColumn { data: Vec::new(), offsets: vec![0; count + 1] }
}

/// Group g's parts are cells 2g and 2g + 1.
fn paired(halves: &[BytesColumn; 2]) -> BytesColumn {
    let mut column = BytesBuilder::default();
    for index in 0..halves[0].offsets.len().saturating_sub(1) {
        for half in halves {
            column.push(&half.data[half.offsets[index] as usize..half.offsets[index + 1] as usize]);
        }
    }
    column.finish()
}

fn pairs(count: usize) -> Vec<u32> {
    (0..=count as u32).map(|index| index * 2).collect()
}
