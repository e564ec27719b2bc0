//! The rules of a ledger in objects: one winner a number, answers that were lost, state that follows its partition, blocks that go.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    Ledger, RemoteLedger,
    remote::{newest_in, numbers},
};
use crate::{
    checkpoint::{committer::Committer, epoch::Epochs, manifest::Manifest, reshard, row::Row, upkeep::Upkeep},
    error::{Error, Kind, Result},
    objects::{Created, Objects, memory::MemoryObjects},
    record::ShardId,
    source::{Pending, Shard},
    state::{
        Delta, HashRange, StateStore,
        key::{self, Kind as RowKind},
        memory::MemoryStore,
        scan_step,
    },
    task::Task,
};

/// Objects whose next creates fail: before they happen (negative) or after (positive).
#[derive(Clone, Default)]
struct Shaky {
    objects: MemoryObjects,
    fail: Arc<AtomicI64>,
    /// whoever holds this one waits ten seconds for a listing
    sleeps: bool,
}

impl Objects for Shaky {
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>> {
        let away = || Error::new(Kind::Unavailable, "the store is away");
        let left = self.fail.load(Ordering::SeqCst);
        self.fail.store(left - left.signum(), Ordering::SeqCst);
        Box::pin(async move {
            if left < 0 {
                return Err(away());
            }
            let created = self.objects.create(name, bytes).await;
            if left > 0 { Err(away()) } else { created }
        })
    }

    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>> {
        self.objects.read(name, part)
    }

    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>> {
        Box::pin(async move {
            if self.sleeps {
                // paces: the time for which it waits
                crate::clock::sleep(Duration::from_secs(10)).await;
            }
            self.objects.list(prefix, after).await
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>> {
        self.objects.delete(name)
    }

    fn place(&self) -> String {
        self.objects.place()
    }
}

/// A worker with a store of its own over shared objects.
struct Worker {
    ledger: Arc<RemoteLedger>,
    store: Arc<MemoryStore>,
    _committer: Task<()>,
}

fn worker(objects: &Shaky) -> Worker {
    let store = Arc::new(MemoryStore::default());
    let (committer, task) = Committer::beside(store.clone(), &Handle::current());
    let objects: Arc<dyn Objects> = Arc::new(objects.clone());
    let upkeep = Upkeep::new("job", objects.clone(), Handle::current());
    let ledger = Arc::new(RemoteLedger::new("job", objects, store.clone(), committer, upkeep));
    Worker { ledger, store, _committer: task }
}

fn row(number: u8) -> Vec<u8> {
    key::state("step", RowKind::Window, [number; 16], b"key", 0, b"")
}

fn delta(rows: &[(u8, Option<u8>)]) -> Delta {
    let mut delta = Delta::default();
    for (number, value) in rows {
        match value {
            Some(value) => delta.put(row(*number), vec![*value]),
            None => delta.delete(row(*number)),
        }
    }
    delta
}

impl Worker {
    async fn claim(&self, partition: &str, first: Manifest) -> Result<Manifest> {
        let epochs = Epochs::claim(self.ledger.clone(), partition, first, Row::default(), false).await?;
        epochs.load().await?;
        Ok(epochs.manifest().clone())
    }

    async fn epoch(&self, partition: &str, manifest: &mut Manifest, rows: &[(u8, Option<u8>)]) -> Result<()> {
        manifest.number += 1;
        manifest.epoch += 1;
        self.ledger.commit(partition, manifest, delta(rows)).await?.await
    }

    fn rows(&self) -> BTreeMap<u8, u8> {
        let mut rows = BTreeMap::new();
        scan_step(&*self.store, "step", HashRange::ALL, |row, value| {
            rows.insert(key::place(row).unwrap().1[0], value[0]);
            Ok(())
        })
        .unwrap();
        rows
    }
}

fn first() -> Manifest {
    Manifest { generation: 1, ..Manifest::default() }
}

#[tokio::test(start_paused = true)]
async fn the_older_owner_is_fenced_and_the_next_one_has_its_state() {
    let objects = Shaky::default();
    let (a, b) = (worker(&objects), worker(&objects));
    let mut by_a = a.claim("p", first()).await.unwrap();
    a.epoch("p", &mut by_a, &[(1, Some(10)), (2, Some(20))]).await.unwrap();
    a.epoch("p", &mut by_a, &[(2, None), (3, Some(30))]).await.unwrap();
    let mut by_b = b.claim("p", first()).await.unwrap();
    assert_eq!((by_b.fence, by_b.epoch, by_b.lineage.clone()), (2, 2, vec![(1, 2)]));
    assert_eq!(b.rows(), BTreeMap::from([(1, 10), (3, 30)]));
    let fenced = a.epoch("p", &mut by_a, &[(1, Some(99))]).await.unwrap_err();
    assert_eq!(fenced.kind(), Kind::Fenced, "{fenced}");
    b.epoch("p", &mut by_b, &[(4, Some(40))]).await.unwrap();
    // back to a, whose store is an ancestor and lacks one epoch
    let by_a = a.claim("p", first()).await.unwrap();
    assert_eq!((by_a.fence, by_a.epoch), (3, 3));
    assert_eq!(a.rows(), BTreeMap::from([(1, 10), (3, 30), (4, 40)]));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_is_free_again_because_its_manifest_was_removed_is_not_durable() {
    let objects = Shaky::default();
    let (a, b) = (worker(&objects), worker(&objects));
    let mut by_a = a.claim("p", first()).await.unwrap();
    by_a.number += 1;
    by_a.epoch += 1;
    // the owner is stopped just before it makes its manifest
    let late = a.ledger.commit("p", &mut by_a, delta(&[(1, Some(99))])).await.unwrap();
    let mut by_b = b.claim("p", first()).await.unwrap();
    for round in 0..12 {
        b.epoch("p", &mut by_b, &[(1, Some(round))]).await.unwrap();
    }
    let name = format!("job/manifests/p/{:020}", by_a.number);
    assert!(objects.read(&name, None).await.unwrap().is_none(), "its number is free again");
    let fenced = late.await.unwrap_err();
    assert_eq!(fenced.kind(), Kind::Fenced, "{fenced}");
    assert!(objects.read(&name, None).await.unwrap().is_none(), "what it made is gone");
    assert_eq!(newest_in(&objects, "job", "p").await.unwrap().unwrap().number, by_b.number);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_slept_after_its_claim_leaves_it_in_the_line() {
    let objects = Shaky::default();
    let (a, b) = (worker(&Shaky { sleeps: true, ..objects.clone() }), worker(&objects));
    let second = async {
        // paces: the other one sleeps meanwhile
        crate::clock::sleep(Duration::from_secs(15)).await;
        b.claim("p", first()).await
    };
    let (by_a, by_b) = futures::future::join(a.claim("p", first()), second).await;
    assert_eq!((by_a.unwrap_err().kind(), by_b.unwrap().number), (Kind::Fenced, 2));
    let stand: Vec<u64> = numbers(&objects, "job", "p").await.unwrap().iter().map(|(number, _)| *number).collect();
    assert_eq!(stand, [1, 2], "somebody who slept longer must find that number 1 is taken");
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_lost_are_found_out() {
    for fail in [-3, 3] {
        let objects = Shaky::default();
        let a = worker(&objects);
        let mut manifest = a.claim("p", first()).await.unwrap();
        objects.fail.store(fail, Ordering::SeqCst);
        a.epoch("p", &mut manifest, &[(1, Some(1))]).await.unwrap();
        let newest = newest_in(&objects, "job", "p").await.unwrap().unwrap();
        assert_eq!((newest.number, newest.epoch, newest.nonce), (2, 1, manifest.nonce));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_dropped_out_of_the_line_is_loaded_anew() {
    let objects = Shaky::default();
    let (a, b) = (worker(&objects), worker(&objects));
    let mut by_a = a.claim("p", first()).await.unwrap();
    a.epoch("p", &mut by_a, &[(1, Some(10)), (2, Some(20))]).await.unwrap();
    // what a has beyond the manifests is of no worth
    a.store.write(&[delta(&[(9, Some(90))])], crate::state::Flush::Now).unwrap();
    let mut by_b = b.claim("p", first()).await.unwrap();
    for round in 0..40 {
        b.epoch("p", &mut by_b, &[(1, None), (3, Some(round))]).await.unwrap();
        tokio::task::yield_now().await;
        // paces: merging runs beside the epochs
        crate::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(by_b.state.len() < 12, "blocks are merged: {}", by_b.state.len());
    assert!(by_b.state.iter().any(|block| block.is_whole));
    a.claim("p", first()).await.unwrap();
    assert_eq!(a.rows(), BTreeMap::from([(2, 20), (3, 39)]));
}

#[tokio::test(start_paused = true)]
async fn a_child_has_its_part_of_the_state_and_the_parents_blocks_go_when_it_has_its_own() {
    let objects = Shaky::default();
    let (a, b) = (worker(&objects), worker(&objects));
    let half = u128::MAX / 2;
    let shard =
        |id: &str, from, to| Shard { id: ShardId::new(id), parents: vec![ShardId::new("p")], hash_range: (from, to) };
    let (low, high) = (shard("low", 0, half), shard("high", half + 1, u128::MAX));
    let mut parent = a.claim("s/p", first()).await.unwrap();
    a.epoch("s/p", &mut parent, &[(1, Some(10)), (200, Some(20))]).await.unwrap();
    parent.number += 1;
    parent.sealed = Some(vec![low.clone(), high.clone()]);
    a.ledger.commit("s/p", &mut parent, Delta::default()).await.unwrap().await.unwrap();
    let begin = |shard: &Shard| reshard::begin(1, "s", shard, std::slice::from_ref(&parent));
    let mut by_b = b.claim("s/high", begin(&high)).await.unwrap();
    assert_eq!(b.rows(), BTreeMap::from([(200, 20)]));
    let blocks = RemoteLedger::blocks("job", "s/p");
    for round in 0..20 {
        b.epoch("s/high", &mut by_b, &[(201, Some(round))]).await.unwrap();
        // paces: merging runs beside the epochs
        crate::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(by_b.state.iter().all(|block| block.of == "s/high"), "it has a whole of its own");
    assert_eq!(objects.list(&blocks, "").await.unwrap().len(), 1, "the other child has not begun");
    let mut by_a = a.claim("s/low", begin(&low)).await.unwrap();
    assert_eq!(a.rows().get(&1), Some(&10));
    for round in 0..20 {
        a.epoch("s/low", &mut by_a, &[(2, Some(round))]).await.unwrap();
        // paces: merging runs beside the epochs
        crate::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(objects.list(&blocks, "").await.unwrap().is_empty(), "nobody needs the parent's blocks any more");
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_gone_or_damaged_stops_with_its_name() {
    for damage in [None, Some(Bytes::from_static(b"PELTONB1 this is no block at all, and long enough"))] {
        let objects = Shaky::default();
        let (a, b) = (worker(&objects), worker(&objects));
        let mut manifest = a.claim("p", first()).await.unwrap();
        a.epoch("p", &mut manifest, &[(1, Some(10))]).await.unwrap();
        let name = manifest.state[0].name.clone();
        objects.objects.damage(&name, damage);
        let failed = b.claim("p", first()).await.unwrap_err();
        assert!(failed.kind() == Kind::State && failed.to_string().contains(&name), "{failed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_was_cut_or_changed_anywhere_is_refused() {
    let objects = Shaky::default();
    let a = worker(&objects);
    let mut manifest = a.claim("p", first()).await.unwrap();
    a.epoch("p", &mut manifest, &[(1, Some(10))]).await.unwrap();
    let name = objects.list("job/manifests/p/", "").await.unwrap().pop().unwrap();
    let bytes = objects.read(&name, None).await.unwrap().unwrap();
    let cut = (0..bytes.len()).map(|length| bytes.slice(..length));
    let flipped = (0..8 * bytes.len()).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        Bytes::from(flipped)
    });
    for damaged in cut.chain(flipped) {
        objects.objects.damage(&name, Some(damaged));
        let failed = newest_in(&objects, "job", "p").await.unwrap_err();
        assert!(failed.kind() == Kind::State && failed.to_string().contains(&name), "{failed}");
    }
}
