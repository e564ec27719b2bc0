//! Several keepers over one table in virtual time: shares, hand-overs, owners that fall silent, answers that are lost.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{runtime::Handle, sync::mpsc};

use super::{Event, Keeper, Options};
use crate::{
    clock::{self, Clock},
    lease::{Checkpoint, Lease, LeaseTable, memory::MemoryLeases},
    permit::Permit,
};

const DURATION: Duration = Duration::from_secs(10);

/// Virtual time, as tokio's paused clock shows it.
#[derive(Debug)]
struct Virtual(tokio::time::Instant);

impl Clock for Virtual {
    fn wall_us(&self) -> i64 {
        0
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A worker that runs nothing: it hands over at once what it is asked for.
struct Worker {
    keeper: Keeper,
    events: mpsc::Receiver<Event>,
    runs: BTreeMap<String, Permit>,
}

impl Worker {
    fn start(table: &MemoryLeases, name: &str) -> Self {
        let clock = Arc::new(Virtual(tokio::time::Instant::now()));
        let options = Options { worker: name.to_owned(), duration: DURATION };
        let (keeper, events) = Keeper::start(Arc::new(table.clone()), options, clock, &Handle::current());
        Self { keeper, events, runs: BTreeMap::new() }
    }

    async fn obey(&mut self, patient: bool) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Gained(grant) => {
                    self.runs.insert(grant.lease.key.clone(), grant.permit);
                }
                Event::Wanted(key) if patient => {
                    self.runs.remove(&key);
                    self.keeper.release(&key).await;
                }
                Event::Wanted(_) => {}
                Event::Lost(key) => {
                    self.runs.remove(&key);
                }
            }
        }
        self.runs.values().for_each(Permit::pulse);
    }
}

/// Lets time pass; nobody ever runs what another has a permit for.
async fn pass(workers: &mut [Worker], seconds: u64, patient: bool) {
    for _ in 0..seconds * 4 {
        // paces: virtual time
        clock::sleep(Duration::from_millis(250)).await;
        let mut permitted = BTreeSet::new();
        for worker in &mut *workers {
            worker.obey(patient).await;
            for (key, permit) in &worker.runs {
                assert!(!permit.holds() || permitted.insert(key.clone()), "two workers may act on {key}");
            }
        }
    }
}

fn shares(workers: &[Worker]) -> Vec<usize> {
    let mut shares: Vec<usize> = workers.iter().map(|worker| worker.runs.len()).collect();
    shares.sort_unstable();
    shares
}

async fn table(shards: usize) -> MemoryLeases {
    let table = MemoryLeases::default();
    for number in 0..shards {
        table.create(&Lease::new(format!("shard-{number}"), Checkpoint::TrimHorizon)).await.unwrap();
    }
    table
}

#[tokio::test(start_paused = true)]
async fn workers_that_join_and_leave_share_evenly() {
    let table = table(8).await;
    let mut workers = vec![Worker::start(&table, "a")];
    pass(&mut workers, 15, true).await;
    assert_eq!(shares(&workers), [8]);
    workers.push(Worker::start(&table, "b"));
    workers.push(Worker::start(&table, "c"));
    pass(&mut workers, 120, true).await;
    assert_eq!(shares(&workers), [2, 3, 3]);
    // one falls silent without a word
    workers.remove(0);
    pass(&mut workers, 60, true).await;
    assert_eq!(shares(&workers), [4, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_handed_over_is_taken_after_a_while() {
    let table = table(2).await;
    let mut workers = vec![Worker::start(&table, "a")];
    pass(&mut workers, 15, false).await;
    workers.push(Worker::start(&table, "b"));
    pass(&mut workers, 90, false).await;
    assert_eq!(shares(&workers), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_under_which_nothing_happens_is_not_renewed() {
    let table = table(1).await;
    let mut first = Worker::start(&table, "a");
    // paces: virtual time
    clock::sleep(Duration::from_secs(1)).await;
    first.obey(true).await;
    let permit = first.runs["shard-0"].clone();
    let mut other = vec![Worker::start(&table, "b")];
    // the first one's partition hangs: no pulse
    pass(&mut other, 50, true).await;
    assert!(permit.holds() && other[0].runs.is_empty());
    pass(&mut other, 60, true).await;
    assert!(!permit.holds() && other[0].runs.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_learns_the_checkpoint_and_the_end() {
    let table = table(1).await;
    let (keeper, mut events) = {
        let worker = Worker::start(&table, "a");
        (worker.keeper, worker.events)
    };
    let Some(Event::Gained(grant)) = events.recv().await else { panic!("nothing gained") };
    let at = Checkpoint::At { sequence: crate::record::Sequence::from_u64(77), sub_sequence: 2 };
    grant.progress.tell(Some(at), 5);
    // paces: virtual time
    clock::sleep(DURATION).await;
    let row = table.get("shard-0").await.unwrap().unwrap();
    assert_eq!((row.checkpoint, row.epoch, row.owner_switches), (at, Some(5), 0));
    let child =
        Lease { parents: BTreeSet::from(["shard-0".to_owned()]), ..Lease::new("shard-1", Checkpoint::TrimHorizon) };
    keeper.ended("shard-0", vec![child]).await;
    keeper.stop().await;
    let rows = table.list().await.unwrap();
    assert_eq!(rows[0].checkpoint, Checkpoint::ShardEnd);
    assert_eq!((rows[0].children.len(), rows[1].key.as_str()), (1, "shard-1"));
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_over_stay_until_the_worker_has_seen_them() {
    let table = MemoryLeases::default();
    let at = Checkpoint::At { sequence: crate::record::Sequence::from_u64(7), sub_sequence: 0 };
    let children = BTreeSet::from(["child".to_owned()]);
    table.create(&Lease { children, ..Lease::new("parent", Checkpoint::ShardEnd) }).await.unwrap();
    table.create(&Lease::new("child", at)).await.unwrap();
    let worker = Worker::start(&table, "a");
    // paces: virtual time
    clock::sleep(3 * DURATION).await;
    assert!(table.get("parent").await.unwrap().is_some());
    worker.keeper.ensure(Vec::new()).await;
    // paces: virtual time
    clock::sleep(DURATION).await;
    assert!(table.get("parent").await.unwrap().is_none());
}
