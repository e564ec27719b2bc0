//! `pelton stream`: make, fill, read and reshard Kinesis streams, on the emulator or in an account.

use std::{collections::VecDeque, io::Read, path::PathBuf};

use aws_sdk_kinesis::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use clap::{Args, Subcommand};

use super::{Output, avro::AvroEncoder, line};
use crate::{
    aws::{self, Settings},
    clock,
    error::{Error, Kind, Result},
    random,
};

/// Make, fill, read and reshard streams.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// where Kinesis is, for an emulator
    #[arg(long, global = true, value_name = "URL", env = "AWS_ENDPOINT_URL_KINESIS")]
    endpoint: Option<String>,
    /// the region
    #[arg(long, global = true)]
    region: Option<String>,
    /// a profile of the shared configuration
    #[arg(long, global = true)]
    profile: Option<String>,
    /// how to print
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Output,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a stream
    Create {
        /// its name
        stream: String,
        /// shards
        #[arg(long, default_value_t = 1)]
        shards: i32,
    },
    /// Put the lines of a file (or of standard input) as records
    Put(Put),
    /// Print what the shards hold now
    Cat {
        /// the stream
        stream: String,
    },
    /// List streams
    List,
    /// Show the shards of a stream
    Describe {
        /// the stream
        stream: String,
    },
    /// Split a shard in the middle of its range
    Split {
        /// the stream
        stream: String,
        /// the shard
        shard: String,
    },
    /// Merge two shards that are neighbours
    Merge {
        /// the stream
        stream: String,
        /// one shard
        shard: String,
        /// the other
        adjacent: String,
    },
}

/// Records from lines.
#[derive(Debug, Args)]
struct Put {
    /// the stream
    stream: String,
    /// JSON lines, or CSV with a header where its name ends in .csv; standard input without it
    file: Option<PathBuf>,
    /// the field whose text is the partition key; without it each record has a key of its own
    #[arg(long)]
    key: Option<String>,
    /// encode each record as Avro with this schema, which is registered first
    #[arg(long, value_name = "AVSC")]
    schema: Option<PathBuf>,
    /// the subject that the schema is registered under; `STREAM-value` without it
    #[arg(long, requires = "schema")]
    subject: Option<String>,
    /// where the schema registry is
    #[arg(long, value_name = "URL", env = "PELTON_REGISTRY", default_value = "http://127.0.0.1:8081")]
    registry: String,
}

/// Runs the command.
pub fn stream(arguments: &Arguments) -> Result<()> {
    super::runtime()?.block_on(async {
        let settings = Settings {
            endpoint: arguments.endpoint.clone(),
            region: arguments.region.clone(),
            profile: arguments.profile.clone(),
            ..Settings::default()
        };
        let client = settings.load().await?.kinesis_client();
        let json = arguments.format == Output::Json;
        match &arguments.action {
            Action::Create { stream, shards } => {
                client.create_stream().stream_name(stream).shard_count(*shards).send().await.map_err(failed)?;
                print(
                    json,
                    serde_json::json!({ "stream": stream, "shards": shards }),
                    &format!("{stream}: {shards} shards"),
                );
                Ok(())
            }
            Action::Put(what) => put(&client, what, json).await,
            Action::Cat { stream } => cat(&client, stream, json).await,
            Action::List => list(&client, json).await,
            Action::Describe { stream } => describe(&client, stream, json).await,
            Action::Split { stream, shard } => split(&client, stream, shard, json).await,
            Action::Merge { stream, shard, adjacent } => {
                let call =
                    client.merge_shards().stream_name(stream).shard_to_merge(shard).adjacent_shard_to_merge(adjacent);
                call.send().await.map_err(failed)?;
                print(
                    json,
                    serde_json::json!({ "merged": [shard, adjacent] }),
                    &format!("{shard} and {adjacent} are merged"),
                );
                Ok(())
            }
        }
    })
}

/// What one PutRecords takes.
const MOST_ENTRIES: usize = 500;

fn print(json: bool, value: serde_json::Value, text: &str) {
    if json { line(value) } else { line(text) }
}

fn failed<E, R>(error: SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    Error::new(Kind::Unavailable, aws::said(&error))
}

