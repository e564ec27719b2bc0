//! What must hold at every moment, checked where it happens: on every manifest, token, block and record that is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pelton::{
    checkpoint::{
        ledger::KEPT,
        manifest::{self, JobRecord, Manifest, Swapped},
    },
    lease::Lease,
    sink::Token,
};

use super::{
    outside::keyed::FOREIGN,
    run::LEASE,
    world::{World, lock},
};

/// What is known of the partitions of a run.
#[derive(Debug, Default)]
pub struct Monitor {
    newest: BTreeMap<String, Manifest>,
    /// epochs that a manifest made durable: (partition, fence, epoch)
    durable: BTreeSet<(String, u64, u64)>,
    /// by partition: the highest fence that has sent something
    sent: BTreeMap<String, u64>,
    /// by lease: when its counter was last raised
    raised: BTreeMap<String, Duration>,
    /// by generation: what was swapped in
    swapped: BTreeMap<u64, Swapped>,
    /// the generation of a canary that may have begun after the last record
    late: Option<u64>,
    /// manifests that were made
    pub manifests: u64,
    /// claims among them
    pub claims: u64,
}

fn partition_of(name: &str) -> Option<&str> {
    Some(name.split_once("/manifests/")?.1.rsplit_once('/')?.0)
}

impl Monitor {
    /// An object was made.
    pub fn created(&mut self, world: &World, name: &str, bytes: &[u8]) {
        let Some(partition) = partition_of(name) else { return self.deployed(world, name, bytes) };
        let next: Manifest = match manifest::decode(name, bytes) {
            Ok(manifest) => manifest,
            Err(failed) => return world.broken(failed.to_string()),
        };
        self.manifests += 1;
        if self.newest.get(partition).is_some_and(|newest| newest.number >= next.number + KEPT) {
            // an owner that was stopped for long: it must find out by itself, before it shows anything
            return;
        }
        match self.newest.get(partition) {
            None => self.first(world, partition, &next),
            Some(last) => follows(world, partition, last, &next),
        }
        if !self.swapped.contains_key(&next.generation) {
            world.broken(format!("{partition}: generation {} runs before it is deployed", next.generation));
        }
        let is_tried = self.swapped.get(&next.generation).is_some_and(|swapped| swapped.canary.is_some());
        let stays = |swapped: &Swapped| swapped.canary.is_none() && swapped.since == Some(next.generation);
        if is_tried && next.has_run(next.generation) && !self.swapped.values().any(stays) {
            world.broken(format!("{partition}: an epoch of the canary of generation {} is committed", next.generation));
        }
        let is_one_way = self.swapped.get(&next.generation).is_some_and(|swapped| swapped.one_way);
        let first = |swapped: &Swapped| swapped.since.unwrap_or(next.generation);
        let since = self.swapped.get(&next.generation).map_or(next.generation, first);
        if is_one_way && next.has_run(next.generation) && !self.swapped.values().any(|swapped| swapped.settled == since)
        {
            world.broken(format!(
                "{partition}: an epoch of generation {} is durable before it is settled",
                next.generation
            ));
        }
        let is_claim = self.newest.get(partition).is_none_or(|last| last.fence < next.fence);
        for token in &next.tokens {
            if !is_claim && token.epoch == next.epoch && token.generation != next.generation {
                let (of, by) = (token.generation, next.generation);
                world.broken(format!(
                    "{partition}: epoch {} of generation {by} has results of generation {of}",
                    next.epoch
                ));
            }
            if token.epoch > next.epoch {
                world.broken(format!("{partition}: a token of epoch {} in epoch {}", token.epoch, next.epoch));
            }
        }
        for block in &next.state {
            use futures::FutureExt;
            use pelton::objects::Objects;
            if !matches!(world.objects.read(&block.name, None).now_or_never(), Some(Ok(Some(_)))) {
                world.broken(format!(
                    "{partition}: manifest {} names the block {}, which is not there",
                    next.number, block.name
                ));
            }
        }
        self.claims += u64::from(is_claim);
        if !is_claim {
            self.durable.insert((partition.to_owned(), next.fence, next.epoch));
        }
        self.newest.insert(partition.to_owned(), next);
    }

    /// A job record was made.
    fn deployed(&mut self, world: &World, name: &str, bytes: &[u8]) {
        if !name.contains("/records/") {
            return;
        }
        match manifest::decode::<JobRecord>(name, bytes) {
            Ok(record) => {
                if record.swapped.plugins.values().any(|plugin| plugin == FOREIGN) {
                    world.broken(format!("generation {} runs what reads nothing of what is stored", record.generation));
                }
                if world.is_calm() && record.swapped.canary.is_some() && record.since() == record.generation {
                    self.late = Some(record.generation);
                }
                self.swapped.insert(record.generation, record.swapped);
            }
            Err(failed) => world.broken(failed.to_string()),
        }
    }

    /// Whether this canary began so late that no record may come to it.
    pub fn is_late(&self, record: &JobRecord) -> bool {
        record.swapped.canary.is_some() && self.late == Some(record.since())
    }

    /// What a generation runs at a step: none where no such generation was deployed.
    pub fn runs(&self, generation: u64, step: &str) -> Option<&str> {
        Some(self.swapped.get(&generation)?.plugins.get(step).map_or("v1", String::as_str))
    }

