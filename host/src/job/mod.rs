//! What a job file declares, its checked form, and the running job.
//!
//! The rule: **raw, then checked.** [`load`] reads the file into raw settings with their places and does not judge them;
//! [`check()`] finds every mistake at once and makes a [`Graph`], in which nothing is left to doubt. Nothing runs on raw settings.
//! Only here all stages are named. `flow` is the order of steps, `intake` the shards that are read, `partition` the loop of an epoch,
//! `worker` the partitions that run side by side, `locality` and `timing` what every record is checked and given before steps see it,
//! `letters` the form of a dead letter, `live` the figures that people watch, `testing` the runner of inline
//! tests.
//! Left to others: what plugins and registries say ([`PluginInspector`], [`SchemaLookup`] are asked).

mod aside;
mod begin;
pub mod build;
mod check;
mod diagnostic;
mod file;
pub mod flow;
pub mod graph;
pub mod inspect;
pub mod intake;
pub mod letters;
pub mod live;
pub mod locality;
pub mod metrics;
pub mod partition;
#[cfg(test)]
mod rules;
pub mod run;
pub mod testing;
pub mod timing;
pub mod worker;

pub use check::{
    check,
    interface::{FieldKind, PluginField, PluginInspector, PluginInterface, PluginOutput, SchemaLookup, World},
    quantity::{duration, size, timestamp_us},
};
pub use diagnostic::{Diagnostic, Report};
pub use file::{File, Secret, Variables, load, parse, reference_schema};
pub use graph::Graph;
