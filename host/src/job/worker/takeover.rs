//! What another application left in the lease rows before this worker came: shards that it has read to their end, or far.
//!
//! The rules: what a row says counts only where this job has no manifest; a shard whose row was removed counts as read once a child of it
//! has begun, as the Kinesis Client Library removes rows. Nothing is skipped that a manifest says is open: a row that ends there is opened
//! again, and what lies behind the manifest is read once more.
//! Left to others: a row that is further than a manifest of a shard that goes on (`checkpoint::row`).

use super::{
    Worker,
    fleet::Fleet,
    shards::{Id, Shards, name},
};
use crate::{
    checkpoint::{manifest::Manifest, row::behind},
    error::Result,
    lease::{Checkpoint, Lease},
};

impl Worker<'_> {
    /// Looks at the rows before any is made. They are read first, then the manifests of those that have ended: a seal of this job is durable before
    /// its row says so.
    pub(super) async fn take_over(&self, fleet: &Fleet, shards: &mut Shards) -> Result<()> {
        for (source, rows) in fleet.rows().await? {
            for row in rows.iter().filter(|row| row.checkpoint == Checkpoint::ShardEnd) {
                let Some(id) = shards.find(&source, &row.key) else { continue };
                match self.ledger.newest(&name(&id)).await? {
                    Some(manifest) if manifest.sealed.is_some() || manifest.begins_anew => shards.learn(&manifest),
                    Some(manifest) => self.open_again(fleet, &id, row, &manifest).await?,
                    None => match row.epoch {
                        None => shards.ended_elsewhere(&id),
                        Some(_) if self.builder.accept_repeats => fleet.set(&id, row, Checkpoint::TrimHorizon).await?,
                        Some(epoch) => return Err(behind(&name(&id), 0, epoch)),
                    },
                }
            }
            shards.lost_their_rows(&source, &rows);
        }
        Ok(())
    }

    async fn open_again(&self, fleet: &Fleet, id: &Id, row: &Lease, manifest: &Manifest) -> Result<()> {
        tracing::warn!(
            partition = name(id),
            "another application has read this shard to its end; here it goes on from epoch {}, and what came after that is read again",
            manifest.epoch
        );
        fleet.set(id, row, told(manifest)).await
    }
}

/// What the lease row of a shard's partition should say.
pub fn told(manifest: &Manifest) -> Checkpoint {
    let shard = manifest.shards.values().flat_map(|shards| shards.values()).next();
    let done = shard.and_then(|shard| shard.position.as_ref()?.record);
    if manifest.sealed.is_some() {
        Checkpoint::ShardEnd
    } else {
        done.map_or(Checkpoint::TrimHorizon, Checkpoint::from)
    }
}
