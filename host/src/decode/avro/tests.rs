//! The judge: random schemas, values and damage; apache-avro says what is right.
//!
//! A case is a number, so a failure is repeated by `PELTON_CASES=1 PELTON_CASE=n`. Where apache-avro is lenient (a text cut by
//! the end of the record becomes null), only what it writes back unchanged counts as good.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use apache_avro::{Decimal, Schema, schema::Name, types::Value};
use arrow::{array::*, datatypes::*};
use base64::Engine;
use serde_json::{Value as Json, json};

use super::*;
use crate::decode::{
    instant::{date_text, instant_text},
    tests::{decode, registered, registry},
};

/// A small source of numbers that repeats by its seed.
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    fn number(&mut self) -> i64 {
        let shift = self.below(64);
        (self.bits() as i64) >> shift
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.bits() as u8).collect()
    }
}

/// A random schema; `named` are the records that are open or done.
fn schema(dice: &mut Dice, depth: usize, named: &mut Vec<String>) -> Json {
    let simple = ["boolean", "int", "long", "float", "double", "bytes", "string", "null"];
    let name = |prefix: &str, named: &mut Vec<String>| {
        named.push(format!("{prefix}{}", named.len()));
        named.last().unwrap().clone()
    };
    match dice.below(if depth > 3 { 17 } else { 23 }) {
        place @ 0..8 => json!(simple[place]),
        8 => json!({"type": "fixed", "name": name("F", named), "size": dice.below(20)}),
        9 => json!({"type": "enum", "name": name("E", named), "symbols": ["A", "B", "C"]}),
        10 => json!({"type": "int", "logicalType": "date"}),
        11 => json!({"type": "long", "logicalType": "timestamp-millis"}),
        12 => json!({"type": "long", "logicalType": "timestamp-micros"}),
        13 => json!({"type": "long", "logicalType": "timestamp-nanos"}),
        14 => json!({"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 4}),
        15 => json!({"type": "int", "logicalType": "time-millis"}),
        16 => {
            json!({"type": "fixed", "name": name("D", named), "size": 18, "logicalType": "decimal", "precision": 42, "scale": 0})
        }
        17 => json!({"type": "array", "items": schema(dice, depth + 1, named)}),
        18 => json!({"type": "map", "values": schema(dice, depth + 1, named)}),
        19 | 20 => {
            let inner = schema(dice, depth + 1, named);
            let is_nested = inner.is_array() || inner == json!("null");
            json!(["null", if is_nested { json!("string") } else { inner }])
        }
        21 => json!(["string", "null", "long", {"type": "array", "items": schema(dice, depth + 1, named)}]),
        _ => record(dice, depth + 1, named),
    }
}

fn record(dice: &mut Dice, depth: usize, named: &mut Vec<String>) -> Json {
    let own = format!("R{}", named.len());
    named.push(own.clone());
    let mut fields: Vec<Json> = (0..dice.below(5) + usize::from(depth < 2))
        .map(|place| json!({"name": format!("f{place}"), "type": schema(dice, depth, named)}))
        .collect();
    if dice.below(4) == 0 {
        fields.push(json!({"name": "again", "type": ["null", own]}));
    }
    json!({"type": "record", "name": own, "fields": fields})
}

type Known<'a> = HashMap<String, &'a Schema>;

fn names<'a>(schema: &'a Schema, known: &mut Known<'a>) {
    if let (Some(name), false) = (schema.name(), matches!(schema, Schema::Ref { .. })) {
        known.insert(Name::fullname(name, None), schema);
    }
    match schema {
        Schema::Record(record) => record.fields.iter().for_each(|field| names(&field.schema, known)),
        Schema::Union(union) => union.variants().iter().for_each(|branch| names(branch, known)),
        Schema::Array(array) => names(&array.items, known),
        Schema::Map(map) => names(&map.types, known),
        _ => {}
    }
}

fn value(dice: &mut Dice, schema: &Schema, known: &Known<'_>, depth: usize) -> Value {
    let many = if depth > 6 { 0 } else { dice.below(3) };
    match schema {
        Schema::Null => Value::Null,
        Schema::Boolean => Value::Boolean(dice.below(2) == 0),
        Schema::Int => Value::Int(dice.number() as i32),
        Schema::Long => Value::Long(dice.number()),
        Schema::Float => Value::Float(f32::from_bits(dice.bits() as u32)),
        Schema::Double => Value::Double(f64::from_bits(dice.bits())),
        Schema::Bytes => Value::Bytes({
            let length = dice.below(90);
            dice.bytes(length)
        }),
        Schema::String => {
            Value::String((0..dice.below(70)).map(|_| char::from_u32(dice.bits() as u32 % 0x300).unwrap()).collect())
        }
        Schema::Fixed(fixed) => Value::Fixed(fixed.size, dice.bytes(fixed.size)),
        Schema::Enum(one) => {
            let place = dice.below(one.symbols.len());
            Value::Enum(place as u32, one.symbols[place].clone())
        }
        Schema::Date => Value::Date(dice.number() as i32),
        Schema::TimeMillis => Value::TimeMillis(dice.number() as i32),
        Schema::TimestampMillis => Value::TimestampMillis(dice.number() / 1000),
        Schema::TimestampMicros => Value::TimestampMicros(dice.number()),
        Schema::TimestampNanos => Value::TimestampNanos(dice.number()),
        Schema::Decimal(decimal) => {
            let length = if decimal.precision == 42 { 18 } else { 1 + dice.below(12) };
            let mut bytes = dice.bytes(length);
            if length == 18 {
                bytes[0] = if bytes[1] >= 0x80 { 0xff } else { 0 };
            }
            Value::Decimal(Decimal::from(bytes))
        }
        Schema::Array(array) => Value::Array((0..many).map(|_| value(dice, &array.items, known, depth + 1)).collect()),
        Schema::Map(map) => {
            // One entry at most: a map of apache-avro writes several back in another order.
            Value::Map(
                (0..many.min(1))
                    .map(|place| (format!("k{place}"), value(dice, &map.types, known, depth + 1)))
                    .collect(),
            )
        }
        Schema::Union(union) => {
            let null = union.variants().iter().position(|branch| matches!(branch, Schema::Null));
            let place = match null {
                Some(null) if depth > 6 => null,
                _ => dice.below(union.variants().len()),
            };
            Value::Union(place as u32, Box::new(value(dice, &union.variants()[place], known, depth + 1)))
        }
        Schema::Record(record) => {
            let field = |dice: &mut Dice, field: &apache_avro::schema::RecordField| {
                (field.name.clone(), value(dice, &field.schema, known, depth + 1))
            };
            Value::Record(record.fields.iter().map(|one| field(dice, one)).collect())
        }
        Schema::Ref { name } => value(dice, known[&name.fullname(None)], known, depth + 1),
        other => unreachable!("not made here: {other:?}"),
    }
}

fn unscaled(decimal: &Decimal) -> i256 {
    convert::unscaled(&Vec::<u8>::try_from(decimal).unwrap()).unwrap()
}

fn base64(bytes: &[u8]) -> Json {
    json!(base64::engine::general_purpose::STANDARD.encode(bytes))
}

fn float(value: f64, shown: String) -> Json {
    match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => serde_json::from_str(&shown).unwrap(),
    }
}

