//! One writer for all partitions of a worker: it writes and syncs once per round, whatever came in meanwhile.
//!
//! Keeps the order of rule 4: what is asked first is written first, and after a failed write nothing more is written.
//! A round is synced if one of its changes asks for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::kill;
use crate::{
    error::{Error, Kind, Result},
    state::{Delta, Flush, StateStore},
    task::{self, Task},
};

struct Request {
    delta: Delta,
    flush: Flush,
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

/// Takes changes. The writer ends when every clone is dropped.
#[derive(Clone)]
pub struct Committer {
    requests: mpsc::Sender<Request>,
    written: Arc<Written>,
}

impl Committer {
    /// A writer with a thread of its own. Whoever ends the process joins it first, so that the store is closed while the process is whole.
    pub fn start(store: Arc<dyn StateStore>) -> Result<(Self, JoinHandle<()>)> {
        let (committer, work) = Self::new();
        let figures = committer.written();
        let thread = task::thread("committer", move || futures::executor::block_on(run(&*store, work, &figures)))
            .map_err(|e| Error::new(Kind::Internal, format!("cannot start the committer's thread: {e}")))?;
        Ok((committer, thread))
    }

    /// A writer without a thread, for a store that does not block.
    pub fn beside(store: Arc<dyn StateStore>, runtime: &Handle) -> (Self, Task<()>) {
        let (committer, work) = Self::new();
        let figures = committer.written();
        (committer, task::spawn(runtime, async move { run(&*store, work, &figures).await }))
    }

    fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, work) = mpsc::channel(256);
        (Self { requests, written: Arc::default() }, work)
    }

    /// What was made durable so far.
    pub fn written(&self) -> Arc<Written> {
        self.written.clone()
    }

    /// Asks for changes to be written, in the order of the calls. The answer comes when they are.
    pub async fn write(&self, delta: Delta, flush: Flush) -> Result<oneshot::Receiver<Result<()>>> {
        let (done, written) = oneshot::channel();
        self.requests.send(Request { delta, flush, done }).await.map_err(|_| gone())?;
        Ok(written)
    }
}

/// The committer has stopped.
pub fn gone() -> Error {
    Error::new(Kind::Internal, "the committer has stopped; the job goes back to the last commit")
}

async fn run(store: &dyn StateStore, mut work: mpsc::Receiver<Request>, figures: &Written) {
    while let Some(first) = work.recv().await {
        let mut round = vec![first];
        while let Ok(next) = work.try_recv() {
            round.push(next);
        }
        let flush = round.iter().map(|request| request.flush).max().unwrap_or(Flush::Now);
        let (deltas, waiting): (Vec<_>, Vec<_>) =
            round.into_iter().map(|request| (request.delta, request.done)).unzip();
        kill::point("before-commit");
        let bytes: usize = deltas.iter().map(Delta::bytes).sum();
        let written = store.write(&deltas, flush);
        figures.syncs.fetch_add(u64::from(flush == Flush::Now), Relaxed);
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
