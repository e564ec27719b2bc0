//! One JSON value into one column.
//!
//! The rule: a value becomes a cell of the column's kind without loss, or the record is refused with the field's name.
//! Left to others: where the value sits in the object.

use std::fmt;

use arrow::datatypes::i256;
use base64::Engine;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{
    super::{
        Kind, WantedField, batch_is_full,
        columns::{Column, power_of_ten},
        instant,
    },
    Row,
};

/// Reads a value for a column.
pub(super) struct Cell<'a> {
    column: &'a mut Column,
    wanted: &'a WantedField,
    text: &'a mut Vec<u8>,
    refusal: &'a mut Option<super::Refusal>,
}

impl<'a> Cell<'a> {
    pub(super) fn new(column: usize, row: &'a mut Row<'_>) -> Self {
        let wanted = &row.wanted[column];
        Self { column: &mut row.columns[column], wanted, text: row.text, refusal: &mut row.refusal }
    }

    /// Refuses the record.
    fn refuse<E: Error>(self, code: &'static str, message: String) -> E {
        let message = format!("field `{}`: {message}", self.wanted.path.0);
        *self.refusal = Some((code, message));
        E::custom("refused")
    }

    fn wrong<E: Error>(self, found: impl fmt::Display) -> E {
        let message = format!("expected {}, found {found}", self.wanted.kind);
        self.refuse("wrong_type", message)
    }

    fn bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        match self.column.bytes(bytes) {
            Ok(()) => Ok(()),
            Err(_) => {
                let (code, message) = batch_is_full();
                Err(self.refuse(code, message))
            }
        }
    }

    fn whole<E: Error>(self, value: i64) -> Result<(), E> {
        match self.wanted.kind {
            Kind::Int64 => self.column.int64(value),
            Kind::Float64 => self.column.float64(value as f64),
            Kind::Int32 | Kind::Date => match i32::try_from(value) {
                Ok(value) => self.column.int32(value),
                Err(_) => return Err(self.refuse("out_of_range", format!("{value} does not fit into 32 bits"))),
            },
            Kind::Timestamp => match value.checked_mul(1000) {
                Some(micros) => self.column.int64(micros),
                None => return Err(self.refuse("out_of_range", format!("{value} milliseconds are no time"))),
            },
            Kind::Decimal { .. } => return self.decimal(&value.to_string()),
            _ => return Err(self.wrong(value)),
        }
        Ok(())
    }

    fn decimal<E: Error>(self, text: &str) -> Result<(), E> {
        let (_, scale) = self.wanted.kind.digits();
        match parse_decimal(text, scale) {
            Some(value) if self.column.decimal(value) => Ok(()),
            _ => {
                let message = format!("`{}` is no {}", clip(text), self.wanted.kind);
                Err(self.refuse("out_of_range", message))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.wanted.kind != Kind::Json {
            return from.deserialize_any(self);
        }
        let value = Value::deserialize(from)?;
        if value.is_null() {
            return self.visit_unit();
        }
        self.text.clear();
        serde_json::to_writer(&mut *self.text, &value).map_err(D::Error::custom)?;
        let text = std::mem::take(self.text);
        let done = self.column.bytes(&text);
        *self.text = text;
        match done {
            Ok(()) => Ok(()),
            Err(_) => {
                let (code, message) = batch_is_full();
                Err(self.refuse(code, message))
            }
        }
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for field `{}`", self.wanted.kind, self.wanted.path.0)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        // A null for a field that must have a value leaves the cell out, which the end of the record finds.
        self.column.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if self.wanted.kind != Kind::Boolean {
            return Err(self.wrong(value));
        }
        self.column.boolean(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.whole(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), self.wanted.kind) {
            (Ok(value), _) => self.whole(value),
            (_, Kind::Float64) => {
                self.column.float64(value as f64);
                Ok(())
            }
            (_, Kind::Decimal { .. }) => self.decimal(&value.to_string()),
            _ => Err(self.refuse("out_of_range", format!("{value} does not fit into 64 bits"))),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self.wanted.kind {
            Kind::Float64 => {
                self.column.float64(value);
                Ok(())
            }
            Kind::Decimal { .. } => self.decimal(&value.to_string()),
            Kind::Int32 | Kind::Int64 | Kind::Timestamp if value.fract() == 0.0 && value.abs() <= EXACT => {
                self.whole(value as i64)
            }
            _ => Err(self.wrong(value)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.wanted.kind {
            Kind::Text => self.bytes(text.as_bytes()),
            Kind::Binary => match base64::engine::general_purpose::STANDARD.decode(text) {
                Ok(bytes) => self.bytes(&bytes),
                Err(_) => Err(self.wrong("text that is no base64")),
            },
            Kind::Timestamp => match instant::parse_instant(text) {
                Some(micros) => {
                    self.column.int64(micros);
                    Ok(())
                }
                None => Err(self.wrong(format_args!("`{}`, which is no RFC 3339 time", clip(text)))),
            },
            Kind::Date => match instant::parse_date(text) {
                Some(days) => {
                    self.column.int32(days);
                    Ok(())
                }
                None => Err(self.wrong(format_args!("`{}`, which is no date", clip(text)))),
            },
            Kind::Decimal { .. } => self.decimal(text),
            _ => Err(self.wrong(format_args!("text `{}`", clip(text)))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.wrong("an object; ask for json or for a field inside"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.wrong("a list; ask for json"))
    }
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

/// An unscaled decimal from `-12.5` or `1.25e3`; nothing where digits would be lost.
fn parse_decimal(text: &str, scale: i8) -> Option<i256> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || number.len() > 400 {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let fraction = i64::try_from(fraction.len()).ok()?;
    let value = kept.bytes().try_fold(i256::ZERO, |sum, digit| {
        sum.checked_mul(i256::from(10))?.checked_add(i256::from(i32::from(digit - b'0')))
    })?;
    if kept.trim_start_matches('0').is_empty() {
        return Some(i256::ZERO);
    }
    let power = u32::try_from(i64::from(scale) + i64::from(exponent) + dropped - fraction).ok()?;
    let value = value.checked_mul(power_of_ten(power)?)?;
    Some(if is_negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        let number = |value: i64| Some(i256::from_i128(i128::from(value)));
        assert_eq!(parse_decimal("-12.5", 2), number(-1250));
        assert_eq!(parse_decimal("1.25e3", 2), number(125_000));
        assert_eq!(parse_decimal("0.1000", 1), number(1));
        assert_eq!(parse_decimal("0.00", 0), number(0));
        for wrong in ["0.125", "", "-", ".", "x", "1e999999999", "1e99", "1.2.3", "--1"] {
            assert_eq!(parse_decimal(wrong, 2), None, "{wrong}");
        }
    }
}
