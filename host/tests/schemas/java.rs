//! The judge: Avro for Java writes random values of random schemas and reads them by random readers that may; what Pelton reads of the same
//! bytes must be the same. `PELTON_PAIRS` says how many pairs of schemas, `PELTON_SEED` from where.
//!
//! Allowed to be refused here, and counted: what no column can hold (a time beyond the years that have a text, a decimal of more than
//! 256 bits, bytes that are no text where text is asked for).

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray},
    datatypes::i256,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use pelton::{
    clock::SystemClock,
    decode::{
        Decoded, Decoder, Kind, Outcome, WantedField,
        avro::{AvroDecoder, AvroSchema, Contract, frame},
        instant::{date_text, instant_text},
        registry::{Found, MemorySource, Patience, Registered, Registry, SchemaId},
    },
    record::{Cells, RawBatch, Records, Sequence, ShardId},
};
use pelton_schema::{
    default, mismatches, random,
    sample::Dice,
    types::{Logical, Shape, TypeId, Unit},
};
use serde_json::{Value as Json, json};

use super::judge::Judge;

const RECORDS: usize = 3;
const REFUSED: [&str; 3] = ["too_large", "out_of_range", "bad_utf8"];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Two schemas of which one reads the other.
fn pair(seed: u64) -> Option<(String, String)> {
    let mut dice = Dice(seed);
    let one = random::schema(&mut dice);
    let other = if dice.percent(10) { one.clone() } else { random::changed(&mut dice, &one) };
    let (reader, writer) = if dice.percent(50) { (one, other) } else { (other, one) };
    let parse = |schema: &Json| AvroSchema::parse_strict(&schema.to_string(), &[]).unwrap();
    mismatches(&parse(&reader), &parse(&writer)).is_empty().then(|| (reader.to_string(), writer.to_string()))
}

fn registered(text: &str) -> Arc<Registered> {
    match Registered::unregistered(SchemaId::Number(1), text) {
        Found::Schema(schema) => schema,
        other => panic!("{other:?}"),
    }
}

fn batch(bodies: &[Vec<u8>]) -> RawBatch {
    let framed: Vec<Vec<u8>> = bodies.iter().map(|body| frame(1, body)).collect();
    let records = Records {
        stream: "test".into(),
        shard: ShardId::new("shard-0"),
        sequence: (0..bodies.len() as u64).map(Sequence::from_u64).collect(),
        sub_sequence: vec![0; bodies.len()],
        partition_key: bodies.iter().map(|_| &b"key"[..]).collect(),
        arrival_us: vec![0; bodies.len()],
    };
    RawBatch { records: Arc::new(records), data: framed.iter().map(Vec::as_slice).collect::<Cells>() }
}

/// Every field of the reader as JSON text.
fn decoded(writer: &str, reader: &Arc<Registered>, bodies: &[Vec<u8>]) -> Decoded {
    let wanted: Vec<WantedField> =
        reader.schema.fields().iter().map(|field| WantedField::optional(&field.name, Kind::Json)).collect();
    let source = MemorySource::default().with(SchemaId::Number(1), "s", writer);
    let schemas = Registry::new(Box::new(source), Patience::default(), SystemClock::shared());
    let contract = Contract::open(Some(Arc::clone(reader)));
    let mut decoder = AvroDecoder::new(schemas, contract, &wanted, 1 << 20).unwrap();
    let batch = batch(bodies);
    loop {
        match decoder.decode(&batch).unwrap() {
            Outcome::Done(decoded) => return decoded,
            Outcome::Waits(waiting) => {
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(waiting);
            }
        }
    }
}

fn bytes(raw: &Json) -> Option<Vec<u8>> {
    raw["b"].as_str().map(|text| STANDARD.decode(text).unwrap())
}

fn long(raw: &Json) -> Option<i64> {
    raw.as_str()?.parse().ok()
}

