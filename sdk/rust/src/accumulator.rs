//! What an aggregator remembers of a window, as bytes in the host's state.
//!
//! The first byte is the version of the layout, the rest is the accumulator's. A derived accumulator is its fields in order: numbers of
//! fixed width, little endian, so that they cost a copy; text, bytes and lists with their length (4 bytes) in front. An empty cell is a new
//! window.

/// `Default` is the accumulator of no records. Derive it for structs of numbers.
pub trait Accumulator: Default {
    /// Raise it when the layout changes; then `migrate` is asked to read the older one.
    const VERSION: u8 = 1;
    /// The versions that `migrate` reads; a job whose state holds another one is refused when the plugin is deployed.
    const MIGRATES_FROM: &'static [u32] = &[];
    fn encode(&self, into: &mut Vec<u8>);
    fn decode(bytes: &[u8]) -> Result<Self, String>;
    /// Reads what version `from` wrote, version byte included. An error refuses this one.
    fn migrate(from: u32, bytes: &[u8]) -> Result<Self, String> {
        let _ = bytes;
        Err(format!("no migration from version {from} of the accumulator to version {}", Self::VERSION))
    }
}

/// Reads a cell of the host's.
#[inline]
pub fn decode<A: Accumulator>(cell: &[u8]) -> Result<A, String> {
    match cell.split_first() {
        None => Ok(A::default()),
        Some((version, body)) if *version == A::VERSION => A::decode(body),
        Some((version, _)) => {
            Err(format!("accumulator has version {version}, this plugin reads version {}", A::VERSION))
        }
    }
}

/// A field of a derived accumulator or stored value.
pub trait Part: Sized {
    fn put(&self, into: &mut Vec<u8>);
    /// Takes the value off the front.
    fn take(from: &mut &[u8]) -> Result<Self, String>;
}

/// Nothing may be left over; used by derived code.
pub fn ended(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("a stored value has {} bytes too many", rest.len())) }
}

/// Takes `N` bytes off the front.
#[inline]
pub fn take_bytes<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], String> {
    let (head, tail) = from.split_first_chunk::<N>().ok_or("a stored value is too short")?;
    *from = tail;
    Ok(*head)
}

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Part for $type {
            #[inline]
            fn put(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }
            #[inline]
            fn take(from: &mut &[u8]) -> Result<Self, String> {
                take_bytes(from).map(Self::from_le_bytes)
            }
        })*
    };
}

numbers!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

impl Part for bool {
    fn put(&self, into: &mut Vec<u8>) {
        into.push(u8::from(*self));
    }
    fn take(from: &mut &[u8]) -> Result<Self, String> {
        u8::take(from).map(|byte| byte != 0)
    }
}

/// How many bytes, or items, follow.
fn put_length(length: usize, into: &mut Vec<u8>) {
    u32::try_from(length).unwrap_or(u32::MAX).put(into);
}

impl Part for String {
    fn put(&self, into: &mut Vec<u8>) {
        put_length(self.len(), into);
        into.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut &[u8]) -> Result<Self, String> {
        let length = u32::take(from)? as usize;
        let (text, rest) = from.split_at_checked(length).ok_or("a stored value is too short")?;
        *from = rest;
        str::from_utf8(text).map(str::to_owned).map_err(|error| format!("a stored text is no UTF-8: {error}"))
    }
}

impl<T: Part> Part for Vec<T> {
    fn put(&self, into: &mut Vec<u8>) {
        put_length(self.len(), into);
        self.iter().for_each(|item| item.put(into));
    }
    fn take(from: &mut &[u8]) -> Result<Self, String> {
        // Grown as items come, so that a damaged length takes no memory.
        let length = u32::take(from)?;
        (0..length).map(|_| T::take(from)).collect()
    }
}

impl<T: Part + Default> Part for Option<T> {
    fn put(&self, into: &mut Vec<u8>) {
        self.is_some().put(into);
        match self {
            Some(value) => value.put(into),
            None => T::default().put(into),
        }
    }
    fn take(from: &mut &[u8]) -> Result<Self, String> {
        let present = bool::take(from)?;
        let value = T::take(from)?;
        Ok(present.then_some(value))
    }
}

impl<T: Part + Copy + Default, const N: usize> Part for [T; N] {
    fn put(&self, into: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(into));
    }
    fn take(from: &mut &[u8]) -> Result<Self, String> {
        let mut out = [T::default(); N];
        for value in &mut out {
            *value = T::take(from)?;
        }
        Ok(out)
    }
}
