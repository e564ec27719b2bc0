//! The versions of the plugin as a worker loads and checks them before it deploys one.
//!
//! The rule: both take a while, in which the process may be stopped, die, or lose the way to the store; whether one fits is the host's own
//! answer, from what the versions say of themselves.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use pelton::{
    checkpoint::manifest::JobRecord,
    error::Result,
    job::swap::{Deployed, Deployment, fit},
    plugin::{Capability, KeyedPlugin, World as Kind},
    source::Pending,
};
use tokio::time::sleep;

use super::{
    keyed::{Counter, deployed},
    network::Caller,
};
use crate::world::lock;

/// How long a compiler takes.
const COMPILE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(3));
/// How long a plugin takes to say what it is.
const DESCRIBE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(300));

/// What one process has loaded.
pub struct SimPlugins {
    caller: Caller,
    step: &'static str,
    loaded: Mutex<BTreeSet<&'static str>>,
}

impl SimPlugins {
    /// A process that has loaded nothing yet.
    pub fn new(caller: Caller, step: &'static str) -> Self {
        Self { caller, step, loaded: Mutex::default() }
    }

    async fn takes(&self, (least, most): (Duration, Duration), died: &'static str) {
        let until = Until { caller: &self.caller, died };
        sleep(self.caller.world.dice(|dice| dice.between(least, most))).await;
        drop(until);
    }
}

/// Counts the processes that die before it is over.
struct Until<'a> {
    caller: &'a Caller,
    died: &'static str,
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if self.caller.life.is_dead() {
            self.caller.world.counted(self.died);
        }
    }
}

impl Deployed for SimPlugins {
    fn load<'a>(&'a self, record: &'a JobRecord, _: &'a Deployment) -> Pending<'a, Result<Deployment>> {
        Box::pin(async move {
            for digest in record.needs(self.step) {
                let version = deployed(Some(digest));
                if lock(&self.loaded).contains(version) {
                    continue;
                }
                self.caller.call("read", version, |_| ()).await?;
                self.takes(COMPILE, "died_compiling").await;
                lock(&self.loaded).insert(version);
            }
            Ok(Deployment::of(record.clone()))
        })
    }

    fn check<'a>(
        &'a self,
        from: &'a Deployment,
        to: &'a Deployment,
        _: Option<&'a BTreeSet<Capability>>,
    ) -> Pending<'a, Result<()>> {
        Box::pin(async move {
            for step in to.differs(&from.record) {
                self.takes(DESCRIBE, "died_checking").await;
                let version = |deployment: &Deployment| Counter::new(deployed(deployment.record.deployed(step)));
                let (old, new) = (version(from), version(to));
                let world = Kind::StatefulTransformer;
                let wrong = fit::differences((world, old.manifest()), (world, new.manifest()));
                fit::refuse_unfit(step, old.manifest(), new.manifest(), &wrong)?;
            }
            Ok(())
        })
    }
}
