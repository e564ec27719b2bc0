//! Bad records between good neighbours, for each format; and what each kind becomes.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::{
    array::{Array, AsArray},
    datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
};

use super::{
    avro::{Contract, frame, long},
    registry::{Found, MemorySource, Patience, Registered, Registry, SchemaId},
    *,
};
use crate::{
    clock::SystemClock,
    record::{Cells, Records, Sequence, ShardId},
};

pub(crate) fn batch<T: AsRef<[u8]>>(records: &[T]) -> RawBatch {
    let count = records.len();
    let identity = Records {
        stream: "test".into(),
        shard: ShardId::new("shard-0"),
        sequence: (0..count as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; count],
        partition_key: records.iter().map(|_| &b"key"[..]).collect(),
        arrival_us: vec![0; count],
    };
    RawBatch { records: Arc::new(identity), data: records.iter().map(AsRef::as_ref).collect::<Cells>() }
}

pub(crate) fn decode<T: AsRef<[u8]>>(decoder: &mut dyn Decoder, records: &[T]) -> Decoded {
    let batch = batch(records);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let decoded = runtime.block_on(decode_all(decoder, &batch)).unwrap();
    assert_eq!(decoded.rows.len() + decoded.rejects.len(), records.len());
    assert_eq!(decoded.fields.num_rows(), decoded.rows.len());
    assert_eq!(decoded.fields.schema(), decoder.schema());
    decoded
}

const FLIGHT: &str = r#"{"type":"record","name":"Flight","fields":[{"name":"number","type":"long"},{"name":"origin","type":"string"},
    {"name":"delay","type":["null","double"]}]}"#;
const OTHER: &str =
    r#"{"type":"record","name":"Other","fields":[{"name":"origin","type":"string"},{"name":"number","type":"int"}]}"#;

pub(crate) fn registry(schemas: &[(u32, &str)]) -> Arc<Registry> {
    let source = schemas.iter().fold(MemorySource::default(), |source, (id, text)| {
        source.with(SchemaId::Number(*id), &format!("subject-{id}"), text)
    });
    // Ids that are unknown are so at once.
    let patience = Patience { grace: std::time::Duration::ZERO, ..Patience::default() };
    Registry::new(Box::new(source), patience, SystemClock::shared())
}

pub(crate) fn registered(text: &str) -> Arc<Registered> {
    let Found::Schema(registered) = Registered::unregistered(SchemaId::Number(1), text) else { panic!("{text}") };
    registered
}

fn avro(schemas: &[(u32, &str)], reader: Option<&str>, wanted: &[WantedField]) -> Result<Box<dyn Decoder>> {
    let contract = Contract::open(reader.map(registered));
    decoder(&Encoding::Avro { schemas: registry(schemas), contract }.into(), wanted)
}

fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    long(value.len() as i64, &mut out);
    out.extend_from_slice(value.as_bytes());
    out
}

fn number(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    long(value, &mut out);
    out
}

fn flight(value: i64) -> Vec<u8> {
    frame(1, &[number(value), text("JFK"), vec![0]].concat())
}

fn other(value: i64) -> Vec<u8> {
    frame(2, &[text("LGA"), number(value)].concat())
}

fn wanted() -> Vec<WantedField> {
    vec![WantedField::required("number", Kind::Int64), WantedField::required("origin", Kind::Text)]
}

