//! Floating-point numbers: an exact sum, and what is not finite counted beside it.
//!
//! NaN makes sum and mean NaN and is neither smallest nor largest. Infinities of both signs make NaN too, of one sign that infinity.
//! -0 is smaller than 0, so that smallest and largest do not depend on the order.

use crate::Results;
use crate::sum::Sum;
use pelton_sdk::accumulator::{Accumulator, Part};

#[derive(Clone, Debug, Default)]
pub struct Floats {
    head: Head,
    sum: Sum,
}

#[derive(Clone, Debug)]
struct Head {
    count: u64,
    min: f64,
    max: f64,
    /// Which values that are not finite occurred: see the bits below.
    special: u8,
}

const NAN: u8 = 1;
const POSITIVE: u8 = 2;
const NEGATIVE: u8 = 4;
/// There is a value that is a number.
const ANY: u8 = 8;

impl Default for Head {
    fn default() -> Self {
        Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, special: 0 }
    }
}

impl Floats {
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.head.count += 1;
        if value.is_nan() {
            self.head.special |= NAN;
            return;
        }
        self.head.special |= ANY;
        self.widen(value, value);
        if value.is_finite() {
            self.sum.add(value);
        } else {
            self.head.special |= if value > 0.0 { POSITIVE } else { NEGATIVE };
        }
    }

    #[inline]
    fn widen(&mut self, min: f64, max: f64) {
        if min.total_cmp(&self.head.min).is_lt() {
            self.head.min = min;
        }
        if max.total_cmp(&self.head.max).is_gt() {
            self.head.max = max;
        }
    }

    pub fn merge(&mut self, part: &Self) {
        self.head.count += part.head.count;
        self.head.special |= part.head.special;
        self.widen(part.head.min, part.head.max);
        self.sum.merge(&part.sum);
    }

    pub fn results(&self) -> Results<f64> {
        let some = |value| (self.head.special & ANY != 0).then_some(value);
        let sum = match self.head.special & (NAN | POSITIVE | NEGATIVE) {
            0 => self.sum.round(),
            POSITIVE => f64::INFINITY,
            NEGATIVE => f64::NEG_INFINITY,
            _ => f64::NAN,
        };
        Results { count: self.head.count as i64, sum, min: some(self.head.min), max: some(self.head.max) }
    }
}

impl Accumulator for Floats {
    fn encode(&self, into: &mut Vec<u8>) {
        self.head.count.put(into);
        self.head.min.put(into);
        self.head.max.put(into);
        self.head.special.put(into);
        self.sum.encode(into);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, String> {
        let from = &mut bytes;
        let head = Head {
            count: Part::take(from)?,
            min: Part::take(from)?,
            max: Part::take(from)?,
            special: Part::take(from)?,
        };
        Ok(Self { head, sum: Sum::decode(from)? })
    }
}
