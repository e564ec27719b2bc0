//! Schemas and records that were made to hurt the decoder, each for a fault that was there once.
//!
//! The rule: an answer in words of bounded length, in bounded time. Left to others: schemas alone (`host/schema/tests/hostile.rs`).

use arrow::array::{Array, AsArray};
use pelton::decode::{
    Kind, WantedField,
    avro::{self, Contract},
    registry::{Found, MemorySource, Registered, SchemaId},
};
use pelton_fuzz::wire::{Fate, decoder, registry, single};
use serde_json::{Value as Json, json};

/// What becomes of a record.
fn fate(schema: &Json, wanted: &[WantedField], body: &[u8]) -> Fate {
    let source = MemorySource::default().with(SchemaId::Number(1), "s", &schema.to_string());
    let mut decoder = decoder(&registry(source), Contract::open(None), wanted).unwrap();
    single(&mut decoder, &avro::frame(1, body))
}

fn field(name: &str, kind: Json) -> Json {
    json!({ "name": name, "type": kind })
}

/// Values without bytes make a program no longer: forty to the seventh of them were walked over one by one.
#[test]
fn records_of_nothing_in_each_other_are_passed_over_at_once() {
    let level = |n: usize| {
        let inner = if n == 6 { json!("null") } else { json!(format!("R{}", n + 1)) };
        let fields: Vec<Json> = (0..40).map(|place| field(&format!("f{place}"), inner.clone())).collect();
        json!({ "type": "record", "name": format!("R{n}"), "fields": fields })
    };
    let mut fields: Vec<Json> = (0..7).rev().map(|n| field(&format!("t{n}"), json!(["null", level(n)]))).collect();
    fields.push(field("all", json!("R0")));
    let schema = json!({ "type": "record", "name": "Top", "fields": fields });
    // Seven times null, then all of it.
    let fate = fate(&schema, &[], &[0; 7]);
    assert!(matches!(fate, Err("too_large")), "{fate:?}");
}

/// The point was put after a thousand digits, however many the schema says.
#[test]
fn a_decimal_of_more_digits_than_are_written_is_refused() {
    let schema = |scale: usize| {
        let kind = json!({ "type": "bytes", "logicalType": "decimal", "precision": 3000, "scale": scale });
        json!({ "type": "record", "name": "R", "fields": [field("a", kind)] })
    };
    let wanted = [WantedField::required("a", Kind::Json)];
    assert!(fate(&schema(1000), &wanted, &[2, 5]).is_ok());
    assert!(matches!(fate(&schema(1001), &wanted, &[2, 5]), Err("too_large")));
}

/// A million of nulls in ten bytes were five megabytes of text.
#[test]
fn a_record_of_few_bytes_is_no_large_text() {
    let schema =
        json!({ "type": "record", "name": "R", "fields": [field("a", json!({ "type": "array", "items": "null" }))] });
    let wanted = [WantedField::required("a", Kind::Json)];
    let list = |count: i64| {
        let mut body = Vec::new();
        avro::long(count, &mut body);
        body.push(0);
        fate(&schema, &wanted, &body)
    };
    assert!(list(60_000).is_ok());
    assert!(matches!(list(70_000), Err("too_large")));
    assert!(matches!(list(i64::MAX), Err("too_large")));
}

/// The words of a refusal are told with each record: `single` looks at their length.
#[test]
fn a_schema_of_many_words_is_refused_in_few() {
    let symbols: Vec<String> = (0..2000).map(|n| format!("S{n}{}", "x".repeat(500))).collect();
    let reader = json!({ "type": "record", "name": "R", "fields": [field("a", json!({ "type": "enum", "name": "E", "symbols": ["A"] }))] });
    let writer = json!({ "type": "record", "name": "R", "fields": [field("a", json!({ "type": "enum", "name": "E", "symbols": symbols }))] });
    for mode in [pelton_schema::Mode::None, pelton_schema::Mode::Backward] {
        let source = MemorySource::default().with(SchemaId::Number(1), "s", &writer.to_string());
        let known = match Registered::unregistered(SchemaId::Number(2), &reader.to_string()) {
            Found::Schema(known) => known,
            other => panic!("{other:?}"),
        };
        let contract = Contract { mode, ..Contract::open(Some(known)) };
        let mut decoder = decoder(&registry(source), contract, &[WantedField::required("a", Kind::Text)]).unwrap();
        let fate = single(&mut decoder, &avro::frame(1, &[2]));
        assert!(matches!(fate, Err("schema_mismatch" | "incompatible_schema")), "{fate:?}");
    }
}

/// Whoever wants a record and a part of it got two cells where the record is null, and the job ended.
#[test]
fn a_record_and_a_part_of_it_are_wanted_where_it_is_null() {
    let inner = json!({ "type": "record", "name": "I", "fields": [field("b", json!("long"))] });
    let schema = json!({ "type": "record", "name": "R", "fields": [field("a", json!(["null", inner]))] });
    let wanted = [WantedField::optional("a", Kind::Json), WantedField::optional("a.b", Kind::Int64)];
    for body in [&[0][..], &[2, 4]] {
        let row = fate(&schema, &wanted, body).unwrap();
        let nulls: Vec<bool> = row.columns().iter().map(|column| column.is_null(0)).collect();
        assert_eq!(nulls, [body.len() == 1; 2]);
    }
}

/// Two branches of one name in two namespaces: the first was taken, and gave its default for every symbol of the other.
#[test]
fn a_branch_is_chosen_by_its_full_name() {
    let own = json!({ "type": "enum", "name": "n.A", "symbols": ["x", "y"] });
    let other = json!({ "type": "enum", "name": "m.A", "symbols": ["z"], "default": "z" });
    let schema = |kind: Json| json!({ "type": "record", "name": "R", "fields": [field("a", kind)] }).to_string();
    let reader = match Registered::unregistered(SchemaId::Number(2), &schema(json!([other, own]))) {
        Found::Schema(known) => known,
        other => panic!("{other:?}"),
    };
    let source = MemorySource::default().with(SchemaId::Number(1), "s", &schema(own));
    let wanted = [WantedField::required("a", Kind::Text)];
    let mut decoder = decoder(&registry(source), Contract::open(Some(reader)), &wanted).unwrap();
    let row = single(&mut decoder, &avro::frame(1, &[2])).unwrap();
    assert_eq!(row.column(0).as_string::<i32>().value(0), "y");
}
