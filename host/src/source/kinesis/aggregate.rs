//! Aggregated records of the Kinesis Producer Library: recognised, and refused by name until they are read.
//!
//! The rule: a record is an aggregate only if the magic *and* the digest at its end are right; everything else is the
//! producer's own bytes and is handed on untouched.
//! Left to others: taking aggregates apart.

use md5::{Digest, Md5};

/// The first bytes of an aggregate.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// The MD5 of the message between magic and end.
const DIGEST: usize = 16;

/// Whether these bytes are an aggregate.
pub fn is_aggregate(data: &[u8]) -> bool {
    let Some(rest) = data.strip_prefix(&MAGIC) else { return false };
    if rest.len() <= DIGEST {
        return false;
    }
    let (message, digest) = rest.split_at(rest.len() - DIGEST);
    Md5::digest(message)[..] == *digest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn aggregate(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat()
    }

    #[test]
    fn an_aggregate_has_magic_and_digest() {
        assert!(is_aggregate(&aggregate(b"\x0a\x01a")));
    }

    #[test]
    fn anything_else_is_the_producers_own() {
        let mut damaged = aggregate(b"\x0a\x01a");
        *damaged.last_mut().unwrap() ^= 1;
        for data in [&damaged[..], &aggregate(b""), &MAGIC, b"", b"{}", &aggregate(b"xyz")[1..]] {
            assert!(!is_aggregate(data));
        }
    }
}
