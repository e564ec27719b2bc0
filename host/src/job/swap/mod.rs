//! Hot swap: a plugin is replaced while the job runs.
//!
//! The rules:
//! 1. The **job record is the deployed truth**. A plugin is stored by its digest, then the record of the next generation is made durable, and
//!    only then does any partition run it (rule 0 of `checkpoint`); whoever starts later runs what the record says.
//! 2. A partition changes **between two epochs**: all results of an epoch are of one generation, and its manifest says of which.
//! 3. What does not fit is refused before a record is written (`fit`).
//!    What runs may be taken back even where what ran before cannot read its state, as long as none of that is durable; so before the first
//!    epoch of it is, the record says that it is **settled**, and from then on it is not. Both are records of the next generation, of which
//!    there is one.
//! 4. Where a canary is asked for, some partitions try what is new, and nothing of it is committed until they have passed (`canary`).
//! 5. For a while a new generation is **on trial**: a step that fails then takes it back by itself, with a generation of its own. Nothing of
//!    the epoch that failed was committed.
//!
//! Left to others: the change of a partition (`partition`), the steps (`build`), plugins by digest (`store`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch};

pub mod canary;
pub mod fit;
pub mod store;
#[cfg(test)]
mod tests;

use canary::{Breaks, Wanted};

use crate::{
    checkpoint::{
        kill,
        ledger::{Ledger, Records, newest_of_all},
        manifest::{Canary, JobRecord, Swapped},
    },
    clock::{self, Clock},
    error::{Error, Kind, Result},
    planted,
    plugin::{Capability, Plugin},
    source::Pending,
    task::{self, Task},
    transform::{LocalPending, Step},
};

/// What a worker runs.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// the newest record that the worker knows
    pub record: JobRecord,
    /// by digest: loaded, what the record says that steps run
    pub plugins: BTreeMap<String, Plugin>,
}

impl Deployment {
    /// Nothing was swapped.
    pub fn of(record: JobRecord) -> Self {
        Self { record, plugins: BTreeMap::new() }
    }

    /// What is deployed for a partition.
    pub fn seen_by(&self, partition: &str) -> Self {
        Self { record: self.record.seen_by(partition), plugins: self.plugins.clone() }
    }

    /// What runs at a step; none where nothing is stored.
    pub fn plugin(&self, step: &str) -> Option<&Plugin> {
        self.plugins.get(self.record.deployed(step)?)
    }

    /// The steps that run another plugin here than there.
    pub fn differs<'a>(&'a self, from: &'a JobRecord) -> impl Iterator<Item = &'a str> {
        let names: std::collections::BTreeSet<&String> =
            self.record.swapped.plugins.keys().chain(from.swapped.plugins.keys()).collect();
        let changed = |name: &&String| self.record.deployed(name) != from.deployed(name);
        names.into_iter().filter(changed).map(String::as_str)
    }
}

/// Steps by name.
pub type Steps = Vec<(String, Box<dyn Step>)>;

/// Makes the steps that another deployment changes.
pub trait Fit {
    /// Steps by name, for a partition that ran this record until now. What can fail has failed before, but for the outside.
    fn fit<'a>(&'a self, from: &'a JobRecord, to: &'a Deployment) -> LocalPending<'a, Result<Steps>>;

    /// What finds rows of a step that break an assertion.
    fn breaks(&self, step: &str, assertion: &str) -> Result<Breaks>;
}

/// What a partition watches.
#[derive(Clone)]
pub struct Swaps<'a> {
    /// the newest deployment
    pub deployed: watch::Receiver<Arc<Deployment>>,
    /// makes its steps
    pub fit: &'a dyn Fit,
    /// who is told that a canary has passed here
    pub deployer: Option<&'a Deployer>,
    /// where it says which generation it runs
    pub runs: Arc<AtomicU64>,
}

/// Nobody deploys anything.
struct Never;

impl Fit for Never {
    fn fit<'a>(&'a self, _: &'a JobRecord, _: &'a Deployment) -> LocalPending<'a, Result<Steps>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn breaks(&self, _: &str, _: &str) -> Result<Breaks> {
        Ok(Breaks::new())
    }
}

impl Swaps<'static> {
    /// Nothing is ever swapped: in tests, and where a job is not watched.
    pub fn none() -> Self {
        let (_, deployed) = watch::channel(Arc::new(Deployment::of(JobRecord::default())));
        Self { deployed, fit: &Never, deployer: None, runs: Arc::default() }
    }
}

