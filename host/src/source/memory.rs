//! Records from a list in memory, for tests, benchmarks and simulation.
//!
//! What it owes: the promises of [`Source`] without a queue, because nothing is read ahead.
//! Left to others: making the records.

use std::sync::Arc;

use crate::{
    error::{Error, Kind, Result},
    record::{RawBatch, Sequence, ShardId},
    source::{Event, From, Pending, Position, Reader, Shard, Source, Start, resume},
};

/// Scripted batches per shard. Every shard ends after its last batch; its children are the shards that name it as a parent.
pub struct MemorySource {
    stream: Arc<str>,
    shards: Vec<(Shard, Arc<[RawBatch]>)>,
}

impl MemorySource {
    /// Shards with their batches, in the order of the log.
    pub fn new(stream: impl Into<Arc<str>>, shards: Vec<(Shard, Vec<RawBatch>)>) -> Self {
        let shards = shards.into_iter().map(|(shard, batches)| (shard, batches.into())).collect();
        Self { stream: stream.into(), shards }
    }
}

impl Source for MemorySource {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn shards(&self) -> Pending<'_, Result<Vec<Shard>>> {
        let listed = self.shards.iter().map(|(shard, _)| shard.clone()).collect();
        Box::pin(std::future::ready(Ok(listed)))
    }

    fn open<'a>(&'a self, shard: &'a ShardId, from: From) -> Pending<'a, Result<Box<dyn Reader>>> {
        let unknown = || Error::new(Kind::Internal, format!("stream `{}` has no shard `{shard}`", self.stream));
        let opened =
            self.shards.iter().find(|(known, _)| known.id == *shard).ok_or_else(unknown).map(|(_, batches)| {
                let children = self.shards.iter().filter(|(other, _)| other.parents.contains(shard));
                Box::new(MemoryReader {
                    shard: shard.clone(),
                    batches: batches.clone(),
                    next: first(&from, batches),
                    from,
                    children: Some(children.map(|(child, _)| child.clone()).collect()),
                }) as Box<dyn Reader>
            });
        Box::pin(std::future::ready(opened))
    }
}

struct MemoryReader {
    shard: ShardId,
    batches: Arc<[RawBatch]>,
    next: usize,
    from: From,
    children: Option<Vec<Shard>>,
}

/// The batch to begin with: one by one would be slow where a benchmark resumes.
fn first(from: &From, batches: &[RawBatch]) -> usize {
    match from {
        From::Start(Start::Latest) => batches.len(),
        From::After(Position { record: Some(done), .. }) => {
            batches.partition_point(|batch| resume::last(batch).is_none_or(|last| last <= *done))
        }
        From::Start(_) | From::After(_) => 0,
    }
}

impl MemoryReader {
    fn event(&mut self) -> Result<Event> {
        let done: Option<(Sequence, u32)> = match &self.from {
            From::After(position) => position.record,
            From::Start(_) => None,
        };
        while let Some(batch) = self.batches.get(self.next) {
            self.next += 1;
            let behind_ms = (self.next == self.batches.len()).then_some(0);
            if let Some(batch) = resume::after(batch, done).and_then(|batch| since(&self.from, batch)) {
                let as_of_us = batch.records.arrival_us.last().copied().unwrap_or(0);
                let position = Position { record: resume::last(&batch), continuation: None, as_of_us };
                return Ok(Event::Records { batch, position, behind_ms });
            }
        }
        let past_end = || Error::new(Kind::Internal, format!("shard `{}` was read past its end", self.shard));
        self.children.take().map(|children| Event::Ended { children }).ok_or_else(past_end)
    }
}

/// `at` leaves out what arrived earlier.
fn since(from: &From, batch: RawBatch) -> Option<RawBatch> {
    let From::Start(Start::At(at)) = from else { return Some(batch) };
    let first = batch.records.arrival_us.iter().position(|arrival| arrival >= at)?;
    match first.checked_sub(1) {
        None => Some(batch),
        Some(before) => {
            let done = (batch.records.sequence[before], batch.records.sub_sequence[before]);
            resume::after(&batch, Some(done))
        }
    }
}

impl Reader for MemoryReader {
    fn next(&mut self) -> Pending<'_, Result<Event>> {
        Box::pin(std::future::ready(self.event()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        contract,
        record::{Cells, Records},
    };

    fn batch(shard: &str, numbers: std::ops::Range<u64>) -> RawBatch {
        let data: Vec<String> = numbers.clone().map(|number| number.to_string()).collect();
        let cells: Cells = data.iter().map(String::as_bytes).collect();
        RawBatch {
            records: Arc::new(Records {
                stream: "s".into(),
                shard: ShardId::new(shard),
                sequence: numbers.clone().map(Sequence::from_u64).collect(),
                sub_sequence: vec![0; data.len()],
                partition_key: cells.clone(),
                arrival_us: numbers.map(|number| number as i64).collect(),
            }),
            data: cells,
        }
    }

    fn shard(id: &str, parents: &[&str]) -> Shard {
        let parents = parents.iter().map(ShardId::new).collect();
        Shard { id: ShardId::new(id), parents, hash_range: (0, u128::MAX) }
    }

    fn source() -> MemorySource {
        let parent = (shard("a", &[]), vec![batch("a", 1..4), batch("a", 4..5), batch("a", 5..9)]);
        MemorySource::new(
            "s",
            vec![parent, (shard("b", &["a"]), vec![batch("b", 20..22)]), (shard("c", &["a"]), vec![])],
        )
    }

    #[tokio::test]
    async fn keeps_the_contract_of_sources() {
        assert_eq!(contract::source(&source()).await, Ok(()));
    }

    #[tokio::test]
    async fn a_shard_ends_with_its_children() {
        let mut reader = source().open(&ShardId::new("a"), From::Start(Start::Latest)).await.unwrap();
        let Event::Ended { children } = reader.next().await.unwrap() else { panic!("not ended") };
        assert_eq!(children, [shard("b", &["a"]), shard("c", &["a"])]);
        assert!(reader.next().await.is_err());
    }

    #[tokio::test]
    async fn at_begins_with_the_first_record_that_arrived_then() {
        let mut reader = source().open(&ShardId::new("a"), From::Start(Start::At(6))).await.unwrap();
        let Event::Records { batch, .. } = reader.next().await.unwrap() else { panic!("no records") };
        assert_eq!(batch.data.cell(0), b"6");
    }
}
