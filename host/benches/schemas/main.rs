//! What decoding Avro costs, beside two libraries, and what schemas cost: `cargo xtask bench schemas`; what the rows mean is in
//! `docs/benchmarks.md`.
//!
//! Records of 200 bytes and of 1 KiB, with 8 and with 60 fields, of which 5 are read; the same by apache-avro to its values, and by arrow-avro
//! to columns of every field. One thread; CPU time; every row is measured several times and the table shows the middle one and the spread.
#![allow(clippy::print_stdout, reason = "its output is the point")]

#[path = "../speed/measure.rs"]
#[allow(dead_code, reason = "shared with the other benchmark")]
mod measure;

use std::sync::Arc;

use arrow_avro::schema::{AvroSchema as TheirSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use measure::{Spread, Watch, resident_kib};
use pelton::{
    clock::SystemClock,
    decode::{
        Decoder, WantedField,
        avro::{self, AvroDecoder, Contract, frame, long},
        decode_all,
        registry::{Found, MemorySource, Patience, Registered, Registry, SchemaId},
    },
    record::{Cells, RawBatch, Records, Sequence, ShardId},
};
use pelton_schema::Mode;
use serde_json::{Value as Json, json};

const BATCH: usize = 8192;
const BATCHES: usize = 24;
const SUBJECT: &str = "readings-value";
/// Fields that are read.
const READ: usize = 5;
const IDS: u32 = 10_000;

/// A kind of record: fields in turn long, double, string, boolean.
#[derive(Clone, Copy)]
struct Shape {
    fields: usize,
    bytes: usize,
}

const SHAPES: [Shape; 4] = [
    Shape { fields: 8, bytes: 200 },
    Shape { fields: 60, bytes: 200 },
    Shape { fields: 8, bytes: 1024 },
    Shape { fields: 60, bytes: 1024 },
];

impl Shape {
    fn name(self) -> String {
        format!("{} B, {} fields", self.bytes, self.fields)
    }

    /// The schema; `more` fields with defaults make another version of it.
    fn schema(self, more: u32) -> String {
        let kinds = ["long", "double", "string", "boolean"];
        let mut fields: Vec<Json> =
            (0..self.fields).map(|n| json!({ "name": format!("f{n}"), "type": kinds[n % kinds.len()] })).collect();
        fields.extend((more > 0).then(|| json!({ "name": format!("more{more}"), "type": "int", "default": 1 })));
        json!({ "type": "record", "name": "Reading", "fields": fields }).to_string()
    }

    /// A record of about so many bytes: texts take what the others leave.
    fn body(self, seed: u64, more: u32) -> Vec<u8> {
        let texts = (0..self.fields).filter(|n| n % 4 == 2).count();
        let others = self.fields.div_ceil(4) * 2 + (self.fields + 2) / 4 * 8 + self.fields / 4;
        let length = (self.bytes.saturating_sub(others) / texts).saturating_sub(1).clamp(1, 60);
        let mut out = Vec::with_capacity(self.bytes + 8);
        for n in 0..self.fields {
            match n % 4 {
                0 => long((seed % 4000) as i64, &mut out),
                1 => out.extend_from_slice(&(seed as f64 / 8.0).to_le_bytes()),
                // The last text takes the rest.
                2 if n + 4 >= self.fields => {
                    let tail = self.fields - n - 1;
                    let rest = self.bytes.saturating_sub(out.len() + tail + 2).max(1);
                    text(rest, &mut out);
                }
                2 => text(length, &mut out),
                _ => out.push((seed % 2) as u8),
            }
        }
        if more > 0 {
            long(7, &mut out);
        }
        out
    }
}

fn text(length: usize, out: &mut Vec<u8>) {
    long(length as i64, out);
    out.extend((0..length).map(|at| b'a' + (at % 26) as u8));
}

fn batch(records: &[Vec<u8>]) -> RawBatch {
    let identity = Records {
        stream: "bench".into(),
        shard: ShardId::new("shard-0"),
        sequence: (0..records.len() as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; records.len()],
        partition_key: records.iter().map(|_| &b"key"[..]).collect(),
        arrival_us: vec![0; records.len()],
    };
    RawBatch { records: Arc::new(identity), data: records.iter().map(Vec::as_slice).collect::<Cells>() }
}

fn registered(text: &str) -> Arc<Registered> {
    match Registered::unregistered(SchemaId::Number(1), text) {
        Found::Schema(schema) => schema,
        other => panic!("{other:?}"),
    }
}

fn registry(schemas: impl Iterator<Item = String>) -> Arc<Registry> {
    let numbered = (1u32..).zip(schemas);
    let source =
        numbered.fold(MemorySource::default(), |source, (id, text)| source.with(SchemaId::Number(id), SUBJECT, &text));
    Registry::new(Box::new(source), Patience::default(), SystemClock::shared())
}

fn wanted(reader: &Registered, count: usize) -> Vec<WantedField> {
    let all = avro::infer(&reader.schema);
    let step = (all.len() / count).max(1);
    all.into_iter().step_by(step).take(count).collect()
}

/// Decodes batches, and says how many records came out.
fn passes(decoder: &mut dyn Decoder, batches: &[RawBatch], runtime: &tokio::runtime::Runtime) -> u64 {
    let decoded = batches.iter().map(|batch| runtime.block_on(decode_all(decoder, batch)).expect("memory answers"));
    decoded
        .map(|decoded| {
            assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects.first());
            decoded.rows.len() as u64
        })
        .sum()
}

/// Millions of records a CPU second, of several measurements.
fn rate(repeat: usize, mut work: impl FnMut() -> u64) -> Spread {
    work();
    let figures = (0..repeat).map(|_| {
        let watch = Watch::start();
        let records = work();
        records as f64 / watch.stop().cpu_s / 1e6
    });
    Spread::of(figures.collect()).expect("there is at least one")
}

