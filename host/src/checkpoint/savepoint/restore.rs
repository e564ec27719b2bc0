//! Rule 7: puts a savepoint into place of what the job would go on from.
//!
//! First a plan, which says what will come again; then the mark that keeps workers out, the blocks, the job record, a manifest for every
//! partition; then whoever asked sets back what it knows of (lease rows), and the mark goes. What is made has numbers above everything that was ever used, also where the newest manifests cannot be read:
//! each manifest raises fence and epoch by one at most. An owner that comes back meanwhile takes a number first: then nothing is pretended, and
//! the mark stays until somebody begins again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Savepoint, copy, find, mark, read, unmark};
use crate::{
    checkpoint::{
        ledger::{
            RemoteLedger,
            remote::{
                create_numbered, manifest_in, manifest_name, manifests, numbers, partitions_in, record_in, record_name,
            },
        },
        manifest::{self, BlockRef, JobRecord, Manifest, Swapped},
    },
    error::{Error, Kind, Result},
    objects::Objects,
    random,
    sink::SetBack,
};

/// What a restore would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// with what
    pub savepoint: Savepoint,
    /// by partition, those that the savepoint does not know too
    pub partitions: BTreeMap<String, Planned>,
    /// the savepoint was made by another version of the job than the one that is deployed
    pub is_another_version: bool,
    record: JobRecord,
    is_new_record: bool,
}

/// What becomes of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// the highest number, fence and epoch that anybody can know
    number: u64,
    fence: u64,
    /// the highest epoch before
    pub from: u64,
    /// the savepoint's epoch; none where it does not know the partition, which will begin anew
    pub to: Option<u64>,
    times: u64,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// partitions that go on from the savepoint, with what they carry on with
    pub set_back: BTreeMap<String, Manifest>,
    /// partitions that begin anew
    pub set_aside: Vec<String>,
    /// shards that were read to the end since, and are open again: partitions
    pub opened: Vec<String>,
}

/// Looks at everything, changes nothing. `known`: by partition the highest epoch that sinks and lease rows know to be committed.
pub async fn plan(objects: &dyn Objects, job: &str, name: &str, known: &BTreeMap<String, u64>) -> Result<Plan> {
    let savepoint = find(objects, job, name).await?;
    let (saved_record, saved) = read(objects, &savepoint).await?;
    let mut partitions = BTreeMap::new();
    let there = partitions_in(objects, job).await?;
    for partition in there.iter().chain(saved.keys()).collect::<BTreeSet<_>>() {
        let reached = known.get(partition).copied().unwrap_or(0);
        let planned = base(objects, job, partition, saved.get(partition), reached).await?;
        partitions.insert(partition.clone(), planned);
    }
    let deployed = match record_in(objects, job).await {
        Err(failed) if failed.kind() != Kind::State => return Err(failed),
        deployed => deployed.ok().flatten(),
    };
    let is_another_version = deployed.as_ref().is_some_and(|deployed| deployed.digests != saved_record.digests);
    let mut is_new_record = is_another_version || deployed.is_none();
    let mut record = match deployed {
        Some(deployed) if !is_another_version => deployed,
        deployed => {
            let JobRecord { digests, swapped, .. } = saved_record.clone();
            JobRecord { digests, swapped, ..deployed.unwrap_or_else(|| saved_record.clone()) }
        }
    };
    // Partitions of a canary and the others go by different generations, and all manifests that are made here have one.
    if record.swapped.canary.is_some() {
        record.swapped = Swapped { plugins: record.swapped.before.unwrap_or_default(), ..Swapped::default() };
        is_new_record = true;
    }
    if is_new_record {
        record.generation = (last_generation(objects, job).await? + 1).max(saved_record.generation);
    }
    Ok(Plan { savepoint, partitions, is_another_version, record, is_new_record })
}

async fn last_generation(objects: &dyn Objects, job: &str) -> Result<u64> {
    let names = objects.list(&format!("{job}/records/"), "").await?;
    Ok(names.iter().filter_map(|name| name.rsplit('/').next()?.parse().ok()).max().unwrap_or(0))
}

/// The highest numbers of a partition. Where the newest manifests are damaged, each may have raised every number by one.
async fn base(
    objects: &dyn Objects,
    job: &str,
    partition: &str,
    saved: Option<&Manifest>,
    reached: u64,
) -> Result<Planned> {
    let listed = numbers(objects, job, partition).await?;
    let mut readable = saved.cloned();
    for (number, _) in listed.iter().rev() {
        match manifest_in(objects, job, partition, *number).await {
            Ok(Some(manifest)) => {
                readable = Some(manifest);
                break;
            }
            Ok(None) => {}
            Err(failed) if failed.kind() == Kind::State => {}
            Err(failed) => return Err(failed),
        }
    }
    let readable = readable.unwrap_or_default();
    let number = listed.last().map_or(0, |(number, _)| *number).max(readable.number);
    let unread = number - readable.number;
    Ok(Planned {
        number,
        fence: readable.fence + unread,
        from: (readable.epoch + unread).max(reached),
        to: saved.map(|saved| saved.epoch),
        times: readable.set_back.map_or(0, |back| back.times) + unread,
    })
}

