//! State of a native test: values by table, key and sub-key, and the timers that are set.
//!
//! The rule: one memory a thread is open at a time, for one call; the door of `state::host` leads to it. What a call that failed wrote is not
//! taken back: a test ends there.

use super::keyed::column;
use crate::bindings::types::BytesColumn;
use crate::cell::Bytes;
use crate::state::host::Page;
use crate::state::timers::TimeDomain;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Sub-keys and values of one table and key.
type Values = BTreeMap<Vec<u8>, Vec<u8>>;

/// A timer: its time, key and tag, in the order in which they fire.
pub type Due = (i64, Vec<u8>, Vec<u8>);

/// Key and tag of a timer.
type Name = (Vec<u8>, Vec<u8>);

/// What a plugin remembers.
#[derive(Debug, Default)]
pub struct Memory {
    values: BTreeMap<(u32, Vec<u8>), Values>,
    /// keys of the call
    keys: Vec<Vec<u8>>,
    /// by domain: event time, processing time
    timers: [BTreeMap<Name, i64>; 2],
}

thread_local! {
    static OPEN: RefCell<Memory> = RefCell::default();
}

/// The memory of the call that is under way.
///
/// # Panics
/// When it is used by two at once, which a plugin cannot do.
pub fn with<R>(use_it: impl FnOnce(&mut Memory) -> R) -> R {
    OPEN.with_borrow_mut(use_it)
}

/// Calls with a memory, whose keys are these.
pub fn during<R>(memory: &mut Memory, keys: Vec<Vec<u8>>, call: impl FnOnce() -> R) -> R {
    memory.keys = keys;
    OPEN.with_borrow_mut(|open| std::mem::swap(open, memory));
    let result = call();
    OPEN.with_borrow_mut(|open| std::mem::swap(open, memory));
    result
}

impl Memory {
    fn place(&self, table: u32, key: u32) -> (u32, Vec<u8>) {
        let count = self.keys.len();
        let key = self.keys.get(key as usize);
        (table, key.unwrap_or_else(|| panic!("state of a key outside of the {count} of the call is used")).clone())
    }

    pub fn get(&self, table: u32, key: u32, sub_key: &[u8]) -> Option<Vec<u8>> {
        self.values.get(&self.place(table, key))?.get(sub_key).cloned()
    }

    pub fn put(&mut self, table: u32, key: u32, sub_key: &[u8], value: Option<&[u8]>) {
        let values = self.values.entry(self.place(table, key)).or_default();
        match value {
            Some(value) => values.insert(sub_key.to_vec(), value.to_vec()),
            None => values.remove(sub_key),
        };
    }

    pub fn scan(&self, table: u32, key: u32, start: &[u8], end: &[u8], limit: usize) -> Page {
        let end_bound = if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) };
        let Some(values) = self.values.get(&self.place(table, key)) else { return Page::default() };
        if !end.is_empty() && start >= end {
            return Page::default();
        }
        let found = values.range::<[u8], _>((Bound::Included(start), end_bound));
        let mut entries: Vec<_> =
            found.take(limit + 1).map(|(sub_key, value)| (sub_key.clone(), value.clone())).collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Page { entries, more }
    }

    /// The states of a call with these keys, an empty cell where there is none.
    pub fn states(&mut self, keys: Vec<Vec<u8>>) -> BytesColumn {
        self.keys = keys;
        let states: Vec<_> = (0..self.keys.len() as u32).map(|key| self.get(0, key, &[]).unwrap_or_default()).collect();
        column(states.iter().map(Vec::as_slice))
    }

    /// The states that came back, in the order of the keys; an empty one deletes.
    pub fn put_states(&mut self, states: &BytesColumn) -> Result<(), String> {
        let count = self.keys.len();
        let cells =
            Bytes::open(states, count).ok_or_else(|| format!("there are {count} keys, and not as many states"))?;
        for key in 0..count {
            let state = cells.get(key);
            self.put(0, key as u32, &[], (!state.is_empty()).then_some(state));
        }
        Ok(())
    }

    /// Sets a timer, or takes it away.
    pub fn set_timer(&mut self, domain: TimeDomain, key: &[u8], tag: &[u8], at_ms: Option<i64>) {
        let (timers, name) = (&mut self.timers[place_of(domain)], (key.to_vec(), tag.to_vec()));
        match at_ms {
            Some(at_ms) => timers.insert(name, at_ms),
            None => timers.remove(&name),
        };
    }

    /// Takes the timers that are due, the earliest first.
    pub fn take_due(&mut self, domain: TimeDomain, reached_ms: i64) -> Vec<Due> {
        let timers = &mut self.timers[place_of(domain)];
        let mut due: Vec<Due> = timers
            .iter()
            .filter(|(_, at_ms)| **at_ms <= reached_ms)
            .map(|((key, tag), at_ms)| (*at_ms, key.clone(), tag.clone()))
            .collect();
        due.sort();
        for (_, key, tag) in &due {
            timers.remove(&(key.clone(), tag.clone()));
        }
        due
    }
}

fn place_of(domain: TimeDomain) -> usize {
    match domain {
        TimeDomain::EventTime => 0,
        TimeDomain::ProcessingTime => 1,
    }
}
