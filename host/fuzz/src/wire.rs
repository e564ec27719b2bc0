//! Records: bodies in every frame, beside good records, decoded under every way of reading.
//!
//! The rule: whatever the bytes are, **each record becomes what it becomes alone**, row or reject, and the good ones around it are rows with
//! the values that they have alone; what is passed over is judged as if it were read. Left to others: which schemas there are (`schemas`).

use std::{cell::RefCell, collections::HashMap, io::Write, sync::Arc, time::Duration};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::DataType,
};
use flate2::{Compression, write};
use pelton::{
    clock::SystemClock,
    decode::{
        Decoded, Decoder, Kind, WantedField,
        avro::{self, AvroDecoder, AvroSchema, Contract},
        json::{JsonDecoder, infer_json},
        registry::{Patience, Registry, SchemaId, SchemaSource},
    },
    record::{Cells, RawBatch, Records, Sequence, ShardId},
};
use pelton_schema::{Mode, sample::Dice};
use serde::de::IgnoredAny;

use crate::schemas::{Case, GLUE, GUID, NUMBER, cases};

/// What a compressed record may inflate to.
const LIMIT: usize = 1 << 20;
/// How long the words of a reject may be.
const MOST_WORDS: usize = 4096;
/// How many bytes one record may become in a column: the bound of JSON text, and one value more.
const MOST_CELL: usize = (10 << 20) + 2 * LIMIT;
/// Codes that a record may be refused with.
const CODES: [&str; 22] = [
    "bad_block",
    "bad_boolean",
    "bad_branch",
    "bad_container",
    "bad_gzip",
    "bad_length",
    "bad_number",
    "bad_schema",
    "bad_symbol",
    "bad_utf8",
    "empty",
    "incompatible_schema",
    "malformed",
    "missing_field",
    "out_of_range",
    "schema_mismatch",
    "too_large",
    "trailing_bytes",
    "truncated",
    "unknown_schema",
    "wrong_magic",
    "wrong_type",
];
/// Codes of values that are read, and do not fit into what somebody wants of them.
const UNFIT: [&str; 5] = ["too_large", "out_of_range", "bad_utf8", "bad_length", "missing_field"];

/// What became of one record: its row, or the code.
pub type Fate = Result<RecordBatch, &'static str>;

/// Decoders by case and way of reading, as a partition keeps its own over many batches.
#[derive(Default)]
struct Kept {
    decoders: HashMap<(usize, u8, u8), AvroDecoder>,
    uses: usize,
}

/// After so many uses decoders are made anew: schemas that records bring along fill them.
const MOST_USES: usize = 500;

thread_local! {
    static CASES: Vec<Case> = cases();
    static KEPT: RefCell<Kept> = RefCell::default();
    static RUNTIME: RefCell<tokio::runtime::Runtime> =
        RefCell::new(tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));
}

/// Confluent's frames.
pub fn confluent(data: &[u8]) {
    wire(data, |case, flags, body| framed(if flags & 0x80 == 0 { NUMBER } else { GUID }, case, body));
}

/// AWS Glue's.
pub fn glue(data: &[u8]) {
    wire(data, |case, _, body| framed(GLUE, case, body));
}

/// The same with a body that says it is compressed: as it is, or compressed here.
pub fn glue_zlib(data: &[u8]) {
    wire(data, |case, flags, body| {
        let mut record = framed(GLUE, case, &[]);
        record[1] = 5;
        record.extend(if flags & 0x80 == 0 { zlib(body) } else { body.to_vec() });
        record
    });
}

/// Single objects.
pub fn single_object(data: &[u8]) {
    wire(data, |case, _, body| framed(SchemaId::Fingerprint(case.schema.fingerprint()), case, body));
}

/// Object container files: around a body, or around all of it that is not the schema.
pub fn container(data: &[u8]) {
    wire(data, |case, flags, body| framed(SchemaId::Own(u128::from(flags >> 6)), case, body));
}