impl Planned {
    fn set_back(&self) -> SetBack {
        SetBack { times: self.times + 1, nonce: random::bits(), to: self.to.unwrap_or(0), from: self.from }
    }

    /// Whether results of epochs that were durable come again.
    pub fn repeats(&self) -> u64 {
        self.from.saturating_sub(self.to.unwrap_or(0))
    }

    /// The next manifest: this content, numbers of its own.
    fn next(&self, content: Manifest, generation: u64) -> Manifest {
        Manifest {
            number: self.number + 1,
            epoch: self.from + 1,
            fence: self.fence + 1,
            nonce: random::bits(),
            generation,
            lineage: Vec::new(),
            set_back: Some(self.set_back()),
            ..content
        }
    }
}

/// Does what was planned. The mark stays until [`finish`], for what else is to be set back.
pub async fn restore(objects: &dyn Objects, job: &str, plan: &Plan) -> Result<Restored> {
    let (_, mut saved) = read(objects, &plan.savepoint).await?;
    mark(objects, job, &plan.savepoint.name).await?;
    blocks(objects, job, plan, &mut saved).await?;
    if plan.is_new_record {
        let name = record_name(job, plan.record.generation);
        let bytes = manifest::encode(&plan.record).into();
        create_numbered::<JobRecord>(objects, &name, bytes, |_| false).await.map_err(|e| went_on(e, job))?;
    }
    let mut done = Restored::default();
    for (partition, planned) in &plan.partitions {
        let next = match saved.remove(partition) {
            Some(content) => {
                if content.sealed.is_none() && is_sealed(objects, job, partition, planned.number).await {
                    done.opened.push(partition.clone());
                }
                let next = planned.next(content, plan.record.generation);
                done.set_back.insert(partition.clone(), next.clone());
                next
            }
            None => {
                done.set_aside.push(partition.clone());
                planned.next(Manifest { begins_anew: true, ..Manifest::default() }, plan.record.generation)
            }
        };
        write(objects, job, partition, &next).await.map_err(|e| went_on(e, job))?;
    }
    let planned: BTreeSet<&String> = plan.partitions.keys().collect();
    if let Some(new) = partitions_in(objects, job).await?.iter().find(|partition| !planned.contains(partition)) {
        let failed = Error::new(Kind::Fenced, format!("partition {new} was begun meanwhile"));
        return Err(went_on(failed, job));
    }
    Ok(done)
}

async fn is_sealed(objects: &dyn Objects, job: &str, partition: &str, number: u64) -> bool {
    let newest = manifest_in(objects, job, partition, number).await;
    newest.is_ok_and(|newest| newest.is_some_and(|newest| newest.sealed.is_some()))
}

/// Everything is set back: workers may begin.
pub async fn finish(objects: &dyn Objects, job: &str) -> Result<()> {
    unmark(objects, job).await
}

/// Copies the blocks of all manifests back below the job, where whoever owns a partition cares for them.
async fn blocks(objects: &dyn Objects, job: &str, plan: &Plan, saved: &mut BTreeMap<String, Manifest>) -> Result<()> {
    let fence = |of: &str| plan.partitions.get(of).map_or(0, |planned| planned.fence + 1);
    put(objects, objects, job, fence, saved, &plan.savepoint).await
}

/// Copies the blocks that manifests name to another place, and lets them name the copies.
pub(super) async fn put(
    from: &dyn Objects,
    to: &dyn Objects,
    job: &str,
    fence: impl Fn(&str) -> u64,
    manifests: &mut BTreeMap<String, Manifest>,
    savepoint: &Savepoint,
) -> Result<()> {
    let (mut copies, nonce) = (BTreeMap::<String, String>::new(), random::bits());
    let mut all: Vec<&mut BlockRef> = manifests.values_mut().flat_map(|manifest| &mut manifest.state).collect();
    for block in &mut all {
        if let Some(copy) = copies.get(&block.name) {
            block.name.clone_from(copy);
            continue;
        }
        let below = RemoteLedger::blocks(job, &block.of);
        let name = format!("{below}{:010}-{:010}-r{:04}-{nonce:016x}", fence(&block.of), block.epochs.1, copies.len());
        if !copy(from, block, to, &name).await? {
            let words = format!(
                "savepoint `{}` is damaged: {} in {} is not there; use another one",
                savepoint.name,
                block.name,
                from.place()
            );
            return Err(Error::new(Kind::State, words));
        }
        copies.insert(std::mem::replace(&mut block.name, name.clone()), name);
    }
    Ok(())
}

async fn write(objects: &dyn Objects, job: &str, partition: &str, next: &Manifest) -> Result<()> {
    let name = manifest_name(job, partition, next.number);
    let bytes = manifest::encode(next).into();
    create_numbered::<Manifest>(objects, &name, bytes, |other| other.nonce == next.nonce).await?;
    match objects.list(&manifests(job, partition), &name).await?.pop() {
        None => Ok(()),
        Some(later) => Err(Error::new(Kind::Fenced, format!("{later} stands after {name}"))),
    }
}

fn went_on(failed: Error, job: &str) -> Error {
    if failed.kind() != Kind::Fenced {
        return failed;
    }
    let words = format!(
        "the job `{job}` has gone on meanwhile ({failed}): stop every worker, and give the command again; until then no worker can begin"
    );
    Error::new(Kind::State, words)
}
