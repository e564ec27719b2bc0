//! Schemas as a job meets them: what other people's writers wrote, registries of several kinds, and jobs that are stopped by a schema.

#[cfg(feature = "glue")]
mod glue;
mod governed;
mod java;
#[path = "../../schema/tests/judge.rs"]
mod judge;
mod registries;