/// Records that were compressed as a whole: here, in two members, or bytes that only begin so.
pub fn gzip(data: &[u8]) {
    wire(data, |case, flags, body| {
        let record = framed(if flags & 0x20 == 0 { NUMBER } else { SchemaId::Own(0) }, case, body);
        match flags >> 6 {
            0 | 1 => zipped(&record),
            2 => {
                let (head, tail) = record.split_at(record.len() / 2);
                [zipped(head), zipped(tail)].concat()
            }
            _ => [&[0x1f, 0x8b, 0x08], body].concat(),
        }
    });
}

/// A record of a schema. The number of `Own` says how its container is made: plain, deflated, deflated badly, damaged anywhere.
fn framed(id: SchemaId, case: &Case, body: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let SchemaId::Own(how) = id else {
        avro::write_head(id, &mut record);
        record.extend_from_slice(body);
        return record;
    };
    let text = |text: &[u8], record: &mut Vec<u8>| {
        avro::long(text.len() as i64, record);
        record.extend_from_slice(text);
    };
    record.extend_from_slice(b"Obj\x01\x04");
    text(b"avro.codec", &mut record);
    text(if how == 0 || how == 3 { b"null" } else { b"deflate" }, &mut record);
    text(b"avro.schema", &mut record);
    text(case.text.as_bytes(), &mut record);
    record.push(0);
    if how == 3 {
        record.extend_from_slice(body);
        return record;
    }
    record.extend_from_slice(&[7; 16]);
    avro::long(1, &mut record);
    text(&if how == 1 { deflate(body) } else { body.to_vec() }, &mut record);
    record.extend_from_slice(&[7; 16]);
    record
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = write::DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all bytes")
}

/// The first byte says which schema, the second how it is read and framed, the rest is a body. It is also given as it is.
fn wire(data: &[u8], frame: impl Fn(&Case, u8, &[u8]) -> Vec<u8>) {
    let [which, flags, body @ ..] = data else { return };
    CASES.with(|cases| {
        let place = usize::from(*which) % cases.len();
        let case = &cases[place];
        let (good, bad) = (frame(case, *flags & 0x1f, &case.good), frame(case, *flags, body));
        let read = |decoder: &mut AvroDecoder| {
            let is_read = single(decoder, &framed(NUMBER, case, &case.good)).is_ok();
            assert!(is_read, "a good record is refused");
            together(decoder, &good, &[&bad, body])
        };
        let fates = with_decoder(place, case, (*flags & 0x0f, *which), read);
        for (record, fate) in [&bad[..], body].iter().zip(&fates) {
            let [passed, text] =
                [0, 2].map(|how| with_decoder(place, case, (how, 0), |decoder| single(decoder, record).map(drop)));
            for read in [text, fate.as_ref().map(drop).map_err(|code| *code)] {
                agree(passed, read);
            }
        }
    });
}

/// Gives the decoder of a case and a way of reading to somebody.
fn with_decoder<T>(place: usize, case: &Case, way: (u8, u8), run: impl FnOnce(&mut AvroDecoder) -> T) -> T {
    KEPT.with_borrow_mut(|kept| {
        kept.uses += 1;
        if kept.uses > MOST_USES {
            *kept = Kept::default();
        }
        let make = || {
            let wanted = wanted(&case.schema, way.0, u64::from(way.1));
            decoder(&registry(case.source()), Contract::open(None), &wanted).expect("what a schema has can be read")
        };
        run(kept.decoders.entry((place, way.0, way.1)).or_insert_with(make))
    })
}

/// Whether a record is good does not depend on who reads it, as far as its values fit into what is wanted.
fn agree(passed: Result<(), &'static str>, read: Result<(), &'static str>) {
    match (passed, read) {
        (Ok(()), Err(code)) => assert!(UNFIT.contains(&code), "passed over it is good, read it is `{code}`"),
        (Err(code), Ok(())) => assert!(UNFIT.contains(&code), "read it is good, passed over it is `{code}`"),
        _ => {}
    }
}

