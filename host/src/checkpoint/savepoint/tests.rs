//! Savepoints over objects in memory and in a folder: what is copied, what is put back, what damage says, and who is kept out.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Plan, Restored, branch, delete, find, finish, list, plan, restore, save};
use crate::{
    checkpoint::{
        committer::Committer,
        epoch::Epochs,
        ledger::{Ledger, Records, RemoteLedger, remote::newest_in},
        look::Shelf,
        manifest::{Canary, JobRecord, Manifest, Swapped},
        reshard,
        row::Row,
        upkeep::Upkeep,
        verify::{Verified, verify},
    },
    error::{Kind, Result},
    objects::{Objects, folder::FolderObjects, memory::MemoryObjects},
    record::ShardId,
    source::Shard,
    state::{
        Delta, HashRange,
        key::{self, Kind as RowKind},
        memory::MemoryStore,
        scan_step,
    },
    task::Task,
};

/// A worker with a store of its own over shared objects.
struct Worker {
    ledger: Arc<RemoteLedger>,
    store: Arc<MemoryStore>,
    _committer: Task<()>,
}

fn worker(objects: &Arc<dyn Objects>, job: &str) -> Worker {
    let store = Arc::new(MemoryStore::default());
    let (committer, task) = Committer::beside(store.clone(), &Handle::current());
    let upkeep = Upkeep::new(job, objects.clone(), Handle::current());
    let ledger = Arc::new(RemoteLedger::new(job, objects.clone(), store.clone(), committer, upkeep));
    Worker { ledger, store, _committer: task }
}

fn delta(rows: &[(u8, u8)]) -> Delta {
    let mut delta = Delta::default();
    for (number, value) in rows {
        delta.put(key::state("step", RowKind::Window, [*number; 16], b"key", 0, b""), vec![*value]);
    }
    delta
}

impl Worker {
    async fn claim(&self, partition: &str, first: Manifest) -> Result<Manifest> {
        let epochs = Epochs::claim(self.ledger.clone(), partition, first, Row::default(), false).await?;
        epochs.load().await?;
        Ok(epochs.manifest().clone())
    }

    async fn epoch(&self, partition: &str, manifest: &mut Manifest, rows: &[(u8, u8)]) -> Result<()> {
        manifest.number += 1;
        manifest.epoch += 1;
        self.ledger.commit(partition, manifest, delta(rows)).await?.await
    }

