//! How far event time has come: per shard as a function of its log, and for a partition as the minimum over its shards.
//!
//! A shard's watermark is its largest event time less the bound for disorder. The idle rule lets a shard that is caught up and silent
//! no longer hold the others back; with all shards idle the watermark rises to the largest of them and no further.

use std::{collections::BTreeMap, time::Duration};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, TimestampMicrosecondType},
};

use crate::{
    error::{Error, Kind, Result},
    planted,
    record::{MIN_US, ShardId},
};

/// The `time:` of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeRule {
    /// the column of the decoded fields; none means arrival time
    pub column: Option<usize>,
    /// how far behind the largest time a record may come
    pub out_of_order_us: i64,
    /// a record further than this past its arrival is a reject
    pub max_ahead_us: i64,
    /// a caught-up shard that is silent for this long holds nothing back; none waits for ever
    pub idle: Option<Duration>,
}

/// The clock of one shard: a function of its log alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardClock {
    /// the largest event time, or none yet
    pub max_event_us: Option<i64>,
    /// the watermark that its parents ended with
    pub floor_us: i64,
    out_of_order_us: i64,
}

/// A row whose time cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTime {
    /// the row
    pub row: u32,
    /// `no_event_time` or `too_far_ahead`
    pub code: &'static str,
    /// in words
    pub message: String,
}

/// Times of the rows that have one, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// rows that stay, rising
    pub rows: Vec<u32>,
    /// microseconds since 1970
    pub event_us: Vec<i64>,
    /// the shard's watermark just before each row
    pub watermark_us: Vec<i64>,
    /// the others
    pub bad: Vec<BadTime>,
}

impl ShardClock {
    /// A clock that goes on from what a manifest says.
    pub fn new(rule: &TimeRule, max_event_us: Option<i64>, floor_us: Option<i64>) -> Self {
        Self { max_event_us, floor_us: floor_us.unwrap_or(MIN_US), out_of_order_us: rule.out_of_order_us }
    }

    fn disorder_us(&self) -> i64 {
        if planted::is("disorder-ignored") { 0 } else { self.out_of_order_us }
    }

    /// No record at or after this time is late.
    pub fn watermark_us(&self) -> i64 {
        self.max_event_us.map_or(MIN_US, |max| max.saturating_sub(self.disorder_us())).max(self.floor_us)
    }

    /// Gives every row its time and the watermark before it, and moves on. `arrival_us` has one value a row of `fields`.
    pub fn observe(&mut self, rule: &TimeRule, fields: &RecordBatch, arrival_us: &[i64]) -> Result<Timed> {
        let times = match rule.column {
            None => None,
            Some(column) => Some(column_us(fields, column)?),
        };
        let rows = arrival_us.len();
        let mut timed = Timed {
            rows: Vec::with_capacity(rows),
            event_us: Vec::with_capacity(rows),
            watermark_us: Vec::with_capacity(rows),
            bad: Vec::new(),
        };
        for (row, arrival) in arrival_us.iter().enumerate() {
            let event = match &times {
                None => Some(*arrival),
                Some((values, nulls)) => (!nulls.is_some_and(|n| n.is_null(row))).then(|| values[row]),
            };
            match event {
                Some(event) if event.saturating_sub(*arrival) <= rule.max_ahead_us => {
                    timed.rows.push(row as u32);
                    timed.event_us.push(event);
                    timed.watermark_us.push(self.watermark_us());
                    self.max_event_us = Some(self.max_event_us.map_or(event, |max| max.max(event)));
                }
                refused => timed.bad.push(bad_time(row as u32, refused, *arrival)),
            }
        }
        Ok(timed)
    }
}

fn bad_time(row: u32, event: Option<i64>, arrival: i64) -> BadTime {
    match event {
        None => BadTime { row, code: "no_event_time", message: "the record has no event time".to_owned() },
        Some(event) => BadTime {
            row,
            code: "too_far_ahead",
            message: format!(
                "the event time is {} s after the record's arrival, more than `max_ahead` allows",
                event.saturating_sub(arrival) / 1_000_000
            ),
        },
    }
}

