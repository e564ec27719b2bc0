//! A sum of floats that does not depend on their order: partials that do not overlap, exactly equal to the sum, rounded once when it
//! is read (Shewchuk 1997; the rounding of the last half as in Python's `fsum`).
//!
//! Infinities and NaN are summed apart, as IEEE 754 adds them. The bytes are kept stable.

/// An exact sum. Small, as there is one for each key of each open window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exact {
    /// the smallest partial; most sums never need another
    first: f64,
    more: Option<Box<More>>,
}

/// What most sums never need.
#[derive(Clone, Debug, Default, PartialEq)]
struct More {
    /// the other partials, rising in magnitude
    rest: Vec<f64>,
    /// the sum of what is not finite, else 0
    special: f64,
}

/// `a + b` and what rounding lost.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

impl Exact {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let (sum, lost) = two_sum(self.first, value);
        // What is not finite loses NaN.
        if lost == 0.0 && self.more.is_none() {
            self.first = sum;
        } else {
            self.add_slowly(value);
        }
    }

    #[cold]
    fn add_slowly(&mut self, value: f64) {
        let more = self.more.get_or_insert_default();
        let (sum, _) = two_sum(self.first, value);
        if !value.is_finite() || !sum.is_finite() {
            more.special += if value.is_finite() { sum } else { value };
            return;
        }
        let mut partials = Vec::with_capacity(more.rest.len() + 2);
        let mut carry = value;
        for partial in std::iter::once(self.first).chain(more.rest.iter().copied()) {
            let (sum, lost) = two_sum(partial, carry);
            if lost != 0.0 {
                partials.push(lost);
            }
            carry = sum;
        }
        partials.push(carry);
        self.first = partials.remove(0);
        more.rest = partials;
        if more.rest.is_empty() && more.special == 0.0 {
            self.more = None;
        }
    }

    fn rest(&self) -> &[f64] {
        self.more.as_ref().map_or(&[], |more| &more.rest)
    }

    fn special(&self) -> f64 {
        self.more.as_ref().map_or(0.0, |more| more.special)
    }

    /// The sum, rounded once to the nearest float, ties to even.
    pub fn value(&self) -> f64 {
        if self.special() != 0.0 {
            return self.special();
        }
        if self.rest().is_empty() {
            return self.first;
        }
        let mut partials: Vec<f64> = std::iter::once(self.first).chain(self.rest().iter().copied()).collect();
        let mut high = partials.pop().unwrap_or(0.0);
        let mut low = 0.0;
        while let Some(next) = partials.pop() {
            (high, low) = two_sum(high, next);
            if low != 0.0 {
                break;
            }
        }
        // A tie that the next partial breaks was rounded to even instead.
        if let Some(next) = partials.last()
            && ((low < 0.0 && *next < 0.0) || (low > 0.0 && *next > 0.0))
        {
            let twice = low * 2.0;
            let rounded = high + twice;
            if twice == rounded - high {
                return rounded;
            }
        }
        high
    }

    /// Appends the bytes: the special sum, how many partials, the partials.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.special().to_be_bytes());
        into.push(u8::try_from(self.rest().len() + 1).expect("at most 40 partials of a float do not overlap"));
        into.extend_from_slice(&self.first.to_be_bytes());
        self.rest().iter().for_each(|partial| into.extend_from_slice(&partial.to_be_bytes()));
    }

    /// Takes the bytes that [`Exact::write`] made; `None` where they are not such.
    pub fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut float = || {
            let (taken, left) = rest.split_first_chunk::<8>()?;
            *rest = left;
            Some(f64::from_be_bytes(*taken))
        };
        let special = float()?;
        let (count, left) = rest.split_first()?;
        *rest = left;
        let mut float = || {
            let (taken, left) = rest.split_first_chunk::<8>()?;
            *rest = left;
            Some(f64::from_be_bytes(*taken))
        };
        let first = float()?;
        let rest: Vec<f64> = (1..*count).map(|_| float()).collect::<Option<_>>()?;
        let more = (!rest.is_empty() || special != 0.0).then(|| Box::new(More { rest, special }));
        Some(Self { first, more })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> Exact {
        let mut sum = Exact::default();
        values.iter().for_each(|v| sum.add(*v));
        sum
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(values in prop::collection::vec(-1e300f64..1e300, 0..40), shift in 0usize..40) {
            let mut other = values.clone();
            other.reverse();
            if !other.is_empty() { let by = shift % other.len(); other.rotate_left(by); }
            prop_assert_eq!(sum(&values).value(), sum(&other).value());
        }

        #[test]
        fn bytes_come_back(values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite() && v.abs() < 1e300), 0..20)) {
            let one = sum(&values);
            let mut bytes = Vec::new();
            one.write(&mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(Exact::read(&mut rest).unwrap(), one);
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn small_values_are_not_lost() {
        assert_eq!(sum(&[1e16, 1.0, -1e16]).value(), 1.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
    }
}
