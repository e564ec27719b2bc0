//! How manifests, savepoints and what is wrong with them look on a terminal.
//!
//! The rule: a line a thing, columns that stand below each other, sizes and ages that people read. Left to others: the facts.

use std::collections::BTreeMap;

use super::{epochs, line};
use crate::{
    checkpoint::{
        look::{Shelf, Summary},
        manifest::Manifest,
        savepoint::{Plan, Restored, Savepoint},
        verify::Verified,
    },
    job::operate::Shown,
};

/// So many names of a kind are printed.
const NAMES: usize = 20;

/// The newest manifest of every partition.
pub fn list(all: &[Summary], shelf: &Shelf, now_us: i64) {
    let width = all.iter().map(|one| one.partition.len()).max().unwrap_or(0).max(9) + 2;
    line(format_args!(
        "{:<width$}{:>8}{:>9}{:>7}{:>5}{:>8}{:>8}{:>8}{:>11}{:>10}  {}",
        "partition", "epoch", "manifest", "fence", "gen", "tokens", "held", "blocks", "state", "as of", "how it is"
    ));
    for one in all {
        let as_of = one.as_of_us.map_or_else(|| "-".to_owned(), |as_of| age(now_us - as_of));
        line(format_args!(
            "{:<width$}{:>8}{:>9}{:>7}{:>5}{:>8}{:>8}{:>8}{:>11}{:>10}  {}",
            one.partition,
            one.epoch,
            one.number,
            one.fence,
            one.generation,
            one.tokens,
            size(one.held as u64),
            one.blocks,
            size(one.bytes),
            as_of,
            state(one)
        ));
        for (source, shards) in &one.shards {
            for (shard, reached) in shards {
                let at = reached.sequence.as_deref().unwrap_or("nothing is read yet");
                let sub =
                    reached.sub_sequence.filter(|sub| *sub > 0).map_or_else(String::new, |sub| format!(" sub {sub}"));
                let ended = if reached.ended { ", read to its end" } else { "" };
                line(format_args!("  {source}/{shard}  {at}{sub}{ended}"));
            }
        }
    }
    let bytes: u64 = all.iter().map(|one| one.bytes).sum();
    let rows: u64 = all.iter().map(|one| one.rows).sum();
    let blocks: usize = all.iter().map(|one| one.blocks).sum();
    line(format_args!(
        "{}, {} of state in {} with {} in {}",
        count(all.len(), "partition", "partitions"),
        size(bytes),
        count(blocks, "block", "blocks"),
        count(rows as usize, "row", "rows"),
        shelf.place()
    ));
}

fn state(one: &Summary) -> String {
    let mut words = Vec::new();
    if one.sealed {
        words.push("sealed".to_owned());
    }
    if one.begins_anew {
        words.push("begins anew".to_owned());
    }
    if one.set_back > 0 {
        words.push(format!("set back {}", count(one.set_back as usize, "time", "times")));
    }
    if words.is_empty() { "open".to_owned() } else { words.join(", ") }
}

/// Savepoints, whole or not.
pub fn savepoints(all: &BTreeMap<String, Option<Savepoint>>, now_us: i64) {
    line(format_args!(
        "{:<24}{:>10}{:>5}{:>12}{:>8}{:>11}  epochs",
        "savepoint", "age", "gen", "partitions", "blocks", "state"
    ));
    for (name, savepoint) in all {
        let Some(savepoint) = savepoint else {
            line(format_args!("{name:<24}{:>10}{:>5}{:>12}{:>8}{:>11}  it is not whole", "-", "-", "-", "-", "-"));
            continue;
        };
        let saved = || savepoint.partitions.values();
        line(format_args!(
            "{name:<24}{:>10}{:>5}{:>12}{:>8}{:>11}  {}",
            age(now_us - savepoint.made_us),
            savepoint.generation,
            savepoint.partitions.len(),
            saved().map(|saved| saved.blocks).sum::<usize>(),
            size(saved().map(|saved| saved.bytes).sum()),
            span(savepoint)
        ));
    }
}

fn span(savepoint: &Savepoint) -> String {
    let epochs = || savepoint.partitions.values().map(|saved| saved.epoch);
    match (epochs().min(), epochs().max()) {
        (Some(low), Some(high)) if low == high => low.to_string(),
        (Some(low), Some(high)) => format!("{low} to {high}"),
        _ => "-".to_owned(),
    }
}

/// What became of a savepoint.
pub fn savepoint(done: &str, savepoint: &Savepoint) {
    let bytes: u64 = savepoint.partitions.values().map(|saved| saved.bytes).sum();
    line(format_args!(
        "{done} `{}`: {} of generation {}, {} of state, epoch {}",
        savepoint.name,
        count(savepoint.partitions.len(), "partition", "partitions"),
        savepoint.generation,
        size(bytes),
        span(savepoint)
    ));
}

