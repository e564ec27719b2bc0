//! Hot swap: a plugin is replaced while the job runs.
//!
//! The rules:
//! 1. The **job record is the deployed truth**. A plugin is stored by its digest, then the record of the next generation is made durable, and
//!    only then does any partition run it (rule 0 of `checkpoint`); whoever starts later runs what the record says.
//! 2. A partition changes **between two epochs**: all results of an epoch are of one generation, and its manifest says of which.
//! 3. What does not fit is refused before a record is written (`fit`).
//! 4. For a while a new generation is **on trial**: a step that fails then takes it back by itself, with a generation of its own. Nothing of
//!    the epoch that failed was committed.
//!
//! Left to others: the change of a partition (`partition`), the steps (`build`), plugins by digest (`store`).

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use tokio::sync::watch;

pub mod fit;
pub mod store;

use crate::{
    checkpoint::{
        kill,
        ledger::{Ledger, Records, newest_of_all},
        manifest::{JobRecord, Swapped},
    },
    clock::Clock,
    error::{Error, Kind, Result},
    planted,
    plugin::Plugin,
    source::Pending,
    transform::{LocalPending, Step},
};

/// What a worker runs.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// the newest record that the worker knows
    pub record: JobRecord,
    /// by step: loaded, what runs in place of the job file's plugin
    pub plugins: BTreeMap<String, Plugin>,
}

impl Deployment {
    /// Nothing was swapped.
    pub fn of(record: JobRecord) -> Self {
        Self { record, plugins: BTreeMap::new() }
    }

    /// The steps that run another plugin here than there.
    pub fn differs<'a>(&'a self, from: &'a JobRecord) -> impl Iterator<Item = &'a str> {
        let names: std::collections::BTreeSet<&String> =
            self.record.swapped.plugins.keys().chain(from.swapped.plugins.keys()).collect();
        let changed = |name: &&String| self.record.swapped.plugins.get(*name) != from.swapped.plugins.get(*name);
        names.into_iter().filter(changed).map(String::as_str)
    }
}

/// Steps by name.
pub type Steps = Vec<(String, Box<dyn Step>)>;

/// Makes the steps that another deployment changes.
pub trait Fit {
    /// Steps by name, for a partition that ran this record until now. What can fail has failed before, but for the outside.
    fn fit<'a>(&'a self, from: &'a JobRecord, to: &'a Deployment) -> LocalPending<'a, Result<Steps>>;
}

/// What a partition watches.
#[derive(Clone)]
pub struct Swaps<'a> {
    /// the newest deployment
    pub deployed: watch::Receiver<Arc<Deployment>>,
    /// makes its steps
    pub fit: &'a dyn Fit,
}

/// Nobody deploys anything.
struct Never;

impl Fit for Never {
    fn fit<'a>(&'a self, _: &'a JobRecord, _: &'a Deployment) -> LocalPending<'a, Result<Steps>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

impl Swaps<'static> {
    /// Nothing is ever swapped: in tests, and where a job is not watched.
    pub fn none() -> Self {
        let (_, deployed) = watch::channel(Arc::new(Deployment::of(JobRecord::default())));
        Self { deployed, fit: &Never }
    }
}

/// Gives the deployed plugins of other records.
pub trait Deployed: Send + Sync {
    /// Loads what the record says that steps run, but for what is loaded already.
    fn load<'a>(&'a self, record: &'a JobRecord, known: &'a Deployment) -> Pending<'a, Result<Deployment>>;

    /// Refuses a deployment whose plugins do not fit in place of those that run, `Kind::Config`.
    fn check<'a>(&'a self, from: &'a Deployment, to: &'a Deployment) -> Pending<'a, Result<()>>;
}

