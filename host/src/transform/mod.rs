//! A batch goes through a step: an expression, a plugin, a window.
//!
//! The rule: a step gives back every record it was given as output rows, rejects, or filtered rows that it counts; what it keeps
//! is state, and state is handed over when an epoch ends. A step never writes anything durable itself.
//! Left to others: the order of steps (`job`), and what is durable (`checkpoint`).

pub mod calling;
pub mod component;
pub mod evidence;
pub mod expression;
pub mod relation;
pub mod stateful;
pub mod tables;
pub mod timers;
pub mod wanted;

use std::{future::Future, pin::Pin, sync::Arc};

use evidence::Evidence;

pub use crate::record::RowReject;
use crate::{
    error::Result,
    record::Batch,
    state::{Delta, HashRange, StateStore},
};

/// A future of a step; steps of a partition share one thread, so it need not be `Send`.
pub type LocalPending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a step gives back.
#[derive(Debug, Default)]
pub struct Outputs {
    /// batches by number of the step's output, in order
    pub batches: Vec<(usize, Batch)>,
    /// rejected rows, with the batch they belong to
    pub rejects: Vec<(Batch, Vec<RowReject>)>,
    /// rows that came too late for every window they belong to
    pub late: u64,
    /// what a plugin was given over which it failed
    pub evidence: Vec<Evidence>,
}

/// One step of a partition.
pub trait Step {
    /// Takes a batch.
    fn process<'a>(&'a mut self, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>>;

    /// Takes a batch by one of several inputs.
    fn receive<'a>(&'a mut self, port: usize, input: Batch, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        debug_assert_eq!(port, 0, "a step with one input");
        self.process(input, out)
    }

    /// The input's watermark has come to `watermark_us`; fires what is due. Returns the step's output watermark.
    fn advance<'a>(&'a mut self, watermark_us: i64, out: &'a mut Outputs) -> LocalPending<'a, Result<i64>> {
        let _ = out;
        Box::pin(async move { Ok(watermark_us) })
    }

    /// A bounded run ends: closes what is open by an extra firing. State and watermarks stay.
    fn close<'a>(&'a mut self, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        let _ = out;
        Box::pin(async { Ok(()) })
    }

    /// When it next has something to do by the clock, milliseconds since 1970.
    fn due_ms(&self) -> Option<i64> {
        None
    }

    /// It is that time.
    fn tick<'a>(&'a mut self, now_ms: i64, out: &'a mut Outputs) -> LocalPending<'a, Result<()>> {
        let _ = (now_ms, out);
        Box::pin(async { Ok(()) })
    }

    /// The epoch ends: adds every row of state that changed in it.
    fn freeze(&mut self, delta: &mut Delta) {
        let _ = delta;
    }

    /// Loads the state that the last commit left in this range of hash keys.
    fn restore(&mut self, store: &Arc<dyn StateStore>, range: HashRange, watermark_us: Option<i64>) -> Result<()> {
        let _ = (store, range, watermark_us);
        Ok(())
    }
}