/// Whether a cell's JSON is what Java has.
fn same(schema: &AvroSchema, id: TypeId, raw: &Json, ours: &Json) -> bool {
    let one = schema.get(id);
    match (&one.shape, one.logical) {
        (Shape::Union(branches), _) => {
            let branch = raw["u"].as_u64().unwrap() as usize;
            same(schema, branches[branch], &raw["v"], ours)
        }
        (Shape::Int | Shape::Long, Some(Logical::Date)) => long(raw).is_some_and(|days| *ours == date_text(days)),
        (Shape::Long, Some(Logical::Timestamp(_))) => {
            // Of two units the writer's is the true one, which Java does not look at.
            let value = long(raw).unwrap();
            let texts = [value.checked_mul(1000), Some(value), Some(value.div_euclid(1000))];
            texts.into_iter().flatten().any(|micros| *ours == instant_text(micros))
        }
        (Shape::Int | Shape::Long, _) => long(raw).is_some() && ours.as_i64() == long(raw),
        (Shape::Float, _) => same_float(raw, ours, 'f'),
        (Shape::Double, _) => same_float(raw, ours, 'd'),
        (Shape::Bytes | Shape::Fixed { .. }, Some(Logical::Decimal { scale, .. })) => {
            bytes(raw).is_some_and(|bytes| *ours == decimal(&bytes, scale))
        }
        (Shape::Bytes | Shape::Fixed { .. }, _) => bytes(raw).is_some_and(|bytes| *ours == STANDARD.encode(bytes)),
        (Shape::Enum { .. }, _) => raw["e"] == *ours,
        (Shape::Array(item), _) => match (raw.as_array(), ours.as_array()) {
            (Some(raw), Some(ours)) => {
                raw.len() == ours.len() && raw.iter().zip(ours).all(|(raw, ours)| same(schema, *item, raw, ours))
            }
            _ => false,
        },
        (Shape::Map(value), _) => match (raw["m"].as_array(), ours.as_object()) {
            (Some(raw), Some(ours)) => {
                raw.len() == ours.len()
                    && raw.iter().all(|entry| {
                        ours.get(entry[0].as_str().unwrap()).is_some_and(|ours| same(schema, *value, &entry[1], ours))
                    })
            }
            _ => false,
        },
        (Shape::Record { fields, .. }, _) => {
            ours.as_object().is_some_and(|object| object.len() == fields.len())
                && fields.iter().all(|field| same(schema, field.id, &raw[&field.name], &ours[&field.name]))
        }
        (Shape::Null | Shape::Boolean | Shape::String, _) => raw == ours,
    }
}

fn same_float(raw: &Json, ours: &Json, kind: char) -> bool {
    let bits = u64::from_str_radix(raw.as_str().unwrap().strip_prefix(kind).unwrap(), 16).unwrap();
    let value = if kind == 'f' { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) };
    match ours {
        Json::String(text) => match text.as_str() {
            "NaN" => value.is_nan(),
            "Infinity" => value == f64::INFINITY,
            "-Infinity" => value == f64::NEG_INFINITY,
            _ => false,
        },
        // The shortest text of a float is read back as that float.
        Json::Number(number) if kind == 'f' => number.to_string().parse::<f32>().unwrap().to_bits() == bits as u32,
        Json::Number(number) => number.to_string().parse::<f64>().unwrap().to_bits() == bits,
        _ => false,
    }
}

/// A decimal of at most 32 bytes as text; longer ones are refused by the decoder.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
    let mut full = [sign; 32];
    let tail = &bytes[bytes.len().saturating_sub(32)..];
    full[32 - tail.len()..].copy_from_slice(tail);
    let text = i256::from_be_bytes(full).to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Whether the schema has no value that ends: a record that must hold itself.
fn is_endless(answer: &Json) -> bool {
    answer["error"].as_str().is_some_and(|why| why.contains("no value of this schema is finite"))
}

#[derive(Debug, Default)]
struct Counted {
    pairs: u64,
    records: u64,
    refused: u64,
    failed_in_java: u64,
    /// differences that are explained at [`explained`]
    explained: u64,
}

/// Two kinds of differences are explained. Two fields of the reader that take one field of the writer, one by its name and one by an alias: the
/// schemas are compatible by Avro's rules, Java gives the value to the alias and the default to the name; here the pair is refused. And a
/// default of a union that its first branch does not take: Java writes it as the first branch all the same (a number becomes an empty
/// list), here it is the first branch that takes it, as the specification has it since 1.12.
fn explained(reader: &AvroSchema) -> bool {
    (0..reader.len()).any(|id| match &reader.get(id).shape {
        Shape::Record { fields, .. } => {
            fields.iter().any(|field| match (&reader.get(field.id).shape, &field.default) {
                (Shape::Union(branches), Some(json)) => branches
                    .first()
                    .is_some_and(|first| default::encode(reader, *first, json, &mut Vec::new()).is_err()),
                _ => false,
            })
        }
        _ => false,
    })
}

fn compare(seed: u64, reader: &str, writer: &str, answer: &Json, counted: &mut Counted) -> Result<(), String> {
    let reader = registered(reader);
    let records = answer["records"].as_array().ok_or_else(|| format!("seed {seed}: {answer}"))?;
    let bodies: Vec<Vec<u8>> =
        records.iter().map(|record| STANDARD.decode(record["bytes"].as_str().unwrap()).unwrap()).collect();
    let ours = decoded(writer, &reader, &bodies);
    let context = || format!("seed {seed}\nreader {}\nwriter {writer}", reader.text);
    for (place, record) in records.iter().enumerate() {
        counted.records += 1;
        if record.get("error").is_some() {
            counted.failed_in_java += 1;
            continue;
        }
        let Some(row) = ours.rows.iter().position(|row| *row as usize == place) else {
            let reject = ours.rejects.iter().find(|reject| reject.row as usize == place).unwrap();
            counted.refused += 1;
            if REFUSED.contains(&reject.code) {
                continue;
            }
            if reject.message.contains("takes the same field of the writer") {
                counted.explained += 1;
                continue;
            }
            return Err(format!("{}\nrefused: {reject:?}, and Java reads {record}", context()));
        };
        for (column, field) in reader.schema.fields().iter().enumerate() {
            let cells = ours.fields.column(column).as_string::<i32>();
            let cell = if cells.is_null(row) { Json::Null } else { serde_json::from_str(cells.value(row)).unwrap() };
            let is_same =
                |value: &Json| value.is_object() && same(&reader.schema, field.id, &value[&field.name], &cell);
            // Where Avro's two readers for Java differ from each other, either will do.
            if !is_same(&record["value"]) && !is_same(&record["fast"]["value"]) && !is_same(&record["fast"]) {
                if explained(&reader.schema) {
                    counted.explained += 1;
                    return Ok(());
                }
                return Err(format!("{}\nfield {}: {cell} here, by Java {record}", context(), field.name));
            }
        }
    }
    Ok(())
}