fn numbers(decoded: &Decoded) -> Vec<i64> {
    decoded.fields.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn a_bad_avro_record_harms_no_neighbour() {
    let large = frame(1, &[number(5), text(&"x".repeat(1 << 20)), vec![0]].concat());
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "empty"),
        (vec![0], "truncated"),
        (vec![7], "wrong_magic"),
        (br#"{"number":1}"#.to_vec(), "wrong_magic"),
        (flight(1)[..7].to_vec(), "truncated"),
        ([flight(1), vec![0]].concat(), "trailing_bytes"),
        (frame(99, &[0, 0, 0]), "unknown_schema"),
        (frame(1, &[number(1), text("JFK"), vec![8]].concat()), "bad_branch"),
        (frame(1, &[number(1), vec![2, 0xff, 0]].concat()), "bad_utf8"),
        (frame(1, &[number(1), vec![1]].concat()), "bad_length"),
        (frame(1, &[number(1), number(i64::MAX)].concat()), "truncated"),
        (gzip::tests::deflate(&flight(1))[..20].to_vec(), "bad_gzip"),
    ];
    let mut decoder = avro(&[(1, FLIGHT), (2, OTHER)], None, &wanted()).unwrap();
    for (record, code) in &bad {
        let records =
            [flight(1), record.clone(), other(2), large.clone(), record.clone(), gzip::tests::deflate(&flight(3))];
        let decoded = decode(decoder.as_mut(), &records);
        assert_eq!(decoded.rows, [0, 2, 3, 5], "{code}");
        assert_eq!(numbers(&decoded), [1, 2, 5, 3]);
        let codes: Vec<_> = decoded.rejects.iter().map(|reject| (reject.row, reject.code)).collect();
        assert_eq!(codes, [(1, *code), (4, *code)], "{:?}", decoded.rejects);
    }
}

#[test]
fn alternating_schemas_keep_the_order_of_the_log() {
    let records: Vec<Vec<u8>> = (0..100).map(|row| if row % 2 == 0 { flight(row) } else { other(row) }).collect();
    let mut decoder = avro(&[(1, FLIGHT), (2, OTHER)], None, &wanted()).unwrap();
    assert_eq!(numbers(&decode(decoder.as_mut(), &records)), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_schema_that_lacks_a_field_rejects_its_records_alone() {
    let delay = [WantedField::required("number", Kind::Int64), WantedField::required("delay.minutes", Kind::Float64)];
    let mut decoder = avro(&[(1, FLIGHT), (2, OTHER)], None, &delay).unwrap();
    let decoded = decode(decoder.as_mut(), &[flight(1), other(2)]);
    assert!(decoded.rejects.iter().all(|reject| reject.code == "schema_mismatch"), "{:?}", decoded.rejects);
    let optional = [WantedField::required("number", Kind::Int64), WantedField::optional("delay", Kind::Float64)];
    let mut decoder = avro(&[(1, FLIGHT), (2, OTHER)], None, &optional).unwrap();
    let decoded = decode(decoder.as_mut(), &[flight(1), other(2)]);
    assert_eq!(numbers(&decoded), [1, 2]);
    assert_eq!(decoded.fields.column(1).null_count(), 2);
    let required = [WantedField::required("delay", Kind::Float64)];
    let mut decoder = avro(&[(1, FLIGHT)], None, &required).unwrap();
    assert_eq!(decode(decoder.as_mut(), &[flight(1)]).rejects[0].code, "missing_field");
}

#[test]
fn what_a_reader_schema_lacks_is_refused_before_anything_runs() {
    let refused = |field: WantedField| avro(&[], Some(FLIGHT), &[field]).err().unwrap();
    let error = refused(WantedField::optional("orign", Kind::Text));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "schema record `Flight`: field `orign` does not exist: record `Flight` has no `orign`; did you mean `origin`?"
    );
    let error = refused(WantedField::required("origin", Kind::Int64));
    assert!(error.to_string().contains("field `origin` is text, which cannot be read as int64"), "{error}");
}

#[test]
fn a_reader_schema_resolves_promotions_aliases_defaults_and_enums() {
    let writer = r#"{"type":"record","name":"Old","namespace":"a","fields":[
        {"name":"n","type":"int"},{"name":"gone","type":{"type":"array","items":"string"}},{"name":"old","type":"string"},
        {"name":"state","type":{"type":"enum","name":"State","symbols":["ON","ODD"]}},{"name":"u","type":["int","string"]}]}"#;
    let reader = r#"{"type":"record","name":"New","aliases":["a.Old"],"fields":[
        {"name":"fresh","type":["null","string"],"default":null},{"name":"text","aliases":["old"],"type":["null","string"]},
        {"name":"state","type":{"type":"enum","name":"State","symbols":["ON","UNKNOWN"],"default":"UNKNOWN"}},
        {"name":"n","type":"double"},{"name":"u","type":["null","long"]},
        {"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"int"}]},"default":{"x":7}}]}"#;
    let fields = [
        WantedField::required("n", Kind::Float64),
        WantedField::required("text", Kind::Text),
        WantedField::required("state", Kind::Text),
        WantedField::optional("fresh", Kind::Text),
        WantedField::required("inner.x", Kind::Int32),
        WantedField::required("inner", Kind::Json),
        WantedField::required("u", Kind::Int64),
    ];
    let mut decoder = avro(&[(1, writer)], Some(reader), &fields).unwrap();
    let record = |state: u8, union: &[u8]| {
        frame(1, &[number(-3), vec![2], text("a"), vec![0], text("hello"), vec![state], union.to_vec()].concat())
    };
    let decoded = decode(decoder.as_mut(), &[record(0, &[0, 10]), record(2, &[0, 12]), record(0, &[2, 0])]);
    let column = |place: usize| decoded.fields.column(place);
    assert_eq!(column(0).as_primitive::<Float64Type>().values(), &[-3.0, -3.0]);
    assert_eq!(column(1).as_string::<i32>().value(0), "hello");
    assert_eq!((column(2).as_string::<i32>().value(0), column(2).as_string::<i32>().value(1)), ("ON", "UNKNOWN"));
    assert_eq!(column(3).null_count(), 2);
    assert_eq!(column(4).as_primitive::<Int32Type>().values(), &[7, 7]);
    assert_eq!(column(5).as_string::<i32>().value(1), r#"{"x":7}"#);
    assert_eq!(column(6).as_primitive::<Int64Type>().values(), &[5, 6]);
    assert_eq!(decoded.rejects[0].code, "schema_mismatch");
}

#[test]
fn a_hostile_block_count_ends_soon() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}"#;
    for kind in [vec![WantedField::required("a", Kind::Json)], vec![]] {
        let mut decoder = avro(&[(1, schema)], None, &kind).unwrap();
        let decoded = decode(decoder.as_mut(), &[frame(1, &[number(i64::MAX), vec![0]].concat()), frame(1, &[2, 0])]);
        assert_eq!((decoded.rejects[0].code, &decoded.rows[..]), ("too_large", &[1u32][..]));
    }
}

