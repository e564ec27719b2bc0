//! One shard: its records in order, its numbers, its place in the lineage.
//!
//! The rule: counts never go back or repeat, arrival times never go back, and a closed shard takes nothing more.
//! Who may close it and into what is `reshard.rs`; how its records reach a file is `disk.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::Millis;
use super::hash::HashRange;
use super::sequence::Sequence;

/// Memory that one record takes beside its key and its data.
pub const RECORD_OVERHEAD: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub sequence: Sequence,
    pub arrival: Millis,
    pub partition_key: String,
    pub data: Bytes,
}

impl Record {
    pub fn held(&self) -> usize {
        self.partition_key.len() + self.data.len() + RECORD_OVERHEAD
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    pub at: Millis,
    /// Above every record of the shard.
    pub ending: Sequence,
}

#[derive(Debug)]
pub struct Shard {
    pub index: u32,
    pub range: HashRange,
    /// Seconds; later than that of every parent, which may be later than the clock.
    pub birth: u64,
    pub opened: Millis,
    pub closed: Option<Closed>,
    pub parents: Vec<u32>,
    pub children: Vec<u32>,
    records: VecDeque<Arc<Record>>,
    count: u64,
    last_arrival: Millis,
    /// Wakes whoever waits for records, for the end of the shard, or for its subscription to be taken over.
    wake: watch::Sender<()>,
}

/// What one read found.
#[derive(Clone, Debug)]
pub struct Batch {
    pub records: Vec<Arc<Record>>,
    /// Where the next read starts.
    pub next: Sequence,
    /// Nothing is left in the shard after these records.
    pub caught_up: bool,
    pub millis_behind: u64,
}

impl Shard {
    pub fn new(index: u32, range: HashRange, birth: u64, opened: Millis, parents: Vec<u32>) -> Self {
        Self {
            index,
            range,
            birth,
            opened,
            closed: None,
            parents,
            children: Vec::new(),
            records: VecDeque::new(),
            count: 0,
            last_arrival: opened,
            wake: watch::Sender::new(()),
        }
    }

    pub fn id(&self) -> String {
        id_of(self.index)
    }

    /// The least number that a record of this shard can have.
    pub fn starting(&self) -> Sequence {
        Sequence::record(self.birth, self.index, 0, self.opened)
    }

    /// Where a reader starts that wants only records still to come.
    pub fn tip(&self) -> Sequence {
        Sequence::record(self.birth, self.index, self.count.saturating_add(1), 0)
    }

    /// Where a reader starts that wants what arrived at `time` or later.
    pub fn at_time(&self, time: Millis) -> Sequence {
        let at = self.records.partition_point(|r| r.arrival < time);
        self.records.get(at).map_or(self.tip(), |r| r.sequence)
    }

    pub fn continuation(&self, now: Millis) -> Sequence {
        let time = now.max(self.last_arrival);
        Sequence::continuation(self.birth, self.index, self.count, time)
    }

    /// Gives a record its number; it is not readable before `push`.
    pub fn number(&mut self, now: Millis, partition_key: String, data: Bytes) -> Arc<Record> {
        self.count += 1;
        self.last_arrival = self.last_arrival.max(now);
        Arc::new(Record {
            sequence: Sequence::record(self.birth, self.index, self.count, self.last_arrival),
            arrival: self.last_arrival,
            partition_key,
            data,
        })
    }

    /// Also restores the counters when the record comes from a file.
    pub fn push(&mut self, record: Arc<Record>) {
        self.count = self.count.max(record.sequence.count());
        self.last_arrival = self.last_arrival.max(record.arrival);
        self.records.push_back(record);
    }

    /// Drops what arrived before `horizon`; returns the memory given back.
    pub fn trim(&mut self, horizon: Millis) -> usize {
        let mut freed = 0;
        while self.records.front().is_some_and(|r| r.arrival < horizon) {
            freed += self.records.pop_front().map_or(0, |r| r.held());
        }
        freed
    }

    pub fn held(&self) -> usize {
        self.records.iter().map(|r| r.held()).sum()
    }

