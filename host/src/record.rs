//! The words every stage shares: a record's identity, cells of bytes, and the batch that moves between steps.
//!
//! The rule: **a batch holds records of one shard, in the order of the log**, and identity is never copied per step. What a
//! step keeps is a list of rows into the origin it came from.
//! Left to others: how bytes become fields (`decode`), and what is late (`window`).

use std::{fmt, str::FromStr, sync::Arc};

use arrow::array::RecordBatch;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::random;

/// The name of a shard, cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub Arc<str>);

impl ShardId {
    /// A shard of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(Arc::from(name.as_ref()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sequence number of Kinesis: an unsigned number below 2^192, ordered by value. Its text is decimal, about 56 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence([u64; 3]);

impl Sequence {
    /// The smallest number.
    pub const ZERO: Self = Self([0; 3]);

    /// From an ordinary number (memory and file sources count records).
    pub fn from_u64(value: u64) -> Self {
        Self([0, 0, value])
    }

    /// 24 bytes, most significant first, so that bytes order as numbers do.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// The reverse of [`Sequence::to_bytes`].
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let mut limbs = [0; 3];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = u64::from_be_bytes(chunk.try_into().expect("a chunk of eight bytes"));
        }
        Self(limbs)
    }
}

/// A text that is no sequence number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no sequence number: expected decimal digits below 2^192")]
pub struct BadSequence(pub String);

impl FromStr for Sequence {
    type Err = BadSequence;

    fn from_str(text: &str) -> Result<Self, BadSequence> {
        let bad = || BadSequence(text.chars().take(80).collect());
        if text.is_empty() {
            return Err(bad());
        }
        let mut limbs = [0u64; 3];
        // Nineteen digits at a time: the most that surely fit into a limb.
        for digits in text.as_bytes().chunks(19) {
            let (mut value, mut factor) = (0u64, 1u64);
            for digit in digits {
                if !digit.is_ascii_digit() {
                    return Err(bad());
                }
                value = value * 10 + u64::from(digit - b'0');
                factor *= 10;
            }
            let mut carry = u128::from(value);
            for limb in limbs.iter_mut().rev() {
                let product = u128::from(*limb) * u128::from(factor) + carry;
                *limb = product as u64;
                carry = product >> 64;
            }
            if carry != 0 {
                return Err(bad());
            }
        }
        Ok(Self(limbs))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u128 = 10_000_000_000_000_000_000;
        let mut limbs = self.0;
        let mut chunks = Vec::with_capacity(4);
        while limbs != [0; 3] {
            let mut rest = 0u128;
            for limb in &mut limbs {
                let value = (rest << 64) | u128::from(*limb);
                *limb = (value / CHUNK) as u64;
                rest = value % CHUNK;
            }
            chunks.push(rest as u64);
        }
        let mut text = chunks.pop().unwrap_or(0).to_string();
        for chunk in chunks.iter().rev() {
            text.push_str(&format!("{chunk:019}"));
        }
        f.pad_integral(true, "", &text)
    }
}

/// A column of byte strings: cell `i` is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    data: Bytes,
    offsets: Vec<u32>,
}

impl Default for Cells {
    fn default() -> Self {
        Self { data: Bytes::new(), offsets: vec![0] }
    }
}

/// Why bytes and offsets do not make a column.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCells {
    /// There must be one offset more than cells.
    #[error("a column of bytes has no offsets: expected one more than cells")]
    NoOffsets,
    /// Offsets start at 0, never fall, and end at the end of the data.
    #[error("offset {offset} at place {place} is out of order or past the {length} bytes of the column")]
    Offset { place: usize, offset: u32, length: usize },
}

impl Cells {
    /// Checks the offsets: first 0, never falling, last at the end of `data`.
    pub fn new(data: Bytes, offsets: Vec<u32>) -> Result<Self, BadCells> {
        Self::check(data.len(), &offsets)?;
        Ok(Self { data, offsets })
    }

    /// Whether offsets fit a column of `length` bytes.
    pub fn check(length: usize, offsets: &[u32]) -> Result<(), BadCells> {
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else {
            return Err(BadCells::NoOffsets);
        };
        if *first != 0 {
            return Err(BadCells::Offset { place: 0, offset: *first, length });
        }
        if *last as usize != length {
            return Err(BadCells::Offset { place: offsets.len() - 1, offset: *last, length });
        }
        // Without an early end, so that it is done several at a time.
        if !offsets.windows(2).fold(false, |falls, pair| falls | (pair[0] > pair[1])) {
            return Ok(());
        }
        let place = offsets.windows(2).position(|pair| pair[0] > pair[1]).map_or(0, |place| place + 1);
        Err(BadCells::Offset { place, offset: offsets[place], length })
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cell `row`. Panics past the end, as a slice does.
    #[inline]
    pub fn cell(&self, row: usize) -> &[u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Cell `row` sharing the column's memory.
    pub fn shared(&self, row: usize) -> Bytes {
        self.data.slice(self.offsets[row] as usize..self.offsets[row + 1] as usize)
    }

    /// Every cell in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.cell(row))
    }

    /// All bytes, one cell after the other.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// One more than cells; the first is 0.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }
}

/// Collects cells. Fails by panicking past 4 GiB, which the bounds on batches exclude.
#[derive(Debug)]
pub struct CellsBuilder {
    data: Vec<u8>,
    offsets: Vec<u32>,
}

impl Default for CellsBuilder {
    fn default() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }
}

