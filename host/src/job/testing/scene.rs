//! The stage of one test: the flow of the job, one shard for each source, and what the test lets happen.
//!
//! It does what a partition does with an event, in the same order: decode, time, push, then the watermark. Left to others: epochs
//! and durability, which no result depends on.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use serde_json::Value as Json;

use super::{Rejected, Row, TestClock};
use crate::{
    checkpoint::epoch::Outlet,
    decode::{self, Decoder, Encoding},
    error::{Error, Kind, Result},
    job::{
        build::{Built, Memory},
        flow::Flow,
        graph::{Format, Graph, NodeKind, TestBody, TestInput},
        live::Live,
        partition::{intake::Input, timing::timed},
    },
    record::{Cells, RawBatch, Records, Sequence, ShardId},
    sink::Writer,
    state::{HashRange, StateStore, memory::MemoryStore},
    window::event_time::{PartitionClock, ShardClock},
};

/// What a test has shown.
pub(super) struct Ended {
    /// rows by sink, in order
    pub rows: BTreeMap<String, Vec<Row>>,
    /// in order
    pub rejected: Vec<Rejected>,
}

/// A source of the test: one shard, filled by hand.
struct Script {
    input: Input,
    shard: ShardId,
    clock: ShardClock,
    format: Format,
    /// `partition_key:`
    key_field: Option<String>,
    /// reads the fields of a record whose format is binary
    fields: Box<dyn Decoder>,
}

pub(super) struct Scene {
    /// by index of the node
    scripts: BTreeMap<usize, Script>,
    flow: Flow,
    outlets: Vec<Outlet>,
    clock: Arc<TestClock>,
    event_clock: PartitionClock,
    live: Arc<Live>,
    rejected: Vec<Rejected>,
    /// arrivals that the test has not given are believed whatever their event time
    timed: bool,
    sequence: u64,
}

impl Scene {
    pub(super) async fn new(graph: &Graph, built: Built, clock: Arc<TestClock>, live: Arc<Live>) -> Result<Self> {
        let Built { inputs, mut flow, mut outlets, .. } = built;
        let mut scripts = BTreeMap::new();
        let mut event_clock = PartitionClock::new(None);
        for input in inputs {
            let found = graph.nodes.iter().enumerate().find(|(_, node)| node.name == input.name);
            let Some((index, NodeKind::Source(source))) = found.map(|(index, node)| (index, &node.kind)) else {
                return Err(Error::new(Kind::Internal, format!("`{}` is no source of the job", input.name)));
            };
            let fields = decode::decoder(&decode::Format::from(Encoding::Json), &source.wanted_fields())?;
            let shard = ShardId::new(&input.name);
            let clock = ShardClock::new(&input.time, None, None);
            event_clock.set(&shard, clock.watermark_us(), false);
            scripts.insert(
                index,
                Script {
                    input,
                    shard,
                    clock,
                    format: source.format.clone(),
                    key_field: source.partition_key.clone(),
                    fields,
                },
            );
        }
        let writer = Writer {
            job: Arc::from(graph.job.as_str()),
            partition: Arc::from("test"),
            generation: 1,
            fence: 1,
            permit: crate::permit::Permit::unlimited(),
            set_back: None,
        };
        for outlet in &mut outlets {
            outlet.sink.recover(writer.clone(), 0, &[]).await?;
        }
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        flow.restore(&store, HashRange::ALL, &BTreeMap::new())?;
        Ok(Self { scripts, flow, outlets, clock, event_clock, live, rejected: Vec::new(), timed: false, sequence: 0 })
    }

    pub(super) async fn play(&mut self, input: &TestInput) -> Result<()> {
        match input {
            TestInput::Record { source, body, key, at_us } => {
                if let Some(at_us) = at_us {
                    self.clock.0.store(*at_us, Relaxed);
                    self.timed = true;
                    self.flow.tick(*at_us / 1000, &mut self.outlets).await?;
                }
                self.record(*source, body, key).await
            }
            TestInput::Watermark { source, us } => self.watermark(*source, *us).await,
        }
    }

