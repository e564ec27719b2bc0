//! Begins another job with a savepoint: its job record, and a first manifest for each partition. The first job is left alone.
//!
//! The rule: the new job shows what comes after the savepoint. Results that the savepoint holds back, or has promised and not shown yet, are
//! the first job's, and stay with it. A job that has a record or a manifest already is never written into; what an interrupted try left is
//! told by its mark, and begun anew.

use bytes::Bytes;

use super::{Savepoint, find, read, restore::put, unmark};
use crate::{
    checkpoint::{
        ledger::remote::{create_numbered, manifest_name, record_name, restoring},
        manifest::{self, JobRecord, Manifest, Swapped},
    },
    error::{Error, Kind, Result},
    objects::{Created, Objects},
    random,
};

/// Begins the job of this record, which needs its name, its digests and nothing else, in `to`, with a savepoint of a job in `from`.
pub async fn branch(from: &dyn Objects, job: &str, name: &str, to: &dyn Objects, new: &JobRecord) -> Result<Savepoint> {
    let savepoint = find(from, job, name).await?;
    let (record, mut manifests) = read(from, &savepoint).await?;
    enter(to, &new.job, Bytes::from(format!("`{name}` of the job `{job}`"))).await?;
    put(from, to, &new.job, |_| 0, &mut manifests, &savepoint).await?;
    // what was swapped in is stored below the first job
    let swapped = Swapped::default();
    let record = JobRecord { job: new.job.clone(), digests: new.digests.clone(), generation: 1, swapped, ..record };
    let at = record_name(&new.job, record.generation);
    create_numbered::<JobRecord>(to, &at, manifest::encode(&record).into(), |_| false).await?;
    for (partition, saved) in manifests {
        let first = Manifest {
            nonce: random::bits(),
            generation: record.generation,
            tokens: Vec::new(),
            held: Default::default(),
            lineage: Vec::new(),
            set_back: None,
            ..saved
        };
        let at = manifest_name(&new.job, &partition, first.number);
        create_numbered::<Manifest>(to, &at, manifest::encode(&first).into(), |other| other.nonce == first.nonce)
            .await?;
    }
    unmark(to, &new.job).await?;
    Ok(savepoint)
}

/// Takes the mark of a job that does not exist yet.
async fn enter(to: &dyn Objects, job: &str, text: Bytes) -> Result<()> {
    let at = restoring(job);
    let mine = |there: Option<Bytes>| there.is_some_and(|there| there == text);
    let is_again = mine(to.read(&at, None).await?);
    for below in ["manifests", "records", "state"] {
        for object in to.list(&format!("{job}/{below}/"), "").await? {
            if !is_again {
                let words = format!(
                    "there is a job `{job}` in {} already ({object}): give the new job another name, or another store",
                    to.place()
                );
                return Err(Error::new(Kind::Config, words));
            }
            to.delete(&object).await?;
        }
    }
    if !is_again && to.create(&at, text.clone()).await? == Created::Exists {
        let words = format!("another savepoint is being put into place of the job `{job}` in {}", to.place());
        return Err(Error::new(Kind::Config, words));
    }
    Ok(())
}
