//! Whether what a job would go on from is whole: every newest manifest, every block that it names, the job record. Reads all, changes
//! nothing.
//!
//! The rules: damage is said by the name of the object that has it, all of it in one go; a store that does not answer is no damage. One
//! block is in memory at a time. While a job runs, objects come and go: what vanished is looked at again, through a newer manifest.
//! Blocks of a sealed partition are needed only while some child has not begun.
//! Left to others: mending (`savepoint`), what loading itself refuses (`chain`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    ledger::{
        KEPT,
        remote::{digest, manifest_in, manifest_name, numbers, partitions_in},
    },
    look::Shelf,
    manifest::{self, BlockRef, JobRecord, Manifest},
};
use crate::{
    error::{Error, Kind, Result},
    objects::Objects,
    state::{
        HashRange, StateStore,
        block::{TAIL, changes, footer_place, pages},
        key, scan_prefix, scan_step, steps,
    },
};

/// What was read, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// partitions
    pub partitions: usize,
    /// manifests that were read
    pub manifests: usize,
    /// blocks that were read, each once
    pub blocks: usize,
    /// their bytes
    pub bytes: u64,
    /// changes in them; rows, where the state is a worker's own
    pub rows: u64,
    /// what cannot be gone on from
    pub damaged: Vec<Damage>,
    /// objects that nothing names: left over, or made just now by a job that runs
    pub unnamed: Vec<String>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// the object, or the row
    pub name: String,
    /// what is wrong
    pub words: String,
}

impl Verified {
    fn damage(&mut self, name: impl Into<String>, words: impl Into<String>) {
        self.damaged.push(Damage { name: name.into(), words: words.into() });
    }

    /// Damage is noted; any other failure is one.
    fn note<T>(&mut self, name: &str, read: Result<T>) -> Result<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(failed) if failed.kind() == Kind::State => {
                self.damage(name, failed.to_string());
                Ok(None)
            }
            Err(failed) => Err(failed),
        }
    }
}

/// Verifies what lies on a shelf.
pub async fn verify(shelf: &Shelf) -> Result<Verified> {
    match shelf {
        Shelf::Objects { objects, job } => in_objects(&**objects, job).await,
        Shelf::Own { store, .. } => in_store(&**store, shelf).await,
    }
}

/// A partition with the manifests of it that are kept.
struct Kept {
    newest: Option<Manifest>,
    named: BTreeSet<String>,
    /// some manifest cannot be read: what it names is not known
    is_unread: bool,
}

async fn in_objects(objects: &dyn Objects, job: &str) -> Result<Verified> {
    let mut all = Verified::default();
    records(objects, job, &mut all).await?;
    let mut kept = BTreeMap::new();
    for partition in partitions_in(objects, job).await? {
        all.partitions += 1;
        kept.insert(partition.clone(), chain_of(objects, job, &partition, &mut all).await?);
    }
    let mut read = BTreeSet::new();
    for partition in kept.keys().cloned().collect::<Vec<_>>() {
        if kept[&partition]
            .newest
            .as_ref()
            .is_some_and(|newest| newest.sealed.is_some() && !awaited(&partition, newest, &kept))
        {
            continue;
        }
        blocks_of(objects, job, &partition, &mut kept, &mut read, &mut all).await?;
    }
    if kept.values().any(|kept| kept.is_unread) {
        return Ok(all);
    }
    let named: BTreeSet<&String> = kept.values().flat_map(|kept| &kept.named).collect();
    for name in objects.list(&format!("{job}/state/"), "").await? {
        if !named.contains(&name) {
            all.unnamed.push(name);
        }
    }
    Ok(all)
}

async fn records(objects: &dyn Objects, job: &str, all: &mut Verified) -> Result<()> {
    let names = objects.list(&format!("{job}/records/"), "").await?;
    if names.is_empty() {
        all.damage(format!("{job}/records/"), "there is no job record: nobody knows where the job began");
    }
    for name in names {
        let Some(bytes) = objects.read(&name, None).await? else { continue };
        let record = manifest::decode::<JobRecord>(&name, &bytes);
        if let Some(record) = all.note(&name, record)?
            && !name.ends_with(&format!("{:020}", record.generation))
        {
            all.damage(name, format!("it holds the record of generation {}", record.generation));
        }
    }
    Ok(())
}

/// Reads every kept manifest of a partition: numbers without gaps, fences and epochs that never fall.
async fn chain_of(objects: &dyn Objects, job: &str, partition: &str, all: &mut Verified) -> Result<Kept> {
    let mut kept = Kept { newest: None, named: BTreeSet::new(), is_unread: false };
    let listed = numbers(objects, job, partition).await?;
    let last = listed.last().map_or(0, |(number, _)| *number);
    let mut before: Option<Manifest> = None;
    for (number, name) in listed {
        let found = manifest_in(objects, job, partition, number).await;
        let Some(found) = all.note(&name, found)? else {
            kept.is_unread = true;
            continue;
        };
        let Some(found) = found else { continue };
        all.manifests += 1;
        if let Some(before) = &before {
            let is_known = all.damaged.iter().any(|damage| damage.name == manifest_name(job, partition, number - 1));
            if before.number + 1 != number && number + KEPT > last + 1 && !is_known {
                let words = format!("manifest {} is missing before it", number - 1);
                all.damage(name.clone(), words);
            }
            if found.fence < before.fence || found.epoch < before.epoch {
                let words = format!(
                    "fence {} and epoch {} come after fence {} and epoch {}",
                    found.fence, found.epoch, before.fence, before.epoch
                );
                all.damage(name.clone(), words);
            }
        }
        kept.named.extend(found.state.iter().map(|block| block.name.clone()));
        before = Some(found);
    }
    kept.newest = before.filter(|newest| newest.number == last);
    Ok(kept)
}

