//! Care for the blocks of remote state: many small ones are merged into one, and what nothing names any more is removed.
//!
//! The rules: a block is removed only when every kept manifest that named it is gone, by the owner that replaced it, or by a later owner
//! of the same partition; the blocks of a sealed partition live until every partition that follows it has a whole of its own.
//! Merging runs beside the partition; its result counts only from the commit that names it. If any of this fails, nothing is lost but
//! room in the store.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

use super::{
    chain::Chain,
    ledger::{
        KEPT, RemoteLedger,
        remote::{create_surely, named, newest_in, numbers},
    },
    manifest::{self, BlockRef, Manifest},
};
use crate::{
    error::Result,
    objects::Objects,
    planted, random,
    state::{HashRange, block::BlockWriter, key},
    task::{self, Task},
};

/// So many blocks are let stand before some are merged.
const MOST_BLOCKS: usize = 8;
/// A merged block is about this long.
const BLOCK: usize = 64 << 20;

/// The care of all partitions of a worker. Clones share it.
#[derive(Clone)]
pub struct Upkeep(Arc<Shared>);

struct Shared {
    job: Arc<str>,
    objects: Arc<dyn Objects>,
    runtime: Handle,
    work: Mutex<BTreeMap<String, Work>>,
}

/// What is under way for one partition.
#[derive(Default)]
struct Work {
    merging: Option<Task<()>>,
    merged: Option<Merged>,
    /// blocks that a manifest of this number no longer names
    replaced: VecDeque<(u64, Vec<BlockRef>)>,
    sweeping: Option<Task<()>>,
}

/// These blocks, which stand together in a chain, may be replaced by those.
struct Merged {
    /// the owner that had them merged: a later one may have removed the output
    nonce: u64,
    inputs: Vec<BlockRef>,
    output: Vec<BlockRef>,
}

impl Upkeep {
    /// For the partitions of this job; work beside them runs on `runtime`.
    pub fn new(job: impl Into<Arc<str>>, objects: Arc<dyn Objects>, runtime: Handle) -> Self {
        Self(Arc::new(Shared { job: job.into(), objects, runtime, work: Mutex::default() }))
    }

    fn work(&self) -> MutexGuard<'_, BTreeMap<String, Work>> {
        self.0.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A manifest is formed: what was merged meanwhile takes the place of what it was merged from.
    pub fn adopt(&self, partition: &str, manifest: &mut Manifest) {
        let mut all = self.work();
        let Some(work) = all.get_mut(partition) else { return };
        let Some(Merged { nonce, inputs, output }) = work.merged.take() else { return };
        if nonce != manifest.nonce {
            return;
        }
        let chain = &mut manifest.state;
        let Some(from) = chain.windows(inputs.len()).position(|part| part == inputs) else { return };
        chain.splice(from..from + inputs.len(), output);
        if planted::is("blocks-removed-early") {
            let (own, partition, inputs) = (self.clone(), partition.to_owned(), inputs.clone());
            work.sweeping = Some(task::spawn(&self.0.runtime, async move { own.remove(&partition, inputs).await }));
        }
        work.replaced.push_back((manifest.number, inputs));
    }

    /// A manifest is durable: what old ones alone named goes, and a long chain begins to be merged.
    pub fn committed(&self, partition: &str, manifest: &Manifest) {
        let mut all = self.work();
        let work = all.entry(partition.to_owned()).or_default();
        while let Some((number, _)) = work.replaced.front()
            && number + KEPT <= manifest.number
        {
            let (_, blocks) = work.replaced.pop_front().unwrap_or_default();
            let own = self.clone();
            let partition = partition.to_owned();
            work.sweeping = Some(task::spawn(&self.0.runtime, async move { own.remove(&partition, blocks).await }));
        }
        if work.merging.is_none()
            && work.merged.is_none()
            && manifest.sealed.is_none()
            && let Some(part) = choose(partition, &manifest.state)
        {
            let inputs = manifest.state[part.clone()].to_vec();
            let whole = part.start == 0 && part.end == manifest.state.len();
            let (own, partition, manifest) = (self.clone(), partition.to_owned(), manifest.clone());
            let merge = async move {
                let merged = own.merge(&partition, &manifest, inputs, whole).await;
                let mut all = own.work();
                let work = all.entry(partition.clone()).or_default();
                match merged {
                    Ok(merged) => work.merged = Some(merged),
                    Err(failed) => tracing::warn!(partition, "blocks are not merged: {failed}"),
                }
                work.merging = None;
            };
            work.merging = Some(task::spawn(&self.0.runtime, merge));
        }
    }

    /// A new owner has loaded this manifest: what earlier owners left behind goes.
    pub fn claimed(&self, partition: &str, manifest: &Manifest) {
        let (own, name, manifest) = (self.clone(), partition.to_owned(), manifest.clone());
        let sweep = async move {
            if let Err(failed) = own.sweep(&name, &manifest).await {
                tracing::debug!(partition = name, "what earlier owners left is not removed yet: {failed}");
            }
        };
        let sweeping = Some(task::spawn(&self.0.runtime, sweep));
        self.work().insert(partition.to_owned(), Work { sweeping, ..Work::default() });
    }

