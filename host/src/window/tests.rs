//! The window step against a naive computation over random streams: disorder, lateness, crashes between epochs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use arrow::{
    array::{AsArray, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{
        DataType, Field, FieldRef, Float64Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType, UInt32Type,
    },
};
use proptest::prelude::*;

use super::{
    aggregate::{Accumulators, Aggregate, Finished, Firing, Folding, LATE_OUTPUT, Unfolded, Why, WindowAggregate},
    assign::Tumbling,
    built_in::{BuiltIn, Function, Wanted},
    event_time::{ShardClock, TimeRule},
};
use crate::{
    error::Result,
    record::{Batch, Cells, Firings, Origin, Records, Sequence, ShardId},
    state::{Delta, HashRange, StateStore, codec::KeyCodec, memory::MemoryStore},
    transform::{LocalPending, Outputs, RowReject, Step},
};

const LENGTH_US: i64 = 10;
const DISORDER_US: i64 = 5;

/// Key, time, value.
type Click = (u8, i64, Option<i32>);
/// Rows, values, total, mean, least, most of a window.
type Row = (i64, i64, Option<i64>, Option<f64>, Option<i64>, Option<f64>);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("at", DataType::Int64, false),
        Field::new("whole", DataType::Int64, true),
        Field::new("float", DataType::Float64, true),
    ]))
}

fn step(lateness_us: i64) -> WindowAggregate {
    let want = |name: &str, function, column: Option<&str>| Wanted {
        name: name.to_owned(),
        function,
        column: column.map(str::to_owned),
    };
    let wanted = [
        want("rows", Function::Count, None),
        want("values", Function::Count, Some("whole")),
        want("total", Function::Sum, Some("whole")),
        want("mean", Function::Avg, Some("float")),
        want("least", Function::Min, Some("whole")),
        want("most", Function::Max, Some("float")),
    ];
    let aggregate = BuiltIn::new(&schema(), &wanted).unwrap();
    let codec = KeyCodec::new(&schema(), &["key".to_owned()]).unwrap();
    WindowAggregate::new("w", codec, Tumbling { length_us: LENGTH_US }, lateness_us, Box::new(aggregate))
}

fn rule() -> TimeRule {
    TimeRule { column: Some(1), out_of_order_us: DISORDER_US, max_ahead_us: i64::MAX, idle: None }
}

fn batch(clicks: &[Click], clock: &mut ShardClock) -> Batch {
    let count = clicks.len();
    let fields = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringArray::from_iter_values(clicks.iter().map(|c| format!("key{}", c.0)))),
            Arc::new(Int64Array::from_iter_values(clicks.iter().map(|c| c.1))),
            Arc::new(clicks.iter().map(|c| c.2.map(i64::from)).collect::<Int64Array>()),
            Arc::new(clicks.iter().map(|c| c.2.map(|v| f64::from(v) / 3.0)).collect::<Float64Array>()),
        ],
    )
    .unwrap();
    let timed = clock.observe(&rule(), &fields, &vec![0; count]).unwrap();
    let records = Records {
        stream: "s".into(),
        shard: ShardId::new("0"),
        sequence: vec![Sequence::ZERO; count],
        sub_sequence: vec![0; count],
        partition_key: Cells::from_iter(vec![&b""[..]; count]),
        arrival_us: vec![0; count],
    };
    Batch {
        origin: Origin::Records(Arc::new(records)),
        rows: timed.rows,
        nth: vec![0; count],
        event_us: timed.event_us,
        watermark_us: timed.watermark_us,
        fields,
    }
}

/// Last firing of each window, and how many rows were late.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    windows: BTreeMap<(String, i64), (u32, Row)>,
    late: u64,
}

