//! What another application left in the lease rows before this worker came: shards that it has read to their end, or far.
//!
//! The rules: a shard that was read to its end, and never here, is not read here; one whose row was removed counts as read once a child of it
//! has begun, as the Kinesis Client Library removes rows. Where there are manifests of it, its row is set to the end of the shard: so its
//! partition runs again and is sealed, and has to know what to do with a row that is further than its manifest.
//! Left to others: what that is (`checkpoint::row`).

use super::{
    Worker,
    fleet::Fleet,
    shards::{Id, Shards, name},
};
use crate::{
    checkpoint::{manifest::Manifest, row::behind},
    error::Result,
    lease::Checkpoint,
};

impl Worker<'_> {
    /// Looks at the rows before any is made. They are read first, then the manifests of those that seem to have ended: a seal of this job is
    /// durable before its row says so or goes, whatever this worker slept through meanwhile.
    pub(super) async fn take_over(&self, fleet: &Fleet, shards: &mut Shards) -> Result<()> {
        for (source, rows) in fleet.rows().await? {
            for row in rows.iter().filter(|row| row.checkpoint == Checkpoint::ShardEnd) {
                let Some(id) = shards.find(&source, &row.key) else { continue };
                match self.ledger.newest(&name(&id)).await? {
                    Some(manifest) if manifest.sealed.is_some() || manifest.begins_anew => shards.learn(&manifest),
                    // the end is our own, and the store was set back since: nobody else has read what it lacks
                    Some(manifest) if row.epoch > Some(manifest.epoch) => fleet.set(&id, row, told(&manifest)).await?,
                    Some(manifest) => {
                        let end = self.end(&id, &manifest).await?;
                        fleet.set(&id, row, end).await?;
                    }
                    None => match row.epoch {
                        None => shards.ended_elsewhere(&id),
                        Some(_) if self.builder.accept_repeats => fleet.set(&id, row, Checkpoint::TrimHorizon).await?,
                        Some(epoch) => return Err(behind(&name(&id), 0, epoch)),
                    },
                }
            }
            while let Some(id) = shards.lost_its_row(&source, &rows) {
                match self.ledger.newest(&name(&id)).await? {
                    Some(manifest) => {
                        shards.learn(&manifest);
                        shards.begun(&id);
                    }
                    None => shards.ended_elsewhere(&id),
                }
            }
            for (id, shard) in shards.ended_without_a_row(&source, &rows) {
                match self.ledger.newest(&name(&id)).await? {
                    Some(manifest) if manifest.sealed.is_none() => {
                        let end = self.end(&id, &manifest).await?;
                        fleet.make(&id, &shard, end, &self.deployer.now().record).await?;
                    }
                    sealed => sealed.iter().for_each(|manifest| shards.learn(manifest)),
                }
            }
        }
        Ok(())
    }

    /// The end of a shard that another application has read, and that is open here. Where the source knows it no more, nothing may be left out.
    async fn end(&self, id: &Id, manifest: &Manifest) -> Result<Checkpoint> {
        let (partition, epoch) = (name(id), manifest.epoch);
        let source = self.sources.iter().find(|source| source.name == id.0);
        let end = match source {
            Some(source) => source.source.end(&id.1).await?,
            None => None,
        };
        Ok(match end {
            Some(sequence) => {
                tracing::warn!(
                    partition,
                    "another application has read this shard to its end, here it is open since epoch {epoch}"
                );
                Checkpoint::At { sequence, sub_sequence: 0 }
            }
            None => {
                tracing::warn!(
                    partition,
                    "another application has read this shard to its end; here it goes on from epoch {epoch}, and what came after that is read again"
                );
                told(manifest)
            }
        })
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