    async fn seal(&self, partition: &str, manifest: &mut Manifest, children: &[Shard]) {
        manifest.number += 1;
        manifest.sealed = Some(children.to_vec());
        self.ledger.commit(partition, manifest, Delta::default()).await.unwrap().await.unwrap();
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

fn record(job: &str, file: &str) -> JobRecord {
    JobRecord {
        job: job.to_owned(),
        generation: 1,
        digests: BTreeMap::from([("the job file".to_owned(), file.to_owned())]),
        created_us: 7,
        starts: BTreeMap::new(),
        began: BTreeMap::new(),
        ..JobRecord::default()
    }
}

async fn verified(objects: &Arc<dyn Objects>, job: &str) -> Verified {
    verify(&Shelf::Objects { objects: objects.clone(), job: job.to_owned() }).await.unwrap()
}

/// A job that ran two epochs, was saved as `before`, and ran two more.
async fn scene(objects: &Arc<dyn Objects>) -> (Worker, Manifest) {
    let a = worker(objects, "job");
    a.ledger.deploy(&record("job", "v1")).await.unwrap();
    let mut manifest = a.claim("all", first()).await.unwrap();
    a.epoch("all", &mut manifest, &[(1, 10), (2, 20)]).await.unwrap();
    a.epoch("all", &mut manifest, &[(2, 21)]).await.unwrap();
    let made = save(&**objects, "job", "before", 99).await.unwrap();
    assert_eq!((made.partitions["all"].epoch, made.partitions["all"].blocks, made.made_us), (2, 2, 99));
    a.epoch("all", &mut manifest, &[(1, 11), (3, 30)]).await.unwrap();
    a.epoch("all", &mut manifest, &[(4, 40)]).await.unwrap();
    (a, manifest)
}

async fn set_back(objects: &dyn Objects, plan: &Plan) -> Restored {
    let done = restore(objects, "job", plan).await.unwrap();
    finish(objects, "job").await.unwrap();
    done
}

async fn keeps_the_rules(objects: Arc<dyn Objects>) {
    let (a, mut by_a) = scene(&objects).await;
    assert_eq!(verified(&objects, "job").await.damaged, []);
    let planned = plan(&*objects, "job", "before", &BTreeMap::from([("all".to_owned(), 9)])).await.unwrap();
    assert_eq!((planned.partitions["all"].repeats(), planned.is_another_version), (7, false));
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    assert_eq!((planned.partitions["all"].repeats(), planned.partitions["all"].from), (2, 4));
    let done = set_back(&*objects, &planned).await;
    assert_eq!((done.set_back.len(), done.set_back["all"].epoch), (1, 5));
    // whoever ran it before is fenced, also where nobody has claimed yet
    let fenced = a.epoch("all", &mut by_a, &[(9, 90)]).await.unwrap_err();
    assert_eq!(fenced.kind(), Kind::Fenced, "{fenced}");
    // a worker that has rows of later epochs forgets them
    let now = a.claim("all", first()).await.unwrap();
    assert_eq!(a.rows(), BTreeMap::from([(1, 10), (2, 21)]));
    assert_eq!(
        (now.epoch, now.fence, now.set_back.map(|back| (back.times, back.to, back.from))),
        (5, 3, Some((1, 2, 4)))
    );
    let (mut now, b) = (now, worker(&objects, "job"));
    a.epoch("all", &mut now, &[(5, 50)]).await.unwrap();
    b.claim("all", first()).await.unwrap();
    assert_eq!(b.rows(), BTreeMap::from([(1, 10), (2, 21), (5, 50)]));
    let all = verified(&objects, "job").await;
    assert_eq!((all.damaged, all.partitions), (vec![], 1));
    // the savepoint is as it was, and can be put into place again
    assert_eq!(verified(&objects, "job/savepoints/before").await.damaged, []);
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    set_back(&*objects, &planned).await;
    let again = worker(&objects, "job");
    let now = again.claim("all", first()).await.unwrap();
    assert_eq!((again.rows(), now.epoch), (BTreeMap::from([(1, 10), (2, 21)]), 7));
    assert_eq!(now.set_back.map(|back| (back.times, back.to, back.from)), Some((2, 2, 6)));
}

#[tokio::test(start_paused = true)]
async fn a_restored_job_goes_on_from_the_savepoint_with_numbers_above_all_others() {
    keeps_the_rules(Arc::new(MemoryObjects::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_so_it_does_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_rules(Arc::new(FolderObjects::open(folder.path()).unwrap())).await;
}

#[tokio::test(start_paused = true)]
async fn names_are_taken_once_and_free_again() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let said = save(&*objects, "job", "x", 0).await.unwrap_err().to_string();
    assert!(said.contains("has never run"), "{said}");
    scene(&objects).await;
    let said = save(&*objects, "job", "before", 0).await.unwrap_err().to_string();
    assert!(said.contains("already") && said.contains("checkpoint delete"), "{said}");
    for bad in ["", "a/b", "../x", ".x", "a b"] {
        let said = save(&*objects, "job", bad, 0).await.unwrap_err().to_string();
        assert!(said.contains("cannot name a savepoint"), "{said}");
    }
    let said = find(&*objects, "job", "other").await.unwrap_err().to_string();
    assert!(said.contains("there are before"), "{said}");
    // one that was never finished
    objects.create("job/savepoints/half/begun", Bytes::new()).await.unwrap();
    assert_eq!(list(&*objects, "job").await.unwrap()["half"], None);
    let said = plan(&*objects, "job", "half", &BTreeMap::new()).await.unwrap_err().to_string();
    assert!(said.contains("never became whole"), "{said}");
    assert_eq!(delete(&*objects, "job", "half").await.unwrap(), 1);
    assert_eq!(delete(&*objects, "job", "before").await.unwrap(), 6);
    assert!(list(&*objects, "job").await.unwrap().is_empty());
    save(&*objects, "job", "before", 1).await.unwrap();
    assert_eq!(verified(&objects, "job").await.damaged, []);
}

#[tokio::test(start_paused = true)]
async fn while_it_is_put_into_place_no_worker_begins() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let (a, mut manifest) = scene(&objects).await;
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    // the owner that was thought to be gone goes on
    a.epoch("all", &mut manifest, &[(5, 50)]).await.unwrap();
    let failed = restore(&*objects, "job", &planned).await.unwrap_err();
    assert!(failed.kind() == Kind::State && failed.to_string().contains("has gone on meanwhile"), "{failed}");
    let b = worker(&objects, "job");
    let said = b.ledger.record().await.unwrap_err().to_string();
    assert!(said.contains("savepoint `before` was being put into place"), "{said}");
    let said = save(&*objects, "job", "now", 0).await.unwrap_err().to_string();
    assert!(said.contains("is being put into place"), "{said}");
    // again, from the start
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    set_back(&*objects, &planned).await;
    assert!(b.ledger.record().await.unwrap().is_some());
    b.claim("all", first()).await.unwrap();
    assert_eq!(b.rows(), BTreeMap::from([(1, 10), (2, 21)]));
}

#[tokio::test(start_paused = true)]
async fn epochs_and_merges_go_on_while_it_is_saved() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let a = worker(&objects, "job");
    a.ledger.deploy(&record("job", "v1")).await.unwrap();
    let mut manifest = a.claim("all", first()).await.unwrap();
    for round in 0..60u8 {
        a.epoch("all", &mut manifest, &[(1, round), (2, round)]).await.unwrap();
        let (name, rows) = (format!("s{round}"), [(1, round), (2, 255 - round)]);
        let saving = save(&*objects, "job", &name, 0);
        let (saved, written) = tokio::join!(saving, a.epoch("all", &mut manifest, &rows));
        written.unwrap();
        let at = saved.unwrap().partitions["all"];
        assert!(at.epoch >= u64::from(round) * 2 && at.epoch <= u64::from(round) * 2 + 2, "{at:?}");
        assert_eq!(verified(&objects, &format!("job/savepoints/s{round}")).await.damaged, []);
        // paces: merging runs beside the epochs
        crate::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    let planned = plan(&*objects, "job", "s7", &BTreeMap::new()).await.unwrap();
    let epoch = planned.savepoint.partitions["all"].epoch;
    set_back(&*objects, &planned).await;
    let b = worker(&objects, "job");
    b.claim("all", first()).await.unwrap();
    let second = if epoch == 15 { 7 } else { 248 };
    assert_eq!(b.rows(), BTreeMap::from([(1, 7), (2, second)]), "epoch {epoch}");
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_of_another_version_brings_its_version_back() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let (a, _) = scene(&objects).await;
    a.ledger.deploy(&JobRecord { generation: 2, ..record("job", "v2") }).await.unwrap();
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    assert!(planned.is_another_version);
    set_back(&*objects, &planned).await;
    let now = a.ledger.record().await.unwrap().unwrap();
    assert_eq!((now.generation, now.digests["the job file"].as_str()), (3, "v1"));
    let refused = a.claim("all", Manifest { generation: 2, ..first() }).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Fenced, "{refused}");
    a.claim("all", Manifest { generation: 3, ..first() }).await.unwrap();
}

/// A job of two partitions, one of which tries what was swapped in.
async fn scene_of_a_canary(objects: &Arc<dyn Objects>) -> Worker {
    let a = worker(objects, "job");
    a.ledger.deploy(&record("job", "v1")).await.unwrap();
    for partition in ["s/0", "s/1"] {
        let mut own = a.claim(partition, first()).await.unwrap();
        a.epoch(partition, &mut own, &[(1, 10)]).await.unwrap();
    }
    let canary = Canary { step: "x".into(), partitions: ["s/0".to_owned()].into(), base: 1, ..Canary::default() };
    let plugins = BTreeMap::from([("x".to_owned(), "new".to_owned())]);
    let swapped =
        Swapped { plugins, before: Some(BTreeMap::new()), since: Some(2), canary: Some(canary), ..Swapped::default() };
    a.ledger.deploy(&JobRecord { generation: 2, swapped, ..record("job", "v1") }).await.unwrap();
    a
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_restored_in_a_canary_goes_on_without_it() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let a = scene_of_a_canary(&objects).await;
    save(&*objects, "job", "before", 0).await.unwrap();
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    set_back(&*objects, &planned).await;
    let now = a.ledger.record().await.unwrap().unwrap();
    assert_eq!((now.generation, &now.swapped), (3, &Swapped::default()));
    let b = worker(&objects, "job");
    for partition in ["s/0", "s/1"] {
        let generation = now.seen_by(partition).generation;
        b.claim(partition, Manifest { generation, ..first() }).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_job_has_nothing_of_what_was_swapped_into_the_first() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    scene_of_a_canary(&objects).await;
    save(&*objects, "job", "kept", 0).await.unwrap();
    branch(&*objects, "job", "kept", &*objects, &record("other", "v1")).await.unwrap();
    let begun = worker(&objects, "other").ledger.record().await.unwrap().unwrap();
    assert_eq!((begun.generation, begun.swapped), (1, Swapped::default()));
}

fn shard(id: &str, from: u128, to: u128) -> Shard {
    Shard { id: ShardId::new(id), parents: vec![ShardId::new("p")], hash_range: (from, to) }
}

#[tokio::test(start_paused = true)]
async fn children_of_a_shard_that_is_open_again_begin_anew_from_its_new_seal() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let half = u128::MAX / 2;
    let (low, high) = (shard("low", 0, half), shard("high", half + 1, u128::MAX));
    let a = worker(&objects, "job");
    a.ledger.deploy(&record("job", "v1")).await.unwrap();
    let mut parent = a.claim("s/p", first()).await.unwrap();
    a.epoch("s/p", &mut parent, &[(1, 10), (200, 20)]).await.unwrap();
    save(&*objects, "job", "before", 0).await.unwrap();
    a.epoch("s/p", &mut parent, &[(200, 21)]).await.unwrap();
    a.seal("s/p", &mut parent, &[low.clone(), high.clone()]).await;
    let begin = |parent: &Manifest, shard: &Shard| reshard::begin(1, "s", shard, std::slice::from_ref(parent));
    for (child, row) in [(&low, 2), (&high, 201)] {
        let mut own = a.claim(&format!("s/{}", child.id), begin(&parent, child)).await.unwrap();
        for round in 0..20 {
            a.epoch(&format!("s/{}", child.id), &mut own, &[(row, round)]).await.unwrap();
            // paces: merging runs beside the epochs
            crate::clock::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    let left = objects.list(&RemoteLedger::blocks("job", "s/p"), "").await.unwrap();
    assert!(left.is_empty(), "the parent's blocks are gone: {left:?}");
    save(&*objects, "job", "after", 0).await.unwrap();
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    let done = set_back(&*objects, &planned).await;
    assert_eq!((done.set_aside, done.opened), (vec!["s/high".to_owned(), "s/low".to_owned()], vec!["s/p".to_owned()]));
    assert_eq!(verified(&objects, "job").await.damaged, []);
    let b = worker(&objects, "job");
    let mut again = b.claim("s/p", first()).await.unwrap();
    assert_eq!((b.rows(), again.sealed.is_none()), (BTreeMap::from([(1, 10), (200, 20)]), true));
    b.epoch("s/p", &mut again, &[(200, 22)]).await.unwrap();
    b.seal("s/p", &mut again, &[low.clone(), high.clone()]).await;
    let own = b.claim("s/high", begin(&again, &high)).await.unwrap();
    assert_eq!((own.epoch, own.range.from, own.begins_anew), (21, half + 1, false));
    assert_eq!(own.set_back.map(|back| (back.to, back.from)), Some((0, 20)));
    // the other child has not begun, so the blocks of the parent stay
    let mut own = own;
    for round in 0..20 {
        b.epoch("s/high", &mut own, &[(201, round)]).await.unwrap();
        // paces: merging runs beside the epochs
        crate::clock::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(verified(&objects, "job").await.damaged, []);
    let c = worker(&objects, "job");
    c.claim("s/low", begin(&again, &low)).await.unwrap();
    assert_eq!(c.rows(), BTreeMap::from([(1, 10)]));
    // a savepoint of a sealed parent whose blocks are gone, and of its children
    let planned = plan(&*objects, "job", "after", &BTreeMap::new()).await.unwrap();
    set_back(&*objects, &planned).await;
    let sealed = newest_in(&*objects, "job", "s/p").await.unwrap().unwrap();
    assert!(sealed.sealed.is_some() && sealed.state.is_empty());
    let d = worker(&objects, "job");
    d.claim("s/low", first()).await.unwrap();
    assert_eq!(d.rows(), BTreeMap::from([(1, 10), (2, 19)]));
    assert_eq!(verified(&objects, "job").await.damaged, []);
}

#[tokio::test(start_paused = true)]
async fn another_job_begins_with_it_and_the_first_one_is_left_alone() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    let (a, mut by_a) = scene(&objects).await;
    let before = objects.list("job/", "").await.unwrap();
    branch(&*objects, "job", "before", &*objects, &record("tried", "v2")).await.unwrap();
    let said = branch(&*objects, "job", "before", &*objects, &record("tried", "v2")).await.unwrap_err().to_string();
    assert!(said.contains("there is a job `tried`"), "{said}");
    assert_eq!(objects.list("job/", "").await.unwrap(), before);
    let b = worker(&objects, "tried");
    let deployed = b.ledger.record().await.unwrap().unwrap();
    assert_eq!((deployed.job.as_str(), deployed.generation, deployed.created_us), ("tried", 1, 7));
    assert_eq!(deployed.digests["the job file"], "v2");
    let mut by_b = b.claim("all", first()).await.unwrap();
    assert_eq!(b.rows(), BTreeMap::from([(1, 10), (2, 21)]));
    b.epoch("all", &mut by_b, &[(1, 99)]).await.unwrap();
    a.epoch("all", &mut by_a, &[(5, 50)]).await.unwrap();
    assert_eq!(verified(&objects, "job").await.damaged, []);
    assert_eq!(verified(&objects, "tried").await.damaged, []);
    let other = MemoryObjects::default();
    branch(&*objects, "job", "before", &other, &record("job", "v1")).await.unwrap();
    let c = worker(&(Arc::new(other) as Arc<dyn Objects>), "job");
    c.claim("all", first()).await.unwrap();
    assert_eq!(c.rows(), BTreeMap::from([(1, 10), (2, 21)]));
}

#[tokio::test(start_paused = true)]
async fn damage_is_said_by_name_and_a_savepoint_mends_it() {
    let memory = MemoryObjects::default();
    let objects: Arc<dyn Objects> = Arc::new(memory.clone());
    let (_, manifest) = scene(&objects).await;
    let block = manifest.state[3].name.clone();
    let newest = format!("job/manifests/all/{:020}", manifest.number);
    let between = format!("job/manifests/all/{:020}", manifest.number - 1);
    let record = "job/records/00000000000000000001".to_owned();
    for name in [block, newest, between, record] {
        let bytes = objects.read(&name, None).await.unwrap().unwrap();
        let mut flipped = bytes.to_vec();
        flipped[bytes.len() / 2] ^= 4;
        let cut = bytes.slice(..bytes.len() - 3);
        for damage in [None, Some(cut), Some(Bytes::from(flipped))] {
            let is_missing = damage.is_none();
            memory.damage(&name, damage);
            let found = verified(&objects, "job").await.damaged;
            let is_newest = name.ends_with(&manifest.number.to_string()) && name.contains("manifests");
            if !(is_missing && is_newest) {
                assert_eq!(found.len(), 1, "{name}: {found:?}");
            }
            let names = |damage: &crate::checkpoint::verify::Damage| damage.name.contains(&name) || is_missing;
            assert!(found.iter().all(names), "{name}: {found:?}");
            memory.damage(&name, Some(bytes.clone()));
        }
    }
    assert_eq!(verified(&objects, "job").await.damaged, []);
    // nothing at all is left of the partition but the last name, and it cannot be read
    for name in objects.list("job/manifests/", "").await.unwrap() {
        memory.damage(&name, None);
    }
    memory.damage(&format!("job/manifests/all/{:020}", manifest.number), Some(Bytes::from_static(b"x")));
    memory.damage("job/records/00000000000000000001", Some(Bytes::from_static(b"y")));
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    assert_eq!(planned.partitions["all"].from, 4);
    set_back(&*objects, &planned).await;
    let b = worker(&objects, "job");
    let deployed = b.ledger.record().await.unwrap().unwrap();
    let now = b.claim("all", Manifest { generation: deployed.generation, ..first() }).await.unwrap();
    assert_eq!((b.rows(), now.epoch > 4, now.fence > 1), (BTreeMap::from([(1, 10), (2, 21)]), true, true));
    // a savepoint is never put into place by halves
    let copies = objects.list("job/savepoints/before/state/", "").await.unwrap();
    memory.damage(&copies[0], None);
    let planned = plan(&*objects, "job", "before", &BTreeMap::new()).await.unwrap();
    let said = restore(&*objects, "job", &planned).await.unwrap_err().to_string();
    assert!(said.contains("savepoint `before` is damaged") && said.contains(&copies[0]), "{said}");
}

#[tokio::test(start_paused = true)]
async fn what_nothing_names_is_said() {
    let objects: Arc<dyn Objects> = Arc::new(MemoryObjects::default());
    scene(&objects).await;
    assert_eq!(verified(&objects, "job").await.unnamed, Vec::<String>::new());
    let left = "job/state/all/0000000001-0000000009-0000-0000000000000000";
    objects.create(left, Bytes::from_static(b"left over")).await.unwrap();
    let found = verified(&objects, "job").await;
    assert_eq!((found.unnamed, found.damaged, found.blocks, found.rows), (vec![left.to_owned()], vec![], 4, 6));
}