impl Seen {
    fn take(&mut self, out: Outputs) {
        self.late += out.late;
        for (_, batch) in out.batches.into_iter().filter(|(output, _)| *output != LATE_OUTPUT) {
            let fields = &batch.fields;
            let long = |name: &str| fields.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
            let float = |name: &str| fields.column_by_name(name).unwrap().as_primitive::<Float64Type>().clone();
            let starts = fields.column_by_name("window_start").unwrap().as_primitive::<TimestampMicrosecondType>();
            let numbers = fields.column_by_name("firing_number").unwrap().as_primitive::<UInt32Type>();
            for (row, key) in fields.column(0).as_string::<i32>().iter().enumerate() {
                let some = |array: &Int64Array| array.iter().nth(row).unwrap();
                let real = |array: &Float64Array| array.iter().nth(row).unwrap();
                let value = (
                    long("rows").value(row),
                    long("values").value(row),
                    some(&long("total")),
                    real(&float("mean")),
                    some(&long("least")),
                    real(&float("most")),
                );
                let key = (key.unwrap().to_owned(), starts.value(row));
                let before = self.windows.insert(key, (numbers.value(row), value));
                assert_eq!(numbers.value(row), before.map_or(0, |(number, _)| number + 1), "firings are numbered");
            }
        }
    }
}

/// The same by hand, from the log alone.
fn naive(clicks: &[Click], lateness_us: i64) -> (BTreeMap<(String, i64), Row>, u64) {
    let (mut groups, mut late, mut most) = (BTreeMap::<(String, i64), Vec<Option<i32>>>::new(), 0, i64::MIN);
    for (key, at, value) in clicks {
        let start = at.div_euclid(LENGTH_US) * LENGTH_US;
        if start + LENGTH_US + lateness_us <= most.saturating_sub(DISORDER_US) {
            late += 1;
        } else {
            groups.entry((format!("key{key}"), start)).or_default().push(*value);
        }
        most = most.max(*at);
    }
    let row = |values: Vec<Option<i32>>| {
        let some: Vec<i64> = values.iter().flatten().map(|v| i64::from(*v)).collect();
        // Thirds are summed exactly and rounded once.
        let mut exact = super::exact::Exact::default();
        some.iter().for_each(|v| exact.add(*v as f64 / 3.0));
        let any = !some.is_empty();
        (
            values.len() as i64,
            some.len() as i64,
            any.then(|| some.iter().sum()),
            any.then(|| exact.value() / some.len() as f64),
            some.iter().min().copied(),
            some.iter().max().map(|v| *v as f64 / 3.0),
        )
    };
    (groups.into_iter().map(|(key, values)| (key, row(values))).collect(), late)
}

proptest! {
    #[test]
    fn windows_equal_a_naive_computation(
        clicks in prop::collection::vec((0u8..4, 0i64..120, any::<Option<i32>>()), 0..120),
        drift in 0i64..3,
        lateness_us in prop_oneof![Just(0i64), Just(12)],
        cuts in prop::collection::vec((1usize..20, any::<bool>(), any::<bool>()), 1..20),
    ) {
        // Times rise on the whole, with disorder beyond what is allowed.
        let clicks: Vec<Click> = clicks.iter().enumerate().map(|(n, c)| (c.0, c.1 % 40 + n as i64 * drift, c.2)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store: Arc<dyn StateStore> = Arc::new(MemoryStore::default());
        let (mut seen, mut clock) = (Seen::default(), ShardClock::new(&rule(), None, None));
        let mut window = step(lateness_us);
        let (mut rest, mut cuts) = (clicks.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (length, epoch_ends, crash) = cuts.next().unwrap();
            let (now, later) = rest.split_at(rest.len().min(*length));
            rest = later;
            let mut out = Outputs::default();
            runtime.block_on(async {
                window.process(batch(now, &mut clock), &mut out).await.unwrap();
                window.advance(clock.watermark_us(), &mut out).await.unwrap();
            });
            seen.take(out);
            if *epoch_ends {
                let mut delta = Delta::default();
                window.freeze(&mut delta);
                store.write(&[delta], crate::state::Flush::Now).unwrap();
                if *crash {
                    window = step(lateness_us);
                    window.restore(&store, HashRange::ALL, Some(clock.watermark_us())).unwrap();
                }
            }
        }
        let mut out = Outputs::default();
        runtime.block_on(window.close(&mut out)).unwrap();
        seen.take(out);
        let (windows, late) = naive(&clicks, lateness_us);
        let found: BTreeMap<_, _> = seen.windows.into_iter().map(|(key, (_, row))| (key, row)).collect();
        prop_assert_eq!(found, windows);
        prop_assert_eq!(seen.late, late);
        // Whatever is purged leaves no row behind.
        let mut out = Outputs::default();
        runtime.block_on(window.advance(i64::MAX, &mut out)).unwrap();
        let mut delta = Delta::default();
        window.freeze(&mut delta);
        store.write(&[delta], crate::state::Flush::Now).unwrap();
        prop_assert_eq!(store.scan(&[], &[0xff; 8], 10).unwrap(), Vec::new());
    }
}

/// Counts rows, refuses rows without a value, refuses to finish windows of `key9`, and gives two rows for those of `key8`.
struct Picky {
    fields: Vec<FieldRef>,
    counts: BTreeMap<u32, i64>,
    asked: Arc<Mutex<Vec<Why>>>,
}

impl Accumulators for Picky {
    fn save(&self, slot: u32, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.counts.get(&slot).copied().unwrap_or(0).to_be_bytes());
    }

    fn load(&mut self, slot: u32, bytes: &[u8]) -> Result<()> {
        self.counts.insert(slot, i64::from_be_bytes(bytes.try_into().unwrap()));
        Ok(())
    }

    fn clear(&mut self, slots: &[u32]) {
        self.counts.retain(|slot, _| !slots.contains(slot));
    }
}

