//! Reading: one typed column of a batch, cell by cell, without copying.
//!
//! A reader checks its column once when it is opened (kind, length, UTF-8 of the whole buffer); a read is then an index into borrowed
//! memory. Which columns a plugin gets is declared in `rows.rs`.

use crate::bindings::types::{BytesColumn, Column, Kind, Values};

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// A nested value as JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<'a>(pub &'a str);

impl AsRef<[u8]> for Json<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A decimal as Avro writes it: big-endian two's complement, and how many of its digits are behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal<'a> {
    pub unscaled: &'a [u8],
    pub scale: i32,
}

impl Decimal<'_> {
    /// The unscaled number, or `None` when it has more than 128 bits.
    pub fn unscaled_i128(&self) -> Option<i128> {
        let negative = self.unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
        let fill = if negative { 0xff } else { 0 };
        let extra = self.unscaled.len().saturating_sub(16);
        let (head, tail) = self.unscaled.split_at(extra);
        let mut bytes = [fill; 16];
        bytes[16 - tail.len()..].copy_from_slice(tail);
        let value = i128::from_be_bytes(bytes);
        (head.iter().all(|byte| *byte == fill) && (value < 0) == negative).then_some(value)
    }
}

/// A type that a cell of a column can be read as.
pub trait Cell<'a>: Sized {
    const KIND: Kind;
    const OPTIONAL: bool = false;
    type Reader;
    /// `None` when the column is of another kind or has not `count` cells.
    fn open(column: &'a Column, count: usize) -> Option<Self::Reader>;
    fn read(reader: &Self::Reader, index: usize) -> Self;
}

/// Opens a column as `T`; the error names what was found.
pub fn open<'a, T: Cell<'a>>(column: &'a Column, count: usize, path: &str) -> Result<T::Reader, String> {
    if !T::OPTIONAL && column.null.iter().any(|null| *null != 0) {
        return Err(format!("field `{path}` has cells without a value; declare it as `Option`"));
    }
    let wrong =
        || format!("column of field `{path}` is not {count} cells of {:?}: found {}", T::KIND, found(&column.values));
    T::open(column, count).ok_or_else(wrong)
}

fn found(values: &Values) -> String {
    let (kind, count) = shape(values);
    format!("{count} cells of {kind:?}")
}

/// Kind and number of cells of a column.
pub fn shape(values: &Values) -> (Kind, usize) {
    match values {
        Values::Boolean(v) => (Kind::Boolean, v.len()),
        Values::Int32(v) => (Kind::Int32, v.len()),
        Values::Int64(v) => (Kind::Int64, v.len()),
        Values::Float64(v) => (Kind::Float64, v.len()),
        Values::Text(v) => (Kind::Text, cells(v)),
        Values::Binary(v) => (Kind::Binary, cells(v)),
        Values::Decimal(v) => (Kind::Decimal, cells(&v.unscaled)),
        Values::Timestamp(v) => (Kind::Timestamp, v.len()),
        Values::Date(v) => (Kind::Date, v.len()),
        Values::Json(v) => (Kind::Json, cells(v)),
    }
}

/// Number of cells of a column of byte strings.
pub fn cells(column: &BytesColumn) -> usize {
    column.offsets.len().saturating_sub(1)
}

/// Borrowed cells of byte strings.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    data: &'a [u8],
    offsets: &'a [u32],
}

impl<'a> Bytes<'a> {
    pub fn open(column: &'a BytesColumn, count: usize) -> Option<Self> {
        let whole = column.offsets.len() == count + 1 && column.offsets[count] as usize <= column.data.len();
        whole.then_some(Self { data: &column.data, offsets: &column.offsets })
    }

    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }
}

/// Borrowed cells of text; UTF-8 was checked for the whole column at once.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    data: &'a str,
    offsets: &'a [u32],
}

impl<'a> Text<'a> {
    pub fn open(column: &'a BytesColumn, count: usize) -> Option<Self> {
        let bytes = Bytes::open(column, count)?;
        Some(Self { data: str::from_utf8(bytes.data).ok()?, offsets: bytes.offsets })
    }

    #[inline]
    pub fn get(&self, index: usize) -> &'a str {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }
}

macro_rules! number {
    ($type:ty, $raw:ty, $kind:ident, $read:expr) => {
        impl<'a> Cell<'a> for $type {
            const KIND: Kind = Kind::$kind;
            type Reader = &'a [$raw];
            fn open(column: &'a Column, count: usize) -> Option<Self::Reader> {
                match &column.values {
                    Values::$kind(values) if values.len() == count => Some(values),
                    _ => None,
                }
            }
            #[inline]
            fn read(reader: &Self::Reader, index: usize) -> Self {
                let read: fn($raw) -> $type = $read;
                read(reader[index])
            }
        }
    };
}

number!(bool, u8, Boolean, |raw| raw != 0);
number!(i32, i32, Int32, |raw| raw);
number!(i64, i64, Int64, |raw| raw);
number!(f64, f64, Float64, |raw| raw);
number!(Timestamp, i64, Timestamp, Timestamp);
number!(Date, i32, Date, Date);

macro_rules! bytes {
    ($type:ty, $kind:ident, $reader:ident, $read:expr) => {
        impl<'a> Cell<'a> for $type {
            const KIND: Kind = Kind::$kind;
            type Reader = $reader<'a>;
            fn open(column: &'a Column, count: usize) -> Option<Self::Reader> {
                match &column.values {
                    Values::$kind(cells) => $reader::open(cells, count),
                    _ => None,
                }
            }
            #[inline]
            fn read(reader: &Self::Reader, index: usize) -> Self {
                $read(reader.get(index))
            }
        }
    };
}

bytes!(&'a str, Text, Text, std::convert::identity);
bytes!(String, Text, Text, str::to_owned);
bytes!(&'a [u8], Binary, Bytes, std::convert::identity);
bytes!(Vec<u8>, Binary, Bytes, <[u8]>::to_vec);
bytes!(Json<'a>, Json, Text, Json);

impl<'a> Cell<'a> for Decimal<'a> {
    const KIND: Kind = Kind::Decimal;
    type Reader = (Bytes<'a>, i32);
    fn open(column: &'a Column, count: usize) -> Option<Self::Reader> {
        match &column.values {
            Values::Decimal(decimal) => Some((Bytes::open(&decimal.unscaled, count)?, decimal.scale)),
            _ => None,
        }
    }
    #[inline]
    fn read(reader: &Self::Reader, index: usize) -> Self {
        Decimal { unscaled: reader.0.get(index), scale: reader.1 }
    }
}

impl<'a, T: Cell<'a>> Cell<'a> for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    type Reader = (T::Reader, &'a [u8]);
    fn open(column: &'a Column, count: usize) -> Option<Self::Reader> {
        let fits = column.null.is_empty() || column.null.len() == count;
        Some((T::open(column, count)?, column.null.as_slice())).filter(|_| fits)
    }
    #[inline]
    fn read(reader: &Self::Reader, index: usize) -> Self {
        match reader.1.get(index) {
            Some(1..) => None,
            _ => Some(T::read(&reader.0, index)),
        }
    }
}
