//! Keeps what plugins were given when they failed, beside the path of records.
//!
//! The rule: a few of each partition's life, and no more than a few in the folder; what cannot be written is said once and forgotten.

use std::{path::PathBuf, sync::Arc};

use crate::{
    checkpoint::manifest::JobRecord,
    job::capsule::{Capsule, Configs, Place},
    record::{Origin, RawBatch},
    task,
    transform::evidence::Evidence,
};

/// So many are kept by one life of a partition.
const MOST: u32 = 16;
/// So many lie in the folder at most.
const MOST_FILES: usize = 256;

/// Where capsules go, and what is in them beside the evidence.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// the folder
    pub folder: PathBuf,
    /// by step: what its plugin is started with
    pub configs: Arc<Configs>,
}

/// What a partition keeps.
#[derive(Debug)]
pub(super) struct Capsules {
    keeping: Option<Keeping>,
    kept: u32,
}

impl Capsules {
    pub(super) fn new(keeping: Option<Keeping>) -> Self {
        Self { keeping, kept: 0 }
    }

    /// Keeps one, if there is room for it.
    pub(super) async fn keep(
        &mut self,
        record: &JobRecord,
        (partition, step): (&str, &str),
        evidence: &Evidence,
        raw: Option<&RawBatch>,
    ) {
        let Some(keeping) = self.keeping.as_ref().filter(|_| self.kept < MOST) else { return };
        let Some(config) = keeping.configs.get(step) else { return };
        let named = record.digests.get(&JobRecord::plugin_of(step));
        let Some(digest) = record.swapped.plugins.get(step).or(named) else { return };
        let payload = raw.and_then(|raw| match &evidence.record.origin {
            Origin::Records(records) if Arc::ptr_eq(records, &raw.records) => {
                Some(raw.data.cell(evidence.record.rows[0] as usize))
            }
            _ => None,
        });
        let (job, generation) = (record.job.as_str(), record.generation);
        let place = Place { job, generation, partition, step, digest, config };
        let Ok(capsule) = Capsule::new(&place, evidence, payload) else { return };
        let name = format!("{}-{:016x}.json", step.replace(['/', '.'], "_"), crate::random::bits());
        let (path, folder) = (keeping.folder.join(name), keeping.folder.clone());
        let shown = path.display().to_string();
        self.kept += 1;
        let written = task::blocking(move || {
            let files = std::fs::read_dir(&folder).map_or(0, Iterator::count);
            if files >= MOST_FILES { Ok(false) } else { capsule.write(&path).map(|()| true) }
        });
        match written.await {
            Ok(true) => tracing::warn!(
                partition,
                "step {step}: a record failed alone, {}; what it was given is kept: pelton repro {shown}",
                evidence.failure.code()
            ),
            Ok(false) => {
                let folder = keeping.folder.display();
                tracing::warn!(
                    "step {step}: a record failed alone; {folder} holds {MOST_FILES} files, so what it was given is not kept, nor what \
                     other records are: remove those that nobody needs"
                );
                self.kept = MOST;
            }
            Err(failed) => {
                tracing::warn!("what a plugin failed over cannot be kept in {shown}: {failed}");
                self.kept = MOST;
            }
        }
    }
}