impl CellsBuilder {
    /// With room for so many cells and bytes.
    pub fn with_capacity(cells: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(cells + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(bytes), offsets }
    }

    /// Adds a cell.
    #[inline]
    pub fn push(&mut self, cell: &[u8]) {
        self.data.extend_from_slice(cell);
        self.offsets.push(u32::try_from(self.data.len()).expect("a batch is bounded far below 4 GiB"));
    }

    /// Adds a cell made of two parts.
    #[inline]
    pub fn push_parts(&mut self, head: &[u8], tail: &[u8]) {
        self.data.extend_from_slice(head);
        self.push(tail);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The column.
    pub fn finish(self) -> Cells {
        Cells { data: Bytes::from(self.data), offsets: self.offsets }
    }
}

impl<'a> FromIterator<&'a [u8]> for Cells {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(cells: I) -> Self {
        let cells = cells.into_iter();
        let mut builder = CellsBuilder::with_capacity(cells.size_hint().0, 0);
        cells.for_each(|cell| builder.push(cell));
        builder.finish()
    }
}

/// Who records are: the columns that the source gave them. All columns have the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Records {
    /// the stream they come from; of a source that is none, the source's name
    pub stream: Arc<str>,
    /// all records of a batch come from one shard
    pub shard: ShardId,
    /// rising with `sub_sequence` as the second part
    pub sequence: Vec<Sequence>,
    /// index of the user record inside an aggregate, else 0
    pub sub_sequence: Vec<u32>,
    /// UTF-8
    pub partition_key: Cells,
    /// microseconds since 1970 by the service's clock
    pub arrival_us: Vec<i64>,
}

/// What a source hands out: identity and bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBatch {
    /// who the records are
    pub records: Arc<Records>,
    /// one cell a record, as the stream held it
    pub data: Cells,
}

impl RawBatch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Its first records.
    pub fn first(&self, count: usize) -> Self {
        let cells = |of: &Cells| of.iter().take(count).collect();
        let records = &self.records;
        Self {
            records: Arc::new(Records {
                stream: records.stream.clone(),
                shard: records.shard.clone(),
                sequence: records.sequence.iter().take(count).copied().collect(),
                sub_sequence: records.sub_sequence.iter().take(count).copied().collect(),
                partition_key: cells(&records.partition_key),
                arrival_us: records.arrival_us.iter().take(count).copied().collect(),
            }),
            data: cells(&self.data),
        }
    }
}

/// The windows that results come from. All columns have the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Firings {
    /// the step that owns the windows
    pub step: Arc<str>,
    /// encoded keys
    pub key: Cells,
    /// microseconds since 1970, included
    pub start_us: Vec<i64>,
    /// microseconds since 1970, excluded
    pub end_us: Vec<i64>,
    /// 0 is the first firing of a window
    pub number: Vec<u32>,
}

/// Timers that fired together. All columns have the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// the step that owns the timers
    pub step: Arc<str>,
    /// encoded keys
    pub key: Cells,
    /// what the plugin calls each of them
    pub tag: Cells,
    /// in event time, else in processing time
    pub in_event_time: Vec<bool>,
    /// milliseconds since 1970
    pub at_ms: Vec<i64>,
    /// tells apart timers of one key, tag and time: 0, but for those that were set when their time had passed
    pub number: Vec<u32>,
}

/// Where the rows of a batch come from, for identity and for ids.
#[derive(Clone, Debug)]
pub enum Origin {
    /// records of a shard
    Records(Arc<Records>),
    /// firings of windows
    Firings(Arc<Firings>),
    /// timers of a step
    Timers(Arc<Timers>),
}

/// What moves between steps: columns of fields, and for each row its origin and time. All columns have the same length.
#[derive(Clone, Debug)]
pub struct Batch {
    /// where the rows come from
    pub origin: Origin,
    /// row of the origin that each row comes from
    pub rows: Vec<u32>,
    /// tells apart the rows that come from one origin row: 0 at first, then as [`Branch`] says
    pub nth: Vec<u64>,
    /// event time in microseconds since 1970
    pub event_us: Vec<i64>,
    /// the watermark of the row's own shard (or step) just before the row: a row is late against this and nothing else
    pub watermark_us: Vec<i64>,
    /// the decoded fields somebody downstream reads
    pub fields: RecordBatch,
}