/// Gives the deployed plugins of other records.
pub trait Deployed: Send + Sync {
    /// Loads what the record says that steps run, but for what is loaded already.
    fn load<'a>(&'a self, record: &'a JobRecord, known: &'a Deployment) -> Pending<'a, Result<Deployment>>;

    /// Refuses a deployment whose plugins do not fit in place of those that run, `Kind::Config`. What they may use beyond those is allowed
    /// by the job, or here; everything, where nothing is said here.
    fn check<'a>(
        &'a self,
        from: &'a Deployment,
        to: &'a Deployment,
        allow: Option<&'a BTreeSet<Capability>>,
    ) -> Pending<'a, Result<()>>;

    /// Whether records of a partition can come to a step.
    fn reaches(&self, _partition: &str, _step: &str) -> bool {
        true
    }
}

/// How a plugin is swapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// for so long a step that fails takes it back
    pub trial: Duration,
    /// some partitions try it first
    pub canary: Option<Wanted>,
    /// only if this generation is what is deployed: nobody deploys over what they have not seen
    pub over: Option<u64>,
    /// what the plugin may use that the one before it does not
    pub allow: BTreeSet<Capability>,
}

/// Writes records, and says what is deployed. One for each worker.
pub struct Deployer {
    records: Arc<dyn Records>,
    ledger: Arc<dyn Ledger>,
    plugins: Arc<dyn Deployed>,
    clock: Arc<dyn Clock>,
    deployed: watch::Sender<Arc<Deployment>>,
    /// held by whoever changes something on somebody's behalf: one at a time, the next is told so
    changing: tokio::sync::Mutex<()>,
    /// held while the record is read or written
    busy: tokio::sync::Mutex<()>,
}

/// How often a worker looks whether another has deployed something.
const LOOK: Duration = Duration::from_secs(2);

/// Looks again and again, beside the partitions, until dropped. A record that this worker wrote without learning of it is found too.
pub fn keep_looking(deployer: &Arc<Deployer>, runtime: &Handle) -> Task<()> {
    let deployer = Arc::downgrade(deployer);
    task::spawn(runtime, async move {
        loop {
            clock::sleep(LOOK).await;
            let Some(deployer) = deployer.upgrade() else { return };
            if let Err(failed) = deployer.look().await {
                tracing::warn!("what is deployed cannot be looked at: {failed}");
            }
        }
    })
}

impl fmt::Debug for Deployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deployer(generation {})", self.now().record.generation)
    }
}

impl Deployer {
    /// A worker that runs this.
    pub fn new(
        (records, ledger): (Arc<dyn Records>, Arc<dyn Ledger>),
        plugins: Arc<dyn Deployed>,
        clock: Arc<dyn Clock>,
        deployment: Deployment,
    ) -> Self {
        let (deployed, _) = watch::channel(Arc::new(deployment));
        let (changing, busy) = Default::default();
        Self { records, ledger, plugins, clock, deployed, changing, busy }
    }

    /// What is deployed, as far as this worker knows.
    pub fn now(&self) -> Arc<Deployment> {
        self.deployed.borrow().clone()
    }

    /// Told of every other deployment.
    pub fn watch(&self) -> watch::Receiver<Arc<Deployment>> {
        self.deployed.subscribe()
    }

    /// Deploys a plugin that is stored and fits, for a step; afterwards it may be taken back by itself. The new generation, or the one that
    /// is deployed where that runs the plugin already.
    pub async fn swap(&self, step: &str, digest: &str, how: &How) -> Result<u64> {
        let _changing = self.begin()?;
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        let now = self.now();
        self.refuse_during_canary()?;
        self.refuse_unseen(how.over)?;
        // the way back would lead here
        if now.record.deployed(step).is_some_and(|runs| runs == digest) {
            return Ok(now.record.generation);
        }
        let mut swapped = with(&now.record, step, digest);
        match &how.canary {
            None => swapped.trial_until_us = self.after(how.trial),
            Some(wanted) => {
                let mut all = newest_of_all(&*self.ledger).await?;
                all.retain(|(name, manifest)| {
                    manifest.sealed.is_none() && !manifest.begins_anew && self.plugins.reaches(name, step)
                });
                let open = all.into_iter().map(|(name, _)| name).collect();
                let base = now.record.generation;
                swapped.since = Some(base + 1);
                swapped.canary = Some(wanted.canary(step, digest, base, open, how.trial)?);
            }
        }
        self.deploy(&now.record, swapped, Some(&how.allow)).await
    }

    /// A partition of a canary that ran this generation has found nothing wrong, or has seen no record in its time. When all have, and one
    /// has seen some, every partition runs what is new.
    pub async fn looked(&self, (partition, ran): (&str, u64), has_seen: bool) -> Result<()> {
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        let now = self.now();
        let Some(canary) = now.record.canary_of(partition) else { return Ok(()) };
        // What it has tried may be taken back, and something else be tried by now, of which it has seen nothing.
        if now.record.since() != ran {
            return Ok(());
        }
        let mut canary = canary.clone();
        let told = if has_seen { &mut canary.passed } else { &mut canary.quiet };
        if !told.insert(partition.to_owned()) {
            return Ok(());
        }
        self.tried(canary).await
    }

