//! Values as bytes in the host's state.
//!
//! The rule: the version of a value stands in its table's manifest, and the host keeps it beside each value, so it is not among the bytes
//! (an [`Accumulator`], whose first byte it is, is stored with it all the same). Text and bytes are stored as they are, numbers little endian, a
//! derived struct field by field.

use crate::accumulator::{Accumulator, Part, ended};

/// A value that the host keeps. Derive it for structs, or write it by hand for another layout.
pub trait Stored: Sized {
    /// Raise it when the bytes change their meaning.
    const VERSION: u32 = 1;
    /// The versions that `migrate` reads; a job whose state holds another one is refused.
    const MIGRATES_FROM: &'static [u32] = &[];
    fn encode(&self, into: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> Result<Self, String>;
    /// Reads what version `from` wrote; a value that has no successor is deleted. An error refuses this one.
    fn migrate(from: u32, bytes: &[u8]) -> Result<Option<Self>, String> {
        let _ = bytes;
        Err(format!("no migration from version {from} to version {}", Self::VERSION))
    }
}

/// The bytes of a value.
pub fn bytes<V: Stored>(value: &V) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    value.encode(&mut bytes);
    bytes
}

impl<A: Accumulator> Stored for A {
    const VERSION: u32 = A::VERSION as u32;
    const MIGRATES_FROM: &'static [u32] = A::MIGRATES_FROM;
    fn encode(&self, into: &mut Vec<u8>) {
        into.push(A::VERSION);
        Accumulator::encode(self, into);
    }
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        crate::accumulator::decode(bytes)
    }
    fn migrate(from: u32, bytes: &[u8]) -> Result<Option<Self>, String> {
        <A as Accumulator>::migrate(from, bytes).map(Some)
    }
}

impl Stored for String {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("a stored text is no UTF-8: {error}"))
    }
}

impl Stored for Vec<u8> {
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        Ok(bytes.to_vec())
    }
}

/// Nothing: a table of sub-keys alone, a request without a cookie.
impl Stored for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        ended(bytes)
    }
}

macro_rules! parts {
    ($($type:ty),*) => {
        $(impl Stored for $type {
            fn encode(&self, into: &mut Vec<u8>) {
                self.put(into);
            }
            fn decode(mut bytes: &[u8]) -> Result<Self, String> {
                let value = <$type>::take(&mut bytes)?;
                ended(bytes).map(|()| value)
            }
        })*
    };
}

parts!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, bool);
