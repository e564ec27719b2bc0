//! Schemas of others: what is said of one, of two, and of edits.
//!
//! The rule: what is said does not contradict itself: a canonical form is its own, a schema has not changed from itself, what reads
//! everything by the rules is read by the decoder too. Left to others: whether the rules are Avro's (the judges).

use std::sync::Arc;

use pelton::decode::{
    avro::{self, AvroSchema, Contract},
    registry::{MemorySource, Registered},
};
use pelton_schema::{
    Mode, Rule, diff,
    evolve::{self, Edit},
    mismatches, random,
    sample::{self, Dice},
    types::Shape,
};
use serde_json::{Value as Json, json};

use crate::{
    made::{self, Feed},
    schemas::{NUMBER, registered},
    wire,
};

/// Larger inputs say nothing new, and take their time.
const MOST_TEXT: usize = 1 << 16;
/// What a value may be refused with though the schemas fit.
const REFUSED: [&str; 4] = ["too_large", "out_of_range", "bad_utf8", "bad_length"];

/// A text where it looks like one, else a schema made of choices.
fn text(data: &[u8]) -> Option<String> {
    match data {
        [b'{' | b'[' | b'"' | b' ', ..] => std::str::from_utf8(data).ok().map(str::to_owned),
        _ => Some(made::schema(&mut Feed(data)).to_string()),
    }
}

/// One schema.
pub fn schema(data: &[u8]) {
    let Some(text) = text(data).filter(|text| text.len() <= MOST_TEXT) else { return };
    let Ok(schema) = AvroSchema::parse(&text, &[]) else { return };
    let is_strict = AvroSchema::parse_strict(&text, &[]).is_ok();
    assert_eq!(is_strict, schema.defects().is_empty());
    canonical(&schema);
    let own = mismatches(&schema, &schema);
    if is_strict && own.is_empty() {
        let changes = diff::changes(&schema, &schema);
        assert!(changes.is_empty(), "a schema has changed from itself: {changes:?} in {text}");
    }
    Mode::ALL.iter().for_each(|mode| drop(mode.check(&schema, &[&schema, &schema])));
    let natural = avro::infer(&schema);
    let paths: Vec<&str> = natural.iter().map(|field| &*field.path.0).collect();
    let (half, some) = (schema.project(paths.iter().copied().step_by(2)), schema.project([]));
    for part in [&half, &some] {
        // It may have a name twice, for all of a type and for a part.
        drop(part.canonical());
        let found = mismatches(part, &schema);
        assert!(!own.is_empty() || found.is_empty(), "a part cannot read the whole: {found:?} in {text}");
    }
    decodes(&text, None, is_strict && own.is_empty());
}

/// The canonical form is a schema of the same form.
fn canonical(schema: &AvroSchema) {
    let form = schema.canonical();
    let again =
        AvroSchema::parse(&form, &[]).unwrap_or_else(|bad| panic!("a canonical form is no schema: {bad} in {form}"));
    assert_eq!(again.canonical(), form);
    assert_eq!(again.fingerprint(), schema.fingerprint());
}

/// Values of a schema are read by itself, or by another schema. Whether they must be, is said.
fn decodes(writer: &str, reader: Option<&Arc<Registered>>, must: bool) {
    let Some(known) = registered(writer) else { return };
    let schema = &known.schema;
    let seen = reader.map_or(schema, |reader| &reader.schema);
    let schemas = wire::registry(MemorySource::default().with(NUMBER, "s", writer));
    let values = (0..3).filter_map(|seed| sample::value(schema, seed));
    let records: Vec<Vec<u8>> = values.map(|body| avro::frame(1, &body)).collect();
    let Some((good, others)) = records.split_first() else { return };
    let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
    for how in 0..4 {
        let wanted = wire::wanted(seen, how, 0);
        let contract = Contract::open(reader.cloned());
        let Ok(mut decoder) = wire::decoder(&schemas, contract, &wanted) else { continue };
        let fates = wire::together(&mut decoder, good, &others);
        for fate in fates.into_iter().chain([wire::single(&mut decoder, good)]) {
            let Err(code) = fate else { continue };
            let is_allowed = REFUSED.contains(&code) || (code == "missing_field" && reader.is_some());
            assert!(!must || is_allowed, "`{code}` for a value of {writer}, read by {:?}", reader.map(|one| &one.text));
        }
    }
}

