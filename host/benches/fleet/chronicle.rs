//! When which manifest of a partition became durable, by a look into the folder of the store every few milliseconds.
//!
//! The rule: nobody who runs is asked, so nobody who runs is disturbed or believed.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use pelton::{
    checkpoint::{
        ledger::remote::{manifest_in, numbers},
        manifest::Manifest,
    },
    clock::{self, Clock},
    objects::{Objects, folder::FolderObjects},
    task::{self, Task},
};
use tokio::runtime::Handle;

use super::scene::JOB;

const LOOK: Duration = Duration::from_millis(5);

/// A manifest, and when it was first seen.
pub type Seen = (Duration, Manifest);

/// All of them since it began.
pub struct Chronicle {
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: Task<()>,
}

fn lock(seen: &Mutex<Vec<Seen>>) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Chronicle {
    /// Begins to look, by this clock.
    pub fn begin(store: &Path, partition: &'static str, clock: Arc<dyn Clock>) -> Result<Self> {
        let objects = FolderObjects::open(store)?;
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let noted = seen.clone();
        let task = task::spawn(&Handle::current(), async move {
            let mut next = 1;
            loop {
                match look(&objects, partition, next).await {
                    Ok(new) => {
                        let now = clock.elapsed();
                        next = new.last().map_or(next, |last| last.number + 1);
                        lock(&noted).extend(new.into_iter().map(|manifest| (now, manifest)));
                    }
                    Err(failed) => eprintln!("bench: {failed}"),
                }
                // paces: how exact the times are
                clock::sleep(LOOK).await;
            }
        });
        Ok(Self { seen, _task: task })
    }

    /// The last one so far for which this is so.
    pub fn last(&self, is: impl Fn(&Manifest) -> bool) -> Option<Seen> {
        lock(&self.seen).iter().rev().find(|(_, manifest)| is(manifest)).cloned()
    }

    /// The first one for which this is so.
    pub async fn wait_for(&self, within: Duration, is: impl Fn(&Manifest) -> bool) -> Result<Seen> {
        for _ in 0..within.as_millis() / LOOK.as_millis() {
            if let Some(seen) = lock(&self.seen).iter().find(|(_, manifest)| is(manifest)) {
                return Ok(seen.clone());
            }
            clock::sleep(LOOK).await;
        }
        bail!("the manifest that is waited for does not come within {within:?}")
    }
}

async fn look(objects: &dyn Objects, partition: &str, next: u64) -> pelton::error::Result<Vec<Manifest>> {
    let mut new = Vec::new();
    for (number, _) in numbers(objects, JOB, partition).await? {
        if number >= next {
            new.extend(manifest_in(objects, JOB, partition, number).await?);
        }
    }
    Ok(new)
}
