//! Building: one output column, cell by cell.
//!
//! A builder is one growing buffer a column; nothing is allocated for a record. Short byte strings are copied in words, because a
//! call to `memory.copy` costs more than such a copy.

use crate::bindings::types::{BytesColumn, Column, DecimalColumn, Kind, Values};
use crate::cell::{Date, Decimal, Json, Timestamp};

/// A type that a cell of an output column can be made from.
pub trait Value: Sized {
    const KIND: Kind;
    const OPTIONAL: bool = false;
    type Builder: Builder;
    fn push(self, builder: &mut Self::Builder);
}

/// A column being built.
pub trait Builder: Default {
    fn reserve(&mut self, cells: usize);
    /// A cell that a null mask hides.
    fn push_hidden(&mut self);
    fn finish(self) -> Column;
}

/// Byte strings, one after another.
#[derive(Debug, Default)]
pub struct BytesBuilder {
    /// Longer than `used`, so that a short cell is stored as whole words.
    data: Vec<u8>,
    used: usize,
    /// End of each cell; the 0 in front is added at the end.
    offsets: Vec<u32>,
}

impl BytesBuilder {
    #[inline]
    pub fn push(&mut self, cell: &[u8]) {
        const SHORT: usize = 16;
        if self.data.len() < self.used + cell.len().max(SHORT) {
            self.grow(cell.len());
        }
        let target = &mut self.data[self.used..];
        match target.first_chunk_mut::<SHORT>() {
            Some(target) if cell.len() <= SHORT => short(cell, target),
            _ => target[..cell.len()].copy_from_slice(cell),
        }
        self.used += cell.len();
        self.offsets.push(self.used as u32);
    }

    #[cold]
    fn grow(&mut self, cell: usize) {
        let wanted = (self.used + cell + 64).max(self.data.len() * 2);
        assert!(wanted <= u32::MAX as usize, "an output column is larger than 4 GiB");
        self.data.resize(wanted, 0);
    }

    pub fn reserve(&mut self, cells: usize) {
        self.offsets.reserve(cells + 1);
        if self.data.is_empty() {
            self.data.resize(cells * 8 + 64, 0);
        }
    }

    pub fn finish(mut self) -> BytesColumn {
        self.data.truncate(self.used);
        self.offsets.insert(0, 0);
        BytesColumn { data: self.data, offsets: self.offsets }
    }
}

/// Copies at most 16 bytes by two loads and stores that overlap.
#[inline]
fn short(cell: &[u8], target: &mut [u8; 16]) {
    let n = cell.len();
    if let (Some(head), Some(tail)) = (cell.first_chunk::<8>(), cell.last_chunk::<8>()) {
        target[..8].copy_from_slice(head);
        target[n - 8..n].copy_from_slice(tail);
    } else if let (Some(head), Some(tail)) = (cell.first_chunk::<4>(), cell.last_chunk::<4>()) {
        target[..4].copy_from_slice(head);
        target[n - 4..n].copy_from_slice(tail);
    } else if n > 0 {
        target[0] = cell[0];
        target[n / 2] = cell[n / 2];
        target[n - 1] = cell[n - 1];
    }
}

macro_rules! numbers {
    ($name:ident, $type:ty, $raw:ty, $kind:ident, $write:expr) => {
        #[derive(Debug, Default)]
        pub struct $name(Vec<$raw>);
        impl Builder for $name {
            fn reserve(&mut self, cells: usize) {
                self.0.reserve(cells);
            }
            fn push_hidden(&mut self) {
                Vec::push(&mut self.0, <$raw>::default());
            }
            fn finish(self) -> Column {
                Column { values: Values::$kind(self.0), null: Vec::new() }
            }
        }
        impl Value for $type {
            const KIND: Kind = Kind::$kind;
            type Builder = $name;
            #[inline]
            fn push(self, builder: &mut $name) {
                let write: fn($type) -> $raw = $write;
                Vec::push(&mut builder.0, write(self));
            }
        }
    };
}

numbers!(BooleanBuilder, bool, u8, Boolean, u8::from);
numbers!(Int32Builder, i32, i32, Int32, |value| value);
numbers!(Int64Builder, i64, i64, Int64, |value| value);
numbers!(Float64Builder, f64, f64, Float64, |value| value);
numbers!(TimestampBuilder, Timestamp, i64, Timestamp, |value| value.0);
numbers!(DateBuilder, Date, i32, Date, |value| value.0);

macro_rules! strings {
    ($name:ident, $kind:ident) => {
        #[derive(Debug, Default)]
        pub struct $name(BytesBuilder);
        impl Builder for $name {
            fn reserve(&mut self, cells: usize) {
                self.0.reserve(cells);
            }
            fn push_hidden(&mut self) {
                self.0.push(b"");
            }
            fn finish(self) -> Column {
                Column { values: Values::$kind(self.0.finish()), null: Vec::new() }
            }
        }
    };
}

macro_rules! string {
    ($type:ty, $builder:ident, $kind:ident) => {
        impl Value for $type {
            const KIND: Kind = Kind::$kind;
            type Builder = $builder;
            #[inline]
            fn push(self, builder: &mut $builder) {
                builder.0.push(AsRef::<[u8]>::as_ref(&self));
            }
        }
    };
}

