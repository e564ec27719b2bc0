//! What a job file declares, and its checked form.
//!
//! The rule: **raw, then checked.** [`load`] reads the file into raw settings with their places and does not judge them;
//! [`check`] finds every mistake at once and makes a [`Graph`], in which nothing is left to doubt. Nothing runs on raw settings.
//! Left to others: what plugins and registries say ([`PluginInspector`], [`SchemaLookup`] are asked), and running the graph.

mod check;
mod diagnostic;
mod file;
pub mod graph;

pub use check::{
    check,
    interface::{FieldKind, PluginField, PluginInspector, PluginInterface, PluginOutput, SchemaLookup, World},
    quantity::{duration, size, timestamp_us},
    typing::{aggregate_type, window_columns},
};
pub use diagnostic::{Diagnostic, Report};
pub use file::{File, Secret, Variables, load, parse, reference_schema};
pub use graph::Graph;
