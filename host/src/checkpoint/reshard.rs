//! What the partition of a child shard begins with: the sealed manifests of its parents, cut to its range of hash keys.
//!
//! The rule: a key's records are late in the child exactly if they would have been late in the parent that held the key. So each range
//! that is inherited keeps its parent's watermark as a floor; the child's own clock begins at the lowest of them. State needs no
//! copying: rows lie in the hash space, and the child reads those in its range, of the worker's store or of its parents' blocks.
//! Left to others: when a child may begin (`job::worker`).

use std::collections::BTreeMap;

use super::manifest::{BlockRef, Floor, Manifest, ShardProgress};
use crate::{planted, record::MIN_US, source::Shard, state::HashRange};

/// Name under which a partition's own watermark stands among those of steps.
pub const PARTITION: &str = "";

/// The manifest that a shard of this source begins with. `parents` are sealed; a parent that was never read is not among them.
pub fn begin(generation: u64, source: &str, shard: &Shard, parents: &[Manifest]) -> Manifest {
    let range = HashRange { from: shard.hash_range.0, to: shard.hash_range.1 };
    let inherited: Vec<Floor> = parents.iter().flat_map(inheritance).filter_map(|floor| cut(floor, range)).collect();
    let segments = segments(range, &inherited);
    let lowest = segments.iter().map(|floor| floor.watermark_us).min().unwrap_or(MIN_US);
    let floors = segments.into_iter().filter(|floor| floor.watermark_us > lowest).collect();
    let mut watermarks: BTreeMap<String, i64> = BTreeMap::new();
    for (step, watermark) in parents.iter().flat_map(|parent| &parent.watermarks) {
        let lowest = watermarks.entry(step.clone()).or_insert(*watermark);
        *lowest = (*lowest).min(*watermark);
    }
    watermarks.insert(PARTITION.to_owned(), lowest);
    let progress = ShardProgress {
        floor_us: (lowest != MIN_US).then_some(lowest),
        parents: shard.parents.clone(),
        ..ShardProgress::default()
    };
    let shards = BTreeMap::from([(source.to_owned(), BTreeMap::from([(shard.id.clone(), progress)]))]);
    let of = match parents {
        _ if planted::is("child-without-state") => &[],
        [first, _] if planted::is("child-of-one-parent") => std::slice::from_ref(first),
        all => all,
    };
    let state = of.iter().flat_map(|parent| &parent.state).filter_map(|block| within(block, range)).collect();
    Manifest { generation, shards, watermarks, state, range, floors, ..Manifest::default() }
}

/// How far event time had come in each part of a parent's range.
fn inheritance(parent: &Manifest) -> Vec<Floor> {
    let own = parent.watermarks.get(PARTITION).copied().unwrap_or(MIN_US);
    let all = Floor { range: parent.range, watermark_us: own };
    std::iter::once(all).chain(parent.floors.iter().copied()).collect()
}

/// What of a parent's block the child has.
fn within(block: &BlockRef, range: HashRange) -> Option<BlockRef> {
    let range = HashRange { from: block.range.from.max(range.from), to: block.range.to.min(range.to) };
    (range.from <= range.to).then(|| BlockRef { range, ..block.clone() })
}

fn cut(floor: Floor, to: HashRange) -> Option<Floor> {
    let range = HashRange { from: floor.range.from.max(to.from), to: floor.range.to.min(to.to) };
    (range.from <= range.to).then_some(Floor { range, ..floor })
}

/// The range cut at every edge of a floor, each part with the highest floor over it.
fn segments(range: HashRange, floors: &[Floor]) -> Vec<Floor> {
    let after = |floor: &Floor| floor.range.to.checked_add(1).filter(|start| *start <= range.to);
    let mut starts: Vec<u128> =
        floors.iter().map(|floor| floor.range.from).chain(floors.iter().filter_map(after)).collect();
    starts.push(range.from);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([range.to]);
    let part = |(from, to): (u128, u128)| {
        let over = floors.iter().filter(|floor| floor.range.from <= from && to <= floor.range.to);
        let watermark_us = over.map(|floor| floor.watermark_us).max().unwrap_or(MIN_US);
        Floor { range: HashRange { from, to }, watermark_us }
    };
    starts.iter().copied().zip(ends).map(part).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::record::ShardId;

    fn shard(from: u128, to: u128) -> Shard {
        Shard { id: ShardId::new("child"), parents: vec![ShardId::new("a"), ShardId::new("b")], hash_range: (from, to) }
    }

    fn sealed(from: u128, to: u128, watermark_us: i64) -> Manifest {
        let watermarks = BTreeMap::from([(PARTITION.to_owned(), watermark_us), ("step".to_owned(), watermark_us - 1)]);
        Manifest { range: HashRange { from, to }, watermarks, sealed: Some(Vec::new()), ..Manifest::default() }
    }

    fn floors(manifest: &Manifest) -> Vec<(u128, u128, i64)> {
        manifest.floors.iter().map(|f| (f.range.from, f.range.to, f.watermark_us)).collect()
    }

    #[test]
    fn a_merged_child_keeps_the_higher_watermark_where_it_was_reached() {
        let child = begin(1, "s", &shard(0, 99), &[sealed(0, 49, 500), sealed(50, 99, 300)]);
        assert_eq!(floors(&child), [(0, 49, 500)]);
        assert_eq!(child.watermarks, BTreeMap::from([(String::new(), 300), ("step".to_owned(), 299)]));
        assert_eq!(child.shards["s"][&ShardId::new("child")].floor_us, Some(300));
    }

    #[test]
    fn a_child_of_a_merged_shard_inherits_its_part_of_the_floors() {
        let mut merged = sealed(0, 99, 400);
        merged.floors = vec![Floor { range: HashRange { from: 0, to: 49 }, watermark_us: 500 }];
        let left = begin(1, "s", &shard(0, 29), &[merged.clone()]);
        assert_eq!((floors(&left), left.watermarks[""]), (vec![], 500));
        let across = begin(1, "s", &shard(30, 99), &[merged]);
        assert_eq!((floors(&across), across.watermarks[""]), (vec![(30, 49, 500)], 400));
    }

    #[test]
    fn without_a_parent_that_was_read_a_shard_begins_with_nothing() {
        let first = begin(3, "s", &shard(0, u128::MAX), &[]);
        assert_eq!((first.generation, floors(&first), first.watermarks[""]), (3, vec![], MIN_US));
        assert_eq!(first.shards["s"][&ShardId::new("child")].floor_us, None);
        let half = begin(3, "s", &shard(0, u128::MAX), &[sealed(0, 9, 70)]);
        assert_eq!((floors(&half), half.watermarks[""]), (vec![(0, 9, 70)], MIN_US));
    }
}
