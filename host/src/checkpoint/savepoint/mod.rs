//! Savepoints: copies of what a job would go on from, in the same store, below a name that people choose.
//!
//! `JOB/savepoints/NAME/` is laid out as a job is: `records/`, `manifests/`, `state/`. Beside them stand `begun`, made first, which takes the
//! name, and `whole`, made last: without it a savepoint is no savepoint. The rules: objects are only made, never replaced; a copy is what its
//! manifest says to the byte, or it is not made; each partition is at an epoch of its own, and a partition whose manifest says that
//! a parent is sealed is copied with that seal.
//! `save` makes one, `restore` puts it back into place (rule 7), `branch` begins another job with it.
//! Left to others: whether the job runs, and what sinks have shown (`job`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    ledger::remote::create_surely,
    manifest::{self, BlockRef, Manifest},
    verify::block_is_whole,
};
use crate::{
    error::{Error, Kind, Result},
    objects::{Created, Objects, check_name},
};

mod branch;
mod restore;
mod save;
#[cfg(test)]
mod tests;

pub use branch::branch;
pub use restore::{Plan, Planned, Restored, finish, plan, restore};
pub use save::save;

/// A savepoint, as its last object says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Savepoint {
    /// its name
    pub name: String,
    /// the job that it was made of
    pub job: String,
    /// when it was whole, microseconds since 1970
    pub made_us: i64,
    /// the generation of the job
    pub generation: u64,
    /// by partition
    pub partitions: BTreeMap<String, Saved>,
}

/// A partition in a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// of the manifest
    pub number: u64,
    /// the last epoch
    pub epoch: u64,
    /// its shard was read to the end
    pub sealed: bool,
    /// blocks of state
    pub blocks: usize,
    /// their bytes
    pub bytes: u64,
}

/// The names of a savepoint's objects begin with it.
pub fn place(job: &str, name: &str) -> String {
    format!("{job}/savepoints/{name}")
}

fn whole(job: &str, name: &str) -> String {
    format!("{}/whole", place(job, name))
}

fn begun(job: &str, name: &str) -> String {
    format!("{}/begun", place(job, name))
}

/// Every savepoint of a job by name; none where it is not whole.
pub async fn list(objects: &dyn Objects, job: &str) -> Result<BTreeMap<String, Option<Savepoint>>> {
    let prefix = format!("{job}/savepoints/");
    let mut all = BTreeMap::new();
    for object in objects.list(&prefix, "").await? {
        let Some((name, rest)) = object.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) else { continue };
        let known = all.entry(name.to_owned()).or_insert(None);
        if rest == "whole"
            && let Some(bytes) = objects.read(&object, None).await?
        {
            *known = Some(manifest::decode(&format!("{object} in {}", objects.place()), &bytes)?);
        }
    }
    Ok(all)
}

/// A savepoint that is whole.
pub async fn find(objects: &dyn Objects, job: &str, name: &str) -> Result<Savepoint> {
    check(name)?;
    let object = whole(job, name);
    if let Some(bytes) = objects.read(&object, None).await? {
        return manifest::decode(&format!("{object} in {}", objects.place()), &bytes);
    }
    let all = list(objects, job).await?;
    let said = match (all.contains_key(name), all.is_empty()) {
        (true, _) => "it was begun and never became whole: delete it, and save again".to_owned(),
        (false, true) => "there is none of that name, and no other either".to_owned(),
        (false, false) => {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            format!("there is none of that name; there are {}", names.join(", "))
        }
    };
    let words = format!("savepoint `{name}` of the job `{job}` in {} cannot be used: {said}", objects.place());
    Err(Error::new(Kind::Config, words))
}

/// Removes a savepoint, whole or not. Gives back how many objects it had.
pub async fn delete(objects: &dyn Objects, job: &str, name: &str) -> Result<usize> {
    check(name)?;
    let names = objects.list(&format!("{}/", place(job, name)), "").await?;
    if names.is_empty() {
        find(objects, job, name).await?;
    }
    // first nobody may use it any more, last its name is free again
    objects.delete(&whole(job, name)).await?;
    let taken = begun(job, name);
    for object in names.iter().filter(|object| **object != taken) {
        objects.delete(object).await?;
    }
    objects.delete(&taken).await?;
    Ok(names.len())
}

/// A savepoint is one part of a path.
fn check(name: &str) -> Result<()> {
    if check_name(name).is_ok() && !name.contains('/') && name.len() <= 100 {
        return Ok(());
    }
    let shown: String = name.chars().take(120).collect();
    let words = format!(
        "`{shown}` cannot name a savepoint: use letters, digits, `_`, `.` and `-`, at most 100, no point first"
    );
    Err(Error::new(Kind::Config, words))
}

/// Copies a block, if it is whole. False where it is gone.
async fn copy(from: &dyn Objects, block: &BlockRef, to: &dyn Objects, name: &str) -> Result<bool> {
    let Some(bytes) = from.read(&block.name, None).await? else { return Ok(false) };
    block_is_whole(block, &bytes, None).map_err(|e| e.at(format_args!("{} in {}", block.name, from.place())))?;
    create_surely(to, name, bytes).await?;
    Ok(true)
}

/// The manifests of a savepoint, and its job record, as they were.
async fn read(
    objects: &dyn Objects,
    savepoint: &Savepoint,
) -> Result<(manifest::JobRecord, BTreeMap<String, Manifest>)> {
    let at = place(&savepoint.job, &savepoint.name);
    let gone = |what: String| {
        let words = format!("savepoint `{}` in {} is damaged: {what} is not there", savepoint.name, objects.place());
        Error::new(Kind::State, words)
    };
    let record =
        super::ledger::remote::record_in(objects, &at).await?.ok_or_else(|| gone("its job record".to_owned()))?;
    let mut manifests = BTreeMap::new();
    for (partition, saved) in &savepoint.partitions {
        let found = super::ledger::remote::manifest_in(objects, &at, partition, saved.number).await?;
        let found = found.ok_or_else(|| gone(format!("manifest {} of partition {partition}", saved.number)))?;
        manifests.insert(partition.clone(), found);
    }
    Ok((record, manifests))
}

/// The job record in a savepoint.
pub async fn record(objects: &dyn Objects, savepoint: &Savepoint) -> Result<manifest::JobRecord> {
    Ok(read(objects, savepoint).await?.0)
}

/// Rule 7: takes the mark that keeps workers out. It may be there from a try that was interrupted.
async fn mark(objects: &dyn Objects, job: &str, name: &str) -> Result<()> {
    let at = super::ledger::remote::restoring(job);
    let made = objects.create(&at, Bytes::from(format!("`{name}`"))).await?;
    if made == Created::Exists {
        tracing::info!("an earlier try was interrupted: this one begins anew");
    }
    Ok(())
}

async fn unmark(objects: &dyn Objects, job: &str) -> Result<()> {
    objects.delete(&super::ledger::remote::restoring(job)).await
}