#[test]
fn what_avro_for_java_wrote_is_read_as_avro_for_java_reads_it() {
    let Some(mut judge) = Judge::start() else { return };
    let (count, first) = (number("PELTON_PAIRS", 2000), number("PELTON_SEED", 1));
    let (mut counted, mut wrong, mut seed) = (Counted::default(), Vec::new(), first);
    while counted.pairs < count {
        let mut pairs = Vec::new();
        while pairs.len() < 64 && counted.pairs < count {
            if let Some((reader, writer)) = pair(seed) {
                pairs.push((seed, reader, writer));
                counted.pairs += 1;
            }
            seed += 1;
        }
        let question = |(seed, reader, writer): &(u64, String, String)| json!({ "do": "decode", "reader": reader, "writer": writer, "seed": seed, "count": RECORDS });
        let answers = judge.ask(&pairs.iter().map(question).collect::<Vec<_>>());
        for ((seed, reader, writer), answer) in pairs.iter().zip(&answers) {
            if is_endless(answer) {
                continue;
            }
            wrong.extend(compare(*seed, reader, writer, answer, &mut counted).err());
        }
    }
    println!("{counted:?}, seeds {first} to {seed}, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong[..wrong.len().min(4)].join("\n\n"));
    assert!(counted.refused * 5 < counted.records, "{counted:?}");
}

/// Single objects and object container files that Avro for Java wrote.
#[test]
fn single_objects_and_container_files_of_avro_for_java_are_read() {
    let Some(mut judge) = Judge::start() else { return };
    let (mut read, mut refused) = (0, 0);
    for seed in 0..number("PELTON_PAIRS", 2000) / 20 {
        let schema = random::schema(&mut Dice(seed)).to_string();
        let reader = registered(&schema);
        if !mismatches(&reader.schema, &reader.schema).is_empty() {
            continue;
        }
        let answers = judge.ask(&[
            json!({ "do": "single_object", "schema": schema, "seed": seed }),
            json!({ "do": "container", "schema": schema, "seed": seed, "codec": "null", "count": 1 }),
            json!({ "do": "container", "schema": schema, "seed": seed, "codec": "deflate", "count": 1 }),
        ]);
        for answer in answers.iter().filter(|answer| !is_endless(answer)) {
            let record = STANDARD.decode(answer["bytes"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap();
            let print = SchemaId::Fingerprint(reader.schema.fingerprint());
            let source = MemorySource::default().with(print, "s", &schema);
            let schemas = Registry::new(Box::new(source), Patience::default(), SystemClock::shared());
            let wanted: Vec<WantedField> =
                reader.schema.fields().iter().map(|field| WantedField::optional(&field.name, Kind::Json)).collect();
            let mut decoder =
                AvroDecoder::new(schemas, Contract::open(Some(Arc::clone(&reader))), &wanted, 1 << 20).unwrap();
            let mut batch = batch(&[Vec::new()]);
            batch.data = std::iter::once(&record[..]).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ours = runtime.block_on(pelton::decode::decode_all(&mut decoder, &batch)).unwrap();
            if let Some(reject) = ours.rejects.first() {
                assert!(REFUSED.contains(&reject.code), "seed {seed}, {schema}: {reject:?}");
                refused += 1;
                continue;
            }
            for (column, field) in reader.schema.fields().iter().enumerate() {
                let cells = ours.fields.column(column).as_string::<i32>();
                let cell = if cells.is_null(0) { Json::Null } else { serde_json::from_str(cells.value(0)).unwrap() };
                let raw = &answer["values"][0][&field.name];
                assert!(
                    same(&reader.schema, field.id, raw, &cell),
                    "seed {seed}, {schema}, {}: {cell}, by Java {raw}",
                    field.name
                );
            }
            read += 1;
        }
    }
    println!("{read} read, {refused} refused");
    assert!(read > refused, "{read} read, {refused} refused");
}

/// The units of timestamps are told apart by the test above only if there are some.
#[test]
fn random_schemas_have_timestamps_of_all_units() {
    let mut units = [false; 3];
    for seed in 0..500 {
        let schema = registered(&random::schema(&mut Dice(seed)).to_string());
        for id in 0..schema.schema.len() {
            if let Some(Logical::Timestamp(unit)) = schema.schema.get(id).logical {
                units[[Unit::Millis, Unit::Micros, Unit::Nanos].iter().position(|one| *one == unit).unwrap()] = true;
            }
        }
    }
    assert_eq!(units, [true; 3]);
}
