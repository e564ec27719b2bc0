//! Tests of the host from outside: one binary, so that the host is linked once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod chaos;
mod check_cases;
mod cli;
mod conformance;
mod fleet;
mod fleet_example;
mod flights;
mod frozen;
mod guide;
mod inference_example;
mod kcl;
mod kinesis_sinks;
mod kinesis_source;
mod leases;
mod objects;
mod plugin;
mod plugin_examples;
mod plugin_spec;
mod savepoint;
mod schema_examples;
mod schemas;
mod scripted_service;
mod second_run;
mod service;
mod tidy;
mod whole_job;
