//! The one door to the host's state: in a component the host's functions, in a native test the values that `testing` holds.
//!
//! Left to others: what the bytes mean (`stored`, `sub_key`).

/// A page of a scan: sub-keys and values, rising, and whether there is more behind the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    pub more: bool,
}

pub use door::{delete, get, get_many, put, put_many, scan};

#[cfg(target_family = "wasm")]
mod door {
    use super::Page;
    use crate::bindings::state::pelton::plugin::state;
    use crate::bindings::types::{BytesColumn, OptionalBytes};
    use crate::value::BytesBuilder;

    pub fn get(table: u32, key: u32, sub_key: &[u8]) -> Option<Vec<u8>> {
        state::get(table, key, sub_key)
    }

    pub fn put(table: u32, key: u32, sub_key: &[u8], value: &[u8]) {
        state::put(table, key, sub_key, value);
    }

    pub fn delete(table: u32, key: u32, sub_key: &[u8]) {
        state::delete(table, key, sub_key);
    }

    pub fn get_many(table: u32, keys: &[u32]) -> Vec<Option<Vec<u8>>> {
        let OptionalBytes { cells, present } = state::get_many(table, keys);
        strings(&cells).into_iter().zip(present).map(|(cell, present)| (present != 0).then_some(cell)).collect()
    }

    pub fn put_many(table: u32, keys: &[u32], values: &[Option<Vec<u8>>]) {
        let mut cells = BytesBuilder::default();
        values.iter().for_each(|value| cells.push(value.as_deref().unwrap_or_default()));
        let present = values.iter().map(|value| value.is_some().into()).collect();
        state::put_many(table, keys, &OptionalBytes { cells: cells.finish(), present });
    }

    pub fn scan(table: u32, key: u32, start: &[u8], end: &[u8], limit: u32) -> Page {
        let state::Entries { sub_keys, values, more } = state::scan(table, key, start, end, limit);
        Page { entries: strings(&sub_keys).into_iter().zip(strings(&values)).collect(), more }
    }

    fn strings(column: &BytesColumn) -> Vec<Vec<u8>> {
        let cell = |ends: &[u32]| column.data[ends[0] as usize..ends[1] as usize].to_vec();
        column.offsets.windows(2).map(cell).collect()
    }
}

#[cfg(not(target_family = "wasm"))]
mod door {
    use super::Page;
    use crate::testing::memory::with;

    pub fn get(table: u32, key: u32, sub_key: &[u8]) -> Option<Vec<u8>> {
        with(|memory| memory.get(table, key, sub_key))
    }

    pub fn put(table: u32, key: u32, sub_key: &[u8], value: &[u8]) {
        with(|memory| memory.put(table, key, sub_key, Some(value)));
    }

    pub fn delete(table: u32, key: u32, sub_key: &[u8]) {
        with(|memory| memory.put(table, key, sub_key, None));
    }

    pub fn get_many(table: u32, keys: &[u32]) -> Vec<Option<Vec<u8>>> {
        keys.iter().map(|key| get(table, *key, &[])).collect()
    }

    pub fn put_many(table: u32, keys: &[u32], values: &[Option<Vec<u8>>]) {
        with(|memory| keys.iter().zip(values).for_each(|(key, value)| memory.put(table, *key, &[], value.as_deref())));
    }

    pub fn scan(table: u32, key: u32, start: &[u8], end: &[u8], limit: u32) -> Page {
        with(|memory| memory.scan(table, key, start, end, limit as usize))
    }
}
