//! The values that a plugin keeps by key, as one step of one partition sees them.
//!
//! The rule: **a value is looked for in what this call wrote, then this batch, this epoch, the epoch that is being made durable, what was
//! read before, and last in the store.** What a call or a batch wrote moves down one layer when it is kept, and is gone when it is not. The
//! store sees each changed value once an epoch. A step freezes only when its earlier change is in the store, so one frozen layer is enough.
//!
//! A row is `step | hash | key | table's name | sub-key`; its value begins with a byte of flags (1: it expires), the version of the table (4
//! bytes) and, if it expires, when (8 bytes, milliseconds). These bytes are kept stable.
//! Left to others: when a plugin is called (`stateful`), what is durable (`checkpoint`).

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use crate::{
    error::{Error, Kind, Result},
    plugin::{KeyedState, Outdated, Page, Place, Table},
    record::Cells,
    state::{
        Delta, StateStore,
        codec::KeyCodec,
        key::{self, Kind as RowKind},
    },
};

const CLEAN: usize = 0;
const FROZEN: usize = 1;
const DIRTY: usize = 2;
const BATCH: usize = 3;
const CALL: usize = 4;

/// Bytes that are kept of what was only read.
const MOST_CLEAN: usize = 32 << 20;
/// Bytes of one page of a scan.
const MOST_PAGE: usize = 4 << 20;
/// Rows that are read at once.
const PAGE: usize = 1024;

/// By table and sub-key: a value as it is stored, or that there is none.
type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key that has been used.
#[derive(Debug)]
struct Slot {
    key: Arc<[u8]>,
    layers: [Values; 5],
    /// no value of it in the store has an older version
    is_present: bool,
}

/// A value of an older version, and where it is.
#[derive(Debug)]
pub struct Old {
    pub table: u32,
    pub from: u32,
    slot: u32,
    place: Vec<u8>,
    pub value: Outdated,
}

/// The tables of a step.
pub struct Tables {
    step: Arc<str>,
    codec: KeyCodec,
    tables: Vec<Table>,
    store: Arc<dyn StateStore>,
    slots: Vec<Slot>,
    by_key: HashMap<Arc<[u8]>, u32>,
    /// slots with something in the layer
    touched: [Vec<u32>; 5],
    clean_bytes: usize,
    /// the keys of the batch, as slots
    keys: Vec<u32>,
    /// those of them that were looked through for older versions by this batch
    looked: Vec<u32>,
    now_ms: i64,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tables({}, {} keys)", self.step, self.slots.len())
    }
}

impl Tables {
    /// Tables of a step over what the store holds.
    pub fn new(step: Arc<str>, codec: KeyCodec, tables: Vec<Table>, store: Arc<dyn StateStore>) -> Self {
        Self {
            step,
            codec,
            tables,
            store,
            slots: Vec::new(),
            by_key: HashMap::new(),
            touched: Default::default(),
            clean_bytes: 0,
            keys: Vec::new(),
            looked: Vec::new(),
            now_ms: 0,
        }
    }

    /// Forgets everything that is not in this store.
    pub fn restore(&mut self, store: Arc<dyn StateStore>) {
        let (step, codec, tables) = (self.step.clone(), self.codec.clone(), std::mem::take(&mut self.tables));
        *self = Self::new(step, codec, tables, store);
    }

    /// A batch with these keys begins, at this time.
    pub fn begin_batch(&mut self, keys: &Cells, now_ms: i64) {
        self.drop_layer(CALL);
        self.drop_layer(BATCH);
        if self.clean_bytes > MOST_CLEAN {
            self.evict();
        }
        self.now_ms = now_ms;
        self.looked.clear();
        self.keys = keys.iter().map(|key| slot_of(&mut self.slots, &mut self.by_key, key)).collect();
    }

    /// What the batch wrote counts.
    pub fn keep_batch(&mut self) {
        self.lower(BATCH, DIRTY);
        for slot in std::mem::take(&mut self.looked) {
            self.slots[slot as usize].is_present = true;
        }
    }

