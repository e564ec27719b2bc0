//! Hash keys: which shard a partition key belongs to.
//!
//! The rule: the open shards of a stream cover 0..=2^128-1 without gap or overlap; a key goes where its MD5, read as a
//! big-endian number, falls. Splitting and merging ranges is `reshard.rs`.

use md5::{Digest, Md5};

use super::error::{ApiError, invalid};

/// Both ends are inclusive, as the service writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRange {
    pub start: u128,
    pub end: u128,
}

impl HashRange {
    pub fn contains(&self, key: u128) -> bool {
        (self.start..=self.end).contains(&key)
    }
}

/// The hash key of a partition key.
pub fn of_partition_key(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key.as_bytes()).into())
}

/// A hash key as requests write it: decimal, without leading zeros, at most 2^128-1.
pub fn parse(name: &str, text: &str) -> Result<u128, ApiError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(key) if plain => Ok(key),
        _ => Err(invalid(format!("{name} '{text}' is not a hash key: give a decimal number from 0 to 2^128-1"))),
    }
}

/// `count` ranges of equal width; the last takes what division leaves.
pub fn even_ranges(count: u32) -> Vec<HashRange> {
    let count = u128::from(count.max(1));
    let width = u128::MAX / count;
    let range = |i: u128| HashRange {
        start: if i == 0 { 0 } else { i * width + 1 },
        end: if i + 1 == count { u128::MAX } else { (i + 1) * width },
    };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_of_a_key_is_its_md5() {
        // md5("a") = 0cc175b9c0f1b6a831c399e269772661
        assert_eq!(of_partition_key("a"), 0x0cc1_75b9_c0f1_b6a8_31c3_99e2_6977_2661);
    }

    #[test]
    fn refuses_what_is_no_hash_key() {
        for text in ["", "-1", "+1", "01", "x", "340282366920938463463374607431768211456"] {
            assert!(parse("ExplicitHashKey", text).is_err(), "{text:?}");
        }
        let highest = u128::MAX.to_string();
        assert_eq!(parse("ExplicitHashKey", &highest).unwrap(), u128::MAX);
    }

    proptest! {
        #[test]
        fn ranges_cover_all_keys_once(count in 1u32..600) {
            let ranges = even_ranges(count);
            prop_assert_eq!(ranges.len(), count as usize);
            prop_assert_eq!(ranges[0].start, 0);
            prop_assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
            for pair in ranges.windows(2) {
                prop_assert_eq!(pair[0].end + 1, pair[1].start);
            }
        }
    }
}
