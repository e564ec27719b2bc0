//! What one instance may hold and take.
//!
//! The rule: every bound has a number, and reaching it is a failure of the guest, never of the host.
//! Left to others: what a guest returns (`lift`), what it logs (`capability/log`).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// How often a running guest is asked to give way.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The bounds of one instance. The defaults suit plugins in Rust, Go and C.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// bytes of a component that are read
    pub component: u64,
    /// bytes of linear memory, all memories of an instance together
    pub memory: usize,
    /// an instance that holds more than this after a call is replaced before the next one
    pub memory_watermark: usize,
    /// an instance is replaced after this many calls
    pub calls: u32,
    /// CPU time of one call; the search for a record that never ends takes about three times as much
    pub call_time: Duration,
    /// percent of a processor that an instance may take over time; none: all of it
    pub cpu: Option<u32>,
    /// bytes that a guest may hand to the host in one call
    pub output: usize,
    /// rows that a guest may emit for each row it was given
    pub rows_per_row: usize,
    /// log lines a second, and the burst above it
    pub log_lines: u32,
    /// calls that the search for a bad record may cost
    pub bisect_calls: u32,
    /// CPU time that the search for a bad record may cost
    pub bisect_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component: 64 << 20,
            memory: 64 << 20,
            memory_watermark: 48 << 20,
            calls: 100_000,
            call_time: Duration::from_millis(500),
            cpu: None,
            output: 32 << 20,
            rows_per_row: 1_000,
            log_lines: 50,
            bisect_calls: 32,
            bisect_time: Duration::from_secs(2),
        }
    }
}

/// What a job changes of the limits for one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// bytes of linear memory
    pub memory: Option<usize>,
    /// CPU time of one call
    pub call_time: Option<Duration>,
    /// percent of a processor
    pub cpu: Option<u32>,
    /// bytes handed to the host in one call
    pub output: Option<usize>,
    /// log lines a second
    pub log_lines: Option<u32>,
    /// bytes of state of a partition, about; kept by whoever keeps the state
    pub state: Option<u64>,
}

impl Bounds {
    /// These limits with what is changed. What follows from a limit changes with it.
    pub fn of(&self, limits: &Limits) -> Limits {
        let memory = self.memory.unwrap_or(limits.memory);
        let call_time = self.call_time.unwrap_or(limits.call_time);
        Limits {
            memory,
            memory_watermark: self.memory.map_or(limits.memory_watermark, |memory| memory / 4 * 3),
            call_time,
            bisect_time: self.call_time.map_or(limits.bisect_time, |time| limits.bisect_time.max(time * 4)),
            cpu: self.cpu.or(limits.cpu),
            output: self.output.unwrap_or(limits.output),
            log_lines: self.log_lines.unwrap_or(limits.log_lines),
            ..limits.clone()
        }
    }
}

impl Limits {
    /// Twice the largest batch, at most 64 MiB.
    pub fn output_for(largest_batch: usize) -> usize {
        largest_batch.saturating_mul(2).min(64 << 20)
    }
}

/// Entries of a guest's tables (function pointers).
const TABLE_ENTRIES: usize = 100_000;

/// Core instances, memories and tables of a component: a guest with an adapter has a handful, Python with its libraries 38.
const PARTS: usize = 64;

/// Handles (streams, pollables) a guest may hold.
pub(super) const HANDLES: usize = 1_000;

/// How much an instance holds, and what it was refused.
#[derive(Debug)]
pub(super) struct Growth {
    limit: usize,
    /// bytes of all linear memories
    pub(super) memory: usize,
    /// the last growth that was refused, in words
    pub(super) refused: Option<String>,
}

impl Growth {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, memory: 0, refused: None }
    }
}

impl wasmtime::ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_sub(current).saturating_add(desired);
        if total > self.limit {
            self.refused = Some(format!("it asked for {total} bytes of memory, the limit is {}", self.limit));
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= TABLE_ENTRIES;
        if !allowed {
            self.refused = Some(format!("it asked for a table of {desired} entries, the limit is {TABLE_ENTRIES}"));
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}

/// CPU time of the thread spent in the guest during one call. Wall time would reject good records on a loaded machine.
///
/// Asking the system for CPU time costs more than many a call, so it is asked from the first tick on. Until then wall time stands for it,
/// but never more than a tick of it.
#[derive(Debug, Default)]
pub(super) struct Meter {
    budget: AtomicU64,
    spent: AtomicU64,
    /// by the clock of `ticked`
    resumed: AtomicU64,
    ticked: AtomicBool,
}

impl Meter {
    /// A call begins on this thread.
    pub(super) fn start(&self, budget: Duration) {
        self.budget.store(nanoseconds(budget), Ordering::Relaxed);
        self.spent.store(0, Ordering::Relaxed);
        self.ticked.store(false, Ordering::Relaxed);
        self.resumed.store(time(ClockId::Monotonic), Ordering::Relaxed);
    }

    /// The guest goes on, perhaps on another thread than before.
    pub(super) fn resume(&self) {
        self.ticked.store(true, Ordering::Relaxed);
        self.resumed.store(time(ClockId::ThreadCPUTime), Ordering::Relaxed);
    }

    /// The guest stops for now.
    pub(super) fn pause(&self) {
        let resumed = self.resumed.load(Ordering::Relaxed);
        let since = if self.ticked.load(Ordering::Relaxed) {
            time(ClockId::ThreadCPUTime).saturating_sub(resumed)
        } else {
            time(ClockId::Monotonic).saturating_sub(resumed).min(nanoseconds(TICK))
        };
        self.spent.fetch_add(since, Ordering::Relaxed);
    }

    /// Whether the budget is used up.
    pub(super) fn exhausted(&self) -> bool {
        self.spent.load(Ordering::Relaxed) >= self.budget.load(Ordering::Relaxed)
    }

    /// What the call has taken until it was last paused.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// What the call may take.
    pub(super) fn budget(&self) -> Duration {
        Duration::from_nanos(self.budget.load(Ordering::Relaxed))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn time(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use wasmtime::ResourceLimiter;

    use super::*;

    #[test]
    fn memories_are_counted_together_and_a_refusal_is_remembered() {
        let mut growth = Growth::new(100);
        assert!(growth.memory_growing(0, 60, None).unwrap());
        assert!(growth.memory_growing(0, 40, None).unwrap());
        assert!(!growth.memory_growing(40, 41, None).unwrap());
        assert_eq!(growth.refused.as_deref(), Some("it asked for 101 bytes of memory, the limit is 100"));
        assert!(!growth.table_growing(0, usize::MAX, None).unwrap());
    }

    #[test]
    fn only_time_between_resume_and_pause_counts() {
        let meter = Meter::default();
        meter.start(Duration::from_millis(2));
        while !meter.exhausted() {
            meter.pause();
            meter.resume();
        }
        assert!(meter.spent() >= meter.budget());
    }
}
