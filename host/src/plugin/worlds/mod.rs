//! What plugins are called for, one file a world.
//!
//! The rule: what comes back either is whole and checked, or nothing happened.
//! Left to others: one call at a time (`instance`), what goes in (`lower`) and comes out (`lift`), which record is at fault (`bisect`).

pub mod aggregator;
pub mod enricher;
mod rounds;
pub mod stateful;
pub mod transformer;

use std::{future::Future, pin::Pin};

use super::{Bisected, Call, Failure, Manifest};
use crate::record::Batch;

/// What runs over batches without state: a plugin of the world `transformer` or `enricher`.
pub trait BatchPlugin {
    /// What it says of itself.
    fn manifest(&self) -> &Manifest;

    /// Calls with a batch, whose fields are exactly those that the manifest wants, in its order; when it fails, finds the records at fault and
    /// processes the others.
    fn process<'a>(
        &'a mut self,
        call: &'a Call,
        batch: &'a Batch,
    ) -> Pin<Box<dyn Future<Output = Result<Bisected, Failure>> + 'a>>;
}
