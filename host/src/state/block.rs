//! A block: changes of rows as bytes, sorted by key, in pages that can be read alone.
//!
//! `magic | page* | footer | length of the footer, its CRC-32, magic`. A page is `CRC-32 of the rest | raw length | deflated rows`; a row is
//! `bytes shared with the key before it | own bytes of the key | 0, or length of the value + 1 | value`, numbers as LEB128. The footer names
//! every page with its place and first key. The rule: bytes that are not exactly what was written are refused with words, and nothing
//! that they say makes more than [`LARGEST_PAGE`] bytes.
//! Left to others: where blocks lie and in which order they apply (`checkpoint`).

use std::io::{Read, Write};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use crate::error::{Error, Kind, Result};

const MAGIC: &[u8; 8] = b"PELTONB1";
/// Length of the footer, its CRC, and the magic: how every block ends.
pub const TAIL: u64 = 16;
/// Rows of a page are about this long together.
const PAGE: usize = 256 << 10;
/// A page holds at least one row, and a row may be longer than a page.
const LARGEST_PAGE: usize = 256 << 20;

/// A change of one row; without a value the row goes.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// One page as the footer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// where it begins in the block
    pub at: u64,
    /// its length there
    pub length: u32,
    /// its first key
    pub first: Vec<u8>,
}

/// Makes a block; changes come in the order of their keys, each key once.
pub struct BlockWriter {
    bytes: Vec<u8>,
    pages: Vec<Page>,
    page: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    rows: u64,
}

impl Default for BlockWriter {
    fn default() -> Self {
        let (pages, page, first, last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { bytes: MAGIC.to_vec(), pages, page, first, last, rows: 0 }
    }
}

impl BlockWriter {
    /// Adds a change.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.page.len() >= PAGE {
            self.end_page();
        }
        if self.page.is_empty() {
            self.first = key.to_vec();
            self.last.clear();
        }
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        number(&mut self.page, shared as u64);
        number(&mut self.page, (key.len() - shared) as u64);
        self.page.extend_from_slice(&key[shared..]);
        number(&mut self.page, value.map_or(0, |value| value.len() as u64 + 1));
        self.page.extend_from_slice(value.unwrap_or_default());
        self.last.clear();
        self.last.extend_from_slice(key);
        self.rows += 1;
    }

    /// How many changes it holds.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How long it is, about.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.page.len() / 2
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn end_page(&mut self) {
        let raw = std::mem::take(&mut self.page);
        let mut body = u32::try_from(raw.len()).expect("a page is bounded").to_le_bytes().to_vec();
        let mut deflate = DeflateEncoder::new(&mut body, Compression::fast());
        deflate.write_all(&raw).and_then(|()| deflate.finish().map(drop)).expect("writing to memory does not fail");
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        self.bytes.extend_from_slice(&body);
        let length = u32::try_from(body.len() + 4).expect("a page is bounded");
        self.pages.push(Page { at, length, first: std::mem::take(&mut self.first) });
    }

    /// The whole block.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.page.is_empty() {
            self.end_page();
        }
        let mut footer = Vec::new();
        number(&mut footer, self.rows);
        number(&mut footer, self.pages.len() as u64);
        for page in &self.pages {
            number(&mut footer, page.at);
            number(&mut footer, u64::from(page.length));
            number(&mut footer, page.first.len() as u64);
            footer.extend_from_slice(&page.first);
        }
        self.bytes.extend_from_slice(&footer);
        self.bytes.extend_from_slice(&u32::try_from(footer.len()).expect("a footer is bounded").to_le_bytes());
        self.bytes.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        self.bytes.extend_from_slice(MAGIC);
        self.bytes
    }
}

/// Where the footer of a block of this length stands, told by its last [`TAIL`] bytes.
pub fn footer_place(tail: &[u8], length: u64) -> Result<std::ops::Range<u64>> {
    let (Some(footer), true) = (tail.get(..4), tail.len() as u64 == TAIL && tail.ends_with(MAGIC)) else {
        return Err(damaged("it does not end as a block does"));
    };
    let footer = u64::from(u32::from_le_bytes(footer.try_into().unwrap_or_default()));
    let end = length - TAIL;
    match end.checked_sub(footer) {
        Some(from) if from >= MAGIC.len() as u64 => Ok(from..end),
        _ => Err(damaged("its footer is longer than itself")),
    }
}