strings!(TextBuilder, Text);
strings!(BinaryBuilder, Binary);
strings!(JsonBuilder, Json);
string!(&str, TextBuilder, Text);
string!(String, TextBuilder, Text);
string!(&[u8], BinaryBuilder, Binary);
string!(Vec<u8>, BinaryBuilder, Binary);
string!(Json<'_>, JsonBuilder, Json);

/// Decimals. A column has one scale: the largest that was pushed, to which the others are brought.
#[derive(Debug, Default)]
pub struct DecimalBuilder {
    cells: BytesBuilder,
    scales: Vec<i32>,
}

impl Builder for DecimalBuilder {
    fn reserve(&mut self, cells: usize) {
        self.cells.reserve(cells);
        self.scales.reserve(cells);
    }
    fn push_hidden(&mut self) {
        self.cells.push(b"");
        self.scales.push(i32::MIN);
    }
    fn finish(self) -> Column {
        let unscaled = self.cells.finish();
        let scale = self.scales.iter().copied().max().filter(|scale| *scale != i32::MIN).unwrap_or(0);
        let unscaled = if self.scales.iter().all(|own| *own == scale || *own == i32::MIN) {
            unscaled
        } else {
            rescaled(&unscaled, &self.scales, scale)
        };
        Column { values: Values::Decimal(DecimalColumn { unscaled, scale }), null: Vec::new() }
    }
}

fn rescaled(cells: &BytesColumn, scales: &[i32], scale: i32) -> BytesColumn {
    let mut column = BytesBuilder::default();
    for (ends, own) in cells.offsets.windows(2).zip(scales) {
        let unscaled = &cells.data[ends[0] as usize..ends[1] as usize];
        if *own == i32::MIN {
            column.push(b"");
            continue;
        }
        let more = u32::try_from(i64::from(scale) - i64::from(*own)).unwrap_or(u32::MAX);
        let number = Decimal { unscaled, scale: *own }.unscaled_i128();
        let number = number.and_then(|number| number.checked_mul(10i128.checked_pow(more)?));
        column.push(&number.expect("a decimal has at most 38 digits at the scale of its column").to_be_bytes());
    }
    column.finish()
}

impl Value for Decimal<'_> {
    const KIND: Kind = Kind::Decimal;
    type Builder = DecimalBuilder;
    fn push(self, builder: &mut DecimalBuilder) {
        builder.cells.push(self.unscaled);
        Vec::push(&mut builder.scales, self.scale);
    }
}

/// A column whose cells may have no value.
#[derive(Debug, Default)]
pub struct Nullable<B> {
    values: B,
    null: Vec<u8>,
    any: bool,
}

impl<B: Builder> Builder for Nullable<B> {
    fn reserve(&mut self, cells: usize) {
        self.values.reserve(cells);
        self.null.reserve(cells);
    }
    fn push_hidden(&mut self) {
        self.values.push_hidden();
        Vec::push(&mut self.null, 1);
        self.any = true;
    }
    fn finish(self) -> Column {
        let column = self.values.finish();
        Column { null: if self.any { self.null } else { Vec::new() }, ..column }
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;
    const OPTIONAL: bool = true;
    type Builder = Nullable<T::Builder>;
    #[inline]
    fn push(self, builder: &mut Self::Builder) {
        match self {
            Some(value) => {
                value.push(&mut builder.values);
                Vec::push(&mut builder.null, 0);
            }
            None => builder.push_hidden(),
        }
    }
}

/// The chosen rows of a column, in the order given.
pub fn take(column: &Column, rows: &[u32]) -> Column {
    let pick = |row: &u32| *row as usize;
    let strings = |from: &BytesColumn| {
        let mut builder = BytesBuilder::default();
        builder.reserve(rows.len());
        for row in rows.iter().map(pick) {
            builder.push(&from.data[from.offsets[row] as usize..from.offsets[row + 1] as usize]);
        }
        builder.finish()
    };
    let values = match &column.values {
        Values::Boolean(v) => Values::Boolean(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Int32(v) => Values::Int32(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Int64(v) => Values::Int64(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Float64(v) => Values::Float64(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Timestamp(v) => Values::Timestamp(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Date(v) => Values::Date(rows.iter().map(|row| v[pick(row)]).collect()),
        Values::Text(v) => Values::Text(strings(v)),
        Values::Binary(v) => Values::Binary(strings(v)),
        Values::Json(v) => Values::Json(strings(v)),
        Values::Decimal(v) => Values::Decimal(DecimalColumn { unscaled: strings(&v.unscaled), scale: v.scale }),
    };
    let null =
        if column.null.is_empty() { Vec::new() } else { rows.iter().map(|row| column.null[pick(row)]).collect() };
    Column { values, null }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_a_column_get_one_scale() {
        let mut builder = Nullable::<DecimalBuilder>::default();
        for (number, scale) in [(-15i128, 1), (7, 0), (123_456, 4)] {
            Some(Decimal { unscaled: &number.to_be_bytes(), scale }).push(&mut builder);
        }
        None::<Decimal>.push(&mut builder);
        let column = builder.finish();
        let Values::Decimal(DecimalColumn { unscaled, scale }) = column.values else { panic!("not a decimal") };
        let cell = |ends: &[u32]| &unscaled.data[ends[0] as usize..ends[1] as usize];
        let numbers: Vec<_> =
            unscaled.offsets.windows(2).map(cell).map(|unscaled| Decimal { unscaled, scale }.unscaled_i128()).collect();
        assert_eq!((scale, numbers), (4, vec![Some(-15_000), Some(70_000), Some(123_456), Some(0)]));
        assert_eq!(column.null, [0, 0, 0, 1]);
    }

    #[test]
    fn strings_of_every_length_are_kept() {
        let cells: Vec<String> = (0..100).map(|n| ('a'..='z').cycle().take(n).collect()).collect();
        let mut builder = BytesBuilder::default();
        cells.iter().for_each(|cell| builder.push(cell.as_bytes()));
        let column = builder.finish();
        assert_eq!(column.data, cells.concat().into_bytes());
        assert_eq!(column.offsets.len(), 101);
        assert_eq!(column.offsets[100] as usize, column.data.len());
    }
}
