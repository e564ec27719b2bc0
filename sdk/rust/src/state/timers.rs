//! Timers: set and cancelled while records are processed, and given back when they are due.
//!
//! The rule: there is one timer by key, tag and time domain; setting it again moves it. What is set counts when the call returns.
//! Left to others: when they are due (the host, or `testing`).

use crate::bindings::types::{self, DueTimers, TimerOps};
use crate::cell::Bytes;
use crate::out::absent;
use crate::rows::Row;
use crate::value::BytesBuilder;
use std::cell::RefCell;

pub use types::TimeDomain;

/// What a call sets and cancels, in its order.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    key: Vec<u32>,
    tag: BytesBuilder,
    domain: Vec<TimeDomain>,
    at_ms: Vec<i64>,
    set: Vec<u8>,
}

impl Ops {
    fn push(&mut self, key: u32, tag: &[u8], domain: TimeDomain, at_ms: Option<i64>) {
        self.key.push(key);
        self.tag.push(tag);
        self.domain.push(domain);
        self.at_ms.push(at_ms.unwrap_or_default());
        self.set.push(at_ms.is_some().into());
    }

    pub(crate) fn finish(self) -> TimerOps {
        let tag = if self.key.is_empty() { absent() } else { self.tag.finish() };
        TimerOps { key: self.key, tag, domain: self.domain, at_ms: self.at_ms, set: self.set }
    }
}

/// The timers of one key.
#[derive(Clone, Copy, Debug)]
pub struct KeyTimers<'k> {
    pub(crate) ops: &'k RefCell<Ops>,
    pub(crate) key: u32,
}

impl KeyTimers<'_> {
    /// Sets the timer with this tag, or moves it; `at_ms` in milliseconds since 1970. One for a time that has passed is due at once.
    pub fn set(&self, domain: TimeDomain, tag: impl AsRef<[u8]>, at_ms: i64) {
        self.ops.borrow_mut().push(self.key, tag.as_ref(), domain, Some(at_ms));
    }

    /// Takes the timer with this tag away, where it is set.
    pub fn cancel(&self, domain: TimeDomain, tag: impl AsRef<[u8]>) {
        self.ops.borrow_mut().push(self.key, tag.as_ref(), domain, None);
    }
}

/// A timer that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timer<'a> {
    pub tag: &'a [u8],
    pub domain: TimeDomain,
    pub at_ms: i64,
}

impl<'a> Timer<'a> {
    /// The tag, where it was set as text.
    pub fn text(&self) -> Result<&'a str, String> {
        str::from_utf8(self.tag).map_err(|error| format!("the tag of a timer is no UTF-8: {error}"))
    }
}

/// The timers of one call, the earliest first.
pub struct Timers<'a> {
    due: &'a DueTimers,
    tags: Bytes<'a>,
    next: usize,
}

impl<'a> Timers<'a> {
    pub(crate) fn open(due: &'a DueTimers) -> Result<Self, String> {
        let count = due.at_ms.len();
        let tags = Bytes::open(&due.tag, count).filter(|_| due.domain.len() == count && due.key.len() == count);
        Ok(Self { due, tags: tags.ok_or("the timers that are due are not whole")?, next: 0 })
    }

    /// Processing time: the same again when the call is repeated.
    pub fn now_ms(&self) -> i64 {
        self.due.now_ms
    }

    /// A seed for random numbers: the same again when the call is repeated.
    pub fn seed(&self) -> u64 {
        self.due.seed
    }

    /// How far event time has come; none while there is no watermark.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.due.watermark_ms
    }
}

impl<'a> Iterator for Timers<'a> {
    type Item = Row<Timer<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (index, due) = (self.next, self.due);
        let at_ms = *due.at_ms.get(index)?;
        self.next += 1;
        Some(Row::new(Timer { tag: self.tags.get(index), domain: due.domain[index], at_ms }, index as u32))
    }
}