#[test]
fn a_bad_json_record_harms_no_neighbour() {
    let good = |value: i64| format!(r#" {{"skip":[1,{{"a":null}}],"number":{value},"origin":"JFK"}} "#).into_bytes();
    let large = format!(r#"{{"number":5,"origin":"{}"}}"#, "x".repeat(1 << 20)).into_bytes();
    let deep = [&b"{\"skip\":"[..], &vec![b'['; 100_000][..]].concat();
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "empty"),
        (vec![b'{'], "truncated"),
        (good(1)[..30].to_vec(), "truncated"),
        ([good(1), good(1)].concat(), "trailing_bytes"),
        (b"[1]".to_vec(), "wrong_type"),
        (br#"{"number":"x","origin":"JFK"}"#.to_vec(), "wrong_type"),
        (br#"{"number":1.5,"origin":"JFK"}"#.to_vec(), "wrong_type"),
        (br#"{"number":18446744073709551615,"origin":"JFK"}"#.to_vec(), "out_of_range"),
        (br#"{"number":1}"#.to_vec(), "missing_field"),
        (br#"{"number":1,"origin":null}"#.to_vec(), "missing_field"),
        (br#"{"number":1,}"#.to_vec(), "malformed"),
        (b"\x00\x00\x00\x00\x01".to_vec(), "malformed"),
        (deep, "truncated"),
        (gzip::tests::deflate(&vec![b' '; 11 << 20]), "too_large"),
    ];
    let mut decoder = decoder(&Encoding::Json.into(), &wanted()).unwrap();
    for (record, code) in &bad {
        let records = [good(1), record.clone(), large.clone(), record.clone(), gzip::tests::deflate(&good(3))];
        let decoded = decode(decoder.as_mut(), &records);
        assert_eq!((&decoded.rows[..], numbers(&decoded)), (&[0, 2, 4][..], vec![1, 5, 3]), "{code}");
        let codes: Vec<_> = decoded.rejects.iter().map(|reject| (reject.row, reject.code)).collect();
        assert_eq!(codes, [(1, *code), (3, *code)], "{:?}", decoded.rejects);
    }
}

#[test]
fn json_gives_every_kind_and_paths() {
    let fields = [
        WantedField::optional("at", Kind::Timestamp),
        WantedField::optional("price", Kind::Decimal { precision: 10, scale: 2 }),
        WantedField::optional("a.b", Kind::Int64),
        WantedField::optional("a", Kind::Json),
        WantedField::optional("raw", Kind::Binary),
        WantedField::optional("day", Kind::Date),
    ];
    let mut decoder = decoder(&Encoding::Json.into(), &fields).unwrap();
    let decoded = decode(
        decoder.as_mut(),
        &[
            r#"{"at":"1970-01-01T00:00:01Z","price":12.5,"a":{"b":7,"c":[1.5]},"raw":"AAE=","day":"1970-01-02"}"#,
            r#"{"at":1000,"price":"0.01","a":null}"#,
            r#"{"a":{"b":1},"a":{"b":2}}"#,
        ],
    );
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let column = |place: usize| decoded.fields.column(place);
    assert_eq!(column(0).as_primitive::<TimestampMicrosecondType>().values()[..2], [1_000_000, 1_000_000]);
    assert_eq!(column(1).as_primitive::<Decimal128Type>().values()[..2], [1250, 1]);
    assert_eq!(column(2).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, Some(2)]);
    assert_eq!(
        column(3).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some(r#"{"b":7,"c":[1.5]}"#), None, Some(r#"{"b":2}"#)]
    );
    assert_eq!(column(4).as_binary::<i32>().value(0), [0, 1]);
    assert_eq!(column(5).null_count(), 2);
}

#[test]
fn json_fields_are_inferred_from_samples() {
    let samples: [&[u8]; 3] = [
        br#"{"n":1,"s":"x","o":{"a":true},"mixed":1,"list":[1],"none":null}"#,
        br#"{"n":1.5,"o":null,"mixed":{"x":1}}"#,
        b"not json",
    ];
    let found: Vec<_> =
        json::infer_json(samples).into_iter().map(|field| (field.path.0.to_string(), field.kind)).collect();
    let expected = [
        ("n", Kind::Float64),
        ("s", Kind::Text),
        ("o.a", Kind::Boolean),
        ("mixed", Kind::Json),
        ("list", Kind::Json),
        ("none", Kind::Json),
    ];
    assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn raw_and_text_are_one_column() {
    let mut raw = decoder(&Encoding::Raw.into(), &[WantedField::required("payload", Kind::Binary)]).unwrap();
    assert_eq!(decode(raw.as_mut(), &[&b"\xff"[..], b""]).rows, [0, 1]);
    let mut plain = decoder(&Encoding::Text.into(), &[WantedField::required("payload", Kind::Text)]).unwrap();
    let decoded = decode(plain.as_mut(), &[&b"a"[..], b"\xff", b"b"]);
    assert_eq!((&decoded.rows[..], decoded.rejects[0].code), (&[0, 2][..], "bad_utf8"));
    let wrong = decoder(&Encoding::Text.into(), &[WantedField::required("payloda", Kind::Text)]).err().unwrap();
    assert_eq!(wrong.to_string(), "format `text` has no field `payloda`; did you mean `payload`?");
    let mut none = decoder(&Encoding::Raw.into(), &[]).unwrap();
    assert_eq!(decode(none.as_mut(), &[b"x"]).fields.num_rows(), 1);
}
