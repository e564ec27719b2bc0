//! Timers that a guest sets and cancels, checked.

use super::{Lifted, cells, types};
use crate::record::Cells;

/// Timers to set and to cancel, in the guest's order. All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimerOps {
    /// index of a key of the call
    pub key: Vec<u32>,
    pub tag: Cells,
    /// in event time, else in processing time
    pub in_event_time: Vec<bool>,
    /// milliseconds since 1970
    pub at_ms: Vec<i64>,
    /// sets, else cancels
    pub set: Vec<bool>,
}

/// Longest tag, in bytes.
const LONGEST_TAG: usize = 256;

/// `keys`: how many the call was given; none where the world has no timers.
pub fn timers(ops: types::TimerOps, keys: Option<usize>) -> Lifted<TimerOps> {
    let count = ops.key.len();
    if count == 0 && ops.at_ms.is_empty() && ops.domain.is_empty() && ops.set.is_empty() {
        return Ok(TimerOps::default());
    }
    let Some(keys) = keys else {
        return Err("it sets timers, which only plugins with keyed state may do".into());
    };
    for (what, length) in [("domain", ops.domain.len()), ("at-ms", ops.at_ms.len()), ("set", ops.set.len())] {
        if length != count {
            return Err(format!("timers have {count} keys and {length} cells of `{what}`"));
        }
    }
    if let Some(key) = ops.key.iter().find(|key| **key as usize >= keys) {
        return Err(format!("a timer is for key {key}, but the call has {keys} keys"));
    }
    let tag = cells(ops.tag, count, "tags of timers")?;
    if let Some(long) = tag.iter().find(|tag| tag.len() > LONGEST_TAG) {
        return Err(format!("the tag of a timer has {} bytes, the limit is {LONGEST_TAG}", long.len()));
    }
    if let Some(op) = ops.set.iter().find(|op| **op > 1) {
        return Err(format!("`set` of a timer is {op}, expected 0 or 1"));
    }
    let in_event_time = ops.domain.iter().map(|domain| matches!(domain, types::TimeDomain::EventTime)).collect();
    Ok(TimerOps {
        key: ops.key,
        tag,
        in_event_time,
        at_ms: ops.at_ms,
        set: ops.set.iter().map(|op| *op == 1).collect(),
    })
}

impl TimerOps {
    /// These and then the others.
    pub fn extend(&mut self, later: Self) {
        if later.key.is_empty() {
            return;
        }
        self.tag = self.tag.iter().chain(later.tag.iter()).collect();
        self.key.extend(later.key);
        self.in_event_time.extend(later.in_event_time);
        self.at_ms.extend(later.at_ms);
        self.set.extend(later.set);
    }
}
