//! `pelton schema impact`: what a proposed version does to jobs, before anybody registers it.
//!
//! The rule: the verdict is the one that the job itself would give when the first record of the new version comes; what is shown of records
//! is what the job would read, decoded from bytes that are written with both versions.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use pelton_schema::{diff, sample};
use serde_json::{Value as Json, json};

use super::{as_registered, config, no, parsed, text_of};
use crate::{
    cli::{Output, avro::encode, check, line},
    clock::SystemClock,
    decode::{
        WantedField,
        avro::{AvroDecoder, Contract, frame},
        decode_all,
        registry::{Found, MemorySource, Patience, Registered, Registry, SchemaId, Which},
    },
    error::Result,
    job::graph::{Format, NodeKind, Source},
    record::{Cells, RawBatch, Records, Sequence, ShardId},
    sink::json_lines,
};

/// Say what a new version touches.
#[derive(Debug, Args)]
pub struct Impact {
    /// the proposed version
    new: PathBuf,
    /// job files
    #[arg(long = "job", value_name = "FILE", required = true, num_args = 1..)]
    jobs: Vec<PathBuf>,
    /// the subject that it is for; default: every source whose record has the same name
    #[arg(long)]
    subject: Option<String>,
    /// records to show, JSON lines that fit the proposed version; default: three that are made up
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// One source of one job.
struct Touched {
    job: String,
    source: String,
    verdict: std::result::Result<(), String>,
    /// step, field, what happens to it
    fields: Vec<(String, String, String)>,
    /// as written by which version, as read by the job
    records: Vec<(String, String)>,
}

/// Records that are made up.
const SAMPLES: u64 = 3;

/// Runs the command.
pub fn impact(arguments: &Impact) -> Result<()> {
    let text = text_of(&arguments.new)?;
    let new = parsed(&arguments.new.display().to_string(), &text)?;
    let runtime = crate::cli::runtime()?;
    let lines = arguments.sample.as_ref().map(|path| text_of(path)).transpose()?;
    let mut touched = Vec::new();
    for path in &arguments.jobs {
        let checked = check::load(path, runtime.handle(), arguments.format)?;
        for node in &checked.graph.nodes {
            let NodeKind::Source(source) = &node.kind else { continue };
            let Format::Avro(avro) = &source.format else { continue };
            let is_meant = match &arguments.subject {
                Some(subject) => avro.subject.as_ref() == Some(subject),
                None => avro.reader.schema.full_name() == new.full_name(),
            };
            if !is_meant {
                continue;
            }
            let older = match (&checked.registry, &avro.subject) {
                (Some(registry), Some(subject)) => runtime.block_on(older(registry, subject))?,
                _ => vec![Arc::clone(&avro.reader)],
            };
            let proposed = proposed(&text, avro.subject.as_deref(), &older)?;
            let wanted = source.wanted_fields();
            let part = avro.reader.schema.project(wanted.iter().map(|field| &*field.path.0));
            let last = older.last().unwrap_or(&avro.reader);
            touched.push(Touched {
                job: checked.graph.job.clone(),
                source: node.name.clone(),
                verdict: avro.contract().judge(Some(&part), &proposed, &older),
                fields: fields(source, last, &proposed),
                records: runtime.block_on(records(&avro.reader, &wanted, last, &proposed, lines.as_deref()))?,
            });
        }
    }
    report(arguments, &touched)
}

async fn older(registry: &Registry, subject: &str) -> Result<Vec<Arc<Registered>>> {
    let mut all = Vec::new();
    for number in registry.versions(subject).await? {
        if let Found::Schema(version) = registry.version(subject, Which::Number(number)).await? {
            all.push(version);
        }
    }
    Ok(all)
}

/// The new version as if it had been registered after the others.
fn proposed(text: &str, subject: Option<&str>, older: &[Arc<Registered>]) -> Result<Registered> {
    let next = subject.and_then(|subject| Some((subject, older.last()?.version_of(subject)? + 1)));
    let mut proposed = (*as_registered(text)?).clone();
    proposed.versions = next.map(|(subject, version)| (Arc::from(subject), version)).into_iter().collect();
    Ok(proposed)
}

/// What becomes of the fields that steps read.
fn fields(source: &Source, last: &Registered, proposed: &Registered) -> Vec<(String, String, String)> {
    let changes = diff::changes(&last.schema, &proposed.schema);
    let inside = |place: &str, path: &str| {
        place.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{', '<']))
    };
    let mut rows = Vec::new();
    for (step, field) in &source.readers {
        for change in changes.iter().filter(|change| inside(&change.path, &field.0) || inside(&field.0, &change.path)) {
            let place = if change.path == *field.0 { String::new() } else { format!("{}: ", change.path) };
            rows.push((step.clone(), field.0.to_string(), format!("{place}{}", change.what)));
        }
    }
    rows.dedup();
    rows
}

/// The same records as both versions write them, each as the job reads it.
async fn records(
    reader: &Arc<Registered>,
    wanted: &[WantedField],
    last: &Registered,
    proposed: &Registered,
    lines: Option<&str>,
) -> Result<Vec<(String, String)>> {
    let mut shown = Vec::new();
    for (who, writer) in [("written by the last version", last), ("written by the new version", proposed)] {
        let bodies = match lines {
            None => (1..=SAMPLES).filter_map(|seed| sample::value(&writer.schema, seed)).collect(),
            Some(lines) => encoded(writer, lines)?,
        };
        for body in bodies {
            shown.push((who.to_owned(), read(reader, wanted, writer, &body).await?));
        }
    }
    Ok(shown)
}

fn encoded(writer: &Registered, lines: &str) -> Result<Vec<Vec<u8>>> {
    let one = |(number, line): (usize, &str)| {
        let what = format!("line {} of the sample", number + 1);
        let object: Json = serde_json::from_str(line).map_err(|bad| config(format!("{what} is no JSON: {bad}")))?;
        encode(&writer.text, &what, object)
    };
    lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(one).collect()
}

/// What the job reads of one record, as JSON, or why it does not.
async fn read(reader: &Arc<Registered>, wanted: &[WantedField], writer: &Registered, body: &[u8]) -> Result<String> {
    let source = MemorySource::default().with(SchemaId::Number(1), "s", &writer.text);
    let schemas = Registry::new(Box::new(source), Patience::default(), SystemClock::shared());
    let mut decoder = AvroDecoder::new(schemas, Contract::open(Some(Arc::clone(reader))), wanted, 1 << 20)?;
    let records = Records {
        stream: "sample".into(),
        shard: ShardId::new("sample"),
        sequence: vec![Sequence::from_u64(1)],
        sub_sequence: vec![0],
        partition_key: std::iter::once(&b""[..]).collect(),
        arrival_us: vec![0],
    };
    let record = frame(1, body);
    let batch = RawBatch { records: Arc::new(records), data: std::iter::once(record.as_slice()).collect::<Cells>() };
    let decoded = decode_all(&mut decoder, &batch).await?;
    if let Some(reject) = decoded.rejects.first() {
        return Ok(format!("cannot be read: {}", reject.message));
    }
    let (text, refused) = json_lines::lines(&decoded.fields)?;
    Ok(refused.first().map_or_else(|| String::from_utf8_lossy(&text).trim_end().to_owned(), |row| row.message.clone()))
}

fn report(arguments: &Impact, touched: &[Touched]) -> Result<()> {
    let bad: Vec<&Touched> = touched.iter().filter(|one| one.verdict.is_err()).collect();
    if arguments.format == Output::Json {
        let jobs: Vec<Json> = touched
            .iter()
            .map(|one| {
                let fields: Vec<Json> = one.fields.iter().map(|(step, field, change)| json!({ "step": step, "field": field, "change": change })).collect();
                let records: Vec<Json> = one.records.iter().map(|(who, read)| json!({ "record": who, "read": read })).collect();
                json!({ "job": one.job, "source": one.source, "taken": one.verdict.is_ok(), "why": one.verdict.as_ref().err(), "fields": fields, "records": records })
            })
            .collect();
        line(json!(jobs));
    } else {
        touched.iter().for_each(print);
        if touched.is_empty() {
            line("no source of these jobs reads such records: name the subject with --subject");
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = bad.iter().map(|one| format!("{}.{}", one.job, one.source)).collect();
    Err(no(format!("not taken by {}", names.join(", "))))
}

fn print(one: &Touched) {
    match &one.verdict {
        Ok(()) => line(format_args!("{}, source {}: takes it", one.job, one.source)),
        Err(why) => line(format_args!("{}, source {}: does not take it: {why}", one.job, one.source)),
    }
    if one.fields.is_empty() {
        line("  no step reads a field that changes");
    }
    let width = |of: fn(&(String, String, String)) -> &String| {
        one.fields.iter().map(|row| of(row).chars().count()).max().unwrap_or(0)
    };
    let (steps, fields) = (width(|row| &row.0), width(|row| &row.1));
    for (step, field, change) in &one.fields {
        line(format_args!("  {step:<steps$}  {field:<fields$}  {change}"));
    }
    for (who, read) in &one.records {
        line(format_args!("  {who}: {read}"));
    }
}
