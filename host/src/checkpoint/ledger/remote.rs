//! Manifests, job records and state as objects of a store that every worker reaches.
//!
//! `JOB/records/GENERATION`, `JOB/manifests/PARTITION/NUMBER`, `JOB/state/PARTITION/FENCE-EPOCH-...`; a savepoint is laid out the same way
//! below `JOB/savepoints/NAME`. Keeps rule 0: an object is made only if
//! its number is free; after an error the number is read: our own nonce means that it happened, nothing there means to make the same bytes
//! again, another's means fenced; and a number that was free only because its manifest was removed long ago is found out by the later ones that stand.
//! Keeps rule 4: first the blocks, then the manifest that names them, and only then the worker's store, which
//! needs no sync: what it has is told by its mark, and what it lacks is loaded.
//! Left to others: merging blocks and removing old ones (`upkeep`), reading them (`chain`).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Durable, KEPT, Ledger, Records};
use crate::{
    checkpoint::{
        chain::Chain,
        committer::{Committer, gone},
        kill,
        manifest::{self, BlockRef, JobRecord, Manifest},
        upkeep::Upkeep,
    },
    clock,
    error::{Error, Kind, Result},
    objects::{Created, Objects},
    planted, random,
    source::Pending,
    state::{Delta, Flush, HashRange, StateStore, block::BlockWriter, key, scan_prefix, scan_step, steps},
};

/// A block is not much longer than this; larger changes become several.
const BLOCK: usize = 64 << 20;
/// The worker's store takes imported rows in steps of this many bytes.
const IMPORT: usize = 4 << 20;
/// Name of the row that says what the worker's store has of a partition.
const MARK: &str = "mark";

/// The ledger of one job, as one worker sees it.
#[derive(Clone)]
pub struct RemoteLedger {
    job: Arc<str>,
    objects: Arc<dyn Objects>,
    store: Arc<dyn StateStore>,
    committer: Committer,
    upkeep: Upkeep,
}

/// Up to where the worker's store has the state of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    fence: u64,
    epoch: u64,
    range: HashRange,
}

impl RemoteLedger {
    /// The ledger of this job in these objects; `store` is the worker's own.
    pub fn new(
        job: impl Into<Arc<str>>,
        objects: Arc<dyn Objects>,
        store: Arc<dyn StateStore>,
        committer: Committer,
        upkeep: Upkeep,
    ) -> Self {
        Self { job: job.into(), objects, store, committer, upkeep }
    }

    /// The name below which a partition's blocks lie.
    pub fn blocks(job: &str, partition: &str) -> String {
        format!("{job}/state/{partition}/")
    }

