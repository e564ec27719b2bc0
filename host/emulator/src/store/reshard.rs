//! Splitting and merging shards, and scaling a stream by doing many of both.
//!
//! The rule: closing the parents and opening the children is one step under the store's lock; a child is born at least one
//! second after the latest of its parents, by number if not by clock, so its sequence numbers are above theirs. Scaling cuts
//! where the even ranges begin, then joins what lies within one; as at the service, shards of the way remain as closed ones.

use super::Millis;
use super::error::{ApiError, invalid, limit};
use super::hash::{self, HashRange};
use super::sequence::MAX_SHARD_INDEX;
use super::shard::Shard;
use super::stream::{MAX_OPEN_SHARDS, Stream};

/// Closes `shard` and opens two children; the second starts at `new_starting_hash_key`.
pub fn split(stream: &mut Stream, now: Millis, shard: &str, new_starting_hash_key: &str) -> Result<(), ApiError> {
    let key = hash::parse("NewStartingHashKey", new_starting_hash_key)?;
    let parent = stream.shard(shard)?;
    check_open(stream, parent)?;
    let range = parent.range;
    if key <= range.start || key > range.end {
        return Err(invalid(format!(
            "NewStartingHashKey {key} used in SplitShard() on shard {shard} in stream {} is not both greater than \
             the shard's StartingHashKey {} and at most its EndingHashKey {}.",
            stream.name, range.start, range.end
        )));
    }
    check_room(stream, 2)?;
    let halves = [HashRange { end: key - 1, ..range }, HashRange { start: key, ..range }];
    let parents = vec![parent.index];
    replace(stream, now, &parents, &halves)
}

/// Closes two neighbours and opens one child over both ranges.
pub fn merge(stream: &mut Stream, now: Millis, shard: &str, adjacent: &str) -> Result<(), ApiError> {
    let first = stream.shard(shard)?;
    let second = stream.shard(adjacent)?;
    check_open(stream, first)?;
    check_open(stream, second)?;
    let (low, high) = if first.range.start <= second.range.start { (first, second) } else { (second, first) };
    if low.range.end.checked_add(1) != Some(high.range.start) {
        return Err(invalid(format!(
            "Shards {shard} and {adjacent} in stream {} under account 000000000000 are not an adjacent pair of \
             shards eligible for merging",
            stream.name
        )));
    }
    check_room(stream, 1)?;
    let range = HashRange { start: low.range.start, end: high.range.end };
    let parents = vec![first.index, second.index];
    replace(stream, now, &parents, &[range])
}

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Splits and merges until there are `target` open shards of even width.
pub fn scale(stream: &mut Stream, now: Millis, target: u32, most_a_day: Option<u32>) -> Result<(), ApiError> {
    let open = stream.open_count();
    let (wanted, name) = (target as usize, stream.name.clone());
    let refused = |how: &str| {
        invalid(format!(
            "UpdateShardCount cannot scale {how} your current open shard count. Current open shard count: {open} Target \
             shard count: {target}"
        ))
    };
    if wanted > 2 * open {
        return Err(refused("up over double"));
    }
    if 2 * wanted < open {
        return Err(refused("down below half"));
    }
    stream.scaled.retain(|at| now.saturating_sub(*at) < DAY_MILLIS);
    if most_a_day.is_some_and(|most| stream.scaled.len() >= most as usize) {
        return Err(limit(format!(
            "stream {name} was scaled {} times within 24 hours, the most allowed",
            stream.scaled.len()
        )));
    }
    let ranges = hash::even_ranges(target);
    let cuts: Vec<u128> = ranges.iter().map(|r| r.start).filter(|cut| !stream.open_at(*cut)).collect();
    // Each cut makes two shards; each merge makes one, and there are as many as open shards too many.
    let merges = open + cuts.len() - wanted;
    if open + cuts.len() > MAX_OPEN_SHARDS as usize
        || stream.shards.len() + 2 * cuts.len() + merges > MAX_SHARD_INDEX as usize
    {
        return Err(limit(format!(
            "stream {name} cannot be scaled to {target} shards: too many would be open or have existed"
        )));
    }
    for cut in cuts {
        let shard = stream.shards[stream.open_for(cut)? as usize].id();
        split(stream, now, &shard, &cut.to_string())?;
    }
    for range in ranges {
        loop {
            let first = &stream.shards[stream.open_for(range.start)? as usize];
            if first.range.end == range.end {
                break;
            }
            let next = stream.shards[stream.open_for(first.range.end + 1)? as usize].id();
            merge(stream, now, &first.id(), &next)?;
        }
    }
    stream.scaled.push(now);
    Ok(())
}

fn check_open(stream: &Stream, shard: &Shard) -> Result<(), ApiError> {
    if shard.closed.is_none() {
        return Ok(());
    }
    Err(invalid(format!(
        "Shard {} in stream {} under account 000000000000 has already been merged or split, and thus is not eligible \
         for merging or splitting.",
        shard.id(),
        stream.name
    )))
}