    /// The epoch ends: adds what changed in it. What the last one changed is in the store by now.
    pub fn freeze(&mut self, delta: &mut Delta) {
        self.lower(FROZEN, CLEAN);
        self.lower(DIRTY, FROZEN);
        for slot in &self.touched[FROZEN] {
            let slot = &self.slots[*slot as usize];
            for (place, value) in &slot.layers[FROZEN] {
                let row = self.row(&slot.key, place);
                match value {
                    Some(value) => delta.put(row, value.clone()),
                    None => delta.delete(row),
                }
            }
        }
    }

    /// Values of the batch's keys that the plugin has to bring up to date first.
    pub fn old(&mut self) -> Result<Vec<Old>> {
        if self.tables.iter().all(|table| table.migrates_from.is_empty()) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (key, slot) in (0u32..).zip(self.keys.clone()) {
            if !self.slots[slot as usize].is_present {
                for table in 0..self.tables.len() as u32 {
                    self.old_of((key, slot), table, &mut found)?;
                }
                self.looked.push(slot);
            }
        }
        Ok(found)
    }

    /// `index` of the key in the batch, and its slot.
    fn old_of(&self, (index, slot): (u32, u32), table: u32, found: &mut Vec<Old>) -> Result<()> {
        let Slot { key, .. } = &self.slots[slot as usize];
        let mut start = Vec::new();
        loop {
            let rows = self.stored(key, table, &start, &[], PAGE)?;
            let is_last = rows.len() < PAGE;
            for (sub_key, value) in rows {
                let place = place_of(table, &sub_key);
                let (version, body) = self.open(&value)?;
                // What it does not name it is not asked to migrate: reading it says so.
                let is_old = self.tables[table as usize].migrates_from.contains(&version);
                if is_old && self.latest(slot, &place).is_none() {
                    let value = Outdated { key: index, sub_key: sub_key.clone(), value: body.to_vec() };
                    found.push(Old { table, from: version, slot, place, value });
                }
                start = sub_key;
            }
            if is_last {
                return Ok(());
            }
            start.push(0);
        }
    }

    /// A value that was brought up to date; none: the plugin drops it. It counts with the batch.
    pub fn renewed(&mut self, old: Old, value: Option<Vec<u8>>) {
        let stored = value.map(|value| self.stored_form(old.table, &value));
        self.write(BATCH, old.slot, old.place, stored);
    }

    fn latest(&self, slot: u32, place: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.slots[slot as usize].layers.iter().rev().find_map(|layer| layer.get(place))
    }

    fn write(&mut self, layer: usize, slot: u32, place: Vec<u8>, value: Option<Vec<u8>>) {
        let values = &mut self.slots[slot as usize].layers[layer];
        if values.is_empty() {
            self.touched[layer].push(slot);
        }
        if layer == CLEAN {
            self.clean_bytes += place.len() + value.as_ref().map_or(0, Vec::len) + 64;
        }
        values.insert(place, value);
    }

    /// Moves what stands in one layer over what stands in another.
    fn lower(&mut self, from: usize, to: usize) {
        for slot in std::mem::take(&mut self.touched[from]) {
            for (place, value) in std::mem::take(&mut self.slots[slot as usize].layers[from]) {
                self.write(to, slot, place, value);
            }
        }
    }

    fn drop_layer(&mut self, layer: usize) {
        for slot in std::mem::take(&mut self.touched[layer]) {
            self.slots[slot as usize].layers[layer].clear();
        }
    }