    /// A canary has come further: it goes on, or every partition runs what is new.
    async fn tried(&self, canary: Canary) -> Result<()> {
        let now = self.now();
        let all = canary.has_passed() || planted::is("canary-passed-by-one");
        let swapped = if all {
            let trial_until_us = self.after(Duration::from_millis(canary.trial_ms));
            Swapped { canary: None, trial_until_us, settled: now.record.since(), ..now.record.swapped.clone() }
        } else {
            Swapped { canary: Some(canary), ..now.record.swapped.clone() }
        };
        self.deploy(&now.record, swapped, None).await.map(drop)
    }

    /// Rule 3: epochs of what runs since this generation are about to be durable. False where something else is deployed: then none may be.
    pub async fn settle(&self, since: u64) -> Result<bool> {
        let _busy = self.busy.lock().await;
        loop {
            // The record is all that is asked: what else it deploys may not even load here.
            let newest = self.records.record().await?.unwrap_or_else(|| self.now().record.clone());
            if newest.swapped.settled == since || newest.since() != since {
                return Ok(newest.swapped.settled == since);
            }
            let swapped = Swapped { settled: since, since: Some(since), ..newest.swapped.clone() };
            match self.deploy(&newest, swapped, None).await {
                // another worker was first: with the same, or with the way back
                Err(failed) if failed.kind() == Kind::Unavailable && self.is_behind(&newest).await? => {}
                done => return done.map(|_| true),
            }
        }
    }

    /// Whether something was deployed after this.
    async fn is_behind(&self, known: &JobRecord) -> Result<bool> {
        Ok(self.records.record().await?.is_some_and(|newest| newest.generation > known.generation))
    }

    fn after(&self, time: Duration) -> i64 {
        self.clock.wall_us().saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
    }

    fn refuse_unseen(&self, over: Option<u64>) -> Result<()> {
        let (since, now) = (self.now().record.since(), self.now().record.generation);
        // what has run since then is what they have seen, whatever was said of it
        let Some(seen) = over.filter(|seen| !(since..=now).contains(seen)) else { return Ok(()) };
        let words = format!("generation {now} was deployed meanwhile, and you have seen {seen}: look, then ask again");
        Err(Error::new(Kind::Unavailable, words))
    }

    fn refuse_during_canary(&self) -> Result<()> {
        let now = self.now();
        let Some(canary) = &now.record.swapped.canary else { return Ok(()) };
        let words = format!(
            "a canary of step `{}` is under way, {} of {} partitions have passed: wait for it, or end it with `pelton rollback`",
            canary.step,
            canary.passed.len(),
            canary.partitions.len()
        );
        Err(Error::new(Kind::Unavailable, words))
    }

    /// Refuses a stored plugin that would not fit; the record that would be deployed.
    pub async fn check_swap(&self, step: &str, digest: &str, allow: &BTreeSet<Capability>) -> Result<JobRecord> {
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        let now = self.now();
        let (generation, swapped) = (now.record.generation + 1, with(&now.record, step, digest));
        let record = JobRecord { generation, swapped, ..now.record.clone() };
        let mut deployment = self.plugins.load(&record, &now).await?;
        self.plugins.check(&now, &deployment, Some(allow)).await?;
        deployment.record.swapped.one_way = self.is_one_way(&now, &deployment).await?;
        Ok(deployment.record)
    }

    /// Deploys again what ran before the last swap, if the generation that the caller has seen is deployed. The new generation.
    pub async fn roll_back(&self, over: Option<u64>) -> Result<u64> {
        let _changing = self.begin()?;
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        self.refuse_unseen(over)?;
        self.back().await
    }

    /// A partition that ran this generation has failed: if it is a step, on trial, that is taken back. Whether something else is deployed for
    /// it now, by this worker or another.
    pub async fn failed(&self, (partition, ran): (&str, u64), failed: &Error) -> Result<bool> {
        if matches!(failed.kind(), Kind::Unavailable | Kind::Fenced) || planted::is("swap-never-taken-back") {
            return Ok(false);
        }
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        let now = self.now();
        // Another partition may have failed before it, and what both ran is taken back already; or it began before this worker heard of what
        // its state was written by. A record that changes no plugin is nothing else.
        if now.record.seen_by(partition).since() > ran {
            return Ok(true);
        }
        // What a partition of a canary cannot go on after, the others would wait for.
        if failed.kind() != Kind::Step && now.record.canary_of(partition).is_none() {
            return Ok(false);
        }
        let known = now.record.since();
        let Swapped { before, trial_until_us, canary, .. } = &now.record.swapped;
        let on_trial = match canary {
            Some(canary) => canary.partitions.contains(partition),
            None => before.is_some() && self.clock.wall_us() < *trial_until_us,
        };
        if !on_trial {
            return Ok(false);
        }
        let back = self.back().await?;
        tracing::error!(
            "generation {known} has failed and is taken back, generation {back} runs what was before: {failed}"
        );
        Ok(true)
    }