/// Whether some child of a sealed partition has not begun, so that it will need its blocks.
fn awaited(partition: &str, sealed: &Manifest, kept: &BTreeMap<String, Kept>) -> bool {
    let source = partition.rsplit_once('/').map_or("", |(source, _)| source);
    let begun = |child: &str| {
        let newest = kept.get(child).and_then(|kept| kept.newest.as_ref());
        newest.is_some_and(|newest| !newest.begins_anew)
    };
    sealed.sealed.iter().flatten().any(|child| !begun(&format!("{source}/{}", child.id)))
}

/// Reads the blocks of the newest manifest; a newer one, where the job went on and they are gone.
async fn blocks_of(
    objects: &dyn Objects,
    job: &str,
    partition: &str,
    kept: &mut BTreeMap<String, Kept>,
    read: &mut BTreeSet<String>,
    all: &mut Verified,
) -> Result<()> {
    loop {
        let Some(newest) = kept[partition].newest.clone() else { return Ok(()) };
        let mut missing = None;
        for block in &newest.state {
            if read.contains(&block.name) {
                continue;
            }
            let Some(bytes) = objects.read(&block.name, None).await? else {
                missing = Some(&block.name);
                break;
            };
            all.blocks += 1;
            all.bytes += bytes.len() as u64;
            let own = (block.of == partition).then_some(newest.range);
            let rows = all.note(&block.name, block_is_whole(block, &bytes, own))?;
            all.rows += rows.unwrap_or(0);
            read.insert(block.name.clone());
        }
        let Some(missing) = missing else { return Ok(()) };
        let again = chain_of(objects, job, partition, &mut Verified::default()).await?;
        if again.newest.as_ref().is_none_or(|again| again.number == newest.number) {
            let words = format!("it is not there, but manifest {} of partition {partition} names it", newest.number);
            all.damage(missing.clone(), words);
            read.insert(missing.clone());
        } else if let Some(kept) = kept.get_mut(partition) {
            kept.named.extend(again.named);
            kept.newest = again.newest;
        }
    }
}

/// Length, digest, checksums, the order of keys, their range, how many there are. Gives back the number of changes.
pub fn block_is_whole(block: &BlockRef, bytes: &[u8], own: Option<HashRange>) -> Result<u64> {
    let damaged = |what: String| Error::new(Kind::State, what);
    if bytes.len() as u64 != block.bytes {
        return Err(damaged(format!("it has {} bytes, and its manifest knows {}", bytes.len(), block.bytes)));
    }
    if digest(bytes) != block.digest {
        return Err(damaged("its digest is not the one that its manifest knows".to_owned()));
    }
    let tail = bytes.get(bytes.len().saturating_sub(TAIL as usize)..).unwrap_or_default();
    let footer = footer_place(tail, block.bytes)?;
    let cut = |from: u64, to: u64| bytes.get(from as usize..to as usize).unwrap_or_default();
    let (mut rows, mut last) = (0u64, Vec::new());
    for page in pages(cut(footer.start, footer.end), tail)? {
        for (row, _) in changes(cut(page.at, page.at.saturating_add(u64::from(page.length))))? {
            if rows > 0 && row <= last {
                return Err(damaged(format!("change {} is not in the order of keys", rows + 1)));
            }
            match (own, key::place(&row)) {
                (_, None) => return Err(damaged(format!("change {} is no row of state", rows + 1))),
                (Some(range), Some((step, hash))) if !range.contains(hash) => {
                    return Err(damaged(format!("a row of step {step} lies outside of the partition's range")));
                }
                _ => {}
            }
            (rows, last) = (rows + 1, row);
        }
    }
    if rows != block.rows {
        return Err(damaged(format!("it has {rows} changes, and its manifest knows {}", block.rows)));
    }
    Ok(rows)
}

/// A worker's own store: its rows are checked by the database as they are read.
async fn in_store(store: &dyn StateStore, shelf: &Shelf) -> Result<Verified> {
    let mut all = Verified::default();
    let record = shelf.record().await;
    if let Some(None) = all.note("the job record", record)? {
        all.damage("the job record", "there is none: nobody knows where the job began");
    }
    for partition in shelf.partitions().await? {
        all.partitions += 1;
        let mut before: Option<u64> = None;
        for number in shelf.numbers(&partition).await? {
            let name = format!("manifest {number} of partition {partition}");
            let found = shelf.manifest(&partition, number).await;
            all.note(&name, found)?;
            all.manifests += 1;
            if before.is_some_and(|before| before + 1 != number) {
                all.damage(name, format!("manifest {} is missing before it", number - 1));
            }
            before = Some(number);
        }
    }
    let mut rows = 0;
    for step in steps(store)? {
        let scanned = scan_step(store, &step, HashRange::ALL, |_, _| {
            rows += 1;
            Ok(())
        });
        all.note(&format!("the rows of step {step}"), scanned)?;
    }
    let scanned = scan_prefix(store, &key::all_meta(), |_, _| Ok(()));
    all.note("the rows beside the state", scanned)?;
    all.rows = rows;
    Ok(all)
}
