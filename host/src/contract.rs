//! The contracts of the edges as suites that every implementation runs: what `source` and `sink` promise, tried out.
//!
//! The rule: a suite says in words which promise is broken and never panics, so that a broken implementation can be a test too.
//! Left to others: how an implementation is set up, and how what it shows is read back ([`SinkRig`]).

use crate::{
    error::Error,
    record::{Sequence, ShardId},
    source::{self, Event, From, Position, Source, Start},
};

mod leases;
mod objects;
mod registries;
mod sinks;

pub use leases::leases;
pub use objects::objects;
pub use registries::{RegistryRig, registry};
pub use sinks::{SinkRig, rows, sink};

/// Which promise is broken, and how.
pub type Broken = String;

/// One record as a reader gave it.
type Seen = ((Sequence, u32), Vec<u8>);

/// What a shard gave from one place to its end.
struct Reading {
    records: Vec<Seen>,
    /// the positions that were offered, each with how many records were seen then
    positions: Vec<(usize, Position)>,
}

/// Every shard is read to its end, then again after each of its records and after each position that was offered: each record
/// comes exactly once, in order. For sources whose shards end.
pub async fn source(source: &dyn Source) -> Result<(), Broken> {
    let shards = source.shards().await.map_err(|failed| format!("shards cannot be listed: {failed}"))?;
    for listed in shards {
        shard(source, &listed.id).await?;
    }
    Ok(())
}

/// The same for one shard, where others do not end.
pub async fn shard(source: &dyn Source, shard: &ShardId) -> Result<(), Broken> {
    let whole = read(source, shard, From::Start(Start::TrimHorizon)).await?;
    if let Some(pair) = whole.records.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(format!("shard {shard}: {:?} comes before {:?}", pair[0].0, pair[1].0));
    }
    for (seen, (record, _)) in whole.records.iter().enumerate() {
        let position = Position { record: Some(*record), continuation: None, as_of_us: i64::MAX };
        resumes(source, shard, position, &whole.records[seen + 1..]).await?;
    }
    for (seen, position) in &whole.positions {
        resumes(source, shard, position.clone(), &whole.records[*seen..]).await?;
    }
    Ok(())
}

async fn resumes(source: &dyn Source, shard: &ShardId, position: Position, rest: &[Seen]) -> Result<(), Broken> {
    let place = format!("shard {shard} after {position:?}");
    let again = read(source, shard, From::After(position)).await?;
    if again.records == rest {
        return Ok(());
    }
    Err(format!("{place}: expected {} records, got {} or others", rest.len(), again.records.len()))
}

async fn read(source: &dyn Source, shard: &ShardId, from: source::From) -> Result<Reading, Broken> {
    let failed = |failed: Error| format!("shard {shard} cannot be read: {failed}");
    let mut reader = source.open(shard, from).await.map_err(failed)?;
    let mut reading = Reading { records: Vec::new(), positions: Vec::new() };
    loop {
        match reader.next().await.map_err(failed)? {
            Event::Records { batch, position, .. } => {
                let records = &batch.records;
                if batch.is_empty() || batch.len() != records.sequence.len() || records.shard != *shard {
                    return Err(format!("shard {shard}: a batch is empty, crooked, or of shard {}", records.shard));
                }
                for row in 0..batch.len() {
                    let record = (records.sequence[row], records.sub_sequence[row]);
                    reading.records.push((record, batch.data.cell(row).to_vec()));
                }
                if position.record != reading.records.last().map(|(record, _)| *record) {
                    return Err(format!("shard {shard}: {position:?} is not that of the last record"));
                }
                reading.positions.push((reading.records.len(), position));
            }
            Event::Progress { position, .. } => reading.positions.push((reading.records.len(), position)),
            Event::Ended { .. } => return Ok(reading),
        }
    }
}
