//! `pelton plugin`: looks at a component before it is deployed, and measures it.
//!
//! Left to others: building one (`build`), the worlds and limits themselves (`crate::plugin`).

use clap::{Args, Subcommand};

use crate::error::Result;

mod bench;
mod inspect;

/// Look at a plugin.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say what a plugin is: world, inputs, outputs, state, what it may do, its size and digest, its limits
    Inspect(inspect::Arguments),
    /// Measure a plugin: nanoseconds a record by size of batch, beside a step of the host's own; memory, compiling, starting
    Bench(bench::Arguments),
}

/// Runs the command.
pub fn plugin(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::Inspect(arguments) => inspect::inspect(arguments),
        What::Bench(arguments) => bench::bench(arguments),
    }
}
