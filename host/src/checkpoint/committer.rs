//! One thread writes and syncs for all partitions of a worker: once per round, whatever came in meanwhile.
//!
//! Keeps the order of rule 4: a partition's commits are written in the order they were asked, and after a failed write nothing
//! more is written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use tokio::sync::{mpsc, oneshot};

use super::kill;
use crate::{
    error::{Error, Kind, Result},
    state::{Delta, StateStore},
    task,
};

struct Request {
    delta: Delta,
    done: oneshot::Sender<Result<()>>,
}

/// What was made durable since the start: figures, no decision rests on them.
#[derive(Debug, Default)]
pub struct Written {
    /// synced writes
    pub syncs: AtomicU64,
    /// bytes of rows, keys and values
    pub bytes: AtomicU64,
}

/// Takes commits. The thread ends when every clone is dropped.
#[derive(Clone)]
pub struct Committer {
    requests: mpsc::Sender<Request>,
    written: Arc<Written>,
}

/// A commit that is being made durable.
pub type Durable = oneshot::Receiver<Result<()>>;

impl Committer {
    /// Starts the thread. Whoever ends the process joins it first, so that the store is closed while the process is whole.
    pub fn start(store: Arc<dyn StateStore>) -> Result<(Self, JoinHandle<()>)> {
        let (requests, work) = mpsc::channel(256);
        let written = Arc::new(Written::default());
        let figures = written.clone();
        let thread = task::thread("committer", move || run(&*store, work, &figures))
            .map_err(|e| Error::new(Kind::Internal, format!("cannot start the committer's thread: {e}")))?;
        Ok((Self { requests, written }, thread))
    }

    /// What was made durable so far.
    pub fn written(&self) -> Arc<Written> {
        self.written.clone()
    }

    /// Rule 4: asks for state and manifest to be made durable as one.
    pub async fn commit(&self, delta: Delta) -> Result<Durable> {
        let (done, durable) = oneshot::channel();
        self.requests.send(Request { delta, done }).await.map_err(|_| gone())?;
        Ok(durable)
    }
}

/// The committer has stopped.
pub fn gone() -> Error {
    Error::new(Kind::Internal, "the committer has stopped; the job goes back to the last commit")
}

fn run(store: &dyn StateStore, mut work: mpsc::Receiver<Request>, figures: &Written) {
    while let Some(first) = work.blocking_recv() {
        let mut round = vec![first];
        while let Ok(next) = work.try_recv() {
            round.push(next);
        }
        let (deltas, waiting): (Vec<_>, Vec<_>) =
            round.into_iter().map(|request| (request.delta, request.done)).unzip();
        kill::point("before-commit");
        let bytes: usize = deltas.iter().map(Delta::bytes).sum();
        let written = store.write(&deltas);
        figures.syncs.fetch_add(1, Relaxed);
        figures.bytes.fetch_add(bytes as u64, Relaxed);
        kill::point("after-commit");
        for done in waiting {
            // Whoever asked may be gone; what is durable is durable all the same.
            let _ = done.send(written.clone());
        }
        if written.is_err() {
            return;
        }
    }
}