/// One of several readers' schemas, and contracts that it may break.
pub fn resolved(data: &[u8]) {
    let [which, flags, body @ ..] = data else { return };
    CASES.with(|cases| {
        let case = &cases[usize::from(*which) % cases.len()];
        let reader = &case.readers[usize::from(*flags >> 4) % case.readers.len()];
        let mode = if *flags & 0x08 == 0 { Mode::None } else { Mode::Full };
        let contract = Contract { mode, ..Contract::open(Some(Arc::clone(reader))) };
        let wanted = wanted(&reader.schema, *flags & 0x07, u64::from(*which));
        let Ok(mut decoder) = decoder(&registry(case.source()), contract, &wanted) else { return };
        let (good, bad) = (framed(NUMBER, case, &case.good), framed(NUMBER, case, body));
        together(&mut decoder, &good, &[&bad]);
    });
}

/// Records of JSON: the fields that this one has, and fields of every kind.
pub fn json(data: &[u8]) {
    let good: &[u8] =
        br#"{"a":1,"b":{"c":"x","d":[1.5,null]},"e":true,"f":"2026-01-02T03:04:05Z","g":"12.50","h":"AAEC"}"#;
    let kinds = [("a", Kind::Int64), ("b.c", Kind::Text), ("b", Kind::Json), ("b.d", Kind::Json), ("e", Kind::Boolean)];
    let more = [
        ("f", Kind::Timestamp),
        ("g", Kind::Decimal { precision: 20, scale: 3 }),
        ("h", Kind::Binary),
        ("i", Kind::Date),
    ];
    let last = [("j", Kind::Float64), ("k", Kind::Int32), ("a", Kind::Text), ("a", Kind::Json)];
    let fixed: Vec<WantedField> =
        kinds.iter().chain(&more).chain(&last).map(|(path, kind)| WantedField::optional(path, *kind)).collect();
    let natural = infer_json([data]);
    for wanted in [fixed, natural, Vec::new()] {
        let mut decoder = JsonDecoder::new(&wanted, LIMIT).expect("these paths are well formed");
        let zipped = zipped(data);
        together(&mut decoder, if wanted.len() == 13 { good } else { b"{}" }, &[data, &zipped]);
    }
}

/// What is wanted: nothing, the natural fields, every field as JSON, all at once, or other kinds than the natural ones.
pub fn wanted(schema: &AvroSchema, how: u8, seed: u64) -> Vec<WantedField> {
    let natural = avro::infer(schema);
    let as_json = || -> Vec<WantedField> {
        schema.fields().iter().map(|field| WantedField::optional(&field.name, Kind::Json)).collect()
    };
    match how {
        0 => Vec::new(),
        1 => natural,
        2 => as_json(),
        3 => [as_json(), natural].concat(),
        how => {
            let kinds = [
                Kind::Int64,
                Kind::Float64,
                Kind::Text,
                Kind::Binary,
                Kind::Json,
                Kind::Decimal { precision: 38, scale: 9 },
                Kind::Decimal { precision: 76, scale: 40 },
                Kind::Timestamp,
                Kind::Date,
                Kind::Int32,
            ];
            let mut dice = Dice(u64::from(how) << 8 | seed);
            let other = |field: WantedField| {
                let wish = WantedField { kind: kinds[dice.below(kinds.len())], ..field.clone() };
                if avro::check(schema, std::slice::from_ref(&wish)).is_ok() { wish } else { field }
            };
            natural
                .into_iter()
                .map(other)
                .filter(|field| field.path.0.len() % 2 == usize::from(how % 2) || how > 5)
                .collect()
        }
    }
}

/// Schemas that are there at once.
pub fn registry(source: impl SchemaSource + 'static) -> Arc<Registry> {
    let patience = Patience { grace: Duration::ZERO, ..Patience::default() };
    Registry::new(Box::new(source), patience, SystemClock::shared())
}

/// A decoder over schemas.
pub fn decoder(
    schemas: &Arc<Registry>,
    contract: Contract,
    wanted: &[WantedField],
) -> pelton::error::Result<AvroDecoder> {
    AvroDecoder::new(Arc::clone(schemas), contract, wanted, LIMIT)
}

