//! The state that blocks hold together, in the order of keys: where several change one row, the last block counts.
//!
//! The rule: memory is a page or two per block, however long the blocks are. A block that is missing or damaged is an error with its
//! name, never a gap.

use std::{collections::VecDeque, sync::Arc};

use super::manifest::BlockRef;
use crate::{
    error::{Error, Kind, Result},
    objects::Objects,
    state::{
        HashRange,
        block::{Change, Page, TAIL, changes, footer_place, pages},
        key,
    },
};

/// Reads several blocks at once.
pub struct Chain {
    objects: Arc<dyn Objects>,
    blocks: Vec<Reading>,
}

struct Reading {
    name: String,
    range: HashRange,
    pages: VecDeque<Page>,
    changes: VecDeque<Change>,
}

/// Blocks up to this length are read with one request.
const AT_ONCE: u64 = 1 << 20;

impl Chain {
    /// Opens blocks, in the order in which they apply.
    pub async fn open(objects: Arc<dyn Objects>, blocks: &[BlockRef]) -> Result<Self> {
        let mut chain = Self { objects, blocks: Vec::with_capacity(blocks.len()) };
        for block in blocks {
            let opened = chain.begin(block).await.map_err(|e| e.at(&block.name))?;
            chain.blocks.push(opened);
        }
        Ok(chain)
    }

    async fn begin(&self, block: &BlockRef) -> Result<Reading> {
        let mut reading =
            Reading { name: block.name.clone(), range: block.range, pages: VecDeque::new(), changes: VecDeque::new() };
        if block.bytes <= AT_ONCE {
            let whole = self.part(&block.name, 0..block.bytes).await?;
            let tail = whole.get(whole.len().saturating_sub(TAIL as usize)..).unwrap_or_default();
            let footer = footer_place(tail, block.bytes)?;
            let cut = |from: u64, to: u64| whole.get(from as usize..to as usize).unwrap_or_default();
            for page in pages(cut(footer.start, footer.end), tail)? {
                reading.changes.extend(changes(cut(page.at, page.at + u64::from(page.length)))?);
            }
            return Ok(reading);
        }
        let tail = self.part(&block.name, block.bytes.saturating_sub(TAIL)..block.bytes).await?;
        let footer = self.part(&block.name, footer_place(&tail, block.bytes)?).await?;
        reading.pages = pages(&footer, &tail)?.into();
        Ok(reading)
    }

    async fn part(&self, name: &str, part: std::ops::Range<u64>) -> Result<bytes::Bytes> {
        let length = part.end - part.start;
        let missing = |what: &str| {
            let place = self.objects.place();
            let words = format!("{what} in {place}, but a manifest names it: restore it, or go back to a savepoint");
            Error::new(Kind::State, words)
        };
        match self.objects.read(name, Some(part)).await? {
            None => Err(missing("it is not there")),
            Some(bytes) if bytes.len() as u64 != length => Err(missing("it is shorter than it was")),
            Some(bytes) => Ok(bytes),
        }
    }

    /// The next change; none at the end.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        loop {
            for place in 0..self.blocks.len() {
                self.fill(place).await?;
            }
            let first = |reading: &Reading| reading.changes.front().map(|(key, _)| key.clone());
            let Some(lowest) = self.blocks.iter().filter_map(first).min() else { return Ok(None) };
            let (mut newest, mut is_meant) = (None, false);
            for reading in &mut self.blocks {
                let Some((_, value)) = reading.changes.pop_front_if(|(key, _)| *key == lowest) else { continue };
                if key::place(&lowest).is_none_or(|(_, hash)| reading.range.contains(hash)) {
                    (newest, is_meant) = (value, true);
                }
            }
            if is_meant {
                return Ok(Some((lowest, newest)));
            }
        }
    }

    async fn fill(&mut self, place: usize) -> Result<()> {
        while self.blocks[place].changes.is_empty() {
            let Some(page) = self.blocks[place].pages.pop_front() else { return Ok(()) };
            let name = self.blocks[place].name.clone();
            let read = self.part(&name, page.at..page.at + u64::from(page.length)).await;
            let read = read.and_then(|bytes| changes(&bytes)).map_err(|e| e.at(&name))?;
            self.blocks[place].changes = read.into();
        }
        Ok(())
    }
}
