//! Who may say what of a canary, and what a way back leads to.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    checkpoint::{
        committer::Committer, epoch::Epochs, ledger::LocalLedger, manifest::Guards, manifest::Manifest, row::Row,
    },
    clock::SystemClock,
    job::swap::store::Nothing,
    state::memory::MemoryStore,
};

/// A deployer of a job with these partitions, whose step `s` runs nothing that was swapped in.
async fn deployer(partitions: &[&str]) -> (Deployer, Task<()>) {
    let store = Arc::new(MemoryStore::default());
    let (committer, writing) = Committer::beside(store.clone(), &Handle::current());
    let ledger = Arc::new(LocalLedger::new(store, committer));
    for partition in partitions {
        let first = Manifest { generation: 1, ..Manifest::default() };
        Epochs::claim(ledger.clone(), partition, first, Row::default(), false).await.unwrap();
    }
    let record = JobRecord { job: "j".into(), generation: 1, ..JobRecord::default() };
    let record = ledger.deploy(&record).await.unwrap();
    let outside: (Arc<dyn Records>, Arc<dyn Ledger>) = (ledger.clone(), ledger);
    (Deployer::new(outside, Arc::new(Nothing), SystemClock::shared(), Deployment::of(record)), writing)
}

fn canary() -> How {
    let wanted = Wanted { percent: 100, for_ms: 1000, guards: Guards::default() };
    How { trial: Duration::from_secs(60), canary: Some(wanted), ..How::default() }
}

#[tokio::test]
async fn a_partition_speaks_only_of_the_canary_that_it_has_tried() {
    let (deployer, _writing) = deployer(&["all"]).await;
    assert_eq!(deployer.swap("s", "first", &canary()).await.unwrap(), 2);
    assert_eq!(deployer.roll_back(None).await.unwrap(), 3);
    assert_eq!(deployer.swap("s", "second", &canary()).await.unwrap(), 4);
    // it was slow to hear that the first was taken back
    deployer.looked(("all", 2), true).await.unwrap();
    assert!(deployer.now().record.canary_of("all").unwrap().passed.is_empty());
    deployer.looked(("all", 4), true).await.unwrap();
    assert_eq!((deployer.now().record.generation, &deployer.now().record.swapped.canary), (5, &None));
    assert_eq!(deployer.now().record.since(), 4);
}

#[tokio::test]
async fn nobody_waits_for_one_that_has_seen_nothing_but_one_must_have_seen_something() {
    let (deployer, _writing) = deployer(&["a", "b"]).await;
    deployer.swap("s", "new", &canary()).await.unwrap();
    let tried = |deployer: &Deployer| deployer.now().record.swapped.canary.is_some();
    deployer.looked(("a", 2), false).await.unwrap();
    deployer.looked(("b", 2), false).await.unwrap();
    assert!(tried(&deployer), "nobody has seen anything");
    deployer.looked(("b", 2), true).await.unwrap();
    assert!(!tried(&deployer));
}

#[tokio::test]
async fn what_runs_already_is_not_deployed_again_so_that_the_way_back_stays() {
    let (deployer, _writing) = deployer(&["all"]).await;
    let how = How { trial: Duration::from_secs(60), ..How::default() };
    assert_eq!(deployer.swap("s", "new", &how).await.unwrap(), 2);
    assert_eq!(deployer.swap("s", "new", &how).await.unwrap(), 2);
    assert_eq!(deployer.now().record.swapped.before, Some(BTreeMap::new()));
}

#[tokio::test]
async fn whatever_ends_a_partition_of_a_canary_takes_it_back_but_not_what_may_pass() {
    let (deployer, _writing) = deployer(&["all"]).await;
    deployer.swap("s", "new", &canary()).await.unwrap();
    let failed = |kind| Error::new(kind, "it fails");
    assert!(!deployer.failed(("all", 2), &failed(Kind::Unavailable)).await.unwrap());
    assert!(deployer.failed(("all", 2), &failed(Kind::State)).await.unwrap());
    assert_eq!(deployer.now().record.swapped, Swapped::default());
    assert!(!deployer.failed(("all", 3), &failed(Kind::State)).await.unwrap(), "nothing is tried");
}