    async fn merge(&self, partition: &str, manifest: &Manifest, inputs: Vec<BlockRef>, whole: bool) -> Result<Merged> {
        let mut chain = Chain::open(self.0.objects.clone(), &inputs).await?;
        let mut output = Vec::new();
        let epochs = (inputs.iter().map(|b| b.epochs.0).min().unwrap_or(0), manifest.epoch);
        let epochs = if whole { epochs } else { (epochs.0, inputs.iter().map(|b| b.epochs.1).max().unwrap_or(0)) };
        let mut writer = BlockWriter::default();
        loop {
            let change = chain.next().await?;
            if writer.len() >= BLOCK || (change.is_none() && !writer.is_empty()) {
                let name = format!(
                    "{}{:010}-{:010}-m{:04}-{:016x}",
                    RemoteLedger::blocks(&self.0.job, partition),
                    manifest.fence,
                    manifest.epoch,
                    output.len(),
                    random::bits()
                );
                let (block, bytes) = named(name, partition, epochs, whole, manifest.range, std::mem::take(&mut writer));
                create_surely(&*self.0.objects, &block.name, bytes).await?;
                output.push(block);
            }
            match change {
                None => return Ok(Merged { nonce: manifest.nonce, inputs, output }),
                Some((_, None)) if whole => {}
                Some((row, value)) if owned(&row, manifest.range) => writer.push(&row, value.as_deref()),
                Some(_) => {}
            }
        }
    }

    /// Removes blocks that were replaced, and those of sealed partitions that nobody needs any more.
    async fn remove(&self, partition: &str, blocks: Vec<BlockRef>) {
        let mut others = BTreeSet::new();
        for block in blocks {
            if block.of != partition {
                others.insert(block.of);
            } else if let Err(failed) = self.0.objects.delete(&block.name).await {
                tracing::debug!("{failed}: the next owner tries again");
            }
        }
        for other in others {
            if let Err(failed) = self.release(&other).await {
                tracing::debug!("the blocks of {other} are not removed: {failed}");
            }
        }
    }

    /// Removes the blocks of a sealed partition, if everything that follows it has a whole of its own.
    async fn release(&self, sealed: &str) -> Result<()> {
        let source = sealed.rsplit_once('/').map_or("", |(source, _)| source).to_owned();
        let mut waiting = vec![sealed.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(partition) = waiting.pop() {
            if planted::is("parents-removed-early") {
                continue;
            }
            if !seen.insert(partition.clone()) {
                continue;
            }
            match newest_in(&*self.0.objects, &self.0.job, &partition).await? {
                Some(Manifest { sealed: Some(children), .. }) if !children.is_empty() => {
                    waiting.extend(children.iter().map(|child| format!("{source}/{}", child.id)));
                }
                Some(manifest)
                    if partition != sealed
                        && !manifest.begins_anew
                        && manifest.state.iter().all(|block| block.of != sealed) => {}
                _ => return Ok(()),
            }
        }
        for block in self.0.objects.list(&RemoteLedger::blocks(&self.0.job, sealed), "").await? {
            self.0.objects.delete(&block).await?;
        }
        Ok(())
    }

    async fn sweep(&self, partition: &str, manifest: &Manifest) -> Result<()> {
        let objects = &*self.0.objects;
        let mut needed: BTreeSet<String> = manifest.state.iter().map(|block| block.name.clone()).collect();
        for (number, name) in numbers(objects, &self.0.job, partition).await? {
            if number + KEPT <= manifest.number {
                objects.delete(&name).await?;
            } else if let Some(bytes) = objects.read(&name, None).await? {
                let kept: Manifest = manifest::decode(&name, &bytes)?;
                needed.extend(kept.state.into_iter().map(|block| block.name));
            }
        }
        let prefix = RemoteLedger::blocks(&self.0.job, partition);
        for name in objects.list(&prefix, "").await? {
            let fence = name.strip_prefix(&prefix).and_then(|name| name.split('-').next()?.parse::<u64>().ok());
            if fence.is_some_and(|fence| fence < manifest.fence) && !needed.contains(&name) {
                objects.delete(&name).await?;
            }
        }
        Ok(())
    }
}

fn owned(row: &[u8], range: HashRange) -> bool {
    key::place(row).is_some_and(|(_, hash)| range.contains(hash))
}

/// Which part of a chain is worth merging: everything where blocks of others are in it or changes outgrow the whole, else small
/// neighbours at its end.
fn choose(partition: &str, chain: &[BlockRef]) -> Option<std::ops::Range<usize>> {
    if chain.iter().any(|block| block.of != partition) {
        return Some(0..chain.len());
    }
    if chain.len() < MOST_BLOCKS {
        return None;
    }
    let bytes = |whole: bool| chain.iter().filter(|b| b.is_whole == whole).map(|b| b.bytes).sum::<u64>();
    if bytes(false) >= bytes(true) {
        return Some(0..chain.len());
    }
    let (mut from, mut together) = (chain.len(), 0);
    while let Some(block) = chain[..from].last()
        && !block.is_whole
        && (together == 0 || block.bytes <= 2 * together)
    {
        together += block.bytes;
        from -= 1;
    }
    (chain.len() - from >= MOST_BLOCKS).then_some(from..chain.len())
}
