//! What `pelton top` shows: a table of workers, a table of partitions, and a line for each that does not run.

use std::{net::SocketAddr, time::Duration};

use super::{Counts, Heard};
use crate::{
    cli::{checkpoint::size, run::table::lag_of},
    job::live::{
        Now, Phases,
        status::{Partition, Status},
    },
};

/// Everything, line by line.
pub fn lines(heard: &Heard, before: &Counts, every: Duration, shards: bool) -> Vec<String> {
    let rate = |at: &SocketAddr, status: &Status| {
        before.get(at).map(|before| status.records.saturating_sub(*before) as f64 / every.as_secs_f64())
    };
    let mut lines = vec![format!(
        "{:<28}{:<16}{:>7}{:>11}{:>12}{:>9}{:>8}{:>12}",
        "worker", "job", "up", "records/s", "records", "rejects", "leases", "state"
    )];
    for (at, said) in heard {
        lines.push(match said {
            Ok(status) => worker(at, status, rate(at, status)),
            Err(failed) => format!("{:<28}{failed}", at.to_string()),
        });
    }
    let mut partitions: Vec<(&SocketAddr, &Status, &String, &Partition)> = heard
        .iter()
        .filter_map(|(at, said)| Some((at, said.as_ref().ok()?)))
        .flat_map(|(at, status)| status.partitions.iter().map(move |(name, one)| (at, status, name, one)))
        .collect();
    partitions.sort_by_key(|(.., name, _)| *name);
    let width = partitions.iter().map(|(.., name, _)| name.len()).max().unwrap_or(0).max(9) + 2;
    lines.push(String::new());
    lines.push(format!(
        "{:<width$}{:<28}{:<8}{:>8}{:>7}{:>9}{:>8}{:>11}{:>11}  {:<16}{:>9}  {}",
        "partition",
        "worker",
        "is",
        "epoch",
        "fence",
        "lag",
        "tokens",
        "state",
        "took",
        "most of it",
        "restarts",
        "why here"
    ));
    for (at, status, name, one) in partitions {
        lines.push(format!("{name:<width$}{}", partition(&title(at, status), one)));
        lines.extend(one.waits_for().map(|why| format!("{:<width$}it is {}: {why}", "", one.state())));
        if one.restarts.count > 0 && one.waits_for().is_none() {
            lines.push(format!("{:<width$}the last failure: {}", "", one.restarts.why));
        }
        if shards {
            lines.extend(one.now.iter().flat_map(|now| of_shards(now, width)));
        }
    }
    lines
}

fn title(at: &SocketAddr, status: &Status) -> String {
    let name = if status.worker.is_empty() { at.to_string() } else { status.worker.clone() };
    name.chars().take(26).collect()
}

fn worker(at: &SocketAddr, status: &Status, rate: Option<f64>) -> String {
    let rate = rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
    let leases = if status.worker.is_empty() { "-".to_owned() } else { status.partitions.len().to_string() };
    let job: String = status.job.chars().take(14).collect();
    format!(
        "{:<28}{job:<16}{:>7}{rate:>11}{:>12}{:>9}{leases:>8}{:>12}",
        title(at, status),
        span(status.up_s),
        status.records,
        status.rejects,
        status.state_bytes.map_or_else(|| "-".to_owned(), size),
    )
}

fn partition(worker: &str, one: &Partition) -> String {
    let none = Now::default();
    let now = one.now.as_ref().unwrap_or(&none);
    let why = one.lease.as_ref().map_or_else(String::new, |lease| format!("{} ({})", lease.why, span(lease.held_s)));
    let (took, most) = took(&now.took);
    format!(
        "{worker:<28}{:<8}{:>8}{:>7}{:>9}{:>8}{:>11}{took:>11}  {most:<16}{:>9}  {why}",
        one.state(),
        now.epoch,
        now.fence,
        lag_of(now.behind_ms),
        now.uncommitted,
        now.state_bytes.map_or_else(|| "-".to_owned(), size),
        one.restarts.count,
    )
}

/// The whole of an epoch, and its longest part.
fn took(phases: &Phases) -> (String, String) {
    let all: Duration = phases.named().iter().map(|(_, took)| *took).sum();
    let longest = phases.named().into_iter().max_by_key(|(_, took)| *took);
    match longest.filter(|(_, took)| !took.is_zero()) {
        None => ("-".to_owned(), "-".to_owned()),
        Some((name, part)) => {
            let share = (100.0 * part.as_secs_f64() / all.as_secs_f64()).round();
            (format!("{:.1} ms", all.as_secs_f64() * 1e3), format!("{name} {share} %"))
        }
    }
}

fn of_shards(now: &Now, width: usize) -> impl Iterator<Item = String> {
    now.shards.iter().map(move |(name, shard)| {
        let position = shard.position.as_deref().unwrap_or("nothing is done yet");
        format!(
            "{:<width$}{name}: {} by {}, {} behind, at {position}",
            "",
            shard.state,
            shard.mode,
            lag_of(shard.behind_ms)
        )
    })
}

/// A time that people can read, of at most 6 characters.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use super::*;
    use crate::job::live::{LeaseNow, Restarts};

    #[test]
    fn rows_stand_below_their_heads_and_what_waits_says_why() {
        let took =
            Phases { prepare: Duration::from_millis(30), commit: Duration::from_millis(10), ..Phases::default() };
        let now = Now { epoch: 41, fence: 3, behind_ms: 1_500, state_bytes: Some(2 << 20), took, ..Now::default() };
        let lease = LeaseNow { why: "nobody had it".into(), held_s: 190, state: "runs".into(), waits_for: None };
        let stuck = LeaseNow { state: "stuck".into(), waits_for: Some("the disk is full".into()), ..lease.clone() };
        let partitions = BTreeMap::from([
            ("in/shard-1".to_owned(), Partition { lease: Some(lease), now: Some(now), restarts: Restarts::default() }),
            ("in/shard-2".to_owned(), Partition { lease: Some(stuck), ..Partition::default() }),
        ]);
        let status = Status { job: "j".into(), worker: "w-1".into(), records: 300, partitions, ..Status::default() };
        let (at, gone): (SocketAddr, SocketAddr) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let heard = vec![(at, Ok(status)), (gone, Err("it does not answer".to_owned()))];
        let lines = lines(&heard, &BTreeMap::from([(at, 100)]), Duration::from_secs(2), false);
        let under = |head: &str, row: usize, value: &str| {
            let head_row = lines[..row].iter().rfind(|line| line.contains(head)).unwrap();
            let ends = |line: &str, text: &str| line.find(text).map(|at| (at, at + text.len()));
            let (head, value) = (ends(head_row, head).unwrap(), ends(&lines[row], value).unwrap());
            assert!(head.0 == value.0 || head.1 == value.1, "{}\n{}", head_row, lines[row]);
        };
        under("records/s", 1, "100");
        under("leases", 1, "2");
        assert!(lines[2].ends_with("it does not answer"), "{}", lines[2]);
        for (head, value) in [("is", "runs"), ("epoch", "41"), ("fence", "3"), ("lag", "1.5 s"), ("took", "40.0 ms")] {
            under(head, 5, value);
        }
        under("most of it", 5, "prepare 75 %");
        under("why here", 5, "nobody had it (3 min)");
        assert!(lines[7].contains("it is stuck: the disk is full"), "{lines:#?}");
    }
}
