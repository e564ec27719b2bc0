//! What a person asks of a lease table: a lease to another worker, or a row set to a place.
//!
//! The rules: a lease moves as workers move it among themselves: the next owner is named, the one before hands it off when it has committed,
//! and nobody is overrun; a row is set only while nobody runs what is leased.
//! Left to others: whether the row counts at all (where a manifest stands, it does not), and who asks (`cli`).

use std::{collections::BTreeSet, time::Duration};

use super::{Change, Checkpoint, Expect, Lease, LeaseTable, Updated, keeper::PATIENCE, look::look};
use crate::{
    clock,
    error::{Error, Kind, Result},
};

/// What came of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// it was there already
    Already,
    /// the new owner renews it; it was handed off by this one
    Done(Option<String>),
}

/// Asks for a hand-over, and waits until the new owner renews the lease. `known`: the workers that were seen.
pub async fn move_to(
    table: &dyn LeaseTable,
    key: &str,
    worker: &str,
    known: &BTreeSet<String>,
    duration: Duration,
) -> Result<Moved> {
    let row = the_row(table, key).await?;
    if let Some(by) = &row.handed_off_by {
        let next = row.owner.as_deref().unwrap_or_default();
        let words = format!("the lease `{key}` is being handed from {by} to {next}: wait until that is done");
        return Err(Error::new(Kind::Unavailable, words));
    }
    if row.checkpoint == Checkpoint::ShardEnd {
        return Err(Error::new(Kind::Config, format!("the lease `{key}` is over: its shard was read to the end")));
    }
    if row.owner.as_deref() == Some(worker) {
        return Ok(Moved::Already);
    }
    if !known.contains(worker) {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        let words = format!(
            "no worker `{worker}` was seen: leases are held by {names}; a worker that holds none yet is named with --force, as its log names it"
        );
        return Err(Error::new(Kind::Config, words));
    }
    let expect = Expect::Owned { owner: row.owner.clone(), handed_off_by: None };
    let asked =
        Change { owner: Some(Some(worker.to_owned())), handed_off_by: Some(row.owner.clone()), ..Change::default() };
    if let Updated::Refused(now) = table.update(key, &expect, &asked).await? {
        let now = now.and_then(|row| row.owner).unwrap_or_else(|| "nobody".to_owned());
        return Err(Error::new(Kind::Unavailable, format!("the lease `{key}` went to {now} meanwhile: try again")));
    }
    until_done(table, key, worker, row.owner, duration).await
}

async fn until_done(
    table: &dyn LeaseTable,
    key: &str,
    worker: &str,
    before: Option<String>,
    duration: Duration,
) -> Result<Moved> {
    // a hand-over is forced by the new owner after its patience; then it has to renew
    let steps = 4 * (PATIENCE + 3);
    let mut taken_at = None;
    for _ in 0..steps {
        clock::sleep(duration / 4).await;
        let row = the_row(table, key).await?;
        if row.owner.as_deref() != Some(worker) {
            let now = row.owner.unwrap_or_else(|| "nobody".to_owned());
            return Err(Error::new(Kind::Unavailable, format!("the lease `{key}` went to {now} instead")));
        }
        if row.handed_off_by.is_some() {
            continue;
        }
        // what the one before writes last counts up too; only a further write is the new owner's
        match taken_at {
            None => taken_at = Some(row.counter),
            Some(counter) if row.counter > counter => return Ok(Moved::Done(before)),
            Some(_) => {}
        }
    }
    let said = match taken_at {
        None => format!("{} has not handed it off", before.as_deref().unwrap_or("nobody")),
        Some(_) => format!("it is free for {worker}, which does not take it: does that worker run?"),
    };
    Err(Error::new(
        Kind::Unavailable,
        format!("the lease `{key}` has not moved: {said}; the row stays as it was asked for"),
    ))
}

/// Sets the place of a row that nobody renews, and takes its owner away.
pub async fn reset(table: &dyn LeaseTable, key: &str, to: Checkpoint, duration: Duration) -> Result<Lease> {
    let seen = look(table, Some(duration)).await?;
    let Some(seen) = seen.into_iter().find(|seen| seen.lease.key == key) else { return Err(missing(key)) };
    if seen.is_live() {
        let worker = seen.lease.runner().unwrap_or_default();
        let words = format!("the lease `{key}` is renewed by {worker}: stop that worker first");
        return Err(Error::new(Kind::State, words));
    }
    set(table, &seen.lease, to).await
}