    /// What was only read is forgotten, and keys of which nothing else is known.
    fn evict(&mut self) {
        self.drop_layer(CLEAN);
        self.clean_bytes = 0;
        let old = std::mem::take(&mut self.slots);
        self.by_key.clear();
        self.touched = Default::default();
        for slot in old.into_iter().filter(|slot| slot.layers.iter().any(|layer| !layer.is_empty())) {
            let number = self.slots.len() as u32;
            self.by_key.insert(slot.key.clone(), number);
            for (layer, values) in slot.layers.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
                debug_assert!(!values.is_empty());
                self.touched[layer].push(number);
            }
            self.slots.push(slot);
        }
        self.keys.clear();
    }

    fn row(&self, key: &[u8], place: &[u8]) -> Vec<u8> {
        let (table, sub_key) = place.split_first().expect("a place begins with its table");
        let name = self.tables[*table as usize].name.as_bytes();
        let mut sub = Vec::with_capacity(1 + name.len() + sub_key.len());
        sub.push(name.len() as u8);
        sub.extend_from_slice(name);
        sub.extend_from_slice(sub_key);
        key::state(&self.step, RowKind::Value, self.codec.hash(key), key, 0, &sub)
    }

    /// Rows of one key and table in the store: sub-keys and values as they are stored.
    fn stored(
        &self,
        key: &[u8],
        table: u32,
        start: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let prefix = self.row(key, &place_of(table, &[]));
        let from = [prefix.as_slice(), start].concat();
        let to = if end.is_empty() { key::after_prefix(&prefix) } else { [prefix.as_slice(), end].concat() };
        let rows = self.store.scan(&from, &to, limit)?;
        Ok(rows.into_iter().map(|(row, value)| (row[prefix.len()..].to_vec(), value)).collect())
    }

    fn stored_form(&self, table: u32, value: &[u8]) -> Vec<u8> {
        let Table { schema_version, ttl_ms, .. } = &self.tables[table as usize];
        let mut stored = Vec::with_capacity(value.len() + 13);
        stored.push(u8::from(ttl_ms.is_some()));
        stored.extend_from_slice(&schema_version.to_be_bytes());
        if let Some(ttl_ms) = ttl_ms {
            let ttl_ms = i64::try_from(*ttl_ms).unwrap_or(i64::MAX);
            stored.extend_from_slice(&self.now_ms.saturating_add(ttl_ms).to_be_bytes());
        }
        stored.extend_from_slice(value);
        stored
    }

    /// Version and value of what is stored.
    fn open<'a>(&self, stored: &'a [u8]) -> Result<(u32, &'a [u8])> {
        let damaged = || {
            let words = format!("a value of step {} in the state is damaged; restore the state from a copy", self.step);
            Error::new(Kind::State, words)
        };
        let (head, rest) = stored.split_first_chunk::<5>().ok_or_else(damaged)?;
        let version = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        match head[0] {
            0 => Ok((version, rest)),
            1 => Ok((version, rest.get(8..).ok_or_else(damaged)?)),
            _ => Err(damaged()),
        }
    }

    /// The value of what is stored; none where it has expired.
    fn read(&self, table: u32, stored: &[u8]) -> Result<Option<Vec<u8>>> {
        let (version, value) = self.open(stored)?;
        if stored[0] == 1 {
            let expires_ms = i64::from_be_bytes(stored[5..13].try_into().expect("eight bytes, which `open` has seen"));
            if expires_ms <= self.now_ms {
                return Ok(None);
            }
        }
        let Table { name, schema_version, migrates_from, .. } = &self.tables[table as usize];
        if version != *schema_version {
            let from = migrates_from.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let from = if from.is_empty() { "none".to_owned() } else { from };
            let words = format!(
                "table `{name}` of step {} holds a value of version {version}; the plugin reads version {schema_version} and migrates from \
                 {from}: deploy one that does",
                self.step
            );
            return Err(Error::new(Kind::State, words));
        }
        Ok(Some(value.to_vec()))
    }

    fn slot(&self, table: u32, key: u32) -> Result<u32> {
        let wrong = |what: String| Error::new(Kind::Step, what);
        if table as usize >= self.tables.len() {
            let count = self.tables.len();
            return Err(wrong(format!("it uses table {table}, and its manifest declares {count}")));
        }
        let count = self.keys.len();
        let slot = self.keys.get(key as usize).copied();
        slot.ok_or_else(|| wrong(format!("it uses key {key}, and the call has {count} keys")))
    }

    /// What all layers say of places between the two, the highest first.
    fn overlay(&self, slot: u32, from: &[u8], to: &Bound<Vec<u8>>) -> Values {
        let mut found = Values::new();
        let range = (Bound::Included(from), to.as_ref().map(Vec::as_slice));
        for layer in &self.slots[slot as usize].layers {
            found.extend(layer.range::<[u8], _>(range).map(|(place, value)| (place.clone(), value.clone())));
        }
        found
    }
}

