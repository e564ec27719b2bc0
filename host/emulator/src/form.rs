//! The forms that a call and its answer come in: JSON, or CBOR as Java clients speak it with Kinesis (`application/x-amz-cbor-1.1`).
//!
//! The rules: the calls know JSON alone, so a request becomes JSON at the door, and an answer what the client speaks. Bytes are base64
//! text in JSON. A time is seconds in JSON, and tag 1 with milliseconds in CBOR: so the Java client writes and reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minicbor::data::{Tag, Type};
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder};
use serde_json::{Map, Value};

const TIME: Tag = Tag::new(1);
/// As deep as serde_json reads.
const DEPTH: usize = 128;
/// The one member of bytes in the answers of Kinesis.
const BYTES: &str = "Data";
/// How the names of times end.
const TIMES: &str = "Timestamp";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Cbor,
}

impl Form {
    pub fn of(content_type: &str) -> Self {
        if content_type.to_ascii_lowercase().contains("cbor") { Self::Cbor } else { Self::Json }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// A request as JSON.
    pub fn read(self, body: Bytes) -> Result<Bytes, Error> {
        match self {
            Self::Cbor if !body.is_empty() => Ok(to_json(&body)?.to_string().into()),
            Self::Json | Self::Cbor => Ok(body),
        }
    }

    /// An answer, which is JSON or nothing.
    pub fn written(self, json: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Cbor if !json.is_empty() => to_cbor(&serde_json::from_slice(&json).expect("answers are JSON")),
            Self::Json | Self::Cbor => json,
        }
    }
}

fn to_json(bytes: &[u8]) -> Result<Value, Error> {
    let mut from = Decoder::new(bytes);
    let value = value(&mut from, DEPTH)?;
    if from.position() < bytes.len() { Err(Error::message("there is more behind its end")) } else { Ok(value) }
}

fn value(from: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::message("it is too deep"))?;
    Ok(match from.datatype()? {
        Type::Map | Type::MapIndef => {
            let (size, mut members) = (from.map()?, Map::new());
            items(from, size, |from| {
                members.insert(text(from)?, value(from, depth)?);
                Ok(())
            })?;
            members.into()
        }
        Type::Array | Type::ArrayIndef => {
            let (size, mut list) = (from.array()?, Vec::new());
            items(from, size, |from| {
                list.push(value(from, depth)?);
                Ok(())
            })?;
            list.into()
        }
        Type::String | Type::StringIndef => text(from)?.into(),
        Type::Bytes | Type::BytesIndef => {
            STANDARD.encode(from.bytes_iter()?.collect::<Result<Vec<_>, _>>()?.concat()).into()
        }
        Type::Tag => match (from.tag()?, value(from, depth)?) {
            (TIME, Value::Number(millis)) => millis.as_f64().map(|millis| millis / 1000.0).into(),
            (_, value) => value,
        },
        Type::F32 | Type::F64 => from.f64()?.into(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => from.u64()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => from.i64()?.into(),
        Type::Bool => from.bool()?.into(),
        Type::Null => {
            from.null()?;
            Value::Null
        }
        other => return Err(Error::type_mismatch(other)),
    })
}

/// So many, or up to the mark that ends them.
fn items<'b>(
    from: &mut Decoder<'b>,
    size: Option<u64>,
    mut item: impl FnMut(&mut Decoder<'b>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut done = 0;
    while size.is_none_or(|size| done < size) {
        if size.is_none() && from.datatype()? == Type::Break {
            return from.skip();
        }
        item(from)?;
        done += 1;
    }
    Ok(())
}

fn text(from: &mut Decoder<'_>) -> Result<String, Error> {
    from.str_iter()?.collect()
}

fn to_cbor(json: &Value) -> Vec<u8> {
    let mut out = Encoder::new(Vec::new());
    write(&mut out, "", json).expect("memory takes everything");
    out.into_writer()
}

/// Writes the value of a member.
fn write(
    out: &mut Encoder<Vec<u8>>,
    name: &str,
    value: &Value,
) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    match value {
        Value::Object(members) => {
            out.map(members.len() as u64)?;
            for (name, value) in members {
                out.str(name)?;
                write(out, name, value)?;
            }
        }
        Value::Array(list) => {
            out.array(list.len() as u64)?;
            for value in list {
                write(out, name, value)?;
            }
        }
        Value::String(text) => match STANDARD.decode(text) {
            Ok(bytes) if name == BYTES => out.bytes(&bytes).map(drop)?,
            _ => out.str(text).map(drop)?,
        },
        Value::Number(number) => match (number.as_f64(), number.as_i64()) {
            (Some(seconds), _) if name.ends_with(TIMES) => {
                out.tag(TIME)?.i64((seconds * 1000.0).round() as i64).map(drop)?
            }
            (_, Some(whole)) => out.i64(whole).map(drop)?,
            (number, None) => out.f64(number.unwrap_or_default()).map(drop)?,
        },
        Value::Bool(bool) => out.bool(*bool).map(drop)?,
        Value::Null => out.null().map(drop)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn bytes_and_times_are_what_java_clients_write() {
        let mut out = Encoder::new(Vec::new());
        let open = out.begin_map().unwrap().str("Data").unwrap().begin_bytes().unwrap();
        open.bytes(b"h").unwrap().bytes(b"i").unwrap().end().unwrap();
        out.str("Timestamp").unwrap().tag(TIME).unwrap().i64(1_234_005).unwrap();
        out.str("Limit").unwrap().u64(7).unwrap().end().unwrap();
        let json = json!({ "Data": "aGk=", "Timestamp": 1234.005, "Limit": 7 });
        assert_eq!(to_json(&out.into_writer()).unwrap(), json);
        let written = to_cbor(&json!({ "ApproximateArrivalTimestamp": 1234.005, "Data": "aGk=", "ShardId": "aGk=" }));
        let mut from = Decoder::new(&written);
        assert_eq!((from.map().unwrap(), from.str().unwrap()), (Some(3), "ApproximateArrivalTimestamp"));
        assert_eq!((from.tag().unwrap(), from.i64().unwrap(), from.str().unwrap()), (TIME, 1_234_005, "Data"));
        assert_eq!((from.bytes().unwrap(), from.str().unwrap()), (&b"hi"[..], "ShardId"));
        assert_eq!(from.str().unwrap(), "aGk=");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = vec![0x81; 100_000];
        for bad in [&b"\xa1"[..], b"\xff", b"\x01\x01", b"\xa1\x01\x01", b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", &deep]
        {
            assert!(to_json(bad).is_err(), "{:?}", &bad[..bad.len().min(9)]);
        }
    }

    fn answers() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e9..1e9f64).prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let members = proptest::collection::btree_map("[a-z]{1,5}|[A-Z][a-z]*Timestamp|Data", inner.clone(), 0..5);
            let members = members.prop_map(|members| Value::Object(members.into_iter().collect()));
            prop_oneof![proptest::collection::vec(inner, 0..5).prop_map(Value::from), members]
        })
    }

    proptest! {
        #[test]
        fn an_answer_reads_back(answer in answers()) {
            let back = to_json(&to_cbor(&answer)).unwrap();
            // times are rounded to milliseconds
            prop_assert!(alike(&answer, &back), "{answer} {back}");
        }

        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = to_json(&junk);
        }
    }

    fn alike(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                (one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 0.001 * one.as_f64().unwrap().abs().max(1.0)
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a, b))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(name, value)| other.get(name).is_some_and(|found| alike(value, found)))
            }
            _ => one == other,
        }
    }
}