/// Sets the place of a row as it was seen, and takes its owner away.
pub async fn set(table: &dyn LeaseTable, row: &Lease, to: Checkpoint) -> Result<Lease> {
    let change = Change {
        counter_up: true,
        owner: Some(None),
        handed_off_by: Some(None),
        checkpoint: Some(to),
        ..Change::default()
    };
    match table.update(&row.key, &Expect::Counter(row.counter), &change).await? {
        Updated::Done(row) => Ok(row),
        Updated::Refused(_) => {
            let words = format!("the lease `{}` was written meanwhile: stop its worker first", row.key);
            Err(Error::new(Kind::State, words))
        }
    }
}

async fn the_row(table: &dyn LeaseTable, key: &str) -> Result<Lease> {
    table.get(key).await?.ok_or_else(|| missing(key))
}

fn missing(key: &str) -> Error {
    Error::new(Kind::Config, format!("there is no lease `{key}`: `pelton leases list` names them"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        clock::{Clock, SystemClock},
        lease::{
            keeper::{Event, Keeper, Options},
            memory::MemoryLeases,
        },
        task,
    };

    const DURATION: Duration = Duration::from_millis(400);

    /// A worker that hands over what it is asked for.
    fn worker(table: &MemoryLeases, name: &str) -> task::Task<()> {
        let options = Options { worker: name.to_owned(), duration: DURATION };
        let clock: Arc<dyn Clock> = SystemClock::shared();
        let (keeper, mut events) = Keeper::start(Arc::new(table.clone()), options, clock, &Handle::current());
        task::spawn(&Handle::current(), async move {
            while let Some(event) = events.recv().await {
                if let Event::Wanted(key) = event {
                    keeper.release(&key).await;
                }
            }
        })
    }

    async fn until_owned(table: &MemoryLeases, key: &str, worker: &str) {
        for _ in 0..1000 {
            let row = table.get(key).await.unwrap().unwrap();
            if row.owner.as_deref() == Some(worker) && row.handed_off_by.is_none() {
                return;
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} never came to {worker}");
    }

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_lease_moves_to_a_worker_that_lives_and_not_to_another() {
        let table = MemoryLeases::default();
        table.create(&Lease::new("one", Checkpoint::TrimHorizon)).await.unwrap();
        let _a = worker(&table, "a");
        until_owned(&table, "one", "a").await;
        assert_eq!(move_to(&table, "one", "a", &names(&["a"]), DURATION).await.unwrap(), Moved::Already);
        let said = move_to(&table, "one", "b", &names(&["a"]), DURATION).await.unwrap_err().to_string();
        assert!(said.contains("no worker `b` was seen") && said.contains("held by a"), "{said}");
        let _b = worker(&table, "b");
        let moved = move_to(&table, "one", "b", &names(&["a", "b"]), DURATION).await.unwrap();
        assert_eq!(moved, Moved::Done(Some("a".to_owned())));
        let said = reset(&table, "one", Checkpoint::Latest, DURATION).await.unwrap_err().to_string();
        assert!(said.contains("is renewed by b"), "{said}");
        let said = move_to(&table, "two", "b", &names(&["b"]), DURATION).await.unwrap_err().to_string();
        assert!(said.contains("no lease `two`"), "{said}");
    }

    #[tokio::test]
    async fn a_lease_that_nobody_takes_is_said_and_a_row_at_rest_is_set() {
        let table = MemoryLeases::default();
        table.create(&Lease::new("one", Checkpoint::TrimHorizon)).await.unwrap();
        let said = move_to(&table, "one", "gone", &names(&["gone"]), DURATION / 10).await.unwrap_err().to_string();
        assert!(said.contains("free for gone, which does not take it"), "{said}");
        let row = reset(&table, "one", Checkpoint::Latest, DURATION / 10).await.unwrap();
        assert_eq!((row.checkpoint, row.owner), (Checkpoint::Latest, None));
    }
}
