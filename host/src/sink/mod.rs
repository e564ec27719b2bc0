//! Where results go.
//!
//! What a sink owes: order per key; bounded memory, so that back-pressure reaches the shards; a repeat of exactly the entries
//! that failed; and its promise. A sink with tokens makes results durable at [`Sink::prepare`] without showing them, and shows
//! them at [`Sink::commit`], which is idempotent. A sink without tokens has delivered everything when `prepare` returns.
//! Left to others: when an epoch ends, and when a token may be committed (`checkpoint`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    permit::Permit,
    record::{Batch, RowReject},
    source::Pending,
};

pub mod avro;
pub mod delivery;
pub mod file;
pub mod firehose;
pub mod id;
pub mod json_lines;
pub mod kinesis;
pub mod memory;
pub mod stdout;

/// What a sink guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// each result is there once, whatever crashed
    ExactlyOnce,
    /// each result is there, perhaps more than once, with the same id each time
    AtLeastOnce,
    /// for development
    BestEffort,
}

/// A promise of staged results; it stays in the manifest until it is committed. The bytes are the sink's own (JSON, bounded by 64 KiB).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// the sink's name in the job
    pub sink: String,
    /// the epoch it belongs to
    pub epoch: u64,
    /// the generation that made it
    pub generation: u64,
    /// what the sink needs to commit it again after a crash
    pub staged: serde_json::Value,
}

/// What a sink hands over when an epoch ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// staged results, if any are to be shown
    pub token: Option<Token>,
    /// rows that the sink holds back (a file not yet full): state of the partition, given back at `recover`
    pub held: Vec<u8>,
}

/// Who writes: goes with every record that leaves.
#[derive(Clone, Debug)]
pub struct Writer {
    /// the job's name
    pub job: Arc<str>,
    /// the partition's name
    pub partition: Arc<str>,
    /// number of the deployed version of the job
    pub generation: u64,
    /// the fence of the owner
    pub fence: u64,
    /// asked before anything is sent that cannot be taken back
    pub permit: Permit,
    /// the partition was set back, if it ever was
    pub set_back: Option<SetBack>,
}

/// Rule 7 of `checkpoint`: a partition was set back to a savepoint. Epochs go on above every number that was ever used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetBack {
    /// how often
    pub times: u64,
    /// tells this time from every other
    pub nonce: u64,
    /// the savepoint's epoch
    pub to: u64,
    /// the highest epoch before: what was staged in the epochs between is of no worth, and what was shown of them comes again
    pub from: u64,
}

/// A destination, owned by one partition.
pub trait Sink: Send {
    /// What it guarantees.
    fn promise(&self) -> Promise;

    /// Called once after the claim and before anything else: the tokens of the manifest were committed by `commit`; what was staged beyond
    /// `epoch` is aborted; `held` is what the last committed `prepare` gave.
    fn recover(&mut self, writer: Writer, epoch: u64, held: &[u8]) -> Pending<'_, Result<()>>;

    /// Takes results. Returns when they are taken, which may wait for the outside. Gives back the rows that this destination can never
    /// take, whatever is tried (one row too large for it): they become dead letters, and all others are taken.
    fn write<'a>(&'a mut self, batch: &'a Batch) -> Pending<'a, Result<Vec<RowReject>>>;

    /// The epoch ends: everything written is delivered, or staged durably under the token.
    fn prepare(&mut self, epoch: u64) -> Pending<'_, Result<Prepared>>;

    /// The next [`Sink::prepare`] is the last one (a bounded run ends, a shard is sealed): it may hold nothing back.
    fn close(&mut self) {}

    /// After the [`Sink::prepare`] that [`Sink::close`] announced, instead of an end: what is written from now on is of this generation.
    fn go_on(&mut self, _generation: u64) {}

    /// Shows what a token promised. Idempotent; called only after the manifest that holds the token is durable, again after a crash.
    fn commit<'a>(&'a mut self, token: &'a Token) -> Pending<'a, Result<()>>;
}