/// Two schemas: both of bytes, the second of changes to the first, or two texts with a zero byte between.
fn two(data: &[u8]) -> Option<(String, String)> {
    let (how, data) = data.split_first()?;
    match how % 3 {
        0 => {
            let mut parts = data.splitn(2, |byte| *byte == 0);
            Some((text(parts.next()?)?, text(parts.next()?)?))
        }
        1 => {
            let (split, data) = data.split_first()?;
            let (one, other) = data.split_at(data.len() * usize::from(*split) / 256);
            Some((text(one)?, text(other)?))
        }
        _ => {
            let mut feed = Feed(data);
            let mut dice = Dice(feed.bits());
            let one = made::schema(&mut feed);
            AvroSchema::parse_strict(&one.to_string(), &[]).ok()?;
            let other = random::changed(&mut dice, &one);
            Some((one.to_string(), other.to_string()))
        }
    }
}

/// Whether two fields of a record may be read from one of a writer: Avro's rules for schemas let that pass, and the decoder refuses it.
fn shares(schema: &AvroSchema) -> bool {
    (0..schema.len()).any(|id| {
        let Shape::Record { fields, .. } = &schema.get(id).shape else { return false };
        let names = fields.iter().flat_map(|field| std::iter::once(&field.name).chain(&field.aliases));
        let mut all: Vec<&String> = names.collect();
        all.sort_unstable();
        all.windows(2).any(|pair| pair[0] == pair[1])
    })
}

/// Two schemas, each as writer and reader.
pub fn pair(data: &[u8]) {
    let Some((one, other)) = two(data).filter(|(one, other)| one.len() + other.len() <= MOST_TEXT) else { return };
    let (Some(old), Some(new)) = (registered(&one), registered(&other)) else { return };
    let changes = diff::changes(&old.schema, &new.schema);
    for mode in Mode::ALL {
        let verdict = mode.check(&new.schema, &[&old.schema]);
        assert!(verdict.is_compatible() || mode == Mode::Disabled || !verdict.violations().is_empty());
        if mode == Mode::Full && !verdict.is_compatible() {
            assert!(changes.iter().any(|change| !change.breaks.is_empty()), "a break is not told: {one} {other}");
        }
    }
    for (writer, reader) in [(&old, &new), (&new, &old)] {
        let found = mismatches(&reader.schema, &writer.schema);
        found.iter().for_each(|mismatch| drop(mismatch.to_string()));
        assert!(found.len() <= 100);
        let is_strict = writer.schema.defects().is_empty() && reader.schema.defects().is_empty();
        let is_strict = is_strict && !shares(&reader.schema);
        decodes(&writer.text, Some(reader), is_strict && found.is_empty());
        if found.iter().any(|mismatch| mismatch.rule == Rule::Depth) {
            continue;
        }
        let paths = avro::infer(&reader.schema);
        let part = reader.schema.project(paths.iter().map(|field| &*field.path.0).step_by(2));
        let left = mismatches(&part, &writer.schema);
        assert!(!found.is_empty() || left.is_empty(), "less is wanted and more is missing: {left:?} in {one} {other}");
    }
}

/// A schema and edits.
pub fn evolve(data: &[u8]) {
    let Some((length, data)) = data.split_first() else { return };
    let (head, tail) = data.split_at(usize::from(*length).min(data.len()));
    let Some(old) = text(head).filter(|text| text.len() <= MOST_TEXT) else { return };
    let mut feed = Feed(tail);
    let count = 1 + feed.below(4);
    let edits: Vec<Edit> = (0..count).map(|_| edit(&mut feed)).collect();
    let Ok(evolved) = evolve::evolve(&old, &edits) else { return };
    let parse = |text: &str| AvroSchema::parse(text, &[]).unwrap_or_else(|bad| panic!("{bad}: {text}"));
    let (old, new) = (parse(&old), parse(&evolved.to_string()));
    assert!(new.defects().is_empty(), "a schema with defects: {evolved}");
    drop((diff::changes(&old, &new), mismatches(&new, &old), mismatches(&old, &new)));
}

fn edit(feed: &mut Feed<'_>) -> Edit {
    let names = ["a", "b", "c.a", "a.b", "a.b.c", "g", "", "f.f"];
    let path = names[feed.below(names.len())].to_owned();
    let to = ["a", "b", "g", "h", "", "é", "1"][feed.below(7)].to_owned();
    match feed.below(6) {
        0 => Edit::Remove { path },
        1 => Edit::Rename { path, to },
        2 => Edit::Symbol { path, symbol: to },
        3 => Edit::Retype { path, kind: made::any(feed, &mut Vec::new(), 3) },
        4 => Edit::Add { path, kind: made::any(feed, &mut Vec::new(), 3), default: None },
        _ => {
            let kinds = ["string", "string?", "date", " timestamp? ", "{\"type\":\"int\"}", "[", "x?", "\"long\""];
            let kind = evolve::kind(kinds[feed.below(kinds.len())]).unwrap_or(Json::Null);
            Edit::Add {
                path,
                kind,
                default: Some([json!(null), json!(1), json!(""), json!([]), json!({})][feed.below(5)].clone()),
            }
        }
    }
}
