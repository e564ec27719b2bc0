//! What a job file declares, its checked form, and the running job.
//!
//! The rule: **raw, then checked.** [`load`] reads the file into raw settings with their places and does not judge them;
//! [`check()`] finds every mistake at once and makes a [`Graph`], in which nothing is left to doubt. Nothing runs on raw settings.
//! Only here all stages are named. `flow` is the order of steps, `partition` the loop of an epoch, `worker` the partitions that run side by
//! side, `live` the figures that people watch, `cost` what they cost, `operate` what an operator does with a job's checkpoints, `swap`
//! a plugin that takes the place of another meanwhile, `measure` what a plugin costs, `testing` the runner of inline tests.
//! Left to others: what plugins and registries say ([`PluginInspector`], [`SchemaLookup`] are asked).

pub mod build;
pub mod capsule;
mod check;
pub mod cost;
mod diagnostic;
mod file;
pub mod flow;
pub mod graph;
pub mod inspect;
mod interface;
pub mod live;
pub mod measure;
pub mod operate;
pub mod partition;
pub mod plan;
pub mod replay;
pub mod run;
pub mod swap;
pub mod testing;
pub mod worker;

pub use check::{
    UNKNOWN_SUBJECT, check,
    quantity::{duration, size, timestamp_us},
    registry,
};
pub use diagnostic::{Diagnostic, Report};
pub use file::{File, Secret, Variables, load, parse, reference_schema};
pub use graph::Graph;
pub use interface::{
    FieldKind, PluginField, PluginInput, PluginInspector, PluginInterface, PluginOutput, SchemaLookup, World,
};