/// The pages that a footer names. `tail` is what follows it.
pub fn pages(footer: &[u8], tail: &[u8]) -> Result<Vec<Page>> {
    if tail.get(4..8) != Some(&crc32fast::hash(footer).to_le_bytes()[..]) {
        return Err(damaged("the checksum of its footer does not fit"));
    }
    let mut rest = footer;
    let (_rows, count) = (take_number(&mut rest)?, take_number(&mut rest)?);
    let mut pages = Vec::new();
    for _ in 0..count {
        let at = take_number(&mut rest)?;
        let length = u32::try_from(take_number(&mut rest)?).map_err(|_| damaged("a page is too long"))?;
        let first = take_number(&mut rest)?;
        pages.push(Page { at, length, first: take(&mut rest, first)?.to_vec() });
    }
    Ok(pages)
}

/// The changes of a page.
pub fn changes(page: &[u8]) -> Result<Vec<Change>> {
    let Some((sum, body)) = page.split_first_chunk::<4>() else { return Err(damaged("a page is cut")) };
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(damaged("the checksum of a page does not fit"));
    }
    let Some((length, deflated)) = body.split_first_chunk::<4>() else { return Err(damaged("a page is cut")) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > LARGEST_PAGE {
        return Err(damaged("a page is too long"));
    }
    let mut raw = Vec::with_capacity(length);
    let inflated = DeflateDecoder::new(deflated).take(length as u64 + 1).read_to_end(&mut raw);
    if inflated.is_err() || raw.len() != length {
        return Err(damaged("a page cannot be inflated"));
    }
    let (mut rest, mut changes, mut last) = (&raw[..], Vec::new(), Vec::<u8>::new());
    while !rest.is_empty() {
        let shared = usize::try_from(take_number(&mut rest)?).unwrap_or(usize::MAX);
        let own = take_number(&mut rest)?;
        let mut key = last.get(..shared).ok_or_else(|| damaged("a key is cut"))?.to_vec();
        key.extend_from_slice(take(&mut rest, own)?);
        let value = match take_number(&mut rest)?.checked_sub(1) {
            None => None,
            Some(length) => Some(take(&mut rest, length)?.to_vec()),
        };
        last.clone_from(&key);
        changes.push((key, value));
    }
    Ok(changes)
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::State, format!("the block is damaged: {what}"))
}

fn number(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value as u8) | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn take_number(from: &mut &[u8]) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first().ok_or_else(|| damaged("a number is cut"))?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number is too long"))
}

fn take<'a>(from: &mut &'a [u8], length: u64) -> Result<&'a [u8]> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (taken, rest) = from.split_at_checked(length).ok_or_else(|| damaged("it is cut"))?;
    *from = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn read(block: &[u8]) -> Result<Vec<Change>> {
        let length = block.len() as u64;
        let tail = block.get(block.len().saturating_sub(TAIL as usize)..).unwrap_or_default();
        let place = footer_place(tail, length)?;
        let named = pages(&block[place.start as usize..place.end as usize], tail)?;
        let mut all = Vec::new();
        for page in named {
            let part = block.get(page.at as usize..page.at as usize + page.length as usize);
            all.extend(changes(part.ok_or_else(|| damaged("a page is outside"))?)?);
        }
        Ok(all)
    }

    fn write(changes: &[Change]) -> Vec<u8> {
        let mut writer = BlockWriter::default();
        changes.iter().for_each(|(key, value)| writer.push(key, value.as_deref()));
        writer.finish()
    }

    #[test]
    fn a_block_of_many_pages_gives_back_its_changes() {
        let change =
            |n: u32| (n.to_be_bytes().to_vec(), (!n.is_multiple_of(7)).then(|| vec![n as u8; (n % 90) as usize]));
        let changes: Vec<Change> = (0..40_000).map(change).collect();
        let block = write(&changes);
        assert!(block.len() < 600_000, "{}", block.len());
        assert_eq!(read(&block).unwrap(), changes);
    }

    #[test]
    fn a_block_that_was_cut_or_changed_anywhere_is_refused() {
        let changes: Vec<Change> = (0..40u8).map(|n| (vec![n, n], Some(vec![n; 9]))).collect();
        let block = write(&changes);
        for length in 0..block.len() {
            assert!(read(&block[..length]).is_err(), "cut to {length}");
        }
        // the magic at its beginning is for people; everything else counts
        for bit in 8 * MAGIC.len()..8 * block.len() {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_is_read(rows in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..40), prop::option::of(prop::collection::vec(any::<u8>(), 0..60)), 0..60)) {
            let changes: Vec<Change> = rows.into_iter().collect();
            prop_assert_eq!(read(&write(&changes)).unwrap(), changes);
        }
    }
}
