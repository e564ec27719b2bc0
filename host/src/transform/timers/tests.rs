//! Timers against a naive model; late ones, and what a store brings back.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;
use crate::state::{Flush, memory::MemoryStore};

fn timers() -> Timers {
    let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Utf8, false)]));
    Timers::new("step".into(), KeyCodec::new(&schema, &["k".to_owned()]).unwrap())
}

fn name(key: u8, tag: u8, in_event_time: bool) -> Name {
    Name { key: Arc::from(&[key][..]), tag: Arc::from(&[tag][..]), in_event_time }
}

fn commit(timers: &mut Timers, store: &MemoryStore) {
    let mut delta = Delta::default();
    timers.freeze(&mut delta);
    store.write(&[delta], Flush::Now).unwrap();
}

#[derive(Clone, Debug)]
enum Op {
    Set(u8, u8, bool, i64),
    Cancel(u8, u8, bool),
    Advance(bool, i64),
    Commit,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u8..4, 0u8..2, any::<bool>(), 0i64..100).prop_map(|(k, t, e, at)| Op::Set(k, t, e, at)),
        2 => (0u8..4, 0u8..2, any::<bool>()).prop_map(|(k, t, e)| Op::Cancel(k, t, e)),
        3 => (any::<bool>(), 0i64..20).prop_map(|(e, by)| Op::Advance(e, by)),
        2 => Just(Op::Commit),
        1 => Just(Op::Crash),
    ]
}

type Model = BTreeMap<(bool, i64, u8, u8), ()>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_fires_is_what_was_set_last_in_order_of_time(ops in prop::collection::vec(op(), 1..60)) {
        let store = MemoryStore::default();
        let mut timers = timers();
        let (mut model, mut durable) = (Model::new(), Model::new());
        let (mut reached, mut durable_reached) = ([0i64; 2], 0i64);
        for op in ops {
            match op {
                Op::Set(key, tag, event, at) => {
                    model.retain(|(e, _, k, t), ()| (*e, *k, *t) != (event, key, tag));
                    model.insert((event, at, key, tag), ());
                    timers.set(name(key, tag, event), at);
                }
                Op::Cancel(key, tag, event) => {
                    model.retain(|(e, _, k, t), ()| (*e, *k, *t) != (event, key, tag));
                    timers.cancel(&name(key, tag, event));
                }
                Op::Advance(event, by) => {
                    let to = reached[usize::from(event)] + by;
                    reached[usize::from(event)] = to;
                    let mut fired = Vec::new();
                    loop {
                        let some = timers.due(event, to, 2);
                        if some.is_empty() { break }
                        fired.extend(some.into_iter().map(|(when, name)| (event, when.at_ms, name.key[0], name.tag[0])));
                    }
                    prop_assert!(fired.is_sorted_by_key(|(_, at, ..)| *at));
                    fired.sort_unstable();
                    let due: Vec<_> = model.keys().filter(|(e, at, ..)| *e == event && *at <= to).copied().collect();
                    prop_assert_eq!(&fired, &due);
                    model.retain(|(e, at, ..), ()| *e != event || *at > to);
                }
                Op::Commit => {
                    commit(&mut timers, &store);
                    (durable, durable_reached) = (model.clone(), reached[1]);
                }
                Op::Crash => {
                    timers.restore(&store, HashRange::ALL, Some(durable_reached)).unwrap();
                    model = durable.clone();
                    reached[1] = durable_reached;
                }
            }
            let next = |event: bool| model.keys().filter(|(e, ..)| *e == event).map(|(_, at, ..)| *at).min();
            prop_assert_eq!([timers.next_ms(false), timers.next_ms(true)], [next(false), next(true)]);
        }
    }
}

#[test]
fn a_timer_for_a_time_that_has_passed_fires_under_a_number_of_its_own() {
    let store = MemoryStore::default();
    let mut timers = timers();
    timers.set(name(1, 1, true), 10);
    let first = timers.due(true, 20, 9);
    timers.set(name(1, 1, true), 10);
    timers.set(name(1, 2, true), 10);
    timers.set(name(2, 1, true), 21);
    let late = timers.due(true, 20, 9);
    let numbers = |fired: &[(When, Name)]| fired.iter().map(|(when, _)| when.number).collect::<Vec<_>>();
    assert_eq!((numbers(&first), numbers(&late)), (vec![0], vec![1, 2]));
    commit(&mut timers, &store);
    timers.restore(&store, HashRange::ALL, Some(20)).unwrap();
    timers.set(name(1, 1, true), 10);
    assert_eq!(numbers(&timers.due(true, 30, 9)), [3, 0], "the count is part of the state");
}

#[test]
fn a_partition_gets_the_timers_of_its_range() {
    let store = MemoryStore::default();
    let mut all = timers();
    (0..=255u8).for_each(|key| all.set(name(key, 0, true), i64::from(key)));
    commit(&mut all, &store);
    let middle = u128::MAX / 3;
    let ranges = [HashRange { from: 0, to: middle }, HashRange { from: middle + 1, to: u128::MAX }];
    let mut seen = Vec::new();
    for range in ranges {
        let mut part = timers();
        part.restore(&store, range, Some(0)).unwrap();
        let due = part.due(true, 1000, 1000);
        assert!(due.len() > 20, "{}", due.len());
        seen.extend(due.into_iter().map(|(_, name)| name.key[0]));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
}
