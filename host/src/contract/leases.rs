//! What every lease table promises: conditions, changes that touch nothing else, one winner of a race.
//!
//! The suite takes several handles of one table, as several workers have them. It must be empty.

use std::{collections::BTreeSet, future::Future};

use super::Broken;
use crate::{
    error::Error,
    lease::{Change, Checkpoint, Expect, Lease, LeaseTable, Switches, Updated},
    record::Sequence,
};

/// Handles of one table.
type Handles<'a> = &'a [&'a dyn LeaseTable];
type Kept = std::result::Result<(), Broken>;

/// Updaters of one row, and how often they race.
const RACERS: usize = 10;
const ROUNDS: u64 = 50;
/// Steps of the random walk.
const STEPS: u64 = 150;

/// Tries every promise on a table that is empty.
pub async fn leases(handles: Handles<'_>) -> Kept {
    let Some(table) = handles.first() else { return Err("no handle to try".to_owned()) };
    missing(*table).await?;
    every_row_comes_back(*table).await?;
    every_expectation(*table).await?;
    every_change(*table).await?;
    random_walk(handles).await?;
    races(handles).await?;
    race_to_create(handles).await
}

async fn ok<T>(what: &str, call: impl Future<Output = Result<T, Error>>) -> Result<T, Broken> {
    call.await.map_err(|failed| format!("{what} failed: {failed}"))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, wanted: &T) -> Kept {
    if got == wanted { Ok(()) } else { Err(format!("{what}: got {got:?}, wanted {wanted:?}")) }
}

fn by(name: &str) -> Option<String> {
    Some(name.to_owned())
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

async fn missing(table: &dyn LeaseTable) -> Kept {
    same("the rows of an empty table", &ok("list", table.list()).await?, &Vec::new())?;
    same("a row that is not there", &ok("get", table.get("none")).await?, &None)?;
    for expect in [Expect::Exists, Expect::Counter(0), Expect::Owned { owner: None, handed_off_by: None }] {
        let change = Change { counter_up: true, ..Change::default() };
        let what = format!("a change of a row that is not there, expecting {expect:?}");
        same(&what, &ok("update", table.update("none", &expect, &change)).await?, &Updated::Refused(None))?;
        same(&what, &ok("delete", table.delete("none", &expect)).await?, &Updated::Refused(None))?;
    }
    same("the table after changes of nothing", &ok("list", table.list()).await?, &Vec::new())
}

/// Rows with everything and with nothing.
fn samples() -> Vec<Lease> {
    let highest = Sequence::from_bytes([0xff; 24]);
    let checkpoints = [
        Checkpoint::AtTimestamp,
        Checkpoint::TrimHorizon,
        Checkpoint::Latest,
        Checkpoint::ShardEnd,
        Checkpoint::At { sequence: Sequence::ZERO, sub_sequence: 0 },
        Checkpoint::At { sequence: highest, sub_sequence: u64::MAX },
    ];
    let mut samples: Vec<Lease> =
        checkpoints.into_iter().enumerate().map(|(n, at)| Lease::new(format!("sample-{n}"), at)).collect();
    samples.push(Lease {
        owner: by("worker"),
        counter: u64::MAX,
        owner_switches: 3,
        parents: names(&["p-1", "p-2"]),
        children: names(&["c-1"]),
        hash_range: Some((0, u128::MAX)),
        handed_off_by: by("older"),
        epoch: Some(u64::MAX),
        ..Lease::new("sample-full", Checkpoint::Latest)
    });
    samples
}

async fn every_row_comes_back(table: &dyn LeaseTable) -> Kept {
    let samples = samples();
    for lease in &samples {
        same("creating a row", &ok("create", table.create(lease)).await?, &true)?;
        let other = Lease { counter: 77, owner: by("thief"), ..lease.clone() };
        same("creating it again", &ok("create", table.create(&other)).await?, &false)?;
        same("the row", &ok("get", table.get(&lease.key)).await?.as_ref(), &Some(lease))?;
    }
    let mut listed = ok("list", table.list()).await?;
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    let mut wanted = samples.clone();
    wanted.sort_by(|a, b| a.key.cmp(&b.key));
    same("all rows", &listed, &wanted)?;
    for lease in samples {
        let gone = ok("delete", table.delete(&lease.key, &Expect::Counter(lease.counter))).await?;
        same("a deleted row", &gone, &Updated::Done(lease.clone()))?;
        same("a row after it was deleted", &ok("get", table.get(&lease.key)).await?, &None)?;
    }
    Ok(())
}

async fn every_expectation(table: &dyn LeaseTable) -> Kept {
    let free = Lease { counter: 5, ..Lease::new("free", Checkpoint::TrimHorizon) };
    let owned = Lease { owner: by("a"), counter: 9, ..Lease::new("owned", Checkpoint::TrimHorizon) };
    let handed = Lease { handed_off_by: by("a"), owner: by("b"), ..Lease::new("handed", Checkpoint::TrimHorizon) };
    let owners = [None, by("a"), by("b")];
    for lease in [free, owned, handed] {
        ok("create", table.create(&lease)).await?;
        let mut expectations = vec![Expect::Exists, Expect::Counter(5), Expect::Counter(9), Expect::Counter(0)];
        for owner in &owners {
            for handed_off_by in &owners {
                expectations.push(Expect::Owned { owner: owner.clone(), handed_off_by: handed_off_by.clone() });
            }
        }
        for expect in expectations {
            // Nothing changes, so every expectation meets the same row.
            let wanted = match expect.holds(&lease) {
                true => Updated::Done(lease.clone()),
                false => Updated::Refused(Some(lease.clone())),
            };
            let what = format!("an update of `{}` expecting {expect:?}", lease.key);
            same(&what, &ok("update", table.update(&lease.key, &expect, &Change::default())).await?, &wanted)?;
            if matches!(wanted, Updated::Refused(_)) {
                same(&what, &ok("delete", table.delete(&lease.key, &expect)).await?, &wanted)?;
            }
            same(&what, &ok("get", table.get(&lease.key)).await?.as_ref(), &Some(&lease))?;
        }
        ok("delete", table.delete(&lease.key, &Expect::Exists)).await?;
    }
    Ok(())
}

/// Changes of one thing each, and some of many.
fn changes() -> Vec<Change> {
    let none = Change::default;
    let at = Checkpoint::At { sequence: Sequence::from_u64(1 << 40), sub_sequence: 3 };
    vec![
        Change { counter_up: true, ..none() },
        Change { owner: Some(by("worker")), ..none() },
        Change { handed_off_by: Some(by("older")), ..none() },
        Change { owner_switches: Some(Switches::Add), ..none() },
        Change { owner_switches: Some(Switches::Add), counter_up: true, ..none() },
        Change { checkpoint: Some(at), ..none() },
        Change { epoch: Some(12), ..none() },
        Change { children: Some(names(&["x", "y"])), ..none() },
        Change { hash_range: Some((1, u128::MAX - 1)), ..none() },
        Change {
            owner_switches: Some(Switches::Reset),
            checkpoint: Some(Checkpoint::ShardEnd),
            counter_up: true,
            ..none()
        },
        Change { owner: Some(None), handed_off_by: Some(None), ..none() },
        Change { children: Some(BTreeSet::new()), epoch: Some(13), ..none() },
        Change {
            counter_up: true,
            owner: Some(by("next")),
            handed_off_by: Some(by("worker")),
            owner_switches: Some(Switches::Add),
            checkpoint: Some(Checkpoint::Latest),
            epoch: Some(u64::MAX),
            children: Some(names(&["z"])),
            hash_range: Some((0, 0)),
        },
        none(),
    ]
}

async fn every_change(table: &dyn LeaseTable) -> Kept {
    let mut lease = Lease { parents: names(&["p"]), ..Lease::new("changed", Checkpoint::AtTimestamp) };
    ok("create", table.create(&lease)).await?;
    for change in changes() {
        lease = change.applied(&lease);
        let updated = ok("update", table.update(&lease.key, &Expect::Exists, &change)).await?;
        same(&format!("the answer to {change:?}"), &updated, &Updated::Done(lease.clone()))?;
        let read = ok("get", table.get(&lease.key)).await?;
        same(&format!("the row after {change:?}"), &read.as_ref(), &Some(&lease))?;
    }
    ok("delete", table.delete("changed", &Expect::Exists)).await.map(drop)
}

/// Numbers from a seed, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }
}

/// A table and a model of it go the same way.
async fn random_walk(handles: Handles<'_>) -> Kept {
    let mut numbers = Numbers(1);
    let mut lease = Lease::new("walk", Checkpoint::TrimHorizon);
    ok("create", handles[0].create(&lease)).await?;
    let changes = changes();
    for step in 0..STEPS {
        let table = handles[numbers.below(handles.len())];
        let change = &changes[numbers.below(changes.len())];
        let expect = match numbers.below(4) {
            0 => Expect::Counter(lease.counter),
            1 => Expect::Counter(lease.counter + 1),
            2 => Expect::Owned { owner: lease.owner.clone(), handed_off_by: None },
            _ => Expect::Owned { owner: by("worker"), handed_off_by: lease.handed_off_by.clone() },
        };
        let wanted = if expect.holds(&lease) {
            lease = change.applied(&lease);
            Updated::Done(lease.clone())
        } else {
            Updated::Refused(Some(lease.clone()))
        };
        let got = ok("update", table.update("walk", &expect, change)).await?;
        same(&format!("step {step}: {change:?} expecting {expect:?}"), &got, &wanted)?;
    }
    ok("delete", handles[0].delete("walk", &Expect::Exists)).await.map(drop)
}

/// All who saw the same counter write at once: one of them wins, and the others see the winner.
async fn races(handles: Handles<'_>) -> Kept {
    ok("create", handles[0].create(&Lease::new("race", Checkpoint::TrimHorizon))).await?;
    for round in 0..ROUNDS {
        let expect = Expect::Counter(round);
        let take = |racer: usize| {
            let owner = Some(by(&format!("racer-{racer}")));
            Change { counter_up: true, owner, owner_switches: Some(Switches::Add), ..Change::default() }
        };
        let all: Vec<Change> = (0..RACERS).map(take).collect();
        let calls =
            all.iter().enumerate().map(|(n, change)| handles[n % handles.len()].update("race", &expect, change));
        let outcomes = futures::future::join_all(calls).await;
        let row = ok("get", handles[0].get("race")).await?;
        let mut winners = 0;
        for (racer, outcome) in outcomes.into_iter().enumerate() {
            match outcome.map_err(|failed| format!("round {round}: racer {racer} failed: {failed}"))? {
                Updated::Done(lease) => {
                    winners += 1;
                    same(&format!("round {round}: the winner's row"), &Some(&lease), &row.as_ref())?;
                    same("its owner", &lease.owner, &by(&format!("racer-{racer}")))?;
                }
                Updated::Refused(seen) => same(&format!("round {round}: what a loser sees"), &seen, &row)?,
            }
        }
        same(&format!("round {round}: winners"), &winners, &1)?;
        same("the counter", &row.map(|row| (row.counter, row.owner_switches)), &Some((round + 1, round + 1)))?;
    }
    ok("delete", handles[0].delete("race", &Expect::Exists)).await.map(drop)
}

async fn race_to_create(handles: Handles<'_>) -> Kept {
    for round in 0..ROUNDS / 5 {
        let key = format!("new-{round}");
        let row = |racer: usize| Lease { owner: by(&format!("racer-{racer}")), ..Lease::new(&key, Checkpoint::Latest) };
        let rows: Vec<Lease> = (0..RACERS).map(row).collect();
        let calls = rows.iter().enumerate().map(|(n, row)| handles[n % handles.len()].create(row));
        let made = futures::future::try_join_all(calls).await.map_err(|failed| format!("create failed: {failed}"))?;
        same(&format!("round {round}: who created the row"), &made.iter().filter(|made| **made).count(), &1)?;
        let winner = made.iter().position(|made| *made).map(|racer| &rows[racer]);
        same("the row", &ok("get", handles[0].get(&key)).await?.as_ref(), &winner)?;
        ok("delete", handles[0].delete(&key, &Expect::Exists)).await?;
    }
    Ok(())
}
