//! Host: the keyed state of the call that is under way.
//!
//! The rule: **a guest names keys by their index in this call**, so it cannot name one that its partition does not own; what it writes
//! counts when the call has returned ok, and what it asks too much of ends the call.
//! Left to others: where values are kept (whoever gives the [`KeyedState`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime::component::{HasSelf, Linker};

use super::{
    Guest,
    bindings::{self, state::BytesColumn},
};
use crate::error::{Error, Kind, Result};

/// One value: a table, a key of the call, a sub-key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// index in the manifest's tables
    pub table: u32,
    /// index in the keys of the call
    pub key: u32,
    /// empty where the table has none
    pub sub_key: &'a [u8],
}

/// A page of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// sub-keys and values, rising
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// whether there is more behind the last one
    pub more: bool,
}

/// State as one call sees it. `Kind::Step` is what the guest did wrong, any other kind what the host could not do.
pub trait KeyedState: Send {
    /// A call begins; what an earlier one wrote and nobody kept is gone.
    fn begin(&mut self);

    /// The call returned ok: what it wrote counts.
    fn keep(&mut self);

    /// The value of a place.
    fn get(&mut self, place: Place<'_>) -> Result<Option<Vec<u8>>>;

    /// Sets a value; none deletes it.
    fn put(&mut self, place: Place<'_>, value: Option<&[u8]>) -> Result<()>;

    /// Sub-keys from `start` up to but without `end` (empty: to the last), at most `limit`, with a bound on their bytes.
    fn scan(&mut self, table: u32, key: u32, start: &[u8], end: &[u8], limit: usize) -> Result<Page>;
}

/// State that a step and its instance share; only one of them works at a time.
pub type SharedState = Arc<Mutex<dyn KeyedState>>;

/// Longest sub-key and largest value, in bytes.
pub const MOST: (usize, usize) = (1 << 10, 1 << 20);

/// Most bytes that one `get-many` gives: it may name the same key again and again.
const MOST_READ: usize = 32 << 20;

/// What a value costs the host beside its bytes.
const VALUE: usize = 32;

/// Most entries of a page.
const PAGE: u32 = 10_000;

/// What the present call may do.
#[derive(Default)]
pub(in crate::plugin) struct Access {
    open: Option<SharedState>,
    /// bytes that it may still write
    left: usize,
    /// what the host could not do, which is no fault of the guest
    pub(in crate::plugin) failed: Option<Error>,
}

impl Access {
    /// For a call that may write so many bytes.
    pub(in crate::plugin) fn open(&mut self, state: Option<SharedState>, bytes: usize) {
        *self = Self { open: state, left: bytes, failed: None };
    }

    fn held(&self) -> Result<MutexGuard<'_, dyn KeyedState + 'static>> {
        let none =
            || Error::new(Kind::Step, "there is no state in `describe` and `init`: use it in calls with records");
        let state = self.open.as_ref().ok_or_else(none)?;
        Ok(state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn written(&mut self, place: Place<'_>, value: Option<&[u8]>) -> Result<()> {
        let refuse = |what: &str, bytes: usize, most: usize| {
            Err(Error::new(Kind::Step, format!("it writes {what} of {bytes} bytes, the limit is {most}")))
        };
        let bytes = value.map_or(0, <[u8]>::len);
        if place.sub_key.len() > MOST.0 {
            return refuse("a sub-key", place.sub_key.len(), MOST.0);
        }
        if bytes > MOST.1 {
            return refuse("a value", bytes, MOST.1);
        }
        let size = bytes + place.sub_key.len() + VALUE;
        let Some(left) = self.left.checked_sub(size) else {
            // in `describe` and `init` nothing may be written, because there is nothing
            self.held().map(drop)?;
            return Err(Error::new(Kind::Step, "it writes more state in one call than a call may give back"));
        };
        self.left = left;
        self.held()?.put(place, value)
    }

    /// The error for the guest; what is not its fault is kept for the host.
    fn judge<T>(&mut self, done: Result<T>) -> wasmtime::Result<T> {
        done.map_err(|error| {
            let words = error.to_string();
            if error.kind() != Kind::Step {
                self.failed = Some(error);
            }
            wasmtime::Error::msg(words)
        })
    }
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::state::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}

impl bindings::state::Host for Guest {
    fn get(&mut self, table: u32, key: u32, sub_key: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        let found = self.state.held().and_then(|mut state| state.get(Place { table, key, sub_key: &sub_key }));
        self.state.judge(found)
    }

    fn put(&mut self, table: u32, key: u32, sub_key: Vec<u8>, value: Vec<u8>) -> wasmtime::Result<()> {
        let done = self.state.written(Place { table, key, sub_key: &sub_key }, Some(&value));
        self.state.judge(done)
    }

    fn delete(&mut self, table: u32, key: u32, sub_key: Vec<u8>) -> wasmtime::Result<()> {
        let done = self.state.written(Place { table, key, sub_key: &sub_key }, None);
        self.state.judge(done)
    }

    fn get_many(&mut self, table: u32, keys: Vec<u32>) -> wasmtime::Result<bindings::types::OptionalBytes> {
        let found = self.state.held().and_then(|mut state| {
            let (mut left, mut found) = (MOST_READ, Vec::new());
            for key in keys {
                let value = state.get(Place { table, key, sub_key: &[] })?;
                let size = VALUE + value.as_ref().map_or(0, Vec::len);
                left = left.checked_sub(size).ok_or_else(|| {
                    Error::new(Kind::Step, format!("it reads more than {MOST_READ} bytes of state with one get-many"))
                })?;
                found.push(value);
            }
            Ok(found)
        });
        let found = self.state.judge(found)?;
        let cells = column(found.iter().map(|value| value.as_deref().unwrap_or_default()));
        Ok(bindings::types::OptionalBytes {
            cells,
            present: found.iter().map(|value| value.is_some().into()).collect(),
        })
    }

    fn put_many(&mut self, table: u32, keys: Vec<u32>, values: bindings::types::OptionalBytes) -> wasmtime::Result<()> {
        let done = self.put_all(table, &keys, values);
        self.state.judge(done)
    }

    fn scan(
        &mut self,
        table: u32,
        key: u32,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
    ) -> wasmtime::Result<bindings::state::Entries> {
        let limit = limit.min(PAGE) as usize;
        let page = self.state.held().and_then(|mut state| state.scan(table, key, &start, &end, limit));
        let Page { entries, more } = self.state.judge(page)?;
        Ok(bindings::state::Entries {
            sub_keys: column(entries.iter().map(|(sub_key, _)| sub_key.as_slice())),
            values: column(entries.iter().map(|(_, value)| value.as_slice())),
            more,
        })
    }
}

impl Guest {
    fn put_all(&mut self, table: u32, keys: &[u32], values: bindings::types::OptionalBytes) -> Result<()> {
        let wrong = |what: String| Error::new(Kind::Step, format!("put-many: {what}"));
        let values = super::super::lift::optional(values, keys.len()).map_err(wrong)?;
        let mut pairs = keys.iter().zip(&values);
        pairs
            .try_for_each(|(key, value)| self.state.written(Place { table, key: *key, sub_key: &[] }, value.as_deref()))
    }
}

fn column<'a>(cells: impl Iterator<Item = &'a [u8]>) -> BytesColumn {
    let (mut data, mut offsets) = (Vec::new(), vec![0]);
    for cell in cells {
        data.extend_from_slice(cell);
        offsets.push(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }
    BytesColumn { data, offsets }
}