/// The objects of a file, one JSON text each.
fn lines(file: Option<&std::path::Path>) -> Result<Vec<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Error::new(Kind::Config, format!("cannot read {}: {e}", path.display())))?,
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|e| Error::new(Kind::Config, format!("cannot read standard input: {e}")))?;
            text
        }
    };
    match file.filter(|path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"))) {
        Some(path) => csv_objects(path, &text),
        None => Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()),
    }
}

/// Rows of a CSV file with a header as JSON objects: a cell that reads as a JSON number, `true` or `false` is one, an empty cell is
/// null, the rest are texts.
fn csv_objects(path: &std::path::Path, text: &str) -> Result<Vec<String>> {
    let bad = |e: csv::Error| Error::new(Kind::Config, format!("{} is no CSV with a header: {e}", path.display()));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().map_err(bad)?.clone();
    let object = |row: std::result::Result<csv::StringRecord, csv::Error>| {
        let row = row.map_err(bad)?;
        let fields = names.iter().zip(row.iter()).map(|(name, cell)| (name.to_owned(), csv_value(cell)));
        Ok(serde_json::Value::Object(fields.collect()).to_string())
    };
    reader.records().map(object).collect()
}

fn csv_value(cell: &str) -> serde_json::Value {
    match serde_json::from_str(cell) {
        _ if cell.is_empty() => serde_json::Value::Null,
        Ok(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => value,
        _ => serde_json::Value::String(cell.to_owned()),
    }
}

fn partition_key(line: &str, number: usize, key: Option<&str>) -> Result<String> {
    let Some(key) = key else { return Ok(format!("{:016x}", random::bits())) };
    let bad = |what: String| Error::new(Kind::Config, format!("line {}: {what}", number + 1));
    let value: serde_json::Value = serde_json::from_str(line).map_err(|e| bad(format!("it is no JSON: {e}")))?;
    match value.get(key) {
        Some(serde_json::Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(serde_json::Value::Null) | None => Err(bad(format!("it has no field `{key}` for the partition key"))),
        Some(other) => Ok(other.to_string()),
    }
}

async fn put(client: &Client, what: &Put, json: bool) -> Result<()> {
    let rows = lines(what.file.as_deref())?;
    let keys: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(number, line)| partition_key(line, number, what.key.as_deref()))
        .collect::<Result<_>>()?;
    let data: Vec<Vec<u8>> = match &what.schema {
        None => rows.into_iter().map(String::into_bytes).collect(),
        Some(schema) => {
            let subject = what.subject.clone().unwrap_or_else(|| format!("{}-value", what.stream));
            AvroEncoder::register(&what.registry, &subject, schema).await?.lines(&rows)?
        }
    };
    let done = put_all(client, &what.stream, keys.into_iter().zip(data)).await?;
    let text = format!("{done} records are in {}", what.stream);
    print(json, serde_json::json!({ "stream": what.stream, "records": done }), &text);
    Ok(())
}

/// Puts every record, in order where nothing is refused; what is refused is put again. Gives back how many there were.
pub(crate) async fn put_all(
    client: &Client,
    stream: &str,
    records: impl Iterator<Item = (String, Vec<u8>)>,
) -> Result<usize> {
    let entry = |(key, data): (String, Vec<u8>)| {
        let entry = PutRecordsRequestEntry::builder().data(Blob::new(data)).partition_key(key).build();
        entry.map_err(|e| Error::new(Kind::Internal, e.to_string()))
    };
    let mut left: VecDeque<PutRecordsRequestEntry> = records.map(entry).collect::<Result<_>>()?;
    let (mut done, mut attempt) = (0, 0);
    while !left.is_empty() {
        let batch: Vec<_> = left.drain(..left.len().min(MOST_ENTRIES)).collect();
        let answer =
            client.put_records().stream_name(stream).set_records(Some(batch.clone())).send().await.map_err(failed)?;
        let sent = batch.len();
        let refused: Vec<_> =
            answer.records().iter().zip(batch).filter(|(r, _)| r.error_code().is_some()).map(|(_, e)| e).collect();
        let taken = sent - refused.len();
        done += taken;
        attempt = if taken == 0 { attempt + 1 } else { 0 };
        if attempt > 10 {
            return Err(Error::new(
                Kind::Unavailable,
                format!("{done} records are put, {} are refused again and again", left.len() + refused.len()),
            ));
        }
        if !refused.is_empty() {
            clock::sleep(random::back_off(
                attempt,
                std::time::Duration::from_millis(100),
                std::time::Duration::from_secs(5),
            ))
            .await;
        }
        refused.into_iter().rev().for_each(|entry| left.push_front(entry));
    }
    Ok(done)
}

async fn shards(client: &Client, stream: &str) -> Result<Vec<aws_sdk_kinesis::types::Shard>> {
    let mut answer = client.list_shards().stream_name(stream).send().await.map_err(failed)?;
    let mut all = answer.shards.take().unwrap_or_default();
    while let Some(token) = answer.next_token.take() {
        answer = client.list_shards().next_token(token).send().await.map_err(failed)?;
        all.extend(answer.shards.take().unwrap_or_default());
    }
    Ok(all)
}

async fn cat(client: &Client, stream: &str, json: bool) -> Result<()> {
    for shard in shards(client, stream).await? {
        let call = client.get_shard_iterator().stream_name(stream).shard_id(shard.shard_id());
        let first = call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.map_err(failed)?;
        let mut next = first.shard_iterator;
        while let Some(iterator) = next.take() {
            let answer = client.get_records().shard_iterator(iterator).send().await.map_err(failed)?;
            for record in answer.records() {
                let data = String::from_utf8_lossy(record.data().as_ref());
                let line = serde_json::json!({
                    "shard": shard.shard_id(), "sequence": record.sequence_number(), "partition_key": record.partition_key(), "data": data,
                });
                print(json, line, &data);
            }
            if answer.millis_behind_latest() != Some(0) || !answer.records().is_empty() {
                next = answer.next_shard_iterator;
            }
        }
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> Result<()> {
    let mut from = None;
    loop {
        let answer = client.list_streams().set_exclusive_start_stream_name(from).send().await.map_err(failed)?;
        for name in answer.stream_names() {
            print(json, serde_json::json!({ "stream": name }), name);
        }
        if !answer.has_more_streams() {
            return Ok(());
        }
        from = answer.stream_names().last().cloned();
    }
}

async fn describe(client: &Client, stream: &str, json: bool) -> Result<()> {
    for shard in shards(client, stream).await? {
        let range = shard.hash_key_range();
        let (start, end) = range.map_or(("", ""), |range| (range.starting_hash_key(), range.ending_hash_key()));
        let closed = shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_some());
        let state = if closed { "closed" } else { "open" };
        let parents: Vec<&str> =
            [shard.parent_shard_id(), shard.adjacent_parent_shard_id()].into_iter().flatten().collect();
        let value = serde_json::json!({
            "shard": shard.shard_id(), "state": state, "from": start, "to": end,
            "parents": parents,
        });
        print(json, value, &format!("{}  {state:6}  {start:>39} .. {end:>39}", shard.shard_id()));
    }
    Ok(())
}

async fn split(client: &Client, stream: &str, shard: &str, json: bool) -> Result<()> {
    let all = shards(client, stream).await?;
    let names: Vec<&str> = all.iter().map(|s| s.shard_id()).collect();
    let unknown =
        || Error::new(Kind::Config, format!("stream `{stream}` has no shard `{shard}`; it has {}", names.join(", ")));
    let found = all.iter().find(|s| s.shard_id() == shard).ok_or_else(unknown)?;
    let range = found.hash_key_range().ok_or_else(unknown)?;
    let number = |text: &str| {
        text.parse::<u128>().map_err(|e| Error::new(Kind::Unavailable, format!("`{text}` is no hash key: {e}")))
    };
    let (start, end) = (number(range.starting_hash_key())?, number(range.ending_hash_key())?);
    let middle = (start + (end - start) / 2 + 1).to_string();
    client
        .split_shard()
        .stream_name(stream)
        .shard_to_split(shard)
        .new_starting_hash_key(&middle)
        .send()
        .await
        .map_err(failed)?;
    print(json, serde_json::json!({ "split": shard, "at": middle }), &format!("{shard} is split at {middle}"));
    Ok(())
}
