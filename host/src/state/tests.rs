//! The contract of a store, held by every implementation, and the two compared on random work.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use proptest::prelude::*;

use super::{Delta, Flush, StateStore, key, memory::MemoryStore, rocksdb::RocksStore, scan_prefix};

fn delta(rows: &[(&[u8], Option<&[u8]>)]) -> Delta {
    let mut delta = Delta::default();
    for (key, value) in rows {
        match value {
            Some(value) => delta.put(key.to_vec(), value.to_vec()),
            None => delta.delete(key.to_vec()),
        }
    }
    delta
}

fn contract(store: Arc<dyn StateStore>) {
    assert_eq!(store.get(b"a").unwrap(), None);
    store
        .write(
            &[delta(&[(b"a", Some(b"1")), (b"b", Some(b"2"))]), delta(&[(b"a", None), (b"c", Some(b""))])],
            Flush::Now,
        )
        .unwrap();
    assert_eq!(store.get(b"a").unwrap(), None);
    assert_eq!(store.get(b"c").unwrap(), Some(Vec::new()));
    assert_eq!(store.scan(b"a", b"c", 10).unwrap(), [(b"b".to_vec(), b"2".to_vec())]);
    assert_eq!(store.scan(b"b", b"d", 1).unwrap().len(), 1);
    assert!(store.scan(b"d", b"a", 1).unwrap().is_empty());
}

#[test]
fn memory_keeps_the_contract() {
    contract(Arc::new(MemoryStore::default()));
}

#[test]
fn rocksdb_keeps_the_contract_and_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    contract(Arc::new(RocksStore::open(folder.path()).unwrap()));
    let store = RocksStore::open(folder.path()).unwrap();
    assert_eq!(store.get(b"b").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn memory_loses_with_the_power_what_no_sync_has_followed() {
    let store = MemoryStore::default();
    store.write(&[delta(&[(b"a", Some(b"1"))])], Flush::Later).unwrap();
    store.write(&[delta(&[(b"b", Some(b"1"))])], Flush::Now).unwrap();
    store.write(&[delta(&[(b"a", None), (b"b", Some(b"2"))])], Flush::Later).unwrap();
    store.write(&[delta(&[(b"b", Some(b"3")), (b"c", Some(b"3"))])], Flush::Later).unwrap();
    store.lose_power();
    let one = b"1".to_vec();
    assert_eq!(store.scan(b"a", b"z", 9).unwrap(), [(b"a".to_vec(), one.clone()), (b"b".to_vec(), one)]);
}

#[test]
fn the_steps_that_have_rows_are_found() {
    let store = MemoryStore::default();
    let row = |step, n: u8| (key::state(step, key::Kind::Window, [n; 16], b"k", 0, b""), vec![n]);
    let mut rows = Delta::default();
    for (key, value) in [row("b", 9), row("a", 1), row("a", 200), row("long_name", 0), (key::meta("a", "m", 1), vec![])]
    {
        rows.put(key, value);
    }
    store.write(&[rows], Flush::Now).unwrap();
    assert_eq!(super::steps(&store).unwrap(), ["a", "b", "long_name"]);
    assert_eq!(key::place(&row("long_name", 7).0), Some(("long_name", [7; 16])));
    assert_eq!(key::place(&key::meta("a", "m", 1)), None);
}

#[test]
fn a_held_directory_is_refused_with_words() {
    let folder = tempfile::tempdir().unwrap();
    let _held = RocksStore::open(folder.path()).unwrap();
    let refused = RocksStore::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("held by another process"), "{refused}");
}

#[test]
fn a_newer_or_damaged_directory_is_refused_with_words() {
    for (format, words) in [("2\n", "format 2"), ("x", "damaged")] {
        let folder = tempfile::tempdir().unwrap();
        drop(RocksStore::open(folder.path()).unwrap());
        std::fs::write(folder.path().join("FORMAT"), format).unwrap();
        let refused = RocksStore::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let folder = tempfile::tempdir().unwrap();
    drop(RocksStore::open(folder.path()).unwrap());
    std::fs::write(folder.path().join("db/CURRENT"), "MANIFEST-garbage").unwrap();
    let refused = RocksStore::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("--fresh"), "{refused}");
}

#[test]
fn a_loss_of_power_while_a_directory_is_made_does_no_harm() {
    for (file, text) in [("FORMAT", ""), ("FORMAT.next", "")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
        drop(RocksStore::open(folder.path()).unwrap());
        assert_eq!(std::fs::read_to_string(folder.path().join("FORMAT")).unwrap(), "1\n");
        assert!(!folder.path().join("FORMAT.next").exists(), "written aside and renamed");
    }
}

#[test]
fn a_row_gives_back_its_key_and_no_two_rows_meet() {
    let row = key::state("per_ad", key::Kind::Window, key::hash(b"key"), b"key", 0, b"sub");
    assert_eq!(key::parse_state("per_ad", &row), Some((1, &b"key"[..], &b"sub"[..])));
    assert_eq!(key::parse_state("per_a", &row), None);
    assert_ne!(
        key::state("s", key::Kind::Window, [0; 16], b"ab", 0, b"c"),
        key::state("s", key::Kind::Window, [0; 16], b"a", 0, b"bc")
    );
    assert_eq!(key::after_prefix(&[1, 255]), [2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rocksdb_and_memory_agree(work in prop::collection::vec(prop::collection::vec((prop::collection::vec(0u8..4, 0..4), prop::option::of(any::<[u8; 2]>())), 0..8), 0..8)) {
        let folder = tempfile::tempdir().unwrap();
        let (disk, memory) = (RocksStore::open(folder.path()).unwrap(), MemoryStore::default());
        for step in work {
            let mut one = Delta::default();
            for (key, value) in step {
                match value {
                    Some(value) => one.put(key, value.to_vec()),
                    None => one.delete(key),
                }
            }
            disk.write(std::slice::from_ref(&one), Flush::Later).unwrap();
            memory.write(&[one], Flush::Later).unwrap();
        }
        prop_assert_eq!(disk.scan(&[], &[9], 100).unwrap(), memory.scan(&[], &[9], 100).unwrap());
        let mut rows = Vec::new();
        scan_prefix(&disk, &[1], |key, _| { rows.push(key.to_vec()); Ok(()) }).unwrap();
        prop_assert!(rows.iter().all(|key| key.starts_with(&[1])));
    }
}