/// Decodes strange records with good ones before, between and after; gives back what became of each, which it also becomes alone.
pub fn together(decoder: &mut dyn Decoder, good: &[u8], strange: &[&[u8]]) -> Vec<Fate> {
    let mut records = vec![good];
    strange.iter().for_each(|record| records.extend([record, good]));
    let all = fates(decoder, &records);
    let alone: Vec<Fate> = std::iter::once(&good).chain(strange).map(|record| single(decoder, record)).collect();
    for (place, fate) in all.iter().enumerate() {
        let own = if place % 2 == 0 { 0 } else { place.div_ceil(2) };
        match (fate, &alone[own]) {
            (Ok(row), Ok(known)) => {
                assert!(same(row, known), "record {place} is {row:?} in a batch, and alone {known:?}")
            }
            (Err(code), Err(known)) => assert_eq!(code, known, "record {place} is refused otherwise in a batch"),
            (here, alone) => panic!("record {place} is {here:?} in a batch, and alone {alone:?}"),
        }
    }
    alone.into_iter().skip(1).collect()
}

/// Equal as texts, so that what is no number is equal to itself.
fn same(one: &RecordBatch, other: &RecordBatch) -> bool {
    one == other || format!("{one:?}") == format!("{other:?}")
}

/// What becomes of a record alone.
pub fn single(decoder: &mut dyn Decoder, record: &[u8]) -> Fate {
    fates(decoder, &[record]).remove(0)
}

/// What becomes of each record of a batch; everything that holds for every batch is looked at.
fn fates(decoder: &mut dyn Decoder, records: &[&[u8]]) -> Vec<Fate> {
    let batch = batch(records);
    let done = RUNTIME.with_borrow(|runtime| runtime.block_on(pelton::decode::decode_all(decoder, &batch)));
    let Decoded { fields, rows, rejects } = match done {
        Ok(decoded) => decoded,
        Err(bad) => panic!("a batch fails as a whole: {bad:?}"),
    };
    assert_eq!(fields.num_rows(), rows.len(), "rows of the columns");
    assert_eq!(rows.len() + rejects.len(), records.len(), "rows and rejects");
    assert_eq!(fields.schema(), decoder.schema());
    fields.columns().iter().zip(fields.schema().fields()).for_each(|(column, field)| {
        column.to_data().validate_full().expect("a column is valid");
        assert!(column.get_array_memory_size() <= records.len() * MOST_CELL, "a column is too large");
        if field.metadata().contains_key("pelton.kind") {
            all_json(column);
        }
    });
    let mut fates: Vec<Option<Fate>> = records.iter().map(|_| None).collect();
    for (place, row) in rows.iter().enumerate() {
        let before = fates[*row as usize].replace(Ok(fields.slice(place, 1)));
        assert!(before.is_none(), "a record is two rows");
    }
    for reject in rejects {
        assert!(CODES.contains(&reject.code), "`{}` is no code", reject.code);
        assert!(reject.message.len() <= MOST_WORDS, "{} bytes of words: {:.200}", reject.message.len(), reject.message);
        let before = fates[reject.row as usize].replace(Err(reject.code));
        assert!(before.is_none(), "a record is a row and a reject");
    }
    fates.into_iter().map(|fate| fate.expect("every record has a fate")).collect()
}

/// Every cell of a column of JSON is JSON.
fn all_json(column: &Arc<dyn Array>) {
    assert_eq!(column.data_type(), &DataType::Utf8);
    for cell in column.as_string::<i32>().iter().flatten() {
        let read = serde_json::from_str::<IgnoredAny>(cell);
        assert!(read.is_ok(), "{read:?} in a cell of JSON: {cell:.200}");
    }
}

fn batch(records: &[&[u8]]) -> RawBatch {
    let count = records.len();
    let owners = Records {
        stream: "fuzz".into(),
        shard: ShardId::new("shard-0"),
        sequence: (0..count as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; count],
        partition_key: records.iter().map(|_| &b"key"[..]).collect(),
        arrival_us: vec![0; count],
    };
    RawBatch { records: Arc::new(owners), data: records.iter().copied().collect::<Cells>() }
}
