//! Results in memory, for tests and simulation.
//!
//! What it owes: the promises of [`Sink`] with tokens, as a store outside the process would keep them: a [`Shown`] outlives
//! the sinks that write to it, which is how a test crashes one.
//! Left to others: nothing is durable here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::{Error, Kind, Result},
    record::{Batch, RowReject},
    sink::{
        Prepared, Promise, Sink, Token, Writer,
        id::{Id, Ids},
        json_lines,
    },
    source::Pending,
};

/// A result: its id, and the row as a JSON object.
pub type Row = (Id, Vec<u8>);

/// What sinks of this destination have staged and shown. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Destination>>);

#[derive(Debug, Default)]
struct Destination {
    shown: Vec<Row>,
    partitions: BTreeMap<String, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    staged: BTreeMap<u64, Vec<Row>>,
    committed: u64,
}

impl Shown {
    /// Everything that was committed, in the order of the commits.
    pub fn rows(&self) -> Vec<Row> {
        self.lock().shown.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Destination> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to a [`Shown`].
pub struct MemorySink {
    name: String,
    to: Shown,
    writer: Option<(Writer, Ids)>,
    open: Vec<Row>,
}

impl MemorySink {
    /// The sink of this name in the job.
    pub fn new(name: impl Into<String>, to: Shown) -> Self {
        Self { name: name.into(), to, writer: None, open: Vec::new() }
    }

    fn recovered(&self) -> Result<&(Writer, Ids)> {
        let message = || format!("sink `{}` is written to before it has recovered", self.name);
        self.writer.as_ref().ok_or_else(|| Error::new(Kind::Internal, message()))
    }

    fn take(&mut self, batch: &Batch) -> Result<Vec<RowReject>> {
        let ids = self.recovered()?.1.of(batch);
        let (rows, rejects) = json_lines::rows(batch)?;
        let whole = ids.into_iter().zip(rows.iter().map(<[u8]>::to_vec)).filter(|(_, row)| !row.is_empty());
        self.open.extend(whole);
        Ok(rejects)
    }

    fn stage(&mut self, epoch: u64) -> Result<Prepared> {
        let (writer, _) = self.recovered()?;
        let (partition, generation) = (writer.partition.to_string(), writer.generation);
        if self.open.is_empty() {
            return Ok(Prepared::default());
        }
        let rows = std::mem::take(&mut self.open);
        self.to.lock().partitions.entry(partition.clone()).or_default().staged.insert(epoch, rows);
        let token = Token { sink: self.name.clone(), epoch, generation, staged: partition.into() };
        Ok(Prepared { token: Some(token), held: Vec::new() })
    }

    fn show(&self, token: &Token) -> Result<()> {
        let mut to = self.to.lock();
        let to = &mut *to;
        let partition = to.partitions.entry(token.staged.as_str().unwrap_or_default().to_owned()).or_default();
        match partition.staged.remove(&token.epoch) {
            Some(rows) => to.shown.extend(rows),
            None if token.epoch <= partition.committed => {}
            None => {
                let message = format!("sink `{}` has nothing staged for epoch {}", self.name, token.epoch);
                return Err(Error::new(Kind::State, message));
            }
        }
        partition.committed = partition.committed.max(token.epoch);
        Ok(())
    }
}

impl Sink for MemorySink {
    fn promise(&self) -> Promise {
        Promise::ExactlyOnce
    }

    fn recover(&mut self, writer: Writer, epoch: u64, _held: &[u8]) -> Pending<'_, Result<()>> {
        if let Some(partition) = self.to.lock().partitions.get_mut(&*writer.partition) {
            partition.staged.retain(|staged, _| *staged <= epoch);
        }
        self.open.clear();
        let ids = Ids::new(&writer.job, &self.name);
        self.writer = Some((writer, ids));
        Box::pin(std::future::ready(Ok(())))
    }

    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>> {
        Box::pin(std::future::ready(self.take(batch)))
    }

    fn prepare(&mut self, epoch: u64) -> Pending<'_, Result<Prepared>> {
        Box::pin(std::future::ready(self.stage(epoch)))
    }

    fn go_on(&mut self, generation: u64) {
        if let Some((writer, _)) = &mut self.writer {
            writer.generation = generation;
        }
    }

    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>> {
        Box::pin(std::future::ready(self.show(token)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::contract::{self, SinkRig};

    struct Rig(Shown);

    impl SinkRig for Rig {
        fn reset(&mut self) -> Pending<'_, Result<()>> {
            self.0 = Shown::default();
            Box::pin(std::future::ready(Ok(())))
        }

        fn open(&mut self) -> Pending<'_, Result<Box<dyn Sink>>> {
            let sink = Box::new(MemorySink::new("out", self.0.clone())) as Box<dyn Sink>;
            Box::pin(std::future::ready(Ok(sink)))
        }

        fn shown(&mut self) -> Pending<'_, Result<Vec<serde_json::Value>>> {
            let rows = self.0.rows().into_iter().map(|(_, row)| serde_json::from_slice(&row).unwrap()).collect();
            Box::pin(std::future::ready(Ok(rows)))
        }
    }

    #[tokio::test]
    async fn keeps_the_contract_of_sinks() {
        assert_eq!(contract::sink(&mut Rig(Shown::default())).await, Ok(()));
    }
}
