//! Who should run what: rows of a table that every worker of a fleet reads and writes, as a Kinesis Client Library 2.x does.
//!
//! What a lease table owes: one of many who change a row at once wins, and the others learn it; a row is never half written; what a row
//! holds beyond what we know stays. A lease is a hint that spreads work, never a proof: what keeps two owners apart is the claim
//! (`checkpoint`).
//! `assign` decides what a worker should take, `keeper` takes, renews and gives back; `memory` and `dynamodb` hold the rows.
//! Left to others: what runs under a lease (`job`).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{error::Result, permit::Permit, record::Sequence, source::Pending};

pub mod assign;
pub mod keeper;
pub mod memory;

/// How far a row says its shard is done, in the order of the Kinesis Client Library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// begins at a time that the job names
    AtTimestamp,
    /// begins with the oldest record
    TrimHorizon,
    /// begins with what comes
    Latest,
    /// this record, and everything before it
    At {
        /// the record's sequence number
        sequence: Sequence,
        /// its place in an aggregate
        sub_sequence: u64,
    },
    /// everything
    ShardEnd,
}

/// A row: who should run a shard, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// `leaseKey`
    pub key: String,
    /// `leaseOwner`; while it is handed over, already the next owner
    pub owner: Option<String>,
    /// `leaseCounter`: raised by every owner's write, and what a write expects
    pub counter: u64,
    /// `ownerSwitchesSinceCheckpoint`
    pub owner_switches: u64,
    /// `checkpoint` and `checkpointSubSequenceNumber`
    pub checkpoint: Checkpoint,
    /// `parentShardId`
    pub parents: BTreeSet<String>,
    /// `childShardIds`
    pub children: BTreeSet<String>,
    /// `startingHashKey`, `endingHashKey`
    pub hash_range: Option<(u128, u128)>,
    /// `checkpointOwner`: the owner that still runs it while it is handed over
    pub handed_off_by: Option<String>,
    /// `peltonEpoch`: the highest epoch that was committed when the row was last written; unknown to the KCL, which leaves it alone
    pub epoch: Option<u64>,
}

/// What must hold of a row for it to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// the counter is this
    Counter(u64),
    /// these are its owners
    Owned {
        /// `leaseOwner`
        owner: Option<String>,
        /// `checkpointOwner`
        handed_off_by: Option<String>,
    },
    /// it is there
    Exists,
}

/// What becomes of the owner switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switches {
    /// none since this checkpoint
    Reset,
    /// one more
    Add,
}

/// What becomes of a row. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// raise the counter by one
    pub counter_up: bool,
    /// `leaseOwner`
    pub owner: Option<Option<String>>,
    /// `checkpointOwner`
    pub handed_off_by: Option<Option<String>>,
    /// `ownerSwitchesSinceCheckpoint`
    pub owner_switches: Option<Switches>,
    /// `checkpoint`
    pub checkpoint: Option<Checkpoint>,
    /// `peltonEpoch`
    pub epoch: Option<u64>,
    /// `childShardIds`
    pub children: Option<BTreeSet<String>>,
    /// `startingHashKey`, `endingHashKey`
    pub hash_range: Option<(u128, u128)>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// the row as it is now
    Done(Lease),
    /// it is not as expected: the row as it is, if it is there
    Refused(Option<Lease>),
}

/// The rows.
pub trait LeaseTable: Send + Sync {
    /// Every lease. Rows of other kinds are left out, and left alone.
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>>;

    /// One lease, as it is now.
    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>>;

    /// Makes a row; false if there is one.
    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>>;

    /// Changes a row that is as expected.
    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>>;

    /// Removes a row that is as expected.
    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>>;
}

/// How far what runs under a lease has come: written by its owner when an epoch is published, put into the row with the next renewal.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<(Checkpoint, u64)>>>);

impl Progress {
    /// Rule 5: this checkpoint and epoch are durable and published.
    pub fn tell(&self, checkpoint: Checkpoint, epoch: u64) {
        *self.cell() = Some((checkpoint, epoch));
    }

    /// What was told and not taken yet.
    fn take(&self) -> Option<(Checkpoint, u64)> {
        self.cell().take()
    }

    fn cell(&self) -> MutexGuard<'_, Option<(Checkpoint, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker is given with a lease.
#[derive(Clone, Debug)]
pub struct Grant {
    /// the row
    pub lease: Lease,
    /// until when it may act
    pub permit: Permit,
    /// where it says how far it is
    pub progress: Progress,
}

impl Lease {
    /// A row that nobody has taken.
    pub fn new(key: impl Into<String>, checkpoint: Checkpoint) -> Self {
        Self {
            key: key.into(),
            owner: None,
            counter: 0,
            owner_switches: 0,
            checkpoint,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hash_range: None,
            handed_off_by: None,
            epoch: None,
        }
    }

    /// Who runs it now.
    pub fn runner(&self) -> Option<&str> {
        self.handed_off_by.as_deref().or(self.owner.as_deref())
    }

    /// Whether it is as expected.
    pub fn is(&self, expect: &Expect) -> bool {
        match expect {
            Expect::Counter(counter) => self.counter == *counter,
            Expect::Owned { owner, handed_off_by } => self.owner == *owner && self.handed_off_by == *handed_off_by,
            Expect::Exists => true,
        }
    }

    /// The row after a change.
    pub fn after(&self, change: &Change) -> Self {
        let mut lease = self.clone();
        lease.counter += u64::from(change.counter_up);
        if let Some(owner) = &change.owner {
            lease.owner.clone_from(owner);
        }
        if let Some(by) = &change.handed_off_by {
            lease.handed_off_by.clone_from(by);
        }
        match change.owner_switches {
            Some(Switches::Reset) => lease.owner_switches = 0,
            Some(Switches::Add) => lease.owner_switches += 1,
            None => {}
        }
        lease.checkpoint = change.checkpoint.unwrap_or(lease.checkpoint);
        lease.epoch = change.epoch.or(lease.epoch);
        if let Some(children) = &change.children {
            lease.children.clone_from(children);
        }
        lease.hash_range = change.hash_range.or(lease.hash_range);
        lease
    }
}
