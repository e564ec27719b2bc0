//! Failure capsules: everything that a plugin was given when it failed over one record, in one file, to be run again on any machine.
//!
//! The rules: a capsule needs nothing but itself and the component that it names by digest; it is written beside the path of records, is bounded
//! in number and in size, and is never a reason to stop. It holds what the record held: it belongs to whoever may read the stream.
//! Left to others: taking the evidence (`transform::evidence`), when one is kept (`partition::capsules`), running it again (`rerun`).

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

mod answers;
mod kept;
mod rerun;
pub mod sound;

pub use answers::Answered;
pub use rerun::{Again, rerun};

use crate::{
    error::{Error, Kind, Result},
    plugin::{Call, Due, StateCell, clean},
    record::{Batch, Cells, Origin, Records, Sequence, ShardId},
    transform::evidence::Evidence,
};

/// The form of the file.
const FORM: u32 = 1;
/// A larger file is no capsule.
const LARGEST: u64 = 64 << 20;

/// What a plugin was given, and what it did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capsule {
    /// the form of this file
    pub capsule: u32,
    /// the job, its version, and where it ran
    pub job: String,
    /// the deployed version of the job
    pub generation: u64,
    /// the partition
    pub partition: String,
    /// the step
    pub step: String,
    /// SHA-256 of the component
    pub digest: String,
    /// what the plugin was started with
    pub config: String,
    /// what the call was told
    pub call: Told,
    /// the input by which the record came
    pub input: u32,
    /// the record, where it is one that a source gave
    pub record: Option<Record>,
    /// the row that the plugin saw: an Arrow stream
    pub row: Bytes,
    /// event time and watermark, microseconds since 1970
    pub time_us: (i64, i64),
    /// the key, encoded, and its fields: an Arrow stream
    pub key: Option<(Bytes, Bytes)>,
    /// the timer, where one failed
    pub timer: Option<Timer>,
    /// the plugin's tables: name and version
    pub tables: Vec<(String, u32)>,
    /// state of the key: table, by its place among those, sub-key, value
    pub state: Vec<(u32, Bytes, Bytes)>,
    /// the key had more state than is kept here
    #[serde(default)]
    pub state_is_cut: bool,
    /// of an aggregator the window whose accumulator the state is: its start, included, and its end, milliseconds since 1970
    pub window_ms: Option<(i64, i64)>,
    /// what an enricher had asked for the record, and what came of it
    pub answers: Vec<Answered>,
    /// what the plugin did
    pub failure: Failed,
}

/// What a call was told beside its records.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Told {
    /// processing time, milliseconds since 1970
    pub now_ms: i64,
    /// for the guest's random numbers
    pub seed: u64,
    /// milliseconds since 1970; none before the first watermark
    pub watermark_ms: Option<i64>,
}

/// A record as the stream has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// the stream, or the name of a source that is none
    pub stream: String,
    /// its shard
    pub shard: String,
    /// its number there
    pub sequence: String,
    /// its place in an aggregate
    pub sub_sequence: u32,
    /// what it was put with
    pub partition_key: String,
    /// when it arrived, microseconds since 1970
    pub arrival_us: i64,
    /// its bytes, where the step has them; those of Avro begin with the id of their schema
    pub payload: Option<Bytes>,
}

/// A timer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timer {
    /// what the plugin calls it
    pub tag: Bytes,
    /// in event time, else in processing time
    pub in_event_time: bool,
    /// milliseconds since 1970
    pub at_ms: i64,
}

/// A failure in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// stable, short
    pub code: String,
    /// with the guest's stack
    pub message: String,
}

/// Bytes, as Base64 in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Where something failed.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// the job
    pub job: &'a str,
    /// its version
    pub generation: u64,
    /// the partition
    pub partition: &'a str,
    /// the step
    pub step: &'a str,
    /// SHA-256 of the component
    pub digest: &'a str,
    /// what the plugin was started with
    pub config: &'a str,
}

impl Capsule {
    /// What is kept of a failure. `payload` are the bytes of its record.
    pub fn new(place: &Place<'_>, evidence: &Evidence, payload: Option<&[u8]>) -> Result<Self> {
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        let key = match &evidence.key {
            Some((key, fields)) => Some((bytes(key), stream(fields)?)),
            None => None,
        };
        let timer = evidence.timer.as_ref().map(|due| Timer {
            tag: bytes(due.tag.cell(0)),
            in_event_time: due.in_event_time[0],
            at_ms: due.at_ms[0],
        });
        let Call { now_ms, seed, watermark_ms } = evidence.call;
        let seen = &evidence.seen;
        Ok(Self {
            capsule: FORM,
            job: place.job.to_owned(),
            generation: place.generation,
            partition: place.partition.to_owned(),
            step: place.step.to_owned(),
            digest: place.digest.to_owned(),
            config: place.config.to_owned(),
            call: Told { now_ms, seed, watermark_ms },
            input: evidence.input,
            record: record(&evidence.record, payload),
            row: stream(&evidence.record.fields)?,
            time_us: (evidence.record.event_us[0], evidence.record.watermark_us[0]),
            key,
            timer,
            tables: seen.state.tables.clone(),
            state: seen.state.cells.iter().map(|cell| (cell.table, bytes(&cell.sub_key), bytes(&cell.value))).collect(),
            state_is_cut: seen.state.is_cut,
            window_ms: seen.window_ms,
            answers: seen.answers.iter().map(Answered::of).collect(),
            failure: Failed { code: evidence.failure.code().to_owned(), message: evidence.failure.to_string() },
        })
    }