/// What the JSON kind must show.
fn shown(value: &Value, schema: &Schema, known: &Known<'_>) -> Json {
    match (value, schema) {
        (_, Schema::Ref { name }) => shown(value, known[&name.fullname(None)], known),
        (Value::Union(place, inner), Schema::Union(union)) => shown(inner, &union.variants()[*place as usize], known),
        (Value::Record(fields), Schema::Record(record)) => {
            let pairs = fields.iter().zip(&record.fields);
            pairs
                .map(|((name, inner), field)| (name.clone(), shown(inner, &field.schema, known)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        (Value::Array(items), Schema::Array(array)) => {
            items.iter().map(|item| shown(item, &array.items, known)).collect()
        }
        (Value::Map(entries), Schema::Map(map)) => entries
            .iter()
            .map(|(key, inner)| (key.clone(), shown(inner, &map.types, known)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        (Value::Boolean(value), _) => json!(value),
        (Value::Int(value), _) => json!(value),
        (Value::Long(value), _) => json!(value),
        (Value::TimeMillis(value), _) => json!(i64::from(*value) * 1000),
        (Value::Float(value), _) => float(f64::from(*value), format!("{value:?}")),
        (Value::Double(value), _) => float(*value, format!("{value:?}")),
        (Value::String(text), _) => json!(text),
        (Value::Enum(_, symbol), _) => json!(symbol),
        (Value::Bytes(bytes) | Value::Fixed(_, bytes), _) => base64(bytes),
        (Value::Decimal(decimal), Schema::Decimal(kind)) => json!(convert::decimal_text(unscaled(decimal), kind.scale)),
        (Value::Date(days), _) => json!(date_text(i64::from(*days))),
        (Value::TimestampMillis(value), _) => json!(instant_text(value.wrapping_mul(1000))),
        (Value::TimestampMicros(value), _) => json!(instant_text(*value)),
        (Value::TimestampNanos(value), _) => json!(instant_text(value.div_euclid(1000))),
        _ => Json::Null,
    }
}

/// What the cell of a field must be, in the form that [`cell`] gives.
fn expected(value: &Value, schema: &Schema, known: &Known<'_>, path: &[&str], kind: Kind) -> Json {
    match (value, schema, path) {
        (_, Schema::Ref { name }, _) => expected(value, known[&name.fullname(None)], known, path, kind),
        (Value::Union(place, inner), Schema::Union(union), _) => {
            let branch = &union.variants()[*place as usize];
            if matches!(branch, Schema::Null) { Json::Null } else { expected(inner, branch, known, path, kind) }
        }
        (Value::Record(fields), Schema::Record(record), [first, rest @ ..]) => {
            let place = record.fields.iter().position(|field| field.name == *first).unwrap();
            expected(&fields[place].1, &record.fields[place].schema, known, rest, kind)
        }
        (Value::Null, ..) => Json::Null,
        _ if kind == Kind::Json => shown(value, schema, known),
        (Value::Float(value), ..) => json!(f64::from(*value).to_bits()),
        (Value::Double(value), ..) => json!(value.to_bits()),
        (Value::Date(days), ..) => json!(days),
        (Value::TimestampMillis(value), ..) => json!(value.wrapping_mul(1000)),
        (Value::TimestampMicros(value), ..) => json!(value),
        (Value::TimestampNanos(value), ..) => json!(value.div_euclid(1000)),
        (Value::Decimal(decimal), ..) => json!(unscaled(decimal).to_string()),
        _ => shown(value, schema, known),
    }
}

fn cell(column: &ArrayRef, row: usize, kind: Kind) -> Json {
    if column.is_null(row) {
        return Json::Null;
    }
    match kind {
        Kind::Boolean => json!(column.as_boolean().value(row)),
        Kind::Int32 => json!(column.as_primitive::<Int32Type>().value(row)),
        Kind::Date => json!(column.as_primitive::<Date32Type>().value(row)),
        Kind::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
        Kind::Timestamp => json!(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        Kind::Float64 => json!(column.as_primitive::<Float64Type>().value(row).to_bits()),
        Kind::Text => json!(column.as_string::<i32>().value(row)),
        Kind::Binary => base64(column.as_binary::<i32>().value(row)),
        Kind::Json => serde_json::from_str(column.as_string::<i32>().value(row)).unwrap(),
        Kind::Decimal { precision, .. } if precision > 38 => {
            json!(column.as_primitive::<Decimal256Type>().value(row).to_string())
        }
        Kind::Decimal { .. } => json!(column.as_primitive::<Decimal128Type>().value(row).to_string()),
    }
}

fn damage(dice: &mut Dice, body: &mut Vec<u8>) {
    let place = dice.below(body.len() + 1);
    match dice.below(4) {
        0 => body.truncate(place),
        1 => body.insert(place, dice.bits() as u8),
        2 => body.extend(dice.bytes(3)),
        _ => {
            if let Some(byte) = body.get_mut(place) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}

/// What apache-avro reads, and whether it would write the same bytes.
fn judge(schema: &Schema, body: &[u8]) -> Option<(Value, bool)> {
    let mut rest = body;
    let value =
        apache_avro::reader::datum::GenericDatumReader::builder(schema).build().unwrap().read_value(&mut rest).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let is_same = apache_avro::writer::datum::GenericDatumWriter::builder(schema)
        .build()
        .ok()
        .and_then(|writer| writer.write_value_to_vec(value.clone()).ok())
        .is_some_and(|again| again == body);
    Some((value, is_same))
}

/// Rejects that are limits of ours, where apache-avro has others.
const LIMITS: [&str; 2] = ["too_large", "out_of_range"];

fn case(seed: u64) {
    let mut dice = Dice(seed);
    let text = record(&mut dice, 0, &mut Vec::new()).to_string();
    let context = format!("case {seed}, schema {text}");
    let parsed = Schema::parse_str(&text).unwrap_or_else(|bad| panic!("{context}: {bad}"));
    let mut known = Known::new();
    names(&parsed, &mut known);
    let ours = registered(&text);
    let mut wanted = infer(&ours.schema);
    let is_part = dice.below(2) == 0;
    if is_part {
        wanted.retain(|_| dice.below(2) == 0);
        wanted.reverse();
    }
    let contract = Contract::open((dice.below(2) == 0).then_some(ours));
    let mut decoder = AvroDecoder::new(registry(&[(1, &text)]), contract, &wanted, 1 << 20)
        .unwrap_or_else(|bad| panic!("{context}: {bad}"));
    let bodies: Vec<Vec<u8>> = (0..6)
        .map(|place| {
            let value = value(&mut dice, &parsed, &known, 0);
            let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&parsed).build().unwrap();
            let mut body = writer.write_value_to_vec(value).unwrap_or_else(|bad| panic!("{context}: {bad}"));
            if place % 2 == 1 {
                damage(&mut dice, &mut body);
            }
            body
        })
        .collect();
    let records: Vec<Vec<u8>> = bodies.iter().map(|body| frame(1, body)).collect();
    let decoded = decode(&mut decoder, &records);
    for (place, body) in bodies.iter().enumerate() {
        let context = format!("{context}, record {place} {body:?}");
        let row = decoded.rows.iter().position(|row| *row as usize == place);
        let reject = decoded.rejects.iter().find(|reject| reject.row as usize == place);
        match (row, judge(&parsed, body)) {
            (Some(row), Some((value, is_same))) if is_same || !is_part => {
                for (column, field) in wanted.iter().enumerate() {
                    let path: Vec<&str> = field.path.parts().collect();
                    let right = expected(&value, &parsed, &known, &path, field.kind);
                    assert_eq!(
                        cell(decoded.fields.column(column), row, field.kind),
                        right,
                        "{context}, {}",
                        field.path.0
                    );
                }
            }
            // Text that nobody reads is not checked to be UTF-8.
            (Some(_), None) => assert!(is_part, "{context}: apache-avro refuses it"),
            (None, Some((_, true))) => {
                let code = reject.unwrap().code;
                assert!(LIMITS.contains(&code), "{context}: {code}, but apache-avro takes it");
            }
            _ => {}
        }
    }
}

#[test]
fn apache_avro_agrees() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("PELTON_CASE", 0);
    let cases = first..first + number("PELTON_CASES", 1000);
    // The judge needs a large stack for nested values.
    let judge = std::thread::Builder::new().stack_size(64 << 20).spawn(move || cases.for_each(case)).unwrap();
    if let Err(failed) = judge.join() {
        std::panic::resume_unwind(failed);
    }
}