    async fn write(&self, delta: Delta, flush: Flush) -> Result<()> {
        self.committer.write(delta, flush).await?.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The blocks of a delta, and their names in the manifest that brings them.
    fn blocks_of(&self, partition: &str, manifest: &Manifest, delta: &Delta) -> Vec<(BlockRef, Bytes)> {
        let mut writers = vec![BlockWriter::default()];
        for (key, value) in delta.iter() {
            if writers.last().is_some_and(|writer| writer.len() >= BLOCK) {
                writers.push(BlockWriter::default());
            }
            if let Some(writer) = writers.last_mut() {
                writer.push(key, value);
            }
        }
        let epochs = (manifest.epoch, manifest.epoch);
        let filled = writers.into_iter().filter(|writer| !writer.is_empty()).enumerate();
        let name = |part| format!("{:010}-{:010}-{part:04}-{:016x}", manifest.fence, manifest.epoch, manifest.nonce);
        filled
            .map(|(part, writer)| {
                let object = format!("{}{}", Self::blocks(&self.job, partition), name(part));
                named(object, partition, epochs, false, manifest.range, writer)
            })
            .collect()
    }

    async fn publish(
        self,
        partition: String,
        blocks: Vec<(BlockRef, Bytes)>,
        manifest: Manifest,
        delta: Delta,
    ) -> Result<()> {
        for (block, bytes) in blocks {
            create_surely(&*self.objects, &block.name, bytes).await?;
            kill::point("after-block");
        }
        kill::point("before-manifest");
        let name = manifest_name(&self.job, &partition, manifest.number);
        let bytes = Bytes::from(manifest::encode(&manifest));
        create_numbered::<Manifest>(&*self.objects, &name, bytes, |other| other.nonce == manifest.nonce).await?;
        self.refuse_outlived(&partition, manifest.number).await?;
        kill::point("after-manifest");
        self.keep(&partition, &manifest, delta).await?;
        if let Some(old) = manifest.number.checked_sub(KEPT) {
            let old = manifest_name(&self.job, &partition, old);
            if let Err(failed) = self.objects.delete(&old).await {
                tracing::debug!("{failed}: it is tried again by the next owner");
            }
        }
        self.upkeep.committed(&partition, &manifest);
        Ok(())
    }

    /// Later ones stand: this owner was stopped for long, and is fenced. If its number is so old that its manifest has been removed
    /// meanwhile, what it made is garbage. Else it stands where it belongs, and stays: whoever was stopped for longer must find it there.
    async fn refuse_outlived(&self, partition: &str, number: u64) -> Result<()> {
        let (prefix, name) = (manifests(&self.job, partition), manifest_name(&self.job, partition, number));
        let mut attempt = 0;
        loop {
            if planted::is("fence-ignored") {
                return Ok(());
            }
            match self.objects.list(&prefix, &name).await {
                Ok(later) if later.is_empty() => return Ok(()),
                Ok(later) => {
                    let is_removed = |later: &String| later >= &manifest_name(&self.job, partition, number + KEPT);
                    if later.iter().any(is_removed)
                        && let Err(failed) = self.objects.delete(&name).await
                    {
                        tracing::debug!("{failed}: the next owner removes it");
                    }
                    return Err(fenced(&name));
                }
                Err(failed) => wait(failed, &mut attempt).await?,
            }
        }
    }

    /// What became durable goes to the worker's store too. A claim brings nothing, and does not move the mark.
    async fn keep(&self, partition: &str, manifest: &Manifest, mut delta: Delta) -> Result<()> {
        let claims = planted::is("mark-by-claim") && delta.is_empty();
        let before = |mark: &Mark| claims || (mark.fence == manifest.fence && mark.epoch + 1 == manifest.epoch);
        if self.mark(partition)?.as_ref().is_some_and(before) {
            let mark = Mark { fence: manifest.fence, epoch: manifest.epoch, range: manifest.range };
            delta.put(mark_row(partition), manifest::encode(&mark));
        } else if !delta.is_empty() {
            let words =
                format!("partition {partition} commits epoch {} over a state that was not loaded", manifest.epoch);
            return Err(Error::new(Kind::Internal, words));
        }
        self.write(delta, Flush::Later).await
    }

    fn mark(&self, partition: &str) -> Result<Option<Mark>> {
        let bytes = self.store.get(&mark_row(partition))?;
        bytes.map(|bytes| manifest::decode(&format!("the mark of partition {partition}"), &bytes)).transpose()
    }

    /// What the worker's store lacks: blocks to apply over what it has; none where it must begin anew.
    fn lacks(&self, partition: &str, manifest: &Manifest) -> Result<Option<Vec<BlockRef>>> {
        let Some(mark) = self.mark(partition)? else { return Ok(None) };
        if mark.range != manifest.range || !manifest.follows(mark.fence, mark.epoch) {
            return Ok(None);
        }
        let own = |block: &&BlockRef| block.of == *partition && block.epochs.1 > mark.epoch;
        let missing: Vec<BlockRef> = manifest.state.iter().filter(own).cloned().collect();
        Ok(missing.iter().all(|block| !block.is_whole).then_some(missing))
    }

    async fn load_now(&self, partition: &str, manifest: &Manifest) -> Result<()> {
        // whatever an earlier owner of this process asked for is written before this is
        self.write(Delta::default(), Flush::Later).await?;
        let blocks = match self.lacks(partition, manifest)? {
            Some(missing) => missing,
            None => {
                self.clear(partition, manifest.range).await?;
                manifest.state.clone()
            }
        };
        let mut changes = Chain::open(self.objects.clone(), &blocks).await?;
        let (mut delta, mut bytes) = (Delta::default(), 0);
        while let Some((key, value)) = changes.next().await? {
            if !key::place(&key).is_some_and(|(_, hash)| manifest.range.contains(hash)) {
                continue;
            }
            bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            match value {
                Some(value) => delta.put(key, value),
                None => delta.delete(key),
            }
            if bytes >= IMPORT {
                self.write(std::mem::take(&mut delta), Flush::Later).await?;
                bytes = 0;
            }
        }
        let mark = Mark { fence: manifest.fence, epoch: manifest.epoch, range: manifest.range };
        delta.put(mark_row(partition), manifest::encode(&mark));
        self.write(delta, Flush::Now).await?;
        self.upkeep.claimed(partition, manifest);
        Ok(())
    }

    /// Removes every row in the range, and first the marks of everybody whose rows those were.
    async fn clear(&self, partition: &str, range: HashRange) -> Result<()> {
        let mut delta = Delta::default();
        let mut marks = Vec::new();
        scan_prefix(&*self.store, &key::all_meta(), |row, value| {
            if let Some((other, MARK)) = key::meta_parts(row) {
                let overlaps = |mark: Mark| mark.range.from <= range.to && range.from <= mark.range.to;
                if other == partition || manifest::decode::<Mark>("a mark", &value).map_or(true, overlaps) {
                    marks.push(row.to_vec());
                }
            }
            Ok(())
        })?;
        marks.into_iter().for_each(|row| delta.delete(row));
        self.write(std::mem::take(&mut delta), Flush::Later).await?;
        for step in steps(&*self.store)? {
            let mut rows = Vec::new();
            scan_step(&*self.store, &step, range, |row, _| {
                rows.push(row.to_vec());
                Ok(())
            })?;
            rows.into_iter().for_each(|row| delta.delete(row));
            self.write(std::mem::take(&mut delta), Flush::Later).await?;
        }
        Ok(())
    }
}

/// The name below which a partition's manifests lie.
pub fn manifests(job: &str, partition: &str) -> String {
    format!("{job}/manifests/{partition}/")
}

/// The name of a manifest.
pub fn manifest_name(job: &str, partition: &str, number: u64) -> String {
    format!("{}{number:020}", manifests(job, partition))
}

/// The name of a job record.
pub fn record_name(job: &str, generation: u64) -> String {
    format!("{job}/records/{generation:020}")
}

/// Rule 7: the mark that keeps workers from beginning while a savepoint is being put into place.
pub fn restoring(job: &str) -> String {
    format!("{job}/restoring")
}

/// The names of all partitions of a job that have manifests.
pub async fn partitions_in(objects: &dyn Objects, job: &str) -> Result<Vec<String>> {
    let prefix = format!("{job}/manifests/");
    let names = objects.list(&prefix, "").await?;
    let partition = |name: &String| Some(name.strip_prefix(&prefix)?.rsplit_once('/')?.0.to_owned());
    let mut partitions: Vec<String> = names.iter().filter_map(partition).collect();
    partitions.dedup();
    Ok(partitions)
}

/// The newest record of a job.
pub async fn record_in(objects: &dyn Objects, job: &str) -> Result<Option<JobRecord>> {
    let Some(name) = objects.list(&format!("{job}/records/"), "").await?.pop() else { return Ok(None) };
    let bytes = objects.read(&name, None).await?;
    bytes.map(|bytes| manifest::decode(&format!("{name} in {}", objects.place()), &bytes)).transpose()
}

/// One manifest of a partition of a job.
pub async fn manifest_in(objects: &dyn Objects, job: &str, partition: &str, number: u64) -> Result<Option<Manifest>> {
    let name = manifest_name(job, partition, number);
    let Some(bytes) = objects.read(&name, None).await? else { return Ok(None) };
    let found: Manifest = manifest::decode(&format!("{name} in {}", objects.place()), &bytes)?;
    if found.number != number {
        let words = format!("{name} in {} holds manifest {}: restore it", objects.place(), found.number);
        return Err(Error::new(Kind::State, words));
    }
    Ok(Some(found))
}

async fn refuse_half_restored(objects: &dyn Objects, job: &str) -> Result<()> {
    let Some(bytes) = objects.read(&restoring(job), None).await? else { return Ok(()) };
    let words = format!(
        "savepoint {} was being put into place of the job `{job}` in {} when that was interrupted, or it is under way: wait, or give the \
         same `pelton checkpoint` command again, which begins anew",
        String::from_utf8_lossy(&bytes),
        objects.place()
    );
    Err(Error::new(Kind::State, words))
}

/// The manifests of a partition that are kept, oldest first: number and name.
pub async fn numbers(objects: &dyn Objects, job: &str, partition: &str) -> Result<Vec<(u64, String)>> {
    let names = objects.list(&manifests(job, partition), "").await?;
    Ok(names.into_iter().filter_map(|name| Some((name.rsplit('/').next()?.parse().ok()?, name))).collect())
}

/// The newest manifest of a partition of a job.
pub async fn newest_in(objects: &dyn Objects, job: &str, partition: &str) -> Result<Option<Manifest>> {
    loop {
        let Some((number, _)) = numbers(objects, job, partition).await?.pop() else { return Ok(None) };
        // one that is gone again was replaced by newer ones meanwhile
        if let Some(newest) = manifest_in(objects, job, partition, number).await? {
            return Ok(Some(newest));
        }
    }
}

fn mark_row(partition: &str) -> Vec<u8> {
    key::meta(partition, MARK, 0)
}

/// A finished block under its name.
pub fn named(
    name: String,
    of: &str,
    epochs: (u64, u64),
    is_whole: bool,
    range: HashRange,
    writer: BlockWriter,
) -> (BlockRef, Bytes) {
    let rows = writer.rows();
    let bytes = Bytes::from(writer.finish());
    let digest = digest(&bytes);
    (BlockRef { name, bytes: bytes.len() as u64, rows, digest, of: of.to_owned(), epochs, is_whole, range }, bytes)
}

/// What a manifest remembers of the bytes of a block.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

const BASE: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// Makes an object whose name nobody else uses, again until it is there.
pub async fn create_surely(objects: &dyn Objects, name: &str, bytes: Bytes) -> Result<()> {
    let mut attempt = 0;
    while let Err(failed) = objects.create(name, bytes.clone()).await {
        wait(failed, &mut attempt).await?;
    }
    Ok(())
}

/// A store that is away is waited for, and said; any other failure is final.
async fn wait(failed: Error, attempt: &mut u32) -> Result<()> {
    if failed.kind() != Kind::Unavailable {
        return Err(failed);
    }
    if (*attempt + 1).is_power_of_two() {
        tracing::warn!("{failed}: nothing is durable until it answers");
    }
    clock::sleep(random::back_off(*attempt, BASE, MOST)).await;
    *attempt += 1;
    Ok(())
}

/// Rule 0: makes a numbered object, or learns that another stands there. `is_ours` tells an object of ours that an earlier try made.
pub async fn create_numbered<T: serde::de::DeserializeOwned>(
    objects: &dyn Objects,
    name: &str,
    bytes: Bytes,
    is_ours: impl Fn(&T) -> bool,
) -> Result<()> {
    let mut attempt = 0;
    loop {
        match objects.create(name, bytes.clone()).await {
            Ok(Created::Done) => return Ok(()),
            Ok(Created::Exists) => {}
            Err(_) if planted::is("create-assumed") => return Ok(()),
            Err(failed) => wait(failed, &mut attempt).await?,
        }
        match objects.read(name, None).await {
            Ok(Some(_)) if planted::is("fence-ignored") => return Ok(()),
            Ok(None) => {}
            Ok(Some(other)) if other == bytes => return Ok(()),
            Ok(Some(other)) => {
                let other: T = manifest::decode(&format!("{name} in {}", objects.place()), &other)?;
                if is_ours(&other) {
                    let words = format!("{name} in {} holds something else under our own nonce", objects.place());
                    return Err(Error::new(Kind::Internal, words));
                }
                return Err(fenced(name));
            }
            Err(failed) => wait(failed, &mut attempt).await?,
        }
    }
}

fn fenced(name: &str) -> Error {
    Error::new(Kind::Fenced, format!("{name} was written by another owner: this one stops"))
}

impl Ledger for RemoteLedger {
    fn newest<'a>(&'a self, partition: &'a str) -> Pending<'a, Result<Option<Manifest>>> {
        Box::pin(newest_in(&*self.objects, &self.job, partition))
    }

