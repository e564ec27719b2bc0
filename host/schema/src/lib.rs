//! Avro schemas: what they say, what reads what, under which mode a subject may grow, and what a change means.
//!
//! The rule: **nothing here does I/O, and nothing here trusts a schema.** Texts are bounded, names are resolved once, depth is counted;
//! every answer names the place in the schema, both sides and what would mend it. The processor, the registry server and the commands
//! for people share it, so that they cannot disagree.
//! `types` is the model, `parse` makes it, `default` turns defaults into bytes, `compat` says what reads what, `mode` what a registry lets in,
//! `project` cuts a schema down to what somebody reads, `diff` and `evolve` are for people, `sample` makes values, `canonical` fingerprints.
//! Left to others: where schemas come from (`decode::registry` of the host), and decoding records.

pub mod canonical;
pub mod compat;
pub mod default;
pub mod diff;
pub mod evolve;
pub mod mode;
mod parse;
pub mod project;
#[cfg(feature = "random")]
pub mod random;
pub mod sample;
pub mod types;

pub use compat::{Mismatch, Rule, mismatches};
pub use mode::{Direction, Mode, Verdict, Violation};
pub use types::{AvroSchema, Defect, SchemaError};