type Times<'a> = (&'a [i64], Option<&'a arrow::buffer::NullBuffer>);

fn column_us(fields: &RecordBatch, column: usize) -> Result<Times<'_>> {
    let array = fields.column(column);
    match array.data_type() {
        DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            Ok((array.values(), array.nulls()))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            Ok((array.values(), array.nulls()))
        }
        other => Err(Error::new(
            Kind::Config,
            format!("the time field `{}` is {other}; it must be a timestamp", fields.schema().field(column).name()),
        )),
    }
}

/// The watermark of a partition over the shards that it reads.
#[derive(Debug, Default)]
pub struct PartitionClock {
    shards: BTreeMap<ShardId, ShardState>,
    watermark_us: Option<i64>,
}

#[derive(Debug)]
struct ShardState {
    watermark_us: i64,
    idle: bool,
}

impl PartitionClock {
    /// A clock that never falls behind what was reached before.
    pub fn new(reached_us: Option<i64>) -> Self {
        Self { shards: BTreeMap::new(), watermark_us: reached_us }
    }

    /// A shard is read from now on, or its watermark or idleness changed.
    pub fn set(&mut self, shard: &ShardId, watermark_us: i64, idle: bool) {
        self.shards.insert(shard.clone(), ShardState { watermark_us, idle });
    }

    /// A shard is done: it holds nothing back any more.
    pub fn remove(&mut self, shard: &ShardId) {
        self.shards.remove(shard);
    }

    /// The partition's watermark; it never falls.
    pub fn watermark_us(&mut self) -> i64 {
        let active = self.shards.values().filter(|s| !s.idle).map(|s| s.watermark_us).min();
        let reached = active.or_else(|| self.shards.values().map(|s| s.watermark_us).max()).unwrap_or(MIN_US);
        let watermark = self.watermark_us.map_or(reached, |before| before.max(reached));
        self.watermark_us = Some(watermark);
        watermark
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use arrow::{
        array::Int64Array,
        datatypes::{Field, Schema},
    };

    use super::*;

    fn rule() -> TimeRule {
        TimeRule { column: Some(0), out_of_order_us: 10, max_ahead_us: 100, idle: None }
    }

    fn fields(times: &[Option<i64>]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("t", DataType::Int64, true)]);
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(times.to_vec()))]).unwrap()
    }

    #[test]
    fn a_row_sees_the_watermark_before_itself() {
        let mut clock = ShardClock::new(&rule(), None, None);
        let timed =
            clock.observe(&rule(), &fields(&[Some(50), Some(20), None, Some(500), Some(70)]), &[60; 5]).unwrap();
        assert_eq!(timed.rows, [0, 1, 4]);
        assert_eq!(timed.watermark_us, [MIN_US, 40, 40]);
        assert_eq!(
            timed.bad.iter().map(|b| (b.row, b.code)).collect::<Vec<_>>(),
            [(2, "no_event_time"), (3, "too_far_ahead")]
        );
        assert_eq!(clock.watermark_us(), 60);
    }

    #[test]
    fn the_slowest_shard_holds_the_partition_unless_it_is_idle() {
        let (a, b) = (ShardId::new("a"), ShardId::new("b"));
        let mut clock = PartitionClock::new(None);
        clock.set(&a, 100, false);
        clock.set(&b, 20, false);
        assert_eq!(clock.watermark_us(), 20);
        clock.set(&b, 20, true);
        assert_eq!(clock.watermark_us(), 100);
        clock.set(&b, 30, false);
        assert_eq!(clock.watermark_us(), 100, "a watermark never falls");
        clock.set(&a, 150, true);
        clock.set(&b, 30, true);
        assert_eq!(clock.watermark_us(), 150, "all idle: the largest and no further");
    }
}
