//! What stands outside of a worker, as it reaches it: every call goes over a network that loses, delays and repeats nothing by itself but
//! is told to.
//!
//! The rule: a call happens at one moment, whether or not its answer arrives, and whether or not its caller lives.

pub mod keyed;
pub mod network;
pub mod plugins;
pub mod schemas;
pub mod services;
pub mod sinks;
pub mod source;
