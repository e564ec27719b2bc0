//! Schemas as a job meets them: what other people's writers wrote, and registries of several kinds.

mod java;
#[path = "../../schema/tests/judge.rs"]
mod judge;