/// Writes records, and says what is deployed. One for each worker.
pub struct Deployer {
    records: Arc<dyn Records>,
    ledger: Arc<dyn Ledger>,
    plugins: Arc<dyn Deployed>,
    clock: Arc<dyn Clock>,
    deployed: watch::Sender<Arc<Deployment>>,
    /// one change at a time
    busy: tokio::sync::Mutex<()>,
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
        Self { records, ledger, plugins, clock, deployed, busy: tokio::sync::Mutex::new(()) }
    }

    /// What is deployed, as far as this worker knows.
    pub fn now(&self) -> Arc<Deployment> {
        self.deployed.borrow().clone()
    }

    /// Told of every other deployment.
    pub fn watch(&self) -> watch::Receiver<Arc<Deployment>> {
        self.deployed.subscribe()
    }

    /// Deploys a plugin that is stored and fits, for a step; for `trial` it may be taken back by itself. The new generation.
    pub async fn swap(&self, step: &str, digest: &str, trial: Duration) -> Result<u64> {
        let _busy = self.begin()?;
        self.look_now().await?;
        let now = self.now();
        let trial_us = i64::try_from(trial.as_micros()).unwrap_or(i64::MAX);
        let trial_until_us = self.clock.wall_us().saturating_add(trial_us);
        self.deploy(&now.record, Swapped { trial_until_us, ..with(&now.record.swapped, step, digest) }).await
    }

    /// Whether a plugin that is stored would fit; the generation that it would have.
    pub async fn check_swap(&self, step: &str, digest: &str) -> Result<u64> {
        let _busy = self.begin()?;
        self.look_now().await?;
        let now = self.now();
        let (generation, swapped) = (now.record.generation + 1, with(&now.record.swapped, step, digest));
        let record = JobRecord { generation, swapped, ..now.record.clone() };
        let deployment = self.plugins.load(&record, &now).await?;
        self.plugins.check(&now, &deployment).await.map(|()| generation)
    }

    /// Deploys again what ran before the last swap. The new generation.
    pub async fn roll_back(&self) -> Result<u64> {
        let _busy = self.begin()?;
        self.look_now().await?;
        self.back().await
    }

    /// A step has failed: if what runs is on trial, it is taken back. Whether something else runs now, by this worker or another.
    pub async fn failed(&self, failed: &Error) -> Result<bool> {
        if failed.kind() != Kind::Step || planted::is("swap-never-taken-back") {
            return Ok(false);
        }
        let _busy = self.busy.lock().await;
        let known = self.now().record.generation;
        self.look_now().await?;
        let now = self.now();
        if now.record.generation > known {
            return Ok(true);
        }
        let Swapped { before, trial_until_us, .. } = &now.record.swapped;
        if before.is_none() || self.clock.wall_us() >= *trial_until_us {
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
        self.deploy(&now.record, Swapped { plugins: before, ..Swapped::default() }).await
    }

    /// Rule 3. What runs may be taken back whatever it stores, as long as nothing of it is durable.
    async fn check(&self, from: &Deployment, to: &Deployment) -> Result<()> {
        let Err(refused) = self.plugins.check(from, to).await else { return Ok(()) };
        let goes_back = from.record.swapped.before.as_ref() == Some(&to.record.swapped.plugins);
        if goes_back && !self.has_run(from.record.generation).await? { Ok(()) } else { Err(refused) }
    }

    async fn has_run(&self, generation: u64) -> Result<bool> {
        Ok(newest_of_all(&*self.ledger).await?.iter().any(|(_, manifest)| manifest.has_run(generation)))
    }

    fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let words = "another change is under way: ask again when it is done";
        self.busy.try_lock().map_err(|_| Error::new(Kind::Unavailable, words))
    }

    async fn deploy(&self, from: &JobRecord, swapped: Swapped) -> Result<u64> {
        let (generation, now) = (from.generation + 1, self.now());
        let record = JobRecord { generation, swapped, ..from.clone() };
        let deployment = self.plugins.load(&record, &now).await?;
        self.check(&now, &deployment).await?;
        kill::point("before-swap");
        let stands = self.records.deploy(&record).await?;
        kill::point("after-swap");
        if stands != record {
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
        self.look_now().await
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

/// What is swapped in with one more.
fn with(now: &Swapped, step: &str, digest: &str) -> Swapped {
    let mut plugins = now.plugins.clone();
    plugins.insert(step.to_owned(), digest.to_owned());
    Swapped { plugins, before: Some(now.plugins.clone()), trial_until_us: 0 }
}
