//! Schemas as a job meets them: what other people's writers wrote, registries of several kinds, jobs that are stopped by a schema, and the page
//! that says which mode takes what.

#[cfg(feature = "glue")]
mod glue;
mod governed;
mod java;
#[path = "../../schema/tests/judge.rs"]
mod judge;
mod reference;
mod registries;