    /// The first manifest of a partition: its parents are sealed.
    fn first(&self, world: &World, partition: &str, next: &Manifest) {
        if (next.number, next.fence, next.epoch) != (1, 1, 0) {
            let Manifest { number, fence, epoch, .. } = next;
            world.broken(format!("{partition} begins with manifest {number}, fence {fence}, epoch {epoch}"));
        }
        for (source, shards) in &next.shards {
            for parent in shards.values().flat_map(|shard| &shard.parents) {
                if self.newest.get(&format!("{source}/{parent}")).is_none_or(|parent| parent.sealed.is_none()) {
                    world.broken(format!("{partition} is claimed before its parent {parent} is sealed"));
                }
            }
        }
    }

    /// An object goes.
    pub fn deleted(&self, world: &World, name: &str) {
        if !name.contains("/state/") {
            return;
        }
        for (partition, newest) in &self.newest {
            if !newest.state.iter().any(|block| block.name == name) {
                continue;
            }
            let source = partition.split('/').next().unwrap_or_default();
            let begun = |child: &pelton::source::Shard| self.newest.contains_key(&format!("{source}/{}", child.id));
            if newest.sealed.as_ref().is_none_or(|children| !children.iter().all(begun)) {
                world.broken(format!("the block {name} is removed, but {partition} needs it"));
            }
        }
    }

    /// A token is committed: its epoch must be durable.
    pub fn committing(&self, world: &World, partition: &str, fence: u64, epoch: u64) {
        if world.has_monitor() && !self.durable.contains(&(partition.to_owned(), fence, epoch)) {
            world.broken(format!("results of epoch {epoch} of {partition} are shown before it is durable"));
        }
    }

    /// An owner aborts what was staged: it must have claimed.
    pub fn aborting(&self, world: &World, partition: &str, fence: u64) {
        let claimed = self.newest.get(partition).map_or(0, |newest| newest.fence);
        if world.has_monitor() && claimed < fence {
            world.broken(format!("owner {fence} of {partition} aborts before it has claimed"));
        }
    }

    /// A lease row has changed: nobody takes one that its owner renews.
    pub fn leased(&mut self, world: &World, before: &Lease, after: &Lease) {
        let now = world.elapsed();
        let raised = self.raised.get(&before.key).copied().unwrap_or_default();
        let is_taken = before.runner().is_some() && after.runner() != before.runner();
        let is_given = after.runner().is_none() || before.handed_off_by.is_some();
        // clocks drift by two hundredths
        if is_taken && !is_given && now.saturating_sub(raised) < LEASE * 95 / 100 {
            let owner = before.runner().unwrap_or_default();
            world.broken(format!("{} is taken from {owner}, who has renewed it {:?} ago", before.key, now - raised));
        }
        if after.counter != before.counter {
            self.raised.insert(before.key.clone(), now);
        }
    }

    /// An owner sends what cannot be taken back: no later owner may have sent anything.
    pub fn sending(&mut self, world: &World, partition: &str, fence: u64) {
        let last = self.sent.entry(partition.to_owned()).or_default();
        if world.has_monitor() && *last > fence {
            world.broken(format!("owner {fence} of {partition} sends after owner {last} has sent"));
        }
        *last = fence.max(*last);
    }
}

/// The next manifest of a partition.
fn follows(world: &World, partition: &str, last: &Manifest, next: &Manifest) {
    let place = format!("{partition}, manifest {}", next.number);
    if next.number != last.number + 1 {
        world.broken(format!("{place}: it follows {}", last.number));
    }
    if last.sealed.is_some() {
        world.broken(format!("{place}: the one before was sealed"));
    }
    if next.fence == last.fence {
        let one_more = next.epoch == last.epoch + 1 || (next.epoch == last.epoch && next.sealed.is_some());
        if next.nonce != last.nonce || !one_more {
            world.broken(format!("{place}: two owners with one fence, or epoch {} after {}", next.epoch, last.epoch));
        }
        tokens_kept(world, &place, partition, last, next);
    } else {
        let same = |manifest: &Manifest| (manifest.epoch, manifest.shards.clone(), manifest.tokens.clone());
        if next.fence != last.fence + 1 || same(last) != same(next) {
            world.broken(format!("{place}: a claim with another content or fence {} after {}", next.fence, last.fence));
        }
    }
    for (source, shards) in &last.shards {
        for (shard, progress) in shards {
            let now = next.shards.get(source).and_then(|shards| shards.get(shard));
            let record = |progress: &manifest::ShardProgress| progress.position.as_ref().and_then(|p| p.record);
            if now.is_none_or(|now| record(now) < record(progress)) {
                world.broken(format!("{place}: {shard} goes back"));
            }
        }
    }
}

/// Rules 4 and 5: a token leaves only after its commit.
fn tokens_kept(world: &World, place: &str, partition: &str, last: &Manifest, next: &Manifest) {
    let shown = lock(&world.shown);
    let is_gone = |token: &&Token| !next.tokens.contains(token);
    for token in last.tokens.iter().filter(is_gone) {
        if !shown.is_committed(&token.sink, partition, token.epoch) {
            world.broken(format!("{place}: the token of epoch {} left before it was committed", token.epoch));
        }
    }
}
