//! The job: the graph in running form, and the partition that runs it.
//!
//! Only here all stages are named. `flow` is the order of steps, `intake` the shards that are read, `partition` the loop of an epoch,
//! `letters` the form of a dead letter, `live` the figures that people watch.

pub mod flow;
pub mod intake;
pub mod letters;
pub mod live;
pub mod partition;