fn refused(row: u32) -> RowReject {
    RowReject { row, code: "picky".into(), message: "it does not please".into() }
}

impl Aggregate for Picky {
    fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    fn fold<'a>(&'a mut self, batch: &'a mut Batch, folding: Folding<'a>) -> LocalPending<'a, Result<Unfolded>> {
        let whole = batch.fields.column(2).is_null_mask();
        let (bad, good): (Vec<_>, Vec<_>) =
            folding.rows.iter().zip(folding.slots).partition(|(row, _)| whole[**row as usize]);
        good.into_iter().for_each(|(_, slot)| *self.counts.entry(*slot).or_default() += 1);
        let rejects = bad.into_iter().map(|(row, _)| refused(*row)).collect();
        Box::pin(async move { Ok(Unfolded { rejects, evidence: Vec::new() }) })
    }

    fn finish<'a>(
        &'a mut self,
        windows: &'a Firings,
        slots: &'a [u32],
        why: Why,
    ) -> LocalPending<'a, Result<Finished>> {
        self.asked.lock().unwrap().push(why);
        let is = |window: u32, key: &[u8]| windows.key.cell(window as usize).ends_with(key);
        let all = 0..slots.len() as u32;
        let rejects = all.clone().filter(|window| is(*window, b"key9")).map(refused).collect();
        let twice = |window: u32| std::iter::repeat_n(window, if is(window, b"key8") { 2 } else { 1 });
        let source: Vec<u32> = all.flat_map(twice).collect();
        let counts: Int64Array = source.iter().map(|window| Some(self.counts[&slots[*window as usize]])).collect();
        Box::pin(async move { Ok(Finished { source, columns: vec![Arc::new(counts)], rejects }) })
    }
}

/// Which rows are null.
trait Nulls {
    fn is_null_mask(&self) -> Vec<bool>;
}

impl Nulls for arrow::array::ArrayRef {
    fn is_null_mask(&self) -> Vec<bool> {
        (0..self.len()).map(|row| self.is_null(row)).collect()
    }
}

fn picky() -> WindowAggregate {
    picky_of(Arc::default())
}

fn picky_of(asked: Arc<Mutex<Vec<Why>>>) -> WindowAggregate {
    let fields = vec![Arc::new(Field::new("n", DataType::Int64, false))];
    let picky = Picky { fields, counts: BTreeMap::new(), asked };
    let codec = KeyCodec::new(&schema(), &["key".to_owned()]).unwrap();
    WindowAggregate::new("w", codec, Tumbling { length_us: LENGTH_US }, 0, Box::new(picky))
}

fn keys(batch: &Batch) -> Vec<&str> {
    batch.fields.column_by_name("key").unwrap().as_string::<i32>().iter().flatten().collect()
}

