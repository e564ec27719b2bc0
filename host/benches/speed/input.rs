//! The input of the works: readings of devices as Avro of 205 bytes, and what must come of them by a plain computation.
//!
//! As in the measurements of other systems: 8 fields (2 texts, 3 longs, 2 doubles, 1 boolean), 10,000 keys at random, 208,333 readings
//! an hour of event time, out of order by up to 4 s. Values are multiples of 1/1024, so that sums are exact.
//! A pass is six hours; the next pass is the same with its times shifted, written into the bytes in place.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pelton::{
    decode::{
        avro::{frame, long},
        registry::{Found, MemorySource, Patience, Registered, Registry, SchemaId},
    },
    error::{Error, Kind},
    record::{Cells, RawBatch, Records, Sequence, ShardId},
};

/// Devices.
pub const KEYS: usize = 10_000;
/// Rows of a batch, as the plain program has them.
pub const BATCH: usize = 8_192;
/// Event time that a pass covers.
pub const PASS_MS: i64 = 6 * HOUR_MS;
pub const HOUR_MS: i64 = 3_600_000;
/// Readings of a pass.
pub const PASS: usize = 1_250_000;
/// Readings of value below this are dropped by work A: half of them.
pub const BOUND: f64 = 512.0;
pub const SUBJECT: &str = "readings-value";
const SCHEMA_ID: u32 = 7;
const START_MS: i64 = 1_700_006_400_000;
const DATUM: usize = 200;
/// Where the time stands in a framed record: after the frame and the device.
const AT: usize = 5 + 1 + 14;

pub const SCHEMA: &str = r#"{"type":"record","name":"Reading","fields":[
    {"name":"device","type":"string"},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"level","type":"long"},
    {"name":"counter","type":"long"},
    {"name":"value","type":"double"},
    {"name":"charge","type":"double"},
    {"name":"ok","type":"boolean"},
    {"name":"note","type":"string"}]}"#;

/// What is read of a reading by the plain computation.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub device: u32,
    pub at_ms: i64,
    pub level: i64,
    pub value: f64,
}

/// Numbers that are the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The readings of the first pass, in the order of the log.
pub fn readings(count: usize) -> impl Iterator<Item = Reading> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    (0..count as i64).map(move |place| {
        let ideal = place * PASS_MS / PASS as i64;
        let at_ms = START_MS + (ideal - numbers.below(4_000) as i64).max(ideal / PASS_MS * PASS_MS);
        let device = numbers.below(KEYS as u64) as u32;
        let level = numbers.below(1_000) as i64;
        Reading { device, at_ms, level, value: numbers.below(1 << 20) as f64 / 1024.0 }
    })
}

fn text(text: &str, into: &mut Vec<u8>) {
    long(text.len() as i64, into);
    into.extend_from_slice(text.as_bytes());
}

/// A reading as the stream holds it.
pub fn encode(place: usize, reading: &Reading) -> Vec<u8> {
    let mut body = Vec::with_capacity(DATUM);
    text(&format!("device-{:07}", reading.device), &mut body);
    long(reading.at_ms, &mut body);
    long(reading.level, &mut body);
    long((place % 1_000_000) as i64, &mut body);
    body.extend_from_slice(&reading.value.to_le_bytes());
    body.extend_from_slice(&(reading.value / 2.0).to_le_bytes());
    body.push(u8::from(reading.level % 2 == 0));
    let note = DATUM - body.len() - 2;
    text(&"calibrated in the field, ".repeat(8)[..note], &mut body);
    frame(SCHEMA_ID, &body)
}

/// The registry that knows the schema.
pub fn registry() -> pelton::error::Result<Arc<Registry>> {
    let source = MemorySource::default().with(SchemaId::Number(SCHEMA_ID), SUBJECT, SCHEMA);
    Ok(Registry::new(Box::new(source), Patience::default(), pelton::clock::SystemClock::shared()))
}

/// The schema that readings are read by.
pub fn reader() -> pelton::error::Result<Arc<Registered>> {
    match Registered::unregistered(SchemaId::Number(SCHEMA_ID), SCHEMA) {
        Found::Schema(reader) => Ok(reader),
        other => Err(Error::new(Kind::Internal, format!("{other:?}"))),
    }
}

/// A batch whose times can be shifted again and again.
pub struct Shifting {
    records: Arc<Records>,
    data: Bytes,
    offsets: Vec<u32>,
    at_ms: Vec<i64>,
}

/// The batches of the first `count` readings.
pub fn batches(count: usize) -> Vec<Shifting> {
    let all: Vec<Reading> = readings(count).collect();
    all.chunks(BATCH).enumerate().map(|(number, chunk)| shifting(number * BATCH, chunk)).collect()
}

fn shifting(first: usize, readings: &[Reading]) -> Shifting {
    let framed: Vec<Vec<u8>> = readings.iter().enumerate().map(|(n, r)| encode(first + n, r)).collect();
    let cells: Cells = framed.iter().map(Vec::as_slice).collect();
    let keys: Vec<String> = readings.iter().map(|reading| reading.device.to_string()).collect();
    let records = Records {
        stream: "readings".into(),
        shard: ShardId::new("shard-0"),
        sequence: vec![Sequence::ZERO; readings.len()],
        sub_sequence: vec![0; readings.len()],
        partition_key: keys.iter().map(String::as_bytes).collect(),
        arrival_us: vec![0; readings.len()],
    };
    let at_ms = readings.iter().map(|reading| reading.at_ms).collect();
    Shifting { records: Arc::new(records), data: cells.data().clone(), offsets: cells.offsets().to_vec(), at_ms }
}

impl Shifting {
    /// The batch with every time later by `shift_ms`, numbered from `first`. Bytes that nobody else holds any more are changed in place.
    pub fn raw(&mut self, shift_ms: i64, first: u64) -> RawBatch {
        let records = Arc::make_mut(&mut self.records);
        let mut data =
            std::mem::take(&mut self.data).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        for (row, at_ms) in self.at_ms.iter().enumerate() {
            let at_ms = at_ms + shift_ms;
            let at = self.offsets[row] as usize + AT;
            put_time(at_ms, &mut data[at..at + 6]);
            records.arrival_us[row] = at_ms * 1_000;
            records.sequence[row] = Sequence::from_u64(first + row as u64);
        }
        self.data = data.freeze();
        let data = Cells::new(self.data.clone(), self.offsets.clone()).expect("the offsets were made with the data");
        RawBatch { records: self.records.clone(), data }
    }

    pub fn len(&self) -> usize {
        self.at_ms.len()
    }
}

/// A time of this century is six bytes of seven bits: 42 bits of its zigzag number.
fn put_time(at_ms: i64, into: &mut [u8]) {
    let mut rest = (at_ms as u64) << 1;
    for byte in &mut into[..5] {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    into[5] = rest as u8;
}
