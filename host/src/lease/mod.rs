//! Who should run which shard, and how far it is: a table of rows that workers change under conditions.
//!
//! The rules: a row is changed only while what the caller expects of it holds, and the change is one step; the counter is the lock
//! and the heartbeat; what a row holds beyond a [`Lease`] stays as it is. The rows are those of the Kinesis Client Library, so
//! that a job can take over from one and give back. A lease spreads work and proves nothing: the claim of `checkpoint` does.
//! `assign` decides what a worker should take, `keeper` takes, renews and gives back, `look`, `history` and `steer` are for
//! people.
//! Left to others: what runs under a lease (`job`).

pub mod assign;
pub mod dynamodb;
pub mod history;
pub mod keeper;
pub mod look;
pub mod memory;
pub mod steer;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{error::Result, permit::Permit, record::Sequence, source::Pending};

/// How far a row says its shard is done. The order is that of the Kinesis Client Library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// not begun: at a time that stands in the configuration
    AtTimestamp,
    /// not begun: at the oldest record
    TrimHorizon,
    /// not begun: behind the newest record
    Latest,
    /// up to this record
    At {
        /// of the record
        sequence: Sequence,
        /// of the user record in it
        sub_sequence: u64,
    },
    /// to the end
    ShardEnd,
}

impl Checkpoint {
    /// Whether something of the shard is done.
    pub fn is_begun(&self) -> bool {
        matches!(self, Self::At { .. } | Self::ShardEnd)
    }
}

impl From<(Sequence, u32)> for Checkpoint {
    fn from((sequence, sub_sequence): (Sequence, u32)) -> Self {
        Self::At { sequence, sub_sequence: u64::from(sub_sequence) }
    }
}

/// A row: who should run a shard, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// the shard, or what else is leased (leaseKey)
    pub key: String,
    /// who should run it; the next one while a hand-off is under way (leaseOwner)
    pub owner: Option<String>,
    /// rises with every renewal and checkpoint (leaseCounter)
    pub counter: u64,
    /// how often it changed hands without progress (ownerSwitchesSinceCheckpoint)
    pub owner_switches: u64,
    /// how far it is (checkpoint, checkpointSubSequenceNumber)
    pub checkpoint: Checkpoint,
    /// the shards it came from (parentShardId)
    pub parents: BTreeSet<String>,
    /// the shards that came from it, known at its end (childShardIds)
    pub children: BTreeSet<String>,
    /// first and last hash key (startingHashKey, endingHashKey)
    pub hash_range: Option<(u128, u128)>,
    /// who still runs it while a graceful hand-off is under way (checkpointOwner)
    pub handed_off_by: Option<String>,
    /// the highest epoch that was committed when the row was last written (peltonEpoch); the Kinesis Client Library leaves it alone
    pub epoch: Option<u64>,
}

/// What must hold of a row for it to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// nobody wrote since this counter was read
    Counter(u64),
    /// these are the owners, whatever the counter
    Owned {
        /// who should run it
        owner: Option<String>,
        /// who hands it off
        handed_off_by: Option<String>,
    },
    /// the row is there
    Exists,
}

/// What becomes of the count of owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switches {
    /// there was progress
    Reset,
    /// another owner
    Add,
}

/// What becomes of a row. What is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// adds one to the counter
    pub counter_up: bool,
    /// who should run it, or nobody
    pub owner: Option<Option<String>>,
    /// who hands it off, or nobody
    pub handed_off_by: Option<Option<String>>,
    /// the count of owners
    pub owner_switches: Option<Switches>,
    /// how far it is; a checkpoint that was only prepared is forgotten, as the Kinesis Client Library does
    pub checkpoint: Option<Checkpoint>,
    /// the highest committed epoch
    pub epoch: Option<u64>,
    /// the shards that came from it
    pub children: Option<BTreeSet<String>>,
    /// first and last hash key
    pub hash_range: Option<(u128, u128)>,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// the row as it is now, or as it was before it was deleted
    Done(Lease),
    /// what was expected does not hold; the row as it is, if it is there
    Refused(Option<Lease>),
}

/// A table of leases. Rows of other kinds in it are neither shown nor changed.
pub trait LeaseTable: Send + Sync {
    /// Every row, as of one moment each.
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>>;

    /// The newest state of one row.
    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>>;

    /// A new row; false if there is one already.
    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>>;

    /// Changes a row if what is expected holds. A change that was made counts as done although its answer was lost on the way.
    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>>;

    /// How many rows of other kinds there are, for people who look.
    fn others(&self) -> Pending<'_, Result<usize>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Deletes a row if what is expected holds.
    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>>;
}

/// How far what runs under a lease has come: written by its owner when an epoch is published, put into the row with the next renewal.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Option<Told>>>);

/// How far a shard is, where a record of it is done, and the last epoch.
type Told = (Option<Checkpoint>, u64);

impl Progress {
    /// Rule 5: this checkpoint and epoch are durable and published.
    pub fn tell(&self, checkpoint: Option<Checkpoint>, epoch: u64) {
        *self.cell() = Some((checkpoint, epoch));
    }

    /// What was told and not taken yet.
    fn take(&self) -> Option<Told> {
        self.cell().take()
    }

    fn cell(&self) -> MutexGuard<'_, Option<Told>> {
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
    /// A row that nobody owns yet.
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
}

impl Lease {
    /// Who runs it now.
    pub fn runner(&self) -> Option<&str> {
        self.handed_off_by.as_deref().or(self.owner.as_deref())
    }
}

impl Expect {
    /// Whether it holds of this row.
    pub fn holds(&self, lease: &Lease) -> bool {
        match self {
            Self::Counter(counter) => lease.counter == *counter,
            Self::Owned { owner, handed_off_by } => lease.owner == *owner && lease.handed_off_by == *handed_off_by,
            Self::Exists => true,
        }
    }
}

impl Change {
    /// What it makes of this row.
    pub fn applied(&self, lease: &Lease) -> Lease {
        let mut new = lease.clone();
        new.counter += u64::from(self.counter_up);
        if let Some(owner) = &self.owner {
            new.owner.clone_from(owner);
        }
        if let Some(by) = &self.handed_off_by {
            new.handed_off_by.clone_from(by);
        }
        match self.owner_switches {
            Some(Switches::Reset) => new.owner_switches = 0,
            Some(Switches::Add) => new.owner_switches += 1,
            None => {}
        }
        new.checkpoint = self.checkpoint.unwrap_or(new.checkpoint);
        new.epoch = self.epoch.or(new.epoch);
        if let Some(children) = &self.children {
            new.children.clone_from(children);
        }
        new.hash_range = self.hash_range.or(new.hash_range);
        new
    }

    /// Whether this row looks as the change would leave one of which `expect` held.
    pub fn shows_in(&self, expect: &Expect, lease: &Lease) -> bool {
        let counted = match expect {
            Expect::Counter(counter) => lease.counter == counter + u64::from(self.counter_up),
            Expect::Owned { .. } | Expect::Exists => true,
        };
        let quiet = Self { counter_up: false, owner_switches: None, ..self.clone() };
        counted && quiet.applied(lease) == *lease
    }
}
