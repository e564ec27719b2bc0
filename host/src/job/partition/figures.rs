//! What a partition shows of itself: how far it is after each event, and everything else after each epoch.
//!
//! The rule: a figure is taken from what the partition does anyway; nothing waits for it, and nothing is decided by it.

use std::collections::BTreeMap;

use super::{Partition, intake::Lane};
use crate::{
    job::live::{Phases, ShardNow},
    record::ShardId,
};

/// The epoch whose parts are being timed.
#[derive(Debug, Default)]
pub struct Timing {
    /// what is known of it
    pub took: Phases,
    /// when its manifest was handed over to be made durable, by the partition's clock
    pub handed_over: std::time::Duration,
}

impl Partition {
    /// After each event.
    pub(super) fn show(&self) {
        self.tell();
        let (epoch, behind_ms) = (self.epochs.manifest().epoch, self.intake.behind_ms(self.clock.wall_us()));
        let uncommitted = self.epochs.unpublished().len() as u64;
        self.live.update(&self.settings.name, |now| {
            now.epoch = epoch;
            now.behind_ms = behind_ms;
            now.uncommitted = uncommitted;
        });
    }

    /// After each epoch, and when one was not worth a manifest.
    pub(super) fn show_epoch(&self) {
        self.show();
        let manifest = self.epochs.manifest();
        let blocks = (!manifest.state.is_empty()).then_some(&manifest.state);
        let state_bytes = blocks.map(|blocks| blocks.iter().map(|block| block.bytes).sum());
        let shards: BTreeMap<String, ShardNow> =
            self.intake.lanes.iter().map(|((_, shard), lane)| self.of_shard(shard, lane)).collect();
        self.live.update(&self.settings.name, |now| {
            now.fence = manifest.fence;
            now.generation = manifest.generation;
            now.state_bytes = state_bytes;
            now.took = self.timing.took;
            now.shards = shards;
        });
    }

    fn of_shard(&self, shard: &ShardId, lane: &Lane) -> (String, ShardNow) {
        let input = &self.intake.inputs[lane.input];
        let durable = self.epochs.manifest().shards.get(&input.name).and_then(|shards| shards.get(shard));
        let done = durable.and_then(|progress| progress.position.as_ref()?.record);
        let position = done.map(|(sequence, sub)| match sub {
            0 => sequence.to_string(),
            sub => format!("{sequence}.{sub}"),
        });
        let state = match lane {
            Lane { waits_since_us: Some(_), .. } => "waits_for_schema",
            Lane { open: true, .. } => "reads",
            Lane { progress, .. } if progress.ended => "ended",
            Lane { .. } => "waits",
        };
        let name = format!("{}/{shard}", input.name);
        (
            name,
            ShardNow {
                mode: input.source.mode().to_owned(),
                state: state.to_owned(),
                position,
                behind_ms: lane.lag_ms(self.clock.wall_us()),
            },
        )
    }
}