fn line(name: &str, what: &str, figures: Spread) {
    println!("{name:<20} {what:<46} {:>7.2} / {:>6.2} / {:>6.2}", figures.min, figures.median, figures.max);
}

fn decoding(shape: Shape, repeat: usize, runtime: &tokio::runtime::Runtime) {
    let schema = shape.schema(0);
    let records: Vec<Vec<u8>> = (0..BATCH as u64).map(|seed| frame(1, &shape.body(seed, 0))).collect();
    let mean = records.iter().map(Vec::len).sum::<usize>() / records.len();
    let batches: Vec<RawBatch> = (0..BATCHES).map(|_| batch(&records)).collect();
    let reader = registered(&schema);
    for (count, what) in [(READ, "Pelton, 5 fields read"), (shape.fields, "Pelton, every field read")] {
        let schemas = registry(std::iter::once(schema.clone()));
        let fields = wanted(&reader, count);
        let contract = Contract::open(Some(Arc::clone(&reader)));
        let mut decoder = AvroDecoder::new(schemas, contract, &fields, 1 << 20).expect("the fields are there");
        line(&shape.name(), &format!("{what} ({mean} B)"), rate(repeat, || passes(&mut decoder, &batches, runtime)));
    }
    let theirs = apache_avro::Schema::parse_str(&schema).expect("it is a schema");
    line(
        &shape.name(),
        "apache-avro, to its values",
        rate(repeat, || {
            let reader =
                apache_avro::reader::datum::GenericDatumReader::builder(&theirs).build().expect("it reads itself");
            for record in &records {
                let mut body = &record[5..];
                std::hint::black_box(reader.read_value(&mut body).expect("it was written so"));
            }
            records.len() as u64
        }),
    );
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(1), TheirSchema::new(schema)).expect("it is a schema");
    let builder = arrow_avro::reader::ReaderBuilder::new().with_batch_size(BATCH).with_writer_schema_store(store);
    let mut decoder = builder.with_active_fingerprint(Fingerprint::Id(1)).build_decoder().expect("it reads itself");
    line(
        &shape.name(),
        "arrow-avro, every field to columns",
        rate(repeat, || {
            let mut rows = 0;
            for _ in 0..4 {
                for record in &records {
                    decoder.decode(record).expect("it was written so");
                }
                rows += decoder.flush().expect("it was written so").map_or(0, |batch| batch.num_rows() as u64);
            }
            rows
        }),
    );
}

/// Ten versions in turn, without a mode and under the strictest one: judging is over when the measuring begins.
fn judging(repeat: usize, runtime: &tokio::runtime::Runtime) {
    let shape = SHAPES[0];
    let versions: Vec<String> = (0..10).map(|more| shape.schema(more)).collect();
    let records: Vec<Vec<u8>> =
        (0..BATCH as u64).map(|seed| frame(1 + (seed / 820) as u32, &shape.body(seed, (seed / 820) as u32))).collect();
    let batches: Vec<RawBatch> = (0..BATCHES).map(|_| batch(&records)).collect();
    let reader = registered(&versions[0]);
    for mode in [Mode::None, Mode::BackwardAll] {
        let contract = Contract { mode, subject: Some(SUBJECT.into()), ..Contract::open(Some(Arc::clone(&reader))) };
        let schemas = registry(versions.iter().cloned());
        let mut decoder =
            AvroDecoder::new(schemas, contract, &wanted(&reader, READ), 1 << 20).expect("the fields are there");
        line("ten versions", &format!("mode {mode}"), rate(repeat, || passes(&mut decoder, &batches, runtime)));
    }
}

/// Ten thousand ids: the first pass fetches, judges and compiles each; later ones only find them.
fn many(repeat: usize, runtime: &tokio::runtime::Runtime) {
    let shape = SHAPES[0];
    let records: Vec<Vec<u8>> = (0..IDS).map(|id| frame(1 + id, &shape.body(u64::from(id), id))).collect();
    let batches: Vec<RawBatch> = records.chunks(BATCH).map(batch).collect();
    let reader = registered(&shape.schema(0));
    let schemas = registry((0..IDS).map(|more| shape.schema(more)));
    let contract =
        Contract { mode: Mode::Backward, subject: Some(SUBJECT.into()), ..Contract::open(Some(Arc::clone(&reader))) };
    let mut decoder =
        AvroDecoder::new(schemas, contract, &wanted(&reader, READ), 1 << 20).expect("the fields are there");
    let (before, watch) = (resident_kib().unwrap_or(0), Watch::start());
    passes(&mut decoder, &batches, runtime);
    let (spent, after) = (watch.stop(), resident_kib().unwrap_or(0));
    let each = spent.cpu_s * 1e6 / f64::from(IDS);
    println!(
        "{IDS} ids: fetched from memory, judged and compiled in {each:.0} us of CPU each, {} KiB resident more",
        after.saturating_sub(before)
    );
    line(
        "10,000 ids in turn",
        "each record another schema",
        rate(repeat, || (0..20).map(|_| passes(&mut decoder, &batches, runtime)).sum()),
    );
}

fn main() {
    let repeat =
        std::env::args().skip_while(|word| word != "--repeat").nth(1).and_then(|text| text.parse().ok()).unwrap_or(5);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    println!("{:<20} {:<46} {:>7} / {:>6} / {:>6}", "records", "what", "least", "middle", "most");
    SHAPES.into_iter().for_each(|shape| decoding(shape, repeat, &runtime));
    judging(repeat, &runtime);
    many(repeat, &runtime);
}