/// A table's number, then the sub-key.
fn place_of(table: u32, sub_key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + sub_key.len());
    place.push(table as u8);
    place.extend_from_slice(sub_key);
    place
}

fn slot_of(slots: &mut Vec<Slot>, by_key: &mut HashMap<Arc<[u8]>, u32>, key: &[u8]) -> u32 {
    if let Some(slot) = by_key.get(key) {
        return *slot;
    }
    let (key, slot): (Arc<[u8]>, u32) = (Arc::from(key), slots.len() as u32);
    slots.push(Slot { key: key.clone(), layers: Default::default(), is_present: false });
    by_key.insert(key, slot);
    slot
}

impl KeyedState for Tables {
    fn begin(&mut self) {
        self.drop_layer(CALL);
    }

    fn keep(&mut self) {
        self.lower(CALL, BATCH);
    }

    fn get(&mut self, Place { table, key, sub_key }: Place<'_>) -> Result<Option<Vec<u8>>> {
        let slot = self.slot(table, key)?;
        let place = place_of(table, sub_key);
        if let Some(known) = self.latest(slot, &place) {
            return known.as_deref().map_or(Ok(None), |stored| self.read(table, stored));
        }
        let stored = self.store.get(&self.row(&self.slots[slot as usize].key, &place))?;
        let value = stored.as_deref().map_or(Ok(None), |stored| self.read(table, stored))?;
        self.write(CLEAN, slot, place, stored);
        Ok(value)
    }

    fn put(&mut self, Place { table, key, sub_key }: Place<'_>, value: Option<&[u8]>) -> Result<()> {
        let slot = self.slot(table, key)?;
        let stored = value.map(|value| self.stored_form(table, value));
        self.write(CALL, slot, place_of(table, sub_key), stored);
        Ok(())
    }

    fn scan(&mut self, table: u32, key: u32, start: &[u8], end: &[u8], limit: usize) -> Result<Page> {
        let slot = self.slot(table, key)?;
        let to = match end {
            [] if table == u32::from(u8::MAX) => Bound::Unbounded,
            [] => Bound::Excluded(place_of(table + 1, &[])),
            end => Bound::Excluded(place_of(table, end)),
        };
        if !end.is_empty() && start >= end {
            return Ok(Page::default());
        }
        let mut values = self.overlay(slot, &place_of(table, start), &to);
        let mut page = Page::default();
        let (mut from, mut bytes, mut is_read) = (start.to_vec(), 0, false);
        while !is_read && page.entries.len() <= limit && bytes < MOST_PAGE {
            let rows = self.stored(&self.slots[slot as usize].key, table, &from, end, PAGE)?;
            is_read = rows.len() < PAGE;
            for (sub_key, stored) in rows {
                values.entry(place_of(table, &sub_key)).or_insert(Some(stored));
                from = sub_key;
            }
            from.push(0);
            // What is known behind the last row stands back until the store was read so far.
            let mut behind = if is_read { Values::new() } else { values.split_off(&place_of(table, &from)) };
            self.take_page(table, &mut values, limit, &mut page, &mut bytes)?;
            values.append(&mut behind);
        }
        page.more = page.entries.len() > limit || !values.is_empty() || !is_read;
        page.entries.truncate(limit);
        Ok(page)
    }
}

impl Tables {
    /// Moves values into a page until it is full.
    fn take_page(
        &self,
        table: u32,
        values: &mut Values,
        limit: usize,
        page: &mut Page,
        bytes: &mut usize,
    ) -> Result<()> {
        while page.entries.len() <= limit && *bytes < MOST_PAGE {
            let Some((place, stored)) = values.pop_first() else { return Ok(()) };
            if let Some(value) = stored.as_deref().map_or(Ok(None), |stored| self.read(table, stored))? {
                *bytes += place.len() + value.len();
                page.entries.push((place[1..].to_vec(), value));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
