//! Records that were compressed: by gzip, known by its magic, or by what the frame of Avro says; inflated into a buffer that is used again.
//!
//! The rule: what comes out is bounded, whatever went in. Left to others: what the bytes mean.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

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
            Self::Damaged => "the compressed data is cut off or damaged".to_owned(),
            Self::TooLarge => format!("the compressed data inflates to more than {limit} bytes"),
        }
    }
}

/// Whether the bytes begin as gzip does. The third byte is the only method there is.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 0x08])
}

/// Inflates `bytes` into `buffer`, which is cleared first and never grows past `limit` by more than one read.
pub fn inflate(bytes: &[u8], limit: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    read(MultiGzDecoder::new(bytes), limit, buffer)
}

/// The same for a zlib stream (RFC 1950).
pub fn inflate_zlib(bytes: &[u8], limit: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    read(ZlibDecoder::new(bytes), limit, buffer)
}

/// The same for bare deflate (RFC 1951).
pub fn inflate_bare(bytes: &[u8], limit: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    read(DeflateDecoder::new(bytes), limit, buffer)
}

fn read(from: impl Read, limit: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    buffer.clear();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_to_end(buffer).map_err(|_| BadGzip::Damaged)?;
    if buffer.len() > limit { Err(BadGzip::TooLarge) } else { Ok(()) }
}

/// The first bytes of what `bytes` inflate to, at most `count`, without inflating the rest.
pub fn peek(bytes: &[u8], count: usize, buffer: &mut Vec<u8>) -> Result<(), BadGzip> {
    buffer.clear();
    let most = u64::try_from(count).unwrap_or(u64::MAX);
    MultiGzDecoder::new(bytes).take(most).read_to_end(buffer).map_err(|_| BadGzip::Damaged)?;
    Ok(())
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
        peek(&bomb, 5, &mut buffer).unwrap();
        assert_eq!(buffer, [0; 5]);
    }
}
