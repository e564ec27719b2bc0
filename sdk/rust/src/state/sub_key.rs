//! Sub-keys of a table as bytes.
//!
//! The rule: bytes sort as values do, so that a scan goes in their order: text as UTF-8, numbers big endian with the sign turned round.

/// What a table's entries are found by below a key.
pub trait SubKey: Sized {
    /// What is given to find an entry: `str` for `String`.
    type Borrowed: ?Sized;
    fn write(borrowed: &Self::Borrowed, into: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Result<Self, String>;
}

/// The bytes of a sub-key.
pub fn bytes<S: SubKey>(borrowed: &S::Borrowed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    S::write(borrowed, &mut bytes);
    bytes
}

impl SubKey for String {
    type Borrowed = str;
    fn write(borrowed: &str, into: &mut Vec<u8>) {
        into.extend_from_slice(borrowed.as_bytes());
    }
    fn read(bytes: &[u8]) -> Result<Self, String> {
        str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("a sub-key is no UTF-8: {error}"))
    }
}

impl SubKey for Vec<u8> {
    type Borrowed = [u8];
    fn write(borrowed: &[u8], into: &mut Vec<u8>) {
        into.extend_from_slice(borrowed);
    }
    fn read(bytes: &[u8]) -> Result<Self, String> {
        Ok(bytes.to_vec())
    }
}

macro_rules! numbers {
    ($($type:ty => $sign:expr),*) => {
        $(impl SubKey for $type {
            type Borrowed = $type;
            fn write(borrowed: &$type, into: &mut Vec<u8>) {
                into.extend_from_slice(&(*borrowed ^ $sign).to_be_bytes());
            }
            fn read(bytes: &[u8]) -> Result<Self, String> {
                let length = bytes.len();
                let bytes = bytes.try_into().map_err(|_| {
                    format!("a sub-key has {length} bytes, expected the {} of {}", size_of::<$type>(), stringify!($type))
                })?;
                Ok(<$type>::from_be_bytes(bytes) ^ $sign)
            }
        })*
    };
}

numbers!(u32 => 0, u64 => 0, i32 => i32::MIN, i64 => i64::MIN);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn numbers_sort_as_they_are() {
        let numbers = [i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX];
        let cells: Vec<Vec<u8>> = numbers.iter().map(bytes::<i64>).collect();
        assert!(cells.is_sorted());
        let read: Vec<i64> = cells.iter().map(|cell| i64::read(cell).unwrap()).collect();
        assert_eq!(read, numbers);
        assert!(i64::read(b"abc").unwrap_err().contains("3 bytes"));
    }
}
