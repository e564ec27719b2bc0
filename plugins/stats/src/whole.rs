//! Whole numbers: summed in 128 bits, which 2^64 records cannot fill.

use crate::Results;
use pelton_sdk::prelude::*;

#[derive(Accumulator, Clone, Debug)]
pub struct Whole {
    count: u64,
    sum: i128,
    min: i64,
    max: i64,
}

impl Default for Whole {
    fn default() -> Self {
        Self { count: 0, sum: 0, min: i64::MAX, max: i64::MIN }
    }
}

impl Whole {
    #[inline]
    pub fn add(&mut self, value: i64) {
        self.count += 1;
        self.sum += i128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub fn merge(&mut self, part: &Self) {
        self.count += part.count;
        self.sum += part.sum;
        self.min = self.min.min(part.min);
        self.max = self.max.max(part.max);
    }

    pub fn results(&self) -> Results<i64> {
        let some = |value| (self.count > 0).then_some(value);
        Results { count: self.count as i64, sum: self.sum as f64, min: some(self.min), max: some(self.max) }
    }
}
