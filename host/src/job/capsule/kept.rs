//! The state of one key, as a capsule holds it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{
    error::Result,
    plugin::{KeyedState, Page, Place, SharedState, StateCell},
};

/// State of one key, that a plugin is called over again with.
#[derive(Debug, Default)]
pub(super) struct Kept {
    cells: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    draft: BTreeMap<(u32, Vec<u8>), Option<Vec<u8>>>,
}

impl Kept {
    /// These cells, as they were.
    pub(super) fn new(cells: &[StateCell]) -> Self {
        let cells = cells.iter().map(|cell| ((cell.table, cell.sub_key.clone()), cell.value.clone())).collect();
        Self { cells, draft: Default::default() }
    }

    /// What a key has, for whoever calls a plugin with nothing but this.
    pub(super) fn shared(self) -> SharedState {
        Arc::new(Mutex::new(self))
    }
}

impl KeyedState for Kept {
    fn begin(&mut self) {
        self.draft.clear();
    }

    fn keep(&mut self) {
        for (place, value) in std::mem::take(&mut self.draft) {
            match value {
                Some(value) => drop(self.cells.insert(place, value)),
                None => drop(self.cells.remove(&place)),
            }
        }
    }

    fn get(&mut self, place: Place<'_>) -> Result<Option<Vec<u8>>> {
        let at = (place.table, place.sub_key.to_vec());
        Ok(self.draft.get(&at).cloned().unwrap_or_else(|| self.cells.get(&at).cloned()))
    }

    fn put(&mut self, place: Place<'_>, value: Option<&[u8]>) -> Result<()> {
        self.draft.insert((place.table, place.sub_key.to_vec()), value.map(<[u8]>::to_vec));
        Ok(())
    }

    fn scan(&mut self, table: u32, _: u32, start: &[u8], end: &[u8], limit: usize) -> Result<Page> {
        let mut all: BTreeMap<&[u8], &[u8]> = self
            .cells
            .iter()
            .filter(|((of, _), _)| *of == table)
            .map(|((_, sub_key), value)| (&**sub_key, &**value))
            .collect();
        for ((_, sub_key), value) in self.draft.iter().filter(|((of, _), _)| *of == table) {
            match value {
                Some(value) => drop(all.insert(sub_key, value)),
                None => drop(all.remove(&**sub_key)),
            }
        }
        let within = |sub_key: &[u8]| sub_key >= start && (end.is_empty() || sub_key < end);
        let mut found = all.into_iter().filter(|(sub_key, _)| within(sub_key));
        let entries = found.by_ref().take(limit).map(|(sub_key, value)| (sub_key.to_vec(), value.to_vec())).collect();
        Ok(Page { entries, more: found.next().is_some() })
    }
}
