//! Tables against a naive model over random calls, batches, epochs and crashes; what is stored by versions and by time.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;
use crate::state::{Flush, memory::MemoryStore};

fn codec() -> KeyCodec {
    let schema = Arc::new(Schema::new(vec![Field::new("k", DataType::Utf8, false)]));
    KeyCodec::new(&schema, &["k".to_owned()]).unwrap()
}

fn table(name: &str, version: u32, migrates_from: &[u32], ttl_ms: Option<u64>) -> Table {
    Table {
        name: name.into(),
        prefetch: false,
        schema: None,
        schema_version: version,
        migrates_from: migrates_from.to_vec(),
        ttl_ms,
    }
}

fn tables(store: &Arc<dyn StateStore>, tables: Vec<Table>) -> Tables {
    Tables::new("step".into(), codec(), tables, store.clone())
}

fn store() -> Arc<dyn StateStore> {
    Arc::new(MemoryStore::default())
}

fn key(number: u8) -> Vec<u8> {
    [&[1, 0, 0, 0, 1][..], &[b'a' + number]].concat()
}

fn begin(tables: &mut Tables, keys: &[u8], now_ms: i64) {
    let keys: Vec<Vec<u8>> = keys.iter().map(|number| key(*number)).collect();
    tables.begin_batch(&keys.iter().map(Vec::as_slice).collect(), now_ms);
}

fn at(table: u32, key: u32, sub_key: &[u8]) -> Place<'_> {
    Place { table, key, sub_key }
}

fn commit(tables: &mut Tables, store: &Arc<dyn StateStore>) {
    let mut delta = Delta::default();
    tables.freeze(&mut delta);
    store.write(&[delta], Flush::Now).unwrap();
}

/// What one call does: its writes by table, key and sub-key, and whether it is kept.
type Calls = Vec<(Vec<(u32, u8, u8, Option<u8>)>, bool)>;

/// One batch: its calls, and what follows it: whether it is kept, whether the epoch ends, whether there is a crash.
fn batches() -> impl Strategy<Value = Vec<(Calls, bool, bool, bool)>> {
    let write = (0u32..2, 0u8..4, 0u8..6, proptest::option::weighted(0.7, any::<u8>()));
    let calls = prop::collection::vec((prop::collection::vec(write, 0..8), prop::bool::weighted(0.8)), 1..4);
    prop::collection::vec(
        (calls, prop::bool::weighted(0.8), prop::bool::weighted(0.4), prop::bool::weighted(0.1)),
        1..25,
    )
}

type Model = BTreeMap<(u32, u8, Vec<u8>), u8>;

