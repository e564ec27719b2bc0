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
//! - `checkpoint`: the commit protocol, what is durable
//! - `lease`: who should run what
//! - `plugin`: the WebAssembly boundary
//! - `job`: the job file, the graph, the running partition
//! - `cli`: what users type

pub mod record;

pub mod source;

pub mod decode;

pub mod transform;

pub mod window;

pub mod sink;

pub mod state;

pub mod checkpoint;

pub mod lease;

pub mod plugin;

pub mod job;

pub mod cli;

pub mod aws;
pub mod clock;
pub mod contract;
pub mod error;
pub mod random;
pub mod task;