/// A manifest, whole.
pub fn manifest(partition: &str, manifest: &Manifest) {
    let say = |name: &str, value: &dyn std::fmt::Display| line(format_args!("{name:<14}{value}"));
    say("partition", &partition);
    say("manifest", &manifest.number);
    say("epoch", &manifest.epoch);
    say("fence", &manifest.fence);
    say("nonce", &format_args!("{:016x}", manifest.nonce));
    say("generation", &manifest.generation);
    say("range", &format_args!("{} to {}", manifest.range.from, manifest.range.to));
    if manifest.begins_anew {
        say("begins anew", &"what it held was set aside");
    }
    if let Some(back) = manifest.set_back {
        let times = count(back.times as usize, "time", "times");
        say("set back", &format_args!("{times}, last from epoch {} to epoch {}", back.from, back.to));
    }
    if let Some(children) = &manifest.sealed {
        let children: Vec<String> = children.iter().map(|child| child.id.to_string()).collect();
        say(
            "sealed",
            &format_args!("{} go on", if children.is_empty() { "no shards".to_owned() } else { children.join(", ") }),
        );
    }
    for (source, shards) in &manifest.shards {
        for (shard, progress) in shards {
            let position = progress.position.as_ref();
            let at = position.and_then(|position| position.record);
            let at =
                at.map_or_else(|| "nothing read".to_owned(), |(sequence, sub)| format!("up to {sequence} sub {sub}"));
            let event = progress.max_event_us.map_or_else(String::new, |us| format!(", event time {}", time(us)));
            let ended = if progress.ended { ", read to its end" } else { "" };
            say("shard", &format_args!("{source}/{shard}: {at}{event}{ended}"));
        }
    }
    for (step, watermark) in &manifest.watermarks {
        let step = if step.is_empty() { "the partition" } else { step };
        say("watermark", &format_args!("{step}: {}", time(*watermark)));
    }
    for floor in &manifest.floors {
        say("floor", &format_args!("{} to {}: {}", floor.range.from, floor.range.to, time(floor.watermark_us)));
    }
    rest(manifest, &say);
}

fn rest(manifest: &Manifest, say: &dyn Fn(&str, &dyn std::fmt::Display)) {
    for token in &manifest.tokens {
        say(
            "token",
            &format_args!("{} of epoch {}, not known to be committed: {}", token.sink, token.epoch, token.staged),
        );
    }
    for (sink, held) in &manifest.held {
        say("held", &format_args!("{sink} holds back {}", size(held.len() as u64)));
    }
    for block in &manifest.state {
        let whole = if block.is_whole { ", whole" } else { "" };
        say(
            "block",
            &format_args!(
                "{} ({}, {}, epochs {} to {} of {}{whole}, {})",
                block.name,
                size(block.bytes),
                count(block.rows as usize, "row", "rows"),
                block.epochs.0,
                block.epochs.1,
                block.of,
                block.digest
            ),
        );
    }
    let owners: Vec<String> =
        manifest.lineage.iter().map(|(fence, epoch)| format!("{fence} to epoch {epoch}")).collect();
    if !owners.is_empty() {
        say("owners", &format_args!("fence {}", owners.join(", ")));
    }
}

/// What was read, and what is wrong with it.
pub fn verified(found: &Verified, shelf: &Shelf) {
    line(format_args!(
        "read {}, {}, {} ({}, {}) in {}",
        count(found.partitions, "partition", "partitions"),
        count(found.manifests, "manifest", "manifests"),
        count(found.blocks, "block", "blocks"),
        size(found.bytes),
        count(found.rows as usize, "row", "rows"),
        shelf.place()
    ));
    for damage in &found.damaged {
        line(format_args!("damaged  {}: {}", damage.name, damage.words));
    }
    for name in found.unnamed.iter().take(NAMES) {
        line(format_args!("unnamed  {name}"));
    }
    if found.unnamed.len() > NAMES {
        line(format_args!("unnamed  and {} more", found.unnamed.len() - NAMES));
    }
    if !found.unnamed.is_empty() {
        line(
            "unnamed objects are left over, or were made just now: the next owner of their partition removes what is left over",
        );
    }
    if found.damaged.is_empty() {
        line("everything is whole");
    }
}

/// What a restore would do.
pub fn plan(plan: &Plan, shown: &[Shown]) {
    for (partition, from, to) in epochs(plan) {
        match to {
            Some(to) => line(format_args!("partition {partition} goes back from epoch {from} to epoch {to}")),
            None => line(format_args!(
                "partition {partition} was begun after the savepoint: it is set aside, and begins anew"
            )),
        }
    }
    for Shown { sink, partition, epoch } in shown {
        let to = plan.partitions.get(partition).and_then(|planned| planned.to).unwrap_or(0);
        match epoch {
            Some(epoch) if *epoch > to => line(format_args!(
                "sink {sink} has shown partition {partition} up to epoch {epoch}: what it showed after epoch {to} comes again, in files of \
                 new names"
            )),
            Some(epoch) => line(format_args!(
                "sink {sink} has shown partition {partition} up to epoch {epoch}: nothing comes again"
            )),
            None => line(format_args!(
                "sink {sink} keeps no record of what it has shown of partition {partition}: results after epoch {to} come again, with the \
                 same ids and a higher fence"
            )),
        }
    }
}

/// What a restore has done.
pub fn restored(plan: &Plan, done: &Restored) {
    for partition in &done.opened {
        line(format_args!("partition {partition} had been read to its end: it is open again"));
    }
    savepoint("restored", &plan.savepoint);
    if plan.is_another_version {
        line(format_args!(
            "it was made by generation {} of the job, another version than the last one: run that job file, or the new one with --accept-change",
            plan.savepoint.generation
        ));
    }
}

/// A number and its noun.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn age(us: i64) -> String {
    match us.max(0) / 1_000_000 {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7_200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn time(us: i64) -> String {
    if us == crate::record::MIN_US {
        return "not known yet".to_owned();
    }
    arrow::temporal_conversions::timestamp_us_to_datetime(us).map_or_else(|| us.to_string(), |at| format!("{at} UTC"))
}
