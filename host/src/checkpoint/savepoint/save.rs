//! Makes a savepoint while the job runs or stands.
//!
//! The rule: partitions are listed first and copied then, so a child that is copied finds its parents sealed. A block that vanished while
//! its partition was copied was replaced by others: the newest manifest is read again. What a sealed partition had may be gone for good once
//! every child has a whole of its own; then it is copied without, and its children must be copied too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::{Saved, Savepoint, begun, check, copy, place, whole};
use crate::{
    checkpoint::{
        ledger::remote::{create_surely, manifest_name, newest_in, partitions_in, record_in, record_name},
        manifest::{self, BlockRef, Manifest},
    },
    error::{Error, Kind, Result},
    objects::{Created, Objects},
    random,
};

/// How often a partition is tried whose blocks vanish.
const TRIES: usize = 50;

struct Saving<'a> {
    objects: &'a dyn Objects,
    job: &'a str,
    /// what every name of the savepoint begins with
    at: String,
    copied: BTreeSet<String>,
}

/// Copies every partition. `now_us` is when.
pub async fn save(objects: &dyn Objects, job: &str, name: &str, now_us: i64) -> Result<Savepoint> {
    check(name)?;
    let Some(record) = record_in(objects, job).await? else {
        let words =
            format!("the job `{job}` has never run with the store {}: there is nothing to save", objects.place());
        return Err(Error::new(Kind::Config, words));
    };
    if objects.read(&crate::checkpoint::ledger::remote::restoring(job), None).await?.is_some() {
        let words = format!("a savepoint is being put into place of the job `{job}`: save when that is done");
        return Err(Error::new(Kind::State, words));
    }
    let nonce = Bytes::from(format!("{:016x}", random::bits()));
    let taken = begun(job, name);
    if objects.create(&taken, nonce.clone()).await? == Created::Exists
        && objects.read(&taken, None).await? != Some(nonce.clone())
    {
        let words = format!(
            "the job `{job}` has a savepoint `{name}` in {} already, or is making it: choose another name, or delete it with \
             `pelton checkpoint delete`",
            objects.place()
        );
        return Err(Error::new(Kind::Config, words));
    }
    let mut saving = Saving { objects, job, at: place(job, name), copied: BTreeSet::new() };
    let manifests = saving.partitions().await?;
    // Read again, so that it is no older than they are: what it says may be taken back has stored nothing in them.
    let record = record_in(objects, job).await?.unwrap_or(record);
    create_surely(objects, &record_name(&saving.at, record.generation), manifest::encode(&record).into()).await?;
    saving.clean(&manifests).await?;
    let mut partitions = BTreeMap::new();
    for (partition, manifest) in &manifests {
        let object = manifest_name(&saving.at, partition, manifest.number);
        create_surely(objects, &object, manifest::encode(manifest).into()).await?;
        partitions.insert(partition.clone(), saved(manifest));
    }
    let savepoint = Savepoint {
        name: name.to_owned(),
        job: job.to_owned(),
        made_us: now_us,
        generation: record.generation,
        partitions,
    };
    if objects.read(&taken, None).await? != Some(nonce) {
        return Err(Error::new(Kind::State, format!("savepoint `{name}` was deleted while it was made: save again")));
    }
    create_surely(objects, &whole(job, name), manifest::encode(&savepoint).into()).await?;
    Ok(savepoint)
}

fn saved(manifest: &Manifest) -> Saved {
    Saved {
        number: manifest.number,
        epoch: manifest.epoch,
        sealed: manifest.sealed.is_some(),
        blocks: manifest.state.len(),
        bytes: manifest.state.iter().map(|block| block.bytes).sum(),
    }
}

impl Saving<'_> {
    /// The name of a block's copy.
    fn copy_of(&self, block: &BlockRef) -> Result<String> {
        let own = block.name.strip_prefix(self.job).and_then(|rest| rest.strip_prefix('/'));
        let own = own.ok_or_else(|| {
            Error::new(Kind::State, format!("the block {} lies outside of the job `{}`", block.name, self.job))
        })?;
        Ok(format!("{}/{own}", self.at))
    }

    /// Copies the state of every partition; the manifests as they name the copies.
    async fn partitions(&mut self) -> Result<BTreeMap<String, Manifest>> {
        let mut waiting: VecDeque<String> = partitions_in(self.objects, self.job).await?.into();
        let mut done: BTreeMap<String, Manifest> = BTreeMap::new();
        while let Some(partition) = waiting.pop_front() {
            if done.contains_key(&partition) {
                continue;
            }
            let (manifest, needs) =
                self.partition(&partition).await.map_err(|e| e.at(format_args!("partition {partition}")))?;
            waiting.extend(needs);
            done.insert(partition, manifest);
        }
        Ok(done)
    }

    /// One partition, and those that must be copied because its own state is gone.
    async fn partition(&mut self, partition: &str) -> Result<(Manifest, Vec<String>)> {
        let mut last = None;
        for _ in 0..TRIES {
            let newest = newest_in(self.objects, self.job, partition).await?;
            let gone = || Error::new(Kind::State, "its manifests are gone".to_owned());
            let mut newest = newest.ok_or_else(gone)?;
            let Some(missing) = self.blocks(&newest.state).await? else {
                for block in &mut newest.state {
                    block.name = self.copy_of(block)?;
                }
                return Ok((newest, Vec::new()));
            };
            if last == Some(newest.number) {
                let children = newest.sealed.iter().flatten();
                let source = partition.rsplit_once('/').map_or("", |(source, _)| source);
                let children: Vec<String> = children.map(|child| format!("{source}/{}", child.id)).collect();
                if children.is_empty() {
                    let words = format!(
                        "{missing} is not there, but manifest {} names it: `pelton checkpoint verify` says all",
                        newest.number
                    );
                    return Err(Error::new(Kind::State, words));
                }
                newest.state.clear();
                return Ok((newest, children));
            }
            last = Some(newest.number);
        }
        let words = "its state is replaced faster than it can be copied: make epochs longer for a while (`checkpoint: { every: 1m }`)";
        Err(Error::new(Kind::Unavailable, words))
    }

    /// Copies blocks; the name of one that is gone.
    async fn blocks(&mut self, blocks: &[BlockRef]) -> Result<Option<String>> {
        for block in blocks {
            let name = self.copy_of(block)?;
            if self.copied.contains(&name) {
                continue;
            }
            if !copy(self.objects, block, self.objects, &name).await? {
                return Ok(Some(block.name.clone()));
            }
            self.copied.insert(name);
        }
        Ok(None)
    }

    /// Copies that the last manifests do not name any more.
    async fn clean(&self, manifests: &BTreeMap<String, Manifest>) -> Result<()> {
        let named: BTreeSet<&String> =
            manifests.values().flat_map(|manifest| &manifest.state).map(|block| &block.name).collect();
        for name in self.copied.iter().filter(|name| !named.contains(name)) {
            self.objects.delete(name).await?;
        }
        Ok(())
    }
}
