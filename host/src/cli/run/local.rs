//! `pelton run --emulator`: a Kinesis, a Firehose and a schema registry for the time of one run, with the streams that the job names.
//!
//! Left to others: emulators that outlive a run (`emulator`).

use std::path::{Path, PathBuf};

use pelton_emulator::{
    Running, registry,
    store::{ApiError, Entry, ErrorKind},
};

use crate::{
    clock::{Clock, SystemClock},
    error::{Error, Kind, Result},
    job::graph::{Aws, Graph, NodeKind, SinkKind, Source, SourceKind},
};

/// Records of one call, and their bytes: half of what the service takes, which leaves room for keys.
const CALL: (usize, usize) = (500, 5 << 20);
/// Records are put from a file that a person has.
const LONGEST_FILE: u64 = 256 << 20;

/// Lines of a file as records of a stream.
#[derive(Clone, Debug)]
pub struct Data {
    stream: String,
    file: PathBuf,
}

/// `STREAM=FILE`.
pub fn parse_data(text: &str) -> std::result::Result<Data, String> {
    match text.split_once('=') {
        Some((stream, file)) if !stream.is_empty() && !file.is_empty() => {
            Ok(Data { stream: stream.to_owned(), file: PathBuf::from(file) })
        }
        _ => Err(format!("`{text}` names no stream and file: write STREAM=FILE, as in clicks=data/clicks.jsonl")),
    }
}

/// Servers that end with the run.
pub struct Local {
    emulator: Running,
    registry: registry::RunningRegistry,
}

impl Local {
    /// Starts them on free ports.
    pub async fn start() -> Result<Self> {
        let emulator = pelton_emulator::start(pelton_emulator::Options::default()).await.map_err(failed)?;
        let registry = registry::start(([127, 0, 0, 1], 0).into()).await.map_err(failed)?;
        Ok(Self { emulator, registry })
    }

    /// Where Kinesis and Firehose are.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.emulator.addr())
    }

    /// Where the registry is.
    pub fn registry(&self) -> String {
        format!("http://{}", self.registry.addr())
    }

    /// Makes what the job reads and writes, and fills it.
    pub fn prepare(&self, graph: &Graph, shards: u32, data: &[Data]) -> Result<()> {
        let (store, clock) = (self.emulator.store(), SystemClock::new());
        let now = || u64::try_from(clock.wall_us() / 1000).unwrap_or(0);
        for node in &graph.nodes {
            let made = match &node.kind {
                NodeKind::Sink(SinkKind::Firehose { delivery_stream, .. }) => {
                    fresh(store.create_delivery(now(), delivery_stream).map(drop))
                }
                _ => Ok(()),
            };
            made.map_err(|e| failed(e).at(format_args!("`{}`", node.name)))?;
        }
        let wanted = streams(graph).chain(data.iter().map(|data| data.stream.as_str()));
        for stream in wanted {
            fresh(store.create_stream(now(), stream, shards))
                .map_err(|e| failed(e).at(format_args!("stream {stream}")))?;
        }
        for Data { stream, file } in data {
            let records = lines(file)?;
            for call in calls(&records) {
                store.put_records(now(), stream, call).map_err(|e| failed(e).at(file.display()))?;
            }
            tracing::info!("{} records of {} are in stream {stream}", records.len(), file.display());
        }
        Ok(())
    }
}

/// The job reads and writes here, whatever it says of endpoints, profiles and roles.
pub fn bring_home(graph: &mut Graph) {
    for node in &mut graph.nodes {
        match &mut node.kind {
            NodeKind::Source(Source { from: SourceKind::Kinesis { aws, .. }, .. })
            | NodeKind::Sink(SinkKind::Kinesis { aws, .. } | SinkKind::Firehose { aws, .. }) => *aws = Aws::default(),
            _ => {}
        }
    }
}

/// The streams that the job names.
fn streams(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Source(Source { from: SourceKind::Kinesis { stream, .. }, .. })
        | NodeKind::Sink(SinkKind::Kinesis { stream, .. }) => Some(stream.as_str()),
        _ => None,
    })
}

/// Two nodes may name one stream.
fn fresh(made: std::result::Result<(), ApiError>) -> std::result::Result<(), ApiError> {
    match made {
        Err(error) if error.kind == ErrorKind::ResourceInUse => Ok(()),
        made => made,
    }
}

fn lines(file: &Path) -> Result<Vec<String>> {
    use std::io::Read;
    let unread = |e: String| Error::new(Kind::Config, format!("cannot read {}: {e}", file.display()));
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|e| unread(e.to_string()))?;
    opened.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(|e| unread(e.to_string()))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(unread("it is longer than 256 MiB; put it with `pelton stream put`".to_owned()));
    }
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// Calls within the service's limits. The keys are the lines' numbers, so that two runs put the same records into the same shards.
fn calls(records: &[String]) -> Vec<Vec<Entry>> {
    let mut calls: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = usize::MAX;
    for (number, record) in records.iter().enumerate() {
        let full = calls.last().is_none_or(|call| call.len() >= CALL.0 || bytes + record.len() > CALL.1);
        if full {
            calls.push(Vec::new());
            bytes = 0;
        }
        bytes += record.len();
        let entry =
            Entry { data: record.clone().into(), partition_key: (number + 1).to_string(), explicit_hash_key: None };
        calls.last_mut().expect("one was pushed").push(entry);
    }
    calls
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(Kind::Config, e.to_string())
}
