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
    deployer_of(partitions, Nothing).await
}

async fn deployer_of(partitions: &[&str], plugins: impl Deployed + 'static) -> (Deployer, Task<()>) {
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
    (Deployer::new(outside, Arc::new(plugins), SystemClock::shared(), Deployment::of(record)), writing)
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
    let swapped = deployer.now().record.swapped.clone();
    assert_eq!((swapped.plugins, swapped.before, swapped.canary), (BTreeMap::new(), None, None));
    assert!(!deployer.failed(("all", 3), &failed(Kind::State)).await.unwrap(), "nothing is tried");
}

/// Plugins by digest, of which `new` reads what others store, and they do not read what it stores.
struct Onward;

impl Deployed for Onward {
    fn load<'a>(&'a self, record: &'a JobRecord, known: &'a Deployment) -> Pending<'a, Result<Deployment>> {
        Nothing.load(record, known)
    }

    fn check<'a>(
        &'a self,
        from: &'a Deployment,
        to: &'a Deployment,
        _: Option<&'a BTreeSet<Capability>>,
    ) -> Pending<'a, Result<()>> {
        let is_new = |deployment: &Deployment| deployment.record.deployed("s").is_some_and(|digest| digest == "new");
        let fits = !is_new(from) || is_new(to);
        let refused = || Error::new(Kind::Config, "it does not read that");
        Box::pin(std::future::ready(fits.then_some(()).ok_or_else(refused)))
    }
}

#[tokio::test]
async fn what_cannot_be_read_by_what_ran_before_is_taken_back_until_it_is_settled_and_not_later() {
    let (deployer, _writing) = deployer_of(&["all"], Onward).await;
    let how = How { trial: Duration::from_secs(60), ..How::default() };
    assert_eq!(deployer.swap("s", "new", &how).await.unwrap(), 2);
    assert!(!deployer.now().record.may_commit());
    assert_eq!(deployer.roll_back(None).await.unwrap(), 3);
    assert!(!deployer.settle(2).await.unwrap(), "it was taken back: nothing of it may be durable");

    assert_eq!(deployer.swap("s", "new", &how).await.unwrap(), 4);
    assert!(deployer.settle(4).await.unwrap());
    assert!(deployer.settle(4).await.unwrap(), "by the next partition");
    assert!(!deployer.settle(2).await.unwrap(), "what was taken back stays so, whatever is settled later");
    let now = deployer.now();
    assert_eq!((now.record.generation, now.record.since(), now.record.may_commit()), (5, 4, true));
    // whoever has seen the generation that was settled has seen what runs
    assert!(deployer.roll_back(Some(4)).await.unwrap_err().to_string().contains("does not read"));
    assert!(deployer.swap("s", "other", &how).await.is_err());
    assert!(deployer.roll_back(Some(3)).await.unwrap_err().to_string().contains("you have seen 3"));
}

#[tokio::test]
async fn what_ran_before_is_gone_back_to_and_not_swapped_in() {
    let (deployer, _writing) = deployer_of(&["all"], Onward).await;
    deployer.swap("s", "old", &How::default()).await.unwrap();
    deployer.swap("s", "new", &How::default()).await.unwrap();
    let refused = deployer.swap("s", "old", &How::default()).await.unwrap_err();
    assert!(refused.to_string().contains("does not read"), "{refused}");
    assert_eq!(deployer.roll_back(None).await.unwrap(), 4);
    assert!(!deployer.settle(3).await.unwrap());
}

#[tokio::test]
async fn what_is_swapped_over_is_settled() {
    let (deployer, _writing) = deployer_of(&["a", "b"], Onward).await;
    deployer.swap("s", "new", &How::default()).await.unwrap();
    let half = Wanted { percent: 50, for_ms: 1000, guards: Guards::default() };
    let how = How { canary: Some(half), ..How::default() };
    // another step, for this one knows but one plugin that reads what `new` stores
    assert_eq!(deployer.swap("t", "tried", &how).await.unwrap(), 3);
    assert!(deployer.settle(2).await.unwrap());
    assert_eq!(deployer.roll_back(None).await.unwrap(), 4, "that takes the canary back");
    assert_eq!(
        (deployer.now().record.deployed("s").unwrap().as_str(), deployer.now().record.may_commit()),
        ("new", true)
    );
    assert!(deployer.roll_back(None).await.is_err(), "there is no way beyond it");
}

#[tokio::test]
async fn a_canary_that_has_passed_is_settled() {
    let (deployer, _writing) = deployer_of(&["all"], Onward).await;
    deployer.swap("s", "new", &canary()).await.unwrap();
    assert!(!deployer.now().record.may_commit());
    deployer.looked(("all", 2), true).await.unwrap();
    assert!(deployer.now().record.may_commit());
    assert!(deployer.roll_back(None).await.is_err());
}

#[tokio::test]
async fn of_two_workers_one_settles_or_one_goes_back_and_both_know() {
    let (first, _writing) = deployer_of(&["a", "b"], Onward).await;
    let outside = (first.records.clone(), first.ledger.clone());
    let second = Deployer::new(outside, Arc::new(Onward), SystemClock::shared(), (*first.now()).clone());
    first.swap("s", "new", &How::default()).await.unwrap();
    assert!(second.settle(2).await.unwrap());
    assert!(first.roll_back(None).await.is_err());
    assert!(first.settle(2).await.unwrap());
    assert_eq!(first.now().record.generation, 3, "it was settled once");
}

#[tokio::test]
async fn who_began_before_it_heard_of_what_is_deployed_begins_again_whatever_it_failed_over() {
    let (deployer, _writing) = deployer(&["all"]).await;
    deployer.swap("s", "new", &How::default()).await.unwrap();
    let failed = Error::new(Kind::State, "it holds what this does not read");
    assert!(deployer.failed(("all", 1), &failed).await.unwrap());
    assert!(!deployer.failed(("all", 2), &failed).await.unwrap());
    // a record that says no more than that it has passed is nothing else to run
    deployer.swap("s", "newer", &canary()).await.unwrap();
    deployer.looked(("all", 3), true).await.unwrap();
    assert_eq!(deployer.now().record.generation, 4);
    assert!(!deployer.failed(("all", 3), &failed).await.unwrap());
}
