//! Frames of `application/vnd.amazon.eventstream`, the body of SubscribeToShard.
//!
//! A frame is: total length (u32), length of the headers (u32), CRC-32 of these 8 bytes, headers, payload, CRC-32 of all
//! before it; numbers are big-endian. A header is: length of the name (u8), name, type 7 (text), length of the value
//! (u16), value. The rule: what `decode` takes is exactly what `encode` makes; a wrong checksum or length is refused.
//! What the frames mean is `api/subscribe.rs`.

use bytes::Bytes;

const PRELUDE: usize = 12;
const TRAILER: usize = 4;
const TEXT: u8 = 7;
/// The limit that Amazon's own clients put on a payload.
pub const MAX_PAYLOAD: usize = 24 * 1024 * 1024;
const MAX_HEADERS: usize = 128 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Text headers only: the service sends no others here.
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the connection drops: a fault was asked for")]
    Dropped,
    #[error("frame is cut off: {have} bytes, it needs {need}")]
    CutOff { have: usize, need: usize },
    #[error("frame lengths disagree: total {total}, headers {headers}")]
    Lengths { total: usize, headers: usize },
    #[error("checksum of the frame's {part} is wrong")]
    Checksum { part: &'static str },
    #[error("header of the frame is malformed at byte {at}")]
    Header { at: usize },
    #[error("{part} of {size} bytes does not fit into a frame")]
    TooLong { part: &'static str, size: usize },
}

/// One frame from borrowed parts, so that the hot path copies a payload once.
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Result<Bytes, FrameError> {
    let headers_size = headers.iter().map(|(n, v)| 4 + n.len() + v.len()).sum();
    for (part, size, most) in [("headers", headers_size, MAX_HEADERS), ("payload", payload.len(), MAX_PAYLOAD)] {
        if size > most {
            return Err(FrameError::TooLong { part, size });
        }
    }
    let total = PRELUDE + headers_size + payload.len() + TRAILER;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&(total as u32).to_be_bytes());
    out.extend_from_slice(&(headers_size as u32).to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    for (name, value) in headers {
        let (Ok(name_size), Ok(value_size)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
            let size = name.len().max(value.len());
            return Err(FrameError::TooLong { part: "header", size });
        };
        out.push(name_size);
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        out.extend_from_slice(&value_size.to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    Ok(Bytes::from(out))
}

/// The first frame in `bytes` and how many bytes it took.
pub fn decode(bytes: &[u8]) -> Result<(Frame, usize), FrameError> {
    need(bytes, PRELUDE)?;
    let total = u32_at(bytes, 0) as usize;
    let headers = u32_at(bytes, 4) as usize;
    if u32_at(bytes, 8) != crc32fast::hash(&bytes[..8]) {
        return Err(FrameError::Checksum { part: "prelude" });
    }
    let fits = PRELUDE + TRAILER + headers <= total
        && headers <= MAX_HEADERS
        && total <= PRELUDE + TRAILER + MAX_HEADERS + MAX_PAYLOAD;
    if !fits {
        return Err(FrameError::Lengths { total, headers });
    }
    need(bytes, total)?;
    let body = total - TRAILER;
    if u32_at(bytes, body) != crc32fast::hash(&bytes[..body]) {
        return Err(FrameError::Checksum { part: "message" });
    }
    let frame = Frame {
        headers: decode_headers(&bytes[..PRELUDE + headers])?,
        payload: bytes[PRELUDE + headers..body].to_vec(),
    };
    Ok((frame, total))
}

fn decode_headers(bytes: &[u8]) -> Result<Vec<(String, String)>, FrameError> {
    let mut headers = Vec::new();
    let mut at = PRELUDE;
    while at < bytes.len() {
        let malformed = || FrameError::Header { at };
        let name_end = at + 1 + usize::from(bytes[at]);
        let fixed = bytes.get(name_end..name_end + 3).ok_or_else(malformed)?;
        if fixed[0] != TEXT {
            return Err(malformed());
        }
        let value_start = name_end + 3;
        let value_end = value_start + usize::from(u16::from_be_bytes([fixed[1], fixed[2]]));
        let text = |range: &[u8]| String::from_utf8(range.to_vec()).map_err(|_| malformed());
        let name = text(&bytes[at + 1..name_end])?;
        let value = text(bytes.get(value_start..value_end).ok_or_else(malformed)?)?;
        headers.push((name, value));
        at = value_end;
    }
    Ok(headers)
}

fn need(bytes: &[u8], need: usize) -> Result<(), FrameError> {
    let have = bytes.len();
    if have < need {
        return Err(FrameError::CutOff { have, need });
    }
    Ok(())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Bytes {
        encode(&[(":message-type", "event"), (":event-type", "X")], b"{}").unwrap()
    }

    #[test]
    fn refuses_every_single_flipped_bit() {
        let good = sample();
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn refuses_every_cut() {
        let good = sample();
        for len in 0..good.len() {
            let cut = decode(&good[..len]);
            assert!(matches!(cut, Err(FrameError::CutOff { .. })), "{len}");
        }
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let long = "x".repeat(300);
        let refused = encode(&[(&long, "v")], b"");
        assert_eq!(refused, Err(FrameError::TooLong { part: "header", size: 300 }));
        assert!(encode(&[], &vec![0; MAX_PAYLOAD + 1]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(
            headers in proptest::collection::vec(("[a-z:-]{1,40}", ".{0,80}"), 0..6),
            payload in proptest::collection::vec(any::<u8>(), 0..2000),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let borrowed: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let mut bytes = encode(&borrowed, &payload).unwrap().to_vec();
            let size = bytes.len();
            bytes.extend_from_slice(&tail);
            let (frame, taken) = decode(&bytes).unwrap();
            prop_assert_eq!(taken, size);
            prop_assert_eq!(frame, Frame { headers, payload });
        }

        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&junk);
        }
    }
}