impl Batch {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What a plugin is told to draw from over this batch: drawn for its first row.
    pub fn seed(&self) -> u64 {
        let (Some(row), Some(nth)) = (self.rows.first(), self.nth.first()) else { return random::bits() };
        let row = *row as usize;
        match &self.origin {
            Origin::Records(of) => {
                random::bits_for((&of.stream, &of.shard, of.sequence[row], of.sub_sequence[row], nth))
            }
            Origin::Firings(of) => {
                random::bits_for((&of.step, of.key.cell(row), of.start_us[row], of.number[row], nth))
            }
            Origin::Timers(of) => {
                random::bits_for((&of.step, of.key.cell(row), of.tag.cell(row), of.at_ms[row], of.number[row], nth))
            }
        }
    }

    /// Some of its rows, in this order. An error where there is no such row.
    pub fn take(&self, rows: &[u32]) -> Result<Self, arrow::error::ArrowError> {
        let places = arrow::array::UInt32Array::from(rows.to_vec());
        let fields = arrow::compute::take_record_batch(&self.fields, &places)?;
        let at = |row: &u32| *row as usize;
        Ok(Self {
            origin: self.origin.clone(),
            rows: rows.iter().map(|row| self.rows[at(row)]).collect(),
            nth: rows.iter().map(|row| self.nth[at(row)]).collect(),
            event_us: rows.iter().map(|row| self.event_us[at(row)]).collect(),
            watermark_us: rows.iter().map(|row| self.watermark_us[at(row)]).collect(),
            fields,
        })
    }
}

/// A row that a step could not process, or a sink cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowReject {
    /// the row of the batch
    pub row: u32,
    /// stable, short, snake_case
    pub code: String,
    /// in words
    pub message: String,
}

/// A place where rows of one origin part: an output of a step that makes several rows of one, or one of several outputs that a
/// node reads. What it makes of `nth` goes into ids, so **it never changes**: the rule is written in `sink/id.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch(u64);

impl Branch {
    /// An output of the node of this name.
    pub fn new(node: &str, output: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update((node.len() as u64).to_be_bytes());
        hash.update(node.as_bytes());
        hash.update((output as u64).to_be_bytes());
        let mut start = [0; 8];
        start.copy_from_slice(&hash.finalize()[..8]);
        Self(u64::from_be_bytes(start))
    }

    /// The new `nth` of the row that is number `count` (from 0) of those made here of one row, whose `nth` is `before`.
    pub fn nth(self, before: u64, count: u64) -> u64 {
        spread(spread(spread(before) ^ self.0).wrapping_add(count))
    }
}

/// One to one over 64 bits; neighbours come to lie far apart (the finaliser of SplitMix64).
fn spread(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Before every event time: as a watermark it says that there is none yet.
pub const MIN_US: i64 = i64::MIN;

/// A watermark in whole milliseconds, as plugins and timers know it; none before the first.
pub fn watermark_ms(us: i64) -> Option<i64> {
    (us != MIN_US).then(|| us.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sequence_survives_text_and_bytes(a: u64, b: u64, c: u64) {
            let sequence = Sequence([a, b, c]);
            prop_assert_eq!(sequence.to_string().parse::<Sequence>().unwrap(), sequence);
            prop_assert_eq!(Sequence::from_bytes(sequence.to_bytes()), sequence);
        }

        #[test]
        fn sequences_order_as_their_bytes_do(a: [u64; 3], b: [u64; 3]) {
            let (a, b) = (Sequence(a), Sequence(b));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }

        #[test]
        fn cells_never_panic_on_hostile_offsets(data: Vec<u8>, offsets: Vec<u32>) {
            if let Ok(cells) = Cells::new(Bytes::from(data.clone()), offsets) {
                prop_assert_eq!(cells.iter().map(<[u8]>::len).sum::<usize>(), data.len());
            }
        }
    }

    #[test]
    fn what_a_branch_makes_is_fixed_for_ever() {
        let (kept, late) = (Branch::new("clean", 0), Branch::new("clean", 1));
        // computed apart from this code, from the rule in `sink/id.rs`
        assert_eq!([kept.nth(0, 0), kept.nth(0, 1), late.nth(0, 0), kept.nth(7, 2)], NTHS);
    }

    const NTHS: [u64; 4] = [0xB34F4B63BC7AE23F, 0x8A62FBA1F7B57058, 0xB73380E754C75D90, 0x1E17F500F46490ED];

    #[test]
    fn rows_of_one_origin_never_meet_again_whatever_paths_they_take() {
        let mut seen = std::collections::HashSet::new();
        let outputs: Vec<Branch> = (0..2).map(|output| Branch::new("a", output)).collect();
        let (b, c) = (Branch::new("b", 0), Branch::new("c", 0));
        for first in outputs.iter().flat_map(|a| (0..30).map(|count| a.nth(0, count))) {
            for second in (0..30).map(|count| b.nth(first, count)) {
                assert!((0..30).all(|count| seen.insert(c.nth(second, count))));
            }
        }
    }

    #[test]
    fn a_sequence_refuses_what_is_no_number() {
        for text in ["", "-1", "12x", &"9".repeat(60)] {
            assert_eq!(text.parse::<Sequence>(), Err(BadSequence(text.to_owned())));
        }
        let real = "49590338271490256608559692538361571095921575989136588898";
        assert_eq!(real.parse::<Sequence>().unwrap().to_string(), real);
    }
}