    fn partitions(&self) -> Pending<'_, Result<Vec<String>>> {
        Box::pin(partitions_in(&*self.objects, &self.job))
    }

    fn commit<'a>(
        &'a self,
        partition: &'a str,
        manifest: &'a mut Manifest,
        delta: Delta,
    ) -> Pending<'a, Result<Durable>> {
        self.upkeep.adopt(partition, manifest);
        let blocks = self.blocks_of(partition, manifest, &delta);
        manifest.state.extend(blocks.iter().map(|(block, _)| block.clone()));
        let durable = self.clone().publish(partition.to_owned(), blocks, manifest.clone(), delta);
        Box::pin(std::future::ready(Ok(Box::pin(durable) as Durable)))
    }

    fn load<'a>(&'a self, partition: &'a str, manifest: &'a Manifest) -> Pending<'a, Result<()>> {
        Box::pin(self.load_now(partition, manifest))
    }
}

impl Records for RemoteLedger {
    fn record(&self) -> Pending<'_, Result<Option<JobRecord>>> {
        Box::pin(async move {
            refuse_half_restored(&*self.objects, &self.job).await?;
            record_in(&*self.objects, &self.job).await
        })
    }

    fn deploy<'a>(&'a self, record: &'a JobRecord) -> Pending<'a, Result<JobRecord>> {
        Box::pin(async move {
            let name = record_name(&self.job, record.generation);
            let bytes = Bytes::from(manifest::encode(record));
            kill::point("before-job-record");
            match create_numbered::<JobRecord>(&*self.objects, &name, bytes, |_| false).await {
                Err(failed) if failed.kind() == Kind::Fenced => {
                    let other = self.record().await?;
                    return other.ok_or_else(|| Error::new(Kind::State, format!("{name} is gone again")));
                }
                created => created?,
            }
            kill::point("after-job-record");
            Ok(record.clone())
        })
    }
}
