//! Pelton: a stream processor for Amazon Kinesis that runs WebAssembly plugins.
//!
//! The map. A record travels down this list; what stands beside the path comes after it.
//!
//! - `source`: where records come from, as raw bytes with an identity
//! - `decode`: bytes become columns
//! - `transform`: a batch goes through an expression or a plugin
//! - `window`: records become groups in event time
//! - `sink`: where results go
//! - `state`: what is remembered per key
//! - `objects`: what every worker of a fleet reaches
//! - `checkpoint`: the commit protocol, what is durable
//! - `lease`: who runs what in a fleet
//! - `plugin`: the WebAssembly boundary
//! - `connector`: what enrichers ask
//! - `job`: the job file, the graph, the running partition
//! - `control`: what a running worker is asked and told
//! - `cli`: what users type

pub mod record;

pub mod source;

pub mod decode;

pub mod transform;

pub mod window;

pub mod sink;

pub mod state;

pub mod objects;

pub mod checkpoint;

pub mod lease;

pub mod plugin;

pub mod connector;

pub mod job;

pub mod control;

pub mod cli;

pub mod aws;
pub mod clock;
pub mod contract;
pub mod error;
pub mod permit;
pub mod planted;
pub mod random;
pub mod task;
