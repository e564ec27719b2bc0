//! The emulator over real sockets, one module per subject.
#![allow(clippy::unwrap_used, reason = "tests")]

mod client;
mod dynamodb;
mod glue;
mod judges;
mod registry;
mod wire;
