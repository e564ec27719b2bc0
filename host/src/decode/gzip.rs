//! Records that were compressed by gzip: known by their magic, inflated into a buffer that is used again.
//!
//! The rule: what comes out is bounded, whatever went in. Left to others: what the bytes mean.

use std::io::Read;

use flate2::read::MultiGzDecoder;

/// The most bytes that one record may inflate to, unless told otherwise.
pub const DEFAULT_LIMIT: usize = 10 * 1024 * 1024;

/// Why a record could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGzip {
    /// it ends too early, or its checksum is wrong
    Damaged,
    /// it inflates to more than the limit
    TooLarge,
}

impl BadGzip {
    /// The code of the reject.
    pub fn code(self) -> &'static str {
        match self {
            Self::Damaged => "bad_gzip",
            Self::TooLarge => "too_large",
        }
    }

    /// In words.
    pub fn message(self, limit: usize) -> String {
        match self {
            Self::Damaged => "the gzip data is cut off or damaged".to_owned(),
            Self::TooLarge => format!("the gzip data inflates to more than {limit} bytes"),
        }
    }
}

/// Whether the bytes begin as gzip does. The third byte is the only method there is.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 0x08])
}

/// Inflates `bytes` into `buffer`, which is cleared first and never grows past `limit` by more than one read.
pub fn inflate(bytes: &[u8], limit: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    buffer.clear();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes).take(most).read_to_end(buffer).map_err(|_| BadGzip::Damaged)?;
    if buffer.len() > limit { Err(BadGzip::TooLarge) } else { Ok(()) }
}

/// The first bytes of what `bytes` inflate to, without inflating the rest.
pub fn peek<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BadGzip> {
    let mut head = [0; N];
    MultiGzDecoder::new(bytes).read_exact(&mut head).map_err(|_| BadGzip::Damaged)?;
    Ok(head)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn bytes_survive(bytes: Vec<u8>) {
            let mut buffer = Vec::new();
            inflate(&deflate(&bytes), 1 << 20, &mut buffer).unwrap();
            prop_assert_eq!(buffer, bytes);
        }

        #[test]
        fn damage_never_panics(mut bytes: Vec<u8>) {
            bytes.splice(0..0, [0x1f, 0x8b, 0x08]);
            let _ = inflate(&bytes, 1 << 10, &mut Vec::new());
        }
    }

    #[test]
    fn a_bomb_and_a_cut_are_refused() {
        let bomb = deflate(&vec![0; 100_000]);
        let mut buffer = Vec::new();
        assert_eq!(inflate(&bomb, 99_999, &mut buffer), Err(BadGzip::TooLarge));
        assert_eq!(inflate(&bomb, 100_000, &mut buffer), Ok(()));
        assert_eq!(inflate(&bomb[..bomb.len() - 1], 100_000, &mut buffer), Err(BadGzip::Damaged));
        assert_eq!(peek::<5>(&bomb), Ok([0; 5]));
    }
}
