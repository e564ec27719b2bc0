//! Tests of schemas: cases as folders, and Avro for Java as the judge of random pairs.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;
mod hostile;
mod java;
mod judge;
mod properties;
