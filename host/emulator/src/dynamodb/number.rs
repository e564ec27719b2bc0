//! Numbers as DynamoDB has them: decimal, at most 38 significant digits, exact.
//!
//! The rule: two texts of one value are one number, and order is by value. A sum that needs more than 38 digits is refused,
//! never rounded. What refers to numbers in an expression is `expression/`.

use std::cmp::Ordering;
use std::fmt;

const MOST_DIGITS: i32 = 38;
/// The place of the first digit: 1E-130 to 9.9E+125.
const LOWEST: i32 = -130;
const HIGHEST: i32 = 125;

/// `digits` × 10^`exponent`, without trailing zeros; zero is all zeros, so equality is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    negative: bool,
    digits: u128,
    exponent: i32,
}

/// Why something is no number; the texts are the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANumber {
    #[error("The parameter cannot be converted to a numeric value")]
    Text,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    Precision,
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
}

impl Number {
    pub const ZERO: Self = Self { negative: false, digits: 0, exponent: 0 };

    pub fn parse(text: &str) -> Result<Self, NotANumber> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
            return Err(NotANumber::Text);
        }
        let exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
        Self::of_digits(negative, &all.iter().map(|d| d - b'0').collect::<Vec<_>>(), exponent)
    }

    /// From decimal digits, most significant first.
    fn of_digits(negative: bool, digits: &[u8], exponent: i64) -> Result<Self, NotANumber> {
        let Some(first) = digits.iter().position(|&d| d != 0) else {
            return Ok(Self::ZERO);
        };
        let last = digits.iter().rposition(|&d| d != 0).unwrap_or(first);
        let kept = &digits[first..=last];
        let exponent = exponent.saturating_add((digits.len() - 1 - last) as i64);
        let place = exponent.saturating_add(kept.len() as i64 - 1);
        if kept.len() > MOST_DIGITS as usize {
            return Err(NotANumber::Precision);
        }
        if place > i64::from(HIGHEST) {
            return Err(NotANumber::Overflow);
        }
        if place < i64::from(LOWEST) {
            return Err(NotANumber::Underflow);
        }
        let value = kept.iter().fold(0u128, |sum, &d| sum * 10 + u128::from(d));
        Ok(Self { negative, digits: value, exponent: exponent as i32 })
    }

    pub fn of_count(count: usize) -> Self {
        Self::parse(&count.to_string()).unwrap_or(Self::ZERO)
    }

    pub fn negated(self) -> Self {
        Self { negative: !self.negative && self.digits != 0, ..self }
    }

    pub fn plus(self, other: Self) -> Result<Self, NotANumber> {
        if self.digits == 0 || other.digits == 0 {
            return Ok(if self.digits == 0 { other } else { self });
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.spread(exponent), other.spread(exponent));
        if self.negative == other.negative {
            return Self::of_digits(self.negative, &sum(&a, &b), exponent.into());
        }
        let (large, small, negative) =
            if cmp_digits(&a, &b) == Ordering::Less { (b, a, other.negative) } else { (a, b, self.negative) };
        Self::of_digits(negative, &difference(&large, &small), exponent.into())
    }

    /// The digits down to the place of `exponent`.
    fn spread(self, exponent: i32) -> Vec<u8> {
        let mut digits = self.text_of_digits().into_bytes();
        digits.iter_mut().for_each(|d| *d -= b'0');
        digits.resize(digits.len() + (self.exponent - exponent).max(0) as usize, 0);
        digits
    }

    fn text_of_digits(self) -> String {
        self.digits.to_string()
    }

    /// The place of the first digit.
    fn place(self) -> i32 {
        self.exponent + self.text_of_digits().len() as i32 - 1
    }

    /// About what the service counts against the size of an item.
    pub fn size(self) -> usize {
        self.text_of_digits().len().div_ceil(2) + 1 + usize::from(self.negative)
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        let by_place = self.place().cmp(&other.place());
        let exponent = self.exponent.min(other.exponent);
        by_place.then_with(|| cmp_digits(&self.spread(exponent), &other.spread(exponent)))
    }
}