    async fn record(&mut self, source: usize, body: &TestBody, key: &str) -> Result<()> {
        let unknown = || Error::new(Kind::Internal, "a record of a test belongs to no source");
        let script = self.scripts.get_mut(&source).ok_or_else(unknown)?;
        let (bytes, by_hand) = bytes(&script.format, body)?;
        let key = key_of(script.key_field.as_deref(), body, key);
        self.sequence += 1;
        let raw = RawBatch {
            records: Arc::new(Records {
                stream: script.input.source.stream().into(),
                shard: script.shard.clone(),
                sequence: vec![Sequence::from_u64(self.sequence)],
                sub_sequence: vec![0],
                partition_key: std::iter::once(key.as_bytes()).collect(),
                arrival_us: vec![self.clock.0.load(Relaxed)],
            }),
            data: std::iter::once(&bytes[..]).collect::<Cells>(),
        };
        Live::add(&self.live.records, 1);
        let decoder = if by_hand { &mut script.fields } else { &mut script.input.decoder };
        let decoded = script.input.locality.check(&raw, decode::decode_all(decoder.as_mut(), &raw).await?)?;
        let mut rule = script.input.time.clone();
        if !self.timed {
            rule.max_ahead_us = i64::MAX;
        }
        let (batch, rejects) = timed(&mut script.clock, &rule, &raw, decoded)?;
        let name = &script.input.name;
        self.rejected.extend(rejects.into_iter().map(|reject| Rejected {
            step: name.clone(),
            code: reject.code.to_owned(),
            message: reject.message,
        }));
        self.event_clock.set(&script.shard, script.clock.watermark_us(), false);
        self.flow.push(&script.input.name, batch, &script.input.feeds, &mut self.outlets).await?;
        self.advance().await
    }

    /// Event time has come this far in a source, whatever its records say.
    async fn watermark(&mut self, source: Option<usize>, us: i64) -> Result<()> {
        for (_, script) in self.scripts.iter_mut().filter(|(index, _)| source.is_none_or(|source| source == **index)) {
            script.clock.floor_us = script.clock.floor_us.max(us);
            self.event_clock.set(&script.shard, script.clock.watermark_us(), false);
        }
        self.advance().await
    }

    async fn advance(&mut self) -> Result<()> {
        let watermark = self.event_clock.watermark_us();
        self.flow.advance(watermark, &mut self.outlets).await?;
        for rejected in std::mem::take(&mut self.flow.rejected) {
            self.rejected.extend(rejected.rows.into_iter().map(|row| Rejected {
                step: rejected.step.clone(),
                code: row.code,
                message: row.message,
            }));
        }
        Ok(())
    }

    /// Everything that the sinks were given.
    pub(super) async fn end(mut self, memory: &Memory) -> Result<Ended> {
        for outlet in &mut self.outlets {
            if let Some(token) = outlet.sink.prepare(1).await?.token {
                outlet.sink.commit(&token).await?;
            }
        }
        let mut rows = BTreeMap::new();
        for (name, shown) in memory {
            let parse = |(_, row): (_, Vec<u8>)| serde_json::from_slice::<Row>(&row);
            let read: std::result::Result<Vec<Row>, _> = shown.rows().into_iter().map(parse).collect();
            let bad = |e| Error::new(Kind::Internal, format!("sink `{name}` has written what is no JSON object: {e}"));
            rows.insert(name.clone(), read.map_err(bad)?);
        }
        Ok(Ended { rows, rejected: self.rejected })
    }
}

/// The key that a producer would give: what the test says, else the field that the source names.
fn key_of(field: Option<&str>, body: &TestBody, key: &str) -> String {
    let named = match (body, field) {
        (TestBody::Fields(fields), Some(field)) if key.is_empty() => fields.get(field),
        _ => None,
    };
    match named {
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => key.to_owned(),
    }
}

/// The bytes of a record, and whether they are its fields as JSON although the source's format is another.
fn bytes(format: &Format, body: &TestBody) -> Result<(Vec<u8>, bool)> {
    match (format, body) {
        (_, TestBody::Text(text)) => Ok((text.clone().into_bytes(), false)),
        (Format::Json, TestBody::Fields(fields)) => Ok((fields.to_string().into_bytes(), false)),
        (Format::Avro { .. }, TestBody::Fields(fields)) => Ok((fields.to_string().into_bytes(), true)),
        (Format::Raw | Format::Text, TestBody::Fields(fields)) => match fields.get("payload") {
            Some(Json::String(text)) => Ok((text.clone().into_bytes(), false)),
            _ => Err(Error::new(
                Kind::Config,
                "a record of a `raw` or `text` source has no fields but `payload`: give its bytes with `text: ...`",
            )),
        },
    }
}
