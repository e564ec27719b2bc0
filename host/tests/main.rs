//! Tests of the host from outside: one binary, so that the host is linked once.

#![allow(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod chaos;
mod check_cases;
mod cli;
mod conformance;
mod examples;
mod fleet;
mod frozen;
mod guide;
mod kcl;
mod kinesis_sinks;
mod kinesis_source;
mod leases;
mod objects;
mod plugin;
mod plugin_spec;
mod savepoint;
mod schemas;
mod scripted_service;
mod second_run;
mod service;
mod tidy;
mod whole_job;
