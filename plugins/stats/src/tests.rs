//! Cases, and the exact sum against a plain computation in whole numbers.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::sum::Sum;

#[test]
fn cases() {
    pelton_sdk::testing::check(
        concat!(env!("CARGO_MANIFEST_DIR"), "/cases"),
        pelton_sdk::testing::column_aggregator::<Stats>,
    );
}

/// A small generator: the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Of any size, sign and exponent, but finite.
    fn any(&mut self) -> f64 {
        loop {
            let value = f64::from_bits(self.next());
            if value.is_finite() {
                return value;
            }
        }
    }

    fn near(&mut self) -> f64 {
        (self.next() % 2_000_001) as f64 / 1000.0 - 1000.0
    }
}

fn sum(values: &[f64]) -> Sum {
    let mut sum = Sum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum
}

fn bytes(sum: &Sum) -> Vec<u8> {
    let mut bytes = Vec::new();
    sum.encode(&mut bytes);
    bytes
}

#[test]
fn one_number_is_itself() {
    let mut numbers = Numbers(7);
    let edges =
        [0.0, f64::MIN_POSITIVE, f64::from_bits(1), f64::MAX, f64::MIN, 1.0, -1.0, f64::from_bits((1 << 52) - 1)];
    for value in (0..20_000).map(|_| numbers.any()).chain(edges) {
        assert_eq!(sum(&[value]).round(), value, "{value:e}");
    }
}

#[test]
fn two_numbers_round_as_the_processor_rounds() {
    let mut numbers = Numbers(11);
    for _ in 0..20_000 {
        let (a, b) = (numbers.any(), numbers.near());
        let scaled = a.to_bits() & !(0x7ff << 52) | ((1023 - 60 + (numbers.next() % 120)) << 52);
        for (a, b) in [(a, b), (f64::from_bits(scaled), b), (a, -a), (a, a)] {
            assert_eq!(sum(&[a, b]).round(), a + b, "{a:e} + {b:e}");
        }
    }
}

#[test]
fn order_and_cuts_do_not_matter() {
    let mut numbers = Numbers(13);
    for round in 0..300 {
        let count = numbers.next() as usize % 60 + 1;
        let mut values: Vec<f64> =
            (0..count).map(|_| if round % 2 == 0 { numbers.any() } else { numbers.near() }).collect();
        let whole = sum(&values);
        let cut = numbers.next() as usize % count;
        let mut parts = Sum::decode(&bytes(&sum(&values[..cut]))).unwrap();
        parts.merge(&sum(&values[cut..]));
        assert_eq!(bytes(&whole), bytes(&parts));
        values.reverse();
        values.rotate_left(cut);
        // Encoded and read again after every number, as the host does.
        let mut stepwise = Sum::default();
        for value in &values {
            stepwise.add(*value);
            stepwise = Sum::decode(&bytes(&stepwise)).unwrap();
        }
        assert_eq!(bytes(&whole), bytes(&stepwise));
        values.extend(values.clone().iter().map(|value| -value));
        assert_eq!(sum(&values).round(), 0.0);
        assert!(bytes(&sum(&values)).is_empty());
    }
}

#[test]
fn what_plain_addition_loses_is_kept() {
    assert_eq!(sum(&[1e308, 1e308, -1e308]).round(), 1e308);
    assert_eq!(sum(&[1e308, 1e308]).round(), f64::INFINITY);
    assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]).round(), 2.0);
    assert_eq!(sum(&[0.1; 10]).round(), 1.0);
}

#[test]
fn many_additions_leave_the_narrow_form_in_time() {
    let mut total = Sum::default();
    let large = 2f64.powi(60);
    for _ in 0..100_000 {
        total.add(large);
    }
    assert_eq!(total.round(), large * 100_000.0);
}

#[test]
fn damaged_accumulators_are_refused() {
    for damaged in [&[1][..], &[40, 0, 0, 0, 0, 0, 0, 0, 0], &[35, 1, 2, 3], &[0; 400]] {
        assert!(Sum::decode(damaged).is_err(), "{damaged:?}");
    }
    assert!(State::decode(&[9]).is_err());
    assert!(State::decode(&[WHOLE, 1, 2]).is_err());
}
