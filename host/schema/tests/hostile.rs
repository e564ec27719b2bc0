//! Schemas made to hurt: an answer in words, in bounded time and memory.

use pelton_schema::{AvroSchema, compat::can_read, default, diff, mismatches, sample};
use serde_json::json;

#[test]
fn ten_thousand_levels_are_refused_in_words() {
    let text = r#"{"type":"array","items":"#.repeat(10_000) + "\"int\"" + &"}".repeat(10_000);
    let bad = AvroSchema::parse(&text, &[]).unwrap_err().to_string();
    assert!(bad.contains("recursion"), "{bad}");
}

#[test]
fn ten_thousand_fields_are_compared() {
    let fields = |from: usize| {
        (from..from + 10_000)
            .map(|n| json!({ "name": format!("f{n}"), "type": "long", "default": 1 }))
            .collect::<Vec<_>>()
    };
    let schema = |from: usize| {
        AvroSchema::parse_strict(&json!({ "type": "record", "name": "Wide", "fields": fields(from) }).to_string(), &[])
            .unwrap()
    };
    let (old, new) = (schema(0), schema(5_000));
    assert!(can_read(&new, &old));
    assert_eq!(diff::changes(&old, &new).len(), 10_000);
    assert_eq!(new.project(["f7000"]).fields().len(), 1);
}

/// Records that name each other in a chain: depth without nesting.
#[test]
fn a_chain_of_names_ends_in_words() {
    let link = |n: usize| json!({ "type": "record", "name": format!("R{n}"), "fields": [{ "name": "next", "type": format!("R{}", n + 1) }] });
    let mut all: Vec<_> = (0..5_000).map(link).collect();
    all.push(json!({ "type": "record", "name": "R5000", "fields": [] }));
    let chain = AvroSchema::parse(&json!(all).to_string(), &[]).unwrap();
    let found = mismatches(&chain, &chain);
    assert!(found.iter().any(|mismatch| mismatch.rule == pelton_schema::Rule::Depth), "{found:?}");
}

/// Each level doubles the ways down: 2^60 of them.
#[test]
fn what_doubles_at_each_level_is_walked_once() {
    let level = |n: usize, leaf: &str| {
        let next = if n == 60 { json!(leaf) } else { json!(["null", format!("R{}", n + 1)]) };
        json!({ "type": "record", "name": format!("R{n}"), "fields": [{ "name": "a", "type": next }, { "name": "b", "type": next }] })
    };
    let schema = |leaf: &str| {
        AvroSchema::parse(&json!((0..=60).map(|n| level(n, leaf)).collect::<Vec<_>>()).to_string(), &[]).unwrap()
    };
    let (old, new) = (schema("long"), schema("int"));
    assert!(!can_read(&new, &old));
    assert!(can_read(&old, &new));
    assert!(!diff::changes(&old, &new).is_empty());
    let _ = sample::value(&old, 1);
}

#[test]
fn a_default_that_never_ends_is_refused() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"R","default":{}},{"name":"b","type":"R","default":{}}]}"#;
    let schema = AvroSchema::parse(text, &[]).unwrap();
    assert!(schema.defects()[0].what.contains("too deep"), "{:?}", schema.defects());
    assert!(default::encode(&schema, schema.root(), &json!({}), &mut Vec::new()).is_err());
    assert!(sample::value(&schema, 1).is_none());
}

#[test]
fn damaged_texts_are_refused_or_read() {
    let good = json!({ "type": "record", "name": "a.R", "aliases": ["Q"], "fields": [
        { "name": "e", "type": { "type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A" } },
        { "name": "u", "type": ["null", { "type": "fixed", "name": "F", "size": 3 }, "E"], "default": null },
        { "name": "m", "type": { "type": "map", "values": { "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2 } } },
    ] });
    let text = good.to_string();
    let mut dice = sample::Dice(1);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..1 + dice.below(3) {
            let place = dice.below(bytes.len().max(2) - 1);
            match dice.below(3) {
                0 => bytes[place] = dice.bits() as u8,
                1 if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => bytes.truncate(place.max(1)),
            }
        }
        if let Ok(schema) = AvroSchema::parse(&String::from_utf8_lossy(&bytes), &[]) {
            accepted += 1;
            let _ = (
                can_read(&schema, &schema),
                schema.canonical(),
                sample::value(&schema, 1),
                diff::changes(&schema, &schema),
            );
        }
    }
    assert!(accepted > 100, "{accepted}");
}
