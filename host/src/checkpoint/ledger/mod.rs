//! Where manifests and job records are made durable, with the state that belongs to them.
//!
//! What a ledger owes: a manifest and the state that it brings are durable together, or neither is; of two owners that write the same
//! number one is fenced; and after [`Ledger::load`] the worker's store holds the state of a manifest, whoever made it.
//! `local`: rows of the worker's own store. `remote`: objects that every worker reaches.
//! Left to others: which manifest comes next, and when (`epoch`).

use std::pin::Pin;

use super::manifest::{JobRecord, Manifest};
use crate::{error::Result, source::Pending, state::Delta};

pub mod local;
pub mod remote;

pub use local::LocalLedger;
pub use remote::RemoteLedger;

/// A commit under way; it ends when the manifest is durable. Dropped, it goes no further, but may have happened.
pub type Durable = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// So many older manifests of a partition are kept, for people who look.
pub const KEPT: u64 = 8;

/// The manifests of a job's partitions.
pub trait Ledger: Send + Sync {
    /// The newest manifest of a partition, the truth.
    fn newest<'a>(&'a self, partition: &'a str) -> Pending<'a, Result<Option<Manifest>>>;

    /// The names of all partitions that have manifests.
    fn partitions(&self) -> Pending<'_, Result<Vec<String>>>;

    /// Rule 4: makes this manifest the newest, with these changes of state. Completes it with where its state lies. [`Kind::Fenced`] if
    /// another owner's stands at its number.
    ///
    /// [`Kind::Fenced`]: crate::error::Kind::Fenced
    fn commit<'a>(
        &'a self,
        partition: &'a str,
        manifest: &'a mut Manifest,
        delta: Delta,
    ) -> Pending<'a, Result<Durable>>;

    /// Rule 6, after the claim: afterwards the worker's store holds the state of this manifest.
    fn load<'a>(&'a self, partition: &'a str, manifest: &'a Manifest) -> Pending<'a, Result<()>>;
}

/// The job records of a job, numbered by generation.
pub trait Records: Send + Sync {
    /// The newest job record.
    fn record(&self) -> Pending<'_, Result<Option<JobRecord>>>;

    /// Rule 0: written before any claim of its generation. Gives back the record that stands, which another worker may have written first.
    fn deploy<'a>(&'a self, record: &'a JobRecord) -> Pending<'a, Result<JobRecord>>;
}

/// Every partition with its newest manifest.
pub async fn newest_of_all(ledger: &dyn Ledger) -> Result<Vec<(String, Manifest)>> {
    let mut all = Vec::new();
    for name in ledger.partitions().await? {
        if let Some(manifest) = ledger.newest(&name).await? {
            all.push((name, manifest));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
