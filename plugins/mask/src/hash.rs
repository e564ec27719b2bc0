//! HMAC-SHA-256 (RFC 2104), as hexadecimal digits.
//!
//! The two padded keys are hashed once; a value then costs two blocks.

use sha2::{Digest, Sha256};

const BLOCK: usize = 64;

pub struct Keyed {
    inner: Sha256,
    outer: Sha256,
}

impl Keyed {
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let padded = |pad: u8| Sha256::new().chain_update(block.map(|byte| byte ^ pad));
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    pub fn hex(&self, value: &[u8], into: &mut String) {
        let inner = self.inner.clone().chain_update(value).finalize();
        let digest = self.outer.clone().chain_update(inner).finalize();
        for byte in digest {
            for half in [byte >> 4, byte & 15] {
                into.extend(char::from_digit(u32::from(half), 16));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn agrees_with_the_published_values() {
        let mut text = String::new();
        Keyed::new(b"Jefe").hex(b"what do ya want for nothing?", &mut text);
        assert_eq!(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        text.clear();
        Keyed::new(&[0xaa; 131]).hex(b"Test Using Larger Than Block-Size Key - Hash Key First", &mut text);
        assert_eq!(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }
}