fn exponent_of(text: &str) -> Result<i64, NotANumber> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotANumber::Text);
    }
    let value: i64 = digits.parse().unwrap_or(i64::MAX / 4);
    Ok(if text.starts_with('-') { -value } else { value })
}

fn cmp_digits(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    for i in 0..a.len().max(b.len()) {
        let of = |n: &[u8]| n.len().checked_sub(i + 1).map_or(0, |at| n[at]);
        let digit = of(a) + of(b) + carry;
        out.push(digit % 10);
        carry = digit / 10;
    }
    out.push(carry);
    out.reverse();
    out
}

/// `a` is not less than `b`.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len());
    let mut borrow = 0;
    for i in 0..a.len() {
        let of = |n: &[u8]| n.len().checked_sub(i + 1).map_or(0, |at| n[at]);
        let (upper, lower) = (of(a), of(b) + borrow);
        borrow = u8::from(upper < lower);
        out.push(upper + 10 * borrow - lower);
    }
    out.reverse();
    out
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |n: &Self| if n.digits == 0 { 0 } else { 1 - 2 * i8::from(n.negative) };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => self.cmp_magnitude(other),
            _ => other.cmp_magnitude(self),
        })
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Written out in full, as the service answers.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.text_of_digits();
        if self.exponent >= 0 {
            return write!(f, "{digits}{}", "0".repeat(self.exponent as usize));
        }
        let behind = self.exponent.unsigned_abs() as usize;
        match digits.len().checked_sub(behind) {
            Some(split) if split > 0 => write!(f, "{}.{}", &digits[..split], &digits[split..]),
            _ => write!(f, "0.{}{digits}", "0".repeat(behind - digits.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn n(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn texts_of_one_value_are_one_number() {
        for (text, plain) in [
            ("007.500", "7.5"),
            ("1.5e3", "1500"),
            ("-0", "0"),
            ("+1", "1"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1E-3", "0.001"),
            ("-12E-1", "-1.2"),
            ("0E999999999999", "0"),
        ] {
            assert_eq!(n(text).to_string(), plain, "{text}");
            assert_eq!(n(text), n(plain));
        }
        assert_eq!(n("1E125").to_string().len(), 126);
    }

    #[test]
    fn refuses_what_dynamodb_refuses() {
        for text in ["", " 1", "1 ", "0x1", "NaN", "1e", ".", "-", "1.2.3", "1e+", "--1", "e5"] {
            assert_eq!(Number::parse(text), Err(NotANumber::Text), "{text:?}");
        }
        assert_eq!(Number::parse("1E126"), Err(NotANumber::Overflow));
        assert_eq!(Number::parse("1E-131"), Err(NotANumber::Underflow));
        assert_eq!(Number::parse(&"9".repeat(39)), Err(NotANumber::Precision));
        assert!(Number::parse(&format!("1{}", "0".repeat(39))).is_ok());
        assert_eq!(n("1E40").plus(n("1")), Err(NotANumber::Precision));
        assert_eq!(n("9E125").plus(n("9E125")), Err(NotANumber::Overflow));
    }

    #[test]
    fn sums_are_exact_at_the_edges() {
        assert_eq!(n("1E38").plus(n("-1")).unwrap().to_string(), "9".repeat(38));
        assert_eq!(n(&"9".repeat(38)).plus(n("1")).unwrap(), n("1E38"));
        assert_eq!(n("5").plus(n("-5")).unwrap(), Number::ZERO);
        assert_eq!(n("5").plus(n("5.50").negated()).unwrap().to_string(), "-0.5");
    }

    proptest! {
        #[test]
        fn behaves_as_integers_do(a in -1_000_000_000i128..1_000_000_000, b in -1_000_000_000i128..1_000_000_000) {
            let (x, y) = (n(&a.to_string()), n(&b.to_string()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x.plus(y).unwrap().to_string(), (a + b).to_string());
        }

        #[test]
        fn text_round_trips(digits in 1u64.., exponent in -120i32..100, negative: bool) {
            let sign = if negative { "-" } else { "" };
            let number = n(&format!("{sign}{digits}E{exponent}"));
            prop_assert_eq!(n(&number.to_string()), number);
        }
    }
}
