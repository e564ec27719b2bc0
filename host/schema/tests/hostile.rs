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

/// Chains of names are longer than a stack is deep.
#[test]
fn the_canonical_form_of_a_long_chain_is_written() {
    let link = |n: usize| json!({ "type": "record", "name": format!("R{n}"), "fields": [{ "name": "next", "type": format!("R{}", n + 1) }] });
    let mut all: Vec<_> = (0..50_000).map(link).collect();
    all.push(json!({ "type": "record", "name": "R50000", "fields": [] }));
    let chain = AvroSchema::parse(&json!(all).to_string(), &[]).unwrap();
    let form = chain.canonical();
    assert!(
        form.starts_with(r#"[{"name":"R0","type":"record","fields":[{"name":"next","type":{"name":"R1","#),
        "{form:.200}"
    );
    assert!(form.ends_with(r#","R49999","R50000"]"#));
}

/// Each default has as many values as one may have: looking at all of them is bounded too.
#[test]
fn many_defaults_that_double_are_looked_at_in_bounded_time() {
    let level = |n: usize| {
        let fields = |name: &str| json!({ "name": name, "type": format!("R{}", n + 1), "default": {} });
        json!({ "type": "record", "name": format!("R{n}"), "fields": [fields("a"), fields("b")] })
    };
    let mut all: Vec<_> = (0..15).map(level).collect();
    all.push(json!({ "type": "record", "name": "R15", "fields": [] }));
    let wide: Vec<_> = (0..20_000).map(|n| json!({ "name": format!("f{n}"), "type": "R0", "default": {} })).collect();
    all.push(json!({ "type": "record", "name": "Wide", "fields": wide }));
    let schema = AvroSchema::parse(&json!(all).to_string(), &[]).unwrap();
    assert!(schema.defects().iter().any(|defect| defect.what.contains("too large")));
}

/// A default of a megabyte is not written out for each branch that it does not fit.
#[test]
fn a_large_default_fits_none_of_many_branches() {
    let names = (0..20_000).map(|n| json!({ "type": "fixed", "name": format!("F{n}"), "size": 1 }));
    let union: Vec<_> = names.collect();
    let schema = json!({ "type": "record", "name": "R", "fields": [
        { "name": "a", "type": union, "default": "x".repeat(1 << 20) } ] });
    let schema = AvroSchema::parse(&schema.to_string(), &[]).unwrap();
    let what = &schema.defects()[0].what;
    assert!(what.contains("xxx...") && what.len() < 1000, "{what}");
    assert!(what.ends_with("and 19992 more"), "{what}");
}

/// What is inside of a long name, or of a long path, tells neither of them again and again.
#[test]
fn long_names_and_many_defects_are_bounded() {
    let fields: Vec<_> =
        (0..50_000).map(|n| json!({ "name": format!("-{n}"), "type": "int", "default": "no" })).collect();
    let record = |name: &str| json!({ "type": "record", "name": name, "fields": fields }).to_string();
    let bad = AvroSchema::parse(&record(&"N".repeat(100_000)), &[]).unwrap_err().to_string();
    assert!(bad.contains("has 100000 bytes") && bad.len() < 300, "{bad}");
    let schema = AvroSchema::parse(&record("R"), &[]).unwrap();
    assert!((1000..=2000).contains(&schema.defects().len()), "{}", schema.defects().len());
}

/// A uuid in bytes is sixteen of them: as text no reader would take the value.
#[test]
fn a_sample_of_a_uuid_has_the_length_of_its_type() {
    let of = |kind: serde_json::Value| {
        let schema = AvroSchema::parse(&kind.to_string(), &[]).unwrap();
        sample::value(&schema, 1).unwrap().len()
    };
    assert_eq!(of(json!({ "type": "bytes", "logicalType": "uuid" })), 17);
    assert_eq!(of(json!({ "type": "string", "logicalType": "uuid" })), 37);
    assert_eq!(of(json!({ "type": "fixed", "name": "F", "size": 16, "logicalType": "uuid" })), 16);
}

/// Names that differ in their namespaces alone were taken for each other: a schema had changed from itself.
#[test]
fn branches_of_one_short_name_are_told_apart() {
    let of = |name: &str, symbols: &[&str]| json!({ "type": "enum", "name": name, "symbols": symbols });
    let union = |branches: serde_json::Value| AvroSchema::parse(&branches.to_string(), &[]).unwrap();
    let both = union(json!([of("A", &["x"]), of("n.A", &["y"])]));
    assert_eq!(diff::changes(&both, &both), []);
    let moved = diff::changes(&union(json!([of("A", &["x"])])), &union(json!([of("n.A", &["x"])])));
    assert_eq!(moved.iter().map(|change| &*change.what).collect::<Vec<_>>(), ["name: `A` → `n.A`"]);
    let less = diff::changes(&both, &union(json!([of("n.A", &["y"])])));
    assert_eq!(less[0].what, "branch removed: enum `A`");
    assert!(less.iter().all(|change| !change.what.contains('→')), "{less:?}");
}
