//! `pelton explain`: how a job runs, and what it costs to run it.
//!
//! Left to others: what follows from what (`job::cost`), the mistakes of a job file (`check`).

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use clap::Args;
use serde_json::json;

use super::{Output, check, line};
use crate::{
    decode,
    error::Result,
    job::{
        Graph,
        cost::{Cost, World, costs},
        graph::{Avro, Format, NodeKind, Partitioning, SinkKind, Source, Store},
    },
};

/// Say how a job runs, and what it costs to run it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the job file
    job: PathBuf,
    /// what the job asks of AWS by itself, and what that costs at list price
    #[arg(long)]
    cost: bool,
    /// with --cost: shards of all sources
    #[arg(long, default_value_t = 4, requires = "cost", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    shards: u32,
    /// with --cost: shards in which nothing comes
    #[arg(long, default_value_t = 0, requires = "cost")]
    idle: u32,
    /// with --cost: workers
    #[arg(long, default_value_t = 1, requires = "cost", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// with --cost: MB a second over all shards
    #[arg(long, value_name = "MB", default_value_t = 1.0, requires = "cost")]
    mb_per_s: f64,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// Runs the command.
pub fn explain(arguments: &Arguments) -> Result<()> {
    let runtime = super::runtime()?;
    let checked = check::load(&arguments.job, runtime.handle(), arguments.format)?;
    let world = World {
        shards: arguments.shards,
        busy: arguments.shards.saturating_sub(arguments.idle),
        workers: arguments.workers,
        mb_per_s: arguments.mb_per_s.max(0.0),
    };
    let costs = arguments.cost.then(|| costs(&checked.graph, world));
    match arguments.format {
        Output::Json => {
            line(json!({ "how": how(&checked.graph), "world": costs.as_ref().map(|_| world), "costs": costs }))
        }
        Output::Text => {
            how(&checked.graph).into_iter().for_each(line);
            costs.into_iter().for_each(|costs| table(&costs));
        }
    }
    Ok(())
}

/// In sentences, each a line.
fn how(graph: &Graph) -> Vec<String> {
    let mut lines = vec![match &graph.partitioning {
        Partitioning::PerShard { reason, .. } => format!("it runs as one partition per shard: {reason}"),
        Partitioning::One { reason } => format!("it runs as one partition: {reason}"),
    }];
    lines.extend(graph.nodes.iter().map(|node| {
        let from: Vec<&str> = node.inputs.iter().map(|edge| graph.nodes[edge.node].name.as_str()).collect();
        let from = if from.is_empty() { String::new() } else { format!(" from {}", from.join(", ")) };
        format!("{}: {}{from}", node.name, kind(&node.kind))
    }));
    lines.extend(graph.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Source(Source { format: Format::Avro(avro), wanted, .. }) => {
            Some(format!("{}: {}", node.name, decoded(avro, wanted)))
        }
        _ => None,
    }));
    let state = match &graph.store {
        None => format!("in {} alone", graph.state_dir.display()),
        Some(Store::Folder(folder)) => format!("in {}, and a copy beside each worker", folder.display()),
        Some(Store::S3 { bucket, prefix, .. }) => format!("in s3://{bucket}/{prefix}, and a copy beside each worker"),
    };
    lines.push(format!("every {:?} an epoch is made durable {state}", graph.epoch));
    lines.push(match &graph.leases {
        None => "one worker runs all of it".to_owned(),
        Some(leases) => format!("any number of workers share it by leases of {:?}", leases.duration),
    });
    lines
}