    /// Reads a file, which may come from anybody.
    pub fn read(path: &Path) -> Result<Self> {
        let refused = |what: String| Error::new(Kind::Config, format!("`{}`: {}", path.display(), clean(&what)));
        let bytes = sound::bytes(path, LARGEST).map_err(refused)?;
        let capsule: Self =
            serde_json::from_slice(&bytes).map_err(|e| refused(format!("it is no failure capsule: {e}")))?;
        if capsule.capsule != FORM {
            return Err(refused(format!("it is of form {}, this program reads form {FORM}", capsule.capsule)));
        }
        if !sound::is_name(&capsule.job) {
            return Err(refused(format!("it is no failure capsule: `{}` is no name of a job", capsule.job)));
        }
        if !sound::is_digest(&capsule.digest) {
            return Err(refused(format!("it is no failure capsule: `{}` is no digest of a plugin", capsule.digest)));
        }
        Ok(capsule)
    }

    /// Writes a file, which is there whole or not at all.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::other)?;
        if text.len() as u64 > LARGEST {
            let words = format!("it would have {} bytes, and nobody reads more than {LARGEST}", text.len());
            return Err(std::io::Error::other(words));
        }
        let half = path.with_extension("half");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&half, text)?;
        fs::rename(half, path)
    }

    /// State as the plugin saw it.
    pub fn cells(&self) -> Vec<StateCell> {
        let cell = |(table, sub_key, value): &(u32, Bytes, Bytes)| StateCell {
            table: *table,
            sub_key: sub_key.0.clone(),
            value: value.0.clone(),
        };
        self.state.iter().map(cell).collect()
    }

    /// The timer that was due.
    pub fn due(&self) -> Option<Due> {
        self.timer.as_ref().map(|timer| Due {
            tag: [&*timer.tag.0].into_iter().collect(),
            in_event_time: vec![timer.in_event_time],
            at_ms: vec![timer.at_ms],
        })
    }

    /// The row, as a batch of one. A row that came from no record gets one of no stream.
    pub fn batch(&self) -> Result<Batch> {
        let none = Record {
            stream: String::new(),
            shard: String::new(),
            sequence: "0".into(),
            sub_sequence: 0,
            partition_key: String::new(),
            arrival_us: 0,
            payload: None,
        };
        let record = self.record.as_ref().unwrap_or(&none);
        let sequence: Sequence = record
            .sequence
            .parse()
            .map_err(|_| Error::new(Kind::Config, format!("`{}` is no sequence number", clean(&record.sequence))))?;
        let records = Records {
            stream: Arc::from(record.stream.as_str()),
            shard: ShardId::new(record.shard.as_str()),
            sequence: vec![sequence],
            sub_sequence: vec![record.sub_sequence],
            partition_key: [record.partition_key.as_bytes()].into_iter().collect::<Cells>(),
            arrival_us: vec![record.arrival_us],
        };
        let (event_us, watermark_us) = self.time_us;
        Ok(Batch {
            origin: Origin::Records(Arc::new(records)),
            rows: vec![0],
            nth: vec![0],
            event_us: vec![event_us],
            watermark_us: vec![watermark_us],
            fields: unstream(&self.row)?,
        })
    }

    /// The key, encoded, and its fields.
    pub fn key(&self) -> Result<Option<(Vec<u8>, RecordBatch)>> {
        self.key.as_ref().map(|(key, fields)| Ok((key.0.clone(), unstream(fields)?))).transpose()
    }

    /// Which schemas the record names, for people: what stands before the bytes of Avro.
    pub fn schema(&self) -> Option<String> {
        let payload = &self.record.as_ref()?.payload.as_ref()?.0;
        match payload.as_slice() {
            [0, a, b, c, d, ..] => Some(format!("Confluent id {}", u32::from_be_bytes([*a, *b, *c, *d]))),
            [3, _, id @ ..] if id.len() >= 16 => {
                let digits: String = id[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                Some(format!("Glue version {digits}"))
            }
            _ => None,
        }
    }
}