#[tokio::test]
async fn a_window_whose_only_records_were_refused_does_not_fire() {
    let (mut step, mut out) = (picky(), Outputs::default());
    let clicks = [(1, 0, Some(1)), (2, 1, None), (3, 2, Some(1)), (3, 3, None)];
    step.process(batch(&clicks, &mut ShardClock::new(&rule(), None, None)), &mut out).await.unwrap();
    assert_eq!(out.rejects[0].1.iter().map(|reject| reject.row).collect::<Vec<_>>(), [1, 3]);
    let mut fired = Outputs::default();
    step.advance(LENGTH_US, &mut fired).await.unwrap();
    assert_eq!(keys(&fired.batches[0].1), ["key1", "key3"]);
    // the slot of the refused key is given out again, as new
    let mut delta = Delta::default();
    step.freeze(&mut delta);
    let late = [(2, LENGTH_US + 1, Some(1))];
    step.process(batch(&late, &mut ShardClock::new(&rule(), None, None)), &mut out).await.unwrap();
    let mut fired = Outputs::default();
    step.advance(2 * LENGTH_US, &mut fired).await.unwrap();
    assert_eq!(keys(&fired.batches[0].1), ["key2"]);
}

#[tokio::test]
async fn a_window_that_is_refused_gives_a_reject_with_its_key_and_no_result() {
    let (mut step, mut out) = (picky(), Outputs::default());
    let clicks = [(9, 0, Some(1)), (1, 1, Some(1))];
    step.process(batch(&clicks, &mut ShardClock::new(&rule(), None, None)), &mut out).await.unwrap();
    let mut fired = Outputs::default();
    step.advance(LENGTH_US, &mut fired).await.unwrap();
    assert_eq!(keys(&fired.batches[0].1), ["key1"]);
    let (groups, rejects) = &fired.rejects[0];
    assert_eq!(keys(groups)[rejects[0].row as usize], "key9");
    assert!(groups.fields.column_by_name("window_start").is_some());
}

#[tokio::test]
async fn rows_of_one_window_are_numbered() {
    let (mut step, mut out) = (picky(), Outputs::default());
    let clicks = [(8, 0, Some(1)), (1, 1, Some(1))];
    step.process(batch(&clicks, &mut ShardClock::new(&rule(), None, None)), &mut out).await.unwrap();
    let mut fired = Outputs::default();
    step.advance(LENGTH_US, &mut fired).await.unwrap();
    let rows = &fired.batches[0].1;
    assert_eq!((keys(rows), rows.nth.as_slice()), (vec!["key8", "key8", "key1"], &[0, 1, 0][..]));
}

#[tokio::test]
async fn an_aggregate_is_told_the_watermark_that_makes_its_windows_fire() {
    let asked: Arc<Mutex<Vec<Why>>> = Arc::default();
    let (mut step, mut out) = (picky_of(asked.clone()), Outputs::default());
    step.process(batch(&[(1, 0, Some(1))], &mut ShardClock::new(&rule(), None, None)), &mut out).await.unwrap();
    step.advance(LENGTH_US + 7, &mut out).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), [Why { firing: Firing::OnTime, watermark_us: LENGTH_US + 7 }]);
}

#[tokio::test]
async fn a_crowd_of_windows_fires_in_parts() {
    let (mut step, mut clock) = (step(0), ShardClock::new(&rule(), None, None));
    let mut out = Outputs::default();
    // 40 windows of 250 keys: all are due at once
    for window in 0..40 {
        let clicks: Vec<Click> = (0..250).map(|key| (key, window * LENGTH_US, Some(1))).collect();
        step.process(batch(&clicks, &mut clock), &mut out).await.unwrap();
    }
    let mut fired = Outputs::default();
    step.advance(i64::MAX / 2, &mut fired).await.unwrap();
    let sizes: Vec<usize> = fired.batches.iter().filter(|(output, _)| *output == 0).map(|(_, b)| b.len()).collect();
    assert_eq!(sizes, [4096, 4096, 40 * 250 - 8192]);
}
