//! The contract with the table in memory, and what rows mean.

use super::*;
use crate::{contract, lease::memory::MemoryLeases};

#[tokio::test]
async fn memory_keeps_the_contract() {
    let table = MemoryLeases::default();
    let shared = table.clone();
    assert_eq!(contract::leases(&[&table, &shared]).await, Ok(()));
}

/// A table that forgets to look at what is expected.
struct Careless(MemoryLeases);

impl LeaseTable for Careless {
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>> {
        self.0.list()
    }
    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>> {
        self.0.get(key)
    }
    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>> {
        self.0.create(lease)
    }
    fn update<'a>(&'a self, key: &'a str, _: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>> {
        self.0.update(key, &Expect::Exists, change)
    }
    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>> {
        self.0.delete(key, expect)
    }
}

#[tokio::test]
async fn the_contract_catches_a_careless_table() {
    let table = Careless(MemoryLeases::default());
    assert!(contract::leases(&[&table]).await.is_err());
}

#[test]
fn checkpoints_order_as_in_the_kinesis_client_library() {
    let at = |sequence, sub_sequence| Checkpoint::At { sequence: Sequence::from_u64(sequence), sub_sequence };
    let rising = [
        Checkpoint::AtTimestamp,
        Checkpoint::TrimHorizon,
        Checkpoint::Latest,
        at(0, 0),
        at(0, 1),
        at(9, 0),
        at(10, 0),
        Checkpoint::ShardEnd,
    ];
    assert!(rising.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn a_change_shows_only_in_the_row_that_it_left() {
    let lease = Lease { counter: 7, owner: Some("old".into()), ..Lease::new("shard", Checkpoint::Latest) };
    let expect = Expect::Counter(7);
    let take = Change {
        counter_up: true,
        owner: Some(Some("me".into())),
        owner_switches: Some(Switches::Add),
        ..Change::default()
    };
    let taken = take.applied(&lease);
    assert!(take.shows_in(&expect, &taken));
    assert!(!take.shows_in(&expect, &lease));
    assert!(!take.shows_in(&expect, &take.applied(&taken)), "somebody wrote after it");
    assert!(!take.shows_in(&expect, &Lease { owner: Some("thief".into()), ..taken }));
}
