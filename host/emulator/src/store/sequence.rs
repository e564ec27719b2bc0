//! Sequence numbers: one 188-bit number per record, written in decimal (56 digits, like the service's).
//!
//! The rule: in one shard they rise strictly, and every number of a child shard is above every number of its parents.
//!
//! From the highest bit down: marker 2 (4 bits, makes the number as long as the service's), a shard's birth in seconds (36),
//! its index in the stream (20), the record's count in the shard (64), its arrival in milliseconds (48), kind (16: 0 is
//! a record, 1 a continuation). A child's birth is later than its parents' by construction (`reshard`), so comparing
//! whole numbers compares lineages. A continuation carries the count of the last record and the present time: it is
//! above that record, below the next one, and moves on while the shard is idle.
//! Which count comes next is the shard's business (`shard.rs`).

use std::fmt;
use std::str::FromStr;

use super::Millis;

const MARKER: u64 = 2 << 56;
const BIRTH_MASK: u64 = (1 << 36) - 1;
const INDEX_MASK: u64 = (1 << 20) - 1;
const TIME_MASK: u64 = (1 << 48) - 1;
/// Longest text worth looking at: 2^192 has 58 digits.
const LONGEST_TEXT: usize = 58;
const CHUNK: u128 = 1_000_000_000_000_000_000;

/// A shard's index must fit its 20 bits.
pub const MAX_SHARD_INDEX: u32 = INDEX_MASK as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    high: u64,
    low: u128,
}

/// Why a text is no sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASequence;

impl Sequence {
    /// The number of the `count`-th record of a shard.
    pub fn record(birth: u64, index: u32, count: u64, arrival: Millis) -> Self {
        Self::compose(birth, index, count, arrival, 0)
    }

    /// Above the `count`-th record and below the next one.
    pub fn continuation(birth: u64, index: u32, count: u64, now: Millis) -> Self {
        Self::compose(birth, index, count, now, 1)
    }

    fn compose(birth: u64, index: u32, count: u64, time: Millis, kind: u16) -> Self {
        let high = MARKER | ((birth & BIRTH_MASK) << 20) | (u64::from(index) & INDEX_MASK);
        let low = (u128::from(count) << 64) | (u128::from(time & TIME_MASK) << 16) | u128::from(kind);
        Self { high, low }
    }

    /// Whether a number was made for this shard.
    pub fn belongs_to(&self, birth: u64, index: u32) -> bool {
        self.high == Self::compose(birth, index, 0, 0, 0).high
    }

    /// The record's count in its shard.
    pub fn count(&self) -> u64 {
        (self.low >> 64) as u64
    }

    /// The least number above this one.
    pub fn successor(self) -> Self {
        match self.low.checked_add(1) {
            Some(low) => Self { low, ..self },
            None => Self { high: self.high.saturating_add(1), low: 0 },
        }
    }

    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.high.to_be_bytes());
        bytes[8..].copy_from_slice(&self.low.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let mut high = [0; 8];
        let mut low = [0; 16];
        high.copy_from_slice(&bytes[..8]);
        low.copy_from_slice(&bytes[8..]);
        Self { high: u64::from_be_bytes(high), low: u128::from_be_bytes(low) }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = [self.high, (self.low >> 64) as u64, self.low as u64];
        let mut chunks = [0u64; 4];
        for chunk in &mut chunks {
            let mut remainder = 0u128;
            for limb in &mut limbs {
                let value = (remainder << 64) | u128::from(*limb);
                *limb = (value / CHUNK) as u64;
                remainder = value % CHUNK;
            }
            *chunk = remainder as u64;
        }
        let first = chunks.iter().rposition(|&chunk| chunk != 0).unwrap_or(0);
        write!(f, "{}", chunks[first])?;
        for chunk in chunks[..first].iter().rev() {
            write!(f, "{chunk:018}")?;
        }
        Ok(())
    }
}

impl FromStr for Sequence {
    type Err = NotASequence;

    fn from_str(text: &str) -> Result<Self, NotASequence> {
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return Err(NotASequence);
        }
        let mut limbs = [0u64; 3];
        for digit in text.bytes() {
            if !digit.is_ascii_digit() {
                return Err(NotASequence);
            }
            let mut carry = u128::from(digit - b'0');
            for limb in limbs.iter_mut().rev() {
                let value = u128::from(*limb) * 10 + carry;
                *limb = value as u64;
                carry = value >> 64;
            }
            if carry != 0 {
                return Err(NotASequence);
            }
        }
        Ok(Self { high: limbs[0], low: (u128::from(limbs[1]) << 64) | u128::from(limbs[2]) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = 1_795_271_651_000;

    #[test]
    fn looks_like_the_services_numbers() {
        let text = Sequence::record(NOW / 1000, 3, 17, NOW).to_string();
        assert_eq!(text.len(), 56);
        assert!(text.starts_with("496"), "{text}");
    }

    #[test]
    fn a_child_is_above_every_number_of_its_parent() {
        let parent = Sequence::continuation(100, 9, u64::MAX, TIME_MASK);
        assert!(Sequence::record(101, 0, 0, 0) > parent);
    }

    #[test]
    fn a_continuation_lies_between_two_records() {
        let last = Sequence::record(5, 1, 7, NOW);
        let idle = Sequence::continuation(5, 1, 7, NOW);
        let later = Sequence::continuation(5, 1, 7, NOW + 5000);
        let next = Sequence::record(5, 1, 8, NOW);
        assert!(last < idle && idle < later && later < next);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", "-1", "1.0", " 1", "0x1", "٣", &"9".repeat(59), &"9".repeat(58)] {
            assert_eq!(text.parse::<Sequence>(), Err(NotASequence), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(high: u64, low: u128) {
            let number = Sequence { high, low };
            prop_assert_eq!(number.to_string().parse::<Sequence>(), Ok(number));
            prop_assert_eq!(Sequence::from_bytes(number.to_bytes()), number);
        }

        #[test]
        fn decimal_order_is_number_order(a: u128, b: u128) {
            let small = Sequence { high: MARKER, low: a };
            let other = Sequence { high: MARKER, low: b };
            prop_assert_eq!(small.to_string().cmp(&other.to_string()), small.cmp(&other));
        }
    }
}
