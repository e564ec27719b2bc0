//! The open windows of a step: which key and window have which slot, and what is known of each beside its accumulator.
//!
//! The rule: a slot is a small number that stands for one key in one window until that window is purged; then it is given out again.
//! Whoever keeps accumulators keeps them in vectors by slot, so a row costs one look into a table and no copy of bytes.
//! Left to others: when windows fire (`aggregate`), and the accumulators (an `Aggregate`).

use std::{collections::BTreeMap, hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::assign::Tumbling;
use crate::record::{Batch, Cells, Firings};

/// One key in one window.
#[derive(Debug)]
pub struct Entry {
    /// encoded
    pub key: Box<[u8]>,
    /// of its window
    pub start_us: i64,
    /// how often it fired
    pub firings: u32,
    /// fired when the watermark passed the end
    pub on_time: bool,
    /// changed since it last fired
    pub changed: bool,
    /// changed since the last freeze
    pub dirty: bool,
    /// the store has a row of it, or will have
    pub stored: bool,
}

/// One window: its keys, and their slots in the order in which they came.
#[derive(Debug, Default)]
struct Open {
    /// part of the hash, and the slot
    table: HashTable<(u32, u32)>,
    slots: Vec<u32>,
}

/// Every open window.
#[derive(Debug)]
pub struct Slots {
    step: Arc<str>,
    windows: Tumbling,
    entries: Vec<Entry>,
    free: Vec<u32>,
    open: BTreeMap<i64, Open>,
    hasher: DefaultHashBuilder,
}

/// Rows of a batch with their slots, and the rows that came too late.
#[derive(Debug, Default)]
pub struct Placed {
    /// rising
    pub rows: Vec<u32>,
    /// one a row
    pub slots: Vec<u32>,
    /// rising
    pub late: Vec<u32>,
    /// slots that this batch was the first to give out
    pub new: Vec<u32>,
}

impl Slots {
    /// No open windows.
    pub fn new(step: Arc<str>, windows: Tumbling) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { step, windows, entries: Vec::new(), free: Vec::new(), open: BTreeMap::new(), hasher }
    }

    /// How many windows are open.
    pub fn windows(&self) -> usize {
        self.open.len()
    }

    /// End of a window, excluded.
    pub fn end_us(&self, start_us: i64) -> i64 {
        self.windows.end(start_us)
    }

    /// What is known of a slot.
    pub fn get(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize]
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot as usize]
    }

    /// Starts of the open windows with their slots, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &[u32])> {
        self.open.iter().map(|(start, open)| (*start, open.slots.as_slice()))
    }

    /// The slot of every row that is not late, new ones where there are none. A row is late when `gone(start of its window, watermark
    /// before it)`.
    pub fn place(&mut self, batch: &Batch, keys: &Cells, gone: impl Fn(i64, i64) -> bool) -> Placed {
        let (rows, slots) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut placed = Placed { rows, slots, ..Placed::default() };
        let Self { windows, entries, free, open, hasher, .. } = self;
        let (mut known, mut window) = (None, None);
        for (row, (event_us, watermark_us)) in batch.event_us.iter().zip(&batch.watermark_us).enumerate() {
            let start = match known {
                // Nearly always the window of the row before; a division costs more.
                Some(start) if *event_us >= start && *event_us < windows.end(start) => start,
                _ => windows.start(*event_us),
            };
            if gone(start, *watermark_us) {
                placed.late.push(row as u32);
                continue;
            }
            if known != Some(start) {
                (known, window) = (Some(start), Some(open.entry(start).or_default()));
            }
            let window = window.as_mut().expect("it was set with the start that is known");
            let before = window.slots.len();
            let slot = window.slot(keys.cell(row), start, entries, free, hasher);
            if window.slots.len() > before {
                placed.new.push(slot);
            }
            let entry = &mut entries[slot as usize];
            (entry.changed, entry.dirty) = (true, true);
            placed.rows.push(row as u32);
            placed.slots.push(slot);
        }
        placed
    }

    /// The slot of a key that was restored.
    pub fn restore(&mut self, start_us: i64, key: &[u8]) -> u32 {
        let Self { entries, free, open, hasher, .. } = self;
        open.entry(start_us).or_default().slot(key, start_us, entries, free, hasher)
    }

    /// Takes a window away and gives back its slots; they are given out again, so whoever keeps something by them forgets it now.
    pub fn purge(&mut self, start_us: i64) -> Vec<u32> {
        let slots = self.open.remove(&start_us).map(|open| open.slots).unwrap_or_default();
        self.free.extend(slots.iter().rev());
        slots
    }

    /// Takes one key of a window away, as if no record of it had come.
    pub fn remove(&mut self, slot: u32) {
        let Self { entries, free, open, hasher, .. } = self;
        let entry = &entries[slot as usize];
        let Some(window) = open.get_mut(&entry.start_us) else { return };
        if let Ok(found) = window.table.find_entry(hasher.hash_one(&*entry.key), |(_, known)| *known == slot) {
            found.remove();
        }
        window.slots.retain(|known| *known != slot);
        if window.slots.is_empty() {
            open.remove(&entry.start_us);
        }
        free.push(slot);
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.open.clear();
        self.entries.clear();
        self.free.clear();
    }

    /// The windows of these slots, as results and plugins are told them.
    pub fn firings(&self, slots: &[u32]) -> Firings {
        let entry = |slot: &u32| &self.entries[*slot as usize];
        Firings {
            step: self.step.clone(),
            key: slots.iter().map(|slot| &*entry(slot).key).collect(),
            start_us: slots.iter().map(|slot| entry(slot).start_us).collect(),
            end_us: slots.iter().map(|slot| self.windows.end(entry(slot).start_us)).collect(),
            number: slots.iter().map(|slot| entry(slot).firings).collect(),
        }
    }
}

impl Open {
    fn slot(
        &mut self,
        key: &[u8],
        start_us: i64,
        entries: &mut Vec<Entry>,
        free: &mut Vec<u32>,
        hasher: &DefaultHashBuilder,
    ) -> u32 {
        let hash = hasher.hash_one(key);
        let part = (hash >> 20) as u32;
        let same = |(known, slot): &(u32, u32)| *known == part && *entries[*slot as usize].key == *key;
        if let Some((_, slot)) = self.table.find(hash, same) {
            return *slot;
        }
        let entry = Entry {
            key: key.into(),
            start_us,
            firings: 0,
            on_time: false,
            changed: false,
            dirty: false,
            stored: false,
        };
        let slot = match free.pop() {
            Some(slot) => {
                entries[slot as usize] = entry;
                slot
            }
            None => {
                entries.push(entry);
                u32::try_from(entries.len() - 1).expect("memory ends before 2^32 open keys")
            }
        };
        self.table.insert_unique(hash, (part, slot), |(_, slot)| hasher.hash_one(&*entries[*slot as usize].key));
        self.slots.push(slot);
        slot
    }
}