/// Everything that can be seen equals the model.
fn same(tables: &mut Tables, model: &Model) {
    for table in 0..2 {
        for number in 0..4u8 {
            let expected: Vec<(Vec<u8>, Vec<u8>)> = model
                .iter()
                .filter(|((of, key, _), _)| (*of, *key) == (table, number))
                .map(|((_, _, sub_key), value)| (sub_key.clone(), vec![*value]))
                .collect();
            let page = tables.scan(table, number.into(), b"", b"", 100).unwrap();
            assert_eq!((&page.entries, page.more), (&expected, false));
            let middle = tables.scan(table, number.into(), &[2], &[4], 100).unwrap().entries;
            let inside = expected.iter().filter(|(sub_key, _)| (&[2][..]..&[4][..]).contains(&sub_key.as_slice()));
            assert_eq!(middle, inside.cloned().collect::<Vec<_>>());
            let first = tables.scan(table, number.into(), b"", b"", 1).unwrap();
            assert_eq!((first.entries.len(), first.more), (expected.len().min(1), expected.len() > 1));
            for sub in 0..6u8 {
                let value = tables.get(at(table, number.into(), &[sub])).unwrap();
                assert_eq!(value, model.get(&(table, number, vec![sub])).map(|value| vec![*value]));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_seen_is_what_was_kept(batches in batches()) {
        let store = store();
        let declared = || vec![table("one", 1, &[], None), table("two", 1, &[], None)];
        let mut tables = tables(&store, declared());
        let (mut durable, mut model) = (Model::new(), Model::new());
        for (calls, kept, ends, crashes) in batches {
            begin(&mut tables, &[0, 1, 2, 3], 0);
            let mut batch = model.clone();
            for (writes, kept) in calls {
                tables.begin();
                let mut call = batch.clone();
                for (of, number, sub, value) in writes {
                    let bytes = value.map(|value| vec![value]);
                    tables.put(at(of, number.into(), &[sub]), bytes.as_deref()).unwrap();
                    match value {
                        Some(value) => call.insert((of, number, vec![sub]), value),
                        None => call.remove(&(of, number, vec![sub])),
                    };
                }
                same(&mut tables, &call);
                if kept {
                    tables.keep();
                    batch = call;
                }
            }
            tables.begin();
            same(&mut tables, &batch);
            if kept {
                tables.keep_batch();
                model = batch;
            }
            if ends {
                commit(&mut tables, &store);
                durable = model.clone();
            }
            if crashes {
                tables.restore(store.clone());
                model = durable.clone();
            }
            begin(&mut tables, &[0, 1, 2, 3], 0);
            same(&mut tables, &model);
        }
    }
}

#[test]
fn a_scan_goes_on_where_it_ended_over_more_rows_than_are_read_at_once() {
    let store = store();
    let mut tables = tables(&store, vec![table("one", 1, &[], None)]);
    begin(&mut tables, &[0, 1], 0);
    let sub_key = |number: u32| number.to_be_bytes();
    for number in 0..5000 {
        tables.put(at(0, 0, &sub_key(number)), Some(&[1])).unwrap();
    }
    tables.put(at(0, 1, b"other"), Some(&[1])).unwrap();
    tables.keep();
    tables.keep_batch();
    commit(&mut tables, &store);
    tables.restore(store);
    begin(&mut tables, &[0], 0);
    for number in (0..5000).filter(|number| number % 3 != 0) {
        tables.put(at(0, 0, &sub_key(number)), None).unwrap();
    }
    tables.put(at(0, 0, &sub_key(9999)), Some(&[2])).unwrap();
    let (mut seen, mut start) = (Vec::new(), Vec::new());
    loop {
        let page = tables.scan(0, 0, &start, b"", 700).unwrap();
        assert!(page.entries.len() <= 700);
        start = page.entries.last().map_or(Vec::new(), |(sub_key, _)| [sub_key.as_slice(), &[0]].concat());
        seen.extend(page.entries.into_iter().map(|(sub_key, _)| u32::from_be_bytes(sub_key.try_into().unwrap())));
        if !page.more {
            break;
        }
    }
    let expected: Vec<u32> = (0..5000).filter(|number| number % 3 == 0).chain([9999]).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_value_that_has_expired_is_gone() {
    let store = store();
    let mut tables = tables(&store, vec![table("one", 1, &[], Some(1000))]);
    begin(&mut tables, &[0], 5_000);
    tables.put(at(0, 0, b""), Some(b"v")).unwrap();
    tables.keep();
    tables.keep_batch();
    commit(&mut tables, &store);
    for (now_ms, expected) in [(5_999, Some(b"v".to_vec())), (6_000, None)] {
        tables.restore(store.clone());
        begin(&mut tables, &[0], now_ms);
        assert_eq!(tables.get(at(0, 0, b"")).unwrap(), expected);
        assert_eq!(tables.scan(0, 0, b"", b"", 10).unwrap().entries.len(), usize::from(expected.is_some()));
    }
}

#[test]
fn a_value_of_another_version_is_migrated_once_or_refused() {
    let store = store();
    let mut first = tables(&store, vec![table("one", 1, &[], None)]);
    begin(&mut first, &[0, 1], 0);
    first.put(at(0, 0, b"s"), Some(b"old")).unwrap();
    first.keep();
    first.keep_batch();
    commit(&mut first, &store);

    let mut unable = tables(&store, vec![table("one", 2, &[], None)]);
    begin(&mut unable, &[0], 0);
    let refused = unable.get(at(0, 0, b"s")).unwrap_err();
    assert!(refused.kind() == Kind::State && refused.to_string().contains("of version 1"), "{refused}");

    let mut second = tables(&store, vec![table("one", 2, &[1], None)]);
    begin(&mut second, &[1, 0], 0);
    let mut old = second.old().unwrap();
    assert_eq!(old.len(), 1);
    let one = old.remove(0);
    assert_eq!((one.from, &one.value.key, one.value.sub_key.as_slice()), (1, &1, &b"s"[..]));
    second.renewed(one, Some(b"new".to_vec()));
    assert_eq!(second.get(at(0, 1, b"s")).unwrap(), Some(b"new".to_vec()));
    assert!(second.old().unwrap().is_empty(), "it is migrated already");
    // A batch that is thrown away takes what was migrated with it.
    begin(&mut second, &[0], 0);
    let again = second.old().unwrap();
    assert_eq!(again.len(), 1, "nothing of the first time has counted");
    for one in again {
        second.renewed(one, None);
    }
    second.keep_batch();
    assert_eq!(second.get(at(0, 0, b"s")).unwrap(), None);
}

#[test]
fn what_a_guest_asks_wrongly_is_its_own_fault() {
    let store = store();
    let mut tables = tables(&store, vec![table("one", 1, &[], None)]);
    begin(&mut tables, &[0], 0);
    for place in [at(1, 0, b""), at(0, 1, b""), at(u32::MAX, 0, b""), at(0, u32::MAX, b"")] {
        let failed = tables.get(place).unwrap_err();
        assert_eq!(failed.kind(), Kind::Step, "{failed}");
    }
    assert_eq!(tables.scan(0, 0, b"z", b"a", 5).unwrap(), Page::default());
}

#[test]
fn tables_are_told_apart_by_name_whatever_their_order() {
    let store = store();
    let mut before = tables(&store, vec![table("one", 1, &[], None), table("two", 1, &[], None)]);
    begin(&mut before, &[0], 0);
    before.put(at(1, 0, b""), Some(b"2")).unwrap();
    before.keep();
    before.keep_batch();
    commit(&mut before, &store);
    let mut after = tables(&store, vec![table("two", 1, &[], None), table("one", 1, &[], None)]);
    begin(&mut after, &[0], 0);
    assert_eq!(after.get(at(0, 0, b"")).unwrap(), Some(b"2".to_vec()));
    assert_eq!(after.get(at(1, 0, b"")).unwrap(), None);
}
