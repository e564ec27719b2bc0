//! Checked reading of Avro's wire types.
//!
//! The rule: nothing is read past the end, no length is believed before it is compared with what is there.
//! Left to others: which type comes next.

/// Why a record's bytes are not what its schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Truncated,
    Trailing,
    BadNumber,
    BadBoolean,
    BadLength,
    BadBranch,
    BadSymbol,
    BadText,
    BadBlock,
    /// nested deeper, longer or larger than the bounds
    TooLarge,
    /// the column of this place has no room
    Full,
    /// a number does not fit into the column of this place
    OutOfRange(u32),
    /// the column of this place must have a value and the record has none
    Missing(u32),
    /// message of this place in the program: the value is of a kind that the reader's schema cannot take
    Mismatch(u32),
}

impl Fault {
    /// The code of the reject.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Trailing => "trailing_bytes",
            Self::BadNumber => "bad_number",
            Self::BadBoolean => "bad_boolean",
            Self::BadLength => "bad_length",
            Self::BadBranch => "bad_branch",
            Self::BadSymbol => "bad_symbol",
            Self::BadText => "bad_utf8",
            Self::BadBlock => "bad_block",
            Self::TooLarge | Self::Full => "too_large",
            Self::OutOfRange(_) => "out_of_range",
            Self::Missing(_) => "missing_field",
            Self::Mismatch(_) => "schema_mismatch",
        }
    }

    /// In words, without the place.
    pub fn words(self) -> &'static str {
        match self {
            Self::Truncated => "the record ends inside of a value",
            Self::Trailing => "bytes are left after the record",
            Self::BadNumber => "a number is longer than its type allows",
            Self::BadBoolean => "a boolean is neither 0 nor 1",
            Self::BadLength => "a length is negative",
            Self::BadBranch => "a union has no branch of that number",
            Self::BadSymbol => "an enum has no symbol of that number",
            Self::BadText => "a text is no UTF-8",
            Self::BadBlock => "a block of items has not the size that it says",
            Self::TooLarge => "the value is nested too deep or has too many parts",
            Self::Full => "the texts of one column of the batch are more than 1 GiB: make batches smaller",
            Self::OutOfRange(_) => "a number does not fit",
            Self::Missing(_) => "a value is missing",
            Self::Mismatch(_) => "the value is none that the reader's schema can take",
        }
    }
}

/// Bytes and a place in them.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// At the first byte.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// This many bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// This many bytes, as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// A zigzag number of at most 64 bits.
    #[inline]
    pub fn long(&mut self) -> Result<i64, Fault> {
        let raw = match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                u64::from(*first)
            }
            [first, second, rest @ ..] if *second < 0x80 => {
                self.rest = rest;
                u64::from(first & 0x7f) | u64::from(*second) << 7
            }
            _ => match self.rest.first_chunk::<8>() {
                Some(chunk) => self.middle_number(u64::from_le_bytes(*chunk))?,
                None => self.long_number()?,
            },
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A number of at most eight bytes from the next eight: finds its end and closes the gaps between its groups of seven bits
    /// without a loop, as most times and counters are that long.
    #[inline]
    fn middle_number(&mut self, chunk: u64) -> Result<u64, Fault> {
        let ends = !chunk & 0x8080_8080_8080_8080;
        if ends == 0 {
            return self.long_number();
        }
        let bits = ends.trailing_zeros() + 1;
        self.rest = &self.rest[bits as usize / 8..];
        let raw = chunk & (u64::MAX >> (64 - bits)) & 0x7f7f_7f7f_7f7f_7f7f;
        let pairs = (raw & 0x007f_007f_007f_007f) | (raw & 0x7f00_7f00_7f00_7f00) >> 1;
        let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
        Ok((fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4)
    }

    #[cold]
    fn long_number(&mut self) -> Result<u64, Fault> {
        let mut raw = 0u64;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            raw |= u64::from(byte & 0x7f) << (7 * place);
            if *byte < 0x80 {
                self.rest = &self.rest[place + 1..];
                return Ok(raw);
            }
        }
        Err(if self.rest.len() < 10 { Fault::Truncated } else { Fault::BadNumber })
    }

    /// A zigzag number of at most 32 bits.
    #[inline]
    pub fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::BadNumber)
    }

    /// One byte, 0 or 1.
    #[inline]
    pub fn boolean(&mut self) -> Result<bool, Fault> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Fault::BadBoolean),
        }
    }

    /// Four bytes.
    #[inline]
    pub fn float(&mut self) -> Result<f32, Fault> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    #[inline]
    pub fn double(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A length and as many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::BadLength)?;
        self.take(length)
    }

    /// The same, checked to be text.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::BadText)
    }

    /// The number of a branch or symbol, below `count`.
    #[inline]
    pub fn index(&mut self, count: usize, fault: Fault) -> Result<usize, Fault> {
        let index = usize::try_from(self.long()?).map_err(|_| fault)?;
        if index < count { Ok(index) } else { Err(fault) }
    }

    /// The head of a block of items: how many, and where it must end if it says so.
    pub fn block(&mut self) -> Result<Block, Fault> {
        let count = self.long()?;
        if count >= 0 {
            return Ok(Block { count: count.unsigned_abs(), left_after: None });
        }
        let size = usize::try_from(self.long()?).map_err(|_| Fault::BadLength)?;
        let left_after = self.left().checked_sub(size).ok_or(Fault::Truncated)?;
        Ok(Block { count: count.unsigned_abs(), left_after: Some(left_after) })
    }
}

/// The head of a block of an array or map. No items: the last one.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// items in it
    pub count: u64,
    /// how many bytes are left in the record when the block ends, if it gave its size
    left_after: Option<usize>,
}

impl Block {
    /// Whether the items took as many bytes as the block said.
    pub fn check(self, input: &Input<'_>) -> Result<(), Fault> {
        match self.left_after {
            Some(left) if left != input.left() => Err(Fault::BadBlock),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive(value: i64, shift in 0..64u32, tail in 0usize..10) {
            let mut bytes = Vec::new();
            pelton_schema::default::long(value >> shift, &mut bytes);
            bytes.extend(vec![0x80; tail]);
            let mut input = Input::new(&bytes);
            prop_assert_eq!((input.long(), input.left()), (Ok(value >> shift), tail));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let input = Input::new(&bytes);
            let _ = ({ input }.long(), { input }.int(), { input }.bytes().map(<[u8]>::len), { input }.block().is_ok());
            let _ = ({ input }.boolean(), { input }.double(), { input }.float(), { input }.text().map(str::len));
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(Input::new(&[0xff; 9]).long(), Err(Fault::Truncated));
        assert_eq!(Input::new(&[0xff; 11]).long(), Err(Fault::BadNumber));
        assert_eq!(Input::new(&[0xfe, 0xff, 0xff, 0xff, 0x0f]).int(), Ok(i32::MAX));
        assert_eq!(Input::new(&[0xfe, 0xff, 0xff, 0xff, 0x1f]).int(), Err(Fault::BadNumber));
        assert_eq!(Input::new(&[1, 2]).bytes(), Err(Fault::BadLength));
        assert_eq!(Input::new(&[0x80, 0x01]).long(), Ok(64));
    }
}