/// The path that Avro records take to columns, chosen when a pair of writer and reader is compiled.
fn decoded(avro: &Avro, wanted: &SchemaRef) -> String {
    let every = decode::avro::infer(&avro.reader.schema);
    let is_json = |name: &str| {
        let known = every.iter().find(|field| &*field.path.0 == name);
        known.is_none_or(|field| matches!(field.kind, decode::Kind::Json))
    };
    let (json, plain): (Vec<&str>, Vec<&str>) =
        wanted.fields().iter().map(|field| field.name().as_str()).partition(|name| is_json(name));
    let by = match (&avro.subject, avro.subject.as_deref().and_then(|subject| avro.reader.version_of(subject))) {
        (Some(subject), Some(version)) => format!("version {version} of `{subject}`"),
        (Some(subject), None) => format!("a schema of its own for `{subject}`"),
        (None, _) => "a schema of its own".to_owned(),
    };
    let path = match (plain.len(), json.as_slice()) {
        (0, []) => "no field is read, bodies are walked over".to_owned(),
        (count, []) => format!("{count} of {} fields go straight to columns, others are skipped", every.len()),
        (count, json) => {
            let names = json.join("`, `");
            format!("{count} of {} fields go straight to columns, `{names}` as JSON text", every.len())
        }
    };
    format!("Avro is read by {by}, mode {}: {path}", avro.compatibility.mode())
}

fn kind(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Source(_) => "reads",
        NodeKind::Filter { .. } => "filters",
        NodeKind::Select { .. } => "computes columns",
        NodeKind::Transform(_) => "runs a plugin on each batch",
        NodeKind::KeyedTransform(_) => "runs a plugin over state by key",
        NodeKind::Window(_) => "groups in event time, with state",
        NodeKind::Sink(SinkKind::File(_)) => "writes files, each result exactly once,",
        NodeKind::Sink(_) => "delivers each result at least once",
    }
}

fn table(costs: &[Cost]) {
    line("");
    line(format_args!("{:<34}{:>14}{:>14}  {}", "what it asks of AWS by itself", "an hour", "US$ a month", "because"));
    for cost in costs {
        line(format_args!("{:<34}{:>14.0}{:>14.2}  {}", cost.what, cost.per_hour, cost.month_usd, cost.because));
    }
    let sum: f64 = costs.iter().map(|cost| cost.month_usd).sum();
    line(format_args!("{:<34}{:>14}{sum:>14.2}", "together", ""));
    line(
        "list prices of us-east-1, November 2026; without the stream itself, what sinks write, storage, and traffic between zones",
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_costs_follows_the_job_file() {
        let folder = tempfile::tempdir().unwrap();
        let job = folder.path().join("job.yaml");
        let text = |every: &str| {
            format!(
                "pelton: v1\njob: j\nsources:\n  in:\n    kinesis: {{ stream: s, start: latest }}\n    \
                 format: {{ json: {{ fields: {{ k: text, n: int64 }} }} }}\n    partition_key: k\nsteps:\n  kept:\n    from: in\n    \
                 filter: \"n > 1\"\nsinks:\n  out:\n    from: kept\n    stdout: {{}}\n\
                 checkpoint: {{ every: {every}, store: \"s3://bucket/p\" }}\nleases: {{ dynamodb: {{}}, duration: 10s }}\n"
            )
        };
        let world = World { shards: 10, busy: 8, workers: 2, mb_per_s: 1.0 };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let of = |every: &str| {
            std::fs::write(&job, text(every)).unwrap();
            let checked = check::load_with(&job, &|_| None, runtime.handle(), Output::Text).unwrap();
            costs(&checked.graph, world)
        };
        let per_hour =
            |costs: &[Cost], what: &str| costs.iter().find(|cost| cost.what.starts_with(what)).unwrap().per_hour;
        let (fast, slow) = (of("1s"), of("10s"));
        assert!((per_hour(&fast, "S3: objects") - (8.0 * 3600.0 + 2.0 * 60.0) * 2.0).abs() < 1e-6, "{fast:?}");
        assert!((per_hour(&slow, "S3: objects") - (8.0 * 360.0 + 2.0 * 60.0) * 2.0).abs() < 1e-6, "{slow:?}");
        assert!(fast.iter().all(|cost| cost.what != "S3: reads"), "there is no state: {fast:?}");
        assert!((per_hour(&slow, "DynamoDB: write") - 10.0 * 3.0 * 360.0).abs() < 1e-6, "{slow:?}");
        assert!(fast.is_sorted_by(|a, b| a.month_usd >= b.month_usd), "the dearest first: {fast:?}");
    }
}
