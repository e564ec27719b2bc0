//! Simple values into columns: which kinds a type can give, and the giving.
//!
//! The rule: nothing is rounded except what is said (nanoseconds are cut to microseconds, a float becomes a double); what does
//! not fit is refused. Left to others: how to get to the value.

use arrow::datatypes::i256;
use pelton_schema::types::Unit;

use super::{
    read::{Fault, Input},
    resolve::{Gives, Leaf},
};
use crate::decode::{
    Kind,
    columns::{Column, power_of_ten},
};

/// How a simple value becomes a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convert {
    Boolean,
    Int32,
    /// a number times this
    Int64(i64),
    /// through the reader's float first
    Float64 {
        is_single: bool,
    },
    Text,
    UuidText,
    Binary,
    /// an unscaled number times this power of ten; on the wire a number or big-endian bytes
    Decimal {
        power: u32,
    },
    Timestamp(Unit),
}

/// The way from a type to a kind, if there is one. JSON is everybody's and not asked for here.
pub fn choose(gives: Gives, kind: Kind) -> Option<Convert> {
    Some(match (kind, gives) {
        (Kind::Boolean, Gives::Boolean) => Convert::Boolean,
        (Kind::Int32, Gives::Int | Gives::Date) | (Kind::Date, Gives::Date) => Convert::Int32,
        (Kind::Int64, Gives::Time(step)) => Convert::Int64(step),
        (Kind::Int64, Gives::Int | Gives::Long | Gives::Date | Gives::Timestamp(_)) => Convert::Int64(1),
        (Kind::Float64, Gives::Float) => Convert::Float64 { is_single: true },
        (Kind::Float64, Gives::Double | Gives::Int | Gives::Long) => Convert::Float64 { is_single: false },
        (Kind::Text, Gives::Text) => Convert::Text,
        (Kind::Text, Gives::Uuid) => Convert::UuidText,
        (Kind::Binary, Gives::Bytes | Gives::Text | Gives::Uuid | Gives::Decimal { .. } | Gives::Duration) => {
            Convert::Binary
        }
        (Kind::Decimal { scale, .. }, Gives::Decimal { scale: written }) => {
            Convert::Decimal { power: u32::try_from(i64::from(scale) - i64::try_from(written).ok()?).ok()? }
        }
        (Kind::Decimal { scale, .. }, Gives::Int | Gives::Long) => {
            Convert::Decimal { power: u32::try_from(scale).ok()? }
        }
        (Kind::Timestamp, Gives::Timestamp(unit)) => Convert::Timestamp(unit),
        _ => return None,
    })
}

/// Reads a value and appends it.
pub fn put(leaf: Leaf, convert: Convert, place: u32, input: &mut Input<'_>, column: &mut Column) -> Result<(), Fault> {
    let too_far = Fault::OutOfRange(place);
    match convert {
        Convert::Boolean => column.boolean(input.boolean()?),
        Convert::Int32 => column.int32(input.int()?),
        Convert::Int64(step) => column.int64(whole(leaf, input)?.checked_mul(step).ok_or(too_far)?),
        Convert::Float64 { is_single } => column.float64(floating(leaf, is_single, input)?),
        Convert::Text => column.bytes(text(leaf, input)?.as_bytes()).map_err(|_| Fault::Full)?,
        Convert::UuidText => {
            let text = uuid(leaf, input)?;
            column.bytes(text.as_bytes()).map_err(|_| Fault::Full)?;
        }
        Convert::Binary => column.bytes(bytes(leaf, input)?).map_err(|_| Fault::Full)?,
        Convert::Decimal { power } => {
            let unscaled = match leaf {
                Leaf::Int | Leaf::Long => i256::from_i128(i128::from(whole(leaf, input)?)),
                _ => unscaled(bytes(leaf, input)?).ok_or(too_far)?,
            };
            let value = power_of_ten(power).and_then(|factor| unscaled.checked_mul(factor)).ok_or(too_far)?;
            if !column.decimal(value) {
                return Err(too_far);
            }
        }
        Convert::Timestamp(unit) => column.int64(micros(whole(leaf, input)?, unit).ok_or(too_far)?),
    }
    Ok(())
}

/// Microseconds of a timestamp; what is finer is cut.
pub fn micros(value: i64, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Millis => value.checked_mul(1000),
        Unit::Micros => Some(value),
        Unit::Nanos => Some(value.div_euclid(1000)),
    }
}

/// A whole number of either length.
pub fn whole(leaf: Leaf, input: &mut Input<'_>) -> Result<i64, Fault> {
    if leaf == Leaf::Int { input.int().map(i64::from) } else { input.long() }
}

/// A number as the reader's float or double.
pub fn floating(leaf: Leaf, is_single: bool, input: &mut Input<'_>) -> Result<f64, Fault> {
    Ok(match leaf {
        Leaf::Float => f64::from(input.float()?),
        Leaf::Double => input.double()?,
        _ if is_single => f64::from(whole(leaf, input)? as f32),
        _ => whole(leaf, input)? as f64,
    })
}

/// Bytes, text as bytes, or a fixed.
pub fn bytes<'a>(leaf: Leaf, input: &mut Input<'a>) -> Result<&'a [u8], Fault> {
    match leaf {
        Leaf::Fixed(size) => input.take(size),
        Leaf::String => input.text().map(str::as_bytes),
        _ => input.bytes(),
    }
}

/// Text, or bytes that must be text.
pub fn text<'a>(leaf: Leaf, input: &mut Input<'a>) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes(leaf, input)?).map_err(|_| Fault::BadText)
}

/// A uuid as it was written in text, or its sixteen bytes as text.
pub fn uuid(leaf: Leaf, input: &mut Input<'_>) -> Result<String, Fault> {
    if leaf == Leaf::String {
        return input.text().map(str::to_owned);
    }
    let bytes: [u8; 16] = bytes(leaf, input)?.try_into().map_err(|_| Fault::BadLength)?;
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    Ok([&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-"))
}

/// A big-endian two's complement number, if it has at most 256 bits.
pub fn unscaled(bytes: &[u8]) -> Option<i256> {
    let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { 0xff } else { 0 };
    let spare = bytes.len().saturating_sub(32);
    let (head, tail) = bytes.split_at(spare);
    if head.iter().any(|byte| *byte != sign) || (spare > 0 && (tail[0] >= 0x80) != (sign == 0xff)) {
        return None;
    }
    let mut full = [sign; 32];
    full[32 - tail.len()..].copy_from_slice(tail);
    Some(i256::from_be_bytes(full))
}

/// The most digits behind the point that are written out.
const MOST_SCALE: usize = 1000;

/// A decimal as text: `-1.50`. Nothing where so many zeros would have to be written.
pub fn decimal_text(unscaled: i256, scale: usize) -> Option<String> {
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    if scale == 0 {
        return Some(text);
    }
    if scale > MOST_SCALE {
        return None;
    }
    let width = scale + 1;
    let padded = format!("{digits:0>width$}");
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    Some(format!("{sign}{whole}.{fraction}"))
}
