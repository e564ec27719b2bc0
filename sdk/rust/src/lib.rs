//! Write Pelton plugins in Rust: a struct for the fields you want, a struct for what you make of them, and a function between the two.
//!
//! Records cross the WebAssembly boundary as columns; this crate hides that. Nothing is parsed and nothing is copied on the way in.
//! What runs around a plugin (windows, state, retries, dead letters) is the host's. Start with `README.md` beside this crate.
//!
//! ```
//! use pelton_sdk::prelude::*;
//!
//! /// What is read: these columns, and no others, are decoded.
//! #[derive(Fields)]
//! struct Click<'a> {
//!     ad: &'a str,
//!     amount: Option<f64>,
//! }
//!
//! #[derive(Output)]
//! struct Sale<'a> {
//!     ad: &'a str,
//!     cents: i64,
//! }
//!
//! #[config]
//! struct Settings {
//!     /// Sales below this are dropped.
//!     least: f64,
//! }
//!
//! struct Sales(Settings);
//!
//! impl Transformer for Sales {
//!     type Config = Settings;
//!     type Input<'a> = Click<'a>;
//!     type Output<'a> = Sale<'a>;
//!     const NAME: &'static str = "sales";
//!
//!     fn new(config: Settings) -> Result<Self, String> {
//!         Ok(Self(config))
//!     }
//!
//!     fn process<'a>(&mut self, clicks: Rows<'a, Click<'a>>, out: &mut Out<Sale<'a>>) -> Result<(), Failure> {
//!         for click in clicks {
//!             match click.amount {
//!                 Some(amount) if amount >= self.0.least => {
//!                     out.emit(&click, Sale { ad: click.ad, cents: (amount * 100.0).round() as i64 });
//!                 }
//!                 Some(amount) if amount < 0.0 => out.reject(&click, "negative_amount", format!("amount is {amount}")),
//!                 _ => {}
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//!
//! pelton_sdk::transformer!(Sales);
//!
//! let outcome = pelton_sdk::testing::transformer::<Sales>(r#"{ "least": 1 }"#, r#"{ "ad": "a", "amount": 2.5 }"#);
//! assert_eq!(outcome.unwrap(), [r#"{"ad":"a","cents":250}"#]);
//! ```

// Derived code and generated bindings name this crate as its users do.
extern crate self as pelton_sdk;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The path of a batch: read, built, given back.
pub mod batch;
pub mod cell;
pub mod rows;

pub mod out;
pub mod value;

// What a plugin is.
pub mod aggregate;
pub mod transform;
pub mod worlds;

pub mod accumulator;
pub mod config;
pub mod state;

// What a plugin may call.
pub mod log;
pub mod metrics;

// The boundary.
pub mod bindings;
pub mod export;

#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use pelton_sdk_macros::{Accumulator, Fields, Output, Stored, Tables, config};
#[doc(hidden)]
pub use serde;
#[doc(hidden)]
pub use serde_json;
#[doc(hidden)]
pub use wit_bindgen;

/// What an author needs.
pub mod prelude {
    pub use crate::accumulator::Accumulator;
    pub use crate::aggregate::{Aggregator, Firing, Window};
    pub use crate::bindings::types::Failure;
    pub use crate::cell::{Date, Decimal, Json, Timestamp};
    pub use crate::out::{Nothing, Out, Output, Reject};
    pub use crate::rows::{ArrivalTime, EventTime, Fields, PartitionKey, Payload, Position, Row, Rows};
    pub use crate::state::key::{Key, KeyBytes};
    pub use crate::state::table::{Map, Table, Tables};
    pub use crate::state::timers::{TimeDomain, Timer, Timers};
    pub use crate::transform::Transformer;
    pub use crate::worlds::enrich::{Answer, Answers, Ask, Enricher, Outcome, Request, segment};
    pub use crate::worlds::keyed::{KeyState, KeyedTransformer, States};
    pub use crate::worlds::stateful::{Keyed, Keys, StatefulTransformer};
    pub use crate::{Accumulator, Fields, Output, Stored, Tables, config, log, metrics};
}