    pub fn close(&mut self, now: Millis, children: Vec<u32>) {
        self.count += 1;
        self.last_arrival = self.last_arrival.max(now);
        let ending = Sequence::record(self.birth, self.index, self.count, self.last_arrival);
        self.closed = Some(Closed { at: now, ending });
        self.children = children;
        self.wake();
    }

    /// Puts back what `close` did, from a file.
    pub fn restore_end(&mut self, closed: Closed, children: Vec<u32>) {
        self.count = self.count.max(closed.ending.count());
        self.closed = Some(closed);
        self.children = children;
    }

    /// Records from `from` on, at least one if there is any.
    pub fn read(&self, now: Millis, from: Sequence, most: usize, most_bytes: usize) -> Batch {
        let start = self.records.partition_point(|r| r.sequence < from);
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in self.records.range(start..).take(most) {
            bytes += record.data.len() + record.partition_key.len();
            if bytes > most_bytes && !records.is_empty() {
                break;
            }
            records.push(Arc::clone(record));
        }
        let unread = self.records.get(start + records.len());
        Batch {
            next: records.last().map_or(from, |r| r.sequence.successor()),
            caught_up: unread.is_none(),
            millis_behind: unread.map_or(0, |r| now.saturating_sub(r.arrival)),
            records,
        }
    }

    pub fn wake(&self) {
        self.wake.send_replace(());
    }

    pub fn watch(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }
}

pub fn id_of(index: u32) -> String {
    format!("shardId-{index:012}")
}

/// The index in a shard's id.
pub fn index_of(id: &str) -> Option<u32> {
    let digits = id.strip_prefix("shardId-")?;
    let plain = digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn shard_of(count: usize) -> Shard {
        let range = HashRange { start: 0, end: u128::MAX };
        let mut shard = Shard::new(0, range, 100, 100_000, Vec::new());
        for i in 0..count {
            let time = 100_000 + i as u64 * 10;
            let record = shard.number(time, format!("k{i}"), Bytes::from(vec![b'x'; 10]));
            shard.push(record);
        }
        shard
    }

    #[test]
    fn a_read_stops_at_count_and_size_but_gives_one_record() {
        let shard = shard_of(5);
        let all = shard.read(100_100, shard.starting(), 100, 1 << 20);
        assert_eq!((all.records.len(), all.caught_up, all.millis_behind), (5, true, 0));
        let two = shard.read(100_100, shard.starting(), 2, 1 << 20);
        assert_eq!((two.records.len(), two.caught_up, two.millis_behind), (2, false, 80));
        assert_eq!(shard.read(100_100, two.next, 9, 0).records[0].partition_key, "k2");
    }

    #[test]
    fn numbers_rise_though_the_clock_goes_back() {
        let mut shard = shard_of(2);
        let early = shard.number(5, "k".into(), Bytes::new());
        let before = shard.read(0, shard.starting(), 9, 999).records[1].clone();
        assert!(early.sequence > before.sequence && early.arrival >= before.arrival);
    }

    #[test]
    fn time_and_tip_are_places_between_records() {
        let shard = shard_of(3);
        let from_second = shard.read(0, shard.at_time(100_001), 9, 999);
        assert_eq!(from_second.records.len(), 2);
        assert!(shard.read(0, shard.tip(), 9, 999).records.is_empty());
        assert_eq!(shard.at_time(999_999), shard.tip());
    }

    #[test]
    fn trimming_gives_memory_back() {
        let mut shard = shard_of(3);
        let held = shard.held();
        let freed = shard.trim(100_010);
        assert_eq!(shard.held() + freed, held);
        assert_eq!(shard.read(0, shard.starting(), 9, 999).records.len(), 2);
    }

    #[test]
    fn shard_ids_are_twelve_digits() {
        assert_eq!(index_of(&id_of(7)), Some(7));
        for id in ["", "shardId-7", "shardId-00000000000x", "shardId-999999999999"] {
            assert_eq!(index_of(id), None, "{id}");
        }
    }
}