fn record(row: &Batch, payload: Option<&[u8]>) -> Option<Record> {
    let Origin::Records(records) = &row.origin else { return None };
    let at = row.rows[0] as usize;
    Some(Record {
        stream: records.stream.to_string(),
        shard: records.shard.as_str().to_owned(),
        sequence: records.sequence[at].to_string(),
        sub_sequence: records.sub_sequence[at],
        partition_key: String::from_utf8_lossy(records.partition_key.cell(at)).into_owned(),
        arrival_us: records.arrival_us[at],
        payload: payload.map(|bytes| Bytes(bytes.to_vec())),
    })
}

fn stream(fields: &RecordBatch) -> Result<Bytes> {
    let failed = |e: arrow::error::ArrowError| Error::new(Kind::Internal, format!("a row cannot be kept: {e}"));
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &fields.schema()).map_err(failed)?;
    writer.write(fields).and_then(|()| writer.finish()).map_err(failed)?;
    drop(writer);
    Ok(Bytes(bytes))
}

fn unstream(bytes: &Bytes) -> Result<RecordBatch> {
    let failed = |what: String| Error::new(Kind::Config, format!("the capsule's row is damaged: {}", clean(&what)));
    sound::stream(&bytes.0).map_err(failed)?;
    // What the reader does not know of the types of Arrow it panics over.
    let read = std::panic::catch_unwind(|| StreamReader::try_new(&*bytes.0, None)?.next().transpose());
    let read = read.map_err(|_| failed("its types are not understood".to_owned()))?;
    let batch = read.map_err(|e| failed(e.to_string()))?.ok_or_else(|| failed("there is none".to_owned()))?;
    if batch.num_rows() == 1 { Ok(batch) } else { Err(failed(format!("there are {} rows", batch.num_rows()))) }
}

/// By step: the config that its plugin is started with.
pub type Configs = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        contract,
        plugin::{Failure, KeyState, Outcome, Request, Seen},
    };

    #[test]
    fn what_is_kept_is_what_was_given() {
        let batch = contract::rows(0..3);
        let one = Batch {
            rows: vec![batch.rows[1]],
            nth: vec![batch.nth[1]],
            event_us: vec![batch.event_us[1]],
            watermark_us: vec![batch.watermark_us[1]],
            fields: batch.fields.slice(1, 1),
            ..batch
        };
        let request = Request {
            row: 0,
            cookie: vec![0xff],
            connector: "scores".into(),
            method: "POST".into(),
            path: "/".into(),
            headers: vec![("a".into(), "b".into())],
            body: vec![0xfe],
        };
        let evidence = Evidence {
            call: Call { now_ms: 7, seed: u64::MAX, watermark_ms: Some(-1) },
            input: 1,
            key: Some((b"k\xff".to_vec(), one.fields.clone())),
            record: one.clone(),
            timer: None,
            seen: Seen {
                state: KeyState {
                    tables: vec![("a".to_owned(), 1), ("b".to_owned(), 4)],
                    cells: vec![StateCell { table: 1, sub_key: vec![0], value: vec![255] }],
                    is_cut: true,
                },
                window_ms: Some((-5, i64::MAX)),
                answers: vec![(request, Outcome::Answered { status: 204, headers: Vec::new(), body: vec![254] })],
            },
            failure: Failure::Trap { message: "no".into(), backtrace: vec!["f at lib.rs:1".into()] },
        };
        let digest = "0f".repeat(32);
        let place = Place { job: "j", generation: 3, partition: "p", step: "s", digest: &digest, config: "{}" };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/capsule.json");
        Capsule::new(&place, &evidence, Some(&[0, 0, 0, 0, 17, 2])).unwrap().write(&path).unwrap();
        let read = Capsule::read(&path).unwrap();
        assert_eq!((read.cells(), read.state_is_cut), (evidence.seen.state.cells.clone(), true));
        assert_eq!(
            (read.tables.clone(), read.window_ms),
            (evidence.seen.state.tables.clone(), evidence.seen.window_ms)
        );
        let answers: Vec<_> = read.answers.iter().map(Answered::back).collect();
        assert_eq!(answers, evidence.seen.answers);
        assert_eq!(read.batch().unwrap().fields, one.fields);
        assert_eq!(read.key().unwrap().unwrap(), evidence.key.unwrap());
        assert_eq!(read.schema().unwrap(), "Confluent id 17");
        assert!(read.failure.message.contains("lib.rs:1"));
        let text = fs::read_to_string(&path).unwrap();
        for (from, to) in [(text.as_str(), "{}"), (&digest, "/dev/zero"), ("\"job\": \"j\"", "\"job\": \"../..\"")] {
            fs::write(&path, text.replace(from, to)).unwrap();
            assert!(Capsule::read(&path).unwrap_err().to_string().contains("is no failure capsule"), "{to}");
        }
    }
}
