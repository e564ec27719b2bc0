//! The timers of a step: which are set, and which are due.
//!
//! The rule: there is one timer by key, tag and domain, and it fires once for each time that it was set. One that is set for a time that has
//! passed is due at once; it gets a number of its own, so that what it makes has other ids than what fired at that time before.
//!
//! A row is `step | hash | key | domain | tag`, domain 1 in event time and 0 else, with the time (8 bytes, milliseconds) and the number (4
//! bytes); domain 2 holds how many timers of a key were set too late (4 bytes). These bytes are kept stable.
//! Left to others: calling the plugin (`stateful`).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    error::{Error, Kind, Result},
    state::{
        Delta, HashRange, StateStore,
        codec::KeyCodec,
        key::{self, Kind as RowKind},
        scan_prefix,
    },
};

/// The domain of the row that counts timers which were set too late.
const COUNTER: u8 = 2;

/// Which timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub key: Arc<[u8]>,
    pub tag: Arc<[u8]>,
    /// in event time, else in processing time
    pub in_event_time: bool,
}

/// When, and which of those that were set for that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct When {
    /// milliseconds since 1970
    pub at_ms: i64,
    pub number: u32,
}

/// The timers of a step.
#[derive(Debug)]
pub struct Timers {
    step: Arc<str>,
    codec: KeyCodec,
    set: HashMap<Name, When>,
    /// in the order in which they fire; apart by domain: processing time, event time
    due: [BTreeSet<(When, Name)>; 2],
    /// how far each domain has come, milliseconds
    reached_ms: [i64; 2],
    /// by key, how many timers were set too late
    late: HashMap<Arc<[u8]>, u32>,
    changed: HashSet<Name>,
    changed_late: HashSet<Arc<[u8]>>,
}

impl Timers {
    /// No timers.
    pub fn new(step: Arc<str>, codec: KeyCodec) -> Self {
        Self {
            step,
            codec,
            set: HashMap::new(),
            due: Default::default(),
            reached_ms: [i64::MIN; 2],
            late: HashMap::new(),
            changed: HashSet::new(),
            changed_late: HashSet::new(),
        }
    }

    /// Sets a timer, or moves it.
    pub fn set(&mut self, name: Name, at_ms: i64) {
        let mut when = When { at_ms, number: 0 };
        if at_ms <= self.reached_ms[usize::from(name.in_event_time)] {
            let late = self.late.entry(name.key.clone()).or_default();
            *late = late.wrapping_add(1);
            when.number = *late;
            self.changed_late.insert(name.key.clone());
        }
        self.cancel(&name);
        self.due[usize::from(name.in_event_time)].insert((when, name.clone()));
        self.changed.insert(name.clone());
        self.set.insert(name, when);
    }

    /// Takes a timer away; nothing happens where it is not set.
    pub fn cancel(&mut self, name: &Name) {
        if let Some(when) = self.set.remove(name) {
            self.due[usize::from(name.in_event_time)].remove(&(when, name.clone()));
            self.changed.insert(name.clone());
        }
    }

    /// Time has come so far in a domain: takes at most so many that are due, the earliest first.
    pub fn due(&mut self, in_event_time: bool, reached_ms: i64, most: usize) -> Vec<(When, Name)> {
        let domain = usize::from(in_event_time);
        self.reached_ms[domain] = self.reached_ms[domain].max(reached_ms);
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((when, _)) = self.due[domain].first()
            && when.at_ms <= reached_ms
        {
            let Some(timer) = self.due[domain].pop_first() else { break };
            self.set.remove(&timer.1);
            self.changed.insert(timer.1.clone());
            taken.push(timer);
        }
        taken
    }

    /// When the next one of a domain is due, milliseconds since 1970.
    pub fn next_ms(&self, in_event_time: bool) -> Option<i64> {
        self.due[usize::from(in_event_time)].first().map(|(when, _)| when.at_ms)
    }

    /// The epoch ends: adds what changed in it.
    pub fn freeze(&mut self, delta: &mut Delta) {
        for name in std::mem::take(&mut self.changed) {
            let row = self.row(&name.key, name.in_event_time.into(), &name.tag);
            match self.set.get(&name) {
                Some(When { at_ms, number }) => {
                    delta.put(row, [&at_ms.to_be_bytes()[..], &number.to_be_bytes()[..]].concat());
                }
                None => delta.delete(row),
            }
        }
        for key in std::mem::take(&mut self.changed_late) {
            delta.put(self.row(&key, COUNTER, &[]), self.late[&key].to_be_bytes().to_vec());
        }
    }

    /// The timers that the last commit left in this range, and how far event time had come.
    pub fn restore(&mut self, store: &dyn StateStore, range: HashRange, reached_ms: Option<i64>) -> Result<()> {
        *self = Self::new(self.step.clone(), self.codec.clone());
        self.reached_ms = [i64::MIN, reached_ms.unwrap_or(i64::MIN)];
        let step = self.step.clone();
        let bucket = |hash: u128| hash.to_be_bytes()[0];
        for bucket in bucket(range.from)..=bucket(range.to) {
            scan_prefix(store, &key::kind_prefix(&step, bucket, RowKind::Timer), |row, value| {
                match key::hash_of(&step, row) {
                    Some(hash) if range.contains(hash) => self.load(row, &value),
                    _ => Ok(()),
                }
            })?;
        }
        Ok(())
    }

    fn load(&mut self, row: &[u8], value: &[u8]) -> Result<()> {
        let bad = || {
            let words = format!("a timer of step {} in the state is damaged; restore the state from a copy", self.step);
            Error::new(Kind::State, words)
        };
        let (_, key, sub_key) = key::parse_state(&self.step, row).ok_or_else(bad)?;
        let (domain, tag) = sub_key.split_first().ok_or_else(bad)?;
        let key: Arc<[u8]> = Arc::from(key);
        if *domain == COUNTER {
            let count = u32::from_be_bytes(value.try_into().map_err(|_| bad())?);
            self.late.insert(key, count);
            return Ok(());
        }
        let (at, number) = value.split_first_chunk::<8>().ok_or_else(bad)?;
        let number = u32::from_be_bytes(number.try_into().map_err(|_| bad())?);
        let when = When { at_ms: i64::from_be_bytes(*at), number };
        let name = Name { key, tag: Arc::from(tag), in_event_time: *domain == 1 };
        self.due[usize::from(name.in_event_time)].insert((when, name.clone()));
        self.set.insert(name, when);
        Ok(())
    }

    fn row(&self, key: &[u8], domain: u8, tag: &[u8]) -> Vec<u8> {
        let sub_key = [&[domain], tag].concat();
        key::state(&self.step, RowKind::Timer, self.codec.hash(key), key, 0, &sub_key)
    }
}

#[cfg(test)]
mod tests;