    async fn back(&self) -> Result<u64> {
        let now = self.now();
        let Some(before) = now.record.swapped.before.clone() else {
            let words = "there is nothing to go back to: no plugin was swapped, or it was taken back already";
            return Err(Error::new(Kind::Config, words));
        };
        let settled = now.record.swapped.settled;
        self.deploy(&now.record, Swapped { plugins: before, settled, ..Swapped::default() }, None).await
    }

    /// Rule 3. What runs may be taken back whatever it stores, as long as nothing of it is durable.
    async fn check(&self, from: &Deployment, to: &Deployment, new: Option<&BTreeSet<Capability>>) -> Result<()> {
        let Err(refused) = self.plugins.check(from, to, new).await else { return Ok(()) };
        // Whoever asks for what ran before as if it were new is refused like all others: what is swapped over is settled.
        let goes_back = new.is_none() && from.record.swapped.before.as_ref() == Some(&to.record.swapped.plugins);
        if goes_back && !from.record.may_commit() { Ok(()) } else { Err(refused) }
    }

    /// Whether what runs now could not go on from what these plugins store.
    async fn is_one_way(&self, from: &Deployment, to: &Deployment) -> Result<bool> {
        match self.plugins.check(to, from, None).await {
            Err(refused) if refused.kind() == Kind::Config => Ok(true),
            done => done.map(|()| false),
        }
    }

    fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let words = "another change is under way: ask again when it is done";
        self.changing.try_lock().map_err(|_| Error::new(Kind::Unavailable, words))
    }

    /// Makes the record of the next generation durable, and tells the partitions. `new`: a plugin is new, and may use this beyond what the one
    /// before it may.
    async fn deploy(&self, from: &JobRecord, swapped: Swapped, new: Option<&BTreeSet<Capability>>) -> Result<u64> {
        let (generation, now) = (from.generation + 1, self.now());
        let record = JobRecord { generation, swapped, ..from.clone() };
        kill::point("before-swap-load");
        let mut deployment = self.plugins.load(&record, &now).await?;
        kill::point("before-swap-check");
        self.check(&now, &deployment, new).await?;
        if new.is_some() {
            deployment.record.swapped.one_way = self.is_one_way(&now, &deployment).await?;
        }
        kill::point("before-swap");
        if planted::is("swap-before-record") {
            self.deployed.send_replace(Arc::new(deployment.clone()));
            clock::sleep(LOOK).await;
        }
        let stands = self.records.deploy(&deployment.record).await?;
        kill::point("after-swap");
        if stands != deployment.record {
            let words =
                format!("another worker has deployed generation {} meanwhile: look, then ask again", stands.generation);
            return Err(Error::new(Kind::Unavailable, words));
        }
        self.deployed.send_replace(Arc::new(deployment));
        Ok(generation)
    }

    /// Looks whether another worker has deployed something, and takes that over.
    pub async fn look(&self) -> Result<()> {
        if planted::is("swap-not-looked-at") {
            return Ok(());
        }
        let _busy = self.busy.lock().await;
        self.look_now().await?;
        self.without_sealed().await
    }

    /// A shard that had ended before its partition heard of a canary tries nothing: the others decide, or nobody has seen anything.
    async fn without_sealed(&self) -> Result<()> {
        let now = self.now();
        let Some(canary) = &now.record.swapped.canary else { return Ok(()) };
        let mut left = canary.clone();
        for name in canary.partitions.difference(&canary.passed) {
            if self.ledger.newest(name).await?.is_some_and(|manifest| manifest.sealed.is_some()) {
                left.partitions.remove(name);
                left.quiet.remove(name);
            }
        }
        if left.partitions == canary.partitions {
            return Ok(());
        }
        if left.partitions.is_empty() {
            return self.back().await.map(drop);
        }
        self.tried(left).await
    }

    async fn look_now(&self) -> Result<()> {
        let Some(newest) = self.records.record().await? else { return Ok(()) };
        let now = self.now();
        if newest.generation > now.record.generation {
            let deployment = self.plugins.load(&newest, &now).await?;
            tracing::info!("generation {} is deployed", newest.generation);
            self.deployed.send_replace(Arc::new(deployment));
        }
        Ok(())
    }
}

/// What is swapped in with one more. What runs now is settled with that: no way leads back beyond it any more.
fn with(now: &JobRecord, step: &str, digest: &str) -> Swapped {
    let (before, settled) = (now.swapped.plugins.clone(), now.since());
    let mut plugins = before.clone();
    plugins.insert(step.to_owned(), digest.to_owned());
    Swapped { plugins, before: Some(before), settled, ..Swapped::default() }
}