fn check_room(stream: &Stream, children: usize) -> Result<(), ApiError> {
    let open = stream.open_count() + children - 1;
    if open > MAX_OPEN_SHARDS as usize || stream.shards.len() + children > MAX_SHARD_INDEX as usize {
        return Err(limit(format!(
            "stream {} cannot have more shards: {} are open, {} existed",
            stream.name,
            stream.open_count(),
            stream.shards.len()
        )));
    }
    Ok(())
}

fn replace(stream: &mut Stream, now: Millis, parents: &[u32], ranges: &[HashRange]) -> Result<(), ApiError> {
    let of = |stream: &Stream, index: u32| (stream.shards[index as usize].birth, stream.shards[index as usize].range);
    let latest = parents.iter().map(|&p| of(stream, p).0).max().unwrap_or(0);
    let birth = (now / 1000).max(latest + 1);
    for &parent in parents {
        let range = of(stream, parent).1;
        stream.forget_open(range);
    }
    let mut children = Vec::new();
    for range in ranges {
        children.push(stream.add_shard(now, birth, *range, parents.to_vec())?);
    }
    for &parent in parents {
        stream.shards[parent as usize].close(now, children.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::shard::id_of;
    use bytes::Bytes;

    const NOW: Millis = 1_000_000;

    fn put(stream: &mut Stream, key: &str) -> (u32, crate::store::Sequence) {
        let index = stream.route(key, None).unwrap();
        let shard = &mut stream.shards[index as usize];
        let record = shard.number(NOW, key.into(), Bytes::new());
        shard.push(record.clone());
        (index, record.sequence)
    }

    #[test]
    fn lineage_keeps_cover_and_numbers_rise() {
        let mut stream = Stream::new(NOW, "s", 2).unwrap();
        let mut newest = std::collections::HashMap::new();
        for round in 0..20u32 {
            for i in 0..50 {
                let key = format!("key-{i}");
                let (_, number) = put(&mut stream, &key);
                if let Some(before) = newest.insert(key, number) {
                    assert!(number > before, "a key's numbers rise across reshards");
                }
            }
            let open: Vec<u32> = stream.shards.iter().filter(|s| s.closed.is_none()).map(|s| s.index).collect();
            if round % 3 == 2 {
                let low = stream.shards[open[0] as usize].range.end;
                let next = open.iter().find(|&&s| Some(stream.shards[s as usize].range.start) == low.checked_add(1));
                if let Some(&next) = next {
                    merge(&mut stream, NOW, &id_of(next), &id_of(open[0])).unwrap();
                }
            } else {
                let range = stream.shards[open[0] as usize].range;
                let middle = range.start + (range.end - range.start) / 2 + 1;
                split(&mut stream, NOW, &id_of(open[0]), &middle.to_string()).unwrap();
            }
        }
        for shard in stream.shards.iter().filter(|s| !s.parents.is_empty()) {
            for &parent in &shard.parents {
                let parent = &stream.shards[parent as usize];
                assert!(parent.children.contains(&shard.index));
                assert!(parent.closed.unwrap().ending < shard.starting());
            }
        }
    }

    #[test]
    fn scaling_makes_even_ranges_within_the_limits() {
        let mut stream = Stream::new(NOW, "s", 3).unwrap();
        let open = |stream: &Stream| -> Vec<HashRange> {
            let mut open: Vec<_> = stream.shards.iter().filter(|s| s.closed.is_none()).map(|s| s.range).collect();
            open.sort_by_key(|r| r.start);
            open
        };
        split(&mut stream, NOW, &id_of(0), "77").unwrap();
        for target in [8, 5, 3, 3, 2, 4, 7, 14, 9] {
            scale(&mut stream, NOW, target, None).unwrap();
            assert_eq!(open(&stream), hash::even_ranges(target));
        }
        assert!(scale(&mut stream, NOW, 19, None).unwrap_err().message.contains("double"));
        assert!(scale(&mut stream, NOW, 4, None).unwrap_err().message.contains("half"));
        assert_eq!(stream.scaled.len(), 9);
        scale(&mut stream, NOW, 9, Some(10)).unwrap();
        let tired = scale(&mut stream, NOW + DAY_MILLIS - 1, 9, Some(10)).unwrap_err();
        assert_eq!(tired.kind, crate::store::ErrorKind::LimitExceeded);
        scale(&mut stream, NOW + DAY_MILLIS, 9, Some(10)).unwrap();
    }

    #[test]
    fn refuses_wrong_keys_strangers_and_closed_shards() {
        let mut stream = Stream::new(NOW, "s", 3).unwrap();
        for key in ["0", "x", &u128::MAX.to_string()] {
            assert!(split(&mut stream, NOW, &id_of(0), key).is_err(), "{key}");
        }
        assert!(merge(&mut stream, NOW, &id_of(0), &id_of(2)).is_err());
        assert!(merge(&mut stream, NOW, &id_of(0), &id_of(0)).is_err());
        assert!(split(&mut stream, NOW, &id_of(9), "5").is_err());
        split(&mut stream, NOW, &id_of(0), "5").unwrap();
        assert!(split(&mut stream, NOW, &id_of(0), "7").is_err());
        assert!(merge(&mut stream, NOW, &id_of(0), &id_of(1)).is_err());
        assert_eq!(stream.route("any", Some("4")).unwrap(), 3);
        assert_eq!(stream.route("any", Some("5")).unwrap(), 4);
    }
}
